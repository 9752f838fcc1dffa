//! Calls by name, with values or with Rust's own types, at once or in parts.
//!
//! Invariant: a call that cannot be made (another name, other types) changes nothing of the guest.

use core::fmt::{self, Debug, Display, Formatter};

use super::error::{SandboxError, SandboxErrorKind};
use super::{Live, Result, Sandbox};
use crate::{
    Error, ErrorKind, Func, FuncType, ResumableCall, ResumableCallOutOfFuel, ResumableCallStopped, TypedFunc, Val,
    ValType, WasmParams, WasmResults,
};

impl Sandbox {
    /// Calls an exported function. The first call instantiates the module.
    ///
    /// ```
    /// use jitless::{Sandbox, SandboxConfig, Val};
    ///
    /// let mut sandbox = Sandbox::new(SandboxConfig::default())?;
    /// sandbox.load(&wat::parse_str(r#"(module (func (export "add") (param i32 i32) (result i32)
    ///     (i32.add (local.get 0) (local.get 1))))"#)?)?;
    /// assert_eq!(sandbox.call("add", &[Val::I32(1), Val::I32(2)])?, [Val::I32(3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call(&mut self, name: &str, args: &[Val]) -> Result<Vec<Val>> {
        self.enter(name, |live| {
            let (func, mut results) = live.prepare(name, args)?;
            func.call(&mut live.store, args, &mut results).map_err(|error| foreign(error, name, args))?;
            Ok(results)
        })
    }

    /// Calls an exported function with Rust's own types: numbers, tuples of them.
    ///
    /// ```
    /// # use jitless::{Sandbox, SandboxConfig};
    /// # let mut sandbox = Sandbox::new(SandboxConfig::default())?;
    /// # sandbox.load(&wat::parse_str(r#"(module (func (export "add") (param i32 i32) (result i32)
    /// #     (i32.add (local.get 0) (local.get 1))))"#)?)?;
    /// assert_eq!(sandbox.call_typed::<(i32, i32), i32>("add", (1, 2))?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_typed<P: WasmParams, R: WasmResults>(&mut self, name: &str, args: P) -> Result<R> {
        self.enter(name, |live| Ok(live.typed::<P, R>(name)?.call(&mut live.store, args)?))
    }

    /// Begins a call that can go on after its time or fuel is over, or after a stop: see [`Self::resume`].
    ///
    /// ```
    /// use jitless::sandbox::{Progress, Sandbox, SandboxConfig};
    ///
    /// let mut sandbox = Sandbox::new(SandboxConfig::default().fuel(1000))?;
    /// sandbox.load(&wat::parse_str(r#"(module (func (export "count") (result i32) (local i32)
    ///     (loop $l (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 2000))))
    ///     (local.get 0)))"#)?)?;
    /// let mut progress = sandbox.start("count", &[])?;
    /// let mut parts = 1;
    /// let results = loop {
    ///     match progress {
    ///         Progress::Finished(results) => break results,
    ///         Progress::Paused(paused) => progress = sandbox.resume(paused)?,
    ///     }
    ///     parts += 1;
    /// };
    /// assert_eq!(results[0].i32(), Some(2000));
    /// assert!(parts > 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(&mut self, name: &str, args: &[Val]) -> Result<Progress> {
        self.enter(name, |live| {
            let (func, mut results) = live.prepare(name, args)?;
            let call = func.call_resumable(&mut live.store, args, &mut results);
            Progress::of(call.map_err(|error| foreign(error, name, args))?, results)
        })
    }

    /// Goes on with a call, with the time and fuel of another one.
    ///
    /// What happened to the guest meanwhile stays. An error if the guest is gone, by [`Self::unload`] or otherwise.
    pub fn resume(&mut self, paused: Paused) -> Result<Progress> {
        if self.live.is_none() {
            return Err(SandboxError::load("the guest of the call is gone"));
        }
        self.enter("resume", |live| {
            let Paused { call, mut results, .. } = paused;
            let call = match call {
                Call::OutOfFuel(call) => call.resume(&mut live.store, &mut results),
                Call::Stopped(call) => call.resume(&mut live.store, &mut results),
            };
            Progress::of(call?, results)
        })
    }
}

/// How far a call came.
#[derive(Debug)]
pub enum Progress {
    /// To its end, with these results.
    Finished(Vec<Val>),
    /// It can go on.
    Paused(Paused),
}

