//! The value stack: frames of guest functions, laid out as `translate` says, in a block that moves when it grows.
//!
//! A frame is found by its *place*, the slot that its frame pointer points at. Just below lie the return address and, below
//! that, the address of the caller's frame, which is 0 in the outermost frame of a call from the host.
//!
//! Invariant: the addresses of callers' frames are the only ones of the block that lie in it. Whoever moves the block
//! knows where the innermost frame of each call from the host is, and from there every one of them is found.

use alloc::vec::Vec;

use jitless_machine::dispatch::Ip;

use crate::budget::Budget;
use crate::config::{ModuleLimits, STACK_START_BYTES};
use crate::error::{Error, Result};

/// The size of a slot in bytes.
pub(crate) const SLOT: usize = size_of::<u64>();

/// A value stack, and what is kept of its frames beside it.
#[derive(Default)]
pub(crate) struct Stack {
    slots: Vec<u64>,
    /// Slots that frames may take. Those behind them are the red zone.
    usable: usize,
    /// Calls that passed from an instance to another and did not return yet.
    crossings: Vec<Crossing>,
    /// Places of frames, where frames are counted.
    counted: Vec<usize>,
}

/// Where a call that passed from an instance to another returns to.
#[derive(Clone, Copy)]
pub(crate) struct Crossing {
    pub(crate) ip: Ip,
    /// As the number in its key.
    pub(crate) instance: u32,
}

/// What all stacks of an engine are bounded by, in slots.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Usable slots at most.
    pub(crate) max: usize,
    /// What a tail call may write behind the last usable slot, before it finds that the new frame does not fit.
    pub(crate) red_zone: usize,
}

impl Bounds {
    pub(crate) fn new(max_bytes: usize, limits: &ModuleLimits) -> Self {
        // A value takes two slots at most, and a link two.
        let red_zone = 2 * (limits.params.max(limits.results) as usize).saturating_add(1);
        Self { max: max_bytes / SLOT, red_zone }
    }

    /// Usable slots of a stack that has `usable` and needs `needed`; `None` if so many are not allowed.
    pub(crate) fn grown(self, usable: usize, needed: usize) -> Option<usize> {
        let wanted = needed.max(usable.saturating_mul(2)).max(STACK_START_BYTES / SLOT);
        (needed <= self.max).then_some(wanted.min(self.max))
    }
}

impl Stack {
    /// A stack over slots of which the last ones are the red zone.
    pub(crate) fn new(slots: Vec<u64>, bounds: Bounds) -> Self {
        let usable = slots.len().saturating_sub(bounds.red_zone);
        Self { slots, usable, crossings: Vec::new(), counted: Vec::new() }
    }

    pub(crate) fn slots(&self) -> &[u64] {
        &self.slots
    }

    #[inline]
    pub(crate) fn slots_mut(&mut self) -> &mut [u64] {
        &mut self.slots
    }

    /// Slots that frames may take.
    #[inline]
    pub(crate) fn usable(&self) -> usize {
        self.usable
    }

    /// What it takes of the budget.
    pub(crate) fn charge(&self) -> u64 {
        let beside = self.crossings.capacity() * size_of::<Crossing>() + self.counted.capacity() * size_of::<usize>();
        (self.slots.len() * SLOT + beside) as u64
    }

    /// Where frames end, for the machine.
    pub(crate) fn limit(&self) -> usize {
        self.slots.as_ptr() as usize + self.usable * SLOT
    }

    /// The frame pointer of the frame at a place.
    #[inline]
    pub(crate) fn frame(&mut self, place: usize) -> *mut u8 {
        debug_assert!(place <= self.slots.len());
        self.slots.as_mut_ptr().wrapping_add(place).cast()
    }

    /// The place of the frame that a frame pointer points at.
    #[inline]
    pub(crate) fn place(&self, frame: *const u8) -> usize {
        self.place_of(frame as usize)
    }

