//! Two file systems as one: the lower one is only read, all changes go to the upper one.
//!
//! Idea: what there is and where is in one flat table (`overlay/table.rs`), filled directory by directory when a guest
//! first looks into one. A name that was taken away is simply not in the table any more, a directory that was moved has
//! another place there; so nothing has to be written into the upper one but what the guest writes.
//!
//! # Invariant
//! 1. The lower file system is never changed.
//! 2. In the upper one each node has the place that it has in the table.

mod changes;
mod copy;
mod layers;
mod node;
mod table;

use core::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::node::OverlayNode;
use self::table::{ROOT, Table};
use super::mem::names;
use super::{Access, Account, Change, Errno, FileSystem, Node, Result};

/// A file system in which everything can be changed, over one that stays as it is.
///
/// Clones are the same file system.
///
/// ```
/// use jitless::wasi::fs::{Access, Changed, Errno, FileSystem, MemFs, OverlayFs};
///
/// let lower = MemFs::new();
/// lower.write("greeting.txt", "hello")?;
/// let upper = MemFs::new();
/// let fs = OverlayFs::new(lower.clone(), upper.clone());
///
/// // As a guest does it.
/// let file = fs.root()?.lookup("greeting.txt")?.open(Access { read: false, write: true })?;
/// file.write_at(0, b"j", 0)?;
///
/// assert_eq!(fs.read("greeting.txt")?, b"jello");
/// assert_eq!(lower.read("greeting.txt")?, b"hello");
/// assert_eq!(upper.read("greeting.txt")?, b"jello");
/// let changes = fs.diff()?;
/// assert_eq!((changes[0].how, &*changes[0].path), (Changed::Modified, "greeting.txt"));
/// # Ok::<(), Errno>(())
/// ```
///
/// # Both file systems
/// Nobody else may change either as long as this one is in use; what is changed may be seen, or not. The upper one may
/// have files from the start: they hide what has their names in the lower one, directories are merged. What was removed
/// is known to this object alone, so the upper one by itself does not make the same tree again; [`Self::diff`] says what
/// to remove.
///
/// # When a file is copied
/// When it is first opened to be written, gets new times, one more name, or another name; all of it, within one call. A
/// directory is made in the upper one when something in it changes; what is in it is not copied, also when it moves. A
/// file that was opened before sees what is written after. A lower file that has no name any more is not copied: who
/// still holds its node can open it to be read only, else it is [`Errno::NoEnt`]. Nodes that are no files, directories
/// and links cannot change ([`Errno::NotSup`]), but be removed.
///
/// # What is kept in memory
/// 512 bytes for each node in a directory that was looked into, and for each name its length and 192 bytes. This is
/// charged to the account that the overlay and with it the upper file system is given, not the lower one. There may be a
/// million nodes; beyond is [`Errno::NoSpc`].
///
/// # Hard links
/// Names of one lower file are names of one file here, too. But if a file was copied, and all names of it that were seen
/// are gone, those in directories that nobody looked into have what was there before.
#[derive(Clone)]
pub struct OverlayFs(Arc<Shared>);

/// What clones and handles have in common.
struct Shared {
    upper: Arc<dyn FileSystem>,
    table: Mutex<Table>,
}

impl OverlayFs {
    /// A tree that looks like `lower` at first, with whatever is in `upper`.
    pub fn new(lower: impl FileSystem, upper: impl FileSystem) -> Self {
        let upper: Arc<dyn FileSystem> = Arc::new(upper);
        let table = Mutex::new(Table::new(Arc::new(lower), upper.clone()));
        Self(Arc::new(Shared { upper, table }))
    }

    /// How the tree differs from the lower one, in the order of paths. What is in a directory that is new or gone is
    /// listed, too. Times do not matter. If the paths have more than 256 MiB it is [`Errno::NoMem`].
    pub fn diff(&self) -> Result<Vec<Change>> {
        changes::diff(&mut self.0.lock())
    }

    /// What a file holds. A path goes down from the root, `/` between names; links are not followed.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let mut node = self.root()?;
        for name in names(path)? {
            node = node.lookup(name)?;
        }
        let file = node.open(Access { read: true, write: false })?;
        let mut bytes = Vec::new();
        loop {
            let done = bytes.len();
            let size = usize::try_from(file.stat()?.size).map_err(|_| Errno::NoMem)?;
            // One more, to see that it is the end.
            let wanted = size.saturating_sub(done).saturating_add(1);
            bytes.try_reserve_exact(wanted)?;
            bytes.resize(done + wanted, 0);
            let read = file.read_at(done as u64, &mut bytes[done..])?;
            bytes.truncate(done + read);
            if read == 0 {
                return Ok(bytes);
            }
        }
    }
}

impl Shared {
    /// A lock that was left by a panic is as good as any: changes are checked before they are made.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileSystem for OverlayFs {
    fn root(&self) -> Result<Arc<dyn Node>> {
        OverlayNode::find(&self.0, |_| Ok(ROOT))
    }

    fn read_only(&self) -> bool {
        self.0.upper.read_only()
    }

    fn charge_to(&self, account: Arc<dyn Account>) -> Result {
        self.0.upper.charge_to(account.clone())?;
        self.0.lock().ledger.charge_to(account)
    }
}

impl Debug for OverlayFs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverlayFs").field("upper", &self.0.upper).finish_non_exhaustive()
    }
}

impl Debug for Shared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
