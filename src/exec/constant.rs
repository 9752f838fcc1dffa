//! Constant expressions (§3.4.13), evaluated as they are read.
//!
//! Invariant: they were validated, so operands are there and of their types, and a global that is read has its value.

use core::cell::Cell;

use jitless_machine::for_each_special;
use jitless_machine::instr::{Access, Plain};
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::module::operators::{self, BlockType, BrTable, MemArg, Sink};
use crate::module::{ConstExpr, Description};
use crate::types::{HeapType, ValType};

/// What constant expressions of an instance may refer to: cells by global index, handles by function index.
#[derive(Clone, Copy)]
pub(super) struct Constants<'a> {
    pub(super) desc: &'a Description,
    pub(super) globals: &'a [Cell<u64>],
    pub(super) funcs: &'a [u32],
}

impl Constants<'_> {
    /// The value of an expression.
    pub(super) fn value(self, expr: &ConstExpr) -> Result<u64> {
        let mut evaluator = Evaluator { constants: self, stack: SmallVec::new() };
        operators::read_const(self.desc, expr, &mut evaluator)?;
        Ok(evaluator.pop())
    }
}

struct Evaluator<'a> {
    constants: Constants<'a>,
    stack: SmallVec<[u64; 8]>,
}

impl Evaluator<'_> {
    fn pop(&mut self) -> u64 {
        debug_assert!(!self.stack.is_empty(), "validated");
        self.stack.pop().unwrap_or(0)
    }

    fn push(&mut self, value: u64) -> Result<()> {
        self.stack.push(value);
        Ok(())
    }

    fn two<X>(&mut self, of: impl Fn(u64) -> X) -> (X, X) {
        let right = self.pop();
        (of(self.pop()), of(right))
    }
}

/// Instructions that are not constant.
#[cold]
fn not_constant() -> Result<()> {
    debug_assert!(false, "validated");
    Err(Error::argument("constant expression required"))
}

/// Those special instructions that are constant stand by name; all others are not.
macro_rules! constant {
    ($(@$proposal:ident $op:ident $visit:ident $name:literal $method:ident($($arg:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;)*) => {
        impl Sink for Evaluator<'_> {
            fn at(&mut self, _: usize) {}

            fn plain(&mut self, op: Plain) -> Result<()> {
                let narrow = |bits: u64| bits as u32;
                let value = match op {
                    Plain::I32Add => self.two(narrow).wrap(u32::wrapping_add),
                    Plain::I32Sub => self.two(narrow).wrap(u32::wrapping_sub),
                    Plain::I32Mul => self.two(narrow).wrap(u32::wrapping_mul),
                    Plain::I64Add => self.two(u64::from).wrap(u64::wrapping_add),
                    Plain::I64Sub => self.two(u64::from).wrap(u64::wrapping_sub),
                    Plain::I64Mul => self.two(u64::from).wrap(u64::wrapping_mul),
                    _ => return not_constant(),
                };
                self.push(value)
            }

            fn access(&mut self, _: Access, _: MemArg) -> Result<()> {
                not_constant()
            }

            fn later(&mut self, _: &'static str, _: &'static str) -> Result<()> {
                not_constant()
            }

            $(constant!(@row $method($($arg: $ty),*));)*
        }
    };
    (@row end()) => {
        fn end(&mut self) -> Result<()> {
            Ok(())
        }
    };
    (@row i32_const($value:ident: $ty:ty)) => {
        fn i32_const(&mut self, $value: $ty) -> Result<()> {
            self.push(u64::from($value as u32))
        }
    };
    (@row i64_const($value:ident: $ty:ty)) => {
        fn i64_const(&mut self, $value: $ty) -> Result<()> {
            self.push($value as u64)
        }
    };
    (@row f32_const($value:ident: $ty:ty)) => {
        fn f32_const(&mut self, $value: $ty) -> Result<()> {
            self.push($value.into())
        }
    };
    (@row f64_const($value:ident: $ty:ty)) => {
        fn f64_const(&mut self, $value: $ty) -> Result<()> {
            self.push($value)
        }
    };
    (@row global_get($index:ident: $ty:ty)) => {
        fn global_get(&mut self, $index: $ty) -> Result<()> {
            self.push(self.constants.globals[$index as usize].get())
        }
    };
    (@row ref_null($heap:ident: $ty:ty)) => {
        fn ref_null(&mut self, _: $ty) -> Result<()> {
            self.push(0)
        }
    };
    (@row ref_func($index:ident: $ty:ty)) => {
        fn ref_func(&mut self, $index: $ty) -> Result<()> {
            self.push(self.constants.funcs[$index as usize].into())
        }
    };
    (@row $method:ident($($arg:ident: $ty:ty),*)) => {
        #[cold]
        fn $method(&mut self $(, _: $ty)*) -> Result<()> {
            not_constant()
        }
    };
}

/// A pair of operands.
trait Wrap<X> {
    fn wrap(self, op: impl Fn(X, X) -> X) -> u64;
}

impl<X: Into<u64>> Wrap<X> for (X, X) {
    fn wrap(self, op: impl Fn(X, X) -> X) -> u64 {
        op(self.0, self.1).into()
    }
}

for_each_special!(constant);
