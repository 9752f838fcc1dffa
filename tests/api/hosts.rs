//! Functions of the host: their shapes, their errors and panics, and calls back into guests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jitless::*;

use crate::{Check, MyError, module, refused, run, usable};

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
