//! What ends a guest, whatever it does: fuel, and deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jitless::{Caller, Compilation, Engine, ErrorKind::*, Instance, Linker, Store, Trap};

use crate::harness::*;

pub(super) fn r4_loops_of_what_is_free(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "again" (func $again)) (table 2 funcref) (elem (i32.const 0) $tail_i)
            (func (export "loop") (loop (br 0)))
            (func (export "block") (loop (block) (nop) (br 0)))
            (func (export "table") (loop (block) (br_table 0 0 (i32.const 0))))
            (func (export "if") (loop (br_if 0 (i32.const 1))))
            (func (export "nested") (loop (loop (br 1))))
            (func $tail (export "tail") (return_call $tail))
            (func $tail_i (export "tail_i") (return_call_indirect (i32.const 0)))
            (func $a (export "mutual") (call $b)) (func $b (call $a))
            (func (export "host") (loop (call $again) (br 0)))
            (func $empty) (func (export "calls") (loop (call $empty) (br 0)))
            (func (export "ping") (call $again)))"#,
        |_, linker| {
            linker
                .func_wrap("h", "again", |mut caller: Caller<'_, ()>| {
                    // From guest to host and back, as long as there is fuel.
                    let f = caller.get_export("calls").unwrap().into_func().unwrap();
                    f.typed::<(), ()>(&caller)?.call(&mut caller, ())
                })
                .unwrap();
        },
    );
    for name in ["loop", "block", "table", "if", "nested", "tail", "tail_i", "mutual", "host", "calls", "ping"] {
        guest.store.set_fuel(10_000).unwrap();
        guest.ends(name, &[], OutOfFuel);
    }
}

pub(super) fn r5_bulk_operations_pay_first(cx: &Cx) {
    cx.holds(2 << 30);
    // Not exported, so that nobody looks at a gibibyte.
    let mut guest = cx.guest(
        r#"(module (memory 16384) (table 1000000 funcref) (table $x (export "t") 1000000 externref) (func $f)
            (elem declare func $f)
            (data $d "0123456789")
            (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x40000000)))
            (func (export "copy") (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3fffffff)))
            (func (export "tfill") (table.fill 0 (i32.const 0) (ref.func $f) (i32.const 1000000)))
            (func (export "tcopy") (table.copy 0 0 (i32.const 1) (i32.const 0) (i32.const 999999)))
            (func (export "tgrow") (result i32) (table.grow 0 (ref.func $f) (i32.const 1000000)))
            (func (export "byte") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "set") (i32.store8 (i32.const 0) (i32.const 9)))
            (func (export "null") (param i32) (result i32) (ref.is_null (table.get 0 (local.get 0))))
            (func (export "size") (result i32) (table.size 0)))"#,
    );
    guest.gives("set", &[], &[]);
    for name in ["fill", "copy", "tfill", "tcopy", "tgrow"] {
        guest.store.set_fuel(1_000).unwrap();
        cx.within(ms(1), || guest.ends(name, &[], OutOfFuel));
        guest.store.set_fuel(u64::MAX).unwrap();
        for (at, want) in [(0, 9), (1, 0), (1000, 0), (0x3FFF_FFFF, 0)] {
            guest.gives("byte", &vals![at], &vals![want]);
        }
        for at in [0, 1, 999_999] {
            guest.gives("null", &vals![at], &vals![1]);
        }
        guest.gives("size", &[], &vals![1_000_000]);
    }
    let large = cx.aside(|| {
        let data = cat(&[&[1, 1], &leb(10 << 20), &vec![7; 10 << 20]]);
        let code = func(&cat(&[&hex("00 41 00 41 00 41"), &sleb(10 << 20), &hex("FC 08 00 00 0B")]));
        let exports = section(7, b"\x02\x01f\0\0\x01m\x02\0");
        module(&[
            &t0(),
            &section(3, &[1, 0]),
            &section(5, &cat(&[&[1, 0], &leb(161)])),
            &exports,
            &section(12, &[1]),
            &section(10, &cat(&[&[1], &code])),
            &section(11, &data),
        ])
    });
    let module = cx.accepts(&large);
    let mut guest = cx.guest_of(&module);
    guest.store.set_fuel(1_000).unwrap();
    guest.ends("f", &[], OutOfFuel);
    let memory = guest.export("m").into_memory().unwrap();
    assert!(memory.data(&guest.store).iter().all(|&byte| byte == 0));
    // With a hundred thousand times more it is done.
    guest.store.set_fuel(1_000_000).unwrap();
    guest.gives("f", &[], &[]);
    assert!(memory.data(&guest.store)[..10 << 20].iter().all(|&byte| byte == 7));
}

