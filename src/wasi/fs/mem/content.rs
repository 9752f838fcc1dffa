//! What a file in memory holds.
//!
//! Idea: bytes lie in chunks that are shared until one of their holders writes. A chunk may be shorter than its place,
//! or absent: what it lacks are zeros. So a hole takes no memory, and neither does a copy.
//!
//! Invariant: no chunk has bytes beyond the end of the file, so what is cut off never comes back. Chunks have room for
//! an eighth of the file more than they hold, and 64 bytes.

use std::collections::TryReserveError;
use std::sync::Arc;

use crate::wasi::fs::{Errno, Result};

/// The bytes that a chunk stands for.
const CHUNK: usize = 64 << 10;

/// Room is made for a multiple of it.
const GRAIN: usize = 64;

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    size: u64,
    chunks: Vec<Option<Arc<Vec<u8>>>>,
}

impl Content {
    pub(super) fn new(bytes: &[u8]) -> Result<Self> {
        let mut content = Self::default();
        if content.write(0, bytes)? < bytes.len() { Err(Errno::NoMem) } else { Ok(content) }
    }

    /// How long it is, holes included.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How much was read.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let len = self.size.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let mut done = 0;
        while done < len {
            let (index, inside) = place(offset + done as u64);
            let part = &mut bytes[done..done + (CHUNK - inside).min(len - done)];
            let there = self.chunk(index).get(inside..).unwrap_or_default();
            let there = &there[..there.len().min(part.len())];
            let (head, zeros) = part.split_at_mut(there.len());
            head.copy_from_slice(there);
            zeros.fill(0);
            done += part.len();
        }
        len
    }

    pub(super) fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let size = usize::try_from(self.size).map_err(|_| Errno::NoMem)?;
        bytes.try_reserve_exact(size)?;
        bytes.resize(size, 0);
        self.read(0, &mut bytes);
        Ok(bytes)
    }

    /// Writes what there is memory for, and tells how much that was. The end must be an offset that exists.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (index, inside) = place(at);
            let part = &bytes[done..done + (CHUNK - inside).min(bytes.len() - done)];
            match self.put(index, inside, part) {
                Ok(()) => done += part.len(),
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
            self.size = self.size.max(at + part.len() as u64);
        }
        Ok(done)
    }

    /// Cuts it off, or fills it up with zeros.
    pub(super) fn resize(&mut self, size: u64) -> Result {
        if size < self.size {
            let (index, inside) = place(size);
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if let Some(Some(last)) = self.chunks.get_mut(index)
                && inside < last.len()
            {
                cut(last, inside)?;
            }
            self.chunks.truncate(index.saturating_add((inside > 0).into()));
            self.chunks.shrink_to_fit();
        }
        self.size = size;
        Ok(())
    }

    /// Does it hold the same bytes?
    pub(super) fn equals(&self, other: &Self) -> bool {
        let chunks = self.chunks.len().max(other.chunks.len());
        let all = |index: usize| {
            let (a, b) = (self.chunks.get(index), other.chunks.get(index));
            if let (Some(Some(a)), Some(Some(b))) = (a, b)
                && Arc::ptr_eq(a, b)
            {
                return true;
            }
            let (a, b) = (self.chunk(index as u64), other.chunk(index as u64));
            let (head, tail) = if a.len() < b.len() { (a, b) } else { (b, a) };
            let (same, zeros) = tail.split_at(head.len());
            head == same && zeros.iter().all(|&byte| byte == 0)
        };
        self.size == other.size && (0..chunks).all(all)
    }

    fn chunk(&self, index: u64) -> &[u8] {
        let chunk = usize::try_from(index).ok().and_then(|index| self.chunks.get(index));
        chunk.and_then(Option::as_deref).map_or(&[], Vec::as_slice)
    }

    /// Writes inside of one chunk.
    fn put(&mut self, index: u64, inside: usize, bytes: &[u8]) -> Result {
        let index = usize::try_from(index).map_err(|_| Errno::NoMem)?;
        if index >= self.chunks.len() {
            self.chunks.try_reserve(index - self.chunks.len() + 1)?;
            self.chunks.resize(index + 1, None);
        }
        let chunk = self.chunks[index].get_or_insert_default();
        let (end, before) = (inside + bytes.len(), index.saturating_mul(CHUNK));
        let held = own(chunk, end, before)?;
        if held.len() < inside {
            held.resize(inside, 0);
        }
        let over = (held.len() - inside).min(bytes.len());
        held[inside..inside + over].copy_from_slice(&bytes[..over]);
        held.extend_from_slice(&bytes[over..]);
        Ok(())
    }
}

