//! Copies of lower nodes in the upper file system, made when something is to be changed.
//!
//! Invariant: a copy is whole or it is not there. It has the times of what it is a copy of, and making it changes no
//! times of the directories that it is made in.

use std::sync::Arc;

use super::table::{Place, Table};
use crate::wasi::fs::mem::dir::Id;
use crate::wasi::fs::{Access, Errno, File, Kind, Node, Result, Stat, Times};

/// Bytes that are copied at once.
const BLOCK: usize = 64 << 10;

fn times(stat: &Stat) -> Times {
    Times { accessed: Some(stat.accessed), modified: Some(stat.modified) }
}

/// Does something in a directory, and sets its times back.
pub(super) fn quietly<T>(dir: &dyn Node, now: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = dir.stat()?;
    let done = work()?;
    dir.set_times(times(&before), now)?;
    Ok(done)
}

/// Makes a file of what another one holds.
fn copy_file(from: &dyn Node, dir: &dyn Node, name: &str, now: u64) -> Result<Arc<dyn File>> {
    let from = from.open(Access { read: true, write: false })?;
    let to = dir.create(name, Access { read: true, write: true }, now)?;
    let copied = copy_bytes(&*from, &*to, now);
    if copied.is_err() {
        // If even this fails there is nothing better to say than why.
        let _ = dir.unlink(name, now);
    }
    copied.map(|()| to)
}

fn copy_bytes(from: &dyn File, to: &dyn File, now: u64) -> Result {
    let mut block = Vec::new();
    block.try_reserve_exact(BLOCK)?;
    block.resize(BLOCK, 0);
    let mut offset = 0;
    loop {
        let read = from.read_at(offset, &mut block)?;
        let mut rest = block.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = to.write_at(offset, rest, now)?;
            rest = rest.get(written..).unwrap_or_default();
            offset += written as u64;
            if written == 0 {
                return Err(Errno::Io);
            }
        }
    }
}

impl Table {
    /// Makes sure that a node is in the upper file system.
    pub(super) fn copy(&mut self, id: Id) -> Result {
        let row = self.get(id)?;
        match row.kind {
            _ if row.in_upper => Ok(()),
            Kind::Dir => self.copy_dir(id).map(drop),
            Kind::File | Kind::Link => self.copy_node(id),
            _ => Err(Errno::NotSup),
        }
    }

    /// Makes sure that a directory is in the upper file system, and those above it. Gives it there.
    pub(super) fn copy_dir(&mut self, id: Id) -> Result<Arc<dyn Node>> {
        let mut missing = Vec::new();
        let mut at = id;
        while !self.get(at)?.in_upper {
            missing.push(at);
            at = self.get(at)?.place.as_ref().ok_or(Errno::NoEnt)?.0;
        }
        let mut above = self.upper_node(at)?;
        while let Some(id) = missing.pop() {
            let stat = self.lower_node(id)?.stat()?;
            let (_, name) = self.get(id)?.place.clone().ok_or(Errno::NoEnt)?;
            quietly(&*above, self.now, || above.create_dir(&name, self.now))?;
            above = above.lookup(&name)?;
            above.set_times(times(&stat), self.now)?;
            self.get_mut(id)?.in_upper = true;
        }
        Ok(above)
    }

    /// A file or a link, with all its names.
    fn copy_node(&mut self, id: Id) -> Result {
        let now = self.now;
        let row = self.get(id)?;
        let (dir, name) = row.place.clone().ok_or(Errno::NoEnt)?;
        let others: Vec<Place> = row.more.iter().cloned().collect();
        let dir = self.copy_dir(dir)?;
        let from = self.lower_node(id)?;
        let stat = self.stat(id, from.stat()?)?;
        let file = quietly(&*dir, now, || match from.kind() {
            Kind::Link => dir.symlink(&name, &from.read_link()?, now).map(|()| None),
            _ => copy_file(&*from, &*dir, &name, now).map(Some),
        })?;
        let mut made = vec![(dir.clone(), name.clone())];
        if let Err(error) = self.finish_copy(&dir, &name, &others, &stat, &mut made) {
            for (dir, name) in made {
                // As above.
                let _ = dir.unlink(&name, now);
            }
            return Err(error);
        }
        let row = self.get_mut(id)?;
        row.in_upper = true;
        row.times = Times::default();
        row.links = stat.links.saturating_sub(row.names() as u64).min(i64::MAX as u64) as i64;
        row.copied = file.filter(|_| row.is_held());
        Ok(())
    }

    fn finish_copy(
        &mut self,
        dir: &Arc<dyn Node>,
        name: &str,
        others: &[Place],
        stat: &Stat,
        made: &mut Vec<(Arc<dyn Node>, Arc<str>)>,
    ) -> Result {
        let now = self.now;
        let node = dir.lookup(name)?;
        for (other, name) in others {
            let dir = self.copy_dir(*other)?;
            quietly(&*dir, now, || dir.link(name, &*node, now))?;
            made.push((dir, name.clone()));
        }
        node.set_times(times(stat), now)
    }
}
