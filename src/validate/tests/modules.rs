//! Tests of what stands around the bodies, of the proposals that may be off, and of how an error is told.

use super::{agree, judge, judge_with, verdict, verdict_with, wat, without};
use crate::config::{Config, Proposals};
use crate::error::ErrorKind;
use crate::validate::{Fault, body, subtype};
use alloc::format;
use alloc::string::ToString;

// ── the general rules ──

#[test]
fn modules() {
    for (text, want) in [
        ("(module)", "ok"),
        ("(module (import \"a\" \"b\" (func (type 3))))", "unknown type 3"),
        ("(module (func (type 3)))", "unknown type 3"),
        ("(module (memory 65536))", "ok"),
        ("(module (memory 65537))", "memory size must be at most 65536 pages (4GiB)"),
        ("(module (memory 0 65537))", "memory size must be at most 65536 pages (4GiB)"),
        ("(module (memory 2 1))", "size minimum must not be greater than maximum"),
        ("(module (import \"a\" \"b\" (memory 65537)))", "memory size must be at most 65536 pages (4GiB)"),
        ("(module (import \"a\" \"b\" (memory 2 1)))", "size minimum must not be greater than maximum"),
        ("(module (memory 1) (memory 1))", "ok"),
        ("(module (table 2 1 funcref))", "size minimum must not be greater than maximum"),
        ("(module (import \"a\" \"b\" (table 2 1 funcref)))", "size minimum must not be greater than maximum"),
        ("(module (table 0 4294967295 funcref) (table 0 externref))", "ok"),
        ("(module (global i32 (i32.const 0)))", "ok"),
        ("(module (global i32 (i64.const 0)))", "type mismatch: expected i32, found i64"),
        ("(module (global i32))", "type mismatch: expected i32, found nothing"),
        ("(module (global i32 (i32.const 0) (i32.const 0)))", "type mismatch: 1 more values"),
        ("(module (global i32 (i32.const 0) nop))", "constant expression required"),
        ("(module (global i32 (i32.const 0) (i32.eqz)))", "constant expression required"),
        ("(module (global i32 (i32.const 0) (i32.const 1) i32.add))", "ok"),
        ("(module (global i64 (i64.const 0) (i64.const 1) i64.sub (i64.const 1) i64.mul))", "ok"),
        ("(module (global i64 (i64.const 0) (i32.const 1) i64.sub))", "type mismatch"),
        ("(module (global i32 (i32.const 0) (i32.const 1) i32.div_u))", "constant expression required"),
        ("(module (memory 1) (global i32 (i32.const 0) i32.load))", "constant expression required"),
        ("(module (func $f (result i32) i32.const 0) (global i32 (call $f)))", "constant expression required"),
        ("(module (global i32 (unreachable)))", "constant expression required"),
        ("(module (global i32 (block (result i32) i32.const 0)))", "malformed module"),
        ("(module (global f32 (f32.const 0)) (global f64 (f64.const 0)))", "ok"),
        ("(module (global funcref (ref.null func)) (global externref (ref.null extern)))", "ok"),
        ("(module (global funcref (ref.null extern)))", "type mismatch"),
        ("(module (func $f) (global funcref (ref.func $f)))", "ok"),
        ("(module (func $f) (global funcref (ref.func 1)))", "unknown function 1"),
        ("(module (func $f (drop (ref.func $f))) (global funcref (ref.func $f)))", "ok"),
        ("(module (import \"a\" \"b\" (global i32)) (global i32 (global.get 0)))", "ok"),
        ("(module (import \"a\" \"b\" (global i64)) (global i32 (global.get 0)))", "type mismatch"),
        (
            "(module (import \"a\" \"b\" (global (mut i32))) (global i32 (global.get 0)))",
            "constant expression required",
        ),
        ("(module (global i32 (global.get 0)))", "unknown global 0"),
        ("(module (global i32 (global.get 1)) (global i32 (i32.const 0)))", "unknown global 1"),
        ("(module (global i32 (i32.const 0)) (global i32 (global.get 0)))", "unknown global 0"),
        ("(module (global i32 (global.get 7)))", "unknown global 7"),
        ("(module (global i32 (i32.const 0)) (memory 1) (data (global.get 0) \"\"))", "unknown global 0"),
        ("(module (export \"a\" (func 0)))", "unknown function 0"),
        ("(module (export \"a\" (table 0)))", "unknown table 0"),
        ("(module (export \"a\" (memory 0)))", "unknown memory 0"),
        ("(module (export \"a\" (global 0)))", "unknown global 0"),
        ("(module (func) (export \"a\" (func 0)) (export \"b\" (func 0)))", "ok"),
        ("(module (func) (memory 0) (export \"a\" (func 0)) (export \"a\" (memory 0)))", "duplicate export name `a`"),
        ("(module (func) (start 0))", "ok"),
        ("(module (start 0))", "unknown function 0"),
        ("(module (func (param i32)) (start 0))", "start function"),
        ("(module (func (result i32) i32.const 0) (start 0))", "start function"),
        ("(module (import \"a\" \"b\" (func)) (start 0))", "ok"),
        ("(module (elem (i32.const 0) func))", "unknown table 0"),
        ("(module (table 1 funcref) (func) (elem (i32.const 0) 0))", "ok"),
        ("(module (table 1 funcref) (elem (i32.const 0) 0))", "unknown function 0"),
        ("(module (table 1 funcref) (elem (i64.const 0)))", "type mismatch"),
        (
            "(module (table 1 externref) (func) (elem (i32.const 0) 0))",
            "type mismatch: expected elements of type externref",
        ),
        ("(module (table 1 externref) (elem (i32.const 0) externref (ref.null extern)))", "ok"),
        ("(module (table 1 externref) (elem (i32.const 0) externref (ref.null func)))", "type mismatch"),
        ("(module (elem funcref (item i32.const 0)))", "type mismatch"),
        ("(module (elem funcref (item ref.func 0)))", "unknown function 0"),
        ("(module (elem funcref (item ref.null func) (item ref.null func)))", "ok"),
        ("(module (elem declare func 0))", "unknown function 0"),
        ("(module (table 1 funcref) (elem (table 3) (i32.const 0) func))", "unknown table 3"),
        ("(module (data (i32.const 0) \"\"))", "unknown memory 0"),
        ("(module (memory 1) (data (i32.const 0) \"\"))", "ok"),
        ("(module (memory 1) (data (i64.const 0) \"\"))", "type mismatch"),
        ("(module (memory 1) (data (memory 2) (i32.const 0) \"\"))", "unknown memory 2"),
        ("(module (memory 1) (data (nop) \"\"))", "constant expression required"),
        ("(module (memory 1) (data (offset (i32.const 1) (i32.const 2)) \"\"))", "type mismatch"),
        ("(module (data \"\"))", "ok"),
        ("(module (func) (memory 1) (data (ref.func 0) \"\"))", "type mismatch"),
        ("(module (import \"a\" \"b\" (global (mut i32))))", "ok"),
        ("(module (global (mut i32) (i32.const 0)) (export \"a\" (global 0)))", "ok"),
    ] {
        verdict(text, want);
    }
}

