//! Modules that end early or were changed: each is refused in words, and as the decoder's own parser has it.

use super::*;
use crate::module::convert;

#[test]
fn d01_cut_header() {
    for k in 0..8 {
        let error = refused(&module(&[])[..k], &[Malformed]);
        assert!(error.to_string().contains("unexpected end"), "{error}");
    }
    taken(&module(&[]));
}

const SAMPLE: &str = r#"
    (module $sample
        (type $t (func (param i32) (result i32)))
        (import "m" "f" (func $f (type $t)))
        (func $g (type $t) (local i64 f32)
            (block (loop (br_if 1 (local.get 0)) (br_table 0 1 (i32.const 300))))
            (if (result i32) (local.get 0) (then (i32.load offset=5 (i32.const 1))) (else (call $f (i32.const -5)))))
        (table 2 4 funcref)
        (memory 1 2)
        (global (mut i32) (i32.const 7))
        (export "g" (func $g))
        (elem (i32.const 0) func $f $g)
        (elem funcref (ref.func $g))
        (data (i32.const 3) "xyz")
        (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))))"#;

/// Where sections end, the header counted as one.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![8];
    let mut at = 8;
    while at < bytes.len() {
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(bytes[at] & 0x7F) << shift;
            shift += 7;
            if bytes[at] < 0x80 {
                break;
            }
        }
        at += 1 + size;
        ends.push(at);
    }
    ends
}

#[test]
fn d02_cut_anywhere() {
    let bytes = wat(SAMPLE);
    let ends = boundaries(&bytes);
    for k in 0..bytes.len() {
        match read(&bytes[..k]) {
            Ok(_) => assert!(ends.contains(&k), "cut at {k}"),
            Err(error) => assert_eq!(error.kind(), Malformed, "cut at {k}: {error}"),
        }
    }
}

/// What the decoder without anything of ours makes of a module, and what its validator says.
fn oracle(bytes: &[u8]) -> (bool, bool) {
    fn decode(bytes: &[u8], features: wasmparser::WasmFeatures) -> wasmparser::Result<()> {
        let mut parser = wasmparser::Parser::new(0);
        parser.set_features(features);
        for payload in parser.parse_all(bytes) {
            use wasmparser::Payload::*;
            match payload? {
                TypeSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                ImportSection(items) => items.into_imports().try_for_each(|item| item.map(|_| ()))?,
                FunctionSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                TableSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                MemorySection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                TagSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                GlobalSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                ExportSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                ElementSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                DataSection(items) => items.into_iter().try_for_each(|item| item.map(|_| ()))?,
                CodeSectionEntry(body) => {
                    body.get_locals_reader()?.into_iter().try_for_each(|item| item.map(|_| ()))?;
                    let mut operators = body.get_operators_reader()?;
                    while !operators.eof() {
                        operators.read()?;
                    }
                    operators.finish()?;
                }
                _ => {}
            }
        }
        Ok(())
    }
    let features = convert::features(Config::new().proposals());
    let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::WASM3).validate_all(bytes).is_ok();
    (decode(bytes, features).is_ok(), valid)
}

#[test]
fn d03_mutants() {
    let bytes = wat(SAMPLE);
    let mut mutants = Vec::new();
    for at in 0..bytes.len() {
        let with = |byte: u8| [&bytes[..at], &[byte], &bytes[at + 1..]].concat();
        mutants.extend((0..8).map(|bit| with(bytes[at] ^ 1 << bit)));
        mutants.extend([0x00, 0x7F, 0x80, 0xFF].map(with));
        mutants.push([&bytes[..at], &bytes[at + 1..]].concat());
        mutants.push([&bytes[..=at], &bytes[at..]].concat());
    }
    for mutant in &mutants {
        let (decodes, valid) = oracle(mutant);
        match read(mutant) {
            Ok(_) => assert!(decodes, "{mutant:x?}"),
            Err(error) => assert!(!valid || error.kind() == Unsupported, "{error}: {mutant:x?}"),
        }
    }
    assert_eq!(mutants.len(), 14 * bytes.len());
}
