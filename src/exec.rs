//! The run loop: enters the machine and deals with what it leaves for.
//!
//! Idea: at every exit the state of the call is complete, and says what is still to be done. So an exit is dealt with when
//! there is what it needs, now or much later: fuel, a host function's results, an answer of the embedder. What waits is
//! `pending`; without one the machine goes on.
//!
//! # The contract
//! What the machine asks of whoever runs it (see `jitless_machine`), and how it is kept. Each `unsafe` block here and in
//! the files of `exec/` names the numbers that it relies on.
//!
//! 1. *Stream.* `ctx.ip` is the first word of a function's code, a return address, the place where the machine left, or a
//!    stub of the engine. Codes are never moved nor freed while their module lives, the store's instances keep their
//!    modules, and the store lives longer than any call in it; so do the engine's stubs.
//! 2. *Frame.* `ctx.fp` is the frame pointer of the innermost frame. The stack holds what lies below, and `frame` bytes
//!    from it on before the code of its function runs: `enter_frame` sees to that. Behind the limit lies a red zone.
//!    Slots are only read and written here by their place in the stack, checked.
//! 3. *Memory.* `memory0` is the view of memory 0 of the current instance, or one of no bytes. It is read anew at each
//!    entry, and while the machine runs nobody has a reference to a memory, a table, a cell or the stack: `drive` has the
//!    store for itself.
//! 4. *Context.* The pointers in `ctx` are those of the current instance (`switch`) and of the store's records
//!    (`recs_moved`); vectors of an instance never change their length, views and cells never move.
//! 5. *Types.* Functions are translated only from bodies that were validated, imports were compared with their types
//!    (`instantiate`), indirect calls with theirs (`call`), and what the embedder passes with the function's type (`api`).
//! 6. *Words.* At an exit the words at `ctx.ip`, or just before it, are those that the tile's documentation lists; the
//!    tile was laid out by the translator from the same tables.
//! 7. *Sites.* The words of a call site change once, from cold to patched. Who changes them has first made the frame
//!    word `PATCHING`, and writes it last; all accesses are atomic, or come after having seen the last write.
//! 8. *Threads.* Nothing that a store holds an address of belongs to a thread or is changed through another store, but
//!    for call sites (7). So a store may move to another thread.
#![allow(unsafe_code)]

mod bulk;
mod call;
mod constant;
mod enter;
mod grow;
mod instantiate;
mod trace;

pub(crate) use crate::runtime::{Activation, Pause};

use jitless_machine::dispatch::{self, Exit};

use crate::error::Error;
use crate::runtime::{Callee, StoreInner};

// SAFETY: contract 8.
unsafe impl Send for StoreInner {}

/// What the innermost call waits for.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It has returned: [`StoreInner::finish`].
    Done,
    /// The host function with this handle: [`StoreInner::host_slots`], then [`StoreInner::host_return`].
    Host(u32),
    /// It can go on when the reason is gone.
    Paused(Pause),
    /// It cannot go on: [`StoreInner::abandon`].
    Failed(Error),
    /// A memory or table wants to grow, and somebody is to be asked: [`StoreInner::answer`]. Bytes, or elements.
    Ask { table: bool, current: u64, desired: u64, maximum: Option<u64> },
    /// It was allowed to, but it could not. To go on is to let the instruction return -1.
    GrowFailed { table: bool, error: Error },
}

/// How an exit was dealt with: on with the machine, or the call waits.
type Step = Result<(), Outcome>;

impl StoreInner {
    /// Runs the innermost call until it waits for something.
    pub(crate) fn run(&mut self) -> Outcome {
        debug_assert!(!self.entries.is_empty(), "no call to run");
        let exit = match self.pending.take() {
            Some(exit) => exit,
            None => {
                let exit = self.drive();
                // The two ways out that are taken all the time.
                if exit == Exit::CallImport && self.ctx.fuel >= 0 && self.is_host(self.called) {
                    return self.wait(exit, Outcome::Host(self.called));
                }
                if exit == Exit::Halt {
                    return self.wait(exit, Outcome::Done);
                }
                exit
            }
        };
        self.run_on(exit)
    }

    /// Deals with an exit, and goes on until the call waits for something.
    #[inline(never)]
    fn run_on(&mut self, mut exit: Exit) -> Outcome {
        loop {
            if let Err(outcome) = self.serve(exit) {
                return outcome;
            }
            exit = self.drive();
        }
    }

    /// Lets the machine run until it leaves.
    #[inline]
    fn drive(&mut self) -> Exit {
        debug_assert!(self.is_consistent());
        // SAFETY: contract 3: the view is one of the store's, and nothing is borrowed.
        let (base, len) = unsafe { ((*self.memory0).base, (*self.memory0).len) };
        // SAFETY: contract 1 to 5.
        let exit = unsafe { dispatch::drive(&raw mut self.ctx, base, len) };
        if exit == Exit::CallImport {
            self.called = self.ctx.value as u32;
        }
        exit
    }

    /// Deals with an exit. If the call waits, what for is `pending` again.
    #[inline]
    fn serve(&mut self, exit: Exit) -> Step {
        match exit {
            Exit::CallImport => {
                if let Err(pause) = self.check_fuel() {
                    return Err(self.wait(exit, Outcome::Paused(pause)));
                }
                match self.callee(self.called) {
                    Callee::Host { .. } => Err(self.wait(exit, Outcome::Host(self.called))),
                    Callee::Guest { .. } => self.go(self.called, self.place()),
                }
            }
            Exit::Halt => Err(self.wait(exit, Outcome::Done)),
            Exit::Fuel => self.refill().map_err(|pause| self.wait(exit, Outcome::Paused(pause))),
            Exit::Across => self.come_back(),
            Exit::Slow => self.slow(),
            Exit::Call => self.call(),
            Exit::CallIndirect | Exit::TailCallIndirect => self.call_indirect(exit),
            Exit::TailCallImport => self.tail_call_import(),
            Exit::Trap => Err(self.trapped()),
            // The machine keeps it to itself.
            Exit::Step => Ok(()),
        }
    }

    /// The call waits at `exit`.
    #[inline]
    fn wait(&mut self, exit: Exit, outcome: Outcome) -> Outcome {
        self.pending = Some(exit);
        outcome
    }

    /// Word `i` from where the machine left.
    #[inline]
    fn word(&self, i: isize) -> u32 {
        // SAFETY: contract 6: callers ask for words that the tile has.
        unsafe { self.ctx.ip.offset(i).read() }
    }

    /// The place of the innermost frame.
    #[inline]
    fn place(&self) -> usize {
        self.stack.place(self.ctx.fp)
    }

    /// Contract 2 to 4, as far as it can be seen from here.
    fn is_consistent(&self) -> bool {
        let (stack, ctx) = (&self.stack, &self.ctx);
        let halted = core::ptr::eq(ctx.ip, self.engine.stubs.halt());
        let frame_inside = if ctx.fp.is_null() { halted } else { stack.place(ctx.fp) <= stack.slots().len() };
        let limit_is_right = ctx.limit == if self.counts_frames() { 0 } else { stack.limit() };
        let instance_is_right = self.current == 0 || ctx.key == u64::from(self.current) << 32;
        let code_is_known = halted
            || core::ptr::eq(ctx.ip, self.engine.stubs.across())
            || self.current != 0 && self.numbered(self.current).module.find(ctx.ip).is_some();
        frame_inside && limit_is_right && instance_is_right && code_is_known
    }
}

#[cfg(test)]
mod tests;
