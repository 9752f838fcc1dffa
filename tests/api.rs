//! The public interface: what embedders rely on, and what hostile guests and careless embedders must not be able to do.
//!
//! Tests named after rows (`l3_…`, `t17_…`) are those rows of the list of hostile inputs.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jitless::*;

type Check = std::result::Result<(), Box<dyn StdError>>;

fn module(engine: &Engine, wat: &str) -> Module {
    match Module::new(engine, wat::parse_str(wat).unwrap()) {
        Ok(module) => module,
        Err(error) => panic!("{error}: {wat}"),
    }
}

/// An instance without imports, in a store of its own.
fn alone(wat: &str) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module(&engine, wat), &[]).unwrap();
    (store, instance)
}

/// Calls an export without parameters that returns an i32.
fn run<T>(store: &mut Store<T>, instance: Instance, name: &str) -> Result<i32> {
    instance.get_typed_func::<(), i32>(&*store, name)?.call(store, ())
}

/// The store still runs what it ran before.
#[track_caller]
fn usable<T>(store: &mut Store<T>) {
    let ok = module(store.engine(), r#"(module (func (export "ok") (result i32) (i32.const 42)))"#);
    let instance = Instance::new(&mut *store, &ok, &[]).unwrap();
    assert_eq!(run(store, instance, "ok").unwrap(), 42);
}

/// An error of this kind whose text has this in it.
#[track_caller]
fn refused<R: fmt::Debug>(result: Result<R>, kind: ErrorKind, text: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(format!("{error}\n{error:#}").contains(text), "{error:#}\nhas no: {text}");
}

const ADD: &str = r#"(module (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))"#;

const SPIN: &str = r#"(module
    (func (export "spin") (loop $l (br $l)))
    (func (export "count") (param i32) (result i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 7)))"#;

// ---- Shapes ----

#[test]
fn what_threads_may_share() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Engine>();
    shared::<Module>();
    shared::<Config>();
    // Whatever the data is: a linker and an instance to be hold none.
    shared::<Linker<std::rc::Rc<()>>>();
    shared::<InstancePre<std::rc::Rc<()>>>();
    shared::<StopHandle>();
    shared::<Func>();
    shared::<TypedFunc<i32, i32>>();
    shared::<Memory>();
    shared::<ExternRef>();
    shared::<Val>();
    shared::<Error>();
    sent::<Store<std::cell::Cell<i32>>>();
    sent::<ResumableCall>();
    sent::<TypedResumableCall<i32>>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

/// A store's data may borrow.
#[test]
fn data_need_not_be_static() -> Check {
    let mut log = vec![String::from("first")];
    let engine = Engine::default();
    {
        let mut linker = Linker::<&mut Vec<String>>::new(&engine);
        linker.func_wrap("env", "log", |mut caller: Caller<'_, &mut Vec<String>>, n: i32| {
            caller.data_mut().push(n.to_string());
        })?;
        let module = module(&engine, r#"(module (import "env" "log" (func (param i32))) (export "log" (func 0)))"#);
        let mut store = Store::new(&engine, &mut log);
        let instance = linker.instantiate(&mut store, &module)?;
        instance.get_typed_func::<i32, ()>(&store, "log")?.call(&mut store, 5)?;
        store.into_data().push("last".into());
    }
    assert_eq!(log, ["first", "5", "last"]);
    Ok(())
}

/// Whatever leads to a store does.
#[test]
fn contexts() -> Check {
    let (mut store, instance) = alone(ADD);
    let add = instance.get_typed_func::<(i32, i32), i32>(&store, "add")?;
    assert_eq!(add.call(&mut store, (1, 2))?, 3);
    let borrowed = &mut store;
    assert_eq!(add.call(&mut *borrowed, (1, 2))?, 3);
    assert_eq!(add.call(borrowed.as_context_mut(), (1, 2))?, 3);
    let mut context = store.as_context_mut();
    assert_eq!(add.call(&mut context, (1, 2))?, 3);
    assert!(instance.get_func(&mut context, "add").is_some());
    assert!(instance.get_func(context.as_context(), "add").is_some());
    assert_eq!(instance.exports(&store).map(|export| export.name()).collect::<Vec<_>>(), ["add"]);
    Ok(())
}

// ---- Modules ----

#[test]
fn modules_tell_what_they_need_and_offer() -> Check {
    let module = module(
        &Engine::default(),
        r#"(module $guest
            (import "env" "f" (func (param i32 f64) (result i64)))
            (import "env" "m" (memory 1 2))
            (import "env" "t" (table 3 funcref))
            (import "env" "g" (global (mut f32)))
            (@custom "note" "hello")
            (func (export "run") (param externref))
            (export "m" (memory 0)) (export "g" (global 0)) (export "t" (table 0)))"#,
    );
    let imports: Vec<_> = module.imports().map(|i| format!("{} {} {}", i.module(), i.name(), i.ty())).collect();
    assert_eq!(
        imports,
        [
            "env f (func (param i32 f64) (result i64))",
            "env m (memory 1 2)",
            "env t (table 3 funcref)",
            "env g (global (mut f32))",
        ]
    );
    let exports: Vec<_> = module.exports().map(|e| format!("{} {}", e.name(), e.ty())).collect();
    assert_eq!(
        exports,
        ["run (func (param externref))", "m (memory 1 2)", "g (global (mut f32))", "t (table 3 funcref)"]
    );
    assert_eq!(module.name(), Some("guest"));
    assert!(module.custom_sections().any(|(name, contents)| name == "note" && contents == b"hello"));
    assert_eq!(module.get_export("nothing"), None);
    Ok(())
}

#[test]
fn modules_from_anywhere() -> Check {
    let engine = Engine::default();
    let wasm = wat::parse_str(ADD)?;
    assert_eq!(Module::from_reader(&engine, &wasm[..])?.exports().len(), 1);
    Module::validate(&engine, &wasm)?;

    refused(Module::new(&engine, &wasm[..wasm.len() - 1]), ErrorKind::Malformed, "");
    refused(Module::validate(&engine, &wasm[..9]), ErrorKind::Malformed, "");
    refused(Module::new(&engine, []), ErrorKind::Malformed, "");
    refused(Module::from_file(&engine, "no/such/file.wasm"), ErrorKind::Host, "cannot read no/such/file.wasm: ");
    refused(Module::from_file(&engine, "."), ErrorKind::Host, "cannot read .: ");

    // More than the engine takes is refused, not read to its end.
    let mut config = Config::new();
    config.limits_mut().module_bytes = 1000;
    let endless = wasm.chain_with_zeros();
    refused(Module::from_reader(&Engine::new(&config)?, endless), ErrorKind::Limit, "module bytes");
    Ok(())
}

trait ChainWithZeros {
    fn chain_with_zeros(&self) -> impl std::io::Read;
}

impl ChainWithZeros for Vec<u8> {
    fn chain_with_zeros(&self) -> impl std::io::Read {
        std::io::Read::chain(&self[..], std::io::repeat(0))
    }
}

/// Bodies are validated even where the engine would wait.
#[test]
fn validate_looks_at_bodies() -> Check {
    let wasm = wat::parse_str(r#"(module (func (result i32) (i64.const 1)))"#)?;
    let engine = Engine::new(Config::new().compilation(Compilation::Lazy))?;
    assert!(Module::new(&engine, &wasm).is_ok());
    refused(Module::validate(&engine, &wasm), ErrorKind::Invalid, "type mismatch");
    Ok(())
}

#[test]
fn l22_the_bytes_may_change_after_loading() -> Check {
    let engine = Engine::new(Config::new().compilation(Compilation::Lazy))?;
    let mut wasm = wat::parse_str(ADD)?;
    let module = Module::new(&engine, &wasm)?;
    wasm.fill(0xFF);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    assert_eq!(instance.get_typed_func::<(i32, i32), i32>(&store, "add")?.call(&mut store, (1, 2))?, 3);
    Ok(())
}

// ---- Calls ----

#[test]
fn numbers_go_in_and_out_unchanged() -> Check {
    let (mut store, instance) = alone(
        r#"(module
            (func (export "i32") (param i32) (result i32) (local.get 0))
            (func (export "i64") (param i64) (result i64) (local.get 0))
            (func (export "f32") (param f32) (result f32) (local.get 0))
            (func (export "f64") (param f64) (result f64) (local.get 0))
            (func (export "func") (param funcref) (result funcref) (local.get 0))
            (func (export "extern") (param externref) (result externref) (local.get 0)))"#,
    );
    let object = ExternRef::new(&mut store, 5u8)?;
    let func = instance.get_func(&store, "i32").unwrap();
    for val in [
        Val::I32(i32::MIN),
        Val::I64(i64::MIN),
        Val::F32(0x7FA0_0001),
        Val::F64(0xFFF4_0000_0000_0001),
        Val::from(-0.0f32),
        Val::FuncRef(None),
        Val::FuncRef(Some(func)),
        Val::ExternRef(None),
        Val::ExternRef(Some(object.clone())),
    ] {
        let name = match val.ty() {
            ValType::FUNCREF => "func".to_string(),
            ValType::EXTERNREF => "extern".to_string(),
            ty => ty.to_string(),
        };
        let mut results = [Val::I32(0)];
        instance.get_func(&store, &name).unwrap().call(&mut store, std::slice::from_ref(&val), &mut results)?;
        assert_eq!(results, [val]);
    }
    let echo = instance.get_typed_func::<Option<ExternRef>, Option<ExternRef>>(&store, "extern")?;
    let back = echo.call(&mut store, Some(object))?.unwrap();
    assert_eq!(back.data(&store)?.and_then(|data| data.downcast_ref()), Some(&5u8));
    assert_eq!(echo.call(&mut store, None)?, None);
    let echo = instance.get_typed_func::<u64, u64>(&store, "i64")?;
    assert_eq!(echo.call(&mut store, u64::MAX)?, u64::MAX);
    Ok(())
}

