//! What errors look like, and what a program learns from them without reading the text.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::{format, vec};
use core::error::Error as StdError;

use super::*;
use crate::types::{ExternType, FuncType, GlobalType, Mutability, RefType, ValType};

fn place() -> Place {
    Place { offset: 0x1a, function: Some(14), name: Some("parse".into()), operator: Some("i32.add") }
}

fn func<const P: usize, const R: usize>(params: [ValType; P], results: [ValType; R]) -> FuncType {
    FuncType::from_parts(params, results)
}

#[track_caller]
fn shows(error: impl Into<Error>, kind: ErrorKind, line: &str, more: &str) {
    let error = error.into();
    assert_eq!(error.to_string(), line);
    assert_eq!(error.kind(), kind);
    let whole = format!("{error:#}");
    assert_eq!(whole, if more.is_empty() { line.into() } else { format!("{line}\n{more}") });
    assert_eq!(format!("{error:?}"), whole);
}

#[test]
fn one_pointer() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    fn send<T: Send + Sync + 'static>() {}
    send::<Error>();
}

#[test]
fn modules() {
    use ErrorKind::{Limit, Malformed, Unsupported};
    shows(Error::malformed(0x1d, "unexpected end"), Malformed, "malformed module at 0x1d: unexpected end", "");
    shows(
        Error::invalid(place(), Invalid::TypeMismatch { expected: Some(ValType::I32), found: Some(ValType::I64) }),
        ErrorKind::Invalid,
        "invalid module: function 14 `parse`, offset 0x1a, at `i32.add`: type mismatch: expected i32, found i64",
        "",
    );
    shows(
        Error::invalid(Place::at(8), Invalid::TypeMismatch { expected: None, found: None }),
        ErrorKind::Invalid,
        "invalid module: offset 0x8: type mismatch: expected a value, found nothing",
        "",
    );
    shows(
        Error::invalid(Place { name: None, operator: None, ..place() }, Invalid::UnknownLocal(7)),
        ErrorKind::Invalid,
        "invalid module: function 14, offset 0x1a: unknown local 7",
        "",
    );
    shows(
        Error::needs(Place::at(0x10), "(ref null any)", Proposals::GC),
        Unsupported,
        "unsupported module: offset 0x10: (ref null any) needs the gc proposal, which this version does not run yet",
        "",
    );
    shows(
        Error::needs(Place { operator: Some("return_call"), ..place() }, "", Proposals::TAIL_CALL),
        Unsupported,
        "unsupported module: function 14 `parse`, offset 0x1a, at `return_call`: \
         needs the tail-call proposal, which is switched off",
        "",
    );
    shows(Error::limit("types", 10, 11, None), Limit, "limit exceeded: 11 types, at most 10", "");
}

#[test]
fn the_suites_texts_begin_the_rules() {
    for (rule, text) in [
        (Invalid::UnknownElem(4), "unknown elem segment 4"),
        (Invalid::UnknownData(1), "unknown data segment 1"),
        (Invalid::AlignmentTooLarge, "alignment must not be larger than natural"),
        (Invalid::OffsetOutOfRange(1 << 32), "offset out of range"),
        (Invalid::ImmutableGlobal(0), "immutable global"),
        (Invalid::ConstantExpressionRequired, "constant expression required"),
        (Invalid::DuplicateExport("a".into()), "duplicate export name"),
        (Invalid::MemorySize { limit: 65536, found: 65537 }, "memory size must be at most 65536 pages (4GiB)"),
        (Invalid::MinimumAboveMaximum { min: 2, max: 1 }, "size minimum must not be greater than maximum"),
        (Invalid::ResultArity, "invalid result arity"),
        (Invalid::StartFunction(0), "start function"),
        (Invalid::TableSize { limit: 1, found: 2 }, "table size"),
        (Invalid::UndeclaredFunctionReference(3), "undeclared function reference"),
        (Invalid::MultipleMemories(2), "multiple memories"),
        (Invalid::SubType { sub: 1, sup: 0 }, "sub type"),
        (Invalid::MultipleSupertypes(2), "multiple supertypes"),
        (Invalid::TagResults, "non-empty tag result type"),
        (Invalid::UninitializedLocal(0), "uninitialized local"),
        (Invalid::TableWithoutValue(RefType::FUNCREF), "type mismatch"),
    ] {
        assert!(rule.to_string().starts_with(text), "{rule}");
        assert!(!rule.to_string().ends_with('.'));
    }
}

