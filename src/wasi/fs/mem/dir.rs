//! A directory in memory: names in the order in which they came.
//!
//! Idea: each name gets a number, greater than all before it. A reader goes on after a number, so it does not matter
//! what comes and goes meanwhile.
//!
//! Invariant: both maps have the same names, and their room is a small multiple of what they hold.

use core::ops::Bound;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(in crate::wasi::fs) use super::table::Id;
use crate::wasi::fs::{Errno, Result};

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: Id,
    cookie: u64,
}

/// Names, and the directory they are in.
#[derive(Clone, Debug)]
pub(in crate::wasi::fs) struct Dir {
    /// The directory that it is in, as long as it has a name. The root is in itself.
    pub(in crate::wasi::fs) parent: Id,
    names: HashMap<Arc<str>, Place>,
    order: BTreeMap<u64, (Arc<str>, Id)>,
    last: u64,
}

impl Dir {
    pub(in crate::wasi::fs) fn new(parent: Id) -> Self {
        Self { parent, names: HashMap::new(), order: BTreeMap::new(), last: 0 }
    }

    /// One with room for so many names.
    pub(in crate::wasi::fs) fn with_room(parent: Id, names: usize) -> Result<Self> {
        let mut dir = Self::new(parent);
        dir.names.try_reserve(names)?;
        Ok(dir)
    }

    pub(in crate::wasi::fs) fn len(&self) -> usize {
        self.names.len()
    }

    pub(in crate::wasi::fs) fn get(&self, name: &str) -> Result<Id> {
        self.names.get(name).map(|place| place.id).ok_or(Errno::NoEnt)
    }

    /// Names after a number, with their own.
    pub(in crate::wasi::fs) fn after(&self, cookie: u64) -> impl Iterator<Item = (u64, &Arc<str>, Id)> {
        let rest = self.order.range((Bound::Excluded(cookie), Bound::Unbounded));
        rest.map(|(&cookie, (name, id))| (cookie, name, *id))
    }

    /// Makes room for one name more.
    pub(in crate::wasi::fs) fn reserve(&mut self) -> Result {
        Ok(self.names.try_reserve(1)?)
    }

    /// A name that it has no node for yet.
    pub(in crate::wasi::fs) fn insert(&mut self, name: &str, id: Id) {
        self.last += 1;
        let name: Arc<str> = name.into();
        self.order.insert(self.last, (name.clone(), id));
        self.names.insert(name, Place { id, cookie: self.last });
    }

    /// The name stays where it is, for another node.
    pub(in crate::wasi::fs) fn replace(&mut self, name: &str, id: Id) {
        if let Some(place) = self.names.get_mut(name) {
            place.id = id;
            if let Some((_, old)) = self.order.get_mut(&place.cookie) {
                *old = id;
            }
        }
    }

    pub(in crate::wasi::fs) fn remove(&mut self, name: &str) {
        if let Some(place) = self.names.remove(name) {
            self.order.remove(&place.cookie);
            if self.names.capacity() > 32 && self.names.len() < self.names.capacity() / 4 {
                self.names.shrink_to(2 * self.names.len());
            }
        }
    }

    /// Takes all names out.
    pub(in crate::wasi::fs) fn drain(&mut self) -> impl Iterator<Item = (Arc<str>, Id)> + use<> {
        self.names = HashMap::new();
        core::mem::take(&mut self.order).into_values()
    }

    /// All names, from the least to the greatest.
    pub(in crate::wasi::fs) fn sorted(&self) -> Vec<(&Arc<str>, Id)> {
        let mut names: Vec<_> = self.order.values().map(|(name, id)| (name, *id)).collect();
        names.sort_unstable();
        names
    }
}
