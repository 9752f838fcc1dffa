//! The same run by wasmi.

use jitless::Trap;
use wasmi::errors::ErrorKind;
use wasmi::{
    Caller, Config, Engine, Error, Extern, ExternRef, ExternType, F32, F64, Func, Global, Instance, Memory, Module,
    Nullable, Ref, Store, StoreContext, Table, TrapCode, Val, ValType,
};

use crate::inputs::{Random, hash};
use crate::ours::{Numbers, SETS, answer, argument};
use crate::report::{End, Item, Report, Step, Value};

/// More than enough for what ended in ours: its fuel counts otherwise.
const LIMIT: u64 = 100_000_000;

#[derive(Default)]
struct Host {
    log: u64,
    calls: u64,
}

/// Runs at most so many steps; `None` if it does not take the module.
pub fn run(wasm: &[u8], seed: u64, steps: usize) -> Option<Report> {
    let mut config = Config::default();
    config.consume_fuel(true);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, wasm).ok()?;
    let mut store = Store::new(&engine, Host::default());
    let mut numbers = Numbers::new(seed);
    let imports: Vec<Extern> = module
        .imports()
        .map(|import| {
            let ty = import.ty();
            let random = numbers.next(kind_of(ty));
            made_up(&mut store, ty, random)
        })
        .collect();
    let mut report = Report::default();
    store.set_fuel(LIMIT).ok()?;
    let instance = Instance::new(&mut store, &module, &imports);
    let end = instance.as_ref().map_or_else(end_of, |_| End::Returned(vec![]));
    report.steps.push(Step { what: "instantiate".into(), end, fuel: 0, host: store.data().log });
    let Ok(instance) = instance else { return Some(report) };

    let mut exports: Vec<(String, Extern)> =
        instance.exports(&store).map(|export| (export.name().to_owned(), export.into_extern())).collect();
    exports.sort_by(|a, b| a.0.cmp(&b.0));
    for (number, (name, item)) in exports.iter().enumerate() {
        let Extern::Func(func) = item else { continue };
        for set in 0..SETS {
            if report.steps.len() == steps {
                break;
            }
            let mut random = Random(seed ^ (number as u64) << 8 ^ set << 32);
            let end = call(&mut store, *func, &mut random, set);
            let out = matches!(end, End::Exhausted(_));
            report.steps.push(Step { what: format!("{name} {set}"), end, fuel: 0, host: store.data().log });
            if out {
                return Some(report);
            }
        }
    }
    report.items = exports.into_iter().filter_map(|(name, item)| Some((name, state(&store, item)?))).collect();
    Some(report)
}

fn call(store: &mut Store<Host>, func: Func, random: &mut Random, set: u64) -> End {
    let ty = func.ty(&*store);
    let args: Vec<Val> = ty.params().iter().map(|&ty| val(&mut *store, argument(name(ty), random, set))).collect();
    let mut results: Vec<Val> = ty.results().iter().map(|&ty| Val::default_for_ty(ty)).collect();
    let answer = store.set_fuel(LIMIT).and_then(|()| func.call(&mut *store, &args, &mut results));
    match answer {
        Ok(()) => End::Returned(results.iter().map(|result| value(&*store, result)).collect()),
        Err(error) => end_of(&error),
    }
}

fn end_of(error: &Error) -> End {
    if matches!(error.kind(), ErrorKind::Message(_)) {
        return End::Host;
    }
    End::Trap(match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Trap::Unreachable,
        Some(TrapCode::MemoryOutOfBounds) => Trap::MemoryOutOfBounds,
        Some(TrapCode::TableOutOfBounds) => Trap::TableOutOfBounds,
        Some(TrapCode::IndirectCallToNull) => Trap::UninitializedElement,
        Some(TrapCode::IntegerDivisionByZero) => Trap::IntegerDivisionByZero,
        Some(TrapCode::IntegerOverflow) => Trap::IntegerOverflow,
        Some(TrapCode::BadConversionToInteger) => Trap::BadConversionToInteger,
        Some(TrapCode::StackOverflow) => Trap::StackOverflow,
        Some(TrapCode::BadSignature) => Trap::BadSignature,
        _ => return instantiation(error),
    })
}

