//! What can go wrong: the classes, and each cause with what is known about it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error as StdError;
use core::fmt::{self, Display, Formatter};

use super::{ImportError, Invalid, Place, Trap, TrapDetail, link};

/// The class of an [`Error`](super::Error). Stable: a program may rely on which situation gives which kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are no module.
    Malformed,
    /// The module is against the rules of validation.
    Invalid,
    /// The module needs a proposal that is switched off, or that this version does not run.
    Unsupported,
    /// The module is larger in some respect than [`crate::Config`] allows.
    Limit,
    /// Imports are missing or have another type than the module wants.
    Link,
    /// The guest was stopped by the rules of WebAssembly; see [`Error::trap`](super::Error::trap).
    Trap,
    /// The store's fuel is used up.
    OutOfFuel,
    /// The store's deadline has passed.
    Deadline,
    /// The host stopped the call from outside.
    Stopped,
    /// The guest wants more of the host's memory than the store's limits allow.
    Budget,
    /// The guest ended itself with a status; see [`Error::exit_code`](super::Error::exit_code).
    Exit,
    /// A function of the host failed; see [`Error::downcast_ref`](super::Error::downcast_ref).
    Host,
    /// The host asked for something impossible: arguments of another type, an export that does not exist.
    Argument,
}

impl ErrorKind {
    /// The name for programs to read: lower case, words joined by a hyphen, as `out-of-fuel`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Limit => "limit",
            Self::Link => "link",
            Self::Trap => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::Deadline => "deadline",
            Self::Stopped => "stopped",
            Self::Budget => "budget",
            Self::Exit => "exit",
            Self::Host => "host",
            Self::Argument => "argument",
        }
    }
}

impl Display for ErrorKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What went wrong, with all that is known about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The bytes are no module.
    #[error("malformed module at {offset:#x}: {message}")]
    Malformed {
        /// Where, in bytes from the start of the module.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
    /// The module is against a rule of validation.
    #[error("invalid module: {place}{why}")]
    Invalid {
        /// Where.
        place: Place,
        /// Which rule.
        why: Invalid,
    },
    /// The module needs a proposal that is off.
    #[error("unsupported module: {place}{}needs the {proposal} proposal, which {}", Subject(what), Fate(*switched_off))]
    Unsupported {
        /// Where.
        place: Place,
        /// What needs the proposal, if `place` does not say it already.
        what: String,
        /// The proposal's name, as `tail-call`.
        proposal: &'static str,
        /// Is it only switched off in [`crate::Config`]? If not, this version does not run it.
        switched_off: bool,
    },
    /// The module is too large in some respect.
    #[error("limit exceeded: {found} {what}, at most {limit}{}", At(*offset))]
    Limit {
        /// In which: the name of a limit.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// What the module has.
        found: u64,
        /// Where, in bytes from the start of the module.
        offset: Option<usize>,
    },
    /// Imports do not fit.
    #[error("{}", link::OneLine(imports))]
    Link {
        /// All that do not fit, in the module's order.
        imports: Vec<ImportError>,
        /// How many imports the module has.
        of: usize,
    },
    /// The guest was stopped by the rules of WebAssembly.
    #[error("trap: {trap}{}", detail.suffix(*trap))]
    Trap {
        /// By which.
        trap: Trap,
        /// With which operands.
        detail: TrapDetail,
    },
    /// The store's fuel is used up.
    #[error("out of fuel")]
    OutOfFuel {
        /// The least fuel that lets the call go on.
        required: u64,
    },
    /// The store's deadline has passed.
    #[error("deadline passed")]
    Deadline,
    /// The host stopped the call from outside.
    #[error("stopped by the host")]
    Stopped,
    /// The guest wants more of the host's memory than the store's limits allow.
    #[error("budget exceeded by {what}: {wanted}{unit}, at most {limit}")]
    Budget {
        /// By what, as `a memory`.
        what: &'static str,
        /// What is counted, after a space, as ` bytes in all`; empty if `what` is what is counted.
        unit: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// What it would have come to.
        wanted: u64,
    },
    /// The guest ended itself with a status.
    #[error("exit with status {0}")]
    Exit(i32),
    /// A function of the host failed.
    #[error("{0}")]
    Host(#[source] Box<dyn StdError + Send + Sync>),
    /// The host asked for something impossible.
    #[error("{0}")]
    Argument(String),
}

struct Subject<'a>(&'a str);

impl Display for Subject<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{} ", self.0) }
    }
}

struct Fate(bool);

impl Display for Fate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "is switched off" } else { "this version does not run yet" })
    }
}

struct At(Option<usize>);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |offset| write!(f, ", at {offset:#x}"))
    }
}
