//! What an embedder bounds: figures for a store, or a decision for each growth.

use super::Resource;
use crate::error::{Error, Result};

/// What a store's guests may make the host hold; made by [`StoreLimitsBuilder`].
///
/// Put into the store's data and named by `Store::limiter`, it is also a [`ResourceLimiter`], as in other engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreLimits {
    pub(super) memory_size: u64,
    pub(super) table_elements: u64,
    pub(super) instances: usize,
    pub(super) tables: usize,
    pub(super) memories: usize,
    pub(super) total_memory: u64,
    pub(super) trap_on_grow_failure: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

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
