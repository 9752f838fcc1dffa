//! Memories, tables, globals and references from the host, and how long they live.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jitless::*;

use crate::{Check, SPIN, alone, module, refused, run, usable};

#[test]
fn t17_things_of_another_store() -> Check {
    let engine = Engine::default();
    let wat = r#"(module (func (export "f") (param funcref externref)) (memory (export "m") 1)
        (table (export "t") 1 funcref) (table (export "x") 1 externref)
        (global (export "g") (mut funcref) (ref.null func)))"#;
    let module = module(&engine, wat);
    let (mut one, mut two) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let (a, b) = (Instance::new(&mut one, &module, &[])?, Instance::new(&mut two, &module, &[])?);
    let object = ExternRef::new(&mut two, 1)?;
    let f = b.get_func(&two, "f").unwrap();
    let text = "belongs to another store";
    let kind = ErrorKind::Argument;

    // A foreign thing as an argument or a value.
    let own = a.get_func(&one, "f").unwrap();
    refused(own.call(&mut one, &[Val::from(f), Val::ExternRef(None)], &mut []), kind, text);
    refused(own.call(&mut one, &[Val::FuncRef(None), Val::from(object.clone())], &mut []), kind, text);
    let typed = own.typed::<(Option<Func>, Option<ExternRef>), ()>(&one)?;
    refused(typed.call(&mut one, (Some(f), None)), kind, text);
    refused(typed.call(&mut one, (None, Some(object.clone()))), kind, text);
    let (t, x, g) =
        (a.get_table(&one, "t").unwrap(), a.get_table(&one, "x").unwrap(), a.get_global(&one, "g").unwrap());
    refused(t.set(&mut one, 0, f.into()), kind, text);
    refused(t.grow(&mut one, 1, f.into()), kind, text);
    refused(t.fill(&mut one, 0, f.into(), 1), kind, text);
    refused(x.set(&mut one, 0, object.clone().into()), kind, text);
    refused(g.set(&mut one, f.into()), kind, text);
    let (table_type, global_type) = (t.ty(&one), g.ty(&one));
    refused(Table::new(&mut one, table_type, f.into()), kind, text);
    refused(Global::new(&mut one, global_type, f.into()), kind, text);
    let returns = Func::wrap(&mut one, move || Some(f));
    refused(returns.call(&mut one, &[], &mut [Val::I32(0)]), kind, text);

    // A foreign thing itself.
    refused(f.call(&mut one, &[Val::FuncRef(None), Val::ExternRef(None)], &mut []), kind, text);
    refused(f.typed::<(), ()>(&one), kind, text);
    refused(object.data(&one), kind, text);
    let (m, t, g) =
        (b.get_memory(&two, "m").unwrap(), b.get_table(&two, "t").unwrap(), b.get_global(&two, "g").unwrap());
    refused(m.read(&one, 0, &mut [0]), kind, text);
    refused(m.write(&mut one, 0, &[0]), kind, text);
    refused(m.grow(&mut one, 1), kind, text);
    refused(m.read_str(&one, 0, 0), kind, text);
    refused(t.set(&mut one, 0, Ref::Func(None)), kind, text);
    refused(t.grow(&mut one, 1, Ref::Func(None)), kind, text);
    let own = a.get_table(&one, "t").unwrap();
    refused(Table::copy(&mut one, &own, 0, &t, 0, 1), kind, text);
    refused(Table::copy(&mut one, &t, 0, &own, 0, 1), kind, text);
    refused(g.set(&mut one, Val::FuncRef(None)), kind, text);
    refused(b.get_typed_func::<(), ()>(&one, "f"), kind, text);
    assert_eq!((m.size(&one), m.data_size(&one), m.data(&one)), (0, 0, &[][..]));
    assert!(m.data_mut(&mut one).is_empty());
    assert_eq!((t.size(&one), t.get(&one, 0), g.get(&one)), (0, None, Val::I32(0)));
    assert_eq!((f.ty(&one).to_string().as_str(), b.get_export(&one, "f")), ("(func)", None));
    assert_eq!(b.exports(&one).len(), 0);

    // A foreign thing in a linker.
    let mut linker = Linker::new(&engine);
    refused(linker.define(&one, "m", "m", m), kind, text);
    refused(linker.instance(&one, "m", b), kind, text);
    linker.define(&two, "m", "m", m)?;
    let importer = self::module(&engine, r#"(module (import "m" "m" (memory 1)))"#);
    refused(linker.instantiate(&mut one, &importer), kind, "m.m belongs to another store");
    refused(linker.instantiate_pre(&importer)?.instantiate(&mut one), kind, "m.m belongs to another store");
    refused(Instance::new(&mut one, &importer, &[m.into()]), kind, text);
    assert_eq!(linker.get(&mut one, "m", "m"), None);
    linker.instantiate(&mut two, &importer)?;

    // A paused call.
    let spin = self::module(&engine, SPIN);
    let count = Instance::new(&mut two, &spin, &[])?.get_func(&two, "count").unwrap();
    two.set_fuel(10)?;
    let mut results = [Val::I32(0)];
    let ResumableCall::OutOfFuel(paused) = count.call_resumable(&mut two, &[Val::I32(100)], &mut results)? else {
        panic!("not paused")
    };
    refused(paused.resume(&mut one, &mut results), kind, text);
    usable(&mut one);
    two.set_fuel(u64::MAX)?;
    usable(&mut two);
    Ok(())
}

