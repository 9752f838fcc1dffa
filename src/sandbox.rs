//! A sandbox: a guest, its files and its limits as one thing, for those who want five lines.
//!
//! Idea: an engine, a linker and, once something is called, a store with an instance; all else is the crate's public
//! interface with limits that are on from the start. This module is a tenant: it sees only what the crate makes public.
//!
//! ```
//! use jitless::{Sandbox, SandboxConfig};
//!
//! let mut sandbox = Sandbox::new(SandboxConfig::rust())?;
//! sandbox.host_fn("env", "double", |n: i32| n.wrapping_mul(2))?;
//! sandbox.load(&wat::parse_str(r#"(module
//!     (import "env" "double" (func $double (param i32) (result i32)))
//!     (func (export "quadruple") (param i32) (result i32) (call $double (call $double (local.get 0)))))"#)?)?;
//! assert_eq!(sandbox.call_typed::<i32, i32>("quadruple", 10)?, 40);
//! println!("{:?}", sandbox.usage());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//! * One limit counts everything that the guest makes the host hold ([`SandboxConfig::memory_limit`]): the module's bytes,
//!   memories, tables, stacks, files in memory, captured output. What the module is translated to is not counted; it is a
//!   few times as large as those parts of the module that run. Nor is loading a call: what bounds it is the module's size.
//! * A call ends after its time ([`SandboxConfig::timeout`]), whatever it does, and when a [`Stopper`] says so.
//! * A guest has nothing of the host's but clock and random bytes, if nothing is mounted ([`Wasi`]).
//! * After any error the sandbox goes on: the guest's memory is as the guest left it, and [`Sandbox::reset`] makes it new.
//!
//! # Invariant
//! There is at most one store at a time, and nothing runs in it but in a call that has set its deadline and its fuel.

mod bytes;
mod call;
mod config;
mod error;
mod run;
mod world;

use core::time::Duration;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use self::bytes::Allocator;
pub use self::call::{Paused, Progress};
pub use self::config::{LogLevel, SandboxConfig, Wasi};
pub use self::error::{SandboxError, SandboxErrorKind};
pub use self::run::ExitStatus;
pub use self::world::Guest;

use self::world::{Payer, Streams};
use crate::wasi::fs::MemFs;
use crate::wasi::{self, Capture};
use crate::{
    Caller, Engine, Error, ErrorKind, FuncType, Instance, IntoFunc, Linker, Module, StopHandle, Store,
    StoreLimitsBuilder, Val, ValType,
};

type Result<T, E = SandboxError> = core::result::Result<T, E>;

/// A guest with its limits: load a module, call it. See the [module](self).
#[derive(Debug)]
pub struct Sandbox {
    config: SandboxConfig,
    engine: Engine,
    /// Functions of the host, and WASI.
    linker: Linker<Guest>,
    /// Modules that others import from, in the order of their instantiation.
    libraries: Vec<(String, Module)>,
    module: Option<Module>,
    live: Option<Live>,
    streams: Streams,
    payer: Arc<Payer>,
    stopper: Stopper,
    /// What stores that are gone have used.
    past: Usage,
}

/// An instance, and the store it is in.
#[derive(Debug)]
struct Live {
    store: Store<Guest>,
    instance: Instance,
}

/// What a sandbox has used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Usage {
    /// The bytes that it makes the host hold now.
    pub memory_now: u64,
    /// The most that it ever made the host hold.
    pub memory_peak: u64,
    /// The fuel of all calls.
    pub fuel: u64,
    /// The time of all calls.
    pub time: Duration,
    /// How many calls there were, runs of programs included.
    pub calls: u64,
}

impl Sandbox {
    /// The least memory limit: one page of a memory.
    const LEAST_MEMORY: u64 = 64 << 10;

