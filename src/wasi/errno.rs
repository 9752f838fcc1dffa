//! Error numbers: what a guest is told when something fails.

use core::fmt::{self, Display, Formatter};
use std::io;

macro_rules! errnos {
    ($($number:literal $name:ident $text:literal;)*) => {
        /// What a call of WASI answers when it fails: a number that the guest's C library knows as `errno`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum Errno {
            $(#[doc = concat!($text, ".")] $name = $number,)*
        }

        /// In words, as `permission denied`.
        impl Display for Errno {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

errnos! {
    1 TooBig "argument list too long";
    2 Acces "permission denied";
    3 AddrInUse "address in use";
    4 AddrNotAvail "address not available";
    5 AfNoSupport "address family not supported";
    6 Again "resource unavailable, try again";
    7 Already "connection already in progress";
    8 BadF "bad file descriptor";
    9 BadMsg "bad message";
    10 Busy "device or resource busy";
    11 Canceled "operation canceled";
    12 Child "no child processes";
    13 ConnAborted "connection aborted";
    14 ConnRefused "connection refused";
    15 ConnReset "connection reset";
    16 Deadlk "resource deadlock would occur";
    17 DestAddrReq "destination address required";
    18 Dom "argument out of the domain of a function";
    19 Dquot "quota exceeded";
    20 Exist "file exists";
    21 Fault "bad address";
    22 FBig "file too large";
    23 HostUnreach "host is unreachable";
    24 Idrm "identifier removed";
    25 IlSeq "illegal byte sequence";
    26 InProgress "operation in progress";
    27 Intr "interrupted function";
    28 Inval "invalid argument";
    29 Io "input or output error";
    30 IsConn "socket is connected";
    31 IsDir "is a directory";
    32 Loop "too many levels of symbolic links";
    33 MFile "descriptor table is full";
    34 MLink "too many links";
    35 MsgSize "message too large";
    36 Multihop "multihop attempted";
    37 NameTooLong "file name too long";
    38 NetDown "network is down";
    39 NetReset "connection aborted by the network";
    40 NetUnreach "network is unreachable";
    41 NFile "too many files open in the system";
    42 NoBufs "no buffer space available";
    43 NoDev "no such device";
    44 NoEnt "no such file or directory";
    45 NoExec "not an executable file";
    46 NoLck "no locks available";
    47 NoLink "link has been severed";
    48 NoMem "not enough memory";
    49 NoMsg "no message of the desired type";
    50 NoProtoOpt "protocol not available";
    51 NoSpc "no space left on device";
    52 NoSys "function not supported";
    53 NotConn "socket is not connected";
    54 NotDir "not a directory";
    55 NotEmpty "directory not empty";
    56 NotRecoverable "state not recoverable";
    57 NotSock "not a socket";
    58 NotSup "not supported";
    59 NoTty "inappropriate operation for a device";
    60 NxIo "no such device or address";
    61 Overflow "value too large to be stored";
    62 OwnerDead "previous owner died";
    63 Perm "operation not permitted";
    64 Pipe "broken pipe";
    65 Proto "protocol error";
    66 ProtoNoSupport "protocol not supported";
    67 Prototype "protocol wrong type for socket";
    68 Range "result too large";
    69 RoFs "read-only file system";
    70 SPipe "invalid seek";
    71 Srch "no such process";
    72 Stale "stale file handle";
    73 TimedOut "connection timed out";
    74 TxtBsy "text file busy";
    75 XDev "cross-device link";
    76 NotCapable "capabilities insufficient";
}

impl core::error::Error for Errno {}

/// What the host's own errors are for a guest.
impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound => Self::NoEnt,
            Kind::PermissionDenied => Self::Acces,
            Kind::AlreadyExists => Self::Exist,
            Kind::BrokenPipe => Self::Pipe,
            Kind::WouldBlock => Self::Again,
            Kind::Interrupted => Self::Intr,
            Kind::InvalidInput => Self::Inval,
            Kind::IsADirectory => Self::IsDir,
            Kind::NotADirectory => Self::NotDir,
            Kind::StorageFull => Self::NoSpc,
            Kind::QuotaExceeded => Self::Dquot,
            Kind::FileTooLarge => Self::FBig,
            Kind::ReadOnlyFilesystem => Self::RoFs,
            Kind::OutOfMemory => Self::NoMem,
            Kind::DirectoryNotEmpty => Self::NotEmpty,
            Kind::CrossesDevices => Self::XDev,
            Kind::TooManyLinks => Self::MLink,
            Kind::InvalidFilename => Self::NameTooLong,
            Kind::ResourceBusy => Self::Busy,
            Kind::ExecutableFileBusy => Self::TxtBsy,
            Kind::NotSeekable => Self::SPipe,
            Kind::Unsupported => Self::NotSup,
            _ => Self::Io,
        }
    }
}
