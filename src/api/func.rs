//! Functions, of guests and of the host, and the loop that serves a call until it ends.
//!
//! Idea: the machine knows no host. It leaves for a host function with the arguments in their slots; the loop calls the
//! closure, which reads them there and writes its results there, and the machine goes on. So a host call can also be left
//! alone and answered later (`resume`).
//!
//! Invariant: what was entered is left, whatever happens, a panic of a host function included.

use alloc::sync::Arc;
use core::fmt::{self, Debug, Formatter};
use core::mem;

use smallvec::SmallVec;

use super::Stored;
use super::caller::Caller;
use super::engine::Engine;
use super::resume::{self, ResumableCall};
use super::store::{AsContext, AsContextMut, StoreContextMut, Whole};
use super::typed::sealed::{Lift, Lower, Sealed};
use super::typed::{TypedFunc, WasmParams, WasmResults, WasmTy, for_each_arity};
use super::val::Val;
use crate::error::{Error, Result};
use crate::exec::{Outcome, Pause};
use crate::runtime::StoreInner;
use crate::types::{FuncType, TypeId, ValType};

/// A function of a guest or of the host. Copies are the same function; the store keeps it.
///
/// ```
/// use jitless::{Engine, Func, Store, Val};
///
/// let mut store = Store::new(&Engine::default(), ());
/// let add = Func::wrap(&mut store, |a: i32, b: i32| a + b);
/// let mut results = [Val::I32(0)];
/// add.call(&mut store, &[Val::I32(1), Val::I32(2)], &mut results)?;
/// assert_eq!(results, [Val::I32(3)]);
/// assert_eq!(add.ty(&store).to_string(), "(func (param i32 i32) (result i32))");
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Func {
    pub(super) stored: Stored,
}

/// Slots of arguments or results.
pub(super) type Slots = SmallVec<[u64; 16]>;

impl Func {
    /// A host function of a type that is only known when the program runs.
    ///
    /// `func` gets its arguments and as many results, zero or null at first, for it to set. A result of another type is an
    /// error of kind [`Host`](crate::ErrorKind::Host).
    pub fn new<T>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let whole = store.as_context_mut().0;
        let func = HostFunc::new(&whole.engine, ty, func);
        Self::host(whole, &func)
    }

    /// A host function from a closure of up to 16 parameters of the types that [`WasmTy`] lists, before them a
    /// [`Caller`] or not. It returns nothing, such a value, a tuple of them, or a [`Result`] of one of these.
    pub fn wrap<T, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Self {
        let whole = store.as_context_mut().0;
        let func = func.into_func(&whole.engine);
        Self::host(whole, &func)
    }

    fn host<T>(whole: &mut Whole<T>, func: &HostFunc<T>) -> Self {
        match whole.host_func(func) {
            Ok(index) => Self { stored: Stored::new(&whole.inner, index) },
            // There are more functions than numbers for them: this one is in no store.
            Err(_) => Self { stored: Stored { store: u64::MAX, index: 0 } },
        }
    }

    /// The type. Of a function of another store it is `(func)`.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let inner = &store.as_context().0.inner;
        match self.stored.of(inner) {
            Some(func) => inner.func_type(func).clone(),
            None => FuncType::from_parts([], []),
        }
    }

    /// Calls the function. There must be as many `results` as it has; what they hold before does not matter.
    pub fn call(&self, mut store: impl AsContextMut, params: &[Val], results: &mut [Val]) -> Result<()> {
        let whole = store.as_context_mut().0;
        let (func, ty, args) = self.prepare(whole, params, results)?;
        let mut slots = Slots::from_elem(0, ty.result_slots() as usize);
        whole.call(func, &args, &mut slots)?;
        lift_vals(&whole.inner, ty.results(), &slots, results);
        Ok(())
    }

    /// Calls the function so that it can go on after what would end a plain call: a host function's error, too little
    /// fuel, a deadline, a stop.
    ///
    /// The call then lies in the [`ResumableCall`], and the store is free for everything else meanwhile. Dropping it
    /// ends the call. What the guest did until then stays.
    ///
    /// ```
    /// use jitless::{Engine, Instance, Module, ResumableCall, Store, Val};
    ///
    /// let wasm = wat::parse_str(r#"(module (func (export "spin") (param i32) (result i32)
    ///     (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 7)))"#)?;
    /// let engine = Engine::default();
    /// let mut store = Store::new(&engine, ());
    /// let spin = Instance::new(&mut store, &Module::new(&engine, wasm)?, &[])?.get_func(&store, "spin").unwrap();
    /// let mut results = [Val::I32(0)];
    /// store.set_fuel(100)?;
    /// let mut call = spin.call_resumable(&mut store, &[Val::I32(1000)], &mut results)?;
    /// while let ResumableCall::OutOfFuel(paused) = call {
    ///     store.add_fuel(paused.required_fuel().max(100))?;
    ///     call = paused.resume(&mut store, &mut results)?;
    /// }
    /// assert_eq!(results, [Val::I32(7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_resumable(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<ResumableCall> {
        let whole = store.as_context_mut().0;
        let (func, _, args) = self.prepare(whole, params, results)?;
        let step = resume::start(whole, func, &args)?;
        Ok(ResumableCall::of(step, whole, results))
    }

    /// The function with its type known to Rust, if it has that type.
    pub fn typed<P: WasmParams, R: WasmResults>(&self, store: impl AsContext) -> Result<TypedFunc<P, R>> {
        TypedFunc::new(store, *self, None)
    }

    /// Everything that can be wrong before a call. The handle, the type, the arguments as slots.
    fn prepare<T>(&self, whole: &mut Whole<T>, params: &[Val], results: &[Val]) -> Result<(u32, FuncType, Slots)> {
        let func = self.stored.check(&whole.inner, "function")?;
        let ty = whole.inner.func_type(func).clone();
        check_count("results", ty.results().len(), results.len())?;
        let args = lower_vals(&mut whole.inner, ty.params(), params, "argument")?;
        Ok((func, ty, args))
    }

    pub(super) fn lift(store: &StoreInner, slot: u64) -> Option<Self> {
        match slot as u32 {
            0 => None,
            handle => Some(Self { stored: Stored::new(store, handle) }),
        }
    }
}

