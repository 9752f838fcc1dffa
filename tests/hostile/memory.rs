//! Memories: bounds, growth, and who sees it.
//!
//! Invariant: an access either lies in the memory as it is at that moment or traps, and what traps has written nothing.

use std::fmt::Write;

use jitless::{Caller, ErrorKind::*, Memory, MemoryType, StoreLimitsBuilder, Trap, Val};

use crate::harness::*;

rows! {
    m1_addresses_do_not_wrap m2_the_last_bytes m3_no_pages m4_a_store_across_the_end m5_growth_by_the_guest
    m6_growth_by_the_host m7_growth_by_another_instance m8_deltas m9_growth_that_cannot_be m10_four_gibibytes
    m11_overlapping_copies m12_one_memory_imported_twice m13_bulk_operations_of_nothing
    m14_bulk_operations_across_the_end m15_segments_that_are_gone m16_active_data_at_the_end
    m17_the_second_segment_does_not_fit m22_folded_addresses m23_growth_among_operands m24_fresh_stores_are_clean
    m25_a_hundred_memories m26_constant_addresses_in_another_memory m27_access_by_the_host
}

const OUT: Trap = Trap::MemoryOutOfBounds;
const PAGE: i32 = 65536;

/// Loads and stores: name, type, bytes.
const LOADS: &[(&str, &str, i32)] = &[
    ("i32.load", "i32", 4),
    ("i32.load8_s", "i32", 1),
    ("i32.load8_u", "i32", 1),
    ("i32.load16_s", "i32", 2),
    ("i32.load16_u", "i32", 2),
    ("i64.load", "i64", 8),
    ("i64.load8_s", "i64", 1),
    ("i64.load8_u", "i64", 1),
    ("i64.load16_s", "i64", 2),
    ("i64.load16_u", "i64", 2),
    ("i64.load32_s", "i64", 4),
    ("i64.load32_u", "i64", 4),
    ("f32.load", "f32", 4),
    ("f64.load", "f64", 8),
];
const STORES: &[(&str, &str, i32)] = &[
    ("i32.store", "i32", 4),
    ("i32.store8", "i32", 1),
    ("i32.store16", "i32", 2),
    ("i64.store", "i64", 8),
    ("i64.store8", "i64", 1),
    ("i64.store16", "i64", 2),
    ("i64.store32", "i64", 4),
    ("f32.store", "f32", 4),
    ("f64.store", "f64", 8),
];

fn m1_addresses_do_not_wrap(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory 1)
            (func (export "a") (param i32) (result i32) (i32.load offset=4294967295 (local.get 0)))
            (func (export "b") (param i32) (result i64) (i64.load offset=4294967288 (local.get 0)))
            (func (export "c") (param i32) (result i32) (i32.load8_u offset=65536 (local.get 0)))
            (func (export "ca") (result i32) (i32.load offset=4294967295 (i32.const 4294967295)))
            (func (export "cb") (result i64) (i64.load offset=4294967288 (i32.const 8)))
            (func (export "cc") (result i32) (i32.load8_u offset=65536 (i32.const 0)))
            (func (export "s") (param i32) (i32.store offset=4294967295 (local.get 0) (i32.const -1))))"#,
    );
    for (name, args) in [("a", vals![-1]), ("b", vals![8]), ("c", vals![0]), ("s", vals![-1]), ("s", vals![1])] {
        guest.traps(name, &args, OUT);
    }
    for name in ["ca", "cb", "cc"] {
        guest.traps(name, &[], OUT);
    }
}

