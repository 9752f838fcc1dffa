//! Everything that can go wrong, each with its place and its cause, in words of the specification.
//!
//! Invariant: an [`Error`] is one pointer wide; its `Display` is one line whatever the guest put into its names, its
//! `{:#}` adds operands and backtrace; what kind it is never has to be read from the text.

mod backtrace;
mod invalid;
mod link;
mod text;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::any::Any;
use core::error::Error as StdError;
use core::fmt::{self, Debug, Display, Formatter};

pub use self::backtrace::{Backtrace, Frame};
pub use self::invalid::{Invalid, Place};
pub use self::link::ImportError;
pub(crate) use self::link::near;
pub(crate) use self::text::Escaped;
pub use jitless_machine::trap::Trap;

use crate::config::Proposals;
use crate::types::FuncType;

/// A result whose error is an [`Error`] if nothing else is said.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a module was refused, a call ended without a result, or the host asked for something impossible.
///
/// `{}` is one line. `{:#}` is the whole: the line, then the operands of a trap, every import that does not fit, and
/// the backtrace, each on lines of their own. [`Error::kind`] says what class of error it is.
///
/// One pointer wide, so that results stay small.
pub struct Error(Box<Inner>);

struct Inner {
    cause: Cause,
    backtrace: Option<Backtrace>,
}

/// The class of an [`Error`]. Stable: a program may rely on which situation gives which kind.
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
    /// The guest was stopped by the rules of WebAssembly; see [`Error::trap`].
    Trap,
    /// The store's fuel is used up.
    OutOfFuel,
    /// The store's deadline has passed.
    Deadline,
    /// The host stopped the call from outside.
    Stopped,
    /// The guest wants more of the host's memory than the store's limits allow.
    Budget,
    /// The guest ended itself with a status; see [`Error::exit_code`].
    Exit,
    /// A function of the host failed; see [`Error::downcast_ref`].
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

/// The operands of a trap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum TrapDetail {
    /// Nothing more is known.
    #[default]
    None,
    /// An access to a memory. It would end at `base + offset + size`, which may be more than 64 bits hold.
    Memory {
        /// The instruction, as `i32.load`.
        operator: &'static str,
        /// The number of bytes.
        size: u64,
        /// The address operand.
        base: u64,
        /// The instruction's constant offset.
        offset: u64,
        /// The index of the memory.
        memory: u32,
        /// What the memory holds, in bytes.
        len: u64,
    },
    /// An access to a table.
    Table {
        /// The instruction, as `call_indirect`.
        operator: &'static str,
        /// The number of elements.
        size: u64,
        /// The first.
        index: u64,
        /// The index of the table.
        table: u32,
        /// What the table holds, in elements.
        len: u64,
    },
    /// A copy out of a data or element segment.
    Segment {
        /// The instruction, as `memory.init`.
        operator: &'static str,
        /// The number of bytes or elements.
        size: u64,
        /// The first.
        start: u64,
        /// The index of the segment.
        segment: u32,
        /// What the segment holds, in bytes or elements.
        len: u64,
    },
    /// An indirect call of a function of another type.
    Signature {
        /// The type that the instruction names.
        wanted: FuncType,
        /// The type of the function found.
        found: FuncType,
    },
}

impl TrapDetail {
    /// The address or index of the first byte or element, if the trap has one.
    pub fn first(&self) -> Option<u128> {
        match *self {
            Self::Memory { base, offset, .. } => Some(u128::from(base) + u128::from(offset)),
            Self::Table { index, .. } => Some(index.into()),
            Self::Segment { start, .. } => Some(start.into()),
            Self::None | Self::Signature { .. } => None,
        }
    }

    /// What the one line says after the trap's text. The official suite names the element.
    fn suffix(&self, trap: Trap) -> impl Display {
        struct Suffix(Option<u64>);
        impl Display for Suffix {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                self.0.map_or(Ok(()), |index| write!(f, " {index}"))
            }
        }
        match (trap, self) {
            (Trap::UninitializedElement, &Self::Table { index, .. }) => Suffix(Some(index)),
            _ => Suffix(None),
        }
    }
}

/// One line without indentation; empty if nothing is known.
impl Display for TrapDetail {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Memory { operator, size, base, offset, memory, len } => {
                let first = u128::from(*base) + u128::from(*offset);
                write!(f, "{operator} of {} at {first}", text::Count(*size, "byte"))?;
                if *offset != 0 || operator.contains(".load") || operator.contains(".store") {
                    write!(f, " (base {base} + offset {offset})")?;
                }
                write!(f, "; memory {memory} holds {}", text::Count(*len, "byte"))
            }
            Self::Table { operator, size: 1, index, table, len } => {
                write!(f, "{operator} of element {index}; table {table} holds {}", text::Count(*len, "element"))
            }
            Self::Table { operator, size, index, table, len } => {
                write!(f, "{operator} of {} at {index}", text::Count(*size, "element"))?;
                write!(f, "; table {table} holds {}", text::Count(*len, "element"))
            }
            Self::Segment { operator, size, start, segment, len } => {
                let (sort, unit) = if operator.starts_with("table") || operator.ends_with("elem") {
                    ("element", "element")
                } else {
                    ("data", "byte")
                };
                write!(f, "{operator} of {} from {start}", text::Count(*size, unit))?;
                write!(f, "; {sort} segment {segment} holds {}", text::Count(*len, unit))
            }
            Self::Signature { wanted, found } => write!(f, "expected {wanted}, found {found}"),
        }
    }
}

