//! Tests of the validator. Nearly all are tables, and every case is also put to the reference validator (wasmparser's).
//!
//! Names `v13_…` are rows of the list of hostile inputs.

use super::*;
use crate::config::Config;
use crate::error::{Cause, ErrorKind};
use crate::module::decode::decode;
use crate::types::TypeRegistry;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::time::Duration;
use jitless_machine::types::Ty;
use std::time::Instant;
use wasmparser::WasmFeatures;

// ── judges ──

/// Decodes and validates, bodies included.
fn judge_with(bytes: &[u8], config: &Config) -> Result<(), Error> {
    let desc = decode(Arc::new(bytes.to_vec()), &Arc::new(TypeRegistry::new()), config)?;
    let refs = module(&desc)?;
    let mut validator = Body::new(&desc, &refs);
    (0..desc.bodies.len() as u32).try_for_each(|index| body(&desc, desc.imported_funcs + index, &mut validator))
}

fn judge(bytes: &[u8]) -> Result<(), Error> {
    judge_with(bytes, &Config::new())
}

fn without(proposal: Proposals) -> Config {
    let mut config = Config::new();
    config.wasm_proposals(proposal, false);
    config
}

/// What the reference validator must be told to judge by the same rules.
fn features(proposals: Proposals) -> WasmFeatures {
    let mut features = WasmFeatures::MVP;
    for (proposal, feature) in [
        (Proposals::MUTABLE_GLOBAL, WasmFeatures::MUTABLE_GLOBAL),
        (Proposals::SIGN_EXTENSION, WasmFeatures::SIGN_EXTENSION),
        (Proposals::SATURATING_FLOAT_TO_INT, WasmFeatures::SATURATING_FLOAT_TO_INT),
        (Proposals::MULTI_VALUE, WasmFeatures::MULTI_VALUE),
        (Proposals::BULK_MEMORY, WasmFeatures::BULK_MEMORY),
        (Proposals::REFERENCE_TYPES, WasmFeatures::REFERENCE_TYPES),
        (Proposals::EXTENDED_CONST, WasmFeatures::EXTENDED_CONST),
        (Proposals::TAIL_CALL, WasmFeatures::TAIL_CALL),
        (Proposals::MULTI_MEMORY, WasmFeatures::MULTI_MEMORY),
    ] {
        features.set(feature, proposals.contains(proposal));
    }
    features
}

fn reference(bytes: &[u8], config: &Config) -> Result<(), String> {
    let mut validator = wasmparser::Validator::new_with_features(features(config.proposals()));
    validator.validate_all(bytes).map(drop).map_err(|error| error.to_string())
}

/// Both judges say the same. Returns what ours says.
#[track_caller]
fn agree(what: &str, bytes: &[u8], config: &Config) -> Result<(), Error> {
    let ours = judge_with(bytes, config);
    let theirs = reference(bytes, config);
    let limited = matches!(&ours, Err(error) if error.kind() == ErrorKind::Limit);
    assert!(limited || ours.is_ok() == theirs.is_ok(), "{what}\nours: {ours:?}\nreference: {theirs:?}\n{bytes:02x?}");
    ours
}

#[track_caller]
fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The text is a module; `want` is "ok", or how the rule that it breaks begins.
#[track_caller]
fn verdict_with(text: &str, want: &str, config: &Config) {
    let found = match agree(text, &wat(text), config) {
        Ok(()) => "ok".to_string(),
        Err(error) => match error.cause() {
            Cause::Invalid { why, .. } => why.to_string(),
            _ => error.to_string(),
        },
    };
    assert!(found.starts_with(want), "{text}\nwanted: {want}\nfound: {found}");
}

#[track_caller]
fn verdict(text: &str, want: &str) {
    verdict_with(text, want, &Config::new());
}

/// The text is a body in a module that has some of everything.
#[track_caller]
fn in_house(text: &str, want: &str) {
    verdict(&format!("{HOUSE} (func (export \"body\") {text}))"), want);
}

