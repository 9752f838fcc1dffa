//! Operators as text, one at a time: for listings.
//!
//! Names come from the table; immediates are written as the text format does.
use super::Description;
use super::operators::{self, BlockType, BrTable, MemArg, Sink};
use crate::error::Result;
use crate::types::{HeapType, ValType};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use jitless_machine::instr::{Access, Plain};

/// Every operator of a function with its offset in the module.
pub(crate) fn body(desc: &Description, function: u32) -> Result<Vec<(u32, String)>> {
    let mut printer = Printer { desc, depth: 0, lines: Vec::new() };
    operators::read_body(desc, function, &mut printer as &mut dyn Sink)?;
    Ok(printer.lines)
}

struct Printer<'a> {
    desc: &'a Description,
    depth: usize,
    lines: Vec<(u32, String)>,
}

/// Indentation stops to grow here.
const DEEPEST: usize = 40;

impl Printer<'_> {
    fn put(&mut self, text: impl core::fmt::Display) -> Result<()> {
        if let Some((_, line)) = self.lines.last_mut() {
            let _ = write!(line, "{:width$}{text}", "", width = 2 * self.depth.min(DEEPEST));
        }
        Ok(())
    }

    fn open(&mut self, text: &str) -> Result<()> {
        self.put(text)?;
        self.depth += 1;
        Ok(())
    }
}

/// An immediate as text.
trait Immediate {
    fn text(&self, desc: &Description) -> String;
}

impl Immediate for u32 {
    fn text(&self, _: &Description) -> String {
        self.to_string()
    }
}
impl Immediate for i32 {
    fn text(&self, _: &Description) -> String {
        self.to_string()
    }
}
impl Immediate for i64 {
    fn text(&self, _: &Description) -> String {
        self.to_string()
    }
}
impl Immediate for u64 {
    fn text(&self, _: &Description) -> String {
        f64::from_bits(*self).to_string()
    }
}
impl Immediate for ValType {
    fn text(&self, _: &Description) -> String {
        alloc::format!("(result {self})")
    }
}
impl Immediate for HeapType {
    fn text(&self, _: &Description) -> String {
        self.to_string()
    }
}
impl Immediate for BlockType {
    fn text(&self, _: &Description) -> String {
        match self {
            BlockType::Empty => String::new(),
            BlockType::Value(v) => alloc::format!("(result {v})"),
            BlockType::Func(i) => alloc::format!("(type {i})"),
        }
    }
}
impl Immediate for BrTable<'_> {
    fn text(&self, _: &Description) -> String {
        const SHOWN: usize = 32;
        let mut text = String::new();
        for target in self.targets().take(SHOWN) {
            let _ = write!(text, "{target} ");
        }
        if self.len() as usize > SHOWN {
            text.push_str("… ");
        }
        let _ = write!(text, "{}", self.default());
        text
    }
}

macro_rules! printing {
    ($(@$proposal:ident $op:ident $visit:ident $name:literal $method:ident($($arg:ident: $ty:ty),*)
        fuel $fuel:literal $($flag:ident)*;)*) => {
        impl Sink for Printer<'_> {
            fn at(&mut self, offset: usize) {
                self.lines.push((offset as u32, String::new()));
            }
            fn plain(&mut self, op: Plain) -> Result<()> {
                self.put(op.info().name)
            }
            fn access(&mut self, op: Access, arg: MemArg) -> Result<()> {
                let mut text = String::from(op.info().name);
                if arg.memory != 0 {
                    let _ = write!(text, " {}", arg.memory);
                }
                if arg.offset != 0 {
                    let _ = write!(text, " offset={}", arg.offset);
                }
                self.put(text)
            }
            fn later(&mut self, _: &'static str, operator: &'static str) -> Result<()> {
                self.put(operator)
            }
            $(fn $method(&mut self $(, $arg: $ty)*) -> Result<()> {
                #[allow(unused_mut, reason = "not every instruction has immediates")]
                let mut text = String::from($name);
                $({
                    let immediate = self.immediate($name, &$arg);
                    if !immediate.is_empty() {
                        text.push(' ');
                        text.push_str(&immediate);
                    }
                })*
                match $name {
                    "block" | "loop" | "if" => self.open(&text),
                    "else" => {
                        self.depth = self.depth.saturating_sub(1);
                        self.open(&text)
                    }
                    "end" => {
                        self.depth = self.depth.saturating_sub(1);
                        self.put(text)
                    }
                    _ => self.put(text),
                }
            })*
        }
    };
}
jitless_machine::for_each_special!(printing);

impl Printer<'_> {
    fn immediate(&self, operator: &str, value: &dyn Immediate) -> String {
        let text = value.text(self.desc);
        match (operator, text.parse::<u32>()) {
            // Bits of a float.
            ("f32.const", Ok(bits)) => f32::from_bits(bits).to_string(),
            ("call" | "return_call" | "ref.func", Ok(function)) => match self.desc.func_name(function) {
                Some(name) => alloc::format!("{text} ;; {}", crate::error::Escaped(name)),
                None => text,
            },
            _ => text,
        }
    }
}
