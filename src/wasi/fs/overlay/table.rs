//! All nodes that were seen, and what is done to the tree.
//!
//! Idea: a directory is read from both file systems when it is first looked into; from then on it is what the table
//! says. Nodes are numbers in a flat table, so no walk goes down a tree by recursion.
//!
//! # Invariant
//! 1. A node is in the table as long as it has a name in it or somebody holds it (`pins`), and is charged for that long.
//! 2. A node that is in the upper file system has all its names there, and so have the directories above them.
//! 3. The upper file system is changed first; if that fails the table is as before.

use core::ops::ControlFlow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::copy::quietly;
use super::layers::{LOWER_ROOT, Layers, LowerId, LowerPlace};
use crate::wasi::fs::ledger::{Ledger, NAME};
use crate::wasi::fs::mem::dir::{Dir, Id};
use crate::wasi::fs::{Access, Errno, File, FileSystem, Kind, Node, Result, Stat, Times};

/// The place of the root.
pub(super) const ROOT: Id = 0;

/// The nodes that there may be.
const MAX_NODES: u64 = 1_000_000;

/// What a node costs besides its names.
const NODE: u64 = 512;

/// A name in a directory.
pub(super) type Place = (Id, Arc<str>);

/// Is it in the upper file system, and what is its number there?
type Key = (bool, u64);

/// One node.
#[derive(Debug)]
pub(super) struct Row {
    number: u64,
    pub(super) kind: Kind,
    pins: u64,
    /// One of its names. The root has none, nor has what was removed.
    pub(super) place: Option<Place>,
    /// Has a lower file without a name here names in directories that nobody looked into?
    unseen: bool,
    /// Its other names.
    pub(super) more: BTreeSet<Place>,
    /// Is what counts in the upper file system?
    pub(super) in_upper: bool,
    /// What it is in [`Table::known`].
    key: Option<Key>,
    /// Where it is in the lower file system.
    pub(super) lower: Option<LowerPlace>,
    /// The lower directory that it is, once it was looked into.
    pub(super) lower_dir: Option<LowerId>,
    /// What is in it, once it was looked into.
    dir: Option<Box<Dir>>,
    /// What to add to the number of names that it has where it is, to have that of all its names. In the lower file
    /// system there are some that were taken away, in the upper one there may be some that nobody has seen yet.
    pub(super) links: i64,
    /// What it is in the upper file system, as long as somebody holds it, and it is a directory or has no name any more.
    pub(super) last: Option<Arc<dyn Node>>,
    /// Its contents in the upper file system, for those who opened it before it was there.
    pub(super) copied: Option<Arc<dyn File>>,
    /// Times of a node that nothing else can keep: a lower one without a name.
    pub(super) times: Times,
}

/// Rows by number.
#[derive(Debug, Default)]
pub(super) struct Rows {
    slots: Vec<Option<Row>>,
    free: Vec<Id>,
    last_number: u64,
}

/// The table, and both file systems.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Rows,
    pub(super) layers: Layers,
    pub(super) ledger: Ledger,
    /// Nodes that are no directories, by what they were when they were first seen.
    known: HashMap<Key, Id>,
    /// The last time that was told.
    pub(super) now: u64,
}

/// A name in both file systems.
#[derive(Default)]
struct Found {
    upper: Option<(Kind, u64)>,
    lower: Option<(Kind, u64)>,
}

impl Row {
    fn new(kind: Kind, place: Option<Place>) -> Self {
        Self {
            number: 0,
            kind,
            pins: 0,
            place,
            unseen: false,
            more: BTreeSet::new(),
            in_upper: false,
            key: None,
            lower: None,
            lower_dir: None,
            dir: None,
            links: 0,
            last: None,
            copied: None,
            times: Times::default(),
        }
    }

    pub(super) fn is_root(&self) -> bool {
        self.number == 1
    }

    /// Does it have no name any more?
    fn is_gone(&self) -> bool {
        self.place.is_none() && !self.is_root()
    }

    fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    pub(super) fn is_held(&self) -> bool {
        self.pins > 0
    }

