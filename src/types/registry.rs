//! The engine's defined types: recursion groups made canonical, so that type equality is equality of ids (§3.2.3).
//!
//! Idea: two groups are equal if they are equal part for part once references *into* the group are written as
//! positions. Groups arrive in that form ([`TypeId::relative`]), with references to earlier groups as ids, which are
//! canonical already. So one hash and one comparison decide; nothing is ever unrolled. Stored types are absolute.
//!
//! Invariant: ids are given in order, so a group refers to smaller ids and its own only. Groups are registered before
//! they are validated: nothing here trusts a declared supertype to be earlier, or of the right kind.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use spin::Mutex;

use super::{
    ArrayType, CompositeType, ExternType, FieldType, FuncType, HeapType, RefType, StorageType, StructType, SubType,
    TableType, TypeId, ValType,
};

/// All defined types of an engine. They stay as long as the engine does.
#[derive(Default)]
pub(crate) struct TypeRegistry {
    /// Keyed at random: the types are the guest's, and so would be the collisions.
    hasher: DefaultHashBuilder,
    /// Do all groups collide? Then comparing them is all that tells them apart.
    #[cfg(test)]
    colliding: bool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    types: Vec<Defined>,
    groups: HashTable<Group>,
}

struct Defined {
    ty: Arc<SubType>,
    /// The number of supertypes above it.
    depth: u32,
}

struct Group {
    hash: u64,
    first: u32,
    len: u32,
}

#[cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "supertypes, structures and arrays are canonical already; the validator's rules for them come with gc"
    )
)]
impl TypeRegistry {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Registers a recursion group and returns the id of its first type; the others follow in order.
    ///
    /// References into the group are [`TypeId::relative`] and below the group's length, others ids of this registry.
    /// The time is linear in the group. To share memory, take the types back with [`Self::get`] or [`Self::func`].
    pub(crate) fn register_group(&self, group: &[SubType]) -> TypeId {
        let hash = self.hash(group.len(), group.iter());
        self.table.lock().register(hash, group)
    }

    /// Registers a function type that stands alone: final, without a supertype, its own group.
    pub(crate) fn register_func(&self, ty: &FuncType) -> TypeId {
        self.register_group(&[ty.clone().into()])
    }

