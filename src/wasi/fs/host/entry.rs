//! Nodes of the host: open directories, and names in them.

use core::any::Any;
use core::ops::ControlFlow;
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, PoisonError};

use cap_fs_ext::{
    DirExt, FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt, SystemTimeSpec as TimeSpec,
};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use cap_std::time::SystemTime;

use super::error::errno;
use super::file::{HostFile, no_file};
use super::listing::Listing;
use super::{Tree, host_time, kind, os};
use crate::wasi::fs::{Access, Entry, Errno, File, Kind, Node, Result, Stat, Times};

/// A place in a folder.
#[derive(Debug)]
pub(super) struct HostNode {
    tree: Arc<Tree>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Dir { dir: Arc<Dir>, listing: Mutex<Option<Arc<Listing>>> },
    Name { parent: Arc<Dir>, name: Box<str>, kind: Kind, inode: u64 },
}

impl HostNode {
    pub(super) fn dir(tree: &Arc<Tree>, dir: Arc<Dir>) -> Self {
        Self { tree: tree.clone(), place: Place::Dir { dir, listing: Mutex::new(None) } }
    }

    /// The directory that it is.
    fn handle(&self) -> Result<&Arc<Dir>> {
        match &self.place {
            Place::Dir { dir, .. } => Ok(dir),
            Place::Name { .. } => Err(Errno::NotDir),
        }
    }

    /// The directory that it is, to change what `name` names in it.
    fn change(&self, name: &str) -> Result<&Arc<Dir>> {
        let dir = self.handle()?;
        self.tree.writable()?;
        single(name)?;
        Ok(dir)
    }

    /// What `node` is in this folder. Other file systems have nodes of other types, or of another tree.
    fn same_tree<'a>(&self, node: &'a dyn Node) -> Result<&'a Self> {
        let node = (node as &dyn Any).downcast_ref::<Self>().filter(|node| Arc::ptr_eq(&node.tree, &self.tree));
        node.ok_or(Errno::XDev)
    }

    /// What is known of the node. Only of the one that was looked up.
    fn data(&self) -> Result<Metadata> {
        match &self.place {
            Place::Dir { dir, .. } => dir.dir_metadata().map_err(errno),
            Place::Name { parent, name, inode, .. } => {
                let data = parent.symlink_metadata(&**name).map_err(errno)?;
                if self.tree.inode(data.dev(), data.ino()) == *inode { Ok(data) } else { Err(Errno::NoEnt) }
            }
        }
    }
}

/// Is it one name, as the host sees it? The walker of paths has made sure of it; but it is all that keeps a guest
/// inside, and hosts have their own ideas of what separates names.
pub(super) fn single(name: &str) -> Result {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) if part == name => Ok(()),
        _ => Err(Errno::Inval),
    }
}

fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    // What may have taken the name meanwhile is not waited for, a pipe without a writer, say.
    options.write(access.write).follow(FollowSymlinks::No).nonblock(true);
    options
}

fn spec(nanos: Option<u64>) -> Option<TimeSpec> {
    Some(TimeSpec::Absolute(SystemTime::from_std(host_time(nanos?)?)))
}

