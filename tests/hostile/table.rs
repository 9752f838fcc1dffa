//! Tables and references: which error, which function, whose state, and when an object of the host goes.
//!
//! Invariant: nothing that was never set is a function; nothing of one store is anything in another.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use jitless::{
    Caller, ErrorKind, ErrorKind::*, ExternRef, Func, Global, GlobalType, Instance, Memory, MemoryType, Mutability,
    Ref, RefType, Store, StoreLimitsBuilder, Table, TableType, Trap, Val, ValType,
};

use crate::harness::*;

rows! {
    t1_indirect_calls_that_fail t2_equal_types_at_different_indices t4_state_of_the_callee t5_growth_that_cannot_be
    t6_get_and_set_at_the_end t7_bulk_operations t8_overlapping_copies t9_segments_that_are_gone t10_null_segments
    t11_references_never_set t12_growth_with_a_function t13_the_second_segment_does_not_fit
    t14_element_offsets_at_the_end t15_objects_are_dropped_once t16_a_million_objects t17_things_of_another_store
    t18_stale_references t19_huge_tables t20_imports_of_a_grown_table t21_segments_apply_each_time t22_set_by_the_host
    t24_segments_dropped_by_the_guest t25_indirect_calls_through_another_table
}

const OUT: Trap = Trap::TableOutOfBounds;

fn t1_indirect_calls_that_fail(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (type $i (func (result i32))) (table 4 funcref) (elem (i32.const 0) $one $other)
            (func $one (result i32) (i32.const 1)) (func $other (param i32) (result i32) (local.get 0))
            (func (export "call") (param i32) (result i32) (call_indirect (type $i) (local.get 0)))
            (func (export "tail") (param i32) (result i32) (return_call_indirect (type $i) (local.get 0)))
            (func (export "size") (result i32) (call_indirect (type $i) (i32.const 4)))
            (func (export "null") (result i32) (call_indirect (type $i) (i32.const 3)))
            (func (export "type") (result i32) (call_indirect (type $i) (i32.const 1))))"#,
    );
    for name in ["call", "tail"] {
        guest.gives(name, &vals![0], &vals![1]);
        guest.traps(name, &vals![4], Trap::UndefinedElement);
        guest.traps(name, &vals![-1], Trap::UndefinedElement);
        guest.traps(name, &vals![3], Trap::UninitializedElement);
        guest.traps(name, &vals![1], Trap::BadSignature);
    }
    guest.traps("size", &[], Trap::UndefinedElement);
    guest.traps("null", &[], Trap::UninitializedElement);
    guest.traps("type", &[], Trap::BadSignature);
}

fn t2_equal_types_at_different_indices(cx: &Cx) {
    let mut world = cx.world(());
    let types = r#"(type (func)) (type (func (param i64))) (type (func (result f32))) (type $3 (func (param i32)
        (result i32)))
        (type (func (param f64))) (type (func (result i64))) (type (func (param i32 i32))) (type $7 (func (param i32)
        (result i32)))"#;
    let a = world.add(
        "a",
        &format!(
            r#"(module {types} (table (export "t") 2 funcref) (elem (i32.const 0) $f)
                (func $f (type $3) (i32.add (local.get 0) (i32.const 1)))
                (func (export "call") (param i32) (result i32) (call_indirect (type $7) (local.get 0) (i32.const 0)))
                (func (export "void") (call_indirect (type 0) (i32.const 0))))"#
        ),
    );
    world.at(a).gives("call", &vals![4], &vals![5]);
    world.traps("void", &[], Trap::BadSignature);
    // In another module, with other indices.
    let b = world.add(
        "b",
        r#"(module (import "a" "t" (table 2 funcref)) (type $0 (func (param i32) (result i32)))
            (func (export "call") (param i32) (result i32) (call_indirect (type $0) (local.get 0) (i32.const 0))))"#,
    );
    world.at(b).gives("call", &vals![4], &vals![5]);
}

