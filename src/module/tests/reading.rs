//! What decoding finds out, and how operators come to a sink.

use super::*;
use crate::module::convert;

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
    let scope = convert::Scope {
        types: &[types.register_func(&FuncType::from_parts([], []))],
        group: 2,
        proposals: Proposals::ALL,
    };
    let index = |index| wasmparser::PackedIndex::from_module_index(index).expect("small").unpack();
    for (at, want) in [(0, Ok(0)), (1, Ok(1 << 31)), (2, Ok(1 << 31 | 1)), (3, Err(3))] {
        let found = scope.type_id(index(at)).map(|id| id.0).map_err(|refusal| match refusal {
            convert::Refusal::Invalid(crate::error::Invalid::UnknownType(index)) => index,
            other => panic!("{other:?}"),
        });
        assert_eq!(found, want);
    }
}
