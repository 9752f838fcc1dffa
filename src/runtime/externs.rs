//! Values of the host that guests hold handles of, and the collection of those that nobody holds any more.
//!
//! Idea: mark and sweep. Tables and globals of reference types are looked at exactly; of stacks every slot counts that
//! looks like a handle, so at worst a value lives longer than it need.
//!
//! Invariant: a handle that lies in a table, a global, a segment or a stack is alive. One that lies nowhere yet is alive
//! until the next [`StoreInner::externs_make_room`]; so whoever makes several and then stores them asks for room first.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::StoreInner;
use super::table::holds_externs;
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::types::ValType;

/// A value of the host.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// Values by handle: the first one's is 1.
#[derive(Default)]
pub(crate) struct Externs {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// How many there may be before it is worth looking for some to drop.
    due: usize,
}

#[derive(Default)]
struct Entry {
    value: Option<Value>,
    marked: bool,
}

/// So many values are not worth looking at.
const FEW: usize = if cfg!(jitless_hard) { 0 } else { 1000 };

/// What is charged for a value: its place, and something for what it owns, which is not known.
const CHARGE: u64 = 64;

impl Externs {
    fn live(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn insert(&mut self, value: Value, budget: &mut Budget) -> Result<u32> {
        budget.charge(CHARGE, "a value of the host")?;
        let entry = Entry { value: Some(value), marked: false };
        if let Some(place) = self.free.pop() {
            self.entries[place as usize] = entry;
            return Ok(place + 1);
        }
        // Room on the free list too, so that nothing is ever allocated to drop a value.
        let full = self.entries.len() >= u32::MAX as usize - 1;
        let places = self.entries.len() + 1 - self.free.len();
        if full || self.entries.try_reserve(1).is_err() || self.free.try_reserve(places).is_err() {
            budget.release(CHARGE);
            return Err(Error::budget("a value of the host", self.entries.len() as u64, places as u64));
        }
        self.entries.push(entry);
        Ok(self.entries.len() as u32)
    }

    fn get(&self, handle: u32) -> Option<&Value> {
        self.entries.get((handle as usize).checked_sub(1)?)?.value.as_ref()
    }

    /// Marks the value of a slot, if the slot looks like a handle.
    fn mark(&mut self, slot: u64) {
        if let Some(entry) = usize::try_from(slot).ok().and_then(|slot| self.entries.get_mut(slot.checked_sub(1)?)) {
            entry.marked = true;
        }
    }

    /// Drops what is not marked.
    fn sweep(&mut self, budget: &mut Budget) {
        for place in 0..self.entries.len() {
            let entry = &mut self.entries[place];
            if core::mem::take(&mut entry.marked) {
                continue;
            }
            if let Some(value) = entry.value.take() {
                self.free.push(place as u32);
                budget.release(CHARGE);
                // Last: it runs code of the host, which may panic.
                drop(value);
            }
        }
        self.due = FEW.max(2 * self.live());
    }
}

impl StoreInner {
    /// A handle for a value. It must come to lie somewhere before [`Self::externs_make_room`] is called again.
    pub(crate) fn extern_insert(&mut self, value: Value) -> Result<u32> {
        self.externs.insert(value, &mut self.budget)
    }

    /// The value that a handle stands for.
    pub(crate) fn extern_get(&self, handle: u32) -> Option<Value> {
        self.externs.get(handle).cloned()
    }

    /// Drops values that nobody holds, if there are so many more than last time that it is worth a look.
    #[inline]
    pub(crate) fn externs_make_room(&mut self) {
        if self.externs.live() > self.externs.due.max(FEW) {
            self.collect_externs();
        }
    }

    /// Drops values of the host that nobody holds.
    #[cold]
    pub(crate) fn collect_externs(&mut self) {
        self.sweep_parked();
        let externs = &mut self.externs;
        for table in self.tables.iter().filter(|table| holds_externs(table.ty.element)) {
            table.elements().iter().for_each(|&element| externs.mark(element));
        }
        for global in &self.host_globals {
            externs.mark(global.cell[0].get());
        }
        for instance in &self.instances {
            let desc = &instance.module.desc;
            for (global, cell) in desc.globals.iter().zip(&instance.cells) {
                if matches!(global.ty.content, ValType::Ref(ty) if holds_externs(ty)) {
                    externs.mark(cell.get());
                }
            }
            for (segment, elements) in desc.elements.iter().zip(&instance.elements) {
                if holds_externs(segment.ty) {
                    elements.iter().for_each(|&element| externs.mark(element));
                }
            }
        }
        let parked = self.parked.iter().map(|parked| &parked.stack);
        for stack in core::iter::once(&self.stack).chain(&self.outer_stacks).chain(parked) {
            stack.slots().iter().for_each(|&slot| externs.mark(slot));
        }
        externs.mark(self.ctx.ai);
        externs.mark(self.ctx.value);
        self.parked.iter().for_each(|parked| externs.mark(parked.registers.ai));
        externs.sweep(&mut self.budget);
    }
}