#[test]
fn t18_references_live_as_long_as_they_are_held() -> Check {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut store, instance) = alone(
        r#"(module (table (export "t") 10 externref) (global (export "g") (mut externref) (ref.null extern))
            (func (export "set") (param i32 externref) (table.set (local.get 0) (local.get 1)))
            (func (export "get") (param i32) (result externref) (table.get (local.get 0))))"#,
    );
    let set = instance.get_typed_func::<(i32, Option<ExternRef>), ()>(&store, "set")?;
    let get = instance.get_typed_func::<i32, Option<ExternRef>>(&store, "get")?;
    let mut held = Vec::new();
    for n in 0..10 {
        let object = ExternRef::new(&mut store, Counted(dropped.clone()))?;
        set.call(&mut store, (n, Some(object.clone())))?;
        held.push(object);
    }
    store.gc();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    // What the host holds lives, though no guest does.
    for n in 0..5 {
        set.call(&mut store, (n, None))?;
    }
    store.gc();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    assert!(held[0].data(&store)?.is_some_and(|data: &(dyn Any + Send + Sync)| data.is::<Counted>()));
    // What nobody holds is dropped, once; what only a guest holds lives.
    held.clear();
    store.gc();
    store.gc();
    // A number in a dead frame may look like a handle: then a value lives longer than it need.
    assert!((4..=5).contains(&dropped.load(Ordering::Relaxed)));
    assert!(get.call(&mut store, 0)?.is_none());
    assert!(get.call(&mut store, 9)?.is_some());
    // Many, one after the other, do not pile up.
    for _ in 0..20_000 {
        let object = ExternRef::new(&mut store, Counted(dropped.clone()))?;
        set.call(&mut store, (9, Some(object)))?;
    }
    assert!(dropped.load(Ordering::Relaxed) > 15_000);
    drop(store);
    assert_eq!(dropped.load(Ordering::Relaxed), 20_010);
    Ok(())
}

