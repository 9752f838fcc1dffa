//! Everything that can go wrong, each with its place and its cause, in words of the specification.
//!
//! Invariant: an [`Error`] is one pointer wide; its `Display` is one line whatever the guest put into its names, its
//! `{:#}` adds operands and backtrace; what kind it is never has to be read from the text.

mod backtrace;
mod cause;
mod detail;
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
pub use self::cause::{Cause, ErrorKind};
pub use self::detail::TrapDetail;
pub use self::invalid::{Invalid, Place};
pub use self::link::ImportError;
pub(crate) use self::link::near;
pub(crate) use self::text::Escaped;
pub use jitless_machine::trap::Trap;

use crate::config::Proposals;

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
