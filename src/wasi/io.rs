//! Reading and writing: streams, files, and where in a file the next comes.
//!
//! Idea: a call's buffers are read from the guest's memory once, and then used in pieces of which none is so long that a
//! deadline could not be kept between two.
//!
//! Invariant: whatever can be wrong with a call's pointers is found before anything is read or written.

use core::time::Duration;
use std::io::IoSlice;

use super::abi::{Bytes, IOVEC, Iovecs, Outcome, fdflags, total};
use super::calls::Call;
use super::errno::Errno;
use super::fd::{Descriptor, Descriptors, Open, What, has};
use super::fs::MAX_SIZE;
use super::rights;
use super::stdio::{Input, Output, WAIT};

/// Buffers that are handed on to a stream at once.
const AT_ONCE: usize = 16;
/// So many bytes of a file are read or written between two looks at the deadline.
const PIECE: u32 = 1 << 20;

impl Descriptors {
    pub(super) fn output(&mut self, fd: u32) -> Result<&mut Output, Errno> {
        let Descriptor { what, rights, .. } = self.get(fd)?;
        let What::Output(output) = what else { return Err(Errno::BadF) };
        has(*rights, rights::FD_WRITE)?;
        Ok(output)
    }

    /// The stream to read from, and whether the guest wants to wait for it.
    pub(super) fn input(&mut self, fd: u32) -> Result<(&mut Input, bool), Errno> {
        let Descriptor { what, rights, flags, .. } = self.get(fd)?;
        let What::Input(input) = what else { return Err(Errno::BadF) };
        has(*rights, rights::FD_READ)?;
        Ok((input, *flags & fdflags::NONBLOCK == 0))
    }

    /// A file of which the guest may know where it stands, as may also who can move it.
    fn standing(&mut self, fd: u32) -> Result<&mut Open, Errno> {
        let either = self.get(fd)?.rights & (rights::FD_TELL | rights::FD_SEEK);
        Ok(self.file(fd, if either == 0 { rights::FD_TELL } else { 0 })?.0)
    }

    /// Is it a stream?
    fn streams(&mut self, fd: u32) -> Result<bool, Errno> {
        Ok(matches!(self.get(fd)?.what, What::Input(_) | What::Output(_)))
    }
}

/// The buffers of a call, if all its pointers are right.
fn buffers(bytes: &Bytes<'_>, iovs: u32, iovs_len: u32, done: u32) -> Result<Iovecs, Errno> {
    bytes.range(done, 4)?;
    bytes.iovecs(iovs, iovs_len)
}

/// The buffers in pieces that are not too long.
fn pieces(iovecs: &Iovecs) -> impl Iterator<Item = (u32, u32)> {
    iovecs.iter().flat_map(|&(ptr, len)| {
        // Inside the memory, so the sum does not wrap.
        (0..len).step_by(PIECE as usize).map(move |start| (ptr + start, PIECE.min(len - start)))
    })
}

pub(super) fn write(call: &mut Call<'_>, fd: u32, iovs: u32, iovs_len: u32, nwritten: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    let stream = ctx.fds.streams(fd)?;
    if stream {
        ctx.fds.output(fd)?;
    } else {
        ctx.fds.file(fd, rights::FD_WRITE)?;
    }
    let iovecs = buffers(&bytes, iovs, iovs_len, nwritten)?;
    call.charge(total(&iovecs) + u64::from(iovs_len) * IOVEC)?;
    let done = if stream { write_stream(call, fd, &iovecs)? } else { write_file(call, fd, &iovecs, None)? };
    Ok(call.memory()?.0.write_u32(nwritten, done)?)
}

/// Writes at an offset, which a descriptor's flag to append does not change, and leaves the descriptor's own alone.
pub(super) fn pwrite(call: &mut Call<'_>, fd: u32, iovs: u32, iovs_len: u32, offset: u64, nwritten: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    ctx.fds.file(fd, rights::FD_WRITE | rights::FD_SEEK)?;
    let iovecs = buffers(&bytes, iovs, iovs_len, nwritten)?;
    if offset > MAX_SIZE {
        return Err(Errno::Inval.into());
    }
    call.charge(total(&iovecs) + u64::from(iovs_len) * IOVEC)?;
    let done = write_file(call, fd, &iovecs, Some(offset))?;
    Ok(call.memory()?.0.write_u32(nwritten, done)?)
}

