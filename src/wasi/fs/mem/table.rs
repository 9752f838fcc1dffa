//! All nodes of a file system in memory, and what is done to its tree.
//!
//! Idea: one flat table. A directory holds numbers of nodes, not nodes, so a tree is dropped, copied and searched
//! without going down it, however deep it is. A node is shared with the forks of the file system until one of them
//! changes it.
//!
//! # Invariant
//! 1. A node is in the table as long as it has a name or somebody holds it (`pins`), and is charged for that long.
//! 2. A directory has one name, or it has none and is empty. All directories above one with a name have names.
//! 3. What can fail comes before the first change.

use std::sync::Arc;

use super::content::Content;
use super::dir::Dir;
use crate::wasi::fs::ledger::{Ledger, NAME, NODE};
use crate::wasi::fs::{Errno, Kind, MAX_SIZE, Result, Stat, Times};

/// The place of a node in the table.
pub(in crate::wasi::fs) type Id = u32;

/// The longest target of a link, in bytes.
const MAX_TARGET: usize = 4096;

/// The place of the root.
pub(super) const ROOT: Id = 0;

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    number: u64,
    links: u64,
    accessed: u64,
    modified: u64,
    changed: u64,
    pub(super) body: Body,
}

/// What there is in a node.
#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Content),
    Dir(Box<Dir>),
    Link(Box<str>),
}

#[derive(Debug)]
struct Slot {
    /// Nothing if the place is free.
    inode: Option<Arc<Inode>>,
    pins: u64,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<Id>,
    last_number: u64,
    pub(super) ledger: Ledger,
}

impl Inode {
    fn new(number: u64, body: Body, now: u64) -> Self {
        Self { number, links: 1, accessed: now, modified: now, changed: now, body }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Dir(_) => Kind::Dir,
            Body::Link(_) => Kind::Link,
        }
    }

    pub(super) fn stat(&self) -> Stat {
        let size = match &self.body {
            Body::File(content) => content.size(),
            Body::Dir(dir) => dir.len() as u64,
            Body::Link(target) => target.len() as u64,
        };
        let Self { number: inode, links, accessed, modified, changed, .. } = *self;
        Stat { device: 0, inode, kind: self.kind(), links, size, accessed, modified, changed }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn dir(&self) -> Result<&Dir> {
        if let Body::Dir(dir) = &self.body { Ok(dir) } else { Err(Errno::NotDir) }
    }

    fn dir_mut(&mut self) -> Result<&mut Dir> {
        if let Body::Dir(dir) = &mut self.body { Ok(dir) } else { Err(Errno::NotDir) }
    }

    pub(super) fn file(&self) -> Result<&Content> {
        match &self.body {
            Body::File(content) => Ok(content),
            Body::Dir(_) => Err(Errno::IsDir),
            Body::Link(_) => Err(Errno::Loop),
        }
    }

    fn file_mut(&mut self) -> Result<&mut Content> {
        if let Body::File(content) = &mut self.body { Ok(content) } else { Err(Errno::Inval) }
    }

    fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }

    fn cost(&self) -> u64 {
        NODE + match &self.body {
            Body::File(content) => content.size(),
            Body::Dir(_) => 0,
            Body::Link(target) => target.len() as u64,
        }
    }

    /// The contents changed.
    fn touch(&mut self, now: u64) {
        (self.modified, self.changed) = (now, now);
    }
}

fn name_cost(name: &str) -> u64 {
    NAME + name.len() as u64
}

/// A node that no fork shares.
fn own(slots: &mut [Slot], id: Id) -> Result<&mut Inode> {
    let inode = slots.get_mut(id as usize).and_then(|slot| slot.inode.as_mut());
    inode.map(Arc::make_mut).ok_or(Errno::Stale)
}

impl Table {
    /// A root, which is not charged for.
    pub(super) fn new(ledger: Ledger, now: u64) -> Self {
        let root = Inode::new(1, Body::Dir(Box::new(Dir::new(ROOT))), now);
        Self { slots: vec![Slot { inode: Some(root.into()), pins: 0 }], free: Vec::new(), last_number: 1, ledger }
    }

    /// The same files, which nobody holds. The nodes are shared.
    pub(super) fn fork(&self) -> Self {
        let slots = self.slots.iter().map(|slot| Slot { inode: slot.inode.clone(), pins: 0 }).collect();
        let mut fork =
            Self { slots, free: self.free.clone(), last_number: self.last_number, ledger: self.ledger.fork() };
        for (id, slot) in (0..).zip(&self.slots) {
            if slot.pins > 0 {
                fork.free_unused(id);
            }
        }
        fork
    }

    pub(super) fn get(&self, id: Id) -> Result<&Inode> {
        self.slots.get(id as usize).and_then(|slot| slot.inode.as_deref()).ok_or(Errno::Stale)
    }

    fn get_mut(&mut self, id: Id) -> Result<&mut Inode> {
        own(&mut self.slots, id)
    }

