//! What a value is, as far as the instruction table and the machine care.
//!
//! Knows nothing of modules: reference types have one class here, whatever they refer to.

use core::fmt;

/// The class of a value.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ty {
    /// A 32-bit integer, of either sign.
    I32,
    /// A 64-bit integer, of either sign.
    I64,
    /// A 32-bit IEEE 754 number.
    F32,
    /// A 64-bit IEEE 754 number.
    F64,
    /// 128 bits, the operand of vector instructions.
    V128,
    /// A reference of any type; the machine sees a handle, never a host pointer.
    Ref,
}

impl Ty {
    /// All classes, in the order of their numbers.
    pub const ALL: &'static [Self] = &[Self::I32, Self::I64, Self::F32, Self::F64, Self::V128, Self::Ref];

    /// The name in the text format; `ref` for references.
    pub const fn text(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::Ref => "ref",
        }
    }

    /// How many 8-byte slots of a frame a value takes.
    pub const fn slots(self) -> u32 {
        match self {
            Self::V128 => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
