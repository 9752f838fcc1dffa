//! Listing a directory.
//!
//! Idea: `.` and `..` come first and are made here; behind them come the file system's own entries, whose places are
//! moved up by two. Entries go straight into the guest's buffer, which is filled to the last byte: one that does not
//! fit is cut off there, and by the full buffer the guest knows that there is more.

use core::ops::ControlFlow;

use super::abi::{Outcome, filetype, record};
use super::calls::Call;
use super::errno::Errno;
use super::fs::{Entry, Kind, Node};
use super::rights;

/// The entries that no file system has.
const DOTS: [&str; 2] = [".", ".."];
/// The size of what stands before an entry's name.
const HEAD: usize = 24;

pub(super) fn readdir(call: &mut Call<'_>, fd: u32, buffer: u32, len: u32, cookie: u64, used: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    ctx.fds.dir(fd, rights::FD_READDIR)?;
    bytes.range(used, 4)?;
    bytes.range(buffer, len.into())?;
    let (mut done, mut from) = (0, cookie);
    loop {
        let (mut bytes, ctx) = call.memory()?;
        let (node, _) = ctx.fds.dir(fd, rights::FD_READDIR)?;
        let mut listing = Listing { buffer: bytes.get_mut(buffer, len.into())?, used: done, from };
        let all = listing.fill(&**node, done.saturating_add(PIECE))?;
        // Whole units, so that all of it costs the same in pieces.
        let more = listing.used / UNIT - done / UNIT;
        (done, from) = (listing.used, listing.from);
        call.charge((more * UNIT) as u64)?;
        if all || done == len as usize {
            break;
        }
        call.check_stop()?;
    }
    // Not longer than the buffer.
    Ok(call.memory()?.0.write_u32(used, done as u32)?)
}

/// The bytes of a unit of fuel.
const UNIT: usize = 64;
/// So many bytes are written between two looks at the deadline.
const PIECE: usize = 64 << 10;

/// A buffer, how much of it is full, and where the listing goes on.
struct Listing<'a> {
    buffer: &'a mut [u8],
    used: usize,
    from: u64,
}

impl Listing<'_> {
    /// Shows entries until the buffer is full, or so many bytes of it are. Were these all?
    fn fill(&mut self, node: &dyn Node, enough: usize) -> Result<bool, Errno> {
        let dots = DOTS.len() as u64;
        if self.from < dots {
            // The directory above may be out of the guest's reach, so its number is not told.
            let inode = node.stat()?.inode;
            let first = usize::try_from(self.from).unwrap_or(usize::MAX);
            for (name, next) in DOTS.iter().zip(1..).skip(first) {
                self.show(Entry { name, inode, kind: Kind::Dir, next });
            }
        }
        if self.used == self.buffer.len() {
            return Ok(false);
        }
        let mut all = true;
        node.read_dir(self.from.saturating_sub(dots), &mut |entry| {
            self.show(Entry { next: entry.next.saturating_add(dots), ..entry });
            all = self.used < self.buffer.len().min(enough);
            if all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(all)
    }

    /// Writes as much of an entry as there is room for.
    fn show(&mut self, entry: Entry<'_>) {
        let name = entry.name.as_bytes();
        let fields: [(usize, &[u8]); 4] = [
            (0, &entry.next.to_le_bytes()),
            (8, &entry.inode.to_le_bytes()),
            (16, &(name.len() as u32).to_le_bytes()),
            (20, &[filetype::of(entry.kind)]),
        ];
        self.put(&record::<HEAD>(&fields));
        self.put(name);
        self.from = entry.next;
    }

    fn put(&mut self, bytes: &[u8]) {
        let room = &mut self.buffer[self.used..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.used += len;
    }
}