fn m2_the_last_bytes(cx: &Cx) {
    let mut text = String::from("(module (memory 1)");
    let mut calls = Vec::new();
    for (stores, accesses) in [(false, LOADS), (true, STORES)] {
        for &(name, ty, width) in accesses {
            let last = PAGE - width;
            let value = format!("({ty}.const 0)");
            let body = |offset: i32, address: &str| match stores {
                false => format!("(drop ({name} offset={offset} {address}))"),
                true => format!("({name} offset={offset} {address} {value})"),
            };
            for (way, offset) in [0, 1, last / 2, last, last + 1].into_iter().enumerate() {
                for address in [last, last + 1] {
                    let base = address - offset;
                    if base < 0 {
                        continue;
                    }
                    let export = format!("{name}.{way}.{address}");
                    let (from_param, constant) =
                        (body(offset, "(local.get 0)"), body(offset, &format!("(i32.const {base})")));
                    write!(
                        text,
                        "(func (export \"{export}\") (param i32) {from_param}) (func
                            (export \"{export}.c\") {constant})"
                    )
                    .unwrap();
                    calls.push((export, base, address == last));
                }
            }
        }
    }
    text.push(')');
    let mut guest = cx.guest(&text);
    for (name, base, fits) in calls {
        for (name, args) in [(name.clone(), vals![base].to_vec()), (name + ".c", vec![])] {
            match fits {
                true => guest.gives(&name, &args, &[]),
                false => drop(guest.traps(&name, &args, OUT)),
            }
        }
    }
}

fn m3_no_pages(cx: &Cx) {
    let text = r#"(module (memory 0)
        (func (export "load") (result i32) (i32.load8_u (i32.const 0)))
        (func (export "store") (i32.store8 (i32.const 0) (i32.const 1)))
        (func (export "fill") (param i32) (memory.fill (local.get 0) (i32.const 0) (i32.const 0)))
        (func (export "copy") (memory.copy (i32.const 0) (i32.const 0) (i32.const 0)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#;
    let mut guest = cx.guest(text);
    for round in 0..2 {
        guest.traps("load", &[], OUT);
        guest.traps("store", &[], OUT);
        guest.gives("fill", &vals![0], &[]);
        guest.traps("fill", &vals![1], OUT);
        guest.gives("copy", &[], &[]);
        if round == 0 {
            let limits = StoreLimitsBuilder::new().memory_size(0).build();
            guest.store.set_limits(limits);
            guest.gives("grow", &[], &vals![-1]);
        }
    }
}

fn m4_a_store_across_the_end(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory (export "m") 1) (data (i32.const 65533) "abc")
            (func (export "i64") (param i32) (i64.store (local.get 0) (i64.const -1)))
            (func (export "f64") (param i32) (f64.store (local.get 0) (f64.const 1)))
            (func (export "i32") (i32.store (i32.const 65533) (i32.const -1)))
            (func (export "i16") (i32.store16 (i32.const 65535) (i32.const -1))))"#,
    );
    for (name, args) in [("i64", &vals![65533][..]), ("f64", &vals![65529]), ("i32", &[]), ("i16", &[])] {
        guest.traps(name, args, OUT);
    }
    let memory = guest.export("m").into_memory().unwrap();
    assert_eq!(&memory.data(&guest.store)[65528..], b"\0\0\0\0\0abc");
}

fn m5_growth_by_the_guest(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory (export "m") 1) (data (i32.const 0) "a") (data (i32.const 65535) "z")
            (func (export "f") (result i32 i32 i32)
                (drop (memory.grow (i32.const 1)))
                (i32.load (i32.const 65536)) (i32.load (i32.const 131068)) (i32.load8_u (i32.const 65535)))
            (func (export "g") (result i32 i32 i32 i32) (local $last i32)
                (local.set $last (i32.sub (i32.mul (i32.const 65536) (i32.add (memory.grow (i32.const 100))
                (i32.const 100))) (i32.const 1)))
                (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
                (i32.store8 (i32.const 131071) (i32.const 7))
                (i32.store8 (local.get $last) (i32.const 9))
                (i32.load8_u (i32.const 0)) (i32.load8_u (i32.const 65535)) (i32.load8_u (i32.const 131071))
                (i32.load8_u (local.get $last)))
            (func (export "loop") (result i32) (local $i i32) (local $sum i32)
                (loop $l
                    (drop (memory.grow (i32.const 1)))
                    (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get $i))
                    (local.set $sum (i32.add (local.get $sum)
                        (i32.load (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)))))
                    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
                (local.get $sum)))"#,
    );
    guest.gives("f", &[], &vals![0, 0, 122]);
    guest.gives("g", &[], &vals![98, 122, 7, 9]);
    guest.gives("loop", &[], &vals![49 * 25]);
}