    /// Somebody holds the node.
    pub(super) fn pin(&mut self, id: Id) {
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.pins += 1;
        }
    }

    pub(super) fn unpin(&mut self, id: Id) {
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.pins = slot.pins.saturating_sub(1);
            if slot.pins == 0 {
                self.free_unused(id);
            }
        }
    }

    /// Frees a node that has no name, if nobody holds it.
    fn free_unused(&mut self, id: Id) {
        let Some(slot) = self.slots.get_mut(id as usize) else { return };
        if slot.pins > 0 || slot.inode.as_ref().is_none_or(|inode| inode.links > 0) {
            return;
        }
        if let Some(inode) = slot.inode.take() {
            self.free.push(id);
            self.ledger.release_file(inode.cost());
        }
    }

    pub(super) fn lookup(&self, dir: Id, name: &str) -> Result<Id> {
        self.get(dir)?.dir()?.get(name)
    }

    /// Makes sure that the name can be given to something.
    fn prepare(&mut self, dir: Id, name: &str) -> Result {
        let inode = self.get(dir)?;
        if inode.dir()?.get(name).is_ok() {
            return Err(Errno::Exist);
        }
        if inode.links == 0 {
            return Err(Errno::NoEnt);
        }
        self.get_mut(dir)?.dir_mut()?.reserve()
    }

    fn insert(&mut self, dir: Id, name: &str, id: Id, now: u64) -> Result {
        let inode = self.get_mut(dir)?;
        inode.dir_mut()?.insert(name, id);
        inode.touch(now);
        Ok(())
    }

    /// Makes a node with its first name.
    pub(super) fn make(&mut self, dir: Id, name: &str, body: Body, now: u64) -> Result<Id> {
        self.prepare(dir, name)?;
        let id = match self.free.last() {
            Some(&id) => id,
            None => {
                self.slots.try_reserve(1)?;
                // So that freeing never has to ask for memory.
                self.free.try_reserve(self.slots.len() + 1)?;
                Id::try_from(self.slots.len()).map_err(|_| Errno::NoSpc)?
            }
        };
        let inode = Inode::new(self.last_number + 1, body, now);
        self.ledger.charge_file(inode.cost() + name_cost(name))?;
        self.last_number += 1;
        let slot = Slot { inode: Some(inode.into()), pins: 0 };
        match self.slots.get_mut(id as usize) {
            Some(free) => {
                self.free.pop();
                *free = slot;
            }
            None => self.slots.push(slot),
        }
        self.insert(dir, name, id, now)?;
        Ok(id)
    }

    pub(super) fn make_dir(&mut self, dir: Id, name: &str, now: u64) -> Result<Id> {
        self.make(dir, name, Body::Dir(Box::new(Dir::new(dir))), now)
    }

    pub(super) fn make_link(&mut self, dir: Id, name: &str, target: &str, now: u64) -> Result {
        match target {
            "" => Err(Errno::NoEnt),
            _ if target.contains('\0') => Err(Errno::Inval),
            _ if target.len() > MAX_TARGET => Err(Errno::NameTooLong),
            _ => self.make(dir, name, Body::Link(target.into()), now).map(drop),
        }
    }

    /// One more name.
    pub(super) fn link(&mut self, dir: Id, name: &str, id: Id, now: u64) -> Result {
        if self.get(id)?.is_dir() && self.get(dir)?.dir()?.get(name).is_err() {
            return Err(Errno::Perm);
        }
        self.prepare(dir, name)?;
        if self.get(id)?.links == 0 {
            return Err(Errno::NoEnt);
        }
        self.ledger.charge(name_cost(name))?;
        self.insert(dir, name, id, now)?;
        let inode = self.get_mut(id)?;
        inode.links += 1;
        inode.changed = now;
        Ok(())
    }

    /// Takes the name of a file or a link away.
    pub(super) fn unlink(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let id = self.lookup(dir, name)?;
        if self.get(id)?.is_dir() {
            return Err(Errno::IsDir);
        }
        self.take_name(dir, name, id, now)
    }

    pub(super) fn remove_dir(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let id = self.lookup(dir, name)?;
        if self.get(id)?.dir()?.len() > 0 {
            return Err(Errno::NotEmpty);
        }
        self.take_name(dir, name, id, now)
    }

    /// Removes whatever there is, with all that is in it.
    pub(super) fn remove_all(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let top = self.lookup(dir, name)?;
        let mut dirs = vec![top];
        while let Some(id) = dirs.pop() {
            let Ok(inner) = self.get_mut(id)?.dir_mut().map(Dir::drain) else { continue };
            for (name, inner) in inner {
                self.ledger.release(name_cost(&name));
                if self.get(inner)?.is_dir() { dirs.push(inner) } else { self.lost_name(inner, now)? }
            }
            if id != top {
                self.lost_name(id, now)?;
            }
        }
        self.take_name(dir, name, top, now)
    }

    fn take_name(&mut self, dir: Id, name: &str, id: Id, now: u64) -> Result {
        let inode = self.get_mut(dir)?;
        inode.dir_mut()?.remove(name);
        inode.touch(now);
        self.ledger.release(name_cost(name));
        self.lost_name(id, now)
    }

    fn lost_name(&mut self, id: Id, now: u64) -> Result {
        let inode = self.get_mut(id)?;
        inode.links = inode.links.saturating_sub(1);
        inode.changed = now;
        self.free_unused(id);
        Ok(())
    }

    pub(super) fn rename(&mut self, dir: Id, name: &str, to: Id, to_name: &str, now: u64) -> Result {
        let target_inode = self.get(to)?;
        let target_dir = target_inode.dir()?;
        let id = self.lookup(dir, name)?;
        let inode = self.get(id)?;
        if target_inode.links == 0 {
            return Err(Errno::NoEnt);
        }
        if inode.is_dir() && dir != to && self.is_within(to, id)? {
            return Err(Errno::Inval);
        }
        match target_dir.get(to_name) {
            Ok(target) if target == id => return Ok(()),
            Ok(target) => {
                self.check_replace(dir, inode, target)?;
                self.get_mut(to)?.dir_mut()?.replace(to_name, id);
                self.lost_name(target, now)?;
                let inode = self.get_mut(dir)?;
                inode.dir_mut()?.remove(name);
                self.ledger.release(name_cost(name));
            }
            Err(_) => {
                self.prepare(to, to_name)?;
                self.ledger.charge(name_cost(to_name).saturating_sub(name_cost(name)))?;
                self.get_mut(dir)?.dir_mut()?.remove(name);
                self.ledger.release(name_cost(name).saturating_sub(name_cost(to_name)));
                self.get_mut(to)?.dir_mut()?.insert(to_name, id);
            }
        }
        self.get_mut(dir)?.touch(now);
        self.get_mut(to)?.touch(now);
        let inode = self.get_mut(id)?;
        inode.changed = now;
        if let Ok(moved) = inode.dir_mut() {
            moved.parent = to;
        }
        Ok(())
    }

    /// May what is in a directory take the place of another node?
    fn check_replace(&self, dir: Id, inode: &Inode, target: Id) -> Result {
        match (inode.is_dir(), self.get(target)?.dir()) {
            (true, Ok(old)) if old.len() > 0 => Err(Errno::NotEmpty),
            (true, Err(error)) => Err(error),
            // As other systems have it, who look for this first.
            (false, Ok(_)) if self.is_within(dir, target)? => Err(Errno::NotEmpty),
            (false, Ok(_)) => Err(Errno::IsDir),
            _ => Ok(()),
        }
    }

    /// Is a directory another one, or somewhere in it?
    fn is_within(&self, mut dir: Id, outer: Id) -> Result<bool> {
        while dir != outer {
            if dir == ROOT {
                return Ok(false);
            }
            dir = self.get(dir)?.dir()?.parent;
        }
        Ok(true)
    }

    pub(super) fn set_times(&mut self, id: Id, times: Times, now: u64) -> Result {
        let inode = self.get_mut(id)?;
        inode.accessed = times.accessed.unwrap_or(inode.accessed);
        inode.modified = times.modified.unwrap_or(inode.modified);
        inode.changed = now;
        Ok(())
    }

    /// Writes as much as there is room for, which must be something.
    pub(super) fn write(&mut self, id: Id, offset: u64, bytes: &[u8], now: u64) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if offset >= MAX_SIZE {
            return Err(Errno::FBig);
        }
        let inode = own(&mut self.slots, id)?;
        let content = inode.file_mut()?;
        let size = content.size();
        let longest = size.saturating_add(self.ledger.room()).min(MAX_SIZE);
        let end = offset.saturating_add(bytes.len() as u64).min(longest);
        let len = end.saturating_sub(offset) as usize;
        if len == 0 {
            return Err(Errno::NoSpc);
        }
        let growth = end.saturating_sub(size);
        self.ledger.charge(growth)?;
        let result = content.write(offset, &bytes[..len]);
        self.ledger.release(growth - (content.size() - size));
        if result.is_ok() {
            inode.touch(now);
        }
        result
    }

    pub(super) fn set_size(&mut self, id: Id, size: u64, now: u64) -> Result {
        let old = self.get(id)?.file()?.size();
        self.ledger.charge(size.saturating_sub(old))?;
        let inode = self.get_mut(id)?;
        inode.file_mut()?.resize(size)?;
        inode.touch(now);
        self.ledger.release(old.saturating_sub(size));
        Ok(())
    }

    /// Puts other contents in the place of a file's.
    pub(super) fn set_content(&mut self, id: Id, content: Content, now: u64) -> Result {
        let (old, new) = (self.get(id)?.file()?.size(), content.size());
        self.ledger.charge(new.saturating_sub(old))?;
        let inode = self.get_mut(id)?;
        inode.body = Body::File(content);
        inode.touch(now);
        self.ledger.release(old.saturating_sub(new));
        Ok(())
    }
}
