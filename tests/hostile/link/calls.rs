//! What a host does to a guest: calls with wrong arguments, globals that it sets, calls that it stops or resumes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use jitless::{
    Caller, Error, ErrorKind::*, Global, GlobalType, Linker, Mutability, ResumableCall, Store, TypedResumableCall, Val,
    ValType,
};

use super::MyError;
use crate::harness::*;

pub(super) fn l13_calls_with_wrong_arguments(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (global $ran (export "ran") (mut i32) (i32.const 0))
            (func (export "f") (param i32 i64) (result i32 f32) (global.set $ran (i32.const 1)) (i32.const 0)
            (f32.const 0))
            (func (export "r") (param funcref externref) (global.set $ran (i32.const 1))))"#,
    );
    let two = [Val::I32(0), Val::F32(0)];
    let func = guest.instance.get_func(&guest.store, "f").unwrap();
    for args in [
        &vals![][..],
        &vals![1],
        &vals![1, 2i64, 3],
        &vals![1, 2],
        &vals![1i64, 2i64],
        &vals![1.0, 2i64],
        &[Val::I32(1), Val::null_func_ref()],
    ] {
        let error = func.call(&mut guest.store, args, &mut two.clone()).unwrap_err();
        cx.seen(&error);
        assert_eq!(error.kind(), Argument, "{args:?}: {error}");
    }
    for results in [0, 1, 3] {
        let error = func.call(&mut guest.store, &vals![1, 2i64], &mut vec![Val::I32(0); results]).unwrap_err();
        assert_eq!(error.kind(), Argument, "{error}");
        assert!(func.call_resumable(&mut guest.store, &vals![1, 2i64], &mut vec![Val::I32(0); results]).is_err());
    }
    guest.ends("r", &[Val::null_extern_ref(), Val::null_func_ref()], Argument);
    let (store, instance) = (&guest.store, guest.instance);
    for error in [
        instance.get_typed_func::<(), ()>(store, "f").map(drop).unwrap_err(),
        instance.get_typed_func::<(i32, i64), (f32, i32)>(store, "f").map(drop).unwrap_err(),
        instance.get_typed_func::<(i32, i64), i32>(store, "f").map(drop).unwrap_err(),
        instance.get_typed_func::<(i64, i64), (i32, f32)>(store, "f").map(drop).unwrap_err(),
        instance.get_typed_func::<(i32, i64), (i32, f32)>(store, "g").map(drop).unwrap_err(),
        instance.get_typed_func::<(i32, i64), (i32, f32)>(store, "ran").map(drop).unwrap_err(),
    ] {
        cx.seen(&error);
        assert_eq!(error.kind(), Argument, "{error}");
    }
    assert_eq!(guest.export("ran").into_global().unwrap().get(&guest.store), Val::I32(0));
    // What the results hold before does not matter.
    func.call(&mut guest.store, &vals![1, 2i64], &mut vals![0i64, 0i64]).unwrap();
}

pub(super) fn l14_globals_set_by_the_host(cx: &Cx) {
    let guest = cx.guest(
        r#"(module (global (export "c") i32 (i32.const 5)) (global (export "v") (mut i64) (i64.const 5))
            (global (export "f") (mut funcref) (ref.null func)))"#,
    );
    let [c, v, f] = ["c", "v", "f"].map(|name| guest.export(name).into_global().unwrap());
    let mut guest = guest;
    for (global, value) in [
        (c, Val::I32(6)),
        (c, Val::I64(6)),
        (v, Val::I32(6)),
        (v, Val::from(6.0)),
        (v, Val::null_func_ref()),
        (f, Val::null_extern_ref()),
        (f, Val::I32(0)),
    ] {
        let error = global.set(&mut guest.store, value).unwrap_err();
        cx.seen(&error);
        assert_eq!(error.kind(), Argument, "{error}");
    }
    assert_eq!((c.get(&guest.store), v.get(&guest.store)), (Val::I32(5), Val::I64(5)));
    v.set(&mut guest.store, Val::I64(-1)).unwrap();
    assert_eq!(v.get(&guest.store), Val::I64(-1));
    let ty = GlobalType::new(ValType::I32, Mutability::Var);
    assert_eq!(Global::new(&mut guest.store, ty, Val::I64(0)).unwrap_err().kind(), Argument);
}