fn t4_state_of_the_callee(cx: &Cx) {
    let mut world = cx.world(());
    let a = world.add(
        "a",
        r#"(module (type $t (func (param i32) (result i32))) (table (export "t") 2 funcref) (memory 1)
            (data (i32.const 0) "\01") (global $g (mut i32) (i32.const 10)) (func $own (type $t) (global.get $g))
            (elem (i32.const 1) $own)
            (func (export "f") (param i32) (result i32 i32 i32 i32)
                (call_indirect (type $t) (local.get 0) (i32.const 0))
                (i32.load (i32.const 0)) (global.get $g) (call_indirect (type $t) (i32.const 0) (i32.const 1)))
            (func (export "tail") (param i32) (result i32)
                (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
            (func (export "mine") (result i32 i32)
                (global.set $g (i32.add (global.get $g) (i32.const 1))) (i32.load (i32.const 0)) (global.get $g)))"#,
    );
    world.add(
        "b",
        r#"(module (type $t (func (param i32) (result i32))) (import "a" "t" (table 2 funcref)) (memory 1)
            (data (i32.const 0) "\02") (global $g (mut i32) (i32.const 100)) (elem (i32.const 0) $theirs)
            (func $theirs (type $t)
                (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (drop (i32.div_s (i32.const 1) (local.get 0)))
                (i32.add (i32.load (i32.const 0)) (global.get $g))))"#,
    );
    world.at(a).gives("f", &vals![1], &vals![103, 1, 10, 10]);
    for _ in 0..3 {
        world.traps("f", &vals![0], Trap::IntegerDivisionByZero);
        world.traps("tail", &vals![0], Trap::IntegerDivisionByZero);
    }
    world.gives("mine", &[], &vals![1, 11]);
    world.gives("f", &vals![1], &vals![110, 1, 11, 11]);
    world.gives("tail", &vals![1], &vals![111]);
}

fn t5_growth_that_cannot_be(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table $t 3 externref) (table $m 1 5 externref)
            (func (export "grow") (param i32) (result i32) (table.grow $t (ref.null extern) (local.get 0)))
            (func (export "max") (param i32) (result i32) (table.grow $m (ref.null extern) (local.get 0)))
            (func (export "all") (result i32) (table.grow $t (ref.null extern) (i32.const -1)))
            (func (export "size") (result i32) (table.size $t)))"#,
    );
    guest.gives("size", &[], &vals![3]);
    for delta in [-1, 10_000_001, i32::MIN, 10_000_000] {
        cx.heap_within(64 << 10, || guest.gives("grow", &vals![delta], &vals![-1]));
    }
    guest.gives("all", &[], &vals![-1]);
    guest.gives("max", &vals![5], &vals![-1]);
    guest.gives("max", &vals![4], &vals![1]);
    guest.gives("max", &vals![1], &vals![-1]);
    guest.gives("grow", &vals![0], &vals![3]);
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).build());
    cx.heap_within(64 << 10, || guest.gives("grow", &vals![1_000_000], &vals![-1]));
    guest.store.set_limits(StoreLimitsBuilder::new().build());
    failing(1 << 20, 0, || guest.gives("grow", &vals![1_000_000], &vals![-1]));
    guest.gives("size", &[], &vals![3]);
    guest.gives("grow", &vals![1_000], &vals![3]);
}

fn t6_get_and_set_at_the_end(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table $t 10 externref) (table $u 2 funcref)
            (func (export "get") (param i32) (result externref) (table.get $t (local.get 0)))
            (func (export "set") (param i32 externref) (table.set $t (local.get 0) (local.get 1)))
            (func (export "getu") (param i32) (result funcref) (table.get $u (local.get 0)))
            (func (export "getc") (result externref) (table.get $t (i32.const 10))))"#,
    );
    let object = Val::from(ExternRef::new(&mut guest.store, 1u8).unwrap());
    for index in [10, 11, -1, i32::MIN] {
        guest.traps("get", &vals![index], OUT);
        guest.traps("set", &[Val::I32(index), object.clone()], OUT);
        guest.traps("getu", &vals![index], OUT);
    }
    guest.traps("getc", &[], OUT);
    guest.gives("set", &[Val::I32(9), object.clone()], &[]);
    guest.gives("get", &vals![9], &[object]);
    guest.gives("get", &vals![8], &[Val::null_extern_ref()]);
}

const BULK: &str = r#"(module (table $t (export "t") 10 funcref) (elem $e funcref (ref.func $f) (ref.func $f)
    (ref.func $f))
    (func $f (export "f"))
    (func (export "fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $f) (local.get 1)))
    (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2))))"#;

