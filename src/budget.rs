//! The one hard budget of a store: all that a guest can make the host hold is charged here before it is allocated.
//!
//! Idea: the sum of bytes is an [`Account`] that the store shares with whoever holds something for its guests outside of
//! it, files and captured output say; all else is the store's alone. An account may draw on another, as several stores do
//! on one.
//!
//! Invariant: `used` is the sum of the charges that were not released, and never above the limit, here and in the account
//! drawn on.

mod account;
mod limits;

pub use self::account::Account;
pub use self::limits::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};

use crate::error::Error;

/// What has a cap of its own besides the sum of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resource {
    /// The bytes of one memory.
    Memory,
    /// The elements of one table.
    TableElements,
    Instances,
    Tables,
    Memories,
}

impl Resource {
    fn error(self, limit: u64, wanted: u64) -> Error {
        let (what, unit) = match self {
            Self::Memory => ("a memory", " bytes"),
            Self::TableElements => ("a table", " elements"),
            Self::Instances => ("instances", ""),
            Self::Tables => ("tables", ""),
            Self::Memories => ("memories", ""),
        };
        Error::budget_of(what, unit, limit, wanted)
    }
}

/// The account of a store, and what else is bounded.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: StoreLimits,
    account: Account,
    /// What was charged through this, and goes back with it.
    held: u64,
    instances: u64,
    tables: u64,
    memories: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(StoreLimits::default(), None)
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.account.release(self.held);
    }
}

impl Budget {
    pub(crate) fn new(limits: StoreLimits, pool: Option<Account>) -> Self {
        let account = Account::within(limits.total_memory, pool);
        Self { limits, account, held: 0, instances: 0, tables: 0, memories: 0 }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// See [`Account::used`].
    pub(crate) fn used(&self) -> u64 {
        self.account.used()
    }

    /// See [`Account::peak`].
    pub(crate) fn peak(&self) -> u64 {
        self.account.peak()
    }

    /// See [`Account::limit`].
    pub(crate) fn limit(&self) -> u64 {
        self.account.limit()
    }

    /// See [`Account::left`].
    pub(crate) fn left(&self) -> u64 {
        self.account.left()
    }

    pub(crate) fn limits(&self) -> &StoreLimits {
        &self.limits
    }

    /// Sets other limits. What is held already stays, even if it is more; it only cannot grow.
    pub(crate) fn set_limits(&mut self, limits: StoreLimits) {
        self.limits = limits;
        self.account.set_limit(limits.total_memory);
    }

    /// Should an instruction that cannot grow end the call?
    pub(crate) fn trap_on_grow_failure(&self) -> bool {
        self.limits.trap_on_grow_failure
    }

    /// See [`Account::charge`].
    pub(crate) fn charge(&mut self, bytes: u64, what: &'static str) -> Result<(), Error> {
        self.account.charge(bytes, what)?;
        self.held += bytes;
        Ok(())
    }

    /// See [`Account::release`].
    pub(crate) fn release(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.held, "{bytes} bytes released, {} held", self.held);
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.account.release(bytes);
    }

    /// Could so much be charged now?
    pub(crate) fn check_left(&self, bytes: u64, what: &'static str) -> Result<(), Error> {
        if bytes <= self.account.left() { Ok(()) } else { Err(self.account.refusal(bytes, what)) }
    }

    /// What is charged through this, and not by others.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Is a size of one memory or table within its cap? [`Self::charge`] comes after.
    pub(crate) fn check(&self, resource: Resource, wanted: u64) -> Result<(), Error> {
        let limit = match resource {
            Resource::Memory => self.limits.memory_size,
            Resource::TableElements => self.limits.table_elements,
            Resource::Instances => self.limits.instances as u64,
            Resource::Tables => self.limits.tables as u64,
            Resource::Memories => self.limits.memories as u64,
        };
        if wanted <= limit { Ok(()) } else { Err(resource.error(limit, wanted)) }
    }

    /// Counts one or more instances, tables or memories that are about to be made.
    pub(crate) fn add(&mut self, resource: Resource, count: u64) -> Result<(), Error> {
        let wanted = self.count(resource).saturating_add(count);
        self.check(resource, wanted)?;
        *self.count_mut(resource) = wanted;
        Ok(())
    }

