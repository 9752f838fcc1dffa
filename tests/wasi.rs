//! WASI, call by call: a guest hands every call through, and the bytes of its memory are compared before and after.
#![cfg(feature = "wasi")]

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jitless::wasi::{self, Capture, Clock, Errno, Input, Output, Random, WasiCtx, WasiCtxBuilder};
use jitless::{Engine, Error, ErrorKind, Instance, Linker, Memory, Module, Store, StoreLimitsBuilder, Val};

/// Every call with its type, as the specification of preview1 has them: `i` is an i32, `l` an i64. All return an i32
/// but `proc_exit`.
const CALLS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

const PREVIEW1: &str = "wasi_snapshot_preview1";
const UNSTABLE: &str = "wasi_unstable";

/// A module that exports a function for each call, which makes the call; `memory` declares its memory, if any.
fn module(from: &str, memory: &str) -> String {
    let calls = CALLS.iter().filter(|(name, _)| from == PREVIEW1 || *name != "sock_accept");
    let (mut imports, mut funcs) = (String::new(), String::new());
    for (name, params) in calls {
        let types: Vec<_> = params.chars().map(|c| if c == 'i' { "i32" } else { "i64" }).collect();
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        let ty = format!("(param {}) {result}", types.join(" "));
        let gets: Vec<_> = (0..types.len()).map(|n| format!("(local.get {n})")).collect();
        imports += &format!("(import \"{from}\" \"{name}\" (func ${name} {ty}))\n");
        funcs += &format!("(func (export \"{name}\") {ty} (call ${name} {}))\n", gets.join(" "));
    }
    format!("(module {imports} {memory} {funcs})")
}

struct Guest {
    store: Store<WasiCtx>,
    instance: Instance,
    memory: Option<Memory>,
}

impl Guest {
    fn new(ctx: &mut WasiCtxBuilder) -> Self {
        Self::of(PREVIEW1, "(memory (export \"memory\") 1)", ctx)
    }

    fn unstable(ctx: &mut WasiCtxBuilder) -> Self {
        Self::of(UNSTABLE, "(memory (export \"memory\") 1)", ctx)
    }

    fn of(from: &str, memory: &str, ctx: &mut WasiCtxBuilder) -> Self {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
        let module = Module::new(&engine, wat::parse_str(module(from, memory)).unwrap()).unwrap();
        let mut store = Store::new(&engine, ctx.build().unwrap());
        // Also for the largest memory.
        store.set_limits(StoreLimitsBuilder::new().total_memory(8 << 30).build());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let memory = instance.get_memory(&store, "memory");
        Self { store, instance, memory }
    }

    /// Makes a call. Numbers are what the parameters' types make of them.
    fn try_call(&mut self, name: &str, args: &[i64]) -> Result<u32, Error> {
        let func = self.instance.get_func(&self.store, name).unwrap();
        let types = CALLS.iter().find(|(call, _)| *call == name).unwrap().1;
        assert_eq!(types.len(), args.len(), "{name}");
        let args: Vec<_> = types
            .chars()
            .zip(args)
            .map(|(ty, &arg)| if ty == 'i' { Val::I32(arg as i32) } else { Val::I64(arg) })
            .collect();
        let mut results = vec![Val::I32(-1); usize::from(name != "proc_exit")];
        func.call(&mut self.store, &args, &mut results)?;
        Ok(results.first().and_then(Val::i32).unwrap() as u32)
    }

    /// Makes a call that has to answer `want`: 0 for success, or an [`Errno`] as a number.
    #[track_caller]
    fn call(&mut self, name: &str, args: &[i64], want: u32) {
        let found = self.try_call(name, args).unwrap();
        assert_eq!(found, want, "{name}{args:?}");
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.memory.unwrap().data_mut(&mut self.store)
    }

    fn put(&mut self, ptr: usize, bytes: &[u8]) {
        self.bytes()[ptr..ptr + bytes.len()].copy_from_slice(bytes);
    }

    fn put_u32(&mut self, ptr: usize, values: &[u32]) {
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.put(ptr, &bytes);
    }

    fn at(&self, ptr: usize, len: usize) -> &[u8] {
        &self.memory.unwrap().data(&self.store)[ptr..ptr + len]
    }

    fn u16(&self, ptr: usize) -> u16 {
        u16::from_le_bytes(self.at(ptr, 2).try_into().unwrap())
    }

    fn u32(&self, ptr: usize) -> u32 {
        u32::from_le_bytes(self.at(ptr, 4).try_into().unwrap())
    }

    fn u64(&self, ptr: usize) -> u64 {
        u64::from_le_bytes(self.at(ptr, 8).try_into().unwrap())
    }
}

const OK: u32 = 0;
const AGAIN: u32 = Errno::Again as u32;
const BADF: u32 = Errno::BadF as u32;
const FAULT: u32 = Errno::Fault as u32;
const INVAL: u32 = Errno::Inval as u32;
const IO: u32 = Errno::Io as u32;
const NOSPC: u32 = Errno::NoSpc as u32;
const NOSYS: u32 = Errno::NoSys as u32;
const NOTSUP: u32 = Errno::NotSup as u32;
const PIPE: u32 = Errno::Pipe as u32;
const SPIPE: u32 = Errno::SPipe as u32;

