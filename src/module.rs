//! A module as decoding found it: index spaces, segments, bodies and names, as ranges of bytes that are kept once.
//!
//! Invariant: a [`Description`] is well-formed (§5), every range in it lies inside `bytes`, every name of an import
//! or export is UTF-8, and nothing in it was sized by a count that had no bytes behind it. Whether it is *valid*
//! (§3) is for `validate` to say: an index found in the bytes may still point anywhere.

use crate::config::{ModuleLimits, Proposals};
use crate::error::Place;
use crate::types::{ExternKind, FuncType, GlobalType, MemoryType, RefType, TableType, TypeId, TypeRegistry};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::hash::BuildHasher;
use core::ops::Range;
use hashbrown::{DefaultHashBuilder, HashTable};

pub(crate) mod convert;
pub(crate) mod decode;
pub(crate) mod names;
pub(crate) mod operators;
pub(crate) mod print;

/// A decoded module. Immutable, shared behind an `Arc` by all that was made from it.
///
/// Offsets are `u32`: `ModuleLimits::module_bytes` never lets a module of 4 GiB or more through.
pub(crate) struct Description {
    /// Where `types` live; the ids mean something in this registry only.
    pub(crate) engine_types: Arc<TypeRegistry>,
    /// What was switched on when the module was decoded; all later readers of its bytes obey the same set.
    pub(crate) proposals: Proposals,
    /// What it was held to, and its bodies still are.
    pub(crate) limits: ModuleLimits,
    /// The whole module.
    pub(crate) bytes: Arc<Vec<u8>>,
    /// The type index space.
    pub(crate) types: Vec<TypeId>,
    /// The same, as function types; `None` where a type is not one.
    pub(crate) func_types: Vec<Option<FuncType>>,
    pub(crate) imports: Vec<Import>,
    /// The function index space, imports first: an index into `types` for each, not checked.
    pub(crate) funcs: Vec<u32>,
    pub(crate) imported_funcs: u32,
    /// The table index space, imports first.
    pub(crate) tables: Vec<Table>,
    pub(crate) imported_tables: u32,
    /// The memory index space, imports first.
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) imported_memories: u32,
    /// The global index space, imports first.
    pub(crate) globals: Vec<Global>,
    pub(crate) imported_globals: u32,
    /// The tag index space, imports first: an index into `types` for each, not checked.
    pub(crate) tags: Vec<u32>,
    pub(crate) imported_tags: u32,
    pub(crate) exports: Vec<Export>,
    pub(crate) export_names: ExportNames,
    pub(crate) start: Option<u32>,
    pub(crate) elements: Vec<Element>,
    pub(crate) data: Vec<Data>,
    /// The data count section's count. If present it equals `data.len()`.
    pub(crate) data_count: Option<u32>,
    /// A body for each function that is not imported, from its vector of locals to its last `end`. Not looked into.
    pub(crate) bodies: Vec<Range<u32>>,
    /// The first [`decode::MAX_CUSTOM`] custom sections: name, contents.
    pub(crate) custom: Vec<(Range<u32>, Range<u32>)>,
    pub(crate) offsets: Offsets,
    pub(crate) names: names::Names,
}

/// Where a section's contents begin; 0 for one that is absent. Places of errors that have no better offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) types: u32,
    pub(crate) funcs: u32,
    pub(crate) tables: u32,
    pub(crate) memories: u32,
    pub(crate) tags: u32,
    pub(crate) start: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) module: Range<u32>,
    pub(crate) name: Range<u32>,
    pub(crate) ty: ImportType,
}

/// Functions and tags give an index into `types`, not checked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ImportType {
    Func(u32),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
    Tag(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) offset: u32,
    pub(crate) ty: TableType,
    /// What the elements hold at first; `None`: null, or an import.
    pub(crate) init: Option<ConstExpr>,
}

#[derive(Clone, Debug)]
pub(crate) struct Global {
    pub(crate) ty: GlobalType,
    /// `None` for an import, and only for an import.
    pub(crate) init: Option<ConstExpr>,
}

#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) name: Range<u32>,
    pub(crate) kind: ExternKind,
    pub(crate) index: u32,
}

/// A constant expression, its `end` included; read by [`operators::read_const`]. Well-formed, not yet valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConstExpr {
    pub(crate) range: Range<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) offset: u32,
    pub(crate) mode: Mode,
    pub(crate) ty: RefType,
    pub(crate) items: Items,
}

/// What becomes of an element segment at instantiation.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    Active { table: u32, offset: ConstExpr },
    Passive,
    Declared,
}

/// The items of an element segment: their bytes without the count, and the count; walk them with
/// [`operators::items`].
#[derive(Clone, Debug)]
pub(crate) enum Items {
    Funcs(Range<u32>, u32),
    Exprs(Range<u32>, u32),
}