    /// A sandbox with nothing in it.
    pub fn new(mut config: SandboxConfig) -> Result<Self> {
        if let Wasi::Memory(files) = &mut config.wasi {
            *files = files.fork();
        }
        if config.memory_limit < Self::LEAST_MEMORY {
            return Err(SandboxError::init("memory_limit", "is less than 64 KiB"));
        }
        if config.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(SandboxError::init("timeout", "is zero: nothing can run"));
        }
        if config.fuel == Some(0) {
            return Err(SandboxError::init("fuel", "is zero: nothing can run"));
        }
        let mut engine = config.engine.clone();
        let limits = engine.limits_mut();
        limits.module_bytes = limits.module_bytes.min(config.memory_limit);
        let init = |option, error: Error| {
            let message = format!("the option `{option}` cannot be: {error}");
            SandboxError::of(SandboxErrorKind::Init { option }, message, error)
        };
        let engine = Engine::new(&engine).map_err(|error| init("engine", error))?;
        let linker = world::linker(&engine, &config).map_err(|error| init("wasi", error))?;
        let streams = Streams::new(config.output_limit);
        let payer = Payer::new(config.memory_limit);
        for (_, fs) in config.wasi.mounts() {
            let paid = fs.charge_to(payer.clone());
            paid.map_err(|_| SandboxError::init("wasi", "has files beyond the memory limit"))?;
        }
        world::guest(&config, &[], &streams).map_err(|error| init("env", error))?;
        let (stopper, past) = (Stopper::default(), Usage::default());
        let (libraries, module, live) = (Vec::new(), None, None);
        Ok(Self { config, engine, linker, libraries, module, live, streams, payer, stopper, past })
    }

    /// Loads a module, in the binary format or, with feature `wat`, as text. It takes the place of the one before.
    pub fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.set_module(Module::new(&self.engine, bytes))
    }

    /// Loads a module from a file.
    pub fn load_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.set_module(Module::from_file(&self.engine, path))
    }

    /// Loads a module from what a reader gives, to its end or to the limit.
    pub fn load_reader(&mut self, reader: impl std::io::Read) -> Result<()> {
        self.set_module(Module::from_reader(&self.engine, reader))
    }

    /// Loads a module from whose exports the modules that are loaded after it can import, under this name.
    ///
    /// If it exports `_initialize`, that is called when it is instantiated, before the others are.
    pub fn load_library(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.libraries.iter().any(|(other, _)| other == name) {
            return Err(SandboxError::load(format_args!("a library named {} is loaded already", name.escape_debug())));
        }
        let module = self.loaded(Module::new(&self.engine, bytes))?;
        self.reset();
        self.libraries.push((name.to_owned(), module));
        Ok(())
    }

    /// Would a module be loaded? Nothing is kept of it.
    pub fn validate(&self, bytes: &[u8]) -> Result<()> {
        Ok(Module::validate(&self.engine, bytes)?)
    }

    /// The module that is loaded: its imports and exports.
    pub fn module(&self) -> Option<&Module> {
        self.module.as_ref()
    }

    /// Gives up the module, its libraries, the guest and its memory. Files and functions of the host stay.
    ///
    /// An error if nothing is loaded.
    pub fn unload(&mut self) -> Result<()> {
        if self.module.is_none() && self.libraries.is_empty() {
            return Err(nothing());
        }
        self.reset();
        self.module = None;
        self.libraries.clear();
        Ok(())
    }

    /// Gives up the guest and its memory: the next call makes a new one of the same modules.
    pub fn reset(&mut self) {
        self.past = Usage { memory_now: 0, ..self.usage() };
        self.live = None;
        self.stopper.set(None);
        self.payer.close();
    }

    /// Adds a function of the host, of any type that [`Linker::func_wrap`] takes; the type of the store's data is [`Guest`].
    ///
    /// It can be added before the module is loaded and after, until it is instantiated by the first call.
    ///
    /// ```
    /// use jitless::sandbox::{Guest, Sandbox, SandboxConfig};
    /// use jitless::Caller;
    ///
    /// let mut sandbox = Sandbox::new(SandboxConfig::default())?;
    /// sandbox.host_fn("env", "log", |caller: Caller<'_, Guest>, ptr: u32, len: u32| {
    ///     println!("{}", caller.memory()?.read_str(&caller, ptr, len)?);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), jitless::SandboxError>(())
    /// ```
    pub fn host_fn<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        func: impl IntoFunc<Guest, Params, Results>,
    ) -> Result<&mut Self> {
        self.define(module, name, |linker| linker.func_wrap(module, name, func).map(drop))
    }

    /// Adds a function of the host of a type that is only known when the program runs; see [`Linker::func_new`].
    pub fn host_fn_dynamic(
        &mut self,
        module: &str,
        name: &str,
        params: &[ValType],
        results: &[ValType],
        func: impl Fn(Caller<'_, Guest>, &[Val], &mut [Val]) -> crate::Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let ty = FuncType::new(&self.engine, params.iter().copied(), results.iter().copied());
        self.define(module, name, |linker| linker.func_new(module, name, ty, func).map(drop))
    }

    /// What was used, since the sandbox was made.
    pub fn usage(&self) -> Usage {
        match &self.live {
            Some(live) => self.past.with(&live.store),
            None => Usage { memory_now: self.payer.held().saturating_add(self.streams.held()), ..self.past },
        }
    }

    /// Stops the call that runs, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// The guest's files, if they are in memory ([`Wasi::Memory`]): to look at, and to change between calls. They stay from
    /// one guest to the next.
    ///
    /// ```
    /// use jitless::{Sandbox, SandboxConfig};
    ///
    /// let sandbox = Sandbox::new(SandboxConfig::default())?;
    /// let files = sandbox.files().expect("they are in memory");
    /// files.write("app/main.py", "print('hello')")?;
    /// assert_eq!(files.list("app")?, ["main.py"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn files(&self) -> Option<&MemFs> {
        if let Wasi::Memory(files) = &self.config.wasi { Some(files) } else { None }
    }

    /// What the guest has written to its standard output since it was instantiated.
    pub fn stdout(&self) -> &Capture {
        &self.streams.stdout
    }

    /// What the guest has written to its standard error since it was instantiated.
    pub fn stderr(&self) -> &Capture {
        &self.streams.stderr
    }

    /// What the guest reads from its standard input, from its next instantiation on; each run reads it from the start.
    pub fn set_stdin(&mut self, bytes: impl Into<Vec<u8>>) {
        self.streams.stdin = bytes.into();
    }

    /// Sets how long each call may take from now on; see [`SandboxConfig::timeout`].
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.config.timeout = timeout;
    }

    /// Sets the fuel that each call has from now on; see [`SandboxConfig::fuel`].
    pub fn set_fuel(&mut self, fuel: Option<u64>) {
        self.config.fuel = fuel;
    }

    /// The guest's store and instance, for all that the rest of the crate can do with them: its memory, its globals.
    ///
    /// Instantiates the module if it is not. Calls that are made this way have the time and fuel that are left of the call
    /// before.
    pub fn instance(&mut self) -> Result<(&mut Store<Guest>, Instance)> {
        if self.live.is_none() {
            self.enter("instantiation", |_| Ok(()))?;
        }
        let live = self.live.as_mut().ok_or_else(nothing)?;
        Ok((&mut live.store, live.instance))
    }

    fn set_module(&mut self, module: Result<Module, Error>) -> Result<()> {
        let module = self.loaded(module)?;
        self.reset();
        self.module = Some(module);
        Ok(())
    }

    fn loaded(&self, module: Result<Module, Error>) -> Result<Module> {
        match module {
            Ok(module) => {
                let (size, funcs) = (module.size(), module.func_count());
                self.config.log.tell(LogLevel::Debug, format_args!("loaded: {size} bytes, {funcs} functions"));
                Ok(module)
            }
            Err(error) => {
                self.config.log.tell(LogLevel::Error, format_args!("load: {error}"));
                // A reader or a file failed, no function of the host.
                if error.kind() == ErrorKind::Host {
                    let kind = SandboxErrorKind::Load { imports: Vec::new() };
                    return Err(SandboxError::of(kind, error.to_string(), error));
                }
                Err(error.into())
            }
        }
    }

    fn define(
        &mut self,
        module: &str,
        name: &str,
        define: impl FnOnce(&mut Linker<Guest>) -> Result<(), Error>,
    ) -> Result<&mut Self> {
        let name = format!("{module}.{name}");
        let kind = |name| SandboxErrorKind::HostFunction { name };
        if self.live.is_some() {
            let message = format!("cannot add {}: the module is instantiated already", name.escape_debug());
            return Err(SandboxError::new(kind(name), message));
        }
        match define(&mut self.linker) {
            Ok(()) => Ok(self),
            Err(error) => {
                let message = format!("cannot add a host function: {error}");
                Err(SandboxError::of(kind(name), message, error))
            }
        }
    }

    /// Makes a call: everything that runs in the guest does so in here.
    fn enter<R>(&mut self, what: &str, work: impl FnOnce(&mut Live) -> Result<R>) -> Result<R> {
        let start = Instant::now();
        let outcome = self.live(start, &[]).and_then(work);
        self.left(what, start, outcome)
    }

    /// The end of a call: counted, and told.
    fn left<R>(&mut self, what: &str, start: Instant, outcome: Result<R>) -> Result<R> {
        let time = start.elapsed();
        self.past.time = self.past.time.saturating_add(time);
        self.past.calls = self.past.calls.saturating_add(1);
        let (log, what) = (&self.config.log, what.escape_debug());
        match outcome {
            Ok(results) => {
                let fuel = self.usage().fuel;
                log.tell(LogLevel::Info, format_args!("{what}: {time:?}, {fuel} units of fuel in all"));
                Ok(results)
            }
            Err(error) => {
                let error = error.with_limit(self.config.timeout);
                log.tell(LogLevel::Error, format_args!("{what}: {error}"));
                Err(error)
            }
        }
    }

    /// The instance, made if there is none, with the time and fuel of a call that begins at `start`.
    fn live(&mut self, start: Instant, args: &[String]) -> Result<&mut Live> {
        if let Some(live) = &mut self.live {
            arm(&self.config, &mut live.store, start)?;
        } else {
            self.streams.renew(self.config.output_limit);
            let mut store = Store::new(&self.engine, world::guest(&self.config, args, &self.streams)?);
            let limits = StoreLimitsBuilder::new().total_memory(self.config.memory_limit);
            store.set_limits(limits.trap_on_grow_failure(self.config.memory_limit_traps).build());
            arm(&self.config, &mut store, start)?;
            self.stopper.set(Some(store.stop_handle()));
            match self.instantiate(&mut store) {
                Ok(instance) => self.live = Some(Live { store, instance }),
                Err(error) => {
                    self.past = self.past.with(&store);
                    drop(store);
                    self.reset();
                    return Err(error);
                }
            }
        }
        self.live.as_mut().ok_or_else(nothing)
    }

    fn instantiate(&self, store: &mut Store<Guest>) -> Result<Instance> {
        let module = self.module.as_ref().ok_or_else(nothing)?;
        let (log, mode) = (&self.config.log, &self.config.wasi);
        self.payer.open(store.account())?;
        let sizes = self.libraries.iter().map(|(_, module)| module).chain([module]).map(|module| module.size() as u64);
        store.account().charge(sizes.fold(0, u64::saturating_add), "a module")?;
        let linked;
        let linker = if self.libraries.is_empty() {
            &self.linker
        } else {
            let mut linker = self.linker.clone();
            for (name, library) in &self.libraries {
                log.tell(LogLevel::Debug, format_args!("instantiating library {}", name.escape_debug()));
                linker.module(&mut *store, name, library).map_err(|error| world::link_error(error, mode))?;
            }
            linked = linker;
            &linked
        };
        log.tell(LogLevel::Debug, format_args!("instantiating"));
        let instance = linker.instantiate(&mut *store, module).map_err(|error| world::link_error(error, mode))?;
        if instance.get_export(&*store, "_start").is_none() {
            wasi::initialize(store, &instance)?;
        }
        Ok(instance)
    }
}

