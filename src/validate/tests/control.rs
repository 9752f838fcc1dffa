//! Tests of blocks, branches and calls, and of what follows where control never comes.

use super::{agree, body_of, cat, in_house, judge, leb, verdict};
use crate::config::Config;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

// ── the general rules ──

#[test]
fn control() {
    for (text, want) in [
        ("", "ok"),
        ("nop", "ok"),
        ("i32.const 0", "type mismatch: 1 more values"),
        ("drop", "type mismatch: expected a value, found nothing"),
        ("block end", "ok"),
        ("block i32.const 0 end", "type mismatch"),
        ("block (result i32) i32.const 0 end drop", "ok"),
        ("block (result i32) i64.const 0 end drop", "type mismatch: expected i32, found i64"),
        ("block (result i32) end drop", "type mismatch: expected i32, found nothing"),
        ("i32.const 0 block (result i32) end drop", "type mismatch: expected i32, found nothing"),
        ("block (result i32 i64) i32.const 0 i64.const 0 end drop drop", "ok"),
        ("block (result i32 i64) i64.const 0 i32.const 0 end drop drop", "type mismatch: expected i64, found i32"),
        ("i32.const 0 block (type $i_i) end drop", "ok"),
        ("i32.const 0 i64.const 1 block (type $ij_ij) end drop drop", "ok"),
        ("i64.const 1 block (type $ij_ij) end drop drop", "type mismatch"),
        ("i32.const 0 block (param i32) drop end", "ok"),
        ("i32.const 0 block (param i32) end", "type mismatch: 1 more values"),
        ("i32.const 0 block (param i32) drop drop end", "type mismatch"),
        ("i32.const 0 loop (param i32) br 0 end", "ok"),
        ("i32.const 0 loop (param i32) drop br 0 end", "type mismatch"),
        ("i32.const 0 loop (param i32) i32.const 0 br 0 end", "ok"),
        ("i32.const 0 loop (param i32) i64.const 0 br 0 end", "type mismatch"),
        ("loop (result i32) br 0 end drop", "ok"),
        ("loop (result i32) i32.const 0 br_if 0 end drop", "type mismatch"),
        ("i32.const 0 if end", "ok"),
        ("i64.const 0 if end", "type mismatch: expected i32, found i64"),
        ("if end", "type mismatch"),
        ("i32.const 0 if else end", "ok"),
        ("i32.const 0 if (result i32) i32.const 0 else i32.const 1 end drop", "ok"),
        ("i32.const 0 if (result i32) i32.const 0 else i64.const 1 end drop", "type mismatch"),
        ("i32.const 0 if (result i32) i64.const 0 else i32.const 1 end drop", "type mismatch"),
        ("i32.const 0 if (result i32) else i32.const 1 end drop", "type mismatch"),
        ("i32.const 0 if (result i32) i32.const 0 else end drop", "type mismatch"),
        ("i32.const 0 if (result i32) i32.const 0 end drop", "type mismatch: if without else"),
        ("i32.const 0 i32.const 0 if (type $i_i) end drop", "ok"),
        ("i32.const 0 i32.const 0 if (type $i_ij) i64.const 0 end drop drop", "type mismatch: if without else"),
        ("i32.const 0 i32.const 0 if (param i32) drop else drop end", "ok"),
        ("i32.const 0 i32.const 0 if (param i32) drop else end", "type mismatch"),
        ("i32.const 0 i64.const 0 i32.const 1 if (type $ij_ij) end drop drop", "ok"),
        ("br 0", "ok"),
        ("br 1", "unknown label 1"),
        ("br 4294967295", "unknown label 4294967295"),
        ("block br 0 end", "ok"),
        ("block br 1 end", "ok"),
        ("block br 2 end", "unknown label 2"),
        ("block (result i32) i32.const 0 br 0 end drop", "ok"),
        ("block (result i32) i64.const 0 br 0 end drop", "type mismatch"),
        ("block (result i32) br 0 end drop", "type mismatch"),
        ("block (result i32) i64.const 9 i32.const 0 br 0 end drop", "ok"),
        ("i32.const 0 br_if 0", "ok"),
        ("i64.const 0 br_if 0", "type mismatch"),
        ("block (result i32) i32.const 0 i32.const 0 br_if 0 end drop", "ok"),
        ("block (result i32) i32.const 0 br_if 0 end drop", "type mismatch"),
        ("block (result i64) i64.const 0 i32.const 0 br_if 0 i32.wrap_i64 drop i64.const 1 end drop", "ok"),
        ("i32.const 0 br_table 0", "ok"),
        ("i32.const 0 br_table 0 0 0", "ok"),
        ("i32.const 0 br_table 0 1", "unknown label 1"),
        ("i32.const 0 br_table 1 0", "unknown label 1"),
        ("i64.const 0 br_table 0", "type mismatch"),
        ("br_table 0", "type mismatch"),
        ("block (result i32) i32.const 0 i32.const 0 br_table 0 1 end drop", "type mismatch: the default label takes"),
        (
            "block (result i32) block (result i64) i32.const 0 i32.const 0 br_table 0 1 end drop i32.const 0 end drop",
            "type mismatch: expected i64, found i32",
        ),
        (
            "block (result i32) loop (result i64) i32.const 0 i32.const 0 br_table 1 1 end drop i32.const 0 end drop",
            "ok",
        ),
        ("block (result i32) i32.const 0 block (param i32) (result i32) i32.const 0 br_table 0 1 end end drop", "ok"),
        ("return", "ok"),
        ("(result i32) return", "type mismatch"),
        ("(result i32) i32.const 0 return", "ok"),
        ("(result i32) i64.const 7 i32.const 0 return", "ok"),
        ("(result i32 i64) i32.const 0 i64.const 0 return", "ok"),
        ("(result i32 i64) i64.const 0 i32.const 0 return", "type mismatch"),
        ("(result i32) block i32.const 0 return end", "type mismatch"),
        ("(result i32) block i32.const 0 return end i32.const 1", "ok"),
        ("(result i32) i32.const 0", "ok"),
        ("(result i32)", "type mismatch: expected i32, found nothing"),
        ("(result i32) i32.const 0 i32.const 0", "type mismatch: 1 more values"),
    ] {
        in_house(text, want);
    }
}

