//! What a call costs, and what it pauses or stops for: fuel, stop handles, deadlines.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use jitless_machine::control::SHORT_TABLE;

use super::{I32, Rig, config, configs, short};
use crate::error::ErrorKind;
use crate::exec::{Outcome, Pause};

const PRIMES: &str = r#"(module
    (import "" "see" (func $see (param i32)))
    (memory 1)
    (table 4 funcref)
    (elem declare func $sieve)
    (func $sieve (export "sieve") (param i32) (result i32) (local $i i32) (local $j i32) (local $n i32)
        (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
        (local.set $i (i32.const 2))
        (loop $outer
            (if (i32.load8_u (local.get $i)) (then
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (call $see (local.get $i))
                (local.set $j (i32.mul (local.get $i) (local.get $i)))
                (block $done (loop $inner
                    (br_if $done (i32.ge_u (local.get $j) (local.get 0)))
                    (i32.store8 (local.get $j) (i32.const 0))
                    (local.set $j (i32.add (local.get $j) (local.get $i)))
                    (br $inner)))))
            (table.set (i32.and (local.get $i) (i32.const 3)) (ref.func $sieve))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $outer (i32.lt_u (local.get $i) (local.get 0))))
        (local.get $n)))"#;

/// The same bill in every layout; with one unit less it does not end; with any less it is stopped on its way.
#[test]
fn fuel_is_exact() {
    let mut bills = Vec::new();
    for config in configs() {
        let mut rig = Rig::new(config);
        let see = rig.host(I32, &[], |_, _| Ok(vec![]));
        let instance = rig.instantiate(PRIMES, &[see]).unwrap();
        for n in [100, 200] {
            let before = rig.store.fuel_used();
            let primes = if n == 100 { "[25]" } else { "[46]" };
            assert_eq!(short(rig.call(instance, "sieve", &[n])), primes);
            let bill = rig.store.fuel_used() - before;
            bills.push((n, bill));
            for fuel in [bill, bill - 1].into_iter().chain((0..bill).step_by(37)) {
                rig.store.set_fuel(fuel);
                let result = rig.call(instance, "sieve", &[n]);
                if fuel == bill {
                    assert_eq!(short(result), primes);
                } else {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::OutOfFuel, "{fuel} of {bill}");
                    assert!(error.required_fuel() > Some(0));
                }
                assert_eq!(rig.store.fuel_left(), 0);
            }
            rig.store.set_fuel(u64::MAX);
            assert_eq!(rig.store.fuel_left(), u64::MAX);
        }
    }
    for n in [100, 200] {
        let mut same = bills.iter().filter(|bill| bill.0 == n).map(|bill| bill.1);
        let first = same.next().unwrap();
        assert!(same.all(|bill| bill == first), "{bills:?}");
    }
}

/// Tables short and long, whose entries differ, lead to the same places at the same price.
#[test]
fn branch_tables_of_any_length() {
    for config in configs() {
        for n in [0, 1, 2, SHORT_TABLE, SHORT_TABLE + 1] {
            let labels: String = (0..n).map(|i| ["$a ", "$b "][i as usize % 2]).collect();
            let wat = format!(
                r#"(module (func (export "f") (param i32) (result i32)
                    (block $c
                        (block $b
                            (block $a (br_table {labels} $c (local.get 0)))
                            (return (i32.const 10)))
                        (return (i32.const 20)))
                    (i32.const 30)))"#
            );
            let mut rig = Rig::new(config.clone());
            let instance = rig.instantiate(&wat, &[]).unwrap();
            for i in [0, 1, 2, n.saturating_sub(1), n, n + 1, u32::MAX] {
                let (want, bill) = if i >= n { (30, 3) } else { ([10, 20][i as usize % 2], 4) };
                let before = rig.store.fuel_used();
                assert_eq!(rig.call(instance, "f", &[i.into()]).unwrap(), [want], "{i} of {n}");
                assert_eq!(rig.store.fuel_used() - before, bill, "{i} of {n}");
            }
        }
    }
}

