//! What hosts do each in their own way.

use std::fs::File;
use std::io;

use cap_std::fs::{Dir, DirEntry, Metadata};

#[cfg(unix)]
pub(super) use unix::*;
#[cfg(windows)]
pub(super) use windows::*;

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{DirEntryExt, FileExt};

    use cap_std::fs::MetadataExt;

    use super::*;

    pub(in super::super) fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        file.read_at(bytes, offset)
    }

    pub(in super::super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Room for a range.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
    pub(in super::super) fn allocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, len)?)
    }

    /// There is no such promise.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
    pub(in super::super) fn allocate(_: &File, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// When anything of a node last changed.
    pub(in super::super) fn changed(data: &Metadata) -> u64 {
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(data.ctime()), u64::try_from(data.ctime_nsec())) else {
            return 0;
        };
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }

    /// The number of an entry's node on the directory's device.
    pub(in super::super) fn inode(entry: &DirEntry) -> io::Result<u64> {
        Ok(entry.ino())
    }

    pub(in super::super) fn symlink(dir: &Dir, name: &str, target: &str) -> io::Result<()> {
        dir.symlink_contents(target, name)
    }
}

#[cfg(windows)]
mod windows {
    use std::os::windows::fs::FileExt;

    use cap_fs_ext::{DirEntryExt, MetadataExt};

    use super::*;

    pub(in super::super) fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        file.seek_read(bytes, offset)
    }

    pub(in super::super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.seek_write(bytes, offset)
    }

    /// There is no such promise.
    pub(in super::super) fn allocate(_: &File, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// When the contents last changed, as no more is known.
    pub(in super::super) fn changed(data: &Metadata) -> u64 {
        data.modified().map_or(0, |time| super::super::nanos(time.into_std()))
    }

    /// The number of an entry's node on the directory's device.
    pub(in super::super) fn inode(entry: &DirEntry) -> io::Result<u64> {
        Ok(entry.full_metadata()?.ino())
    }

    pub(in super::super) fn symlink(dir: &Dir, name: &str, target: &str) -> io::Result<()> {
        dir.symlink_file(target, name)
    }
}
