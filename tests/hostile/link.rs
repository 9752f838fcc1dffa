//! Linking and embedding: imports that do not fit, starts that fail, hosts that panic, drop in any order or re-enter.
//!
//! Invariant: a failure says what and where, leaves what was written, and takes nothing with it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use jitless::{
    Caller, Compilation, Engine, Error, ErrorKind, ErrorKind::*, Extern, Func, FuncType, Global, GlobalType, Instance,
    Linker, Memory, MemoryType, Module, Mutability, Ref, RefType, ResourceLimiter, ResumableCall, Store,
    StoreLimitsBuilder, Table, TableType, TypedResumableCall, Val, ValType,
};

use crate::harness::*;

rows! {
    l1_imports_that_do_not_fit l2_imports_of_what_has_grown l3_starts_that_fail
    l4_a_function_that_escapes_a_failed_start l5_a_hundred_huge_memories l6_failure_at_each_step
    l7_a_host_that_loads_another_module l8_a_host_that_re_enters l9_things_of_another_engine l10_drops_in_any_order
    l11_an_error_of_the_host_from_deep_down l12_a_host_that_panics l13_calls_with_wrong_arguments
    l14_globals_set_by_the_host l15_a_million_imports l16_errors_with_hostile_names l17_export_names l18_eight_threads
    l19_stop_handles l20_limiters_of_all_sorts l21_resumable_calls l22_bytes_changed_after_loading
    l23_debug_of_everything
}

fn l1_imports_that_do_not_fit(cx: &Cx) {
    let mut world = cx.world(());
    world.add(
        "m",
        r#"(module (func (export "f") (param i32)) (memory (export "m") 2 5) (memory (export "open") 2)
            (table (export "t") 2 5 funcref) (table (export "x") 2 externref)
            (global (export "var") (mut i32) (i32.const 0)) (global (export "const") i32 (i32.const 0))
            (global (export "ref") (mut funcref) (ref.null func)) (global (export "cref") externref
            (ref.null extern)))"#,
    );
    for (import, wanted, found) in [
        ("\"m\" \"none\" (func)", "(func)", None),
        ("\"n\" \"f\" (func)", "(func)", None),
        ("\"m\" \"f\" (memory 1)", "(memory 1)", Some("(func (param i32))")),
        ("\"m\" \"m\" (func)", "(func)", Some("(memory 2 5)")),
        ("\"m\" \"f\" (func (param i32 i32))", "(func (param i32 i32))", Some("(func (param i32))")),
        ("\"m\" \"f\" (func (param i32) (result i32))", "(func (param i32) (result i32))", Some("(func (param i32))")),
        ("\"m\" \"m\" (memory 3)", "(memory 3)", Some("(memory 2 5)")),
        ("\"m\" \"m\" (memory 1 4)", "(memory 1 4)", Some("(memory 2 5)")),
        ("\"m\" \"open\" (memory 1 4)", "(memory 1 4)", Some("(memory 2)")),
        ("\"m\" \"t\" (table 3 funcref)", "(table 3 funcref)", Some("(table 2 5 funcref)")),
        ("\"m\" \"t\" (table 1 4 funcref)", "(table 1 4 funcref)", Some("(table 2 5 funcref)")),
        ("\"m\" \"x\" (table 1 4 externref)", "(table 1 4 externref)", Some("(table 2 externref)")),
        ("\"m\" \"x\" (table 1 funcref)", "(table 1 funcref)", Some("(table 2 externref)")),
        ("\"m\" \"var\" (global i32)", "(global i32)", Some("(global (mut i32))")),
        ("\"m\" \"const\" (global (mut i32))", "(global (mut i32))", Some("(global i32)")),
        ("\"m\" \"var\" (global (mut i64))", "(global (mut i64))", Some("(global (mut i32))")),
        ("\"m\" \"const\" (global i64)", "(global i64)", Some("(global i32)")),
        ("\"m\" \"ref\" (global (mut externref))", "(global (mut externref))", Some("(global (mut funcref))")),
        ("\"m\" \"cref\" (global funcref)", "(global funcref)", Some("(global externref)")),
    ] {
        let error = world.try_add(&format!("(module (import {import}))")).unwrap_err();
        assert_eq!(error.kind(), Link, "{import}: {error}");
        let [wrong] = error.import_errors() else { panic!("{import}: {error}") };
        let names = format!("\"{}\" \"{}\"", wrong.module, wrong.name);
        assert!(import.starts_with(&names), "{import}: {names}");
        let there = wrong.found.as_ref().map(|found| found.to_string());
        assert_eq!((wrong.wanted.as_str(), there.as_deref()), (wanted, found), "{import}: {error}");
        let line = error.to_string();
        let text = if found.is_some() { "incompatible import type" } else { "unknown import" };
        assert!(line.starts_with(text) && line.contains(&wrong.name), "{import}: {line}");
    }
    for import in [
        "\"m\" \"f\" (func (param i32))",
        "\"m\" \"m\" (memory 1)",
        "\"m\" \"m\" (memory 2 5)",
        "\"m\" \"m\" (memory 0 9)",
        "\"m\" \"t\" (table 0 9 funcref)",
        "\"m\" \"x\" (table 2 externref)",
        "\"m\" \"ref\" (global (mut funcref))",
        "\"m\" \"cref\" (global externref)",
    ] {
        world.try_add(&format!("(module (import {import}))")).expect(import);
    }
    // All at once, in the module's order.
    let text = "(module (import \"m\" \"a\" (func)) (import \"m\" \"f\" (func (param i32))) (import \"m\" \"f\"
        (func)) (import \"o\" \"b\" (memory 1)))";
    let error = world.try_add(text).unwrap_err();
    let names: Vec<_> = error.import_errors().iter().map(|wrong| wrong.name.as_str()).collect();
    assert_eq!(names, ["a", "f", "b"], "{error:#}");
}