pub(super) fn l19_stop_handles(cx: &Cx) {
    let mut store = Store::new(&cx.engine, Arc::new(AtomicBool::new(false)));
    let mut linker = Linker::new(&cx.engine);
    linker.func_wrap("h", "started", |caller: Caller<'_, Arc<AtomicBool>>| caller.data().store(true, Relaxed)).unwrap();
    let module = cx.accepts_wat(
        r#"(module (import "h" "started" (func $started))
            (func (export "spin") (call $started) (loop (br 0)))
            (func (export "fine") (result i32) (i32.const 5)))"#,
    );
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let spin = instance.get_typed_func::<(), ()>(&store, "spin").unwrap();
    let fine = instance.get_typed_func::<(), i32>(&store, "fine").unwrap();
    let handle = store.stop_handle();
    let started = store.data().clone();
    // Before a call: there is none, and the next is not stopped.
    handle.stop();
    assert_eq!(fine.call(&mut store, ()).unwrap(), 5);
    for times in [1, 1000] {
        for _ in 0..turns(20, 5) {
            started.store(false, Relaxed);
            let done = AtomicBool::new(false);
            let error = std::thread::scope(|scope| {
                let (handle, started, done) = (handle.clone(), &started, &done);
                let stopper = cx.spawn(scope, move || {
                    while !started.load(Relaxed) {
                        std::thread::yield_now();
                    }
                    for _ in 0..times {
                        if !done.load(Relaxed) {
                            handle.stop();
                        }
                    }
                });
                let error = spin.call(&mut store, ()).unwrap_err();
                done.store(true, Relaxed);
                cx.join(stopper);
                error
            });
            assert_eq!(error.kind(), Stopped, "{error}");
            assert_eq!(fine.call(&mut store, ()).unwrap(), 5);
        }
    }
    // After a call, and after the store.
    handle.stop();
    assert_eq!(fine.call(&mut store, ()).unwrap(), 5);
    drop(store);
    handle.stop();
    // From within: it stops the call that is made.
    let mut store = Store::new(&cx.engine, None::<jitless::StopHandle>);
    *store.data_mut() = Some(store.stop_handle());
    let mut linker = Linker::new(&cx.engine);
    linker
        .func_wrap("h", "started", |caller: Caller<'_, Option<jitless::StopHandle>>| {
            caller.data().as_ref().unwrap().stop();
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let spin = instance.get_typed_func::<(), ()>(&store, "spin").unwrap();
    assert_eq!(spin.call(&mut store, ()).unwrap_err().kind(), Stopped);
    *store.data_mut() = None;
    cx.ok_in(&mut store);
}

pub(super) fn l21_resumable_calls(cx: &Cx) {
    let text = r#"(module (import "h" "half" (func $half (param i64) (result i64))) (memory (export "m") 1)
        (func $fib (param i64) (result i64)
            (if (result i64) (i64.lt_u (local.get 0) (i64.const 2)) (then (local.get 0))
                (else (i64.add (call $fib (i64.sub (local.get 0) (i64.const 1))) (call $fib (i64.sub (local.get 0)
                (i64.const 2)))))))
        (func (export "f") (param i64) (result i64)
            (i64.store (i32.const 0) (call $fib (local.get 0)))
            (i64.add (call $half (i64.load (i32.const 0))) (call $fib (i64.const 5)))))"#;
    let module = cx.accepts_wat(text);
    let fresh = || {
        let mut store = Store::new(&cx.engine, false);
        let mut linker = Linker::new(&cx.engine);
        linker
            .func_wrap("h", "half", |caller: Caller<'_, bool>, n: i64| match caller.data() {
                true => Err(Error::new(MyError { code: n as i32 })),
                false => Ok(n / 2),
            })
            .unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Guest { cx, store, linker, instance }
    };
    let (want, args) = (vals![55 / 2 + 5i64], vals![10i64]);
    let mut straight = fresh();
    straight.gives("f", &args, &want);
    let fuel = straight.store.fuel_used();
    // In slices of so much; none at all now and then.
    for slice in [1, 2, 7, 100, 1000] {
        let mut guest = fresh();
        let func = guest.instance.get_func(&guest.store, "f").unwrap();
        let mut results = vals![0i64];
        guest.store.set_fuel(slice).unwrap();
        let mut call = func.call_resumable(&mut guest.store, &args, &mut results).unwrap();
        while let ResumableCall::OutOfFuel(paused) = call {
            assert!(guest.store.fuel_used() <= fuel);
            // Nothing more: it stops again, and nothing is lost.
            let ResumableCall::OutOfFuel(paused) = paused.resume(&mut guest.store, &mut results).unwrap() else {
                panic!("went on without fuel");
            };
            assert!(paused.required_fuel() > 0);
            guest.store.add_fuel(slice).unwrap();
            call = paused.resume(&mut guest.store, &mut results).unwrap();
        }
        assert!(matches!(call, ResumableCall::Finished));
        assert_eq!((&results, guest.store.fuel_used()), (&want, fuel), "slices of {slice}");
    }
    // A host error, answered from elsewhere; with the wrong results first.
    let mut guest = fresh();
    *guest.store.data_mut() = true;
    let f = guest.instance.get_typed_func::<i64, i64>(&guest.store, "f").unwrap();
    for wrong in [&vals![][..], &vals![1], &vals![1i64, 2i64]] {
        let TypedResumableCall::HostTrap(paused) = f.call_resumable(&mut guest.store, 10).unwrap() else {
            panic!("no host")
        };
        assert_eq!(paused.host_error().downcast_ref(), Some(&MyError { code: 55 }));
        assert_eq!(paused.resume(&mut guest.store, wrong).unwrap_err().kind(), Argument);
    }
    let TypedResumableCall::HostTrap(paused) = f.call_resumable(&mut guest.store, 10).unwrap() else {
        panic!("no host")
    };
    // The store is free meanwhile.
    *guest.store.data_mut() = false;
    assert_eq!(f.call(&mut guest.store, 10).unwrap(), 32);
    cx.ok_in(&mut guest.store);
    let TypedResumableCall::Finished(sum) = paused.resume(&mut guest.store, &vals![1000i64]).unwrap() else {
        panic!("finished")
    };
    assert_eq!(sum, 1005);
    // Resumed in another store, or dropped half-way, or when its store is gone.
    *guest.store.data_mut() = true;
    let other = |guest: &mut Guest<'_, bool>| {
        let TypedResumableCall::HostTrap(paused) = f.call_resumable(&mut guest.store, 10).unwrap() else {
            panic!("no host")
        };
        paused
    };
    let paused = other(&mut guest);
    assert_eq!(paused.resume(&mut straight.store, &vals![1i64]).unwrap_err().kind(), Argument);
    let used = guest.store.memory_used();
    for _ in 0..1000 {
        drop(other(&mut guest));
    }
    cx.ok_in(&mut guest.store);
    assert!(guest.store.memory_used() <= used + (1 << 20));
    let paused = other(&mut guest);
    drop(guest);
    drop(paused);
}