    #[inline]
    fn place_of(&self, address: usize) -> usize {
        debug_assert!(address >= self.slots.as_ptr() as usize && address <= self.slots.as_ptr_range().end as usize);
        (address - self.slots.as_ptr() as usize) / SLOT
    }

    /// Where the frame at `place` returns to.
    #[inline]
    pub(crate) fn return_address(&self, place: usize) -> Ip {
        self.slots[place - 1] as usize as Ip
    }

    /// The place of the caller of the frame at `place`, if that is not the host.
    #[inline]
    pub(crate) fn caller(&self, place: usize) -> Option<usize> {
        match self.slots[place - 2] as usize {
            0 => None,
            address => Some(self.place_of(address)),
        }
    }

    /// Links the frame at `place` to its caller's.
    #[inline]
    pub(crate) fn link(&mut self, place: usize, to: Ip, caller: Option<usize>) {
        let caller = caller.map_or(0, |caller| self.frame(caller) as usize);
        self.slots[place - 2] = caller as u64;
        self.set_return_address(place, to);
    }

    #[inline]
    pub(crate) fn set_return_address(&mut self, place: usize, to: Ip) {
        self.slots[place - 1] = to as usize as u64;
    }

    /// Calls that passed from an instance to another and did not return yet.
    pub(crate) fn crossings(&self) -> &[Crossing] {
        &self.crossings
    }

    /// Notes that a call passes from an instance to another.
    pub(crate) fn cross(&mut self, crossing: Crossing, budget: &mut Budget) -> Result<()> {
        push(&mut self.crossings, crossing, budget)
    }

    /// The last crossing is undone: its call returns.
    #[inline]
    pub(crate) fn uncross(&mut self) -> Option<Crossing> {
        self.crossings.pop()
    }

    /// How many frames are counted.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.counted.len()
    }

    /// Counts the frame at `place`, whose link is written; those that were left since the last one, of which at least
    /// `least` stay, count no more.
    pub(crate) fn count_frame(&mut self, place: usize, least: usize, budget: &mut Budget) -> Result<()> {
        let caller = self.caller(place).unwrap_or(0);
        while self.counted.len() > least && self.counted.last().is_some_and(|&counted| counted > caller) {
            self.counted.pop();
        }
        push(&mut self.counted, place, budget)
    }

    /// Forgets crossings and counted frames but for so many.
    #[inline]
    pub(crate) fn leave(&mut self, crossings: usize, counted: usize) {
        self.crossings.truncate(crossings);
        self.counted.truncate(counted);
    }

    /// Moves everything to larger slots, and corrects the links on the way outwards from each of the frames at `tops`.
    /// Gives back the old slots.
    pub(crate) fn move_to(&mut self, slots: Vec<u64>, bounds: Bounds, tops: impl Iterator<Item = usize>) -> Vec<u64> {
        let mut new = Self::new(slots, bounds);
        debug_assert!(new.slots.len() >= self.slots.len());
        core::mem::swap(&mut new.crossings, &mut self.crossings);
        core::mem::swap(&mut new.counted, &mut self.counted);
        new.slots[..self.slots.len()].copy_from_slice(&self.slots);
        for top in tops {
            let mut place = top;
            while let Some(caller) = self.caller(place) {
                debug_assert!(caller < place);
                new.slots[place - 2] = new.frame(caller) as usize as u64;
                place = caller;
            }
        }
        core::mem::replace(self, new).slots
    }
}

/// Grows a list under the budget.
#[inline]
fn push<X>(list: &mut Vec<X>, item: X, budget: &mut Budget) -> Result<()> {
    if list.len() == list.capacity() {
        make_room(list, budget)?;
    }
    list.push(item);
    Ok(())
}