fn l2_imports_of_what_has_grown(cx: &Cx) {
    let mut world = cx.world(());
    let a = world.add(
        "a",
        r#"(module (memory (export "m") 1 4) (table (export "t") 1 4 funcref)
            (func (export "grow") (drop (memory.grow (i32.const 3))) (drop (table.grow (ref.null func)
            (i32.const 3)))))"#,
    );
    let imports = ["(module (import \"a\" \"m\" (memory 4 4)))", "(module (import \"a\" \"t\" (table 4 4 funcref)))"];
    for text in imports {
        assert_eq!(world.try_add(text).unwrap_err().kind(), Link);
    }
    world.at(a).gives("grow", &[], &[]);
    for text in imports {
        world.try_add(text).unwrap();
    }
    assert_eq!(world.try_add("(module (import \"a\" \"m\" (memory 5)))").unwrap_err().kind(), Link);
    assert_eq!(world.try_add("(module (import \"a\" \"m\" (memory 1 3)))").unwrap_err().kind(), Link);
}

fn l3_starts_that_fail(cx: &Cx) {
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

fn l4_a_function_that_escapes_a_failed_start(cx: &Cx) {
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

fn l5_a_hundred_huge_memories(cx: &Cx) {
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

fn l6_failure_at_each_step(cx: &Cx) {
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

fn l7_a_host_that_loads_another_module(cx: &Cx) {
    let inner = cx.wat(
        "(module (memory 1) (func (export \"f\") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))",
    );
    let mut guest = cx.guest_with(
        r#"(module (import "h" "eval" (func $eval (param i32) (result i32))) (memory 1)
            (func (export "f") (param i32) (result i32) (i32.store (i32.const 0) (i32.const 5))
                (i32.add (call $eval (local.get 0)) (i32.add (i32.load (i32.const 0)) (call $eval
                (i32.const 100))))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "eval", move |mut caller: Caller<'_, ()>, n: i32| {
                    let module = Module::new(caller.engine(), &inner)?;
                    let instance = Instance::new(&mut caller, &module, &[])?;
                    let f = instance.get_typed_func::<i32, i32>(&caller, "f")?;
                    drop(module);
                    f.call(&mut caller, n)
                })
                .unwrap();
        },
    );
    for n in 0..20 {
        guest.gives("f", &vals![n], &vals![3 * n + 305]);
    }
}

fn l8_a_host_that_re_enters(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (type $t (func (param i32) (result i32))) (import "h" "again" (func $again (type $t)))
            (memory 1) (table $t (export "t") 2 funcref) (elem $e (i32.const 0) $host $other) (elem $p func $other)
            (func $host (type $t) (i32.add (call $again (local.get 0)) (i32.const 1)))
            (func $other (type $t) (i32.const 77))
            (func (export "inner") (param i32) (result i32)
                (drop (memory.grow (i32.const 3))) (i32.store (i32.const 200000) (i32.const 9))
                (drop (table.grow $t (ref.func $other) (i32.const 100)))
                (table.set $t (i32.const 0) (ref.func $other))
                (table.init $t $p (i32.const 1) (i32.const 0) (i32.const 1)) (elem.drop $p)
                (i32.mul (local.get 0) (i32.const 10)))
            (func (export "f") (param i32) (result i32 i32 i32 i32) (local i64 i64)
                (local.set 1 (i64.const 5)) (local.set 2 (i64.const 6))
                (i32.add (i32.wrap_i64 (i64.add (local.get 1) (local.get 2)))
                    (call_indirect (type $t) (local.get 0) (i32.const 0)))
                (i32.load (i32.const 200000)) (call_indirect (type $t) (i32.const 0) (i32.const 101))
                (i32.add (memory.size) (i32.wrap_i64 (local.get 1)))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "again", |mut caller: Caller<'_, ()>, n: i32| {
                    let inner = caller.get_export("inner").unwrap().into_func().unwrap();
                    inner.typed::<i32, i32>(&caller)?.call(&mut caller, n)
                })
                .unwrap();
        },
    );
    guest.gives("f", &vals![4], &vals![11 + 41, 9, 77, 4 + 5]);
    // Now slot 0 holds the other one.
    guest.gives("f", &vals![4], &vals![11 + 77, 9, 77, 4 + 5]);
}

