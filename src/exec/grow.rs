//! Growth: of stacks, memories and tables. Everything here is charged before it is allocated, and may be refused.
//!
//! Idea: fresh memory comes zeroed from the system, which does not touch it; what grows a little is reallocated, with room
//! to spare, so that growing step by step copies less than twice the final size.
//!
//! Invariant: what could not grow is as it was, and the budget too.

use alloc::alloc::{Layout, alloc_zeroed};
use alloc::vec::Vec;

use jitless_machine::trap::Trap;

use crate::budget::{Budget, Resource};
use crate::config::{GROW_MOVES, JUNK};
use crate::error::{Error, Result};
use crate::runtime::{Bounds, Memory, SLOT, Stack, StoreInner, Table};
use crate::types::{MemoryType, TableType};

/// Types of which zero bytes are a value.
///
/// # Safety
/// They are.
unsafe trait Zero: Copy {}

// SAFETY: any bytes are a number.
unsafe impl Zero for u8 {}
// SAFETY: as above.
unsafe impl Zero for u64 {}

/// `len` zeros, which take no memory before they are touched where the system can do that; `None` if it refuses.
fn zeros<X: Zero>(len: usize) -> Option<Vec<X>> {
    let layout = Layout::array::<X>(len).ok()?;
    if layout.size() == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout has a size.
    let block = unsafe { alloc_zeroed(layout) };
    if block.is_null() {
        return None;
    }
    // SAFETY: the block came from the global allocator with just this layout, and holds `len` zeros, which are values.
    Some(unsafe { Vec::from_raw_parts(block.cast(), len, len) })
}

/// `len` copies of a value.
fn copies(value: u64, len: usize) -> Option<Vec<u64>> {
    let mut slots = zeros(len)?;
    if value != 0 {
        slots.fill(value);
    }
    Some(slots)
}

/// Appends copies of `value` up to `len` items, of which there will never be more than `most`; `false` if that cannot be.
fn extend<X: Zero>(items: &mut Vec<X>, len: usize, most: usize, value: X, zero: bool) -> bool {
    debug_assert!(items.len() <= len && len <= most);
    let (old, full) = (items.len(), items.capacity());
    if GROW_MOVES || len > full && zero && len / 2 >= old {
        // More is new than old: fresh zeros cost less than clearing would.
        let Some(mut fresh) = zeros::<X>(len) else { return false };
        fresh[..old].copy_from_slice(items);
        if !zero {
            fresh[old..].fill(value);
        }
        // Whoever still looks at the old place shall notice.
        if GROW_MOVES {
            items.fill(value);
        }
        *items = fresh;
        return true;
    }
    let spacious = len.max(full.saturating_mul(2)).min(most);
    if len > full && items.try_reserve_exact(spacious - old).is_err() && items.try_reserve_exact(len - old).is_err() {
        return false;
    }
    items.resize(len, value);
    true
}

/// The system refuses.
#[cold]
fn refused(what: &'static str, old: u64, wanted: u64) -> Error {
    Error::budget(what, old, wanted)
}

/// Makes room for `needed` slots of frames. The frames at `tops`, and those that called them, are moved along.
pub(super) fn widen(
    stack: &mut Stack,
    needed: usize,
    bounds: Bounds,
    budget: &mut Budget,
    tops: impl Iterator<Item = usize>,
) -> Result<()> {
    if needed <= stack.usable() {
        return Ok(());
    }
    let usable = bounds.grown(stack.usable(), needed).ok_or(Trap::StackOverflow)?;
    let len = usable.saturating_add(bounds.red_zone);
    let bytes = (len as u64).saturating_mul(SLOT as u64);
    budget.charge(bytes, "a stack")?;
    let Some(mut slots) = zeros(len) else {
        budget.release(bytes);
        return Err(refused("a stack", stack.slots().len() as u64 * SLOT as u64, bytes));
    };
    if let Some(junk) = JUNK {
        slots.fill(junk);
    }
    let mut old = stack.move_to(slots, bounds, tops);
    budget.release(old.len() as u64 * SLOT as u64);
    if let Some(junk) = JUNK {
        old.fill(junk);
    }
    Ok(())
}