fn m6_growth_by_the_host(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "grow" (func $grow)) (import "h" "again" (func $again)) (memory (export "m") 1)
            (func (export "more") (drop (memory.grow (i32.const 1))))
            (func (export "f") (result i32 i32 i32)
                (call $grow) (i32.load (i32.const 131068))
                (call $again) (i32.load (i32.const 196604))
                (i32.store (i32.const 196604) (i32.const 5)) (call $again) (i32.load (i32.const 196604))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "grow", |mut caller: Caller<'_, ()>| {
                    let memory = caller.memory()?;
                    memory.grow(&mut caller, 1)?;
                    memory.data_mut(&mut caller)[131068] = 3;
                    Ok(())
                })
                .unwrap();
            linker
                .func_wrap("h", "again", |mut caller: Caller<'_, ()>| {
                    let more = caller.get_export("more").unwrap().into_func().unwrap();
                    more.typed::<(), ()>(&caller)?.call(&mut caller, ())
                })
                .unwrap();
        },
    );
    guest.gives("f", &[], &vals![3, 0, 5]);
}

fn m7_growth_by_another_instance(cx: &Cx) {
    let mut world = cx.world(());
    world.add(
        "b",
        r#"(module (memory (export "m") 1)
            (func (export "grow") (result i32) (i32.store (i32.const 0) (i32.const 1)) (memory.grow (i32.const 1))
                (i32.store (i32.const 65536) (i32.const 77))))"#,
    );
    let a = world.add(
        "a",
        r#"(module (import "b" "grow" (func $grow (result i32))) (import "b" "m" (memory 1))
            (func (export "f") (param i32) (result i32 i32 i32 i32)
                (drop (i32.load (i32.const 0)))
                (call $grow)
                (i32.load (local.get 0)) (i32.load (i32.const 65536)) (memory.size))
            (func $g (export "g") (param i32) (result i32)
                (if (local.get 0) (then (drop (call $grow))) (else (return (memory.size))))
                (i32.add (i32.load (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536)))
                    (call $g (i32.sub (local.get 0) (i32.const 1))))))"#,
    );
    world.at(a).gives("f", &vals![65536], &vals![1, 77, 77, 2]);
    world.gives("g", &vals![10], &vals![12]);
}

fn m8_deltas(cx: &Cx) {
    let mut text = String::from("(module (memory (export \"m\") 1 3)");
    for delta in [-1, 0, 2, 1, 65536] {
        write!(text, "(func (export \"c{delta}\") (result i32) (memory.grow (i32.const {delta})))").unwrap();
    }
    text.push_str("(func (export \"p\") (param i32) (result i32) (memory.grow (local.get 0))))");
    for constant in [false, true] {
        let mut guest = cx.guest(&text);
        let mut grow = |delta: i32, want: i32| match constant {
            true => guest.gives(&format!("c{delta}"), &[], &vals![want]),
            false => guest.gives("p", &vals![delta], &vals![want]),
        };
        grow(-1, -1);
        grow(0, 1);
        grow(65536, -1);
        grow(2, 1);
        grow(1, -1);
        grow(0, 3);
    }
    let mut unbounded =
        cx.guest("(module (memory 1) (func (export \"p\") (param i32) (result i32) (memory.grow (local.get 0))))");
    for delta in [-1, i32::MIN, 65536, 65535 + 1] {
        unbounded.gives("p", &vals![delta], &vals![-1]);
    }
}

