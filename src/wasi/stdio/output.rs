//! Standard output and standard error.

use core::fmt::{self, Debug, Formatter};
use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Write};
use std::sync::Arc;

use super::super::fs::{self, Account};
use super::Capture;

/// Where a guest's standard output, or its errors, go.
pub struct Output {
    sink: Sink,
    terminal: bool,
}

enum Sink {
    Null,
    Capture(Capture),
    Writer(Box<dyn Write + Send>),
}

impl Output {
    /// Nowhere.
    pub fn null() -> Self {
        Self { sink: Sink::Null, terminal: false }
    }

    /// The host's standard output. What the guest writes is not kept back.
    pub fn inherit_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            // What the host has not written yet comes first.
            let _ = io::stdout().flush();
            if let Ok(file) = io::stdout().as_fd().try_clone_to_owned() {
                return Self::writer(File::from(file)).terminal(terminal);
            }
        }
        Self::writer(Flushed(io::stdout())).terminal(terminal)
    }

    /// The host's standard error.
    pub fn inherit_stderr() -> Self {
        Self::writer(io::stderr()).terminal(io::stderr().is_terminal())
    }

    /// A writer. It is called for each call of the guest, and not flushed.
    ///
    /// An error of the writer is told to the guest as an [`Errno`](super::super::Errno). An error that holds an
    /// [`Error`](crate::Error) of this crate ends the guest with it: `io::Error::other(jitless::Error::exit(1))`.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self { sink: Sink::Writer(Box::new(writer)), terminal: false }
    }

    /// Tells the guest that this is a terminal, or that it is none. Only what is inherited finds out by itself.
    pub fn terminal(self, terminal: bool) -> Self {
        Self { terminal, ..self }
    }

    pub(in crate::wasi) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Charges what is kept, if it is, to an account.
    pub(in crate::wasi) fn charge_to(&self, account: Arc<dyn Account>) -> fs::Result {
        if let Sink::Capture(capture) = &self.sink { capture.charge_to(account) } else { Ok(()) }
    }

    /// Writes all of the buffers, or as much as goes before an error; the error, if nothing does.
    pub(in crate::wasi) fn write(&mut self, buffers: &mut [IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Null => Ok(buffers.iter().map(|buffer| buffer.len()).sum()),
            Sink::Capture(capture) => capture.write(buffers),
            Sink::Writer(writer) => write_all(&mut **writer, buffers),
        }
    }
}

fn write_all(writer: &mut dyn Write, mut buffers: &mut [IoSlice<'_>]) -> io::Result<usize> {
    let mut done = 0;
    IoSlice::advance_slices(&mut buffers, 0);
    while !buffers.is_empty() {
        match writer.write_vectored(buffers) {
            Ok(0) if done == 0 => return Err(io::ErrorKind::WriteZero.into()),
            Ok(0) => break,
            Ok(written) => {
                done += written;
                IoSlice::advance_slices(&mut buffers, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // One with an error inside may end the guest: that is not to be lost.
            Err(error) if done == 0 || error.get_ref().is_some() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

impl From<Capture> for Output {
    fn from(capture: Capture) -> Self {
        Self { sink: Sink::Capture(capture), terminal: false }
    }
}

/// Nowhere.
impl Default for Output {
    fn default() -> Self {
        Self::null()
    }
}

impl Debug for Output {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.sink {
            Sink::Null => "Null",
            Sink::Capture(_) => "Capture",
            Sink::Writer(_) => "Writer",
        })
    }
}

/// Keeps nothing back.
struct Flushed<W>(W);

impl<W: Write> Write for Flushed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.0.write(buffer)?;
        self.0.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
