//! Calls that pause and go on.

use std::sync::Arc;
use std::time::Instant;

use jitless::*;

use crate::{Check, MyError, SPIN, alone, module, refused, usable};

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