fn m9_growth_that_cannot_be(cx: &Cx) {
    let text = r#"(module (memory (export "m") 1) (data (i32.const 100) "kept")
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "size") (result i32) (memory.size)))"#;
    let mut guest = cx.guest(text);
    let kept = |guest: &mut Guest<'_, ()>| {
        guest.gives("size", &[], &vals![1]);
        let memory = guest.export("m").into_memory().unwrap();
        assert_eq!(&memory.data(&guest.store)[100..104], b"kept");
    };
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).build());
    guest.gives("grow", &vals![1000], &vals![-1]);
    kept(&mut guest);
    guest.store.set_limits(StoreLimitsBuilder::new().build());
    let (used, live) = (guest.store.memory_used(), cx.live());
    for _ in 0..100 {
        failing(1 << 20, 0, || guest.gives("grow", &vals![100], &vals![-1]));
    }
    assert_eq!(guest.store.memory_used(), used);
    assert!((cx.live() - live).abs() < 4096);
    kept(&mut guest);
    guest.gives("grow", &vals![100], &vals![1]);
}

fn m10_four_gibibytes(cx: &Cx) {
    if usize::BITS < 64 {
        eprintln!("m10: skipped, no room for 4 GiB");
        return;
    }
    cx.holds((4 << 30) + (1 << 20));
    let module = cx.accepts_wat(
        r#"(module (memory 65536)
            (func (export "byte") (result i32) (i32.store8 (i32.const -1) (i32.const 5)) (i32.load8_u (i32.const -1)))
            (func (export "word") (param i32) (result i32) (i32.load (local.get 0)))
            (func (export "wordc") (result i32) (i32.load (i32.const 4294967293)))
            (func (export "size") (result i32) (memory.size))
            (func (export "grow") (result i32) (memory.grow (i32.const 1)))
            (func (export "grow0") (result i32) (memory.grow (i32.const 0)))
            (func (export "fill") (result i32) (memory.fill (i32.const 0x80000000) (i32.const 1) (i32.const 16))
                (i32.load (i32.const 0x8000000c)))
            (func (export "fill_end") (param i32) (memory.fill (i32.const -16) (i32.const 1) (local.get 0))))"#,
    );
    let mut store = jitless::Store::new(&cx.engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(5 << 30).build());
    let instance = match jitless::Instance::new(&mut store, &module, &[]) {
        Ok(instance) => instance,
        Err(error) => {
            eprintln!("m10: skipped, no room for 4 GiB: {error}");
            return;
        }
    };
    let mut guest = Guest { cx, store, linker: jitless::Linker::new(&cx.engine), instance };
    guest.gives("byte", &[], &vals![5]);
    guest.traps("word", &vals![-3], OUT);
    guest.gives("word", &vals![-4], &vals![5 << 24]);
    guest.traps("wordc", &[], OUT);
    guest.gives("size", &[], &vals![PAGE]);
    guest.gives("grow", &[], &vals![-1]);
    guest.gives("grow0", &[], &vals![PAGE]);
    guest.gives("fill", &[], &vals![0x01010101]);
    guest.gives("fill_end", &vals![16], &[]);
    guest.traps("fill_end", &vals![17], OUT);
}

fn m11_overlapping_copies(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory (export "m") 1)
            (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2))))"#,
    );
    let memory = guest.export("m").into_memory().unwrap();
    let mut model: Vec<u8> = (0..PAGE as usize).map(|n| (n * 7 + n / 256) as u8).collect();
    memory.write(&mut guest.store, 0, &model).unwrap();
    for (to, from, n) in
        [(101, 100, 100), (99, 100, 100), (50, 50, 100), (0, 0, PAGE), (1, 0, PAGE - 1), (0, 1, PAGE - 1), (8, 3, 1000)]
    {
        guest.gives("copy", &vals![to, from, n], &[]);
        model.copy_within(from as usize..(from + n) as usize, to as usize);
        assert!(memory.data(&guest.store) == model, "{to} {from} {n}");
    }
}

