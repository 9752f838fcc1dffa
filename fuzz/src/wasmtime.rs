//! The same run by wasmtime, through the C interface of a shared library: building wasmtime itself takes too long.
//!
//! Invariant: the structures are those of `wasmtime.h` (version 50); a library of another layout would fail at once.
//!
//! # The contract
//! 1. `Api` holds functions of a library that is never unloaded, with the types of its header.
//! 2. Engine, module, store and what they give out are used here alone, by one thread, in the order of their making.
//! 3. Vectors given to the library are its own afterwards; errors and traps given out are deleted by `end_of`.
#![allow(unsafe_code, non_camel_case_types)]

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use jitless::{Engine, ExternType, FuncType, Module, Trap, ValType};

use crate::inputs::{Random, hash};
use crate::ours::{Numbers, SETS, answer, argument, name};
use crate::report::{End, Item, Report, Step, Value};

/// More than enough for what ended in ours: its fuel counts otherwise.
const LIMIT: u64 = 100_000_000;

type Opaque = *mut c_void;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Val {
    kind: u8,
    of: [u64; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extern {
    kind: u8,
    of: [u64; 3],
}

#[repr(C)]
struct Vector<T> {
    size: usize,
    data: *mut T,
}

#[repr(C)]
struct Limits {
    min: u32,
    max: u32,
}

type Callback = extern "C" fn(Opaque, Opaque, *const Val, usize, *mut Val, usize) -> Opaque;
type Finalizer = Option<extern "C" fn(Opaque)>;

macro_rules! api {
    ($($name:ident: fn($($arg:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions of the library that are needed.
        struct Api {
            engine: Opaque,
            $($name: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
        }

        impl Api {
            /// # Safety
            /// The library is wasmtime's C interface.
            unsafe fn load(library: &'static libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    engine: null_mut(),
                    // SAFETY: the caller's promise, and contract 1.
                    $($name: unsafe { *library.get(concat!(stringify!($name), "\0").as_bytes())? },)*
                })
            }
        }
    };
}

api! {
    wasm_config_new: fn() -> Opaque;
    wasm_engine_new_with_config: fn(Opaque) -> Opaque;
    wasmtime_config_consume_fuel_set: fn(Opaque, bool);
    wasmtime_config_wasm_tail_call_set: fn(Opaque, bool);
    wasmtime_config_wasm_multi_memory_set: fn(Opaque, bool);
    wasmtime_config_signals_based_traps_set: fn(Opaque, bool);
    wasmtime_config_parallel_compilation_set: fn(Opaque, bool);
    wasmtime_config_memory_reservation_set: fn(Opaque, u64);
    wasmtime_config_cranelift_opt_level_set: fn(Opaque, u8);
    wasmtime_module_new: fn(Opaque, *const u8, usize, *mut Opaque) -> Opaque;
    wasmtime_module_delete: fn(Opaque);
    wasmtime_store_new: fn(Opaque, Opaque, Finalizer) -> Opaque;
    wasmtime_store_delete: fn(Opaque);
    wasmtime_store_context: fn(Opaque) -> Opaque;
    wasmtime_context_set_fuel: fn(Opaque, u64) -> Opaque;
    wasmtime_caller_context: fn(Opaque) -> Opaque;
    wasmtime_instance_new: fn(Opaque, Opaque, *const Extern, usize, *mut [u64; 2], *mut Opaque) -> Opaque;
    wasmtime_instance_export_nth:
        fn(Opaque, *const [u64; 2], usize, *mut *const c_char, *mut usize, *mut Extern) -> bool;
    wasmtime_func_new: fn(Opaque, Opaque, Callback, Opaque, Finalizer, *mut [u64; 3]);
    wasmtime_func_call: fn(Opaque, *const [u64; 3], *const Val, usize, *mut Val, usize, *mut Opaque) -> Opaque;
    wasmtime_memory_new: fn(Opaque, Opaque, *mut [u64; 3]) -> Opaque;
    wasmtime_memory_data: fn(Opaque, *const [u64; 3]) -> *const u8;
    wasmtime_memory_data_size: fn(Opaque, *const [u64; 3]) -> usize;
    wasmtime_table_new: fn(Opaque, Opaque, *const Val, *mut [u64; 3]) -> Opaque;
    wasmtime_table_size: fn(Opaque, *const [u64; 3]) -> u64;
    wasmtime_table_get: fn(Opaque, *const [u64; 3], u64, *mut Val) -> bool;
    wasmtime_global_new: fn(Opaque, Opaque, *const Val, *mut [u64; 3]) -> Opaque;
    wasmtime_global_get: fn(Opaque, *const [u64; 3], *mut Val);
    wasmtime_externref_new: fn(Opaque, Opaque, Finalizer, *mut [u64; 3]) -> bool;
    wasmtime_externref_data: fn(Opaque, *const [u64; 3]) -> Opaque;
    wasmtime_trap_new: fn(*const c_char, usize) -> Opaque;
    wasmtime_trap_code: fn(Opaque, *mut u8) -> bool;
    wasm_trap_delete: fn(Opaque);
    wasmtime_error_delete: fn(Opaque);
    wasmtime_error_message: fn(Opaque, *mut Vector<u8>);
    wasm_byte_vec_delete: fn(*mut Vector<u8>);
    wasm_valtype_new: fn(u8) -> Opaque;
    wasm_valtype_vec_new: fn(*mut Vector<Opaque>, usize, *const Opaque);
    wasm_functype_new: fn(*mut Vector<Opaque>, *mut Vector<Opaque>) -> Opaque;
    wasm_functype_delete: fn(Opaque);
    wasm_memorytype_new: fn(*const Limits) -> Opaque;
    wasm_memorytype_delete: fn(Opaque);
    wasm_tabletype_new: fn(Opaque, *const Limits) -> Opaque;
    wasm_tabletype_delete: fn(Opaque);
    wasm_globaltype_new: fn(Opaque, u8) -> Opaque;
    wasm_globaltype_delete: fn(Opaque);
}

// SAFETY: an engine may be used by many threads.
unsafe impl Send for Api {}
// SAFETY: the same.
unsafe impl Sync for Api {}

/// The library that `JITLESS_WASMTIME` names; `None`, said once, if it names none.
fn api() -> Option<&'static Api> {
    static API: OnceLock<Option<Api>> = OnceLock::new();
    let api = API.get_or_init(|| {
        let Some(path) = std::env::var_os("JITLESS_WASMTIME") else {
            eprintln!("not compared with wasmtime: JITLESS_WASMTIME names no library");
            return None;
        };
        // SAFETY: whoever sets the variable says that it is wasmtime's.
        let library = unsafe { libloading::Library::new(&path) }.unwrap_or_else(|error| panic!("{error}"));
        // SAFETY: the same.
        let mut api = unsafe { Api::load(Box::leak(Box::new(library))) }.unwrap_or_else(|error| panic!("{error}"));
        // SAFETY: contract 1 and 2.
        unsafe {
            let config = (api.wasm_config_new)();
            (api.wasmtime_config_consume_fuel_set)(config, true);
            (api.wasmtime_config_wasm_tail_call_set)(config, true);
            (api.wasmtime_config_wasm_multi_memory_set)(config, true);
            // Signals are the fuzzer's.
            (api.wasmtime_config_signals_based_traps_set)(config, false);
            (api.wasmtime_config_parallel_compilation_set)(config, false);
            (api.wasmtime_config_memory_reservation_set)(config, 0);
            (api.wasmtime_config_cranelift_opt_level_set)(config, 0);
            api.engine = (api.wasm_engine_new_with_config)(config);
        }
        assert!(!api.engine.is_null());
        Some(api)
    });
    api.as_ref()
}

const FUNC: u8 = 0;
const GLOBAL: u8 = 1;
const TABLE: u8 = 2;
const MEMORY: u8 = 3;
const FUNCREF: u8 = 5;
const EXTERNREF: u8 = 6;

#[derive(Default)]
struct Host {
    log: u64,
    calls: u64,
}

/// What a host function knows.
struct HostFunc {
    api: &'static Api,
    host: *mut Host,
    seed: u64,
    results: Vec<Value>,
}

/// Runs at most so many steps; `None` if there is no library.
pub fn run(wasm: &[u8], seed: u64, steps: usize) -> Option<Report> {
    let api = api()?;
    // Types are read by ours: there is only one truth about them, or the runs differ.
    let module = Module::new(&Engine::default(), wasm).expect("valid");
    let mut host = Box::<Host>::default();
    let host: *mut Host = &raw mut *host;
    // SAFETY: contract 1 to 3; `host` lives as long as the store.
    unsafe {
        let mut theirs = null_mut();
        let error = (api.wasmtime_module_new)(api.engine, wasm.as_ptr(), wasm.len(), &raw mut theirs);
        assert!(error.is_null(), "wasmtime refuses the module: {:?}", end_of(api, error, null_mut()));
        let store = (api.wasmtime_store_new)(api.engine, null_mut(), None);
        let run = Run { api, context: (api.wasmtime_store_context)(store), host };
        let report = run.report(&module, theirs, seed, steps);
        (api.wasmtime_store_delete)(store);
        (api.wasmtime_module_delete)(theirs);
        Some(report)
    }
}

struct Run {
    api: &'static Api,
    context: Opaque,
    host: *mut Host,
}

/// What an error or a trap says; one of them is not null.
///
/// # Safety
/// Contract 3.
unsafe fn end_of(api: &Api, error: Opaque, trap: Opaque) -> End {
    // SAFETY: the caller's promise.
    unsafe {
        if !error.is_null() {
            let mut message = Vector { size: 0, data: null_mut() };
            (api.wasmtime_error_message)(error, &raw mut message);
            let text = String::from_utf8_lossy(std::slice::from_raw_parts(message.data, message.size)).into_owned();
            (api.wasm_byte_vec_delete)(&raw mut message);
            (api.wasmtime_error_delete)(error);
            return End::Exhausted(text);
        }
        let mut code = 0;
        let has_code = (api.wasmtime_trap_code)(trap, &raw mut code);
        (api.wasm_trap_delete)(trap);
        if !has_code {
            return End::Host;
        }
        End::Trap(match code {
            0 => Trap::StackOverflow,
            1 => Trap::MemoryOutOfBounds,
            3 => Trap::TableOutOfBounds,
            4 => Trap::UninitializedElement,
            5 => Trap::BadSignature,
            6 => Trap::IntegerOverflow,
            7 => Trap::IntegerDivisionByZero,
            8 => Trap::BadConversionToInteger,
            9 => Trap::Unreachable,
            other => return End::Exhausted(format!("trap {other}")),
        })
    }
}

impl Run {
    fn log(&self) -> u64 {
        // SAFETY: `host` outlives the run, and no host function is running.
        unsafe { (*self.host).log }
    }

    /// # Safety
    /// Contract 1 to 3: the module is of the engine, the context of its store.
    unsafe fn report(&self, module: &Module, theirs: Opaque, seed: u64, steps: usize) -> Report {
        let api = self.api;
        let mut report = Report::default();
        let mut numbers = Numbers::new(seed);
        // SAFETY: the caller's promise.
        unsafe {
            let imports: Vec<Extern> = module
                .imports()
                .map(|import| {
                    let ty = import.ty();
                    let random = numbers.next(ty.kind() as usize);
                    self.made_up(&ty, random)
                })
                .collect();
            self.fuel();
            let (mut instance, mut trap) = ([0; 2], null_mut());
            let (list, count) = (imports.as_ptr(), imports.len());
            let error =
                (api.wasmtime_instance_new)(self.context, theirs, list, count, &raw mut instance, &raw mut trap);
            let failed = !error.is_null() || !trap.is_null();
            let end = if failed { end_of(api, error, trap) } else { End::Returned(vec![]) };
            report.steps.push(Step { what: "instantiate".into(), end, fuel: 0, host: self.log() });
            if failed {
                return report;
            }

            let mut exports: Vec<(String, ExternType, Extern)> = Vec::new();
            for (nth, export) in module.exports().enumerate() {
                let (mut text, mut len, mut item) = (null(), 0, Extern::default());
                let found = (api.wasmtime_instance_export_nth)(
                    self.context,
                    &raw const instance,
                    nth,
                    &raw mut text,
                    &raw mut len,
                    &raw mut item,
                );
                assert!(found, "wasmtime has no export {nth}");
                exports.push((export.name().to_owned(), export.ty(), item));
            }
            exports.sort_by(|a, b| a.0.cmp(&b.0));
            for (number, (name, ty, item)) in exports.iter().enumerate() {
                let ExternType::Func(ty) = ty else { continue };
                for set in 0..SETS {
                    if report.steps.len() == steps {
                        break;
                    }
                    let mut random = Random(seed ^ (number as u64) << 8 ^ set << 32);
                    let end = self.call(ty, item, &mut random, set);
                    let out = matches!(end, End::Exhausted(_));
                    report.steps.push(Step { what: format!("{name} {set}"), end, fuel: 0, host: self.log() });
                    if out {
                        return report;
                    }
                }
            }
            for (name, _, item) in exports {
                if let Some(item) = self.state(&item) {
                    report.items.push((name, item));
                }
            }
        }
        report
    }

    unsafe fn fuel(&self) {
        // SAFETY: contract 2.
        let error = unsafe { (self.api.wasmtime_context_set_fuel)(self.context, LIMIT) };
        assert!(error.is_null());
    }

    unsafe fn call(&self, ty: &FuncType, item: &Extern, random: &mut Random, set: u64) -> End {
        let api = self.api;
        // SAFETY: contract 2, and as many results as the function has.
        unsafe {
            let arg = |&ty| val(api, self.context, argument(name(ty), random, set));
            let args: Vec<Val> = ty.params().iter().map(arg).collect();
            let mut results = vec![Val::default(); ty.results().len()];
            self.fuel();
            let mut trap = null_mut();
            let error = (api.wasmtime_func_call)(
                self.context,
                &raw const item.of,
                args.as_ptr(),
                args.len(),
                results.as_mut_ptr(),
                results.len(),
                &raw mut trap,
            );
            if !error.is_null() || !trap.is_null() {
                return end_of(api, error, trap);
            }
            End::Returned(results.iter().map(|result| value(api, self.context, result)).collect())
        }
    }

    unsafe fn made_up(&self, ty: &ExternType, mut random: Random) -> Extern {
        let (api, context) = (self.api, self.context);
        let seed = random.number();
        let mut of = [0; 3];
        // SAFETY: contract 1 to 3; types are deleted after use.
        unsafe {
            let (kind, error) = match ty {
                ExternType::Func(ty) => {
                    let (mut params, mut results) = (types(api, ty.params()), types(api, ty.results()));
                    let theirs = (api.wasm_functype_new)(&raw mut params, &raw mut results);
                    let results = ty.results().iter().map(|&ty| name(ty)).collect();
                    let func = Box::new(HostFunc { api, host: self.host, seed, results });
                    let env = Box::into_raw(func).cast();
                    (api.wasmtime_func_new)(context, theirs, call_host, env, Some(drop_func), &raw mut of);
                    (api.wasm_functype_delete)(theirs);
                    (FUNC, null_mut())
                }
                ExternType::Global(ty) => {
                    let first = val(api, context, argument(name(ty.content), &mut random, 1));
                    let content = (api.wasm_valtype_new)(kind_of(ty.content));
                    let theirs = (api.wasm_globaltype_new)(content, ty.mutable.into());
                    let error = (api.wasmtime_global_new)(context, theirs, &raw const first, &raw mut of);
                    (api.wasm_globaltype_delete)(theirs);
                    (GLOBAL, error)
                }
                ExternType::Memory(ty) => {
                    let limits = limits(ty.limits);
                    let theirs = (api.wasm_memorytype_new)(&raw const limits);
                    let error = (api.wasmtime_memory_new)(context, theirs, &raw mut of);
                    (api.wasm_memorytype_delete)(theirs);
                    (MEMORY, error)
                }
                ExternType::Table(ty) => {
                    let (element, limits) = (ValType::Ref(ty.element), limits(ty.limits));
                    let theirs = (api.wasm_tabletype_new)((api.wasm_valtype_new)(kind_of(element)), &raw const limits);
                    let null = null_of(name(element));
                    let error = (api.wasmtime_table_new)(context, theirs, &raw const null, &raw mut of);
                    (api.wasm_tabletype_delete)(theirs);
                    (TABLE, error)
                }
                other => panic!("{other}: a thing that this version does not have"),
            };
            assert!(error.is_null(), "{ty}: {:?}", end_of(api, error, null_mut()));
            Extern { kind, of }
        }
    }

    unsafe fn state(&self, item: &Extern) -> Option<Item> {
        let (api, context, of) = (self.api, self.context, &raw const item.of);
        // SAFETY: contract 2: the item is of the store, and nothing runs while its bytes are read.
        unsafe {
            Some(match item.kind {
                MEMORY => {
                    let len = (api.wasmtime_memory_data_size)(context, of);
                    let bytes = match len {
                        0 => &[],
                        _ => std::slice::from_raw_parts((api.wasmtime_memory_data)(context, of), len),
                    };
                    Item::Memory { pages: len as u64 >> 16, hash: hash(bytes) }
                }
                GLOBAL => {
                    let mut val = Val::default();
                    (api.wasmtime_global_get)(context, of, &raw mut val);
                    Item::Global(value(api, context, &val))
                }
                TABLE => {
                    let size = (api.wasmtime_table_size)(context, of);
                    let element = |index| {
                        let mut val = Val::default();
                        assert!((api.wasmtime_table_get)(context, of, index, &raw mut val));
                        value(api, context, &val)
                    };
                    Item::Table((0..size).map(element).collect())
                }
                _ => return None,
            })
        }
    }
}

fn limits(limits: jitless::Limits) -> Limits {
    Limits { min: limits.min as u32, max: limits.max.map_or(u32::MAX, |max| max as u32) }
}

fn kind_of(ty: ValType) -> u8 {
    match name(ty) {
        Value::I32(_) => 0,
        Value::I64(_) => 1,
        Value::F32(_) => 2,
        Value::F64(_) => 3,
        Value::Extern(_) => 128,
        Value::Func(_) => 129,
    }
}

unsafe fn types(api: &Api, types: &[ValType]) -> Vector<Opaque> {
    let mut vector = Vector { size: 0, data: null_mut() };
    // SAFETY: contract 3.
    unsafe {
        let types: Vec<Opaque> = types.iter().map(|&ty| (api.wasm_valtype_new)(kind_of(ty))).collect();
        (api.wasm_valtype_vec_new)(&raw mut vector, types.len(), types.as_ptr());
    }
    vector
}

fn null_of(like: Value) -> Val {
    Val { kind: if matches!(like, Value::Func(_)) { FUNCREF } else { EXTERNREF }, of: [0; 3] }
}

unsafe fn val(api: &Api, context: Opaque, value: Value) -> Val {
    let number = |kind, bits| Val { kind, of: [bits, 0, 0] };
    match value {
        Value::I32(value) => number(0, value.into()),
        Value::I64(value) => number(1, value),
        Value::F32(bits) => number(2, bits.into()),
        Value::F64(bits) => number(3, bits),
        Value::Func(_) | Value::Extern(None) => null_of(value),
        Value::Extern(Some(number)) => {
            let (object, mut of) = (Box::into_raw(Box::new(number)).cast(), [0; 3]);
            // SAFETY: contract 2; the number is dropped by the library.
            let made = unsafe { (api.wasmtime_externref_new)(context, object, Some(drop_number), &raw mut of) };
            assert!(made);
            Val { kind: EXTERNREF, of }
        }
    }
}

unsafe fn value(api: &Api, context: Opaque, val: &Val) -> Value {
    match val.kind {
        0 => Value::I32(val.of[0] as u32),
        1 => Value::I64(val.of[0]),
        2 => Value::F32(val.of[0] as u32),
        3 => Value::F64(val.of[0]),
        FUNCREF => Value::Func(val.of[0] != 0),
        EXTERNREF if val.of[0] == 0 => Value::Extern(None),
        EXTERNREF => {
            // SAFETY: contract 2; what it points to is a number that `val` made.
            Value::Extern(Some(unsafe { *(api.wasmtime_externref_data)(context, &raw const val.of).cast::<u64>() }))
        }
        other => panic!("a value of kind {other}"),
    }
}

extern "C" fn drop_number(object: Opaque) {
    // SAFETY: it was made in `val`.
    drop(unsafe { Box::<u64>::from_raw(object.cast()) });
}

extern "C" fn drop_func(env: Opaque) {
    // SAFETY: it was made in `made_up`.
    drop(unsafe { Box::<HostFunc>::from_raw(env.cast()) });
}

extern "C" fn call_host(
    env: Opaque,
    caller: Opaque,
    args: *const Val,
    arg_count: usize,
    results: *mut Val,
    result_count: usize,
) -> Opaque {
    // SAFETY: `env` was made in `made_up`, the rest is the library's promise; `host` is used by one function at a time.
    unsafe {
        let func = &*env.cast::<HostFunc>();
        let context = (func.api.wasmtime_caller_context)(caller);
        let slice = if arg_count == 0 { &[] } else { std::slice::from_raw_parts(args, arg_count) };
        let args: Vec<Value> = slice.iter().map(|arg| value(func.api, context, arg)).collect();
        let Host { log, calls } = &mut *func.host;
        let Some(values) = answer(log, calls, func.seed, &args, &func.results) else {
            return (func.api.wasmtime_trap_new)(c"no".as_ptr(), 2);
        };
        assert_eq!(values.len(), result_count);
        for (i, answer) in values.into_iter().enumerate() {
            results.add(i).write(val(func.api, context, answer));
        }
        null_mut()
    }
}
