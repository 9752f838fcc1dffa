//! The guest as a process: how it ends, and how it gives way.

use super::abi::Outcome;
use super::calls::Call;
use super::errno::Errno;
use crate::Error;

/// The whole status is kept; who hands it on to an operating system keeps the low 8 bits.
pub(super) fn exit(_: &mut Call<'_>, status: u32) -> Outcome {
    Err(Error::exit(status as i32).into())
}

/// There are no signals: who wants to end exits, or traps.
pub(super) fn raise(_: &mut Call<'_>, _signal: u32) -> Outcome {
    Err(Errno::NoSys.into())
}

pub(super) fn sched_yield(call: &mut Call<'_>) -> Outcome {
    call.check_stop()?;
    std::thread::yield_now();
    Ok(())
}