fn m12_one_memory_imported_twice(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "a" (memory $a 1)) (import "h" "b" (memory $b 1)) (export "m" (memory $a))
            (func (export "copy") (param i32 i32 i32) (memory.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
            (func (export "seen") (result i32) (i32.store $a (i32.const 4) (i32.const 99)) (i32.load $b (i32.const 4)))
            (func (export "back") (result i32) (i32.store $b (i32.const 8) (i32.const 98)) (i32.load $a (i32.const 8)))
            (func (export "grow") (result i32 i32)
                (drop (memory.grow $a (i32.const 1))) (i32.store $b (i32.const 131068) (i32.const 1)) (memory.size $b)
                (i32.load $a (i32.const 131068)))
            (func (export "grow_b") (result i32 i32)
                (drop (memory.grow $b (i32.const 1))) (i32.store $a (i32.const 196604) (i32.const 1)) (memory.size $a)
                (i32.load $b (i32.const 196604))))"#,
        |store, linker| {
            let memory = Memory::new(&mut *store, MemoryType::new(1, None)).unwrap();
            linker.define(&*store, "h", "a", memory).unwrap();
            linker.define(&*store, "h", "b", memory).unwrap();
        },
    );
    let memory = guest.export("m").into_memory().unwrap();
    let mut model: Vec<u8> = (0..PAGE as usize).map(|n| (n * 7 + n / 256) as u8).collect();
    memory.write(&mut guest.store, 0, &model).unwrap();
    for (to, from, n) in [(101, 100, 100), (99, 100, 100), (0, 1, PAGE - 1), (1, 0, PAGE - 1)] {
        guest.gives("copy", &vals![to, from, n], &[]);
        model.copy_within(from as usize..(from + n) as usize, to as usize);
        assert!(memory.data(&guest.store) == model, "{to} {from} {n}");
    }
    guest.gives("seen", &[], &vals![99]);
    guest.gives("back", &[], &vals![98]);
    guest.gives("grow", &[], &vals![2, 1]);
    guest.gives("grow_b", &[], &vals![3, 1]);
}

const BULK: &str = r#"(module (memory (export "m") 1) (data $d "0123456789")
    (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 1) (local.get 1)))
    (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i32 i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2))))"#;

fn m13_bulk_operations_of_nothing(cx: &Cx) {
    let mut guest = cx.guest(BULK);
    for (name, args, fits) in [
        ("fill", &vals![PAGE, 0][..], true),
        ("fill", &vals![PAGE + 1, 0], false),
        ("copy", &vals![PAGE, PAGE, 0], true),
        ("copy", &vals![PAGE + 1, 0, 0], false),
        ("copy", &vals![0, PAGE + 1, 0], false),
        ("init", &vals![PAGE, 10, 0], true),
        ("init", &vals![PAGE + 1, 0, 0], false),
        ("init", &vals![0, 11, 0], false),
        ("init", &vals![0, 10, 1], false),
        ("fill", &vals![-1, 0], false),
    ] {
        match fits {
            true => guest.gives(name, args, &[]),
            false => drop(guest.traps(name, args, OUT)),
        }
    }
    for (name, args) in [("fill", &vals![0, -1][..]), ("copy", &vals![0, 0, -1]), ("init", &vals![0, 0, -1])] {
        cx.within(ms(1), || guest.traps(name, args, OUT));
    }
}

fn m14_bulk_operations_across_the_end(cx: &Cx) {
    let mut guest = cx.guest(BULK);
    for (name, args) in [
        ("fill", &vals![65530, 100][..]),
        ("init", &vals![PAGE - 9, 0, 10]),
        ("init", &vals![0, 1, 10]),
        ("copy", &vals![65530, 0, 7]),
        ("copy", &vals![0, 65530, 7]),
        ("copy", &vals![65529, 65530, 7]),
    ] {
        let memory = guest.export("m").into_memory().unwrap();
        memory.write(&mut guest.store, 65530, b"abcdef").unwrap();
        memory.write(&mut guest.store, 0, b"xyz").unwrap();
        guest.traps(name, args, OUT);
        let bytes = memory.data(&guest.store);
        assert!(bytes.starts_with(b"xyz\0\0\0\0\0") && bytes.ends_with(b"\0\0abcdef"), "{name} {args:?}");
    }
}

