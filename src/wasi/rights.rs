//! Rights: what a descriptor may be used for, one bit each.
//!
//! Invariant: a descriptor's rights only ever become fewer, and those of what is opened through a directory are among
//! the ones that it hands on.

macro_rules! rights {
    ($($name:ident = $bit:literal;)*) => { $(pub(super) const $name: u64 = 1 << $bit;)* };
}

rights! {
    FD_DATASYNC = 0;
    FD_READ = 1;
    FD_SEEK = 2;
    FD_FDSTAT_SET_FLAGS = 3;
    FD_SYNC = 4;
    FD_TELL = 5;
    FD_WRITE = 6;
    FD_ADVISE = 7;
    FD_ALLOCATE = 8;
    PATH_CREATE_DIRECTORY = 9;
    PATH_CREATE_FILE = 10;
    PATH_LINK_SOURCE = 11;
    PATH_LINK_TARGET = 12;
    PATH_OPEN = 13;
    FD_READDIR = 14;
    PATH_READLINK = 15;
    PATH_RENAME_SOURCE = 16;
    PATH_RENAME_TARGET = 17;
    PATH_FILESTAT_GET = 18;
    PATH_FILESTAT_SET_SIZE = 19;
    PATH_FILESTAT_SET_TIMES = 20;
    FD_FILESTAT_GET = 21;
    FD_FILESTAT_SET_SIZE = 22;
    FD_FILESTAT_SET_TIMES = 23;
    PATH_SYMLINK = 24;
    PATH_REMOVE_DIRECTORY = 25;
    PATH_UNLINK_FILE = 26;
    POLL_FD_READWRITE = 27;
}

/// All that mean something on a standard stream, but for reading and writing.
pub(super) const STREAM: u64 = FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;

/// All that mean something on a regular file.
pub(super) const FILE: u64 = FD_DATASYNC
    | FD_READ
    | FD_SEEK
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | FD_TELL
    | FD_WRITE
    | FD_ADVISE
    | FD_ALLOCATE
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_SIZE
    | FD_FILESTAT_SET_TIMES
    | POLL_FD_READWRITE;

/// All that mean something on a directory.
pub(super) const DIR: u64 = FD_DATASYNC
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | PATH_CREATE_DIRECTORY
    | PATH_CREATE_FILE
    | PATH_LINK_SOURCE
    | PATH_LINK_TARGET
    | PATH_OPEN
    | FD_READDIR
    | PATH_READLINK
    | PATH_RENAME_SOURCE
    | PATH_RENAME_TARGET
    | PATH_FILESTAT_GET
    | PATH_FILESTAT_SET_SIZE
    | PATH_FILESTAT_SET_TIMES
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_TIMES
    | PATH_SYMLINK
    | PATH_REMOVE_DIRECTORY
    | PATH_UNLINK_FILE;

/// All that let a guest change something that others see. A link's and a name's old place counts too.
pub(super) const CHANGING: u64 = FD_WRITE
    | FD_ALLOCATE
    | PATH_CREATE_DIRECTORY
    | PATH_CREATE_FILE
    | PATH_LINK_SOURCE
    | PATH_LINK_TARGET
    | PATH_RENAME_SOURCE
    | PATH_RENAME_TARGET
    | PATH_FILESTAT_SET_SIZE
    | PATH_FILESTAT_SET_TIMES
    | FD_FILESTAT_SET_SIZE
    | FD_FILESTAT_SET_TIMES
    | PATH_SYMLINK
    | PATH_REMOVE_DIRECTORY
    | PATH_UNLINK_FILE;

/// What cannot be left out silently: a guest that asks for one of these and does not get it is refused.
pub(super) const NEEDED: u64 = FD_READ | FD_WRITE;
