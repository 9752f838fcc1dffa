//! Calls that can go on after what would end a plain call.
//!
//! Idea: such a call runs on a value stack of its own. When it stops, the stack and the machine's registers are taken out
//! of the store; to go on, they are put back. Nothing of it lies on the native stack meanwhile.
//!
//! Invariant: a call that stopped does not borrow its store, and leaves the store as it was before the call but for what
//! the guest has done.

use core::fmt::{self, Debug, Formatter};
use core::marker::PhantomData;

use super::Stored;
use super::func::{Entered, Func, Served, Slots, check_count, lift_vals, lower_vals};
use super::store::{AsContextMut, Whole};
use super::typed::WasmResults;
use super::typed::sealed::Lift;
use super::val::Val;
use crate::error::{Error, Result};
use crate::exec::{Activation, Pause};

/// A call that stopped.
pub(super) struct Paused {
    /// The function that was called.
    func: Stored,
    activation: Activation,
}

/// How a call went on.
pub(super) enum Step {
    Done { func: u32, slots: Slots },
    HostTrap { paused: Paused, host_func: Func, error: Error },
    OutOfFuel { paused: Paused, required: u64 },
    Stopped { paused: Paused, error: Error },
}

/// Starts a call on a stack of its own.
pub(super) fn start<T>(whole: &mut Whole<T>, func: u32, args: &[u64]) -> Result<Step> {
    whole.enter(func, args, true)?;
    go_on(Entered(whole), func)
}

fn go_on<T>(entered: Entered<'_, T>, func: u32) -> Result<Step> {
    let whole = &mut *entered.0;
    let served = whole.serve();
    let stopped = match served {
        Served::Done => {
            let mut slots = Slots::from_elem(0, whole.inner.func_type(func).result_slots() as usize);
            whole.inner.finish(&mut slots);
            entered.left();
            return Ok(Step::Done { func, slots });
        }
        Served::Failed(error) => return Err(whole.locate(error)),
        Served::Host(host, error) => {
            let host_func = Func { stored: Stored::new(&whole.inner, host) };
            Why::Host(host_func, whole.locate(error))
        }
        Served::Paused(Pause::OutOfFuel { required }) => Why::OutOfFuel(required),
        Served::Paused(pause) => Why::Stopped(whole.locate(pause.into())),
    };
    let activation = whole.inner.detach();
    let paused = Paused { func: Stored::new(&whole.inner, func), activation };
    entered.left();
    Ok(match stopped {
        Why::Host(host_func, error) => Step::HostTrap { paused, host_func, error },
        Why::OutOfFuel(required) => Step::OutOfFuel { paused, required },
        Why::Stopped(error) => Step::Stopped { paused, error },
    })
}

enum Why {
    Host(Func, Error),
    OutOfFuel(u64),
    Stopped(Error),
}

impl Paused {
    fn func<T>(&self, whole: &Whole<T>) -> Result<u32> {
        self.func.check(&whole.inner, "call")
    }

    /// Are these as many results as the function has?
    fn check_results<T>(&self, whole: &Whole<T>, results: &[Val]) -> Result<()> {
        let ty = whole.inner.func_type(self.func(whole)?);
        check_count("results", ty.results().len(), results.len())
    }

    fn resume<T>(self, whole: &mut Whole<T>) -> Result<Step> {
        let func = self.func(whole)?;
        whole.inner.attach(self.activation)?;
        go_on(Entered(whole), func)
    }

    /// Goes on behind a host call that is answered with `results`.
    fn answer<T>(self, whole: &mut Whole<T>, host_func: Func, results: &[Val]) -> Result<Step> {
        let func = self.func(whole)?;
        let host = host_func.stored.check(&whole.inner, "function")?;
        let ty = whole.inner.func_type(host).clone();
        let slots = lower_vals(&mut whole.inner, ty.results(), results, "result")?;
        whole.inner.attach(self.activation)?;
        let entered = Entered(whole);
        entered.0.return_slots(&slots)?;
        entered.0.inner.host_return();
        go_on(entered, func)
    }
}

/// A call that has returned, or has stopped and can go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResumableCall {
    /// It has returned; the results are where the caller wanted them.
    Finished,
    /// A host function gave an error. The call can go on with results from elsewhere.
    HostTrap(ResumableCallHostTrap),
    /// The fuel is used up. The call can go on when there is more.
    OutOfFuel(ResumableCallOutOfFuel),
    /// The deadline has passed, or a [`StopHandle`](super::StopHandle) was used. The call can go on.
    Stopped(ResumableCallStopped),
}

