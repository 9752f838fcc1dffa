//! The tree of an archive, and how it is put together entry by entry.
//!
//! Invariant: every path of an entry has been checked: it goes down from the root, through directories alone, and no two
//! entries have the same. Directories that only paths tell of are made.

use core::ops::Range;
use std::collections::HashMap;

use super::{ArchiveError, Fault};

/// The number of a node.
pub(in crate::wasi::fs) type Id = u32;

/// The root's number.
pub(in crate::wasi::fs) const ROOT: Id = 0;

/// What `TooMany`, `TooDeep` and `TooLong` of [`Fault`] say.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 1000;
const MAX_NAME: usize = 255;
pub(super) const MAX_TARGET: usize = 4096;

/// The nodes of an archive. Directories come before what is in them.
#[derive(Default)]
pub(in crate::wasi::fs) struct Tree {
    nodes: Vec<Leaf>,
    /// Names while the tree is put together.
    names: HashMap<(Id, Box<str>), Id>,
}

/// One node.
pub(in crate::wasi::fs) struct Leaf {
    pub(in crate::wasi::fs) body: Body,
    pub(in crate::wasi::fs) links: u64,
    pub(in crate::wasi::fs) time: u64,
    /// The names in a directory, from the least to the greatest.
    pub(in crate::wasi::fs) names: Vec<(Box<str>, Id)>,
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::wasi::fs) enum Body {
    /// Is it more than the paths of others tell?
    Dir {
        listed: bool,
    },
    File(Packing),
    Link(Box<str>),
}

/// Where a file's bytes are in the archive's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::wasi::fs) enum Packing {
    Plain(Range<usize>),
    Deflated { range: Range<usize>, size: u64, sum: u32 },
}

impl Packing {
    pub(in crate::wasi::fs) fn size(&self) -> u64 {
        match self {
            Self::Plain(range) => range.len() as u64,
            Self::Deflated { size, .. } => *size,
        }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut tree = Self::default();
        tree.nodes.push(Leaf::new(Body::Dir { listed: true }, 0));
        tree
    }

    pub(in crate::wasi::fs) fn get(&self, id: Id) -> Option<&Leaf> {
        self.nodes.get(id as usize)
    }

    /// The directories that are in one.
    pub(in crate::wasi::fs) fn dirs_in(&self, id: Id) -> impl Iterator<Item = Id> {
        let names = self.get(id).map(|leaf| &leaf.names).into_iter().flatten();
        let is_dir = |id: &Id| matches!(self.get(*id), Some(Leaf { body: Body::Dir { .. }, .. }));
        names.map(|(_, id)| *id).filter(is_dir)
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, path: &[u8], body: Body, time: u64) -> Result<(), ArchiveError> {
        self.try_add(path, body, time).map_err(|fault| ArchiveError::new(path, fault))
    }

    fn try_add(&mut self, path: &[u8], body: Body, time: u64) -> Result<(), Fault> {
        let names = names(path)?;
        let Some((last, dirs)) = names.split_last() else {
            // The archive's own top directory.
            if !matches!(body, Body::Dir { .. }) {
                return Err(Fault::BadName);
            }
            return self.set_time(ROOT, time);
        };
        let dir = self.dirs(dirs)?;
        match self.names.get(&(dir, Box::from(*last))) {
            None => self.make(dir, last, body, time).map(drop),
            Some(&id) => match self.nodes.get_mut(id as usize) {
                Some(Leaf { body: old @ Body::Dir { listed: false }, .. }) if matches!(body, Body::Dir { .. }) => {
                    *old = body;
                    self.set_time(id, time)
                }
                _ => Err(Fault::Twice),
            },
        }
    }

    /// Gives an earlier entry one more path.
    pub(super) fn link(&mut self, path: &[u8], original: &[u8]) -> Result<(), ArchiveError> {
        self.try_link(path, original).map_err(|fault| ArchiveError::new(path, fault))
    }