/// The greatest pointer or length.
const FAR: i64 = 0xffff_ffff;

fn guest() -> Guest {
    Guest::new(&mut WasiCtx::builder())
}

#[test]
fn both_modules_link_with_all_names() {
    assert_eq!(CALLS.len(), 46);
    guest();
    Guest::unstable(&mut WasiCtx::builder());
}

#[test]
fn w62_what_is_not_built_says_so() {
    let built = [
        "args_get",
        "args_sizes_get",
        "environ_get",
        "environ_sizes_get",
        "clock_res_get",
        "clock_time_get",
        "fd_close",
        "fd_fdstat_get",
        "fd_fdstat_set_flags",
        "fd_filestat_get",
        "fd_prestat_get",
        "fd_prestat_dir_name",
        "fd_read",
        "fd_seek",
        "fd_tell",
        "fd_write",
        "poll_oneoff",
        "proc_exit",
        "sched_yield",
        "random_get",
    ];
    let mut guest = guest();
    for (name, params) in CALLS.iter().filter(|(name, _)| !built.contains(name)) {
        guest.call(name, &vec![0; params.len()], NOSYS);
    }
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    for name in
        ["(import \"wasi_snapshot_preview1\" \"nope\" (func))", "(import \"wasi_unstable\" \"sock_accept\" (func))"]
    {
        let module = Module::new(&engine, wat::parse_str(format!("(module {name})")).unwrap()).unwrap();
        let store = Store::new(&engine, WasiCtx::builder().build().unwrap());
        assert_eq!(linker.instantiate(store, &module).unwrap_err().kind(), ErrorKind::Link);
    }
}

#[test]
fn arguments_and_environment() {
    let mut ctx = WasiCtx::builder();
    ctx.args(["prog", "", "ä b"]).env("A", "1").envs([("B", "x=y"), ("A", "2")]);
    let mut guest = Guest::new(&mut ctx);
    guest.call("args_sizes_get", &[0, 4], OK);
    assert_eq!((guest.u32(0), guest.u32(4)), (3, 11));
    guest.call("args_get", &[100, 201], OK);
    assert_eq!(guest.at(100, 12), [201, 0, 0, 0, 206, 0, 0, 0, 207, 0, 0, 0]);
    assert_eq!(guest.at(200, 13), "\0prog\0\0ä b\0\0".as_bytes());
    guest.call("environ_sizes_get", &[0, 4], OK);
    assert_eq!((guest.u32(0), guest.u32(4)), (2, 10));
    guest.call("environ_get", &[100, 200], OK);
    assert_eq!(guest.at(200, 10), b"A=2\0B=x=y\0");
}

#[test]
fn w53_arguments_at_their_limits() {
    let build = |name: &str, value: &str| WasiCtx::builder().env(name, value).build().unwrap_err();
    for (error, text) in [
        (WasiCtx::builder().arg("a\0b").build().unwrap_err(), "bytes of arguments: a zero byte after `a`"),
        (build("A", "b\0"), "bytes of environment: a zero byte after `A=b`"),
        (build("", "b"), "`` cannot name a variable"),
        (build("A=B", "c"), "`A=B` cannot name a variable"),
    ] {
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Argument, text));
    }
    let much = vec![b'x'; 10 << 20];
    let error = WasiCtx::builder().args([&much; 10]).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);

    let mut none = guest();
    none.put_u32(0, &[7, 7]);
    none.call("args_sizes_get", &[0, 4], OK);
    assert_eq!((none.u32(0), none.u32(4)), (0, 0));
    none.call("args_get", &[65536, 65536], OK);

    let mut guest = Guest::new(WasiCtx::builder().args(["ab", "c"]));
    for (argv, buffer, want) in
        [(65532, 100, FAULT), (100, 65532, FAULT), (65529, 100, FAULT), (FAR, FAR, FAULT), (65528, 65531, OK)]
    {
        let before = guest.bytes().to_vec();
        guest.call("args_get", &[argv, buffer], want);
        assert_eq!(guest.bytes() == before, want != OK, "{argv} {buffer}");
    }
    guest.call("args_sizes_get", &[65533, 0], FAULT);
    guest.call("args_sizes_get", &[0, 65533], FAULT);
    // A guest may ask for both at one place; that is its own affair.
    guest.call("args_get", &[200, 200], OK);
}

