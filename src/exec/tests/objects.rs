//! Memories, tables and globals: bulk operations and their price, budgets, and constants.

use alloc::format;

use super::{Rig, config, configs, short};
use crate::budget::StoreLimitsBuilder;
use crate::error::ErrorKind;
use crate::runtime::ExternId;

/// One memory, one table, and every operation of the run loop on them.
#[test]
fn bulk_operations() {
    let wat = r#"(module
        (memory $m 1 3) (memory $n 1)
        (table $t 10 20 funcref) (table $u 4 funcref)
        (data $active (i32.const 10) "abc")
        (data $passive "0123456789")
        (elem $e func $f $f $f)
        (func $f)
        (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "load1") (param i32) (result i32) (i32.load8_u 1 (local.get 0)))
        (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
        (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "copy10") (param i32 i32 i32) (memory.copy 1 0 (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init") (param i32 i32 i32) (memory.init $passive (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init_active") (param i32 i32 i32) (memory.init $active (local.get 0) (local.get 1) (local.get 2)))
        (func (export "drop") (data.drop $passive))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "size") (result i32) (memory.size))
        (func (export "size1") (result i32) (memory.size 1))
        (func (export "tset") (param i32) (table.set (local.get 0) (ref.func $f)))
        (func (export "tnull") (param i32) (result i32) (ref.is_null (table.get (local.get 0))))
        (func (export "tnull1") (param i32) (result i32) (ref.is_null (table.get $u (local.get 0))))
        (func (export "tgrow") (param i32) (result i32) (table.grow (ref.func $f) (local.get 0)))
        (func (export "tsize") (result i32) (table.size))
        (func (export "tfill") (param i32 i32) (table.fill (local.get 0) (ref.func $f) (local.get 1)))
        (func (export "tcopy") (param i32 i32 i32) (table.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "tcopy10") (param i32 i32 i32) (table.copy $u $t (local.get 0) (local.get 1) (local.get 2)))
        (func (export "tinit") (param i32 i32 i32) (table.init $e (local.get 0) (local.get 1) (local.get 2)))
        (func (export "edrop") (elem.drop $e)))"#;
    const MEM: &str = "trap: out of bounds memory access";
    const TAB: &str = "trap: out of bounds table access";
    let cases: &[(&str, &[u64], &str)] = &[
        ("load", &[11], "[98]"),
        ("fill", &[65530, 1, 6], "[]"),
        ("fill", &[65530, 2, 7], MEM),
        ("load", &[65535], "[1]"),
        ("fill", &[65536, 2, 0], "[]"),
        ("fill", &[65537, 2, 0], MEM),
        ("fill", &[0, 2, 0xFFFF_FFFF], MEM),
        ("fill", &[0, 0x1FF, 2], "[]"),
        ("load", &[1], "[255]"),
        ("copy", &[11, 10, 3], "[]"),
        ("load", &[11], "[97]"),
        ("load", &[13], "[99]"),
        ("copy", &[10, 11, 3], "[]"),
        ("load", &[12], "[99]"),
        ("copy", &[65536, 0, 0], "[]"),
        ("copy", &[0, 65537, 0], MEM),
        ("copy10", &[5, 10, 3], "[]"),
        ("load1", &[6], "[98]"),
        ("init", &[20, 3, 4], "[]"),
        ("load", &[20], "[51]"),
        ("init", &[20, 7, 4], MEM),
        ("init", &[65533, 0, 4], MEM),
        ("init_active", &[0, 0, 0], "[]"),
        ("init_active", &[0, 0, 1], MEM),
        ("drop", &[], "[]"),
        ("drop", &[], "[]"),
        ("init", &[20, 0, 0], "[]"),
        ("init", &[20, 0, 1], MEM),
        ("size", &[], "[1]"),
        ("grow", &[0], "[1]"),
        ("grow", &[0xFFFF_FFFF], "[4294967295]"),
        ("grow", &[1], "[1]"),
        ("load", &[65535], "[1]"),
        ("load", &[65536], "[0]"),
        ("load", &[131071], "[0]"),
        ("load", &[131072], MEM),
        ("grow", &[2], "[4294967295]"),
        ("grow", &[1], "[2]"),
        ("size", &[], "[3]"),
        ("size1", &[], "[1]"),
        ("tnull", &[9], "[1]"),
        ("tnull", &[10], TAB),
        ("tset", &[9], "[]"),
        ("tset", &[10], TAB),
        ("tnull", &[9], "[0]"),
        ("tgrow", &[0xFFFF_FFFF], "[4294967295]"),
        ("tgrow", &[11], "[4294967295]"),
        ("tgrow", &[10], "[10]"),
        ("tgrow", &[0], "[20]"),
        ("tnull", &[19], "[0]"),
        ("tsize", &[], "[20]"),
        ("tfill", &[0, 2], "[]"),
        ("tnull", &[1], "[0]"),
        ("tnull", &[2], "[1]"),
        ("tfill", &[20, 0], "[]"),
        ("tfill", &[21, 0], TAB),
        ("tfill", &[19, 2], TAB),
        ("tcopy", &[1, 0, 3], "[]"),
        ("tnull", &[2], "[0]"),
        ("tnull", &[3], "[1]"),
        ("tcopy", &[18, 0, 3], TAB),
        ("tcopy10", &[0, 1, 4], "[]"),
        ("tnull1", &[1], "[0]"),
        ("tnull1", &[2], "[1]"),
        ("tcopy10", &[1, 1, 4], TAB),
        ("tinit", &[3, 0, 3], "[]"),
        ("tnull", &[5], "[0]"),
        ("tinit", &[3, 1, 3], TAB),
        ("edrop", &[], "[]"),
        ("tinit", &[20, 0, 0], "[]"),
        ("tinit", &[3, 0, 1], TAB),
    ];
    for config in configs() {
        let mut rig = Rig::new(config);
        let instance = rig.instantiate(wat, &[]).unwrap();
        for &(name, args, want) in cases {
            assert_eq!(short(rig.call(instance, name, args)), want, "{name} {args:?}");
        }
    }
}

