//! Profiling builds: how often each tile ran, for mining the list of sequences.
//!
//! In front of every tile stands one that counts. Counters live as long as the process; [`listing`] writes them out.
use crate::code::{Line, tile_text};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;

/// Tiles of one function in order, with `true` where a label stands in front, and their counters.
struct Profile {
    tiles: Vec<(Line, bool)>,
    counters: &'static [AtomicU64],
}

static PROFILES: Mutex<Vec<Profile>> = Mutex::new(Vec::new());

/// Makes the counters of a function's tiles. Returns the address of the first; they lie 8 bytes apart.
pub(super) fn counters(tiles: &[(Line, bool)]) -> u64 {
    let counters: &'static [AtomicU64] = Box::leak(tiles.iter().map(|_| AtomicU64::new(0)).collect::<Box<[_]>>());
    PROFILES.lock().push(Profile { tiles: tiles.to_vec(), counters });
    counters.as_ptr() as usize as u64
}

/// One line for each tile that ran: `#` behind a label or `-`, count, pattern. `tools/mine.py` reads it.
pub(crate) fn listing() -> String {
    let mut out = String::new();
    for p in PROFILES.lock().iter() {
        for ((line, fresh), counter) in p.tiles.iter().zip(p.counters) {
            let mark = if *fresh { '#' } else { '-' };
            let _ = writeln!(out, "{mark} {} {}", counter.load(Ordering::Relaxed), tile_text(line.tile));
        }
    }
    out
}