fn l9_things_of_another_engine(cx: &Cx) {
    let other = Engine::new(&cx.mode.config()).unwrap();
    let bytes =
        cx.wat("(module (import \"h\" \"f\" (func (param i64 i64) (result i64))) (func (export \"g\") (param f32)))");
    let module = cx.load_in(&other, &bytes).unwrap();
    let mut store = Store::new(&cx.engine, ());
    let func = Func::wrap(&mut store, |a: i64, b: i64| a + b);
    let refused = |result: jitless::Result<()>| {
        let error = result.unwrap_err();
        cx.seen(&error);
        assert_eq!(error.kind(), Argument, "{error}");
    };
    refused(Instance::new(&mut store, &module, &[func.into()]).map(drop));
    let mut linker = Linker::new(&cx.engine);
    linker.func_wrap("h", "f", |a: i64, b: i64| a + b).unwrap();
    refused(linker.instantiate(&mut store, &module).map(drop));
    refused(linker.instantiate_pre(&module).map(drop));
    let mut linker = Linker::<()>::new(&other);
    refused(linker.define(&store, "h", "f", func).map(drop));
    linker.func_wrap("h", "f", |a: i64, b: i64| a + b).unwrap();
    refused(linker.instantiate(&mut store, &module).map(drop));
    let pre = linker.instantiate_pre(&module).unwrap();
    refused(pre.instantiate(&mut store).map(drop));
    let ours = cx.accepts(&bytes);
    refused(linker.instantiate(&mut store, &ours).map(drop));
    // A function type is a value, the same in every engine.
    let ty = FuncType::new(&other, [ValType::I64, ValType::I64], [ValType::I64]);
    let func = Func::new(&mut store, ty, |_, args, results| {
        results[0] = args[0].clone();
        Ok(())
    });
    Instance::new(&mut store, &ours, &[func.into()]).unwrap();
    cx.ok_in(&mut store);
}