pub(super) fn r6_work_before_a_trap_is_paid(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (func (export "f") (param i32) (result i32)
            (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i32.div_s (i32.const 1) (local.get 0))))"#,
    );
    guest.store.set_fuel(10_000_000).unwrap();
    guest.traps("f", &vals![100_000], Trap::IntegerDivisionByZero);
    let used = guest.store.fuel_used();
    assert!((100_000..10_000_000).contains(&used), "{used}");
    assert_eq!(guest.store.get_fuel().unwrap(), 10_000_000 - used);
    // Five operators a turn; two, and the division, at the end.
    assert_eq!(used, 5 * 100_000 + 3);
}

pub(super) fn r7_fuel_at_the_first_call(cx: &Cx) {
    let mut config = cx.mode.config();
    let engine = Engine::new(config.compilation(Compilation::Lazy)).unwrap();
    let bytes = wat(r#"(module (func (export "f") (param i32) (result i32) (call $g (local.get 0)))
            (func $g (param i32) (result i32) (i32.add (local.get 0) (call $h)))
            (func $h (result i32) (i32.const 5)))"#);
    cx.no_oracle();
    let module = cx.load_in(&engine, &bytes).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let f = instance.get_typed_func::<i32, i32>(&store, "f").unwrap();
    for fuel in 0..8 {
        store.set_fuel(fuel).unwrap();
        if let Err(error) = f.call(&mut store, 1) {
            assert_eq!(error.kind(), OutOfFuel);
        }
        // From another thread too.
        std::thread::scope(|scope| {
            let other = cx.spawn(scope, || {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                let f = instance.get_typed_func::<i32, i32>(&store, "f").unwrap();
                store.set_fuel(fuel).unwrap();
                let first = f.call(&mut store, 2).is_ok();
                store.set_fuel(1000).unwrap();
                (first, f.call(&mut store, 2).unwrap())
            });
            assert_eq!(cx.join(other).1, 7);
        });
        store.set_fuel(1000).unwrap();
        assert_eq!(f.call(&mut store, 1).unwrap(), 6);
    }
    // A body that is not valid stays so.
    let invalid = wat("(module (func (export \"f\") (i32.const 1)) (func (export \"g\") (result i32) (i32.const 3)))");
    let module = cx.load_in(&engine, &invalid).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
    for _ in 0..3 {
        let error = f.call(&mut store, ()).unwrap_err();
        cx.seen(&error);
        assert_eq!(error.kind(), Invalid, "{error}");
    }
    assert_eq!(instance.get_typed_func::<(), i32>(&store, "g").unwrap().call(&mut store, ()).unwrap(), 3);
}

pub(super) fn r8_fuel_saturates(cx: &Cx) {
    let mut guest = cx.guest("(module (func (export \"f\") (result i32) (i32.const 1)))");
    for fuel in [u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 + 1, 1 << 62] {
        for more in [0, 1, u64::MAX, 1 << 63] {
            guest.store.set_fuel(fuel).unwrap();
            assert_eq!(guest.store.get_fuel().unwrap(), fuel);
            guest.store.add_fuel(more).unwrap();
            // The greatest number is no bound, so adding comes to one less at most.
            let before = guest.store.get_fuel().unwrap();
            let want = if fuel == u64::MAX { fuel } else { fuel.saturating_add(more).min(u64::MAX - 1) };
            assert_eq!(before, want, "{fuel} + {more}");
            let cost = guest.fuel_of("f", &[]);
            let left = guest.store.get_fuel().unwrap();
            match before {
                u64::MAX => assert_eq!(left, before),
                _ => {
                    assert!((before - cost..=before).contains(&left), "{fuel} + {more}: {before}, {cost} used, {left}")
                }
            }
        }
    }
    guest.store.set_fuel(0).unwrap();
    guest.ends("f", &[], OutOfFuel);
    guest.store.add_fuel(u64::MAX).unwrap();
    guest.gives("f", &[], &vals![1]);
}

/// How long a call may go on after its deadline.
const LATE: Duration = if cfg!(debug_assertions) { ms(1000) } else { ms(50) };

