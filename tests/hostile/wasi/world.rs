//! The guest of this area: its files, and every call as a function of Rust.
//!
//! Idea: the module only hands calls on; a call here puts what it needs into the guest's memory, makes the call, and
//! reads what came of it. So a row is a list of calls and what they answer.

use std::sync::Arc;

use jitless::wasi::fs::{self, FileSystem, MemFs, Node};
use jitless::wasi::{self, Capture, Clock, Errno, Random, WasiCtx, WasiCtxBuilder};
use jitless::{Linker, Memory, Store, StoreLimitsBuilder, Val};

use super::calls::{self, CALLS, PREVIEW1};
use crate::harness::*;

/// A module that hands all calls on.
pub(super) fn calls(pages: usize) -> String {
    calls::module(PREVIEW1, &format!("(memory (export \"memory\") {pages})"))
}

/// What a call comes to.
pub(super) type R<V = ()> = Result<V, Errno>;

/// Follow a last link.
pub(super) const FOLLOW: u32 = 1 << 16;
pub(super) const CREAT: u32 = 1;
pub(super) const DIRECTORY: u32 = 2;
pub(super) const EXCL: u32 = 4;
pub(super) const TRUNC: u32 = 8;

pub(super) const READ: i64 = 1 << 1;
pub(super) const WRITE: i64 = 1 << 6;
/// Everything that a file can be used for, without changing it.
pub(super) const LOOK: i64 = !(WRITE | 1 << 8 | 1 << 22);

/// Where things lie in the guest's memory.
const RESULT: u32 = 0x100;
const IOVEC: u32 = 0x200;
const ONE: u32 = 0x1000;
const OTHER: u32 = 0x3000;
const DATA: u32 = 0x5000;
/// For what does not fit there.
const FAR_ONE: u32 = 0x1_0000;
const FAR_OTHER: u32 = 0x5_0000;

/// What a guest is told of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stat {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) sort: u8,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) accessed: u64,
    pub(super) modified: u64,
}

/// A part of a tree as a file system.
#[derive(Debug)]
pub(super) struct Part(pub(super) Arc<dyn Node>);

impl FileSystem for Part {
    fn root(&self) -> fs::Result<Arc<dyn Node>> {
        Ok(self.0.clone())
    }
}

/// A directory of a tree as a file system.
pub(super) fn part(fs: &MemFs, path: &str) -> Part {
    Part(fs.node(path).unwrap())
}

/// The files that every row begins with: `box/f` and so on, `ro/r`, and beside them what no guest can reach.
pub(super) fn files() -> MemFs {
    fill(MemFs::new())
}

/// What a name of one letter is charged, and a file without contents.
pub(super) fn costs() -> (u64, u64) {
    let fs = MemFs::new();
    fs.write("a", "").unwrap();
    let both = fs.used().bytes;
    fs.hard_link("a", "b").unwrap();
    let name = fs.used().bytes - both;
    (name, both - name)
}

pub(super) fn fill(fs: MemFs) -> MemFs {
    for (path, bytes) in [("box/f", "0123456789"), ("box/d/g", "gg"), ("ro/r", "ro"), ("secret/key", "key")] {
        fs.write(path, bytes).unwrap();
    }
    fs.create_dir_all("box/e").unwrap();
    fs
}

pub(super) struct World<'c> {
    pub(super) guest: Guest<'c, WasiCtx>,
    pub(super) memory: Memory,
    pub(super) out: Capture,
    /// The tree of which the guest sees a part.
    pub(super) fs: MemFs,
    /// Calls are not noted: there are too many.
    pub(super) quiet: bool,
}

impl<'c> World<'c> {
    /// With the files of this area: `box` is descriptor 3, `ro` is descriptor 4 and can only be read.
    pub(super) fn new(cx: &'c Cx) -> Self {
        Self::with(cx, 1, |_| {})
    }

    pub(super) fn with(cx: &'c Cx, pages: usize, more: impl FnOnce(&mut WasiCtxBuilder)) -> Self {
        Self::of(cx, pages, files(), more)
    }

