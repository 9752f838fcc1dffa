//! Operations that the machine leaves to the run loop: growth, and whatever goes over many bytes or elements at once.
//!
//! Operands lie in consecutive slots, the result takes the place of the first. Bulk operations cost fuel by size besides
//! the price of the instruction, a unit for 64 bytes or 8 elements, rounded down: after the bounds are checked, before
//! anything changes.
//!
//! Invariant: an operation happens as a whole or not at all, so one that waits for fuel or an answer is tried again from
//! the start.

use core::ops::Range;

use jitless_machine::dispatch::Exit;
use jitless_machine::trap::Trap;

use super::grow::Refusal;
use super::{Outcome, Step};
use crate::code::SlowOp;
use crate::error::TrapDetail;
use crate::runtime::{SLOT, StoreInner};

/// Bytes and elements that cost a unit of fuel.
const BYTES_PER_FUEL: u64 = 64;
const ELEMENTS_PER_FUEL: u64 = 8;

/// What `memory.grow` and `table.grow` return if they cannot.
const FAILED: u64 = u32::MAX as u64;

/// The range of `len` items from `start` on, if there are so many among `of`.
pub(super) fn range(start: u64, len: u64, of: usize) -> Option<Range<usize>> {
    let end = start.checked_add(len).filter(|&end| end <= of as u64)?;
    Some(start as usize..end as usize)
}

/// An operation at hand: indices of objects, and the place of its operands.
#[derive(Clone, Copy)]
struct Op {
    name: &'static str,
    a: u32,
    b: u32,
    operands: usize,
}

impl StoreInner {
    /// Carries out the operation whose words begin at `ctx.ip`, and goes on behind it.
    pub(super) fn slow(&mut self) -> Step {
        let [op, a, b, offset] = [0, 1, 2, 3].map(|i| self.word(i));
        let op = SlowOp::of(op);
        let operands = self.place().wrapping_add_signed(offset as i32 as isize / SLOT as isize);
        let at = |name| Op { name, a, b, operands };
        match op {
            SlowOp::MemorySize => {
                let pages = self.memory(self.memory_of(a)).pages();
                self.set_result(at("memory.size"), pages);
            }
            SlowOp::MemoryGrow => self.memory_grow(at("memory.grow"))?,
            SlowOp::MemoryCopy => self.memory_copy(at("memory.copy"))?,
            SlowOp::MemoryFill => self.memory_fill(at("memory.fill"))?,
            SlowOp::MemoryInit => self.memory_init(at("memory.init"))?,
            SlowOp::DataDrop => self.numbered_mut(self.current).dropped[a as usize] = true,
            SlowOp::TableGet => self.table_get(at("table.get"))?,
            SlowOp::TableSet => self.table_set(at("table.set"))?,
            SlowOp::TableGrow => self.table_grow(at("table.grow"))?,
            SlowOp::TableSize => {
                let len = self.table(self.table_of(a)).len();
                self.set_result(at("table.size"), len);
            }
            SlowOp::TableFill => self.table_fill(at("table.fill"))?,
            SlowOp::TableCopy => self.table_copy(at("table.copy"))?,
            SlowOp::TableInit => self.table_init(at("table.init"))?,
            SlowOp::ElemDrop => self.drop_elements(a),
        }
        // SAFETY: contract 6: an operation has four words, and the next tile is behind them.
        self.ctx.ip = unsafe { self.ctx.ip.add(4) };
        Ok(())
    }

    /// The memory with an index in the current instance.
    fn memory_of(&self, index: u32) -> u32 {
        self.numbered(self.current).memories[index as usize]
    }

    /// The table with an index in the current instance.
    fn table_of(&self, index: u32) -> u32 {
        self.numbered(self.current).tables[index as usize]
    }

    /// Operands of 32 bits.
    fn operands<const N: usize>(&self, op: Op) -> [u64; N] {
        core::array::from_fn(|i| u64::from(self.stack.slots()[op.operands + i] as u32))
    }

    /// Operand `i`, all of it.
    fn operand(&self, op: Op, i: usize) -> u64 {
        self.stack.slots()[op.operands + i]
    }

    fn set_result(&mut self, op: Op, result: u64) {
        self.stack.slots_mut()[op.operands] = result;
    }

    /// Pays for so much.
    fn pay_slow(&mut self, price: u64) -> Step {
        self.pay(price).map_err(|pause| self.wait(Exit::Slow, Outcome::Paused(pause)))
    }

    #[cold]
    fn trap_slow(&mut self, trap: Trap, detail: TrapDetail) -> Outcome {
        self.trap_at(Exit::Slow, trap, detail)
    }

