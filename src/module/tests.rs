//! What is taken, what is refused, and how: modules byte by byte, most of them from attacks that worked somewhere.
//!
//! A test named `d17_…` is row D17 of the catalogue of hostile inputs, as far as decoding alone decides it. Bounds on
//! memory are checked in `tests/`, where an allocator can count.

use super::operators::{self, BlockType, BrTable, Item, MemArg, Sink};
use super::{DataMode, Description, ExternKind, ImportType, Items, Mode, decode};
use crate::config::{Config, Proposals};
use crate::error::{Error, ErrorKind};
use crate::types::{FuncType, HeapType, TypeRegistry, ValType};
use alloc::{format, string::String, string::ToString, sync::Arc, vec, vec::Vec};
use jitless_machine::instr::{Access, Plain};

/// Writes down what it sees.
#[derive(Default)]
struct Trace {
    lines: Vec<String>,
    offsets: Vec<usize>,
    seen: usize,
    quiet: bool,
}

impl Trace {
    fn line(&mut self, line: impl FnOnce() -> String) -> Result<(), Error> {
        self.seen += 1;
        if !self.quiet {
            self.lines.push(line());
        }
        Ok(())
    }
}

macro_rules! trace {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            $method:ident($($immediate:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;
    )*) => {
        impl Sink for Trace {
            fn at(&mut self, offset: usize) {
                if !self.quiet {
                    self.offsets.push(offset);
                }
            }

            fn plain(&mut self, op: Plain) -> Result<(), Error> {
                self.line(|| op.to_string())
            }

            fn access(&mut self, op: Access, arg: MemArg) -> Result<(), Error> {
                self.line(|| format!("{op} {} {} {}", arg.memory, arg.align, arg.offset))
            }

            $(fn $method(&mut self $(, $immediate: $ty)*) -> Result<(), Error> {
                self.line(|| {
                    #[allow(unused_mut)]
                    let mut line = String::from($name);
                    $(line.push_str(&format!(" {}", $immediate.shown()));)*
                    line
                })
            })*

            fn later(&mut self, proposal: &'static str, operator: &'static str) -> Result<(), Error> {
                self.line(|| format!("{proposal}: {operator}"))?;
                Err(Error::unsupported(crate::error::Place::default(), operator, proposal, false))
            }
        }
    };
}

jitless_machine::for_each_special!(trace);

trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown {
    ($($ty:ty)*) => {
        $(impl Shown for $ty {
            fn shown(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}

shown!(u32 i32 u64 i64 BlockType ValType HeapType);

impl Shown for BrTable<'_> {
    fn shown(&self) -> String {
        assert_eq!(self.targets().count(), self.len() as usize);
        format!("{:?} else {}", self.targets().collect::<Vec<_>>(), self.default())
    }
}

/// All proposals on, those that do not run included: encodings are read in their newest form.
fn all() -> Config {
    let mut config = Config::new();
    config.wasm_proposals(Proposals::ALL, true);
    config
}

fn decoded(bytes: &[u8], config: &Config) -> Result<Description, Error> {
    decode::decode(Arc::new(bytes.to_vec()), &Arc::new(TypeRegistry::new()), config)
}

/// Decodes a module and reads all that decoding leaves for later.
fn read_with(bytes: &[u8], config: &Config) -> Result<Description, Error> {
    let desc = decoded(bytes, config)?;
    let mut sink = Trace { quiet: true, ..Trace::default() };
    let inits = desc.globals.iter().filter_map(|global| global.init.as_ref());
    let inits = inits.chain(desc.tables.iter().filter_map(|table| table.init.as_ref()));
    for expr in inits {
        operators::read_const(&desc, expr, &mut sink)?;
    }
    for element in &desc.elements {
        if let Mode::Active { offset, .. } = &element.mode {
            operators::read_const(&desc, offset, &mut sink)?;
        }
        let mut count = 0;
        for (_, item) in operators::items(&desc, &element.items) {
            count += 1;
            if let Item::Expr(expr) = item {
                operators::read_const(&desc, &expr, &mut sink)?;
            }
        }
        assert_eq!(count, element.items.len());
    }
    for data in &desc.data {
        if let DataMode::Active { offset, .. } = &data.mode {
            operators::read_const(&desc, offset, &mut sink)?;
        }
    }
    for function in desc.imported_funcs..desc.funcs.len() as u32 {
        operators::locals(&desc, function)?.try_for_each(|group| group.map(|_| ()))?;
        operators::read_body(&desc, function, &mut sink)?;
    }
    Ok(desc)
}

fn read(bytes: &[u8]) -> Result<Description, Error> {
    read_with(bytes, &Config::new())
}

#[track_caller]
fn taken(bytes: &[u8]) -> Description {
    read(bytes).unwrap_or_else(|error| panic!("refused: {error}"))
}

#[track_caller]
fn refused(bytes: &[u8], kinds: &[ErrorKind]) -> Error {
    let error = read(bytes).err().expect("refused");
    assert!(kinds.contains(&error.kind()), "{error}");
    error
}

#[track_caller]
fn malformed(bytes: &[u8]) {
    refused(bytes, &[ErrorKind::Malformed]);
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

fn leb(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (n & 0x7F) as u8;
        n >>= 7;
        bytes.push(if n == 0 { byte } else { byte | 0x80 });
        if n == 0 {
            return bytes;
        }
    }
}

fn sized(body: impl AsRef<[u8]>) -> Vec<u8> {
    [leb(body.as_ref().len() as u64), body.as_ref().to_vec()].concat()
}

/// A section: `S(id; body)`.
fn s(id: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![id], sized(body)].concat()
}

/// The same in hex.
fn sx(id: u8, body: &str) -> Vec<u8> {
    s(id, hex(body))
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

/// One type without parameters and results.
fn t0() -> Vec<u8> {
    sx(1, "01 60 00 00")
}

fn one_func() -> Vec<u8> {
    sx(3, "01 00")
}

/// A code section of one body, which begins with its vector of locals.
fn code(body: impl AsRef<[u8]>) -> Vec<u8> {
    s(10, [vec![1], sized(body)].concat())
}

fn body(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    module(&[t0(), one_func(), code(bytes)])
}

fn bodyx(bytes: &str) -> Vec<u8> {
    body(hex(bytes))
}

fn wat(text: &str) -> Vec<u8> {
    ::wat::parse_str(text).expect("text")
}

fn trace(text: &str, function: u32) -> Vec<String> {
    let desc = taken(&wat(text));
    let mut trace = Trace::default();
    operators::read_body(&desc, function, &mut trace).expect("read before");
    trace.lines
}

use ErrorKind::{Invalid, Limit, Malformed, Unsupported};

#[test]
fn a_description() {
    let desc = taken(&wat(r#"
        (module $m
            (type $a (func (param i32 i64) (result f32)))
            (type $b (func))
            (import "env" "f" (func (type $b)))
            (import "env" "" (global $g (mut i32)))
            (func $one (type $a) (local i32 i32 f64) f32.const 1)
            (table 1 2 funcref)
            (memory 3)
            (global funcref (ref.func 0))
            (export "é" (func 1)) (export "mem" (memory 0))
            (start 0)
            (elem (i32.const 0) func 0 1 0)
            (elem declare funcref (ref.func 1) (ref.null func))
            (data (i32.const 5) "abc") (data "d"))"#));
    assert_eq!(desc.import_name(0), ("env", "f"));
    assert_eq!(desc.import_name(1), ("env", ""));
    assert!(matches!(desc.imports[0].ty, ImportType::Func(1)));
    assert_eq!((&desc.funcs[..], desc.imported_funcs), (&[1, 0][..], 1));
    assert_eq!(desc.type_of_func(1).map(ToString::to_string).as_deref(), Some("(func (param i32 i64) (result f32))"));
    assert_eq!((desc.globals.len(), desc.imported_globals), (2, 1));
    assert!(desc.globals[0].init.is_none() && desc.globals[1].init.is_some());
    assert_eq!((desc.tables[0].ty.minimum(), desc.memories[0].minimum()), (1, 3));
    assert_eq!(desc.export("é").map(|export| (export.kind, export.index)), Some((ExternKind::Func, 1)));
    assert_eq!(desc.export("mem").map(|export| export.kind), Some(ExternKind::Memory));
    assert!(desc.export("e").is_none() && desc.duplicate_export().is_none());
    assert_eq!(desc.start, Some(0));
    let items = |n: usize| operators::items(&desc, &desc.elements[n].items).map(|(_, item)| item).collect::<Vec<_>>();
    assert_eq!(items(0), [Item::Func(0), Item::Func(1), Item::Func(0)]);
    assert!(matches!(items(1)[..], [Item::Expr(_), Item::Expr(_)]));
    assert!(matches!(desc.elements[1].mode, Mode::Declared));
    assert_eq!(desc.slice(&desc.data[0].range), b"abc");
    assert!(matches!(desc.data[0].mode, DataMode::Active { memory: 0, .. }));
    assert_eq!(desc.data_count, None);
    assert_eq!((desc.module_name(), desc.func_name(1), desc.func_name(0)), (Some("m"), Some("one"), None));
    assert_eq!(desc.custom_sections().map(|(name, _)| name).collect::<Vec<_>>(), ["name"]);
    let locals: Vec<_> = operators::locals(&desc, 1).expect("locals").map(|group| group.expect("group")).collect();
    assert_eq!(locals, [(2, ValType::I32), (1, ValType::F64)]);
    let place = desc.place(7, Some(1), Some("drop"));
    assert_eq!(place.to_string(), "function 1 `one`, offset 0x7, at `drop`: ");
}

#[test]
fn operators_become_calls() {
    let lines = trace(
        r#"(module (memory 1) (memory 1) (table 1 externref) (data "") (elem func)
            (type $t (func (param i32) (result i32)))
            (func (local i32 f32)
                block br 0 end
                i32.const -7 i64.const 1 f32.const 1 f64.const 1 drop drop drop
                loop (result i32) i32.const 0 end
                if (param) (result) nop else unreachable end
                block (type $t) br_table 1 0 1 end
                i32.add i32.load8_u offset=9 i64.store 1 align=2
                local.tee 0 ref.null extern drop (select (result i64))
                call 0 call_indirect (type $t) return_call 0
                memory.init 1 0 memory.copy 1 0 table.size))"#,
        0,
    );
    let want = [
        "block Empty",
        "br 0",
        "end",
        "i32.const -7",
        "i64.const 1",
        "f32.const 1065353216",
        "f64.const 4607182418800017408",
        "drop",
        "drop",
        "drop",
        "loop Value(I32)",
        "i32.const 0",
        "end",
        "if Empty",
        "nop",
        "else",
        "unreachable",
        "end",
        "block Func(0)",
        "br_table [1, 0] else 1",
        "end",
        "i32.add",
        "i32.load8_u 0 0 9",
        "i64.store 1 1 0",
        "local.tee 0",
        "ref.null Extern",
        "drop",
        "select I64",
        "call 0",
        "call_indirect 0 0",
        "return_call 0",
        "memory.init 0 1",
        "memory.copy 1 0",
        "table.size 0",
        "end",
    ];
    for (line, want) in lines.iter().zip(want) {
        assert!(line.starts_with(want), "{line} is not {want}");
    }
    assert_eq!(lines.len(), want.len());
}

#[test]
fn two_sinks_in_one_walk() {
    let desc = taken(&bodyx("00 41 01 1A 0B"));
    let mut pair = (Trace::default(), Trace::default());
    operators::read_body(&desc, 0, &mut (&mut pair.0, &mut pair.1)).expect("read before");
    assert_eq!(pair.0.lines, ["i32.const 1", "drop", "end"]);
    assert_eq!(pair.0.lines, pair.1.lines);
    let first = desc.bodies[0].start as usize + 1;
    assert_eq!(pair.0.offsets, [first, first + 2, first + 3]);
    // What the first refuses, the second never sees.
    let desc = decoded(&bodyx("00 D3 0B"), &Config::new()).expect("decodes");
    let mut pair = (Trace::default(), Trace::default());
    assert!(operators::read_body(&desc, 0, &mut pair).is_err());
    assert_eq!((pair.0.lines, pair.1.lines), (vec![String::from("gc: ref.eq")], vec![]));
}

#[test]
fn operators_of_later_proposals_have_names() {
    for (bytes, want) in [
        ("FB 00 00", "gc: struct.new"),
        ("FB 14 6B", "gc: ref.test_non_null"),
        ("08 00", "exceptions: throw"),
        ("0A", "exceptions: throw_ref"),
        ("1F 40 00 0B", "exceptions: try_table"),
        ("06 40 0B", "legacy-exceptions: try"),
        ("14 00", "function-references: call_ref"),
        ("D4", "function-references: ref.as_non_null"),
        ("FD 0C 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "simd: v128.const"),
        ("FD 80 02", "relaxed-simd: i8x16.relaxed_swizzle"),
        ("FE 03 00", "threads: atomic.fence"),
        ("FE 10 02 00", "threads: i32.atomic.load"),
        ("FE 20 00 00", "threads: i32.atomic.rmw8.add_u"),
        ("FE 01 02 00", "threads: memory.atomic.wait32"),
        ("FC 13", "wide-arithmetic: i64.add128"),
        ("E0 00", "stack-switching: cont.new"),
    ] {
        let desc = decoded(&bodyx(&format!("00 {bytes} 0B")), &Config::new()).expect("decodes");
        let mut trace = Trace::default();
        assert!(operators::read_body(&desc, 0, &mut trace).is_err(), "{want}");
        assert_eq!(trace.lines.last().map(String::as_str), Some(want));
        assert!(Proposals::from_name(want.split(':').next().expect("a proposal")).is_some(), "{want}");
    }
}

#[test]
fn what_a_proposal_brings_is_refused_by_its_name() {
    for (text, proposal) in [
        ("(module (type (struct)))", "gc"),
        ("(module (rec (type (func)) (type (func))))", "gc"),
        ("(module (rec))", "gc"),
        ("(module (type (sub (func))))", "gc"),
        ("(module (func (param anyref)))", "gc"),
        ("(module (func (local nullfuncref)))", "gc"),
        ("(module (type (func (param (ref func)))))", "function-references"),
        ("(module (type $t (func)) (func (local (ref null $t))))", "function-references"),
        ("(module (type $t (func)) (func (drop (ref.null $t))))", "function-references"),
        ("(module (table 1 funcref (ref.null func)))", "function-references"),
        ("(module (global v128 (v128.const i64x2 0 0)))", "simd"),
        ("(module (func (local v128)))", "simd"),
        ("(module (func (block (result v128) unreachable) drop))", "simd"),
        ("(module (memory i64 1))", "memory64"),
        ("(module (import \"\" \"\" (table i64 1 funcref)))", "memory64"),
        ("(module (memory 1 1 shared))", "threads"),
        ("(module (tag))", "exceptions"),
        ("(module (import \"\" \"\" (tag)))", "exceptions"),
        ("(module (func (local exnref)))", "exceptions"),
    ] {
        let error = refused(&wat(text), &[Unsupported]);
        assert!(
            error.to_string().ends_with(&format!("needs the {proposal} proposal, which this version does not run yet")),
            "{error}"
        );
        let error = read_with(&wat(text), &all()).err().expect("refused");
        assert_eq!(error.kind(), Unsupported, "{text}: {error}");
    }
}

#[test]
fn what_is_off_is_refused() {
    let cases = [
        ("(module (type (func (result i32 i32))))", Proposals::MULTI_VALUE),
        (
            "(module (type $t (func)) (func (block (type $t) nop)) (func (block (param i32) unreachable)))",
            Proposals::MULTI_VALUE,
        ),
        ("(module (func (param funcref)))", Proposals::REFERENCE_TYPES),
        ("(module (table 1 externref))", Proposals::REFERENCE_TYPES),
        ("(module (memory 1) (data \"\"))", Proposals::BULK_MEMORY),
        ("(module (func) (elem func 0))", Proposals::BULK_MEMORY),
        ("(module (func) (elem declare func 0))", Proposals::BULK_MEMORY),
        ("(module (memory 1) (memory 1) (func (drop (memory.size 1))))", Proposals::MULTI_MEMORY),
    ];
    for (text, proposal) in cases {
        taken(&wat(text));
        let mut config = Config::new();
        config.wasm_proposals(proposal, false);
        let error = read_with(&wat(text), &config).err().expect("refused");
        assert!(matches!(error.kind(), Unsupported | Invalid | Malformed), "{error}");
    }
}

#[test]
fn recursion_groups_are_ready_for_their_proposal() {
    // The general path, which `Proposals::RUNS` keeps shut: references into a group are relative to it.
    let types = Arc::new(TypeRegistry::new());
    let scope = super::convert::Scope {
        types: &[types.register_func(&FuncType::from_parts([], []))],
        group: 2,
        proposals: Proposals::ALL,
    };
    let index = |index| wasmparser::PackedIndex::from_module_index(index).expect("small").unpack();
    for (at, want) in [(0, Ok(0)), (1, Ok(1 << 31)), (2, Ok(1 << 31 | 1)), (3, Err(3))] {
        let found = scope.type_id(index(at)).map(|id| id.0).map_err(|refusal| match refusal {
            super::convert::Refusal::Invalid(crate::error::Invalid::UnknownType(index)) => index,
            other => panic!("{other:?}"),
        });
        assert_eq!(found, want);
    }
}

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
    let features = super::convert::features(Config::new().proposals());
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

#[test]
fn d04_overlong_counts() {
    malformed(&module(&[sx(1, "80 80 80 80 80 00")]));
    malformed(&module(&[sx(1, "FF FF FF FF 1F")]));
    taken(&module(&[sx(1, "81 80 80 80 00 60 00 00")]));
}

#[test]
fn d05_constants_at_their_limits() {
    for (bytes, fits) in [
        ("41 FF FF FF FF 0F", false),
        ("41 80 80 80 80 78", true),
        ("41 80 80 80 80 70", false),
        ("42 80 80 80 80 80 80 80 80 80 7F", true),
        ("42 80 80 80 80 80 80 80 80 80 7E", false),
        ("42 80 80 80 80 80 80 80 80 80 80 00", false),
    ] {
        let module = bodyx(&format!("00 {bytes} 1A 0B"));
        if fits {
            taken(&module);
        } else {
            malformed(&module);
        }
    }
}

#[test]
fn d06_negative_block_types_are_one_byte() {
    for ty in ["FF 7E", "FF 7F", "C0 7F"] {
        malformed(&bodyx(&format!("00 02 {ty} 0B 0B")));
    }
    taken(&bodyx("00 02 40 0B 0B"));
}

#[test]
fn d07_explicit_memory() {
    let bytes = module(&[t0(), one_func(), sx(5, "01 00 01"), code(hex("00 41 00 28 42 00 00 1A 0B"))]);
    taken(&bytes);
    let mut config = Config::new();
    config.wasm_multi_memory(false);
    assert_eq!(read_with(&bytes, &config).err().map(|error| error.kind()), Some(Malformed));
}

#[test]
fn d08_large_alignments() {
    for (align, fits) in
        [("03", true), ("1F", true), ("20", true), ("3F", true), ("FF FF FF FF 0F", false), ("80 01", false)]
    {
        let bytes = bodyx(&format!("00 41 00 28 {align} 00 1A 0B"));
        assert_eq!(read(&bytes).is_ok(), fits, "{align}");
    }
}

#[test]
fn d09_section_order() {
    let (memory, global, start, end) = (sx(5, "01 00 01"), sx(6, "00"), sx(8, "00"), code(hex("00 0B")));
    for sections in [
        vec![t0(), end.clone(), one_func()],
        vec![t0(), t0()],
        vec![t0(), one_func(), end.clone(), sx(12, "00")],
        vec![t0(), one_func(), start.clone(), start, end],
        vec![sx(14, "")],
        vec![sx(0x7F, "")],
    ] {
        malformed(&module(&sections));
    }
    // Tags do not run yet, so their section is refused before its place matters.
    for sections in [[sx(13, "00"), memory.clone()], [global.clone(), sx(13, "00")], [memory, sx(13, "00")]] {
        refused(&module(&sections), &[Malformed, Unsupported]);
    }
    taken(&module(&[global]));
}

#[test]
fn d10_section_sizes() {
    let with_size = |size: &str| module(&[[hex("01"), hex(size), hex("01 60 00 00")].concat()]);
    taken(&with_size("04"));
    for size in ["03", "05", "FF FF FF FF 0F"] {
        malformed(&with_size(size));
    }
    // The function section lies inside the type section by size.
    malformed(&module(&[hex("01 07 01 60 00 00"), hex("03 01 00")]));
}

#[test]
fn d11_body_without_bytes() {
    malformed(&module(&[t0(), one_func(), sx(10, "01 FF FF FF FF 0F 00 0B 0B")]));
}

#[test]
fn d12_body_shorter_than_it_is() {
    let funcs = sx(3, "02 00 00");
    malformed(&module(&[t0(), funcs.clone(), sx(10, "02 02 00 01 01 0B")]));
    malformed(&module(&[t0(), funcs, sx(10, "02 02 00 01 02 00 0B")]));
}

#[test]
fn d13_count_without_bytes() {
    for id in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13] {
        let kinds = if id == 13 { &[Unsupported][..] } else { &[Malformed, Limit] };
        refused(&module(&[sx(id, "FF FF FF FF 0F")]), kinds);
        assert!(read_with(&module(&[sx(id, "FF FF FF FF 0F")]), &all()).is_err());
    }
    // As many bodies as functions, in a section that only says it is long.
    malformed(&module(&[t0(), sx(3, "03 00 00 00"), hex("0A FF FF FF FF 0F 03")]));
}

#[test]
fn d14_group_without_bytes() {
    malformed(&module(&[sx(1, "01 4E C0 84 3D")]));
    let error = read_with(&module(&[sx(1, "01 4E C0 84 3D")]), &all()).err();
    assert_eq!(error.map(|error| error.kind()), Some(Malformed));
    // Half of what is claimed.
    malformed(&module(&[s(1, [hex("01 4E 64"), hex("5F 00").repeat(50)].concat())]));
    malformed(&module(&[sx(1, "01 4E FF FF FF FF FF")]));
}

#[test]
fn d15_too_many_locals() {
    let locals = |groups: &[u64]| {
        let of: Vec<u8> = groups.iter().flat_map(|&n| [leb(n), vec![0x7F]].concat()).collect();
        body([leb(groups.len() as u64), of, vec![0x0B]].concat())
    };
    refused(&locals(&[u64::from(u32::MAX)]), &[Limit]);
    refused(&locals(&[1 << 31, 1 << 31]), &[Limit]);
    refused(&locals(&[50_001]), &[Limit]);
    refused(&locals(&[25_000, 25_000, 1]), &[Limit]);
    taken(&locals(&[50_000]));
    // Parameters count.
    let one_param = sx(1, "01 60 01 7F 00");
    refused(&module(&[one_param, one_func(), code([vec![1], leb(50_000), vec![0x7F, 0x0B]].concat())]), &[Limit]);
    malformed(&bodyx("02 01 7F 0B"));
}

#[test]
fn d16_a_million_empty_groups() {
    let desc = taken(&body([leb(1_000_000), [0, 0x7F].repeat(1_000_000), vec![0x0B]].concat()));
    let groups = operators::locals(&desc, 0).expect("locals");
    assert_eq!(groups.map(|group| group.expect("group").0).sum::<u32>(), 0);
}

#[test]
fn d17_branch_tables() {
    let table = |count: u64, bytes: &[u8]| body([&[0, 0x41, 0, 0x0E][..], &leb(count), bytes].concat());
    malformed(&table(7_654_321, &[0, 0, 0, 0x0B]));
    malformed(&table(7_654_322, &[0, 0, 0, 0x0B]));
    let desc = taken(&table(7_000_000, &[vec![0; 7_000_001], vec![0x0B]].concat()));
    assert_eq!(desc.bodies[0].end - desc.bodies[0].start, 7_000_010);
}

#[test]
fn d18_data_count() {
    malformed(&module(&[sx(5, "01 00 01"), sx(12, "01"), sx(11, "02 01 00 01 00")]));
    refused(&module(&[sx(12, "80 94 EB DC 03")]), &[Malformed, Limit]);
    malformed(&module(&[sx(12, "05")]));
    assert_eq!(taken(&module(&[sx(12, "00")])).data_count, Some(0));
}

#[test]
fn d19_data_index_without_data_count() {
    for bytes in ["00 41 00 41 00 41 00 FC 08 00 00 0B", "00 FC 09 00 0B"] {
        let sections =
            |count| module(&[t0(), one_func(), sx(5, "01 00 01"), count, code(hex(bytes)), sx(11, "01 01 00")]);
        taken(&sections(sx(12, "01")));
        let error = refused(&sections(vec![]), &[Malformed]);
        assert!(error.to_string().ends_with("data count section required"));
    }
}

fn name_section(contents: &str) -> Vec<u8> {
    s(0, [sized("name"), hex(contents)].concat())
}

#[test]
fn d20_names_that_lie() {
    let funcs = [t0(), sx(3, "02 00 00"), sx(10, "02 02 00 0B 02 00 0B")];
    let names = |contents: &str| {
        let desc = taken(&module(&[funcs.concat(), name_section(contents)]));
        (0..3).map(|function| desc.func_name(function).map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(names("01 07 02 00 01 61 01 01 62"), [Some("a".into()), Some("b".into()), None]);
    for lie in [
        "01 08 01 FF FF FF FF 0F 01 61",
        "01 07 02 00 01 61 00 01 62",
        "01 07 02 01 01 61 00 01 62",
        "01 07 02 00 01 61 02 01 62",
        "02 06 01 05 01 00 01 61",
        "01 7F 02 00 01 61 01 01 62",
        "01 09 FF FF FF FF 0F 00 01 61",
        "01 04 01 00 01 FF",
        "01 04 01 00 05 61",
        "01",
        "",
        "FF",
    ] {
        assert_eq!(names(lie), [None, None, None], "{lie}");
    }
}

#[test]
fn d21_custom_sections() {
    let empty = s(0, sized("a")).repeat(10_000);
    let (memory, global) = (sx(5, "01 00 01"), sx(6, "00"));
    let desc = taken(&module(&[empty.clone(), t0(), empty.clone(), memory, empty.clone(), global, empty]));
    assert_eq!(desc.custom.len(), decode::MAX_CUSTOM);
    let desc = taken(&module(&[s(0, [sized("big"), vec![0; 60 << 20]].concat())]));
    assert_eq!(desc.custom_sections().map(|(name, data)| (name, data.len())).collect::<Vec<_>>(), [("big", 60 << 20)]);
    malformed(&module(&[sx(0, "05 61 62")]));
    malformed(&module(&[sx(0, "01 FF")]));
    malformed(&module(&[sx(0, "")]));
}

#[test]
fn d22_names_are_utf_8() {
    for name in ["FF", "C0 80", "ED A0 80", "F4 90 80 80"] {
        let name = sized(hex(name));
        let rest = [one_func(), s(7, [vec![1], name.clone(), hex("00 00")].concat()), code(hex("00 0B"))].concat();
        malformed(&module(&[t0(), rest]));
        malformed(&module(&[t0(), s(2, [vec![1], name.clone(), hex("00 00 00")].concat())]));
        malformed(&module(&[t0(), s(2, [hex("01 00"), name, hex("00 00")].concat())]));
    }
}

#[test]
fn d23_any_other_name_is_fine() {
    let exporting = |name: &[u8]| {
        module(&[t0(), one_func(), s(7, [vec![1], sized(name), hex("00 00")].concat()), code(hex("00 0B"))])
    };
    for name in [&vec![b'n'; 100_000][..], b"", b"\0", b"../../etc", b"\x1B]0"] {
        let desc = taken(&exporting(name));
        assert_eq!(desc.export_name(0).as_bytes(), name);
        assert!(desc.export(core::str::from_utf8(name).expect("UTF-8")).is_some());
    }
    refused(&exporting(&vec![b'n'; 100_001]), &[Malformed, Limit]);
}

#[test]
fn d24_limits_flags() {
    for flags in ["08 01", "10 01", "7F 01", "80 00 01"] {
        malformed(&module(&[s(5, [vec![1], hex(flags), vec![0]].concat())]));
        malformed(&module(&[sx(5, &format!("01 {flags}"))]));
    }
    malformed(&module(&[sx(4, "01 70 02 01")]));
    // Shared memories do not run yet; without a maximum they never will.
    refused(&module(&[sx(5, "01 02 01")]), &[Unsupported, Invalid]);
}

#[test]
fn d25_bytes_that_are_no_types() {
    for section in [
        sx(6, "01 7F 02 41 00 0B"),
        sx(6, "01 7F 04 41 00 0B"),
        sx(1, "01 60 01 40 00"),
        sx(1, "01 60 01 78 00"),
        sx(1, "01 60 01 77 00"),
        sx(4, "01 40 00 01"),
        sx(9, "01 01 01 00"),
    ] {
        malformed(&module(&[section]));
    }
    // Heap type −64.
    malformed(&bodyx("00 D0 40 1A 0B"));
}

#[test]
fn d26_prefixed_operators() {
    malformed(&bodyx("00 43 00 00 00 00 FC 80 02 1A 0B"));
    taken(&bodyx("00 43 00 00 00 00 FC 80 00 1A 0B"));
    for bytes in ["FD FF FF FF FF 0F", "FB 80 02", "FE 80 02", "FF", "27"] {
        malformed(&bodyx(&format!("00 {bytes} 0B")));
    }
}

#[test]
fn d27_lanes_are_bytes() {
    // The lane is a byte whatever its high bit, so what follows is an operator: 0F, `return`.
    let desc = decoded(&bodyx("00 FD 15 80 0F 0B"), &Config::new()).expect("decodes");
    let mut trace = Trace::default();
    assert!(operators::read_body(&desc, 0, &mut trace).is_err());
    assert_eq!(trace.lines, ["simd: i8x16.extract_lane_s"]);
}

#[test]
fn d28_functions_without_code() {
    malformed(&module(&[t0(), sx(3, "02 00 00"), code(hex("00 0B"))]));
    malformed(&module(&[t0(), one_func()]));
    malformed(&module(&[t0(), code(hex("00 0B"))]));
    taken(&module(&[t0(), sx(3, "00")]));
}

#[test]
fn d29_other_versions() {
    malformed(&hex("00 61 73 6D 02 00 00 00"));
    let error = refused(&hex("00 61 73 6D 0D 00 01 00"), &[Malformed]);
    assert!(error.to_string().contains("component"), "{error}");
    malformed(&hex("00 61 73 6E 01 00 00 00"));
}

#[test]
fn d30_wide_types() {
    let ty = |params: usize, results: usize| {
        let list = |n: usize| [leb(n as u64), vec![0x7E; n]].concat();
        module(&[s(1, [hex("01 60"), list(params), list(results)].concat())])
    };
    refused(&ty(1001, 0), &[Malformed, Limit]);
    refused(&ty(0, 1001), &[Malformed, Limit]);
    taken(&ty(1000, 1000));
}

#[test]
fn d31_module_bytes() {
    let bytes = module(&[t0()]);
    let mut config = Config::new();
    config.limits_mut().module_bytes = bytes.len() as u64;
    assert!(read_with(&bytes, &config).is_ok());
    config.limits_mut().module_bytes -= 1;
    // Before anything else: these bytes are no module at all.
    assert_eq!(read_with(&vec![0xFF; bytes.len()], &config).err().map(|error| error.kind()), Some(Limit));
}

#[test]
fn d32_element_segments() {
    let segment = |bytes: &str| {
        module(&[t0(), one_func(), sx(4, "01 70 00 01"), sx(9, &format!("01 {bytes}")), code(hex("00 0B"))])
    };
    malformed(&segment("08 41 00 0B 00"));
    malformed(&segment("FF 41 00 0B 00"));
    malformed(&segment("06 00 41 00 0B 7F 00"));
    let desc = taken(&segment("02 01 41 00 0B 00 01 00"));
    assert!(matches!(desc.elements[0].mode, Mode::Active { table: 1, .. }));
    assert!(matches!(desc.elements[0].items, Items::Funcs(_, 1)));
}

#[test]
fn d33_data_segments() {
    let segment = |bytes: &str| module(&[sx(5, "01 00 01"), sx(11, &format!("01 {bytes}"))]);
    malformed(&segment("03 41 00 0B 00"));
    malformed(&segment("00 41 00 0B 01"));
    malformed(&segment("00 41 00 00"));
    let desc = taken(&segment("02 05 41 00 0B 00"));
    assert!(matches!(desc.data[0].mode, DataMode::Active { memory: 5, .. }));
}

#[test]
fn d34_branch_hints_are_not_read() {
    for contents in ["", "01", "01 00 01 00 01", "01 7F 01 00 01 01", "02 01 00 00 00"] {
        let hints = s(0, [sized("metadata.code.branch_hint"), hex(contents)].concat());
        taken(&module(&[t0(), one_func(), hints, code(hex("00 0B"))]));
    }
}

#[test]
fn d35_end_inside_an_immediate() {
    malformed(&bodyx("00 41 0B"));
    malformed(&bodyx("00"));
    malformed(&bodyx(""));
}

#[test]
fn d36_select_with_types() {
    for types in ["00", "02 7F 7F", "0B 7F 7F 7F 7F 7F 7F 7F 7F 7F 7F 7F", "01 40"] {
        refused(&bodyx(&format!("00 41 00 41 00 41 00 1C {types} 1A 0B")), &[Malformed, Invalid]);
    }
    taken(&bodyx("00 41 00 41 00 41 00 1C 01 7F 1A 0B"));
}

#[test]
fn d37_catches() {
    let catches = |count: u64, clauses: Vec<u8>| body([hex("00 1F 40"), leb(count), clauses, hex("0B 0B")].concat());
    malformed(&catches(10_001, [2, 0].repeat(10_001)));
    malformed(&catches(1, vec![4, 0, 0]));
    malformed(&body(hex("00 1F 40 05 02 00")));
    refused(&catches(1, vec![2, 0]), &[Unsupported]);
}

#[test]
fn d38_operators_behind_the_end() {
    malformed(&bodyx("00 41 00 41 00 0D 00 41 00 0F 0B 02 40 41 00 0F 0B 0B"));
    malformed(&bodyx("00 0B 0B"));
    malformed(&bodyx("00 05 0B"));
    // The same in a constant expression.
    malformed(&module(&[sx(6, "01 7F 00 41 00 0B 0B")]));
}

#[test]
fn limits_by_name() {
    let two_funcs = [sx(2, "01 00 00 00 00"), sx(3, "02 00 00"), sx(10, "02 02 00 0B 02 00 0B")].concat();
    let three_of = [
        ("types", sx(1, "03 60 00 00 60 00 00 60 00 00")),
        ("imports", [t0(), sx(2, "03 00 00 00 00 00 00 00 00 00 00 00 00")].concat()),
        ("functions", [t0(), two_funcs].concat()),
        ("tables", [sx(2, "01 00 00 01 70 00 01"), sx(4, "02 70 00 01 70 00 01")].concat()),
        ("memories", sx(5, "03 00 01 00 01 00 01")),
        ("globals", sx(6, "03 7F 00 41 00 0B 7F 00 41 00 0B 7F 00 41 00 0B")),
        ("exports", [sx(5, "01 00 01"), sx(7, "03 01 61 02 00 01 62 02 00 01 63 02 00")].concat()),
        ("segments", sx(11, "03 01 00 01 00 01 00")),
        ("body bytes", [t0(), one_func(), code(hex("00 01 0B"))].concat()),
        ("items of a segment", sx(9, "01 01 00 03 00 00 00")),
        ("parameters", sx(1, "01 60 03 7F 7F 7F 00")),
        ("results", sx(1, "01 60 00 03 7F 7F 7F")),
        ("bytes of a name", [t0(), sx(2, "01 03 61 61 61 00 00 00")].concat()),
    ];
    let mut config = Config::new();
    let limits = config.limits_mut();
    (limits.types, limits.imports, limits.functions, limits.tables) = (2, 2, 2, 2);
    (limits.memories, limits.globals, limits.exports, limits.segments) = (2, 2, 2, 2);
    (limits.body_bytes, limits.items, limits.params, limits.results, limits.name_bytes) = (2, 2, 2, 2, 2);
    for (what, sections) in three_of {
        taken(&module(core::slice::from_ref(&sections)));
        let error = read_with(&module(&[sections]), &config).err().expect("refused");
        assert_eq!(error.kind(), Limit, "{error}");
        assert!(error.to_string().starts_with(&format!("limit exceeded: 3 {what}, at most 2")), "{error}");
    }
}
