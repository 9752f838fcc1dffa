//! What modules import and export, with its limits (§2.3.10 to §2.3.16).

use core::fmt::{self, Display, Formatter};

use super::{FuncType, RefType, ValType};

/// The bounds of a memory, in pages, or of a table, in elements (§2.3.11).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// The size at the start.
    pub min: u64,
    /// The size beyond which it cannot grow, if it is declared.
    pub max: Option<u64>,
}

impl Limits {
    /// From `min` to at most `max`.
    pub const fn new(min: u64, max: Option<u64>) -> Self {
        Self { min, max }
    }

    /// May something with these limits be imported where `wanted` is declared (§3.3.11)?
    pub(crate) const fn matches(self, wanted: Self) -> bool {
        self.min >= wanted.min
            && match (self.max, wanted.max) {
                (_, None) => true,
                (Some(found), Some(wanted)) => found <= wanted,
                (None, Some(_)) => false,
            }
    }
}

impl Display for Limits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.max {
            Some(max) => write!(f, "{} {max}", self.min),
            None => write!(f, "{}", self.min),
        }
    }
}

/// The type of a linear memory (§2.3.12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemoryType {
    /// In pages.
    pub limits: Limits,
    /// Are addresses 64 bits wide?
    pub memory64: bool,
    /// May threads share it?
    pub shared: bool,
    /// The binary logarithm of the page size in bytes: 16, or 0 with custom page sizes.
    pub page_size_log2: u8,
}

impl MemoryType {
    /// The page size of a memory that declares none: 64 KiB.
    pub(crate) const PAGE_SIZE_LOG2: u8 = 16;

    /// A memory with 32-bit addresses of `min` to at most `max` pages of 64 KiB.
    pub const fn new(min: u32, max: Option<u32>) -> Self {
        let max = match max {
            Some(max) => Some(max as u64),
            None => None,
        };
        Self {
            limits: Limits::new(min as u64, max),
            memory64: false,
            shared: false,
            page_size_log2: Self::PAGE_SIZE_LOG2,
        }
    }

    /// A memory with 64-bit addresses of `min` to at most `max` pages of 64 KiB.
    pub const fn new64(min: u64, max: Option<u64>) -> Self {
        let limits = Limits::new(min, max);
        Self { limits, memory64: true, shared: false, page_size_log2: Self::PAGE_SIZE_LOG2 }
    }

    /// The size at the start, in pages.
    pub const fn minimum(&self) -> u64 {
        self.limits.min
    }

    /// The size beyond which it cannot grow, in pages.
    pub const fn maximum(&self) -> Option<u64> {
        self.limits.max
    }

    /// The size of a page, in bytes.
    pub const fn page_size(&self) -> u64 {
        1 << self.page_size_log2
    }

    /// The largest size in pages that addresses can reach: 2^16 or 2^48 for pages of 64 KiB (§3.2.17).
    pub(crate) const fn reachable_pages(&self) -> u64 {
        let bits = if self.memory64 { 64 } else { 32 };
        let bound = (1u128 << bits) >> self.page_size_log2;
        // With pages of one byte the address type itself bounds the number of pages.
        let count = if self.memory64 { u64::MAX as u128 } else { u32::MAX as u128 };
        if bound < count { bound as u64 } else { count as u64 }
    }

    /// May a memory of this type be imported where `wanted` is declared (§3.3.14)?
    pub(crate) const fn matches(&self, wanted: &Self) -> bool {
        self.limits.matches(wanted.limits)
            && self.memory64 == wanted.memory64
            && self.shared == wanted.shared
            && self.page_size_log2 == wanted.page_size_log2
    }
}

impl Display for MemoryType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let address = if self.memory64 { "i64 " } else { "" };
        write!(f, "(memory {address}{}", self.limits)?;
        if self.shared {
            f.write_str(" shared")?;
        }
        if self.page_size_log2 != Self::PAGE_SIZE_LOG2 {
            write!(f, " (pagesize {})", self.page_size())?;
        }
        f.write_str(")")
    }
}

/// The type of a table (§2.3.13).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TableType {
    /// In elements.
    pub limits: Limits,
    /// The type of the elements.
    pub element: RefType,
    /// Are indices 64 bits wide?
    pub table64: bool,
    /// May threads share it?
    pub shared: bool,
}

impl TableType {
    /// A table with 32-bit indices of `min` to at most `max` elements.
    pub const fn new(element: RefType, min: u32, max: Option<u32>) -> Self {
        let max = match max {
            Some(max) => Some(max as u64),
            None => None,
        };
        Self { limits: Limits::new(min as u64, max), element, table64: false, shared: false }
    }

    /// A table with 64-bit indices of `min` to at most `max` elements.
    pub const fn new64(element: RefType, min: u64, max: Option<u64>) -> Self {
        Self { limits: Limits::new(min, max), element, table64: true, shared: false }
    }

    /// The type of the elements.
    pub const fn element(&self) -> RefType {
        self.element
    }

