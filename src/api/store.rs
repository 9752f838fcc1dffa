//! The store: everything that guests made with it live in, the embedder's data beside them, and what bounds them.
//!
//! Invariant: no guest runs but in a call that has the store for itself; so between calls the embedder may look at
//! everything, and in a call a host function may, through its [`Caller`](super::Caller).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};
#[cfg(feature = "std")]
use std::time::Instant;

use hashbrown::HashMap;

use super::engine::Engine;
use super::func::{DynHost, HostFunc};
use crate::budget::{Account, ResourceLimiter, StoreLimits};
use crate::error::{Error, Result};
use crate::runtime::{Stop, StoreInner};

/// Everything that guests live in (memories, tables, globals, instances, their stack), and `T`, the embedder's own data,
/// which host functions get at through their [`Caller`](super::Caller).
///
/// Nothing is freed before the store is: make a store for each guest, or for each job. It is cheap.
///
/// # Bounds
/// *Fuel* counts executed instructions; a new store has no bound ([`Store::set_fuel`]). A *deadline*
/// ([`Store::set_deadline`]) and a [`StopHandle`] stop a call at a moment. What guests make the host hold is bounded
/// from the start ([`StoreLimits`], [`Store::set_limits`]).
///
/// ```
/// use jitless::{Engine, Store};
///
/// let mut store = Store::new(&Engine::default(), vec!["data of any type"]);
/// store.data_mut().push("more");
/// store.set_fuel(1_000_000)?;
/// assert_eq!(store.get_fuel()?, 1_000_000);
/// assert_eq!(store.into_data().len(), 2);
/// # Ok::<(), jitless::Error>(())
/// ```
pub struct Store<T> {
    whole: Box<Whole<T>>,
}

/// What a store is made of. Contexts and callers borrow this.
pub(super) struct Whole<T> {
    pub(super) inner: StoreInner,
    pub(super) engine: Engine,
    hosts: Vec<Host<T>>,
    /// By address of a host function: its handle. The address stays its own, as `hosts` keeps the function.
    known: HashMap<usize, u32>,
    limiter: Option<Box<Limiter<T>>>,
    pub(super) data: T,
}

type Limiter<T> = dyn FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send;

/// A function of the host. A call takes `spare` along and brings it back: cheaper than counting references.
struct Host<T> {
    keep: Arc<DynHost<T>>,
    spare: Option<Arc<DynHost<T>>>,
}

impl<T> Store<T> {
    /// An empty store around `data`.
    pub fn new(engine: &Engine, data: T) -> Self {
        Self::of(engine, data, None)
    }

    /// An empty store whose guests' bytes are charged to `pool` as well: one budget for several stores, on whatever
    /// threads they are. The store's own limits hold too.
    ///
    /// ```
    /// use jitless::{Account, Engine, Store};
    ///
    /// let (engine, pool) = (Engine::default(), Account::new(256 << 20));
    /// let stores = [1, 2, 3].map(|number| Store::within(&engine, number, &pool));
    /// assert_eq!(pool.used(), stores.iter().map(Store::memory_used).sum());
    /// ```
    pub fn within(engine: &Engine, data: T, pool: &Account) -> Self {
        Self::of(engine, data, Some(pool.clone()))
    }

    fn of(engine: &Engine, data: T, pool: Option<Account>) -> Self {
        Self {
            whole: Box::new(Whole {
                inner: StoreInner::new(engine.inner.clone(), pool),
                engine: engine.clone(),
                hosts: Vec::new(),
                known: HashMap::new(),
                limiter: None,
                data,
            }),
        }
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.whole.data
    }

