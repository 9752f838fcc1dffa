//! Buffers, offsets, sizes, listings.

use jitless::wasi::fs::MemFs;
use jitless::wasi::{Errno::*, Output};

use super::world::*;
use crate::harness::*;

/// A file or a stream to write to: `fd_write` treats them alike.
fn sinks(w: &mut World<'_>) -> [u32; 2] {
    [1, w.open_rw(3, "f", TRUNC).unwrap()]
}

/// No buffer at all is nothing written, and fine.
pub(super) fn w35_counts_of_buffers(cx: &Cx) {
    let mut w = World::new(cx);
    for fd in sinks(&mut w) {
        let fd = i64::from(fd);
        w.put_u32(0x100, &[7]);
        assert_eq!(w.call("fd_write", &[fd, 0, 0, 0x100]), Ok(()));
        assert_eq!(w.u32(0x100), 0);
        for (iovs, count) in [(0, 0xffff_ffff), (65532, 1), (0, 1_000_000), (0xffff_ffff, 1), (0, 0x2000_0000)] {
            assert_eq!(w.call("fd_write", &[fd, iovs, count, 0x100]), Err(Fault), "{iovs} {count}");
            let from = if fd == 1 { 0 } else { fd };
            assert_eq!(w.call("fd_read", &[from, iovs, count, 0x100]), Err(Fault), "{iovs} {count}");
        }
    }
    assert_eq!((w.out.len(), w.fs.read("box/f")), (0, Ok(vec![])));
}

pub(super) fn w36_ends_of_memory(cx: &Cx) {
    let mut w = World::new(cx);
    let mut written = 0;
    let [_, f] = sinks(&mut w);
    for (ptr, len, want) in [
        (65532, 4, Ok(())),
        (65533, 4, Err(Fault)),
        (0, 0, Ok(())),
        (65536, 0, Ok(())),
        (65537, 0, Err(Fault)),
        (0xffff_ffff, 1, Err(Fault)),
        (1, 0xffff_ffff, Err(Fault)),
    ] {
        w.put_u32(0x200, &[ptr, len]);
        for fd in [1, f.into()] {
            assert_eq!(w.call("fd_write", &[fd, 0x200, 1, 0x100]), want, "{ptr} {len}");
        }
        written += if want.is_ok() { len as usize } else { 0 };
        assert_eq!((w.out.len(), w.fs.read("box/f").unwrap().len()), (written, written));
    }
}

/// The first 1024 buffers are taken, so that the write comes out short.
pub(super) fn w37_sums_beyond_32_bits(cx: &Cx) {
    cx.holds(80 << 20);
    let fs = fill(MemFs::builder().max_bytes(1 << 20).build());
    let mut w = World::of(cx, 10, fs, |ctx| _ = ctx.stdout(Output::null()));
    let iovecs: Vec<u32> = (0..65_600).flat_map(|_| [0, 65_535]).collect();
    w.put_u32(0x1_0000, &iovecs);
    let room = w.fs.max_bytes() - w.fs.used().bytes + 10;
    let [_, f] = sinks(&mut w);
    for (fd, want) in [(1, 1024 * 65_535), (f.into(), room)] {
        assert_eq!(w.call("fd_write", &[fd, 0x1_0000, 65_600, 0]), Ok(()));
        assert_eq!(u64::from(w.u32(0)), want, "{fd}");
        w.put_u32(0x1_0000, &iovecs);
    }
}

pub(super) fn w38_a_first_buffer_that_is_empty(cx: &Cx) {
    let mut w = World::with(cx, 1, |ctx| _ = ctx.stdin("hello world"));
    let f = i64::from(w.open_rw(3, "f", 0).unwrap());
    w.put_u32(0x200, &[0x5000, 0, 0x5000, 5]);
    for (call, args, want) in [
        ("fd_read", vec![0], "hello"),
        ("fd_read", vec![f], "01234"),
        ("fd_pread", vec![f, 2], "23456"),
        ("fd_write", vec![1], "23456"),
        ("fd_write", vec![f], "23456"),
        ("fd_pwrite", vec![f, 0], "23456"),
    ] {
        let rest: Vec<i64> = args[1..].iter().copied().chain([0x100]).collect();
        w.call(call, &[&[args[0], 0x200, 2][..], &rest].concat()).unwrap();
        assert_eq!((w.u32(0x100), w.get(0x5000, 5)), (5, want.as_bytes()), "{call}");
    }
    assert_eq!((w.out.text().as_str(), w.fs.read("box/f")), ("23456", Ok(b"2345623456".into())));
}