fn t7_bulk_operations(cx: &Cx) {
    let mut guest = cx.guest(BULK);
    for (name, args, fits) in [
        ("fill", &vals![10, 0][..], true),
        ("fill", &vals![11, 0], false),
        ("fill", &vals![0, -1], false),
        ("fill", &vals![5, 6], false),
        ("copy", &vals![10, 10, 0], true),
        ("copy", &vals![11, 0, 0], false),
        ("copy", &vals![0, 11, 0], false),
        ("copy", &vals![0, 0, -1], false),
        ("copy", &vals![5, 0, 6], false),
        ("init", &vals![10, 3, 0], true),
        ("init", &vals![11, 0, 0], false),
        ("init", &vals![0, 4, 0], false),
        ("init", &vals![0, 0, -1], false),
        ("init", &vals![8, 0, 3], false),
        ("init", &vals![0, 1, 3], false),
    ] {
        match fits {
            true => guest.gives(name, args, &[]),
            false => drop(guest.traps(name, args, OUT)),
        }
        let table = guest.export("t").into_table().unwrap();
        assert!((0..10).all(|index| table.get(&guest.store, index).unwrap().is_null()), "{name}{args:?} wrote");
    }
    for (name, args) in [("fill", &vals![7, 3][..]), ("init", &vals![0, 0, 3]), ("copy", &vals![3, 0, 3])] {
        guest.gives(name, args, &[]);
    }
}

fn t8_overlapping_copies(cx: &Cx) {
    let mut world = cx.world(());
    let table = Table::new(&mut world.store, TableType::new(RefType::EXTERNREF, 20, None), Ref::Extern(None)).unwrap();
    for name in ["a", "b"] {
        world.linker.define(&world.store, "h", name, table).unwrap();
    }
    let instance = world.add(
        "i",
        r#"(module (import "h" "a" (table $a 1 externref)) (import "h" "b" (table $b 1 externref))
            (func (export "aa") (param i32 i32 i32) (table.copy $a $a (local.get 0) (local.get 1) (local.get 2)))
            (func (export "ab") (param i32 i32 i32) (table.copy $a $b (local.get 0) (local.get 1) (local.get 2))))"#,
    );
    world.at(instance);
    let mut model: Vec<usize> = (0..20).collect();
    for (index, &value) in model.iter().enumerate() {
        let object = ExternRef::new(&mut world.store, value).unwrap();
        table.set(&mut world.store, index as u64, object.into()).unwrap();
    }
    for name in ["aa", "ab"] {
        for (to, from, n) in [(3, 2, 10), (2, 3, 10), (5, 5, 5), (1, 0, 19), (0, 1, 19), (10, 0, 10)] {
            world.gives(name, &vals![to, from, n], &[]);
            model.copy_within(from as usize..(from + n) as usize, to as usize);
            let found: Vec<usize> = (0..20)
                .map(|index| {
                    let Some(Ref::Extern(Some(object))) = table.get(&world.store, index) else { panic!("null") };
                    *object.data(&world.store).unwrap().unwrap().downcast_ref().unwrap()
                })
                .collect();
            assert_eq!(found, model, "{name} {to} {from} {n}");
        }
    }
}

fn t9_segments_that_are_gone(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table 10 funcref) (func $f)
            (elem $passive func $f) (elem $active (i32.const 0) func $f) (elem $declared declare func $f)
            (func (export "passive") (param i32) (table.init $passive (i32.const 0) (i32.const 0) (local.get 0)))
            (func (export "active") (param i32) (table.init $active (i32.const 0) (i32.const 0) (local.get 0)))
            (func (export "declared") (param i32) (table.init $declared (i32.const 0) (i32.const 0) (local.get 0)))
            (func (export "drop") (elem.drop $passive) (elem.drop $active) (elem.drop $declared)))"#,
    );
    guest.gives("passive", &vals![1], &[]);
    for _ in 0..2 {
        for name in ["active", "declared"] {
            guest.gives(name, &vals![0], &[]);
            guest.traps(name, &vals![1], OUT);
        }
        guest.gives("drop", &[], &[]);
        guest.gives("passive", &vals![0], &[]);
        guest.traps("passive", &vals![1], OUT);
    }
}

