//! Descriptors: the table of what a guest has open, and the calls on it.
//!
//! Invariant: whatever can be wrong with a call's pointers is found before anything is read, written or closed.

use std::io::IoSlice;

use super::abi::{IOVEC, Iovecs, Outcome, fdflags, filetype, record, rights, total};
use super::calls::Call;
use super::errno::Errno;
use super::stdio::{Input, Output, WAIT};

/// What is open, by number.
#[derive(Debug, Default)]
pub(super) struct Descriptors(Vec<Option<Descriptor>>);

#[derive(Debug)]
struct Descriptor {
    stream: Stream,
    flags: u16,
}

#[derive(Debug)]
enum Stream {
    Input(Input),
    Output(Output),
}

impl Descriptors {
    /// The standard streams at the numbers 0 to 2.
    pub(super) fn stdio(input: Input, output: Output, errors: Output) -> Self {
        let open = |stream| Some(Descriptor { stream, flags: 0 });
        Self(vec![open(Stream::Input(input)), open(Stream::Output(output)), open(Stream::Output(errors))])
    }

    fn get(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BadF)
    }

    fn output(&mut self, fd: u32) -> Result<&mut Output, Errno> {
        match &mut self.get(fd)?.stream {
            Stream::Output(output) => Ok(output),
            Stream::Input(_) => Err(Errno::BadF),
        }
    }

    /// The stream to read from, and whether the guest wants to wait for it.
    fn input(&mut self, fd: u32) -> Result<(&mut Input, bool), Errno> {
        let Descriptor { stream, flags } = self.get(fd)?;
        match stream {
            Stream::Input(input) => Ok((input, *flags & fdflags::NONBLOCK == 0)),
            Stream::Output(_) => Err(Errno::BadF),
        }
    }

    /// The stream that a guest waits to read from.
    pub(super) fn readable(&mut self, fd: u32) -> Result<&mut Input, Errno> {
        Ok(self.input(fd)?.0)
    }

    /// Can the guest write to it? It never has to wait.
    pub(super) fn writable(&mut self, fd: u32) -> Result<(), Errno> {
        self.output(fd).map(|_| ())
    }
}

impl Descriptor {
    /// Its sort and rights.
    fn describe(&self) -> (u8, u64) {
        use rights::*;
        let (terminal, right) = match &self.stream {
            Stream::Input(input) => (input.is_terminal(), FD_READ),
            Stream::Output(output) => (output.is_terminal(), FD_WRITE),
        };
        let sort = if terminal { filetype::CHARACTER_DEVICE } else { filetype::UNKNOWN };
        (sort, right | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE)
    }
}

/// Buffers that are handed on at once.
const AT_ONCE: usize = 16;

pub(super) fn write(call: &mut Call<'_>, fd: u32, iovs: u32, iovs_len: u32, nwritten: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    ctx.fds.output(fd)?;
    bytes.range(nwritten, 4)?;
    let iovecs = bytes.iovecs(iovs, iovs_len)?;
    call.charge(total(&iovecs) + u64::from(iovs_len) * IOVEC)?;
    let (mut bytes, ctx) = call.memory()?;
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
    Ok(bytes.write_u32(nwritten, done)?)
}

pub(super) fn read(call: &mut Call<'_>, fd: u32, iovs: u32, iovs_len: u32, nread: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    ctx.fds.input(fd)?;
    bytes.range(nread, 4)?;
    let iovecs = bytes.iovecs(iovs, iovs_len)?;
    call.charge(u64::from(iovs_len) * IOVEC)?;
    if iovecs.is_empty() {
        return Ok(call.memory()?.0.write_u32(nread, 0)?);
    }
    loop {
        let (input, wait) = call.ctx().fds.input(fd)?;
        if input.ready(if wait { WAIT } else { core::time::Duration::ZERO }) {
            break;
        }
        if !wait {
            return Err(Errno::Again.into());
        }
        call.check_stop()?;
    }
    let done = fill(call, fd, &iovecs)?;
    // The bytes that are there are charged for after they are known: reading them cannot be undone.
    call.memory()?.0.write_u32(nread, done)?;
    call.charge(done.into())?;
    Ok(())
}

/// Reads what is there into buffers, one after the other.
fn fill(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs) -> Outcome<u32> {
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
    Ok(done)
}

pub(super) fn close(call: &mut Call<'_>, fd: u32) -> Outcome {
    let fds = &mut call.ctx().fds;
    fds.get(fd)?;
    fds.0[fd as usize] = None;
    Ok(())
}

pub(super) fn fdstat_get(call: &mut Call<'_>, fd: u32, stat: u32) -> Outcome {
    let (mut bytes, ctx) = call.memory()?;
    let descriptor = ctx.fds.get(fd)?;
    let (sort, rights) = descriptor.describe();
    let fields: [(usize, &[u8]); 3] = [(0, &[sort]), (2, &descriptor.flags.to_le_bytes()), (8, &rights.to_le_bytes())];
    Ok(bytes.write(stat, &record::<24>(&fields))?)
}

pub(super) fn fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Outcome {
    let descriptor = call.ctx().fds.get(fd)?;
    let flags = u16::try_from(flags).ok().filter(|flags| flags & !fdflags::ALL == 0).ok_or(Errno::Inval)?;
    // A stream has no writing that could be synchronous or not.
    if flags & !(fdflags::APPEND | fdflags::NONBLOCK) != 0 {
        return Err(Errno::NotSup.into());
    }
    descriptor.flags = flags;
    Ok(())
}

/// A stream has neither size nor times; its number tells it from the others.
pub(super) fn filestat_get(call: &mut Call<'_>, fd: u32, stat: u32) -> Outcome {
    let version = call.version;
    let (mut bytes, ctx) = call.memory()?;
    let (sort, _) = ctx.fds.get(fd)?.describe();
    let inode = u64::from(fd).to_le_bytes();
    let links = 1u32.to_le_bytes();
    // After the link count, of 32 or 64 bits, come size and times, which are zero.
    let fields: [(usize, &[u8]); 3] = [(8, &inode), (16, &[sort]), (version.pick(24, 20), &links)];
    let record = record::<64>(&fields);
    Ok(bytes.write(stat, &record[..version.pick(64, 56)])?)
}

pub(super) fn seek(call: &mut Call<'_>, fd: u32, _offset: i64, whence: u32, _position: u32) -> Outcome {
    call.ctx().fds.get(fd)?;
    Err(if whence > 2 { Errno::Inval } else { Errno::SPipe }.into())
}

pub(super) fn tell(call: &mut Call<'_>, fd: u32, _position: u32) -> Outcome {
    call.ctx().fds.get(fd)?;
    Err(Errno::SPipe.into())
}

/// No descriptor is a directory that was open from the start.
pub(super) fn prestat_get(_: &mut Call<'_>, _fd: u32, _prestat: u32) -> Outcome {
    Err(Errno::BadF.into())
}

pub(super) fn prestat_dir_name(_: &mut Call<'_>, _fd: u32, _path: u32, _path_len: u32) -> Outcome {
    Err(Errno::BadF.into())
}
