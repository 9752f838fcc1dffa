//! The calls that take a path.
//!
//! Idea: each finds its place first ([`fs::resolve`](super::fs::resolve)), which changes nothing, and then does one thing
//! to one name of one directory. What a slash at the end allows is decided here, and what the guest may do.
//!
//! Invariant: pointers, flags and rights are checked before the path is looked at, and a file is opened only when
//! there is a number for it.

use std::sync::Arc;

use super::abi::{Outcome, fdflags, lookupflags, oflags};
use super::calls::Call;
use super::errno::Errno;
use super::fd::{Descriptor, Open, What, has};
use super::fs::resolve::{Place, resolve, text};
use super::fs::{Access, File, Kind, Node};
use super::rights;
use super::stat::{filestat, flags, times};

/// A path as a guest gives it: the directory it begins in, and where its bytes lie.
#[derive(Clone, Copy)]
struct Path {
    fd: u32,
    ptr: u32,
    len: u32,
}

/// Finds the place of a path, if the directory's rights allow what is `needed`. What may be opened through it?
///
/// Charged by the path's bytes, and one unit of fuel more for each component, those of links included.
fn find(call: &mut Call<'_>, path: Path, needed: u64, follow: bool) -> Outcome<(Place, u64)> {
    let (bytes, ctx) = call.memory()?;
    let raw = bytes.get(path.ptr, path.len.into())?;
    let (dir, inheriting) = ctx.fds.dir(path.fd, needed)?;
    let text = text(raw)?;
    let mut steps = 0;
    let place = resolve(dir, text, follow, &mut steps);
    let cost = text.len() as u64 + 64 * u64::from(steps);
    call.charge(cost)?;
    Ok((place?, inheriting))
}

/// Does a guest want a last link to be followed?
fn follows(flags: u32) -> Result<bool, Errno> {
    if flags & !lookupflags::SYMLINK_FOLLOW != 0 { Err(Errno::Inval) } else { Ok(flags != 0) }
}

pub(super) fn create_directory(call: &mut Call<'_>, fd: u32, ptr: u32, len: u32) -> Outcome {
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_CREATE_DIRECTORY, false)?;
    let name = free(&place)?;
    Ok(place.dir.create_dir(name, call.ctx().now())?)
}

/// The name of a place where nothing is.
fn free(place: &Place) -> Result<&str, Errno> {
    match &place.name {
        Some(name) if place.node.is_none() => Ok(name),
        _ => Err(Errno::Exist),
    }
}

/// The name of a place where something is to be made that is no directory.
fn free_for_no_dir(place: &Place) -> Result<&str, Errno> {
    if place.slash && place.node.as_ref().is_none_or(|node| node.kind() != Kind::Dir) {
        return Err(if place.node.is_none() { Errno::NoEnt } else { Errno::NotDir });
    }
    free(place)
}

pub(super) fn filestat_get(call: &mut Call<'_>, fd: u32, flags: u32, ptr: u32, len: u32, stat: u32) -> Outcome {
    let version = call.version;
    call.memory()?.0.range(stat, version.pick(64, 56))?;
    let follow = follows(flags)?;
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_FILESTAT_GET, follow)?;
    let found = place.existing()?.stat()?;
    let (mut bytes, ctx) = call.memory()?;
    let (record, len) = filestat(version, &found, ctx.fds.get(fd)?.device);
    Ok(bytes.write(stat, &record[..len])?)
}

#[expect(clippy::too_many_arguments, reason = "the call has them")]
pub(super) fn filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    flags: u32,
    ptr: u32,
    len: u32,
    atim: u64,
    mtim: u64,
    fst_flags: u32,
) -> Outcome {
    let follow = follows(flags)?;
    let times = times(call.ctx(), atim, mtim, fst_flags)?;
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_FILESTAT_SET_TIMES, follow)?;
    Ok(place.existing()?.set_times(times, call.ctx().now())?)
}

/// Finds two places, each with the right that it takes; the old one may be where a link points to.
///
/// Who may write through the new name must have been allowed to write through the old one: else a link or another name
/// would make more of a right than it is.
fn find_both(call: &mut Call<'_>, old: (Path, u64), follow: bool, new: (Path, u64)) -> Outcome<(Place, Place)> {
    let (old, old_rights) = find(call, old.0, old.1, follow)?;
    let (new, new_rights) = find(call, new.0, new.1, false)?;
    has(old_rights, new_rights & rights::CHANGING)?;
    Ok((old, new))
}