#[test]
fn sixteen_of_everything() -> Check {
    let types = "i64 ".repeat(16);
    let body: String = (0..16).rev().map(|n| format!("(local.get {n})")).collect();
    let (mut store, instance) =
        alone(&format!(r#"(module (func (export "turn") (param {types}) (result {types}) {body}))"#));
    type Many = (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);
    // Tuples of so many cannot be compared.
    let check = |(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p): Many| {
        assert!([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p].into_iter().eq((1..=16).rev()));
    };
    let turn = instance.get_typed_func::<Many, Many>(&store, "turn")?;
    let one = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    check(turn.call(&mut store, one)?);
    // The same through a host function of so many parameters and results.
    type N = i64;
    #[rustfmt::skip]
    let host = Func::wrap(&mut store,
        |a: N, b: N, c: N, d: N, e: N, f: N, g: N, h: N, i: N, j: N, k: N, l: N, m: N, n: N, o: N, p: N| {
            (p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a)
        },
    );
    check(host.typed::<Many, Many>(&store)?.call(&mut store, one)?);
    Ok(())
}

#[test]
fn l13_calls_that_do_not_fit() {
    let (mut store, instance) = alone(
        r#"(module
            (func (export "f") (param i32 i64) (result f32) (unreachable))
            (func (export "r") (param funcref externref))
            (memory (export "memory") 1))"#,
    );
    let f = instance.get_func(&store, "f").unwrap();
    let (one, two) = (Val::I32(1), Val::I64(2));
    let mut results = [Val::I32(0), Val::I32(0)];
    for (params, count, text) in [
        (vec![], 1, "expected 2 arguments, found 0"),
        (vec![one.clone()], 1, "expected 2 arguments, found 1"),
        (vec![one.clone(), two.clone(), two.clone()], 1, "expected 2 arguments, found 3"),
        (vec![one.clone(), one.clone()], 1, "argument 2: expected i64, found i32"),
        (vec![Val::FuncRef(None), two.clone()], 1, "argument 1: expected i32, found funcref"),
        (vec![one.clone(), two.clone()], 0, "expected 1 results, found 0"),
        (vec![one.clone(), two.clone()], 2, "expected 1 results, found 2"),
    ] {
        refused(f.call(&mut store, &params, &mut results[..count]), ErrorKind::Argument, text);
        refused(f.call_resumable(&mut store, &params, &mut results[..count]), ErrorKind::Argument, text);
    }
    let r = instance.get_func(&store, "r").unwrap();
    let wrong = [Val::ExternRef(None), Val::FuncRef(None)];
    refused(r.call(&mut store, &wrong, &mut []), ErrorKind::Argument, "argument 1: expected funcref, found externref");

    let types = "function f has type (func (param i32 i64) (result f32)), called as (func (param i32) (result f32))";
    refused(instance.get_typed_func::<i32, f32>(&store, "f"), ErrorKind::Argument, types);
    refused(f.typed::<(i32, i64), f64>(&store), ErrorKind::Argument, "called as (func (param i32 i64) (result f64))");
    refused(instance.get_typed_func::<(), ()>(&store, "memory"), ErrorKind::Argument, "export memory is a memory");
    refused(instance.get_typed_func::<(), ()>(&store, "memroy"), ErrorKind::Argument, "did you mean memory (memory 1)");
    refused(instance.get_typed_func::<(), ()>(&store, "x\n"), ErrorKind::Argument, "no export named x\\u{a}");
    usable(&mut store);
}

#[test]
fn traps_tell_where() {
    let (mut store, instance) = alone(
        r#"(module $guest
            (memory 1)
            (func $inner (param i32) (result i32) (i32.load offset=4 (local.get 0)))
            (func $outer (export "run") (result i32) (call $inner (i32.const 70000))))"#,
    );
    let error = run(&mut store, instance, "run").unwrap_err();
    assert_eq!((error.kind(), error.trap()), (ErrorKind::Trap, Some(Trap::MemoryOutOfBounds)));
    assert_eq!(error.to_string(), "trap: out of bounds memory access");
    let whole = format!("{error:#}");
    assert!(
        whole.contains("i32.load of 4 bytes at 70004 (base 70000 + offset 4); memory 0 holds 65536 bytes"),
        "{whole}"
    );
    let names: Vec<_> = error.backtrace().unwrap().frames().iter().map(|frame| frame.func_name()).collect();
    assert_eq!(names, [Some("inner"), Some("outer")]);

    let engine = Engine::new(Config::new().wasm_backtrace(false)).unwrap();
    let mut store = Store::new(&engine, ());
    let module = module(&engine, r#"(module (func (export "run") (result i32) (unreachable)))"#);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let error = run(&mut store, instance, "run").unwrap_err();
    assert_eq!((error.trap(), error.backtrace()), (Some(Trap::Unreachable), None));
}

// ---- Host functions ----

#[test]
fn closures_of_all_shapes() -> Check {
    let mut store = Store::new(&Engine::default(), 10i32);
    let shapes = [
        (Func::wrap(&mut store, || {}), "(func)"),
        (Func::wrap(&mut store, |_: Caller<'_, i32>| {}), "(func)"),
        (Func::wrap(&mut store, || 1i32), "(func (result i32))"),
        (Func::wrap(&mut store, || Ok(1i32)), "(func (result i32))"),
        (Func::wrap(&mut store, || (1i32, 2.5f64)), "(func (result i32 f64))"),
        (Func::wrap(&mut store, || Ok((1u32, 2u64))), "(func (result i32 i64))"),
        (Func::wrap(&mut store, |_: f32, _: Option<Func>| Ok(())), "(func (param f32 funcref))"),
        (
            Func::wrap(&mut store, |_: Caller<'_, i32>, _: Option<ExternRef>| 1i64),
            "(func (param externref) (result i64))",
        ),
        (
            Func::wrap(&mut store, |_: Caller<'_, i32>, _: i32| -> Result<f32> { Ok(1.0) }),
            "(func (param i32) (result f32))",
        ),
    ];
    for (func, ty) in &shapes {
        assert_eq!(func.ty(&store).to_string(), *ty);
    }
    let add = Func::wrap(&mut store, |mut caller: Caller<'_, i32>, n: i32| {
        *caller.data_mut() += n;
        *caller.data()
    });
    let add = add.typed::<i32, i32>(&store)?;
    assert_eq!((add.call(&mut store, 5)?, add.call(&mut store, 5)?), (15, 20));
    assert_eq!(store.into_data(), 20);
    Ok(())
}

/// From a guest and back, with each of the ways to define one.
#[test]
fn hosts_and_guests_call_each_other() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<Vec<i32>>::new(&engine);
    linker.func_wrap("env", "note", |mut caller: Caller<'_, Vec<i32>>, n: i32| caller.data_mut().push(n))?;
    let ty = FuncType::new(&engine, [ValType::I32, ValType::I32], [ValType::I32, ValType::I32]);
    linker.func_new("env", "swap", ty, |_, params, results| {
        results[0] = params[1].clone();
        results[1] = params[0].clone();
        Ok(())
    })?;
    linker.func_wrap("env", "again", |mut caller: Caller<'_, Vec<i32>>, n: i32| -> Result<i32> {
        let fib = caller.instance().unwrap().get_typed_func::<i32, i32>(&caller, "fib")?;
        fib.call(&mut caller, n)
    })?;
    let module = module(
        &engine,
        r#"(module
            (import "env" "note" (func $note (param i32)))
            (import "env" "swap" (func $swap (param i32 i32) (result i32 i32)))
            (import "env" "again" (func $again (param i32) (result i32)))
            (func (export "sub") (param i32 i32) (result i32)
                (call $swap (local.get 0) (local.get 1)) (i32.sub))
            (func $fib (export "fib") (param i32) (result i32)
                (call $note (local.get 0))
                (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                    (then (local.get 0))
                    (else (i32.add (call $again (i32.sub (local.get 0) (i32.const 1)))
                                   (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#,
    );
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &module)?;
    assert_eq!(instance.get_typed_func::<(i32, i32), i32>(&store, "sub")?.call(&mut store, (3, 10))?, 7);
    assert_eq!(instance.get_typed_func::<i32, i32>(&store, "fib")?.call(&mut store, 8)?, 21);
    assert_eq!(store.data().len(), 67);
    Ok(())
}

/// A host function is a function like any other: in tables, as a tail call, as an import of two instances.
#[test]
fn host_functions_go_everywhere() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "square", |n: i32| n.wrapping_mul(n))?;
    linker.func_wrap("env", "apply", |mut caller: Caller<'_, ()>, f: Option<Func>, n: i32| -> Result<i32> {
        let f = f.ok_or(Trap::NullReference)?.typed::<i32, i32>(&caller)?;
        f.call(&mut caller, n)
    })?;
    let module = module(
        &engine,
        r#"(module
            (import "env" "square" (func $square (param i32) (result i32)))
            (import "env" "apply" (func $apply (param funcref i32) (result i32)))
            (type $f (func (param i32) (result i32)))
            (table (export "table") 2 funcref) (elem (i32.const 0) $square $inc)
            (func $inc (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func (export "indirect") (param i32 i32) (result i32)
                (call_indirect (type $f) (local.get 1) (local.get 0)))
            (func (export "tail") (param i32) (result i32) (return_call $square (local.get 0)))
            (func (export "tail_indirect") (param i32 i32) (result i32)
                (return_call_indirect (type $f) (local.get 1) (local.get 0)))
            (func (export "applied") (param i32 i32) (result i32)
                (call $apply (table.get (local.get 0)) (local.get 1))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    for name in ["indirect", "tail_indirect", "applied"] {
        let f = instance.get_typed_func::<(i32, i32), i32>(&store, name)?;
        assert_eq!((f.call(&mut store, (0, 7))?, f.call(&mut store, (1, 7))?), (49, 8), "{name}");
    }
    assert_eq!(instance.get_typed_func::<i32, i32>(&store, "tail")?.call(&mut store, 9)?, 81);
    // Two instances import the same function: once in the store.
    let other = linker.instantiate(&mut store, &module)?;
    let (a, b) = (instance.get_table(&store, "table").unwrap(), other.get_table(&store, "table").unwrap());
    assert_eq!(a.get(&store, 0), b.get(&store, 0));
    assert_ne!(a.get(&store, 1), b.get(&store, 1));
    Ok(())
}

#[test]
fn c20_host_functions_that_return_nonsense() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let i32s = |n: usize| std::iter::repeat_n(ValType::I32, n);
    let wrong = Func::new(&mut store, FuncType::new(&engine, i32s(1), i32s(2)), |_, _, results| {
        results[1] = Val::I64(1);
        Ok(())
    });
    // More results than parameters.
    let many = Func::new(&mut store, FuncType::new(&engine, i32s(1), i32s(40)), |_, params, results| {
        results.fill(params[0].clone());
        Ok(())
    });
    let sum = "(i32.add)".repeat(39);
    let types = "i32 ".repeat(40);
    let module = module(
        &engine,
        &format!(
            r#"(module
                (import "env" "wrong" (func $wrong (param i32) (result i32 i32)))
                (import "env" "many" (func $many (param i32) (result {types})))
                (func (export "wrong") (result i32) (call $wrong (i32.const 1)) (i32.add))
                (func (export "many") (result i32) (call $many (i32.const 3)) {sum}))"#
        ),
    );
    let instance = Instance::new(&mut store, &module, &[wrong.into(), many.into()]).unwrap();
    let text = "host function: result 2: expected i32, found i64";
    refused(run(&mut store, instance, "wrong"), ErrorKind::Host, text);
    refused(wrong.call(&mut store, &[Val::I32(0)], &mut [Val::I32(0), Val::I32(0)]), ErrorKind::Host, text);
    assert_eq!(run(&mut store, instance, "many").unwrap(), 120);
    usable(&mut store);
}

#[derive(Debug, PartialEq)]
struct MyError(u32);

impl fmt::Display for MyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "my error {}", self.0)
    }
}

impl StdError for MyError {}

const DEEP: &str = r#"(module
    (import "env" "fail" (func $fail (param i32)))
    (func $deep (export "deep") (param i32)
        (if (local.get 0)
            (then (call $deep (i32.sub (local.get 0) (i32.const 1))) (unreachable))
            (else (call $fail (i32.const 9)) (unreachable)))))"#;

#[test]
fn l11_the_hosts_error_comes_back_as_it_is() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "fail", |n: u32| -> Result<()> { Err(Error::new(MyError(n))) })?;
    let mut store = Store::new(&engine, ());
    let deep = linker.instantiate(&mut store, &module(&engine, DEEP))?.get_typed_func::<u32, ()>(&store, "deep")?;
    let error = deep.call(&mut store, 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Host);
    assert_eq!(error.to_string(), "my error 9");
    assert_eq!(error.downcast_ref::<MyError>(), Some(&MyError(9)));
    let frames = error.backtrace().unwrap().frames();
    assert_eq!((frames.len(), frames[0].is_host(), frames[0].func_name()), (7, true, Some("env.fail")));
    assert!(frames[1..].iter().all(|frame| frame.func_name() == Some("deep")));
    assert_eq!(error.downcast::<MyError>().ok(), Some(MyError(9)));
    usable(&mut store);
    Ok(())
}

