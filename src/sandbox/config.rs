//! What a sandbox may take and what its guest sees: options, with presets for common guests.
//!
//! Invariant: every preset bounds memory and time, and none gives the guest anything of the host's.

use core::fmt::{self, Debug, Formatter};
use core::time::Duration;
use std::sync::Arc;

use super::Allocator;
use crate::wasi::fs::{FileSystem, MemFs};
use crate::wasi::{Clock, Random};
use crate::{Config, ModuleLimits};

/// What a [`Sandbox`](super::Sandbox) may take, and what its guest sees. A preset, then options one by one:
///
/// ```
/// use std::time::Duration;
/// use jitless::{Sandbox, SandboxConfig};
///
/// let config = SandboxConfig::default().memory_limit(32 << 20).timeout(Duration::from_secs(2)).fuel(50_000_000);
/// let sandbox = Sandbox::new(config)?;
/// # Ok::<(), jitless::SandboxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    pub(super) memory_limit: u64,
    pub(super) memory_limit_traps: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) fuel: Option<u64>,
    pub(super) output_limit: usize,
    pub(super) wasi: Wasi,
    pub(super) env: Vec<(String, String)>,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) allocator: Option<Allocator>,
    pub(super) log: Log,
    pub(super) engine: Config,
}

/// 128 MiB in all, 30 seconds a call, WASI with an empty directory in memory.
impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            memory_limit: 128 << 20,
            memory_limit_traps: false,
            timeout: Some(Duration::from_secs(30)),
            fuel: None,
            output_limit: 16 << 20,
            wasi: Wasi::default(),
            env: Vec::new(),
            clock: Clock::system(),
            random: Random::system(),
            allocator: None,
            log: Log { level: LogLevel::Off, sink: Arc::new(|_, _| {}) },
            engine: Config::new(),
        }
    }
}

impl SandboxConfig {
    /// As [`Self::default`].
    pub fn new() -> Self {
        Self::default()
    }

    /// For CPython compiled for WASI: 256 MiB, 60 seconds a call.
    pub fn python() -> Self {
        Self::default().memory_limit(256 << 20).timeout(Duration::from_secs(60))
    }

    /// The same as [`Self::python`]: Pyodide itself needs JavaScript and Emscripten's dynamic linker, so it does not run
    /// here; CPython for WASI does.
    pub fn pyodide() -> Self {
        Self::python()
    }

    /// For programs in Rust, C and the like: 64 MiB, 10 seconds a call.
    pub fn rust() -> Self {
        Self::default().memory_limit(64 << 20).timeout(Duration::from_secs(10))
    }

    /// For code that means ill: 16 MiB, 1 second and 100 million units of fuel a call, 1 MiB for each output, small
    /// modules only, a clock that stands still.
    pub fn strict() -> Self {
        let mut engine = Config::new();
        engine.enforced_limits(ModuleLimits::strict()).max_wasm_stack(1 << 20);
        Self::default()
            .memory_limit(16 << 20)
            .timeout(Duration::from_secs(1))
            .fuel(100_000_000)
            .output_limit(1 << 20)
            .clock(Clock::fixed(0))
            .engine(engine)
    }

    /// The most bytes of everything that the guest makes the host hold: the module, memories, tables, stacks, files in
    /// memory, captured output. At least 64 KiB. Default: 128 MiB.
    ///
    /// Beyond it `memory.grow` returns -1 and writing fails with "no space left"; what cannot say no is an error of kind
    /// [`MemoryLimit`](super::SandboxErrorKind::MemoryLimit).
    pub fn memory_limit(self, bytes: u64) -> Self {
        Self { memory_limit: bytes, ..self }
    }

    /// Should `memory.grow` and `table.grow` end the call at the limit, with the place as backtrace, and not return -1?
    /// Default: no.
    pub fn memory_limit_traps(self, yes: bool) -> Self {
        Self { memory_limit_traps: yes, ..self }
    }

