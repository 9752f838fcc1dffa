//! Traps: where they say that they are, what of the stack they tell, and what has happened before them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{I32, Rig, config, configs, short};
use crate::error::{Error, Trap};

#[test]
fn segments_stay_where_a_later_one_traps() {
    let mut rig = Rig::new(config());
    let objects = rig
        .instantiate(
            r#"(module (memory (export "m") 1) (table (export "t") 3 funcref)
                (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
                (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
            &[],
        )
        .unwrap();
    let imports = [rig.export(objects, "m"), rig.export(objects, "t")];
    for (segments, want) in [
        (r#"(data (i32.const 1) "ab") (data (i32.const 65535) "cd")"#, "trap: out of bounds memory access"),
        (r#"(data (i32.const -1) "a")"#, "trap: out of bounds memory access"),
        (r#"(data (i32.const 65537) "")"#, "trap: out of bounds memory access"),
        (r#"(elem (i32.const 0) $f) (elem (i32.const 2) $f $f)"#, "trap: out of bounds table access"),
        (r#"(elem (i32.const 4))"#, "trap: out of bounds table access"),
    ] {
        let wat = format!(
            r#"(module (import "" "m" (memory 1)) (import "" "t" (table 3 funcref))
                (func $f (result i32) (i32.const 42)) {segments})"#
        );
        assert_eq!(rig.instantiate(&wat, &imports).unwrap_err().to_string(), want);
    }
    for (name, arg, want) in [
        ("load", 1, "[97]"),
        ("load", 2, "[98]"),
        ("load", 65535, "[0]"),
        ("call", 0, "[42]"),
        ("call", 2, "trap: uninitialized element 2"),
    ] {
        assert_eq!(short(rig.call(objects, name, &[arg])), want);
    }
    let fits = r#"(module (import "" "m" (memory 1)) (import "" "t" (table 3 funcref))
        (data (i32.const 65536) "") (elem (i32.const 3)))"#;
    rig.instantiate(fits, &imports).unwrap();
}

/// Where, with which operands, and what it cost.
#[test]
fn traps_say_where() {
    let wat = r#"(module $m
        (import "env" "step" (func $step (param i32)))
        (memory 1) (table 3 funcref)
        (func $load (param i32) (result i32) (i32.load offset=4 (local.get 0)))
        (func $outer (export "outer") (param i32) (result i32) (i32.add (i32.const 1) (call $load (local.get 0))))
        (func (export "store") (param i32) (i64.store16 offset=1 (local.get 0) (i64.const 1)))
        (func (export "stepping") (param i32) (call $step (local.get 0)))
        (func (export "div") (param i32) (result i32)
            (local i32)
            (local.set 1 (i32.const 100))
            (loop (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
            (i32.div_u (i32.const 1) (local.get 0)))
        (func (export "copy") (memory.copy (i32.const 0) (i32.const 1) (i32.const 65536)))
        (func (export "indirect") (call_indirect (i32.const 2))))"#;
    let cases: &[(&str, &[u64], &str)] = &[
        (
            "outer",
            &[70000],
            "trap: out of bounds memory access\n  \
             i32.load of 4 bytes at 70004 (base 70000 + offset 4); memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: load  m\n    1: outer  m",
        ),
        (
            "store",
            &[0xFFFF_FFFF],
            "trap: out of bounds memory access\n  \
             i64.store16 of 2 bytes at 4294967296 (base 4294967295 + offset 1); memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: store  m",
        ),
        (
            "stepping",
            &[70000],
            "trap: out of bounds memory access\n  \
             i32.load of 4 bytes at 70004 (base 70000 + offset 4); memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: load  m\n    1: outer  m\n    -- host: env.step\n    2: stepping  m",
        ),
        ("div", &[0], "trap: integer divide by zero\n  wasm backtrace, innermost first:\n    0: div  m"),
        (
            "copy",
            &[],
            "trap: out of bounds memory access\n  \
             memory.copy of 65536 bytes at 1; memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: copy  m",
        ),
        (
            "indirect",
            &[],
            "trap: uninitialized element 2\n  call_indirect of element 2; table 0 holds 3 elements\n  \
             wasm backtrace, innermost first:\n    0: indirect  m",
        ),
    ];
    let mut bills = Vec::new();
    for config in configs() {
        let mut rig = Rig::new(config);
        let instance = Arc::new(AtomicUsize::new(0));
        let seen = instance.clone();
        let step = rig.host(I32, &[], move |rig, args| {
            rig.call(seen.load(Ordering::Relaxed) as u32, "outer", &args).map(|_| vec![]).inspect_err(|error| {
                // Only the guest's own frames are on it yet.
                assert_eq!(error.backtrace().unwrap().frames().len(), 4);
            })
        });
        instance.store(rig.instantiate(wat, &[step]).unwrap() as usize, Ordering::Relaxed);
        let instance = instance.load(Ordering::Relaxed) as u32;
        for &(name, args, want) in cases {
            let error = rig.call(instance, name, args).unwrap_err();
            let text = format!("{error:#}");
            // Without the offsets.
            let lines: Vec<String> = text
                .lines()
                .map(|line| {
                    let words: Vec<&str> = line.split(' ').collect();
                    let kept = words.iter().filter(|word| !word.starts_with("0x"));
                    let line = kept.copied().collect::<Vec<_>>().join(" ");
                    if line.starts_with("    ") { format!("    {}", line.trim().replace(":  ", ": ")) } else { line }
                })
                .map(|line| match line.split_once("  m") {
                    Some((before, "")) => format!("{}  m", before.trim_end()),
                    _ => line,
                })
                .collect();
            assert_eq!(lines.join("\n"), want);
        }
        let frames = |error: &Error| error.backtrace().unwrap().frames().to_vec();
        let error = rig.call(instance, "outer", &[70000]).unwrap_err();
        let desc = &rig.store.instance(instance).module.desc;
        for (frame, (function, opcode)) in frames(&error).iter().zip([(1, 0x28), (2, 0x10)]) {
            assert_eq!(frame.func_index(), function);
            assert_eq!(desc.bytes[frame.module_offset()], opcode);
            assert_eq!(frame.module_offset() - frame.func_offset(), desc.body(function).unwrap().start as usize);
        }
        // What was spent before the trap is charged: 2 for the start, 99 times round, 4 a time, and 3 to the end.
        let before = rig.store.fuel_used();
        rig.call(instance, "div", &[0]).unwrap_err();
        bills.push(rig.store.fuel_used() - before);
        let before = rig.store.fuel_used();
        rig.call(instance, "div", &[1]).unwrap();
        bills.push(rig.store.fuel_used() - before);
    }
    assert!(bills.iter().all(|&bill| bill == bills[0]), "{bills:?}");
}

#[test]
fn backtraces_are_bounded() {
    let wat = r#"(module (func $f (export "f") (call $f)) (func $g (export "g") (param i32)
        (if (local.get 0) (then (call $g (i32.sub (local.get 0) (i32.const 1)))) (else (unreachable)))))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    let error = rig.call(instance, "g", &[1000]).unwrap_err();
    let trace = error.backtrace().unwrap();
    assert_eq!((trace.frames().len(), trace.left_out()), (64, 937));
    for _ in 0..100 {
        let error = rig.call(instance, "f", &[]).unwrap_err();
        let trace = error.backtrace().unwrap();
        assert_eq!(error.trap(), Some(Trap::StackOverflow));
        assert_eq!(trace.frames().len(), 64);
        assert!(trace.left_out() > 10_000);
    }
    let peak = rig.store.budget.peak();
    rig.call(instance, "f", &[]).unwrap_err();
    assert_eq!(rig.store.budget.peak(), peak);
}