/// A trap and an exit from a host function are a trap and an exit.
#[test]
fn hosts_trap_and_exit() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "fail", |n: u32| -> Result<()> {
        Err(if n == 9 { Error::exit(3) } else { Trap::IntegerOverflow.into() })
    })?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, DEEP))?;
    let error = instance.get_typed_func::<u32, ()>(&store, "deep")?.call(&mut store, 1).unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Exit, Some(3)));
    Ok(())
}

#[test]
fn callers_see_their_guest() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<Vec<String>>::new(&engine);
    linker.func_wrap("env", "look", |mut caller: Caller<'_, Vec<String>>| -> Result<()> {
        let memory = caller.memory()?;
        memory.write(&mut caller, 0, b"seen")?;
        assert!(caller.get_export("hidden").is_none());
        assert!(matches!(caller.get_export("run"), Some(Extern::Func(_))));
        let (fuel, used) = (caller.get_fuel()?, caller.fuel_used());
        caller.charge(100)?;
        assert_eq!((caller.get_fuel()?, caller.fuel_used()), (fuel - 100, used + 100));
        refused(caller.charge(fuel), ErrorKind::OutOfFuel, "at least 100 more");
        assert_eq!(caller.get_fuel()?, fuel - 100);
        caller.check_stop()?;
        let frames: Vec<_> = caller.backtrace().frames().iter().map(|f| f.func_name().map(str::to_owned)).collect();
        caller.data_mut().extend(frames.into_iter().flatten());
        Ok(())
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "look" (func $look)) (memory 1)
            (func $run (export "run") (result i32) (call $look) (i32.load (i32.const 0))))"#,
    );
    let mut store = Store::new(&engine, Vec::new());
    store.set_fuel(10_000)?;
    let instance = linker.instantiate(&mut store, &module)?;
    assert_eq!(run(&mut store, instance, "run")?, i32::from_le_bytes(*b"seen"));
    assert_eq!(store.data(), &["env.look", "run"]);
    // Without a guest there is nothing to see.
    let alone = Func::wrap(&mut store, |caller: Caller<'_, Vec<String>>| -> Result<()> {
        assert!(caller.instance().is_none());
        caller.memory().map(drop)
    });
    refused(alone.call(&mut store, &[], &mut []), ErrorKind::Host, "no memory");
    Ok(())
}

/// A host function that calls its argument, given itself: nested calls of the host are bounded too.
#[test]
fn hosts_calling_themselves_end() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 0);
    let apply = Func::wrap(&mut store, |mut caller: Caller<'_, u32>, f: Option<Func>| -> Result<()> {
        *caller.data_mut() += 1;
        f.unwrap().call(&mut caller, &[Val::FuncRef(f)], &mut [])
    });
    let error = apply.call(&mut store, &[Val::FuncRef(Some(apply))], &mut []).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::StackOverflow), "{error:#}");
    assert_eq!(*store.data(), 100);
    usable(&mut store);
}

#[test]
fn c24_an_inner_call_traps_and_the_outer_goes_on() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "try", |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
        let div = caller.instance().unwrap().get_typed_func::<i32, i32>(&caller, "div")?;
        Ok(div.call(&mut caller, n).unwrap_or(-1))
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "try" (func $try (param i32) (result i32)))
            (func (export "div") (param i32) (result i32) (i32.div_s (i32.const 100) (local.get 0)))
            (func (export "run") (param i32) (result i32) (local i32)
                (local.set 1 (i32.const 1000))
                (i32.add (call $try (local.get 0)) (local.get 1))))"#,
    );
    let mut store = Store::new(&engine, ());
    store.set_fuel(1_000_000)?;
    let run = linker.instantiate(&mut store, &module)?.get_typed_func::<i32, i32>(&store, "run")?;
    let mut bills = Vec::new();
    for _ in 0..3 {
        let before = store.get_fuel()?;
        assert_eq!((run.call(&mut store, 4)?, run.call(&mut store, 0)?), (1025, 999));
        bills.push(before - store.get_fuel()?);
    }
    assert_eq!(bills, [bills[0]; 3]);
    // Over and over, so that a depth that is not given back would show.
    for _ in 0..1000 {
        assert_eq!(run.call(&mut store, 0)?, 999);
    }
    Ok(())
}

#[test]
fn c19_depths_are_exact() -> Check {
    let wat = r#"(module (func $down (export "down") (param i32) (result i32)
        (if (result i32) (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 5)))))"#;
    for limit in [0, 1, 2, 3, 10, 1000] {
        let engine = Engine::new(Config::new().max_call_depth(Some(limit)))?;
        let mut store = Store::new(&engine, ());
        let down = Instance::new(&mut store, &module(&engine, wat), &[])?.get_typed_func::<u32, i32>(&store, "down")?;
        for depth in [limit.saturating_sub(1), limit, limit + 1] {
            // `down(n)` takes n + 1 frames.
            let result = down.call(&mut store, depth);
            match depth < limit {
                true => assert_eq!(result?, 5, "{depth} {limit}"),
                false => assert_eq!(result.unwrap_err().trap(), Some(Trap::StackOverflow), "{depth} {limit}"),
            }
        }
    }
    // No depth at all reserves nothing, and bytes end it.
    for (bytes, depth) in [(2 << 10, None), (1 << 20, None), (1 << 20, Some(u32::MAX)), (usize::MAX, Some(10_000))] {
        let engine = Engine::new(Config::new().max_call_depth(depth).max_wasm_stack(bytes))?;
        let mut store = Store::new(&engine, ());
        let down = Instance::new(&mut store, &module(&engine, wat), &[])?.get_typed_func::<u32, i32>(&store, "down")?;
        assert_eq!(down.call(&mut store, 2)?, 5);
        assert!(store.memory_used() < 1 << 20);
        assert_eq!(down.call(&mut store, u32::MAX).unwrap_err().trap(), Some(Trap::StackOverflow));
        assert_eq!(down.call(&mut store, 2)?, 5);
    }
    refused(Engine::new(Config::new().max_wasm_stack(0)), ErrorKind::Argument, "stack");
    refused(Engine::new(Config::new().max_wasm_stack(8)), ErrorKind::Argument, "stack");
    Ok(())
}

#[test]
fn l12_panics_of_the_host() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<bool>::new(&engine);
    linker.func_wrap("env", "fail", |caller: Caller<'_, bool>, _: u32| {
        if *caller.data() {
            std::panic::panic_any("host panic");
        }
    })?;
    linker.func_wrap("env", "nest", |mut caller: Caller<'_, bool>, n: u32| -> Result<()> {
        let run = caller.instance().unwrap().get_typed_func::<u32, ()>(&caller, "run")?;
        run.call(&mut caller, n)
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "fail" (func $fail (param i32))) (import "env" "nest" (func $nest (param i32)))
            (func (export "run") (param i32)
                (if (local.get 0) (then (call $nest (i32.sub (local.get 0) (i32.const 1))))
                    (else (call $fail (i32.const 1))))))"#,
    );
    let mut store = Store::new(&engine, true);
    let run = linker.instantiate(&mut store, &module)?.get_typed_func::<u32, ()>(&store, "run")?;
    for depth in [0, 1, 5, 50] {
        for _ in 0..3 {
            *store.data_mut() = true;
            let panic = catch_unwind(AssertUnwindSafe(|| run.call(&mut store, depth))).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"host panic"));
            *store.data_mut() = false;
            run.call(&mut store, depth)?;
        }
    }
    usable(&mut store);

    // From a limiter.
    struct Panics;
    impl ResourceLimiter for Panics {
        fn memory_growing(&mut self, current: usize, _: usize, _: Option<usize>) -> Result<bool> {
            if current > 0 { std::panic::panic_any("limiter panic") } else { Ok(true) }
        }
        fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
            Ok(true)
        }
    }
    let mut store = Store::new(&engine, Panics);
    store.limiter(|limiter| limiter);
    let module = self::module(
        &engine,
        r#"(module (memory 1) (func (export "grow") (result i32) (memory.grow (i32.const 1)))
            (func (export "size") (result i32) (memory.size)))"#,
    );
    let instance = Instance::new(&mut store, &module, &[])?;
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| self::run(&mut store, instance, "grow"))).is_err());
        assert_eq!(self::run(&mut store, instance, "size")?, 1);
    }

    // From a value of the host that is dropped.
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            std::panic::panic_any("drop panic");
        }
    }
    let mut store = Store::new(&engine, ());
    let ty = TableType::new(RefType::EXTERNREF, 1, None);
    let table = Table::new(&mut store, ty, Ref::Extern(None))?;
    let object = ExternRef::new(&mut store, PanicsOnDrop)?;
    table.set(&mut store, 0, object.clone().into())?;
    drop(object);
    table.set(&mut store, 0, Ref::Extern(None))?;
    assert!(catch_unwind(AssertUnwindSafe(|| store.gc())).is_err());
    store.gc();
    usable(&mut store);
    Ok(())
}

// ---- Linking ----

