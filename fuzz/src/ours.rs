//! A module run by jitless in one of its modes.
//!
//! Every function that is exported is called with a few sets of arguments. Imports are made up from the seed, the same
//! in every mode and engine.

use jitless::{
    AsContext, Caller, Compilation, Config, Dispatch, Engine, Error, ErrorKind, Extern, ExternRef, ExternType, Func,
    Global, Instance, Memory, Module, Ref, Result, ResumableCall, Store, StoreLimitsBuilder, Table, Val, ValType,
};

use crate::inputs::{Random, hash};
use crate::report::{End, Item, Report, Step, Value};

/// How it is run.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    dispatch: Dispatch,
    compilation: Compilation,
    fuel: Fuel,
}

#[derive(Clone, Copy, Debug)]
enum Fuel {
    /// [`LIMIT`] for each call.
    Limited,
    Unlimited,
    /// So much at a time, the call resumed each time.
    Slices(u64),
}

/// Operators that a call may take.
const LIMIT: u64 = 20_000;

/// Calls of each function.
pub const SETS: u64 = 3;

const fn mode(dispatch: Dispatch, compilation: Compilation, fuel: Fuel) -> Mode {
    Mode { dispatch, compilation, fuel }
}

/// What is compared with the first run.
pub const MODES: [Mode; 8] = [
    mode(Dispatch::Auto, Compilation::Eager, Fuel::Unlimited),
    mode(Dispatch::Auto, Compilation::Lazy, Fuel::Slices(1)),
    mode(Dispatch::Auto, Compilation::LazyChecked, Fuel::Slices(7)),
    mode(Dispatch::Auto, Compilation::Lazy, Fuel::Slices(1000)),
    mode(Dispatch::Bounced, Compilation::Eager, Fuel::Limited),
    mode(Dispatch::Bounced, Compilation::LazyChecked, Fuel::Unlimited),
    mode(Dispatch::Bounced, Compilation::Lazy, Fuel::Slices(1)),
    mode(Dispatch::Bounced, Compilation::Eager, Fuel::Slices(1000)),
];

const FIRST: Mode = mode(Dispatch::Auto, Compilation::LazyChecked, Fuel::Limited);

/// The run that all others are compared with, up to where something ran out; `None` if the module is none for us.
pub fn first(wasm: &[u8], seed: u64) -> Option<Report> {
    let mut report = run(wasm, seed, FIRST, usize::MAX);
    if let Some(out) = report.steps.iter().position(|step| matches!(step.end, End::Exhausted(_))) {
        // What was left undone is not known, so only a second run can tell what holds before.
        if out == 0 {
            return None;
        }
        report = run(wasm, seed, FIRST, out);
    }
    Some(report)
}

/// What the host keeps: everything that its functions were called with, as one number.
#[derive(Default)]
struct Host {
    log: u64,
    calls: u64,
}

/// Runs at most so many steps.
///
/// # Panics
/// If the module is refused, or something happens that must not.
pub fn run(wasm: &[u8], seed: u64, mode: Mode, steps: usize) -> Report {
    let mut config = Config::new();
    config.dispatch(mode.dispatch).compilation(mode.compilation).max_wasm_stack(128 << 10);
    let engine = Engine::new(&config).expect("a configuration in order");
    let module = Module::new(&engine, wasm).unwrap_or_else(|error| panic!("a valid module is refused: {error:#}"));
    let mut store = Store::new(&engine, Host::default());
    store.set_limits(StoreLimitsBuilder::new().total_memory(64 << 20).build());

    let mut numbers = Numbers::new(seed);
    let imports: Result<Vec<Extern>> = module
        .imports()
        .map(|import| {
            let ty = import.ty();
            let random = numbers.next(ty.kind() as usize);
            made_up(&mut store, ty, random)
        })
        .collect();
    let mut report = Report::default();
    // The start function is a call that cannot be resumed.
    let bound = if matches!(mode.fuel, Fuel::Unlimited) { u64::MAX } else { LIMIT };
    store.set_fuel(bound).expect("never an error");
    let instance = imports.and_then(|imports| Instance::new(&mut store, &module, &imports));
    let end = match &instance {
        Ok(_) => End::Returned(vec![]),
        Err(error) => end_of(error),
    };
    report.push(&store, "instantiate".into(), end);
    let Ok(instance) = instance else { return report };

    let mut exports: Vec<(String, Extern)> =
        instance.exports(&store).map(|export| (export.name().to_owned(), export.into_extern())).collect();
    // Not every engine keeps the module's order.
    exports.sort_by(|a, b| a.0.cmp(&b.0));
    for (number, (name, item)) in exports.iter().enumerate() {
        let Some(func) = item.into_func() else { continue };
        for set in 0..SETS {
            if report.steps.len() == steps {
                break;
            }
            let mut random = Random(seed ^ (number as u64) << 8 ^ set << 32);
            let end = call(&mut store, func, mode.fuel, &mut random, set);
            let out = matches!(end, End::Exhausted(_));
            report.push(&store, format!("{name} {set}"), end);
            if out {
                return report;
            }
        }
    }
    for (name, item) in exports {
        if let Some(item) = state(&store, item) {
            report.items.push((name, item));
        }
    }
    report
}