// How an embedder makes errors.
impl Error {
    /// An error of the host: a host function returns it, the caller of the guest gets it back unchanged by
    /// [`Error::downcast_ref`].
    ///
    /// An [`Error`] stays what it is, and a [`Trap`] becomes one of kind [`ErrorKind::Trap`].
    pub fn new(error: impl StdError + Send + Sync + 'static) -> Self {
        let error: Box<dyn StdError + Send + Sync> = Box::new(error);
        error.into()
    }

    /// An error of the host that is only a text.
    ///
    /// ```
    /// let error = jitless::Error::msg("the moon is in the wrong phase");
    /// assert_eq!(error.kind(), jitless::ErrorKind::Host);
    /// assert_eq!(error.to_string(), "the moon is in the wrong phase");
    /// ```
    pub fn msg(message: impl Display) -> Self {
        Self::from(Box::<dyn StdError + Send + Sync>::from(message.to_string()))
    }

    /// Ends the guest with an exit status, as `proc_exit` does, when a host function returns it.
    pub fn exit(status: i32) -> Self {
        Cause::Exit(status).into()
    }
}

// How this crate makes errors.
impl Error {
    #[cold]
    pub(crate) fn malformed(offset: usize, message: impl Into<String>) -> Self {
        // The decoder's own words may span lines.
        let message: String = message.into();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Cause::Malformed { offset, message }.into()
    }

    #[cold]
    pub(crate) fn invalid(place: Place, why: Invalid) -> Self {
        Cause::Invalid { place, why }.into()
    }

    /// `what` may be empty if `place` names the operator.
    #[cold]
    pub(crate) fn unsupported(
        place: Place,
        what: impl Into<String>,
        proposal: &'static str,
        switched_off: bool,
    ) -> Self {
        Cause::Unsupported { place, what: what.into(), proposal, switched_off }.into()
    }

    /// The same for a proposal of the table, which knows whether this version runs it.
    #[cold]
    pub(crate) fn needs(place: Place, what: impl Into<String>, proposal: Proposals) -> Self {
        Self::unsupported(place, what, proposal.name(), Proposals::RUNS.contains(proposal))
    }

    #[cold]
    pub(crate) fn limit(what: &'static str, limit: u64, found: u64, offset: Option<usize>) -> Self {
        Cause::Limit { what, limit, found, offset }.into()
    }

    /// `of` is the number of the module's imports. `imports` is not empty.
    #[cold]
    pub(crate) fn link(imports: Vec<ImportError>, of: usize) -> Self {
        debug_assert!(!imports.is_empty());
        Cause::Link { imports, of }.into()
    }

    #[cold]
    pub(crate) fn trap_with(trap: Trap, detail: TrapDetail) -> Self {
        Cause::Trap { trap, detail }.into()
    }

    #[cold]
    pub(crate) fn out_of_fuel(required: u64) -> Self {
        Cause::OutOfFuel { required }.into()
    }

    #[cold]
    pub(crate) fn deadline() -> Self {
        Cause::Deadline.into()
    }

    #[cold]
    pub(crate) fn stopped() -> Self {
        Cause::Stopped.into()
    }

    /// The sum of all bytes would be too large. `what` asks for more: `a memory`.
    #[cold]
    pub(crate) fn budget(what: &'static str, limit: u64, wanted: u64) -> Self {
        Self::budget_of(what, " bytes in all", limit, wanted)
    }

    #[cold]
    pub(crate) fn budget_of(what: &'static str, unit: &'static str, limit: u64, wanted: u64) -> Self {
        Cause::Budget { what, unit, limit, wanted }.into()
    }

    #[cold]
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Cause::Argument(message.into()).into()
    }

    /// Adds where the guest was, unless that is known already: the innermost call knows best.
    pub(crate) fn with_backtrace(mut self, backtrace: Backtrace) -> Self {
        self.0.backtrace.get_or_insert(backtrace);
        self
    }
}

// What is known about an error.
impl Error {
    /// The class of error.
    pub fn kind(&self) -> ErrorKind {
        match self.0.cause {
            Cause::Malformed { .. } => ErrorKind::Malformed,
            Cause::Invalid { .. } => ErrorKind::Invalid,
            Cause::Unsupported { .. } => ErrorKind::Unsupported,
            Cause::Limit { .. } => ErrorKind::Limit,
            Cause::Link { .. } => ErrorKind::Link,
            Cause::Trap { .. } => ErrorKind::Trap,
            Cause::OutOfFuel { .. } => ErrorKind::OutOfFuel,
            Cause::Deadline => ErrorKind::Deadline,
            Cause::Stopped => ErrorKind::Stopped,
            Cause::Budget { .. } => ErrorKind::Budget,
            Cause::Exit(_) => ErrorKind::Exit,
            Cause::Host(_) => ErrorKind::Host,
            Cause::Argument(_) => ErrorKind::Argument,
        }
    }