/// The price of a bulk operation is paid before a byte changes.
#[test]
fn bulk_operations_are_paid_first() {
    let wat = r#"(module (memory (export "m") 16) (table 1 10000 funcref)
        (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576)))
        (func (export "grow") (result i32) (table.grow (ref.null func) (i32.const 8000))))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    let ExternId::Memory(memory) = rig.export(instance, "m") else { panic!() };
    rig.store.set_fuel(10_000);
    let error = rig.call(instance, "fill", &[]).unwrap_err();
    assert_eq!(error.required_fuel(), Some(16384));
    assert!(rig.store.memory(memory).bytes().iter().all(|&byte| byte == 0));
    assert!(rig.store.fuel_left() >= 9_990);
    rig.store.set_fuel(500);
    assert_eq!(rig.call(instance, "grow", &[]).unwrap_err().kind(), ErrorKind::OutOfFuel);
    for (name, bulk) in [("fill", 16384), ("grow", 1000)] {
        rig.store.set_fuel(100_000);
        rig.call(instance, name, &[]).unwrap();
        let used = 100_000 - rig.store.fuel_left();
        assert!((bulk + 1..bulk + 10).contains(&used), "{name} {used}");
    }
}

#[test]
fn budgets() {
    let grows = r#"(module (memory 1) (table 1 externref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "tgrow") (param i32) (result i32) (table.grow (ref.null extern) (local.get 0))))"#;
    for (trap, refused) in [(false, "[4294967295]"), (true, "budget exceeded")] {
        let mut rig = Rig::new(config());
        let mut limits = StoreLimitsBuilder::new().total_memory(2 << 20).trap_on_grow_failure(trap);
        limits = limits.memory_size(10 << 16).table_elements(1000);
        rig.store.budget.set_limits(limits.build());
        let instance = rig.instantiate(grows, &[]).unwrap();
        for (name, delta, want) in [
            ("grow", 9, "[1]"),
            ("grow", 1, refused),
            ("tgrow", 999, "[1]"),
            ("tgrow", 1, refused),
            ("grow", 60_000, if trap { refused } else { "[4294967295]" }),
            ("grow", 0xFFFF_FFFF, "[4294967295]"),
        ] {
            let got = short(rig.call(instance, name, &[delta]));
            assert!(got.starts_with(want), "{name} {delta}: {got}");
        }
    }
    // What cannot be made leaves nothing behind.
    let many = format!("(module {})", "(memory 65536) ".repeat(50));
    for (wat, imports) in [
        (many.as_str(), 0),
        ("(module (memory 1) (memory 100))", 0),
        ("(module (table 10000000 funcref))", 0),
        ("(module (table 1 funcref) (table 1000 funcref) (table 5000000 funcref))", 0),
        ("(module (memory 1) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref))", 0),
    ] {
        let mut rig = Rig::new(config());
        let limits = StoreLimitsBuilder::new().total_memory(4 << 20).tables(3).memory_size(5 << 20);
        rig.store.budget.set_limits(limits.build());
        let before = (rig.store.budget.used(), rig.store.next_numbers(0, 0).unwrap().func);
        for _ in 0..3 {
            let error = rig.instantiate(wat, &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Budget, "{wat} {imports}");
            assert_eq!((rig.store.budget.used(), rig.store.next_numbers(0, 0).unwrap().func), before);
        }
        rig.instantiate("(module (memory 1) (table 1 funcref))", &[]).unwrap();
    }
}

