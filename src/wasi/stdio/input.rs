//! Standard input.
//!
//! Idea: what may make a reader wait is read by a thread of its own, a piece at a time and only when the guest asks,
//! so that a deadline or a stop ends the guest while it waits. Files and bytes are read where they are.

use core::fmt::{self, Debug, Formatter};
use core::time::Duration;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

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

    pub(in crate::wasi) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Waits until something can be read, or it is known that nothing comes any more; but not longer than `wait`.
    pub(in crate::wasi) fn ready(&mut self, wait: Duration) -> bool {
        match &mut self.source {
            Source::Bytes(..) | Source::File(_) => true,
            Source::Thread(waiting) => waiting.ready(wait),
        }
    }

    /// After some of it was read: can more be read without waiting?
    pub(in crate::wasi) fn has_more(&self) -> bool {
        match &self.source {
            Source::Bytes(..) | Source::File(_) => true,
            Source::Thread(waiting) => waiting.rest().is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// When ready: how many bytes are there at least, and whether it is at its end.
    pub(in crate::wasi) fn outlook(&self) -> (u64, bool) {
        match &self.source {
            Source::Bytes(bytes, at) => ((bytes.len() - at) as u64, bytes.len() == *at),
            Source::File(_) => (0, false),
            Source::Thread(waiting) => waiting.rest().map_or((0, false), |rest| (rest.len() as u64, rest.is_empty())),
        }
    }

    /// Reads what is there; nothing at the end. It has to be ready.
    pub(in crate::wasi) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
