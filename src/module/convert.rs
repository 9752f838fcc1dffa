//! The decoder's types become ours: type indices become canonical ids, proposals that are off or do not run yet are
//! refused by name.
//!
//! Invariant: what comes out of here is a type this version can run. A proposal that starts to run needs one more bit
//! in `Proposals::RUNS`, and nothing here.

use super::{ConstExpr, Description};
use crate::config::Proposals;
use crate::error::{Error, Invalid, Place};
use crate::types::{
    ArrayType, CompositeType, FieldType, FuncType, GlobalType, HeapType, Limits, MemoryType, RefType, StorageType,
    StructType, SubType, TableType, TypeId, ValType,
};
use core::ops::Range;
use smallvec::SmallVec;
use wasmparser::{AbstractHeapType, CompositeInnerType, UnpackedIndex, WasmFeatures};

/// Why something is refused, while it is not yet known where.
#[derive(Debug)]
pub(super) enum Refusal {
    Malformed(&'static str),
    Invalid(Invalid),
    /// What needs which proposal.
    Needs(&'static str, Proposals),
}

impl Refusal {
    #[cold]
    pub(super) fn at(self, place: Place) -> Error {
        match self {
            Refusal::Malformed(message) => Error::malformed(place.offset, message),
            Refusal::Invalid(why) => Error::invalid(place, why),
            Refusal::Needs(what, proposal) => Error::needs(place, what, proposal),
        }
    }

    /// The same, outside of all functions.
    #[cold]
    pub(super) fn at_offset(self, offset: u64) -> Error {
        self.at(Place::at(offset as usize))
    }
}

/// What a type is read against.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) types: &'a [TypeId],
    /// The length of the recursion group that is being read, whose types follow `types` and have no ids yet.
    pub(super) group: u32,
    pub(super) proposals: Proposals,
}

impl<'a> Scope<'a> {
    #[inline]
    pub(super) fn of(desc: &'a Description) -> Scope<'a> {
        Scope { types: &desc.types, group: 0, proposals: desc.proposals }
    }

    /// Is the proposal on, and does it run?
    pub(super) fn need(&self, what: &'static str, proposal: Proposals) -> Result<(), Refusal> {
        match self.proposals.contains(proposal) && Proposals::RUNS.contains(proposal) {
            true => Ok(()),
            false => Err(Refusal::Needs(what, proposal)),
        }
    }

    pub(super) fn val_type(&self, ty: wasmparser::ValType) -> Result<ValType, Refusal> {
        Ok(match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => {
                self.need("the type v128", Proposals::SIMD)?;
                ValType::V128
            }
            wasmparser::ValType::Ref(ty) => {
                self.need("a reference type", Proposals::REFERENCE_TYPES)?;
                ValType::Ref(self.ref_type(ty)?)
            }
        })
    }

    /// As the type of a table's elements; `funcref` is as old as tables are.
    pub(super) fn ref_type(&self, ty: wasmparser::RefType) -> Result<RefType, Refusal> {
        if !ty.is_nullable() {
            self.need("a reference type without null", Proposals::FUNCTION_REFERENCES)?;
        }
        Ok(RefType::new(ty.is_nullable(), self.heap_type(ty.heap_type())?))
    }

    pub(super) fn heap_type(&self, ty: wasmparser::HeapType) -> Result<HeapType, Refusal> {
        match ty {
            wasmparser::HeapType::Abstract { shared: false, ty } => self.abstract_heap_type(ty),
            wasmparser::HeapType::Abstract { shared: true, .. } => {
                Err(Refusal::Needs("a shared reference type", Proposals::SHARED_EVERYTHING_THREADS))
            }
            wasmparser::HeapType::Concrete(index) => {
                self.need("a reference type with a type index", Proposals::FUNCTION_REFERENCES)?;
                self.type_id(index).map(HeapType::Concrete)
            }
            wasmparser::HeapType::Exact(_) => {
                Err(Refusal::Needs("an exact reference type", Proposals::CUSTOM_DESCRIPTORS))
            }
        }
    }