#[test]
fn globals_and_constants() {
    let first = r#"(module
        (global (export "a") i32 (i32.const 20))
        (global (export "b") (mut i64) (i64.const 7))
        (global (export "c") f32 (f32.const 1.5))
        (func $f (export "f") (result i32) (i32.const 9))
        (global (export "d") funcref (ref.func $f))
        (func (export "get") (result i64) (global.get 1)))"#;
    let second = r#"(module
        (import "" "a" (global $a i32)) (import "" "b" (global $b (mut i64)))
        (import "" "c" (global $c f32)) (import "" "d" (global $d funcref))
        (global $e (export "e") i32 (i32.sub (i32.mul (global.get $a) (i32.const 3)) (i32.const -1)))
        (global $g (export "g") (mut i32) (global.get $a))
        (export "a" (global $a)) (export "b" (global $b))
        (table (export "t") 2 funcref) (elem (i32.const 1) funcref (global.get $d))
        (func (export "ga") (result i32) (global.get $a))
        (func (export "gb") (result i64) (global.get $b))
        (func (export "sb") (param i64) (global.set $b (local.get 0)))
        (func (export "gc") (result f32) (global.get $c))
        (func (export "ge") (result i32) (global.get $e))
        (func (export "sg") (param i32) (global.set $g (local.get 0)))
        (func (export "call") (result i32) (call_indirect (result i32) (i32.const 1))))"#;
    for config in configs() {
        let mut rig = Rig::new(config);
        let one = rig.instantiate(first, &[]).unwrap();
        let imports = ["a", "b", "c", "d"].map(|name| rig.export(one, name));
        let two = rig.instantiate(second, &imports).unwrap();
        for (instance, name, args, want) in [
            (two, "ga", [].as_slice(), "[20]"),
            (two, "ge", &[], "[61]"),
            (two, "gc", &[], "[1069547520]"),
            (two, "gb", &[], "[7]"),
            (two, "sb", &[1 << 40], "[]"),
            (one, "get", &[], "[1099511627776]"),
            (two, "gb", &[], "[1099511627776]"),
            (two, "sg", &[3], "[]"),
            (two, "call", &[], "[9]"),
        ] {
            assert_eq!(short(rig.call(instance, name, args)), want, "{name}");
        }
        let global = |rig: &Rig, instance, name| match rig.export(instance, name) {
            ExternId::Global(global) => global,
            other => panic!("{other:?}"),
        };
        assert_eq!(global(&rig, one, "a"), global(&rig, two, "a"));
        assert_eq!(global(&rig, one, "b"), global(&rig, two, "b"));
        assert_eq!(rig.store.global_get(global(&rig, two, "g")), [3, 0]);
        assert_eq!(rig.store.global_get(global(&rig, two, "e")), [61, 0]);
        rig.store.global_set(global(&rig, two, "b"), [5, 0]);
        assert_eq!(short(rig.call(one, "get", &[])), "[5]");
        // The host's own, as an import.
        let ty = rig.store.global_type(global(&rig, two, "b"));
        let own = rig.store.add_global(ty, [77, 0]).unwrap();
        let imports = [imports[0], ExternId::Global(own), imports[2], imports[3]];
        let three = rig.instantiate(second, &imports).unwrap();
        assert_eq!(short(rig.call(three, "gb", &[])), "[77]");
        rig.call(three, "sb", &[78]).unwrap();
        assert_eq!(rig.store.global_get(own), [78, 0]);
    }
}
