//! Waiting, clocks, random bytes, arguments, exits, and whose memory a call means.

use std::time::{Duration, Instant};

use jitless::wasi::{self, Clock, Errno, Errno::*, Input, Output, WasiCtx};
use jitless::{Engine, ErrorKind, Linker, Module, Store, StoreLimitsBuilder, Val};

use super::world::*;
use crate::harness::*;

/// A subscription's bytes.
fn subscription(userdata: u64, tag: u8, fields: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = tag;
    for &(offset, value) in fields {
        let len = (48 - offset).min(8);
        bytes[offset..offset + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }
    bytes
}

fn clock(userdata: u64, id: u64, timeout: u64, flags: u64) -> Vec<u8> {
    subscription(userdata, 0, &[(16, id), (24, timeout), (32, u64::MAX), (40, flags)])
}

fn stream(userdata: u64, tag: u8, fd: u32) -> Vec<u8> {
    subscription(userdata, tag, &[(16, fd.into())])
}

/// An event: userdata, error, type, bytes, flags.
type Event = (u64, u16, u8, u64, u16);

impl World<'_> {
    #[track_caller]
    fn poll(&mut self, subscriptions: &[Vec<u8>]) -> R<Vec<Event>> {
        self.put(0x6000, &subscriptions.concat());
        self.call("poll_oneoff", &[0x6000, 0x8000, subscriptions.len() as i64, 0x100])?;
        let count = self.u32(0x100);
        Ok((0..count)
            .map(|number| {
                let event = self.get(0x8000 + 32 * number, 32);
                let u16_at = |at: usize| u16::from_le_bytes(event[at..at + 2].try_into().unwrap());
                let u64_at = |at: usize| u64::from_le_bytes(event[at..at + 8].try_into().unwrap());
                (u64_at(0), u16_at(8), event[10], u64_at(16), u16_at(24))
            })
            .collect())
    }

    /// The error and the bytes of an event on one descriptor.
    #[track_caller]
    pub(super) fn event_of(&mut self, tag: u8, fd: u32) -> (u16, u64) {
        let events = self.poll(&[stream(1, tag, fd)]).unwrap();
        assert_eq!(events.len(), 1);
        (events[0].1, events[0].3)
    }
}

/// With the host's clock.
fn timed(cx: &Cx, input: impl Into<Input>) -> World<'_> {
    cx.timed();
    World::with(cx, 1, |ctx| _ = ctx.clock(Clock::system()).stdin(input))
}

pub(super) fn w48_arrays_of_subscriptions(cx: &Cx) {
    let mut w = World::new(cx);
    w.put(1000, &clock(1, 1, 0, 0));
    for (subscriptions, events, count, nevents, want) in [
        (1000, 2000, 0, 500, Err(Inval)),
        (1000, 2000, 0xffff_ffff, 500, Err(Fault)),
        (65512, 2000, 2, 500, Err(Fault)),
        (65440, 2000, 2, 500, Ok(())),
        (65441, 2000, 2, 500, Err(Fault)),
        (1000, 65516, 2, 500, Err(Fault)),
        (1000, 65504, 1, 500, Ok(())),
        (1000, 65505, 1, 500, Err(Fault)),
        (1000, 2000, 1, 65533, Err(Fault)),
    ] {
        let args = [subscriptions, events, count, nevents];
        assert_eq!(w.call("poll_oneoff", &args), want, "{args:?}");
    }
    // Over each other: events land on subscriptions that were read before.
    for distance in [0, 8, 48] {
        w.put(1000, &[clock(1, 1, 0, 0), stream(2, 2, 1)].concat());
        w.call("poll_oneoff", &[1000, 1000 + distance, 2, 500]).unwrap();
        let at = 1000 + distance as u32;
        assert_eq!((w.u32(500), w.u64(at), w.u64(at + 32)), (2, 1, 2));
    }
    let mut w = World::with(cx, 160, |_| {});
    cx.holds(40 << 20);
    let count: u32 = 100_000;
    let before = w.guest.store.fuel_used();
    w.call("poll_oneoff", &[0, i64::from(48 * count), i64::from(count), 10_000_000]).unwrap();
    assert_eq!(w.u32(10_000_000), count);
    assert!(w.guest.store.fuel_used() - before >= u64::from(48 * count / 64));
    assert_eq!(w.call("poll_oneoff", &[0, 0, 131_073, 500]), Err(Inval));
}