#[test]
fn w52_clocks() {
    let mut fixed = Guest::new(WasiCtx::builder().clock(Clock::fixed(1 << 60)));
    for id in 0..4 {
        fixed.call("clock_time_get", &[id, -1, 8], OK);
        assert_eq!(fixed.u64(8), 1 << 60);
        fixed.call("clock_res_get", &[id, 8], OK);
        assert_eq!(fixed.u64(8), 1);
    }
    for id in [4, 99, FAR] {
        fixed.call("clock_time_get", &[id, 0, 8], INVAL);
        fixed.call("clock_res_get", &[id, 8], INVAL);
    }
    fixed.call("clock_time_get", &[0, 0, 65529], FAULT);
    fixed.call("clock_res_get", &[0, 65529], FAULT);
    let mut stepping = Guest::new(WasiCtx::builder().clock(Clock::stepping(1000, 10)));
    for time in [1010, 1020, 1030] {
        stepping.call("clock_time_get", &[0, 0, 8], OK);
        assert_eq!(stepping.u64(8), time);
        // A call that fails is no look.
        stepping.call("clock_time_get", &[0, 0, 65529], FAULT);
    }
    let mut system = guest();
    system.call("clock_time_get", &[1, 0, 8], OK);
    let first = system.u64(8);
    system.call("clock_time_get", &[1, 0, 8], OK);
    assert!(first > 0 && system.u64(8) >= first);
}

#[test]
fn w51_random_bytes() {
    let mut seeded = Guest::new(WasiCtx::builder().random(Random::seeded(7)));
    let mut again = Guest::new(WasiCtx::builder().random(Random::seeded(7)));
    for guest in [&mut seeded, &mut again] {
        guest.call("random_get", &[0, FAR], FAULT);
        guest.call("random_get", &[65535, 2], FAULT);
        guest.call("random_get", &[65537, 0], FAULT);
        assert!(guest.bytes().iter().all(|&byte| byte == 0));
        guest.call("random_get", &[65536, 0], OK);
        guest.call("random_get", &[0, 65536], OK);
    }
    assert_eq!(seeded.bytes(), again.bytes());
    let mut system = guest();
    system.call("random_get", &[100, 32], OK);
    assert_ne!(system.at(100, 32), [0; 32]);
    assert_eq!((system.at(99, 1), system.at(132, 1)), (&[0][..], &[0][..]));
}

/// A guest whose output is captured, with the text `abcdefghij` at 1000.
fn writer(limit: usize) -> (Guest, Capture) {
    let out = Capture::new(limit);
    let mut guest = Guest::new(WasiCtx::builder().stdout(out.clone()).stderr(out.clone()));
    guest.put(1000, b"abcdefghij");
    (guest, out)
}

#[test]
fn writing() {
    let (mut guest, out) = writer(1 << 20);
    guest.put_u32(0, &[1000, 3, 0, 0, 1005, 2]);
    guest.call("fd_write", &[1, 0, 3, 500], OK);
    assert_eq!((guest.u32(500), out.text().as_str()), (5, "abcfg"));
    guest.call("fd_write", &[2, 0, 1, 500], OK);
    assert_eq!((guest.u32(500), out.text().as_str()), (3, "abcfgabc"));
    for fd in [0, 3, 99, 0x8000_0000, FAR] {
        guest.call("fd_write", &[fd, 0, 1, 500], BADF);
    }
    // More buffers than are handed on at once.
    let many: Vec<u32> = (0..100).flat_map(|n| [1000 + n % 10, 1]).collect();
    guest.put_u32(2000, &many);
    out.take();
    guest.call("fd_write", &[1, 2000, 100, 500], OK);
    assert_eq!((guest.u32(500), out.text()), (100, "abcdefghij".repeat(10)));
}

#[test]
fn w35_counts_of_buffers() {
    let (mut guest, out) = writer(1 << 20);
    guest.put_u32(500, &[7]);
    guest.call("fd_write", &[1, 0, 0, 500], OK);
    assert_eq!(guest.u32(500), 0);
    for call in ["fd_write", "fd_read"] {
        let fd = i64::from(call == "fd_write");
        guest.call(call, &[fd, 0, FAR, 500], FAULT);
        guest.call(call, &[fd, 65532, 1, 500], FAULT);
        guest.call(call, &[fd, 0, 1_000_000, 500], FAULT);
        guest.call(call, &[fd, FAR, 1, 500], FAULT);
    }
    assert!(out.is_empty());
}

#[test]
fn w36_ends_of_memory() {
    for (ptr, len, want) in [
        (65532, 4, OK),
        (65533, 4, FAULT),
        (0, 0, OK),
        (65536, 0, OK),
        (0xffff_ffff, 1, FAULT),
        (1, 0xffff_ffff, FAULT),
    ] {
        let (mut guest, out) = writer(1 << 20);
        guest.put_u32(0, &[ptr, len]);
        guest.call("fd_write", &[1, 0, 1, 500], want);
        assert_eq!(out.len() as u32, if want == OK { len } else { 0 });
    }
}

#[test]
fn w37_sums_beyond_32_bits() {
    let mut guest = Guest::of(PREVIEW1, "(memory (export \"memory\") 10)", WasiCtx::builder().stdout(Output::null()));
    let iovecs: Vec<u32> = (0..65_600).flat_map(|_| [0, 65_535]).collect();
    guest.put_u32(65_536, &iovecs);
    // The first 1024 are taken, so the write comes out short.
    guest.call("fd_write", &[1, 65_536, 65_600, 0], OK);
    assert_eq!(guest.u32(0), 1024 * 65_535);
}

#[test]
fn w38_a_first_buffer_that_is_empty() {
    let mut guest = Guest::new(WasiCtx::builder().stdin("hello world"));
    guest.put_u32(0, &[100, 0, 100, 5]);
    guest.call("fd_read", &[0, 0, 2, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 6)), (5, &b"hello\0"[..]));
}