impl Items {
    pub(crate) fn len(&self) -> u32 {
        match self {
            Items::Funcs(_, count) | Items::Exprs(_, count) => *count,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) offset: u32,
    pub(crate) mode: DataMode,
    pub(crate) range: Range<u32>,
}

/// What becomes of a data segment at instantiation.
#[derive(Clone, Debug)]
pub(crate) enum DataMode {
    Active { memory: u32, offset: ConstExpr },
    Passive,
}

/// Export name → place in `exports`: four bytes an export, the names themselves stay in `bytes`.
#[derive(Default)]
pub(crate) struct ExportNames {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    /// The first export whose name an earlier one has.
    duplicate: Option<u32>,
}

impl ExportNames {
    fn new(bytes: &[u8], exports: &[Export]) -> ExportNames {
        let hasher = DefaultHashBuilder::default();
        let name = |i: u32| slice(bytes, &exports[i as usize].name);
        let mut table = HashTable::with_capacity(exports.len());
        let mut duplicate = None;
        for i in 0..exports.len() as u32 {
            let hash = hasher.hash_one(name(i));
            if table.find(hash, |&j| name(j) == name(i)).is_some() {
                duplicate = duplicate.or(Some(i));
            } else {
                table.insert_unique(hash, i, |&j| hasher.hash_one(name(j)));
            }
        }
        ExportNames { hasher, table, duplicate }
    }
}

/// Where a part of `bytes` lies in them.
fn range_of(bytes: &[u8], part: &[u8]) -> Range<u32> {
    let start = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    debug_assert!(start <= bytes.len() && part.len() <= bytes.len() - start);
    start as u32..(start + part.len()) as u32
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &bytes[range.start as usize..range.end as usize]
}

impl Description {
    /// The bytes of a range of this description.
    pub(crate) fn slice(&self, range: &Range<u32>) -> &[u8] {
        slice(&self.bytes, range)
    }

    fn range_of(&self, part: &str) -> Range<u32> {
        range_of(&self.bytes, part.as_bytes())
    }

    /// A name whose UTF-8 was checked when it was decoded.
    pub(crate) fn text(&self, range: &Range<u32>) -> &str {
        core::str::from_utf8(self.slice(range)).unwrap_or_default()
    }

    /// The two names of import `i`: module, field.
    pub(crate) fn import_name(&self, i: usize) -> (&str, &str) {
        let import = &self.imports[i];
        (self.text(&import.module), self.text(&import.name))
    }

    /// The name of export `i`.
    pub(crate) fn export_name(&self, i: usize) -> &str {
        self.text(&self.exports[i].name)
    }

    /// The export of this name. With duplicates, which `validate` refuses, the first.
    pub(crate) fn export(&self, name: &str) -> Option<&Export> {
        let names = &self.export_names;
        let hash = names.hasher.hash_one(name.as_bytes());
        let found = names.table.find(hash, |&i| self.slice(&self.exports[i as usize].name) == name.as_bytes())?;
        Some(&self.exports[*found as usize])
    }

    /// The first export whose name an earlier export has.
    pub(crate) fn duplicate_export(&self) -> Option<&Export> {
        self.export_names.duplicate.map(|i| &self.exports[i as usize])
    }

    /// The function type at a type index; `None` if the index is unknown or the type is no function type.
    pub(crate) fn func_type(&self, type_index: u32) -> Option<&FuncType> {
        self.func_types.get(type_index as usize)?.as_ref()
    }

    /// The type of a function; `None` where [`Self::func_type`] says so, or if the function is unknown.
    pub(crate) fn type_of_func(&self, function: u32) -> Option<&FuncType> {
        self.func_type(*self.funcs.get(function as usize)?)
    }

    /// The body of a function of the function index space; `None` for an import or an unknown function.
    pub(crate) fn body(&self, function: u32) -> Option<&Range<u32>> {
        self.bodies.get(function.checked_sub(self.imported_funcs)? as usize)
    }

    /// The function's name by the name section; never trusted, never more than a help to the reader.
    pub(crate) fn func_name(&self, function: u32) -> Option<&str> {
        let range = self.names.func(self, function)?;
        core::str::from_utf8(self.slice(&range)).ok()
    }

    /// The module's name by the name section.
    pub(crate) fn module_name(&self) -> Option<&str> {
        let range = self.names.module(self)?;
        core::str::from_utf8(self.slice(&range)).ok()
    }

    /// The recorded custom sections, in their order: name, contents.
    pub(crate) fn custom_sections(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.custom.iter().map(|(name, data)| (self.text(name), self.slice(data)))
    }

    /// A place for an error, with the function's name looked up.
    #[cold]
    pub(crate) fn place(&self, offset: usize, function: Option<u32>, operator: Option<&'static str>) -> Place {
        let name = function.and_then(|f| self.func_name(f)).map(String::from);
        Place { offset, function, name, operator }
    }
}

#[cfg(test)]
mod tests;