#[expect(clippy::too_many_arguments, reason = "the call has them")]
pub(super) fn link(
    call: &mut Call<'_>,
    old_fd: u32,
    old_flags: u32,
    old_ptr: u32,
    old_len: u32,
    new_fd: u32,
    new_ptr: u32,
    new_len: u32,
) -> Outcome {
    let follow = follows(old_flags)?;
    let (old, new) = (Path { fd: old_fd, ptr: old_ptr, len: old_len }, Path { fd: new_fd, ptr: new_ptr, len: new_len });
    let (old, new) = find_both(call, (old, rights::PATH_LINK_SOURCE), follow, (new, rights::PATH_LINK_TARGET))?;
    let node = old.existing()?;
    let name = free_for_no_dir(&new)?;
    Ok(new.dir.link(name, &**node, call.ctx().now())?)
}

pub(super) fn rename(
    call: &mut Call<'_>,
    old_fd: u32,
    old_ptr: u32,
    old_len: u32,
    new_fd: u32,
    new_ptr: u32,
    new_len: u32,
) -> Outcome {
    let (old, new) = (Path { fd: old_fd, ptr: old_ptr, len: old_len }, Path { fd: new_fd, ptr: new_ptr, len: new_len });
    let (old, new) = find_both(call, (old, rights::PATH_RENAME_SOURCE), false, (new, rights::PATH_RENAME_TARGET))?;
    // A directory cannot be given another name from inside.
    let (Some(name), Some(to_name)) = (&old.name, &new.name) else { return Err(Errno::Busy.into()) };
    let is_dir = |place: &Place| place.node.as_ref().is_some_and(|node| node.kind() == Kind::Dir);
    old.existing()?;
    // What is no directory cannot go where a slash wants one; onto one that is there it cannot go either.
    if new.slash && !is_dir(&old) && !is_dir(&new) {
        return Err(Errno::NotDir.into());
    }
    Ok(old.dir.rename(name, &*new.dir, to_name, call.ctx().now())?)
}

/// A target that begins with a slash is refused: nothing could follow it.
pub(super) fn symlink(call: &mut Call<'_>, target_ptr: u32, target_len: u32, fd: u32, ptr: u32, len: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    let target = bytes.get(target_ptr, target_len.into())?;
    ctx.fds.dir(fd, rights::PATH_SYMLINK)?;
    let target = text(target)?.to_owned();
    match target.as_bytes() {
        [] => return Err(Errno::NoEnt.into()),
        [b'/', ..] => return Err(Errno::NotCapable.into()),
        bytes => call.charge(bytes.len() as u64)?,
    }
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_SYMLINK, false)?;
    let name = free_for_no_dir(&place)?;
    Ok(place.dir.symlink(name, &target, call.ctx().now())?)
}

/// A buffer that is too short gets the beginning.
pub(super) fn readlink(
    call: &mut Call<'_>,
    fd: u32,
    ptr: u32,
    len: u32,
    buffer: u32,
    buffer_len: u32,
    used: u32,
) -> Outcome {
    let (bytes, _) = call.memory()?;
    bytes.range(buffer, buffer_len.into())?;
    bytes.range(used, 4)?;
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_READLINK, false)?;
    let target = place.existing()?.read_link()?;
    let part = &target.as_bytes()[..target.len().min(buffer_len as usize)];
    call.charge(part.len() as u64)?;
    let (mut bytes, _) = call.memory()?;
    bytes.write(buffer, part)?;
    Ok(bytes.write_u32(used, part.len() as u32)?)
}

pub(super) fn remove_directory(call: &mut Call<'_>, fd: u32, ptr: u32, len: u32) -> Outcome {
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_REMOVE_DIRECTORY, false)?;
    place.existing()?;
    // A directory cannot be removed from inside.
    let name = place.name.as_ref().ok_or(Errno::Inval)?;
    Ok(place.dir.remove_dir(name, call.ctx().now())?)
}

pub(super) fn unlink_file(call: &mut Call<'_>, fd: u32, ptr: u32, len: u32) -> Outcome {
    let (place, _) = find(call, Path { fd, ptr, len }, rights::PATH_UNLINK_FILE, false)?;
    place.existing()?;
    let name = place.name.as_ref().ok_or(Errno::IsDir)?;
    Ok(place.dir.unlink(name, call.ctx().now())?)
}

/// How a file is to be opened.
#[derive(Clone, Copy)]
struct How {
    oflags: u32,
    rights: u64,
}

impl How {
    fn has(self, flag: u32) -> bool {
        self.oflags & flag != 0
    }