    /// The trap of an access to bytes of a memory that are not there.
    #[cold]
    fn outside_memory(&mut self, op: Op, index: u32, base: u64, size: u64) -> Outcome {
        let len = self.memory(self.memory_of(index)).bytes().len() as u64;
        let detail = TrapDetail::Memory { operator: op.name, size, base, offset: 0, memory: index, len };
        self.trap_slow(Trap::MemoryOutOfBounds, detail)
    }

    /// The trap of an access to elements of a table that are not there.
    #[cold]
    fn outside_table(&mut self, op: Op, table: u32, index: u64, size: u64) -> Outcome {
        let len = self.table(self.table_of(table)).len();
        let detail = TrapDetail::Table { operator: op.name, size, index, table, len };
        self.trap_slow(Trap::TableOutOfBounds, detail)
    }

    // ---- memories

    fn memory_grow(&mut self, op: Op) -> Step {
        let ([delta], memory) = (self.operands(op), self.memory_of(op.a));
        let old = self.memory(memory).pages();
        let current = self.memory(memory).bytes().len() as u64;
        let page = self.memory(memory).ty.page_size();
        let maximum = self.memory(memory).ty.limits.max.map(|max| max.saturating_mul(page));
        let bytes = match self.memory_would_be(memory, delta) {
            Ok(bytes) => bytes,
            Err(refusal) => return self.cannot_grow(op, refusal),
        };
        if !self.ask(false, current, bytes, maximum)? {
            self.set_result(op, FAILED);
            return Ok(());
        }
        match self.grow_memory_to(memory, bytes) {
            Ok(()) => self.set_result(op, old),
            Err(error) => return self.growth_failed(op, false, error),
        }
        Ok(())
    }

    /// May it grow? Whoever is to be asked says so, the embedder by an answer that was given before.
    fn ask(&mut self, table: bool, current: u64, desired: u64, maximum: Option<u64>) -> Result<bool, Outcome> {
        match self.allowed.take() {
            Some(allowed) => Ok(allowed),
            None if self.limited => Err(self.wait(Exit::Slow, Outcome::Ask { table, current, desired, maximum })),
            None => Ok(true),
        }
    }

    /// A growth that is impossible from the start.
    fn cannot_grow(&mut self, op: Op, refusal: Refusal) -> Step {
        // An answer is for a growth that was possible then.
        self.allowed = None;
        match refusal {
            Refusal::Error(error) if self.budget.trap_on_grow_failure() => Err(self.fail_at(Exit::Slow, error)),
            _ => {
                self.set_result(op, FAILED);
                Ok(())
            }
        }
    }

    /// A growth that was allowed, and then was not possible.
    #[cold]
    fn growth_failed(&mut self, op: Op, table: bool, error: crate::error::Error) -> Step {
        if self.limited {
            // To go on is to try again, with this answer.
            self.allowed = Some(false);
            return Err(self.wait(Exit::Slow, Outcome::GrowFailed { table, error }));
        }
        self.cannot_grow(op, Refusal::Error(error))
    }

    fn memory_copy(&mut self, op: Op) -> Step {
        let [to, from, len] = self.operands(op);
        let (target, source) = (self.memory_of(op.a), self.memory_of(op.b));
        let Some(reads) = range(from, len, self.memory(source).bytes().len()) else {
            return Err(self.outside_memory(op, op.b, from, len));
        };
        let Some(writes) = range(to, len, self.memory(target).bytes().len()) else {
            return Err(self.outside_memory(op, op.a, to, len));
        };
        self.pay_slow(len / BYTES_PER_FUEL)?;
        match self.two_memories(target, source) {
            Some((target, source)) => target.bytes_mut()[writes].copy_from_slice(&source.bytes()[reads]),
            None => self.memory_mut(target).bytes_mut().copy_within(reads, writes.start),
        }
        Ok(())
    }

    fn memory_fill(&mut self, op: Op) -> Step {
        let [to, value, len] = self.operands(op);
        let memory = self.memory_of(op.a);
        let Some(writes) = range(to, len, self.memory(memory).bytes().len()) else {
            return Err(self.outside_memory(op, op.a, to, len));
        };
        self.pay_slow(len / BYTES_PER_FUEL)?;
        self.memory_mut(memory).bytes_mut()[writes].fill(value as u8);
        Ok(())
    }

