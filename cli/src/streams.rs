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

impl Write for Stdout {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.to.write(buffer).map_err(|error| self.seen(error))
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.to.write_vectored(buffers).map_err(|error| self.seen(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().map_err(|error| self.seen(error))
    }
}

#[cfg(unix)]
fn unbuffered() -> Box<dyn Write + Send> {
    use std::os::fd::AsFd;
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(file) => Box::new(std::fs::File::from(file)),
        Err(_) => Box::new(io::stdout()),
    }
}

#[cfg(not(unix))]
fn unbuffered() -> Box<dyn Write + Send> {
    struct Flushed(io::Stdout);

    impl Write for Flushed {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            let written = self.0.write(buffer)?;
            self.0.flush()?;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    Box::new(Flushed(io::stdout()))
}
