//! Folders of the host: a file system that is a folder, and all that is in it.
//!
//! Idea: a directory is an open handle, all else is a name in one. Each operation is one name in an open directory, and
//! the last link is never followed. So there is no path that could lead out, and nothing to win by changing the folder
//! while a guest walks through it: links that lie in it, whoever put them there, are read, and what they mean is decided
//! by whoever walks the tree.
//!
//! Invariant: a name is checked once more before the host sees it ([`entry::single`]).

mod entry;
mod error;
mod file;
mod listing;
mod os;

use core::hash::{BuildHasher, BuildHasherDefault};
use core::time::Duration;
use std::hash::DefaultHasher;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cap_fs_ext::{FileTypeExt, MetadataExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, Metadata};

use self::entry::HostNode;
use super::ledger::Ledger;
use super::{Account, Errno, FileSystem, Kind, Node, Result, Stat};

/// A folder of the host as a file system.
///
/// ```no_run
/// use jitless::wasi::fs::HostDir;
///
/// let data = HostDir::open_read_only("data")?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A guest sees what is in the folder and nothing else, also when links in it point elsewhere, whether they were there
/// or come meanwhile. What it may do is what the host's process may do there.
///
/// # What is different
/// - Names that are not UTF-8 are not listed, and a link whose target is not has no target ([`Errno::IlSeq`]).
/// - Pipes, sockets and devices have names and times, but cannot be opened ([`Errno::NotSup`]).
/// - The host keeps its own clock; only times that are set are the guest's. It may note when something was read.
/// - A listing is made when it is read from the start, and is sorted by name. It takes memory, which is charged; all
///   listings of one folder together may take 64 MiB ([`Errno::NoSpc`]).
/// - A node of anything but a directory is a name. Once that is gone, or another node has it, it is [`Errno::NoEnt`];
///   files that are open go on.
/// - Appending is one step among guests. To other processes of the host it is not.
/// - Where the host mounted something into the folder, the numbers of nodes there are mixed with those of its device.
#[derive(Debug)]
pub struct HostDir {
    tree: Arc<Tree>,
    root: Arc<Dir>,
}

/// What all nodes of one folder know.
#[derive(Debug)]
struct Tree {
    device: u64,
    read_only: bool,
    /// What the listings take.
    ledger: Mutex<Ledger>,
    /// Held while a file's end is looked up and written at.
    append: Mutex<()>,
}

/// The most that listings take, in bytes.
const LISTINGS: u64 = 64 << 20;

impl HostDir {
    /// Opens a folder, to be read and changed.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(path.as_ref(), false)
    }

    /// Opens a folder in which nothing can be changed. All changes are [`Errno::RoFs`].
    pub fn open_read_only(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(path.as_ref(), true)
    }

    fn new(path: &Path, read_only: bool) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        let device = root.dir_metadata()?.dev();
        let ledger = Mutex::new(Ledger::new(LISTINGS, u64::MAX));
        let tree = Arc::new(Tree { device, read_only, ledger, append: Mutex::new(()) });
        Ok(Self { tree, root: Arc::new(root) })
    }
}

impl FileSystem for HostDir {
    fn root(&self) -> Result<Arc<dyn Node>> {
        Ok(Arc::new(HostNode::dir(&self.tree, self.root.clone())))
    }

    fn read_only(&self) -> bool {
        self.tree.read_only
    }

    fn charge_to(&self, account: Arc<dyn Account>) -> Result {
        self.tree.ledger.lock().unwrap_or_else(PoisonError::into_inner).charge_to(account)
    }
}

impl Tree {
    /// May anything be changed?
    fn writable(&self) -> Result {
        if self.read_only { Err(Errno::RoFs) } else { Ok(()) }
    }

    /// The number of a node. Those of other devices are spread over all numbers, where they hardly meet.
    fn inode(&self, device: u64, inode: u64) -> u64 {
        if device == self.device {
            return inode;
        }
        BuildHasherDefault::<DefaultHasher>::new().hash_one((device, inode))
    }

    fn stat(&self, data: &Metadata) -> Stat {
        Stat {
            device: self.device,
            inode: self.inode(data.dev(), data.ino()),
            kind: kind(data.file_type()),
            links: data.nlink(),
            size: data.len(),
            accessed: data.accessed().map_or(0, |time| nanos(time.into_std())),
            modified: data.modified().map_or(0, |time| nanos(time.into_std())),
            changed: os::changed(data),
        }
    }
}

fn kind(of: FileType) -> Kind {
    if of.is_file() {
        Kind::File
    } else if of.is_dir() {
        Kind::Dir
    } else if of.is_symlink() {
        Kind::Link
    } else if of.is_block_device() {
        Kind::BlockDevice
    } else if of.is_char_device() {
        Kind::CharDevice
    } else if of.is_socket() {
        Kind::Socket
    } else {
        Kind::Other
    }
}

/// A time of the host's. What was before 1970 is 1970.
fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A time for the host, which cuts off what it cannot keep. Nothing if it does not know such a time at all.
fn host_time(nanos: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
