//! The standard streams: where a guest's input comes from and where its output goes.
//!
//! Invariant: no stream is the host's own unless it was asked for, and closing one never closes the host's.

mod capture;
mod input;
mod output;

use core::time::Duration;

pub use self::capture::Capture;
pub use self::input::Input;
pub use self::output::Output;

/// Between two looks at the deadline a guest waits so long for input; what comes earlier wakes it up.
pub(super) const WAIT: Duration = Duration::from_millis(1);