#[test]
fn w39_buffers_over_their_own_array() {
    let mut guest = Guest::new(WasiCtx::builder().stdin(&[0xff; 100]));
    // The first buffer covers the array, the second is what the array said before it was overwritten.
    guest.put_u32(0, &[0, 16, 200, 8]);
    guest.call("fd_read", &[0, 0, 2, 4], OK);
    assert_eq!(guest.at(0, 16), [255, 255, 255, 255, 24, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(guest.at(199, 10), [0, 255, 255, 255, 255, 255, 255, 255, 255, 0]);
}

#[test]
fn w40_counts_out_of_memory() {
    let (mut guest, out) = writer(1 << 20);
    guest.put_u32(0, &[1000, 3]);
    guest.call("fd_write", &[1, 0, 1, 65533], FAULT);
    assert!(out.is_empty());
    guest.call("fd_write", &[1, 0, 1, 501], OK);
    assert_eq!((guest.u32(501), out.len()), (3, 3));
    let mut guest = Guest::new(WasiCtx::builder().stdin("abc"));
    guest.put_u32(0, &[1000, 3]);
    guest.call("fd_read", &[0, 0, 1, 65533], FAULT);
    guest.call("fd_read", &[0, 0, 1, 501], OK);
    assert_eq!((guest.u32(501), guest.at(1000, 3)), (3, &b"abc"[..]));
}

#[test]
fn output_that_is_full() {
    let (mut guest, out) = writer(5);
    guest.put_u32(0, &[1000, 3, 1003, 4]);
    guest.call("fd_write", &[1, 0, 2, 500], OK);
    assert_eq!((guest.u32(500), out.is_full()), (5, true));
    guest.call("fd_write", &[1, 0, 1, 500], NOSPC);
    assert_eq!(out.text(), "abcde");
}

/// Writes a few bytes at a time, then fails.
struct Failing(usize, Option<io::Error>);

impl Write for Failing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(self.1.take().unwrap());
        }
        let written = buffer.len().min(3).min(self.0);
        self.0 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writers_that_fail() {
    for (kind, errno) in [
        (io::ErrorKind::BrokenPipe, PIPE),
        (io::ErrorKind::StorageFull, NOSPC),
        (io::ErrorKind::TimedOut, IO),
        (io::ErrorKind::WouldBlock, AGAIN),
    ] {
        let mut guest = Guest::new(WasiCtx::builder().stdout(Output::writer(Failing(7, Some(kind.into())))));
        guest.put_u32(0, &[1000, 5, 1000, 1]);
        guest.call("fd_write", &[1, 0, 2, 500], OK);
        assert_eq!(guest.u32(500), 6);
        guest.put_u32(0, &[1000, 1]);
        guest.call("fd_write", &[1, 0, 1, 500], OK);
        guest.call("fd_write", &[1, 0, 1, 500], errno);
    }
    // One of our own ends the guest, also in the middle.
    let mut guest =
        Guest::new(WasiCtx::builder().stdout(Output::writer(Failing(4, Some(io::Error::other(Error::exit(9)))))));
    guest.put_u32(0, &[1000, 5]);
    assert_eq!(guest.try_call("fd_write", &[1, 0, 1, 500]).unwrap_err().exit_code(), Some(9));
}

#[test]
fn reading() {
    let mut guest = Guest::new(WasiCtx::builder().stdin("hello world"));
    guest.put_u32(0, &[100, 3, 200, 4]);
    guest.call("fd_read", &[0, 0, 2, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 4), guest.at(200, 5)), (7, &b"hel\0"[..], &b"lo w\0"[..]));
    guest.call("fd_read", &[0, 0, 2, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 3), guest.at(200, 2)), (4, &b"orl"[..], &b"do"[..]));
    guest.call("fd_read", &[0, 0, 2, 500], OK);
    assert_eq!(guest.u32(500), 0);
    for fd in [1, 2, 3, FAR] {
        guest.call("fd_read", &[fd, 0, 1, 500], BADF);
    }
    let mut nothing = self::guest();
    nothing.put_u32(0, &[100, 3]);
    nothing.call("fd_read", &[0, 0, 1, 500], OK);
    assert_eq!(nothing.u32(500), 0);
}

