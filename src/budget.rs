//! The one hard budget of a store: all that a guest can make the host hold is charged here before it is allocated.
//!
//! Idea: the sum of bytes is an [`Account`] that the store shares with whoever holds something for its guests outside of
//! it, files and captured output say; all else is the store's alone. An account may draw on another, as several stores do
//! on one.
//!
//! Invariant: `used` is the sum of the charges that were not released, and never above the limit, here and in the account
//! drawn on.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::{Error, Result};

/// What a store's guests may make the host hold; made by [`StoreLimitsBuilder`].
///
/// Put into the store's data and named by `Store::limiter`, it is also a [`ResourceLimiter`], as in other engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreLimits {
    memory_size: u64,
    table_elements: u64,
    instances: usize,
    tables: usize,
    memories: usize,
    total_memory: u64,
    trap_on_grow_failure: bool,
}

/// See [`StoreLimitsBuilder`] for the figures.
impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            memory_size: u64::MAX,
            table_elements: 10_000_000,
            instances: 10_000,
            tables: 10_000,
            memories: 10_000,
            total_memory: 4 << 30,
            trap_on_grow_failure: false,
        }
    }
}

/// Makes [`StoreLimits`].
///
/// ```
/// let limits = jitless::StoreLimitsBuilder::new().total_memory(256 << 20).instances(1).build();
/// # let _ = limits;
/// ```
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// The defaults: 4 GiB in total, tables of 10 million elements, 10,000 instances, tables and memories.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most bytes that *each* memory may have. Default: what its type and [`Self::total_memory`] allow.
    pub fn memory_size(mut self, bytes: usize) -> Self {
        self.0.memory_size = bytes as u64;
        self
    }

    /// The most elements that *each* table may have. Default: 10,000,000.
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.0.table_elements = elements as u64;
        self
    }

    /// The most instances. Default: 10,000.
    pub fn instances(mut self, count: usize) -> Self {
        self.0.instances = count;
        self
    }

    /// The most tables of all instances together. Default: 10,000.
    pub fn tables(mut self, count: usize) -> Self {
        self.0.tables = count;
        self
    }

    /// The most memories of all instances together. Default: 10,000.
    pub fn memories(mut self, count: usize) -> Self {
        self.0.memories = count;
        self
    }

    /// The most bytes of *everything* that the store's guests make the host hold: memories, tables, globals, instances,
    /// stacks, values of the host in tables. `u64::MAX` is no bound. Default: 4 GiB.
    pub fn total_memory(mut self, bytes: u64) -> Self {
        self.0.total_memory = bytes;
        self
    }

    /// Should `memory.grow` and `table.grow` end the call where a limit stops them, and not return -1? Default: no.
    pub fn trap_on_grow_failure(mut self, yes: bool) -> Self {
        self.0.trap_on_grow_failure = yes;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

/// Decides, growth by growth, what a store's guests may have; the store's own limits come first.
///
/// An answer of `Ok(false)` makes the instruction return -1, or instantiation fail; an error ends the call with it.
pub trait ResourceLimiter {
    /// May a memory grow from `current` to `desired` bytes? A memory that is being made grows from 0. `maximum` is what
    /// its type declares, in bytes.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// May a table grow from `current` to `desired` elements? `maximum` is what its type declares.
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// A memory was allowed to grow, but could not. An error ends the call, `Ok` makes the instruction return -1.
    fn memory_grow_failed(&mut self, error: &Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// The same for tables.
    fn table_grow_failed(&mut self, error: &Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// The most instances.
    fn instances(&self) -> usize {
        10_000
    }

    /// The most tables.
    fn tables(&self) -> usize {
        10_000
    }

    /// The most memories.
    fn memories(&self) -> usize {
        10_000
    }
}

impl StoreLimits {
    /// See [`StoreLimitsBuilder::total_memory`].
    pub fn total_memory(&self) -> u64 {
        self.total_memory
    }

    fn decide(&self, resource: Resource, limit: u64, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let allowed = desired as u64 <= limit;
        // Beyond its own maximum a growth fails whatever the limits are, so that is no reason to end the call.
        if !allowed && self.trap_on_grow_failure && maximum.is_none_or(|maximum| desired <= maximum) {
            return Err(resource.error(limit, desired as u64));
        }
        Ok(allowed)
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.decide(Resource::Memory, self.memory_size, desired, maximum)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.decide(Resource::TableElements, self.table_elements, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

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

/// The sum of the bytes that a store's guests make the host hold. Clones are the same account.
///
/// What a host function keeps for a guest outside of the store is charged here, so that one limit holds for all of it:
///
/// ```
/// use jitless::{Engine, Store, StoreLimitsBuilder};
///
/// let mut store = Store::new(&Engine::default(), ());
/// store.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).build());
/// let account = store.account();
/// account.charge(1000, "a mailbox")?;
/// assert!(account.charge(1 << 20, "a mailbox").is_err());
/// assert_eq!(store.memory_used(), 1000);
/// account.release(1000);
/// # Ok::<(), jitless::Error>(())
/// ```
///
/// An account of its own is a budget for several stores: [`Store::within`](crate::Store::within).
#[derive(Clone, Debug)]
pub struct Account(Arc<Sums>);

#[derive(Debug)]
struct Sums {
    limit: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
    /// The account that all of this is charged to as well.
    pool: Option<Account>,
}

impl Account {
    /// An account of its own, to which at most `limit` bytes can be charged at once.
    pub fn new(limit: u64) -> Self {
        Self::within(limit, None)
    }

    fn within(limit: u64, pool: Option<Account>) -> Self {
        Self(Arc::new(Sums { limit: limit.into(), used: 0.into(), peak: 0.into(), pool }))
    }

    /// Charges `bytes` before they are allocated; nothing is charged if they are too many.
    ///
    /// `what` asks for them, for the error: "a file".
    pub fn charge(&self, bytes: u64, what: &'static str) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let limit = self.limit();
        let within = |used: u64| Some(used.saturating_add(bytes)).filter(|&wanted| wanted <= limit);
        let Ok(used) = self.0.used.try_update(Relaxed, Relaxed, within) else { return Err(self.refusal(bytes, what)) };
        if let Some(pool) = &self.0.pool
            && let Err(error) = pool.charge(bytes, what)
        {
            self.give_back(bytes);
            return Err(error);
        }
        self.0.peak.fetch_max(used + bytes, Relaxed);
        Ok(())
    }

    /// Gives back bytes that were charged.
    pub fn release(&self, bytes: u64) {
        self.give_back(bytes);
        if let Some(pool) = &self.0.pool {
            pool.release(bytes);
        }
    }

    fn give_back(&self, bytes: u64) {
        let down = |used: u64| {
            debug_assert!(bytes <= used, "{bytes} bytes released, {used} charged");
            Some(used.saturating_sub(bytes))
        };
        // It always has an answer.
        let _ = self.0.used.try_update(Relaxed, Relaxed, down);
    }

    /// Why `bytes` more cannot be charged.
    fn refusal(&self, bytes: u64, what: &'static str) -> Error {
        let wanted = self.used().saturating_add(bytes);
        match &self.0.pool {
            Some(pool) if wanted <= self.limit() => pool.refusal(bytes, what),
            _ => Error::budget(what, self.limit(), wanted),
        }
    }

    /// Bytes that are charged now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    /// The most bytes that were ever charged at once.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Relaxed)
    }

    /// The most bytes that can be charged at once, if an account drawn on has them.
    pub fn limit(&self) -> u64 {
        self.0.limit.load(Relaxed)
    }

    /// Bytes that can still be charged.
    pub fn left(&self) -> u64 {
        let left = self.limit().saturating_sub(self.used());
        self.0.pool.as_ref().map_or(left, |pool| left.min(pool.left()))
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
        self.account.0.limit.store(limits.total_memory, Relaxed);
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

    #[test]
    fn the_limiter_refuses_or_ends_the_call() {
        let builder = StoreLimitsBuilder::new().memory_size(100);
        let mut limits = builder.clone().build();
        assert!(limits.memory_growing(0, 100, None).unwrap());
        assert!(!limits.memory_growing(0, 101, None).unwrap());
        let mut limits = builder.trap_on_grow_failure(true).build();
        assert_eq!(limits.memory_growing(0, 101, None).unwrap_err().kind(), ErrorKind::Budget);
        assert!(!limits.memory_growing(0, 101, Some(50)).unwrap());
    }
}