/// `found` values where `wanted` are needed?
pub(super) fn check_count(what: &'static str, wanted: usize, found: usize) -> Result<()> {
    if wanted == found {
        return Ok(());
    }
    Err(Error::argument(alloc::format!("expected {wanted} {what}, found {found}")))
}

/// Values as slots, if there are as many as types, each of its type. `what` is one of them.
pub(super) fn lower_vals(inner: &mut StoreInner, types: &[ValType], vals: &[Val], what: &'static str) -> Result<Slots> {
    if types.len() != vals.len() {
        return Err(Error::argument(alloc::format!("expected {} {what}s, found {}", types.len(), vals.len())));
    }
    if types.iter().any(|ty| ty.is_ref()) {
        inner.externs_make_room();
    }
    let mut slots = Slots::with_capacity(types.len());
    for (number, (&ty, val)) in types.iter().zip(vals).enumerate() {
        let at = slots.len();
        slots.resize(at + ty.slots() as usize, 0);
        if !val.lower(ty, inner, &mut slots[at..])? {
            let (number, found) = (number + 1, val.ty());
            return Err(Error::argument(alloc::format!("{what} {number}: expected {ty}, found {found}")));
        }
    }
    Ok(slots)
}

/// The reverse, into a buffer of the right length.
pub(super) fn lift_vals(inner: &StoreInner, types: &[ValType], slots: &[u64], vals: &mut [Val]) {
    let mut rest = slots;
    for (&ty, val) in types.iter().zip(vals) {
        *val = Val::lift(ty, inner, rest);
        rest = rest.get(ty.slots() as usize..).unwrap_or_default();
    }
}

/// How far a call came.
pub(super) enum Served {
    /// It returned.
    Done,
    /// A host function, by its handle, gave an error.
    Host(u32, Error),
    /// It can go on later.
    Paused(Pause),
    /// It cannot go on.
    Failed(Error),
}

/// A call that was entered; leaves it if it was not left otherwise.
pub(super) struct Entered<'a, T>(pub(super) &'a mut Whole<T>);

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        self.0.inner.abandon();
    }
}