/// A call that pauses again and again costs, and gives, the same; the store is free meanwhile.
#[test]
fn pauses() {
    for config in configs() {
        let mut rig = Rig::new(config);
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let see = rig.host(I32, &[], move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(vec![])
        });
        let instance = rig.instantiate(PRIMES, &[see]).unwrap();
        let func = rig.func(instance, "sieve");
        let other = rig.instantiate("(module (func (export \"spin\") (loop (br 0))))", &[]).unwrap();
        let other = rig.func(other, "spin");
        let before = rig.store.fuel_used();
        rig.call_func(func, &[100]).unwrap();
        let bill = rig.store.fuel_used() - before;
        for step in [1, 7, 100] {
            let before = rig.store.fuel_used();
            let calls = seen.load(Ordering::Relaxed);
            rig.store.set_fuel(0);
            rig.store.enter(func, &[100], true).unwrap();
            let mut pauses = 0;
            let results = loop {
                match rig.serve() {
                    Outcome::Done => break rig.finish(func),
                    Outcome::Paused(Pause::OutOfFuel { required }) => {
                        pauses += 1;
                        let paused = rig.store.detach();
                        assert!(rig.store.entries.is_empty());
                        if pauses == 3 {
                            // Something else in between, and a paused call that is dropped.
                            let left = (rig.store.fuel_left(), rig.store.fuel_used());
                            rig.store.set_fuel(0);
                            rig.store.enter(other, &[], true).unwrap();
                            assert!(matches!(rig.serve(), Outcome::Paused(_)));
                            drop(rig.store.detach());
                            rig.store.set_fuel(left.0);
                        }
                        let left = rig.store.fuel_left();
                        rig.store.set_fuel(left + if pauses % 2 == 0 { required.max(step) } else { step });
                        rig.store.attach(paused).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(results, [25]);
            assert!(pauses > 3);
            assert_eq!(seen.load(Ordering::Relaxed) - calls, 25);
            // What was added to settle a debt was not all needed.
            let used = rig.store.fuel_used() - before;
            assert!(used >= bill, "{used} {bill}");
            rig.store.set_fuel(u64::MAX);
        }
        // Dropped calls are freed at the next one.
        let held = rig.store.budget.used();
        for _ in 0..100 {
            rig.store.set_fuel(10);
            rig.store.enter(func, &[100], true).unwrap();
            assert!(matches!(rig.serve(), Outcome::Paused(_)));
            drop(rig.store.detach());
        }
        assert!(rig.store.budget.used() < held + (1 << 20));
    }
}

#[test]
fn a_paused_call_belongs_to_its_store() {
    let wat = "(module (func (export \"f\") (loop (br 0))))";
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    rig.store.set_fuel(10);
    rig.store.enter(rig.func(instance, "f"), &[], true).unwrap();
    assert!(matches!(rig.serve(), Outcome::Paused(_)));
    let paused = rig.store.detach();
    let mut other = Rig::new(config());
    assert_eq!(other.store.attach(paused).unwrap_err().kind(), ErrorKind::Argument);
    assert!(other.store.entries.is_empty());
}

#[test]
fn stops() {
    let wat = r#"(module
        (import "" "stop" (func $stop))
        (func (export "spin") (call $stop) (loop (br 0)))
        (func (export "f") (result i32) (i32.const 1)))"#;
    let mut rig = Rig::new(config());
    let handle = rig.store.stop_handle();
    let during = handle.clone();
    let stop = rig.host(&[], &[], move |_, _| {
        during.stop();
        Ok(vec![])
    });
    let instance = rig.instantiate(wat, &[stop]).unwrap();
    // When none runs it stops nothing.
    handle.stop();
    for _ in 0..3 {
        assert_eq!(short(rig.call(instance, "f", &[])), "[1]");
        assert_eq!(short(rig.call(instance, "spin", &[])), "stopped by the host");
    }
    handle.stop();
    assert_eq!(short(rig.call(instance, "f", &[])), "[1]");
    // From another thread.
    let instance = rig.instantiate("(module (func (export \"spin\") (loop (br 0))))", &[]).unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(core::time::Duration::from_millis(50));
        handle.stop();
    });
    assert_eq!(short(rig.call(instance, "spin", &[])), "stopped by the host");
    thread.join().unwrap();
}

#[cfg(feature = "std")]
#[test]
fn deadlines() {
    use core::time::Duration;
    use std::time::Instant;
    let wat = r#"(module
        (memory 1)
        (func (export "spin") (loop (br 0)))
        (func (export "fill") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)))
        (func (export "f") (result i32) (i32.const 1)))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    assert_eq!(short(rig.call(instance, "f", &[])), "[1]");
    let now = Instant::now();
    for (name, deadline, want) in [
        ("f", Some(now), "deadline passed"),
        ("f", now.checked_add(Duration::from_secs(3600)), "[1]"),
        ("spin", Some(now + Duration::from_millis(60)), "deadline passed"),
        ("fill", Some(now + Duration::from_millis(120)), "deadline passed"),
        ("f", None, "[1]"),
    ] {
        rig.store.set_deadline(deadline);
        assert_eq!(rig.store.deadline(), deadline);
        assert_eq!(short(rig.call(instance, name, &[])), want, "{name}");
        assert_eq!(rig.store.check_stop().is_err(), want == "deadline passed");
    }
    assert!(now.elapsed() < Duration::from_secs(20));
}

#[test]
fn charges() {
    let mut rig = Rig::new(config());
    rig.store.set_fuel(100);
    for (fuel, left, required) in
        [(40, 60, None), (61, 60, Some(1)), (u64::MAX, 60, Some(u64::MAX - 60)), (60, 0, None)]
    {
        let result = rig.store.charge(fuel);
        assert_eq!(rig.store.fuel_left(), left);
        assert_eq!(result.err().and_then(|error| error.required_fuel()), required);
    }
    assert_eq!(rig.store.fuel_used(), 100);
    rig.store.set_fuel(u64::MAX);
    rig.store.charge(u64::MAX).unwrap();
    assert_eq!((rig.store.fuel_left(), rig.store.fuel_used()), (u64::MAX, u64::MAX));
}
