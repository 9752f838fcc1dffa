//! WASI preview1: what programs compiled for `wasm32-wasip1` ask of their host.
//!
//! Idea: a guest has a [`WasiCtx`] in its store's data, made by a [`WasiCtxBuilder`]: arguments, environment, clock,
//! random bytes, standard streams. [`add_to_linker`] defines the calls, for programs of `wasi_snapshot_preview1` and
//! of `wasi_unstable`. This module is a tenant: it sees only what the crate makes public.
//!
//! ```
//! use jitless::wasi::{self, Capture, WasiCtx};
//! use jitless::{Engine, Linker, Module, Store};
//!
//! let wasm = wat::parse_str(r#"(module
//!     (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
//!     (memory (export "memory") 1)
//!     (data (i32.const 0) "\08\00\00\00\03\00\00\00hi\n")
//!     (func (export "_start") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#)?;
//! let engine = Engine::default();
//! let mut linker = Linker::new(&engine);
//! wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)?;
//! let out = Capture::new(1 << 20);
//! let mut store = Store::new(&engine, WasiCtx::builder().arg("prog").stdout(out.clone()).build()?);
//! let instance = linker.instantiate(&mut store, &Module::new(&engine, wasm)?)?;
//! instance.get_typed_func::<(), ()>(&store, "_start")?.call(&mut store, ())?;
//! assert_eq!(out.text(), "hi\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What there is
//! All 46 calls of `wasi_snapshot_preview1`, and those of `wasi_unstable`: arguments, environment, clocks, random bytes,
//! the three standard streams, files, waiting, exit. There are no sockets and no signals; what is open is not a socket
//! ([`Errno::NotSock`]), and `proc_raise` is [`Errno::NoSys`]. A pointer outside of the guest's memory is
//! [`Errno::Fault`], and a value that means nothing [`Errno::Inval`]; neither is a trap, and neither has done anything.
//! When a guest ends itself the call into it fails with [`ErrorKind::Exit`](crate::ErrorKind::Exit), also for status 0;
//! [`Error::exit_code`] has the status, as has what [`run_command`] returns.
//!
//! # Files
//! A guest has the file systems that are mounted, and no others: in memory, of the host, or one over another ([`fs`]).
//!
//! ```
//! use jitless::wasi::{WasiCtx, fs::MemFs};
//!
//! let files = MemFs::new();
//! files.write("in.txt", "text")?;
//! let wasi = WasiCtx::builder().arg("prog").mount("/data", files.clone()).mount_read_only("/etc", MemFs::new()).build()?;
//! // … run a guest with it, then:
//! assert_eq!(files.list("")?, ["in.txt"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A path begins in a directory that is open, and never leads out of it: not by `..`, not by a link, not by a root. Each
//! would be [`Errno::NotCapable`]. It has at most 4096 bytes, and each name 255 ([`Errno::NameTooLong`]); at most 40
//! links are followed ([`Errno::Loop`]). A slash at its end says that it has to be a directory, and nothing else. Paths
//! are UTF-8 ([`Errno::IlSeq`]).
//!
//! What a descriptor may be used for it was opened for: a right that is missing is [`Errno::NotCapable`], and rights
//! only become fewer. In what is mounted to be read nothing can be changed, nor moved or linked to where it could be.
//!
//! # Memory
//! With a guest's first call its files, and what is captured of its output, are charged to its store, as its memories
//! are ([`Store::account`](crate::Store::account)); if that is too much the call ends with an error of kind
//! [`Budget`](crate::ErrorKind::Budget). Later it is [`Errno::NoSpc`] when something grows too much. How many
//! descriptors there may be [`WasiCtxBuilder::max_files`] says.
//!
//! # Fuel
//! A call takes one unit of fuel for 64 bytes that it reads, writes or makes, names included, and one for each component
//! of a path, those of links that are followed included. Waiting takes none; it ends at the
//! store's deadline and when the call is stopped, within a millisecond. Writing to a pipe that nobody reads does not.
//!
//! # Invariant
//! A guest gets nothing of the host's that the builder was not told to give: a new context has no arguments, no
//! environment, no input and no files, and its output goes nowhere. Only clock and random bytes are the host's from the
//! start, and [`WasiCtxBuilder::deterministic`] takes those away.

