//! Sockets, of which a guest has none: what is open is something else.

use super::abi::Outcome;
use super::calls::Call;
use super::errno::Errno;

/// What every call on a socket answers.
fn no_socket(call: &mut Call<'_>, fd: u32) -> Outcome {
    call.ctx().fds.get(fd)?;
    Err(Errno::NotSock.into())
}

pub(super) fn accept(call: &mut Call<'_>, fd: u32, _flags: u32, _accepted: u32) -> Outcome {
    no_socket(call, fd)
}

pub(super) fn recv(
    call: &mut Call<'_>,
    fd: u32,
    _data: u32,
    _data_len: u32,
    _flags: u32,
    _received: u32,
    _out_flags: u32,
) -> Outcome {
    no_socket(call, fd)
}

pub(super) fn send(call: &mut Call<'_>, fd: u32, _data: u32, _data_len: u32, _flags: u32, _sent: u32) -> Outcome {
    no_socket(call, fd)
}

pub(super) fn shutdown(call: &mut Call<'_>, fd: u32, _how: u32) -> Outcome {
    no_socket(call, fd)
}
