//! What goes wrong in a sandbox: kinds that a program can act on, each with its data and a number that never changes.
//!
//! Idea: the crate's own [`Error`] says everything about a guest; here it is sorted by what an embedder does next, and
//! kept as the source, so nothing of it is lost.

use core::fmt::{self, Debug, Display, Formatter};
use core::time::Duration;

use crate::{Backtrace, Cause, Error, ErrorKind, ImportError, Trap};

/// Why a [`Sandbox`](super::Sandbox) could not do what it was asked to.
///
/// `{}` is one line. The crate's own error, with the operands of a trap and all imports that do not fit, is
/// [`Self::error`], also as the [`source`](core::error::Error::source). After any of these errors the sandbox can be
/// used as before.
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct SandboxError {
    kind: SandboxErrorKind,
    message: String,
    source: Option<Error>,
}

/// What sort of error it is, and its data. [`Self::code`] numbers them.
///
/// | code | kind | what happened |
/// |---|---|---|
/// | 1 | [`Init`](Self::Init) | an option of the configuration cannot be |
/// | 2 | [`Invalid`](Self::Invalid) | the bytes are no module that can run |
/// | 3 | [`Load`](Self::Load) | the module cannot be read or linked, or there is none |
/// | 4 | [`NoSuchFunction`](Self::NoSuchFunction) | the module exports no function of this name |
/// | 5 | [`Trap`](Self::Trap) | the guest was stopped by the rules of WebAssembly |
/// | 6 | [`Host`](Self::Host) | a function of the host failed |
/// | 7 | [`Arguments`](Self::Arguments) | the function takes other arguments |
/// | 8 | [`MemoryLimit`](Self::MemoryLimit) | the guest wants more than the memory limit |
/// | 9 | [`Timeout`](Self::Timeout) | the call took too long |
/// | 10 | [`HostFunction`](Self::HostFunction) | a function of the host cannot be added |
/// | 11 | [`Wasi`](Self::Wasi) | the module needs a part of WASI that it does not get |
/// | 12 | [`Returns`](Self::Returns) | the function returns something else |
/// | 13 | [`OutOfFuel`](Self::OutOfFuel) | the call used up its fuel |
/// | 14 | [`Stopped`](Self::Stopped) | the call was stopped from outside |
/// | 15 | [`Exit`](Self::Exit) | the guest ended itself in a plain call |
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SandboxErrorKind {
    /// An option of the configuration cannot be.
    Init {
        /// Which: the name of the method that sets it.
        option: &'static str,
    },
    /// The bytes are no module, or none that this version runs.
    Invalid {
        /// Where, in bytes from the start of the module.
        offset: Option<usize>,
        /// The index of the function in whose body that is.
        function: Option<u32>,
        /// The instruction there, as `i32.add`.
        operator: Option<&'static str>,
    },
    /// The module cannot be read, is too large, lacks its imports or the memory that a call needs, or none is loaded.
    Load {
        /// All imports that do not fit, if that is why.
        imports: Vec<ImportError>,
    },
    /// There is no exported function of this name.
    NoSuchFunction {
        /// The name.
        name: String,
        /// The functions that there are, at most 100 of them.
        exports: Vec<String>,
    },
    /// The guest was stopped by the rules of WebAssembly.
    Trap(Trap),
    /// A function of the host failed; [`SandboxError::error`] has its error.
    Host,
    /// The function takes other arguments.
    Arguments {
        /// The first that is wrong, counted from 0.
        index: usize,
        /// The type that is wanted there, or `nothing`.
        wanted: String,
        /// The type that was given, or `nothing`.
        given: String,
    },
    /// The guest wants more than the memory limit allows.
    MemoryLimit {
        /// The most that is allowed, in bytes, or in what `holder` is counted in.
        limit: u64,
        /// What it would have come to.
        wanted: u64,
        /// What asked for it, as `a memory`.
        holder: &'static str,
    },
    /// The call took longer than it may; [`SandboxError::backtrace`] says where it was.
    Timeout {
        /// How long it may take.
        limit: Duration,
    },
    /// A function of the host cannot be added.
    HostFunction {
        /// Its two names, as `env.log`.
        name: String,
    },
    /// The module needs a part of WASI that it does not get.
    Wasi {
        /// Its two names, as `wasi_snapshot_preview1.fd_write`.
        missing: String,
    },
    /// The function returns something else.
    Returns {
        /// What is wanted.
        wanted: String,
        /// What the function returns.
        given: String,
    },
    /// The call used up its fuel.
    OutOfFuel,
    /// The call was stopped from outside.
    Stopped,
    /// The guest ended itself with this status in a call that is no run of a program.
    Exit(i32),
}

