//! The nodes of both file systems, found again when they are needed.
//!
//! Idea: nodes may be open files of the host's, of which there are not many. So the table keeps where a node is, not the
//! node. Directories that were used lately are kept, a few of them, and so are those that a guest holds; all others are
//! walked to from the nearest of them.

use core::mem;
use std::collections::HashMap;
use std::sync::Arc;

use super::table::{Row, Table};
use crate::wasi::fs::mem::dir::Id;
use crate::wasi::fs::{Errno, FileSystem, Kind, Node, Result};

/// A directory of the lower file system, by its place in [`Layers::lower_dirs`].
pub(super) type LowerId = u32;

/// The lower root.
pub(super) const LOWER_ROOT: LowerId = 0;

/// A name in a directory of the lower file system.
pub(super) type LowerPlace = (LowerId, Arc<str>);

/// Both file systems.
#[derive(Debug)]
pub(super) struct Layers {
    lower: Arc<dyn FileSystem>,
    upper: Arc<dyn FileSystem>,
    /// Directories that were looked into, and where they are; the root is somewhere.
    lower_dirs: Vec<LowerPlace>,
    lower_recent: Recent,
    upper_recent: Recent,
}

/// Directories that were used lately: those since half of them were forgotten, and those before.
#[derive(Debug, Default)]
struct Recent {
    young: HashMap<u32, Arc<dyn Node>>,
    old: HashMap<u32, Arc<dyn Node>>,
}

/// Half of the directories that are kept.
const RECENT: usize = 16;

impl Recent {
    fn get(&mut self, id: u32) -> Option<Arc<dyn Node>> {
        if let Some(node) = self.young.get(&id) {
            return Some(node.clone());
        }
        let node = self.old.remove(&id)?;
        Some(self.keep(id, node))
    }

    fn keep(&mut self, id: u32, node: Arc<dyn Node>) -> Arc<dyn Node> {
        if self.young.len() >= RECENT {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(id, node.clone());
        node
    }

    fn forget(&mut self, id: u32) {
        self.young.remove(&id);
        self.old.remove(&id);
    }
}

/// The node at the end of a chain of names; `held` has some that are kept elsewhere, `above` says what a place is in, or
/// nothing for the root.
fn walk(
    recent: &mut Recent,
    root: &dyn FileSystem,
    mut id: u32,
    held: impl Fn(u32) -> Option<Arc<dyn Node>>,
    above: impl Fn(u32) -> Result<Option<(u32, Arc<str>)>>,
) -> Result<Arc<dyn Node>> {
    let mut names = Vec::new();
    let mut node = loop {
        if let Some(node) = held(id).or_else(|| recent.get(id)) {
            break node;
        }
        let Some((parent, name)) = above(id)? else {
            break recent.keep(id, root.root()?);
        };
        names.push((id, name));
        id = parent;
    };
    while let Some((id, name)) = names.pop() {
        node = recent.keep(id, node.lookup(&name)?);
    }
    Ok(node)
}

impl Layers {
    pub(super) fn new(lower: Arc<dyn FileSystem>, upper: Arc<dyn FileSystem>) -> Self {
        let lower_dirs = vec![(LOWER_ROOT, "".into())];
        Self { lower, upper, lower_dirs, lower_recent: Recent::default(), upper_recent: Recent::default() }
    }

    /// A lower directory gets a number.
    pub(super) fn add_lower_dir(&mut self, place: LowerPlace) -> Result<LowerId> {
        self.lower_dirs.try_reserve(1)?;
        let id = LowerId::try_from(self.lower_dirs.len()).map_err(|_| Errno::NoSpc)?;
        self.lower_dirs.push(place);
        Ok(id)
    }

    pub(super) fn lower_root(&self) -> Result<Arc<dyn Node>> {
        self.lower.root()
    }

    fn lower_dir(&mut self, id: LowerId) -> Result<Arc<dyn Node>> {
        let dirs = &self.lower_dirs;
        let held = |_| None;
        walk(&mut self.lower_recent, &*self.lower, id, held, |id| {
            (id != LOWER_ROOT).then(|| dirs.get(id as usize).cloned().ok_or(Errno::Stale)).transpose()
        })
    }

    /// The number may be given to another directory.
    pub(super) fn forget_upper(&mut self, id: Id) {
        self.upper_recent.forget(id);
    }
}

impl Table {
    /// What a node is in the lower file system.
    pub(super) fn lower_node(&mut self, id: Id) -> Result<Arc<dyn Node>> {
        let Row { lower, lower_dir, .. } = self.get(id)?;
        if let Some(dir) = *lower_dir {
            return self.layers.lower_dir(dir);
        }
        let (dir, name) = lower.clone().ok_or(Errno::NoEnt)?;
        self.layers.lower_dir(dir)?.lookup(&name)
    }

    /// What a node is in the upper file system.
    pub(super) fn upper_node(&mut self, id: Id) -> Result<Arc<dyn Node>> {
        let row = self.get(id)?;
        if !row.in_upper {
            return Err(Errno::NoEnt);
        }
        if let Some(last) = &row.last {
            return Ok(last.clone());
        }
        if row.kind != Kind::Dir {
            let (dir, name) = row.place.clone().ok_or(Errno::NoEnt)?;
            return self.upper_node(dir)?.lookup(&name);
        }
        let Self { layers, rows, .. } = self;
        let held = |id| rows.get(id).ok()?.last.clone();
        let node = walk(&mut layers.upper_recent, &*layers.upper, id, held, |id| {
            let row = rows.get(id)?;
            if row.is_root() { Ok(None) } else { row.place.clone().ok_or(Errno::NoEnt).map(Some) }
        })?;
        let row = self.get_mut(id)?;
        if row.is_held() {
            row.last = Some(node.clone());
        }
        Ok(node)
    }

    /// What a node is now.
    pub(super) fn node(&mut self, id: Id) -> Result<Arc<dyn Node>> {
        if self.get(id)?.in_upper { self.upper_node(id) } else { self.lower_node(id) }
    }
}