impl Node for HostNode {
    fn kind(&self) -> Kind {
        match &self.place {
            Place::Dir { .. } => Kind::Dir,
            Place::Name { kind, .. } => *kind,
        }
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.tree.stat(&self.data()?))
    }

    fn set_times(&self, times: Times, _: u64) -> Result {
        self.tree.writable()?;
        let (accessed, modified) = (spec(times.accessed), spec(times.modified));
        match &self.place {
            Place::Dir { dir, .. } => dir.set_times(".", accessed, modified),
            Place::Name { parent, name, .. } => parent.set_symlink_times(&**name, accessed, modified),
        }
        .map_err(errno)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>> {
        let Place::Name { parent, name, kind: Kind::File, inode } = &self.place else {
            return Err(no_file(self.kind()));
        };
        if access.write {
            self.tree.writable()?;
        }
        // The host has to be asked for one of both.
        let mut options = options(access);
        options.read(access.read || !access.write);
        let file = parent.open_with(&**name, &options).map_err(errno)?;
        let (file, found) = HostFile::new(&self.tree, file, access)?;
        if found == *inode { Ok(Arc::new(file)) } else { Err(Errno::NoEnt) }
    }

    fn read_link(&self) -> Result<String> {
        let Place::Name { parent, name, kind: Kind::Link, .. } = &self.place else {
            return Err(Errno::Inval);
        };
        let target = parent.read_link_contents(&**name).map_err(errno)?;
        target.into_os_string().into_string().map_err(|_| Errno::IlSeq)
    }

    fn lookup(&self, name: &str) -> Result<Arc<dyn Node>> {
        let parent = self.handle()?;
        single(name)?;
        let data = parent.symlink_metadata(name).map_err(errno)?;
        let kind = kind(data.file_type());
        if kind == Kind::Dir {
            let dir = parent.open_dir_nofollow(name).map_err(errno)?;
            return Ok(Arc::new(Self::dir(&self.tree, Arc::new(dir))));
        }
        let inode = self.tree.inode(data.dev(), data.ino());
        let place = Place::Name { parent: parent.clone(), name: name.into(), kind, inode };
        Ok(Arc::new(Self { tree: self.tree.clone(), place }))
    }

    fn create(&self, name: &str, access: Access, _: u64) -> Result<Arc<dyn File>> {
        let dir = self.change(name)?;
        let mut options = options(access);
        // A host that makes a file wants it to be written.
        options.read(access.read).write(true).create_new(true);
        let file = dir.open_with(name, &options).map_err(errno)?;
        Ok(Arc::new(HostFile::new(&self.tree, file, access)?.0))
    }

    fn create_dir(&self, name: &str, _: u64) -> Result {
        self.change(name)?.create_dir(name).map_err(errno)
    }

    fn symlink(&self, name: &str, target: &str, _: u64) -> Result {
        os::symlink(self.change(name)?, name, target).map_err(errno)
    }

    fn link(&self, name: &str, node: &dyn Node, _: u64) -> Result {
        let dir = self.change(name)?;
        match &self.same_tree(node)?.place {
            Place::Dir { .. } => Err(if dir.symlink_metadata(name).is_ok() { Errno::Exist } else { Errno::Perm }),
            Place::Name { parent, name: old, .. } => parent.hard_link(&**old, dir, name).map_err(errno),
        }
    }

    fn unlink(&self, name: &str, _: u64) -> Result {
        let dir = self.change(name)?;
        dir.remove_file_or_symlink(name).map_err(|error| match errno(error) {
            // So some hosts say that it is a directory.
            Errno::Perm | Errno::Acces if is_dir(dir, name) => Errno::IsDir,
            other => other,
        })
    }

    fn remove_dir(&self, name: &str, _: u64) -> Result {
        self.change(name)?.remove_dir(name).map_err(not_empty)
    }

    fn rename(&self, name: &str, to: &dyn Node, to_name: &str, _: u64) -> Result {
        let dir = self.change(name)?;
        let to = self.same_tree(to)?.change(to_name)?;
        dir.rename(name, to, to_name).map_err(not_empty)
    }

    fn read_dir(&self, from: u64, sink: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result {
        let Place::Dir { dir, listing } = &self.place else {
            return Err(Errno::NotDir);
        };
        let listing = {
            let mut last = listing.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                Some(listing) if from > 0 => listing.clone(),
                _ => {
                    // The old one goes first, so that two are never paid for.
                    *last = None;
                    let device = dir.dir_metadata().map_err(errno)?.dev();
                    last.insert(Arc::new(Listing::read(&self.tree, dir, device)?)).clone()
                }
            }
        };
        for entry in listing.from(from) {
            if sink(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result {
        let synced = self.handle()?.open(".").and_then(|dir| dir.sync_all());
        match synced.map_err(errno) {
            // Not all hosts have directories that can be told to.
            Err(Errno::Inval | Errno::IsDir | Errno::NotSup | Errno::Acces) => Ok(()),
            other => other,
        }
    }
}

fn is_dir(dir: &Dir, name: &str) -> bool {
    dir.symlink_metadata(name).is_ok_and(|data| data.is_dir())
}

/// Where a directory has to be empty, some hosts say that there is something.
fn not_empty(error: io::Error) -> Errno {
    match errno(error) {
        Errno::Exist => Errno::NotEmpty,
        other => other,
    }
}