pub(super) fn w49_clock_subscriptions(cx: &Cx) {
    let mut w = timed(cx, "");
    for flags in [0, 1] {
        assert_eq!(w.poll(&[clock(1, 1, 0, flags)]), Ok(vec![(1, 0, 0, 0, 0)]));
    }
    for (id, errno) in [(2, NotSup), (3, NotSup), (4, Inval), (99, Inval), (0xffff_ffff, Inval)] {
        assert_eq!(w.poll(&[clock(1, id, 1, 0)]), Ok(vec![(1, errno as u16, 0, 0, 0)]), "{id}");
    }
    for flags in [2, 0xfffe, 0xffff] {
        assert_eq!(w.poll(&[clock(1, 1, 0, flags)]), Err(Inval));
    }
    for (id, flags) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        w.put(0x6000, &clock(1, id, u64::MAX, flags));
        let begin = Instant::now();
        w.guest.store.set_deadline(Some(begin + Duration::from_millis(20)));
        let error = w.try_call("poll_oneoff", &[0x6000, 0x8000, 1, 0x100]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        assert!(begin.elapsed() >= Duration::from_millis(20));
        w.guest.store.set_deadline(None);
    }
}

/// A file never makes a guest wait.
pub(super) fn w50_events(cx: &Cx) {
    let mut w = timed(cx, "abc");
    let f = w.open_rw(3, "f", 0).unwrap();
    w.seek(f, 4, 0).unwrap();
    let gone = w.open(3, "f", 0).unwrap();
    w.close(gone).unwrap();
    let events = w
        .poll(&[
            clock(1, 1, 3_600_000_000_000, 0),
            stream(2, 1, f),
            stream(3, 2, f),
            stream(4, 1, 0),
            stream(5, 1, gone),
            stream(5, 2, 1),
            stream(5, 2, 0),
            stream(6, 1, 3),
            stream(7, 1, 1),
        ])
        .unwrap();
    let bad = BadF as u16;
    assert_eq!(
        events,
        [
            (2, 0, 1, 6, 0),
            (3, 0, 2, 0, 0),
            (4, 0, 1, 3, 0),
            (5, bad, 1, 0, 0),
            (5, 0, 2, 0, 0),
            (5, bad, 2, 0, 0),
            (6, NotCapable as u16, 1, 0, 0),
            (7, bad, 1, 0, 0),
        ]
    );
    assert_eq!(w.read(0, 10), Ok(b"abc".into()));
    assert_eq!(w.poll(&[stream(4, 1, 0)]), Ok(vec![(4, 0, 1, 0, 1)]));
    let ms = 1_000_000;
    let both = [clock(1, 1, ms, 0), clock(2, 1, 3_600_000 * ms, 0)];
    assert_eq!(w.poll(&both), Ok(vec![(1, 0, 0, 0, 0)]));
    for tag in [3, 255] {
        assert_eq!(w.poll(&[stream(1, tag, 0)]), Err(Inval));
    }
}

pub(super) fn w51_random_bytes(cx: &Cx) {
    let mut w = World::new(cx);
    for (ptr, len, want) in
        [(0, 0xffff_ffff, Err(Fault)), (65535, 2, Err(Fault)), (65537, 0, Err(Fault)), (65536, 0, Ok(()))]
    {
        assert_eq!(w.call("random_get", &[ptr, len]), want);
    }
    assert!(w.bytes().iter().all(|&byte| byte == 0));
    // The memory is compared when the row runs again.
    assert_eq!(w.call("random_get", &[0, 65536]), Ok(()));
    assert!(w.bytes().iter().any(|&byte| byte != 0));
}