fn l10_drops_in_any_order(cx: &Cx) {
    // All orders of four things; handles are plain numbers and outlive everything.
    for order in 0..24 {
        let mut rest = vec![0, 1, 2, 3];
        let order: Vec<usize> = [4, 3, 2, 1]
            .into_iter()
            .scan(order, |code, n| {
                let at = *code % n;
                *code /= n;
                Some(rest.remove(at))
            })
            .collect();
        let alive = Arc::new(AtomicI64::new(0));
        struct Data(Arc<AtomicI64>);
        impl Drop for Data {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        alive.fetch_add(1, Relaxed);
        let mut engine = Some(Engine::new(&cx.mode.config()).unwrap());
        let mut module = Some(
            Module::new(
                engine.as_ref().unwrap(),
                wat(r#"(module (import "h" "f" (func $h (param i32) (result i32))) (memory (export "m") 1)
                    (func (export "f") (param i32) (result i32) (i32.add (call $h (local.get 0)) (i32.load
                    (i32.const 0)))))"#),
            )
            .unwrap(),
        );
        let mut linker = Some(Linker::<Data>::new(engine.as_ref().unwrap()));
        linker.as_mut().unwrap().func_wrap("h", "f", |n: i32| n + 1).unwrap();
        let copy = linker.clone();
        let mut store = Some(Store::new(engine.as_ref().unwrap(), Data(alive.clone())));
        let instance = linker.as_ref().unwrap().instantiate(store.as_mut().unwrap(), module.as_ref().unwrap()).unwrap();
        let f = instance.get_typed_func::<i32, i32>(store.as_ref().unwrap(), "f").unwrap();
        let func = *f.func();
        let memory = instance.get_memory(store.as_ref().unwrap(), "m").unwrap();
        let handle = store.as_ref().unwrap().stop_handle();
        for (turn, what) in order.into_iter().enumerate() {
            match what {
                0 => drop(engine.take()),
                1 => drop(module.take()),
                2 => drop(linker.take()),
                _ => drop(store.take()),
            }
            match &mut store {
                Some(store) => {
                    memory.write(&mut *store, 0, &[turn as u8]).unwrap();
                    assert_eq!(f.call(&mut *store, 5).unwrap(), 6 + turn as i32);
                    let mut results = [Val::I32(0)];
                    func.call(&mut *store, &vals![5], &mut results).unwrap();
                    if let Some(module) = &module {
                        copy.as_ref().unwrap().instantiate(&mut *store, module).unwrap();
                    }
                }
                None => {
                    handle.stop();
                    assert_eq!(alive.load(Relaxed), 0);
                }
            }
        }
        assert_eq!(alive.load(Relaxed), 0);
    }
}

#[derive(Debug, PartialEq)]
struct MyError {
    code: i32,
}

impl std::fmt::Display for MyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "my error {}", self.code)
    }
}

impl std::error::Error for MyError {}

fn l11_an_error_of_the_host_from_deep_down(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "fail" (func $fail)) (global $after (export "after") (mut i32) (i32.const 0))
            (func $deep (export "f") (param i32)
                (if (local.get 0)
                    (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
                    (else (call $fail)))
                (global.set $after (i32.add (global.get $after) (i32.const 1)))))"#,
        |_, linker| {
            linker.func_wrap("h", "fail", || -> jitless::Result<()> { Err(Error::new(MyError { code: 77 })) }).unwrap();
        },
    );
    let error = guest.ends("f", &vals![5], Host);
    assert_eq!(error.downcast_ref::<MyError>(), Some(&MyError { code: 77 }));
    assert_eq!(error.to_string(), "my error 77");
    let frames = error.backtrace().unwrap().frames();
    assert_eq!(frames.iter().filter(|frame| !frame.is_host()).count(), 6, "{error:#}");
    assert_eq!(error.downcast::<MyError>().unwrap(), MyError { code: 77 });
    assert_eq!(guest.export("after").into_global().unwrap().get(&guest.store), Val::I32(0));
}

