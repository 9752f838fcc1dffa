//! What a host function sees of its caller.
//!
//! Invariant: while a [`Caller`] can be used, the guest that called waits at just that call; so whatever it sees of the
//! guest is complete, fuel included.

use core::fmt::{self, Debug, Formatter};
#[cfg(feature = "std")]
use std::time::Instant;

use super::Stored;
use super::engine::Engine;
use super::instance::{Extern, Instance};
use super::memory::Memory;
use super::store::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use crate::budget::Account;
use crate::error::{Backtrace, Error, Result};

/// The guest that calls a host function, and the store they are in.
///
/// Most host functions work on the caller's memory and the store's data at once:
///
/// ```
/// use jitless::{Caller, Engine, Linker, Module, Store};
///
/// let engine = Engine::default();
/// let mut linker = Linker::new(&engine);
/// linker.func_wrap("env", "print", |mut caller: Caller<'_, Vec<String>>, ptr: u32, len: u32| {
///     let memory = caller.memory()?;
///     let text = memory.read_str(&caller, ptr, len)?.to_owned();
///     // Both at once: the bytes of the memory, and the data of the store.
///     let (bytes, lines) = memory.data_and_store_mut(&mut caller);
///     bytes[ptr as usize] = b'*';
///     lines.push(text);
///     Ok(())
/// })?;
/// let wasm = wat::parse_str(r#"(module
///     (import "env" "print" (func $print (param i32 i32)))
///     (memory 1) (data (i32.const 8) "hello")
///     (func (export "run") (call $print (i32.const 8) (i32.const 5))))"#)?;
/// let mut store = Store::new(&engine, Vec::new());
/// let instance = linker.instantiate(&mut store, &Module::new(&engine, wasm)?)?;
/// instance.get_typed_func::<(), ()>(&store, "run")?.call(&mut store, ())?;
/// assert_eq!(store.data(), &["hello"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Caller<'a, T> {
    pub(super) store: StoreContextMut<'a, T>,
}

impl<T> Caller<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The embedder's data, to be changed.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// The instance whose code calls; `None` if the host calls its own function.
    pub fn instance(&self) -> Option<Instance> {
        let inner = &self.store.0.inner;
        inner.calling_instance().map(|instance| Instance { stored: Stored::new(inner, instance) })
    }

    /// The export of the calling instance with this name.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        self.instance()?.get_export(&*self, name)
    }

    /// The first memory of the calling instance, exported or not.
    pub fn memory(&self) -> Result<Memory> {
        let inner = &self.store.0.inner;
        let memory = inner.calling_instance().and_then(|instance| inner.instance(instance).memories.first());
        match memory {
            Some(&memory) => Ok(Memory { stored: Stored::new(inner, memory) }),
            None => Err(Error::msg("the caller has no memory")),
        }
    }

    /// The fuel that is left, `u64::MAX` without a bound. Never an error.
    pub fn get_fuel(&self) -> Result<u64> {
        self.store.get_fuel()
    }

    /// As [`Store::set_fuel`](super::Store::set_fuel).
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.store.set_fuel(fuel)
    }

    /// As [`Store::add_fuel`](super::Store::add_fuel).
    pub fn add_fuel(&mut self, fuel: u64) -> Result<()> {
        self.store.0.inner.add_fuel(fuel);
        Ok(())
    }

    /// As [`Store::fuel_used`](super::Store::fuel_used).
    pub fn fuel_used(&self) -> u64 {
        self.store.0.inner.fuel_used()
    }

    /// Charges the guest for work that the host does for it; an error of kind
    /// [`OutOfFuel`](crate::ErrorKind::OutOfFuel), and nothing charged, if less is left.
    ///
    /// Charge before the work: `caller.charge(u64::from(len) / 64)?`.
    pub fn charge(&mut self, fuel: u64) -> Result<()> {
        self.store.0.inner.charge(fuel)
    }

    /// What the bytes are charged to that guests make the host hold; see [`Store::account`](crate::Store::account).
    pub fn account(&self) -> &Account {
        self.store.0.inner.budget.account()
    }

    /// Where the guest is: its calls, innermost first.
    pub fn backtrace(&self) -> Backtrace {
        self.store.0.inner.backtrace()
    }

    /// When the call will be stopped; for host functions that wait.
    #[cfg(feature = "std")]
    pub fn deadline(&self) -> Option<Instant> {
        self.store.0.inner.deadline()
    }

    /// Has the call's deadline passed, or has somebody stopped it? For host functions that take long: return the error.
    pub fn check_stop(&self) -> Result<()> {
        self.store.0.inner.check_stop()
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

impl<T> Debug for Caller<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Caller")
    }
}