mod abi;
mod account;
mod args;
mod calls;
mod clock;
mod dir;
mod errno;
mod fd;
pub mod fs;
mod io;
mod path;
mod poll;
mod proc;
mod random;
mod rights;
mod run;
mod sock;
mod stat;
mod stdio;
mod trace;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::clock::Clock;
pub use self::errno::Errno;
pub use self::random::Random;
pub use self::run::{add_unknown_to_linker, initialize, run_command};
pub use self::stdio::{Capture, Input, Output};

use self::abi::Version;
use self::args::Texts;
use self::fd::Descriptors;
use self::fs::FileSystem;
use self::trace::Trace;
use crate::{Cause, Error, Linker, Module, Result};

/// What a guest has of the world.
#[derive(Debug)]
pub struct WasiCtx {
    args: Texts,
    env: Texts,
    clock: Clock,
    random: Random,
    fds: Descriptors,
    mounts: Vec<Arc<dyn FileSystem>>,
    /// Are files and output charged to the guest's store already?
    charged: bool,
    trace: Option<Trace>,
}

impl WasiCtx {
    /// Makes one.
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }

    /// The time for what a guest changes. It is no look at the clock.
    fn now(&self) -> u64 {
        self.clock.now(clock::Id::Realtime)
    }
}

/// Defines the calls of WASI in a linker. `ctx` finds the guest's context in the data of its store.
///
/// An import of a name that WASI does not have stays undefined; see [`add_unknown_to_linker`], and
/// [`Linker::define_unknown_imports_as_traps`].
pub fn add_to_linker<T>(
    linker: &mut Linker<T>,
    ctx: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    Version::ALL.into_iter().try_for_each(|version| calls::add_to_linker(linker, version, ctx))
}

/// The same of those names only from which `module` imports: for a linker that is made for one guest.
///
/// An import of a WASI that there is not leads to all of them, so that the error can say which there are.
pub fn add_imported_to_linker<T>(
    linker: &mut Linker<T>,
    module: &Module,
    ctx: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    for version in Version::ALL {
        let of_another = |name| Version::ALL.iter().any(|other| *other != version && other.module() == name);
        let mut names = module.imports().map(|import| import.module());
        if names.any(|name| name.starts_with("wasi_") && !of_another(name)) {
            calls::add_to_linker(linker, version, ctx)?;
        }
    }
    Ok(())
}

/// Says what a guest is to have; [`Self::build`] makes a [`WasiCtx`] of it.
#[derive(Debug, Default)]
pub struct WasiCtxBuilder {
    args: Vec<Vec<u8>>,
    env: Vec<(Vec<u8>, Vec<u8>)>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    clock: Clock,
    random: Random,
    mounts: Vec<Mount>,
    max_files: Option<u32>,
    trace: Option<Trace>,
}

/// A file system, where a guest finds it, and whether it may only read.
#[derive(Debug)]
struct Mount(Arc<str>, Arc<dyn FileSystem>, bool);

impl WasiCtxBuilder {
    /// As many descriptors may be open at once, if nothing else is said.
    pub const MAX_FILES: u32 = 1024;

    /// A guest without anything but clock and random bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an argument. The first is the program's own name. Any bytes but zero may be in it.
    pub fn arg(&mut self, arg: impl AsRef<[u8]>) -> &mut Self {
        self.args.push(arg.as_ref().to_vec());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Adds the arguments of the host's own process, its name included.
    pub fn inherit_args(&mut self) -> &mut Self {
        self.args(std::env::args_os().map(|arg| arg.into_encoded_bytes()))
    }

    /// Sets a variable of the environment; of the same name the last counts.
    pub fn env(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.env.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sets variables of the environment.
    pub fn envs<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, envs: impl IntoIterator<Item = (N, V)>) -> &mut Self {
        for (name, value) in envs {
            self.env(name, value);
        }
        self
    }

    /// Sets all variables of the host's environment.
    pub fn inherit_env(&mut self) -> &mut Self {
        let bytes = |text: std::ffi::OsString| text.into_encoded_bytes();
        self.envs(std::env::vars_os().map(|(name, value)| (bytes(name), bytes(value))))
    }

    /// Where standard input comes from: bytes, or an [`Input`]. Default: there is none.
    pub fn stdin(&mut self, input: impl Into<Input>) -> &mut Self {
        self.stdin = input.into();
        self
    }

    /// Where standard output goes: a [`Capture`] or an [`Output`]. Default: nowhere.
    pub fn stdout(&mut self, output: impl Into<Output>) -> &mut Self {
        self.stdout = output.into();
        self
    }

    /// Where standard error goes: a [`Capture`] or an [`Output`]. Default: nowhere.
    pub fn stderr(&mut self, output: impl Into<Output>) -> &mut Self {
        self.stderr = output.into();
        self
    }

    /// Makes all three standard streams the host's.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.stdin(Input::inherit()).stdout(Output::inherit_stdout()).stderr(Output::inherit_stderr())
    }

