//! A file system in memory from a tar archive, and to one.
//!
//! Invariant: the archive follows from the files alone: entries are in the order of their paths, owners are 0, and
//! modes are the usual ones. What it says is what a reader gets back.

use core::ops::ControlFlow;
use std::collections::HashMap;
use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::content::Content;
use super::table::{Body, Id, Inode, ROOT, Table};
use super::{MAX_LIST, MemFs, MemFsBuilder, trees};
use crate::wasi::fs::archive::{self, Packing, index_tar};
use crate::wasi::fs::{ArchiveError, Errno, Fault, Result, Times};

const SECOND: u64 = 1_000_000_000;

impl MemFs {
    /// What a tar archive holds, with the usual bounds: directories, files, hard and symbolic links, times. Devices and
    /// pipes are left out.
    pub fn from_tar(bytes: &[u8]) -> Result<Self, ArchiveError> {
        Self::builder().from_tar(bytes)
    }

    /// Writes a tar archive of everything: directories, files, hard and symbolic links, times to the nanosecond.
    /// The same files give the same bytes. It is the state when this begins. If the paths have more than 256 MiB it
    /// fails. A tree of more than 1000 levels is written, but [`Self::from_tar`] does not take it.
    ///
    /// ```
    /// use jitless::wasi::fs::MemFs;
    ///
    /// let fs = MemFs::new();
    /// fs.write("dir/file", "text")?;
    /// let mut bytes = Vec::new();
    /// fs.to_tar(&mut bytes)?;
    /// assert!(MemFs::from_tar(&bytes)?.diff(&fs)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_tar(&self, writer: impl Write) -> io::Result<()> {
        let table = self.0.lock().fork();
        let (mut tar, mut result, mut left) = (Builder::new(writer), Ok(()), MAX_LIST);
        let mut written: HashMap<Id, String> = HashMap::new();
        trees::walk([Some(&table), None], |path, [node, _]| {
            let Some((id, inode)) = node else { return ControlFlow::Continue(()) };
            match left.checked_sub(path.len()) {
                Some(rest) => left = rest,
                None => result = Err(io::Error::other("the paths are too long in all")),
            }
            if result.is_ok() {
                result = append(&mut tar, path, id, inode, &mut written);
            }
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        result?;
        tar.into_inner()?.flush()
    }
}

impl MemFsBuilder {
    /// A file system of what a tar archive holds; see [`MemFs::from_tar`].
    pub fn from_tar(self, bytes: &[u8]) -> Result<MemFs, ArchiveError> {
        let tree = index_tar(bytes)?;
        let fs = self.build();
        let mut table = fs.0.lock();
        let (mut made, mut dirs) = (HashMap::new(), vec![(archive::ROOT, ROOT)]);
        while let Some((from, dir)) = dirs.pop() {
            for (name, id) in tree.get(from).map(|leaf| &leaf.names).into_iter().flatten() {
                let Some(leaf) = tree.get(*id) else { continue };
                let copied = match made.get(id) {
                    Some(&first) => table.link(dir, name, first, 0).map(|()| first),
                    None => copy(&mut table, dir, name, &leaf.body, bytes),
                };
                let fail = |_| ArchiveError { path: String::new(), fault: Fault::NoSpace };
                made.insert(*id, copied.map_err(fail)?);
            }
            dirs.extend(tree.dirs_in(from).filter_map(|id| Some((id, *made.get(&id)?))));
        }
        // At last, because all names that are made in a directory change its times.
        for (from, id) in made {
            let time = tree.get(from).map(|leaf| leaf.time);
            // What was made is there.
            let _ = table.set_times(id, Times { accessed: time, modified: time }, time.unwrap_or(0));
        }
        drop(table);
        Ok(fs)
    }
}

fn copy(table: &mut Table, dir: Id, name: &str, body: &archive::Body, bytes: &[u8]) -> Result<Id> {
    match body {
        archive::Body::Dir { .. } => table.make_dir(dir, name, 0),
        archive::Body::Link(target) => table.make(dir, name, Body::Link(target.clone()), 0),
        archive::Body::File(Packing::Plain(range)) => {
            let id = table.make(dir, name, Body::File(Content::default()), 0)?;
            let held = bytes.get(range.clone()).ok_or(Errno::Io)?;
            if table.write(id, 0, held, 0)? < held.len() { Err(Errno::NoSpc) } else { Ok(id) }
        }
        archive::Body::File(Packing::Deflated { .. }) => Err(Errno::NotSup),
    }
}

/// Writes one entry. What has several names is written with the first of them.
fn append(
    tar: &mut Builder<impl Write>,
    path: &str,
    id: Id,
    inode: &Inode,
    written: &mut HashMap<Id, String>,
) -> io::Result<()> {
    let stat = inode.stat();
    if let Some(first) = written.get(&id) {
        return entry(tar, EntryType::Link, path, first, stat.modified, None);
    }
    if stat.links > 1 {
        written.insert(id, path.into());
    }
    match &inode.body {
        Body::Dir(_) => entry(tar, EntryType::Directory, &format!("{path}/"), "", stat.modified, None),
        Body::Link(target) => entry(tar, EntryType::Symlink, path, target, stat.modified, None),
        Body::File(content) => entry(tar, EntryType::Regular, path, "", stat.modified, Some(content)),
    }
}

/// Writes headers and contents. Names are written as they are: the crate would take some for paths of the host's.
fn entry(
    tar: &mut Builder<impl Write>,
    kind: EntryType,
    path: &str,
    target: &str,
    time: u64,
    content: Option<&Content>,
) -> io::Result<()> {
    if !time.is_multiple_of(SECOND) {
        let exact = format!("{}.{:09}", time / SECOND, time % SECOND);
        tar.append_pax_extensions([("mtime", exact.as_bytes())])?;
    }
    let mut header = header(kind, content.map_or(0, Content::size));
    header.set_mtime(time / SECOND);
    header.set_mode(match kind {
        EntryType::Directory => 0o755,
        EntryType::Symlink => 0o777,
        _ => 0o644,
    });
    name(tar, EntryType::GNULongName, path, &mut header.as_old_mut().name)?;
    name(tar, EntryType::GNULongLink, target, &mut header.as_old_mut().linkname)?;
    header.set_cksum();
    match content {
        Some(content) => tar.append(&header, Reader { content, at: 0 }),
        None => tar.append(&header, io::empty()),
    }
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Puts a name into its field. One that is too long gets an entry of its own before, and its beginning stays.
fn name(tar: &mut Builder<impl Write>, kind: EntryType, name: &str, field: &mut [u8; 100]) -> io::Result<()> {
    let len = name.len().min(field.len());
    field[..len].copy_from_slice(&name.as_bytes()[..len]);
    if len == name.len() {
        return Ok(());
    }
    let mut long = header(kind, name.len() as u64 + 1);
    long.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
    long.set_mode(0o644);
    long.set_mtime(0);
    long.set_cksum();
    tar.append(&long, name.as_bytes().chain(&[0][..]))
}

/// Reads a file from its front to its end.
struct Reader<'a> {
    content: &'a Content,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.content.read(self.at, bytes);
        self.at += len as u64;
        Ok(len)
    }
}