impl Report {
    fn push(&mut self, store: &Store<Host>, what: String, end: End) {
        self.steps.push(Step { what, end, fuel: store.fuel_used(), host: store.data().log });
    }
}

fn call(store: &mut Store<Host>, func: Func, fuel: Fuel, random: &mut Random, set: u64) -> End {
    let ty = func.ty(&*store);
    let args: Vec<Val> = ty.params().iter().map(|&ty| val(&mut *store, argument(name(ty), random, set))).collect();
    let mut results: Vec<Val> = ty.results().iter().map(|&ty| zero(ty)).collect();
    let answer = match fuel {
        Fuel::Limited | Fuel::Unlimited => {
            let bound = if matches!(fuel, Fuel::Unlimited) { u64::MAX } else { LIMIT };
            store.set_fuel(bound).and_then(|()| func.call(&mut *store, &args, &mut results))
        }
        Fuel::Slices(slice) => in_slices(store, func, slice, &args, &mut results),
    };
    match answer {
        Ok(()) => End::Returned(results.iter().map(|result| value(&*store, result)).collect()),
        Err(error) => end_of(&error),
    }
}

/// Calls with so much fuel at a time, [`LIMIT`] in all.
fn in_slices(store: &mut Store<Host>, func: Func, slice: u64, args: &[Val], results: &mut [Val]) -> Result<()> {
    store.set_fuel(0)?;
    let mut left = LIMIT;
    let mut call = func.call_resumable(&mut *store, args, results)?;
    loop {
        call = match call {
            ResumableCall::Finished => return Ok(()),
            ResumableCall::OutOfFuel(paused) => {
                let required = paused.required_fuel();
                assert!(required > 0, "out of fuel without a need for any");
                // Nothing is lost by going on with too little.
                let more = required.max(slice).min(left);
                assert!(more >= required, "more fuel is needed in slices than at once");
                left -= more;
                store.add_fuel(more)?;
                paused.resume(&mut *store, results)?
            }
            ResumableCall::HostTrap(paused) => return Err(paused.into_host_error()),
            other => panic!("{other:?}"),
        }
    }
}

fn end_of(error: &Error) -> End {
    match (error.kind(), error.trap()) {
        (ErrorKind::Trap, Some(trap)) => End::Trap(trap),
        (ErrorKind::Host, _) => End::Host,
        (ErrorKind::OutOfFuel | ErrorKind::Budget, _) => End::Exhausted(error.to_string()),
        _ => panic!("{error:#}"),
    }
}

/// What every engine calls the types of values.
pub fn name(ty: ValType) -> Value {
    match ty {
        ValType::I32 => Value::I32(0),
        ValType::I64 => Value::I64(0),
        ValType::F32 => Value::F32(0),
        ValType::F64 => Value::F64(0),
        ValType::FUNCREF => Value::Func(false),
        ValType::EXTERNREF => Value::Extern(None),
        other => panic!("{other}: a type that this version does not run"),
    }
}

fn zero(ty: ValType) -> Val {
    Val::default_for_ty(ty).expect("a type of this version")
}

/// A value of the type of `like`: zero in the first set, then small, then anything.
pub fn argument(like: Value, random: &mut Random, set: u64) -> Value {
    let (any, small) = (random.number(), random.number() % 40);
    let pick = |any: u64, edges: [u64; 4]| match set {
        0 => 0,
        1 => small,
        _ if any.is_multiple_of(3) => edges[(any / 3 % 4) as usize],
        _ => any,
    };
    match like {
        Value::I32(_) => Value::I32(pick(any, [1 << 31, 0xFFFF_FFFF, 0x7FFF_FFFF, 65536]) as u32),
        Value::I64(_) => Value::I64(pick(any, [1 << 63, u64::MAX, i64::MAX as u64, 1 << 32])),
        Value::F32(_) if set == 1 => Value::F32((small as f32 / 4.0 - 2.0).to_bits()),
        Value::F64(_) if set == 1 => Value::F64((small as f64 / 4.0 - 2.0).to_bits()),
        Value::F32(_) => Value::F32(not_signalling(pick(any, [1 << 31, 0x7F80_0000, 0x7FC0_0000, 1]) as u32)),
        Value::F64(_) => Value::F64(pick(any, [1 << 63, 0x7FF0 << 48, 0x7FF8 << 48, 1])),
        Value::Func(_) => Value::Func(false),
        Value::Extern(_) => Value::Extern((set > 0).then_some(any)),
    }
}