fn l12_a_host_that_panics(cx: &Cx) {
    /// A panic that prints nothing.
    fn panic_quietly() -> ! {
        resume_unwind(Box::new("the host's panic"))
    }
    struct Data {
        limiter: bool,
    }
    impl ResourceLimiter for Data {
        fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> jitless::Result<bool> {
            if self.limiter {
                panic_quietly()
            }
            Ok(true)
        }
        fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> jitless::Result<bool> {
            if self.limiter {
                panic_quietly()
            }
            Ok(true)
        }
    }
    let text = r#"(module (import "h" "panic" (func $panic)) (import "h" "nest" (func $nest)) (memory 1)
        (table 1 funcref)
        (func (export "plain") (local i64) (local.set 0 (i64.const 1)) (call $panic))
        (func (export "nested") (call $nest))
        (func (export "memory") (result i32) (memory.grow (i32.const 1)))
        (func (export "table") (result i32) (table.grow (ref.null func) (i32.const 1)))
        (func (export "fine") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))"#;
    let module = cx.accepts_wat(text);
    let mut store = Store::new(&cx.engine, Data { limiter: false });
    store.limiter(|data| data);
    let mut linker = Linker::new(&cx.engine);
    linker.func_wrap("h", "panic", || -> () { panic_quietly() }).unwrap();
    linker
        .func_wrap("h", "nest", |mut caller: Caller<'_, Data>| {
            let plain = caller.get_export("plain").unwrap().into_func().unwrap();
            plain.typed::<(), ()>(&caller)?.call(&mut caller, ())
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut guest = Guest { cx, store, linker, instance };
    guest.gives("fine", &vals![41], &vals![42]);
    let used = guest.store.memory_used();
    for name in ["plain", "nested", "memory", "table"] {
        for _ in 0..3 {
            guest.store.data_mut().limiter = true;
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let func = instance.get_func(&guest.store, name).unwrap();
                let mut results = vec![Val::I32(0); func.ty(&guest.store).results().len()];
                func.call(&mut guest.store, &[], &mut results)
            }));
            let panic = caught.expect_err("the panic reaches the caller");
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"the host's panic"));
            guest.store.data_mut().limiter = false;
            guest.gives("fine", &vals![41], &vals![42]);
        }
    }
    assert_eq!(guest.store.memory_used(), used);
    guest.gives("memory", &[], &vals![1]);
    guest.gives("table", &[], &vals![1]);
    drop(guest);
    // From the drop of a value of the host, collected or with the store.
    struct Bomb(Arc<AtomicI64>, bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
            if self.1 {
                panic_quietly()
            }
        }
    }
    let alive = Arc::new(AtomicI64::new(0));
    let mut guest = cx.guest("(module (global $g (export \"g\") (mut externref) (ref.null extern)))");
    let global = guest.export("g").into_global().unwrap();
    for armed in [true, false, true] {
        alive.fetch_add(1, Relaxed);
        let object = jitless::ExternRef::new(&mut guest.store, Bomb(alive.clone(), armed)).unwrap();
        global.set(&mut guest.store, object.into()).unwrap();
    }
    global.set(&mut guest.store, Val::null_extern_ref()).unwrap();
    for _ in 0..4 {
        let _ = catch_unwind(AssertUnwindSafe(|| guest.store.gc()));
    }
    drop(guest);
    assert_eq!(alive.load(Relaxed), 0);
}