    pub(super) fn of(cx: &'c Cx, pages: usize, fs: MemFs, more: impl FnOnce(&mut WasiCtxBuilder)) -> Self {
        let out = Capture::new(1 << 20);
        let mut ctx = WasiCtx::builder();
        ctx.stdout(out.clone()).clock(Clock::fixed(1_000_000)).random(Random::seeded(1));
        ctx.mount("/box", part(&fs, "box")).mount_read_only("/ro", part(&fs, "ro"));
        more(&mut ctx);
        let module = cx.aside(|| jitless::Module::new(&cx.engine, wat(&calls(pages))).unwrap());
        let mut linker = Linker::new(&cx.engine);
        wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
        let mut store = Store::new(&cx.engine, ctx.build().unwrap());
        store.set_limits(StoreLimitsBuilder::new().total_memory(8 << 30).build());
        let guest = Guest::new(cx, store, linker, &module);
        let memory = guest.instance.get_memory(&guest.store, "memory").unwrap();
        Self { guest, memory, out, fs, quiet: false }
    }

    // ---- memory

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.guest.store)
    }

    pub(super) fn put(&mut self, ptr: u32, bytes: &[u8]) {
        self.bytes()[ptr as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn put_u32(&mut self, ptr: u32, values: &[u32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.put(ptr, &bytes);
    }

    pub(super) fn get(&mut self, ptr: u32, len: u32) -> &[u8] {
        &self.bytes()[ptr as usize..][..len as usize]
    }

    pub(super) fn u32(&mut self, ptr: u32) -> u32 {
        u32::from_le_bytes(self.get(ptr, 4).try_into().unwrap())
    }

    pub(super) fn u64(&mut self, ptr: u32) -> u64 {
        u64::from_le_bytes(self.get(ptr, 8).try_into().unwrap())
    }

    /// Puts a path where one fits.
    fn path(&mut self, near: u32, far: u32, path: &[u8]) -> [i64; 2] {
        let ptr = if path.len() <= 8000 { near } else { far };
        self.put(ptr, path);
        [ptr.into(), path.len() as i64]
    }

    fn one(&mut self, path: impl AsRef<[u8]>) -> [i64; 2] {
        self.path(ONE, FAR_ONE, path.as_ref())
    }

    fn other(&mut self, path: impl AsRef<[u8]>) -> [i64; 2] {
        self.path(OTHER, FAR_OTHER, path.as_ref())
    }

    // ---- calls

    /// Makes a call that comes back with an error number.
    #[track_caller]
    pub(super) fn call(&mut self, name: &str, args: &[i64]) -> R {
        match self.try_call(name, args).unwrap()[..] {
            [Val::I32(0)] => Ok(()),
            [Val::I32(number)] => Err(errno(number)),
            ref other => panic!("{name}: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn try_call(&mut self, name: &str, args: &[i64]) -> jitless::Result<Vec<Val>> {
        let types = CALLS.iter().find(|(call, _)| *call == name).unwrap().1;
        assert_eq!(types.len(), args.len(), "{name}");
        let number = |(ty, &arg)| if ty == 'i' { Val::I32(arg as i32) } else { Val::I64(arg) };
        let args: Vec<_> = types.chars().zip(args).map(number).collect();
        if !self.quiet {
            return self.guest.call(name, &args);
        }
        let func = self.guest.instance.get_func(&self.guest.store, name).unwrap();
        let mut results = vals![-1].to_vec();
        func.call(&mut self.guest.store, &args, &mut results).map(|()| results)
    }

    /// Opens something to look at it.
    #[track_caller]
    pub(super) fn open(&mut self, dir: u32, path: impl AsRef<[u8]>, flags: u32) -> R<u32> {
        self.open_for(dir, path, flags, LOOK)
    }

    /// Opens a file to change it.
    #[track_caller]
    pub(super) fn open_rw(&mut self, dir: u32, path: impl AsRef<[u8]>, flags: u32) -> R<u32> {
        self.open_for(dir, path, flags, LOOK | WRITE | 1 << 8 | 1 << 22)
    }

    #[track_caller]
    pub(super) fn open_for(&mut self, dir: u32, path: impl AsRef<[u8]>, flags: u32, rights: i64) -> R<u32> {
        self.open_with(dir, (flags >> 16).into(), path, (flags & 0xffff).into(), rights, 0)
    }

    #[track_caller]
    pub(super) fn open_with(
        &mut self,
        dir: u32,
        look: i64,
        path: impl AsRef<[u8]>,
        oflags: i64,
        rights: i64,
        fdflags: i64,
    ) -> R<u32> {
        let [ptr, len] = self.one(path);
        self.call("path_open", &[dir.into(), look, ptr, len, oflags, rights, -1, fdflags, RESULT.into()])?;
        Ok(self.u32(RESULT))
    }

    #[track_caller]
    pub(super) fn close(&mut self, fd: u32) -> R {
        self.call("fd_close", &[fd.into()])
    }

    #[track_caller]
    fn simple(&mut self, name: &str, dir: u32, path: impl AsRef<[u8]>) -> R {
        let [ptr, len] = self.one(path);
        self.call(name, &[dir.into(), ptr, len])
    }

    #[track_caller]
    pub(super) fn mkdir(&mut self, dir: u32, path: impl AsRef<[u8]>) -> R {
        self.simple("path_create_directory", dir, path)
    }

    #[track_caller]
    pub(super) fn rmdir(&mut self, dir: u32, path: impl AsRef<[u8]>) -> R {
        self.simple("path_remove_directory", dir, path)
    }

    #[track_caller]
    pub(super) fn unlink(&mut self, dir: u32, path: impl AsRef<[u8]>) -> R {
        self.simple("path_unlink_file", dir, path)
    }

    #[track_caller]
    pub(super) fn symlink(&mut self, target: impl AsRef<[u8]>, dir: u32, path: impl AsRef<[u8]>) -> R {
        let ([ptr, len], [to, to_len]) = (self.one(path), self.other(target));
        self.call("path_symlink", &[to, to_len, dir.into(), ptr, len])
    }

    #[track_caller]
    pub(super) fn link(&mut self, dir: u32, flags: u32, old: impl AsRef<[u8]>, to: u32, new: impl AsRef<[u8]>) -> R {
        let ([old, old_len], [new, new_len]) = (self.one(old), self.other(new));
        self.call("path_link", &[dir.into(), (flags >> 16).into(), old, old_len, to.into(), new, new_len])
    }

    #[track_caller]
    pub(super) fn rename(&mut self, dir: u32, old: impl AsRef<[u8]>, to: u32, new: impl AsRef<[u8]>) -> R {
        let ([old, old_len], [new, new_len]) = (self.one(old), self.other(new));
        self.call("path_rename", &[dir.into(), old, old_len, to.into(), new, new_len])
    }

    #[track_caller]
    pub(super) fn readlink(&mut self, dir: u32, path: impl AsRef<[u8]>, buffer: u32) -> R<Vec<u8>> {
        let [ptr, len] = self.one(path);
        self.call("path_readlink", &[dir.into(), ptr, len, DATA.into(), buffer.into(), RESULT.into()])?;
        let used = self.u32(RESULT);
        Ok(self.get(DATA, used).to_vec())
    }

    fn stat_of(&mut self) -> Stat {
        Stat {
            device: self.u64(RESULT),
            inode: self.u64(RESULT + 8),
            sort: self.get(RESULT + 16, 1)[0],
            links: self.u64(RESULT + 24),
            size: self.u64(RESULT + 32),
            accessed: self.u64(RESULT + 40),
            modified: self.u64(RESULT + 48),
        }
    }

    #[track_caller]
    pub(super) fn stat(&mut self, dir: u32, path: impl AsRef<[u8]>, flags: u32) -> R<Stat> {
        let [ptr, len] = self.one(path);
        self.call("path_filestat_get", &[dir.into(), (flags >> 16).into(), ptr, len, RESULT.into()])?;
        Ok(self.stat_of())
    }

    #[track_caller]
    pub(super) fn fstat(&mut self, fd: u32) -> R<Stat> {
        self.call("fd_filestat_get", &[fd.into(), RESULT.into()])?;
        Ok(self.stat_of())
    }

    #[track_caller]
    pub(super) fn set_times(
        &mut self,
        dir: u32,
        path: impl AsRef<[u8]>,
        flags: u32,
        [accessed, modified]: [u64; 2],
        which: i64,
    ) -> R {
        let [ptr, len] = self.one(path);
        let look = (flags >> 16).into();
        self.call("path_filestat_set_times", &[dir.into(), look, ptr, len, accessed as i64, modified as i64, which])
    }

    /// Rights and what is handed on of them.
    #[track_caller]
    pub(super) fn rights(&mut self, fd: u32) -> [i64; 2] {
        self.call("fd_fdstat_get", &[fd.into(), RESULT.into()]).unwrap();
        [self.u64(RESULT + 8) as i64, self.u64(RESULT + 16) as i64]
    }

    #[track_caller]
    pub(super) fn read(&mut self, fd: u32, len: u32) -> R<Vec<u8>> {
        self.put_u32(IOVEC, &[DATA, len]);
        self.call("fd_read", &[fd.into(), IOVEC.into(), 1, RESULT.into()])?;
        let read = self.u32(RESULT);
        Ok(self.get(DATA, read).to_vec())
    }

    #[track_caller]
    pub(super) fn pread(&mut self, fd: u32, len: u32, offset: u64) -> R<Vec<u8>> {
        self.put_u32(IOVEC, &[DATA, len]);
        self.call("fd_pread", &[fd.into(), IOVEC.into(), 1, offset as i64, RESULT.into()])?;
        let read = self.u32(RESULT);
        Ok(self.get(DATA, read).to_vec())
    }

    #[track_caller]
    pub(super) fn write(&mut self, fd: u32, bytes: impl AsRef<[u8]>) -> R<u32> {
        let bytes = bytes.as_ref();
        self.put(DATA, bytes);
        self.put_u32(IOVEC, &[DATA, bytes.len() as u32]);
        self.call("fd_write", &[fd.into(), IOVEC.into(), 1, RESULT.into()])?;
        Ok(self.u32(RESULT))
    }

    #[track_caller]
    pub(super) fn pwrite(&mut self, fd: u32, bytes: impl AsRef<[u8]>, offset: u64) -> R<u32> {
        let bytes = bytes.as_ref();
        self.put(DATA, bytes);
        self.put_u32(IOVEC, &[DATA, bytes.len() as u32]);
        self.call("fd_pwrite", &[fd.into(), IOVEC.into(), 1, offset as i64, RESULT.into()])?;
        Ok(self.u32(RESULT))
    }

    #[track_caller]
    pub(super) fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> R<u64> {
        self.call("fd_seek", &[fd.into(), offset, whence.into(), RESULT.into()])?;
        Ok(self.u64(RESULT))
    }

    #[track_caller]
    pub(super) fn set_size(&mut self, fd: u32, size: u64) -> R {
        self.call("fd_filestat_set_size", &[fd.into(), size as i64])
    }

    /// The bytes that a listing puts into a buffer.
    #[track_caller]
    pub(super) fn readdir(&mut self, fd: u32, len: u32, cookie: u64) -> R<Vec<u8>> {
        self.call("fd_readdir", &[fd.into(), DATA.into(), len.into(), cookie as i64, RESULT.into()])?;
        let used = self.u32(RESULT);
        Ok(self.get(DATA, used).to_vec())
    }

    /// Entries from a place on, as many as a buffer holds whole: name, and where to go on.
    #[track_caller]
    pub(super) fn entries(&mut self, fd: u32, len: u32, cookie: u64) -> R<(Vec<(String, u64)>, bool)> {
        let bytes = self.readdir(fd, len, cookie)?;
        let (mut entries, mut rest) = (vec![], &bytes[..]);
        while rest.len() >= 24 {
            let next = u64::from_le_bytes(rest[..8].try_into().unwrap());
            let name_len = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
            let Some(name) = rest.get(24..24 + name_len) else { break };
            entries.push((String::from_utf8(name.to_vec()).unwrap(), next));
            rest = &rest[24 + name_len..];
        }
        Ok((entries, bytes.len() < len as usize))
    }

    /// All names, in order.
    #[track_caller]
    pub(super) fn list(&mut self, fd: u32) -> R<Vec<String>> {
        let (mut names, mut cookie) = (vec![], 0);
        loop {
            let (entries, end) = self.entries(fd, 4096, cookie)?;
            cookie = entries.last().map_or(cookie, |(_, next)| *next);
            names.extend(entries.into_iter().map(|(name, _)| name));
            if end {
                names.sort();
                return Ok(names);
            }
        }
    }

    /// Nothing outside of what the guest may change was changed.
    pub(super) fn nothing_outside(&self) {
        assert_eq!(self.fs.list("").unwrap(), ["box", "ro", "secret"]);
        assert_eq!(
            (self.fs.list("ro").unwrap(), self.fs.list("secret").unwrap()),
            (vec!["r".into()], vec!["key".into()])
        );
        assert_eq!((self.fs.read("ro/r"), self.fs.read("secret/key")), (Ok(b"ro".into()), Ok(b"key".into())));
    }
}

fn errno(number: i32) -> Errno {
    use Errno::*;
    [
        Again,
        BadF,
        Busy,
        Exist,
        Fault,
        FBig,
        IlSeq,
        Inval,
        Io,
        IsDir,
        Loop,
        MFile,
        MLink,
        NameTooLong,
        NoEnt,
        NoMem,
        NoSpc,
        NoSys,
        NotCapable,
        NotDir,
        NotEmpty,
        NotSock,
        NotSup,
        Overflow,
        Perm,
        SPipe,
        XDev,
    ]
    .into_iter()
    .find(|&errno| errno as i32 == number)
    .unwrap_or_else(|| panic!("error number {number}"))
}
