//! Calls in and between instances, the stack that they lie on, and the code that the first of them translates.

extern crate std;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{I32, Rig, config, configs, short};
use crate::config::Compilation;
use crate::error::ErrorKind;
use crate::load::{EngineInner, load};
use crate::runtime::StoreInner;

#[test]
fn calls() {
    let wat = r#"(module
        (type $bin (func (param i32 i32) (result i32)))
        (table $t 8 funcref)
        (elem (table $t) (i32.const 0) func $add $sub $fib $swap)
        (global $g (mut i32) (i32.const 7))
        (func $add (export "add") (type $bin) (i32.add (local.get 0) (local.get 1)))
        (func $sub (export "sub") (type $bin) (i32.sub (local.get 0) (local.get 1)))
        (func $fib (export "fib") (param i32) (result i32)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                               (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
        (func $swap (export "swap") (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
        (func (export "indirect") (param i32 i32 i32) (result i32)
            (call_indirect (type $bin) (local.get 0) (local.get 1) (local.get 2)))
        (func (export "tail_indirect") (param i32 i32 i32) (result i32)
            (return_call_indirect (type $bin) (local.get 0) (local.get 1) (local.get 2)))
        (func $even (export "even") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
            (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
        (func $odd (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
            (return_call $even (i32.sub (local.get 0) (i32.const 1))))
        (func $down (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
        (func $forever (export "forever") (call $forever))
        (func (export "count") (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))"#;
    let cases: &[(&str, &[u64], &str)] = &[
        ("add", &[3, 4], "[7]"),
        ("sub", &[3, 4], "[4294967295]"),
        ("fib", &[20], "[6765]"),
        ("swap", &[5, 1 << 40], "[1099511627776, 5]"),
        ("indirect", &[8, 3, 0], "[11]"),
        ("indirect", &[8, 3, 1], "[5]"),
        ("indirect", &[8, 3, 1], "[5]"),
        ("indirect", &[8, 3, 2], "trap: indirect call type mismatch"),
        ("indirect", &[8, 3, 4], "trap: uninitialized element 4"),
        ("indirect", &[8, 3, 8], "trap: undefined element"),
        ("indirect", &[8, 3, 0xFFFF_FFFF], "trap: undefined element"),
        ("tail_indirect", &[8, 3, 0], "[11]"),
        ("tail_indirect", &[8, 3, 1], "[5]"),
        ("tail_indirect", &[8, 3, 3], "trap: indirect call type mismatch"),
        ("even", &[100_001], "[0]"),
        ("even", &[100_000], "[1]"),
        ("down", &[10_000], "[10000]"),
        ("forever", &[], "trap: call stack exhausted"),
        ("down", &[100], "[100]"),
        ("count", &[], "[8]"),
        ("count", &[], "[9]"),
    ];
    for config in configs() {
        let mut rig = Rig::new(config);
        let instance = rig.instantiate(wat, &[]).unwrap();
        for &(name, args, want) in cases {
            assert_eq!(short(rig.call(instance, name, args)), want, "{name} {args:?} {:?}", rig.store.engine.config);
        }
        assert!(rig.store.entries.is_empty());
    }
}

/// Two instances that call each other in every way; each has its own memory and global.
#[test]
fn instances() {
    let library = r#"(module
        (import "" "back" (func $back (param i32) (result i32)))
        (global $g (mut i32) (i32.const 1000))
        (memory (export "memory") 1)
        (func (export "bump") (param i32) (result i32)
            (global.set $g (i32.add (global.get $g) (local.get 0)))
            (i32.store (i32.const 0) (global.get $g))
            (global.get $g))
        (func (export "through") (param i32) (result i32)
            (i32.add (call $back (local.get 0)) (global.get $g)))
        (func (export "tail_through") (param i32) (result i32)
            (return_call $back (local.get 0)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1)))
        (func (export "trap") (unreachable)))"#;
    let program = r#"(module
        (import "lib" "bump" (func $bump (param i32) (result i32)))
        (import "lib" "through" (func $through (param i32) (result i32)))
        (import "lib" "tail_through" (func $tail_through (param i32) (result i32)))
        (import "lib" "grow" (func $grow (result i32)))
        (import "lib" "trap" (func $trap))
        (import "lib" "memory" (memory 1))
        (table funcref (elem $bump $through $tail_through))
        (global $g (mut i32) (i32.const 5))
        (func (export "mine") (result i32) (global.get $g))
        (func (export "both") (param i32) (result i32)
            (i32.add (call $bump (local.get 0)) (global.get $g)))
        (func (export "around") (param i32) (result i32) (i32.add (global.get $g) (call $through (local.get 0))))
        (func (export "around_tail") (param i32) (result i32) (i32.add (global.get $g) (call $tail_through (local.get 0))))
        (func (export "tail") (param i32) (result i32) (return_call $bump (local.get 0)))
        (func (export "indirect") (param i32 i32) (result i32)
            (i32.add (global.get $g) (call_indirect (param i32) (result i32) (local.get 0) (local.get 1))))
        (func (export "tail_indirect") (param i32 i32) (result i32)
            (return_call_indirect (param i32) (result i32) (local.get 0) (local.get 1)))
        (func (export "shared") (result i32) (i32.load (i32.const 0)))
        (func (export "grown") (result i32)
            (drop (call $grow)) (i32.load (i32.const 65536)) (drop) (memory.size))
        (func (export "trap") (call $trap)))"#;
    for config in configs() {
        let mut rig = Rig::new(config);
        // The library's import is a host function that calls the program back.
        let program_handle = Arc::new(AtomicUsize::new(0));
        let seen = program_handle.clone();
        let back = rig.host(I32, I32, move |rig, args| {
            let mine = rig.call(seen.load(Ordering::Relaxed) as u32, "mine", &[])?;
            Ok(vec![u64::from((args[0] + mine[0]) as u32)])
        });
        let library = rig.instantiate(library, &[back]).unwrap();
        let imports =
            ["bump", "through", "tail_through", "grow", "trap", "memory"].map(|name| rig.export(library, name));
        let program = rig.instantiate(program, &imports).unwrap();
        program_handle.store(program as usize, Ordering::Relaxed);
        let cases: &[(&str, &[u64], &str)] = &[
            ("both", &[1], "[1006]"),
            ("shared", &[], "[1001]"),
            ("around", &[10], "[1021]"),
            ("around_tail", &[10], "[20]"),
            ("tail", &[1], "[1002]"),
            ("indirect", &[1, 0], "[1008]"),
            ("indirect", &[1, 1], "[1014]"),
            ("indirect", &[1, 2], "[11]"),
            ("tail_indirect", &[1, 0], "[1004]"),
            ("tail_indirect", &[1, 1], "[1010]"),
            ("tail_indirect", &[1, 2], "[6]"),
            ("trap", &[], "trap: unreachable"),
            ("mine", &[], "[5]"),
            ("grown", &[], "[2]"),
            ("shared", &[], "[1004]"),
        ];
        for &(name, args, want) in cases {
            assert_eq!(short(rig.call(program, name, args)), want, "{name} {args:?}");
        }
        assert_eq!(rig.store.stack.crossings().len(), 0);
    }
}

/// Calls in tail position between instances take no room.
#[test]
fn tail_calls_across_instances_take_no_room() {
    let half = r#"(module
        (import "" "table" (table 2 funcref))
        (global $g (mut i32) (i32.const 0))
        (func $f (export "f") (param i32 i32) (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (if (i32.eqz (local.get 0)) (then (return (global.get $g))))
            (return_call_indirect (param i32 i32) (result i32)
                (i32.sub (local.get 0) (i32.const 1)) (i32.xor (local.get 1) (i32.const 1)) (local.get 1)))
        (func (export "nested") (param i32 i32) (result i32)
            (i32.add (i32.const 0) (call $f (local.get 0) (local.get 1))))
        (func (export "set") (param i32) (table.set (local.get 0) (ref.func $f))))"#;
    let mut rig = Rig::new(config());
    let table = rig.instantiate("(module (table (export \"t\") 2 funcref))", &[]).unwrap();
    let table = rig.export(table, "t");
    let halves = [0, 1].map(|i| {
        let half = rig.instantiate(half, &[table]).unwrap();
        rig.call(half, "set", &[i]).unwrap();
        half
    });
    for (name, first) in [("f", 50_001), ("nested", 100_002)] {
        assert_eq!(short(rig.call(halves[0], name, &[100_000, 1])), format!("[{first}]"));
    }
    let used = rig.store.budget.peak();
    assert_eq!(short(rig.call(halves[0], "nested", &[1_000_000, 1])), "[600003]");
    assert_eq!(rig.store.budget.peak(), used);
}

/// Stacks that grow while several calls from the host lie on them, in frames of every shape.
#[test]
fn stacks_move() {
    let wat = r#"(module
        (import "" "again" (func $again (param i32) (result i32)))
        (func $wide (export "wide") (param i32) (result i64)
            (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
            (local.set 1 (i64.extend_i32_u (local.get 0)))
            (if (result i64) (i32.eqz (local.get 0)) (then (i64.const 0)) (else
                (i64.add (call $tail (i32.sub (local.get 0) (i32.const 1))) (local.get 1)))))
        (func $tail (param i32) (result i64)
            (return_call $more (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)))
        (func $more (param i32 i64 i64 i64 i64 i64) (result i64) (return_call $wide (local.get 0)))
        (func (export "deep") (param i32) (result i32)
            (i32.wrap_i64 (i64.sub (call $wide (i32.const 500)) (i64.extend_i32_u
                (i32.sub (i32.const 125250) (call $again (local.get 0))))))))"#;
    for mut config in configs() {
        config.max_wasm_stack(64 << 20);
        let mut rig = Rig::new(config);
        let instance = Arc::new(AtomicUsize::new(0));
        let seen = instance.clone();
        let again = rig.host(I32, I32, move |rig, args| match args[0] {
            0 => Ok(vec![0]),
            n => {
                let deeper = rig.call(seen.load(Ordering::Relaxed) as u32, "deep", &[n - 1])?;
                Ok(vec![deeper[0] + 1])
            }
        });
        instance.store(rig.instantiate(wat, &[again]).unwrap() as usize, Ordering::Relaxed);
        let instance = instance.load(Ordering::Relaxed) as u32;
        let first = rig.store.stack.usable();
        assert_eq!(short(rig.call(instance, "deep", &[20])), "[20]");
        let grown = rig.store.stack.usable();
        assert!(grown > first);
        assert_eq!(short(rig.call(instance, "wide", &[20_000])), "[200010000]");
        assert!(rig.store.stack.usable() > grown);
        assert_eq!(short(rig.call(instance, "deep", &[99])), "[99]");
        assert_eq!(short(rig.call(instance, "deep", &[100])), "trap: call stack exhausted");
    }
}

#[test]
fn depth_is_exact() {
    let wat = r#"(module
        (import "" "again" (func $again (param i32) (result i32)))
        (table funcref (elem $down $id))
        (func $id (param i32) (result i32) (local.get 0))
        (func $down (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
        (func (export "siblings") (param i32) (result i32)
            (drop (i32.add (call $id (i32.const 1)) (i32.add (i32.const 2) (call $id (i32.const 1)))))
            (call $down (local.get 0)))
        (func (export "indirect") (param i32) (result i32)
            (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))
        (func (export "tail") (param i32) (result i32) (return_call $down (local.get 0)))
        (func (export "host") (param i32) (result i32) (call $again (local.get 0))))"#;
    // A limit of n allows n frames.
    let cases: &[(u32, &str, u64, bool)] = &[
        (0, "down", 0, false),
        (1, "down", 0, true),
        (1, "down", 1, false),
        (2, "down", 1, true),
        (1, "siblings", 0, false),
        (2, "siblings", 0, true),
        (10, "siblings", 8, true),
        (10, "siblings", 9, false),
        (10, "indirect", 8, true),
        (10, "indirect", 9, false),
        (10, "tail", 9, true),
        (10, "tail", 10, false),
        (10, "host", 8, true),
        (10, "host", 9, false),
        (u32::MAX, "down", 10_000, true),
    ];
    for &(max, name, arg, fits) in cases {
        let mut config = config();
        config.max_call_depth(Some(max));
        let mut rig = Rig::new(config);
        let instance = Arc::new(AtomicUsize::new(0));
        let seen = instance.clone();
        let again = rig.host(I32, I32, move |rig, args| rig.call(seen.load(Ordering::Relaxed) as u32, "down", &args));
        instance.store(rig.instantiate(wat, &[again]).unwrap() as usize, Ordering::Relaxed);
        for _ in 0..2 {
            let result = rig.call(instance.load(Ordering::Relaxed) as u32, name, &[arg]);
            assert_eq!(result.is_ok(), fits, "{max} {name} {arg}: {}", short(result));
            assert_eq!(rig.store.stack.count(), 0);
        }
    }
}

/// An invalid body is an error of the call that first needs it, and of every later one.
#[test]
fn lazy_validation() {
    let wat = r#"(module (func $bad (result i32) (i64.const 1))
        (func (export "ok") (result i32) (i32.const 1))
        (func (export "bad") (result i32) (call $bad)))"#;
    let wasm = wat::parse_str(wat).unwrap();
    for (compilation, loads) in
        [(Compilation::Lazy, true), (Compilation::LazyChecked, false), (Compilation::Eager, false)]
    {
        let mut config = config();
        config.compilation(compilation);
        let mut rig = Rig::new(config);
        let loaded = load(&rig.store.engine, wasm.clone().into());
        assert_eq!(loaded.is_ok(), loads);
        assert!(crate::load::validate(&rig.store.engine, wasm.clone().into()).is_err());
        let Ok(loaded) = loaded else { continue };
        let instance = rig.instantiate_loaded(&loaded, &[]).unwrap();
        for _ in 0..3 {
            assert_eq!(short(rig.call(instance, "ok", &[])), "[1]");
            assert_eq!(rig.call(instance, "bad", &[]).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}

/// Threads that translate, patch and run the same code.
#[test]
fn threads_share_code() {
    let mut text = String::from("(module (table funcref (elem");
    (0..100).for_each(|i| text += &format!(" $f{i}"));
    text += "))";
    for i in 0..100 {
        text += &format!(
            "(func $f{i} (param i32) (result i32) (if (result i32) (local.get 0)
                (then (i32.add (i32.const {i}) (call $f{} (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))",
            (i * 37 + 11) % 100
        );
    }
    text += "(func (export \"run\") (param i32) (result i32)
        (call_indirect (param i32) (result i32) (i32.const 60) (local.get 0))))";
    let wasm = wat::parse_str(&text).unwrap();
    for mut config in configs() {
        config.compilation(Compilation::Lazy);
        let engine = Arc::new(EngineInner::new(config).unwrap());
        let loaded = load(&engine, wasm.clone().into()).unwrap();
        let sums: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let loaded = loaded.clone();
                    scope.spawn(move || {
                        let store = StoreInner::new(loaded.engine.clone(), None);
                        let mut rig = Rig { store, hosts: vec![], limiter: Box::new(|_, _| true), failures: 0 };
                        let instance = rig.instantiate_loaded(&loaded, &[]).unwrap();
                        (0..100).map(|i| rig.call(instance, "run", &[i]).unwrap()[0]).sum()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(sums.iter().all(|&sum| sum == sums[0]), "{sums:?}");
    }
}