    fn try_link(&mut self, path: &[u8], original: &[u8]) -> Result<(), Fault> {
        let find = |dir, name: &str| self.names.get(&(dir, name.into())).copied();
        let id = names(original)?.into_iter().try_fold(ROOT, find).ok_or(Fault::NoOriginal)?;
        let names = names(path)?;
        let (last, dirs) = names.split_last().ok_or(Fault::BadName)?;
        let dir = self.dirs(dirs)?;
        if self.names.contains_key(&(dir, Box::from(*last))) {
            return Err(Fault::Twice);
        }
        let leaf = self.nodes.get_mut(id as usize).filter(|leaf| !matches!(leaf.body, Body::Dir { .. }));
        leaf.ok_or(Fault::NoOriginal)?.links += 1;
        self.name(dir, last, id)
    }

    /// Puts names where they are looked for.
    pub(super) fn finish(mut self) -> Self {
        for ((dir, name), id) in core::mem::take(&mut self.names) {
            if let Some(leaf) = self.nodes.get_mut(dir as usize) {
                leaf.names.push((name, id));
            }
        }
        for leaf in &mut self.nodes {
            leaf.names.sort_unstable();
            leaf.names.shrink_to_fit();
        }
        self
    }

    fn dirs(&mut self, names: &[&str]) -> Result<Id, Fault> {
        let mut dir = ROOT;
        for name in names {
            dir = match self.names.get(&(dir, Box::from(*name))) {
                None => self.make(dir, name, Body::Dir { listed: false }, 0)?,
                Some(&id) if matches!(self.get(id), Some(Leaf { body: Body::Dir { .. }, .. })) => id,
                Some(_) => return Err(Fault::NotDir),
            };
        }
        Ok(dir)
    }

    fn make(&mut self, dir: Id, name: &str, body: Body, time: u64) -> Result<Id, Fault> {
        // Below a million.
        let id = self.nodes.len() as Id;
        self.name(dir, name, id)?;
        self.nodes.push(Leaf::new(body, time));
        Ok(id)
    }

    fn name(&mut self, dir: Id, name: &str, id: Id) -> Result<(), Fault> {
        if self.names.len() >= MAX_NODES {
            return Err(Fault::TooMany);
        }
        self.names.insert((dir, name.into()), id);
        Ok(())
    }

    fn set_time(&mut self, id: Id, time: u64) -> Result<(), Fault> {
        if let Some(leaf) = self.nodes.get_mut(id as usize) {
            leaf.time = time;
        }
        Ok(())
    }
}

impl Leaf {
    fn new(body: Body, time: u64) -> Self {
        Self { body, links: 1, time, names: Vec::new() }
    }
}

impl ArchiveError {
    pub(super) fn new(path: &[u8], fault: Fault) -> Self {
        // More than this helps nobody.
        let path = &path[..path.len().min(1000)];
        Self { path: String::from_utf8_lossy(path).into_owned(), fault }
    }
}

/// The names of an entry's path, checked.
fn names(path: &[u8]) -> Result<Vec<&str>, Fault> {
    let path = core::str::from_utf8(path).map_err(|_| Fault::BadName)?;
    if path.is_empty() || path.contains('\0') {
        return Err(Fault::BadName);
    }
    if path.starts_with('/') {
        return Err(Fault::Escape);
    }
    let mut names = Vec::new();
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        match name {
            ".." => return Err(Fault::Escape),
            _ if name.len() > MAX_NAME => return Err(Fault::TooLong),
            _ if names.len() >= MAX_DEPTH => return Err(Fault::TooDeep),
            _ => names.push(name),
        }
    }
    Ok(names)
}

/// What a symbolic link points to, checked.
pub(super) fn target(bytes: &[u8]) -> Result<Body, Fault> {
    match core::str::from_utf8(bytes) {
        _ if bytes.len() > MAX_TARGET => Err(Fault::TooLong),
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(Body::Link(text.into())),
        _ => Err(Fault::BadName),
    }
}