    /// How long a call may take, instantiation, waiting and functions of the host included. `None` is no limit.
    /// Default: 30 seconds.
    ///
    /// A function of the host is not interrupted; the guest ends when it returns.
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { timeout: timeout.into(), ..self }
    }

    /// The fuel that each call has; a unit is an instruction, about. `None` is no limit. Default: `None`.
    pub fn fuel(self, fuel: impl Into<Option<u64>>) -> Self {
        Self { fuel: fuel.into(), ..self }
    }

    /// The most bytes that are kept of each, standard output and standard error. What goes beyond fails in the guest
    /// with "no space left". They also count against [`Self::memory_limit`]. Default: 16 MiB.
    pub fn output_limit(self, bytes: usize) -> Self {
        Self { output_limit: bytes, ..self }
    }

    /// What of WASI the guest gets. Default: [`Wasi::Memory`], with nothing in it.
    pub fn wasi(self, wasi: Wasi) -> Self {
        Self { wasi, ..self }
    }

    /// Sets a variable of the guest's environment. Default: there are none.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The clock that the guest sees. Default: the host's.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The random bytes that the guest gets. Default: the host's.
    pub fn random(self, random: Random) -> Self {
        Self { random, ..self }
    }

    /// The guest's functions by which `call_str` and `call_bytes` get room in its memory. Default: the first of
    /// [`Allocator`]'s that the module exports.
    pub fn allocator(self, allocator: Allocator) -> Self {
        Self { allocator: Some(allocator), ..self }
    }

    /// Tells `sink` what happens: a line for each, up to a level. Default: [`LogLevel::Off`].
    ///
    /// ```
    /// # use jitless::sandbox::{LogLevel, SandboxConfig};
    /// let config = SandboxConfig::default().log(LogLevel::Info, |level, line| eprintln!("{level:?} {line}"));
    /// ```
    pub fn log(self, level: LogLevel, sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        Self { log: Log { level, sink: Arc::new(sink) }, ..self }
    }

    /// The engine's configuration: proposals, stack, limits on modules. Default: [`Config::new`].
    ///
    /// A module that has more bytes than [`Self::memory_limit`] is refused, whatever its limits say.
    pub fn engine(self, config: Config) -> Self {
        Self { engine: config, ..self }
    }
}

/// What of WASI a guest gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Wasi {
    /// Nothing: a module that imports any of it is an error of kind [`Wasi`](super::SandboxErrorKind::Wasi).
    Disabled,
    /// Every call answers "not supported" (`ENOSYS`); only exit works.
    Stub,
    /// Files in memory, at `/`. What is in the file system already is there for the guest; each sandbox works on a fork of
    /// its own ([`Sandbox::files`](super::Sandbox::files)), so no two share what they write.
    Memory(MemFs),
    /// These file systems, each at a path of the guest: folders of the host, files in memory over them, whatever else is a
    /// [`FileSystem`]. Sandboxes with the same file system share it, and the first of them pays.
    Mounts(Vec<(String, Arc<dyn FileSystem>)>),
}

/// Files in memory, with nothing in them.
impl Default for Wasi {
    fn default() -> Self {
        Self::Memory(MemFs::new())
    }
}

impl Wasi {
    /// Folders of the host, each at a path of the guest, which can read and change what is in them; nothing leads out.
    ///
    /// ```
    /// use jitless::sandbox::{SandboxConfig, Wasi};
    ///
    /// let config = SandboxConfig::default().wasi(Wasi::host([("/data", std::env::temp_dir())])?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "host-fs")]
    pub fn host<G: Into<String>, H: AsRef<std::path::Path>>(
        folders: impl IntoIterator<Item = (G, H)>,
    ) -> std::io::Result<Self> {
        let open = |(guest, host): (G, H)| {
            let folder: Arc<dyn FileSystem> = Arc::new(crate::wasi::fs::HostDir::open(host)?);
            Ok((guest.into(), folder))
        };
        folders.into_iter().map(open).collect::<std::io::Result<_>>().map(Self::Mounts)
    }

    /// What is mounted where.
    pub(super) fn mounts(&self) -> Vec<(&str, Arc<dyn FileSystem>)> {
        match self {
            Self::Disabled | Self::Stub => Vec::new(),
            Self::Memory(files) => vec![("/", Arc::new(files.clone()))],
            Self::Mounts(mounts) => mounts.iter().map(|(path, fs)| (path.as_str(), fs.clone())).collect(),
        }
    }
}

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What fails.
    Error,
    /// Every call as well, with its time and fuel.
    Info,
    /// Loading and instantiation as well.
    Debug,
}

/// Where lines go.
#[derive(Clone)]
pub(super) struct Log {
    level: LogLevel,
    sink: Arc<Sink>,
}

type Sink = dyn Fn(LogLevel, &str) + Send + Sync;

impl Log {
    /// The line is not made if nobody wants it.
    pub(super) fn tell(&self, level: LogLevel, line: fmt::Arguments<'_>) {
        if level <= self.level {
            (self.sink)(level, &line.to_string());
        }
    }
}

impl Debug for Log {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.level.fmt(f)
    }
}
