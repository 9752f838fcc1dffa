//! Calls into guests: values, shapes, traps.

use jitless::*;

use crate::{Check, alone, module, refused, run, usable};

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

/// The sum waits and reads what the calls left on the stack; the operator behind it traps, so it is computed at once, and
/// where the second call's result lies.
#[test]
fn operands_that_wait_are_disturbed_by_later_ones() -> Check {
    for later in [
        "(i32.div_u (local.get 0) (local.get 1))",
        "(i32.trunc_f32_u (f32.convert_i32_u (i32.div_u (local.get 0) (local.get 1))))",
        "(i32.rem_u (i32.load (local.get 2)) (local.get 0))",
    ] {
        let (mut store, instance) = alone(&format!(
            r#"(module (memory 1) (data (i32.const 8) "\04\00\00\00")
                (func $id (param i32) (result i32) (local.get 0))
                (func (export "f") (param i32 i32 i32) (result i32)
                    (i32.add (i32.add (call $id (i32.const 100)) (call $id (i32.const 20))) {later})))"#
        ));
        let f = instance.get_typed_func::<(i32, i32, i32), i32>(&store, "f")?;
        assert_eq!(f.call(&mut store, (12, 3, 8))?, 124, "{later}");
    }
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