#[test]
fn errors_say_where_and_why() {
    for (text, want) in [
        (
            r#"(module (func) (func $parse (param i32) (result i32) local.get 0 i64.const 1 i32.add))"#,
            "invalid module: function 1 `parse`, offset 0x24, at `i32.add`: type mismatch: expected i32, found i64",
        ),
        (
            "(module (func (param i32) local.get 0 i64.load align=8 drop))",
            "invalid module: function 0, offset 0x1a, at `i64.load`: unknown memory 0",
        ),
        (
            "(module (func drop))",
            "invalid module: function 0, offset 0x17, at `drop`: type mismatch: expected a value, found nothing",
        ),
        (
            "(module (global i32 i64.const 0))",
            "invalid module: offset 0xf, at `end`: type mismatch: expected i32, found i64",
        ),
        ("(module (start 3))", "invalid module: offset 0xa: unknown function 3"),
        (
            "(module (func (result i32) ref.null any ref.i31))",
            "unsupported module: function 0, offset 0x18, at `ref.null`: this reference type needs the gc proposal, \
             which this version does not run yet",
        ),
    ] {
        assert_eq!(judge(&wat(text)).unwrap_err().to_string(), want, "{text}");
    }
    let tail_call = wat("(module (func return_call 0))");
    assert_eq!(
        judge_with(&tail_call, &without(Proposals::TAIL_CALL)).unwrap_err().to_string(),
        "unsupported module: function 0, offset 0x17, at `return_call`: needs the tail-call proposal, \
         which is switched off"
    );
}

#[test]
fn small_things_are_small() {
    assert_eq!(size_of::<subtype::Operand>(), 4);
    assert_eq!(size_of::<Fault>(), 8);
    assert_eq!(body::FRAME_BYTES, 16);
}

// ── the list of hostile inputs ──

#[test]
fn v11_constant_expressions() {
    for text in [
        "(global i32 (global.get 1)) (global i32 (i32.const 0))",
        "(global i32 (global.get 0))",
        "(import \"a\" \"b\" (global (mut i32))) (global i32 (global.get 0))",
        "(global i32 (i32.const 4) (i32.const 2) (i32.div_u))",
        "(func $f (result i32) i32.const 0) (global i32 (call $f))",
        "(global i32 (i32.const 4) (i32.const 2))",
        "(global i32)",
    ] {
        assert!(agree(text, &wat(&format!("(module {text})")), &Config::new()).is_err());
    }
}

