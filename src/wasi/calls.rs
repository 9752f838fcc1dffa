//! The one table of calls: name, parameters, what answers them. Everything that a linker needs is made from it.
//!
//! Invariant: every call of both modules is here with its type, so a program that imports one links.

use core::fmt::{self, Debug, Formatter};

use super::abi::{Bytes, Fail, Outcome, Version};
use super::{WasiCtx, account, args, clock, dir, fd, io, path, poll, proc, random, sock, stat, trace};
use crate::{Account, Caller, Linker, Result};

/// A call that a guest makes: the guest, and which of the two modules it called.
pub(super) struct Call<'a> {
    guest: &'a mut dyn Guest,
    pub(super) version: Version,
}

/// What calls need of a guest, whatever the embedder's data is.
trait Guest {
    fn ctx(&mut self) -> &mut WasiCtx;
    fn memory(&mut self) -> Result<(&mut [u8], &mut WasiCtx)>;
    fn account(&self) -> Account;
    fn charge(&mut self, fuel: u64) -> Result<()>;
    fn check_stop(&self) -> Result<()>;
}

impl Call<'_> {
    /// The guest's first call has its files and its output charged to its store from then on.
    fn begin(&mut self) -> Result<()> {
        if self.guest.ctx().charged { Ok(()) } else { self.charge_files() }
    }

    #[cold]
    fn charge_files(&mut self) -> Result<()> {
        let account = self.guest.account();
        account::charge_to(self.guest.ctx(), account)
    }

    /// The guest's side of the world.
    pub(super) fn ctx(&mut self) -> &mut WasiCtx {
        self.guest.ctx()
    }

    /// The memory of the instance that calls, and the guest's side of the world.
    pub(super) fn memory(&mut self) -> Result<(Bytes<'_>, &mut WasiCtx)> {
        let (bytes, ctx) = self.guest.memory()?;
        Ok((Bytes(bytes), ctx))
    }

    /// Charges fuel for bytes that are about to be read, written or made: one unit for 64, as for `memory.copy`.
    pub(super) fn charge(&mut self, bytes: u64) -> Result<()> {
        match bytes / 64 {
            0 => Ok(()),
            fuel => self.guest.charge(fuel),
        }
    }

    /// An error if the deadline has passed or the call was stopped.
    pub(super) fn check_stop(&self) -> Result<()> {
        self.guest.check_stop()
    }
}

impl Debug for Call<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("version", &self.version).finish_non_exhaustive()
    }
}

struct Host<'a, T, F> {
    caller: Caller<'a, T>,
    ctx: F,
}

impl<T, F: Fn(&mut T) -> &mut WasiCtx> Guest for Host<'_, T, F> {
    fn ctx(&mut self) -> &mut WasiCtx {
        (self.ctx)(self.caller.data_mut())
    }

    fn memory(&mut self) -> Result<(&mut [u8], &mut WasiCtx)> {
        let memory = self.caller.memory()?;
        let (bytes, data) = memory.data_and_store_mut(&mut self.caller);
        Ok((bytes, (self.ctx)(data)))
    }

    fn account(&self) -> Account {
        self.caller.account().clone()
    }

    fn charge(&mut self, fuel: u64) -> Result<()> {
        self.caller.charge(fuel)
    }

    fn check_stop(&self) -> Result<()> {
        self.caller.check_stop()
    }
}

/// What a call's function in the guest returns.
trait Answer: Sized {
    fn of(outcome: Outcome) -> Result<Self>;
}

/// The error number, 0 for success.
impl Answer for u32 {
    fn of(outcome: Outcome) -> Result<u32> {
        match outcome {
            Ok(()) => Ok(0),
            Err(Fail::Errno(errno)) => Ok(errno as u32),
            Err(Fail::End(error)) => Err(error),
        }
    }
}

/// Nothing: the call never comes back.
impl Answer for () {
    fn of(outcome: Outcome) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Fail::Errno(errno)) => Err(crate::Error::new(errno)),
            Err(Fail::End(error)) => Err(error),
        }
    }
}

macro_rules! calls {
    ($($versions:ident { $($name:ident($($arg:ident: $ty:ident),*) -> $result:ty = $($answer:ident)::+;)* })*) => {
        /// Adds every call of a version to a linker. `ctx` finds a guest's context in the embedder's data.
        pub(super) fn add_to_linker<T, F>(linker: &mut Linker<T>, version: Version, ctx: F) -> Result<()>
        where
            F: Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
        {
            $(if $versions.contains(&version) {
                $(linker.func_wrap(
                    version.module(),
                    stringify!($name),
                    move |caller: Caller<'_, T>, $($arg: $ty),*| -> Result<$result> {
                        let mut host = Host { caller, ctx };
                        let call = &mut Call { guest: &mut host, version };
                        call.begin()?;
                        let outcome = $($answer)::+(call, $($arg),*);
                        if call.ctx().trace.is_some() {
                            trace::line(call, stringify!($name), &[$((stringify!($arg), i128::from($arg))),*], &outcome);
                        }
                        Answer::of(outcome)
                    },
                )?;)*
            })*
            Ok(())
        }

        /// Names and parameter types, for tests.
        #[cfg(test)]
        const NAMES: &[(&str, &[&str])] = &[$($((stringify!($name), &[$(stringify!($ty)),*]),)*)*];
    };
}

const BOTH: &[Version] = &Version::ALL;
const PREVIEW1: &[Version] = &[Version::Preview1];

type Errnum = u32;