    /// The embedder's data, to be changed.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.whole.data
    }

    /// Ends the store and gives back the data.
    pub fn into_data(self) -> T {
        self.whole.data
    }

    /// The engine that it was made with.
    pub fn engine(&self) -> &Engine {
        &self.whole.engine
    }

    /// Sets the fuel that is left to `fuel`; `u64::MAX` is no bound, as in a new store.
    ///
    /// An executed instruction takes one unit, with the exceptions that the documentation of the crate lists. A call that
    /// has none left ends with [`ErrorKind::OutOfFuel`](crate::ErrorKind::OutOfFuel); [`Func::call_resumable`] can go on
    /// from there. Never an error.
    ///
    /// [`Func::call_resumable`]: super::Func::call_resumable
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.whole.inner.set_fuel(fuel);
        Ok(())
    }

    /// The fuel that is left, `u64::MAX` without a bound. Never an error.
    pub fn get_fuel(&self) -> Result<u64> {
        Ok(self.whole.inner.fuel_left())
    }

    /// Adds to the fuel that is left. Never an error; too much is as much as can be counted.
    pub fn add_fuel(&mut self, fuel: u64) -> Result<()> {
        self.whole.inner.add_fuel(fuel);
        Ok(())
    }

    /// All fuel that was used since the store was made, bounded or not.
    pub fn fuel_used(&self) -> u64 {
        self.whole.inner.fuel_used()
    }

    /// Stops calls that still run at `deadline`, with [`ErrorKind::Deadline`](crate::ErrorKind::Deadline).
    ///
    /// It stays until another is set, so calls that come later end at once.
    #[cfg(feature = "std")]
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.whole.inner.set_deadline(deadline);
    }

    /// The deadline that is set.
    #[cfg(feature = "std")]
    pub fn deadline(&self) -> Option<Instant> {
        self.whole.inner.deadline()
    }

    /// A handle that stops the call that runs in this store, from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { stop: self.whole.inner.stop_handle() }
    }

    /// Bounds what guests make the host hold. What they have already stays; only growth is refused.
    ///
    /// ```
    /// # use jitless::{Engine, Store, StoreLimitsBuilder};
    /// let mut store = Store::new(&Engine::default(), ());
    /// store.set_limits(StoreLimitsBuilder::new().total_memory(64 << 20).instances(10).build());
    /// ```
    pub fn set_limits(&mut self, limits: StoreLimits) {
        self.whole.inner.budget.set_limits(limits);
    }

    /// The bounds that are set.
    pub fn limits(&self) -> &StoreLimits {
        self.whole.inner.budget.limits()
    }

    /// What the bytes are charged to that guests make the host hold: for what is held for them outside of the store.
    pub fn account(&self) -> &Account {
        self.whole.inner.budget.account()
    }

    /// The bytes that guests make the host hold now: memories, tables, globals, instances, stacks, and what is charged to
    /// [`Self::account`].
    pub fn memory_used(&self) -> u64 {
        self.whole.inner.budget.used()
    }

    /// The most that [`Self::memory_used`] ever was.
    pub fn memory_peak(&self) -> u64 {
        self.whole.inner.budget.peak()
    }

    /// Asks `limiter`, after the store's own limits, before a memory or table grows or anything is made.
    ///
    /// [`StoreLimits`] is such a limiter too; [`Self::set_limits`] needs none.
    ///
    /// ```
    /// # use jitless::{Engine, Store, StoreLimits, StoreLimitsBuilder};
    /// struct Data { limits: StoreLimits }
    /// let limits = StoreLimitsBuilder::new().memory_size(1 << 20).build();
    /// let mut store = Store::new(&Engine::default(), Data { limits });
    /// store.limiter(|data| &mut data.limits);
    /// ```
    pub fn limiter(&mut self, limiter: impl (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + 'static) {
        self.whole.limiter = Some(Box::new(limiter));
        self.whole.inner.ask_limiter(true);
    }

    /// Drops values of the host that no guest can reach any more. That happens by itself when there are many.
    pub fn gc(&mut self) {
        self.whole.inner.collect_externs();
    }
}

impl<T: Default> Default for Store<T> {
    fn default() -> Self {
        Self::new(&Engine::default(), T::default())
    }
}

impl<T: Debug> Debug for Store<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("data", self.data()).finish_non_exhaustive()
    }
}

impl<T> Whole<T> {
    /// The handle of a host function, which comes into the store when it is first needed there.
    pub(super) fn host_func(&mut self, func: &HostFunc<T>) -> Result<u32> {
        let address = Arc::as_ptr(&func.0).cast::<()>() as usize;
        if let Some(&handle) = self.known.get(&address) {
            return Ok(handle);
        }
        let number = u32::try_from(self.hosts.len()).map_err(|_| Error::argument("too many host functions"))?;
        let handle = self.inner.add_host_func(&func.0.ty, func.0.id, number)?;
        self.hosts.push(Host { keep: func.0.clone(), spare: Some(func.0.clone()) });
        self.known.insert(address, handle);
        Ok(handle)
    }

    /// Calls the host function that the machine waits for.
    pub(super) fn call_host(&mut self, handle: u32) -> Result<()> {
        let number = self.inner.host_number(handle) as usize;
        let Some(host) = self.hosts.get_mut(number) else {
            return Err(Error::argument("the host function is gone"));
        };
        let func = host.spare.take().unwrap_or_else(|| host.keep.clone());
        let result = (func.call)(self);
        self.hosts[number].spare = Some(func);
        result
    }

    /// What the embedder's limiter says to a growth.
    pub(super) fn ask(&mut self, table: bool, current: u64, desired: u64, maximum: Option<u64>) -> Result<bool> {
        let Some(limiter) = &mut self.limiter else { return Ok(true) };
        let limiter = limiter(&mut self.data);
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let (current, desired, maximum) = (size(current), size(desired), maximum.map(size));
        if table {
            limiter.table_growing(current, desired, maximum)
        } else {
            limiter.memory_growing(current, desired, maximum)
        }
    }