#[test]
fn l1_imports_that_do_not_fit() -> Check {
    // What is there, and what is wanted; the error's text, or nothing if it fits.
    let cases: &[(&str, &str, &str)] = &[
        (r#"(func (export "x"))"#, "(func)", ""),
        (r#"(func (export "x"))"#, "(func (param i32))", "needs (func (param i32)), is (func)"),
        (r#"(func (export "x") (param i32))"#, "(func)", "needs (func), is (func (param i32))"),
        (r#"(func (export "x"))"#, "(memory 1)", "needs (memory 1), is (func)"),
        (r#"(func (export "x"))"#, "(table 1 funcref)", "needs (table 1 funcref), is (func)"),
        (r#"(func (export "x"))"#, "(global i32)", "needs (global i32), is (func)"),
        (r#"(memory (export "x") 1)"#, "(func)", "needs (func), is (memory 1)"),
        (r#"(memory (export "x") 1)"#, "(memory 1)", ""),
        (r#"(memory (export "x") 2)"#, "(memory 1)", ""),
        (r#"(memory (export "x") 1)"#, "(memory 2)", "needs (memory 2), is (memory 1)"),
        (r#"(memory (export "x") 1)"#, "(memory 1 2)", "needs (memory 1 2), is (memory 1)"),
        (r#"(memory (export "x") 1 3)"#, "(memory 1 2)", "needs (memory 1 2), is (memory 1 3)"),
        (r#"(memory (export "x") 1 2)"#, "(memory 1 2)", ""),
        (r#"(memory (export "x") 1 2)"#, "(memory 1 3)", ""),
        (r#"(memory (export "x") 1 2)"#, "(memory 0)", ""),
        (r#"(table (export "x") 1 funcref)"#, "(table 1 funcref)", ""),
        (r#"(table (export "x") 1 funcref)"#, "(table 2 funcref)", "needs (table 2 funcref), is (table 1 funcref)"),
        (r#"(table (export "x") 1 9 funcref)"#, "(table 1 8 funcref)", "is (table 1 9 funcref)"),
        (r#"(table (export "x") 1 funcref)"#, "(table 1 externref)", "needs (table 1 externref), is (table 1 funcref)"),
        (r#"(global (export "x") i32 (i32.const 1))"#, "(global i32)", ""),
        (r#"(global (export "x") i32 (i32.const 1))"#, "(global i64)", "needs (global i64), is (global i32)"),
        (
            r#"(global (export "x") i32 (i32.const 1))"#,
            "(global (mut i32))",
            "needs (global (mut i32)), is (global i32)",
        ),
        (
            r#"(global (export "x") (mut i32) (i32.const 1))"#,
            "(global i32)",
            "needs (global i32), is (global (mut i32))",
        ),
        (r#"(global (export "x") (mut i32) (i32.const 1))"#, "(global (mut i32))", ""),
        (r#"(global (export "y") i32 (i32.const 1))"#, "(global i32)", "m.x not defined; needs (global i32)"),
    ];
    let engine = Engine::default();
    for (there, wanted, text) in cases {
        let mut store = Store::new(&engine, ());
        let exporter = Instance::new(&mut store, &module(&engine, &format!("(module {there})")), &[])?;
        let importer = module(&engine, &format!(r#"(module (import "m" "x" {wanted}))"#));
        let mut linker = Linker::new(&engine);
        linker.instance(&store, "m", exporter)?;
        let mut results = vec![
            linker.instantiate(&mut store, &importer),
            linker.instantiate_pre(&importer).and_then(|pre| pre.instantiate(&mut store)),
        ];
        if let Some(item) = exporter.get_export(&store, "x") {
            results.push(Instance::new(&mut store, &importer, &[item]));
        }
        for result in results {
            match *text {
                "" => drop(result?),
                text => refused(result, ErrorKind::Link, text),
            }
        }
    }
    Ok(())
}

#[test]
fn all_imports_that_do_not_fit_at_once() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "log", || {})?;
    linker.func_wrap("env", "now_ms", || 0i64)?;
    linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |_: i32| {})?;
    let module = module(
        &engine,
        r#"(module
            (import "env" "log" (func (param i32)))
            (import "env" "now_ms" (func (result i64)))
            (import "env" "now" (func (result i64)))
            (import "wasi_snapshot_preview2" "proc_exit" (func (param i32)))
            (import "other" "thing" (global i32)))"#,
    );
    let error = linker.instantiate(Store::new(&engine, ()), &module).unwrap_err();
    assert_eq!(
        error.to_string(),
        "incompatible import type: env.log needs (func (param i32)), is (func) (and 3 more imports that do not fit)"
    );
    let whole = format!("{error:#}");
    for text in [
        "cannot instantiate: 4 of 5 imports do not fit",
        "needs (func (param i32)), is (func)",
        "not defined; did you mean env.now_ms (func (result i64))",
        "not defined; did you mean wasi_snapshot_preview1.proc_exit (func (param i32))",
        "not defined; needs (global i32)",
    ] {
        assert!(whole.contains(text), "{whole}\nhas no: {text}");
    }
    assert_eq!(error.import_errors().len(), 4);
    Ok(())
}

#[test]
fn linkers_define_and_look_up() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("a", "f", || 1i32)?;
    refused(linker.func_wrap("a", "f", || 2i32), ErrorKind::Argument, "a.f is defined already");
    linker.alias("a", "f", "b", "g")?;
    linker.alias_module("a", "c")?;
    refused(linker.alias("a", "x", "b", "x"), ErrorKind::Argument, "a.x is not defined");
    refused(linker.alias_module("x", "b"), ErrorKind::Argument, "nothing is defined in x");
    let names: Vec<_> = linker.iter().map(|(module, name, ty)| format!("{module}.{name} {ty}")).collect();
    assert_eq!(names, ["a.f (func (result i32))", "b.g (func (result i32))", "c.f (func (result i32))"]);
    let (f, g) = (linker.get(&mut store, "a", "f"), linker.get(&mut store, "b", "g"));
    assert!(f.is_some() && f == g);
    assert_eq!(linker.get(&mut store, "a", "g"), None);
    linker.allow_shadowing(true).func_wrap("a", "f", || 2i32)?;
    let f = linker.get(&mut store, "a", "f").and_then(Extern::into_func).unwrap().typed::<(), i32>(&store)?;
    assert_eq!(f.call(&mut store, ())?, 2);
    Ok(())
}

#[test]
fn linkers_take_modules() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    let reactor = module(
        &engine,
        r#"(module (global $n (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $n (i32.const 5)))
            (func (export "n") (result i32) (global.get $n)))"#,
    );
    linker.module(&mut store, "reactor", &reactor)?;
    let user = module(
        &engine,
        r#"(module (import "reactor" "n" (func $n (result i32)))
            (func (export "run") (result i32) (i32.mul (call $n) (i32.const 2))))"#,
    );
    let instance = linker.instantiate(&mut store, &user)?;
    assert_eq!(run(&mut store, instance, "run")?, 10);
    Ok(())
}

#[test]
fn unknown_imports_can_be_filled_in() -> Check {
    let engine = Engine::default();
    let module = module(
        &engine,
        r#"(module (import "env" "f" (func $f (param i32) (result i64)))
            (func (export "run") (result i32) (i32.wrap_i64 (call $f (i32.const 1)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_traps(&module)?;
    let instance = linker.instantiate(&mut store, &module)?;
    refused(run(&mut store, instance, "run"), ErrorKind::Host, "call of env.f, which is not defined");

    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_default_values(&mut store, &module)?;
    let instance = linker.instantiate(&mut store, &module)?;
    assert_eq!(run(&mut store, instance, "run")?, 0);

    let all = self::module(
        &engine,
        r#"(module (import "e" "g" (global (mut f32))) (import "e" "h" (global externref))
            (import "e" "m" (memory 1 2)) (import "e" "t" (table 1 funcref)))"#,
    );
    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_traps(&all)?;
    refused(linker.instantiate(&mut store, &all), ErrorKind::Link, "4 of 4 imports do not fit");
    linker.define_unknown_imports_as_default_values(&mut store, &all)?;
    linker.instantiate(&mut store, &all)?;
    Ok(())
}

#[test]
fn l2_sizes_count_as_they_are() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(4)))?;
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, Some(4)), Ref::Func(None))?;
    linker.define(&store, "m", "m", memory)?.define(&store, "m", "t", table)?;
    let wanting = |min: u32, max: u32| {
        module(
            &engine,
            &format!(r#"(module (import "m" "m" (memory {min} {max})) (import "m" "t" (table {min} {max} funcref)))"#),
        )
    };
    let pre = linker.instantiate_pre(&wanting(3, 4))?;
    refused(pre.instantiate(&mut store), ErrorKind::Link, "2 of 2 imports do not fit");
    memory.grow(&mut store, 2)?;
    table.grow(&mut store, 2, Ref::Func(None))?;
    pre.instantiate(&mut store)?;
    linker.instantiate(&mut store, &wanting(3, 4))?;
    refused(linker.instantiate(&mut store, &wanting(4, 4)), ErrorKind::Link, "needs (memory 4 4), is (memory 3 4)");
    refused(linker.instantiate(&mut store, &wanting(3, 3)), ErrorKind::Link, "needs (memory 3 3), is (memory 3 4)");
    Ok(())
}

#[test]
fn l3_start_functions_that_fail() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "exit", |status: i32| -> Result<()> { Err(Error::exit(status)) })?;
    for (body, kind) in [
        ("(unreachable)", ErrorKind::Trap),
        ("(loop $l (br $l))", ErrorKind::OutOfFuel),
        ("(loop $l (br $l))", ErrorKind::Deadline),
        ("(call $exit (i32.const 3))", ErrorKind::Exit),
    ] {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
        let ty = GlobalType::new(ValType::I32, Mutability::Var);
        let global = Global::new(&mut store, ty, Val::I32(0))?;
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None))?;
        let mut linker = linker.clone();
        linker.define(&store, "env", "m", memory)?.define(&store, "env", "g", global)?;
        linker.define(&store, "env", "t", table)?;
        let module = module(
            &engine,
            &format!(
                r#"(module (import "env" "exit" (func $exit (param i32))) (import "env" "m" (memory 1))
                    (import "env" "g" (global $g (mut i32))) (import "env" "t" (table 1 funcref))
                    (elem declare func $start)
                    (func $start
                        (i32.store (i32.const 0) (i32.const 7)) (global.set $g (i32.const 8))
                        (table.set (i32.const 0) (ref.func $start)) {body})
                    (start $start))"#
            ),
        );
        let start = Instant::now();
        match kind {
            ErrorKind::OutOfFuel => store.set_fuel(100_000)?,
            ErrorKind::Deadline => store.set_deadline(Some(start + Duration::from_millis(100))),
            _ => {}
        }
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(kind != ErrorKind::Exit || error.exit_code() == Some(3));
        assert_eq!(memory.data(&store)[0], 7);
        assert_eq!(global.get(&store), Val::I32(8));
        assert!(table.get(&store, 0).is_some_and(|element| !element.is_null()));
        store.set_deadline(None);
        store.set_fuel(u64::MAX)?;
        usable(&mut store);
    }
    Ok(())
}

#[test]
fn l4_what_a_failed_start_left_in_a_table() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    store.set_limits(StoreLimitsBuilder::new().instances(2000).memories(2000).build());
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None))?;
    let module = module(
        &engine,
        r#"(module (import "env" "t" (table 1 funcref)) (memory 1)
            (elem declare func $private)
            (func $private (result i32)
                (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (i32.load (i32.const 0)))
            (func $start (i32.store (i32.const 0) (i32.const 41))
                (table.set (i32.const 0) (ref.func $private)) (unreachable))
            (start $start))"#,
    );
    for n in 0..1000u32 {
        let before = store.memory_used();
        let error = Instance::new(&mut store, &module, &[table.into()]).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Unreachable));
        assert!(store.memory_used() >= before + 65536, "instance {n} is not charged");
        let Some(Ref::Func(Some(private))) = table.get(&store, 0) else { panic!("nothing in the table") };
        assert_eq!(private.typed::<(), i32>(&store)?.call(&mut store, ())?, 42);
    }
    Ok(())
}

#[test]
fn l5_memories_beyond_the_budget() -> Check {
    let engine = Engine::default();
    let memories = "(memory 65536)".repeat(100);
    let module = module(&engine, &format!("(module {memories})"));
    let mut store = Store::new(&engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(64 << 20).build());
    let (before, start) = (store.memory_used(), Instant::now());
    for _ in 0..10 {
        refused(Instance::new(&mut store, &module, &[]), ErrorKind::Budget, "budget exceeded");
        assert_eq!(store.memory_used(), before);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    usable(&mut store);
    Ok(())
}

#[test]
fn l6_instantiation_fails_at_each_step() -> Check {
    let engine = Engine::default();
    for (wat, kind) in [
        (r#"(module (import "no" "thing" (func)))"#, ErrorKind::Link),
        ("(module (memory 60000))", ErrorKind::Budget),
        ("(module (memory 1) (table 10000000 funcref))", ErrorKind::Budget),
        (
            r#"(module (memory 1) (table 1 funcref) (elem (i32.const 0) func 0) (elem (i32.const 1) func 0) (func))"#,
            ErrorKind::Trap,
        ),
        (r#"(module (memory 1) (data (i32.const 0) "a") (data (i32.const 65536) "a"))"#, ErrorKind::Trap),
        (r#"(module (memory 1) (data (i32.const -1) "a"))"#, ErrorKind::Trap),
        ("(module (memory 1) (func (unreachable)) (start 0))", ErrorKind::Trap),
    ] {
        let mut store = Store::new(&engine, ());
        store.set_limits(StoreLimitsBuilder::new().total_memory(16 << 20).build());
        let (before, module) = (store.memory_used(), module(&engine, wat));
        for round in 1..=3 {
            let error = Linker::new(&engine).instantiate(&mut store, &module).unwrap_err();
            assert_eq!(error.kind(), kind, "{wat}: {error:#}");
            // An instance that came as far as its segments exists, as the specification has it.
            let kept = if kind == ErrorKind::Trap { 200_000 * round } else { 0 };
            assert!(store.memory_used() <= before + kept, "{wat}: {} kept", store.memory_used() - before);
        }
        usable(&mut store);
    }
    Ok(())
}

#[test]
fn l7_a_host_function_loads_and_runs_another_module() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "eval", |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
        let engine = caller.engine().clone();
        let wat = format!(r#"(module (func (export "run") (result i32) (i32.const {n})))"#);
        let module = Module::new(&engine, wat::parse_str(wat).map_err(Error::new)?)?;
        let instance = Linker::new(&engine).instantiate(&mut caller, &module)?;
        drop(module);
        instance.get_typed_func::<(), i32>(&caller, "run")?.call(&mut caller, ())
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "eval" (func $eval (param i32) (result i32)))
            (func (export "run") (result i32)
                (i32.add (call $eval (i32.const 30)) (call $eval (i32.const 12)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    for _ in 0..100 {
        assert_eq!(run(&mut store, instance, "run")?, 42);
    }
    Ok(())
}

#[test]
fn l8_a_host_function_changes_everything_under_its_caller() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "upset", |mut caller: Caller<'_, ()>| -> Result<i32> {
        let instance = caller.instance().unwrap();
        instance.get_typed_func::<(), ()>(&caller, "upset")?.call(&mut caller, ())?;
        // The stack moves too.
        instance.get_typed_func::<i32, i32>(&caller, "deep")?.call(&mut caller, 10_000)
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "upset" (func $host (result i32)))
            (type $f (func (result i32)))
            (memory 1) (table $t 2 funcref) (elem $e func $nine $nine)
            (elem (table $t) (i32.const 0) func $run $run)
            (func $nine (result i32) (i32.const 9))
            (func $deep (export "deep") (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                    (else (i32.const 0))))
            (func (export "upset")
                (drop (memory.grow (i32.const 100)))
                (i32.store (i32.const 6000000) (i32.const 5))
                (drop (table.grow $t (ref.null func) (i32.const 100000)))
                (table.set $t (i32.const 0) (ref.func $nine))
                (table.init $t $e (i32.const 1) (i32.const 0) (i32.const 1))
                (elem.drop $e))
            (func $run (result i32) (local i32 i64)
                (local.set 0 (i32.const 100)) (local.set 1 (i64.const 1000))
                (i32.add (call $host)
                    (i32.add (i32.add (local.get 0) (i32.wrap_i64 (local.get 1)))
                             (i32.load (i32.const 6000000)))))
            (func (export "run") (result i32)
                (i32.mul (call_indirect $t (type $f) (i32.const 0)) (i32.const 10)))
            (func (export "after") (result i32)
                (i32.add (call_indirect $t (type $f) (i32.const 0)) (call_indirect $t (type $f) (i32.const 1)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    assert_eq!(run(&mut store, instance, "run")?, 111_050);
    assert_eq!(run(&mut store, instance, "after")?, 18);
    Ok(())
}

#[test]
fn l9_another_engine() -> Check {
    let (one, two) = (Engine::default(), Engine::default());
    let module = module(&one, "(module)");
    let text = "belongs to another engine";
    let mut store = Store::new(&two, ());
    refused(Instance::new(&mut store, &module, &[]), ErrorKind::Argument, text);
    refused(Linker::new(&two).instantiate(&mut store, &module), ErrorKind::Argument, text);
    refused(Linker::<()>::new(&two).instantiate_pre(&module), ErrorKind::Argument, text);
    refused(Linker::new(&one).instantiate(&mut store, &module), ErrorKind::Argument, text);
    let pre = Linker::<()>::new(&one).instantiate_pre(&module)?;
    refused(pre.instantiate(&mut store), ErrorKind::Argument, text);
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    refused(Linker::new(&one).define(&store, "a", "b", memory), ErrorKind::Argument, text);
    // Types without defined types in them are the same everywhere.
    let ty = FuncType::new(&one, [ValType::I32], []);
    let func = Func::new(&mut store, ty, |_, _, _| Ok(()));
    func.call(&mut store, &[Val::I32(1)], &mut [])?;
    Ok(())
}

#[test]
fn t17_things_of_another_store() -> Check {
    let engine = Engine::default();
    let wat = r#"(module (func (export "f") (param funcref externref)) (memory (export "m") 1)
        (table (export "t") 1 funcref) (table (export "x") 1 externref)
        (global (export "g") (mut funcref) (ref.null func)))"#;
    let module = module(&engine, wat);
    let (mut one, mut two) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let (a, b) = (Instance::new(&mut one, &module, &[])?, Instance::new(&mut two, &module, &[])?);
    let object = ExternRef::new(&mut two, 1)?;
    let f = b.get_func(&two, "f").unwrap();
    let text = "belongs to another store";
    let kind = ErrorKind::Argument;

    // A foreign thing as an argument or a value.
    let own = a.get_func(&one, "f").unwrap();
    refused(own.call(&mut one, &[Val::from(f), Val::ExternRef(None)], &mut []), kind, text);
    refused(own.call(&mut one, &[Val::FuncRef(None), Val::from(object.clone())], &mut []), kind, text);
    let typed = own.typed::<(Option<Func>, Option<ExternRef>), ()>(&one)?;
    refused(typed.call(&mut one, (Some(f), None)), kind, text);
    refused(typed.call(&mut one, (None, Some(object.clone()))), kind, text);
    let (t, x, g) =
        (a.get_table(&one, "t").unwrap(), a.get_table(&one, "x").unwrap(), a.get_global(&one, "g").unwrap());
    refused(t.set(&mut one, 0, f.into()), kind, text);
    refused(t.grow(&mut one, 1, f.into()), kind, text);
    refused(t.fill(&mut one, 0, f.into(), 1), kind, text);
    refused(x.set(&mut one, 0, object.clone().into()), kind, text);
    refused(g.set(&mut one, f.into()), kind, text);
    let (table_type, global_type) = (t.ty(&one), g.ty(&one));
    refused(Table::new(&mut one, table_type, f.into()), kind, text);
    refused(Global::new(&mut one, global_type, f.into()), kind, text);
    let returns = Func::wrap(&mut one, move || Some(f));
    refused(returns.call(&mut one, &[], &mut [Val::I32(0)]), kind, text);

    // A foreign thing itself.
    refused(f.call(&mut one, &[Val::FuncRef(None), Val::ExternRef(None)], &mut []), kind, text);
    refused(f.typed::<(), ()>(&one), kind, text);
    refused(object.data(&one), kind, text);
    let (m, t, g) =
        (b.get_memory(&two, "m").unwrap(), b.get_table(&two, "t").unwrap(), b.get_global(&two, "g").unwrap());
    refused(m.read(&one, 0, &mut [0]), kind, text);
    refused(m.write(&mut one, 0, &[0]), kind, text);
    refused(m.grow(&mut one, 1), kind, text);
    refused(m.read_str(&one, 0, 0), kind, text);
    refused(t.set(&mut one, 0, Ref::Func(None)), kind, text);
    refused(t.grow(&mut one, 1, Ref::Func(None)), kind, text);
    let own = a.get_table(&one, "t").unwrap();
    refused(Table::copy(&mut one, &own, 0, &t, 0, 1), kind, text);
    refused(Table::copy(&mut one, &t, 0, &own, 0, 1), kind, text);
    refused(g.set(&mut one, Val::FuncRef(None)), kind, text);
    refused(b.get_typed_func::<(), ()>(&one, "f"), kind, text);
    assert_eq!((m.size(&one), m.data_size(&one), m.data(&one)), (0, 0, &[][..]));
    assert!(m.data_mut(&mut one).is_empty());
    assert_eq!((t.size(&one), t.get(&one, 0), g.get(&one)), (0, None, Val::I32(0)));
    assert_eq!((f.ty(&one).to_string().as_str(), b.get_export(&one, "f")), ("(func)", None));
    assert_eq!(b.exports(&one).len(), 0);

    // A foreign thing in a linker.
    let mut linker = Linker::new(&engine);
    refused(linker.define(&one, "m", "m", m), kind, text);
    refused(linker.instance(&one, "m", b), kind, text);
    linker.define(&two, "m", "m", m)?;
    let importer = self::module(&engine, r#"(module (import "m" "m" (memory 1)))"#);
    refused(linker.instantiate(&mut one, &importer), kind, "m.m belongs to another store");
    refused(linker.instantiate_pre(&importer)?.instantiate(&mut one), kind, "m.m belongs to another store");
    refused(Instance::new(&mut one, &importer, &[m.into()]), kind, text);
    assert_eq!(linker.get(&mut one, "m", "m"), None);
    linker.instantiate(&mut two, &importer)?;

    // A paused call.
    let spin = self::module(&engine, SPIN);
    let count = Instance::new(&mut two, &spin, &[])?.get_func(&two, "count").unwrap();
    two.set_fuel(10)?;
    let mut results = [Val::I32(0)];
    let ResumableCall::OutOfFuel(paused) = count.call_resumable(&mut two, &[Val::I32(100)], &mut results)? else {
        panic!("not paused")
    };
    refused(paused.resume(&mut one, &mut results), kind, text);
    usable(&mut one);
    two.set_fuel(u64::MAX)?;
    usable(&mut two);
    Ok(())
}

#[test]
fn t18_references_live_as_long_as_they_are_held() -> Check {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut store, instance) = alone(
        r#"(module (table (export "t") 10 externref) (global (export "g") (mut externref) (ref.null extern))
            (func (export "set") (param i32 externref) (table.set (local.get 0) (local.get 1)))
            (func (export "get") (param i32) (result externref) (table.get (local.get 0))))"#,
    );
    let set = instance.get_typed_func::<(i32, Option<ExternRef>), ()>(&store, "set")?;
    let get = instance.get_typed_func::<i32, Option<ExternRef>>(&store, "get")?;
    let mut held = Vec::new();
    for n in 0..10 {
        let object = ExternRef::new(&mut store, Counted(dropped.clone()))?;
        set.call(&mut store, (n, Some(object.clone())))?;
        held.push(object);
    }
    store.gc();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    // What the host holds lives, though no guest does.
    for n in 0..5 {
        set.call(&mut store, (n, None))?;
    }
    store.gc();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    assert!(held[0].data(&store)?.is_some_and(|data: &(dyn Any + Send + Sync)| data.is::<Counted>()));
    // What nobody holds is dropped, once; what only a guest holds lives.
    held.clear();
    store.gc();
    store.gc();
    // A number in a dead frame may look like a handle: then a value lives longer than it need.
    assert!((4..=5).contains(&dropped.load(Ordering::Relaxed)));
    assert!(get.call(&mut store, 0)?.is_none());
    assert!(get.call(&mut store, 9)?.is_some());
    // Many, one after the other, do not pile up.
    for _ in 0..20_000 {
        let object = ExternRef::new(&mut store, Counted(dropped.clone()))?;
        set.call(&mut store, (9, Some(object)))?;
    }
    assert!(dropped.load(Ordering::Relaxed) > 15_000);
    drop(store);
    assert_eq!(dropped.load(Ordering::Relaxed), 20_010);
    Ok(())
}

#[test]
fn t22_tables_from_the_host() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, Some(10)), Ref::Func(None))?;
    let func = Func::wrap(&mut store, || {});
    let object = ExternRef::new(&mut store, 1)?;
    for index in [2, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX] {
        refused(table.set(&mut store, index, func.into()), ErrorKind::Trap, "out of bounds table access");
        refused(table.fill(&mut store, index, func.into(), 1), ErrorKind::Trap, "out of bounds table access");
        assert_eq!(table.get(&store, index), None);
    }
    for (index, len) in [(0, 3), (1, u64::MAX), (u64::MAX, u64::MAX), (3, 0)] {
        refused(table.fill(&mut store, index, func.into(), len), ErrorKind::Trap, "out of bounds table access");
        refused(Table::copy(&mut store, &table, 0, &table, index, len), ErrorKind::Trap, "out of bounds table access");
        refused(Table::copy(&mut store, &table, index, &table, 0, len), ErrorKind::Trap, "out of bounds table access");
    }
    table.fill(&mut store, 2, func.into(), 0)?;
    refused(table.set(&mut store, 0, object.into()), ErrorKind::Argument, "expected funcref, found externref");
    refused(table.set(&mut store, 0, Ref::Extern(None)), ErrorKind::Argument, "expected funcref, found externref");
    let never_null = RefType::new(false, HeapType::Func);
    let strict = Table::new(&mut store, TableType::new(never_null, 1, None), func.into())?;
    refused(strict.set(&mut store, 0, Ref::Func(None)), ErrorKind::Argument, "expected (ref func)");
    refused(Table::new(&mut store, TableType::new(never_null, 1, None), Ref::Func(None)), ErrorKind::Argument, "");
    refused(Table::copy(&mut store, &strict, 0, &table, 0, 1), ErrorKind::Argument, "do not fit a table of (ref func)");
    Table::copy(&mut store, &table, 1, &strict, 0, 1)?;
    assert_eq!(table.get(&store, 1), Some(func.into()));
    for delta in [9, u64::from(u32::MAX), u64::MAX] {
        assert!(table.grow(&mut store, delta, Ref::Func(None)).is_err());
    }
    assert_eq!(table.grow(&mut store, 8, func.into())?, 2);
    assert_eq!((table.size(&store), table.get(&store, 9)), (10, Some(func.into())));
    for ty in [TableType::new(RefType::FUNCREF, 2, Some(1)), TableType::new(RefType::FUNCREF, u32::MAX, None)] {
        assert!(Table::new(&mut store, ty, Ref::Func(None)).is_err());
    }
    Ok(())
}

#[test]
fn m27_memory_from_the_host() -> Check {
    let mut store = Store::new(&Engine::default(), 5);
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(3)))?;
    let mut one = [0];
    for (offset, fits) in [(0, true), (65535, true), (65536, false), (65537, false), (usize::MAX, false)] {
        assert_eq!(memory.read(&store, offset, &mut one).is_ok(), fits, "{offset}");
        assert_eq!(memory.write(&mut store, offset, &one).is_ok(), fits, "{offset}");
        // Nothing fits at the end, and not behind it.
        assert_eq!(memory.read(&store, offset, &mut []).is_ok(), offset <= 65536, "{offset}");
        assert_eq!(memory.write(&mut store, offset, &[]).is_ok(), offset <= 65536, "{offset}");
    }
    let text = "read of 10 bytes at 65530; memory 0 holds 65536 bytes";
    let result = memory.read(&store, 65530, &mut [0; 10]);
    assert!(format!("{:#}", result.unwrap_err()).contains("10 bytes at 65530"), "{text}");
    memory.write(&mut store, 65533, b"abc")?;
    assert_eq!(memory.read_str(&store, 65533, 3)?, "abc");
    for (ptr, len) in [(65533, 4), (u32::MAX, 1), (0, u32::MAX), (u32::MAX, u32::MAX)] {
        refused(memory.read_str(&store, ptr, len), ErrorKind::Trap, "out of bounds memory access");
    }
    refused(memory.read_cstr(&store, 65533), ErrorKind::Trap, "out of bounds memory access");
    refused(memory.read_cstr(&store, 65536), ErrorKind::Trap, "out of bounds memory access");
    refused(memory.read_cstr(&store, u32::MAX), ErrorKind::Trap, "out of bounds memory access");
    memory.write_str(&mut store, 100, "höst\0")?;
    assert_eq!((memory.read_cstr(&store, 100)?, memory.read_cstr(&store, 105)?), ("höst", ""));
    memory.write(&mut store, 0, &[0xC3, 0x28, 0])?;
    refused(memory.read_str(&store, 0, 2), ErrorKind::Host, "utf-8");
    assert!(memory.read_cstr(&store, 0).unwrap_err().is::<std::str::Utf8Error>());
    refused(memory.write_str(&mut store, 65535, "ab"), ErrorKind::Trap, "out of bounds memory access");

    let (bytes, data) = memory.data_and_store_mut(&mut store);
    (bytes[7], *data) = (8, 9);
    assert_eq!((memory.data(&store)[7], *store.data()), (8, 9));
    assert_eq!((memory.grow(&mut store, 0)?, memory.grow(&mut store, 2)?, memory.size(&store)), (1, 1, 3));
    for delta in [1, 65536, u64::MAX] {
        assert!(memory.grow(&mut store, delta).is_err());
    }
    assert_eq!((memory.data_size(&store), memory.page_size(&store)), (3 << 16, 1 << 16));
    for ty in [MemoryType::new(2, Some(1)), MemoryType::new(65537, None)] {
        assert!(Memory::new(&mut store, ty).is_err(), "{ty}");
    }
    usable(&mut store);
    Ok(())
}

#[test]
fn l14_globals_from_the_host() -> Check {
    let engine = Engine::default();
    let (mut store, instance) = alone(
        r#"(module (global (export "const") i32 (i32.const 1)) (global (export "var") (mut i64) (i64.const 2))
            (func (export "var64") (result i64) (global.get 1)))"#,
    );
    let (fixed, var) = (instance.get_global(&store, "const").unwrap(), instance.get_global(&store, "var").unwrap());
    refused(fixed.set(&mut store, Val::I32(2)), ErrorKind::Argument, "global is immutable");
    refused(var.set(&mut store, Val::I32(2)), ErrorKind::Argument, "expected i64, found i32");
    var.set(&mut store, Val::I64(-7))?;
    assert_eq!((fixed.get(&store), var.get(&store)), (Val::I32(1), Val::I64(-7)));
    assert_eq!(instance.get_typed_func::<(), i64>(&store, "var64")?.call(&mut store, ())?, -7);
    let never_null = GlobalType::new(ValType::Ref(RefType::new(false, HeapType::Func)), Mutability::Var);
    refused(Global::new(&mut store, never_null, Val::FuncRef(None)), ErrorKind::Argument, "expected (ref func)");
    let func = Func::wrap(&mut store, || {});
    let global = Global::new(&mut store, never_null, func.into())?;
    refused(global.set(&mut store, Val::FuncRef(None)), ErrorKind::Argument, "expected (ref func)");
    // Shared with a guest, both ways.
    let ty = GlobalType::new(ValType::F64, Mutability::Var);
    let shared = Global::new(&mut store, ty, Val::from(1.5))?;
    let module = module(
        store.engine(),
        r#"(module (import "h" "g" (global $g (mut f64)))
            (func (export "double") (global.set $g (f64.add (global.get $g) (global.get $g)))))"#,
    );
    let double = Instance::new(&mut store, &module, &[shared.into()])?.get_typed_func::<(), ()>(&store, "double")?;
    double.call(&mut store, ())?;
    let doubled = shared.get(&store).f64().unwrap();
    shared.set(&mut store, Val::from(doubled + 1.0))?;
    double.call(&mut store, ())?;
    assert_eq!(shared.get(&store), Val::from(8.0));
    let _ = engine;
    Ok(())
}

#[test]
fn l10_any_order_of_dropping() -> Check {
    // All six orders of the three that own something; handles are numbers and may stay.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let engine = Engine::default();
        let mut linker = Linker::<()>::new(&engine);
        linker.func_wrap("env", "one", || 1i32)?;
        let module = module(
            &engine,
            r#"(module (import "env" "one" (func $one (result i32))) (memory (export "m") 1)
                (func (export "run") (result i32) (i32.add (call $one) (i32.load (i32.const 0)))))"#,
        );
        let mut store = Some(Store::new(&engine, ()));
        let mut parts = [Some(Box::new(linker) as Box<dyn Any>), Some(Box::new(module)), Some(Box::new(engine))];
        let linker = parts[0].as_ref().and_then(|part| part.downcast_ref::<Linker<()>>()).unwrap();
        let module = parts[1].as_ref().and_then(|part| part.downcast_ref::<Module>()).unwrap();
        let instance = linker.instantiate(store.as_mut().unwrap(), module)?;
        let run = instance.get_typed_func::<(), i32>(store.as_ref().unwrap(), "run")?;
        for part in order {
            assert_eq!(run.call(store.as_mut().unwrap(), ())?, 1);
            parts[part] = None;
        }
        assert_eq!(run.call(store.as_mut().unwrap(), ())?, 1);
        let memory = instance.get_memory(store.as_ref().unwrap(), "m").unwrap();
        drop(store.take());
        let other = Store::new(&Engine::default(), ());
        assert_eq!((memory.size(&other), instance.get_func(&other, "run")), (0, None));
    }
    Ok(())
}

#[test]
fn l15_a_great_many_imports_and_instances() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    for name in "abcdefghijklmnopqrstuvwxyz".chars() {
        linker.func_wrap("m", &name.to_string(), || {})?;
    }
    let imports: String = ('a'..='z').cycle().take(50_000).map(|c| format!("(import \"m\" \"{c}\" (func))")).collect();
    let module = module(&engine, &format!("(module {imports})"));
    let start = Instant::now();
    let mut store = Store::new(&engine, ());
    linker.instantiate(&mut store, &module)?;
    let missing = self::module(&engine, &format!("(module {})", imports.replace("\"m\"", "\"q\"")));
    let error = linker.instantiate(&mut store, &missing).unwrap_err();
    assert_eq!(error.import_errors().len(), 50_000);
    assert!(format!("{error:#}").len() < 20_000);

    let tiny = self::module(&engine, r#"(module (func (export "run") (result i32) (i32.const 1)))"#);
    refused(
        (0..20_000).try_for_each(|_| Instance::new(&mut store, &tiny, &[]).map(drop)),
        ErrorKind::Budget,
        "instances",
    );
    store.set_limits(StoreLimitsBuilder::new().instances(usize::MAX).build());
    let mut last = None;
    for _ in 0..20_000 {
        last = Some(Instance::new(&mut store, &tiny, &[])?);
    }
    assert_eq!(run(&mut store, last.unwrap(), "run")?, 1);
    drop(store);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    Ok(())
}

#[test]
fn l16_errors_stay_short_whatever_the_names() -> Check {
    let engine = Engine::default();
    let name = "\u{1b}[31m\n".repeat(10_000).replace('\n', "\\n").replace('\u{1b}', "\\1b");
    let module = module(&engine, &format!(r#"(module ${q} (import "{name}" "{name}" (func)))"#, q = "a".repeat(100),));
    let error = Linker::<()>::new(&engine).instantiate(Store::new(&engine, ()), &module).unwrap_err();
    for text in [format!("{error}"), format!("{error:#}"), format!("{error:?}")] {
        assert!(text.len() <= 4096, "{} bytes", text.len());
        assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    }
    assert!(!format!("{error}").contains('\n'));

    let guest = self::module(
        &engine,
        &format!(r#"(module (func $f (export "{name}") (unreachable)) (@custom "name" "\01\00"))"#),
    );
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &guest, &[])?;
    let real = guest.exports().next().unwrap().name().to_owned();
    let error = instance.get_typed_func::<(), ()>(&store, &real)?.call(&mut store, ()).unwrap_err();
    let error_of_type = instance.get_typed_func::<i32, ()>(&store, &real).unwrap_err();
    for text in [format!("{error:#}"), format!("{error_of_type:#}")] {
        assert!(text.len() <= 4096 && text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    }
    Ok(())
}

#[test]
fn l17_names_are_exact() -> Check {
    let long = "n".repeat(100_000);
    let (store, instance) = alone(&format!(
        r#"(module (func (export "") (result i32) (i32.const 1)) (func (export "a\00b") (result i32) (i32.const 2))
            (func (export "constructor") (result i32) (i32.const 3)) (func (export "{long}") (result i32) (i32.const 4)))"#
    ));
    let mut store = store;
    for (name, value) in [("", 1), ("a\0b", 2), ("constructor", 3), (&long, 4)] {
        assert_eq!(run(&mut store, instance, name)?, value);
    }
    for name in ["a", "a\0", "a\0c", "constructo", "constructors", &long[1..], &format!("{}m", &long[1..])] {
        assert_eq!(instance.get_export(&store, name), None);
    }
    Ok(())
}

#[test]
fn l18_threads_share_an_engine_and_a_module() -> Check {
    let engine = Engine::new(Config::new().compilation(Compilation::Lazy))?;
    let wat = r#"(module (import "env" "two" (func $two (result i32)))
        (func $a (result i32) (i32.const 40)) (func $b (result i32) (call $a))
        (func (export "run") (result i32) (i32.add (call $b) (call $two))))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("env", "two", |caller: Caller<'_, u32>| *caller.data())?;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..100 {
                    let mut store = Store::new(&engine, 2);
                    let instance = match round % 2 {
                        0 => linker.instantiate(&mut store, &module),
                        _ => linker.instantiate(&mut store, &self::module(&engine, wat)),
                    };
                    assert_eq!(run(&mut store, instance.unwrap(), "run").unwrap(), 42);
                }
            });
        }
    });
    Ok(())
}