// Stacks.
impl StoreInner {
    /// Makes room for `needed` slots on the stack of the innermost call, of which the frame at `top` is the innermost.
    /// Whoever has frame pointers gets them anew.
    #[cold]
    pub(super) fn widen_stack(&mut self, needed: usize, top: usize) -> Result<()> {
        // Outwards, as far as calls share the stack; a call's first frame is no caller's, and 0 no frame.
        let mut shared = true;
        let outer = self.entries.iter().rev().map_while(|entry| {
            let outer = shared.then_some(if entry.own_stack { 0 } else { entry.outer_frame });
            shared &= !entry.own_stack;
            outer
        });
        let tops = core::iter::once(top).chain(outer).filter(|&place| place != 0);
        widen(&mut self.stack, needed, self.bounds, &mut self.budget, tops)?;
        self.stack_moved();
        Ok(())
    }

    /// Another stack is that of the innermost call, or it lies elsewhere.
    #[inline]
    pub(super) fn stack_moved(&mut self) {
        // Where frames are counted every call leaves the machine.
        self.ctx.limit = if self.counts_frames() { 0 } else { self.stack.limit() };
    }

    /// The innermost call has a stack of its own.
    pub(super) fn push_stack(&mut self, stack: Stack) {
        let outer = core::mem::replace(&mut self.stack, stack);
        self.outer_count += outer.count();
        self.outer_stacks.push(outer);
        self.stack_moved();
    }

    /// The innermost call had a stack of its own, and is over.
    pub(super) fn pop_stack(&mut self) {
        let outer = self.outer_stacks.pop().unwrap_or_default();
        self.outer_count -= outer.count();
        let stack = core::mem::replace(&mut self.stack, outer);
        self.keep_spare(stack);
        self.stack_moved();
    }

    /// Keeps a stack for the next call that needs one, if there is none yet.
    pub(super) fn keep_spare(&mut self, mut stack: Stack) {
        stack.leave(0, 0);
        if let Some(extra) = self.spare.replace(stack) {
            self.budget.release(extra.charge());
        }
    }
}

/// Why something did not grow.
pub(super) enum Refusal {
    /// It may not be larger by its own type.
    Maximum,
    /// A limit of the store, or the system.
    Error(Error),
}

impl Refusal {
    /// For the embedder.
    fn into_error(self, what: &str) -> Error {
        match self {
            Self::Maximum => Error::argument(alloc::format!("{what} cannot grow beyond its maximum")),
            Self::Error(error) => error,
        }
    }
}

// Memories and tables.
impl StoreInner {
    /// A memory of no instance.
    pub(crate) fn add_memory(&mut self, ty: MemoryType) -> Result<u32> {
        let bytes = size_in_bytes(&ty)?;
        self.budget.check(Resource::Memory, bytes)?;
        self.budget.add(Resource::Memories, 1)?;
        match make_memory(ty, &mut self.budget) {
            Ok(memory) => Ok(self.push_memory(memory)),
            Err(error) => {
                self.budget.sub(Resource::Memories, 1);
                Err(error)
            }
        }
    }

    /// A table of no instance, its elements all `init`.
    pub(crate) fn add_table(&mut self, ty: TableType, init: u64) -> Result<u32> {
        self.budget.check(Resource::TableElements, ty.limits.min)?;
        self.budget.add(Resource::Tables, 1)?;
        match make_table(ty, init, &mut self.budget) {
            Ok(table) => Ok(self.push_table(table)),
            Err(error) => {
                self.budget.sub(Resource::Tables, 1);
                Err(error)
            }
        }
    }

    /// How large a memory would be in bytes, if it may be so large. No one has been asked.
    pub(super) fn memory_would_be(&self, memory: u32, delta: u64) -> Result<u64, Refusal> {
        let memory = self.memory(memory);
        let pages = memory.pages().saturating_add(delta);
        if pages > memory.max_pages() {
            return Err(Refusal::Maximum);
        }
        let (old, new) = (memory.bytes().len() as u64, pages.saturating_mul(memory.ty.page_size()));
        self.budget.check(Resource::Memory, new).map_err(Refusal::Error)?;
        self.budget.check_left(new - old, "a memory").map_err(Refusal::Error)?;
        Ok(new)
    }

    /// The same for a table, in elements.
    pub(super) fn table_would_be(&self, table: u32, delta: u64) -> Result<u64, Refusal> {
        let table = self.table(table);
        let new = table.len().saturating_add(delta);
        if new > table.max_len() {
            return Err(Refusal::Maximum);
        }
        self.budget.check(Resource::TableElements, new).map_err(Refusal::Error)?;
        self.budget.check_left(delta.saturating_mul(SLOT as u64), "a table").map_err(Refusal::Error)?;
        Ok(new)
    }