    /// How many names it has in the table.
    pub(super) fn names(&self) -> usize {
        usize::from(self.place.is_some()) + self.more.len()
    }

    fn add_name(&mut self, place: Place) {
        self.unseen = false;
        match self.place {
            None => self.place = Some(place),
            Some(_) => drop(self.more.insert(place)),
        }
    }

    fn remove_name(&mut self, place: &Place) {
        if !self.more.remove(place) {
            self.place = self.more.pop_first();
        }
    }
}

impl Rows {
    pub(super) fn get(&self, id: Id) -> Result<&Row> {
        self.slots.get(id as usize).and_then(Option::as_ref).ok_or(Errno::Stale)
    }

    fn get_mut(&mut self, id: Id) -> Result<&mut Row> {
        self.slots.get_mut(id as usize).and_then(Option::as_mut).ok_or(Errno::Stale)
    }

    /// Makes room for so many more.
    fn reserve(&mut self, more: usize) -> Result {
        self.slots.try_reserve(more)?;
        // So that freeing never has to ask for memory.
        self.free.try_reserve((self.slots.len() + more).saturating_sub(self.free.len()))?;
        Ok(())
    }

    /// There has to be room.
    fn add(&mut self, row: Row) -> Result<Id> {
        self.last_number += 1;
        let row = Some(Row { number: self.last_number, ..row });
        if let Some(id) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(id as usize) {
                *slot = row;
            }
            return Ok(id);
        }
        let id = Id::try_from(self.slots.len()).map_err(|_| Errno::NoSpc)?;
        self.slots.push(row);
        Ok(id)
    }

    fn remove(&mut self, id: Id) -> Option<Row> {
        let row = self.slots.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(row)
    }
}

fn name_cost(name: &str) -> u64 {
    NAME + name.len() as u64
}

impl Table {
    pub(super) fn new(lower: Arc<dyn FileSystem>, upper: Arc<dyn FileSystem>) -> Self {
        let mut root = Row::new(Kind::Dir, None);
        (root.number, root.in_upper, root.lower_dir) = (1, true, Some(LOWER_ROOT));
        Self {
            rows: Rows { slots: vec![Some(root)], free: Vec::new(), last_number: 1 },
            layers: Layers::new(lower, upper),
            ledger: Ledger::new(u64::MAX, MAX_NODES),
            known: HashMap::new(),
            now: 0,
        }
    }

