//! What is left afterwards: of objects, of errors, of allocations that fail, and of modules.

use jitless::{
    Caller, Engine, ErrorKind::*, ExternRef, Instance, Module, Ref, RefType, Store, Table, TableType, Trap, Val,
};

use crate::harness::*;

pub(super) fn r17_a_million_new_objects(cx: &Cx) {
    cx.may_take(ms(9000));
    let mut guest = cx.guest_with(
        r#"(module (import "h" "new" (func $new (param i32) (result externref))) (import "h" "take" (func $take
            (param externref)))
            (func (export "f") (param i32) (result i32) (local externref)
                (loop $l
                    (local.set 1 (call $new (local.get 0))) (call $take (local.get 1)) (call $take (call $new
                    (i32.const 5)))
                    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
                (ref.is_null (local.get 1))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "new", |mut caller: Caller<'_, ()>, n: i32| {
                    Ok(Some(ExternRef::new(&mut caller, [n; 16])?))
                })
                .unwrap();
            linker
                .func_wrap("h", "take", |caller: Caller<'_, ()>, object: Option<ExternRef>| {
                    let object = object.unwrap();
                    assert!(object.data(&caller).unwrap().unwrap().is::<[i32; 16]>());
                })
                .unwrap();
        },
    );
    cx.heap_within(4 << 20, || guest.gives("f", &vals![turns(500_000, 50_000) as i32], &vals![0]));
    #[cfg(feature = "wasi")]
    crate::wasi::costs::a_million_files(cx);
}

pub(super) fn r22_backtraces_with_long_names(cx: &Cx) {
    cx.may_take(ms(5000));
    let name = "n".repeat(99_999);
    let bytes = cx.aside(|| {
        // A function that calls itself to some depth, then traps; and its name.
        let types = section(1, &hex("01 60 01 7F 00"));
        let code = func(&hex("00 20 00 45 04 40 00 0B 20 00 41 01 6B 10 00 0B"));
        let string = cat(&[&leb(name.len() as u64), name.as_bytes()]);
        let names = section(0, &cat(&[&[4], b"name", &section(0, &string), &section(1, &cat(&[&[1, 0], &string]))]));
        module(&[&types, &section(3, &[1, 0]), &export_f(), &section(10, &cat(&[&[1], &code])), &names])
    });
    let module = cx.accepts(&bytes);
    let mut guest = cx.guest_of(&module);
    guest.traps("f", &vals![1000], Trap::Unreachable);
    let f = guest.instance.get_typed_func::<i32, ()>(&guest.store, "f").unwrap();
    let mut kept = Vec::with_capacity(1000);
    let before = cx.live();
    for _ in 0..kept.capacity() {
        kept.push(f.call(&mut guest.store, 1000).unwrap_err());
    }
    let each = (cx.live() - before) / kept.len() as i64;
    assert!(each <= 64 << 10, "{each} bytes for an error");
}

pub(super) fn r23_allocations_that_fail(cx: &Cx) {
    // An allocation that cannot fail ends the process, so the work is done in another one, which says how far it came.
    const CHILD: &str = "JITLESS_HOSTILE_R23";
    let large = 48 << 10;
    let text = r#"(module (memory (export "m") 1 100) (table 20000 20000 funcref) (data (i32.const 0) "abc")
        (func $deep (param i32) (result i32) (local i64 i64 i64 i64)
            (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0)
            (i32.const 1)))))
                (else (i32.const 0))))
        (func (export "f") (result i32 i32 i32)
            (memory.grow (i32.const 3)) (table.grow (ref.null func) (i32.const 1)) (call $deep (i32.const 20000))))"#;
    if std::env::var_os(CHILD).is_some() {
        let bytes = wat(text);
        let module = cx.accepts(&bytes);
        let whole = |cx: &Cx| -> jitless::Result<Vec<Val>> {
            let mut store = Store::new(&cx.engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let mut results = vals![0, 0, 0];
            instance.get_func(&store, "f").unwrap().call(&mut store, &[], &mut results)?;
            let table = Table::new(&mut store, TableType::new(RefType::EXTERNREF, 10_000, None), Ref::Extern(None))?;
            table.grow(&mut store, 20_000, Ref::Extern(None))?;
            Ok(results.to_vec())
        };
        let want = whole(cx).unwrap();
        for after in 0.. {
            println!("{after} large allocations succeed");
            // What is made once for a module stays with it.
            drop(failing(large, after, || whole(cx)));
            let live = cx.live();
            let result = failing(large, after, || whole(cx)).map_err(|error| error.kind());
            if result.is_err() {
                assert!((cx.live() - live).abs() < 4096, "{after}: {} bytes lost", cx.live() - live);
            }
            match result {
                Ok(results) if results == want => break,
                // Growth that is refused is a value.
                Ok(results) => assert!(results.contains(&Val::I32(-1)), "{results:?}"),
                Err(kind) => assert!(matches!(kind, Budget | Trap), "{kind}"),
            }
        }
        return;
    }
    let child = cx.aside(|| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resource::row::r23_allocations_that_fail", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap()
    });
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{}\n{out}\n{err}", child.status);
    assert!(out.contains("3 large allocations succeed"), "{out}");
}

/// A small module with a type, names and code that no other number gives.
fn numbered(number: u32) -> Vec<u8> {
    let digits: Vec<u8> = (0..12).map(|digit| 0x7C + (number >> (2 * digit) & 3) as u8).collect();
    let types = section(1, &cat(&[&[1, 0x60, 12], &digits, &[0]]));
    let name = format!("f{number}");
    let export = section(7, &cat(&[&[1, name.len() as u8], name.as_bytes(), &[0, 0]]));
    module(&[&types, &section(3, &[1, 0]), &export, &section(10, &hex("01 02 00 0B"))])
}

pub(super) fn r28_many_modules_in_one_engine(cx: &Cx) {
    let n = turns(10_000, 2_000);
    cx.no_oracle();
    cx.may_take(ms(3000));
    let round = || {
        for number in 0..n {
            let module = Module::new(&cx.engine, numbered(number)).unwrap();
            let mut store = Store::new(&cx.engine, ());
            Instance::new(&mut store, &module, &[]).unwrap();
        }
    };
    let before = cx.live();
    round();
    // Types stay as long as their engine, once each; nothing else does.
    let types = cx.live() - before;
    assert!(types <= 512 * i64::from(n), "{types} bytes for {n} types");
    let before = cx.live();
    round();
    assert!((cx.live() - before).abs() < 4096, "{} bytes more", cx.live() - before);
}

pub(super) fn r29_many_refused_modules_in_one_engine(cx: &Cx) {
    cx.no_oracle();
    cx.may_take(ms(3000));
    let seeds: Vec<_> = SEEDS.iter().map(|(_, text)| cx.wat(text)).collect();
    let engine = Engine::new(&cx.mode.config()).unwrap();
    let mut refused = 0;
    let mut round = || {
        let mut random = 1u64;
        for turn in 0..turns(20_000, 2_000) as usize {
            // Not of a good quality, but the same again.
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let mut bytes = seeds[turn % seeds.len()].clone();
            let at = (random >> 33) as usize % bytes.len();
            bytes[at] = 0xFF;
            refused += u32::from(Module::new(&engine, &bytes).is_err());
        }
    };
    // The types of those that came as far as that are known then.
    round();
    let before = cx.live();
    round();
    assert!((cx.live() - before).abs() < 4096, "{} bytes more", cx.live() - before);
    cx.note(&refused);
    assert!(refused > 1000);
}