#[cold]
fn make_room<X>(list: &mut Vec<X>, budget: &mut Budget) -> Result<()> {
    let (old, more) = (list.capacity(), list.capacity().max(16));
    let bytes = (more * size_of::<X>()) as u64;
    budget.charge(bytes, "a stack")?;
    if list.try_reserve_exact(more).is_err() {
        budget.release(bytes);
        return Err(Error::budget("a stack", (old * size_of::<X>()) as u64, bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max: 1000, red_zone: 10 };

    #[test]
    fn growth() {
        let first = STACK_START_BYTES / SLOT;
        for (usable, needed, want) in [
            (0, 1, Some(first.min(1000))),
            (400, 401, Some(first.clamp(800, 1000))),
            (800, 801, Some(1000)),
            (1000, 1000, Some(1000)),
            (1000, 1001, None),
            (usize::MAX, 1, Some(1000)),
            (0, usize::MAX, None),
        ] {
            assert_eq!(BOUNDS.grown(usable, needed), want, "{usable} {needed}");
        }
    }

    #[test]
    fn tail_calls_fit_into_the_red_zone() {
        let mut limits = ModuleLimits::default();
        assert!(Bounds::new(1 << 20, &limits).red_zone > 2_000);
        limits.results = 1_000_000;
        assert!(Bounds::new(1 << 20, &limits).red_zone > 2_000_000);
    }

    #[test]
    fn links_move_along() {
        let slots = |n: usize| alloc::vec![7; n + BOUNDS.red_zone];
        let mut stack = Stack::new(slots(100), BOUNDS);
        // Two calls from the host; the second one's outermost frame lies above the first one's innermost.
        let to = core::ptr::dangling::<u32>();
        let calls = [[None, Some(4), Some(9), Some(9)].as_slice(), &[None, Some(30)]];
        let places = [[4, 9, 9, 20].as_slice(), &[30, 33]];
        // A frame that was replaced by a tail call has its caller's place again: 9, then 20.
        for (callers, places) in calls.iter().zip(places) {
            for (&caller, &place) in callers.iter().zip(places) {
                if caller != Some(place) {
                    stack.link(place, to, caller);
                }
            }
        }
        let old = stack.slots().as_ptr() as usize;
        let kept = stack.move_to(slots(300), BOUNDS, [33, 20].into_iter());
        assert_eq!(kept.as_ptr() as usize, old);
        assert_ne!(stack.slots().as_ptr() as usize, old);
        assert_eq!(stack.usable(), 300);
        for (top, want) in [(20, [Some(9), Some(4), None]), (33, [Some(30), None, None])] {
            let mut place = Some(top);
            for caller in want {
                place = place.and_then(|place| stack.caller(place));
                assert_eq!(place, caller);
            }
        }
        assert_eq!(stack.return_address(20), to);
        let frame = stack.frame(20);
        assert_eq!(stack.place(frame), 20);
        assert_eq!(stack.slots()[50], 7);
    }

    #[test]
    fn frames_count_until_they_are_left() {
        let mut stack = Stack::new(alloc::vec![0; 110], BOUNDS);
        let mut budget = Budget::default();
        let to = core::ptr::dangling::<u32>();
        for (place, caller, depth) in [
            (4, None, 1),
            (20, Some(4), 2),
            (30, Some(20), 3),
            // That one returned, and another is called from further up: both left frames are gone.
            (40, Some(4), 2),
            // A tail call: the new frame has the old one's caller.
            (44, Some(4), 2),
            (42, Some(4), 2),
            (50, Some(42), 3),
        ] {
            stack.link(place, to, caller);
            stack.count_frame(place, 0, &mut budget).unwrap();
            assert_eq!(stack.count(), depth, "{place}");
        }
        // A call from the host: what it interrupted stays counted.
        stack.link(60, to, None);
        stack.count_frame(60, 3, &mut budget).unwrap();
        assert_eq!(stack.count(), 4);
        stack.leave(0, 3);
        assert_eq!(stack.count(), 3);
        assert_eq!(budget.used() + 110 * 8, stack.charge());
    }
}
