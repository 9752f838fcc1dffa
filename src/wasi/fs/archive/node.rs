//! Nodes and open files of an archive.
//!
//! Invariant: a file is unpacked once for all that have it open, and is charged for as long as one has.

use core::ops::ControlFlow;
use std::io::Read;
use std::sync::{Arc, MutexGuard, PoisonError};

use flate2::{Crc, read::DeflateDecoder};

use super::tree::{Body, Id, Leaf, Packing, ROOT};
use super::{Archive, Open};
use crate::wasi::fs::{Access, Entry, Errno, File, Kind, Node, Result, Stat, Times};

#[derive(Debug)]
pub(super) struct ArchiveNode {
    archive: Arc<Archive>,
    id: Id,
}

#[derive(Debug)]
struct ArchiveFile {
    archive: Arc<Archive>,
    id: Id,
    access: Access,
    /// If the archive's own bytes do not have it.
    unpacked: Option<Arc<Unpacked>>,
}

/// A file that is unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    archive: Arc<Archive>,
    id: Id,
    bytes: Vec<u8>,
}

impl Archive {
    /// A lock that was left by a panic is as good as any.
    pub(super) fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaf(&self, id: Id) -> Result<&Leaf> {
        self.tree.get(id).ok_or(Errno::Stale)
    }

    fn names(&self, id: Id) -> Result<&[(Box<str>, Id)]> {
        let leaf = self.leaf(id)?;
        if kind(leaf) == Kind::Dir { Ok(&leaf.names) } else { Err(Errno::NotDir) }
    }

    fn stat(&self, id: Id) -> Result<Stat> {
        let leaf = self.leaf(id)?;
        let size = match &leaf.body {
            Body::Dir { .. } => leaf.names.len() as u64,
            Body::File(packing) => packing.size(),
            Body::Link(target) => target.len() as u64,
        };
        let (kind, links, time) = (kind(leaf), leaf.links, leaf.time);
        let inode = u64::from(id) + 1;
        Ok(Stat { device: 0, inode, kind, links, size, accessed: time, modified: time, changed: time })
    }

    fn slice(&self, range: &core::ops::Range<usize>) -> Result<&[u8]> {
        self.bytes.get(range.clone()).ok_or(Errno::Io)
    }

    /// Unpacks a file, if nobody did.
    fn unpack(self: &Arc<Self>, id: Id) -> Result<Option<Arc<Unpacked>>> {
        let Body::File(Packing::Deflated { range, size, sum }) = &self.leaf(id)?.body else { return Ok(None) };
        let mut open = self.open();
        if let Some(unpacked) = open.files.get(&id).and_then(|file| file.upgrade()) {
            return Ok(Some(unpacked));
        }
        open.ledger.charge(*size).map_err(|_| Errno::NoMem)?;
        match inflate(self.slice(range)?, *size, *sum) {
            Ok(bytes) => {
                let unpacked = Arc::new(Unpacked { archive: self.clone(), id, bytes });
                open.files.insert(id, Arc::downgrade(&unpacked));
                Ok(Some(unpacked))
            }
            Err(error) => {
                open.ledger.release(*size);
                Err(error)
            }
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let mut open = self.archive.open();
        // Unless somebody opened it again in the meantime.
        if open.files.get(&self.id).is_some_and(|file| file.strong_count() == 0) {
            open.files.remove(&self.id);
        }
        open.ledger.release(self.bytes.len() as u64);
    }
}

/// Unpacks what has this size and this sum, and nothing else.
pub(super) fn inflate(packed: &[u8], size: u64, sum: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = usize::try_from(size).map_err(|_| Errno::NoMem)?;
    bytes.try_reserve_exact(size)?;
    bytes.resize(size, 0);
    let mut decoder = DeflateDecoder::new(packed);
    decoder.read_exact(&mut bytes).map_err(|_| Errno::Io)?;
    let more = decoder.read(&mut [0]).map_err(|_| Errno::Io)?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    if more > 0 || crc.sum() != sum { Err(Errno::Io) } else { Ok(bytes) }
}

fn kind(leaf: &Leaf) -> Kind {
    match leaf.body {
        Body::Dir { .. } => Kind::Dir,
        Body::File(_) => Kind::File,
        Body::Link(_) => Kind::Link,
    }
}

impl ArchiveNode {
    pub(super) fn root(archive: &Arc<Archive>) -> Arc<dyn Node> {
        Arc::new(Self { archive: archive.clone(), id: ROOT })
    }

