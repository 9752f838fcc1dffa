//! Imports: what does not fit, what comes from another engine, how many there are and what they are called.

use jitless::{Engine, ErrorKind::*, Func, FuncType, Instance, Linker, Store, StoreLimitsBuilder, Val, ValType};

use crate::harness::*;

pub(super) fn l1_imports_that_do_not_fit(cx: &Cx) {
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

pub(super) fn l2_imports_of_what_has_grown(cx: &Cx) {
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

pub(super) fn l9_things_of_another_engine(cx: &Cx) {
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

pub(super) fn l15_a_million_imports(cx: &Cx) {
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

pub(super) fn l16_errors_with_hostile_names(cx: &Cx) {
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

pub(super) fn l17_export_names(cx: &Cx) {
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
