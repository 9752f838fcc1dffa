//! File systems: a guest's files, whoever keeps them. Nothing here knows of WebAssembly.
//!
//! Idea: a file system is a tree of [`Node`]s. A node is asked for one name at a time, never for a path, so what `..`,
//! links and slashes mean is decided once, by whoever walks the tree, and not by each file system. A node or an open
//! [`File`] that somebody holds goes on existing when its last name is gone.
//!
//! # Times
//! All times are nanoseconds since 1970 began. What changes a file is told the time (`now`); a file system that has a
//! clock of its own, a host's say, leaves it aside. Reading changes no time.
//!
//! # Names
//! A name that a node is asked for is valid UTF-8, 1 to 255 bytes long, has no `/` and no zero byte in it and is neither
//! `.` nor `..`.
//!
//! # Invariant
//! A file system only answers with an [`Errno`]; it never panics, whatever the names, offsets and sizes are.

#[cfg(feature = "archive")]
mod archive;
#[cfg(feature = "host-fs")]
mod host;
mod ledger;
mod mem;
mod overlay;
pub(super) mod resolve;

use core::any::Any;
use core::fmt::Debug;
use core::ops::ControlFlow;
use std::sync::Arc;

#[cfg(feature = "archive")]
pub use self::archive::{ArchiveError, Fault, TarFs, ZipFs};
#[cfg(feature = "host-fs")]
pub use self::host::HostDir;
pub use self::mem::{Change, Changed, Found, MemFs, MemFsBuilder, Used};
pub use self::overlay::OverlayFs;
pub use super::errno::Errno;

/// What an operation on files comes to.
pub type Result<T = (), E = Errno> = core::result::Result<T, E>;

/// A tree of files.
pub trait FileSystem: Any + Debug + Send + Sync {
    /// The directory that all others are in.
    fn root(&self) -> Result<Arc<dyn Node>>;

    /// Is it one in which nothing can be changed?
    fn read_only(&self) -> bool {
        false
    }

    /// Charges what it holds now, and whatever it will hold, to an account. The first account that it is given stays.
    fn charge_to(&self, account: Arc<dyn Account>) -> Result {
        let _ = account;
        Ok(())
    }
}

/// A file system that others have a hand on too.
impl<F: FileSystem + ?Sized> FileSystem for Arc<F> {
    fn root(&self) -> Result<Arc<dyn Node>> {
        (**self).root()
    }

    fn read_only(&self) -> bool {
        (**self).read_only()
    }

    fn charge_to(&self, account: Arc<dyn Account>) -> Result {
        (**self).charge_to(account)
    }
}

/// Who pays for the memory that files take.
pub trait Account: Debug + Send + Sync {
    /// Charges bytes before they are allocated. If they are too many nothing is charged and the answer is no.
    fn charge(&self, bytes: u64) -> bool;

    /// Gives back bytes that were charged.
    fn release(&self, bytes: u64);
}

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// Something of the host's, or unknown.
    Other,
    /// A device that is read and written in blocks.
    BlockDevice,
    /// A device such as a terminal.
    CharDevice,
    /// A socket.
    Socket,
}

/// What is known of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// The same for all nodes of one file system.
    pub device: u64,
    /// No other node of the file system has this number, as long as this one exists.
    pub inode: u64,
    /// What it is.
    pub kind: Kind,
    /// How many names it has.
    pub links: u64,
    /// The bytes of a file, or of a link's target; for a directory whatever the file system likes.
    pub size: u64,
    /// When it was last read, or what was set.
    pub accessed: u64,
    /// When its contents last changed, or what was set.
    pub modified: u64,
    /// When anything of it last changed.
    pub changed: u64,
}

/// New times for a node; `None` leaves one as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Times {
    /// When it was last read.
    pub accessed: Option<u64>,
    /// When its contents last changed.
    pub modified: Option<u64>,
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// To be read.
    pub read: bool,
    /// To be written.
    pub write: bool,
}

/// An entry of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// As in [`Stat::inode`].
    pub inode: u64,
    /// What it is.
    pub kind: Kind,
    /// Where to go on, to see the entries after this one. Never 0.
    pub next: u64,
}

/// A place in a tree: a file, a directory, a link.
///
/// On a node that is no directory, all that takes a name fails with [`Errno::NotDir`].
pub trait Node: Any + Debug + Send + Sync {
    /// What it is.
    fn kind(&self) -> Kind;