    /// What went wrong, for a program to look into.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The trap, if it was one.
    pub fn trap(&self) -> Option<Trap> {
        if let Cause::Trap { trap, .. } = self.0.cause { Some(trap) } else { None }
    }

    /// The status with which the guest ended itself, if it did.
    pub fn exit_code(&self) -> Option<i32> {
        if let Cause::Exit(status) = self.0.cause { Some(status) } else { None }
    }

    /// Where the guest was, if it was running.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.0.backtrace.as_ref()
    }

    /// The place in the module in bytes from its start, if the module is what is wrong.
    pub fn offset(&self) -> Option<usize> {
        match &self.0.cause {
            Cause::Malformed { offset, .. } => Some(*offset),
            Cause::Invalid { place, .. } | Cause::Unsupported { place, .. } => Some(place.offset),
            Cause::Limit { offset, .. } => *offset,
            _ => None,
        }
    }

    /// The index of the function in whose body the place is, imports counted, if it is in one.
    pub fn function(&self) -> Option<u32> {
        match &self.0.cause {
            Cause::Invalid { place, .. } | Cause::Unsupported { place, .. } => place.function,
            _ => None,
        }
    }

    /// The imports that do not fit, all of them; empty for errors of other kinds.
    pub fn import_errors(&self) -> &[ImportError] {
        if let Cause::Link { imports, .. } = &self.0.cause { imports } else { &[] }
    }

    /// The least fuel that lets the call go on, if fuel ran out.
    pub fn required_fuel(&self) -> Option<u64> {
        if let Cause::OutOfFuel { required } = self.0.cause { Some(required) } else { None }
    }

    /// The host's error, if it has this type; a [`Trap`] is found too.
    ///
    /// ```
    /// # use jitless::{Error, Trap};
    /// assert!(Error::new(std::fmt::Error).downcast_ref::<std::fmt::Error>().is_some());
    /// assert_eq!(Error::from(Trap::Unreachable).downcast_ref(), Some(&Trap::Unreachable));
    /// ```
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &self.0.cause {
            Cause::Host(error) => error.downcast_ref(),
            Cause::Trap { trap, .. } => (trap as &dyn Any).downcast_ref(),
            _ => None,
        }
    }

    /// The host's error, if it has this type, out of its box.
    pub fn downcast<E: StdError + 'static>(self) -> Result<E, Self> {
        let Inner { cause, backtrace } = *self.0;
        match cause {
            Cause::Host(error) => match error.downcast() {
                Ok(error) => Ok(*error),
                Err(error) => Err(Self(Box::new(Inner { cause: Cause::Host(error), backtrace }))),
            },
            cause => Err(Self(Box::new(Inner { cause, backtrace }))),
        }
    }

    /// Would [`Self::downcast_ref`] find something?
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// What `{:#}` says between the first line and the backtrace.
    fn fmt_operands(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Trap { detail, .. } if *detail != TrapDetail::None => write!(f, "\n  {detail}"),
            Cause::OutOfFuel { required } => write!(f, "\n  at least {required} more needed to go on"),
            Cause::Host(error) => {
                let mut source = error.source();
                while let Some(error) = source {
                    write!(f, "\n  caused by: {error}")?;
                    source = error.source();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return Display::fmt(&self.0.cause, f);
        }
        match &self.0.cause {
            Cause::Link { imports, of } => link::Whole(imports, *of).fmt(f)?,
            cause => {
                write!(f, "{cause}")?;
                self.fmt_operands(f)?;
            }
        }
        if let Some(backtrace) = self.backtrace().filter(|backtrace| !backtrace.is_empty()) {
            write!(f, "\n{backtrace}")?;
        }
        Ok(())
    }
}

/// The whole, as `{:#}`: it is what `unwrap` prints.
impl Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if let Cause::Host(error) = &self.0.cause { Some(&**error) } else { None }
    }
}

impl From<Cause> for Error {
    #[cold]
    fn from(cause: Cause) -> Self {
        Self(Box::new(Inner { cause, backtrace: None }))
    }
}

/// A host function may trap as an instruction does.
impl From<Trap> for Error {
    fn from(trap: Trap) -> Self {
        Self::trap_with(trap, TrapDetail::None)
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return *own,
            Err(error) => error,
        };
        let error = match error.downcast::<Cause>() {
            Ok(cause) => return (*cause).into(),
            Err(error) => error,
        };
        match error.downcast::<Trap>() {
            Ok(trap) => (*trap).into(),
            Err(error) => Cause::Host(error).into(),
        }
    }
}

#[cfg(test)]
mod tests;
