//! The host's part: its functions, its word on growth, and its values.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{I32, Rig, config, configs, short};
use crate::budget::StoreLimitsBuilder;
use crate::error::{Error, ErrorKind};
use crate::exec::Outcome;
use crate::runtime::ExternId;
use crate::types::ValType;

/// A host function's answer may come later, and from inside of another call.
#[test]
fn host_calls_wait() {
    let wat = r#"(module
        (import "" "ask" (func $ask (param i32) (result i32)))
        (func (export "f") (param i32) (result i32)
            (i32.add (call $ask (local.get 0)) (call $ask (i32.const 100)))))"#;
    let mut rig = Rig::new(config());
    let ask = rig.host(I32, I32, |_, args| match args[0] {
        100 => Ok(vec![1]),
        _ => Err(Error::msg("not now")),
    });
    let instance = rig.instantiate(wat, &[ask]).unwrap();
    let func = rig.func(instance, "f");
    rig.store.enter(func, &[5], true).unwrap();
    assert!(matches!(rig.serve(), Outcome::Failed(_)));
    let paused = rig.store.detach();
    assert_eq!(short(rig.call_func(func, &[100])), "[2]");
    rig.store.attach(paused).unwrap();
    assert_eq!(rig.store.calling_instance(), Some(instance));
    rig.store.host_slots()[0] = 40;
    rig.store.host_return();
    assert!(matches!(rig.serve(), Outcome::Done));
    assert_eq!(rig.finish(func), [41]);
}

#[test]
fn host_functions_are_entered_as_well() {
    let mut rig = Rig::new(config());
    let add = rig.host(&[ValType::I32, ValType::I32], I32, |rig, args| {
        assert_eq!(rig.store.calling_instance(), None);
        Ok(vec![args[0] + args[1]])
    });
    let nothing = rig.host(&[], &[], |_, _| Ok(vec![]));
    let [ExternId::Func(add), ExternId::Func(nothing)] = [add, nothing] else { panic!() };
    assert_eq!(short(rig.call_func(add, &[1, 2])), "[3]");
    assert_eq!(short(rig.call_func(nothing, &[])), "[]");
    assert!(rig.store.backtrace().frames().is_empty());
}

#[test]
fn growth_is_asked_for() {
    let wat = r#"(module (memory 1 10) (table 1 100 funcref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "tgrow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    rig.store.ask_limiter(true);
    rig.limiter = Box::new(|table, desired| if table { desired <= 50 } else { desired <= 3 << 16 });
    for (name, delta, want) in [
        ("grow", 1, "[1]"),
        ("grow", 2, "[4294967295]"),
        ("grow", 1, "[2]"),
        ("grow", 100, "[4294967295]"),
        ("tgrow", 40, "[1]"),
        ("tgrow", 40, "[4294967295]"),
        ("tgrow", 9, "[41]"),
    ] {
        assert_eq!(short(rig.call(instance, name, &[delta])), want, "{name} {delta}");
    }
    assert_eq!(rig.failures, 0);
}

/// Counts how many of it are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Arc<Self> {
        alive.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self(alive.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_ne!(self.0.fetch_sub(1, Ordering::Relaxed), 0, "dropped twice");
    }
}

#[test]
fn host_values_live_as_long_as_somebody_holds_them() {
    let wat = r#"(module
        (import "" "make" (func $make (result externref)))
        (import "" "check" (func $check (param externref)))
        (table $t 10 externref)
        (global $g (mut externref) (ref.null extern))
        (func (export "churn") (param i32)
            (loop
                (global.set $g (call $make))
                (call $check (global.get $g))
                (table.set (i32.rem_u (local.get 0) (i32.const 10)) (global.get $g))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (call $check (table.get (i32.const 3))))
        (func (export "clear")
            (table.fill (i32.const 0) (ref.null extern) (i32.const 10)) (global.set $g (ref.null extern)))
        (func $hold (export "hold") (param externref i32)
            (if (local.get 1)
                (then (call $hold (local.get 0) (i32.sub (local.get 1) (i32.const 1))))
                (else (call $check (call $make))))
            (call $check (local.get 0))))"#;
    for config in configs() {
        let alive = Arc::new(AtomicUsize::new(0));
        let mut rig = Rig::new(config);
        let made = alive.clone();
        let make = rig.host(&[], &[ValType::EXTERNREF], move |rig, _| {
            rig.store.externs_make_room();
            let handle = rig.store.extern_insert(Counted::new(&made))?;
            // Others come and go.
            Ok(vec![handle.into()])
        });
        let check = rig.host(&[ValType::EXTERNREF], &[], |rig, args| {
            assert!(rig.store.extern_get(args[0] as u32).unwrap().downcast::<Counted>().is_ok());
            rig.store.collect_externs();
            assert!(rig.store.extern_get(args[0] as u32).is_some());
            Ok(vec![])
        });
        let instance = rig.instantiate(wat, &[make, check]).unwrap();
        rig.call(instance, "churn", &[3000]).unwrap();
        assert!(alive.load(Ordering::Relaxed) < 100, "{}", alive.load(Ordering::Relaxed));
        let handle = rig.store.extern_insert(Counted::new(&alive)).unwrap();
        rig.call(instance, "hold", &[handle.into(), 200]).unwrap();
        rig.call(instance, "clear", &[]).unwrap();
        let charged = rig.store.budget.used();
        // What lies on the stack no more may live on, until something else lies there.
        rig.store.stack.slots_mut().fill(0);
        rig.store.ctx.ai = 0;
        rig.store.ctx.value = 0;
        rig.store.collect_externs();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        assert!(rig.store.budget.used() < charged);
        rig.store.extern_insert(Counted::new(&alive)).unwrap();
        drop(rig);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn host_values_are_charged() {
    let mut rig = Rig::new(config());
    rig.store.budget.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).build());
    let alive = Arc::new(AtomicUsize::new(0));
    let made = loop {
        if let Err(error) = rig.store.extern_insert(Counted::new(&alive)) {
            assert_eq!(error.kind(), ErrorKind::Budget);
            break alive.load(Ordering::Relaxed);
        }
    };
    assert!((1000..100_000).contains(&made));
    rig.store.collect_externs();
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    // A handle that means nothing.
    for handle in [0, 1, u32::MAX] {
        assert!(rig.store.extern_get(handle).is_none());
    }
}
