//! The standard streams: where a guest's input comes from and where its output goes.
//!
//! Idea: what may make a reader wait is read by a thread of its own, a piece at a time and only when the guest asks,
//! so that a deadline or a stop ends the guest while it waits. Files and bytes are read where they are.
//!
//! Invariant: no stream is the host's own unless it was asked for, and closing one never closes the host's.

use core::fmt::{self, Debug, Formatter};
use core::time::Duration;
use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::fs::{self, Account};

/// Between two looks at the deadline a guest waits so long for input; what comes earlier wakes it up.
pub(super) const WAIT: Duration = Duration::from_millis(1);

/// Where a guest's standard input comes from. Bytes become one by `into()`.
pub struct Input {
    source: Source,
    terminal: bool,
}

enum Source {
    /// Bytes that are there, from a place on.
    Bytes(Vec<u8>, usize),
    /// A file of which every byte is there.
    File(File),
    /// What may have to be waited for.
    Thread(Waiting),
}

impl Input {
    /// No byte at all.
    pub fn empty() -> Self {
        Vec::new().into()
    }

    /// The host's standard input.
    ///
    /// A thread reads it, if it is no regular file, when the guest first wants input. It may have read up to 64 KiB
    /// more than the guest has, and ends with the process.
    pub fn inherit() -> Self {
        let terminal = io::stdin().is_terminal();
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            if let Ok(file) = io::stdin().as_fd().try_clone_to_owned() {
                return Self { terminal, ..Self::file(file.into()) };
            }
        }
        Self { terminal, ..Self::reader(io::stdin()) }
    }

    /// What a file holds, from where it stands.
    pub fn file(file: File) -> Self {
        let regular = file.metadata().is_ok_and(|data| data.is_file());
        if regular { Self { source: Source::File(file), terminal: false } } else { Self::reader(file) }
    }

    /// What a reader gives. A thread reads it, as for [`Self::inherit`].
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self { source: Source::Thread(Waiting::new(Box::new(reader))), terminal: false }
    }

    /// Tells the guest that this is a terminal, or that it is none. Only [`Self::inherit`] finds out by itself.
    pub fn terminal(self, terminal: bool) -> Self {
        Self { terminal, ..self }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Waits until something can be read, or it is known that nothing comes any more; but not longer than `wait`.
    pub(super) fn ready(&mut self, wait: Duration) -> bool {
        match &mut self.source {
            Source::Bytes(..) | Source::File(_) => true,
            Source::Thread(waiting) => waiting.ready(wait),
        }
    }

    /// After some of it was read: can more be read without waiting?
    pub(super) fn has_more(&self) -> bool {
        match &self.source {
            Source::Bytes(..) | Source::File(_) => true,
            Source::Thread(waiting) => waiting.rest().is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// When ready: how many bytes are there at least, and whether it is at its end.
    pub(super) fn outlook(&self) -> (u64, bool) {
        match &self.source {
            Source::Bytes(bytes, at) => ((bytes.len() - at) as u64, bytes.len() == *at),
            Source::File(_) => (0, false),
            Source::Thread(waiting) => waiting.rest().map_or((0, false), |rest| (rest.len() as u64, rest.is_empty())),
        }
    }

    /// Reads what is there; nothing at the end. It has to be ready.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Bytes(bytes, at) => {
                let len = buffer.len().min(bytes.len() - *at);
                buffer[..len].copy_from_slice(&bytes[*at..*at + len]);
                *at += len;
                Ok(len)
            }
            Source::File(file) => loop {
                match file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            },
            Source::Thread(waiting) => waiting.read(buffer),
        }
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Self { source: Source::Bytes(bytes, 0), terminal: false }
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Input {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// No byte at all.
impl Default for Input {
    fn default() -> Self {
        Self::empty()
    }
}

impl Debug for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::Bytes(..) => "Bytes",
            Source::File(_) => "File",
            Source::Thread(_) => "Thread",
        })
    }
}

/// How a thread that reads is asked, and how it answers: with what it read at once, nothing at the end.
type Reader = (Sender<()>, Receiver<io::Result<Vec<u8>>>);

/// Input that a thread reads when it is asked to.
struct Waiting {
    /// Until it is first asked.
    reader: Option<Box<dyn Read + Send>>,
    thread: Option<Reader>,
    /// Is the thread to read a piece that has not come yet?
    asked: bool,
    /// The last piece and how much of it was read. None is behind it if the piece is empty: the end, for now.
    piece: Option<io::Result<(Vec<u8>, usize)>>,
}

