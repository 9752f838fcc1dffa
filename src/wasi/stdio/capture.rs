//! Output that is kept, and paid for, until somebody takes it.

use core::fmt::{self, Debug, Formatter};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::fs::{self, Account};

/// Keeps what a guest writes, up to a limit. Clones are the same.
///
/// What goes beyond the limit is an error of the guest's: no space left. What is kept is charged to the store of the
/// guest that writes ([`Store::account`](crate::Store::account)), until it is taken or the last clone is gone; what that
/// refuses is no space left either.
///
/// ```
/// use jitless::wasi::{Capture, WasiCtx};
///
/// let out = Capture::new(1 << 20);
/// let wasi = WasiCtx::builder().arg("prog").stdout(out.clone()).stderr(out.clone()).build()?;
/// // … run a guest with it, then:
/// assert_eq!(out.text(), "");
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone)]
pub struct Capture(Arc<Mutex<Kept>>);

struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
    /// Who pays, and how much of what the vector has room for is charged.
    account: Option<Arc<dyn Account>>,
    charged: usize,
}

impl Kept {
    /// Makes room for so many more bytes. Nothing is allocated before it is charged.
    fn grow(&mut self, more: usize) -> bool {
        let least = self.bytes.len().saturating_add(more);
        if least <= self.bytes.capacity() {
            return true;
        }
        // Twice as much, so that a byte is moved rarely; if that is too much, just enough.
        let most = self.bytes.capacity().saturating_mul(2).min(self.limit).max(least);
        let charged = [most, least].into_iter().find(|&capacity| self.charge(capacity));
        charged.is_some_and(|capacity| self.bytes.try_reserve_exact(capacity - self.bytes.len()).is_ok())
    }

    /// Charges up to so many bytes.
    fn charge(&mut self, capacity: usize) -> bool {
        let more = capacity.saturating_sub(self.charged);
        if self.account.as_ref().is_some_and(|account| !account.charge(more as u64)) {
            return false;
        }
        self.charged += more;
        true
    }

    fn release(&mut self) {
        if let Some(account) = &self.account {
            account.release(self.charged as u64);
        }
        self.charged = 0;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.release();
    }
}

impl Capture {
    /// Keeps at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept { bytes: Vec::new(), limit, full: false, account: None, charged: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked meanwhile did not leave a half-written vector.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// What was written, as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Takes what was written, so that there is room again.
    pub fn take(&self) -> Vec<u8> {
        let mut kept = self.lock();
        kept.full = false;
        kept.release();
        core::mem::take(&mut kept.bytes)
    }

    /// Charges what is kept to an account, from now on to that alone.
    pub(super) fn charge_to(&self, account: Arc<dyn Account>) -> fs::Result {
        let mut kept = self.lock();
        // Standard output and standard error may be one.
        if kept.account.as_ref().is_some_and(|same| Arc::ptr_eq(same, &account)) {
            return Ok(());
        }
        let charged = kept.charged.max(kept.bytes.capacity());
        if !account.charge(charged as u64) {
            return Err(fs::Errno::NoMem);
        }
        kept.release();
        (kept.account, kept.charged) = (Some(account), charged);
        Ok(())
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Was nothing written?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Did the guest want to write more than the limit allows?
    pub fn is_full(&self) -> bool {
        self.lock().full
    }

    pub(super) fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut kept = self.lock();
        let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let room = kept.limit - kept.bytes.len();
        let mut left = wanted.min(room);
        kept.full |= wanted > room;
        if left == 0 && wanted > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !kept.grow(left) {
            kept.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let done = left;
        for buffer in buffers {
            let part = &buffer[..buffer.len().min(left)];
            kept.bytes.extend_from_slice(part);
            left -= part.len();
        }
        Ok(done)
    }
}

impl Debug for Capture {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        f.debug_struct("Capture").field("len", &kept.bytes.len()).field("limit", &kept.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::Output;

    #[test]
    fn captures_stop_at_their_limit() {
        let out = Capture::new(5);
        let mut to = Output::from(out.clone());
        let mut write = |parts: &[&[u8]]| {
            to.write(&mut parts.iter().map(|part| IoSlice::new(part)).collect::<Vec<_>>()).map_err(|error| error.kind())
        };
        assert_eq!(write(&[b"ab", b"", b"c"]), Ok(3));
        assert!(!out.is_full());
        assert_eq!(write(&[b"defg"]), Ok(2));
        assert_eq!((out.text().as_str(), out.is_full()), ("abcde", true));
        assert_eq!(write(&[b"h"]), Err(io::ErrorKind::StorageFull));
        assert_eq!(write(&[b""]), Ok(0));
        assert_eq!(out.take(), b"abcde");
        assert_eq!(write(&[b"ij"]), Ok(2));
        assert_eq!((out.bytes().as_slice(), out.len(), out.is_full()), (&b"ij"[..], 2, false));
    }
}