/// A reader that gives a piece for each that is sent.
struct Pieces(mpsc::Receiver<&'static [u8]>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.0.recv().unwrap_or(b"");
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

fn pieces() -> (mpsc::Sender<&'static [u8]>, Guest) {
    let (send, pieces) = mpsc::channel();
    let mut guest = Guest::new(WasiCtx::builder().stdin(Input::reader(Pieces(pieces))));
    guest.put_u32(0, &[100, 3, 200, 10]);
    (send, guest)
}

#[test]
fn reading_what_comes_later() {
    let (send, mut guest) = pieces();
    send.send(b"abcdef").unwrap();
    guest.call("fd_read", &[0, 0, 1, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 3)), (3, &b"abc"[..]));
    guest.call("fd_read", &[0, 0, 2, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 3)), (3, &b"def"[..]));
    // Nothing is there, and the guest does not wait.
    guest.call("fd_fdstat_set_flags", &[0, 4], OK);
    guest.call("fd_read", &[0, 0, 1, 500], AGAIN);
    guest.call("fd_fdstat_set_flags", &[0, 0], OK);
    send.send(b"g").unwrap();
    guest.call("fd_read", &[0, 0, 2, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 1)), (1, &b"g"[..]));
    // Waiting ends at the deadline.
    let begin = Instant::now();
    guest.store.set_deadline(Some(begin + Duration::from_millis(30)));
    assert_eq!(guest.try_call("fd_read", &[0, 0, 1, 500]).unwrap_err().kind(), ErrorKind::Deadline);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    guest.store.set_deadline(None);
    // What was asked for then is not lost.
    send.send(b"hi").unwrap();
    guest.call("fd_read", &[0, 0, 1, 500], OK);
    assert_eq!((guest.u32(500), guest.at(100, 2)), (2, &b"hi"[..]));
    drop(send);
    guest.call("fd_read", &[0, 0, 1, 500], OK);
    assert_eq!(guest.u32(500), 0);
}

#[test]
fn w32_closing() {
    let (mut guest, out) = writer(100);
    guest.put_u32(0, &[1000, 3]);
    guest.call("fd_close", &[1], OK);
    guest.call("fd_write", &[1, 0, 1, 500], BADF);
    guest.call("fd_close", &[1], BADF);
    guest.call("fd_fdstat_get", &[1, 100], BADF);
    guest.call("fd_seek", &[1, 0, 0, 100], BADF);
    guest.call("fd_write", &[2, 0, 1, 500], OK);
    assert_eq!(out.text(), "abc");
    guest.call("fd_prestat_get", &[3, 100], BADF);
    guest.call("fd_prestat_dir_name", &[3, 100, 10], BADF);
    for fd in [3, 4, 0x8000_0000, FAR] {
        guest.call("fd_close", &[fd], BADF);
    }
    guest.call("fd_close", &[0], OK);
    guest.call("fd_read", &[0, 0, 1, 500], BADF);
}

#[test]
fn descriptions() {
    let mut guest = Guest::new(WasiCtx::builder().stdout(Output::null().terminal(true)));
    for (fd, sort, rights) in [(0, 0, 0x820_000a), (1, 2, 0x820_0048), (2, 0, 0x820_0048)] {
        guest.put(100, &[0xee; 25]);
        guest.call("fd_fdstat_get", &[fd, 100], OK);
        assert_eq!((guest.at(100, 1)[0], guest.u16(102), guest.u64(108)), (sort, 0, rights), "{fd}");
        assert_eq!((guest.u64(116), guest.at(124, 1)), (0, &[0xee][..]));
        guest.call("fd_fdstat_get", &[fd, 65513], FAULT);
        guest.call("fd_filestat_get", &[fd, 100], OK);
        assert_eq!((guest.u64(108), guest.at(116, 1)[0], guest.u64(124)), (fd as u64, sort, 1));
        guest.call("fd_filestat_get", &[fd, 65473], FAULT);
    }
    for fd in [3, FAR] {
        guest.call("fd_fdstat_get", &[fd, 100], BADF);
        guest.call("fd_filestat_get", &[fd, 100], BADF);
        guest.call("fd_fdstat_set_flags", &[fd, 0], BADF);
    }
    for (flags, want) in [(5, OK), (0, OK), (4, OK), (0x20, INVAL), (0x1_0004, INVAL), (FAR, INVAL), (2, NOTSUP)] {
        guest.call("fd_fdstat_set_flags", &[0, flags], want);
    }
    guest.call("fd_fdstat_get", &[0, 100], OK);
    assert_eq!(guest.u16(102), 4);
    // The older record is shorter: its link count has 32 bits.
    let mut older = Guest::unstable(&mut WasiCtx::builder());
    older.put(100, &[0xee; 57]);
    older.call("fd_filestat_get", &[2, 100], OK);
    assert_eq!((older.u64(108), older.at(116, 1)[0], older.u32(120), older.u64(124)), (2, 0, 1, 0));
    assert_eq!(older.at(156, 1), [0xee]);
}

#[test]
fn w42_seeking_on_streams() {
    let mut guest = guest();
    for fd in 0..3 {
        for (offset, whence) in [(0, 0), (i64::MIN, 1), (-1, 0), (i64::MAX, 2)] {
            guest.call("fd_seek", &[fd, offset, whence, 100], SPIPE);
        }
        guest.call("fd_seek", &[fd, 0, 3, 100], INVAL);
        guest.call("fd_seek", &[fd, 0, 255, 100], INVAL);
        guest.call("fd_tell", &[fd, 100], SPIPE);
    }
    guest.call("fd_seek", &[3, 0, 0, 100], BADF);
    guest.call("fd_tell", &[3, 100], BADF);
}