#[test]
fn t22_tables_from_the_host() -> Check {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, Some(10)), Ref::Func(None))?;
    let func = Func::wrap(&mut store, || {});
    let object = ExternRef::new(&mut store, 1)?;
    for index in [2, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX] {
        refused(table.set(&mut store, index, func.into()), ErrorKind::Trap, "out of bounds table access");
        refused(table.fill(&mut store, index, func.into(), 1), ErrorKind::Trap, "out of bounds table access");
        assert_eq!(table.get(&store, index), None);
    }
    for (index, len) in [(0, 3), (1, u64::MAX), (u64::MAX, u64::MAX), (3, 0)] {
        refused(table.fill(&mut store, index, func.into(), len), ErrorKind::Trap, "out of bounds table access");
        refused(Table::copy(&mut store, &table, 0, &table, index, len), ErrorKind::Trap, "out of bounds table access");
        refused(Table::copy(&mut store, &table, index, &table, 0, len), ErrorKind::Trap, "out of bounds table access");
    }
    table.fill(&mut store, 2, func.into(), 0)?;
    refused(table.set(&mut store, 0, object.into()), ErrorKind::Argument, "expected funcref, found externref");
    refused(table.set(&mut store, 0, Ref::Extern(None)), ErrorKind::Argument, "expected funcref, found externref");
    let never_null = RefType::new(false, HeapType::Func);
    let strict = Table::new(&mut store, TableType::new(never_null, 1, None), func.into())?;
    refused(strict.set(&mut store, 0, Ref::Func(None)), ErrorKind::Argument, "expected (ref func)");
    refused(Table::new(&mut store, TableType::new(never_null, 1, None), Ref::Func(None)), ErrorKind::Argument, "");
    refused(Table::copy(&mut store, &strict, 0, &table, 0, 1), ErrorKind::Argument, "do not fit a table of (ref func)");
    Table::copy(&mut store, &table, 1, &strict, 0, 1)?;
    assert_eq!(table.get(&store, 1), Some(func.into()));
    for delta in [9, u64::from(u32::MAX), u64::MAX] {
        assert!(table.grow(&mut store, delta, Ref::Func(None)).is_err());
    }
    assert_eq!(table.grow(&mut store, 8, func.into())?, 2);
    assert_eq!((table.size(&store), table.get(&store, 9)), (10, Some(func.into())));
    for ty in [TableType::new(RefType::FUNCREF, 2, Some(1)), TableType::new(RefType::FUNCREF, u32::MAX, None)] {
        assert!(Table::new(&mut store, ty, Ref::Func(None)).is_err());
    }
    Ok(())
}

#[test]
fn m27_memory_from_the_host() -> Check {
    let mut store = Store::new(&Engine::default(), 5);
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(3)))?;
    let mut one = [0];
    for (offset, fits) in [(0, true), (65535, true), (65536, false), (65537, false), (usize::MAX, false)] {
        assert_eq!(memory.read(&store, offset, &mut one).is_ok(), fits, "{offset}");
        assert_eq!(memory.write(&mut store, offset, &one).is_ok(), fits, "{offset}");
        // Nothing fits at the end, and not behind it.
        assert_eq!(memory.read(&store, offset, &mut []).is_ok(), offset <= 65536, "{offset}");
        assert_eq!(memory.write(&mut store, offset, &[]).is_ok(), offset <= 65536, "{offset}");
    }
    let text = "read of 10 bytes at 65530; memory 0 holds 65536 bytes";
    let result = memory.read(&store, 65530, &mut [0; 10]);
    assert!(format!("{:#}", result.unwrap_err()).contains("10 bytes at 65530"), "{text}");
    memory.write(&mut store, 65533, b"abc")?;
    assert_eq!(memory.read_str(&store, 65533, 3)?, "abc");
    for (ptr, len) in [(65533, 4), (u32::MAX, 1), (0, u32::MAX), (u32::MAX, u32::MAX)] {
        refused(memory.read_str(&store, ptr, len), ErrorKind::Trap, "out of bounds memory access");
    }
    refused(memory.read_cstr(&store, 65533), ErrorKind::Trap, "out of bounds memory access");
    refused(memory.read_cstr(&store, 65536), ErrorKind::Trap, "out of bounds memory access");
    refused(memory.read_cstr(&store, u32::MAX), ErrorKind::Trap, "out of bounds memory access");
    memory.write_str(&mut store, 100, "höst\0")?;
    assert_eq!((memory.read_cstr(&store, 100)?, memory.read_cstr(&store, 105)?), ("höst", ""));
    memory.write(&mut store, 0, &[0xC3, 0x28, 0])?;
    refused(memory.read_str(&store, 0, 2), ErrorKind::Host, "utf-8");
    assert!(memory.read_cstr(&store, 0).unwrap_err().is::<std::str::Utf8Error>());
    refused(memory.write_str(&mut store, 65535, "ab"), ErrorKind::Trap, "out of bounds memory access");

    let (bytes, data) = memory.data_and_store_mut(&mut store);
    (bytes[7], *data) = (8, 9);
    assert_eq!((memory.data(&store)[7], *store.data()), (8, 9));
    assert_eq!((memory.grow(&mut store, 0)?, memory.grow(&mut store, 2)?, memory.size(&store)), (1, 1, 3));
    for delta in [1, 65536, u64::MAX] {
        assert!(memory.grow(&mut store, delta).is_err());
    }
    assert_eq!((memory.data_size(&store), memory.page_size(&store)), (3 << 16, 1 << 16));
    for ty in [MemoryType::new(2, Some(1)), MemoryType::new(65537, None)] {
        assert!(Memory::new(&mut store, ty).is_err(), "{ty}");
    }
    usable(&mut store);
    Ok(())
}

