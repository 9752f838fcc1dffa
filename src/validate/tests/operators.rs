//! Tests of the other operators: what they take and give, and which locals, globals, memories, tables and functions
//! they may name.

use super::{agree, cat, function, in_house, leb, section, sections, signature, types, verdict, wat};
use crate::config::Config;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use jitless_machine::instr::{Access, Plain};
use jitless_machine::types::Ty;

// ── the general rules ──

const LOCALS: &str = "(param i32 i64 f32 f64 funcref externref)";

fn local_of(ty: Ty) -> usize {
    Ty::ALL.iter().filter(|&&other| other != Ty::V128).position(|&other| other == ty).expect("a type of a local")
}

#[test]
fn plain_rows_take_their_operands_and_nothing_else() {
    for &op in Plain::ALL {
        let info = op.info();
        if info.operands.contains(&Ty::V128) || info.result == Ty::V128 {
            continue;
        }
        let right: Vec<usize> = info.operands.iter().map(|&ty| local_of(ty)).collect();
        let check = |locals: &[usize], result: &str| {
            let operands: String = locals.iter().map(|local| format!("local.get {local} ")).collect();
            let text = format!("(module (func {LOCALS} (result {result}) {operands} {op}))");
            agree(&text, &wat(&text), &Config::new()).is_ok()
        };
        assert!(check(&right, info.result.text()), "{op}");
        assert!(!check(&right[1..], info.result.text()), "{op}");
        for position in 0..right.len() {
            for wrong in 0..6 {
                let mut locals = right.clone();
                locals[position] = wrong;
                assert_eq!(check(&locals, info.result.text()), wrong == right[position], "{op}");
            }
        }
        for ty in ["i32", "i64", "f32", "f64", "funcref"] {
            assert_eq!(check(&right, ty), ty == info.result.text(), "{op}");
        }
        in_house(&format!("unreachable {op} drop"), "ok");
    }
}

#[test]
fn access_rows_take_address_and_value() {
    for &op in Access::ALL {
        let info = op.info();
        if info.ty == Ty::V128 {
            continue;
        }
        for align in [1, 2, 4, 8, 16] {
            for wrong in 0..6 {
                let (ty, right) = (info.ty.text(), local_of(info.ty));
                for (text, valid) in match info.store {
                    true => [
                        (format!("local.get 0 local.get {wrong} {op} align={align}"), wrong == right),
                        (format!("local.get {wrong} local.get {right} {op} align={align}"), wrong == 0),
                    ],
                    false => [
                        (format!("local.get {wrong} {op} align={align} drop"), wrong == 0),
                        (format!("(block (result {ty}) local.get 0 {op} align={align}) drop"), true),
                    ],
                } {
                    let text = format!("(module (memory 1) (func {LOCALS} {text}))");
                    let found = agree(&text, &wat(&text), &Config::new()).is_ok();
                    assert_eq!(found, valid && align <= info.bytes, "{text}");
                }
            }
        }
    }
}