#[test]
fn v34_limits_of_memories() {
    verdict("(module (memory 65536))", "ok");
    verdict("(module (memory 65537))", "memory size must be at most 65536 pages (4GiB)");
    verdict("(module (memory 2 1))", "size minimum must not be greater than maximum");
    let two = "(module (memory 1) (memory 1))";
    verdict_with(two, "multiple memories", &without(Proposals::MULTI_MEMORY));
    let imported = "(module (import \"a\" \"b\" (memory 1)) (memory 1))";
    verdict_with(imported, "multiple memories", &without(Proposals::MULTI_MEMORY));
    let mut config = Config::new();
    config.limits_mut().memory_pages = 10;
    judge_with(&wat("(module (memory 10 20))"), &config).unwrap();
    assert_eq!(judge_with(&wat("(module (memory 11))"), &config).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn v36_sizes_of_tables() {
    judge(&wat("(module (table 10000000 funcref))")).unwrap();
    assert_eq!(judge(&wat("(module (table 10000001 funcref))")).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn v40_data_for_the_second_memory() {
    verdict("(module (import \"a\" \"b\" (memory 1)) (memory 1) (data (memory 1) (i32.const 0) \"\"))", "ok");
}

#[test]
fn v46_start_functions() {
    verdict("(module (start 7))", "unknown function 7");
    verdict("(module (func $s (param i32)) (start $s))", "start function");
    verdict("(module (import \"a\" \"b\" (func $s)) (start $s))", "ok");
}

#[test]
fn v47_proposals_that_are_off() {
    for (proposal, text) in [
        (Proposals::SIGN_EXTENSION, "(func i32.const 0 i32.extend8_s drop)"),
        (Proposals::SATURATING_FLOAT_TO_INT, "(func f32.const 0 i32.trunc_sat_f32_s drop)"),
        (Proposals::MULTI_VALUE, "(func (result i32 i64) i32.const 0 i64.const 0)"),
        (Proposals::MULTI_VALUE, "(func i32.const 0 (block (param i32) drop))"),
        (Proposals::BULK_MEMORY, "(memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.fill)"),
        (Proposals::BULK_MEMORY, "(memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.copy)"),
        (Proposals::BULK_MEMORY, "(func data.drop 0) (data \"a\")"),
        (Proposals::BULK_MEMORY, "(data \"a\")"),
        (Proposals::BULK_MEMORY, "(func) (elem func 0)"),
        (Proposals::REFERENCE_TYPES, "(func (param externref))"),
        (Proposals::REFERENCE_TYPES, "(func (local funcref))"),
        (Proposals::REFERENCE_TYPES, "(func (drop (ref.null func)))"),
        (Proposals::REFERENCE_TYPES, "(func i32.const 0 i32.const 0 i32.const 0 select (result i32) drop)"),
        (Proposals::REFERENCE_TYPES, "(table 1 funcref) (func (drop (table.size)))"),
        (Proposals::REFERENCE_TYPES, "(table 1 funcref) (table 1 funcref)"),
        (Proposals::REFERENCE_TYPES, "(table 1 externref)"),
        (Proposals::REFERENCE_TYPES, "(global funcref (ref.null func))"),
        (Proposals::REFERENCE_TYPES, "(func (block (result funcref) unreachable) drop)"),
        (Proposals::MUTABLE_GLOBAL, "(import \"a\" \"b\" (global (mut i32)))"),
        (Proposals::MUTABLE_GLOBAL, "(global (export \"a\") (mut i32) (i32.const 0))"),
        (Proposals::EXTENDED_CONST, "(global i32 (i32.const 0) (i32.const 0) i32.add)"),
        (Proposals::TAIL_CALL, "(func return_call 0)"),
        (Proposals::TAIL_CALL, "(table 1 funcref) (type (func)) (func i32.const 0 return_call_indirect (type 0))"),
        (Proposals::MULTI_MEMORY, "(memory 1) (memory 1)"),
        (Proposals::MULTI_MEMORY, "(memory 1) (memory 1) (func i32.const 0 i32.load 1 drop)"),
    ] {
        let text = format!("(module {text})");
        let bytes = wat(&text);
        judge(&bytes).unwrap();
        let error = agree(&text, &bytes, &without(proposal)).expect_err(&text);
        let (kind, message) = (error.kind(), error.to_string());
        assert!(
            matches!(kind, ErrorKind::Unsupported | ErrorKind::Invalid) && message.contains(proposal.name()),
            "{text}: {message}"
        );
    }
    for (text, proposal) in [
        ("(func (drop (v128.const i32x4 0 0 0 0)))", "simd"),
        ("(func (param v128))", "simd"),
        ("(memory i64 1)", "memory64"),
        ("(tag)", "exceptions"),
        ("(type (struct))", "gc"),
        ("(func (drop (ref.i31 (i32.const 0))))", "gc"),
        ("(func (unreachable) (call_ref 0))", "function-references"),
        ("(func (param (ref func)))", "function-references"),
        ("(table 1 funcref (ref.null func))", "function-references"),
        ("(memory 1 1 shared)", "threads"),
        ("(func (atomic.fence))", "threads"),
        ("(func (drop (i64.add128 (unreachable))))", "wide-arithmetic"),
    ] {
        let error = judge(&wat(&format!("(module {text})"))).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}: {error}");
        assert!(error.to_string().contains(proposal), "{text}: {error}");
    }
}