/// A host's clock before 1970 says 1970, and beyond 2554 nothing wraps.
pub(super) fn w52_clocks(cx: &Cx) {
    for now in [0, 1_000_000, u64::MAX] {
        let mut w = World::with(cx, 1, |ctx| _ = ctx.clock(Clock::stepping(now, 1)));
        for id in 0..4 {
            assert_eq!(w.call("clock_time_get", &[id, -1, 0x100]), Ok(()));
            assert_eq!(w.u64(0x100), now.saturating_add(id as u64 + 1));
            assert_eq!(w.call("clock_res_get", &[id, 0x100]), Ok(()));
        }
        for id in [4, 99, 0xffff_ffff] {
            assert_eq!(w.call("clock_time_get", &[id, 0, 0x100]), Err(Inval));
            assert_eq!(w.call("clock_res_get", &[id, 0x100]), Err(Inval));
        }
        assert_eq!(w.call("clock_time_get", &[0, 0, 65529]), Err(Fault));
        assert_eq!(w.call("clock_res_get", &[0, 65529]), Err(Fault));
        // Its time is also that of what is changed.
        w.open(3, "new", CREAT).unwrap();
        assert_eq!(w.stat(3, "new", 0).unwrap().modified, now.saturating_add(4));
    }
}

pub(super) fn w53_arguments_at_their_limits(cx: &Cx) {
    let build = |name: &str, value: &str| WasiCtx::builder().env(name, value).build().unwrap_err();
    let errors =
        [WasiCtx::builder().arg("a\0b").build().unwrap_err(), build("A", "b\0"), build("", "b"), build("A=B", "c")];
    for error in errors {
        cx.seen(&error);
        assert_eq!(error.kind(), ErrorKind::Argument);
    }
    cx.holds(100 << 20);
    let much = vec![b'x'; 10 << 20];
    assert_eq!(WasiCtx::builder().args([&much; 4]).build().unwrap_err().kind(), ErrorKind::Limit);
    let mut w = World::new(cx);
    assert_eq!(w.call("args_sizes_get", &[0x100, 0x104]), Ok(()));
    assert_eq!(w.u64(0x100), 0);
    assert_eq!(w.call("args_get", &[65536, 65536]), Ok(()));
    let mut w = World::with(cx, 1, |ctx| _ = ctx.args(["ab", "c"]).env("A", "b"));
    for (argv, buffer, want) in [
        (65532, 100, Err(Fault)),
        (100, 65532, Err(Fault)),
        (65529, 100, Err(Fault)),
        (0xffff_ffff, 0xffff_ffff, Err(Fault)),
        (65528, 65531, Ok(())),
    ] {
        let before = w.bytes().to_vec();
        assert_eq!(w.call("args_get", &[argv, buffer]), want, "{argv} {buffer}");
        assert_eq!(w.bytes() == before, want.is_err());
    }
    assert_eq!(w.call("environ_get", &[100, 65532]), Ok(()));
    assert_eq!(w.call("environ_get", &[100, 65533]), Err(Fault));
    assert_eq!(w.call("environ_sizes_get", &[65533, 0]), Err(Fault));
    assert_eq!(w.call("args_sizes_get", &[0, 65533]), Err(Fault));
}