/// File systems that others have too go on without this one's store.
impl Drop for Sandbox {
    fn drop(&mut self) {
        self.payer.close();
    }
}

impl Usage {
    /// With what a store has used.
    fn with(self, store: &Store<Guest>) -> Self {
        Self {
            memory_now: store.memory_used(),
            memory_peak: self.memory_peak.max(store.memory_peak()),
            fuel: self.fuel.saturating_add(store.fuel_used()),
            ..self
        }
    }
}

/// There is nothing to do it with.
#[cold]
fn nothing() -> SandboxError {
    SandboxError::load("no module is loaded")
}

/// Sets the time and fuel of a call.
fn arm(config: &SandboxConfig, store: &mut Store<Guest>, start: Instant) -> Result<(), Error> {
    // A moment too far away for the clock never comes.
    store.set_deadline(config.timeout.and_then(|timeout| start.checked_add(timeout)));
    store.set_fuel(config.fuel.unwrap_or(u64::MAX))
}

/// Stops the call that runs in a sandbox, from any thread. Clones are the same.
///
/// The call ends with an error of kind [`Stopped`](SandboxErrorKind::Stopped). It stops that call and never the next; if
/// none runs it does nothing.
#[derive(Clone, Default, Debug)]
pub struct Stopper(Arc<Mutex<Option<StopHandle>>>);

impl Stopper {
    /// Stops the call that runs.
    pub fn stop(&self) {
        // A panic elsewhere leaves a whole handle behind.
        if let Some(handle) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            handle.stop();
        }
    }

    fn set(&self, handle: Option<StopHandle>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }
}