    /// The number of types registered.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().types.len()
    }

    /// The type with this id, all references absolute. Panics if the id is of another engine.
    pub(crate) fn get(&self, id: TypeId) -> Arc<SubType> {
        self.table.lock().types[id.0 as usize].ty.clone()
    }

    /// The function type with this id, if it is one.
    pub(crate) fn func(&self, id: TypeId) -> Option<FuncType> {
        match &self.table.lock().types.get(id.0 as usize)?.ty.composite {
            CompositeType::Func(ty) => Some(ty.clone()),
            _ => None,
        }
    }

    /// The number of declared supertypes above this type. More than 63 is beyond the limits of all engines.
    pub(crate) fn depth(&self, id: TypeId) -> u32 {
        self.table.lock().types.get(id.0 as usize).map_or(0, |ty| ty.depth)
    }

    /// Is `sub` the same as `sup` or declared below it (§3.3.7)?
    pub(crate) fn is_subtype(&self, sub: TypeId, sup: TypeId) -> bool {
        sub == sup || self.table.lock().is_subtype(sub, sup)
    }

    /// May a value of type `sub` be used where `sup` is expected (§3.3.3)?
    pub(crate) fn matches(&self, sub: ValType, sup: ValType) -> bool {
        match (sub, sup) {
            (ValType::Ref(sub), ValType::Ref(sup)) => self.matches_ref(sub, sup),
            _ => sub == sup,
        }
    }

    /// The same for reference types (§3.3.4).
    pub(crate) fn matches_ref(&self, sub: RefType, sup: RefType) -> bool {
        (sup.nullable || !sub.nullable) && self.matches_heap(sub.heap, sup.heap)
    }

    /// The same for heap types (§3.3.3).
    pub(crate) fn matches_heap(&self, sub: HeapType, sup: HeapType) -> bool {
        use HeapType::*;
        if sub == sup {
            return true;
        }
        match (sub, sup) {
            (Concrete(sub), Concrete(sup)) => self.is_subtype(sub, sup),
            (Concrete(sub), sup) => self.top(sub).is_some_and(|sub| self.matches_heap(sub, sup)),
            (NoFunc, Concrete(sup)) => self.top(sup) == Some(Func),
            (None, Concrete(sup)) => matches!(self.top(sup), Some(Struct | Array)),
            (NoFunc, Func) | (NoExtern, Extern) | (NoExn, Exn) => true,
            (None, Any | Eq | I31 | Struct | Array) => true,
            (I31 | Struct | Array, Eq | Any) | (Eq, Any) => true,
            _ => false,
        }
    }

    /// May a type declare itself a subtype of another with these contents (§3.3.9)?
    pub(crate) fn matches_composite(&self, sub: &CompositeType, sup: &CompositeType) -> bool {
        match (sub, sup) {
            (CompositeType::Func(sub), CompositeType::Func(sup)) => self.matches_func(sub, sup),
            (CompositeType::Struct(sub), CompositeType::Struct(sup)) => {
                sub.fields.len() >= sup.fields.len()
                    && sub.fields.iter().zip(sup.fields.iter()).all(|(&sub, &sup)| self.matches_field(sub, sup))
            }
            (CompositeType::Array(sub), CompositeType::Array(sup)) => self.matches_field(sub.field, sup.field),
            _ => false,
        }
    }

    /// The same for function types: parameters the other way round (§3.3.6).
    pub(crate) fn matches_func(&self, sub: &FuncType, sup: &FuncType) -> bool {
        self.matches_all(sup.params(), sub.params()) && self.matches_all(sub.results(), sup.results())
    }

    /// The same for sequences of value types (§3.3.5).
    pub(crate) fn matches_all(&self, sub: &[ValType], sup: &[ValType]) -> bool {
        sub.len() == sup.len() && sub.iter().zip(sup).all(|(&sub, &sup)| self.matches(sub, sup))
    }

    fn matches_field(&self, sub: FieldType, sup: FieldType) -> bool {
        let forward = match (sub.storage, sup.storage) {
            (StorageType::Val(sub), StorageType::Val(sup)) => self.matches(sub, sup),
            (sub, sup) => sub == sup,
        };
        // What can be written must match both ways; canonical ids make that equality.
        if sub.mutable || sup.mutable { sub == sup } else { forward }
    }

    /// May a table of type `found` be imported where `wanted` is declared (§3.3.15)?
    pub(crate) fn matches_table(&self, found: &TableType, wanted: &TableType) -> bool {
        found.limits.matches(wanted.limits)
            && found.element == wanted.element
            && found.table64 == wanted.table64
            && found.shared == wanted.shared
    }

    /// May something of type `found` be imported where `wanted` is declared (§3.3.18)?
    ///
    /// The minimum of a memory or table found is its present size. Functions are compared by parameters and results
    /// alone: where both have a declared type, [`Self::is_subtype`] decides instead.
    pub(crate) fn matches_extern(&self, found: &ExternType, wanted: &ExternType) -> bool {
        match (found, wanted) {
            (ExternType::Func(found), ExternType::Func(wanted)) => found == wanted,
            (ExternType::Table(found), ExternType::Table(wanted)) => self.matches_table(found, wanted),
            (ExternType::Memory(found), ExternType::Memory(wanted)) => found.matches(wanted),
            (ExternType::Global(found), ExternType::Global(wanted)) => {
                found.shared == wanted.shared
                    && match (found.mutable, wanted.mutable) {
                        (false, false) => self.matches(found.content, wanted.content),
                        (true, true) => found.content == wanted.content,
                        _ => false,
                    }
            }
            (ExternType::Tag(found), ExternType::Tag(wanted)) => found == wanted,
            _ => false,
        }
    }

    /// The abstract heap type right above a defined type.
    fn top(&self, id: TypeId) -> Option<HeapType> {
        Some(match &self.table.lock().types.get(id.0 as usize)?.ty.composite {
            CompositeType::Func(_) => HeapType::Func,
            CompositeType::Struct(_) => HeapType::Struct,
            CompositeType::Array(_) => HeapType::Array,
        })
    }

    fn hash<'a>(&self, len: usize, group: impl Iterator<Item = &'a SubType>) -> u64 {
        #[cfg(test)]
        if self.colliding {
            return 0;
        }
        let mut state = self.hasher.build_hasher();
        state.write_usize(len);
        group.for_each(|ty| ty.hash(&mut state));
        state.finish()
    }
}

impl Table {
    fn register(&mut self, hash: u64, group: &[SubType]) -> TypeId {
        let len = group.len() as u32;
        let first = self.types.len() as u32;
        if len == 0 {
            return TypeId(first);
        }
        if let Some(found) = self.groups.find(hash, |known| known.hash == hash && self.is_same(known, group)) {
            return TypeId(found.first);
        }
        assert!(first < TypeId::RELATIVE - len, "a type takes more than 64 bytes, so memory ends long before");
        for ty in group {
            let ty = close(ty, first);
            let depth = match ty.supertype {
                Some(above) if above.0 < self.types.len() as u32 => self.types[above.0 as usize].depth + 1,
                _ => 0,
            };
            self.types.push(Defined { ty: Arc::new(ty), depth });
        }
        self.groups.insert_unique(hash, Group { hash, first, len }, |known| known.hash);
        TypeId(first)
    }

