//! Errors of the host, and what a guest is told of them.
//!
//! Idea: one table from the host's own numbers. What is not in it, and all on hosts that have others, goes by the kind
//! that the standard library gives an error.

use std::io;

use crate::wasi::fs::Errno;

macro_rules! numbers {
    ($($host:ident $errno:ident)*) => {
        #[cfg(unix)]
        const NUMBERS: &[(rustix::io::Errno, Errno)] = &[$((rustix::io::Errno::$host, Errno::$errno)),*];
    };
}

numbers! {
    TOOBIG TooBig
    ACCESS Acces
    AGAIN Again
    BADF BadF
    BUSY Busy
    DQUOT Dquot
    EXIST Exist
    FBIG FBig
    INTR Intr
    INVAL Inval
    IO Io
    ISDIR IsDir
    LOOP Loop
    MFILE MFile
    MLINK MLink
    NAMETOOLONG NameTooLong
    NFILE NFile
    NODEV NoDev
    NOENT NoEnt
    NOLCK NoLck
    NOMEM NoMem
    NOSPC NoSpc
    NOSYS NotSup
    NOTDIR NotDir
    NOTEMPTY NotEmpty
    NOTSUP NotSup
    NXIO NxIo
    OPNOTSUPP NotSup
    OVERFLOW Overflow
    PERM Perm
    ROFS RoFs
    SPIPE SPipe
    STALE Stale
    TIMEDOUT TimedOut
    TXTBSY TxtBsy
    XDEV XDev
}

/// What a guest is told.
pub(super) fn errno(error: io::Error) -> Errno {
    #[cfg(unix)]
    if let Some(number) = rustix::io::Errno::from_io_error(&error)
        && let Some((_, errno)) = NUMBERS.iter().find(|(host, _)| *host == number)
    {
        return *errno;
    }
    Errno::from(&error)
}
