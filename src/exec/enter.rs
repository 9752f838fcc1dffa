//! Calls from the host: in, out, and aside.
//!
//! Invariant: a call leaves everything as it was before it, registers of the machine, instance and stack, whether it
//! returned, failed or was put aside; and what it interrupted, if anything, is a host function that is called.

use jitless_machine::dispatch::Exit;

use super::grow::widen;
use crate::error::{Error, Result};
use crate::runtime::{Activation, Callee, Entry, Parked, Registers, StoreInner};
use jitless_machine::trap::Trap;

impl StoreInner {
    /// Begins a call, inside of the one that runs if there is one. As many slots as the function's parameters take.
    ///
    /// A call that is to be paused needs a stack of its own.
    pub(crate) fn enter(&mut self, func: u32, args: &[u64], own_stack: bool) -> Result<()> {
        debug_assert!(self.entries.is_empty() || self.pending == Some(Exit::CallImport));
        debug_assert_eq!(args.len(), self.func_type(func).param_slots() as usize);
        self.check_host_depth()?;
        if self.entries.is_empty() {
            self.check_deadline()?;
        }
        let halt = self.engine.stubs.halt();
        let (instance, area, code, frame) = match self.callee(func) {
            Callee::Host { area } => (0, area, halt, 0),
            Callee::Guest { instance, index } => {
                let rec = self.ready(func)?;
                let ty = self.numbered(instance).module.desc.type_of_func(index).expect("validated");
                (instance, ty.area(), rec.code, rec.frame)
            }
        };
        let outer_frame = if self.entries.is_empty() { 0 } else { self.place() };
        let entry = Entry {
            base: if own_stack { 0 } else { outer_frame },
            own_stack,
            crossings: if own_stack { 0 } else { self.stack.crossings().len() },
            counted: if own_stack { 0 } else { self.stack.count() },
            outer_frame,
            outer_called: self.called,
            outer_instance: self.current,
        };
        let place = entry.base + area as usize;
        let needed = place + frame as usize / crate::runtime::SLOT;
        if own_stack {
            let mut stack = self.spare.take().unwrap_or_default();
            let wide = widen(&mut stack, needed, self.bounds, &mut self.budget, core::iter::empty());
            if let Err(error) = wide {
                self.keep_spare(stack);
                return Err(error);
            }
            self.push_stack(stack);
        } else if needed > self.stack.usable() {
            self.widen_stack(needed, outer_frame)?;
        }

        let slots = self.stack.slots_mut();
        slots[entry.base..entry.base + args.len()].copy_from_slice(args);
        self.stack.link(place, halt, None);
        self.entries.push(entry);
        if self.entries.len() == 1 {
            self.call_begins();
        }
        self.ctx.ip = code;
        self.ctx.fp = self.stack.frame(place);
        if instance != self.current {
            self.switch(instance);
        }
        if instance == 0 {
            self.called = func;
            self.pending = Some(Exit::CallImport);
        } else {
            self.pending = None;
            if self.counts_frames()
                && let Err(error) = self.count_frame(place)
            {
                self.pop();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends a call that is done; as many slots as the function's results take.
    pub(crate) fn finish(&mut self, results: &mut [u64]) {
        debug_assert_eq!(self.pending, Some(Exit::Halt));
        let base = self.entries.last().map_or(0, |entry| entry.base);
        if let Some(slots) = self.stack.slots().get(base..base + results.len()) {
            results.copy_from_slice(slots);
        }
        self.pop();
    }

    /// Ends the innermost call, wherever it is.
    pub(crate) fn abandon(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        if self.pending == Some(Exit::Fuel) {
            let owed = self.owed();
            self.settle(owed);
        }
        self.allowed = None;
        self.pop();
    }

    /// Back to what the innermost call interrupted.
    #[inline]
    fn pop(&mut self) {
        let Some(entry) = self.entries.pop() else { return };
        if entry.own_stack {
            self.pop_stack();
        } else {
            self.stack.leave(entry.crossings, entry.counted);
        }
        self.resume_outer(entry);
    }

    #[inline]
    fn resume_outer(&mut self, entry: Entry) {
        if entry.outer_instance != self.current {
            self.switch(entry.outer_instance);
        }
        self.called = entry.outer_called;
        if self.entries.is_empty() {
            self.pending = None;
            self.call_ended();
        } else {
            self.pending = Some(Exit::CallImport);
            self.ctx.fp = self.stack.frame(entry.outer_frame);
        }
    }

    #[inline]
    fn check_host_depth(&self) -> Result<()> {
        if self.entries.len() < self.engine.config.max_host_depth as usize {
            return Ok(());
        }
        Err(Trap::StackOverflow.into())
    }
}

// Host functions.
impl StoreInner {
    /// The slots of the host function that is called: arguments, later results.
    #[inline]
    pub(crate) fn host_slots(&mut self) -> &mut [u64] {
        debug_assert_eq!(self.pending, Some(Exit::CallImport));
        let (place, area) = (self.place(), self.rec(self.called).frame as usize);
        &mut self.stack.slots_mut()[place - area..place - 2]
    }

    /// The host function that is called returns. Its results are in its slots.
    #[inline]
    pub(crate) fn host_return(&mut self) {
        debug_assert_eq!(self.pending, Some(Exit::CallImport));
        let (place, area) = (self.place(), self.rec(self.called).frame as usize);
        let slots = self.stack.slots_mut();
        let [first, .., caller, to] = slots[place - area..place] else {
            // Neither arguments nor results: no accumulator holds anything.
            let [caller, to] = slots[place - 2..place] else { return };
            return self.return_to(caller, to);
        };
        self.ctx.ai = first;
        self.ctx.af = f64::from_bits(first);
        self.ctx.as_ = f32::from_bits(first as u32);
        self.return_to(caller, to);
    }

    #[inline]
    fn return_to(&mut self, caller: u64, to: u64) {
        self.ctx.ip = to as usize as _;
        self.ctx.fp = caller as usize as _;
        self.pending = None;
    }

    /// The instance whose code called the host function that is called, by its place in the store.
    pub(crate) fn calling_instance(&self) -> Option<u32> {
        if self.entries.is_empty() { None } else { self.current.checked_sub(1) }
    }

    /// What the embedder says to [`super::Outcome::Ask`].
    pub(crate) fn answer(&mut self, allowed: bool) {
        self.allowed = Some(allowed);
    }
}

// Calls that are paused.
impl StoreInner {
    /// Takes the innermost call out; it has a stack of its own.
    pub(crate) fn detach(&mut self) -> Activation {
        debug_assert!(self.entries.last().is_some_and(|entry| entry.own_stack));
        self.reclaim();
        let frame = if self.ctx.fp.is_null() { 0 } else { self.place() };
        let registers = Registers {
            ip: self.ctx.ip,
            frame,
            ai: self.ctx.ai,
            af: self.ctx.af,
            as_: self.ctx.as_,
            value: self.ctx.value,
            words: self.ctx.words,
        };
        let (pending, called, instance) = (self.pending, self.called, self.current);
        let outer = self.outer_stacks.pop().unwrap_or_default();
        let stack = core::mem::replace(&mut self.stack, outer);
        self.outer_count -= self.stack.count();
        self.stack_moved();
        if let Some(entry) = self.entries.pop() {
            self.resume_outer(entry);
        }
        self.park(|ticket| Parked { ticket, stack, registers, pending, called, instance })
    }

    /// Puts a call back in, inside of the one that runs if there is one.
    pub(crate) fn attach(&mut self, activation: Activation) -> Result<()> {
        debug_assert!(self.entries.is_empty() || self.pending == Some(Exit::CallImport));
        self.check_host_depth()?;
        let Some(Parked { stack, registers, pending, called, instance, .. }) = self.unpark(&activation) else {
            return Err(Error::argument("the paused call belongs to another store"));
        };
        let outer_frame = if self.entries.is_empty() { 0 } else { self.place() };
        self.entries.push(Entry {
            base: 0,
            own_stack: true,
            crossings: 0,
            counted: 0,
            outer_frame,
            outer_called: self.called,
            outer_instance: self.current,
        });
        self.push_stack(stack);
        if self.entries.len() == 1 {
            self.call_begins();
        }
        self.switch(instance);
        (self.pending, self.called) = (pending, called);
        let ctx = &mut self.ctx;
        (ctx.ip, ctx.ai, ctx.af, ctx.as_) = (registers.ip, registers.ai, registers.af, registers.as_);
        (ctx.value, ctx.words) = (registers.value, registers.words);
        ctx.fp = if registers.frame == 0 { core::ptr::null_mut() } else { self.stack.frame(registers.frame) };
        Ok(())
    }
}
