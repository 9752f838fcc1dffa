//! What ends a call from outside: fuel, the deadline, a stop.
//!
//! Idea: the machine counts down one number. It gets fuel in slices, and whenever a slice is spent, here is where somebody
//! looks at the clock and at the stop handle.
//!
//! Invariant: `used + (slice - what the machine has left of it)` is all that was ever charged.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "std")]
use std::time::Instant;

use super::StoreInner;
use crate::config::FUEL_SLICE;
use crate::error::{Error, Result};

/// Stops the call that runs in a store, from any thread.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    /// The number of the call that runs, or 0.
    running: AtomicUsize,
    /// The number of the last call that was to be stopped.
    requested: AtomicUsize,
}

impl Stop {
    /// Stops the call that runs now, if one does, and no other.
    pub(crate) fn stop(&self) {
        let running = self.running.load(Ordering::Relaxed);
        if running != 0 {
            self.requested.store(running, Ordering::Relaxed);
        }
    }
}

/// Why a call pauses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pause {
    /// So much more fuel is needed to go on.
    OutOfFuel {
        required: u64,
    },
    /// Needs a clock.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "matched all the same"))]
    Deadline,
    Stopped,
}

/// The account of a store.
#[derive(Default)]
pub(crate) struct Meter {
    /// What is left without the slice; it may be overdrawn. `None`: there is no bound.
    left: Option<i128>,
    /// What was used, without what was used of the slice. An edge may give back what was not counted yet, so this is
    /// below zero at times.
    used: i128,
    /// What the machine was given last.
    slice: i64,
    /// The number of the call that runs or ran last.
    call: usize,
    pub(super) stop: Arc<Stop>,
    #[cfg(feature = "std")]
    pub(super) deadline: Option<Instant>,
}

impl StoreInner {
    /// Takes back what the machine has left of its slice, so that it comes here at its next charge.
    #[inline]
    pub(crate) fn reclaim(&mut self) {
        let spent = self.meter.slice - self.ctx.fuel;
        (self.meter.slice, self.ctx.fuel) = (0, 0);
        self.spend(i128::from(spent));
    }

    /// Negative if a charge is given back.
    #[inline]
    fn spend(&mut self, fuel: i128) {
        self.meter.used += fuel;
        if let Some(left) = &mut self.meter.left {
            *left -= fuel;
        }
    }

    /// Is there fuel for what was charged last? If not, the next slice.
    #[inline]
    pub(crate) fn check_fuel(&mut self) -> Result<(), Pause> {
        // Without a slice this is a pause that goes on.
        if self.ctx.fuel < 0 || self.meter.slice == 0 { self.refill() } else { Ok(()) }
    }

    /// The next slice for the machine, unless there is a reason to pause.
    pub(crate) fn refill(&mut self) -> Result<(), Pause> {
        self.reclaim();
        self.poll()?;
        let slice = match self.meter.left {
            Some(left @ ..0) => return Err(Pause::OutOfFuel { required: u64::try_from(-left).unwrap_or(u64::MAX) }),
            Some(left) => left.min(FUEL_SLICE.into()) as i64,
            None => FUEL_SLICE,
        };
        (self.meter.slice, self.ctx.fuel) = (slice, slice);
        Ok(())
    }

    /// Charges `price` for what comes next, or nothing if there is a reason to pause before it.
    #[inline]
    pub(crate) fn pay(&mut self, price: u64) -> Result<(), Pause> {
        // What does not fit the machine's counter is beyond any slice.
        match i64::try_from(price).ok().and_then(|price| self.ctx.fuel.checked_sub(price)) {
            Some(fuel @ 0..) => {
                self.ctx.fuel = fuel;
                Ok(())
            }
            _ => self.pay_slowly(price),
        }
    }

    #[cold]
    fn pay_slowly(&mut self, price: u64) -> Result<(), Pause> {
        self.reclaim();
        self.spend(price.into());
        self.refill().map_err(|pause| {
            self.spend(-i128::from(price));
            // Nothing was paid, so all of it must be there.
            if let Pause::OutOfFuel { .. } = pause { Pause::OutOfFuel { required: price } } else { pause }
        })
    }

    /// Charges what was executed and not paid yet.
    pub(crate) fn settle(&mut self, owed: u32) {
        self.spend(owed.into());
    }

    /// Is there a reason to stop now, fuel apart?
    pub(crate) fn poll(&self) -> Result<(), Pause> {
        if self.meter.stop.requested.load(Ordering::Relaxed) == self.meter.call && self.meter.call != 0 {
            return Err(Pause::Stopped);
        }
        #[cfg(feature = "std")]
        if self.meter.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Pause::Deadline);
        }
        Ok(())
    }

    /// Has the deadline passed? Short calls that charge nothing are not to outlive it.
    #[inline]
    pub(crate) fn check_deadline(&self) -> Result<()> {
        #[cfg(feature = "std")]
        if self.meter.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::deadline());
        }
        Ok(())
    }

    /// The same for functions of the host that take long.
    pub(crate) fn check_stop(&self) -> Result<()> {
        self.poll().map_err(|pause| if pause == Pause::Stopped { Error::stopped() } else { Error::deadline() })
    }

    /// A call begins while none runs.
    #[inline]
    pub(crate) fn call_begins(&mut self) {
        self.meter.call = self.meter.call.wrapping_add(1).max(1);
        self.meter.stop.running.store(self.meter.call, Ordering::Relaxed);
        #[cfg(feature = "std")]
        if self.meter.deadline.is_some() {
            self.reclaim();
        }
    }

    /// No call runs any more.
    #[inline]
    pub(crate) fn call_ended(&mut self) {
        self.meter.stop.running.store(0, Ordering::Relaxed);
    }

    pub(crate) fn stop_handle(&self) -> Arc<Stop> {
        self.meter.stop.clone()
    }

    #[cfg(feature = "std")]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.meter.deadline
    }

    /// Also for the call that runs.
    #[cfg(feature = "std")]
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.meter.deadline = deadline;
        self.reclaim();
    }

    /// `u64::MAX`: there is no bound.
    pub(crate) fn fuel_left(&self) -> u64 {
        match self.meter.left {
            None => u64::MAX,
            Some(left) => {
                (left - i128::from(self.meter.slice - self.ctx.fuel)).clamp(0, i128::from(u64::MAX) - 1) as u64
            }
        }
    }

    pub(crate) fn fuel_used(&self) -> u64 {
        (self.meter.used + i128::from(self.meter.slice - self.ctx.fuel)).clamp(0, u64::MAX.into()) as u64
    }

    /// `u64::MAX`: there is no bound. A debt is forgiven.
    pub(crate) fn set_fuel(&mut self, fuel: u64) {
        self.reclaim();
        self.meter.left = (fuel != u64::MAX).then_some(fuel.into());
    }

    /// More fuel; a debt stays one.
    pub(crate) fn add_fuel(&mut self, fuel: u64) {
        self.reclaim();
        if let Some(left) = &mut self.meter.left {
            *left = left.saturating_add(fuel.into());
        }
    }

    /// Charges for work of the host; nothing is charged if less is left.
    pub(crate) fn charge(&mut self, fuel: u64) -> Result<()> {
        let left = self.fuel_left();
        if self.meter.left.is_some() && left < fuel {
            return Err(Error::out_of_fuel(fuel - left));
        }
        self.reclaim();
        self.spend(fuel.into());
        Ok(())
    }
}