// ---- Stops ----

#[test]
fn l19_stops_hit_the_call_that_runs() -> Check {
    let (mut store, instance) = alone(SPIN);
    let spin = instance.get_typed_func::<(), ()>(&store, "spin")?;
    let count = instance.get_typed_func::<i32, i32>(&store, "count")?;
    let handle = store.stop_handle();

    // Before a call, it does nothing.
    handle.stop();
    assert_eq!(count.call(&mut store, 1000)?, 7);

    // During one, from another thread, any number of times.
    for _ in 0..20 {
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) == 0 {
                    handle.clone().stop();
                    thread::yield_now();
                }
            });
            refused(spin.call(&mut store, ()), ErrorKind::Stopped, "stopped");
            done.store(1, Ordering::Relaxed);
        });
        assert_eq!(count.call(&mut store, 1000)?, 7);
    }

    // From within, and all calls inside each other end.
    let engine = store.engine().clone();
    let mut linker = Linker::<Option<StopHandle>>::new(&engine);
    linker.func_wrap("env", "stop", |mut caller: Caller<'_, Option<StopHandle>>| -> Result<()> {
        if let Some(handle) = caller.data() {
            handle.stop();
        }
        caller.instance().unwrap().get_typed_func::<(), ()>(&caller, "spin")?.call(&mut caller, ())
    })?;
    let nested = module(
        &engine,
        r#"(module (import "env" "stop" (func $stop)) (func (export "spin") (loop $l (br $l)))
            (func (export "run") (result i32) (call $stop) (i32.const 1)))"#,
    );
    let mut other = Store::new(&engine, None);
    *other.data_mut() = Some(other.stop_handle());
    let instance = linker.instantiate(&mut other, &nested)?;
    refused(run(&mut other, instance, "run"), ErrorKind::Stopped, "stopped");
    usable(&mut other);

    // After the store is gone.
    drop(store);
    handle.stop();
    Ok(())
}