    /// What every change of a directory comes to.
    fn refuse<T>(&self) -> Result<T> {
        self.archive.names(self.id)?;
        Err(Errno::RoFs)
    }
}

impl Node for ArchiveNode {
    fn kind(&self) -> Kind {
        self.archive.leaf(self.id).map_or(Kind::Other, kind)
    }

    fn stat(&self) -> Result<Stat> {
        self.archive.stat(self.id)
    }

    fn set_times(&self, _: Times, _: u64) -> Result {
        Err(Errno::RoFs)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>> {
        match self.archive.leaf(self.id)?.body {
            Body::Dir { .. } => Err(Errno::IsDir),
            Body::Link(_) => Err(Errno::Loop),
            Body::File(_) if access.write => Err(Errno::RoFs),
            Body::File(_) => {
                let unpacked = if access.read { self.archive.unpack(self.id)? } else { None };
                Ok(Arc::new(ArchiveFile { archive: self.archive.clone(), id: self.id, access, unpacked }))
            }
        }
    }

    fn read_link(&self) -> Result<String> {
        match &self.archive.leaf(self.id)?.body {
            Body::Link(target) => Ok(target.to_string()),
            _ => Err(Errno::Inval),
        }
    }

    fn lookup(&self, name: &str) -> Result<Arc<dyn Node>> {
        let names = self.archive.names(self.id)?;
        let at = names.binary_search_by(|(other, _)| (**other).cmp(name)).map_err(|_| Errno::NoEnt)?;
        let (_, id) = names.get(at).ok_or(Errno::NoEnt)?;
        Ok(Arc::new(Self { archive: self.archive.clone(), id: *id }))
    }

    fn create(&self, _: &str, _: Access, _: u64) -> Result<Arc<dyn File>> {
        self.refuse()
    }

    fn create_dir(&self, _: &str, _: u64) -> Result {
        self.refuse()
    }

    fn symlink(&self, _: &str, _: &str, _: u64) -> Result {
        self.refuse()
    }

    fn link(&self, _: &str, _: &dyn Node, _: u64) -> Result {
        self.refuse()
    }

    fn unlink(&self, _: &str, _: u64) -> Result {
        self.refuse()
    }

    fn remove_dir(&self, _: &str, _: u64) -> Result {
        self.refuse()
    }

    fn rename(&self, _: &str, _: &dyn Node, _: &str, _: u64) -> Result {
        self.refuse()
    }

    fn read_dir(&self, from: u64, sink: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result {
        let names = self.archive.names(self.id)?;
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        for (next, (name, id)) in (1..).zip(names).skip(skip) {
            let kind = kind(self.archive.leaf(*id)?);
            if sink(Entry { name, inode: u64::from(*id) + 1, kind, next }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl File for ArchiveFile {
    fn stat(&self) -> Result<Stat> {
        self.archive.stat(self.id)
    }

    fn set_times(&self, _: Times, _: u64) -> Result {
        Err(Errno::RoFs)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        if !self.access.read {
            return Err(Errno::BadF);
        }
        let all = match (&self.unpacked, &self.archive.leaf(self.id)?.body) {
            (Some(unpacked), _) => &*unpacked.bytes,
            (None, Body::File(Packing::Plain(range))) => self.archive.slice(range)?,
            _ => return Err(Errno::Io),
        };
        let from = usize::try_from(offset).map_or(all.len(), |offset| offset.min(all.len()));
        let len = bytes.len().min(all.len() - from);
        bytes[..len].copy_from_slice(&all[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, _: u64, _: &[u8], _: u64) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn append(&self, _: &[u8], _: u64) -> Result<(usize, u64)> {
        Err(Errno::BadF)
    }

    fn set_size(&self, _: u64, _: u64) -> Result {
        Err(Errno::BadF)
    }

    fn allocate(&self, _: u64, _: u64, _: u64) -> Result {
        Err(Errno::BadF)
    }
}