    fn abstract_heap_type(&self, ty: AbstractHeapType) -> Result<HeapType, Refusal> {
        let (proposal, heap) = match ty {
            AbstractHeapType::Func => return Ok(HeapType::Func),
            AbstractHeapType::Extern => (Proposals::REFERENCE_TYPES, HeapType::Extern),
            AbstractHeapType::NoFunc => (Proposals::GC, HeapType::NoFunc),
            AbstractHeapType::NoExtern => (Proposals::GC, HeapType::NoExtern),
            AbstractHeapType::Any => (Proposals::GC, HeapType::Any),
            AbstractHeapType::Eq => (Proposals::GC, HeapType::Eq),
            AbstractHeapType::I31 => (Proposals::GC, HeapType::I31),
            AbstractHeapType::Struct => (Proposals::GC, HeapType::Struct),
            AbstractHeapType::Array => (Proposals::GC, HeapType::Array),
            AbstractHeapType::None => (Proposals::GC, HeapType::None),
            AbstractHeapType::Exn => (Proposals::EXCEPTIONS, HeapType::Exn),
            AbstractHeapType::NoExn => (Proposals::EXCEPTIONS, HeapType::NoExn),
            AbstractHeapType::Cont | AbstractHeapType::NoCont => {
                return Err(Refusal::Needs("a reference to a continuation", Proposals::STACK_SWITCHING));
            }
        };
        self.need("this reference type", proposal)?;
        Ok(heap)
    }

    /// An index of the module, or of the recursion group being read, as an id.
    pub(super) fn type_id(&self, index: UnpackedIndex) -> Result<TypeId, Refusal> {
        let index = index.as_module_index().unwrap_or(u32::MAX);
        match self.types.get(index as usize) {
            Some(&id) => Ok(id),
            None => match index - self.types.len() as u32 {
                inside if inside < self.group => Ok(TypeId::relative(inside)),
                _ => Err(Refusal::Invalid(Invalid::UnknownType(index))),
            },
        }
    }

    /// The type index of a block; the type exists, of whatever sort it is.
    pub(super) fn block_type(&self, index: u32) -> Result<u32, Refusal> {
        self.need("a block type with a type index", Proposals::MULTI_VALUE)?;
        match (index as usize) < self.types.len() {
            true => Ok(index),
            false => Err(Refusal::Invalid(Invalid::UnknownType(index))),
        }
    }

    pub(super) fn sub_type(&self, ty: &wasmparser::SubType) -> Result<SubType, Refusal> {
        let supertype = match *ty.supertype_idxs {
            [] => None,
            [index] => Some(self.type_id(index.unpack())?),
            _ => return Err(Refusal::Invalid(Invalid::MultipleSupertypes(ty.supertype_idxs.len()))),
        };
        Ok(SubType { is_final: ty.is_final, supertype, composite: self.composite_type(&ty.composite_type)? })
    }

    fn composite_type(&self, ty: &wasmparser::CompositeType) -> Result<CompositeType, Refusal> {
        if ty.shared {
            return Err(Refusal::Needs("a shared type", Proposals::SHARED_EVERYTHING_THREADS));
        }
        if ty.descriptor_idx.is_some() || ty.describes_idx.is_some() {
            return Err(Refusal::Needs("a type with a descriptor", Proposals::CUSTOM_DESCRIPTORS));
        }
        match &ty.inner {
            CompositeInnerType::Func(ty) => self.func_type(ty.params(), ty.results()).map(CompositeType::Func),
            CompositeInnerType::Struct(ty) => {
                self.need("a structure type", Proposals::GC)?;
                let fields = ty.fields.iter().map(|ty| self.field_type(ty)).collect::<Result<_, _>>()?;
                Ok(CompositeType::Struct(StructType { fields }))
            }
            CompositeInnerType::Array(ty) => {
                self.need("an array type", Proposals::GC)?;
                Ok(CompositeType::Array(ArrayType { field: self.field_type(&ty.0)? }))
            }
            CompositeInnerType::Cont(_) => Err(Refusal::Needs("a continuation type", Proposals::STACK_SWITCHING)),
        }
    }

    pub(super) fn func_type(
        &self,
        params: &[wasmparser::ValType],
        results: &[wasmparser::ValType],
    ) -> Result<FuncType, Refusal> {
        if results.len() > 1 && !self.proposals.contains(Proposals::MULTI_VALUE) {
            return Err(Refusal::Invalid(Invalid::MultipleResults(results.len())));
        }
        let mut types: SmallVec<[ValType; 32]> = SmallVec::new();
        for &ty in params.iter().chain(results) {
            types.push(self.val_type(ty)?);
        }
        let (params, results) = types.split_at(params.len());
        Ok(FuncType::from_parts(params.iter().copied(), results.iter().copied()))
    }

    fn field_type(&self, ty: &wasmparser::FieldType) -> Result<FieldType, Refusal> {
        let storage = match ty.element_type {
            wasmparser::StorageType::I8 => StorageType::I8,
            wasmparser::StorageType::I16 => StorageType::I16,
            wasmparser::StorageType::Val(ty) => StorageType::Val(self.val_type(ty)?),
        };
        Ok(FieldType { storage, mutable: ty.mutable })
    }

