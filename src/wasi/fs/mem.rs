//! A file system in memory.
//!
//! Idea: one table of nodes behind one lock (`mem/table.rs`); handles are numbers of nodes. What files hold is shared
//! between forks until one of them writes it (`mem/content.rs`).
//!
//! Invariant: what the files are charged for is a sum over them, whatever their history.

mod content;
pub(super) mod dir;
mod node;
mod table;
#[cfg(feature = "archive")]
mod tar;
mod trees;

use core::fmt::{self, Debug, Formatter};
use core::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::content::Content;
use self::node::MemNode;
use self::table::{Body, Id, ROOT, Table};
use super::ledger::Ledger;
use super::{Account, Errno, FileSystem, Kind, Node, Result, Stat};

/// A file system in memory, with a quota: files, directories, hard and symbolic links, times.
///
/// Clones are the same file system. The host uses it by paths, a guest as a [`FileSystem`].
///
/// ```
/// use jitless::wasi::fs::{Change, Changed, Errno, MemFs};
///
/// let template = MemFs::new();
/// template.write("lib/greeting.txt", "hello")?;
/// template.symlink("lib/greeting.txt", "greeting")?;
///
/// // A fork shares what both hold, until one of them changes it.
/// let fs = template.fork();
/// fs.write("out/report.txt", "done")?;
/// fs.remove("lib")?;
/// assert_eq!(template.read("lib/greeting.txt")?, b"hello");
/// assert_eq!(fs.read("lib/greeting.txt"), Err(Errno::NoEnt));
///
/// let changes = fs.diff(&template)?;
/// let changes: Vec<_> = changes.iter().map(|change| (change.how, &*change.path)).collect();
/// assert_eq!(changes, [
///     (Changed::Removed, "lib"),
///     (Changed::Removed, "lib/greeting.txt"),
///     (Changed::Added, "out"),
///     (Changed::Added, "out/report.txt"),
/// ]);
/// # Ok::<(), Errno>(())
/// ```
///
/// # Paths
/// The host's paths go down from the root, `/` between names; a slash in front, empty names and `.` mean nothing. `..`
/// is [`Errno::Inval`], and symbolic links are not followed: a path that goes through one is [`Errno::NotDir`].
///
/// # What is charged
/// The length of each file, holes included; 384 bytes for each file, directory or link but the root; for each name its
/// length and 192 bytes; what a link points to. A file without a name counts as long as it is open. Beyond
/// [`MemFsBuilder::max_bytes`] or [`MemFsBuilder::max_files`], or if the account refuses ([`FileSystem::charge_to`]),
/// is [`Errno::NoSpc`]; a write at the border writes what there is room for. An account is asked while the file system
/// is locked, and must not use it. When nothing refers to the file system any more it gives everything back to the
/// account. A fork has no account until it is given one.
///
/// # Times
/// What the host makes or changes gets the time of [`MemFsBuilder::time`], so that nothing depends on when that was.
#[derive(Clone)]
pub struct MemFs(Arc<Shared>);

/// What clones and handles have in common.
struct Shared {
    table: Mutex<Table>,
    time: u64,
}

/// Bounds of a [`MemFs`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MemFsBuilder {
    max_bytes: u64,
    max_files: u64,
    time: u64,
}

/// What a [`MemFs`] is charged for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Used {
    /// Bytes, as [`MemFs`] says.
    pub bytes: u64,
    /// Files, directories and links, without the root.
    pub files: u64,
}

/// What a walk over a [`MemFs`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Found<'a> {
    /// The path from the root, without a slash in front.
    pub path: &'a str,
    /// What is known of it.
    pub stat: Stat,
}

/// A difference between two trees.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The path from the root, without a slash in front.
    pub path: String,
    /// What happened to it.
    pub how: Changed,
}

/// What happened to a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Changed {
    /// It is new.
    Added,
    /// It is another kind of node, or holds other bytes, or points to something else.
    Modified,
    /// It is gone.
    Removed,
}

/// The text of paths that one list may have, in bytes: a deep tree has paths that are longer than all of its files.
pub(super) const MAX_LIST: usize = 256 << 20;