fn t10_null_segments(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table $x 2 externref) (table $f 2 funcref) (func $g)
            (elem $ex externref (ref.null extern)) (elem $ef funcref (item (ref.null func)) (item (ref.func $g)))
            (func (export "f") (param externref) (result i32 i32 i32)
                (table.set $x (i32.const 0) (local.get 0)) (table.set $f (i32.const 0) (ref.func $g))
                (table.init $x $ex (i32.const 0) (i32.const 0) (i32.const 1))
                (table.init $f $ef (i32.const 0) (i32.const 0) (i32.const 2))
                (ref.is_null (table.get $x (i32.const 0))) (ref.is_null (table.get $f (i32.const 0)))
                (ref.is_null (table.get $f (i32.const 1)))))"#,
    );
    let object = ExternRef::new(&mut guest.store, 1u8).unwrap();
    guest.gives("f", &[object.into()], &vals![1, 1, 0]);
}

fn t11_references_never_set(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table 1 funcref) (global $f funcref (ref.null func)) (elem declare func $private)
            (func $private (result i32) (i32.const 666))
            (func $fresh (export "fresh") (result i32 i32 i32 funcref externref) (local funcref externref funcref)
                (ref.is_null (local.get 0)) (ref.is_null (local.get 1)) (ref.is_null (local.get 2))
                (local.get 0) (local.get 1))
            (func $dirty (param i64 i64 externref) (result i64) (local i64 i64 i64 i64 funcref)
                (local.set 3 (local.get 0)) (local.set 4 (local.get 1)) (local.set 5 (i64.const -1)) (local.set 6
                (i64.const 1))
                (local.set 7 (ref.func $private))
                (i64.add (i64.add (local.get 3) (local.get 4)) (i64.add (local.get 5) (local.get 6))))
            (func (export "after") (param externref) (result i32 i32 i32 funcref externref) (local i32)
                (loop $l
                    (drop (call $dirty (i64.const 1) (i64.const 1) (local.get 0)))
                    (br_if $l (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 100))))
                (call $fresh))
            (func (export "call") (result i32) (local funcref) (table.set 0 (i32.const 0) (local.get 0))
                (call_indirect (result i32) (i32.const 0)))
            (func (export "global") (result i32) (table.set 0 (i32.const 0) (global.get $f))
                (call_indirect (result i32) (i32.const 0))))"#,
    );
    let null = [Val::I32(1), Val::I32(1), Val::I32(1), Val::null_func_ref(), Val::null_extern_ref()];
    let object = ExternRef::new(&mut guest.store, 1u8).unwrap();
    guest.gives("fresh", &[], &null);
    guest.gives("after", &[object.into()], &null);
    guest.traps("call", &[], Trap::UninitializedElement);
    guest.traps("global", &[], Trap::UninitializedElement);
}

fn t12_growth_with_a_function(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table 0 funcref) (elem declare func $f) (func $f (result i32) (i32.const 5))
            (func (export "grow") (result i32) (table.grow (ref.func $f) (i32.const 10)))
            (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
    );
    guest.traps("call", &vals![0], Trap::UndefinedElement);
    guest.gives("grow", &[], &vals![0]);
    for index in [0, 5, 9] {
        guest.gives("call", &vals![index], &vals![5]);
    }
    guest.traps("call", &vals![10], Trap::UndefinedElement);
}

fn t13_the_second_segment_does_not_fit(cx: &Cx) {
    let mut world = cx.world(());
    let user = world.add(
        "a",
        r#"(module (table (export "t") 4 funcref)
            (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
    );
    let error = world.try_add(
        r#"(module (import "a" "t" (table 4 funcref)) (memory 1) (data (i32.const 0) "\07") (global $g (mut i32)
            (i32.const 30))
            (func $f (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (i32.add (i32.load (i32.const 0)) (global.get $g)))
            (elem (i32.const 1) $f) (elem (i32.const 4) $f) (elem (i32.const 0) $f))"#,
    );
    assert_eq!(error.unwrap_err().trap(), Some(OUT));
    // The data segments come after the elements: the memory is still empty.
    world.at(user).gives("call", &vals![1], &vals![31]);
    world.gives("call", &vals![1], &vals![32]);
    world.traps("call", &vals![0], Trap::UninitializedElement);
    world.traps("call", &vals![3], Trap::UninitializedElement);
}

