//! Instances (§4.2.5): a module with its own objects and those it imports, laid out for the machine.
//!
//! Invariant: what the machine is given addresses of (cells, handles, views) never moves and lives as long as the store.
//! Index spaces are the module's: imports first.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;

use jitless_machine::dispatch::View;

use super::ExternId;
use crate::load::Loaded;
use crate::module::Export;
use crate::types::ExternKind;

/// An instance. No vector in it ever changes its length.
pub(crate) struct Instance {
    pub(crate) module: Arc<Loaded>,
    /// Handles, by function index.
    pub(crate) funcs: Vec<u32>,
    /// Places in the store, by table index.
    pub(crate) tables: Vec<u32>,
    pub(crate) table_views: Vec<*const View>,
    /// Places in the store, by memory index.
    pub(crate) memories: Vec<u32>,
    pub(crate) memory_views: Vec<*const View>,
    /// A cell for each global; that of an imported global is a copy, and of no use if the global is mutable.
    pub(crate) cells: Vec<Cell<u64>>,
    /// Addresses of the cells of imported globals.
    pub(crate) far_globals: Vec<*mut u8>,
    /// Numbers of the imported globals.
    pub(crate) imported_globals: Vec<u32>,
    /// Number of global 0, if the module defined it.
    pub(crate) first_global: u32,
    /// Which data segments were dropped.
    pub(crate) dropped: Vec<bool>,
    /// What the element segments that were not dropped hold.
    pub(crate) elements: Vec<Segment>,
}

/// The elements of a segment; none if it was dropped.
pub(crate) type Segment = Vec<u64>;

impl Instance {
    /// The thing that an export of this instance's module is.
    pub(crate) fn export(&self, export: &Export) -> ExternId {
        let index = export.index as usize;
        match export.kind {
            ExternKind::Func => ExternId::Func(self.funcs[index]),
            ExternKind::Table => ExternId::Table(self.tables[index]),
            ExternKind::Memory => ExternId::Memory(self.memories[index]),
            ExternKind::Global => ExternId::Global(match self.imported_globals.get(index) {
                Some(&global) => global,
                None => self.first_global + export.index,
            }),
            ExternKind::Tag => ExternId::Tag(export.index),
        }
    }
}
