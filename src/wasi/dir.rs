//! Listing a directory.
//!
//! Idea: `.` and `..` come first and are made here; behind them come the file system's own entries, whose places are
//! moved up by two. Entries go straight into the guest's buffer, which is filled to the last byte: one that does not
//! fit is cut off there, and by the full buffer the guest knows that there is more.

use core::ops::ControlFlow;

use super::abi::{Outcome, filetype, record};
use super::calls::Call;
use super::fs::Entry;
use super::fs::Kind;
use super::rights;

/// The entries that no file system has.
const DOTS: [&str; 2] = [".", ".."];
/// The size of what stands before an entry's name.
const HEAD: usize = 24;

pub(super) fn readdir(call: &mut Call<'_>, fd: u32, buffer: u32, len: u32, cookie: u64, used: u32) -> Outcome {
    let (mut bytes, ctx) = call.memory()?;
    let (node, _) = ctx.fds.dir(fd, rights::FD_READDIR)?;
    bytes.range(used, 4)?;
    let mut listing = Listing { buffer: bytes.get_mut(buffer, len.into())?, used: 0 };
    let dots = DOTS.len() as u64;
    let inode = if cookie < dots { node.stat()?.inode } else { 0 };
    let mut full = len == 0;
    // The directory above may be out of the guest's reach, so its number is not told.
    for (name, next) in DOTS.iter().zip(1..).skip(usize::try_from(cookie).unwrap_or(usize::MAX)) {
        full = full || listing.show(Entry { name, inode, kind: Kind::Dir, next }).is_break();
    }
    if !full {
        node.read_dir(cookie.saturating_sub(dots), &mut |entry| {
            listing.show(Entry { next: entry.next.saturating_add(dots), ..entry })
        })?;
    }
    // Not longer than the buffer.
    let done = listing.used as u32;
    bytes.write_u32(used, done)?;
    call.charge(done.into())?;
    Ok(())
}

/// A buffer, and how much of it is full.
struct Listing<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl Listing<'_> {
    /// Writes as much of an entry as there is room for.
    fn show(&mut self, entry: Entry<'_>) -> ControlFlow<()> {
        let name = entry.name.as_bytes();
        let fields: [(usize, &[u8]); 4] = [
            (0, &entry.next.to_le_bytes()),
            (8, &entry.inode.to_le_bytes()),
            (16, &(name.len() as u32).to_le_bytes()),
            (20, &[filetype::of(entry.kind)]),
        ];
        self.put(&record::<HEAD>(&fields));
        self.put(name);
        if self.used == self.buffer.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn put(&mut self, bytes: &[u8]) {
        let room = &mut self.buffer[self.used..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.used += len;
    }
}
