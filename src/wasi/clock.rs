//! Clocks: the host's, one that stands, and one that goes a step at each look.
//!
//! Invariant: no time is ever less than one before it on the same clock, and sums stop at the greatest time that 64
//! bits of nanoseconds can say.

use core::time::Duration;
use std::time::{Instant, SystemTime};

use super::abi::Outcome;
use super::calls::Call;
use super::errno::Errno;

/// The clocks that a guest sees, in nanoseconds.
///
/// With a clock of its own a guest's result does not depend on the time of day, nor on how fast the host is. Such a
/// clock is not waited for: a guest that sleeps wakes up at once, and the stepping clock says that the time has
/// passed.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System { start: Instant },
    Fixed { now: u64 },
    Stepping { now: u64, step: u64 },
}

impl Clock {
    /// The host's clocks. The monotonic one begins when this is called.
    pub fn system() -> Self {
        Self(Kind::System { start: Instant::now() })
    }

    /// A clock that stands at a time, in nanoseconds since 1970.
    pub fn fixed(now: u64) -> Self {
        Self(Kind::Fixed { now })
    }

    /// A clock that begins at a time, in nanoseconds since 1970, and goes by `step` whenever the guest looks at it.
    pub fn stepping(start: u64, step: u64) -> Self {
        Self(Kind::Stepping { now: start, step })
    }

    /// What a look at it shows.
    fn look(&mut self, id: Id) -> u64 {
        if let Kind::Stepping { now, step } = &mut self.0 {
            *now = now.saturating_add(*step);
        }
        self.now(id)
    }

    /// The time, without a look at it.
    pub(super) fn now(&self, id: Id) -> u64 {
        match (&self.0, id) {
            (Kind::System { .. }, Id::Realtime) => {
                // Before 1970 it is 1970.
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                nanoseconds(now)
            }
            // Never 0: to some guests that means that there is no clock.
            (Kind::System { start }, _) => nanoseconds(start.elapsed()).max(1),
            (Kind::Fixed { now } | Kind::Stepping { now, .. }, Id::Realtime) => *now,
            (Kind::Fixed { now } | Kind::Stepping { now, .. }, _) => (*now).max(1),
        }
    }

    fn resolution(&self) -> u64 {
        match self.0 {
            Kind::System { .. } | Kind::Fixed { .. } => 1,
            Kind::Stepping { step, .. } => step.max(1),
        }
    }

    /// Does time pass on it by itself?
    pub(super) fn is_real(&self) -> bool {
        matches!(self.0, Kind::System { .. })
    }

    /// Lets time pass on a clock on which it does not by itself.
    pub(super) fn pass(&mut self, time: u64) {
        if let Kind::Stepping { now, .. } = &mut self.0 {
            *now = now.saturating_add(time);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One of the clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Id {
    Realtime,
    Monotonic,
    /// Of the process or the thread. A guest is one thread that runs all the time, as far as it can tell: here this is
    /// the monotonic clock.
    Cpu,
}

impl Id {
    pub(super) fn of(id: u32) -> Result<Self, Errno> {
        match id {
            0 => Ok(Self::Realtime),
            1 => Ok(Self::Monotonic),
            2 | 3 => Ok(Self::Cpu),
            _ => Err(Errno::Inval),
        }
    }
}

pub(super) fn res_get(call: &mut Call<'_>, id: u32, resolution: u32) -> Outcome {
    Id::of(id)?;
    let (mut bytes, ctx) = call.memory()?;
    Ok(bytes.write_u64(resolution, ctx.clock.resolution())?)
}

pub(super) fn time_get(call: &mut Call<'_>, id: u32, _precision: u64, time: u32) -> Outcome {
    let id = Id::of(id)?;
    let (mut bytes, ctx) = call.memory()?;
    bytes.range(time, 8)?;
    Ok(bytes.write_u64(time, ctx.clock.look(id))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let mut fixed = Clock::fixed(5);
        assert_eq!((fixed.look(Id::Realtime), fixed.look(Id::Monotonic)), (5, 5));
        fixed.pass(10);
        assert_eq!(fixed.look(Id::Realtime), 5);
        assert_eq!((Clock::fixed(0).look(Id::Realtime), Clock::fixed(0).look(Id::Monotonic)), (0, 1));

        let mut stepping = Clock::stepping(100, 10);
        assert_eq!((stepping.look(Id::Realtime), stepping.look(Id::Monotonic), stepping.resolution()), (110, 120, 10));
        stepping.pass(1000);
        assert_eq!((stepping.now(Id::Cpu), stepping.look(Id::Cpu)), (1120, 1130));
        stepping.pass(u64::MAX);
        assert_eq!(stepping.look(Id::Realtime), u64::MAX);

        let mut system = Clock::system();
        let first = system.look(Id::Monotonic);
        assert!(first > 0 && system.look(Id::Monotonic) >= first && system.is_real());
        assert!(system.look(Id::Realtime) > 1_600_000_000_000_000_000);
    }
}
