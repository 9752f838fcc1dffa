//! Nodes and open files of an overlay, as its users hold them.
//!
//! Invariant: what is held is pinned in the table, and nothing that a user gives is called under the lock but the
//! account and both file systems.

use core::any::Any;
use core::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::Shared;
use super::table::Table;
use crate::wasi::fs::mem::dir::Id;
use crate::wasi::fs::{Access, Entry, Errno, File, Kind, Node, Result, Stat, Times};

/// A node that is held.
#[derive(Debug)]
struct Pin {
    fs: Arc<Shared>,
    id: Id,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.fs.lock().unpin(self.id);
    }
}

#[derive(Debug)]
pub(super) struct OverlayNode {
    pin: Pin,
    kind: Kind,
}

/// An open file, wherever it is now.
#[derive(Debug)]
struct OverlayFile {
    pin: Pin,
    access: Access,
    file: Mutex<Layer>,
}

/// A file of one of both file systems.
#[derive(Clone, Debug)]
enum Layer {
    Upper(Arc<dyn File>),
    Lower(Arc<dyn File>),
}

impl OverlayNode {
    /// The node that `find` finds.
    pub(super) fn find(fs: &Arc<Shared>, find: impl FnOnce(&mut Table) -> Result<Id>) -> Result<Arc<dyn Node>> {
        let mut table = fs.lock();
        let id = find(&mut table)?;
        let kind = table.get(id)?.kind;
        table.pin(id);
        drop(table);
        Ok(Arc::new(Self { pin: Pin { fs: fs.clone(), id }, kind }))
    }

    fn id(&self) -> Id {
        self.pin.id
    }

    /// A node of the same file system.
    fn neighbour(&self, node: &dyn Node) -> Result<Id> {
        let node = (node as &dyn Any).downcast_ref::<Self>().filter(|node| Arc::ptr_eq(&node.pin.fs, &self.pin.fs));
        node.map(Self::id).ok_or(Errno::XDev)
    }

    fn check_dir(&self) -> Result {
        if self.kind == Kind::Dir { Ok(()) } else { Err(Errno::NotDir) }
    }

    /// A file that the table has pinned.
    fn file(&self, id: Id, access: Access, file: Layer) -> Arc<dyn File> {
        let pin = Pin { fs: self.pin.fs.clone(), id };
        Arc::new(OverlayFile { pin, access, file: Mutex::new(file) })
    }
}

impl Node for OverlayNode {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn stat(&self) -> Result<Stat> {
        let mut table = self.pin.fs.lock();
        let stat = table.node(self.id())?.stat()?;
        table.stat(self.id(), stat)
    }

    fn set_times(&self, times: Times, now: u64) -> Result {
        self.pin.fs.lock().set_times(self.id(), times, now)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>> {
        let mut table = self.pin.fs.lock();
        if access.write && self.kind == Kind::File {
            table.copy(self.id())?;
        }
        let file = table.node(self.id())?.open(access)?;
        let file = if table.get(self.id())?.in_upper { Layer::Upper(file) } else { Layer::Lower(file) };
        table.pin(self.id());
        drop(table);
        Ok(self.file(self.id(), access, file))
    }

    fn read_link(&self) -> Result<String> {
        self.pin.fs.lock().node(self.id())?.read_link()
    }

    fn lookup(&self, name: &str) -> Result<Arc<dyn Node>> {
        Self::find(&self.pin.fs, |table| table.lookup(self.id(), name))
    }

    fn create(&self, name: &str, access: Access, now: u64) -> Result<Arc<dyn File>> {
        let mut table = self.pin.fs.lock();
        let (id, file) = table.create(self.id(), name, access, now)?;
        table.pin(id);
        drop(table);
        Ok(self.file(id, access, Layer::Upper(file)))
    }

    fn create_dir(&self, name: &str, now: u64) -> Result {
        let made = self.pin.fs.lock().make((self.id(), name), Kind::Dir, now, |upper| upper.create_dir(name, now));
        made.map(drop)
    }

    fn symlink(&self, name: &str, target: &str, now: u64) -> Result {
        let made =
            self.pin.fs.lock().make((self.id(), name), Kind::Link, now, |upper| upper.symlink(name, target, now));
        made.map(drop)
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
            let mut table = self.pin.fs.lock();
            let names: Vec<_> =
                table.dir(self.id())?.after(from).take(at_once).map(|(a, b, c)| (a, b.clone(), c)).collect();
            let batch: Vec<_> =
                names.into_iter().map(|(next, name, id)| Ok((next, name, table.number(id)?))).collect::<Result<_>>()?;
            drop(table);
            let all = batch.len() < at_once;
            for (next, name, (inode, kind)) in batch {
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

    fn sync(&self) -> Result {
        self.check_dir()?;
        let mut table = self.pin.fs.lock();
        if table.get(self.id())?.in_upper { table.upper_node(self.id())?.sync() } else { Ok(()) }
    }
}

impl OverlayFile {
    /// The file as it is now: what was opened in the lower file system may have a copy by now.
    fn now(&self) -> Result<Layer> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Layer::Lower(_) = &*file
            && let Some(copied) = &self.pin.fs.lock().get(self.pin.id)?.copied
        {
            *file = Layer::Upper(copied.clone());
        }
        Ok(file.clone())
    }

    /// The file, to be read if that is allowed.
    fn read(&self) -> Result<Arc<dyn File>> {
        if self.access.read { self.now().map(Layer::file) } else { Err(Errno::BadF) }
    }

    /// The file, to be written if that is allowed.
    fn write(&self) -> Result<Arc<dyn File>> {
        if self.access.write { self.now().map(Layer::file) } else { Err(Errno::BadF) }
    }
}

impl Layer {
    fn file(self) -> Arc<dyn File> {
        let (Self::Upper(file) | Self::Lower(file)) = self;
        file
    }
}

impl File for OverlayFile {
    fn stat(&self) -> Result<Stat> {
        let stat = self.now()?.file().stat()?;
        self.pin.fs.lock().stat(self.pin.id, stat)
    }

    fn set_times(&self, times: Times, now: u64) -> Result {
        match self.now()? {
            Layer::Upper(file) => file.set_times(times, now),
            Layer::Lower(_) => self.pin.fs.lock().set_times(self.pin.id, times, now),
        }
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        self.read()?.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8], now: u64) -> Result<usize> {
        self.write()?.write_at(offset, bytes, now)
    }

    fn append(&self, bytes: &[u8], now: u64) -> Result<(usize, u64)> {
        self.write()?.append(bytes, now)
    }

    fn set_size(&self, size: u64, now: u64) -> Result {
        self.write()?.set_size(size, now)
    }

    fn allocate(&self, offset: u64, len: u64, now: u64) -> Result {
        self.write()?.allocate(offset, len, now)
    }

    fn sync(&self, data: bool) -> Result {
        match self.now()? {
            Layer::Upper(file) => file.sync(data),
            // Nothing was written.
            Layer::Lower(_) => Ok(()),
        }
    }
}
