//! Archives as file systems that cannot be changed.
//!
//! Idea: an archive is read once, from its front to its end, into a tree that says where in its bytes each file lies
//! (`archive/tree.rs`). What lies there as it is is read there; what is compressed is unpacked when it is opened, and
//! forgotten when nobody has it open any more (`archive/node.rs`).
//!
//! Invariant: what an archive makes the host hold is bounded by its own length and by stated limits, whatever it
//! claims.

mod node;
mod tar;
mod tree;
mod zip;

use core::fmt::{self, Debug, Display, Formatter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use self::node::{ArchiveNode, Unpacked};
use self::tree::{Id, Tree};
use super::ledger::Ledger;
use super::{Account, FileSystem, Node, Result};

pub(super) use self::tar::index as index_tar;
pub(super) use self::tree::{Body, Packing, ROOT};

/// A tar archive as a file system that cannot be changed. Files are read where they lie in the archive's bytes.
///
/// Directories, regular files, hard and symbolic links, long names and times are known, as GNU and POSIX write them.
/// Devices and pipes are left out. What is no archive, or one that is made to confuse, is an [`ArchiveError`].
///
/// ```
/// use jitless::wasi::fs::{Errno, FileSystem, MemFs, TarFs};
///
/// let files = MemFs::new();
/// files.write("etc/motd", "hello")?;
/// let mut bytes = Vec::new();
/// files.to_tar(&mut bytes)?;
///
/// let tar = TarFs::new(bytes)?;
/// let etc = tar.root()?.lookup("etc")?;
/// assert_eq!(etc.lookup("motd")?.stat()?.size, 5);
/// assert_eq!(etc.unlink("motd", 0), Err(Errno::RoFs));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TarFs(Arc<Archive>);

/// A zip archive as a file system that cannot be changed.
///
/// Directories, files, symbolic links of Unix and times are known; files that are stored or deflated, the large format
/// too, no encryption. A stored file is read where it lies. A deflated one is unpacked as a whole when it is opened, and
/// its bytes are held, and charged to the account, until it is closed: all that are open at once may have 256 MiB, or
/// what [`Self::with_limit`] says. One that does not fit is [`Errno::NoMem`](super::Errno::NoMem), a broken one
/// [`Errno::Io`](super::Errno::Io). The index and the archive's own bytes are not charged for.
#[derive(Clone, Debug)]
pub struct ZipFs(Arc<Archive>);

/// Why bytes are no archive that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ArchiveError {
    /// The path of the entry that is at fault, if it has one. Bytes that are no text are shown as `�`.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// It breaks the format, or ends too early.
    Malformed,
    /// It uses something that is not known here: an encryption, a compression, a sparse file, several volumes.
    Unsupported,
    /// A path is absolute or has `..` in it.
    Escape,
    /// A path is empty, is no UTF-8 or has a zero byte in it.
    BadName,
    /// A name is longer than 255 bytes, the target of a link than 4096.
    TooLong,
    /// A path has more than 1000 names.
    TooDeep,
    /// There are more than a million entries.
    TooMany,
    /// Two entries have one path.
    Twice,
    /// A path goes through something that is no directory.
    NotDir,
    /// A hard link's original is not there, or is a directory.
    NoOriginal,
    /// It does not fit into the file system, or into memory.
    NoSpace,
}

/// An archive in use.
struct Archive {
    bytes: Arc<[u8]>,
    tree: Tree,
    open: Mutex<Open>,
}

/// What is unpacked.
struct Open {
    files: HashMap<Id, Weak<Unpacked>>,
    ledger: Ledger,
}

/// The bytes of files that may be unpacked at once if nothing is said.
const UNPACKED: u64 = 256 << 20;

impl TarFs {
    /// Reads the archive's index.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self, ArchiveError> {
        let bytes = bytes.into();
        let tree = tar::index(&bytes)?;
        Ok(Self(Archive::new(bytes, tree, 0)))
    }
}

impl ZipFs {
    /// Reads the archive's index.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self, ArchiveError> {
        Self::with_limit(bytes, UNPACKED)
    }

    /// Reads the archive's index. The deflated files that are open at once may have `limit` bytes, unpacked.
    pub fn with_limit(bytes: impl Into<Arc<[u8]>>, limit: u64) -> Result<Self, ArchiveError> {
        let bytes = bytes.into();
        let tree = zip::index(&bytes)?;
        Ok(Self(Archive::new(bytes, tree, limit)))
    }
}

impl Archive {
    fn new(bytes: Arc<[u8]>, tree: Tree, limit: u64) -> Arc<Self> {
        let open = Open { files: HashMap::new(), ledger: Ledger::new(limit, u64::MAX) };
        Arc::new(Self { bytes, tree, open: Mutex::new(open) })
    }
}

macro_rules! file_systems {
    ($($name:ident)*) => {$(
        impl FileSystem for $name {
            fn root(&self) -> Result<Arc<dyn Node>> {
                Ok(ArchiveNode::root(&self.0))
            }

            fn read_only(&self) -> bool {
                true
            }

            /// Charges for what is unpacked.
            fn charge_to(&self, account: Arc<dyn Account>) -> Result {
                self.0.open().ledger.charge_to(account)
            }
        }
    )*};
}

file_systems!(TarFs ZipFs);

impl Debug for Archive {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Display for ArchiveError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Malformed => "it is malformed or cut off",
            Fault::Unsupported => "it needs something that is not supported",
            Fault::Escape => "the path leads out of the archive",
            Fault::BadName => "the path is no proper text",
            Fault::TooLong => "a name is too long",
            Fault::TooDeep => "the path has too many names",
            Fault::TooMany => "there are too many entries",
            Fault::Twice => "two entries have this path",
            Fault::NotDir => "the path goes through a file",
            Fault::NoOriginal => "the file that it links to is not there",
            Fault::NoSpace => "there is no room for it",
        };
        match &*self.path {
            "" => write!(f, "archive: {what}"),
            path => write!(f, "archive, entry `{}`: {what}", path.escape_debug()),
        }
    }
}

impl core::error::Error for ArchiveError {}