/// A call that stopped at a host function's error.
pub struct ResumableCallHostTrap {
    paused: Paused,
    host_func: Func,
    error: Error,
}

/// A call that stopped for want of fuel.
pub struct ResumableCallOutOfFuel {
    paused: Paused,
    required: u64,
}

/// A call that stopped at a deadline or by a [`StopHandle`](super::StopHandle).
pub struct ResumableCallStopped {
    paused: Paused,
    error: Error,
}

impl ResumableCall {
    /// Results, if there are any, go to `results`, which has the right length.
    pub(super) fn of<T>(step: Step, whole: &Whole<T>, results: &mut [Val]) -> Self {
        match step {
            Step::Done { func, slots } => {
                lift_vals(&whole.inner, whole.inner.func_type(func).results(), &slots, results);
                Self::Finished
            }
            Step::HostTrap { paused, host_func, error } => {
                Self::HostTrap(ResumableCallHostTrap { paused, host_func, error })
            }
            Step::OutOfFuel { paused, required } => Self::OutOfFuel(ResumableCallOutOfFuel { paused, required }),
            Step::Stopped { paused, error } => Self::Stopped(ResumableCallStopped { paused, error }),
        }
    }
}

impl ResumableCallHostTrap {
    /// The host function that gave the error.
    pub fn host_func(&self) -> Func {
        self.host_func
    }

    /// Its error.
    pub fn host_error(&self) -> &Error {
        &self.error
    }

    /// Its error, and the end of the call.
    pub fn into_host_error(self) -> Error {
        self.error
    }

    /// Goes on as if the host function had returned `host_results`. The call's own results go to `results`.
    pub fn resume(
        self,
        mut store: impl AsContextMut,
        host_results: &[Val],
        results: &mut [Val],
    ) -> Result<ResumableCall> {
        let whole = store.as_context_mut().0;
        self.paused.check_results(whole, results)?;
        let step = self.paused.answer(whole, self.host_func, host_results)?;
        Ok(ResumableCall::of(step, whole, results))
    }
}

impl ResumableCallOutOfFuel {
    /// The least fuel that the store must have for the call to get any further.
    pub fn required_fuel(&self) -> u64 {
        self.required
    }

    /// Goes on. With less than [`Self::required_fuel`] it stops again at once, and nothing is lost.
    pub fn resume(self, mut store: impl AsContextMut, results: &mut [Val]) -> Result<ResumableCall> {
        let whole = store.as_context_mut().0;
        self.paused.check_results(whole, results)?;
        let step = self.paused.resume(whole)?;
        Ok(ResumableCall::of(step, whole, results))
    }
}

impl ResumableCallStopped {
    /// What a plain call would have ended with: [`Deadline`](crate::ErrorKind::Deadline) or
    /// [`Stopped`](crate::ErrorKind::Stopped).
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Goes on. A deadline that has passed stops it again, so set another first.
    pub fn resume(self, mut store: impl AsContextMut, results: &mut [Val]) -> Result<ResumableCall> {
        let whole = store.as_context_mut().0;
        self.paused.check_results(whole, results)?;
        let step = self.paused.resume(whole)?;
        Ok(ResumableCall::of(step, whole, results))
    }
}

/// A [`ResumableCall`] of a [`TypedFunc`](super::TypedFunc).
#[derive(Debug)]
#[non_exhaustive]
pub enum TypedResumableCall<R> {
    /// It has returned.
    Finished(R),
    /// A host function gave an error. The call can go on with results from elsewhere.
    HostTrap(TypedResumableCallHostTrap<R>),
    /// The fuel is used up. The call can go on when there is more.
    OutOfFuel(TypedResumableCallOutOfFuel<R>),
    /// The deadline has passed, or a [`StopHandle`](super::StopHandle) was used. The call can go on.
    Stopped(TypedResumableCallStopped<R>),
}

/// A [`ResumableCallHostTrap`] of a [`TypedFunc`](super::TypedFunc).
pub struct TypedResumableCallHostTrap<R> {
    call: ResumableCallHostTrap,
    results: PhantomData<fn() -> R>,
}