fn t14_element_offsets_at_the_end(cx: &Cx) {
    let mut world = cx.world(());
    let ty = GlobalType::new(ValType::I32, Mutability::Const);
    let global = Global::new(&mut world.store, ty, Val::I32(-1)).unwrap();
    world.linker.define(&world.store, "h", "g", global).unwrap();
    for (offset, items, fits) in [
        ("(i32.const -1)", "$f", false),
        ("(i32.const 3)", "", true),
        ("(i32.const 4)", "", false),
        ("(i32.const 2)", "$f", true),
        ("(i32.const 3)", "$f", false),
        ("(global.get 0)", "$f", false),
        ("(i32.add (global.get 0) (i32.const 1))", "$f", true),
    ] {
        let result = world.try_add(&format!(
            "(module (import \"h\" \"g\" (global i32)) (table 3 funcref) (func $f) (elem
                (offset {offset}) func {items}))"
        ));
        match (fits, result) {
            (true, result) => drop(result.expect("fits")),
            (false, result) => assert_eq!(result.unwrap_err().trap(), Some(OUT), "{offset} {items}"),
        }
    }
}

/// Counts those that are alive.
struct Counted(Arc<AtomicI64>);

impl Counted {
    fn new(alive: &Arc<AtomicI64>) -> Self {
        alive.fetch_add(1, Relaxed);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(1, Relaxed);
        assert!(before > 0, "dropped twice");
    }
}

fn t15_objects_are_dropped_once(cx: &Cx) {
    let alive = Arc::new(AtomicI64::new(0));
    {
        let mut guest = cx.guest(
            r#"(module (table $t (export "t") 2 externref) (global $g (export "g") (mut externref) (ref.null extern))
                (func (export "table") (param externref) (table.set $t (i32.const 0) (local.get 0)))
                (func (export "global") (param externref) (global.set $g (local.get 0)))
                (func (export "local") (param externref) (result externref) (local externref)
                    (local.set 1 (local.get 0)) (local.set 0 (ref.null extern)) (local.get 1))
                (func (export "clear") (table.fill $t (i32.const 0) (ref.null extern) (i32.const 2))
                    (global.set $g (ref.null extern)))
                (func (export "get") (result externref) (table.get $t (i32.const 0))))"#,
        );
        for name in ["table", "global", "local"] {
            for _ in 0..1000 {
                let object = ExternRef::new(&mut guest.store, Counted::new(&alive)).unwrap();
                let results = guest.call(name, &[object.into()]).unwrap();
                guest.store.gc();
                // In the guest's hands, or come back from it.
                assert!(alive.load(Relaxed) >= 1, "{name}");
                drop(results);
            }
            // What was overwritten is gone. A slot that no call uses any more may still hold on to one.
            guest.store.gc();
            assert!(alive.load(Relaxed) <= 3, "{name}: {} alive", alive.load(Relaxed));
            guest.gives("clear", &[], &[]);
        }
        // A host that holds a reference keeps the object, whatever the guest does.
        let object = ExternRef::new(&mut guest.store, Counted::new(&alive)).unwrap();
        guest.call("table", &[object.clone().into()]).unwrap();
        guest.gives("clear", &[], &[]);
        guest.store.gc();
        assert!(object.data(&guest.store).unwrap().unwrap().is::<Counted>());
        guest.call("table", &[object.into()]).unwrap();
        guest.store.gc();
        let found = guest.call("get", &[]).unwrap();
        let [Val::ExternRef(Some(object))] = &found[..] else { panic!("it is there") };
        assert!(object.data(&guest.store).unwrap().unwrap().is::<Counted>());
    }
    assert_eq!(alive.load(Relaxed), 0);
}