/// The chunk of an offset, and where in it.
fn place(offset: u64) -> (u64, usize) {
    (offset / CHUNK as u64, (offset % CHUNK as u64) as usize)
}

/// A chunk that nobody shares, with room up to `end`; a file that is long before the chunk gets more room at once.
fn own(chunk: &mut Arc<Vec<u8>>, end: usize, before: usize) -> Result<&mut Vec<u8>> {
    let room = || (end + end.max(before) / 8).next_multiple_of(GRAIN).min(CHUNK);
    // Cheaper than to ask for it twice, and as good: there are no weak ones.
    if Arc::strong_count(chunk) > 1 {
        let mut copy = Vec::new();
        copy.try_reserve_exact(room().max(chunk.len()))?;
        copy.extend_from_slice(chunk);
        *chunk = Arc::new(copy);
    }
    let held = Arc::get_mut(chunk).ok_or(Errno::NoMem)?;
    if held.capacity() < end {
        held.try_reserve_exact(room() - held.len())?;
    }
    Ok(held)
}

/// Keeps the first bytes of a chunk, and the memory for them.
fn cut(chunk: &mut Arc<Vec<u8>>, len: usize) -> Result {
    match Arc::get_mut(chunk) {
        Some(held) => {
            held.truncate(len);
            held.shrink_to_fit();
        }
        None => {
            let mut copy = Vec::new();
            copy.try_reserve_exact(len)?;
            copy.extend_from_slice(&chunk[..len]);
            *chunk = Arc::new(copy);
        }
    }
    Ok(())
}

impl From<TryReserveError> for Errno {
    fn from(_: TryReserveError) -> Self {
        Self::NoMem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_what_is_held() {
        let mut content = Content::new(&[1; 3 * CHUNK + 5]).unwrap();
        content.resize(10).unwrap();
        assert_eq!((content.chunks.len(), content.chunks.capacity()), (1, 1));
        assert!(content.chunks[0].as_ref().unwrap().capacity() <= 10);
        content.resize(1 << 40).unwrap();
        assert_eq!(content.chunks.len(), 1, "a hole takes nothing");
    }

    #[test]
    fn room_is_an_eighth_at_most() {
        let mut content = Content::default();
        for at in 0..(3 * CHUNK as u64) {
            content.write(at, b"x").unwrap();
            let room: usize = content.chunks.iter().flatten().map(|chunk| chunk.capacity()).sum();
            assert!(room as u64 <= content.size + content.size / 8 + GRAIN as u64, "{room} for {}", content.size);
        }
    }

    #[test]
    fn a_copy_is_shared_until_written() {
        let one = Content::new(&[7; 2 * CHUNK]).unwrap();
        let mut two = one.clone();
        assert!(one.equals(&two));
        two.write(CHUNK as u64 + 3, b"x").unwrap();
        assert!(Arc::ptr_eq(one.chunks[0].as_ref().unwrap(), two.chunks[0].as_ref().unwrap()));
        assert!(!one.equals(&two));
        two.write(CHUNK as u64 + 3, &[7]).unwrap();
        assert!(one.equals(&two));
        two.resize(CHUNK as u64 + 9).unwrap();
        two.resize(2 * CHUNK as u64).unwrap();
        assert_eq!(two.to_vec().unwrap()[CHUNK + 8..][..2], [7, 0]);
        assert_eq!(one.to_vec().unwrap(), [7; 2 * CHUNK]);
    }
}