/// The most that is read ahead.
const PIECE: usize = 64 << 10;

impl Waiting {
    fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader: Some(reader), thread: None, asked: false, piece: None }
    }

    fn start(&mut self) -> io::Result<()> {
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        let (ask, asked) = mpsc::channel();
        let (send, pieces) = mpsc::channel();
        thread::Builder::new().name("wasi input".into()).spawn(move || {
            let mut buffer = vec![0; PIECE];
            while asked.recv().is_ok() {
                let piece = loop {
                    match reader.read(&mut buffer) {
                        Ok(read) => break Ok(buffer[..read.min(PIECE)].to_vec()),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => break Err(error),
                    }
                };
                if send.send(piece).is_err() {
                    break;
                }
            }
        })?;
        self.thread = Some((ask, pieces));
        Ok(())
    }

    fn ready(&mut self, wait: Duration) -> bool {
        if self.piece.is_some() {
            return true;
        }
        if let Err(error) = self.start() {
            self.piece = Some(Err(error));
            return true;
        }
        // Without a thread there is nothing more: it could not be started, or its reader panicked.
        let gone = || Some(Ok((Vec::new(), 0)));
        let Some((ask, pieces)) = &self.thread else {
            self.piece = gone();
            return true;
        };
        if !self.asked {
            self.asked = ask.send(()).is_ok();
        }
        self.piece = match pieces.recv_timeout(wait) {
            Ok(piece) => Some(piece.map(|piece| (piece, 0))),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => gone(),
        };
        self.asked = false;
        true
    }

    /// What is left of the piece that came last, if it was no error.
    fn rest(&self) -> Option<&[u8]> {
        match &self.piece {
            Some(Ok((piece, at))) => Some(&piece[*at..]),
            _ => None,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (piece, at) = match self.piece.take() {
            None => return Ok(0),
            Some(piece) => piece?,
        };
        let len = buffer.len().min(piece.len() - at);
        buffer[..len].copy_from_slice(&piece[at..at + len]);
        if at + len < piece.len() {
            self.piece = Some(Ok((piece, at + len)));
        }
        Ok(len)
    }
}

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
    /// An error of the writer is told to the guest as an [`Errno`](super::Errno). An error that holds an
    /// [`Error`](crate::Error) of this crate ends the guest with it: `io::Error::other(jitless::Error::exit(1))`.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self { sink: Sink::Writer(Box::new(writer)), terminal: false }
    }

    /// Tells the guest that this is a terminal, or that it is none. Only what is inherited finds out by itself.
    pub fn terminal(self, terminal: bool) -> Self {
        Self { terminal, ..self }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Charges what is kept, if it is, to an account.
    pub(super) fn charge_to(&self, account: Arc<dyn Account>) -> fs::Result {
        if let Sink::Capture(capture) = &self.sink { capture.charge_to(account) } else { Ok(()) }
    }

    /// Writes all of the buffers, or as much as goes before an error; the error, if nothing does.
    pub(super) fn write(&mut self, buffers: &mut [IoSlice<'_>]) -> io::Result<usize> {
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

/// Keeps what a guest writes, up to a limit. Clones are the same.
///
/// What goes beyond the limit is an error of the guest's: no space left. What is kept is charged to the store of the
/// guest that writes ([`Store::account`](crate::Store::account)), until it is taken or the last clone is gone; what that
/// refuses is no space left either.
///
/// ```
/// use jitless::wasi::{Capture, WasiCtx};
///
/// let out = Capture::new(1 << 20);
/// let wasi = WasiCtx::builder().arg("prog").stdout(out.clone()).stderr(out.clone()).build()?;
/// // … run a guest with it, then:
/// assert_eq!(out.text(), "");
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone)]
pub struct Capture(Arc<Mutex<Kept>>);

struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
    /// Who pays, and how much of what the vector has room for is charged.
    account: Option<Arc<dyn Account>>,
    charged: usize,
}

impl Kept {
    /// Makes room for so many more bytes. Nothing is allocated before it is charged.
    fn grow(&mut self, more: usize) -> bool {
        let least = self.bytes.len().saturating_add(more);
        if least <= self.bytes.capacity() {
            return true;
        }
        // Twice as much, so that a byte is moved rarely; if that is too much, just enough.
        let most = self.bytes.capacity().saturating_mul(2).min(self.limit).max(least);
        let charged = [most, least].into_iter().find(|&capacity| self.charge(capacity));
        charged.is_some_and(|capacity| self.bytes.try_reserve_exact(capacity - self.bytes.len()).is_ok())
    }