fn m15_segments_that_are_gone(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory 1) (data $active (i32.const 0) "abc") (data $passive "abc")
            (func (export "active") (param i32) (memory.init $active (i32.const 10) (i32.const 0) (local.get 0)))
            (func (export "passive") (param i32) (memory.init $passive (i32.const 10) (i32.const 0) (local.get 0)))
            (func (export "drop") (data.drop $passive) (data.drop $active)))"#,
    );
    guest.gives("active", &vals![0], &[]);
    guest.traps("active", &vals![1], OUT);
    guest.gives("passive", &vals![3], &[]);
    for _ in 0..2 {
        guest.gives("drop", &[], &[]);
        guest.gives("passive", &vals![0], &[]);
        guest.traps("passive", &vals![1], OUT);
        guest.traps("active", &vals![1], OUT);
    }
}

fn m16_active_data_at_the_end(cx: &Cx) {
    let mut world = cx.world(());
    for (offset, data, fits) in [
        (-1, "x", false),
        (PAGE, "", true),
        (PAGE + 1, "", false),
        (PAGE - 1, "x", true),
        (PAGE - 1, "xy", false),
        (-1, "", false),
    ] {
        let result = world.try_add(&format!("(module (memory 1) (data (i32.const {offset}) \"{data}\"))"));
        match (fits, result) {
            (true, result) => drop(result.expect("fits")),
            (false, result) => assert_eq!(result.unwrap_err().trap(), Some(OUT), "{offset} {data}"),
        }
    }
}

fn m17_the_second_segment_does_not_fit(cx: &Cx) {
    let mut world = cx.world(());
    let memory = Memory::new(&mut world.store, MemoryType::new(1, None)).unwrap();
    world.linker.define(&world.store, "h", "m", memory).unwrap();
    let error = world.try_add(
        r#"(module (import "h" "m" (memory 1)) (data (i32.const 8) "first") (data (i32.const 65533) "second")
            (data (i32.const 100) "third") (start $f) (func $f (i32.store8 (i32.const 200) (i32.const 1))))"#,
    );
    assert_eq!(error.unwrap_err().trap(), Some(OUT));
    let bytes = memory.data(&world.store);
    assert_eq!(&bytes[8..13], b"first");
    assert!(bytes[13..].iter().all(|&byte| byte == 0));
}

fn m22_folded_addresses(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory 1) (data (i32.const 4) "\2a")
            (func (export "a") (param i32) (result i32) (i32.load offset=4 (i32.add (local.get 0) (i32.const 8))))
            (func (export "b") (param i32) (result i32) (i32.load offset=8 (i32.add (local.get 0) (i32.const 8))))
            (func (export "c") (param i32) (result i32) (i32.load offset=4 (i32.sub (local.get 0) (i32.const 8))))
            (func (export "d") (param i32) (result i32)
                (i32.load offset=4 (i32.add (i32.shl (local.get 0) (i32.const 2)) (i32.const 8))))
            (func (export "e") (param i32) (i32.store offset=4 (i32.add (local.get 0) (i32.const 8)) (i32.const 42)))
            (func (export "f") (result i32) (i32.load offset=4 (i32.add (i32.const -8) (i32.const 8))))
            (func (export "g") (result i32) (i32.load offset=8 (i32.add (i32.const -12) (i32.const 8)))))"#,
    );
    guest.gives("a", &vals![-8], &vals![42]);
    guest.traps("b", &vals![-12], OUT);
    guest.gives("c", &vals![8], &vals![42]);
    guest.traps("c", &vals![4], OUT);
    guest.gives("d", &vals![-2], &vals![42]);
    guest.gives("d", &vals![0x3FFF_FFFE], &vals![42]);
    guest.traps("d", &vals![-3], OUT);
    guest.gives("e", &vals![-8], &[]);
    guest.traps("e", &vals![-12], OUT);
    guest.gives("f", &[], &vals![42]);
    guest.traps("g", &[], OUT);
}

