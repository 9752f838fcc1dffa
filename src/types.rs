//! The types of WebAssembly 3.0 as the specification names them (§2.3), each printed in text notation.
//!
//! Invariant: a reference to a defined type is always a [`TypeId`] of the engine's [`TypeRegistry`], never a module's
//! type index; so two types of one engine are equal exactly if they compare equal here, whatever module they are from.

mod registry;

pub(crate) use self::registry::TypeRegistry;

use alloc::sync::Arc;
use core::fmt::{self, Display, Formatter};

use jitless_machine::types::Ty;
use smallvec::SmallVec;

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

/// A function type (§2.3.6): the types of parameters and of results. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FuncType {
    /// Parameters, then results.
    types: Arc<[ValType]>,
    params: u32,
    area: u32,
}

impl FuncType {
    /// The slots between the callee's arguments and its own frame: the return address and the caller's frame.
    const LINK_SLOTS: u32 = 2;

    pub(crate) fn from_parts(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        let mut types: SmallVec<[ValType; 32]> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        let area = slots(&types[..params]).max(slots(&types[params..])) + Self::LINK_SLOTS;
        Self { types: Arc::from(types.as_slice()), params: params as u32, area }
    }

    /// The types of the parameters.
    pub fn params(&self) -> &[ValType] {
        &self.types[..self.params as usize]
    }

    /// The types of the results.
    pub fn results(&self) -> &[ValType] {
        &self.types[self.params as usize..]
    }

    /// The number of slots from the first argument to the callee's frame: arguments and results share them.
    pub(crate) fn area(&self) -> u32 {
        self.area
    }

    /// The number of slots that the arguments take.
    pub(crate) fn param_slots(&self) -> u32 {
        slots(self.params())
    }

    /// The number of slots that the results take.
    pub(crate) fn result_slots(&self) -> u32 {
        slots(self.results())
    }

    /// The same type with `change` applied to each value type.
    fn map(&self, mut change: impl FnMut(ValType) -> ValType) -> Self {
        Self { types: self.types.iter().map(|&ty| change(ty)).collect(), ..*self }
    }

    fn fmt_signature(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (word, types) in [("param", self.params()), ("result", self.results())] {
            if let [first, rest @ ..] = types {
                write!(f, " ({word} {first}")?;
                for ty in rest {
                    write!(f, " {ty}")?;
                }
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

fn slots(types: &[ValType]) -> u32 {
    types.iter().map(|ty| ty.slots()).sum()
}

impl Display for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("(func")?;
        self.fmt_signature(f)?;
        f.write_str(")")
    }
}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// What a field or an array element is stored as (§2.3.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum StorageType {
    I8,
    I16,
    Val(ValType),
}

/// The type of a field of a structure, or of all elements of an array (§2.3.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FieldType {
    pub(crate) storage: StorageType,
    pub(crate) mutable: bool,
}

/// A structure type. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StructType {
    pub(crate) fields: Arc<[FieldType]>,
}

/// An array type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ArrayType {
    pub(crate) field: FieldType,
}

/// A composite type (§2.3.8).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CompositeType {
    Func(FuncType),
    Struct(StructType),
    Array(ArrayType),
}

/// A composite type and its declared place among the subtypes (§2.3.9).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SubType {
    pub(crate) is_final: bool,
    pub(crate) supertype: Option<TypeId>,
    pub(crate) composite: CompositeType,
}

impl SubType {
    /// What a lone composite type abbreviates: final and without a supertype.
    pub(crate) fn of(composite: CompositeType) -> Self {
        Self { is_final: true, supertype: None, composite }
    }
}

impl From<FuncType> for SubType {
    fn from(ty: FuncType) -> Self {
        Self::of(CompositeType::Func(ty))
    }
}

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

    #[test]
    fn areas() {
        use ValType::{F64, I32, V128};
        for (params, results, area) in
            [(&[][..], &[][..], 2), (&[I32, F64], &[], 4), (&[], &[V128, I32], 5), (&[I32; 3], &[V128], 5)]
        {
            let ty = FuncType::from_parts(params.iter().copied(), results.iter().copied());
            assert_eq!((ty.area(), ty.params(), ty.results()), (area, params, results));
            assert_eq!(ty.param_slots().max(ty.result_slots()) + 2, area);
        }
    }

    #[test]
    fn the_border_between_parameters_and_results_counts() {
        let ty =
            |params: usize| FuncType::from_parts((0..params).map(|_| ValType::I32), (params..2).map(|_| ValType::I32));
        assert_ne!(ty(1), ty(2));
        assert_eq!(ty(1), ty(1));
    }

    #[test]
    fn reach_of_addresses() {
        let pages = |ty: MemoryType| ty.reachable_pages();
        assert_eq!(pages(MemoryType::new(0, None)), 1 << 16);
        assert_eq!(pages(MemoryType::new64(0, None)), 1 << 48);
        assert_eq!(pages(MemoryType { page_size_log2: 0, ..MemoryType::new(0, None) }), u32::MAX.into());
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