/// The array is read before anything is written over it.
pub(super) fn w39_buffers_over_their_own_array(cx: &Cx) {
    let mut w = World::with(cx, 1, |ctx| _ = ctx.stdin(&[0xff; 100]));
    let f = w.open_rw(3, "f", 0).unwrap();
    w.write(f, [0xff; 100]).unwrap();
    w.seek(f, 0, 0).unwrap();
    for fd in [0, i64::from(f)] {
        w.put(200, &[0; 20]);
        w.put_u32(0, &[0, 16, 200, 8]);
        assert_eq!(w.call("fd_read", &[fd, 0, 2, 4]), Ok(()));
        assert_eq!(w.get(0, 16), [255, 255, 255, 255, 24, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(w.get(199, 10), [0, 255, 255, 255, 255, 255, 255, 255, 255, 0]);
    }
}

/// Nothing has happened then. A pointer need not be aligned.
pub(super) fn w40_counts_out_of_memory(cx: &Cx) {
    let mut w = World::with(cx, 1, |ctx| _ = ctx.stdin("abc"));
    let f = i64::from(w.open_rw(3, "f", 0).unwrap());
    w.put_u32(0x200, &[0x5000, 3]);
    for count in [65533, 65536, 0xffff_ffff] {
        assert_eq!(w.call("fd_write", &[1, 0x200, 1, count]), Err(Fault));
        assert_eq!(w.call("fd_read", &[0, 0x200, 1, count]), Err(Fault));
        assert_eq!(w.call("fd_write", &[f, 0x200, 1, count]), Err(Fault));
        assert_eq!(w.call("fd_read", &[f, 0x200, 1, count]), Err(Fault));
        assert_eq!(w.call("fd_pwrite", &[f, 0x200, 1, 0, count]), Err(Fault));
        assert_eq!(w.call("fd_pread", &[f, 0x200, 1, 0, count]), Err(Fault));
        assert_eq!(w.call("fd_readdir", &[3, 0x5000, 100, 0, count]), Err(Fault));
        assert_eq!(w.call("fd_seek", &[f, 5, 0, count]), Err(Fault));
        assert_eq!(w.call("fd_tell", &[f, count]), Err(Fault));
    }
    assert_eq!((w.out.len(), w.seek(f as u32, 0, 1), w.fs.read("box/f")), (0, Ok(0), Ok(b"0123456789".into())));
    w.put_u32(0x200, &[0x5000, 3]);
    assert_eq!(w.call("fd_read", &[0, 0x200, 1, 1]), Ok(()));
    assert_eq!((w.u32(1), w.get(0x5000, 3)), (3, &b"abc"[..]));
}

/// A hole costs as much as what is in it, and is not made before that is known.
pub(super) fn w41_far_offsets(cx: &Cx) {
    let mut w = World::of(cx, 1, fill(MemFs::builder().max_bytes(64 << 20).build()), |_| {});
    let f = w.open_rw(3, "f", 0).unwrap();
    for (offset, write) in [
        (i64::MAX as u64, FBig),
        (i64::MAX as u64 + 1, Inval),
        (u64::MAX, Inval),
        (1 << 40, NoSpc),
        (i64::MAX as u64 - 1, NoSpc),
    ] {
        cx.within(ms(1), || assert_eq!(w.pwrite(f, "x", offset), Err(write), "{offset}"));
        let read = if offset > i64::MAX as u64 { Err(Inval) } else { Ok(vec![]) };
        cx.within(ms(1), || assert_eq!(w.pread(f, 10, offset), read, "{offset}"));
    }
    assert_eq!(w.fs.read("box/f"), Ok(b"0123456789".into()));
    for fd in [0, 1] {
        assert_eq!((w.pread(fd, 1, 0), w.pwrite(fd, "x", 0)), (Err(SPipe), Err(SPipe)));
    }
    assert_eq!((w.pread(3, 1, 0), w.pwrite(3, "x", 0)), (Err(IsDir), Err(IsDir)));
}

/// A place before the beginning or beyond 2^63 - 1 is INVAL, and where the file stands stays as it is.
pub(super) fn w42_seeking(cx: &Cx) {
    let mut w = World::new(cx);
    let f = w.open(3, "f", 0).unwrap();
    for (offset, whence, want) in [
        (i64::MIN, 1, Err(Inval)),
        (-1, 0, Err(Inval)),
        (4, 0, Ok(4)),
        (-2, 1, Ok(2)),
        (-3, 1, Err(Inval)),
        (0, 1, Ok(2)),
        (-10, 2, Ok(0)),
        (-11, 2, Err(Inval)),
        (5, 2, Ok(15)),
        (i64::MAX, 0, Ok(i64::MAX as u64)),
        (1, 1, Err(Inval)),
        (i64::MAX, 1, Err(Inval)),
        (i64::MAX, 2, Err(Inval)),
        (0, 1, Ok(i64::MAX as u64)),
        (0, 3, Err(Inval)),
        (0, 255, Err(Inval)),
        (0, 0xffff_ffff, Err(Inval)),
    ] {
        assert_eq!(w.seek(f, offset, whence), want, "{offset} {whence}");
    }
    assert_eq!(w.read(f, 10), Ok(vec![]));
    for fd in 0..3 {
        assert_eq!((w.seek(fd, 0, 0), w.seek(fd, i64::MIN, 1), w.seek(fd, 0, 3)), (Err(SPipe), Err(SPipe), Err(Inval)));
        assert_eq!(w.call("fd_tell", &[fd.into(), 0x100]), Err(SPipe));
    }
    assert_eq!((w.seek(3, 0, 0), w.seek(99, 0, 0)), (Err(IsDir), Err(BadF)));
}

/// A hole is charged for; what was cut off never comes back.
pub(super) fn w43_holes(cx: &Cx) {
    let mut w = World::new(cx);
    let f = w.open_rw(3, "f", 0).unwrap();
    w.seek(f, 1 << 40, 0).unwrap();
    assert_eq!(w.write(f, "x"), Err(NoSpc));
    w.seek(f, 1 << 20, 0).unwrap();
    assert_eq!(w.write(f, "x"), Ok(1));
    assert_eq!(w.pread(f, 20, 5), Ok([&b"56789"[..], &[0; 15]].concat()));
    assert_eq!(w.pread(f, 20, 1 << 19), Ok(vec![0; 20]));
    w.set_size(f, 5).unwrap();
    w.set_size(f, 100).unwrap();
    assert_eq!(w.pread(f, 200, 0), Ok([&b"01234"[..], &[0; 95]].concat()));
    w.set_size(f, 5).unwrap();
    assert_eq!(w.pwrite(f, "x", 9), Ok(1));
    assert_eq!(w.pread(f, 200, 0), Ok(b"01234\0\0\0\0x".into()));
}

pub(super) fn w44_sizes(cx: &Cx) {
    let mut w = World::of(cx, 1, fill(MemFs::builder().max_bytes(1 << 20).build()), |_| {});
    let f = w.open_rw(3, "f", 0).unwrap();
    for (offset, len, want) in
        [(0_u64, 1_u64 << 63, FBig), (1 << 63, 1 << 63, FBig), (0, 0, Inval), (u64::MAX, 1, FBig), (0, 2 << 20, NoSpc)]
    {
        let call = [f.into(), offset as i64, len as i64];
        cx.within(ms(1), || assert_eq!(w.call("fd_allocate", &call), Err(want), "{offset} {len}"));
    }
    let most = w.fs.max_bytes() - w.fs.used().bytes + 10;
    for (size, want) in [(1 << 63, FBig), (u64::MAX, FBig), (most + 1, NoSpc), (i64::MAX as u64, NoSpc)] {
        cx.within(ms(1), || assert_eq!(w.set_size(f, size), Err(want), "{size}"));
    }
    assert_eq!(w.fs.read("box/f"), Ok(b"0123456789".into()));
    assert_eq!(w.call("fd_allocate", &[f.into(), 2, 3]), Ok(()));
    assert_eq!(w.fstat(f).unwrap().size, 10);
    assert_eq!(w.call("fd_allocate", &[f.into(), 8, 12]), Ok(()));
    assert_eq!(w.fstat(f).unwrap().size, 20);
    assert_eq!(w.set_size(f, most), Ok(()));
    assert_eq!((w.set_size(3, 0), w.set_size(1, 0)), (Err(IsDir), Err(Inval)));
    assert_eq!((w.call("fd_allocate", &[3, 0, 1]), w.call("fd_allocate", &[1, 0, 1])), (Err(IsDir), Err(SPipe)));
}

/// Writing goes to the end, and the place too; what is written at an offset goes there all the same.
pub(super) fn w45_appending(cx: &Cx) {
    let mut w = World::new(cx);
    let rights = LOOK | WRITE;
    let one = w.open_with(3, 0, "f", 0, rights, 1).unwrap();
    let other = w.open_with(3, 0, "f", 0, rights, 1).unwrap();
    w.seek(one, 0, 0).unwrap();
    assert_eq!((w.write(one, "ab"), w.seek(one, 0, 1)), (Ok(2), Ok(12)));
    assert_eq!((w.write(other, "cd"), w.write(one, "e"), w.write(other, "f")), (Ok(2), Ok(1), Ok(1)));
    assert_eq!((w.seek(one, 0, 1), w.seek(other, 0, 1)), (Ok(15), Ok(16)));
    assert_eq!((w.pwrite(one, "X", 0), w.seek(one, 0, 1)), (Ok(1), Ok(15)));
    assert_eq!(w.fs.read("box/f"), Ok(b"X123456789abcdef".into()));
    w.call("fd_fdstat_get", &[one.into(), 0x100]).unwrap();
    assert_eq!(w.get(0x100, 4), [4, 0, 1, 0]);
    let synchronous = w.open_with(3, 0, "f", 0, rights, 1 | 16).unwrap();
    w.call("fd_fdstat_get", &[synchronous.into(), 0x100]).unwrap();
    assert_eq!(w.get(0x100, 4), [4, 0, 17, 0]);
    assert_eq!(w.write(synchronous, ""), Ok(0));
    for (flags, want) in [(0xffff, Err(Inval)), (0x20, Err(Inval)), (0x1_0000, Err(Inval)), (0, Ok(()))] {
        assert_eq!(w.call("fd_fdstat_set_flags", &[one.into(), flags]), want);
    }
    w.seek(one, 1, 0).unwrap();
    assert_eq!(w.write(one, "Y"), Ok(1));
    assert_eq!(w.fs.read("box/f"), Ok(b"XY23456789abcdef".into()));
}

pub(super) fn w46_buffers_of_listings(cx: &Cx) {
    let mut w = World::new(cx);
    let whole = w.readdir(3, 4096, 0).unwrap();
    assert_eq!(whole.len(), 5 * 24 + 1 + 2 + 3);
    for len in [0, 1, 23, 24, 25, 26, 100, whole.len() as u32] {
        assert_eq!(w.readdir(3, len, 0), Ok(whole[..len as usize].to_vec()), "{len}");
    }
    let (entries, _) = w.entries(3, 4096, 0).unwrap();
    for (number, (_, next)) in entries.iter().enumerate() {
        let (rest, end) = w.entries(3, 4096, *next).unwrap();
        assert_eq!((&rest[..], end), (&entries[number + 1..], true), "{next}");
    }
    for cookie in [1 << 63, u64::MAX, u64::MAX - 1, 1 << 40] {
        assert_eq!(w.readdir(3, 4096, cookie), Ok(vec![]), "{cookie}");
    }
    // At the very end of memory; and the count in the midst of the entries.
    assert_eq!(w.call("fd_readdir", &[3, 65536 - 100, 100, 0, 0x100]), Ok(()));
    assert_eq!(w.get(65536 - 100, 100), &whole[..100]);
    assert_eq!(w.call("fd_readdir", &[3, 65536 - 99, 100, 0, 0x100]), Err(Fault));
    assert_eq!(w.call("fd_readdir", &[3, 0, 0xffff_ffff, 0, 0x100]), Err(Fault));
    assert_eq!(w.call("fd_readdir", &[3, 65536, 0, 0, 0x100]), Ok(()));
    assert_eq!(w.call("fd_readdir", &[3, 0x5000, 4096, 0, 0x5004]), Ok(()));
    assert_eq!(w.u32(0x5004), whole.len() as u32);
    let f = w.open(3, "f", 0).unwrap();
    for fd in [f, 0, 1] {
        assert_eq!(w.readdir(fd, 100, 0), Err(NotDir));
    }
}

/// What stays is listed once, whatever comes and goes meanwhile.
pub(super) fn w47_listing_while_it_changes(cx: &Cx) {
    cx.may_take(ms(4000));
    cx.holds(64 << 20);
    let count = turns(100_000, 10_000);
    let fs = files();
    for number in 0..count {
        fs.write(&format!("box/e/{number:06}"), "").unwrap();
    }
    let mut w = World::of(cx, 1, fs, |_| {});
    let e = w.open(3, "e", DIRECTORY).unwrap();
    let mut seen = vec![0; count as usize];
    let (mut cookie, mut calls) = (0, 0);
    w.quiet = true;
    loop {
        let (entries, end) = w.entries(e, 64, cookie).unwrap();
        for (name, next) in &entries {
            cookie = *next;
            if let Ok(number) = name.parse::<usize>() {
                seen[number] += 1;
            }
        }
        calls += 1;
        // Now and then something goes, comes, and has its name changed, just where the reader is.
        if calls % 100 == 1 && calls < count / 2 {
            let at = seen.iter().rposition(|&seen| seen > 0).unwrap_or(0) & !1;
            for gone in [at + 1, at + 101] {
                let _ = w.unlink(e, format!("{gone:06}"));
                seen.get_mut(gone).into_iter().for_each(|seen| *seen = 1);
            }
            w.open(e, format!("new{calls}"), CREAT).and_then(|fd| w.close(fd)).unwrap();
            if let Ok(()) = w.rename(e, format!("{at:06}"), e, format!("moved{calls}")) {
                seen[at] = 1;
            }
        }
        if end {
            break;
        }
    }
    let missing = seen.iter().filter(|&&seen| seen != 1).count();
    assert_eq!(missing, 0);
}