    /// Tells the embedder's limiter that a growth it allowed failed.
    pub(super) fn grow_failed(&mut self, table: bool, error: &Error) -> Result<()> {
        let Some(limiter) = &mut self.limiter else { return Ok(()) };
        let limiter = limiter(&mut self.data);
        if table { limiter.table_grow_failed(error) } else { limiter.memory_grow_failed(error) }
    }

    /// The embedder's limits on the number of instances, tables and memories.
    pub(super) fn count_limits(&mut self) -> Option<[usize; 3]> {
        let limiter = self.limiter.as_mut()?(&mut self.data);
        Some([limiter.instances(), limiter.tables(), limiter.memories()])
    }
}

/// A shared borrow of a store, as [`AsContext`] gives it.
pub struct StoreContext<'a, T>(pub(super) &'a Whole<T>);

/// A borrow of a store for itself, as [`AsContextMut`] gives it.
pub struct StoreContextMut<'a, T>(pub(super) &'a mut Whole<T>);

/// Whatever leads to a store: `&Store<T>`, `&mut Store<T>`, `&Caller<'_, T>`, and the contexts.
pub trait AsContext {
    /// The embedder's data in the store.
    type Data;

    /// The store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// Whatever leads to a store to be changed: `&mut Store<T>`, `&mut Caller<'_, T>`, [`StoreContextMut`].
pub trait AsContextMut: AsContext {
    /// The store.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<'a, T> StoreContext<'a, T> {
    /// The embedder's data.
    pub fn data(&self) -> &'a T {
        &self.0.data
    }

    /// The engine that the store was made with.
    pub fn engine(&self) -> &'a Engine {
        &self.0.engine
    }

    /// As [`Store::get_fuel`].
    pub fn get_fuel(&self) -> Result<u64> {
        Ok(self.0.inner.fuel_left())
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The embedder's data, to be changed.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// The engine that the store was made with.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// As [`Store::get_fuel`].
    pub fn get_fuel(&self) -> Result<u64> {
        Ok(self.0.inner.fuel_left())
    }

    /// As [`Store::set_fuel`].
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.0.inner.set_fuel(fuel);
        Ok(())
    }
}

impl<T> Clone for StoreContext<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for StoreContext<'_, T> {}

impl<T> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.whole)
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.whole)
    }
}

impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        *self
    }
}

impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}

/// Turns what borrows a store for `'a` into a context for the whole of `'a`, so that what is borrowed out of it may
/// live as long.
macro_rules! into_context {
    ($($target:ident: $from:ty, |$value:ident| $make:expr;)*) => {
        $(
            impl<'a, T> From<$from> for $target<'a, T> {
                fn from($value: $from) -> Self {
                    $target($make)
                }
            }
        )*
    };
}

into_context! {
    StoreContext: &'a Store<T>, |store| &store.whole;
    StoreContext: &'a mut Store<T>, |store| &store.whole;
    StoreContextMut: &'a mut Store<T>, |store| &mut store.whole;
    StoreContext: StoreContextMut<'a, T>, |store| store.0;
}

/// The same for what borrows a store for itself, and is borrowed.
macro_rules! into_context_twice {
    ($($target:ident: $from:ty, |$value:ident| $make:expr;)*) => {
        $(
            impl<'a, 'b: 'a, T> From<$from> for $target<'a, T> {
                fn from($value: $from) -> Self {
                    $target($make)
                }
            }
        )*
    };
}

into_context_twice! {
    StoreContext: &'a StoreContextMut<'b, T>, |store| store.0;
    StoreContext: &'a mut StoreContextMut<'b, T>, |store| store.0;
    StoreContext: &'a StoreContext<'b, T>, |store| store.0;
    StoreContextMut: &'a mut StoreContextMut<'b, T>, |store| store.0;
    StoreContext: &'a super::Caller<'b, T>, |caller| caller.store.0;
    StoreContext: &'a mut super::Caller<'b, T>, |caller| caller.store.0;
    StoreContextMut: &'a mut super::Caller<'b, T>, |caller| caller.store.0;
}

/// Stops the call that runs in a store, from any thread. Cheap to clone.
///
/// The call ends with [`ErrorKind::Stopped`](crate::ErrorKind::Stopped), within microseconds; calls inside each other
/// end together. It stops this call and never the next: when none runs, [`StopHandle::stop`] does nothing.
///
/// ```
/// # use jitless::{Engine, Store};
/// let store = Store::new(&Engine::default(), ());
/// let handle = store.stop_handle();
/// std::thread::spawn(move || handle.stop()).join().unwrap();
/// ```
#[derive(Clone)]
pub struct StopHandle {
    stop: Arc<Stop>,
}

impl StopHandle {
    /// Stops the call that runs.
    pub fn stop(&self) {
        self.stop.stop();
    }
}

impl Debug for StopHandle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("StopHandle")
    }
}