    /// Rights are looked at whenever a descriptor is used; the file itself need not know more than reading and writing.
    fn access(self) -> Access {
        use rights::{FD_ALLOCATE, FD_FILESTAT_SET_SIZE, FD_READ, FD_WRITE};
        let write = self.rights & (FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE) != 0 || self.has(oflags::TRUNC);
        Access { read: self.rights & FD_READ != 0, write }
    }
}

/// So often a file is looked for that somebody else makes and removes all the time.
const TRIES: u32 = 8;

/// A directory hands on what the one hands on that it was opened through, whatever a guest asks for: libraries ask for
/// too little there, those of Zig for nothing that a file could be opened with. Who wants less takes it away later.
#[expect(clippy::too_many_arguments, reason = "the call has them")]
pub(super) fn open(
    call: &mut Call<'_>,
    fd: u32,
    dirflags: u32,
    ptr: u32,
    len: u32,
    oflags: u32,
    rights: u64,
    _inheriting: u64,
    fd_flags: u32,
    opened: u32,
) -> Outcome {
    call.memory()?.0.range(opened, 4)?;
    let follow = follows(dirflags)?;
    let flags = flags(fd_flags)?;
    let how = How { oflags, rights };
    if oflags & !oflags::ALL != 0 || how.has(oflags::CREAT) && how.has(oflags::DIRECTORY) {
        return Err(Errno::Inval.into());
    }
    let mut needed = rights::PATH_OPEN;
    if how.has(oflags::CREAT) {
        needed |= rights::PATH_CREATE_FILE;
    }
    if how.has(oflags::TRUNC) {
        needed |= rights::PATH_FILESTAT_SET_SIZE;
    }
    let (_, allowed) = call.ctx().fds.dir(fd, needed)?;
    has(allowed, rights & rights::NEEDED)?;
    let how = How { rights: rights & allowed, ..how };
    call.ctx().fds.room()?;
    // A new file is not where a link points to.
    let follow = follow && !(how.has(oflags::CREAT) && how.has(oflags::EXCL));
    for _ in 0..TRIES {
        let (place, _) = find(call, Path { fd, ptr, len }, needed, follow)?;
        let what = match open_place(&place, how, call.ctx().now()) {
            // Somebody was faster.
            Err(Errno::Exist) if !how.has(oflags::EXCL) => continue,
            what => what?,
        };
        let (mut bytes, ctx) = call.memory()?;
        let device = ctx.fds.get(fd)?.device;
        let descriptor = match what {
            What::Dir { .. } => {
                let flags = flags & fdflags::NONBLOCK;
                Descriptor { what, rights: how.rights & rights::DIR, inheriting: allowed, flags, device }
            }
            _ => Descriptor { what, rights: how.rights & rights::FILE, inheriting: 0, flags, device },
        };
        let number = ctx.fds.insert(descriptor)?;
        return Ok(bytes.write_u32(opened, number)?);
    }
    Err(Errno::Again.into())
}

/// Opens what is at a place, or makes it.
fn open_place(place: &Place, how: How, now: u64) -> Result<What, Errno> {
    let Some(node) = &place.node else {
        return match &place.name {
            Some(name) if how.has(oflags::CREAT) => {
                // A file's name has no slash at its end.
                let name = if place.slash { Err(Errno::IsDir) } else { Ok(name) };
                Ok(file(place.dir.create(name?, how.access(), now)?))
            }
            _ => Err(Errno::NoEnt),
        };
    };
    if how.has(oflags::CREAT) && how.has(oflags::EXCL) {
        return Err(Errno::Exist);
    }
    match node.kind() {
        // It would have been followed.
        Kind::Link => Err(Errno::Loop),
        Kind::Dir => open_dir(node, how),
        _ if how.has(oflags::DIRECTORY) || place.slash => Err(Errno::NotDir),
        _ => {
            let opened = node.open(how.access())?;
            if how.has(oflags::TRUNC) {
                opened.set_size(0, now)?;
            }
            Ok(file(opened))
        }
    }
}

fn open_dir(node: &Arc<dyn Node>, how: How) -> Result<What, Errno> {
    if how.rights & rights::FD_WRITE != 0 || how.has(oflags::CREAT) || how.has(oflags::TRUNC) {
        return Err(Errno::IsDir);
    }
    Ok(What::Dir { node: node.clone(), preopen: None })
}

fn file(file: Arc<dyn File>) -> What {
    What::File(Open { file, offset: 0 })
}