    /// Takes back what [`Self::add`] counted, if making it failed after all.
    pub(crate) fn sub(&mut self, resource: Resource, count: u64) {
        let counter = self.count_mut(resource);
        debug_assert!(count <= *counter);
        *counter = counter.saturating_sub(count);
    }

    pub(crate) fn count(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Instances => self.instances,
            Resource::Tables => self.tables,
            Resource::Memories => self.memories,
            Resource::Memory | Resource::TableElements => 0,
        }
    }

    fn count_mut(&mut self, resource: Resource) -> &mut u64 {
        match resource {
            Resource::Instances => &mut self.instances,
            Resource::Tables => &mut self.tables,
            Resource::Memories => &mut self.memories,
            Resource::Memory | Resource::TableElements => unreachable!("sizes are checked, not counted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn charges_add_up() {
        let mut budget = Budget::new(StoreLimitsBuilder::new().total_memory(100).build(), None);
        budget.charge(60, "a memory").unwrap();
        let error = budget.charge(41, "a table").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Budget);
        assert_eq!(error.to_string(), "budget exceeded by a table: 101 bytes in all, at most 100");
        assert_eq!((budget.used(), budget.left()), (60, 40));
        budget.charge(40, "a table").unwrap();
        budget.release(100);
        assert_eq!((budget.used(), budget.peak(), budget.limit()), (0, 100, 100));
    }

    #[test]
    fn nothing_wraps() {
        let mut budget = Budget::new(StoreLimitsBuilder::new().total_memory(u64::MAX).build(), None);
        budget.charge(u64::MAX, "all").unwrap();
        budget.charge(0, "nothing").unwrap();
        let mut budget = Budget::new(StoreLimitsBuilder::new().total_memory(0).build(), None);
        budget.charge(0, "nothing").unwrap();
        budget.charge(1, "a byte").unwrap_err();
        budget.charge(u64::MAX, "all").unwrap_err();
        budget.add(Resource::Tables, u64::MAX).unwrap_err();
    }

    #[test]
    fn stores_draw_on_one_account() {
        let pool = Account::new(100);
        let budget = |most| Budget::new(StoreLimitsBuilder::new().total_memory(most).build(), Some(pool.clone()));
        let (mut one, mut two) = (budget(80), budget(80));
        one.charge(70, "a memory").unwrap();
        assert_eq!(
            one.charge(20, "a memory").unwrap_err().to_string(),
            "budget exceeded by a memory: 90 bytes in all, at most 80"
        );
        for refused in [two.charge(40, "a table"), two.check_left(40, "a table")] {
            assert_eq!(refused.unwrap_err().to_string(), "budget exceeded by a table: 110 bytes in all, at most 100");
        }
        assert_eq!((two.used(), two.peak(), two.left(), pool.used()), (0, 0, 30, 70));
        two.charge(30, "a table").unwrap();
        let outlives = one.account().clone();
        drop(one);
        assert_eq!((outlives.used(), pool.used(), two.left()), (0, 30, 50));
        two.release(30);
        assert_eq!((pool.used(), pool.peak()), (0, 100));
    }

    #[test]
    fn a_smaller_limit_takes_nothing_away() {
        let mut budget = Budget::default();
        budget.charge(1000, "a memory").unwrap();
        budget.set_limits(StoreLimitsBuilder::new().total_memory(10).build());
        assert_eq!((budget.used(), budget.left()), (1000, 0));
        budget.charge(0, "nothing").unwrap();
        budget.charge(1, "a byte").unwrap_err();
        budget.release(1000);
        budget.charge(10, "bytes").unwrap();
    }

    #[test]
    fn caps() {
        let limits = StoreLimitsBuilder::new().memory_size(10).table_elements(5).instances(2).tables(0).memories(1);
        let mut budget = Budget::new(limits.build(), None);
        budget.check(Resource::Memory, 10).unwrap();
        assert_eq!(
            budget.check(Resource::Memory, 11).unwrap_err().to_string(),
            "budget exceeded by a memory: 11 bytes, at most 10"
        );
        budget.check(Resource::TableElements, 6).unwrap_err();
        budget.add(Resource::Instances, 2).unwrap();
        budget.add(Resource::Instances, 1).unwrap_err();
        budget.sub(Resource::Instances, 1);
        budget.add(Resource::Instances, 1).unwrap();
        budget.add(Resource::Tables, 1).unwrap_err();
        budget.add(Resource::Memories, 1).unwrap();
    }
}
