//! What a descriptor is, and changing what can be changed of it: flags, rights, size, times.
//!
//! Invariant: a record is written whole or not at all, and nothing is changed if a call fails.

use super::WasiCtx;
use super::abi::{Outcome, Version, fdflags, filetype, fstflags, record};
use super::calls::Call;
use super::errno::Errno;
use super::fd::{Descriptor, Open, What, has};
use super::fs::{MAX_SIZE, Stat, Times};
use super::rights;

/// The sort of what is open.
fn sort(descriptor: &Descriptor) -> u8 {
    let terminal = match &descriptor.what {
        What::Input(input) => input.is_terminal(),
        What::Output(output) => output.is_terminal(),
        What::Dir { .. } => return filetype::DIRECTORY,
        What::File(_) => return filetype::REGULAR_FILE,
    };
    if terminal { filetype::CHARACTER_DEVICE } else { filetype::UNKNOWN }
}

pub(super) fn fdstat_get(call: &mut Call<'_>, fd: u32, stat: u32) -> Outcome {
    let (mut bytes, ctx) = call.memory()?;
    let descriptor = ctx.fds.get(fd)?;
    let fields: [(usize, &[u8]); 4] = [
        (0, &[sort(descriptor)]),
        (2, &descriptor.flags.to_le_bytes()),
        (8, &descriptor.rights.to_le_bytes()),
        (16, &descriptor.inheriting.to_le_bytes()),
    ];
    Ok(bytes.write(stat, &record::<24>(&fields))?)
}

/// Checks flags that a guest wants a descriptor to have.
pub(super) fn flags(flags: u32) -> Result<u16, Errno> {
    u16::try_from(flags).ok().filter(|flags| flags & !fdflags::ALL == 0).ok_or(Errno::Inval)
}

pub(super) fn fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Outcome {
    let descriptor = call.ctx().fds.get(fd)?;
    let flags = self::flags(flags)?;
    has(descriptor.rights, rights::FD_FDSTAT_SET_FLAGS)?;
    match descriptor.what {
        // A stream has no writing that could be synchronous or not.
        What::Input(_) | What::Output(_) if flags & !(fdflags::APPEND | fdflags::NONBLOCK) != 0 => {
            return Err(Errno::NotSup.into());
        }
        // A directory has no writing at all.
        What::Dir { .. } => {}
        _ => descriptor.flags = flags,
    }
    Ok(())
}

/// Rights only become fewer.
pub(super) fn fdstat_set_rights(call: &mut Call<'_>, fd: u32, rights: u64, inheriting: u64) -> Outcome {
    let descriptor = call.ctx().fds.get(fd)?;
    has(descriptor.rights, rights)?;
    has(descriptor.inheriting, inheriting)?;
    (descriptor.rights, descriptor.inheriting) = (rights, inheriting);
    Ok(())
}

/// What a guest is told of a node: the record's bytes, and how many there are. Numbers of nodes are unique within a mount,
/// so each mount is a device.
pub(super) fn filestat(version: Version, stat: &Stat, device: u64) -> ([u8; 64], usize) {
    let links = stat.links.to_le_bytes();
    // The older count of links has 32 bits.
    let short = u32::try_from(stat.links).unwrap_or(u32::MAX).to_le_bytes();
    let rest = version.pick(32, 24);
    let fields: [(usize, &[u8]); 8] = [
        (0, &device.to_le_bytes()),
        (8, &stat.inode.to_le_bytes()),
        (16, &[filetype::of(stat.kind)]),
        version.pick((24, &links), (20, &short)),
        (rest, &stat.size.to_le_bytes()),
        (rest + 8, &stat.accessed.to_le_bytes()),
        (rest + 16, &stat.modified.to_le_bytes()),
        (rest + 24, &stat.changed.to_le_bytes()),
    ];
    (record(&fields), version.pick(64, 56))
}

/// A stream has neither size nor times; its number tells it from the others.
pub(super) fn filestat_get(call: &mut Call<'_>, fd: u32, stat: u32) -> Outcome {
    let version = call.version;
    let (mut bytes, ctx) = call.memory()?;
    let descriptor = ctx.fds.get(fd)?;
    has(descriptor.rights, rights::FD_FILESTAT_GET)?;
    let (record, len) = match &descriptor.what {
        What::Dir { node, .. } => filestat(version, &node.stat()?, descriptor.device),
        What::File(Open { file, .. }) => filestat(version, &file.stat()?, descriptor.device),
        What::Input(_) | What::Output(_) => {
            let short = 1u32.to_le_bytes();
            let fields: [(usize, &[u8]); 3] =
                [(8, &u64::from(fd).to_le_bytes()), (16, &[sort(descriptor)]), (version.pick(24, 20), &short)];
            (record(&fields), version.pick(64, 56))
        }
    };
    Ok(bytes.write(stat, &record[..len])?)
}