fn m23_growth_among_operands(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory (export "m") 1)
            (func $grows (result i32) (drop (memory.grow (i32.const 1))) (i32.const 7))
            (func (export "a") (i32.store (i32.const 65536) (memory.grow (i32.const 1))))
            (func (export "b") (result i32) (i32.store (i32.const 0) (call $grows)) (i32.load (i32.const 0)))
            (func (export "c") (result i32)
                (i32.store (i32.mul (memory.size) (i32.const 65536)) (call $grows))
                (i32.load (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536))))
            (func (export "d") (result i32) (i32.add (i32.load (i32.const 0)) (i32.add (memory.size)
            (call $grows)))))"#,
    );
    guest.gives("a", &[], &[]);
    let memory = guest.export("m").into_memory().unwrap();
    assert_eq!(memory.data(&guest.store)[65536], 1);
    guest.gives("b", &[], &vals![7]);
    guest.gives("c", &[], &vals![7]);
    guest.gives("d", &[], &vals![7 + 4 + 7]);
}

fn m24_fresh_stores_are_clean(cx: &Cx) {
    let dirty = cx.accepts_wat(
        r#"(module (memory (export "m") 2) (table (export "t") 100 funcref) (table (export "x") 100 externref)
            (global (export "g") (mut i64) (i64.const 0)) (global (export "r") (mut externref) (ref.null extern))
            (elem declare func $f)
            (func $f (export "f") (param externref) (local i64 i64 i64 i64)
                (memory.fill (i32.const 0) (i32.const 0xAA) (i32.const 131072))
                (table.fill 0 (i32.const 0) (ref.func $f) (i32.const 100))
                (table.fill 1 (i32.const 0) (local.get 0) (i32.const 100))
                (global.set 0 (i64.const -1)) (global.set 1 (local.get 0))
                (local.set 1 (i64.const -1)) (local.set 4 (i64.const -1)))
            (func (export "locals") (result i64 i64 i32 i32) (local i64 i64 funcref externref)
                (local.get 0) (local.get 1) (ref.is_null (local.get 2)) (ref.is_null (local.get 3))))"#,
    );
    for _ in 0..turns(1000, 100) {
        let mut store = jitless::Store::new(&cx.engine, ());
        let instance = jitless::Instance::new(&mut store, &dirty, &[]).unwrap();
        let object = jitless::ExternRef::new(&mut store, 5u8).unwrap();
        instance.get_func(&store, "f").unwrap().call(&mut store, &[object.into()], &mut []).unwrap();
    }
    let mut guest = cx.guest_of(&dirty);
    let memory = guest.export("m").into_memory().unwrap();
    assert!(memory.data(&guest.store).iter().all(|&byte| byte == 0));
    for name in ["t", "x"] {
        let table = guest.export(name).into_table().unwrap();
        assert!((0..100).all(|index| table.get(&guest.store, index).unwrap().is_null()));
    }
    assert_eq!(guest.export("g").into_global().unwrap().get(&guest.store), Val::I64(0));
    assert_eq!(guest.export("r").into_global().unwrap().get(&guest.store), Val::null_extern_ref());
    guest.gives("locals", &[], &vals![0i64, 0i64, 1, 1]);
}

