//! Globals (§4.2.10): cells that the machine reads and writes.
//!
//! Idea: a module may define a million globals, so one takes its cell and nothing else. An instance's globals have
//! consecutive numbers in the store, and whose a number is, is looked up.
//!
//! Invariant: a cell never moves. A cell of an imported global that is not mutable holds a copy of the original's value;
//! one that is mutable is found through the original's address.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;

use super::StoreInner;
use crate::types::{GlobalType, ValType};

/// A global of the host.
pub(crate) struct HostGlobal {
    pub(crate) ty: GlobalType,
    pub(crate) cell: Box<[Cell<u64>; 2]>,
}

/// Whose globals are from a number on.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    owner: Owner,
}

/// Whose a global is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// One of the host, by its place among them.
    Host(u32),
    /// An instance, by its place in the store.
    Instance(u32),
}

/// The numbers of globals.
#[derive(Default)]
pub(crate) struct Numbers {
    runs: Vec<Run>,
    next: u32,
}

impl Numbers {
    /// Numbers for `count` more, if there are so many; the first of them.
    pub(super) fn more(&mut self, owner: Owner, count: u32) -> Option<u32> {
        let first = self.next;
        self.next = first.checked_add(count)?;
        if count != 0 {
            self.runs.push(Run { first, owner });
        }
        Some(first)
    }

    /// The first number of `count` more, if there are so many.
    pub(super) fn next(&self, count: u32) -> Option<u32> {
        self.next.checked_add(count).map(|_| self.next)
    }

    fn find(&self, global: u32) -> (Owner, u32) {
        debug_assert!(global < self.next);
        let run = self.runs[self.runs.partition_point(|run| run.first <= global) - 1];
        (run.owner, global - run.first)
    }
}

impl StoreInner {
    /// The type of a global.
    pub(crate) fn global_type(&self, global: u32) -> GlobalType {
        match self.numbers.find(global) {
            (Owner::Host(host), _) => self.host_globals[host as usize].ty,
            (Owner::Instance(instance), index) => {
                self.instances[instance as usize].module.desc.globals[index as usize].ty
            }
        }
    }

    /// The cells of a global: one, or two for a `v128`.
    pub(super) fn global_cell(&self, global: u32) -> &[Cell<u64>] {
        match self.numbers.find(global) {
            (Owner::Host(host), _) => &*self.host_globals[host as usize].cell,
            (Owner::Instance(instance), index) => &self.instances[instance as usize].cells[index as usize..][..1],
        }
    }

    /// The value of a global; numbers and references are in the first slot.
    pub(crate) fn global_get(&self, global: u32) -> [u64; 2] {
        let cells = self.global_cell(global);
        [cells[0].get(), cells.get(1).map_or(0, Cell::get)]
    }

    /// Sets a global, whose type the value has.
    pub(crate) fn global_set(&mut self, global: u32, [low, high]: [u64; 2]) {
        let wide = self.global_type(global).content == ValType::V128;
        let cells = self.global_cell(global);
        cells[0].set(low);
        if let (true, Some(cell)) = (wide, cells.get(1)) {
            cell.set(high);
        }
    }
}