impl SandboxErrorKind {
    /// A number for each kind, for other languages. It never changes; the table above lists them.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Init { .. } => 1,
            Self::Invalid { .. } => 2,
            Self::Load { .. } => 3,
            Self::NoSuchFunction { .. } => 4,
            Self::Trap(_) => 5,
            Self::Host => 6,
            Self::Arguments { .. } => 7,
            Self::MemoryLimit { .. } => 8,
            Self::Timeout { .. } => 9,
            Self::HostFunction { .. } => 10,
            Self::Wasi { .. } => 11,
            Self::Returns { .. } => 12,
            Self::OutOfFuel => 13,
            Self::Stopped => 14,
            Self::Exit(_) => 15,
        }
    }
}

impl SandboxError {
    /// An error of the sandbox's own. The text is one line.
    #[cold]
    pub(super) fn new(kind: SandboxErrorKind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), source: None }
    }

    /// An error of a kind that its source alone does not show.
    #[cold]
    pub(super) fn of(kind: SandboxErrorKind, message: impl Display, source: Error) -> Self {
        Self { source: Some(source), ..Self::new(kind, message) }
    }

    #[cold]
    pub(super) fn init(option: &'static str, why: impl Display) -> Self {
        Self::new(SandboxErrorKind::Init { option }, format_args!("the option `{option}` {why}"))
    }

    #[cold]
    pub(super) fn load(message: impl Display) -> Self {
        Self::new(SandboxErrorKind::Load { imports: Vec::new() }, message)
    }

    #[cold]
    pub(super) fn arguments(name: &str, index: usize, wanted: impl Display, given: impl Display) -> Self {
        let (wanted, given) = (wanted.to_string(), given.to_string());
        let message = format!("argument {} of {}: expected {wanted}, found {given}", index + 1, name.escape_debug());
        Self::new(SandboxErrorKind::Arguments { index, wanted, given }, message)
    }

    #[cold]
    pub(super) fn returns(name: &str, wanted: impl Display, given: impl Display) -> Self {
        let (wanted, given) = (wanted.to_string(), given.to_string());
        let message = format!("results of {}: expected {wanted}, found {given}", name.escape_debug());
        Self::new(SandboxErrorKind::Returns { wanted, given }, message)
    }

    /// How long the call might have taken, where that is what ended it.
    pub(super) fn with_limit(mut self, timeout: Option<Duration>) -> Self {
        if let (SandboxErrorKind::Timeout { limit }, Some(timeout)) = (&mut self.kind, timeout) {
            *limit = timeout;
            self.message = format!("timeout: the call took longer than {timeout:?}");
        }
        self
    }

    /// What sort of error it is, and its data.
    pub fn kind(&self) -> &SandboxErrorKind {
        &self.kind
    }

    /// The line that `{}` writes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// As [`SandboxErrorKind::code`].
    pub fn code(&self) -> u32 {
        self.kind.code()
    }

    /// Where the guest was, innermost call first, if it was running.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.source.as_ref()?.backtrace()
    }

    /// The crate's own error behind this one, if there is one.
    pub fn error(&self) -> Option<&Error> {
        self.source.as_ref()
    }
}

/// The line, and where the guest was: it is what `unwrap` prints.
impl Debug for SandboxError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.backtrace().filter(|backtrace| !backtrace.is_empty()) {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

/// Errors of loading, linking and running, by their [`ErrorKind`].
impl From<Error> for SandboxError {
    #[cold]
    fn from(error: Error) -> Self {
        let kind = match (error.kind(), error.cause()) {
            // Whatever a function of the host asked for in vain while a guest ran is its own failure.
            (ErrorKind::Argument, _) if error.backtrace().is_some() => SandboxErrorKind::Host,
            (ErrorKind::Malformed | ErrorKind::Invalid | ErrorKind::Unsupported, cause) => {
                let operator = match cause {
                    Cause::Invalid { place, .. } | Cause::Unsupported { place, .. } => place.operator,
                    _ => None,
                };
                SandboxErrorKind::Invalid { offset: error.offset(), function: error.function(), operator }
            }
            (_, Cause::Trap { trap, .. }) => SandboxErrorKind::Trap(*trap),
            (_, &Cause::Budget { what, limit, wanted, .. }) => {
                SandboxErrorKind::MemoryLimit { limit, wanted, holder: what }
            }
            (_, Cause::OutOfFuel { .. }) => SandboxErrorKind::OutOfFuel,
            (_, Cause::Deadline) => SandboxErrorKind::Timeout { limit: Duration::ZERO },
            (_, Cause::Stopped) => SandboxErrorKind::Stopped,
            (_, &Cause::Exit(status)) => SandboxErrorKind::Exit(status),
            (_, Cause::Host(_)) => SandboxErrorKind::Host,
            // Too large, imports that do not fit, and what is left: handles of other stores, engines.
            _ => SandboxErrorKind::Load { imports: error.import_errors().to_vec() },
        };
        let message = error.to_string();
        Self::of(kind, message, error)
    }
}