    /// Which clock it sees. Default: [`Clock::system`].
    pub fn clock(&mut self, clock: Clock) -> &mut Self {
        self.clock = clock;
        self
    }

    /// Which random bytes it gets. Default: [`Random::system`].
    pub fn random(&mut self, random: Random) -> &mut Self {
        self.random = random;
        self
    }

    /// Lets a guest see a file system as the directory `guest_path`, and change what is in it.
    ///
    /// The guest finds it as a descriptor that is open from the start: the first that is mounted has the number 3, and
    /// so on. The path is told to the guest as it is; C libraries look for the longest that a path of theirs begins with.
    ///
    /// No path leads out of it, also not by links, whatever the file system is.
    pub fn mount(&mut self, guest_path: impl AsRef<str>, fs: impl FileSystem) -> &mut Self {
        let read_only = fs.read_only();
        self.mounts.push(Mount(guest_path.as_ref().into(), Arc::new(fs), read_only));
        self
    }

    /// As [`Self::mount`], but the guest can change nothing: whatever would is [`Errno::NotCapable`].
    pub fn mount_read_only(&mut self, guest_path: impl AsRef<str>, fs: impl FileSystem) -> &mut Self {
        self.mounts.push(Mount(guest_path.as_ref().into(), Arc::new(fs), true));
        self
    }

    /// How many descriptors may be open at once, the standard streams and what is mounted included. One more is
    /// [`Errno::MFile`]. Default: [`Self::MAX_FILES`].
    pub fn max_files(&mut self, count: u32) -> &mut Self {
        self.max_files = Some(count);
        self
    }

    /// Has a line made of each call of the guest, when it is over: `path_open(3, 1, "a/b", …) = 0 → 4`.
    pub fn trace(&mut self, line: impl FnMut(&str) + Send + 'static) -> &mut Self {
        self.trace = Some(Trace(Box::new(line)));
        self
    }

    /// Makes what the guest does depend on nothing but its input: the clock begins in 2001 and goes on by a millisecond
    /// at each look, and random bytes come from `seed`. Not fit for secrets.
    ///
    /// File systems list their entries in the same order anyway, unless they are the host's.
    pub fn deterministic(&mut self, seed: u64) -> &mut Self {
        const START: u64 = 1_000_000_000_000_000_000;
        self.clock(Clock::stepping(START, 1_000_000)).random(Random::seeded(seed))
    }

    /// Makes the context. The builder is as new then.
    ///
    /// An error if a file system has no root to show, an argument or variable has a zero byte in it, a variable's name is
    /// empty or has a `=` in it, or if there are more than 16 MiB of either.
    pub fn build(&mut self) -> Result<WasiCtx> {
        let Self { args, env, stdin, stdout, stderr, clock, random, mounts, max_files, trace } = core::mem::take(self);
        let mut fds = Descriptors::stdio(stdin, stdout, stderr, max_files.unwrap_or(Self::MAX_FILES));
        for Mount(name, fs, read_only) in &mounts {
            fds.preopen(name.clone(), fs.root().map_err(Error::new)?, *read_only);
        }
        Ok(WasiCtx {
            args: Texts::new(&args, "bytes of arguments")?,
            env: Texts::new(last_of_each(env)?, "bytes of environment")?,
            clock,
            random,
            fds,
            mounts: mounts.into_iter().map(|Mount(_, fs, _)| fs).collect(),
            charged: false,
            trace,
        })
    }
}

/// Variables as `name=value`, each where its name came first, with the value that came last.
fn last_of_each(env: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<Vec<u8>>> {
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for (name, value) in env {
        if name.is_empty() || name.contains(&b'=') {
            let name = String::from_utf8_lossy(&name);
            return Err(Cause::Argument(format!("`{}` cannot name a variable", name.escape_debug())).into());
        }
        let mut text = name.clone();
        text.push(b'=');
        text.extend_from_slice(&value);
        match places.get(&name) {
            Some(&place) => texts[place] = text,
            None => {
                places.insert(name, texts.len());
                texts.push(text);
            }
        }
    }
    Ok(texts)
}