impl Shared {
    /// A lock that was left by a panic is as good as any: changes are checked before they are made.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemFs {
    /// An empty one that may hold 1 GiB and a million files.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// One with other bounds.
    pub fn builder() -> MemFsBuilder {
        MemFsBuilder { max_bytes: 1 << 30, max_files: 1_000_000, time: 0 }
    }

    /// Makes a file of these bytes, and the directories above it. A file that is there gets new contents, all of them or
    /// none.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result {
        let content = Content::new(bytes.as_ref())?;
        let (mut table, time) = (self.0.lock(), self.0.time);
        let (dir, name) = make_parent(&mut table, path, time)?;
        match table.lookup(dir, name) {
            Ok(id) => table.set_content(id, content, time),
            Err(_) => table.make(dir, name, Body::File(content), time).map(drop),
        }
    }

    /// What a file holds.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let table = self.0.lock();
        table.get(find(&table, names(path)?)?)?.file()?.to_vec()
    }

    /// Makes a directory and those above it, as far as they are not there.
    pub fn create_dir_all(&self, path: &str) -> Result {
        make_dirs(&mut self.0.lock(), names(path)?, self.0.time).map(drop)
    }

    /// Makes a symbolic link, and the directories above it. It may point to anything that has 1 to 4096 bytes and no
    /// zero byte.
    pub fn symlink(&self, target: &str, path: &str) -> Result {
        let mut table = self.0.lock();
        let (dir, name) = make_parent(&mut table, path, self.0.time)?;
        table.make_link(dir, name, target, self.0.time)
    }

    /// What a symbolic link points to.
    pub fn read_link(&self, path: &str) -> Result<String> {
        self.node(path)?.read_link()
    }

    /// Gives a file or a link one more name, and makes the directories above that.
    pub fn hard_link(&self, original: &str, path: &str) -> Result {
        let mut table = self.0.lock();
        let id = find(&table, names(original)?)?;
        let (dir, name) = make_parent(&mut table, path, self.0.time)?;
        table.link(dir, name, id, self.0.time)
    }

    /// Removes a file, a link, or a directory with all that is in it. The root stays ([`Errno::Busy`]).
    pub fn remove(&self, path: &str) -> Result {
        let (dirs, name) = split(path)?;
        let mut table = self.0.lock();
        let dir = find(&table, dirs)?;
        table.remove_all(dir, name.ok_or(Errno::Busy)?, self.0.time)
    }

    /// Is there anything of this path?
    pub fn exists(&self, path: &str) -> bool {
        names(path).and_then(|names| find(&self.0.lock(), names)).is_ok()
    }

    /// What is known of what has this path.
    pub fn stat(&self, path: &str) -> Result<Stat> {
        let table = self.0.lock();
        Ok(table.get(find(&table, names(path)?)?)?.stat())
    }

    /// The names in a directory, in order.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let table = self.0.lock();
        let dir = table.get(find(&table, names(path)?)?)?.dir()?;
        Ok(dir.sorted().into_iter().map(|(name, _)| name.to_string()).collect())
    }

    /// The node of a path.
    pub fn node(&self, path: &str) -> Result<Arc<dyn Node>> {
        MemNode::find(&self.0, |table| find(table, names(path)?))
    }

    /// Shows all there is but the root until `sink` breaks off: directories before what is in them, names in order. It
    /// is what was there when the walk began.
    pub fn walk(&self, mut sink: impl FnMut(Found<'_>) -> ControlFlow<()>) {
        let table = self.0.lock().fork();
        trees::walk([Some(&table), None], |path, [node, _]| match node {
            Some((_, inode)) => sink(Found { path, stat: inode.stat() }),
            None => ControlFlow::Continue(()),
        });
    }

    /// A file system with the same files, of which nothing is open. What both hold they share, until one of them changes
    /// it. Bounds and the host's time are the same.
    pub fn fork(&self) -> Self {
        let table = self.0.lock().fork();
        Self(Arc::new(Shared { table: Mutex::new(table), time: self.0.time }))
    }

    /// What is here and was not in `before`, is other than there, or was there and is not here; in the order of paths.
    /// Times do not matter. If the paths have more than 256 MiB it is [`Errno::NoMem`].
    pub fn diff(&self, before: &Self) -> Result<Vec<Change>> {
        let new = self.0.lock().fork();
        let old = before.0.lock().fork();
        let (mut changes, mut left) = (Vec::new(), Some(MAX_LIST));
        trees::walk([Some(&new), Some(&old)], |path, nodes| {
            let how = match nodes {
                [Some((_, new)), Some((_, old))] if trees::same(new, old) => return ControlFlow::Continue(()),
                [Some(_), Some(_)] => Changed::Modified,
                [Some(_), None] => Changed::Added,
                _ => Changed::Removed,
            };
            left = left.and_then(|left| left.checked_sub(path.len()));
            if left.is_none() {
                return ControlFlow::Break(());
            }
            changes.push(Change { path: path.into(), how });
            ControlFlow::Continue(())
        });
        left.map(|_| changes).ok_or(Errno::NoMem)
    }

    /// What it is charged for.
    pub fn used(&self) -> Used {
        let table = self.0.lock();
        Used { bytes: table.ledger.bytes(), files: table.ledger.files() }
    }

    /// The bytes that it may be charged for.
    pub fn max_bytes(&self) -> u64 {
        self.0.lock().ledger.max_bytes
    }

    /// The files, directories and links that it may have.
    pub fn max_files(&self) -> u64 {
        self.0.lock().ledger.max_files
    }
}