impl<T> Entered<'_, T> {
    /// After the call was left otherwise.
    pub(super) fn left(self) {
        mem::forget(self);
    }
}

impl<T> Whole<T> {
    /// Calls a function, of the guest or the host. As many slots as its type says.
    #[inline]
    pub(super) fn call(&mut self, func: u32, args: &[u64], results: &mut [u64]) -> Result<()> {
        self.enter(func, args, false)?;
        let entered = Entered(self);
        match entered.0.serve() {
            Served::Done => {
                entered.0.inner.finish(results);
                entered.left();
                Ok(())
            }
            Served::Host(_, error) | Served::Failed(error) => Err(entered.0.locate(error)),
            Served::Paused(pause) => Err(entered.0.locate(pause.into())),
        }
    }

    /// Begins a call.
    #[inline]
    pub(super) fn enter(&mut self, func: u32, args: &[u64], own_stack: bool) -> Result<()> {
        self.inner.enter(func, args, own_stack).map_err(|error| self.locate(error))
    }

    /// Runs the innermost call until it is over or needs somebody else.
    #[inline]
    pub(super) fn serve(&mut self) -> Served {
        loop {
            match self.inner.run() {
                Outcome::Done => return Served::Done,
                Outcome::Host(func) => match self.call_host(func) {
                    Ok(()) => self.inner.host_return(),
                    Err(error) => return Served::Host(func, error),
                },
                Outcome::Paused(pause) => return Served::Paused(pause),
                Outcome::Failed(error) => return Served::Failed(error),
                Outcome::Ask { table, current, desired, maximum } => match self.ask(table, current, desired, maximum) {
                    Ok(allowed) => self.inner.answer(allowed),
                    Err(error) => return Served::Failed(error),
                },
                Outcome::GrowFailed { table, error } => match self.grow_failed(table, &error) {
                    // The instruction returns -1.
                    Ok(()) => {}
                    Err(error) => return Served::Failed(error),
                },
            }
        }
    }

    /// Adds to an error where the guest is.
    #[cold]
    pub(super) fn locate(&self, error: Error) -> Error {
        if error.backtrace().is_some() || !self.engine.config().wasm_backtrace {
            return error;
        }
        error.with_backtrace(self.inner.backtrace())
    }

    /// The arguments of the host function that is called.
    #[inline]
    fn arguments<const N: usize>(&mut self) -> Result<[u64; N]> {
        self.inner.host_slots().first_chunk().copied().ok_or_else(|| Error::argument("too few arguments"))
    }

    /// Sets the results of the host function that is called.
    #[inline]
    pub(super) fn return_slots(&mut self, results: &[u64]) -> Result<()> {
        match self.inner.host_slots().get_mut(..results.len()) {
            Some(slots) => slots.copy_from_slice(results),
            None => return Err(Error::argument("too many results")),
        }
        Ok(())
    }
}

impl From<Pause> for Error {
    #[cold]
    fn from(pause: Pause) -> Self {
        match pause {
            Pause::OutOfFuel { required } => Self::out_of_fuel(required),
            Pause::Deadline => Self::deadline(),
            Pause::Stopped => Self::stopped(),
        }
    }
}

/// A host function outside of any store; a store takes it in when it is first needed there.
#[doc(hidden)]
pub struct HostFunc<T>(pub(super) Arc<DynHost<T>>);

/// What a host function is.
pub(super) struct Host<F: ?Sized> {
    pub(super) ty: FuncType,
    pub(super) id: TypeId,
    /// Takes its arguments from the store's pending host call, and leaves its results there.
    pub(super) call: F,
}

pub(super) type DynHost<T> = Host<dyn Fn(&mut Whole<T>) -> Result<()> + Send + Sync>;

impl<T> Clone for HostFunc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Debug for HostFunc<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostFunc").field(&self.0.ty).finish()
    }
}

impl<T> HostFunc<T> {
    fn of(engine: &Engine, ty: FuncType, call: impl Fn(&mut Whole<T>) -> Result<()> + Send + Sync + 'static) -> Self {
        let id = engine.inner.types.register_func(&ty);
        Self(Arc::new(Host { ty, id, call }))
    }