fn l13_calls_with_wrong_arguments(cx: &Cx) {
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

fn l14_globals_set_by_the_host(cx: &Cx) {
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

fn l15_a_million_imports(cx: &Cx) {
    cx.may_take(ms(5000));
    cx.no_oracle();
    let n = size(1_000_000);
    let bytes = cx.aside(|| {
        let imports = cat(&[&leb(n as u64), &times(b"\x01a\x01b\0\0", n)]);
        module(&[&t0(), &section(2, &imports)])
    });
    let mut linker = Linker::new(&cx.engine);
    linker.func_wrap("a", "b", || ()).unwrap();
    let module = cx.accepts(&bytes);
    cx.within(ms(1000), || {
        let mut store = Store::new(&cx.engine, ());
        linker.instantiate(&mut store, &module).unwrap();
    });
    // None of them is there, none has a near name: the error is bounded all the same.
    let error = cx.within(ms(1000), || {
        Linker::<()>::new(&cx.engine).instantiate(&mut Store::new(&cx.engine, ()), &module).unwrap_err()
    });
    cx.seen(&error);
    assert_eq!(error.kind(), Link);
    drop(error);
    drop(module);

    let tiny = cx.accepts_wat("(module (func (export \"f\") (result i32) (i32.const 1)))");
    let mut store = Store::new(&cx.engine, ());
    let limits = StoreLimitsBuilder::new().total_memory(48 << 20).instances(100_000);
    store.set_limits(limits.build());
    let mut made = 0;
    cx.within(ms(1000), || {
        while made < 100_000 {
            match Instance::new(&mut store, &tiny, &[]) {
                Ok(_) => made += 1,
                Err(error) => {
                    assert_eq!(error.kind(), Budget, "{error}");
                    break;
                }
            }
        }
    });
    assert!(made > 20_000, "{made} instances in 48 MiB");
    cx.ok_in(&mut store);
    cx.within(ms(1000), || drop(std::mem::replace(&mut store, Store::new(&cx.engine, ()))));
}

fn l16_errors_with_hostile_names(cx: &Cx) {
    let name = "\x1B]0;own\x07\n\u{202E}é".repeat(100_000 / 15);
    let wide = &name[..name.floor_char_boundary(99_999)];
    let named = cx.aside(|| {
        let bytes = wide.as_bytes();
        let string = cat(&[&leb(bytes.len() as u64), bytes]);
        let import = cat(&[&[1], &string, &string, &[0, 0]]);
        let export = cat(&[&[1], &string, &[0, 1]]);
        let subsection = section(1, &cat(&[&[1, 1], &string]));
        let module_name = section(0, &string);
        let custom = section(0, &cat(&[&[4], b"name", &module_name, &subsection]));
        let code = section(10, &cat(&[&[1], &func(&hex("00 00 0B"))]));
        module(&[&t0(), &section(2, &import), &section(3, &[1, 0]), &section(7, &export), &code, &custom])
    });
    let module = cx.accepts(&named);
    // A link error.
    let mut linker = Linker::new(&cx.engine);
    let mut store = Store::new(&cx.engine, ());
    cx.seen(&linker.instantiate(&mut store, &module).unwrap_err());
    linker.func_wrap(wide, &format!("{wide}x"), || ()).unwrap();
    cx.seen(&linker.instantiate(&mut store, &module).unwrap_err());
    linker.func_wrap(wide, wide, || 1i32).unwrap();
    cx.seen(&linker.instantiate(&mut store, &module).unwrap_err());
    linker.allow_shadowing(true).func_wrap(wide, wide, || ()).unwrap();
    // A trap with a backtrace.
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut guest = Guest { cx, store, linker, instance };
    guest.traps(wide, &[], jitless::Trap::Unreachable);
    // Exports.
    cx.seen(&guest.instance.get_typed_func::<i32, ()>(&guest.store, wide).map(drop).unwrap_err());
    cx.seen(&guest.instance.get_typed_func::<(), ()>(&guest.store, &format!("{wide}x")).map(drop).unwrap_err());
    cx.seen(&guest.linker.allow_shadowing(false).func_wrap(wide, wide, || ()).map(drop).unwrap_err());
    cx.seen(&guest.linker.alias(wide, "none", "a", "b").map(drop).unwrap_err());
    // An invalid function with a name.
    let invalid = cx.aside(|| {
        let string = cat(&[&leb(wide.len() as u64), wide.as_bytes()]);
        let custom = section(0, &cat(&[&[4], b"name", &section(1, &cat(&[&[1, 0], &string]))]));
        cat(&[&body(&hex("00 6A 0B")), &custom])
    });
    cx.invalid(&invalid);
}

fn l17_export_names(cx: &Cx) {
    let long = "x".repeat(100_000);
    let names = ["\0", "", "constructor", "a\0b", "a", "__proto__", "é", &long];
    let exports: Vec<u8> = names
        .iter()
        .enumerate()
        .flat_map(|(at, name)| cat(&[&leb(name.len() as u64), name.as_bytes(), &[3, at as u8]]))
        .collect();
    let globals: Vec<u8> = (0..names.len()).flat_map(|at| vec![0x7F, 0, 0x41, at as u8, 0x0B]).collect();
    let count = [names.len() as u8];
    let bytes = module(&[&section(6, &cat(&[&count, &globals])), &section(7, &cat(&[&count, &exports]))]);
    let module = cx.accepts(&bytes);
    let guest = cx.guest_of(&module);
    for (at, name) in names.iter().enumerate() {
        let global = guest.instance.get_global(&guest.store, name).unwrap();
        assert_eq!(global.get(&guest.store), Val::I32(at as i32), "{name:?}");
        assert!(module.get_export(name).is_some());
        for other in [format!("{name}y"), format!("{name}\0"), name.replacen('x', "y", 1), name.to_uppercase()] {
            if !names.contains(&other.as_str()) {
                assert!(guest.instance.get_export(&guest.store, &other).is_none(), "{other:?}");
            }
        }
        let mut last = name.as_bytes().to_vec();
        if let Some(byte) = last.last_mut().filter(|byte| byte.is_ascii()) {
            *byte ^= 1;
            let other = String::from_utf8(last).unwrap();
            assert!(names.contains(&other.as_str()) || guest.instance.get_export(&guest.store, &other).is_none());
        }
    }
}

fn l18_eight_threads(cx: &Cx) {
    let mut config = cx.mode.config();
    if cx.mode == Mode::Default {
        config.compilation(Compilation::Lazy);
    }
    let mut functions = String::new();
    for n in 0..50 {
        functions += &format!(
            "(func $f{n} (export \"f{n}\") (param i32) (result i32)
                (i32.add (i32.mul (local.get 0) (i32.const {n})) (call $f{} (i32.const 1))))",
            n + 1
        );
    }
    let bytes = cx.wat(&format!(
        "(module (memory (export \"m\") 1) {functions} (func $f50 (param i32) (result i32) (i32.store (i32.const 0)
            (local.get 0))
            (i32.load (i32.const 0))))"
    ));
    cx.may_take(ms(5000));
    for _ in 0..turns(20, 5) {
        // A fresh module each time, so that its functions are translated in a race.
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, &bytes).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let (engine, module, bytes) = (&engine, &module, &bytes);
                    cx.spawn(scope, move || {
                        for turn in 0..turns(50, 10) {
                            let own = Module::new(engine, bytes).unwrap();
                            for module in [module, &own] {
                                let mut store = Store::new(engine, ());
                                let instance = Instance::new(&mut store, module, &[]).unwrap();
                                let name = format!("f{}", (thread * 7 + turn as usize) % 50);
                                let f = instance.get_typed_func::<i32, i32>(&store, &name).unwrap();
                                let n = (thread * 7 + turn as usize) % 50;
                                let sum: i32 = (n as i32 + 1..50).sum();
                                assert_eq!(f.call(&mut store, 3).unwrap(), 3 * n as i32 + sum + 1);
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| cx.join(thread));
        });
    }
}