calls! {
    BOTH {
        args_get(argv: u32, argv_buf: u32) -> Errnum = args::args_get;
        args_sizes_get(argc: u32, argv_buf_size: u32) -> Errnum = args::args_sizes_get;
        environ_get(environ: u32, environ_buf: u32) -> Errnum = args::environ_get;
        environ_sizes_get(count: u32, buf_size: u32) -> Errnum = args::environ_sizes_get;

        clock_res_get(id: u32, resolution: u32) -> Errnum = clock::res_get;
        clock_time_get(id: u32, precision: u64, time: u32) -> Errnum = clock::time_get;
        poll_oneoff(subscriptions: u32, events: u32, nsubscriptions: u32, nevents: u32) -> Errnum = poll::oneoff;
        random_get(buf: u32, buf_len: u32) -> Errnum = random::get;

        proc_exit(status: u32) -> () = proc::exit;
        proc_raise(signal: u32) -> Errnum = proc::raise;
        sched_yield() -> Errnum = proc::sched_yield;

        fd_advise(fd: u32, offset: u64, len: u64, advice: u32) -> Errnum = stat::advise;
        fd_allocate(fd: u32, offset: u64, len: u64) -> Errnum = stat::allocate;
        fd_close(fd: u32) -> Errnum = fd::close;
        fd_datasync(fd: u32) -> Errnum = stat::datasync;
        fd_fdstat_get(fd: u32, stat: u32) -> Errnum = stat::fdstat_get;
        fd_fdstat_set_flags(fd: u32, flags: u32) -> Errnum = stat::fdstat_set_flags;
        fd_fdstat_set_rights(fd: u32, rights: u64, inheriting: u64) -> Errnum = stat::fdstat_set_rights;
        fd_filestat_get(fd: u32, stat: u32) -> Errnum = stat::filestat_get;
        fd_filestat_set_size(fd: u32, size: u64) -> Errnum = stat::filestat_set_size;
        fd_filestat_set_times(fd: u32, atim: u64, mtim: u64, fst_flags: u32) -> Errnum = stat::filestat_set_times;
        fd_pread(fd: u32, iovs: u32, iovs_len: u32, offset: u64, nread: u32) -> Errnum = io::pread;
        fd_prestat_dir_name(fd: u32, path: u32, path_len: u32) -> Errnum = stat::prestat_dir_name;
        fd_prestat_get(fd: u32, prestat: u32) -> Errnum = stat::prestat_get;
        fd_pwrite(fd: u32, iovs: u32, iovs_len: u32, offset: u64, nwritten: u32) -> Errnum = io::pwrite;
        fd_read(fd: u32, iovs: u32, iovs_len: u32, nread: u32) -> Errnum = io::read;
        fd_readdir(fd: u32, buf: u32, buf_len: u32, cookie: u64, bufused: u32) -> Errnum = dir::readdir;
        fd_renumber(from: u32, to: u32) -> Errnum = fd::renumber;
        fd_seek(fd: u32, offset: i64, whence: u32, position: u32) -> Errnum = io::seek;
        fd_sync(fd: u32) -> Errnum = stat::sync;
        fd_tell(fd: u32, position: u32) -> Errnum = io::tell;
        fd_write(fd: u32, iovs: u32, iovs_len: u32, nwritten: u32) -> Errnum = io::write;

        path_create_directory(fd: u32, path: u32, path_len: u32) -> Errnum = path::create_directory;
        path_filestat_get(fd: u32, flags: u32, path: u32, path_len: u32, stat: u32) -> Errnum = path::filestat_get;
        path_filestat_set_times(
            fd: u32, flags: u32, path: u32, path_len: u32, atim: u64, mtim: u64, fst_flags: u32
        ) -> Errnum = path::filestat_set_times;
        path_link(
            old_fd: u32, old_flags: u32, old_path: u32, old_path_len: u32, new_fd: u32, new_path: u32, new_path_len: u32
        ) -> Errnum = path::link;
        path_open(
            fd: u32, dirflags: u32, path: u32, path_len: u32, oflags: u32, rights: u64, inheriting: u64, fdflags: u32,
            opened: u32
        ) -> Errnum = path::open;
        path_readlink(fd: u32, path: u32, path_len: u32, buf: u32, buf_len: u32, bufused: u32) -> Errnum = path::readlink;
        path_remove_directory(fd: u32, path: u32, path_len: u32) -> Errnum = path::remove_directory;
        path_rename(
            fd: u32, old_path: u32, old_path_len: u32, new_fd: u32, new_path: u32, new_path_len: u32
        ) -> Errnum = path::rename;
        path_symlink(old_path: u32, old_path_len: u32, fd: u32, new_path: u32, new_path_len: u32) -> Errnum = path::symlink;
        path_unlink_file(fd: u32, path: u32, path_len: u32) -> Errnum = path::unlink_file;

        sock_recv(
            fd: u32, ri_data: u32, ri_data_len: u32, ri_flags: u32, ro_data_len: u32, ro_flags: u32
        ) -> Errnum = sock::recv;
        sock_send(fd: u32, si_data: u32, si_data_len: u32, si_flags: u32, so_data_len: u32) -> Errnum = sock::send;
        sock_shutdown(fd: u32, how: u32) -> Errnum = sock::shutdown;
    }
    PREVIEW1 {
        sock_accept(fd: u32, flags: u32, accepted: u32) -> Errnum = sock::accept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert_eq!(NAMES.len(), 46);
        let wide: usize = NAMES.iter().flat_map(|(_, types)| types.iter()).filter(|ty| ty.ends_with("64")).count();
        // clock_time_get 1, fd_advise 2, fd_allocate 2, …set_rights 2, …set_size 1, two …set_times 4, pread, pwrite,
        // readdir, seek 4, path_open 2.
        assert_eq!(wide, 18);
        let mut names: Vec<_> = NAMES.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 46);
    }
}