impl MemFsBuilder {
    /// The bytes that it may be charged for. They are 1 GiB if nothing is said.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// The files, directories and links that it may have, besides the root. A million if nothing is said.
    pub fn max_files(self, max_files: u64) -> Self {
        Self { max_files, ..self }
    }

    /// The time of what the host makes or changes, in nanoseconds since 1970 began. 0 if nothing is said.
    pub fn time(self, time: u64) -> Self {
        Self { time, ..self }
    }

    /// An empty file system.
    pub fn build(self) -> MemFs {
        let table = Table::new(Ledger::new(self.max_bytes, self.max_files), self.time);
        MemFs(Arc::new(Shared { table: Mutex::new(table), time: self.time }))
    }
}

impl FileSystem for MemFs {
    fn root(&self) -> Result<Arc<dyn Node>> {
        MemNode::find(&self.0, |_| Ok(ROOT))
    }

    fn charge_to(&self, account: Arc<dyn Account>) -> Result {
        self.0.lock().ledger.charge_to(account)
    }
}

impl Default for MemFs {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for MemFs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemFs").field(&self.used()).finish()
    }
}

impl Debug for Shared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The names of a path, from the root down.
pub(super) fn names(path: &str) -> Result<Vec<&str>> {
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    names.map(check_name).collect()
}

fn check_name(name: &str) -> Result<&str> {
    match name {
        ".." => Err(Errno::Inval),
        name if name.contains('\0') => Err(Errno::Inval),
        name if name.len() > 255 => Err(Errno::NameTooLong),
        name => Ok(name),
    }
}

/// The names above, and the last one, which the root has not.
fn split(path: &str) -> Result<(Vec<&str>, Option<&str>)> {
    let mut names = names(path)?;
    let last = names.pop();
    Ok((names, last))
}

fn find<'a>(table: &Table, names: impl IntoIterator<Item = &'a str>) -> Result<Id> {
    names.into_iter().try_fold(ROOT, |dir, name| table.lookup(dir, name))
}

fn make_dirs<'a>(table: &mut Table, names: impl IntoIterator<Item = &'a str>, time: u64) -> Result<Id> {
    names.into_iter().try_fold(ROOT, |dir, name| match table.lookup(dir, name) {
        Err(Errno::NoEnt) => table.make_dir(dir, name, time),
        Ok(id) if table.get(id)?.kind() != Kind::Dir => Err(Errno::NotDir),
        found => found,
    })
}

/// The directory that a path is in, which is made if it is not there, and the last name.
fn make_parent<'a>(table: &mut Table, path: &'a str, time: u64) -> Result<(Id, &'a str)> {
    let (dirs, name) = split(path)?;
    Ok((make_dirs(table, dirs, time)?, name.ok_or(Errno::IsDir)?))
}
