//! What calls of WASI cost: fuel, and memory that is charged.

use std::io::{self, Read};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jitless::wasi::{Capture, Clock, Errno::*, Input};
use jitless::{ErrorKind, StoreLimitsBuilder};

use super::world::*;
use crate::harness::*;

rows! { r21_output_without_end r27_calls_cost_by_size }

/// What goes beyond a capture's limit, or beyond the store's, is NOSPC.
fn r21_output_without_end(cx: &Cx) {
    cx.may_take(ms(3000));
    let out = Capture::new(4 << 20);
    let mut w = World::with(cx, 16, |ctx| _ = ctx.stdout(out.clone()));
    let iovecs: Vec<u32> = (0..65_535).flat_map(|_| [0, 65_536]).collect();
    w.put_u32(0x1_0000, &iovecs);
    w.call("sched_yield", &[]).unwrap();
    let before = w.guest.store.memory_used();
    let write = |w: &mut World<'_>, count: i64| {
        w.put_u32(0x200, &[0, 65_536]);
        let iovecs = if count == 1 { 0x200 } else { 0x1_0000 };
        w.call("fd_write", &[1, iovecs, count, 0x100])?;
        Ok(w.u32(0x100))
    };
    assert_eq!(write(&mut w, 65_535), Ok(4 << 20));
    // Ten thousand million bytes: 152 588 times 64 KiB.
    w.quiet = true;
    for _ in 0..turns(152_588, 10_000) {
        assert_eq!(write(&mut w, 1), Err(NoSpc));
    }
    w.quiet = false;
    assert_eq!((out.len(), out.is_full()), (4 << 20, true));
    assert_eq!(w.guest.store.memory_used() - before, 4 << 20);
    drop(out.take());
    assert_eq!(w.guest.store.memory_used(), before);
    w.guest.store.set_limits(StoreLimitsBuilder::new().total_memory(before + 100_000).build());
    assert_eq!(write(&mut w, 1), Ok(65_536));
    assert_eq!((write(&mut w, 1), out.is_full()), (Err(NoSpc), true));
    assert_eq!(w.guest.store.memory_used() - before, 65_536);
    w.guest.store.set_limits(StoreLimitsBuilder::new().build());
}

/// A unit for 64 bytes, and for each component of a path.
fn r27_calls_cost_by_size(cx: &Cx) {
    cx.may_take(ms(3000));
    cx.holds(100 << 20);
    let entries = turns(100_000, 10_000);
    let fs = files();
    for number in 0..entries {
        fs.write(&format!("box/e/{number:06}"), "").unwrap();
    }
    let mut link = "f".to_owned();
    for number in 0..40 {
        let target = format!("{}{link}", "./".repeat(10));
        link = format!("l{number}");
        fs.symlink(&target, &format!("box/{link}")).unwrap();
    }
    let mut w = World::of(cx, 512, fs, |_| {});
    let f = i64::from(w.open_rw(3, "f", 0).unwrap());
    let e = i64::from(w.open(3, "e", DIRECTORY).unwrap());
    let mib: i64 = 1 << 20;
    w.put_u32(0x200, &[0, 8 << 20]);
    let path = format!("{}{link}", "./".repeat(2000));
    w.put(0x1000, path.as_bytes());
    let listed = i64::from(entries) * (24 + 6);
    for (call, args, least) in [
        ("random_get", vec![16 * mib, 16 * mib], 16 * mib / 64),
        ("fd_write", vec![1, 0x200, 1, 0x100], 8 * mib / 64),
        ("fd_write", vec![f, 0x200, 1, 0x100], 8 * mib / 64),
        ("fd_pread", vec![f, 0x200, 1, 0, 0x100], 8 * mib / 64),
        ("fd_readdir", vec![e, 16 * mib, 8 * mib, 0, 0x100], listed / 64),
        ("path_open", vec![3, 1, 0x1000, path.len() as i64, 0, LOOK, 0, 0, 0x100], 2000 + 40 * 11 + 4000 / 64),
        ("poll_oneoff", vec![16 * mib, 24 * mib, 100_000, 0x100], 48 * 100_000 / 64),
    ] {
        w.put(0x1000, path.as_bytes());
        w.put_u32(0x200, &[0, 8 << 20]);
        let before = w.guest.store.fuel_used();
        if call == "poll_oneoff" {
            w.bytes()[16 << 20..24 << 20].fill(0);
        }
        w.call(call, &args).unwrap();
        let fuel = (w.guest.store.fuel_used() - before) as i64;
        assert!(fuel >= least && fuel < least + least / 2 + 100, "{call}: {fuel}, at least {least}");
        if call == "fd_write" {
            assert!(w.u32(0x100) > 0);
        }
    }
}

/// Waiting for an hour, or for input that does not come, ends at the deadline.
pub(crate) fn waiting_ends(cx: &Cx, late: Duration) {
    let (never, input) = mpsc::channel();
    let input = Input::reader(Never(input));
    let mut w = World::with(cx, 1, |ctx| _ = ctx.clock(Clock::system()).stdin(input));
    // A subscription on the monotonic clock, and one on the input.
    w.put(0x6000 + 16, &1_u32.to_le_bytes());
    w.put(0x6000 + 24, &3_600_000_000_000_u64.to_le_bytes());
    w.put(0x7000 + 8, &[1]);
    w.put_u32(0x200, &[0x5000, 8]);
    for (call, args) in [
        ("poll_oneoff", [0x6000, 0x8000, 1, 0x100]),
        ("poll_oneoff", [0x7000, 0x8000, 1, 0x100]),
        ("fd_read", [0, 0x200, 1, 0x100]),
    ] {
        let start = Instant::now();
        w.guest.store.set_deadline(Some(start + ms(100)));
        assert_eq!(w.try_call(call, &args).unwrap_err().kind(), ErrorKind::Deadline);
        let took = start.elapsed();
        assert!(took >= ms(100) && took <= ms(100) + late, "{call} ended after {took:?}");
    }
    w.guest.store.set_deadline(None);
    drop(never);
}

struct Never(mpsc::Receiver<()>);

impl Read for Never {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.recv().map(|()| 0).map_err(io::Error::other)
    }
}

/// A file that is made, written, closed and removed leaves nothing behind.
pub(crate) fn a_million_files(cx: &Cx) {
    let mut w = World::new(cx);
    w.quiet = true;
    let mut round = || {
        let fd = w.open_rw(3, "d/new", CREAT | EXCL).unwrap();
        assert_eq!((fd, w.write(fd, "some bytes")), (5, Ok(10)));
        w.close(fd).unwrap();
        w.unlink(3, "d/new").unwrap();
        w.fs.used().bytes
    };
    let used = round();
    let live = cx.live();
    for _ in 0..turns(1_000_000, 20_000) {
        assert_eq!(round(), used);
    }
    assert!(cx.live() - live < 4096, "{} bytes more", cx.live() - live);
}