#[test]
fn l14_globals_from_the_host() -> Check {
    let engine = Engine::default();
    let (mut store, instance) = alone(
        r#"(module (global (export "const") i32 (i32.const 1)) (global (export "var") (mut i64) (i64.const 2))
            (func (export "var64") (result i64) (global.get 1)))"#,
    );
    let (fixed, var) = (instance.get_global(&store, "const").unwrap(), instance.get_global(&store, "var").unwrap());
    refused(fixed.set(&mut store, Val::I32(2)), ErrorKind::Argument, "global is immutable");
    refused(var.set(&mut store, Val::I32(2)), ErrorKind::Argument, "expected i64, found i32");
    var.set(&mut store, Val::I64(-7))?;
    assert_eq!((fixed.get(&store), var.get(&store)), (Val::I32(1), Val::I64(-7)));
    assert_eq!(instance.get_typed_func::<(), i64>(&store, "var64")?.call(&mut store, ())?, -7);
    let never_null = GlobalType::new(ValType::Ref(RefType::new(false, HeapType::Func)), Mutability::Var);
    refused(Global::new(&mut store, never_null, Val::FuncRef(None)), ErrorKind::Argument, "expected (ref func)");
    let func = Func::wrap(&mut store, || {});
    let global = Global::new(&mut store, never_null, func.into())?;
    refused(global.set(&mut store, Val::FuncRef(None)), ErrorKind::Argument, "expected (ref func)");
    // Shared with a guest, both ways.
    let ty = GlobalType::new(ValType::F64, Mutability::Var);
    let shared = Global::new(&mut store, ty, Val::from(1.5))?;
    let module = module(
        store.engine(),
        r#"(module (import "h" "g" (global $g (mut f64)))
            (func (export "double") (global.set $g (f64.add (global.get $g) (global.get $g)))))"#,
    );
    let double = Instance::new(&mut store, &module, &[shared.into()])?.get_typed_func::<(), ()>(&store, "double")?;
    double.call(&mut store, ())?;
    let doubled = shared.get(&store).f64().unwrap();
    shared.set(&mut store, Val::from(doubled + 1.0))?;
    double.call(&mut store, ())?;
    assert_eq!(shared.get(&store), Val::from(8.0));
    let _ = engine;
    Ok(())
}

#[test]
fn l10_any_order_of_dropping() -> Check {
    // All six orders of the three that own something; handles are numbers and may stay.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let engine = Engine::default();
        let mut linker = Linker::<()>::new(&engine);
        linker.func_wrap("env", "one", || 1i32)?;
        let module = module(
            &engine,
            r#"(module (import "env" "one" (func $one (result i32))) (memory (export "m") 1)
                (func (export "run") (result i32) (i32.add (call $one) (i32.load (i32.const 0)))))"#,
        );
        let mut store = Some(Store::new(&engine, ()));
        let mut parts = [Some(Box::new(linker) as Box<dyn Any>), Some(Box::new(module)), Some(Box::new(engine))];
        let linker = parts[0].as_ref().and_then(|part| part.downcast_ref::<Linker<()>>()).unwrap();
        let module = parts[1].as_ref().and_then(|part| part.downcast_ref::<Module>()).unwrap();
        let instance = linker.instantiate(store.as_mut().unwrap(), module)?;
        let run = instance.get_typed_func::<(), i32>(store.as_ref().unwrap(), "run")?;
        for part in order {
            assert_eq!(run.call(store.as_mut().unwrap(), ())?, 1);
            parts[part] = None;
        }
        assert_eq!(run.call(store.as_mut().unwrap(), ())?, 1);
        let memory = instance.get_memory(store.as_ref().unwrap(), "m").unwrap();
        drop(store.take());
        let other = Store::new(&Engine::default(), ());
        assert_eq!((memory.size(&other), instance.get_func(&other, "run")), (0, None));
    }
    Ok(())
}

