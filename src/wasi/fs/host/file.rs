//! Open files of the host.

use std::fs::{File as StdFile, FileTimes};
use std::sync::{Arc, PoisonError};

use cap_std::fs::{File as CapFile, Metadata};

use super::error::errno;
use super::{Tree, host_time, kind, os};
use crate::wasi::fs::{Access, Errno, File, Kind, MAX_SIZE, Result, Stat, Times};

/// A regular file that is open.
#[derive(Debug)]
pub(super) struct HostFile {
    tree: Arc<Tree>,
    file: StdFile,
    access: Access,
}

impl HostFile {
    /// What was opened, if it is a regular file. The second is the number of its node.
    pub(super) fn new(tree: &Arc<Tree>, file: CapFile, access: Access) -> Result<(Self, u64)> {
        let file = Self { tree: tree.clone(), file: file.into_std(), access };
        let data = file.data()?;
        match kind(data.file_type()) {
            Kind::File => Ok((file, tree.stat(&data).inode)),
            kind => Err(no_file(kind)),
        }
    }

    fn data(&self) -> Result<Metadata> {
        Metadata::from_file(&self.file).map_err(errno)
    }

    fn writable(&self) -> Result {
        if self.access.write { Ok(()) } else { Err(Errno::BadF) }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        end(offset, bytes.len() as u64)?;
        match os::write_at(&self.file, offset, bytes).map_err(errno)? {
            0 => Err(Errno::Io),
            done => Ok(done),
        }
    }
}

/// Why a node is not opened.
pub(super) fn no_file(kind: Kind) -> Errno {
    match kind {
        Kind::Dir => Errno::IsDir,
        Kind::Link => Errno::Loop,
        _ => Errno::NotSup,
    }
}

/// Where a range ends.
fn end(offset: u64, len: u64) -> Result<u64> {
    offset.checked_add(len).filter(|&end| end <= MAX_SIZE).ok_or(Errno::FBig)
}

impl File for HostFile {
    fn stat(&self) -> Result<Stat> {
        Ok(self.tree.stat(&self.data()?))
    }

    fn set_times(&self, times: Times, _: u64) -> Result {
        self.tree.writable()?;
        let mut new = FileTimes::new();
        if let Some(time) = times.accessed.and_then(host_time) {
            new = new.set_accessed(time);
        }
        if let Some(time) = times.modified.and_then(host_time) {
            new = new.set_modified(time);
        }
        self.file.set_times(new).map_err(errno)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        if !self.access.read {
            return Err(Errno::BadF);
        }
        if offset > MAX_SIZE {
            return Ok(0);
        }
        // The host adds offset and length up, too.
        let most = bytes.len().min(usize::try_from(MAX_SIZE - offset).unwrap_or(usize::MAX));
        os::read_at(&self.file, offset, &mut bytes[..most]).map_err(errno)
    }

    fn write_at(&self, offset: u64, bytes: &[u8], _: u64) -> Result<usize> {
        self.writable()?;
        self.write(offset, bytes)
    }

    fn append(&self, bytes: &[u8], _: u64) -> Result<(usize, u64)> {
        self.writable()?;
        let _guard = self.tree.append.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = self.data()?.len();
        let done = self.write(offset, bytes)?;
        Ok((done, offset.saturating_add(done as u64)))
    }

    fn set_size(&self, size: u64, _: u64) -> Result {
        self.writable()?;
        self.file.set_len(end(size, 0)?).map_err(errno)
    }

    fn allocate(&self, offset: u64, len: u64, _: u64) -> Result {
        self.writable()?;
        if len == 0 {
            return Err(Errno::Inval);
        }
        let end = end(offset, len)?;
        match os::allocate(&self.file, offset, len).map_err(errno) {
            // It is long enough at least.
            Err(Errno::NotSup) if end > self.data()?.len() => self.file.set_len(end).map_err(errno),
            Err(Errno::NotSup) => Ok(()),
            other => other,
        }
    }

    fn sync(&self, data: bool) -> Result {
        if data { self.file.sync_data() } else { self.file.sync_all() }.map_err(errno)
    }
}