    pub(super) fn get(&self, id: Id) -> Result<&Row> {
        self.rows.get(id)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Result<&mut Row> {
        self.rows.get_mut(id)
    }

    /// Somebody holds the node.
    pub(super) fn pin(&mut self, id: Id) {
        if let Ok(row) = self.get_mut(id) {
            row.pins += 1;
        }
    }

    pub(super) fn unpin(&mut self, id: Id) {
        let Ok(row) = self.get_mut(id) else { return };
        row.pins = row.pins.saturating_sub(1);
        if row.pins == 0 {
            (row.copied, row.last) = (None, None);
            self.free_unused(id);
        }
    }

    /// Frees a node that has no name, if nobody holds it and none is left that was not seen yet.
    fn free_unused(&mut self, id: Id) {
        if self.get(id).is_ok_and(|row| row.pins > 0 || !row.is_gone() || row.unseen) {
            return;
        }
        self.layers.forget_upper(id);
        if let Some(row) = self.rows.remove(id)
            && let Some(key) = row.key
            && self.known.get(&key) == Some(&id)
        {
            self.known.remove(&key);
        }
        self.ledger.release_file(NODE);
    }

    /// What is in a directory.
    pub(super) fn dir(&mut self, id: Id) -> Result<&mut Dir> {
        if !self.get(id)?.is_dir() {
            return Err(Errno::NotDir);
        }
        if self.get(id)?.dir.is_none() {
            self.look_into(id)?;
        }
        self.get_mut(id)?.dir.as_deref_mut().ok_or(Errno::NotDir)
    }

    fn look_into(&mut self, id: Id) -> Result {
        let mut found = BTreeMap::new();
        let filled = self.find_names(id, &mut found).and_then(|()| {
            self.adopt(id, &found);
            self.fill(id, &found)
        });
        if filled.is_err() {
            found.keys().for_each(|name| self.ledger.release_file(NODE + name_cost(name)));
        }
        filled
    }

    /// The names in a directory, each charged for as if it were a node's only one.
    fn find_names(&mut self, id: Id, found: &mut BTreeMap<Arc<str>, Found>) -> Result {
        let row = self.get(id)?;
        let (in_upper, in_lower) = (row.in_upper, row.lower_dir.is_some() || row.lower.is_some());
        let layers = [(in_upper, true), (in_lower, false)];
        for (_, upper) in layers.into_iter().filter(|(there, _)| *there) {
            let node = if upper { self.upper_node(id)? } else { self.lower_node(id)? };
            let mut result = Ok(());
            node.read_dir(0, &mut |entry| {
                if !found.contains_key(entry.name) {
                    result = self.ledger.charge_file(NODE + name_cost(entry.name));
                    if result.is_err() {
                        return ControlFlow::Break(());
                    }
                }
                let found = found.entry(entry.name.into()).or_default();
                *(if upper { &mut found.upper } else { &mut found.lower }) = Some((entry.kind, entry.inode));
                ControlFlow::Continue(())
            })?;
            result?;
        }
        Ok(())
    }

    /// Names of lower files that were copied already become names of the copies, if that can be. If not they are other
    /// files from now on, with what was there before.
    fn adopt(&mut self, dir: Id, found: &BTreeMap<Arc<str>, Found>) {
        for (name, Found { upper, lower }) in found {
            let Some(key) = lower.filter(|_| upper.is_none()).map(|(_, number)| (false, number)) else { continue };
            let Some(&id) = self.known.get(&key) else { continue };
            if self.get(id).is_ok_and(|row| row.in_upper) && self.adopt_name(dir, name, id).is_err() {
                self.known.remove(&key);
            }
        }
    }

    fn adopt_name(&mut self, dir: Id, name: &str, id: Id) -> Result {
        let node = self.upper_node(id)?;
        let (dir, now) = (self.copy_dir(dir)?, self.now);
        quietly(&*dir, now, || dir.link(name, &*node, now))?;
        self.get_mut(id)?.links -= 1;
        Ok(())
    }

    /// Makes nodes of names, in the order of names. Nothing fails after the first change.
    fn fill(&mut self, id: Id, found: &BTreeMap<Arc<str>, Found>) -> Result {
        let above = self.get(id)?.place.as_ref().map_or(ROOT, |(above, _)| *above);
        let mut dir = Dir::with_room(above, found.len())?;
        self.known.try_reserve(found.len())?;
        self.rows.reserve(found.len())?;
        let row = self.get(id)?;
        let lower_dir = match (row.lower_dir, row.lower.clone()) {
            (None, Some(place)) => Some(self.layers.add_lower_dir(place)?),
            (there, _) => there,
        };
        for (name, Found { upper, lower }) in found {
            let Some((kind, number)) = upper.or(*lower) else { continue };
            let (place, key) = ((id, name.clone()), (upper.is_some(), number));
            let inner = match self.known.get(&key).copied().filter(|_| kind != Kind::Dir) {
                Some(known) => {
                    self.ledger.release_file(NODE);
                    known
                }
                None => {
                    let mut row = Row::new(kind, None);
                    row.in_upper = upper.is_some();
                    // What is hidden by something else is not there, only directories are one.
                    let merged = lower.is_some_and(|(lower, _)| !row.in_upper || lower == kind && row.is_dir());
                    row.lower = lower_dir.filter(|_| merged).map(|dir| (dir, name.clone()));
                    row.key = (kind != Kind::Dir).then_some(key);
                    let inner = self.rows.add(row)?;
                    if kind != Kind::Dir {
                        self.known.insert(key, inner);
                    }
                    inner
                }
            };
            self.get_mut(inner)?.add_name(place);
            dir.insert(name, inner);
        }
        let row = self.get_mut(id)?;
        (row.dir, row.lower_dir) = (Some(Box::new(dir)), lower_dir);
        Ok(())
    }

    pub(super) fn lookup(&mut self, dir: Id, name: &str) -> Result<Id> {
        self.dir(dir)?.get(name)
    }

    /// What is known of a node, of which both file systems know `stat`.
    pub(super) fn stat(&self, id: Id, stat: Stat) -> Result<Stat> {
        let row = self.get(id)?;
        let (accessed, modified) = (row.times.accessed, row.times.modified);
        Ok(Stat {
            device: 0,
            inode: row.number,
            links: if row.is_gone() && !row.unseen { 0 } else { stat.links.saturating_add_signed(row.links) },
            accessed: accessed.unwrap_or(stat.accessed),
            modified: modified.unwrap_or(stat.modified),
            ..stat
        })
    }

    pub(super) fn number(&self, id: Id) -> Result<(u64, Kind)> {
        self.get(id).map(|row| (row.number, row.kind))
    }

    pub(super) fn set_times(&mut self, id: Id, times: Times, now: u64) -> Result {
        self.now = now;
        let row = self.get_mut(id)?;
        if row.is_gone() && !row.in_upper {
            row.times.accessed = times.accessed.or(row.times.accessed);
            row.times.modified = times.modified.or(row.times.modified);
            return Ok(());
        }
        self.copy(id)?;
        self.upper_node(id)?.set_times(times, now)
    }

    /// Makes sure that the name can be given to something.
    fn prepare(&mut self, dir: Id, name: &str) -> Result {
        let names = self.dir(dir)?;
        if names.get(name).is_ok() {
            return Err(Errno::Exist);
        }
        names.reserve()?;
        if self.get(dir)?.is_gone() {
            return Err(Errno::NoEnt);
        }
        Ok(())
    }

    /// Makes a node in the upper file system, with its first name.
    pub(super) fn make<T>(
        &mut self,
        (dir, name): (Id, &str),
        kind: Kind,
        now: u64,
        make: impl FnOnce(&dyn Node) -> Result<T>,
    ) -> Result<(Id, T)> {
        self.now = now;
        self.prepare(dir, name)?;
        let upper = self.copy_dir(dir)?;
        self.rows.reserve(1)?;
        let cost = NODE + name_cost(name);
        self.ledger.charge_file(cost)?;
        let made = make(&*upper).inspect_err(|_| self.ledger.release_file(cost))?;
        let mut row = Row::new(kind, Some((dir, name.into())));
        row.in_upper = true;
        let id = self.rows.add(row)?;
        if kind == Kind::Dir {
            self.get_mut(id)?.dir = Some(Box::new(Dir::new(dir)));
        }
        self.dir(dir)?.insert(name, id);
        Ok((id, made))
    }

    pub(super) fn create(&mut self, dir: Id, name: &str, access: Access, now: u64) -> Result<(Id, Arc<dyn File>)> {
        self.make((dir, name), Kind::File, now, |upper| upper.create(name, access, now))
    }

    pub(super) fn link(&mut self, dir: Id, name: &str, id: Id, now: u64) -> Result {
        self.now = now;
        if self.get(id)?.is_dir() && self.lookup(dir, name).is_err() {
            return Err(Errno::Perm);
        }
        self.prepare(dir, name)?;
        if self.get(id)?.is_gone() {
            return Err(Errno::NoEnt);
        }
        let upper = self.copy_dir(dir)?;
        self.copy(id)?;
        let node = self.upper_node(id)?;
        let cost = name_cost(name);
        self.ledger.charge(cost)?;
        upper.link(name, &*node, now).inspect_err(|_| self.ledger.release(cost))?;
        self.get_mut(id)?.add_name((dir, name.into()));
        self.dir(dir)?.insert(name, id);
        Ok(())
    }

    pub(super) fn unlink(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let id = self.lookup(dir, name)?;
        if self.get(id)?.is_dir() {
            return Err(Errno::IsDir);
        }
        self.take_name(dir, name, id, now, |upper| upper.unlink(name, now))
    }

    pub(super) fn remove_dir(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let id = self.lookup(dir, name)?;
        if self.dir(id)?.len() > 0 {
            return Err(Errno::NotEmpty);
        }
        self.take_name(dir, name, id, now, |upper| upper.remove_dir(name, now))
    }

    fn take_name(&mut self, dir: Id, name: &str, id: Id, now: u64, take: impl FnOnce(&dyn Node) -> Result) -> Result {
        self.now = now;
        let upper = self.copy_dir(dir)?;
        if self.get(id)?.in_upper {
            let last = self.last_node(id)?;
            take(&*upper)?;
            self.get_mut(id)?.last = last;
        } else {
            upper.set_times(Times { modified: Some(now), ..Times::default() }, now)?;
        }
        self.dir(dir)?.remove(name);
        self.ledger.release(name_cost(name));
        self.lose_name(id, &(dir, name.into()))
    }

    /// The node in the upper file system, if its last name goes and somebody holds it.
    fn last_node(&mut self, id: Id) -> Result<Option<Arc<dyn Node>>> {
        let row = self.get(id)?;
        if row.in_upper && row.pins > 0 && row.names() == 1 { self.upper_node(id).map(Some) } else { Ok(None) }
    }

    fn lose_name(&mut self, id: Id, place: &Place) -> Result {
        let row = self.get_mut(id)?;
        row.remove_name(place);
        if !row.in_upper && !row.is_dir() {
            row.links -= 1;
            if row.is_gone() {
                let left = row.links.unsigned_abs();
                self.get_mut(id)?.unseen = self.lower_node(id)?.stat()?.links > left;
            }
        }
        self.free_unused(id);
        Ok(())
    }

    pub(super) fn rename(&mut self, dir: Id, name: &str, to: Id, to_name: &str, now: u64) -> Result {
        self.now = now;
        let target = self.dir(to)?.get(to_name);
        let id = self.lookup(dir, name)?;
        if self.get(to)?.is_gone() {
            return Err(Errno::NoEnt);
        }
        let row = self.get(id)?;
        if row.is_dir() && dir != to && self.is_within(to, id)? {
            return Err(Errno::Inval);
        }
        match target {
            Ok(target) if target == id => return Ok(()),
            Ok(target) => self.check_replace(dir, id, target)?,
            Err(_) => self.dir(to)?.reserve()?,
        }
        self.copy(id)?;
        let (from_upper, to_upper) = (self.copy_dir(dir)?, self.copy_dir(to)?);
        let last = target.and_then(|target| self.last_node(target)).unwrap_or_default();
        let more = name_cost(to_name).saturating_sub(name_cost(name));
        self.ledger.charge(more)?;
        from_upper.rename(name, &*to_upper, to_name, now).inspect_err(|_| self.ledger.release(more))?;
        self.dir(dir)?.remove(name);
        self.ledger.release(name_cost(name).saturating_sub(name_cost(to_name)));
        let place = (to, to_name.into());
        match target {
            Ok(target) => {
                self.dir(to)?.replace(to_name, id);
                self.ledger.release(name_cost(to_name));
                self.get_mut(target)?.last = last;
                self.lose_name(target, &place)?;
            }
            Err(_) => self.dir(to)?.insert(to_name, id),
        }
        let row = self.get_mut(id)?;
        row.remove_name(&(dir, name.into()));
        row.add_name(place);
        if let Some(moved) = &mut row.dir {
            moved.parent = to;
        }
        Ok(())
    }

    /// May what is in a directory take the place of another node?
    fn check_replace(&mut self, dir: Id, id: Id, target: Id) -> Result {
        match (self.get(id)?.is_dir(), self.get(target)?.is_dir()) {
            (true, true) if self.dir(target)?.len() > 0 => Err(Errno::NotEmpty),
            (true, false) => Err(Errno::NotDir),
            // As other systems have it, who look for this first.
            (false, true) if self.is_within(dir, target)? => Err(Errno::NotEmpty),
            (false, true) => Err(Errno::IsDir),
            _ => Ok(()),
        }
    }

    /// Is a directory another one, or somewhere in it?
    fn is_within(&self, mut dir: Id, outer: Id) -> Result<bool> {
        while dir != outer {
            match &self.get(dir)?.place {
                Some((above, _)) => dir = *above,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}
