//! What a file system may hold in memory, and what it does.
//!
//! Idea: all that grows is charged here before it grows; what is charged follows from the files alone (sizes, names,
//! numbers), not from how they came to be, so it never drifts.
//!
//! Invariant: the account has been charged for exactly `bytes`.

use std::sync::Arc;

use super::{Account, Errno, Result};

/// What a node costs besides what it holds, the maps of a directory and the last bytes of a chunk included.
pub(super) const NODE: u64 = 384;

/// What a name costs besides its letters.
pub(super) const NAME: u64 = 192;

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) max_bytes: u64,
    pub(super) max_files: u64,
    bytes: u64,
    files: u64,
    account: Option<Arc<dyn Account>>,
}

impl Ledger {
    pub(super) fn new(max_bytes: u64, max_files: u64) -> Self {
        Self { max_bytes, max_files, bytes: 0, files: 0, account: None }
    }

    /// The same sums, which nobody pays for yet.
    pub(super) fn fork(&self) -> Self {
        Self { account: None, ..*self }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn files(&self) -> u64 {
        self.files
    }

    /// Bytes up to the quota.
    pub(super) fn room(&self) -> u64 {
        self.max_bytes.saturating_sub(self.bytes)
    }

    /// The first account stays.
    pub(super) fn charge_to(&mut self, account: Arc<dyn Account>) -> Result {
        if self.account.is_none() {
            if !account.charge(self.bytes) {
                return Err(Errno::NoSpc);
            }
            self.account = Some(account);
        }
        Ok(())
    }

    /// All or nothing.
    pub(super) fn charge(&mut self, bytes: u64) -> Result {
        if bytes == 0 {
            return Ok(());
        }
        let refused = |account: &Arc<dyn Account>| !account.charge(bytes);
        if bytes > self.room() || self.account.as_ref().is_some_and(refused) {
            return Err(Errno::NoSpc);
        }
        self.bytes += bytes;
        Ok(())
    }

    pub(super) fn release(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(account) = &self.account {
            account.release(bytes);
        }
    }

    /// Charges for one node more.
    pub(super) fn charge_file(&mut self, bytes: u64) -> Result {
        if self.files >= self.max_files {
            return Err(Errno::NoSpc);
        }
        self.charge(bytes)?;
        self.files += 1;
        Ok(())
    }

    pub(super) fn release_file(&mut self, bytes: u64) {
        self.files = self.files.saturating_sub(1);
        self.release(bytes);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}
