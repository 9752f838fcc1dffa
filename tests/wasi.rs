//! WASI, call by call: a guest hands every call through, and the bytes of its memory are compared before and after.
#![cfg(feature = "wasi")]

#[path = "hostile/wasi/calls.rs"]
mod calls;

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use calls::{CALLS, PREVIEW1, module};
use jitless::wasi::fs::{FileSystem, MemFs};
use jitless::wasi::{self, Capture, Clock, Errno, Input, Output, WasiCtx, WasiCtxBuilder};
use jitless::{Engine, Error, ErrorKind, Instance, Linker, Memory, Module, Store, StoreLimitsBuilder, Val};

const UNSTABLE: &str = "wasi_unstable";

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
const IO: u32 = Errno::Io as u32;
const NOSPC: u32 = Errno::NoSpc as u32;
const NOTSUP: u32 = Errno::NotSup as u32;
const PIPE: u32 = Errno::Pipe as u32;
const NOENT: u32 = Errno::NoEnt as u32;
const INVAL: u32 = Errno::Inval as u32;

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

#[test]
fn a_linker_for_one_guest_has_the_names_that_it_imports_from() {
    for (imports, want) in [
        (&[][..], &[][..]),
        (&["env"], &[]),
        (&["env", "wasi_snapshot_preview1"], &["wasi_snapshot_preview1"]),
        (&["wasi_unstable"], &["wasi_unstable"]),
        (&["wasi_unstable", "wasi_snapshot_preview1"], &["wasi_snapshot_preview1", "wasi_unstable"]),
        (&["wasi_snapshot_preview3"], &["wasi_snapshot_preview1", "wasi_unstable"]),
    ] {
        let imports: String = imports.iter().map(|name| format!("(import \"{name}\" \"f\" (func))")).collect();
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(format!("(module {imports})")).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        wasi::add_imported_to_linker(&mut linker, &module, |ctx: &mut WasiCtx| ctx).unwrap();
        let mut names: Vec<_> = linker.iter().map(|(module, _, _)| module).collect();
        names.dedup();
        assert_eq!(names, want, "{imports}");
    }
}

/// Opens a path; the guest's memory is written to from 3000 on.
#[track_caller]
fn open(guest: &mut Guest, path: &str, oflags: i64, want: u32) -> i64 {
    guest.put(3000, path.as_bytes());
    guest.call("path_open", &[3, 1, 3000, path.len() as i64, oflags, -1, -1, 0, 3500], want);
    guest.u32(3500).into()
}

#[test]
fn files_in_the_older_layout() {
    let fs = MemFs::new();
    fs.write("f", "0123456789").unwrap();
    fs.hard_link("f", "g").unwrap();
    let mut guest = Guest::unstable(WasiCtx::builder().clock(Clock::fixed(77)).mount("/", fs));
    let f = open(&mut guest, "f", 0, OK);
    // From here, from the end, from the start.
    for (offset, whence, position) in [(4, 0, 4), (-3, 1, 7), (2, 2, 2)] {
        guest.call("fd_seek", &[f, offset, whence, 100], OK);
        assert_eq!(guest.u64(100), position);
    }
    guest.call("fd_seek", &[f, 0, 3, 100], INVAL);
    guest.call("fd_filestat_set_times", &[f, 5, 0, 9], OK);
    guest.put(100, &[0xee; 57]);
    for _ in 0..2 {
        guest.call("fd_filestat_get", &[f, 100], OK);
        let (sort, links) = (guest.at(116, 1)[0], guest.u32(120));
        assert_eq!((sort, links, guest.u64(124), guest.u64(132), guest.u64(140)), (4, 2, 10, 5, 77));
        guest.put(100, &[0; 56]);
        guest.call("path_filestat_get", &[3, 0, 3000, 1, 100], OK);
        assert_eq!((guest.u32(120), guest.u64(124), guest.at(156, 1)), (2, 10, &[0xee][..]));
    }
    guest.call("path_filestat_get", &[3, 0, 3000, 1, 65536 - 56], OK);
    guest.call("path_filestat_get", &[3, 0, 3000, 1, 65536 - 55], FAULT);
}

