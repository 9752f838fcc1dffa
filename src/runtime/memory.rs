//! Linear memories (§4.2.8): bytes, and what the machine sees of them.
//!
//! Invariant: the view says where the bytes lie and how many there are, whenever the machine can look at it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;

use jitless_machine::dispatch::View;

use crate::types::MemoryType;

/// A linear memory.
pub(crate) struct Memory {
    pub(crate) ty: MemoryType,
    bytes: Vec<u8>,
    view: Box<Cell<View>>,
}

impl Memory {
    /// What one takes besides its bytes.
    pub(crate) const OVERHEAD: u64 = (size_of::<Self>() + size_of::<View>()) as u64;

    /// `bytes` are whole pages, and not more than the type allows.
    pub(crate) fn new(ty: MemoryType, bytes: Vec<u8>) -> Self {
        debug_assert_eq!(bytes.len() as u64 % ty.page_size(), 0);
        let mut memory = Self { ty, bytes, view: Box::new(Cell::new(nowhere())) };
        memory.look();
        memory
    }

    /// The size in pages.
    pub(crate) fn pages(&self) -> u64 {
        self.bytes.len() as u64 >> self.ty.page_size_log2
    }

    /// The most pages that it can ever have.
    pub(crate) fn max_pages(&self) -> u64 {
        self.ty.limits.max.unwrap_or(u64::MAX).min(self.ty.reachable_pages())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Changes the bytes as a whole; they may be elsewhere afterwards.
    pub(crate) fn change<R>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let result = change(&mut self.bytes);
        self.look();
        result
    }

    /// What the machine sees: at the same address as long as the store lives.
    pub(crate) fn view(&self) -> *const View {
        self.view.as_ptr()
    }

    fn look(&mut self) {
        self.view.set(View { base: self.bytes.as_mut_ptr(), len: self.bytes.len() as u64 });
    }
}

/// The view of a memory that is not there.
pub(crate) const fn nowhere() -> View {
    View { base: core::ptr::dangling_mut(), len: 0 }
}