fn m25_a_hundred_memories(cx: &Cx) {
    let mut text = String::from("(module");
    for number in 0..100 {
        write!(text, "(memory (export \"m{number}\") 1)").unwrap();
    }
    text.push_str("(func (export \"store\")");
    for number in 0..100 {
        write!(text, "(i32.store {number} (i32.const 16) (i32.const {}))", number * 3).unwrap();
    }
    text.push_str(
        r#") (func (export "grow") (result i32 i32 i32)
            (memory.grow 99 (i32.const 2)) (memory.size 99) (memory.size 98))
        (func (export "copy") (memory.copy 0 99 (i32.const 1000) (i32.const 16) (i32.const 4)))
        (func (export "last") (i32.store 99 (i32.const 196604) (i32.const 5)))
        (func (export "out") (i32.store 98 (i32.const 196604) (i32.const 5))))"#,
    );
    let mut guest = cx.guest(&text);
    guest.gives("store", &[], &[]);
    guest.gives("grow", &[], &vals![1, 3, 1]);
    guest.gives("copy", &[], &[]);
    guest.gives("last", &[], &[]);
    guest.traps("out", &[], OUT);
    for number in 0..100u32 {
        let memory = guest.export(&format!("m{number}")).into_memory().unwrap();
        let bytes = memory.data(&guest.store);
        assert_eq!(bytes.len(), if number == 99 { 3 << 16 } else { 1 << 16 });
        assert_eq!(bytes[16..20], (number * 3).to_le_bytes());
        assert_eq!(bytes[1000..1004], if number == 0 { 297u32 } else { 0 }.to_le_bytes());
    }
}

fn m26_constant_addresses_in_another_memory(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (memory $a 0) (memory $b (export "m") 1)
            (func (export "store") (i32.store $b (i32.const 65532) (i32.const 7)))
            (func (export "load") (result i32) (i32.load $b offset=65000 (i32.const 532)))
            (func (export "out") (result i32) (i32.load $b offset=65533 (i32.const 0)))
            (func (export "far") (result i32) (i32.load $b offset=4294967292 (i32.const 0)))
            (func (export "wraps") (result i32) (i32.load $b offset=4294967292 (i32.const 8)))
            (func (export "first") (result i32) (i32.load $a (i32.const 0)))
            (func (export "first_store") (i32.store8 $a (i32.const 0) (i32.const 0))))"#,
    );
    guest.gives("store", &[], &[]);
    guest.gives("load", &[], &vals![7]);
    for name in ["out", "far", "wraps", "first", "first_store"] {
        guest.traps(name, &[], OUT);
    }
}

fn m27_access_by_the_host(cx: &Cx) {
    let mut store = jitless::Store::new(&cx.engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(1))).unwrap();
    let len = PAGE as usize;
    for (offset, n, fits) in [
        (usize::MAX, 0, false),
        (usize::MAX, 1, false),
        (usize::MAX, 8, false),
        (len, 0, true),
        (len, 1, false),
        (len + 1, 0, false),
        (len - 1, 1, true),
        (0, 0, true),
        (0, len, true),
        (0, len + 1, false),
    ] {
        let mut buffer = vec![0; n];
        let (read, written) = (memory.read(&store, offset, &mut buffer), memory.write(&mut store, offset, &buffer));
        for result in [read, written] {
            assert_eq!(result.is_ok(), fits, "{offset} {n}");
            if let Err(error) = result {
                cx.seen(&error);
                assert_eq!((error.kind(), error.trap()), (Trap, Some(OUT)));
            }
        }
    }
    for (ptr, n) in [(u32::MAX, 0), (u32::MAX, u32::MAX), (PAGE as u32, 1), (0, PAGE as u32 + 1)] {
        assert!(memory.read_str(&store, ptr, n).is_err());
    }
    assert_eq!(memory.read_str(&store, PAGE as u32, 0).unwrap(), "");
    memory.write(&mut store, 0, &[0xFF; 8]).unwrap();
    assert!(memory.read_str(&store, 0, 8).is_err());
    assert!(memory.grow(&mut store, u64::MAX).is_err());
    assert!(memory.grow(&mut store, 1).is_err());
    assert_eq!(memory.grow(&mut store, 0).unwrap(), 1);
    cx.ok_in(&mut store);
}