/// A subscription as bytes of either version.
fn subscription(version: &str, userdata: u64, tag: u8, what: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; if version == PREVIEW1 { 48 } else { 56 }];
    bytes[..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = tag;
    for &(offset, value) in what {
        let field = &mut bytes[16 + offset..];
        let len = field.len().min(8);
        field[..len].copy_from_slice(&value.to_le_bytes()[..len]);
    }
    bytes
}

fn clock(userdata: u64, id: u64, timeout: u64, flags: u64) -> Vec<u8> {
    subscription(PREVIEW1, userdata, 0, &[(0, id), (8, timeout), (16, u64::MAX), (24, flags)])
}

fn stream(userdata: u64, tag: u8, fd: u64) -> Vec<u8> {
    subscription(PREVIEW1, userdata, tag, &[(0, fd)])
}

const MS: u64 = 1_000_000;

/// Polls, and gives the events: userdata, error, type, bytes, flags.
#[track_caller]
fn poll(guest: &mut Guest, subscriptions: &[Vec<u8>]) -> Vec<(u64, u32, u8, u64, u16)> {
    guest.put(1000, &subscriptions.concat());
    guest.call("poll_oneoff", &[1000, 8000, subscriptions.len() as i64, 500], OK);
    let count = guest.u32(500) as usize;
    let events = (0..count).map(|n| 8000 + 32 * n);
    events
        .map(|at| {
            let (userdata, error, sort) = (guest.u64(at), guest.u16(at + 8).into(), guest.at(at + 10, 1)[0]);
            (userdata, error, sort, guest.u64(at + 16), guest.u16(at + 24))
        })
        .collect()
}

#[test]
fn waiting_for_clocks() {
    let mut guest = guest();
    let begin = Instant::now();
    assert_eq!(poll(&mut guest, &[clock(1, 1, 20 * MS, 0), clock(2, 1, 3_600_000 * MS, 0)]), [(1, 0, 0, 0, 0)]);
    let time = begin.elapsed();
    assert!(time >= Duration::from_millis(20) && time < Duration::from_secs(10), "{time:?}");
    // The time of day: in the past, and soon.
    assert_eq!(poll(&mut guest, &[clock(3, 0, 1, 1)]), [(3, 0, 0, 0, 0)]);
    guest.call("clock_time_get", &[0, 0, 100], OK);
    let soon = guest.u64(100) + 10 * MS;
    let begin = Instant::now();
    assert_eq!(poll(&mut guest, &[clock(4, 0, soon, 1)]), [(4, 0, 0, 0, 0)]);
    assert!(begin.elapsed() >= Duration::from_millis(9));
    // Two at the same time, in their order.
    let both = poll(&mut guest, &[clock(6, 1, 2 * MS, 0), clock(5, 0, 2 * MS, 0)]);
    assert_eq!(both, [(6, 0, 0, 0, 0), (5, 0, 0, 0, 0)]);
}

#[test]
fn waiting_in_the_older_layout() {
    let mut guest = Guest::unstable(WasiCtx::builder().clock(Clock::stepping(100, 1)));
    let what = [(0, 99), (8, 1), (16, 50), (32, 0)];
    let (first, second) = (subscription(UNSTABLE, 7, 0, &what), subscription(UNSTABLE, 8, 2, &[(0, 1)]));
    guest.put(1000, &first);
    guest.put(1056, &second);
    guest.call("poll_oneoff", &[1000, 2000, 2, 500], OK);
    assert_eq!((guest.u32(500), guest.u64(2000), guest.at(2010, 1)[0]), (1, 8, 2));
    guest.call("poll_oneoff", &[1000, 2000, 1, 500], OK);
    assert_eq!((guest.u32(500), guest.u64(2000), guest.u16(2008)), (1, 7, 0));
    guest.call("clock_time_get", &[0, 0, 500], OK);
    assert_eq!(guest.u64(500), 151);
}

#[test]
fn w48_arrays_of_subscriptions() {
    let mut guest = guest();
    guest.put(1000, &clock(1, 1, 0, 0));
    for (subscriptions, events, count, nevents, want) in [
        (1000, 2000, 0, 500, INVAL),
        (1000, 2000, FAR, 500, FAULT),
        (65512, 2000, 1, 500, FAULT),
        (65440, 2000, 2, 500, OK),
        (65441, 2000, 2, 500, FAULT),
        (1000, 65516, 2, 500, FAULT),
        (1000, 65505, 1, 500, FAULT),
        (1000, 65504, 1, 500, OK),
        (1000, 2000, 1, 65533, FAULT),
        (FAR, 2000, 1, 500, FAULT),
        (1000, FAR, 1, 500, FAULT),
    ] {
        guest.call("poll_oneoff", &[subscriptions, events, count, nevents], want);
    }
    // Over each other: the events land on subscriptions that were read before.
    let both = [clock(1, 1, 0, 0), stream(2, 2, 1)].concat();
    for distance in [0, 8, 48] {
        guest.put(1000, &both);
        guest.call("poll_oneoff", &[1000, 1000 + distance, 2, 500], OK);
        let at = 1000 + distance as usize;
        assert_eq!((guest.u32(500), guest.u64(at), guest.u64(at + 32)), (2, 1, 2));
    }
    // Many, and too many.
    let mut guest = Guest::of(PREVIEW1, "(memory (export \"memory\") 400)", &mut WasiCtx::builder());
    let used = guest.store.fuel_used();
    guest.call("poll_oneoff", &[0, 48 * 100_000, 100_000, 16 << 20], OK);
    assert_eq!(guest.u32(16 << 20), 100_000);
    assert!(guest.store.fuel_used() - used >= 48 * 100_000 / 64);
    guest.call("poll_oneoff", &[0, 0, 131_073, 16 << 20], INVAL);
}