    /// What is known of it.
    fn stat(&self) -> Result<Stat>;

    /// Sets times, of a link its own.
    fn set_times(&self, times: Times, now: u64) -> Result;

    /// Opens a regular file. A directory is [`Errno::IsDir`], a link [`Errno::Loop`].
    fn open(&self, access: Access) -> Result<Arc<dyn File>>;

    /// What a link points to. All else is [`Errno::Inval`].
    fn read_link(&self) -> Result<String>;

    /// The node of a name, if it is a link the link itself. None is [`Errno::NoEnt`].
    fn lookup(&self, name: &str) -> Result<Arc<dyn Node>>;

    /// Makes a regular file, and opens it. [`Errno::Exist`] if the name is taken. In a directory that was removed this
    /// and whatever else would make a name is [`Errno::NoEnt`].
    fn create(&self, name: &str, access: Access, now: u64) -> Result<Arc<dyn File>>;

    /// Makes a directory. [`Errno::Exist`] if the name is taken.
    fn create_dir(&self, name: &str, now: u64) -> Result;

    /// Makes a link. [`Errno::Exist`] if the name is taken. What it points to is not looked at.
    fn symlink(&self, name: &str, target: &str, now: u64) -> Result;

    /// Gives a file or a link one more name. A directory is [`Errno::Perm`], a node of another file system
    /// [`Errno::XDev`], a name that is taken [`Errno::Exist`].
    fn link(&self, name: &str, node: &dyn Node, now: u64) -> Result;

    /// Takes a name away from a file or a link. A directory is [`Errno::IsDir`].
    fn unlink(&self, name: &str, now: u64) -> Result;

    /// Removes an empty directory. One with entries is [`Errno::NotEmpty`], all else [`Errno::NotDir`].
    fn remove_dir(&self, name: &str, now: u64) -> Result;

    /// Gives what `name` names the name `to_name` in the directory `to`, in one step. What was there is replaced, if
    /// both are directories and it is empty ([`Errno::NotEmpty`]), or neither is ([`Errno::IsDir`], [`Errno::NotDir`]).
    /// Nothing happens if both are names of the same node. A directory cannot go into itself ([`Errno::Inval`]), nor to
    /// another file system ([`Errno::XDev`]).
    fn rename(&self, name: &str, to: &dyn Node, to_name: &str, now: u64) -> Result;

    /// Shows entries to `sink` until it breaks off or there are no more: all of them from 0 on, otherwise those after
    /// the entry that said so ([`Entry::next`]). `.` and `..` are not among them.
    ///
    /// What is there from the first call to the last is shown exactly once, whatever comes and goes meanwhile. One call
    /// takes time for the entries it shows, not for those before.
    fn read_dir(&self, from: u64, sink: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result;

    /// The directory's own entries reach the disk, where there is one.
    fn sync(&self) -> Result {
        Ok(())
    }
}

/// A regular file that is open.
///
/// It does what it was opened for ([`Access`]); all else is [`Errno::BadF`]. Beyond [`MAX_SIZE`] is [`Errno::FBig`].
pub trait File: Any + Debug + Send + Sync {
    /// What is known of it.
    fn stat(&self) -> Result<Stat>;

    /// Sets its times.
    fn set_times(&self, times: Times, now: u64) -> Result;

    /// Reads at an offset, as much as is there. Nothing at the end or beyond.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize>;

    /// Writes at an offset; between the old end and it are zeros. Less than all may be written, but not nothing.
    fn write_at(&self, offset: u64, bytes: &[u8], now: u64) -> Result<usize>;

    /// Writes at the end. How much was written, and where the end is then?
    fn append(&self, bytes: &[u8], now: u64) -> Result<(usize, u64)>;

    /// Cuts it off, or fills it up with zeros.
    fn set_size(&self, size: u64, now: u64) -> Result;

    /// Makes it at least so long, and makes sure that there is room for what will be written to the range.
    fn allocate(&self, offset: u64, len: u64, now: u64) -> Result;

    /// What was written reaches the disk, where there is one; `data` is enough, without times.
    fn sync(&self, data: bool) -> Result {
        let _ = data;
        Ok(())
    }
}

/// The longest file, in bytes.
pub const MAX_SIZE: u64 = i64::MAX as u64;