fn l19_stop_handles(cx: &Cx) {
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

struct Limiter {
    answer: fn(usize, usize) -> jitless::Result<bool>,
    failures: u32,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> jitless::Result<bool> {
        (self.answer)(current, desired)
    }
    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> jitless::Result<bool> {
        (self.answer)(current, desired)
    }
    fn memory_grow_failed(&mut self, _: &Error) -> jitless::Result<()> {
        self.failures += 1;
        Ok(())
    }
    fn table_grow_failed(&mut self, _: &Error) -> jitless::Result<()> {
        self.failures += 1;
        Ok(())
    }
}

fn l20_limiters_of_all_sorts(cx: &Cx) {
    let module = cx.accepts_wat(
        r#"(module (memory (export "m") 1 100) (table (export "t") 1 1000000 funcref)
            (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
            (func (export "sizes") (result i32 i32) (memory.size) (table.size)))"#,
    );
    let mut store = Store::new(&cx.engine, Limiter { answer: |_, _| Ok(true), failures: 0 });
    store.limiter(|data| data);
    let linker = Linker::new(&cx.engine);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut guest = Guest { cx, store, linker, instance };
    guest.gives("sizes", &[], &vals![1, 1]);
    let used = guest.store.memory_used();
    // Refuses everything.
    guest.store.data_mut().answer = |_, _| Ok(false);
    guest.gives("memory", &vals![1], &vals![-1]);
    guest.gives("table", &vals![1], &vals![-1]);
    assert_eq!(guest.store.memory_used(), used);
    let refused = guest.linker.instantiate(&mut guest.store, &module).unwrap_err();
    assert_eq!(refused.kind(), Budget, "{refused}");
    assert_eq!(guest.store.memory_used(), used);
    assert!(Memory::new(&mut guest.store, MemoryType::new(1, None)).is_err());
    assert!(Table::new(&mut guest.store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).is_err());
    // Ends the call.
    guest.store.data_mut().answer = |_, desired| Err(Error::msg(format_args!("no {desired} for you")));
    guest.ends("memory", &vals![1], Host);
    guest.ends("table", &vals![1], Host);
    // Allows what the allocator then refuses.
    guest.store.data_mut().answer = |_, _| Ok(true);
    failing(1 << 20, 0, || guest.gives("memory", &vals![50], &vals![-1]));
    failing(1 << 20, 0, || guest.gives("table", &vals![500_000], &vals![-1]));
    assert_eq!((guest.store.data().failures, guest.store.memory_used()), (2, used));
    // Lies: says yes to more than there can be.
    guest.gives("memory", &vals![100], &vals![-1]);
    guest.gives("memory", &vals![-1], &vals![-1]);
    guest.gives("table", &vals![-1], &vals![-1]);
    guest.gives("sizes", &[], &vals![1, 1]);
    assert_eq!(guest.store.memory_used(), used);
    guest.gives("memory", &vals![2], &vals![1]);
    guest.gives("table", &vals![2], &vals![1]);
    guest.gives("sizes", &[], &vals![3, 3]);
    guest.store.data_mut().answer = |current, desired| Ok(desired > current);
}

fn l21_resumable_calls(cx: &Cx) {
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

fn l22_bytes_changed_after_loading(cx: &Cx) {
    let mut config = cx.mode.config();
    config.compilation(Compilation::Lazy);
    let engine = Engine::new(&config).unwrap();
    let mut bytes = wat(r#"(module (memory 1) (data (i32.const 0) "abc") (func (export "f") (result i32) (i32.load8_u
            (i32.const 1))))"#);
    let module = Module::new(&engine, &bytes).unwrap();
    bytes.fill(0xFF);
    drop(bytes);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    assert_eq!(instance.get_typed_func::<(), i32>(&store, "f").unwrap().call(&mut store, ()).unwrap(), b'b'.into());
}