#[test]
fn calls() {
    for (text, want) in [
        ("call $none", "ok"),
        ("call $imported", "type mismatch: expected i32, found nothing"),
        ("i32.const 0 call $imported drop", "ok"),
        ("i32.const 0 call $imported i32.eqz drop", "type mismatch: expected i32, found i64"),
        ("i64.const 0 call $imported drop", "type mismatch"),
        ("call $_ij drop drop", "ok"),
        ("call $_ij i32.wrap_i64 i32.add drop", "ok"),
        ("call $_ij i32.add drop", "type mismatch: expected i32, found i64"),
        ("call 99", "unknown function 99"),
        ("i32.const 0 call_indirect (type $none)", "ok"),
        ("i32.const 0 call_indirect $functions (type $none)", "ok"),
        ("call_indirect (type $none)", "type mismatch"),
        ("i64.const 0 call_indirect (type $none)", "type mismatch"),
        ("i32.const 0 call_indirect $externs (type $none)", "type mismatch: table 1 holds externref"),
        ("i32.const 0 call_indirect 7 (type $none)", "unknown table 7"),
        ("i32.const 0 i32.const 0 call_indirect (type $i_i) drop", "ok"),
        ("i64.const 0 i32.const 0 call_indirect (type $i_i) drop", "type mismatch"),
        ("i32.const 0 i32.const 0 call_indirect (type $i_ij) drop drop", "ok"),
        ("return_call $none", "ok"),
        ("return_call $i_i", "type mismatch: expected i32"),
        ("i32.const 0 return_call $i_i", "type mismatch: the results of the function called"),
        ("(result i32) i32.const 0 return_call $i_i", "ok"),
        ("(result i32) return_call $i_i", "type mismatch"),
        ("(result i64) i32.const 0 return_call $i_i", "type mismatch: the results"),
        ("(result i64) i32.const 0 return_call $imported", "ok"),
        ("(result i32 i64) return_call $_ij", "ok"),
        ("(result i64 i32) return_call $_ij", "type mismatch: the results"),
        ("(result i32) return_call $_ij", "type mismatch: the results"),
        ("(result i32) return_call $none", "type mismatch: the results"),
        ("(result i32) i32.const 0 return_call $i_i unreachable", "ok"),
        ("(result i32) block i32.const 0 return_call $i_i end unreachable", "ok"),
        ("return_call 99", "unknown function 99"),
        ("(result i32) i32.const 0 i32.const 0 return_call_indirect (type $i_i)", "ok"),
        ("(result i32) i32.const 0 return_call_indirect (type $i_i)", "type mismatch"),
        ("(result i64) i32.const 0 i32.const 0 return_call_indirect (type $i_i)", "type mismatch: the results"),
        ("i32.const 0 return_call_indirect $externs (type $none)", "type mismatch: table 1"),
    ] {
        in_house(text, want);
    }
}