fn write_stream(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs) -> Outcome<u32> {
    let (bytes, ctx) = call.memory()?;
    let output = ctx.fds.output(fd)?;
    let mut done = 0;
    for iovecs in iovecs.chunks(AT_ONCE) {
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        let mut wanted = 0;
        for (slice, &(ptr, len)) in slices.iter_mut().zip(iovecs) {
            *slice = IoSlice::new(bytes.get(ptr, len.into())?);
            wanted += len;
        }
        match output.write(&mut slices[..iovecs.len()]) {
            Ok(written) => {
                // Not above what iovecs sum up to, which 32 bits hold.
                done += written as u32;
                if written < wanted as usize {
                    break;
                }
            }
            // What was written before counts, and the error comes again at the next call.
            Err(error) if done > 0 && error.get_ref().is_none() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Writes buffers to a file, at an offset or where the descriptor stands.
fn write_file(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs, at: Option<u64>) -> Outcome<u32> {
    let now = call.ctx().now();
    let mut done = 0;
    for (ptr, len) in pieces(iovecs) {
        if done >= PIECE {
            call.check_stop()?;
        }
        let (bytes, ctx) = call.memory()?;
        let (open, flags) = ctx.fds.file(fd, rights::FD_WRITE)?;
        let data = bytes.get(ptr, len.into())?;
        let result = match at {
            Some(offset) => open.file.write_at(offset.saturating_add(done.into()), data, now),
            None if flags & fdflags::APPEND != 0 => open.file.append(data, now).map(|(written, end)| {
                open.offset = end;
                written
            }),
            None => open.file.write_at(open.offset, data, now).inspect(|&written| {
                open.offset = open.offset.saturating_add(written as u64);
            }),
        };
        match result {
            Ok(written) => {
                // Not more than there was, whatever the file system says.
                done += (written as u32).min(len);
                if written < len as usize {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    let (open, flags) = call.ctx().fds.file(fd, rights::FD_WRITE)?;
    if flags & (fdflags::SYNC | fdflags::DSYNC) != 0 {
        open.file.sync(flags & fdflags::SYNC == 0)?;
    }
    Ok(done)
}

pub(super) fn read(call: &mut Call<'_>, fd: u32, iovs: u32, iovs_len: u32, nread: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    let stream = ctx.fds.streams(fd)?;
    if stream {
        ctx.fds.input(fd)?;
    } else {
        ctx.fds.file(fd, rights::FD_READ)?;
    }
    let iovecs = buffers(&bytes, iovs, iovs_len, nread)?;
    call.charge(u64::from(iovs_len) * IOVEC)?;
    let done = if stream { read_stream(call, fd, &iovecs)? } else { read_file(call, fd, &iovecs, None)? };
    Ok(call.memory()?.0.write_u32(nread, done)?)
}

/// Reads at an offset, and leaves the descriptor's own alone.
pub(super) fn pread(call: &mut Call<'_>, fd: u32, iovs: u32, iovs_len: u32, offset: u64, nread: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    ctx.fds.file(fd, rights::FD_READ | rights::FD_SEEK)?;
    let iovecs = buffers(&bytes, iovs, iovs_len, nread)?;
    if offset > MAX_SIZE {
        return Err(Errno::Inval.into());
    }
    call.charge(u64::from(iovs_len) * IOVEC)?;
    let done = read_file(call, fd, &iovecs, Some(offset))?;
    Ok(call.memory()?.0.write_u32(nread, done)?)
}

fn read_stream(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs) -> Outcome<u32> {
    if iovecs.is_empty() {
        return Ok(0);
    }
    loop {
        let (input, wait) = call.ctx().fds.input(fd)?;
        if input.ready(if wait { WAIT } else { Duration::ZERO }) {
            break;
        }
        if !wait {
            return Err(Errno::Again.into());
        }
        call.check_stop()?;
    }
    let (mut bytes, ctx) = call.memory()?;
    let (input, _) = ctx.fds.input(fd)?;
    let mut done = 0;
    for (number, &(ptr, len)) in iovecs.iter().enumerate() {
        if number > 0 && !input.has_more() {
            break;
        }
        let read = match input.read(bytes.get_mut(ptr, len.into())?) {
            Ok(read) => read,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        };
        // A buffer is never longer than 32 bits say, nor are all of them.
        done += read as u32;
        if read < len as usize {
            break;
        }
    }
    // The bytes that are there are charged for after they are known: reading them cannot be undone.
    call.charge(done.into())?;
    Ok(done)
}

/// Reads a file into buffers, from an offset or from where the descriptor stands. Charged for piece by piece.
fn read_file(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs, at: Option<u64>) -> Outcome<u32> {
    let mut done: u32 = 0;
    for (ptr, len) in pieces(iovecs) {
        if done >= PIECE {
            call.check_stop()?;
        }
        let (mut bytes, ctx) = call.memory()?;
        let (open, _) = ctx.fds.file(fd, rights::FD_READ)?;
        let offset = at.map_or(open.offset, |at| at.saturating_add(done.into()));
        let read = match open.file.read_at(offset, bytes.get_mut(ptr, len.into())?) {
            Ok(read) => (read as u32).min(len),
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno.into()),
        };
        if at.is_none() {
            open.offset = offset.saturating_add(read.into());
        }
        done += read;
        call.charge(read.into())?;
        if read < len {
            break;
        }
    }
    Ok(done)
}

/// From where an offset counts.
#[derive(Clone, Copy)]
enum Whence {
    Start,
    Here,
    End,
}

pub(super) fn seek(call: &mut Call<'_>, fd: u32, offset: i64, whence: u32, position: u32) -> Outcome {
    use Whence::*;
    let order = call.version.pick([Start, Here, End], [Here, End, Start]);
    let fds = &mut call.ctx().fds;
    fds.get(fd)?;
    let whence = *order.get(whence as usize).ok_or(Errno::Inval)?;
    let looks = offset == 0 && matches!(whence, Here);
    if looks {
        fds.standing(fd)?
    } else {
        fds.file(fd, rights::FD_SEEK)?.0
    };
    let (mut bytes, ctx) = call.memory()?;
    let (open, _) = ctx.fds.file(fd, 0)?;
    bytes.range(position, 8)?;
    let from = match whence {
        Start => 0,
        Here => open.offset,
        End => open.file.stat()?.size,
    };
    let to = from.checked_add_signed(offset).filter(|&to| to <= MAX_SIZE).ok_or(Errno::Inval)?;
    open.offset = to;
    Ok(bytes.write_u64(position, to)?)
}

pub(super) fn tell(call: &mut Call<'_>, fd: u32, position: u32) -> Outcome {
    let offset = call.ctx().fds.standing(fd)?.offset;
    Ok(call.memory()?.0.write_u64(position, offset)?)
}
