//! The time that a row uses, and how much smaller things are where code is not optimised.

use std::time::{Duration, Instant};

use super::DEBUG;

/// The time that this thread has had: what a row is charged, however busy the machine is. Elsewhere than on Linux, the
/// time that has passed.
pub(super) fn now() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    match spent.as_deref().and_then(|text| text.split(' ').next()?.parse().ok()) {
        Some(nanos) => Duration::from_nanos(nanos),
        None => {
            static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
            START.get_or_init(Instant::now).elapsed()
        }
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Fewer turns of a loop where code is not optimised.
pub(crate) const fn turns(release: u32, debug: u32) -> u32 {
    if DEBUG { debug } else { release }
}

/// A tenth of the size where code is not optimised.
pub(crate) const fn size(release: usize) -> usize {
    if DEBUG { release / 10 } else { release }
}