pub(super) fn r9_deadlines(cx: &Cx) {
    cx.timed();
    let mut guest =
        cx.guest(r#"(module (func (export "spin") (loop (br 0))) (func (export "short") (result i32) (i32.const 5)))"#);
    let now = Instant::now();
    for past in [Some(now), now.checked_sub(ms(1000))].into_iter().flatten() {
        guest.store.set_deadline(Some(past));
        let start = Instant::now();
        guest.ends("spin", &[], Deadline);
        assert!(start.elapsed() <= LATE);
        guest.ends("short", &[], Deadline);
        assert_eq!(guest.store.deadline(), Some(past));
    }
    guest.store.set_deadline(now.checked_add(Duration::MAX));
    guest.gives("short", &[], &vals![5]);
    guest.store.set_deadline(Some(now + Duration::from_secs(1 << 30)));
    guest.gives("short", &[], &vals![5]);
    guest.store.set_deadline(None);
    guest.gives("short", &[], &vals![5]);
    // It is that of the call, in a host function too.
    let mut store = Store::new(&cx.engine, ());
    let mut linker = Linker::new(&cx.engine);
    linker
        .func_wrap("h", "wait", |caller: Caller<'_, ()>| {
            assert!(caller.deadline().is_some());
            loop {
                caller.check_stop()?;
                std::thread::yield_now();
            }
            #[allow(unreachable_code)]
            Ok(())
        })
        .unwrap();
    let module =
        cx.accepts_wat("(module (import \"h\" \"wait\" (func $w)) (func (export \"f\") (call $w) (unreachable)))");
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
    let start = Instant::now();
    store.set_deadline(Some(start + ms(20)));
    assert_eq!(f.call(&mut store, ()).unwrap_err().kind(), Deadline);
    assert!(start.elapsed() >= ms(20) && start.elapsed() <= ms(20) + LATE);
    cx.ok_in(&mut store);
}

pub(super) fn r10_a_deadline_ends_everything(cx: &Cx) {
    cx.timed();
    cx.may_take(ms(3000));
    cx.holds(64 << 20);
    let straight = "(local.set 0 (i32.add (local.get 0) (i32.const 3)))".repeat(1000);
    let mut guest = cx.guest(&format!(
        r#"(module (memory 1024)
            (func (export "loop") (loop (br 0)))
            (func (export "straight") (local i32) (loop {straight} (br 0)))
            (func (export "fill") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000)) (br 0)))
            (func (export "once") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000)))
            (func (export "trap") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
            (func $f (export "calls") (loop (call $g) (br 0))) (func $g)
            (func $t (export "tail") (return_call $t)))"#
    ));
    let within = |start: Instant, more: Duration, what: &str| {
        let took = start.elapsed();
        assert!(took >= ms(100) && took <= ms(100) + LATE + more, "{what} ended after {took:?}");
    };
    for name in ["loop", "straight", "calls", "tail"] {
        let start = Instant::now();
        guest.store.set_deadline(Some(start + ms(100)));
        guest.ends(name, &[], Deadline);
        within(start, Duration::ZERO, name);
    }
    // A bulk operation happens as a whole.
    guest.store.set_deadline(None);
    let start = Instant::now();
    guest.gives("once", &[], &[]);
    let once = start.elapsed();
    let start = Instant::now();
    guest.store.set_deadline(Some(start + ms(100)));
    guest.ends("fill", &[], Deadline);
    within(start, 2 * once, "fill");
    // Traps, one after the other: the call after the deadline says so.
    let trap = guest.instance.get_typed_func::<i32, i32>(&guest.store, "trap").unwrap();
    let start = Instant::now();
    guest.store.set_deadline(Some(start + ms(100)));
    while trap.call(&mut guest.store, 0).unwrap_err().kind() != Deadline && start.elapsed() < ms(2000) {}
    within(start, Duration::ZERO, "traps");
    guest.store.set_deadline(None);
    // A function of 7.6 MB that has to be translated first.
    let body = cat(&[&[0], &times(&[0x41, 0, 0x1A], 7_600_000 / 3), &[0x0B]]);
    let large = cx.aside(|| exported_body(&body));
    cx.no_oracle();
    let module = cx.load(&large).unwrap();
    let mut guest = cx.guest_of(&module);
    let f = guest.instance.get_typed_func::<(), ()>(&guest.store, "f").unwrap();
    let start = Instant::now();
    guest.store.set_deadline(Some(start + ms(100)));
    if let Err(error) = f.call(&mut guest.store, ()) {
        assert_eq!(error.kind(), Deadline);
    }
    let took = start.elapsed();
    assert!(took <= ms(100) + LATE, "a large function ended after {took:?}");
    #[cfg(feature = "wasi")]
    crate::wasi::costs::waiting_ends(cx, LATE);
}

pub(super) fn r26_calls_of_an_empty_host_function(cx: &Cx) {
    let calls = Arc::new(AtomicU64::new(0));
    let count = calls.clone();
    let mut guest = cx.guest_with(
        r#"(module (import "h" "none" (func $none)) (func (export "f") (local i32)
            (loop (call $none) (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
            (i32.const 1000000000))))))"#,
        move |_, linker| {
            linker
                .func_wrap("h", "none", move || {
                    count.fetch_add(1, Relaxed);
                })
                .unwrap();
        },
    );
    guest.store.set_fuel(1_000_000).unwrap();
    guest.ends("f", &[], OutOfFuel);
    let calls = calls.load(Relaxed);
    assert!((50_000..=1_000_000).contains(&calls), "{calls}");
    cx.note(&calls);
}