impl Progress {
    fn of(call: ResumableCall, results: Vec<Val>) -> Result<Self> {
        let (why, call) = match call {
            ResumableCall::Finished => return Ok(Self::Finished(results)),
            ResumableCall::HostTrap(call) => return Err(call.into_host_error().into()),
            ResumableCall::OutOfFuel(call) => (ErrorKind::OutOfFuel, Call::OutOfFuel(call)),
            ResumableCall::Stopped(call) => (call.error().kind(), Call::Stopped(call)),
        };
        Ok(Self::Paused(Paused { why, call, results }))
    }
}

/// A call that can go on. Dropping it ends the call.
pub struct Paused {
    why: ErrorKind,
    call: Call,
    results: Vec<Val>,
}

enum Call {
    OutOfFuel(ResumableCallOutOfFuel),
    Stopped(ResumableCallStopped),
}

impl Paused {
    /// Why it paused: [`OutOfFuel`](ErrorKind::OutOfFuel), [`Deadline`](ErrorKind::Deadline) or
    /// [`Stopped`](ErrorKind::Stopped).
    pub fn why(&self) -> ErrorKind {
        self.why
    }
}

impl Debug for Paused {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paused").field("why", &self.why).finish_non_exhaustive()
    }
}

/// The most names that an error lists.
const LISTED: usize = 100;

impl Live {
    /// The exported function of this name.
    pub(super) fn func(&self, name: &str) -> Result<Func> {
        if let Some(func) = self.instance.get_func(&self.store, name) {
            return Ok(func);
        }
        let funcs = self.instance.exports(&self.store).filter(|export| export.into_func().is_some());
        let exports = funcs.take(LISTED).map(|export| export.name().to_owned()).collect();
        let kind = SandboxErrorKind::NoSuchFunction { name: name.to_owned(), exports };
        // The error of a typed look-up knows the name that may have been meant.
        Err(match self.instance.get_typed_func::<(), ()>(&self.store, name) {
            Err(error) => SandboxError::of(kind, error.to_string(), error),
            Ok(_) => SandboxError::new(kind, "no such function"),
        })
    }

    /// The exported function of this name and type.
    pub(super) fn typed<P: WasmParams, R: WasmResults>(&self, name: &str) -> Result<TypedFunc<P, R>> {
        let func = self.func(name)?;
        let ty = func.ty(&self.store);
        check(name, &ty, P::TYPES)?;
        if ty.results() != R::TYPES {
            return Err(SandboxError::returns(name, Types(R::TYPES), Types(ty.results())));
        }
        Ok(func.typed(&self.store)?)
    }

    /// The function, and room for its results, if it takes these arguments.
    fn prepare(&self, name: &str, args: &[Val]) -> Result<(Func, Vec<Val>)> {
        let func = self.func(name)?;
        let ty = func.ty(&self.store);
        check(name, &ty, &args.iter().map(Val::ty).collect::<Vec<_>>())?;
        Ok((func, vec![Val::I32(0); ty.results().len()]))
    }
}

/// Can a function be called with arguments of these types? References are compared when they are passed.
fn check(name: &str, ty: &FuncType, given: &[ValType]) -> Result<()> {
    let both = (0..ty.params().len().max(given.len())).map(|at| (at, ty.params().get(at), given.get(at)));
    for (at, wanted, given) in both {
        let fits = match (wanted, given) {
            (Some(wanted), Some(given)) => wanted == given || wanted.is_ref() && given.is_ref(),
            _ => false,
        };
        if !fits {
            return Err(SandboxError::arguments(name, at, Type(wanted), Type(given)));
        }
    }
    Ok(())
}

/// An error of a call before the guest runs is about a reference that it cannot take.
fn foreign(error: Error, name: &str, args: &[Val]) -> SandboxError {
    if error.kind() != ErrorKind::Argument || error.backtrace().is_some() {
        return error.into();
    }
    let index = args.iter().position(|arg| arg.ty().is_ref()).unwrap_or(0);
    SandboxError::arguments(name, index, "a reference that it can take", error)
}

/// A type, or that there is none.
struct Type<'a>(Option<&'a ValType>);

impl Display for Type<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ty) => Display::fmt(ty, f),
            None => f.write_str("nothing"),
        }
    }
}

/// Types, or that there are none.
pub(super) struct Types<'a>(pub(super) &'a [ValType]);

impl Display for Types<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Type(self.0.first()).fmt(f)?;
        self.0.iter().skip(1).try_for_each(|ty| write!(f, " {ty}"))
    }
}
