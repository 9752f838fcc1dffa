//! What was in a folder of the host at one moment, sorted by name.
//!
//! Invariant: the tree's ledger is charged for it before it is held, and until it is dropped.

use std::sync::{Arc, MutexGuard, PoisonError};

use cap_std::fs::Dir;

use super::error::errno;
use super::{Tree, kind, os};
use crate::wasi::fs::ledger::Ledger;
use crate::wasi::fs::{Entry, Kind, Result};

/// Entries, in the order in which they are shown.
#[derive(Debug)]
pub(super) struct Listing {
    tree: Arc<Tree>,
    entries: Vec<Item>,
    charged: u64,
}

#[derive(Debug)]
struct Item {
    name: Box<str>,
    inode: u64,
    kind: Kind,
}

/// What an entry takes beside its name. A vector that grows may have room for twice as many.
const ITEM: u64 = 2 * size_of::<Item>() as u64 + 16;

impl Listing {
    /// Entries whose names are not UTF-8 are left out.
    pub(super) fn read(tree: &Arc<Tree>, dir: &Dir, device: u64) -> Result<Self> {
        let mut listing = Self { tree: tree.clone(), entries: Vec::new(), charged: 0 };
        for entry in dir.entries().map_err(errno)? {
            let entry = entry.map_err(errno)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let inode = tree.inode(device, os::inode(&entry).map_err(errno)?);
            let kind = match kind(entry.file_type().map_err(errno)?) {
                // Some file systems only know it of the node itself, which may be gone by now.
                Kind::Other => entry.metadata().map_or(Kind::Other, |data| self::kind(data.file_type())),
                kind => kind,
            };
            let cost = ITEM.saturating_add(name.len() as u64);
            listing.ledger().charge(cost)?;
            listing.charged += cost;
            listing.entries.try_reserve(1)?;
            listing.entries.push(Item { name: name.into(), inode, kind });
        }
        listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// The entries from a place on; the first is at 0.
    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = Entry<'_>> {
        let place = usize::try_from(place).unwrap_or(usize::MAX).min(self.entries.len());
        (place..).zip(&self.entries[place..]).map(|(place, item)| Entry {
            name: &item.name,
            inode: item.inode,
            kind: item.kind,
            next: place as u64 + 1,
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.tree.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.ledger().release(self.charged);
    }
}