    fn memory_init(&mut self, op: Op) -> Step {
        let [to, from, len] = self.operands(op);
        let (segment, memory) = (op.a, self.memory_of(op.b));
        let Some(writes) = range(to, len, self.memory(memory).bytes().len()) else {
            return Err(self.outside_memory(op, op.b, to, len));
        };
        let instance = self.numbered(self.current);
        let bytes = &instance.module.desc.data[segment as usize].range;
        let size = if instance.dropped[segment as usize] { 0 } else { bytes.len() };
        let (Some(reads), first) = (range(from, len, size), bytes.start as usize) else {
            let detail = TrapDetail::Segment { operator: op.name, size: len, start: from, segment, len: size as u64 };
            return Err(self.trap_slow(Trap::MemoryOutOfBounds, detail));
        };
        self.pay_slow(len / BYTES_PER_FUEL)?;
        let (instance, memory) = self.instance_and_memory(self.current, memory);
        let bytes = &instance.module.desc.bytes[first..][reads];
        memory.bytes_mut()[writes].copy_from_slice(bytes);
        Ok(())
    }

    // ---- tables

    fn table_get(&mut self, op: Op) -> Step {
        let [index] = self.operands(op);
        match self.table(self.table_of(op.a)).get(index) {
            Some(element) => self.set_result(op, element),
            None => return Err(self.outside_table(op, op.a, index, 1)),
        }
        Ok(())
    }

    fn table_set(&mut self, op: Op) -> Step {
        let ([index], value) = (self.operands(op), self.operand(op, 1));
        let table = self.table_of(op.a);
        match self.table_mut(table).elements_mut().get_mut(index as usize) {
            Some(element) => *element = value,
            None => return Err(self.outside_table(op, op.a, index, 1)),
        }
        Ok(())
    }

    fn table_grow(&mut self, op: Op) -> Step {
        let (init, [_, delta], table) = (self.operand(op, 0), self.operands(op), self.table_of(op.a));
        let (old, maximum) = (self.table(table).len(), self.table(table).ty.limits.max);
        let len = match self.table_would_be(table, delta) {
            Ok(len) => len,
            Err(refusal) => return self.cannot_grow(op, refusal),
        };
        if !self.ask(true, old, len, maximum)? {
            self.set_result(op, FAILED);
            return Ok(());
        }
        if let Err(pause) = self.pay_slow(delta / ELEMENTS_PER_FUEL) {
            self.allowed = self.limited.then_some(true);
            return Err(pause);
        }
        match self.grow_table_to(table, len, init) {
            Ok(()) => self.set_result(op, old),
            Err(error) => return self.growth_failed(op, true, error),
        }
        Ok(())
    }

    fn table_fill(&mut self, op: Op) -> Step {
        let ([to, _, len], value) = (self.operands(op), self.operand(op, 1));
        let table = self.table_of(op.a);
        let Some(writes) = range(to, len, self.table(table).elements().len()) else {
            return Err(self.outside_table(op, op.a, to, len));
        };
        self.pay_slow(len / ELEMENTS_PER_FUEL)?;
        self.table_mut(table).elements_mut()[writes].fill(value);
        Ok(())
    }

    fn table_copy(&mut self, op: Op) -> Step {
        let [to, from, len] = self.operands(op);
        let (target, source) = (self.table_of(op.a), self.table_of(op.b));
        let Some(reads) = range(from, len, self.table(source).elements().len()) else {
            return Err(self.outside_table(op, op.b, from, len));
        };
        let Some(writes) = range(to, len, self.table(target).elements().len()) else {
            return Err(self.outside_table(op, op.a, to, len));
        };
        self.pay_slow(len / ELEMENTS_PER_FUEL)?;
        match self.two_tables(target, source) {
            Some((target, source)) => target.elements_mut()[writes].copy_from_slice(&source.elements()[reads]),
            None => self.table_mut(target).elements_mut().copy_within(reads, writes.start),
        }
        Ok(())
    }

    fn table_init(&mut self, op: Op) -> Step {
        let [to, from, len] = self.operands(op);
        let (segment, table) = (op.a, self.table_of(op.b));
        let Some(writes) = range(to, len, self.table(table).elements().len()) else {
            return Err(self.outside_table(op, op.b, to, len));
        };
        let size = self.numbered(self.current).elements[segment as usize].len();
        let Some(reads) = range(from, len, size) else {
            let detail = TrapDetail::Segment { operator: op.name, size: len, start: from, segment, len: size as u64 };
            return Err(self.trap_slow(Trap::TableOutOfBounds, detail));
        };
        self.pay_slow(len / ELEMENTS_PER_FUEL)?;
        let (instance, table) = self.instance_and_table(self.current, table);
        table.elements_mut()[writes].copy_from_slice(&instance.elements[segment as usize][reads]);
        Ok(())
    }

    fn drop_elements(&mut self, segment: u32) {
        let elements = core::mem::take(&mut self.numbered_mut(self.current).elements[segment as usize]);
        self.budget.release((elements.len() * SLOT) as u64);
    }
}