#[test]
fn paths_are_charged_by_bytes_and_components() {
    let fs = MemFs::new();
    fs.write("d/f", "").unwrap();
    fs.symlink("d/../d/../d/f", "link").unwrap();
    let mut guest = Guest::new(WasiCtx::builder().mount("/", fs));
    let mut cost = |path: &str| {
        guest.put(3000, path.as_bytes());
        let before = guest.store.fuel_used();
        guest.try_call("path_filestat_get", &[3, 1, 3000, path.len() as i64, 100]).unwrap();
        guest.store.fuel_used() - before
    };
    let one = cost("d");
    assert_eq!([cost("d/f"), cost("d/./f"), cost("nope"), cost("link")], [1, 2, 0, 6].map(|more| one + more));
    assert_eq!(cost(&format!("d{}", "/".repeat(63))), one + 1);
    assert_eq!(cost(&"d/../".repeat(100)), one + 199 + 500 / 64);
}

/// Bytes of files, of output, and of the guest's memories are one sum.
#[test]
fn one_limit_counts_memories_files_and_output() {
    const MIB: u64 = 1 << 20;
    let (fs, out) = (MemFs::new(), Capture::new(16 << 20));
    fs.write("f", vec![1; MIB as usize]).unwrap();
    let held = fs.used().bytes;
    let mut guest = Guest::new(WasiCtx::builder().stdout(out.clone()).mount("/", fs.clone()));
    let memory = guest.store.memory_used();
    guest.call("sched_yield", &[], OK);
    // The stack is new too.
    let before = guest.store.memory_used() - held;
    assert!(before > memory && before < memory + held, "{before}");
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(before + held + MIB / 2).build());
    guest.put_u32(0, &[0, 60_000]);
    let fill = |guest: &mut Guest, fd| loop {
        match guest.try_call("fd_write", &[fd, 0, 1, 500]).unwrap() {
            OK => {}
            errno => break assert_eq!(errno, NOSPC),
        }
    };
    fill(&mut guest, 1);
    assert!(out.len() > 400_000 && out.is_full(), "{}", out.len());
    assert!(guest.store.memory_used() <= before + held + MIB / 2);
    out.take();
    assert_eq!(guest.store.memory_used(), before + held);
    let f = open(&mut guest, "new", 1, OK);
    fill(&mut guest, f);
    // What is written at once is charged at once.
    let left = before + held + MIB / 2 - guest.store.memory_used();
    assert!(left < 60_000, "{left}");
    fs.remove("new").unwrap();
    guest.call("fd_close", &[f], OK);
    assert_eq!(guest.store.memory_used(), before + held);
    fill(&mut guest, 1);
    // The last that refers to something gives it back, wherever that is.
    let account = guest.store.account().clone();
    drop(guest);
    let used = account.used();
    drop(out);
    assert!(used - account.used() > 400_000);
    let used = account.used();
    drop(fs);
    assert_eq!(account.used(), used - held);
}

#[test]
fn files_that_are_too_many_end_the_first_call() {
    let fs = MemFs::new();
    fs.write("f", vec![1; 1 << 20]).unwrap();
    let out = Capture::new(100);
    let mut guest = Guest::new(WasiCtx::builder().stdout(out.clone()).mount("/", fs));
    // Enough for a stack.
    let limit = guest.store.memory_used() + (1 << 19);
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(limit).build());
    for _ in 0..2 {
        let error = guest.try_call("sched_yield", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Budget);
        let text = error.to_string();
        assert!(
            text.starts_with("budget exceeded by files: ") && text.ends_with(&format!("at most {limit}")),
            "{text}"
        );
    }
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(limit + (2 << 20)).build());
    guest.call("sched_yield", &[], OK);
}

