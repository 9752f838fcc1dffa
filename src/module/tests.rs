//! What is taken, what is refused, and how: modules byte by byte, most of them from attacks that worked somewhere.
//!
//! A test named `d17_…` is row D17 of the catalogue of hostile inputs, as far as decoding alone decides it. Bounds on
//! memory are checked in `tests/`, where an allocator can count.

mod bodies;
mod cuts;
mod reading;
mod sections;

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