fn t16_a_million_objects(cx: &Cx) {
    let alive = Arc::new(AtomicI64::new(0));
    let most = Arc::new(AtomicI64::new(0));
    cx.may_take(ms(3000));
    let (made, peak) = (alive.clone(), most.clone());
    let mut guest = cx.guest_with(
        r#"(module (import "h" "make" (func $make (result externref))) (global $g (mut externref) (ref.null extern))
            (func (export "f") (param i32)
                (loop $l (global.set $g (call $make))
                    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#,
        move |_, linker| {
            linker
                .func_wrap("h", "make", move |mut caller: Caller<'_, ()>| {
                    let object = ExternRef::new(&mut caller, Counted::new(&made))?;
                    peak.fetch_max(made.load(Relaxed), Relaxed);
                    Ok(Some(object))
                })
                .unwrap();
        },
    );
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(4 << 20).build());
    guest.gives("f", &vals![turns(1_000_000, 100_000) as i32], &[]);
    assert!(most.load(Relaxed) <= 10_000, "{} alive at once", most.load(Relaxed));
    assert!(guest.store.memory_peak() <= 4 << 20);
    drop(guest);
    assert_eq!(alive.load(Relaxed), 0);
}

fn t17_things_of_another_store(cx: &Cx) {
    let mut other = Store::new(&cx.engine, ());
    let func = Func::wrap(&mut other, || 1);
    let object = ExternRef::new(&mut other, 1u8).unwrap();
    let memory = Memory::new(&mut other, MemoryType::new(1, None)).unwrap();
    let table = Table::new(&mut other, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).unwrap();
    let global = Global::new(&mut other, GlobalType::new(ValType::I32, Mutability::Var), Val::I32(7)).unwrap();
    let mut guest = cx.guest(
        r#"(module (table (export "t") 2 funcref) (table (export "x") 2 externref)
            (global (export "g") (mut funcref) (ref.null func)) (global (export "e") (mut externref) (ref.null extern))
            (func (export "f") (param funcref) (result i32) (ref.is_null (local.get 0)))
            (func (export "h") (param externref) (result i32) (ref.is_null (local.get 0)))
            (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0))))"#,
    );
    guest.ends("f", &[func.into()], Argument);
    guest.ends("h", &[object.clone().into()], Argument);
    let refused = |result: jitless::Result<()>| {
        let error = result.unwrap_err();
        cx.seen(&error);
        assert_eq!(error.kind(), Argument, "{error}");
    };
    let exports = ["t", "x", "g", "e"].map(|name| guest.export(name));
    let (t, x) = (exports[0].into_table().unwrap(), exports[1].into_table().unwrap());
    let (g, e) = (exports[2].into_global().unwrap(), exports[3].into_global().unwrap());
    let store = &mut guest.store;
    refused(t.set(&mut *store, 0, func.into()));
    refused(t.grow(&mut *store, 1, func.into()).map(drop));
    refused(t.fill(&mut *store, 0, func.into(), 1));
    refused(x.set(&mut *store, 0, object.clone().into()));
    refused(g.set(&mut *store, func.into()));
    refused(e.set(&mut *store, object.clone().into()));
    refused(Global::new(&mut *store, GlobalType::new(ValType::FUNCREF, Mutability::Const), func.into()).map(drop));
    refused(Table::copy(&mut *store, &t, 0, &table, 0, 1));
    refused(func.call(&mut *store, &[], &mut [Val::I32(0)]));
    refused(func.typed::<(), i32>(&*store).map(drop));
    refused(memory.write(&mut *store, 0, b"x"));
    refused(memory.read(&*store, 0, &mut [0]));
    refused(memory.grow(&mut *store, 1).map(drop));
    refused(table.set(&mut *store, 0, Ref::Func(None)));
    refused(global.set(&mut *store, Val::I32(1)));
    refused(object.data(&*store).map(drop));
    for item in [func.into(), memory.into(), table.into(), global.into()] {
        let item: jitless::Extern = item;
        refused(guest.linker.define(&guest.store, "h", "x", item).map(drop));
        let module = guest.cx.accepts_wat("(module (import \"h\" \"x\" (func)))");
        refused(Instance::new(&mut guest.store, &module, &[item]).map(drop));
    }
    // Where nothing can fail there is nothing to see.
    let store = &mut guest.store;
    assert!(memory.data(&*store).is_empty() && memory.data_mut(&mut *store).is_empty());
    assert_eq!((memory.size(&*store), table.size(&*store), table.get(&*store, 0)), (0, 0, None));
    assert_eq!(func.ty(&*store).to_string(), "(func)");
    let mine = guest.instance;
    assert!(mine.get_func(&other, "call").is_none() && mine.exports(&other).next().is_none());
    guest.traps("call", &[], Trap::UninitializedElement);
    // A linker with things of the other store.
    let mut linker = jitless::Linker::new(&cx.engine);
    linker.define(&other, "h", "x", func).unwrap();
    let module = cx.accepts_wat("(module (import \"h\" \"x\" (func (result i32))))");
    refused(linker.instantiate(&mut guest.store, &module).map(drop));
}