#[test]
fn traps_and_their_operands() {
    let memory =
        |operator, size, base, offset| TrapDetail::Memory { operator, size, base, offset, memory: 0, len: 65536 };
    let table = |size| TrapDetail::Table { operator: "call_indirect", size, index: 7, table: 0, len: 1 };
    for (trap, detail, line, more) in [
        (Trap::Unreachable, TrapDetail::None, "unreachable", ""),
        (
            Trap::MemoryOutOfBounds,
            memory("i32.load", 4, 70000, 0),
            "out of bounds memory access",
            "  i32.load of 4 bytes at 70000 (base 70000 + offset 0); memory 0 holds 65536 bytes",
        ),
        (
            Trap::MemoryOutOfBounds,
            memory("i64.store8", 1, u64::MAX, u64::MAX),
            "out of bounds memory access",
            "  i64.store8 of 1 byte at 36893488147419103230 (base 18446744073709551615 + offset 18446744073709551615); \
             memory 0 holds 65536 bytes",
        ),
        (
            Trap::MemoryOutOfBounds,
            memory("memory.fill", 9, 65535, 0),
            "out of bounds memory access",
            "  memory.fill of 9 bytes at 65535; memory 0 holds 65536 bytes",
        ),
        (
            Trap::MemoryOutOfBounds,
            TrapDetail::Segment { operator: "memory.init", size: 4, start: 2, segment: 3, len: 1 },
            "out of bounds memory access",
            "  memory.init of 4 bytes from 2; data segment 3 holds 1 byte",
        ),
        (
            Trap::TableOutOfBounds,
            TrapDetail::Segment { operator: "table.init", size: 1, start: 2, segment: 3, len: 2 },
            "out of bounds table access",
            "  table.init of 1 element from 2; element segment 3 holds 2 elements",
        ),
        (
            Trap::UndefinedElement,
            table(1),
            "undefined element",
            "  call_indirect of element 7; table 0 holds 1 element",
        ),
        (
            Trap::UninitializedElement,
            table(1),
            "uninitialized element 7",
            "  call_indirect of element 7; table 0 holds 1 element",
        ),
        (
            Trap::BadSignature,
            TrapDetail::Signature { wanted: func([ValType::I32], []), found: func([], [ValType::F64]) },
            "indirect call type mismatch",
            "  expected (func (param i32)), found (func (result f64))",
        ),
    ] {
        let error = Error::trap_with(trap, detail);
        assert_eq!(error.trap(), Some(trap));
        shows(error, ErrorKind::Trap, &format!("trap: {line}"), more);
    }
}

#[test]
fn backtraces() {
    let frame = |index, name: Option<&str>, module: Option<&str>, offset| Frame {
        func_index: index,
        func_name: name.map(String::from),
        module_name: module.map(String::from),
        module_offset: offset,
        ..Frame::default()
    };
    let mut backtrace = Backtrace::new();
    backtrace.push(frame(3, Some("foo"), Some("demo.wasm"), 0x45));
    backtrace.push(frame(4, None, Some("demo.wasm"), 0x104d));
    backtrace.push(Frame { host: true, ..frame(0, Some("env.step"), None, 0) });
    backtrace.push(frame(5, Some("run\u{1b}]0;"), None, 0x54));
    backtrace.skip(1000);
    shows(
        Error::from(Trap::Unreachable).with_backtrace(backtrace).with_backtrace(Backtrace::new()),
        ErrorKind::Trap,
        "trap: unreachable",
        "  wasm backtrace, innermost first:
    0:   0x45  foo     demo.wasm
    1: 0x104d  func 4  demo.wasm
    -- host: env.step
    2:   0x54  run\\u{1b}]0;
    … and 1000 more",
    );
    shows(Error::from(Trap::Unreachable).with_backtrace(Backtrace::new()), ErrorKind::Trap, "trap: unreachable", "");
}

#[test]
fn deep_backtraces_are_counted() {
    let mut backtrace = Backtrace::new();
    for _ in 0..100 {
        backtrace.push(Frame::default());
    }
    assert_eq!((backtrace.frames().len(), backtrace.left_out(), backtrace.has_room()), (64, 36, false));
}