#[test]
fn w49_clock_subscriptions() {
    let mut guest = guest();
    assert_eq!(poll(&mut guest, &[clock(1, 1, 0, 0)]), [(1, 0, 0, 0, 0)]);
    assert_eq!(poll(&mut guest, &[clock(1, 1, 0, 1)]), [(1, 0, 0, 0, 0)]);
    for (id, errno) in [(2, NOTSUP), (3, NOTSUP), (4, INVAL), (99, INVAL)] {
        assert_eq!(poll(&mut guest, &[clock(1, id, MS, 0)]), [(1, errno, 0, 0, 0)]);
    }
    guest.put(1000, &clock(1, 1, 0, 0xfffe));
    guest.call("poll_oneoff", &[1000, 2000, 1, 500], INVAL);
    for flags in [0, 1] {
        guest.put(1000, &clock(1, 1, u64::MAX, flags));
        let begin = Instant::now();
        guest.store.set_deadline(Some(begin + Duration::from_millis(20)));
        let error = guest.try_call("poll_oneoff", &[1000, 2000, 1, 500]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        assert!(begin.elapsed() >= Duration::from_millis(20));
        guest.store.set_deadline(None);
    }
}

#[test]
fn w50_streams_and_clocks_together() {
    let mut guest = Guest::new(WasiCtx::builder().stdin("abc"));
    let events = poll(
        &mut guest,
        &[
            clock(1, 1, 1, 0),
            clock(2, 1, 3_600_000 * MS, 0),
            stream(3, 1, 99),
            stream(4, 1, 0),
            stream(5, 2, 1),
            stream(5, 2, 2),
            stream(6, 2, 0),
            stream(7, 1, 1),
        ],
    );
    // The nanosecond may be over or not.
    let rest = if events[0].0 == 1 { &events[1..] } else { &events[..] };
    assert_eq!(
        rest,
        [(3, BADF, 1, 0, 0), (4, 0, 1, 3, 0), (5, 0, 2, 0, 0), (5, 0, 2, 0, 0), (6, BADF, 2, 0, 0), (7, BADF, 1, 0, 0)]
    );
    guest.put_u32(0, &[100, 3]);
    guest.call("fd_read", &[0, 0, 1, 500], OK);
    assert_eq!(poll(&mut guest, &[stream(4, 1, 0)]), [(4, 0, 1, 0, 1)]);
    for tag in [3, 255] {
        guest.put(1000, &stream(1, tag, 0));
        guest.call("poll_oneoff", &[1000, 2000, 1, 500], INVAL);
    }
}

#[test]
fn waiting_for_input() {
    let (send, mut guest) = pieces();
    let both = [stream(1, 1, 0), clock(2, 1, 20 * MS, 0)];
    assert_eq!(poll(&mut guest, &both), [(2, 0, 0, 0, 0)]);
    send.send(b"abc").unwrap();
    assert_eq!(poll(&mut guest, &[stream(1, 1, 0), clock(2, 1, 3_600_000 * MS, 0)]), [(1, 0, 1, 3, 0)]);
    guest.call("fd_read", &[0, 0, 1, 500], OK);
    assert_eq!(guest.at(100, 3), b"abc");
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(send);
    });
    assert_eq!(poll(&mut guest, &[stream(1, 1, 0)]), [(1, 0, 1, 0, 1)]);
}

#[test]
fn waiting_ends_when_the_call_is_stopped() {
    let mut guest = guest();
    guest.put(1000, &clock(1, 1, u64::MAX, 0));
    let handle = guest.store.stop_handle();
    let stopped = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        let begin = Instant::now();
        handle.stop();
        begin
    });
    let error = guest.try_call("poll_oneoff", &[1000, 2000, 1, 500]).unwrap_err();
    let ended = Instant::now();
    assert_eq!(error.kind(), ErrorKind::Stopped);
    // A millisecond, and what a busy machine adds.
    assert!(ended - stopped.join().unwrap() < Duration::from_millis(50));
    guest.call("sched_yield", &[], OK);
}

#[test]
fn clocks_of_their_own_are_not_waited_for() {
    for (clock_of, after) in [(Clock::fixed(500), 500), (Clock::stepping(500, 1), 500 + 3_600_000 * MS + 1)] {
        let mut guest = Guest::new(WasiCtx::builder().clock(clock_of));
        let begin = Instant::now();
        let hours = [clock(1, 1, 3_600_000 * MS, 0), clock(2, 1, 7_200_000 * MS, 0)];
        assert_eq!(poll(&mut guest, &hours), [(1, 0, 0, 0, 0)]);
        assert!(begin.elapsed() < Duration::from_secs(60));
        guest.call("clock_time_get", &[0, 0, 100], OK);
        assert_eq!(guest.u64(100), after);
    }
}

