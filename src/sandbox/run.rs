//! Programs: a guest that begins, does its work and ends with a status.

use std::time::Instant;

use super::error::SandboxErrorKind;
use super::{Result, Sandbox};
use crate::wasi;

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExitStatus(i32);

impl ExitStatus {
    /// The status; 0 is success.
    pub fn code(self) -> i32 {
        self.0
    }

    /// Is it 0?
    pub fn success(self) -> bool {
        self.0 == 0
    }
}

impl Sandbox {
    /// Runs the module as a WASI program, which exports `_start`, with these arguments; the first is the program's own name.
    ///
    /// Each run is a new instance; only files stay from one to the next. What it wrote is in [`Self::stdout`] and
    /// [`Self::stderr`], also after an error; what it reads is set by [`Self::set_stdin`].
    ///
    /// ```
    /// use jitless::{Sandbox, SandboxConfig};
    ///
    /// let mut sandbox = Sandbox::new(SandboxConfig::rust())?;
    /// sandbox.load(&wat::parse_str(r#"(module
    ///     (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    ///     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    ///     (memory (export "memory") 1)
    ///     (data (i32.const 0) "\08\00\00\00\03\00\00\00hi\n")
    ///     (func (export "_start")
    ///         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    ///         (call $exit (i32.const 7))))"#)?)?;
    /// let status = sandbox.run(["hi"])?;
    /// assert_eq!((status.code(), sandbox.stdout().text().as_str()), (7, "hi\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Result<ExitStatus> {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        let start = Instant::now();
        self.reset();
        let ended = self.live(start, &args).and_then(|live| {
            live.typed::<(), ()>("_start")?;
            Ok(wasi::run_command(&mut live.store, &live.instance)?)
        });
        // A start function can end the program before `_start` is called.
        let ended = ended.or_else(|error| match *error.kind() {
            SandboxErrorKind::Exit(status) => Ok(status),
            _ => Err(error),
        });
        self.left("run", start, ended).map(ExitStatus)
    }
}