#[test]
fn variables_and_parametric() {
    for (text, want) in [
        ("(local i32) local.get 0 drop", "ok"),
        ("local.get 0 drop", "unknown local 0"),
        ("(param i64) (local i32) local.get 0 i64.eqz drop local.get 1 i32.eqz drop", "ok"),
        ("(param i64) (local i32) local.get 2 drop", "unknown local 2"),
        ("(local i32) i64.const 0 local.set 0", "type mismatch: expected i32, found i64"),
        ("(local i32) i32.const 0 local.set 0", "ok"),
        ("(local i32) local.set 0", "type mismatch"),
        ("(local i32) i32.const 0 local.tee 0 drop", "ok"),
        ("(local i32) i64.const 0 local.tee 0 drop", "type mismatch"),
        ("i32.const 0 local.set 0", "unknown local 0"),
        ("i32.const 0 local.tee 0 drop", "unknown local 0"),
        ("(local funcref externref) ref.null func local.set 0 local.get 1 ref.is_null drop", "ok"),
        ("(local funcref externref) local.get 0 local.set 1", "type mismatch: expected externref, found funcref"),
        ("global.get $constant drop", "ok"),
        ("global.get $imported_global drop", "ok"),
        ("global.get $variable i64.eqz drop", "ok"),
        ("global.get $variable i32.eqz drop", "type mismatch"),
        ("global.get 99 drop", "unknown global 99"),
        ("i64.const 0 global.set $variable", "ok"),
        ("i32.const 0 global.set $variable", "type mismatch"),
        ("i32.const 0 global.set $constant", "immutable global: global is immutable: 1"),
        ("i32.const 0 global.set $imported_global", "immutable global"),
        ("i32.const 0 global.set 99", "unknown global 99"),
        ("i32.const 0 i32.const 0 i32.const 0 select drop", "ok"),
        ("i32.const 0 i64.const 0 i32.const 0 select drop", "type mismatch: select of i32 and i64"),
        ("i32.const 0 i32.const 0 i64.const 0 select drop", "type mismatch"),
        ("i32.const 0 i32.const 0 select drop", "type mismatch"),
        ("f64.const 0 f64.const 0 i32.const 0 select f64.abs drop", "ok"),
        ("f64.const 0 f64.const 0 i32.const 0 select f32.abs drop", "type mismatch"),
        ("i32.const 0 i32.const 0 i32.const 0 select (result i32) drop", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 select (result i64) drop", "type mismatch"),
        ("ref.null func ref.null func i32.const 0 select (result funcref) drop", "ok"),
        ("ref.null func ref.null extern i32.const 0 select (result funcref) drop", "type mismatch"),
        ("unreachable select drop", "ok"),
        ("unreachable i32.const 0 select drop", "ok"),
        ("unreachable i64.const 0 i32.const 0 select i64.eqz drop", "ok"),
        ("unreachable i64.const 0 i32.const 0 select i32.eqz drop", "type mismatch"),
        ("unreachable ref.null func i32.const 0 select drop", "type mismatch: select of funcref"),
        ("unreachable select i32.eqz drop", "ok"),
        ("unreachable select ref.is_null drop", "ok"),
    ] {
        in_house(text, want);
    }
}

#[test]
fn memories_and_tables() {
    for (text, want) in [
        ("memory.size drop", "ok"),
        ("memory.size $second drop", "ok"),
        ("memory.size 5 drop", "unknown memory 5"),
        ("i32.const 0 memory.grow drop", "ok"),
        ("i64.const 0 memory.grow drop", "type mismatch"),
        ("i32.const 0 memory.grow 5 drop", "unknown memory 5"),
        ("i32.const 0 i32.load 5 drop", "unknown memory 5"),
        ("i32.const 0 i32.load $second drop", "ok"),
        ("i32.const 0 i32.load offset=4294967295 drop", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.fill", "ok"),
        ("i32.const 0 i64.const 0 i32.const 0 memory.fill", "type mismatch"),
        ("i32.const 0 i32.const 0 memory.fill", "type mismatch"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.fill 5", "unknown memory 5"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.copy", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.copy $second $memory", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.copy 5 0", "unknown memory 5"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.copy 0 5", "unknown memory 5"),
        ("i64.const 0 i32.const 0 i32.const 0 memory.copy", "type mismatch"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.init $data", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.init 7", "unknown data segment 7"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.init $second $data", "ok"),
        ("i32.const 0 i32.const 0 memory.init $data", "type mismatch"),
        ("data.drop $data", "ok"),
        ("data.drop 7", "unknown data segment 7"),
        ("i32.const 0 table.get $functions drop", "ok"),
        ("i64.const 0 table.get $functions drop", "type mismatch"),
        ("i32.const 0 table.get 9 drop", "unknown table 9"),
        ("i32.const 0 ref.null func table.set $functions", "ok"),
        ("i32.const 0 ref.null extern table.set $functions", "type mismatch: expected funcref, found externref"),
        ("i32.const 0 ref.null extern table.set $externs", "ok"),
        ("ref.null func i32.const 0 table.set $functions", "type mismatch"),
        ("table.size $externs drop", "ok"),
        ("table.size 9 drop", "unknown table 9"),
        ("ref.null func i32.const 0 table.grow $functions drop", "ok"),
        ("ref.null extern i32.const 0 table.grow $functions drop", "type mismatch"),
        ("i32.const 0 ref.null func i32.const 0 table.fill $functions", "ok"),
        ("i32.const 0 ref.null func i32.const 0 table.fill $externs", "type mismatch"),
        ("i32.const 0 i32.const 0 i32.const 0 table.copy $functions $functions", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 table.copy $functions $externs", "type mismatch: expected elements"),
        ("i32.const 0 i32.const 0 i32.const 0 table.copy 9 0", "unknown table 9"),
        ("i32.const 0 i32.const 0 i64.const 0 table.copy $functions $functions", "type mismatch"),
        ("i32.const 0 i32.const 0 i32.const 0 table.init $functions $segment", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 table.init $externs $segment", "type mismatch: expected elements"),
        ("i32.const 0 i32.const 0 i32.const 0 table.init $externs $extern_segment", "ok"),
        ("i32.const 0 i32.const 0 i32.const 0 table.init $functions 9", "unknown elem segment 9"),
        ("elem.drop $segment", "ok"),
        ("elem.drop 9", "unknown elem segment 9"),
        ("ref.null func ref.is_null drop", "ok"),
        ("ref.null extern ref.is_null drop", "ok"),
        ("i32.const 0 ref.is_null drop", "type mismatch: expected a reference, found i32"),
        ("ref.is_null drop", "type mismatch"),
        ("ref.func $none drop", "ok"),
        ("ref.func $none ref.is_null drop", "ok"),
        ("ref.func $none i32.eqz drop", "type mismatch: expected i32, found funcref"),
        ("ref.func 99 drop", "unknown function 99"),
        ("ref.func $undeclared drop", "undeclared function reference"),
        ("ref.func $none global.set $reference", "ok"),
    ] {
        in_house(text, want);
    }
}

#[test]
fn locals_are_found_in_every_group() {
    let groups: String = (0..300).map(|k| if k % 3 == 0 { "i64 " } else { "i32 " }).collect();
    for local in [0, 1, 2, 3, 62, 63, 64, 65, 66, 98, 99, 100, 150, 199, 299, 300, 301, 399] {
        for params in [0, 50, 100] {
            let head = format!("(param {}) (local {groups})", "f32 ".repeat(params));
            let want = match local {
                _ if local < params => "f32.abs",
                _ if local - params >= 300 => "unknown",
                _ if (local - params) % 3 == 0 => "i64.eqz",
                _ => "i32.eqz",
            };
            for op in ["f32.abs", "i64.eqz", "i32.eqz"] {
                let want = if want == "unknown" {
                    "unknown local"
                } else if want == op {
                    "ok"
                } else {
                    "type mismatch"
                };
                in_house(&format!("{head} local.get {local} {op} drop"), want);
            }
        }
    }
}

// ── the list of hostile inputs ──

#[test]
fn v27_select_of_references() {
    in_house("ref.null func ref.null func i32.const 0 select drop", "type mismatch: select of funcref and funcref");
    in_house("ref.null func ref.null func i32.const 0 select (result funcref) drop", "ok");
}

#[test]
fn v29_call_indirect_and_its_table() {
    verdict("(module (type (func)) (func i32.const 0 call_indirect (type 0)))", "unknown table 0");
    verdict("(module (type (func)) (table 1 externref) (func i32.const 0 call_indirect (type 0)))", "type mismatch");
    verdict("(module (func) (elem (i32.const 0) 0))", "unknown table 0");
}

#[test]
fn v30_declared_functions() {
    verdict("(module (func (drop (ref.func 0))))", "undeclared function reference");
    verdict("(module (func $f (drop (ref.func 0))) (start $f))", "undeclared function reference");
    verdict("(module (func (drop (ref.func 0))) (export \"a\" (func 0)))", "ok");
    verdict("(module (func (drop (ref.func 0))) (elem declare func 0))", "ok");
    verdict("(module (func (drop (ref.func 0))) (elem declare funcref (ref.func 0)))", "ok");
    verdict("(module (func (drop (ref.func 0))) (elem func 0))", "ok");
    verdict("(module (func (drop (ref.func 0))) (table 1 funcref) (elem (i32.const 0) 0))", "ok");
    verdict("(module (func (drop (ref.func 0))) (global funcref (ref.func 0)))", "ok");
    let declared = (0..200).map(|k| k * 7 % 200).filter(|k| k % 3 == 0);
    let list: String = declared.map(|k| format!("{k} ")).collect();
    for function in [0, 1, 63, 64, 65, 66, 126, 127, 128, 198, 199] {
        let funcs = "(func) ".repeat(200);
        let want = if function % 3 == 0 { "ok" } else { "undeclared function reference" };
        verdict(&format!("(module {funcs} (func (drop (ref.func {function}))) (elem declare func {list}))"), want);
    }
}

#[test]
fn v32_v33_memory_immediates() {
    in_house("i32.const 0 i32.load 2 drop", "unknown memory 2");
    verdict(
        "(module (memory 1) (func i32.const 0 i64.load align=16 drop))",
        "alignment must not be larger than natural",
    );
    // An offset of 2^32, which the text format refuses.
    let memory = section(5, &[1, 0, 1]);
    let code = cat(&[&[0x41, 0, 0x28, 2], &leb(1 << 32), &[0x1A, 0x0B]]);
    let [function, code] = function(&code);
    let bytes = sections(&[types(&[signature(&[], &[])]), function, memory, code]);
    assert!(agree("v32", &bytes, &Config::new()).is_err());
}