/// Of a random pattern one in 256 is a NaN; a plain one will do.
fn not_signalling(bits: u32) -> u32 {
    if f32::from_bits(bits).is_nan() { 0x7FC0_0000 } else { bits }
}

fn val(store: &mut Store<Host>, value: Value) -> Val {
    match value {
        Value::Extern(Some(number)) => Val::ExternRef(Some(ExternRef::new(&mut *store, number).expect("room"))),
        other => plain(other),
    }
}

/// A value that needs no store.
fn plain(value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value as i32),
        Value::I64(value) => Val::I64(value as i64),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::Func(_) => Val::FuncRef(None),
        Value::Extern(_) => Val::ExternRef(None),
    }
}

fn value(store: impl AsContext<Data = Host>, val: &Val) -> Value {
    match val {
        Val::I32(value) => Value::I32(*value as u32),
        Val::I64(value) => Value::I64(*value as u64),
        Val::F32(bits) => Value::F32(*bits),
        Val::F64(bits) => Value::F64(*bits),
        Val::FuncRef(func) => Value::Func(func.is_some()),
        Val::ExternRef(None) => Value::Extern(None),
        Val::ExternRef(Some(object)) => {
            let data = object.data(store.as_context()).expect("of this store").expect("of a host");
            Value::Extern(Some(*data.downcast_ref().expect("a number")))
        }
        other => panic!("{other}: a value that this version does not have"),
    }
}

/// What each import is made up from. They are numbered kind by kind: not every engine keeps the module's order.
pub struct Numbers {
    seed: u64,
    next: [u64; 5],
}

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self { seed, next: [0; 5] }
    }

    pub fn next(&mut self, kind: usize) -> Random {
        self.next[kind] += 1;
        Random(self.seed ^ (kind as u64) << 8 ^ self.next[kind])
    }
}

/// A number that tells values apart, NaNs not from each other.
pub fn number_of(value: Value) -> u64 {
    match value {
        Value::F32(bits) if f32::from_bits(bits).is_nan() => 1,
        Value::F64(bits) if f64::from_bits(bits).is_nan() => 2,
        Value::I32(bits) | Value::F32(bits) => bits.into(),
        Value::I64(bits) | Value::F64(bits) => bits,
        Value::Func(some) => some.into(),
        Value::Extern(number) => number.unwrap_or(3),
    }
}

/// What a host function has to say to its call: its results, or nothing, and an error.
pub fn answer(log: &mut u64, calls: &mut u64, seed: u64, args: &[Value], results: &[Value]) -> Option<Vec<Value>> {
    *calls += 1;
    for &arg in args {
        *log = (log.rotate_left(7) ^ number_of(arg)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    *log = log.rotate_left(9) ^ seed ^ *calls;
    let mut random = Random(*log);
    if random.below(16) == 0 {
        return None;
    }
    Some(results.iter().map(|&like| argument(like, &mut random, 1 + *calls % 2)).collect())
}

fn made_up(store: &mut Store<Host>, ty: ExternType, mut random: Random) -> Result<Extern> {
    let seed = random.number();
    Ok(match ty {
        ExternType::Func(ty) => {
            let results: Vec<Value> = ty.results().iter().map(|&ty| name(ty)).collect();
            let call = move |mut caller: Caller<'_, Host>, args: &[Val], out: &mut [Val]| {
                let args: Vec<Value> = args.iter().map(|arg| value(&caller, arg)).collect();
                let Host { log, calls } = caller.data_mut();
                let Some(values) = answer(log, calls, seed, &args, &results) else { return Err(Error::msg("no")) };
                for (out, value) in out.iter_mut().zip(values) {
                    *out = match value {
                        Value::Extern(Some(number)) => Val::ExternRef(Some(ExternRef::new(&mut caller, number)?)),
                        other => plain(other),
                    };
                }
                Ok(())
            };
            Func::new(store, ty, call).into()
        }
        ExternType::Global(ty) => {
            let first = argument(name(ty.content), &mut random, 1);
            let first = val(store, first);
            Global::new(store, ty, first)?.into()
        }
        ExternType::Memory(ty) => Memory::new(store, ty)?.into(),
        ExternType::Table(ty) => Table::new(store, ty, Ref::null(ty.element).expect("nullable"))?.into(),
        other => panic!("{other}: a thing that this version does not have"),
    })
}

fn state(store: &Store<Host>, item: Extern) -> Option<Item> {
    Some(match item {
        Extern::Memory(memory) => Item::Memory { pages: memory.size(store), hash: hash(memory.data(store)) },
        Extern::Global(global) => Item::Global(value(store, &global.get(store))),
        Extern::Table(table) => {
            let element = |index| value(store, &table.get(store, index).expect("within").into());
            Item::Table((0..table.size(store)).map(element).collect())
        }
        _ => return None,
    })
}