    /// Grows a memory to a size in bytes that was found possible.
    pub(super) fn grow_memory_to(&mut self, memory: u32, bytes: u64) -> Result<()> {
        let (memory, budget) = self.memory_and_budget(memory);
        let old = memory.bytes().len() as u64;
        let most = memory.max_pages().saturating_mul(memory.ty.page_size());
        let what = "a memory";
        budget.charge(bytes - old, what)?;
        // Room to spare is not charged, but it is never more than could be.
        let most = most.min(bytes.saturating_add(budget.left()));
        let grown = match (usize::try_from(bytes), usize::try_from(most)) {
            (Ok(len), most) => memory.change(|items| extend(items, len, most.unwrap_or(usize::MAX), 0, true)),
            _ => false,
        };
        if !grown {
            budget.release(bytes - old);
            return Err(refused(what, old, bytes));
        }
        Ok(())
    }

    /// Grows a table to a number of elements that was found possible; the new ones are `init`.
    pub(super) fn grow_table_to(&mut self, table: u32, len: u64, init: u64) -> Result<()> {
        let (table, budget) = self.table_and_budget(table);
        let (old, most) = (table.len(), table.max_len());
        let (what, more) = ("a table", (len - table.len()).saturating_mul(SLOT as u64));
        budget.charge(more, what)?;
        // As for memories.
        let most = most.min(len.saturating_add(budget.left() / SLOT as u64));
        let grown = match (usize::try_from(len), usize::try_from(most)) {
            (Ok(len), most) => table.change(|items| extend(items, len, most.unwrap_or(usize::MAX), init, init == 0)),
            _ => false,
        };
        if !grown {
            budget.release(more);
            return Err(refused(what, old.saturating_mul(SLOT as u64), len.saturating_mul(SLOT as u64)));
        }
        Ok(())
    }

    /// Grows a memory for the embedder by `delta` pages; how many it had.
    pub(crate) fn grow_memory(&mut self, memory: u32, delta: u64) -> Result<u64> {
        let bytes = self.memory_would_be(memory, delta).map_err(|refusal| refusal.into_error("the memory"))?;
        let old = self.memory(memory).pages();
        self.grow_memory_to(memory, bytes)?;
        Ok(old)
    }

    /// Grows a table for the embedder by `delta` elements that are `init`; how many it had.
    pub(crate) fn grow_table(&mut self, table: u32, delta: u64, init: u64) -> Result<u64> {
        let len = self.table_would_be(table, delta).map_err(|refusal| refusal.into_error("the table"))?;
        let old = self.table(table).len();
        self.grow_table_to(table, len, init)?;
        Ok(old)
    }
}

/// The size of a new memory, if there can be such.
pub(super) fn size_in_bytes(ty: &MemoryType) -> Result<u64> {
    if ty.limits.min > ty.reachable_pages() {
        return Err(Error::limit("memory pages", ty.reachable_pages(), ty.limits.min, None));
    }
    Ok(ty.limits.min.saturating_mul(ty.page_size()))
}

/// Makes a memory; what it takes is charged.
pub(super) fn make_memory(ty: MemoryType, budget: &mut Budget) -> Result<Memory> {
    let bytes = size_in_bytes(&ty)?;
    let what = "a memory";
    let charge = bytes.saturating_add(Memory::OVERHEAD);
    budget.charge(charge, what)?;
    match usize::try_from(bytes).ok().and_then(zeros) {
        Some(block) => Ok(Memory::new(ty, block)),
        None => {
            budget.release(charge);
            Err(refused(what, 0, bytes))
        }
    }
}

/// Makes a table whose elements are all `init`; what it takes is charged.
pub(super) fn make_table(ty: TableType, init: u64, budget: &mut Budget) -> Result<Table> {
    let bytes = ty.limits.min.saturating_mul(SLOT as u64);
    let what = "a table";
    let charge = bytes.saturating_add(Table::OVERHEAD);
    budget.charge(charge, what)?;
    match usize::try_from(ty.limits.min).ok().and_then(|len| copies(init, len)) {
        Some(elements) => Ok(Table::new(ty, elements)),
        None => {
            budget.release(charge);
            Err(refused(what, 0, bytes))
        }
    }
}
