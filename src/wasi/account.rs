//! Who pays: files and captured output of a guest are charged to its store, as its memories are.
//!
//! Invariant: a guest's first call charges everything or fails, so no guest goes on with files that are not counted.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::{WasiCtx, fs};
use crate::{Account, Cause, Error, Result};

/// A store's account as file systems see it.
#[derive(Debug)]
struct Files {
    account: Account,
    /// How much was asked for when the answer was last no.
    refused: AtomicU64,
}

impl fs::Account for Files {
    fn charge(&self, bytes: u64) -> bool {
        let charged = self.account.charge(bytes, "files").is_ok();
        if !charged {
            self.refused.store(bytes, Relaxed);
        }
        charged
    }

    fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.account.release(bytes);
        }
    }
}

impl Files {
    /// The error of which a file system only knows that there is one.
    fn error(&self, errno: fs::Errno) -> Error {
        match self.refused.load(Relaxed) {
            0 => Error::new(errno),
            bytes => {
                let (limit, wanted) = (self.account.limit(), self.account.used().saturating_add(bytes));
                Cause::Budget { what: "files", unit: " bytes in all", limit, wanted }.into()
            }
        }
    }
}

/// Charges what a guest has already, and all that will be.
pub(super) fn charge_to(ctx: &mut WasiCtx, account: Account) -> Result<()> {
    let files = Arc::new(Files { account, refused: 0.into() });
    let pay = |charged: fs::Result| charged.map_err(|errno| files.error(errno));
    for mount in &ctx.mounts {
        pay(mount.charge_to(files.clone()))?;
    }
    for output in ctx.fds.outputs() {
        pay(output.charge_to(files.clone()))?;
    }
    ctx.charged = true;
    Ok(())
}