    /// Charges up to so many bytes.
    fn charge(&mut self, capacity: usize) -> bool {
        let more = capacity.saturating_sub(self.charged);
        if self.account.as_ref().is_some_and(|account| !account.charge(more as u64)) {
            return false;
        }
        self.charged += more;
        true
    }

    fn release(&mut self) {
        if let Some(account) = &self.account {
            account.release(self.charged as u64);
        }
        self.charged = 0;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.release();
    }
}

impl Capture {
    /// Keeps at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept { bytes: Vec::new(), limit, full: false, account: None, charged: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked meanwhile did not leave a half-written vector.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// What was written, as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Takes what was written, so that there is room again.
    pub fn take(&self) -> Vec<u8> {
        let mut kept = self.lock();
        kept.full = false;
        kept.release();
        core::mem::take(&mut kept.bytes)
    }

    /// Charges what is kept to an account, from now on to that alone.
    fn charge_to(&self, account: Arc<dyn Account>) -> fs::Result {
        let mut kept = self.lock();
        // Standard output and standard error may be one.
        if kept.account.as_ref().is_some_and(|same| Arc::ptr_eq(same, &account)) {
            return Ok(());
        }
        let charged = kept.charged.max(kept.bytes.capacity());
        if !account.charge(charged as u64) {
            return Err(fs::Errno::NoMem);
        }
        kept.release();
        (kept.account, kept.charged) = (Some(account), charged);
        Ok(())
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Was nothing written?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Did the guest want to write more than the limit allows?
    pub fn is_full(&self) -> bool {
        self.lock().full
    }

    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut kept = self.lock();
        let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let room = kept.limit - kept.bytes.len();
        let mut left = wanted.min(room);
        kept.full |= wanted > room;
        if left == 0 && wanted > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !kept.grow(left) {
            kept.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let done = left;
        for buffer in buffers {
            let part = &buffer[..buffer.len().min(left)];
            kept.bytes.extend_from_slice(part);
            left -= part.len();
        }
        Ok(done)
    }
}

impl Debug for Capture {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        f.debug_struct("Capture").field("len", &kept.bytes.len()).field("limit", &kept.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_stop_at_their_limit() {
        let out = Capture::new(5);
        let mut to = Output::from(out.clone());
        let mut write = |parts: &[&[u8]]| {
            to.write(&mut parts.iter().map(|part| IoSlice::new(part)).collect::<Vec<_>>()).map_err(|error| error.kind())
        };
        assert_eq!(write(&[b"ab", b"", b"c"]), Ok(3));
        assert!(!out.is_full());
        assert_eq!(write(&[b"defg"]), Ok(2));
        assert_eq!((out.text().as_str(), out.is_full()), ("abcde", true));
        assert_eq!(write(&[b"h"]), Err(io::ErrorKind::StorageFull));
        assert_eq!(write(&[b""]), Ok(0));
        assert_eq!(out.take(), b"abcde");
        assert_eq!(write(&[b"ij"]), Ok(2));
        assert_eq!((out.bytes().as_slice(), out.len(), out.is_full()), (&b"ij"[..], 2, false));
    }

    /// Gives its pieces one by one, then an error, then waits.
    struct Slow(Vec<&'static [u8]>, Receiver<()>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(b"error") => Err(io::ErrorKind::PermissionDenied.into()),
                Some(piece) => {
                    buffer[..piece.len()].copy_from_slice(piece);
                    Ok(piece.len())
                }
                None => self.1.recv().map(|()| 0).map_err(io::Error::other),
            }
        }
    }

    #[test]
    fn threads_read_when_asked() {
        let (go, wait) = mpsc::channel();
        let mut input = Input::reader(Slow(vec![b"error", b"", b"defg", b"abc"], wait));
        let long = Duration::from_secs(60);
        let mut buffer = [0; 3];
        let mut read = |input: &mut Input| {
            assert!(input.ready(long));
            input.read(&mut buffer).map(|read| String::from_utf8(buffer[..read].to_vec()).unwrap())
        };
        assert_eq!(read(&mut input).unwrap(), "abc");
        assert!(!input.has_more());
        assert_eq!(read(&mut input).unwrap(), "def");
        assert!(input.has_more());
        assert_eq!(read(&mut input).unwrap(), "g");
        assert_eq!(read(&mut input).unwrap(), "");
        assert_eq!(read(&mut input).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(!input.ready(Duration::from_millis(1)));
        go.send(()).unwrap();
        assert!(input.ready(long));
        assert_eq!(input.outlook(), (0, true));
    }
}
