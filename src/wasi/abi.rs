//! What guest and host have agreed on: flags, layouts, and how values lie in the guest's memory.
//!
//! Invariant: no byte of the guest's memory is touched before its whole range was found to lie inside; sums are 64 bits
//! wide, so none wraps.

use core::ops::Range;
use std::io;

use smallvec::SmallVec;

use super::errno::Errno;
use super::fs::Kind;
use crate::{Error, Result};

/// The two modules that offer these calls. Layouts and a few numbers differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// `wasi_snapshot_preview1`.
    Preview1,
    /// `wasi_unstable`, which came before.
    Unstable,
}

impl Version {
    pub(super) const ALL: [Self; 2] = [Self::Preview1, Self::Unstable];

    pub(super) const fn module(self) -> &'static str {
        match self {
            Self::Preview1 => "wasi_snapshot_preview1",
            Self::Unstable => "wasi_unstable",
        }
    }

    /// `preview1` or `unstable`, as the version is.
    pub(super) fn pick<V>(self, preview1: V, unstable: V) -> V {
        match self {
            Self::Preview1 => preview1,
            Self::Unstable => unstable,
        }
    }
}

/// Why a call does not answer "success".
#[derive(Debug)]
pub(super) enum Fail {
    /// The guest is told, and goes on.
    Errno(Errno),
    /// The guest ends.
    End(Error),
}

/// What a call comes to.
pub(super) type Outcome<V = ()> = Result<V, Fail>;

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::End(error)
    }
}

/// An [`Error`] of this crate inside an error of input or output ends the guest.
impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => Self::End(error),
            Err(error) => Self::Errno(Errno::from(&error)),
        }
    }
}

/// The guest's memory.
pub(super) struct Bytes<'a>(pub(super) &'a mut [u8]);

impl Bytes<'_> {
    /// The range of `len` bytes at `ptr`, if all of it lies inside.
    pub(super) fn range(&self, ptr: u32, len: u64) -> Result<Range<usize>, Errno> {
        let end = u64::from(ptr).checked_add(len).filter(|&end| end <= self.0.len() as u64);
        end.map(|end| ptr as usize..end as usize).ok_or(Errno::Fault)
    }

    pub(super) fn get(&self, ptr: u32, len: u64) -> Result<&[u8], Errno> {
        Ok(&self.0[self.range(ptr, len)?])
    }

    pub(super) fn get_mut(&mut self, ptr: u32, len: u64) -> Result<&mut [u8], Errno> {
        let range = self.range(ptr, len)?;
        Ok(&mut self.0[range])
    }

    pub(super) fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), Errno> {
        self.get_mut(ptr, bytes.len() as u64)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, ptr: u32, value: u32) -> Result<(), Errno> {
        self.write(ptr, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, ptr: u32, value: u64) -> Result<(), Errno> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// The buffers that an array of `count` of them names, all inside the memory, empty ones left out.
    ///
    /// The array is read here once and never again, so writing to the buffers cannot change them. At most
    /// [`MAX_IOVECS`] come back, together at most as long as the count of bytes that the guest gets back can say: what
    /// is beyond is as if it had not been given, and the call comes out short.
    pub(super) fn iovecs(&self, ptr: u32, count: u32) -> Result<Iovecs, Errno> {
        let array = self.get(ptr, u64::from(count) * IOVEC)?;
        let (mut iovecs, mut room) = (Iovecs::new(), u32::MAX);
        for iovec in array.chunks_exact(IOVEC as usize) {
            let (ptr, len) = (u32_at(iovec, 0), u32_at(iovec, 4));
            self.range(ptr, u64::from(len))?;
            let len = len.min(room);
            if len > 0 && iovecs.len() < MAX_IOVECS {
                iovecs.push((ptr, len));
                room -= len;
            }
        }
        Ok(iovecs)
    }
}

/// The most buffers of one call that are used.
pub(super) const MAX_IOVECS: usize = 1024;
/// The size of an entry of an array of buffers.
pub(super) const IOVEC: u64 = 8;

/// Where buffers of the guest begin, and how long they are; none is empty.
pub(super) type Iovecs = SmallVec<[(u32, u32); 8]>;

/// The sum of the lengths.
pub(super) fn total(iovecs: &Iovecs) -> u64 {
    iovecs.iter().map(|&(_, len)| u64::from(len)).sum()
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes.get(offset..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

/// The number at an offset of a record; 0 beyond its end.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(at(bytes, offset))
}

/// The number at an offset of a record; 0 beyond its end.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(at(bytes, offset))
}

/// The number at an offset of a record; 0 beyond its end.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(at(bytes, offset))
}

/// Writes parts of a record: offset, then bytes.
pub(super) fn record<const N: usize>(fields: &[(usize, &[u8])]) -> [u8; N] {
    let mut record = [0; N];
    for &(offset, field) in fields {
        record[offset..offset + field.len()].copy_from_slice(field);
    }
    record
}