/// Unreachable code: below what was pushed, the stack is of any height and of any types.
#[test]
fn unreachable_code() {
    for (text, want) in [
        ("unreachable", "ok"),
        ("unreachable drop", "ok"),
        ("unreachable drop drop drop", "ok"),
        ("unreachable i32.add drop", "ok"),
        ("unreachable i32.const 0 i32.add drop", "ok"),
        ("unreachable i64.const 0 i32.add drop", "type mismatch: expected i32, found i64"),
        ("unreachable i64.const 0 i32.const 0 i32.add drop", "type mismatch"),
        ("(result i32) unreachable", "ok"),
        ("(result i32) unreachable i32.const 0", "ok"),
        ("(result i32) unreachable i32.const 0 i32.const 0", "type mismatch"),
        ("(result i32 i64) unreachable i64.const 0", "ok"),
        ("(result i32 i64) unreachable i32.const 0", "type mismatch"),
        ("(result i32) unreachable i32.add", "ok"),
        ("(result i32) unreachable i64.add", "type mismatch"),
        ("block unreachable i32.const 0 end", "type mismatch"),
        ("block unreachable end drop", "type mismatch"),
        ("block (result i32) unreachable end drop", "ok"),
        ("loop unreachable br 0 end", "ok"),
        ("unreachable block (result i32) end drop", "type mismatch"),
        ("unreachable block drop end", "type mismatch"),
        ("unreachable if else drop end", "type mismatch"),
        ("unreachable if (result i32) i32.const 0 else unreachable end drop", "ok"),
        ("i32.const 0 if unreachable else drop end", "type mismatch"),
        ("br 0 i32.add drop", "ok"),
        ("return i32.add drop", "ok"),
        ("i32.const 0 br_table 0 i32.add drop", "ok"),
        ("return_call $none i32.add drop", "ok"),
        ("block (result i32) br 0 end drop", "type mismatch"),
        ("block (result i32) unreachable br 0 end drop", "ok"),
        ("block (result i32) unreachable br_if 0 end drop", "ok"),
        ("block (result i32) unreachable br_if 0 i64.eqz end drop", "type mismatch"),
        ("block (result i32) unreachable i64.const 0 i32.const 0 br_if 0 end drop", "type mismatch"),
        ("block (result i32) block (result i64) unreachable br_table 0 1 end drop i32.const 0 end drop", "ok"),
        (
            "block (result i32) block (result i64) unreachable i32.const 0 i32.const 0 br_table 1 1 \
             end unreachable end drop",
            "ok",
        ),
        (
            "block (result i32) block (result i64) unreachable i32.const 0 i32.const 0 br_table 0 1 \
             end unreachable end drop",
            "type mismatch",
        ),
        ("block block (result i32) unreachable br_table 0 1 end drop end", "type mismatch: the default label takes"),
        ("unreachable call $i_i drop", "ok"),
        ("unreachable call $_ij i32.add drop", "type mismatch"),
        ("unreachable i64.const 0 call $i_i drop", "type mismatch"),
        ("unreachable call_indirect (type $i_ij) drop drop", "ok"),
        ("unreachable local.get 0 drop", "unknown local 0"),
        ("unreachable br 5", "unknown label 5"),
        ("unreachable i32.const 0 i64.store", "type mismatch"),
        ("unreachable ref.is_null drop", "ok"),
        ("unreachable i32.const 0 ref.is_null drop", "type mismatch"),
        ("unreachable memory.fill memory.copy table.get $functions drop", "ok"),
    ] {
        in_house(text, want);
    }
}

