//! Calls from the host: what is kept of each while it is not the innermost, or is paused.
//!
//! Idea: a paused call stays in the store, stack and all, out of everybody's way; what its owner holds is a ticket. So the
//! collection of host values sees its slots, the budget stays charged, and a ticket may be dropped anywhere.
//!
//! Invariant: places are relative to the stack that a call runs on, so stacks may move.

use alloc::sync::Arc;

use jitless_machine::dispatch::{Exit, Ip};

use super::StoreInner;
use super::stack::Stack;

/// An active call from the host, and what it interrupted.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Where its arguments, and later its results, lie.
    pub(crate) base: usize,
    /// Does it run on a stack of its own? Then the one it interrupted is the last of the outer stacks.
    pub(crate) own_stack: bool,
    /// How many crossings and counted frames there were on its stack before.
    pub(crate) crossings: usize,
    pub(crate) counted: usize,
    /// The frame of the host function that made the call; without one 0.
    pub(crate) outer_frame: usize,
    /// That host function's handle.
    pub(crate) outer_called: u32,
    /// The instance whose code called it, as the number in its key.
    pub(crate) outer_instance: u32,
}

/// What the machine goes on with.
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    pub(crate) ip: Ip,
    pub(crate) frame: usize,
    pub(crate) ai: u64,
    pub(crate) af: f64,
    pub(crate) as_: f32,
    pub(crate) value: u64,
    pub(crate) words: u32,
}

/// A call that was taken out.
pub(crate) struct Parked {
    pub(crate) ticket: Arc<()>,
    pub(crate) stack: Stack,
    pub(crate) registers: Registers,
    pub(crate) pending: Option<Exit>,
    pub(crate) called: u32,
    pub(crate) instance: u32,
}

/// A paused call, as its owner holds it. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Activation {
    store: u64,
    ticket: Arc<()>,
}

impl StoreInner {
    /// Puts a call aside.
    pub(crate) fn park(&mut self, make: impl FnOnce(Arc<()>) -> Parked) -> Activation {
        self.sweep_parked();
        let ticket = Arc::new(());
        self.parked.push(make(ticket.clone()));
        Activation { store: self.id, ticket }
    }

    /// The call that a ticket stands for, if it is one of this store.
    pub(crate) fn unpark(&mut self, activation: &Activation) -> Option<Parked> {
        if activation.store != self.id {
            return None;
        }
        let place = self.parked.iter().position(|parked| Arc::ptr_eq(&parked.ticket, &activation.ticket))?;
        Some(self.parked.swap_remove(place))
    }

    /// Frees the calls whose tickets were dropped.
    pub(crate) fn sweep_parked(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let budget = &mut self.budget;
        self.parked.retain(|parked| {
            let held = Arc::strong_count(&parked.ticket) > 1;
            if !held {
                budget.release(parked.stack.charge());
            }
            held
        });
    }
}
