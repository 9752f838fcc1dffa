//! The types of WebAssembly 3.0 as the specification names them (§2.3), each printed in text notation.
//!
//! Invariant: a reference to a defined type is always a [`TypeId`] of the engine's [`TypeRegistry`], never a module's
//! type index; so two types of one engine are equal exactly if they compare equal here, whatever module they are from.

mod composite;
mod external;
mod registry;
mod value;

pub use self::composite::FuncType;
pub(crate) use self::composite::{ArrayType, CompositeType, FieldType, StorageType, StructType, SubType};
pub use self::external::{ExternKind, ExternType, GlobalType, Limits, MemoryType, Mutability, TableType};
pub(crate) use self::registry::TypeRegistry;
pub use self::value::{HeapType, RefType, ValType};

use core::fmt::{self, Display, Formatter};

/// A defined type of an engine: a function, structure or array type, with its place in its recursion group.
///
/// Two defined types of one engine are equal (§3.2.3) exactly if they have the same id. The number means nothing.
//
// Packed, so that a value type takes 6 bytes instead of 12: a module may declare 10^6 types of 20 parameters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(Rust, packed)]
pub struct TypeId(pub(crate) u32);

impl TypeId {
    const RELATIVE: u32 = 1 << 31;

    /// The `k`-th type of the group that is being registered; see [`TypeRegistry::register_group`].
    pub(crate) const fn relative(k: u32) -> Self {
        debug_assert!(k < Self::RELATIVE);
        Self(k | Self::RELATIVE)
    }

    /// The position in its group, if this id is relative to a group that is being registered.
    pub(crate) const fn as_relative(self) -> Option<u32> {
        if self.0 & Self::RELATIVE != 0 { Some(self.0 & !Self::RELATIVE) } else { None }
    }
}

impl Display for TypeId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.as_relative() {
            Some(k) => write!(f, "rec.{k}"),
            None => write!(f, "{}", { self.0 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn small() {
        assert_eq!((size_of::<ValType>(), size_of::<FuncType>()), (6, 24));
    }

    #[test]
    fn text_notation() {
        #[track_caller]
        fn shows(ty: impl Display, want: &str) {
            assert_eq!(ty.to_string(), want);
        }
        use ValType::{F64, I32, I64, V128};
        let concrete = HeapType::Concrete(TypeId(3));
        shows(I32, "i32");
        shows(ValType::FUNCREF, "funcref");
        shows(ValType::EXTERNREF, "externref");
        shows(RefType::new(true, HeapType::None), "nullref");
        shows(RefType::new(true, HeapType::NoFunc), "nullfuncref");
        shows(RefType::new(true, HeapType::I31), "i31ref");
        shows(RefType::new(false, HeapType::NoFunc), "(ref nofunc)");
        shows(RefType::new(true, concrete), "(ref null 3)");
        shows(RefType::new(false, concrete), "(ref 3)");
        shows(RefType::new(false, HeapType::Concrete(TypeId::relative(1))), "(ref rec.1)");
        shows(FuncType::from_parts([], []), "(func)");
        shows(FuncType::from_parts([I32, I64], [F64, V128]), "(func (param i32 i64) (result f64 v128))");
        shows(FuncType::from_parts([], [I64]), "(func (result i64))");
        shows(MemoryType::new(1, None), "(memory 1)");
        shows(MemoryType::new64(1, Some(2)), "(memory i64 1 2)");
        shows(
            MemoryType { shared: true, page_size_log2: 0, ..MemoryType::new(1, Some(2)) },
            "(memory 1 2 shared (pagesize 1))",
        );
        shows(TableType::new(RefType::FUNCREF, 0, Some(9)), "(table 0 9 funcref)");
        shows(TableType::new64(RefType::EXTERNREF, 0, None), "(table i64 0 externref)");
        shows(GlobalType::new(I32, Mutability::Const), "(global i32)");
        shows(ExternType::from(GlobalType::new(I32, Mutability::Var)), "(global (mut i32))");
        shows(ExternType::Tag(FuncType::from_parts([I32], [])), "(tag (param i32))");
    }
}