    /// Is a group that arrives the same as a known one?
    fn is_same(&self, known: &Group, group: &[SubType]) -> bool {
        let first = known.first;
        let inside = first..first + known.len;
        let same_id = |new: TypeId, old: TypeId| match new.as_relative() {
            Some(k) => old.0 == first + k,
            // A reference to the known group from outside is not a reference of the group to itself.
            None => new == old && !inside.contains(&{ new.0 }),
        };
        known.len as usize == group.len()
            && group.iter().zip(&self.types[first as usize..]).all(|(new, old)| same_sub(new, &old.ty, &same_id))
    }

    fn is_subtype(&self, sub: TypeId, sup: TypeId) -> bool {
        let Some(target) = self.types.get(sup.0 as usize) else { return false };
        let mut id = sub;
        while let Some(ty) = self.types.get(id.0 as usize) {
            match ty.ty.supertype {
                // Strictly downwards, so that this ends also where a group is not valid.
                Some(above) if above < id && ty.depth > target.depth => id = above,
                _ => return false,
            }
            if id == sup {
                return true;
            }
        }
        false
    }
}

/// The type with its references into the group that starts at `first` made absolute.
fn close(ty: &SubType, first: u32) -> SubType {
    let id = |id: TypeId| id.as_relative().map_or(id, |k| TypeId(first + k));
    let val = |ty: ValType| match ty {
        ValType::Ref(RefType { nullable, heap: HeapType::Concrete(of) }) => {
            ValType::Ref(RefType { nullable, heap: HeapType::Concrete(id(of)) })
        }
        _ => ty,
    };
    let field = |ty: FieldType| match ty.storage {
        StorageType::Val(content) => FieldType { storage: StorageType::Val(val(content)), ..ty },
        _ => ty,
    };
    let composite = match &ty.composite {
        // What refers to nothing in its group keeps its memory.
        CompositeType::Func(ty) if ty.types.iter().all(|&ty| val(ty) == ty) => CompositeType::Func(ty.clone()),
        CompositeType::Func(ty) => CompositeType::Func(ty.map(val)),
        CompositeType::Struct(ty) if ty.fields.iter().all(|&ty| field(ty) == ty) => CompositeType::Struct(ty.clone()),
        CompositeType::Struct(ty) => {
            CompositeType::Struct(StructType { fields: ty.fields.iter().map(|&ty| field(ty)).collect() })
        }
        CompositeType::Array(ty) => CompositeType::Array(ArrayType { field: field(ty.field) }),
    };
    SubType { is_final: ty.is_final, supertype: ty.supertype.map(id), composite }
}

fn same_sub(new: &SubType, old: &SubType, same_id: &impl Fn(TypeId, TypeId) -> bool) -> bool {
    let supertypes = match (new.supertype, old.supertype) {
        (Some(new), Some(old)) => same_id(new, old),
        (new, old) => new.is_none() && old.is_none(),
    };
    let same_val = |new: ValType, old: ValType| match (new, old) {
        (
            ValType::Ref(RefType { nullable, heap: HeapType::Concrete(new) }),
            ValType::Ref(RefType { nullable: old_nullable, heap: HeapType::Concrete(old) }),
        ) => nullable == old_nullable && same_id(new, old),
        _ => new == old,
    };
    let same_field = |new: FieldType, old: FieldType| {
        new.mutable == old.mutable
            && match (new.storage, old.storage) {
                (StorageType::Val(new), StorageType::Val(old)) => same_val(new, old),
                (new, old) => new == old,
            }
    };
    supertypes
        && new.is_final == old.is_final
        && match (&new.composite, &old.composite) {
            (CompositeType::Func(new), CompositeType::Func(old)) => {
                new.params == old.params
                    && new.types.len() == old.types.len()
                    && new.types.iter().zip(old.types.iter()).all(|(&new, &old)| same_val(new, old))
            }
            (CompositeType::Struct(new), CompositeType::Struct(old)) => {
                new.fields.len() == old.fields.len()
                    && new.fields.iter().zip(old.fields.iter()).all(|(&new, &old)| same_field(new, old))
            }
            (CompositeType::Array(new), CompositeType::Array(old)) => same_field(new.field, old.field),
            _ => false,
        }
}

#[cfg(test)]
mod tests;