fn l23_debug_of_everything(cx: &Cx) {
    #[track_caller]
    fn short(what: &dyn std::fmt::Debug) {
        for text in [format!("{what:?}"), format!("{what:#?}")] {
            assert!(text.len() <= 64 << 10, "{} bytes", text.len());
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        }
    }
    let evil = "\x1B[2J\n".repeat(1000);
    let escaped: String = evil.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let module = cx.accepts_wat(&format!(
        r#"(module (import "{escaped}" "{escaped}" (func $h (param i32))) (memory (export "m") 1) (table
            (export "t") 1 funcref)
            (global (export "{escaped}") (mut i32) (i32.const 0))
            (func (export "f") (param i32) (call $h (local.get 0))))"#
    ));
    let mut store = Store::new(&cx.engine, ());
    let mut linker = Linker::new(&cx.engine);
    linker
        .func_wrap(&evil, &evil, |caller: Caller<'_, ()>, _: i32| {
            short(&caller);
            short(&caller.backtrace());
            short(&caller.engine());
            short(&caller.instance());
            Err::<(), _>(Error::msg("enough"))
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let func = instance.get_func(&store, "f").unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    let object = jitless::ExternRef::new(&mut store, evil.clone()).unwrap();
    let paused = func.call_resumable(&mut store, &vals![1], &mut []).unwrap();
    let (typed, stop) = (func.typed::<i32, ()>(&store).unwrap(), store.stop_handle());
    let items: Vec<Extern> = instance.exports(&store).map(|export| export.into_extern()).collect();
    let import = module.imports().next().unwrap();
    let error = func.call(&mut store, &vals![1], &mut []).unwrap_err();
    let link = Linker::new(&cx.engine).instantiate(&mut store, &module).unwrap_err();
    let everything: [&dyn std::fmt::Debug; 22] = [
        &cx.engine,
        &cx.engine.config(),
        &module,
        &linker,
        &pre,
        &store,
        &instance,
        &func,
        &typed,
        &object,
        &paused,
        &stop,
        &items,
        &import,
        &error,
        &link,
        &error.cause(),
        &link.cause(),
        &error.backtrace(),
        &func.ty(&store),
        &store.limits(),
        &ErrorKind::Malformed,
    ];
    everything.into_iter().for_each(short);
    short(&Val::from(object));
    short(&module.exports().collect::<Vec<_>>());
    cx.ok_in(&mut store);
}