#[test]
fn l15_a_great_many_imports_and_instances() -> Check {
    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    for name in "abcdefghijklmnopqrstuvwxyz".chars() {
        linker.func_wrap("m", &name.to_string(), || {})?;
    }
    let imports: String = ('a'..='z').cycle().take(50_000).map(|c| format!("(import \"m\" \"{c}\" (func))")).collect();
    let module = module(&engine, &format!("(module {imports})"));
    let start = Instant::now();
    let mut store = Store::new(&engine, ());
    linker.instantiate(&mut store, &module)?;
    let missing = self::module(&engine, &format!("(module {})", imports.replace("\"m\"", "\"q\"")));
    let error = linker.instantiate(&mut store, &missing).unwrap_err();
    assert_eq!(error.import_errors().len(), 50_000);
    assert!(format!("{error:#}").len() < 20_000);

    let tiny = self::module(&engine, r#"(module (func (export "run") (result i32) (i32.const 1)))"#);
    refused(
        (0..20_000).try_for_each(|_| Instance::new(&mut store, &tiny, &[]).map(drop)),
        ErrorKind::Budget,
        "instances",
    );
    store.set_limits(StoreLimitsBuilder::new().instances(usize::MAX).build());
    let mut last = None;
    for _ in 0..20_000 {
        last = Some(Instance::new(&mut store, &tiny, &[])?);
    }
    assert_eq!(run(&mut store, last.unwrap(), "run")?, 1);
    drop(store);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    Ok(())
}

#[test]
fn l16_errors_stay_short_whatever_the_names() -> Check {
    let engine = Engine::default();
    let name = "\u{1b}[31m\n".repeat(10_000).replace('\n', "\\n").replace('\u{1b}', "\\1b");
    let module = module(&engine, &format!(r#"(module ${q} (import "{name}" "{name}" (func)))"#, q = "a".repeat(100),));
    let error = Linker::<()>::new(&engine).instantiate(Store::new(&engine, ()), &module).unwrap_err();
    for text in [format!("{error}"), format!("{error:#}"), format!("{error:?}")] {
        assert!(text.len() <= 4096, "{} bytes", text.len());
        assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    }
    assert!(!format!("{error}").contains('\n'));

    let guest = self::module(
        &engine,
        &format!(r#"(module (func $f (export "{name}") (unreachable)) (@custom "name" "\01\00"))"#),
    );
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &guest, &[])?;
    let real = guest.exports().next().unwrap().name().to_owned();
    let error = instance.get_typed_func::<(), ()>(&store, &real)?.call(&mut store, ()).unwrap_err();
    let error_of_type = instance.get_typed_func::<i32, ()>(&store, &real).unwrap_err();
    for text in [format!("{error:#}"), format!("{error_of_type:#}")] {
        assert!(text.len() <= 4096 && text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    }
    Ok(())
}

#[test]
fn l17_names_are_exact() -> Check {
    let long = "n".repeat(100_000);
    let (store, instance) = alone(&format!(
        r#"(module (func (export "") (result i32) (i32.const 1)) (func (export "a\00b") (result i32) (i32.const 2))
            (func (export "constructor") (result i32) (i32.const 3)) (func (export "{long}") (result i32) (i32.const 4)))"#
    ));
    let mut store = store;
    for (name, value) in [("", 1), ("a\0b", 2), ("constructor", 3), (&long, 4)] {
        assert_eq!(run(&mut store, instance, name)?, value);
    }
    for name in ["a", "a\0", "a\0c", "constructo", "constructors", &long[1..], &format!("{}m", &long[1..])] {
        assert_eq!(instance.get_export(&store, name), None);
    }
    Ok(())
}

#[test]
fn l18_threads_share_an_engine_and_a_module() -> Check {
    let engine = Engine::new(Config::new().compilation(Compilation::Lazy))?;
    let wat = r#"(module (import "env" "two" (func $two (result i32)))
        (func $a (result i32) (i32.const 40)) (func $b (result i32) (call $a))
        (func (export "run") (result i32) (i32.add (call $b) (call $two))))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("env", "two", |caller: Caller<'_, u32>| *caller.data())?;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..100 {
                    let mut store = Store::new(&engine, 2);
                    let instance = match round % 2 {
                        0 => linker.instantiate(&mut store, &module),
                        _ => linker.instantiate(&mut store, &self::module(&engine, wat)),
                    };
                    assert_eq!(run(&mut store, instance.unwrap(), "run").unwrap(), 42);
                }
            });
        }
    });
    Ok(())
}
