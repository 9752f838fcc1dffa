//! What calls of WASI cost: fuel, and memory that is charged.

use jitless::StoreLimitsBuilder;
use jitless::wasi::Capture;
use jitless::wasi::Errno::*;

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
    for _ in 0..turns(152_588, 10_000) {
        assert_eq!(write(&mut w, 1), Err(NoSpc));
    }
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
