//! The type of an operand in four bytes, and when one type may stand for another (§3.3, "Matching").
//!
//! Invariant: two operands are equal as numbers exactly when they are equal as types, so the validator's quick paths
//! compare numbers and come here only when those differ.

use crate::types::{HeapType, RefType, TypeId, TypeRegistry, ValType};
use core::fmt;
use jitless_machine::types::Ty;

/// What the validator knows of an operand: nothing, or its type.
///
/// | bits | meaning |
/// |---|---|
/// | 0 | unknown: the stack below it is polymorphic |
/// | 1…5 | number or vector type, as in `Ty`, plus one |
/// | `REF`, maybe `NULLABLE`, 29 low bits | reference type: the number of an abstract heap type |
/// | the same and `CONCRETE` | reference type: the number of a `TypeId` |
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Operand(u32);

const REF: u32 = 1 << 31;
const NULLABLE: u32 = 1 << 30;
const CONCRETE: u32 = 1 << 29;

/// Ids of types are below this; `validate::module` refuses a module that has a greater one.
pub(super) const TYPE_IDS: u32 = CONCRETE;

/// The abstract heap types in the order of their numbers.
const ABSTRACT: [HeapType; 12] = [
    HeapType::Func,
    HeapType::NoFunc,
    HeapType::Extern,
    HeapType::NoExtern,
    HeapType::Any,
    HeapType::Eq,
    HeapType::I31,
    HeapType::Struct,
    HeapType::Array,
    HeapType::None,
    HeapType::Exn,
    HeapType::NoExn,
];

impl Operand {
    pub(super) const UNKNOWN: Operand = Operand(0);
    pub(super) const I32: Operand = Operand::of(Ty::I32);
    pub(super) const I64: Operand = Operand::of(Ty::I64);
    pub(super) const F32: Operand = Operand::of(Ty::F32);
    pub(super) const F64: Operand = Operand::of(Ty::F64);

    /// A type of the instruction table. `Ty::Ref` becomes a type that no operand has.
    #[inline]
    pub(super) const fn of(ty: Ty) -> Operand {
        Operand(ty as u32 + 1)
    }

    /// The type of addresses and sizes.
    #[inline]
    pub(super) fn address(is_64: bool) -> Operand {
        if is_64 { Operand::I64 } else { Operand::I32 }
    }

    #[inline]
    pub(super) fn is_unknown(self) -> bool {
        self == Operand::UNKNOWN
    }

    #[inline]
    pub(super) fn is_ref(self) -> bool {
        self.0 & REF != 0
    }

    /// The type; `None` if it is unknown.
    pub(super) fn ty(self) -> Option<ValType> {
        Some(match self.0 {
            0 => return None,
            1 => ValType::I32,
            2 => ValType::I64,
            3 => ValType::F32,
            4 => ValType::F64,
            5 => ValType::V128,
            bits if bits & REF != 0 => {
                let number = bits & (CONCRETE - 1);
                let heap = match bits & CONCRETE {
                    0 => ABSTRACT[number as usize],
                    _ => HeapType::Concrete(TypeId(number)),
                };
                ValType::Ref(RefType::new(bits & NULLABLE != 0, heap))
            }
            _ => return None,
        })
    }

    /// May an operand of this type stand where `expected` is wanted?
    pub(super) fn matches(self, expected: Operand, types: &TypeRegistry) -> bool {
        if self == expected || self.is_unknown() {
            return true;
        }
        match (self.ty(), expected.ty()) {
            (Some(sub), Some(sup)) if self.is_ref() && expected.is_ref() => types.matches(sub, sup),
            _ => false,
        }
    }
}

impl From<ValType> for Operand {
    #[inline]
    fn from(ty: ValType) -> Operand {
        match ty {
            ValType::I32 => Operand::I32,
            ValType::I64 => Operand::I64,
            ValType::F32 => Operand::F32,
            ValType::F64 => Operand::F64,
            ValType::V128 => Operand::of(Ty::V128),
            ValType::Ref(ty) => ty.into(),
        }
    }
}

impl From<RefType> for Operand {
    #[inline]
    fn from(ty: RefType) -> Operand {
        let heap = match ty.heap {
            HeapType::Func => 0,
            HeapType::NoFunc => 1,
            HeapType::Extern => 2,
            HeapType::NoExtern => 3,
            HeapType::Any => 4,
            HeapType::Eq => 5,
            HeapType::I31 => 6,
            HeapType::Struct => 7,
            HeapType::Array => 8,
            HeapType::None => 9,
            HeapType::Exn => 10,
            HeapType::NoExn => 11,
            HeapType::Concrete(id) => CONCRETE | id.0,
        };
        Operand(REF | if ty.nullable { NULLABLE } else { 0 } | heap)
    }
}

impl fmt::Debug for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ty() {
            Some(ty) => write!(f, "{ty}"),
            None => f.write_str("unknown"),
        }
    }
}
