//! Tests of the validator. Nearly all are tables, and every case is also put to the reference validator (wasmparser's).
//!
//! Names `v13_…` are rows of the list of hostile inputs.

mod control;
mod modules;
mod mutations;
mod operators;
mod sizes;

use super::*;
use crate::config::Config;
use crate::error::{Cause, ErrorKind};
use crate::module::decode::decode;
use crate::types::TypeRegistry;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
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
