//! Value, reference and heap types (§2.3.3 to §2.3.5).

use core::fmt::{self, Display, Formatter};

use jitless_machine::types::Ty;

use super::TypeId;

/// A value type (§2.3.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    Ref(RefType),
}

impl ValType {
    /// `funcref`, which is `(ref null func)`.
    pub const FUNCREF: Self = Self::Ref(RefType::FUNCREF);
    /// `externref`, which is `(ref null extern)`.
    pub const EXTERNREF: Self = Self::Ref(RefType::EXTERNREF);

    /// The number of 8-byte slots that a value takes in a frame: 2 for `v128`, else 1.
    pub(crate) const fn slots(self) -> u32 {
        if matches!(self, Self::V128) { 2 } else { 1 }
    }

    /// What the machine sees of this type.
    pub(crate) const fn class(self) -> Ty {
        match self {
            Self::I32 => Ty::I32,
            Self::I64 => Ty::I64,
            Self::F32 => Ty::F32,
            Self::F64 => Ty::F64,
            Self::V128 => Ty::V128,
            Self::Ref(_) => Ty::Ref,
        }
    }

    /// Is this a number type, `i32`, `i64`, `f32` or `f64`?
    pub const fn is_num(self) -> bool {
        matches!(self, Self::I32 | Self::I64 | Self::F32 | Self::F64)
    }

    /// Is this a reference type?
    pub const fn is_ref(self) -> bool {
        matches!(self, Self::Ref(_))
    }

    /// Has this type a default value, zero or null? All but the references that are never null have one.
    pub const fn is_defaultable(self) -> bool {
        match self {
            Self::Ref(r) => r.nullable,
            _ => true,
        }
    }
}

impl Display for ValType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::V128 => f.write_str("v128"),
            Self::Ref(r) => r.fmt(f),
        }
    }
}

impl From<RefType> for ValType {
    fn from(r: RefType) -> Self {
        Self::Ref(r)
    }
}

/// A reference type (§2.3.4): what is referred to, and whether the reference may be null.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RefType {
    /// May a value of this type be null?
    pub nullable: bool,
    /// What a value of this type refers to.
    pub heap: HeapType,
}

impl RefType {
    /// `funcref`, which is `(ref null func)`.
    pub const FUNCREF: Self = Self::new(true, HeapType::Func);
    /// `externref`, which is `(ref null extern)`.
    pub const EXTERNREF: Self = Self::new(true, HeapType::Extern);

    /// `(ref null heap)` if `nullable`, else `(ref heap)`.
    pub const fn new(nullable: bool, heap: HeapType) -> Self {
        Self { nullable, heap }
    }
}

impl Display for RefType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.nullable, self.heap) {
            (true, HeapType::None) => f.write_str("nullref"),
            (true, HeapType::NoFunc) => f.write_str("nullfuncref"),
            (true, HeapType::NoExtern) => f.write_str("nullexternref"),
            (true, HeapType::NoExn) => f.write_str("nullexnref"),
            (true, HeapType::Concrete(id)) => write!(f, "(ref null {id})"),
            (true, heap) => write!(f, "{heap}ref"),
            (false, heap) => write!(f, "(ref {heap})"),
        }
    }
}

/// A heap type (§2.3.3): what a reference refers to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum HeapType {
    /// Any function.
    Func,
    /// No function: the bottom of the function types.
    NoFunc,
    /// Any value of the host.
    Extern,
    /// No value of the host: the bottom of the external types.
    NoExtern,
    /// Any structure, array or small integer, or an external value brought inside.
    Any,
    /// Whatever `ref.eq` compares: structures, arrays and small integers.
    Eq,
    /// An integer of 31 bits.
    I31,
    /// Any structure.
    Struct,
    /// Any array.
    Array,
    /// The bottom of [`HeapType::Any`].
    None,
    /// Any exception.
    Exn,
    /// No exception: the bottom of [`HeapType::Exn`].
    NoExn,
    /// A defined type.
    Concrete(TypeId),
}

impl Display for HeapType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Func => "func",
            Self::NoFunc => "nofunc",
            Self::Extern => "extern",
            Self::NoExtern => "noextern",
            Self::Any => "any",
            Self::Eq => "eq",
            Self::I31 => "i31",
            Self::Struct => "struct",
            Self::Array => "array",
            Self::None => "none",
            Self::Exn => "exn",
            Self::NoExn => "noexn",
            Self::Concrete(id) => return id.fmt(f),
        })
    }
}