    pub(super) fn new(
        engine: &Engine,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let types = ty.clone();
        Self::of(engine, ty, move |whole| {
            let slots = whole.inner.host_slots();
            let args = Slots::from_slice(&slots[..slots.len().min(types.param_slots() as usize)]);
            let blank = |&ty: &ValType| Val::default_for_ty(ty).unwrap_or(Val::FuncRef(None));
            let mut params: SmallVec<[Val; 4]> = types.params().iter().map(blank).collect();
            let mut results: SmallVec<[Val; 4]> = types.results().iter().map(blank).collect();
            lift_vals(&whole.inner, types.params(), &args, &mut params);
            func(Caller { store: StoreContextMut(whole) }, &params, &mut results)?;
            let results = lower_vals(&mut whole.inner, types.results(), &results, "result");
            // It is the host function that is wrong, not who called it.
            whole.return_slots(&results.map_err(|error| Error::msg(alloc::format!("host function: {error}")))?)
        })
    }
}

/// What a closure may be to become a host function; see [`Func::wrap`].
///
/// Implemented for `Fn(A1, …) -> R` and `Fn(Caller<'_, T>, A1, …) -> R`, `A1` … of [`WasmTy`], `R` of [`WasmRet`].
pub trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_func(self, engine: &Engine) -> HostFunc<T>;
}

/// What a host function may return: nothing, a value of a type that [`WasmTy`] lists, a tuple of up to 16 of them, or a
/// [`Result`] of one of these.
pub trait WasmRet: Sealed {
    #[doc(hidden)]
    type Results: WasmResults;
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Results>;
}

impl<R: WasmResults> WasmRet for R {
    type Results = R;
    #[inline]
    fn into_result(self) -> Result<R> {
        Ok(self)
    }
}

impl<R: WasmResults> Sealed for Result<R> {}
impl<R: WasmResults> WasmRet for Result<R> {
    type Results = R;
    #[inline]
    fn into_result(self) -> Self {
        self
    }
}

#[inline]
fn return_value<T, R: WasmRet>(whole: &mut Whole<T>, result: R) -> Result<()> {
    let result = result.into_result()?;
    if R::Results::EXTERN {
        whole.inner.externs_make_room();
    }
    let slots = result.lower_all(&mut Lower(&mut whole.inner))?;
    whole.return_slots(slots.as_ref())
}

macro_rules! into_func {
    ($count:literal $($a:ident)*) => {
        #[allow(non_snake_case, unused_variables)]
        impl<T, F, R, $($a),*> IntoFunc<T, ($($a,)*), R> for F
        where
            F: Fn($($a),*) -> R + Send + Sync + 'static,
            R: WasmRet,
            $($a: WasmTy,)*
        {
            fn into_func(self, engine: &Engine) -> HostFunc<T> {
                let ty = func_type::<($($a,)*), R::Results>();
                HostFunc::of(engine, ty, move |whole| {
                    let [$($a),*] = whole.arguments::<$count>()?;
                    let lift = Lift(&whole.inner);
                    let result = self($($a::lift(&lift, $a)),*);
                    return_value(whole, result)
                })
            }
        }

        #[allow(non_snake_case, unused_variables)]
        impl<T, F, R, $($a),*> IntoFunc<T, (Caller<'_, T>, $($a,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($a),*) -> R + Send + Sync + 'static,
            R: WasmRet,
            $($a: WasmTy,)*
        {
            fn into_func(self, engine: &Engine) -> HostFunc<T> {
                let ty = func_type::<($($a,)*), R::Results>();
                HostFunc::of(engine, ty, move |whole| {
                    let [$($a),*] = whole.arguments::<$count>()?;
                    let lift = Lift(&whole.inner);
                    let ($($a,)*) = ($($a::lift(&lift, $a),)*);
                    let result = self(Caller { store: StoreContextMut(whole) }, $($a),*);
                    return_value(whole, result)
                })
            }
        }
    };
}

for_each_arity!(into_func);

fn func_type<P: WasmParams, R: WasmParams>() -> FuncType {
    FuncType::from_parts(P::TYPES.iter().copied(), R::TYPES.iter().copied())
}
