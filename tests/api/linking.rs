//! Imports and what they find, and instantiation that fails half-way.

use std::time::{Duration, Instant};

use jitless::*;

use crate::{Check, module, refused, run, usable};

#[test]
fn l1_imports_that_do_not_fit() -> Check {
    // What is there, and what is wanted; the error's text, or nothing if it fits.
    let cases: &[(&str, &str, &str)] = &[
        (r#"(func (export "x"))"#, "(func)", ""),
        (r#"(func (export "x"))"#, "(func (param i32))", "needs (func (param i32)), is (func)"),
        (r#"(func (export "x") (param i32))"#, "(func)", "needs (func), is (func (param i32))"),
        (r#"(func (export "x"))"#, "(memory 1)", "needs (memory 1), is (func)"),
        (r#"(func (export "x"))"#, "(table 1 funcref)", "needs (table 1 funcref), is (func)"),
        (r#"(func (export "x"))"#, "(global i32)", "needs (global i32), is (func)"),
        (r#"(memory (export "x") 1)"#, "(func)", "needs (func), is (memory 1)"),
        (r#"(memory (export "x") 1)"#, "(memory 1)", ""),
        (r#"(memory (export "x") 2)"#, "(memory 1)", ""),
        (r#"(memory (export "x") 1)"#, "(memory 2)", "needs (memory 2), is (memory 1)"),
        (r#"(memory (export "x") 1)"#, "(memory 1 2)", "needs (memory 1 2), is (memory 1)"),
        (r#"(memory (export "x") 1 3)"#, "(memory 1 2)", "needs (memory 1 2), is (memory 1 3)"),
        (r#"(memory (export "x") 1 2)"#, "(memory 1 2)", ""),
        (r#"(memory (export "x") 1 2)"#, "(memory 1 3)", ""),
        (r#"(memory (export "x") 1 2)"#, "(memory 0)", ""),
        (r#"(table (export "x") 1 funcref)"#, "(table 1 funcref)", ""),
        (r#"(table (export "x") 1 funcref)"#, "(table 2 funcref)", "needs (table 2 funcref), is (table 1 funcref)"),
        (r#"(table (export "x") 1 9 funcref)"#, "(table 1 8 funcref)", "is (table 1 9 funcref)"),
        (r#"(table (export "x") 1 funcref)"#, "(table 1 externref)", "needs (table 1 externref), is (table 1 funcref)"),
        (r#"(global (export "x") i32 (i32.const 1))"#, "(global i32)", ""),
        (r#"(global (export "x") i32 (i32.const 1))"#, "(global i64)", "needs (global i64), is (global i32)"),
        (
            r#"(global (export "x") i32 (i32.const 1))"#,
            "(global (mut i32))",
            "needs (global (mut i32)), is (global i32)",
        ),
        (
            r#"(global (export "x") (mut i32) (i32.const 1))"#,
            "(global i32)",
            "needs (global i32), is (global (mut i32))",
        ),
        (r#"(global (export "x") (mut i32) (i32.const 1))"#, "(global (mut i32))", ""),
        (r#"(global (export "y") i32 (i32.const 1))"#, "(global i32)", "m.x not defined; needs (global i32)"),
    ];
    let engine = Engine::default();
    for (there, wanted, text) in cases {
        let mut store = Store::new(&engine, ());
        let exporter = Instance::new(&mut store, &module(&engine, &format!("(module {there})")), &[])?;
        let importer = module(&engine, &format!(r#"(module (import "m" "x" {wanted}))"#));
        let mut linker = Linker::new(&engine);
        linker.instance(&store, "m", exporter)?;
        let mut results = vec![
            linker.instantiate(&mut store, &importer),
            linker.instantiate_pre(&importer).and_then(|pre| pre.instantiate(&mut store)),
        ];
        if let Some(item) = exporter.get_export(&store, "x") {
            results.push(Instance::new(&mut store, &importer, &[item]));
        }
        for result in results {
            match *text {
                "" => drop(result?),
                text => refused(result, ErrorKind::Link, text),
            }
        }
    }
    Ok(())
}

#[test]
fn all_imports_that_do_not_fit_at_once() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "log", || {})?;
    linker.func_wrap("env", "now_ms", || 0i64)?;
    linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |_: i32| {})?;
    let module = module(
        &engine,
        r#"(module
            (import "env" "log" (func (param i32)))
            (import "env" "now_ms" (func (result i64)))
            (import "env" "now" (func (result i64)))
            (import "wasi_snapshot_preview2" "proc_exit" (func (param i32)))
            (import "other" "thing" (global i32)))"#,
    );
    let error = linker.instantiate(Store::new(&engine, ()), &module).unwrap_err();
    assert_eq!(
        error.to_string(),
        "incompatible import type: env.log needs (func (param i32)), is (func) (and 3 more imports that do not fit)"
    );
    let whole = format!("{error:#}");
    for text in [
        "cannot instantiate: 4 of 5 imports do not fit",
        "needs (func (param i32)), is (func)",
        "not defined; did you mean env.now_ms (func (result i64))",
        "not defined; did you mean wasi_snapshot_preview1.proc_exit (func (param i32))",
        "not defined; needs (global i32)",
    ] {
        assert!(whole.contains(text), "{whole}\nhas no: {text}");
    }
    assert_eq!(error.import_errors().len(), 4);
    Ok(())
}

#[test]
fn linkers_define_and_look_up() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("a", "f", || 1i32)?;
    refused(linker.func_wrap("a", "f", || 2i32), ErrorKind::Argument, "a.f is defined already");
    linker.alias("a", "f", "b", "g")?;
    linker.alias_module("a", "c")?;
    refused(linker.alias("a", "x", "b", "x"), ErrorKind::Argument, "a.x is not defined");
    refused(linker.alias_module("x", "b"), ErrorKind::Argument, "nothing is defined in x");
    let names: Vec<_> = linker.iter().map(|(module, name, ty)| format!("{module}.{name} {ty}")).collect();
    assert_eq!(names, ["a.f (func (result i32))", "b.g (func (result i32))", "c.f (func (result i32))"]);
    let (f, g) = (linker.get(&mut store, "a", "f"), linker.get(&mut store, "b", "g"));
    assert!(f.is_some() && f == g);
    assert_eq!(linker.get(&mut store, "a", "g"), None);
    linker.allow_shadowing(true).func_wrap("a", "f", || 2i32)?;
    let f = linker.get(&mut store, "a", "f").and_then(Extern::into_func).unwrap().typed::<(), i32>(&store)?;
    assert_eq!(f.call(&mut store, ())?, 2);
    Ok(())
}

#[test]
fn linkers_take_modules() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    let reactor = module(
        &engine,
        r#"(module (global $n (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $n (i32.const 5)))
            (func (export "n") (result i32) (global.get $n)))"#,
    );
    linker.module(&mut store, "reactor", &reactor)?;
    let user = module(
        &engine,
        r#"(module (import "reactor" "n" (func $n (result i32)))
            (func (export "run") (result i32) (i32.mul (call $n) (i32.const 2))))"#,
    );
    let instance = linker.instantiate(&mut store, &user)?;
    assert_eq!(run(&mut store, instance, "run")?, 10);
    Ok(())
}

#[test]
fn unknown_imports_can_be_filled_in() -> Check {
    let engine = Engine::default();
    let module = module(
        &engine,
        r#"(module (import "env" "f" (func $f (param i32) (result i64)))
            (func (export "run") (result i32) (i32.wrap_i64 (call $f (i32.const 1)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_traps(&module)?;
    let instance = linker.instantiate(&mut store, &module)?;
    refused(run(&mut store, instance, "run"), ErrorKind::Host, "call of env.f, which is not defined");

    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_default_values(&mut store, &module)?;
    let instance = linker.instantiate(&mut store, &module)?;
    assert_eq!(run(&mut store, instance, "run")?, 0);

    let all = self::module(
        &engine,
        r#"(module (import "e" "g" (global (mut f32))) (import "e" "h" (global externref))
            (import "e" "m" (memory 1 2)) (import "e" "t" (table 1 funcref)))"#,
    );
    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_traps(&all)?;
    refused(linker.instantiate(&mut store, &all), ErrorKind::Link, "4 of 4 imports do not fit");
    linker.define_unknown_imports_as_default_values(&mut store, &all)?;
    linker.instantiate(&mut store, &all)?;
    Ok(())
}

#[test]
fn l2_sizes_count_as_they_are() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(4)))?;
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, Some(4)), Ref::Func(None))?;
    linker.define(&store, "m", "m", memory)?.define(&store, "m", "t", table)?;
    let wanting = |min: u32, max: u32| {
        module(
            &engine,
            &format!(r#"(module (import "m" "m" (memory {min} {max})) (import "m" "t" (table {min} {max} funcref)))"#),
        )
    };
    let pre = linker.instantiate_pre(&wanting(3, 4))?;
    refused(pre.instantiate(&mut store), ErrorKind::Link, "2 of 2 imports do not fit");
    memory.grow(&mut store, 2)?;
    table.grow(&mut store, 2, Ref::Func(None))?;
    pre.instantiate(&mut store)?;
    linker.instantiate(&mut store, &wanting(3, 4))?;
    refused(linker.instantiate(&mut store, &wanting(4, 4)), ErrorKind::Link, "needs (memory 4 4), is (memory 3 4)");
    refused(linker.instantiate(&mut store, &wanting(3, 3)), ErrorKind::Link, "needs (memory 3 3), is (memory 3 4)");
    Ok(())
}

#[test]
fn l3_start_functions_that_fail() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "exit", |status: i32| -> Result<()> { Err(Error::exit(status)) })?;
    for (body, kind) in [
        ("(unreachable)", ErrorKind::Trap),
        ("(loop $l (br $l))", ErrorKind::OutOfFuel),
        ("(loop $l (br $l))", ErrorKind::Deadline),
        ("(call $exit (i32.const 3))", ErrorKind::Exit),
    ] {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
        let ty = GlobalType::new(ValType::I32, Mutability::Var);
        let global = Global::new(&mut store, ty, Val::I32(0))?;
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None))?;
        let mut linker = linker.clone();
        linker.define(&store, "env", "m", memory)?.define(&store, "env", "g", global)?;
        linker.define(&store, "env", "t", table)?;
        let module = module(
            &engine,
            &format!(
                r#"(module (import "env" "exit" (func $exit (param i32))) (import "env" "m" (memory 1))
                    (import "env" "g" (global $g (mut i32))) (import "env" "t" (table 1 funcref))
                    (elem declare func $start)
                    (func $start
                        (i32.store (i32.const 0) (i32.const 7)) (global.set $g (i32.const 8))
                        (table.set (i32.const 0) (ref.func $start)) {body})
                    (start $start))"#
            ),
        );
        let start = Instant::now();
        match kind {
            ErrorKind::OutOfFuel => store.set_fuel(100_000)?,
            ErrorKind::Deadline => store.set_deadline(Some(start + Duration::from_millis(100))),
            _ => {}
        }
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(kind != ErrorKind::Exit || error.exit_code() == Some(3));
        assert_eq!(memory.data(&store)[0], 7);
        assert_eq!(global.get(&store), Val::I32(8));
        assert!(table.get(&store, 0).is_some_and(|element| !element.is_null()));
        store.set_deadline(None);
        store.set_fuel(u64::MAX)?;
        usable(&mut store);
    }
    Ok(())
}

#[test]
fn l4_what_a_failed_start_left_in_a_table() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    store.set_limits(StoreLimitsBuilder::new().instances(2000).memories(2000).build());
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None))?;
    let module = module(
        &engine,
        r#"(module (import "env" "t" (table 1 funcref)) (memory 1)
            (elem declare func $private)
            (func $private (result i32)
                (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (i32.load (i32.const 0)))
            (func $start (i32.store (i32.const 0) (i32.const 41))
                (table.set (i32.const 0) (ref.func $private)) (unreachable))
            (start $start))"#,
    );
    for n in 0..1000u32 {
        let before = store.memory_used();
        let error = Instance::new(&mut store, &module, &[table.into()]).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Unreachable));
        assert!(store.memory_used() >= before + 65536, "instance {n} is not charged");
        let Some(Ref::Func(Some(private))) = table.get(&store, 0) else { panic!("nothing in the table") };
        assert_eq!(private.typed::<(), i32>(&store)?.call(&mut store, ())?, 42);
    }
    Ok(())
}

#[test]
fn l5_memories_beyond_the_budget() -> Check {
    let engine = Engine::default();
    let memories = "(memory 65536)".repeat(100);
    let module = module(&engine, &format!("(module {memories})"));
    let mut store = Store::new(&engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(64 << 20).build());
    let (before, start) = (store.memory_used(), Instant::now());
    for _ in 0..10 {
        refused(Instance::new(&mut store, &module, &[]), ErrorKind::Budget, "budget exceeded");
        assert_eq!(store.memory_used(), before);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    usable(&mut store);
    Ok(())
}

#[test]
fn l6_instantiation_fails_at_each_step() -> Check {
    let engine = Engine::default();
    for (wat, kind) in [
        (r#"(module (import "no" "thing" (func)))"#, ErrorKind::Link),
        ("(module (memory 60000))", ErrorKind::Budget),
        ("(module (memory 1) (table 10000000 funcref))", ErrorKind::Budget),
        (
            r#"(module (memory 1) (table 1 funcref) (elem (i32.const 0) func 0) (elem (i32.const 1) func 0) (func))"#,
            ErrorKind::Trap,
        ),
        (r#"(module (memory 1) (data (i32.const 0) "a") (data (i32.const 65536) "a"))"#, ErrorKind::Trap),
        (r#"(module (memory 1) (data (i32.const -1) "a"))"#, ErrorKind::Trap),
        ("(module (memory 1) (func (unreachable)) (start 0))", ErrorKind::Trap),
    ] {
        let mut store = Store::new(&engine, ());
        store.set_limits(StoreLimitsBuilder::new().total_memory(16 << 20).build());
        let (before, module) = (store.memory_used(), module(&engine, wat));
        for round in 1..=3 {
            let error = Linker::new(&engine).instantiate(&mut store, &module).unwrap_err();
            assert_eq!(error.kind(), kind, "{wat}: {error:#}");
            // An instance that came as far as its segments exists, as the specification has it.
            let kept = if kind == ErrorKind::Trap { 200_000 * round } else { 0 };
            assert!(store.memory_used() <= before + kept, "{wat}: {} kept", store.memory_used() - before);
        }
        usable(&mut store);
    }
    Ok(())
}

#[test]
fn l7_a_host_function_loads_and_runs_another_module() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "eval", |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
        let engine = caller.engine().clone();
        let wat = format!(r#"(module (func (export "run") (result i32) (i32.const {n})))"#);
        let module = Module::new(&engine, wat::parse_str(wat).map_err(Error::new)?)?;
        let instance = Linker::new(&engine).instantiate(&mut caller, &module)?;
        drop(module);
        instance.get_typed_func::<(), i32>(&caller, "run")?.call(&mut caller, ())
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "eval" (func $eval (param i32) (result i32)))
            (func (export "run") (result i32)
                (i32.add (call $eval (i32.const 30)) (call $eval (i32.const 12)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    for _ in 0..100 {
        assert_eq!(run(&mut store, instance, "run")?, 42);
    }
    Ok(())
}

#[test]
fn l8_a_host_function_changes_everything_under_its_caller() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "upset", |mut caller: Caller<'_, ()>| -> Result<i32> {
        let instance = caller.instance().unwrap();
        instance.get_typed_func::<(), ()>(&caller, "upset")?.call(&mut caller, ())?;
        // The stack moves too.
        instance.get_typed_func::<i32, i32>(&caller, "deep")?.call(&mut caller, 10_000)
    })?;
    let module = module(
        &engine,
        r#"(module (import "env" "upset" (func $host (result i32)))
            (type $f (func (result i32)))
            (memory 1) (table $t 2 funcref) (elem $e func $nine $nine)
            (elem (table $t) (i32.const 0) func $run $run)
            (func $nine (result i32) (i32.const 9))
            (func $deep (export "deep") (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                    (else (i32.const 0))))
            (func (export "upset")
                (drop (memory.grow (i32.const 100)))
                (i32.store (i32.const 6000000) (i32.const 5))
                (drop (table.grow $t (ref.null func) (i32.const 100000)))
                (table.set $t (i32.const 0) (ref.func $nine))
                (table.init $t $e (i32.const 1) (i32.const 0) (i32.const 1))
                (elem.drop $e))
            (func $run (result i32) (local i32 i64)
                (local.set 0 (i32.const 100)) (local.set 1 (i64.const 1000))
                (i32.add (call $host)
                    (i32.add (i32.add (local.get 0) (i32.wrap_i64 (local.get 1)))
                             (i32.load (i32.const 6000000)))))
            (func (export "run") (result i32)
                (i32.mul (call_indirect $t (type $f) (i32.const 0)) (i32.const 10)))
            (func (export "after") (result i32)
                (i32.add (call_indirect $t (type $f) (i32.const 0)) (call_indirect $t (type $f) (i32.const 1)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    assert_eq!(run(&mut store, instance, "run")?, 111_050);
    assert_eq!(run(&mut store, instance, "after")?, 18);
    Ok(())
}

#[test]
fn l9_another_engine() -> Check {
    let (one, two) = (Engine::default(), Engine::default());
    let module = module(&one, "(module)");
    let text = "belongs to another engine";
    let mut store = Store::new(&two, ());
    refused(Instance::new(&mut store, &module, &[]), ErrorKind::Argument, text);
    refused(Linker::new(&two).instantiate(&mut store, &module), ErrorKind::Argument, text);
    refused(Linker::<()>::new(&two).instantiate_pre(&module), ErrorKind::Argument, text);
    refused(Linker::new(&one).instantiate(&mut store, &module), ErrorKind::Argument, text);
    let pre = Linker::<()>::new(&one).instantiate_pre(&module)?;
    refused(pre.instantiate(&mut store), ErrorKind::Argument, text);
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    refused(Linker::new(&one).define(&store, "a", "b", memory), ErrorKind::Argument, text);
    // Types without defined types in them are the same everywhere.
    let ty = FuncType::new(&one, [ValType::I32], []);
    let func = Func::new(&mut store, ty, |_, _, _| Ok(()));
    func.call(&mut store, &[Val::I32(1)], &mut [])?;
    Ok(())
}
