//! Nodes and open files of a file system in memory, as its users hold them.
//!
//! Invariant: what is held is pinned in the table, and nothing that a user gives is called under the lock but the
//! account.

use core::any::Any;
use core::ops::ControlFlow;
use std::sync::Arc;

use super::Shared;
use super::content::Content;
use super::table::{Body, Id, Table};
use crate::wasi::fs::{Access, Entry, Errno, File, Kind, MAX_SIZE, Node, Result, Stat, Times};

/// A place in the table that is held.
#[derive(Debug)]
struct Pin {
    fs: Arc<Shared>,
    id: Id,
}

impl Pin {
    fn new(fs: &Arc<Shared>, id: Id) -> Self {
        Self { fs: fs.clone(), id }
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.fs.lock().get(self.id)?.stat())
    }

    fn set_times(&self, times: Times, now: u64) -> Result {
        self.fs.lock().set_times(self.id, times, now)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.fs.lock().unpin(self.id);
    }
}

#[derive(Debug)]
pub(super) struct MemNode {
    pin: Pin,
    kind: Kind,
}

#[derive(Debug)]
struct MemFile {
    pin: Pin,
    access: Access,
}

impl MemNode {
    /// The node that `find` finds.
    pub(super) fn find(fs: &Arc<Shared>, find: impl FnOnce(&Table) -> Result<Id>) -> Result<Arc<dyn Node>> {
        let mut table = fs.lock();
        let id = find(&table)?;
        let kind = table.get(id)?.kind();
        table.pin(id);
        drop(table);
        Ok(Arc::new(Self { pin: Pin::new(fs, id), kind }))
    }

    fn id(&self) -> Id {
        self.pin.id
    }

    /// A node of the same file system.
    fn neighbour(&self, node: &dyn Node) -> Result<Id> {
        let node = (node as &dyn Any).downcast_ref::<Self>().filter(|node| Arc::ptr_eq(&node.pin.fs, &self.pin.fs));
        node.map(Self::id).ok_or(Errno::XDev)
    }

    fn file(&self, id: Id, access: Access) -> Arc<dyn File> {
        Arc::new(MemFile { pin: Pin::new(&self.pin.fs, id), access })
    }

    fn check_dir(&self) -> Result {
        if self.kind == Kind::Dir { Ok(()) } else { Err(Errno::NotDir) }
    }
}

impl Node for MemNode {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn stat(&self) -> Result<Stat> {
        self.pin.stat()
    }

    fn set_times(&self, times: Times, now: u64) -> Result {
        self.pin.set_times(times, now)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>> {
        let mut table = self.pin.fs.lock();
        table.get(self.id())?.file()?;
        table.pin(self.id());
        drop(table);
        Ok(self.file(self.id(), access))
    }

    fn read_link(&self) -> Result<String> {
        match &self.pin.fs.lock().get(self.id())?.body {
            Body::Link(target) => Ok(target.to_string()),
            _ => Err(Errno::Inval),
        }
    }

    fn lookup(&self, name: &str) -> Result<Arc<dyn Node>> {
        Self::find(&self.pin.fs, |table| table.lookup(self.id(), name))
    }

    fn create(&self, name: &str, access: Access, now: u64) -> Result<Arc<dyn File>> {
        let mut table = self.pin.fs.lock();
        let id = table.make(self.id(), name, Body::File(Content::default()), now)?;
        table.pin(id);
        drop(table);
        Ok(self.file(id, access))
    }

    fn create_dir(&self, name: &str, now: u64) -> Result {
        self.pin.fs.lock().make_dir(self.id(), name, now).map(drop)
    }

    fn symlink(&self, name: &str, target: &str, now: u64) -> Result {
        self.pin.fs.lock().make_link(self.id(), name, target, now)
    }

    fn link(&self, name: &str, node: &dyn Node, now: u64) -> Result {
        self.check_dir()?;
        let id = self.neighbour(node)?;
        self.pin.fs.lock().link(self.id(), name, id, now)
    }

    fn unlink(&self, name: &str, now: u64) -> Result {
        self.pin.fs.lock().unlink(self.id(), name, now)
    }

    fn remove_dir(&self, name: &str, now: u64) -> Result {
        self.pin.fs.lock().remove_dir(self.id(), name, now)
    }

    fn rename(&self, name: &str, to: &dyn Node, to_name: &str, now: u64) -> Result {
        self.check_dir()?;
        let to = self.neighbour(to)?;
        self.pin.fs.lock().rename(self.id(), name, to, to_name, now)
    }

    /// Entries are taken out of the table a few at a time, and more each time, so that what is not wanted costs no more
    /// than what is.
    fn read_dir(&self, mut from: u64, sink: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result {
        let mut at_once = 4;
        loop {
            let mut batch = Vec::with_capacity(at_once);
            let table = self.pin.fs.lock();
            for (cookie, name, id) in table.get(self.id())?.dir()?.after(from).take(at_once) {
                let inode = table.get(id)?;
                batch.push((cookie, name.clone(), inode.number(), inode.kind()));
            }
            drop(table);
            let all = batch.len() < at_once;
            for (next, name, inode, kind) in batch {
                if sink(Entry { name: &name, inode, kind, next }).is_break() {
                    return Ok(());
                }
                from = next;
            }
            if all {
                return Ok(());
            }
            at_once = (2 * at_once).min(256);
        }
    }
}

impl MemFile {
    fn check(&self, allowed: bool) -> Result {
        if allowed { Ok(()) } else { Err(Errno::BadF) }
    }
}

impl File for MemFile {
    fn stat(&self) -> Result<Stat> {
        self.pin.stat()
    }

    fn set_times(&self, times: Times, now: u64) -> Result {
        self.pin.set_times(times, now)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        self.check(self.access.read)?;
        Ok(self.pin.fs.lock().get(self.pin.id)?.file()?.read(offset, bytes))
    }

    fn write_at(&self, offset: u64, bytes: &[u8], now: u64) -> Result<usize> {
        self.check(self.access.write)?;
        self.pin.fs.lock().write(self.pin.id, offset, bytes, now)
    }

    fn append(&self, bytes: &[u8], now: u64) -> Result<(usize, u64)> {
        self.check(self.access.write)?;
        let mut table = self.pin.fs.lock();
        let end = table.get(self.pin.id)?.file()?.size();
        let written = table.write(self.pin.id, end, bytes, now)?;
        Ok((written, end + written as u64))
    }

    fn set_size(&self, size: u64, now: u64) -> Result {
        self.check(self.access.write)?;
        if size > MAX_SIZE {
            return Err(Errno::FBig);
        }
        self.pin.fs.lock().set_size(self.pin.id, size, now)
    }

    /// There is room for what was charged.
    fn allocate(&self, offset: u64, len: u64, now: u64) -> Result {
        self.check(self.access.write)?;
        if len == 0 {
            return Err(Errno::Inval);
        }
        let end = offset.checked_add(len).filter(|&end| end <= MAX_SIZE).ok_or(Errno::FBig)?;
        let mut table = self.pin.fs.lock();
        if table.get(self.pin.id)?.file()?.size() < end {
            table.set_size(self.pin.id, end, now)?;
        }
        Ok(())
    }
}