#[test]
fn calls_are_traced() {
    let (send, lines) = mpsc::channel();
    let fs = MemFs::new();
    fs.write("a/b", "abc").unwrap();
    let mut ctx = WasiCtx::builder();
    ctx.mount("/data", fs).trace(move |line| send.send(line.to_owned()).unwrap());
    let mut guest = Guest::new(&mut ctx);
    let f = open(&mut guest, "a/b", 0, OK);
    guest.put_u32(0, &[100, 10]);
    guest.call("fd_read", &[f, 0, 1, 500], OK);
    guest.call("fd_seek", &[f, -1, 1, 500], OK);
    open(&mut guest, "a\n\u{1b}", 0, NOENT);
    guest.call("path_rename", &[3, 3000, 1, 4, 3000, 1], Errno::NotDir as u32);
    guest.call("path_unlink_file", &[3, 65536, 5], FAULT);
    guest.call("fd_prestat_dir_name", &[3, 600, 5], OK);
    guest.call("sched_yield", &[], OK);
    guest.try_call("proc_exit", &[3]).unwrap_err();
    assert_eq!(
        lines.try_iter().collect::<Vec<_>>(),
        [
            "path_open(3, 1, \"a/b\", 0, 0xffffffffffffffff, 0xffffffffffffffff, 0, 3500) = 0 → 4",
            "fd_read(4, 0, 1, 500) = 0 → 3",
            "fd_seek(4, -1, 1, 500) = 0 → 2",
            "path_open(3, 1, \"a\\n\\u{1b}\", 0, 0xffffffffffffffff, 0xffffffffffffffff, 0, 3500) = 44 (no such file or \
             directory)",
            "path_rename(3, \"a\", 4, \"a\") = 54 (not a directory)",
            "path_unlink_file(3, 65536, 5) = 21 (bad address)",
            "fd_prestat_dir_name(3, \"/data\") = 0",
            "sched_yield() = 0",
            "proc_exit(3) ends: exit with status 3",
        ]
    );
}

#[test]
fn what_is_deterministic_is_the_same_again() {
    let run = |seed| {
        let fs = MemFs::new();
        for name in ["b", "a", "c"] {
            fs.write(name, name).unwrap();
        }
        let mut guest = Guest::new(WasiCtx::builder().deterministic(seed).mount("/", fs.clone()));
        for id in 0..3 {
            guest.call("clock_time_get", &[id, 0, 8 * id], OK);
        }
        guest.call("random_get", &[100, 50], OK);
        open(&mut guest, "new", 1, OK);
        guest.call("path_filestat_get", &[3, 0, 3000, 3, 200], OK);
        guest.call("fd_readdir", &[3, 300, 1000, 0, 30], OK);
        guest.put(5000, &clock(1, 1, 3_600_000 * MS, 0));
        guest.call("poll_oneoff", &[5000, 6000, 1, 40], OK);
        guest.call("clock_time_get", &[1, 0, 50], OK);
        (guest.bytes().to_vec(), guest.store.fuel_used(), fs.stat("new").unwrap())
    };
    assert!(run(1) == run(1));
    assert!(run(1).0 != run(2).0);
    let (bytes, ..) = run(1);
    let time = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(time(8) - time(0), MS);
    assert_eq!(time(50) - time(16), 3_600_001 * MS);
}

#[test]
fn mounts_come_in_order_from_three_on() {
    let (one, other) = (MemFs::new(), std::sync::Arc::new(MemFs::new()));
    one.write("f", "1").unwrap();
    let mut ctx = WasiCtx::builder();
    let shared: std::sync::Arc<dyn FileSystem> = other.clone();
    ctx.mount("/one", one).mount(".", shared).mount_read_only("", other);
    let mut guest = Guest::new(&mut ctx);
    for (fd, name) in [(3, "/one"), (4, "."), (5, "")] {
        guest.call("fd_prestat_get", &[fd, 100], OK);
        assert_eq!((guest.u32(100), guest.u32(104)), (0, name.len() as u32));
        guest.call("fd_prestat_dir_name", &[fd, 200, name.len() as i64], OK);
        assert_eq!(guest.at(200, name.len()), name.as_bytes());
        // Roots may have the same number: the device tells them apart.
        guest.call("fd_filestat_get", &[fd, 400], OK);
        assert_eq!(guest.u32(400), fd as u32);
    }
    guest.call("fd_prestat_get", &[6, 100], BADF);
    // From one file system to another nothing moves.
    guest.put(3000, b"f");
    guest.call("path_rename", &[3, 3000, 1, 4, 3000, 1], Errno::XDev as u32);
    guest.call("path_link", &[3, 0, 3000, 1, 4, 3000, 1], Errno::XDev as u32);
}