pub(super) fn filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> Outcome {
    let now = call.ctx().now();
    let (open, _) = call.ctx().fds.file(fd, rights::FD_FILESTAT_SET_SIZE).map_err(no_pipe(Errno::Inval))?;
    Ok(open.file.set_size(size, now)?)
}

/// What a call on a stream answers that is about files, when it is not about where in them.
fn no_pipe(instead: Errno) -> impl Fn(Errno) -> Errno {
    move |errno| if errno == Errno::SPipe { instead } else { errno }
}

/// The times that a guest wants to set.
pub(super) fn times(ctx: &WasiCtx, accessed: u64, modified: u64, flags: u32) -> Result<Times, Errno> {
    use fstflags::*;
    let both = |one, other| flags & one != 0 && flags & other != 0;
    if flags & !ALL != 0 || both(ATIM, ATIM_NOW) || both(MTIM, MTIM_NOW) {
        return Err(Errno::Inval);
    }
    let time = |set, now, time| match () {
        () if flags & set != 0 => Some(time),
        () if flags & now != 0 => Some(ctx.now()),
        () => None,
    };
    Ok(Times { accessed: time(ATIM, ATIM_NOW, accessed), modified: time(MTIM, MTIM_NOW, modified) })
}

/// A stream has no times.
pub(super) fn filestat_set_times(call: &mut Call<'_>, fd: u32, atim: u64, mtim: u64, flags: u32) -> Outcome {
    let ctx = call.ctx();
    let (times, now) = (times(ctx, atim, mtim, flags)?, ctx.now());
    let Descriptor { what, rights, .. } = ctx.fds.get(fd)?;
    let may = has(*rights, rights::FD_FILESTAT_SET_TIMES);
    match what {
        What::Input(_) | What::Output(_) => return Err(Errno::NotSup.into()),
        What::Dir { node, .. } => may.and_then(|()| node.set_times(times, now))?,
        What::File(Open { file, .. }) => may.and_then(|()| file.set_times(times, now))?,
    }
    Ok(())
}

pub(super) fn allocate(call: &mut Call<'_>, fd: u32, offset: u64, len: u64) -> Outcome {
    let now = call.ctx().now();
    let (open, _) = call.ctx().fds.file(fd, rights::FD_ALLOCATE)?;
    if len == 0 {
        return Err(Errno::Inval.into());
    }
    offset.checked_add(len).filter(|&end| end <= MAX_SIZE).ok_or(Errno::FBig)?;
    Ok(open.file.allocate(offset, len, now)?)
}

/// Advice is taken, and changes nothing.
pub(super) fn advise(call: &mut Call<'_>, fd: u32, offset: u64, len: u64, advice: u32) -> Outcome {
    const LAST: u32 = 5;
    call.ctx().fds.file(fd, rights::FD_ADVISE)?;
    if advice > LAST || offset.checked_add(len).is_none() {
        return Err(Errno::Inval.into());
    }
    Ok(())
}

pub(super) fn sync(call: &mut Call<'_>, fd: u32) -> Outcome {
    reach_the_disk(call, fd, rights::FD_SYNC, false)
}

pub(super) fn datasync(call: &mut Call<'_>, fd: u32) -> Outcome {
    reach_the_disk(call, fd, rights::FD_DATASYNC, true)
}

/// A stream cannot be told to.
fn reach_the_disk(call: &mut Call<'_>, fd: u32, needed: u64, data: bool) -> Outcome {
    let fds = &mut call.ctx().fds;
    match fds.dir(fd, needed) {
        Ok((node, _)) => return Ok(node.sync()?),
        Err(Errno::NotDir) => {}
        Err(errno) => return Err(errno.into()),
    }
    let (open, _) = fds.file(fd, needed).map_err(no_pipe(Errno::Inval))?;
    Ok(open.file.sync(data)?)
}

/// A directory that was open from the start: its sort, which is always the same, and how long its name is.
pub(super) fn prestat_get(call: &mut Call<'_>, fd: u32, prestat: u32) -> Outcome {
    let len = call.ctx().fds.preopened(fd)?.len() as u32;
    let (mut bytes, _) = call.memory()?;
    Ok(bytes.write(prestat, &record::<8>(&[(4, &len.to_le_bytes())]))?)
}

/// Writes the name, and no more, into a buffer that may be longer.
pub(super) fn prestat_dir_name(call: &mut Call<'_>, fd: u32, path: u32, path_len: u32) -> Outcome {
    let name = call.ctx().fds.preopened(fd)?.clone();
    if name.len() > path_len as usize {
        return Err(Errno::NameTooLong.into());
    }
    let (mut bytes, _) = call.memory()?;
    Ok(bytes.write(path, name.as_bytes())?)
}