#[test]
fn deadlines() -> Check {
    let (mut store, instance) = alone(SPIN);
    let spin = instance.get_typed_func::<(), ()>(&store, "spin")?;
    let start = Instant::now();
    store.set_deadline(Some(start + Duration::from_millis(30)));
    refused(spin.call(&mut store, ()), ErrorKind::Deadline, "deadline passed");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(30) && took < Duration::from_secs(5), "{took:?}");
    // It stays, and ends the next call at once.
    refused(spin.call(&mut store, ()), ErrorKind::Deadline, "deadline passed");
    assert_eq!(store.deadline(), Some(start + Duration::from_millis(30)));
    store.set_deadline(None);
    assert_eq!(instance.get_typed_func::<i32, i32>(&store, "count")?.call(&mut store, 10)?, 7);
    Ok(())
}

#[test]
fn l20_limiters() -> Check {
    /// Answers as it is told to, and notes what it is asked.
    #[derive(Default)]
    struct Limiter {
        refuse: bool,
        fail: bool,
        asked: Vec<(usize, usize, Option<usize>)>,
        failed: Vec<String>,
        instances: usize,
    }
    impl ResourceLimiter for Limiter {
        fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
            self.asked.push((current, desired, maximum));
            if self.fail { Err(Error::new(MyError(1))) } else { Ok(!self.refuse) }
        }
        fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
            self.memory_growing(current, desired, maximum)
        }
        fn memory_grow_failed(&mut self, error: &Error) -> Result<()> {
            self.failed.push(error.to_string());
            Ok(())
        }
        fn instances(&self) -> usize {
            self.instances
        }
    }
    let engine = Engine::default();
    let module = module(
        &engine,
        r#"(module (memory (export "m") 1 10) (table (export "t") 1 10 funcref)
            (func (export "grow") (result i32) (memory.grow (i32.const 2)))
            (func (export "grow_table") (result i32) (table.grow (ref.null func) (i32.const 2))))"#,
    );
    let mut store = Store::new(&engine, Limiter { instances: 1, ..Limiter::default() });
    store.limiter(|limiter| limiter);
    let instance = Instance::new(&mut store, &module, &[])?;
    let page = 65536;
    assert_eq!(store.data_mut().asked.drain(..).collect::<Vec<_>>(), [(0, 1, Some(10)), (0, page, Some(10 * page))]);
    refused(Instance::new(&mut store, &module, &[]), ErrorKind::Budget, "instances");

    assert_eq!((run(&mut store, instance, "grow")?, run(&mut store, instance, "grow_table")?), (1, 1));
    let asked: Vec<_> = store.data_mut().asked.drain(..).collect();
    assert_eq!(asked, [(page, 3 * page, Some(10 * page)), (1, 3, Some(10))]);

    store.data_mut().refuse = true;
    assert_eq!((run(&mut store, instance, "grow")?, run(&mut store, instance, "grow_table")?), (-1, -1));
    let memory = instance.get_memory(&store, "m").unwrap();
    refused(memory.grow(&mut store, 1), ErrorKind::Budget, "by a memory");
    assert_eq!(memory.size(&store), 3);
    *store.data_mut() = Limiter { fail: true, instances: 9, ..Limiter::default() };
    let error = run(&mut store, instance, "grow").unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&MyError(1)));
    assert!(error.backtrace().is_some());
    assert!(memory.grow(&mut store, 1).unwrap_err().is::<MyError>());
    assert!(Instance::new(&mut store, &module, &[]).unwrap_err().is::<MyError>());

    // Where the store's own limits refuse, nobody is asked.
    *store.data_mut() = Limiter { instances: 9, ..Limiter::default() };
    let used = store.memory_used();
    store.set_limits(StoreLimitsBuilder::new().total_memory(used + 100_000).build());
    assert_eq!(run(&mut store, instance, "grow")?, -1);
    assert_eq!((store.memory_used(), store.data().asked.len(), store.data().failed.len()), (used, 0, 0));
    usable(&mut store);
    Ok(())
}

