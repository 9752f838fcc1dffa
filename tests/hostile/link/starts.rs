//! Instances that do not come about: at each step, up to the start function.

use std::time::Instant;

use jitless::{Error, ErrorKind::*, Instance, Linker, Memory, MemoryType, Store, StoreLimitsBuilder, Val};

use crate::harness::*;

pub(super) fn l3_starts_that_fail(cx: &Cx) {
    cx.timed();
    let mut world = cx.world(());
    world.linker.func_wrap("h", "exit", || -> jitless::Result<()> { Err(Error::exit(3)) }).unwrap();
    let a = world.add(
        "a",
        r#"(module (memory (export "m") 1) (table (export "t") 4 funcref) (global (export "g") (mut i32) (i32.const 0))
            (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
            (func (export "byte") (param i32) (result i32) (i32.load8_u (local.get 0))))"#,
    );
    for (slot, (ending, kind)) in
        [("unreachable", Trap), ("(loop (br 0))", OutOfFuel), ("(loop (br 0))", Deadline), ("(call $exit)", Exit)]
            .into_iter()
            .enumerate()
    {
        let start = Instant::now();
        match kind {
            OutOfFuel => world.store.set_fuel(10_000).unwrap(),
            Deadline => world.store.set_deadline(Some(start + ms(100))),
            _ => {}
        }
        let error = world.try_add(&format!(
            r#"(module (import "a" "m" (memory 1)) (import "a" "t" (table 4 funcref)) (import "a" "g" (global $g
                (mut i32)))
                (import "h" "exit" (func $exit)) (global $own (mut i32) (i32.const {}))
                (func $f (result i32) (global.set $own (i32.add (global.get $own) (i32.const 1))) (global.get $own))
                (func $start
                    (i32.store8 (i32.const {slot}) (i32.const {})) (table.set (i32.const {slot}) (ref.func $f))
                    (global.set $g (i32.add (global.get $g) (i32.const 1))) {ending})
                (elem declare func $f) (start $start))"#,
            100 * slot,
            slot + 7
        ));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        if kind == Exit {
            assert_eq!(error.exit_code(), Some(3));
        }
        if kind == Deadline {
            let took = start.elapsed();
            assert!(took >= ms(100) && took < ms(if cfg!(debug_assertions) { 1000 } else { 150 }), "{took:?}");
        }
        world.store.set_fuel(u64::MAX).unwrap();
        world.store.set_deadline(None);
        world.at(a).gives("byte", &vals![slot as i32], &vals![slot as i32 + 7]);
        world.gives("call", &vals![slot as i32], &vals![100 * slot as i32 + 1]);
        world.gives("call", &vals![slot as i32], &vals![100 * slot as i32 + 2]);
        let global = world.export("g").into_global().unwrap().get(&world.store);
        assert_eq!(global, Val::I32(slot as i32 + 1));
    }
}

pub(super) fn l4_a_function_that_escapes_a_failed_start(cx: &Cx) {
    cx.holds(16 << 20);
    cx.may_take(ms(3000));
    let mut world = cx.world(());
    let a = world.add(
        "a",
        r#"(module (table (export "t") 1 funcref)
            (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0))))"#,
    );
    let failing = cx.accepts_wat(
        r#"(module (import "a" "t" (table 1 funcref)) (memory 1) (global $g (mut i32) (i32.const 41))
            (func $private (result i32) (i32.store (i32.const 65532) (i32.const 1))
                (i32.add (global.get $g) (i32.load (i32.const 65532))))
            (func $start (table.set (i32.const 0) (ref.func $private)) unreachable)
            (elem declare func $private) (start $start))"#,
    );
    let limits = StoreLimitsBuilder::new().total_memory(64 << 20).instances(1_000_000).memories(1_000_000);
    world.store.set_limits(limits.build());
    world.at(a);
    let mut made = 0;
    for _ in 0..100_000 {
        match world.linker.instantiate(&mut world.store, &failing).unwrap_err() {
            error if error.trap() == Some(jitless::Trap::Unreachable) => made += 1,
            error => {
                assert_eq!(error.kind(), Budget, "{error}");
                break;
            }
        }
        if made < 10 {
            world.gives("call", &[], &vals![42]);
        }
    }
    // Each has its page, and stays.
    assert!((900..1024).contains(&made), "{made} instances in 64 MiB");
    assert!(world.store.memory_used() > 58 << 20);
    world.gives("call", &[], &vals![42]);
}

pub(super) fn l5_a_hundred_huge_memories(cx: &Cx) {
    let one = cat(&[&[0], &leb(65536)]);
    let bytes = module(&[&section(5, &cat(&[&[100], &times(&one, 100)]))]);
    assert!(bytes.len() < 800);
    let module = cx.accepts(&bytes);
    let mut store = Store::new(&cx.engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(64 << 20).build());
    let used = store.memory_used();
    let error = cx.within(ms(1), || cx.heap_within(64 << 10, || Instance::new(&mut store, &module, &[]).unwrap_err()));
    assert_eq!(error.kind(), Budget, "{error}");
    assert_eq!(store.memory_used(), used);
    cx.ok_in(&mut store);
}

pub(super) fn l6_failure_at_each_step(cx: &Cx) {
    let mut store = Store::new(&cx.engine, ());
    let mut linker = Linker::new(&cx.engine);
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    linker.define(&store, "h", "m", memory).unwrap();
    store.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).instances(100_000).build());
    for (step, text, kind, keeps) in [
        ("import", "(import \"h\" \"none\" (func)) (memory 1)", Link, false),
        ("import type", "(import \"h\" \"m\" (memory 2)) (memory 1)", Link, false),
        ("a memory", "(memory 1) (memory 100)", Budget, false),
        ("a table", "(memory 1) (table 10 funcref) (table 1000000 funcref)", Budget, false),
        (
            "an element segment",
            "(table 1 funcref) (func $f) (elem (i32.const 0) $f) (elem (i32.const 1) $f)",
            Trap,
            true,
        ),
        (
            "a data segment",
            "(import \"h\" \"m\" (memory 1)) (data (i32.const 0) \"x\") (data (i32.const -1) \"x\")",
            Trap,
            true,
        ),
        ("the start", "(func $f unreachable) (start $f)", Trap, true),
    ] {
        let module = cx.accepts_wat(&format!("(module {text})"));
        let used = store.memory_used();
        for round in 0..5 {
            let error = linker.instantiate(&mut store, &module).unwrap_err();
            cx.seen(&error);
            assert_eq!(error.kind(), kind, "{step}: {error}");
            // From the segments on an instance exists, that others may have hold of.
            let more = store.memory_used() - used;
            if !keeps || round == 0 {
                assert!(more <= if keeps { 4096 } else { 0 }, "{step}: {more} more bytes");
            }
        }
        cx.ok_in(&mut store);
    }
    // The allocator refuses, at the memory or at the table.
    let module = cx.accepts_wat("(module (memory 2) (table 8000 funcref) (memory 3))");
    store.set_limits(StoreLimitsBuilder::new().build());
    for after in 0..3 {
        let (used, live) = (store.memory_used(), cx.live());
        for _ in 0..3 {
            let error = failing(60_000, after, || linker.instantiate(&mut store, &module).unwrap_err());
            assert_eq!(error.kind(), Budget, "{error}");
        }
        assert_eq!(store.memory_used(), used, "{after}");
        assert!((cx.live() - live).abs() < 8192, "{after}");
    }
    linker.instantiate(&mut store, &module).unwrap();
    cx.ok_in(&mut store);
}
