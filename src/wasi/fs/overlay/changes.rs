//! What a guest did to a tree.
//!
//! Idea: both trees are walked side by side, in the order of names. A directory that is not in the upper file system
//! and lies where it lay is the same with all that is in it, and is not looked into.
//!
//! Invariant: the walk keeps one path. Trees may be as deep as they like.

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::IntoIter;

use super::layers::LowerId;
use super::table::{ROOT, Table};
use crate::wasi::fs::mem::MAX_LIST;
use crate::wasi::fs::mem::dir::Id;
use crate::wasi::fs::{Access, Change, Changed, Errno, File, Kind, Node, Result};

/// A directory in both trees.
struct Level {
    /// The length of its path.
    len: usize,
    lower: Option<Arc<dyn Node>>,
    /// The number of the lower directory, if it is what it was at first.
    in_place: Option<LowerId>,
    names: IntoIter<(Arc<str>, Option<Id>)>,
}

/// The differences, in the order of paths.
pub(super) fn diff(table: &mut Table) -> Result<Vec<Change>> {
    let (mut changes, mut left) = (Vec::new(), MAX_LIST);
    let mut path = String::new();
    let lower = table.layers.lower_root()?;
    let mut levels = vec![level(table, 0, Some(ROOT), Some(lower), true)?];
    while let Some(Level { len, lower, in_place, names }) = levels.last_mut() {
        path.truncate(*len);
        let Some((name, id)) = names.next() else {
            levels.pop();
            continue;
        };
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&name);
        let old = lower.as_ref().map(|dir| dir.lookup(&name));
        let old = old.filter(|old| !matches!(old, Err(Errno::NoEnt))).transpose()?;
        let mut still = false;
        if let Some(id) = id {
            let row = table.get(id)?;
            still = row.lower.as_ref().is_some_and(|(dir, other)| Some(*dir) == *in_place && *other == name);
            if still && !row.in_upper {
                continue;
            }
        }
        let how = match (id, &old) {
            (Some(id), Some(old)) => (!same(&*table.node(id)?, &**old)?).then_some(Changed::Modified),
            (Some(_), None) => Some(Changed::Added),
            (None, _) => Some(Changed::Removed),
        };
        if let Some(how) = how {
            left = left.checked_sub(path.len()).ok_or(Errno::NoMem)?;
            changes.push(Change { path: path.clone(), how });
        }
        let is_dir = |kind: Kind| kind == Kind::Dir;
        let dir = id.filter(|&id| table.get(id).is_ok_and(|row| is_dir(row.kind)));
        let old = old.filter(|old| is_dir(old.kind()));
        if dir.is_some() || old.is_some() {
            levels.push(level(table, path.len(), dir, old, still)?);
        }
    }
    Ok(changes)
}

fn level(
    table: &mut Table,
    len: usize,
    dir: Option<Id>,
    lower: Option<Arc<dyn Node>>,
    in_place: bool,
) -> Result<Level> {
    let mut names = BTreeMap::new();
    if let Some(lower) = &lower {
        lower.read_dir(0, &mut |entry| {
            names.insert(Arc::from(entry.name), None);
            ControlFlow::Continue(())
        })?;
    }
    if let Some(dir) = dir {
        names.extend(table.dir(dir)?.after(0).map(|(_, name, id)| (name.clone(), Some(id))));
    }
    let in_place = dir.filter(|_| in_place).and_then(|dir| table.get(dir).ok()?.lower_dir);
    let names: Vec<_> = names.into_iter().collect();
    Ok(Level { len, lower, in_place, names: names.into_iter() })
}

/// Is there the same in both? Names in a directory and times do not matter.
fn same(a: &dyn Node, b: &dyn Node) -> Result<bool> {
    Ok(match (a.kind(), b.kind()) {
        (Kind::File, Kind::File) => {
            let access = Access { read: true, write: false };
            same_bytes(&*a.open(access)?, &*b.open(access)?)?
        }
        (Kind::Link, Kind::Link) => a.read_link()? == b.read_link()?,
        (a, b) => a == b,
    })
}

fn same_bytes(a: &dyn File, b: &dyn File) -> Result<bool> {
    if a.stat()?.size != b.stat()?.size {
        return Ok(false);
    }
    let (mut left, mut right) = ([0; 4096], [0; 4096]);
    let mut offset = 0;
    loop {
        let read = a.read_at(offset, &mut left)?;
        fill(b, offset, &mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        offset += read as u64;
    }
}

/// Reads until the bytes are there or the file ends.
fn fill(file: &dyn File, offset: u64, bytes: &mut [u8]) -> Result {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(offset + done as u64, &mut bytes[done..])? {
            0 => break,
            read => done += read,
        }
    }
    Ok(())
}