#[test]
fn limits_of_the_store() -> Check {
    let engine = Engine::default();
    let wat = r#"(module (memory 1) (table 1 funcref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "grow_table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let module = module(&engine, wat);
    let with = |limits: StoreLimits| -> Result<_> {
        let mut store = Store::new(&engine, ());
        store.set_limits(limits);
        let instance = Instance::new(&mut store, &module, &[])?;
        let grow = instance.get_typed_func::<u32, i32>(&store, "grow")?;
        let grow_table = instance.get_typed_func::<u32, i32>(&store, "grow_table")?;
        Ok((store, grow, grow_table))
    };
    let limits = StoreLimitsBuilder::new().memory_size(3 << 16).table_elements(100).instances(1).build();
    let (mut store, grow, grow_table) = with(limits)?;
    assert_eq!([3, 2, 1, 0].map(|n| grow.call(&mut store, n).unwrap()), [-1, 1, -1, 3]);
    assert_eq!([100, 99, 1, 0].map(|n| grow_table.call(&mut store, n).unwrap()), [-1, 1, -1, 100]);
    refused(Instance::new(&mut store, &module, &[]), ErrorKind::Budget, "instances");

    let limits = StoreLimitsBuilder::new().memory_size(3 << 16).trap_on_grow_failure(true).build();
    let (mut store, grow, _) = with(limits)?;
    refused(grow.call(&mut store, 3), ErrorKind::Budget, "by a memory");
    assert_eq!(grow.call(&mut store, 2)?, 1);

    let (mut store, grow, grow_table) = with(StoreLimitsBuilder::new().total_memory(1 << 20).build())?;
    assert_eq!(grow.call(&mut store, 20)?, -1);
    assert_eq!(grow_table.call(&mut store, 200_000)?, -1);
    assert_eq!(grow.call(&mut store, 10)?, 1);
    assert!(store.memory_used() <= 1 << 20 && store.memory_peak() <= 1 << 20);
    for limits in [
        StoreLimitsBuilder::new().memories(0).build(),
        StoreLimitsBuilder::new().tables(0).build(),
        StoreLimitsBuilder::new().memory_size(0).build(),
        StoreLimitsBuilder::new().total_memory(1000).build(),
    ] {
        assert_eq!(with(limits).err().map(|error| error.kind()), Some(ErrorKind::Budget));
    }
    Ok(())
}