fn t18_stale_references(cx: &Cx) {
    // There is no raw interface, so that a reference cannot be forged; it can be stale.
    let mut store = Store::new(&cx.engine, ());
    let func = Func::wrap(&mut store, || 1);
    let object = ExternRef::new(&mut store, String::from("kept")).unwrap();
    store.gc();
    assert_eq!(object.data(&store).unwrap().unwrap().downcast_ref::<String>().unwrap(), "kept");
    drop(store);
    let mut later = Store::new(&cx.engine, ());
    Func::wrap(&mut later, || 2);
    assert_eq!(func.call(&mut later, &[], &mut [Val::I32(0)]).unwrap_err().kind(), Argument);
    assert!(object.data(&later).is_err());
    cx.ok_in(&mut later);
}

fn t19_huge_tables(cx: &Cx) {
    for (count, kinds) in [(1u32, &[Budget][..]), (100, &[Budget]), (100_000, &[Budget, Limit])] {
        let one = cat(&[&[0x70, 0], &leb(10_000_000)]);
        let bytes = module(&[&section(4, &cat(&[&leb(count.into()), &times(&one, count as usize)]))]);
        let module = cx.accepts(&bytes);
        let mut store = Store::new(&cx.engine, ());
        store.set_limits(StoreLimitsBuilder::new().total_memory(16 << 20).build());
        let used = store.memory_used();
        let error =
            cx.within(ms(1), || cx.heap_within(64 << 10, || Instance::new(&mut store, &module, &[]).unwrap_err()));
        cx.seen(&error);
        assert!(kinds.contains(&error.kind()), "{count}: {error}");
        assert_eq!(store.memory_used(), used);
        cx.ok_in(&mut store);
    }
}

fn t20_imports_of_a_grown_table(cx: &Cx) {
    let mut world = cx.world(());
    let a = world.add(
        "a",
        r#"(module (table (export "t") 1 10 funcref) (memory (export "m") 1 10)
            (func (export "grow") (drop (table.grow (ref.null func) (i32.const 4))) (drop (memory.grow
            (i32.const 4)))))"#,
    );
    let import = |n| {
        [
            format!("(module (import \"a\" \"t\" (table {n} funcref)))"),
            format!("(module (import \"a\" \"m\" (memory {n})))"),
        ]
    };
    for text in import(5) {
        assert_eq!(world.try_add(&text).unwrap_err().kind(), Link);
    }
    world.at(a).gives("grow", &[], &[]);
    for text in import(5) {
        world.try_add(&text).unwrap();
    }
    for text in import(6) {
        assert_eq!(world.try_add(&text).unwrap_err().kind(), Link);
    }
}

fn t21_segments_apply_each_time(cx: &Cx) {
    let counter = Arc::new(AtomicU64::new(0));
    let mut world = cx.world(());
    let seen = counter.clone();
    world
        .linker
        .func_wrap("h", "count", move || {
            seen.fetch_add(1, Relaxed);
        })
        .unwrap();
    let a = world.add(
        "a",
        r#"(module (table (export "t") 2 funcref) (memory (export "m") 1)
            (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0)))
            (func (export "byte") (result i32) (i32.load8_u (i32.const 0)))
            (func (export "clear") (i32.store8 (i32.const 0) (i32.const 0)) (table.set (i32.const 0)
            (ref.null func))))"#,
    );
    let twice = r#"(module (import "a" "t" (table 2 funcref)) (import "a" "m" (memory 1)) (import "h" "count"
        (func $count))
        (global $g (mut i32) (i32.const 0)) (elem (i32.const 0) $f) (data (i32.const 0) "\2a")
        (func $f (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
        (start $count))"#;
    for round in 1..=2 {
        world.try_add(twice).unwrap();
        assert_eq!(counter.load(Relaxed), round);
        // Each instance has its own global.
        world.at(a).gives("call", &[], &vals![1]);
        world.gives("call", &[], &vals![2]);
        world.gives("byte", &[], &vals![42]);
        world.gives("clear", &[], &[]);
        world.traps("call", &[], Trap::UninitializedElement);
    }
}

