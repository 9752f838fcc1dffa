//! Tables (§4.2.7): handles of references, and what the machine sees of them.
//!
//! Invariant: every element is null or a handle of the store that is of the table's type; the view says where they lie.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;

use jitless_machine::dispatch::View;

use crate::types::{HeapType, RefType, TableType};

/// A table.
pub(crate) struct Table {
    pub(crate) ty: TableType,
    elements: Vec<u64>,
    view: Box<Cell<View>>,
}

impl Table {
    /// What one takes besides its elements.
    pub(crate) const OVERHEAD: u64 = (size_of::<Self>() + size_of::<View>()) as u64;

    /// There are not more elements than the type allows.
    pub(crate) fn new(ty: TableType, elements: Vec<u64>) -> Self {
        let mut table = Self { ty, elements, view: Box::new(Cell::new(super::memory::nowhere())) };
        table.look();
        table
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> u64 {
        self.elements.len() as u64
    }

    /// The most elements that it can ever have.
    pub(crate) fn max_len(&self) -> u64 {
        self.ty.limits.max.unwrap_or(u64::MAX).min(if self.ty.table64 { u64::MAX } else { u32::MAX.into() })
    }

    pub(crate) fn get(&self, index: u64) -> Option<u64> {
        self.elements.get(usize::try_from(index).ok()?).copied()
    }

    pub(crate) fn elements(&self) -> &[u64] {
        &self.elements
    }

    pub(crate) fn elements_mut(&mut self) -> &mut [u64] {
        &mut self.elements
    }

    /// Changes the elements as a whole; they may be elsewhere afterwards.
    pub(crate) fn change<R>(&mut self, change: impl FnOnce(&mut Vec<u64>) -> R) -> R {
        let result = change(&mut self.elements);
        self.look();
        result
    }

    /// What the machine sees: at the same address as long as the store lives.
    pub(crate) fn view(&self) -> *const View {
        self.view.as_ptr()
    }

    fn look(&mut self) {
        self.view.set(View { base: self.elements.as_mut_ptr().cast(), len: self.elements.len() as u64 });
    }
}

/// Are references of this type handles of host values?
pub(crate) fn holds_externs(ty: RefType) -> bool {
    matches!(ty.heap, HeapType::Extern)
}