// ---- Resumable calls ----

#[test]
fn l21_out_of_fuel_and_on() -> Check {
    let (mut store, instance) = alone(SPIN);
    let count = instance.get_func(&store, "count").unwrap();
    let before = store.fuel_used();
    let mut results = [Val::I32(0)];
    count.call(&mut store, &[Val::I32(1000)], &mut results)?;
    let straight = store.fuel_used() - before;
    assert_eq!(results, [Val::I32(7)]);

    for step in [0, 1, 7, 100, 100_000] {
        results = [Val::I32(0)];
        store.set_fuel(0)?;
        let before = store.fuel_used();
        let mut call = count.call_resumable(&mut store, &[Val::I32(1000)], &mut results)?;
        let mut pauses = 0;
        while let ResumableCall::OutOfFuel(paused) = call {
            pauses += 1;
            let required = paused.required_fuel();
            assert!(required > 0);
            // With less than is needed nothing moves.
            let call_again = paused.resume(&mut store, &mut results)?;
            let ResumableCall::OutOfFuel(paused) = call_again else { panic!("went on without fuel") };
            store.add_fuel(required.max(step))?;
            call = paused.resume(&mut store, &mut results)?;
        }
        assert!(matches!(call, ResumableCall::Finished));
        assert_eq!(results, [Val::I32(7)]);
        assert_eq!(store.fuel_used() - before, straight, "in steps of {step}");
        assert!(pauses > 0);
    }

    // Dropped half-way, a thousand times over; the store is free meanwhile.
    let used = store.memory_used();
    for _ in 0..1000 {
        store.set_fuel(50)?;
        let call = count.call_resumable(&mut store, &[Val::I32(1000)], &mut results)?;
        assert!(matches!(call, ResumableCall::OutOfFuel(_)));
        store.set_fuel(u64::MAX)?;
        let mut inner = [Val::I32(0)];
        count.call(&mut store, &[Val::I32(5)], &mut inner)?;
        drop(call);
    }
    assert!(store.memory_used() < used + (1 << 20), "{} more", store.memory_used() - used);

    // Several at once, in any order.
    store.set_fuel(30)?;
    let typed = instance.get_typed_func::<i32, i32>(&store, "count")?;
    let mut paused = Vec::new();
    for n in [10, 20, 30] {
        store.set_fuel(3)?;
        match typed.call_resumable(&mut store, n)? {
            TypedResumableCall::OutOfFuel(call) => paused.push(call),
            other => panic!("{other:?}"),
        }
    }
    store.set_fuel(u64::MAX)?;
    for n in [1, 0, 0] {
        assert!(matches!(paused.remove(n).resume(&mut store)?, TypedResumableCall::Finished(7)));
    }
    Ok(())
}

#[test]
fn l21_a_host_functions_error_and_on() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("env", "ask", |mut caller: Caller<'_, u32>, n: i32| -> Result<(i32, i64)> {
        *caller.data_mut() += 1;
        Err(Error::new(MyError(n as u32)))
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "ask" (func $ask (param i32) (result i32 i64)))
            (func $inner (param i32) (result i64) (local i32 i64)
                (call $ask (local.get 0)) (local.set 2) (local.set 1)
                (i64.add (local.get 2) (i64.extend_i32_s (local.get 1))))
            (func (export "run") (param i32) (result i64)
                (i64.mul (call $inner (local.get 0)) (call $inner (i32.const 2)))))"#,
    );
    let mut store = Store::new(&engine, 0);
    let run = linker.instantiate(&mut store, &module)?.get_func(&store, "run").unwrap();
    let mut results = [Val::I32(0)];
    let ResumableCall::HostTrap(first) = run.call_resumable(&mut store, &[Val::I32(1)], &mut results)? else {
        panic!("no host trap")
    };
    assert_eq!(first.host_error().downcast_ref(), Some(&MyError(1)));
    assert_eq!(first.host_error().backtrace().map(|trace| trace.frames().len()), Some(3));
    assert_eq!(first.host_func().ty(&store).to_string(), "(func (param i32) (result i32 i64))");
    let answer = [Val::I32(3), Val::I64(4)];
    let ResumableCall::HostTrap(second) = first.resume(&mut store, &answer, &mut results)? else {
        panic!("no second host trap")
    };
    assert_eq!(second.host_error().downcast_ref(), Some(&MyError(2)));
    let ResumableCall::Finished = second.resume(&mut store, &[Val::I32(5), Val::I64(6)], &mut results)? else {
        panic!("not finished")
    };
    assert_eq!((&results, *store.data()), (&[Val::I64(77)], 2));

    // Wrong answers are errors, and end the call.
    for (answer, text) in [
        (vec![], "expected 2 results, found 0"),
        (vec![Val::I32(1)], "expected 2 results, found 1"),
        (vec![Val::I64(1), Val::I64(1)], "result 1: expected i32, found i64"),
    ] {
        let ResumableCall::HostTrap(call) = run.call_resumable(&mut store, &[Val::I32(1)], &mut results)? else {
            panic!("no host trap")
        };
        refused(call.resume(&mut store, &answer, &mut results), ErrorKind::Argument, text);
    }
    let ResumableCall::HostTrap(call) = run.call_resumable(&mut store, &[Val::I32(1)], &mut results)? else {
        panic!("no host trap")
    };
    assert_eq!(call.into_host_error().downcast_ref(), Some(&MyError(1)));

    // Typed, and a trap is an error all the same.
    let typed = run.typed::<i32, i64>(&store)?;
    let TypedResumableCall::HostTrap(call) = typed.call_resumable(&mut store, 1)? else { panic!("no host trap") };
    let TypedResumableCall::HostTrap(call) = call.resume(&mut store, &answer)? else { panic!("no host trap") };
    assert!(matches!(call.resume(&mut store, &answer)?, TypedResumableCall::Finished(49)));
    let (mut store, instance) = alone(r#"(module (func (export "run") (unreachable)))"#);
    let run = instance.get_func(&store, "run").unwrap();
    assert_eq!(run.call_resumable(&mut store, &[], &mut []).unwrap_err().trap(), Some(Trap::Unreachable));

    // A host function called so.
    let func = Func::wrap(&mut store, |n: i32| if n == 0 { Err(Error::msg("zero")) } else { Ok(n) });
    let typed = func.typed::<i32, i32>(&store)?;
    assert!(matches!(typed.call_resumable(&mut store, 5)?, TypedResumableCall::Finished(5)));
    let TypedResumableCall::HostTrap(call) = typed.call_resumable(&mut store, 0)? else { panic!("no host trap") };
    assert!(matches!(call.resume(&mut store, &[Val::I32(9)])?, TypedResumableCall::Finished(9)));
    usable(&mut store);
    Ok(())
}

#[test]
fn stopped_and_on() -> Check {
    let (mut store, instance) = alone(SPIN);
    let count = instance.get_typed_func::<i32, i32>(&store, "count")?;
    store.set_deadline(Some(Instant::now()));
    let TypedResumableCall::Stopped(call) = count.call_resumable(&mut store, 10_000_000)? else {
        panic!("not stopped")
    };
    assert_eq!(call.error().kind(), ErrorKind::Deadline);
    let TypedResumableCall::Stopped(call) = call.resume(&mut store)? else { panic!("not stopped") };
    store.set_deadline(None);
    assert!(matches!(call.resume(&mut store)?, TypedResumableCall::Finished(7)));
    Ok(())
}

/// A paused call holds values of the host that nothing else does.
#[test]
fn paused_calls_keep_their_references() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "pause", || -> Result<()> { Err(Error::msg("pause")) })?;
    let module = module(
        &engine,
        r#"(module (import "env" "pause" (func $pause))
            (func (export "run") (param externref) (result externref) (call $pause) (local.get 0)))"#,
    );
    let mut store = Store::new(&engine, ());
    let run = linker.instantiate(&mut store, &module)?.get_typed_func::<_, Option<ExternRef>>(&store, "run")?;
    let value = Arc::new(());
    let object = ExternRef::new(&mut store, value.clone())?;
    let TypedResumableCall::HostTrap(call) = run.call_resumable(&mut store, Some(object))? else {
        panic!("no host trap")
    };
    for _ in 0..3 {
        store.gc();
        usable(&mut store);
        assert_eq!(Arc::strong_count(&value), 2);
    }
    let TypedResumableCall::Finished(Some(back)) = call.resume(&mut store, &[])? else { panic!("not finished") };
    assert!(back.data(&store)?.is_some_and(|data| data.is::<Arc<()>>()));
    Ok(())
}

#[test]
fn fuel_is_exact_and_stays() -> Check {
    let (mut store, instance) = alone(SPIN);
    let count = instance.get_typed_func::<i32, i32>(&store, "count")?;
    assert_eq!(store.get_fuel()?, u64::MAX);
    let mut bills = Vec::new();
    for fuel in [u64::MAX, u64::MAX - 1, 1_000_000] {
        store.set_fuel(fuel)?;
        let before = store.fuel_used();
        count.call(&mut store, 100)?;
        bills.push(store.fuel_used() - before);
        assert_eq!(store.get_fuel()?, if fuel == u64::MAX { fuel } else { fuel - bills[0] });
    }
    assert_eq!(bills, [bills[0]; 3]);
    // Just enough is enough, one less is not.
    store.set_fuel(bills[0])?;
    count.call(&mut store, 100)?;
    assert_eq!(store.get_fuel()?, 0);
    store.set_fuel(bills[0] - 1)?;
    refused(count.call(&mut store, 100), ErrorKind::OutOfFuel, "out of fuel");
    store.add_fuel(u64::MAX)?;
    count.call(&mut store, 100)?;
    Ok(())
}

#[test]
fn l23_everything_can_be_printed() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "print", |caller: Caller<'_, ()>| {
        let texts = [format!("{caller:?}"), format!("{:?}", caller.instance()), format!("{}", caller.backtrace())];
        assert!(texts.iter().all(|text| text.len() < 10_000));
    })?;
    let wat = r#"(module (import "env" "print" (func $print)) (memory (export "m") 10) (table (export "t") 1000 funcref)
        (global (export "g") i32 (i32.const 1)) (func (export "run") (call $print)))"#;
    let module = module(&engine, wat);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<(), ()>(&store, "run")?;
    run.call(&mut store, ())?;
    let object = ExternRef::new(&mut store, vec![0u8; 100_000])?;
    for text in [
        format!("{engine:?}"),
        format!("{module:?}"),
        format!("{store:?}"),
        format!("{linker:?}"),
        format!("{:?}", linker.instantiate_pre(&module)?),
        format!("{instance:?} {run:?} {:?}", run.func()),
        format!("{:?}", instance.exports(&store).collect::<Vec<_>>()),
        format!("{:?} {:?}", module.imports().collect::<Vec<_>>(), module.exports().collect::<Vec<_>>()),
        format!("{:?} {}", Val::from(object.clone()), Val::from(object)),
        format!("{:?}", store.stop_handle()),
    ] {
        assert!(!text.is_empty() && text.len() < 10_000, "{text}");
    }
    Ok(())
}
