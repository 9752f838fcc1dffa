//! What a guest is put into: the calls of WASI that its mode gives it, its files, and who pays for them.
//!
//! Invariant: files outlive stores, and what they hold is charged to the store that there is, from its first moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::config::{SandboxConfig, Wasi};
use super::error::{SandboxError, SandboxErrorKind};
use crate::wasi::{self, Capture, Errno, WasiCtx, fs};
use crate::{Account, Engine, Error, ErrorKind, ExternType, Linker, Val};

/// What a sandbox keeps in its guest's store; functions of the host see it as the type of their
/// [`Caller`](crate::Caller)'s data.
#[derive(Debug)]
pub struct Guest {
    wasi: WasiCtx,
}

impl Guest {
    /// The guest's side of WASI.
    pub fn wasi(&mut self) -> &mut WasiCtx {
        &mut self.wasi
    }
}

/// What a guest reads and writes besides files.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdin: Vec<u8>,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
}

impl Streams {
    pub(super) fn new(limit: usize) -> Self {
        Self { stdin: Vec::new(), stdout: Capture::new(limit), stderr: Capture::new(limit) }
    }

    /// For the next guest: nothing is written yet.
    pub(super) fn renew(&mut self, limit: usize) {
        *self = Self { stdin: core::mem::take(&mut self.stdin), ..Self::new(limit) };
    }

    /// The bytes that were written and are kept.
    pub(super) fn held(&self) -> u64 {
        self.stdout.len().saturating_add(self.stderr.len()) as u64
    }
}

/// A linker with the calls that the mode gives.
pub(super) fn linker(engine: &Engine, config: &SandboxConfig) -> Result<Linker<Guest>, Error> {
    let mut linker = Linker::new(engine);
    match config.wasi {
        Wasi::Disabled => {}
        Wasi::Stub => {
            let mut real = Linker::new(engine);
            wasi::add_to_linker(&mut real, Guest::wasi)?;
            for (module, name, ty) in real.iter() {
                stub(&mut linker, module, name, ty)?;
            }
        }
        _ => wasi::add_to_linker(&mut linker, Guest::wasi)?,
    }
    Ok(linker)
}

/// Defines a call that is not supported.
fn stub(linker: &mut Linker<Guest>, module: &str, name: &str, ty: ExternType) -> Result<(), Error> {
    let ExternType::Func(ty) = ty else { return Ok(()) };
    let exit = name == "proc_exit";
    linker.func_new(module, name, ty, move |_, params, results| {
        if let ([Val::I32(status)], true) = (params, exit) {
            return Err(Error::exit(*status));
        }
        results.fill(Val::I32(Errno::NoSys as i32));
        Ok(())
    })?;
    Ok(())
}

/// The guest's side of WASI: what its program is told, and its files.
pub(super) fn guest(config: &SandboxConfig, args: &[String], streams: &Streams) -> Result<Guest, Error> {
    let mut builder = WasiCtx::builder();
    builder
        .args(args)
        .envs(config.env.iter().map(|(name, value)| (name, value)))
        .stdin(streams.stdin.clone())
        .stdout(streams.stdout.clone())
        .stderr(streams.stderr.clone())
        .clock(config.clock.clone())
        .random(config.random.clone());
    for (path, fs) in config.wasi.mounts() {
        builder.mount(path, fs);
    }
    Ok(Guest { wasi: builder.build()? })
}

/// What kept a module from being instantiated: WASI has a kind of its own.
pub(super) fn link_error(error: Error, wasi: &Wasi) -> SandboxError {
    if error.kind() != ErrorKind::Link {
        return error.into();
    }
    let import = error.import_errors().iter().find(|import| import.module.starts_with("wasi"));
    let Some(import) = import else { return error.into() };
    let why = match wasi {
        _ if import.module.contains(':') => "is of a later WASI than preview 1",
        Wasi::Disabled => "is needed, but WASI is disabled",
        _ if import.found.is_some() => "has another type",
        _ => "is no call of WASI preview 1",
    };
    let missing = format!("{}.{}", import.module, import.name);
    let message = format!("{} {why}", missing.escape_debug());
    SandboxError::of(SandboxErrorKind::Wasi { missing }, message, error)
}

/// Pays for files that outlive stores: from the account of the store that there is.
#[derive(Debug)]
pub(super) struct Payer(Mutex<Payment>);

#[derive(Debug)]
struct Payment {
    account: Option<Account>,
    held: u64,
    limit: u64,
}

impl Payer {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Payment { account: None, held: 0, limit })))
    }

    fn lock(&self) -> MutexGuard<'_, Payment> {
        // Whoever panicked meanwhile left no sum half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this account pays, also for what is held already.
    pub(super) fn open(&self, account: &Account) -> Result<(), Error> {
        let mut payment = self.lock();
        account.charge(payment.held, "files")?;
        payment.account = Some(account.clone());
        Ok(())
    }

    /// The account is gone, with its store.
    pub(super) fn close(&self) {
        self.lock().account = None;
    }

    /// The bytes that files hold.
    pub(super) fn held(&self) -> u64 {
        self.lock().held
    }
}

impl fs::Account for Payer {
    fn charge(&self, bytes: u64) -> bool {
        let mut payment = self.lock();
        let Some(held) = payment.held.checked_add(bytes).filter(|&held| held <= payment.limit) else { return false };
        if payment.account.as_ref().is_some_and(|account| account.charge(bytes, "a file").is_err()) {
            return false;
        }
        payment.held = held;
        true
    }

    fn release(&self, bytes: u64) {
        let mut payment = self.lock();
        payment.held = payment.held.saturating_sub(bytes);
        if let Some(account) = &payment.account {
            account.release(bytes);
        }
    }
}