#[test]
fn w56_exits() {
    let mut guest = guest();
    for status in [0, 1, 255, 256, FAR] {
        let error = guest.try_call("proc_exit", &[status]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Exit, Some(status as i32)));
    }
    // In a start function.
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let wasm = wat::parse_str(
        "(module (import \"wasi_unstable\" \"proc_exit\" (func $exit (param i32))) (start $f)
            (func $f (call $exit (i32.const 3)) unreachable))",
    )
    .unwrap();
    let store = Store::new(&engine, WasiCtx::builder().build().unwrap());
    let error = linker.instantiate(store, &Module::new(&engine, wasm).unwrap()).unwrap_err();
    assert_eq!(error.exit_code(), Some(3));
}

#[test]
fn w59_whose_memory_it_is() {
    // Without a memory only what needs none works.
    let mut none = Guest::of(PREVIEW1, "", &mut WasiCtx::builder());
    none.call("sched_yield", &[], OK);
    none.call("fd_close", &[1], OK);
    none.call("fd_seek", &[0, 0, 0, 0], SPIPE);
    let error = none.try_call("random_get", &[0, 8]).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Host, "the caller has no memory"));
    // A memory that is not exported is the caller's all the same.
    let mut hidden = Guest::of(PREVIEW1, "(memory 1)", &mut WasiCtx::builder());
    hidden.call("random_get", &[0, 8], OK);
    // The host as the caller has none.
    let mut guest = guest();
    let engine = guest.store.engine().clone();
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let func = linker.get(&mut guest.store, PREVIEW1, "random_get").and_then(|item| item.into_func()).unwrap();
    let mut results = [Val::I32(0)];
    assert!(func.call(&mut guest.store, &[Val::I32(0), Val::I32(8)], &mut results).is_err());
}

#[test]
fn w60_a_memory_of_four_gibibytes() {
    // Only touched pages are real.
    let mut guest =
        Guest::of(PREVIEW1, "(memory (export \"memory\") 65536)", WasiCtx::builder().stdout(Output::null()));
    guest.put_u32(0, &[0xffff_fff0, 16]);
    guest.call("fd_write", &[1, 0, 1, 500], OK);
    assert_eq!(guest.u32(500), 16);
    guest.put_u32(0, &[0xffff_fff0, 17]);
    guest.call("fd_write", &[1, 0, 1, 500], FAULT);
    guest.call("random_get", &[0xffff_fff0, 16], OK);
    guest.call("random_get", &[0xffff_fff0, 17], FAULT);
    guest.call("clock_time_get", &[0, 0, 0xffff_fff8], OK);
    guest.call("clock_time_get", &[0, 0, 0xffff_fff9], FAULT);
}

#[test]
fn calls_are_charged_by_bytes() {
    let (mut guest, _) = writer(1 << 20);
    let mut cost = |len: u32| {
        guest.put_u32(0, &[2000, len]);
        let before = guest.store.fuel_used();
        guest.call("fd_write", &[1, 0, 1, 500], OK);
        guest.store.fuel_used() - before
    };
    let least = cost(0);
    // The array counts with its 8 bytes.
    assert_eq!((cost(55), cost(56), cost(6400)), (least, least + 1, least + 100));
    let (mut guest, out) = writer(1 << 20);
    guest.put_u32(0, &[2000, 6400]);
    guest.store.set_fuel(50).unwrap();
    assert_eq!(guest.try_call("fd_write", &[1, 0, 1, 500]).unwrap_err().kind(), ErrorKind::OutOfFuel);
    assert!(out.is_empty());
}

#[test]
fn nothing_is_inherited_unless_asked_for() {
    let mut guest = guest();
    guest.call("environ_sizes_get", &[0, 4], OK);
    assert_eq!(guest.u64(0), 0);
    let mut guest = Guest::new(WasiCtx::builder().inherit_env().inherit_args());
    guest.call("environ_sizes_get", &[0, 4], OK);
    assert!(guest.u32(0) > 0);
    guest.call("args_sizes_get", &[0, 4], OK);
    assert!(guest.u32(0) > 0);
}

#[test]
fn contexts_lie_anywhere_in_the_data() {
    struct Data {
        _before: [u64; 4],
        wasi: WasiCtx,
    }
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |data: &mut Data| &mut data.wasi).unwrap();
    let out = Capture::new(100);
    let wasm = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
            (memory 1) (data (i32.const 0) "\08\00\00\00\03\00\00\00hi\n")
            (func (export "_start") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#,
    )
    .unwrap();
    let wasi = WasiCtx::builder().stdout(out.clone()).build().unwrap();
    let mut store = Store::new(&engine, Data { _before: [0; 4], wasi });
    let instance = linker.instantiate(&mut store, &Module::new(&engine, wasm).unwrap()).unwrap();
    instance.get_typed_func::<(), ()>(&store, "_start").unwrap().call(&mut store, ()).unwrap();
    assert_eq!(out.text(), "hi\n");
    fn send<S: Send>(_: &S) {}
    send(&store);
}
