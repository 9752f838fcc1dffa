//! The guest's standard output, as the command gives it.
//!
//! Invariant: an error of writing is never lost: either the guest ends at it, or the command says it after the guest.

use std::io::{self, IoSlice, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use jitless::Error;
use jitless::wasi::Output;

use crate::report::{ClosedPipe, Failure};

/// What became of standard output.
#[derive(Clone, Default)]
pub(crate) struct Fate(Arc<Mutex<Option<io::Error>>>);

impl Fate {
    /// The first error, if there was one.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), |error| Err(Failure::output(error)))
    }
}

/// The command's standard output, unbuffered, for a guest.
pub(crate) fn stdout() -> (Output, Fate) {
    let fate = Fate::default();
    let output = Output::writer(Stdout { to: unbuffered(), fate: fate.clone() });
    (output.terminal(io::stdout().is_terminal()), fate)
}

struct Stdout {
    to: Box<dyn Write + Send>,
    fate: Fate,
}

impl Stdout {
    /// A closed pipe ends the guest, all else it is told.
    fn seen(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            io::ErrorKind::BrokenPipe => io::Error::other(Error::new(ClosedPipe)),
            kind => {
                self.fate.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                kind.into()
            }
        }
    }
}

/// Keeps nothing back.
impl Write for Stdout {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.to.write_vectored(buffers).map_err(|error| self.seen(error))?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().map_err(|error| self.seen(error))
    }
}

fn unbuffered() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        if let Ok(file) = io::stdout().as_fd().try_clone_to_owned() {
            return Box::new(std::fs::File::from(file));
        }
    }
    Box::new(io::stdout())
}