    /// The size at the start, in elements.
    pub const fn minimum(&self) -> u64 {
        self.limits.min
    }

    /// The size beyond which it cannot grow, in elements.
    pub const fn maximum(&self) -> Option<u64> {
        self.limits.max
    }
}

impl Display for TableType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let index = if self.table64 { "i64 " } else { "" };
        let shared = if self.shared { " shared" } else { "" };
        write!(f, "(table {index}{}{shared} {})", self.limits, self.element)
    }
}

/// Whether a global can be set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mutability {
    /// It keeps its initial value.
    Const,
    /// It can be set.
    Var,
}

/// The type of a global (§2.3.10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GlobalType {
    /// The type of its value.
    pub content: ValType,
    /// Can it be set?
    pub mutable: bool,
    /// May threads share it?
    pub shared: bool,
}

impl GlobalType {
    /// A global that holds a value of type `content`.
    pub const fn new(content: ValType, mutability: Mutability) -> Self {
        Self { content, mutable: matches!(mutability, Mutability::Var), shared: false }
    }

    /// The type of its value.
    pub const fn content(&self) -> ValType {
        self.content
    }

    /// Can it be set?
    pub const fn mutability(&self) -> Mutability {
        if self.mutable { Mutability::Var } else { Mutability::Const }
    }
}

impl Display for GlobalType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shared = if self.shared { "shared " } else { "" };
        match self.mutable {
            true => write!(f, "(global {shared}(mut {}))", self.content),
            false => write!(f, "(global {shared}{})", self.content),
        }
    }
}

/// Which of the five sorts an import or export has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum ExternKind {
    Func,
    Table,
    Memory,
    Global,
    Tag,
}

impl Display for ExternKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Func => "func",
            Self::Table => "table",
            Self::Memory => "memory",
            Self::Global => "global",
            Self::Tag => "tag",
        })
    }
}

/// The type of an import or export (§2.3.16), printed in text notation, as `(func (param i32))`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum ExternType {
    Func(FuncType),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
    /// The function type's parameters are what an exception carries.
    Tag(FuncType),
}

impl ExternType {
    /// Which of the five sorts this is.
    pub const fn kind(&self) -> ExternKind {
        match self {
            Self::Func(_) => ExternKind::Func,
            Self::Table(_) => ExternKind::Table,
            Self::Memory(_) => ExternKind::Memory,
            Self::Global(_) => ExternKind::Global,
            Self::Tag(_) => ExternKind::Tag,
        }
    }

    /// The type, if this is a function.
    pub const fn func(&self) -> Option<&FuncType> {
        if let Self::Func(ty) = self { Some(ty) } else { None }
    }

    /// The type, if this is a table.
    pub const fn table(&self) -> Option<&TableType> {
        if let Self::Table(ty) = self { Some(ty) } else { None }
    }

    /// The type, if this is a memory.
    pub const fn memory(&self) -> Option<&MemoryType> {
        if let Self::Memory(ty) = self { Some(ty) } else { None }
    }

    /// The type, if this is a global.
    pub const fn global(&self) -> Option<&GlobalType> {
        if let Self::Global(ty) = self { Some(ty) } else { None }
    }
}

impl Display for ExternType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func(ty) => ty.fmt(f),
            Self::Table(ty) => ty.fmt(f),
            Self::Memory(ty) => ty.fmt(f),
            Self::Global(ty) => ty.fmt(f),
            Self::Tag(ty) => {
                f.write_str("(tag")?;
                ty.fmt_signature(f)?;
                f.write_str(")")
            }
        }
    }
}

macro_rules! extern_type_from {
    ($($variant:ident $ty:ty),*) => {
        $(impl From<$ty> for ExternType {
            fn from(ty: $ty) -> Self {
                Self::$variant(ty)
            }
        })*
    };
}

extern_type_from!(Func FuncType, Table TableType, Memory MemoryType, Global GlobalType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_of_addresses() {
        let pages = |ty: MemoryType| ty.reachable_pages();
        assert_eq!(pages(MemoryType::new(0, None)), 1 << 16);
        assert_eq!(pages(MemoryType::new64(0, None)), 1 << 48);
        assert_eq!(pages(MemoryType { page_size_log2: 0, ..MemoryType::new(0, None) }), u64::from(u32::MAX));
        assert_eq!(pages(MemoryType { page_size_log2: 0, ..MemoryType::new64(0, None) }), u64::MAX);
    }

    #[test]
    fn limits_of_imports() {
        let limits = Limits::new;
        for (found, wanted, fits) in [
            (limits(1, None), limits(1, None), true),
            (limits(2, Some(3)), limits(1, None), true),
            (limits(0, None), limits(1, None), false),
            (limits(1, None), limits(1, Some(9)), false),
            (limits(1, Some(8)), limits(1, Some(9)), true),
            (limits(1, Some(10)), limits(1, Some(9)), false),
        ] {
            assert_eq!(found.matches(wanted), fits, "{found} for {wanted}");
        }
    }
}