#[test]
fn imports() {
    let log = ImportError::incompatible("env", "log", func([ValType::I32], []), func([], []).into());
    let now = ImportError::unknown(
        "env",
        "now",
        func([], [ValType::I64]),
        Some(format!("env.now_ms {}", func([], [ValType::I64]))),
    );
    let global = ExternType::from(GlobalType::new(ValType::FUNCREF, Mutability::Var));
    let odd = ImportError::unknown("\n", "ü", global, None);
    let error = Error::link(vec![log.clone(), now, odd.clone()], 7);
    assert_eq!(error.kind(), ErrorKind::Link);
    assert_eq!(error.import_errors().len(), 3);
    assert_eq!(
        error.to_string(),
        "incompatible import type: env.log needs (func (param i32)), is (func) (and 2 more imports that do not fit)"
    );
    assert_eq!(
        format!("{error:#}"),
        "cannot instantiate: 3 of 7 imports do not fit
  env.log  needs (func (param i32)), is (func)
  env.now  not defined; did you mean env.now_ms (func (result i64))?
  \\u{a}.ü  not defined; needs (global (mut funcref))"
    );
    assert_eq!(
        Error::link(vec![odd], 1).to_string(),
        "unknown import: \\u{a}.ü not defined; needs (global (mut funcref))"
    );
    let many = Error::link(vec![log; 1000], 2000);
    assert_eq!(format!("{many:#}").lines().count(), 102);
    assert!(format!("{many:#}").ends_with("\n  … and 900 more"));
}

#[test]
fn stops() {
    use ErrorKind::*;
    shows(Error::out_of_fuel(3), OutOfFuel, "out of fuel", "  at least 3 more needed to go on");
    assert_eq!(Error::out_of_fuel(3).required_fuel(), Some(3));
    shows(Error::deadline(), Deadline, "deadline passed", "");
    shows(Error::stopped(), Stopped, "stopped by the host", "");
    shows(Error::exit(3), Exit, "exit with status 3", "");
    assert_eq!(Error::exit(-1).exit_code(), Some(-1));
    shows(Error::argument(format!("no export `{}`", 'a')), Argument, "no export `a`", "");
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the pod bay doors")]
struct Doors(#[source] core::fmt::Error);

#[test]
fn the_hosts_own() {
    let error = Error::new(Doors(core::fmt::Error));
    assert!(error.downcast_ref::<Doors>().is_some() && error.is::<Doors>());
    assert!(error.downcast_ref::<core::fmt::Error>().is_none());
    assert!(error.source().is_some_and(|source| source.is::<Doors>()));
    shows(error, ErrorKind::Host, "cannot open the pod bay doors", &format!("  caused by: {}", core::fmt::Error));
    assert!(Error::new(Doors(core::fmt::Error)).downcast::<Doors>().is_ok());
    let other = Error::new(Doors(core::fmt::Error)).downcast::<core::fmt::Error>().unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Host);
    shows(Error::msg("no"), ErrorKind::Host, "no", "");
}

#[test]
fn own_errors_are_not_wrapped() {
    assert_eq!(Error::new(Error::exit(4)).exit_code(), Some(4));
    assert_eq!(Error::new(Trap::StackOverflow).trap(), Some(Trap::StackOverflow));
    assert_eq!(Error::new(Cause::Deadline).kind(), ErrorKind::Deadline);
    let boxed: Box<dyn StdError + Send + Sync> = Box::new(Error::new(Trap::Unreachable));
    assert_eq!(Error::from(boxed).downcast_ref(), Some(&Trap::Unreachable));
}

#[test]
fn names_are_harmless() {
    assert_eq!(Escaped("a\u{1b}[2J\u{202e}\\b\nç").to_string(), "a\\u{1b}[2J\\u{202e}\\\\b\\u{a}ç");
    let long = "x".repeat(100_000);
    assert_eq!(Escaped(&long).to_string().chars().count(), Escaped::MAX + 1);
    let place = Place { name: Some(long), ..place() };
    assert!(Error::invalid(place, Invalid::DuplicateExport("\r".into())).to_string().ends_with("name `\\u{d}`"));
}