/// Segments that do not fit have errors of their own.
fn instantiation(error: &Error) -> End {
    match error.kind() {
        ErrorKind::Memory(_) => End::Trap(Trap::MemoryOutOfBounds),
        ErrorKind::Table(_) => End::Trap(Trap::TableOutOfBounds),
        _ => End::Exhausted(error.to_string()),
    }
}

fn name(ty: ValType) -> Value {
    match ty {
        ValType::I32 => Value::I32(0),
        ValType::I64 => Value::I64(0),
        ValType::F32 => Value::F32(0),
        ValType::F64 => Value::F64(0),
        ValType::FuncRef => Value::Func(false),
        ValType::ExternRef => Value::Extern(None),
        ValType::V128 => panic!("a type that was not asked for"),
    }
}

fn val(store: impl wasmi::AsContextMut, value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value as i32),
        Value::I64(value) => Val::I64(value as i64),
        Value::F32(bits) => Val::F32(F32::from_bits(bits)),
        Value::F64(bits) => Val::F64(F64::from_bits(bits)),
        Value::Func(_) => Val::FuncRef(Nullable::Null),
        Value::Extern(None) => Val::ExternRef(Nullable::Null),
        Value::Extern(Some(number)) => Val::ExternRef(ExternRef::new(store, number).into()),
    }
}

fn value<'a>(store: impl Into<StoreContext<'a, Host>>, val: &Val) -> Value {
    match val {
        Val::I32(value) => Value::I32(*value as u32),
        Val::I64(value) => Value::I64(*value as u64),
        Val::F32(value) => Value::F32(value.to_bits()),
        Val::F64(value) => Value::F64(value.to_bits()),
        Val::FuncRef(func) => Value::Func(!func.is_null()),
        Val::ExternRef(object) => {
            let number = |object: &ExternRef| *object.data(store).downcast_ref().expect("a number");
            Value::Extern(object.val().map(number))
        }
        Val::V128(_) => panic!("a type that was not asked for"),
    }
}

/// As ours numbers them.
fn kind_of(ty: &ExternType) -> usize {
    match ty {
        ExternType::Func(_) => 0,
        ExternType::Table(_) => 1,
        ExternType::Memory(_) => 2,
        ExternType::Global(_) => 3,
    }
}

fn made_up(store: &mut Store<Host>, ty: &ExternType, mut random: Random) -> Extern {
    let seed = random.number();
    match ty {
        ExternType::Func(ty) => {
            let results: Vec<Value> = ty.results().iter().map(|&ty| name(ty)).collect();
            let call = move |mut caller: Caller<'_, Host>, args: &[Val], out: &mut [Val]| {
                let args: Vec<Value> = args.iter().map(|arg| value(&caller, arg)).collect();
                let Host { log, calls } = caller.data_mut();
                let Some(values) = answer(log, calls, seed, &args, &results) else { return Err(Error::new("no")) };
                for (out, value) in out.iter_mut().zip(values) {
                    *out = val(&mut caller, value);
                }
                Ok(())
            };
            Func::new(store, ty.clone(), call).into()
        }
        ExternType::Global(ty) => {
            let first = val(&mut *store, argument(name(ty.content()), &mut random, 1));
            Global::new(store, first, ty.mutability()).into()
        }
        ExternType::Memory(ty) => Memory::new(store, *ty).expect("small").into(),
        ExternType::Table(ty) => Table::new(store, *ty, Ref::null(ty.element())).expect("small").into(),
    }
}

fn state(store: &Store<Host>, item: Extern) -> Option<Item> {
    Some(match item {
        Extern::Memory(memory) => Item::Memory { pages: memory.size(store), hash: hash(memory.data(store)) },
        Extern::Global(global) => Item::Global(value(store, &global.get(store))),
        Extern::Table(table) => {
            let element = |index| value(store, &table.get(store, index).expect("within").into());
            Item::Table((0..table.size(store)).map(element).collect())
        }
        Extern::Func(_) => return None,
    })
}