    pub(super) fn memory_type(&self, ty: &wasmparser::MemoryType) -> Result<MemoryType, Refusal> {
        let page_size_log2 = match ty.page_size_log2 {
            Some(_) if !self.proposals.contains(Proposals::CUSTOM_PAGE_SIZES) => return Err(FLAGS),
            Some(log2) => {
                self.need("a page size", Proposals::CUSTOM_PAGE_SIZES)?;
                // Larger than 64 KiB is invalid, and stays so.
                log2 as u8
            }
            None => MemoryType::PAGE_SIZE_LOG2,
        };
        if ty.memory64 {
            self.need("a memory of 64-bit addresses", Proposals::MEMORY64)?;
        }
        if ty.shared {
            self.need("a shared memory", Proposals::THREADS)?;
        }
        let limits = Limits::new(ty.initial, ty.maximum);
        Ok(MemoryType { limits, memory64: ty.memory64, shared: ty.shared, page_size_log2 })
    }

    pub(super) fn table_type(&self, ty: &wasmparser::TableType) -> Result<TableType, Refusal> {
        if ty.shared {
            self.need_shared(FLAGS)?;
        }
        if ty.table64 {
            self.need("a table of 64-bit indices", Proposals::MEMORY64)?;
        }
        let limits = Limits::new(ty.initial, ty.maximum);
        Ok(TableType { limits, element: self.ref_type(ty.element_type)?, table64: ty.table64, shared: ty.shared })
    }

    pub(super) fn global_type(&self, ty: &wasmparser::GlobalType) -> Result<GlobalType, Refusal> {
        if ty.shared {
            self.need_shared(Refusal::Malformed("malformed mutability"))?;
        }
        Ok(GlobalType { content: self.val_type(ty.content_type)?, mutable: ty.mutable, shared: ty.shared })
    }

    /// A flag that means nothing at all without the proposal.
    fn need_shared(&self, otherwise: Refusal) -> Result<(), Refusal> {
        match self.proposals.contains(Proposals::SHARED_EVERYTHING_THREADS) {
            true => self.need("sharing this", Proposals::SHARED_EVERYTHING_THREADS),
            false => Err(otherwise),
        }
    }
}

const FLAGS: Refusal = Refusal::Malformed("malformed limits flags");

pub(super) fn const_expr(expr: &wasmparser::ConstExpr<'_>) -> ConstExpr {
    ConstExpr { range: range(expr.get_binary_reader().remaining_range()) }
}

/// Offsets fit: a module is shorter than 4 GiB.
pub(super) fn range(range: Range<u64>) -> Range<u32> {
    range.start as u32..range.end as u32
}

/// What the decoder's readers have to know: only where a proposal gave old bytes a new meaning. Otherwise they read
/// all there is, so that it can be refused by name.
pub(super) fn features(proposals: Proposals) -> WasmFeatures {
    let mut features = WasmFeatures::GC | WasmFeatures::COMPACT_IMPORTS | WasmFeatures::LEGACY_EXCEPTIONS;
    for (proposal, feature) in [
        (Proposals::REFERENCE_TYPES, WasmFeatures::REFERENCE_TYPES),
        (Proposals::MULTI_MEMORY, WasmFeatures::MULTI_MEMORY),
        (Proposals::MEMORY64, WasmFeatures::MEMORY64),
    ] {
        features.set(feature, proposals.contains(proposal));
    }
    features
}

/// The name of a proposal in text, from the decoder's name for it.
pub(super) const fn proposal_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        b"legacy_exceptions" => Proposals::LEGACY_EXCEPTIONS.name(),
        b"function_references" => Proposals::FUNCTION_REFERENCES.name(),
        b"stack_switching" => Proposals::STACK_SWITCHING.name(),
        b"relaxed_simd" => Proposals::RELAXED_SIMD.name(),
        b"shared_everything_threads" => Proposals::SHARED_EVERYTHING_THREADS.name(),
        b"wide_arithmetic" => Proposals::WIDE_ARITHMETIC.name(),
        b"memory_control" => Proposals::MEMORY_CONTROL.name(),
        b"custom_descriptors" => Proposals::CUSTOM_DESCRIPTORS.name(),
        // These have no row in the table of proposals; their encodings are not read either.
        b"acquire_release_atomics" => "acquire-release-atomics",
        b"multibyte_array_access" => "multibyte-array-access",
        // The others are written the same: gc, simd, threads, exceptions.
        _ => field,
    }
}