/// The whole status comes back, whoever is in between.
pub(super) fn w56_exits(cx: &Cx) {
    let mut w = World::new(cx);
    for status in [0, 1, 255, 256, 0xffff_ffff] {
        let error = w.try_call("proc_exit", &[status]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Exit, Some(status as i32)));
    }
    // From a start function, and through a function of the host that calls the guest again.
    w.guest
        .linker
        .func_wrap("h", "again", |mut caller: jitless::Caller<'_, WasiCtx>| {
            let exit = caller.get_export("exit").and_then(|export| export.into_func()).unwrap();
            exit.call(&mut caller, &[], &mut [])
        })
        .unwrap();
    let exit = "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))";
    let error = w.guest.try_add(&format!("(module {exit} (start $f) (func $f (call $exit (i32.const 3))))"));
    assert_eq!(error.unwrap_err().exit_code(), Some(3));
    let text = format!(
        "(module {exit} (import \"h\" \"again\" (func $again)) (func (export \"exit\") (call $exit (i32.const 4)))
            (func (export \"f\") (call $again) unreachable))"
    );
    let instance = w.guest.try_add(&text).unwrap();
    let old = w.guest.instance;
    assert_eq!(w.guest.at(instance).fails("f", &[]).exit_code(), Some(4));
    w.guest.at(old);
}

/// The memory is the caller's first, exported or not. Without one, what needs none works, and the rest ends the guest.
pub(super) fn w59_whose_memory_it_is(cx: &Cx) {
    let import = "(import \"wasi_snapshot_preview1\" \"random_get\" (func $get (param i32 i32) (result i32)))";
    let call = "(func (export \"f\") (result i32) (call $get (i32.const 0) (i32.const 8)))";
    let mut w = World::new(cx);
    let old = w.guest.instance;
    for (memory, fine) in [("", false), ("(table (export \"memory\") 1 funcref)", false), ("(memory 1)", true)] {
        let instance = w.guest.try_add(&format!("(module {import} {memory} {call})")).unwrap();
        let result = w.guest.at(instance).call("f", &[]);
        assert_eq!(result.as_ref().ok(), fine.then_some(&vec![Val::I32(0)]), "{memory}");
        if let Err(error) = result {
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Host, "the caller has no memory"));
        }
    }
    // From a start function; and each of two instances its own.
    let text = format!(
        "(module {import} (memory (export \"m\") 1) (start $s) (func $s (drop (call $get (i32.const 0) (i32.const 8)))))"
    );
    let memories = [0, 1].map(|_| {
        let instance = w.guest.try_add(&text).unwrap();
        let memory = instance.get_memory(&w.guest.store, "m").unwrap();
        memory.data(&w.guest.store)[..8].to_vec()
    });
    assert!(memories[0] != memories[1] && memories.iter().all(|bytes| bytes != &[0; 8]));
    w.guest.at(old);
    // The host as the caller has none.
    let func = w.guest.linker.get(&mut w.guest.store, "wasi_snapshot_preview1", "random_get").unwrap();
    let mut results = vals![0];
    let result = func.into_func().unwrap().call(&mut w.guest.store, &vals![0, 8], &mut results);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Host);
}

/// Only pages that are touched are real.
pub(super) fn w60_a_memory_of_four_gibibytes(cx: &Cx) {
    cx.holds(5 << 30);
    let engine = Engine::new(&cx.mode.config()).unwrap();
    let module = cx.aside(|| Module::new(&engine, wat(&calls(65536))).unwrap());
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let mut store = Store::new(&engine, WasiCtx::builder().stdout(Output::null()).build().unwrap());
    store.set_limits(StoreLimitsBuilder::new().total_memory(8 << 30).build());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let memory = instance.get_memory(&store, "memory").unwrap();
    for (ptr, len, want) in [(0xffff_fff0, 16, 0), (0xffff_fff0_u32, 17, Errno::Fault as i32), (0xffff_ffff, 1, 0)] {
        let bytes = memory.data_mut(&mut store);
        bytes[..4].copy_from_slice(&ptr.to_le_bytes());
        bytes[4..8].copy_from_slice(&u32::to_le_bytes(len));
        let mut results = vals![0];
        let write = instance.get_func(&store, "fd_write").unwrap();
        write.call(&mut store, &vals![1, 0, 1, 500], &mut results).unwrap();
        assert_eq!(results[0], Val::I32(want), "{ptr} {len}");
        let random = instance.get_func(&store, "random_get").unwrap();
        random.call(&mut store, &vals![ptr as i32, len as i32], &mut results).unwrap();
        assert_eq!(results[0], Val::I32(want), "{ptr} {len}");
    }
}
