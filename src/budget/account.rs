//! A sum of bytes that several parties charge.
//!
//! Idea: atomic counters, so that whoever holds something for a guest charges it from wherever he is.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::Error;

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

    pub(super) fn within(limit: u64, pool: Option<Account>) -> Self {
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
    pub(super) fn refusal(&self, bytes: u64, what: &'static str) -> Error {
        let wanted = self.used().saturating_add(bytes);
        match &self.0.pool {
            Some(pool) if wanted <= self.limit() => pool.refusal(bytes, what),
            _ => Error::budget(what, self.limit(), wanted),
        }
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.0.limit.store(limit, Relaxed);
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