/// A [`ResumableCallOutOfFuel`] of a [`TypedFunc`](super::TypedFunc).
pub struct TypedResumableCallOutOfFuel<R> {
    call: ResumableCallOutOfFuel,
    results: PhantomData<fn() -> R>,
}

/// A [`ResumableCallStopped`] of a [`TypedFunc`](super::TypedFunc).
pub struct TypedResumableCallStopped<R> {
    call: ResumableCallStopped,
    results: PhantomData<fn() -> R>,
}

impl<R: WasmResults> TypedResumableCall<R> {
    pub(super) fn of<T>(step: Step, whole: &Whole<T>) -> Self {
        let results = PhantomData;
        match step {
            Step::Done { slots: found, .. } => {
                let mut slots = R::Slots::default();
                slots.as_mut().iter_mut().zip(found).for_each(|(slot, found)| *slot = found);
                Self::Finished(R::lift_all(&Lift(&whole.inner), slots))
            }
            Step::HostTrap { paused, host_func, error } => {
                let call = ResumableCallHostTrap { paused, host_func, error };
                Self::HostTrap(TypedResumableCallHostTrap { call, results })
            }
            Step::OutOfFuel { paused, required } => {
                let call = ResumableCallOutOfFuel { paused, required };
                Self::OutOfFuel(TypedResumableCallOutOfFuel { call, results })
            }
            Step::Stopped { paused, error } => {
                Self::Stopped(TypedResumableCallStopped { call: ResumableCallStopped { paused, error }, results })
            }
        }
    }
}

impl<R: WasmResults> TypedResumableCallHostTrap<R> {
    /// The host function that gave the error.
    pub fn host_func(&self) -> Func {
        self.call.host_func()
    }

    /// Its error.
    pub fn host_error(&self) -> &Error {
        self.call.host_error()
    }

    /// Its error, and the end of the call.
    pub fn into_host_error(self) -> Error {
        self.call.into_host_error()
    }

    /// Goes on as if the host function had returned `host_results`.
    pub fn resume(self, mut store: impl AsContextMut, host_results: &[Val]) -> Result<TypedResumableCall<R>> {
        let whole = store.as_context_mut().0;
        let step = self.call.paused.answer(whole, self.call.host_func, host_results)?;
        Ok(TypedResumableCall::of(step, whole))
    }
}

impl<R: WasmResults> TypedResumableCallOutOfFuel<R> {
    /// The least fuel that the store must have for the call to get any further.
    pub fn required_fuel(&self) -> u64 {
        self.call.required_fuel()
    }

    /// Goes on. With less than [`Self::required_fuel`] it stops again at once, and nothing is lost.
    pub fn resume(self, mut store: impl AsContextMut) -> Result<TypedResumableCall<R>> {
        let whole = store.as_context_mut().0;
        let step = self.call.paused.resume(whole)?;
        Ok(TypedResumableCall::of(step, whole))
    }
}

impl<R: WasmResults> TypedResumableCallStopped<R> {
    /// What a plain call would have ended with: [`Deadline`](crate::ErrorKind::Deadline) or
    /// [`Stopped`](crate::ErrorKind::Stopped).
    pub fn error(&self) -> &Error {
        self.call.error()
    }

    /// Goes on. A deadline that has passed stops it again, so set another first.
    pub fn resume(self, mut store: impl AsContextMut) -> Result<TypedResumableCall<R>> {
        let whole = store.as_context_mut().0;
        let step = self.call.paused.resume(whole)?;
        Ok(TypedResumableCall::of(step, whole))
    }
}

impl Debug for ResumableCallHostTrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableCallHostTrap").field("host_error", &self.error).finish_non_exhaustive()
    }
}

impl Debug for ResumableCallOutOfFuel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableCallOutOfFuel").field("required_fuel", &self.required).finish_non_exhaustive()
    }
}

impl Debug for ResumableCallStopped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableCallStopped").field("error", &self.error).finish_non_exhaustive()
    }
}

macro_rules! debug_as_untyped {
    ($($ty:ident)*) => {
        $(impl<R> Debug for $ty<R> {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                self.call.fmt(f)
            }
        })*
    };
}

debug_as_untyped!(TypedResumableCallHostTrap TypedResumableCallOutOfFuel TypedResumableCallStopped);
