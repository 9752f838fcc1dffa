//! Calls from the host: in, out, and aside.
//!
//! Invariant: a call leaves everything as it was before it, registers of the machine, instance and stack, whether it
//! returned, failed or was put aside; and what it interrupted, if anything, is a host function that is called.

use jitless_machine::dispatch::Exit;

use super::grow::widen;
use crate::error::{Error, Result};
use crate::runtime::{Activation, Callee, Entry, Parked, Registers, SLOT, StoreInner};
use jitless_machine::trap::Trap;

impl StoreInner {
    /// Begins a call, inside of the one that runs if there is one. As many slots as the function's parameters take.
    ///
    /// A call that is to be paused needs a stack of its own.
    pub(crate) fn enter(&mut self, func: u32, args: &[u64], own_stack: bool) -> Result<()> {
        debug_assert!(self.entries.is_empty() || self.pending == Some(Exit::CallImport));
        debug_assert_eq!(args.len(), self.func_type(func).param_slots() as usize);
        self.check_host_depth()?;
        let outermost = self.entries.is_empty();
        // A call that can be paused pauses at its first charge instead.
        if outermost && !own_stack {
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
        let outer_frame = if outermost { 0 } else { self.place() };
        let base = if own_stack { 0 } else { outer_frame };
        let place = base + area as usize;
        let needed = place + frame as usize / SLOT;
        let entry = Entry {
            base,
            own_stack,
            crossings: if own_stack { 0 } else { self.stack.crossings().len() },
            counted: if own_stack { 0 } else { self.stack.count() },
            outer_frame,
            outer_called: self.called,
            outer_instance: self.current,
        };
        if own_stack || needed > self.stack.usable() {
            self.make_room(own_stack, needed, outer_frame)?;
        }

        let area = &mut self.stack.slots_mut()[base..place];
        let [slots @ .., caller, to] = area else { unreachable!("an area holds a link") };
        slots.iter_mut().zip(args).for_each(|(slot, &arg)| *slot = arg);
        (*caller, *to) = (0, halt as usize as u64);
        self.entries.push(entry);
        if outermost {
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
            return Ok(());
        }
        self.pending = None;
        if self.counts_frames() {
            return self.count_frame(place).inspect_err(|_| self.pop());
        }
        Ok(())
    }

    /// Room for a call that needs so many slots, above the frame of the host function that makes it or on a stack of its
    /// own.
    #[cold]
    fn make_room(&mut self, own_stack: bool, needed: usize, outer_frame: usize) -> Result<()> {
        if !own_stack {
            return self.widen_stack(needed, outer_frame);
        }
        let mut stack = self.spare.take().unwrap_or_default();
        let wide = widen(&mut stack, needed, self.bounds, &mut self.budget, core::iter::empty());
        if let Err(error) = wide {
            self.keep_spare(stack);
            return Err(error);
        }
        self.push_stack(stack);
        Ok(())
    }

    /// Ends a call that is done; as many slots as the function's results take.
    pub(crate) fn finish(&mut self, results: &mut [u64]) {
        debug_assert_eq!(self.pending, Some(Exit::Halt));
        let base = self.entries.last().map_or(0, |entry| entry.base);
        if let Some(slots) = self.stack.slots().get(base..base + results.len()) {
            results.iter_mut().zip(slots).for_each(|(result, &slot)| *result = slot);
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
        if self.entries.is_empty() {
            // Which instance is the current one does not matter now, and the next call may well be of the same.
            self.pending = None;
            self.call_ended();
            return;
        }
        if entry.outer_instance != self.current {
            self.switch(entry.outer_instance);
        }
        self.called = entry.outer_called;
        self.pending = Some(Exit::CallImport);
        self.ctx.fp = self.stack.frame(entry.outer_frame);
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
        let area = self.host_area();
        // SAFETY: contract 2: the area lies below the frame pointer, on the stack, which is borrowed with the store.
        unsafe { core::slice::from_raw_parts_mut(self.ctx.fp.cast::<u64>().sub(area), area - 2) }
    }

    /// The host function that is called returns. Its results are in its slots.
    #[inline]
    pub(crate) fn host_return(&mut self) {
        let (link, area) = (self.ctx.fp.cast::<u64>(), self.host_area());
        // SAFETY: contract 2: the area lies below the frame pointer, and the link at its end; if it holds nothing but the
        // link, the accumulators get that, and nobody reads them.
        let (first, caller, to) = unsafe { (link.sub(area).read(), link.sub(2).read(), link.sub(1).read()) };
        self.ctx.ai = first;
        self.ctx.af = f64::from_bits(first);
        self.ctx.as_ = f32::from_bits(first as u32);
        self.ctx.ip = to as usize as _;
        self.ctx.fp = caller as usize as _;
        self.pending = None;
    }

    /// How many slots below its frame pointer the host function that is called has.
    #[inline]
    fn host_area(&self) -> usize {
        assert_eq!(self.pending, Some(Exit::CallImport), "no host function is called");
        let area = self.rec(self.called).frame as usize;
        debug_assert!(area >= 2 && area <= self.place());
        area
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