const HOUSE: &str = r#"(module
    (type $none (func))
    (type $i_i (func (param i32) (result i32)))
    (type $i_ij (func (param i32) (result i32 i64)))
    (type $ij_ij (func (param i32 i64) (result i32 i64)))
    (type $_ij (func (result i32 i64)))
    (type $_i (func (result i32)))
    (import "m" "f" (func $imported (param i32) (result i64)))
    (import "m" "g" (global $imported_global i32))
    (func $none (type $none))
    (func $i_i (type $i_i) local.get 0)
    (func $_ij (type $_ij) i32.const 0 i64.const 0)
    (func $undeclared)
    (table $functions 1 funcref)
    (table $externs 1 externref)
    (memory $memory 1)
    (memory $second 1)
    (global $constant i32 (i32.const 0))
    (global $variable (mut i64) (i64.const 0))
    (global $reference (mut funcref) (ref.null func))
    (elem $declared declare func $none)
    (elem $segment funcref (ref.null func))
    (elem $extern_segment externref (ref.null extern))
    (data $data "abc")"#;

/// A test takes no longer than any input may, and no more of the native stack.
fn within_bounds(test: impl FnOnce() + Send + 'static) {
    let (stack, seconds) = if cfg!(debug_assertions) { (1 << 20, 20) } else { (256 << 10, 5) };
    let thread = std::thread::Builder::new().stack_size(stack).spawn(move || {
        let start = Instant::now();
        test();
        start.elapsed()
    });
    let time = thread.expect("a thread").join().expect("a test that passes");
    assert!(time < Duration::from_secs(seconds), "{time:?}");
}

// ── bytes ──

fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    cat(&[&[id], &leb(contents.len() as u64), contents])
}

/// A module of these sections.
fn sections(sections: &[Vec<u8>]) -> Vec<u8> {
    cat(&[b"\0asm\x01\0\0\0", &sections.concat()])
}

/// `60`, then both lists.
fn signature(params: &[u8], results: &[u8]) -> Vec<u8> {
    cat(&[&[0x60], &leb(params.len() as u64), params, &leb(results.len() as u64), results])
}

fn types(types: &[Vec<u8>]) -> Vec<u8> {
    section(1, &cat(&[&leb(types.len() as u64), &types.concat()]))
}

/// One function, of type 0, whose body has no locals.
fn function(code: &[u8]) -> [Vec<u8>; 2] {
    let body = cat(&[&[0], code]);
    [section(3, &[1, 0]), section(10, &cat(&[&[1], &leb(body.len() as u64), &body]))]
}

/// A module of some types and one function of type 0.
fn function_of(declared: &[Vec<u8>], code: &[u8]) -> Vec<u8> {
    let [function, code] = function(code);
    sections(&[types(declared), function, code])
}

fn body_of(code: &[u8]) -> Vec<u8> {
    function_of(&[signature(&[], &[])], code)
}

const I64: u8 = 0x7E;

/// `[] -> []`, and `1000 × i64 -> 1000 × i64`.
fn t1000() -> [Vec<u8>; 2] {
    [signature(&[], &[]), signature(&[I64; 1000], &[I64; 1000])]
}

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

fn nested(open: &[u8], close: &[u8], count: usize) -> Vec<u8> {
    body_of(&cat(&[&open.repeat(count), &close.repeat(count), &[0x0B]]))
}

#[test]
fn v1_nested_blocks() {
    within_bounds(|| {
        for count in [100_000, 2_500_000] {
            judge(&nested(&[0x02, 0x40], &[0x0B], count)).unwrap();
        }
    });
}

#[test]
fn v2_nested_loops_and_ifs() {
    within_bounds(|| {
        judge(&nested(&[0x03, 0x40], &[0x0B], 100_000)).unwrap();
        judge(&nested(&[0x41, 0, 0x04, 0x40], &[0x0B], 100_000)).unwrap();
        judge(&nested(&[0x41, 0, 0x04, 0x40], &[0x05, 0x0B], 100_000)).unwrap();
        let deep = nested(&[0x02, 0x40], &[0x0B], 1001);
        let mut config = Config::new();
        config.limits_mut().nesting = 1000;
        assert_eq!(judge_with(&deep, &config).unwrap_err().kind(), ErrorKind::Limit);
        config.limits_mut().nesting = 1001;
        judge_with(&deep, &config).unwrap();
    });
}