/// What a descriptor or a name is.
pub(super) mod filetype {
    use super::Kind;

    pub(in crate::wasi) const UNKNOWN: u8 = 0;
    pub(in crate::wasi) const BLOCK_DEVICE: u8 = 1;
    pub(in crate::wasi) const CHARACTER_DEVICE: u8 = 2;
    pub(in crate::wasi) const DIRECTORY: u8 = 3;
    pub(in crate::wasi) const REGULAR_FILE: u8 = 4;
    pub(in crate::wasi) const SOCKET_STREAM: u8 = 6;
    pub(in crate::wasi) const SYMBOLIC_LINK: u8 = 7;

    pub(in crate::wasi) fn of(kind: Kind) -> u8 {
        match kind {
            Kind::File => REGULAR_FILE,
            Kind::Dir => DIRECTORY,
            Kind::Link => SYMBOLIC_LINK,
            Kind::Other => UNKNOWN,
            Kind::BlockDevice => BLOCK_DEVICE,
            Kind::CharDevice => CHARACTER_DEVICE,
            Kind::Socket => SOCKET_STREAM,
        }
    }
}

/// Flags of a descriptor.
pub(super) mod fdflags {
    pub(in crate::wasi) const APPEND: u16 = 1;
    pub(in crate::wasi) const DSYNC: u16 = 2;
    pub(in crate::wasi) const NONBLOCK: u16 = 4;
    pub(in crate::wasi) const SYNC: u16 = 16;
    /// All that are defined, synchronous reading included.
    pub(in crate::wasi) const ALL: u16 = 0x1f;
}

/// How a path is looked up.
pub(super) mod lookupflags {
    pub(in crate::wasi) const SYMLINK_FOLLOW: u32 = 1;
}

/// How a file is opened.
pub(super) mod oflags {
    pub(in crate::wasi) const CREAT: u32 = 1;
    pub(in crate::wasi) const DIRECTORY: u32 = 2;
    pub(in crate::wasi) const EXCL: u32 = 4;
    pub(in crate::wasi) const TRUNC: u32 = 8;
    pub(in crate::wasi) const ALL: u32 = 15;
}

/// Which times are set, and to what.
pub(super) mod fstflags {
    pub(in crate::wasi) const ATIM: u32 = 1;
    pub(in crate::wasi) const ATIM_NOW: u32 = 2;
    pub(in crate::wasi) const MTIM: u32 = 4;
    pub(in crate::wasi) const MTIM_NOW: u32 = 8;
    pub(in crate::wasi) const ALL: u32 = 15;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(iovecs: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        for (n, &(ptr, len)) in iovecs.iter().enumerate() {
            bytes[8 * n..][..4].copy_from_slice(&ptr.to_le_bytes());
            bytes[8 * n + 4..][..4].copy_from_slice(&len.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn ranges() {
        let bytes = &mut [0; 100];
        let bytes = Bytes(bytes);
        for (ptr, len, inside) in [
            (0, 100, true),
            (100, 0, true),
            (101, 0, false),
            (100, 1, false),
            (99, 1, true),
            (u32::MAX, u64::MAX, false),
            (1, u64::MAX, false),
        ] {
            assert_eq!(bytes.range(ptr, len).is_ok(), inside, "{ptr} {len}");
        }
    }

    #[test]
    fn iovecs() {
        #[track_caller]
        fn check(iovecs: &[(u32, u32)], count: u32, want: Result<&[(u32, u32)], Errno>) {
            let found = Bytes(&mut memory(iovecs)).iovecs(0, count);
            assert_eq!(found.as_deref(), want.as_deref());
        }
        check(&[(65532, 4)], 1, Ok(&[(65532, 4)]));
        check(&[(65533, 4)], 1, Err(Errno::Fault));
        check(&[(65536, 0)], 1, Ok(&[]));
        check(&[(65537, 0)], 1, Err(Errno::Fault));
        check(&[(0, 0), (8, 5), (u32::MAX, 1)], 2, Ok(&[(8, 5)]));
        check(&[(0, 0), (8, 5), (u32::MAX, 1)], 3, Err(Errno::Fault));
        check(&[], u32::MAX, Err(Errno::Fault));
        check(&[], 8192, Ok(&[]));
        check(&[], 8193, Err(Errno::Fault));
    }

    #[test]
    fn too_many_iovecs_and_too_many_bytes() {
        let bytes = &mut memory(&vec![(0, 16); 3000]);
        assert_eq!(Bytes(bytes).iovecs(0, 3000).map(|iovecs| iovecs.len()), Ok(MAX_IOVECS));
        let bytes = &mut memory(&vec![(0, 5 << 20); 1000]);
        bytes.resize(5 << 20, 0);
        let iovecs = Bytes(bytes).iovecs(0, 1000).unwrap();
        assert_eq!((iovecs.len(), total(&iovecs)), (820, u64::from(u32::MAX)));
    }
}