fn t22_set_by_the_host(cx: &Cx) {
    let mut store = Store::new(&cx.engine, ());
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 3, Some(5)), Ref::Func(None)).unwrap();
    let func = Func::wrap(&mut store, || {});
    let object = ExternRef::new(&mut store, 1u8).unwrap();
    let check = |result: jitless::Result<()>, want: (ErrorKind, Option<Trap>)| {
        let error = result.unwrap_err();
        cx.seen(&error);
        assert_eq!((error.kind(), error.trap()), want, "{error}");
    };
    let outside = (ErrorKind::Trap, Some(OUT));
    for index in [3, u32::MAX.into(), 1 << 63, u64::MAX] {
        check(table.set(&mut store, index, func.into()), outside);
        check(table.fill(&mut store, index, func.into(), 1), outside);
        check(table.fill(&mut store, 1, func.into(), index), outside);
        check(Table::copy(&mut store, &table, index, &table, 0, 1), outside);
        check(Table::copy(&mut store, &table, 0, &table, 1, index), outside);
        assert_eq!(table.get(&store, index), None);
        assert!(table.grow(&mut store, index, func.into()).is_err());
    }
    check(table.set(&mut store, 0, object.clone().into()), (Argument, None));
    check(table.set(&mut store, 0, Ref::Extern(None)), (Argument, None));
    check(table.grow(&mut store, 1, object.into()).map(drop), (Argument, None));
    assert_eq!(table.size(&store), 3);
    assert!((0..3).all(|index| table.get(&store, index).unwrap().is_null()));
    table.set(&mut store, 2, func.into()).unwrap();
    cx.ok_in(&mut store);
}

fn t24_segments_dropped_by_the_guest(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (table 3 funcref) (memory 1) (func $f) (elem $e func $f $f) (data $d "ab")
            (func (export "drop") (elem.drop $e) (data.drop $d))
            (func (export "table") (param i32) (table.init $e (i32.const 0) (i32.const 0) (local.get 0)))
            (func (export "memory") (param i32) (memory.init $d (i32.const 0) (i32.const 0) (local.get 0))))"#,
    );
    guest.gives("table", &vals![2], &[]);
    guest.gives("memory", &vals![2], &[]);
    guest.gives("drop", &[], &[]);
    guest.gives("table", &vals![0], &[]);
    guest.gives("memory", &vals![0], &[]);
    guest.traps("table", &vals![1], OUT);
    guest.traps("memory", &vals![1], Trap::MemoryOutOfBounds);
}

fn t25_indirect_calls_through_another_table(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (type $t (func (param i32) (result i32))) (table $empty 0 funcref) (table $b 1 funcref)
            (elem (table $b) (i32.const 0) func $f) (func $f (type $t) (i32.add (local.get 0) (i32.const 100)))
            (func $grows (result i32) (drop (table.grow $b (ref.func $f) (i32.const 9))) (i32.const 5))
            (func (export "call") (param i32) (result i32) (call_indirect $b (type $t) (i32.const 1) (local.get 0)))
            (func (export "empty") (result i32) (call_indirect $empty (type $t) (i32.const 1) (i32.const 0)))
            (func (export "grows") (result i32) (call_indirect $b (type $t) (call $grows) (i32.sub (table.size $b)
            (i32.const 1))))
            (func (export "index") (result i32) (call_indirect $b (type $t) (i32.const 2) (call $grows)))
            (func (export "tail") (result i32) (return_call_indirect $b (type $t) (i32.const 3) (i32.add
            (call $grows) (call $grows)))))"#,
    );
    guest.traps("call", &vals![1], Trap::UndefinedElement);
    guest.traps("empty", &[], Trap::UndefinedElement);
    guest.gives("grows", &[], &vals![105]);
    guest.gives("index", &[], &vals![102]);
    guest.gives("tail", &[], &vals![103]);
    guest.gives("call", &vals![30], &vals![101]);
    guest.traps("call", &vals![37], Trap::UndefinedElement);
}