#[test]
fn v3_branches_far_out() {
    within_bounds(|| {
        const N: usize = 99_999;
        for (depth, valid) in [(N as u64, true), (N as u64 + 1, false), (u32::MAX.into(), false)] {
            let code = cat(&[&[0x02, 0x40].repeat(N), &[0x0C], &leb(depth), &[0x0B].repeat(N), &[0x0B]]);
            assert_eq!(judge(&body_of(&code)).is_ok(), valid, "{depth}");
        }
    });
}

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
fn v8_locals_at_the_limit() {
    in_house("local.get 4294967295 drop", "unknown local 4294967295");
    let of = |count: u64, code: &[u8]| {
        let body = cat(&[&[1], &leb(count), &[0x7F], code, &[0x0B]]);
        let code = section(10, &cat(&[&[1], &leb(body.len() as u64), &body]));
        judge(&sections(&[types(&[signature(&[], &[])]), section(3, &[1, 0]), code]))
    };
    of(50_000, &cat(&[&[0x20], &leb(49_999), &[0x1A]])).unwrap();
    assert!(of(50_000, &cat(&[&[0x20], &leb(50_000), &[0x1A]])).is_err());
    assert_eq!(of(50_001, &[]).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(of(u32::MAX.into(), &[]).unwrap_err().kind(), ErrorKind::Limit);
}

/// A million functions of six bytes, each with fifty thousand locals, and as many of a thousand parameters.
#[test]
fn v8_locals_cost_what_their_bytes_say() {
    within_bounds(|| {
        let many = |ty: Vec<u8>, body: &[u8], count: usize| {
            let bodies = cat(&[&leb(body.len() as u64), body]).repeat(count);
            let count = leb(count as u64);
            let funcs = cat(&[&count, &[0].repeat(bodies.len() / (body.len() + 1))]);
            judge(&sections(&[types(&[ty]), section(3, &funcs), section(10, &cat(&[&count, &bodies]))])).unwrap();
        };
        many(signature(&[], &[]), &[1, 0xD0, 0x86, 0x03, 0x7F, 0x0B], 300_000);
        many(signature(&[I64; 1000], &[]), &[0, 0x0B], 300_000);
    });
}

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
fn v12_long_constant_expressions() {
    within_bounds(|| {
        let steps = [0x41, 1, 0x6A].repeat(1_000_000);
        let global = cat(&[&[1, 0x7F, 0, 0x41, 0], &steps, &[0x0B]]);
        judge(&sections(&[section(6, &global)])).unwrap();
        // A chain of globals needs the gc proposal; only imports are visible without it.
        let chain: Vec<u8> = (1..100_000u64)
            .flat_map(|k| {
                let get = cat(&[&[0x23], &leb(k - 1)]);
                cat(&[&[0x7F, 0], &get, &get, &[0x6A, 0x0B]])
            })
            .collect();
        let globals = cat(&[&leb(100_000), &[0x7F, 0, 0x41, 1, 0x0B], &chain]);
        let error = judge(&sections(&[section(6, &globals)])).unwrap_err();
        assert!(error.to_string().contains("unknown global 0"), "{error}");
    });
}

#[test]
fn v13_br_table_of_a_million_targets_at_a_wide_label() {
    within_bounds(|| {
        let wide = [signature(&[], &[]), signature(&[], &[I64; 1000]), signature(&[], &cat(&[&[0x7F], &[I64; 999]]))];
        let table = cat(&[&leb(1_000_000), &[0].repeat(1_000_000), &[0]]);
        // As in the list: the label falls through to a function without results, so its operands are dropped.
        let drops = [0x1A].repeat(1000);
        judge(&function_of(&wide, &cat(&[&[0x00, 0x02, 1, 0x00, 0x0E], &table, &[0x0B], &drops, &[0x0B]]))).unwrap();
        // The same where the targets are another label than the default, of another type.
        let table = cat(&[&leb(1_000_000), &[1].repeat(1_000_000), &[0]]);
        let code =
            cat(&[&[0x02, 2, 0x02, 1, 0x00, 0x41, 0, 0x0E], &table, &[0x0B], &drops, &[0x00, 0x0B], &drops, &[0x0B]]);
        judge(&function_of(&wide, &code)).unwrap();
        // And where they are a hundred thousand labels.
        let blocks = [0x02, 2].repeat(100_000);
        let targets: Vec<u8> = (0..100_000).flat_map(leb).collect();
        let ends = cat(&[&[0x00, 0x0B].repeat(100_000), &drops]);
        let code = cat(&[
            &[0x02, 1],
            &blocks,
            &[0x00, 0x0E],
            &leb(100_000),
            &targets,
            &leb(100_000),
            &ends,
            &[0x00, 0x0B],
            &drops,
            &[0x0B],
        ]);
        judge(&function_of(&wide, &code)).unwrap();
    });
}

#[test]
fn v14_br_table_over_labels_of_different_arity() {
    within_bounds(|| {
        for same in [true, false] {
            let arity = |k: usize| if same { 3 } else { k % 10 };
            let open: String = (0..500).map(|k| format!("block (result {}) ", "i32 ".repeat(arity(k)))).collect();
            let close: String = (0..500).map(|_| "unreachable end unreachable ").collect();
            let targets: String = (0..500).map(|k| format!("{k} ")).collect();
            let func = format!("(func {open} unreachable br_table {targets} {close})");
            verdict(&format!("(module {})", func.repeat(50)), if same { "ok" } else { "type mismatch" });
        }
    });
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
fn v16_v17_many_types() {
    within_bounds(|| {
        let identical = cat(&[&leb(1_000_000), &[0x60, 0, 0].repeat(1_000_000)]);
        judge(&sections(&[section(1, &identical)])).unwrap();
        let distinct: Vec<u8> = (0..100_000u32)
            .flat_map(|k| {
                let params: Vec<u8> = (0..20).map(|bit| if k >> bit & 1 == 1 { 0x7F } else { I64 }).collect();
                signature(&params, &[])
            })
            .collect();
        judge(&sections(&[section(1, &cat(&[&leb(100_000), &distinct]))])).unwrap();
    });
}

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
fn v31_block_types_that_do_not_exist() {
    let block = |index: u64| body_of(&cat(&[&[0x02], &leb(index), &[0x0B, 0x0B]]));
    judge(&block(0)).unwrap();
    for index in [1, 1_000_000, u32::MAX.into()] {
        assert!(agree("v31", &block(index), &Config::new()).is_err());
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
fn v37_a_million_operands() {
    within_bounds(|| {
        let constants = [0x41, 0].repeat(1_000_000);
        judge(&body_of(&cat(&[&constants, &[0x00, 0x0B]]))).unwrap();
        judge(&body_of(&cat(&[&constants, &[0x1A].repeat(1_000_000), &[0x0B]]))).unwrap();
        // A thousand for two bytes: they would take gigabytes.
        let wide = [signature(&[], &[]), signature(&[], &[I64; 1000])];
        let block = [0x02, 1, 0x00, 0x0B].repeat(200_000);
        assert_eq!(judge(&function_of(&wide, &cat(&[&block, &[0x00, 0x0B]]))).unwrap_err().kind(), ErrorKind::Limit);
    });
}

#[test]
fn v38_long_bodies() {
    within_bounds(|| {
        let of = |bytes: usize| judge(&body_of(&cat(&[&[0x01].repeat(bytes - 2), &[0x0B]])));
        of(7_654_321).unwrap();
        assert_eq!(of(7_654_322).unwrap_err().kind(), ErrorKind::Limit);
    });
}

#[test]
fn v39_exports() {
    within_bounds(|| {
        verdict("(module (func) (export \"a\" (func 0)) (export \"a\" (func 0)))", "duplicate export name");
        let exports: Vec<u8> =
            (0..1_000_000).flat_map(|k| cat(&[&[6], format!("{k:06}").as_bytes(), &[0, 0]])).collect();
        let [function, code] = function(&[0x0B]);
        let exports = section(7, &cat(&[&leb(1_000_000), &exports]));
        judge(&sections(&[types(&[signature(&[], &[])]), function, exports, code])).unwrap();
    });
}

#[test]
fn v40_data_for_the_second_memory() {
    verdict("(module (import \"a\" \"b\" (memory 1)) (memory 1) (data (memory 1) (i32.const 0) \"\"))", "ok");
}

#[test]
fn v42_wide_calls() {
    within_bounds(|| {
        // The function of 1000 parameters is an import, so it has index 0.
        let import = section(2, &[1, 1, b'a', 1, b'b', 0, 1]);
        let calls = |before: &[u8], count: usize, after: &[u8]| {
            let [function, code] = function(&cat(&[before, &[0x10, 0].repeat(count), after, &[0x0B]]));
            judge(&sections(&[types(&t1000()), import.clone(), function, code])).unwrap();
        };
        calls(&[0x00], 1_000_000, &[0x00]);
        // Reachable, and in full: R12 of the list.
        calls(&[0x42, 0].repeat(1000), 200_000, &[0x1A].repeat(1000));
    });
}

/// Branches, returns and blocks that carry a thousand values each: R13 of the list.
#[test]
fn v42_wide_branches() {
    within_bounds(|| {
        let thousand = [0x42, 0].repeat(1000);
        let drops = [0x1A].repeat(1000);
        let t = t1000();
        let branches = [0x41, 0, 0x0D, 0].repeat(200_000);
        judge(&function_of(&t, &cat(&[&thousand, &[0x02, 1], &branches, &[0x0B], &drops, &[0x0B]]))).unwrap();
        let blocks = [0x02, 1, 0x0B].repeat(200_000);
        judge(&function_of(&t, &cat(&[&thousand, &blocks, &drops, &[0x0B]]))).unwrap();
        let ifs = [0x41, 0, 0x04, 1, 0x05, 0x0B].repeat(200_000);
        judge(&function_of(&t, &cat(&[&thousand, &ifs, &drops, &[0x0B]]))).unwrap();
        let results = [signature(&[], &[I64; 1000])];
        let returns = cat(&[&thousand, &[0x0F].repeat(1_000_000), &[0x0B]]);
        judge(&function_of(&results, &returns)).unwrap();
        let tail_calls = cat(&[&[0x12, 0].repeat(1_000_000), &[0x0B]]);
        judge(&function_of(&results, &tail_calls)).unwrap();
    });
}

#[test]
fn v43_tail_calls() {
    assert!(agree("v43", &body_of(&[0x0B, 0x12, 0]), &Config::new()).is_err());
    in_house("(result i64) i32.const 0 return_call $i_i", "type mismatch");
    in_house("(result i32) i32.const 0 i32.const 0 return_call_indirect (type $i_i)", "ok");
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

// ── mutations ──

/// Every program of the list with some bytes changed: both judges agree on each.
#[test]
fn mutated_modules_get_the_same_verdict() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|text| wat(text)).chain([wat(&format!("{HOUSE})"))]).collect();
    let configs = [Config::new(), Config::new(), without(Proposals::WASM3 - Proposals::WASM2), Config::wasm1()];
    let rounds = if cfg!(debug_assertions) { 1500 } else { 20_000 };
    let mut valid = 0;
    for round in 0..rounds {
        for seed in &seeds {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(3) {
                let at = 8 + random.below(bytes.len() - 8);
                match random.below(6) {
                    0 => bytes[at] ^= 1 << random.below(8),
                    1 => bytes[at] = random.below(256) as u8,
                    2 => bytes[at] = bytes[at].wrapping_add(1),
                    3 => bytes[at] = bytes[8 + random.below(bytes.len() - 8)],
                    // Whole operators stay whole more often if neighbours change places.
                    4 if at + 1 < bytes.len() => bytes.swap(at, at + 1),
                    _ => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
                }
            }
            let config = &configs[round % configs.len()];
            valid += usize::from(agree("mutation", &bytes, config).is_ok());
        }
    }
    assert!(valid > rounds / 2, "most mutations should not be refused by the decoder alone: {valid}");
}

/// Bodies of random operators in a module that has some of everything. What follows `unreachable` is often valid.
#[test]
fn random_bodies_get_the_same_verdict() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let house = wat(&format!("{HOUSE} (func (param i32 i64 externref) (result i32) unreachable))"));
    // The code section is followed by the data section only, and ends with the body that is replaced.
    let start = (8..house.len()).find(|&at| house[at..].starts_with(&[10, house[at + 1], 5, 2, 0])).expect("its code");
    let end = start + 2 + house[start + 1] as usize;
    let rounds = if cfg!(debug_assertions) { 30_000 } else { 300_000 };
    let mut valid = 0;
    for _ in 0..rounds {
        let body = random_body(&mut random);
        let code = cat(&[&house[start + 2..end - 4], &leb(body.len() as u64), &body]);
        let bytes = cat(&[&house[..start], &section(10, &code), &house[end..]]);
        valid += usize::from(agree("a random body", &bytes, &Config::new()).is_ok());
    }
    assert!(valid > rounds / 10, "{valid}");
}

fn random_body(random: &mut Random) -> Vec<u8> {
    // Five locals: i32 i64 externref, then i32 funcref.
    let mut code = Vec::from([2, 1, 0x7F, 1, 0x70]);
    let mut depth = 0;
    for _ in 0..random.below(12) {
        let index = random.below(6) as u8;
        let piece: &[u8] = match random.below(60) {
            0..6 => &[0x00],
            6 => &[0x0F],
            7 | 8 => &[0x41, 0],
            9 => &[0x42, 0],
            10 => &[0x1A],
            11 => &[0x1B],
            12 => &[0x1C, 1, TYPES[random.below(TYPES.len())]],
            13..18 => {
                depth += 1;
                let ty = match random.below(3) {
                    0 => 0x40,
                    1 => TYPES[random.below(TYPES.len())],
                    _ => index,
                };
                &[[0x02, 0x03, 0x04][random.below(3)], ty]
            }
            18..21 if depth > 0 => {
                depth -= 1;
                &[0x0B]
            }
            21 => &[0x05],
            22 => &[0x0C, random.below(3) as u8],
            23 | 24 => &[0x0D, random.below(3) as u8],
            25 | 26 => &[0x0E, 2, random.below(3) as u8, random.below(3) as u8, random.below(3) as u8],
            27 => &[0x10, index],
            28 => &[0x11, index, random.below(3) as u8],
            29 => &[0x12, index],
            30 => &[0x13, index, random.below(3) as u8],
            31..34 => &[0x20, index],
            34 => &[0x21, index],
            35 => &[0x22, index],
            36 => &[0x23, index],
            37 => &[0x24, index],
            38 => &[0x25, random.below(3) as u8],
            39 => &[0x26, random.below(3) as u8],
            40 => &[0x28 + random.below(23) as u8, random.below(4) as u8, 0],
            41 => &[0x3F, random.below(3) as u8],
            42 => &[0x40, random.below(3) as u8],
            43..50 => &[0x45 + random.below(0x80) as u8],
            50 => &[0xD0, [0x70, 0x6F][random.below(2)]],
            51 => &[0xD1],
            52 => &[0xD2, index],
            53 => &[0xFC, random.below(8) as u8],
            54 => &[0xFC, [8, 10, 12, 14][random.below(4)], random.below(3) as u8, random.below(3) as u8],
            55 => &[0xFC, [9, 11, 13, 15, 16, 17][random.below(6)], random.below(3) as u8],
            _ => &[0x6A],
        };
        code.extend_from_slice(piece);
    }
    if random.below(4) > 0 {
        code.push(0x00);
    }
    for _ in 0..=depth {
        let close: &[u8] = if random.below(8) == 0 { &[0x00, 0x0B] } else { &[0x0B] };
        code.extend_from_slice(close);
    }
    code
}

const TYPES: &[u8] = &[0x7F, 0x7E, 0x7D, 0x7C, 0x70, 0x6F];

/// Operators and types that make other programs of most bytes.
const INTERESTING: &[u8] = &[
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x1A, 0x1B, 0x1C, 0x20,
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x28, 0x36, 0x3F, 0x40, 0x41, 0x42, 0x45, 0x50, 0x6A, 0x6F, 0x70, 0x7B, 0x7C,
    0x7D, 0x7E, 0x7F, 0xC0, 0xD0, 0xD1, 0xD2, 0xFC, 0xFD, 0xFF,
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }
}

const SEEDS: &[&str] = &[
    r#"(module (func (param i32 i32) (result i32) local.get 0 local.get 1 i32.add i32.const 3 i32.mul))"#,
    r#"(module (func $f (export "f") (param i64) (result i64)
        (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 1))
            (else (i64.mul (local.get 0) (call $f (i64.sub (local.get 0) (i64.const 1))))))))"#,
    r#"(module (func (param i32) (local i64 f32 f64)
        (block (block (block (br_table 0 1 2 1 (local.get 0))) (local.set 1 (i64.const 5)) (br 1))
            (local.set 2 (f32.const 1)))
        (loop (br_if 0 (i32.eqz (local.get 0))) (local.set 3 (f64.promote_f32 (local.get 2))))))"#,
    r#"(module (memory (export "m") 1 2) (data (i32.const 8) "hello")
        (func (param i32) (result i32) (i32.store offset=4 (local.get 0) (i32.load8_u (local.get 0)))
            (i64.store32 (local.get 0) (i64.load16_s align=2 (local.get 0))) (memory.grow (memory.size))))"#,
    r#"(module (type $t (func (param i32) (result i32 i64)))
        (func $a (type $t) local.get 0 i64.const 7)
        (func (result i32 i64) (local i32) i32.const 5 loop (type $t) i64.const 1 end
            block (param i32 i64) (result i32 i64) i32.const 1 br_if 0 end)
        (func (param i32) (result i32 i64) local.get 0 return_call $a)
        (func (param i32) (result i32 i64) local.get 0 local.get 0 return_call_indirect (type $t))
        (table 2 2 funcref) (elem (i32.const 0) $a $a))"#,
    r#"(module (table $t 3 10 externref) (table $f 3 funcref) (elem $e func $g) (elem $x externref (ref.null extern))
        (func $g (export "g") (param externref i32)
            (table.set $t (local.get 1) (local.get 0))
            (drop (table.grow $t (table.get $t (i32.const 0)) (table.size $t)))
            (table.fill $f (i32.const 0) (ref.func $g) (i32.const 2))
            (table.init $f $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $x)
            (table.copy $f $f (i32.const 0) (i32.const 0) (i32.const 1))
            (drop (ref.is_null (select (result externref) (local.get 0) (ref.null extern) (local.get 1))))))"#,
    r#"(module (memory 1) (memory $n 1) (data $d "abcdef")
        (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $d)
            (memory.copy $n 0 (i32.const 0) (i32.const 1) (i32.const 2))
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))
            (drop (f64.load $n (i32.const 8)))))"#,
    r#"(module (import "a" "g" (global $g i32)) (import "a" "h" (global $h (mut i64)))
        (global $x (mut i32) (i32.add (global.get $g) (i32.const 1))) (global f64 (f64.const 2))
        (func (global.set $x (i32.trunc_sat_f64_u (global.get 3)))
            (global.set $h (i64.extend_i32_u (i32.extend8_s (global.get $x)))))
        (export "x" (global $x)) (start 0))"#,
    r#"(module (func (result i32) unreachable i32.add select) (func (result i64) (block (result i64) br 0 unreachable))
        (func (param f32) (result f32) (select (local.get 0) (f32.neg (local.get 0)) (i32.const 1)) return drop))"#,
];