/// A branch leaves operands with the types of its label.
#[test]
fn wide_lists_are_compared_as_narrow_ones() {
    let types =
        |count: usize, odd: usize| -> String { (0..count).map(|k| if k == odd { "i64 " } else { "i32 " }).collect() };
    let constants = |count: usize, odd: usize| -> String {
        (0..count).map(|k| if k == odd { "i64.const 0 " } else { "i32.const 0 " }).collect()
    };
    for count in [2, 8, 9, 20, 100] {
        for odd in [0, count - 1, count / 2, usize::MAX] {
            for other in [0, count / 2, usize::MAX] {
                let want = if odd == other { "ok" } else { "type mismatch" };
                let (list, operands) = (types(count, odd), constants(count, other));
                let drops = "drop ".repeat(count);
                in_house(&format!("(result {list}) {operands}"), want);
                in_house(&format!("(result {list}) {operands} return"), want);
                in_house(&format!("(result {list}) i32.const 0 {operands} br 0"), want);
                in_house(&format!("{operands} block (param {list}) {drops} end"), want);
                in_house(&format!("block (result {list}) {operands} i32.const 0 br_if 0 end {drops}"), want);
                in_house(&format!("block (result {list}) {operands} i32.const 0 br_table 0 0 end {drops}"), want);
                let inner = types(count, other);
                let nested =
                    format!("block (result {list}) block (result {inner}) unreachable i32.const 0 br_table 0 1");
                in_house(&format!("{nested} end {drops} unreachable end {drops}"), "ok");
                let tail = format!("(func (result {list}) return_call $f) (func $f (result {inner}) unreachable)");
                verdict(&format!("(module {tail})"), want);
                let partial = constants(count, other).split("const 0 ").skip(1).collect::<Vec<_>>().join("const 0 ");
                let partial_want = if want == "ok" || odd == 0 && other == usize::MAX || odd == usize::MAX && other == 0
                {
                    "ok"
                } else {
                    "type mismatch"
                };
                in_house(&format!("(result {list}) unreachable {partial}"), partial_want);
                in_house(&format!("(result {list}) {partial}"), "type mismatch");
            }
        }
    }
}

// ── the list of hostile inputs ──

#[test]
fn v4_operands_after_unreachable_are_concrete() {
    verdict("(module (func unreachable (i32.const 0)))", "type mismatch");
    verdict("(module (func (result i32) unreachable (i64.const 0)))", "type mismatch");
    verdict("(module (func unreachable (i64.const 0) (i32.eqz) drop))", "type mismatch");
}

#[test]
fn v5_select_of_unknown_operands() {
    verdict("(module (func (result i32) unreachable select))", "ok");
    verdict("(module (func unreachable select drop))", "ok");
    verdict("(module (func (result i64) unreachable (i64.const 1) (i32.const 0) select))", "ok");
}

#[test]
fn v6_phantom_parameters() {
    in_house("(result i32) (i32.const 7) unreachable (block (param i32 i64) drop drop)", "ok");
    in_house("(result i32) (i32.const 7) (block unreachable (block (param i32 i64) drop drop))", "ok");
    // What lies below the parameters is out of reach.
    in_house("(result i32) (i32.const 7) unreachable (block (param i32) drop drop)", "type mismatch");
    in_house("(param i32) (result i32) (block (result i32) unreachable (block (param i32) (result i32)) br 0)", "ok");
}

#[test]
fn v7_else_and_its_if() {
    for code in [
        &[0x05, 0x0B][..],
        &[0x02, 0x40, 0x05, 0x0B, 0x0B],
        &[0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0B, 0x0B],
        &[0x41, 0, 0x04, 0x7F, 0x41, 0, 0x0B, 0x1A, 0x0B],
    ] {
        assert!(agree("v7", &body_of(code), &Config::new()).is_err(), "{code:02x?}");
    }
    in_house("i32.const 0 i32.const 0 if (param i32) (result i64) drop i64.const 0 end drop", "type mismatch");
}

#[test]
fn v15_br_table_operands() {
    in_house("i64.const 0 br_table 0", "type mismatch");
    in_house("block (result i32) block i32.const 0 i32.const 0 br_table 0 1 end i32.const 0 end drop", "type mismatch");
    in_house("block (result i32) block i32.const 0 i32.const 0 br_table 1 0 end i32.const 0 end drop", "type mismatch");
    in_house(
        "block (result i64) block (result i32) i32.const 0 i32.const 0 br_table 0 1 end drop i64.const 0 end drop",
        "type mismatch",
    );
}

#[test]
fn v31_block_types_that_do_not_exist() {
    let block = |index: u64| body_of(&cat(&[&[0x02], &leb(index), &[0x0B, 0x0B]]));
    judge(&block(0)).unwrap();
    for index in [1, 1_000_000, u32::MAX.into()] {
        assert!(agree("v31", &block(index), &Config::new()).is_err());
    }
}

#[test]
fn v43_tail_calls() {
    assert!(agree("v43", &body_of(&[0x0B, 0x12, 0]), &Config::new()).is_err());
    in_house("(result i64) i32.const 0 return_call $i_i", "type mismatch");
    in_house("(result i32) i32.const 0 i32.const 0 return_call_indirect (type $i_i)", "ok");
}
