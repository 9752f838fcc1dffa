//! What is open: numbers, rights, and what is said of it.

use jitless::wasi::fs::MemFs;
use jitless::wasi::{self, Errno, Errno::*, WasiCtx};
use jitless::{ErrorKind, Linker, Store};

use super::world::*;
use crate::harness::*;

/// Rights that a directory does not hand on are left out, but for reading and writing, without which a guest is refused.
pub(super) fn w28_rights(cx: &Cx) {
    let mut w = World::new(cx);
    let [dir, handed] = w.rights(3);
    // A directory has neither contents nor a size, and no place in them.
    assert_eq!((dir & handed, dir & (READ | WRITE | 1 << 2 | 1 << 5 | 1 << 8 | 1 << 22)), (dir, 0));
    let all = w.open_with(3, 0, "f", 0, -1, 0).unwrap();
    assert_eq!(w.rights(all), [handed & !dir | w.rights(all)[0] & dir, 0]);
    assert_eq!(w.rights(all)[0] & (READ | WRITE), READ | WRITE);
    let d = w.open_with(3, 0, "d", DIRECTORY.into(), !WRITE, 0).unwrap();
    assert_eq!(w.rights(d), [dir, handed]);
    // What a directory hands on is not asked for.
    w.put(0x1000, b"d");
    w.call("path_open", &[3, 0, 0x1000, 1, 2, dir, 0, 0, 0x100]).unwrap();
    let other = w.u32(0x100);
    assert_eq!(w.rights(other), [dir, handed]);
    // Fewer, never more.
    let set = |w: &mut World<'_>, fd: u32, rights: i64, inheriting| {
        w.call("fd_fdstat_set_rights", &[fd.into(), rights, inheriting])
    };
    assert_eq!(set(&mut w, d, dir, handed & !WRITE), Ok(()));
    assert_eq!(set(&mut w, d, dir, handed), Err(NotCapable));
    assert_eq!(set(&mut w, d, -1, 0), Err(NotCapable));
    assert_eq!(w.rights(d), [dir, handed & !WRITE]);
    assert_eq!(w.open_with(d, 0, "g", 0, READ | WRITE, 0), Err(NotCapable));
    assert_eq!(w.open_with(d, 0, "g", 0, -1, 0), Err(NotCapable));
    let g = w.open_with(d, 0, "g", 0, READ | 1 << 60, 0).unwrap();
    assert_eq!(w.rights(g), [READ, 0]);
    assert_eq!(w.read(g, 1), Ok(b"g".into()));
    for (call, args, want) in [
        ("fd_pread", vec![0x200, 1, 0, 100], NotCapable),
        ("fd_seek", vec![0, 0, 100], NotCapable),
        ("fd_tell", vec![100], NotCapable),
        ("fd_write", vec![0x200, 1, 100], NotCapable),
        ("fd_pwrite", vec![0x200, 1, 0, 100], NotCapable),
        ("fd_filestat_get", vec![100], NotCapable),
        ("fd_filestat_set_size", vec![0], NotCapable),
        ("fd_filestat_set_times", vec![0, 0, 0], NotCapable),
        ("fd_allocate", vec![0, 1], NotCapable),
        ("fd_advise", vec![0, 1, 0], NotCapable),
        ("fd_sync", vec![], NotCapable),
        ("fd_datasync", vec![], NotCapable),
        ("fd_fdstat_set_flags", vec![0], NotCapable),
        ("fd_readdir", vec![0x5000, 100, 0, 100], NotDir),
    ] {
        let args: Vec<i64> = [i64::from(g)].into_iter().chain(args).collect();
        assert_eq!(w.call(call, &args), Err(want), "{call}");
    }
    assert_eq!(set(&mut w, g, 0, 0), Ok(()));
    assert_eq!(w.read(g, 1), Err(NotCapable));
    // Cutting a file off by opening it is a right of the directory, whatever may be done to the file then.
    let size = 1 << 19;
    let t = w.open_with(3, 0, "d", DIRECTORY.into(), !WRITE, 0).unwrap();
    assert_eq!(set(&mut w, t, dir, handed & !(1 << 22)), Ok(()));
    assert!(w.open_for(t, "g", TRUNC, 0).is_ok());
    assert_eq!(set(&mut w, t, dir & !size, handed & !(1 << 22)), Ok(()));
    assert_eq!(w.open_for(t, "g", TRUNC, 0), Err(NotCapable));
    // Waiting needs a right too, and says so in its event.
    for (fd, rights, want) in [(0, 0, NotCapable), (all, READ, NotCapable), (0, 0, NotCapable)] {
        set(&mut w, fd, rights, 0).unwrap();
        assert_eq!(w.event_of(1, fd), (want as u16, 0), "{fd}");
    }
    // Every call with a path, through a directory that allows nothing.
    let none = w.open_with(3, 0, ".", 0, 0, 0).unwrap();
    let results = [
        w.open(none, "f", 0).map(drop),
        w.stat(none, "f", 0).map(drop),
        w.set_times(none, "f", 0, [0, 0], 5),
        w.mkdir(none, "k"),
        w.rmdir(none, "e"),
        w.unlink(none, "f"),
        w.symlink("f", none, "k"),
        w.readlink(none, "f", 10).map(drop),
        w.link(none, 0, "f", 3, "k"),
        w.link(3, 0, "f", none, "k"),
        w.rename(none, "f", 3, "k"),
        w.rename(3, "f", none, "k"),
        w.list(none).map(drop),
        w.fstat(none).map(drop),
    ];
    assert_eq!(results, [Err(NotCapable); 14]);
}

/// A stream is no directory, nor is a file.
pub(super) fn w29_what_is_no_directory(cx: &Cx) {
    let mut w = World::new(cx);
    let f = w.open(3, "f", 0).unwrap();
    w.close(4).unwrap();
    for (fd, want) in [(f, NotDir), (1, NotDir), (4, BadF), (99, BadF), (0xffff_ffff, BadF), (0x8000_0000, BadF)] {
        assert_eq!(w.open(fd, "g", FOLLOW | CREAT), Err(want), "{fd}");
        assert_eq!(w.mkdir(fd, "g"), Err(want), "{fd}");
        assert_eq!(w.rename(3, "f", fd, "g"), Err(want), "{fd}");
        assert_eq!(w.list(fd), Err(want), "{fd}");
    }
}

/// What moves takes everything with it, also that it was open from the start.
pub(super) fn w30_renumbering(cx: &Cx) {
    let mut w = World::new(cx);
    let renumber = |w: &mut World<'_>, from: u32, to: u32| w.call("fd_renumber", &[from.into(), to.into()]);
    let f = w.open(3, "f", 0).unwrap();
    let g = w.open_rw(3, "d/g", 0).unwrap();
    w.seek(f, 4, 0).unwrap();
    let rights = w.rights(f);
    assert_eq!(renumber(&mut w, f, g), Ok(()));
    assert_eq!((w.read(g, 2), w.rights(g)), (Ok(b"45".into()), rights));
    for (from, to, want) in [
        (g, g, Ok(())),
        (f, g, Err(BadF)),
        (g, f, Err(BadF)),
        (g, 0xffff_ffff, Err(BadF)),
        (g, 1_000_000_000, Err(BadF)),
        (0xffff_ffff, g, Err(BadF)),
        (f, f, Err(BadF)),
        (3, 1, Ok(())),
        (g, 4, Ok(())),
    ] {
        assert_eq!(renumber(&mut w, from, to), want, "{from} {to}");
    }
    assert_eq!(w.stat(3, "f", 0), Err(BadF));
    assert!(w.stat(1, "f", 0).is_ok());
    assert_eq!(w.call("fd_prestat_get", &[1, 100]), Ok(()));
    assert_eq!(w.call("fd_prestat_get", &[4, 100]), Err(BadF));
    assert_eq!(w.read(4, 2), Ok(b"67".into()));
}

pub(super) fn w31_a_million_renumberings(cx: &Cx) {
    let mut w = World::new(cx);
    cx.may_take(ms(8000));
    let place = w.open(3, "f", 0).unwrap();
    let rounds = turns(1_000_000, 10_000);
    let round = |w: &mut World<'_>| {
        let fd = w.open(3, "f", 0).unwrap();
        assert_eq!(fd, place + 1);
        w.call("fd_renumber", &[fd.into(), place.into()]).unwrap();
    };
    w.quiet = true;
    round(&mut w);
    let live = cx.live();
    for _ in 0..rounds {
        round(&mut w);
    }
    assert!(cx.live() - live < 4096 + 64 * 32, "{} bytes more", cx.live() - live);
}

/// The lowest number that is free is the next. What the host has of its own stays open.
pub(super) fn w32_closing(cx: &Cx) {
    let mut w = World::new(cx);
    for fd in [0, 1, 2, 3] {
        assert_eq!(w.close(fd), Ok(()));
        assert_eq!(w.close(fd), Err(BadF));
    }
    assert_eq!(w.write(1, "x"), Err(BadF));
    assert_eq!(w.read(0, 1), Err(BadF));
    assert_eq!(w.call("fd_prestat_get", &[3, 100]), Err(BadF));
    assert_eq!(w.call("fd_prestat_get", &[4, 100]), Ok(()));
    for fd in [0, 1, 2, 3, 5, 6] {
        assert_eq!(w.open(4, "r", 0), Ok(fd));
    }
    w.close(2).unwrap();
    assert_eq!(w.open(4, "r", 0), Ok(2));
    assert!(w.out.is_empty());
}

/// As many as the builder says, those from the start included.
pub(super) fn w33_too_many_open(cx: &Cx) {
    for max in [1024, 100] {
        let mut w = World::with(cx, 1, |ctx| _ = if max == 100 { ctx.max_files(100) } else { ctx });
        for _ in 0..3 {
            for fd in 5..max {
                assert_eq!(w.open(3, "f", 0), Ok(fd));
            }
            assert_eq!(w.open(3, "f", 0), Err(MFile));
            // Nothing is made or cut off that could not be opened.
            assert_eq!(w.open_rw(3, "f", TRUNC), Err(MFile));
            assert_eq!(w.open(3, "new", CREAT), Err(MFile));
            assert_eq!((w.stat(3, "new", 0), w.stat(3, "f", 0).unwrap().size), (Err(NoEnt), 10));
            for fd in (5..max).rev() {
                w.close(fd).unwrap();
            }
        }
    }
}

pub(super) fn w34_results_out_of_memory(cx: &Cx) {
    let mut w = World::new(cx);
    w.put(0x1000, b"new");
    for result in [65533, 65536, 0xffff_fffc, 0xffff_ffff] {
        assert_eq!(w.call("path_open", &[3, 0, 0x1000, 3, 1, LOOK, 0, 0, result]), Err(Fault), "{result}");
        assert_eq!(w.call("path_filestat_get", &[3, 0, 0x1000, 3, result]), Err(Fault), "{result}");
        assert_eq!(w.call("path_readlink", &[3, 0x1000, 3, 0, 1, result]), Err(Fault), "{result}");
    }
    assert_eq!(w.stat(3, "new", 0), Err(NoEnt));
    assert_eq!(w.open(3, "f", 0), Ok(5));
    assert_eq!(w.call("path_open", &[3, 0, 0x1000, 3, 1, LOOK, 0, 0, 65532]), Ok(()));
    assert_eq!(w.u32(65532), 6);
}

pub(super) fn w55_names_of_mounts(cx: &Cx) {
    let mut w = World::new(cx);
    let name = |w: &mut World<'_>, fd, ptr, len| w.call("fd_prestat_dir_name", &[fd, ptr, len]);
    w.call("fd_prestat_get", &[3, 0x5000]).unwrap();
    assert_eq!(w.get(0x5000, 8), [0, 0, 0, 0, 4, 0, 0, 0]);
    w.put(0x5000, &[9; 8]);
    for len in [3, 0] {
        assert_eq!(name(&mut w, 3, 0x5000, len), Err(NameTooLong));
    }
    assert_eq!(w.get(0x5000, 8), [9; 8]);
    for len in [4, 5, 0xffff_ffff] {
        assert_eq!(name(&mut w, 3, 0x5000, len), Ok(()));
        assert_eq!(w.get(0x5000, 8), b"/box\x09\x09\x09\x09");
    }
    assert_eq!(name(&mut w, 3, 65532, 4), Ok(()));
    assert_eq!(name(&mut w, 3, 65533, 4), Err(Fault));
    assert_eq!(name(&mut w, 5, 0x5000, 5), Err(BadF));
    assert_eq!(name(&mut w, 0, 0x5000, 5), Err(BadF));
    assert_eq!(w.call("fd_prestat_get", &[4, 65529]), Err(Fault));
}

pub(super) fn w61_commands_and_reactors(cx: &Cx) {
    let start = "(func (export \"_start\"))";
    let initialize = "(func (export \"_initialize\"))";
    let both = format!("{start}{initialize}");
    for (exports, command, reactor) in [
        ("", Some("a command exports a function `_start`"), None),
        (start, None, Some("a reactor exports no function `_start`")),
        (initialize, Some("a command exports no function `_initialize`"), None),
        (&both, Some("a command exports no function"), Some("a reactor exports no function")),
        ("(func (export \"_start\") (param i32))", Some("_start"), Some("a reactor exports no")),
        ("(func (export \"_start\") (result i32) i32.const 0)", Some("_start"), Some("a reactor exports no")),
        ("(global (export \"_start\") i32 (i32.const 0))", Some("_start"), Some("a reactor exports no")),
        ("(func (export \"_initialize\") (param i32))", Some("a command exports no"), Some("_initialize")),
        ("(memory (export \"_initialize\") 1)", Some("a command exports no"), Some("_initialize")),
    ] {
        let mut guest = cx.guest(&format!("(module {exports})"));
        let instance = guest.instance;
        let results =
            [wasi::run_command(&mut guest.store, &instance).map(drop), wasi::initialize(&mut guest.store, &instance)];
        for (result, want) in results.into_iter().zip([command, reactor]) {
            match (result, want) {
                (Ok(()), None) => {}
                (Err(error), Some(text)) => {
                    assert_eq!(error.kind(), ErrorKind::Argument, "{exports}: {error}");
                    assert!(error.to_string().contains(text), "{exports}: {error}");
                }
                (result, want) => panic!("{exports}: {result:?}, not {want:?}"),
            }
        }
    }
    // How it ends is a value; what it did wrong is none.
    let mut world = cx.world(());
    world
        .linker
        .func_wrap("h", "exit", |code: i32| -> jitless::Result<()> { Err(jitless::Error::exit(code)) })
        .unwrap();
    for (body, want) in
        [("(call 0 (i32.const 3))", Some(3)), ("(call 0 (i32.const 0))", Some(0)), ("unreachable", None)]
    {
        let text = format!("(module (import \"h\" \"exit\" (func (param i32))) (func (export \"_start\") {body}))");
        let instance = world.try_add(&text).unwrap();
        assert_eq!(wasi::run_command(&mut world.store, &instance).ok(), want);
    }
}

/// There are no sockets, and there is no signal. What WASI does not have does not link, unless the host wants it to.
pub(super) fn w62_sockets_signals_unknown_names(cx: &Cx) {
    let mut w = World::new(cx);
    for (call, args) in [
        ("sock_accept", vec![0, 100]),
        ("sock_recv", vec![0x200, 1, 0, 100, 104]),
        ("sock_send", vec![0x200, 1, 0, 100]),
        ("sock_shutdown", vec![3]),
    ] {
        for (fd, want) in [(0, NotSock), (1, NotSock), (3, NotSock), (99, BadF), (0xffff_ffff, BadF)] {
            let args: Vec<i64> = [fd].into_iter().chain(args.iter().copied()).collect();
            assert_eq!(w.call(call, &args), Err(want), "{call} {fd}");
        }
    }
    for signal in [0, 9, 255, 0xffff_ffff] {
        assert_eq!(w.call("proc_raise", &[signal]), Err(NoSys));
    }
    let module = cx.accepts_wat(
        r#"(module (import "wasi_snapshot_preview1" "nope" (func (param i64) (result i32)))
            (import "wasi_unstable" "sock_accept" (func (result i32)))
            (import "wasi_unstable" "sock_accept" (func (result i32)))
            (func (export "nope") (result i32) (call 0 (i64.const 1)))
            (func (export "sock_accept") (result i32) (call 2)))"#,
    );
    let mut linker = Linker::new(&cx.engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let mut store = Store::new(&cx.engine, WasiCtx::builder().build().unwrap());
    let error = linker.instantiate(&mut store, &module).unwrap_err();
    assert_eq!((error.kind(), error.import_errors().len()), (ErrorKind::Link, 3));
    wasi::add_unknown_to_linker(&mut linker, &module).unwrap();
    let mut guest = Guest::new(cx, store, linker, &module);
    for name in ["nope", "sock_accept"] {
        guest.gives(name, &[], &vals![NoSys as i32]);
    }
}

/// What comes of making one thing more.
fn made(w: &mut World<'_>) -> [R; 3] {
    [w.mkdir(3, "c"), w.open(3, "c", CREAT).map(drop), w.symlink("f", 3, "c")]
}

/// Each to the last unit, again and again.
pub(super) fn w63_quotas_to_the_last_unit(cx: &Cx) {
    let (empty, (name, node)) = (fill(MemFs::new()).used(), costs());
    // Bytes: two files and what is in them.
    let fs = fill(MemFs::builder().max_bytes(empty.bytes + 2 * (name + node) + 100).build());
    let mut w = World::of(cx, 1, fs, |_| {});
    for _ in 0..turns(1000, 50) {
        let [a, b] = ["a", "b"].map(|path| w.open_rw(3, path, CREAT).unwrap());
        assert_eq!(w.write(a, [1; 60]), Ok(60));
        assert_eq!(w.write(b, [1; 60]), Ok(40));
        assert_eq!((w.write(b, [1]), w.write(a, [1])), (Err(NoSpc), Err(NoSpc)));
        assert_eq!(made(&mut w), [Err(NoSpc); 3]);
        assert_eq!(w.set_size(a, 0), Ok(()));
        assert_eq!(w.set_size(b, 101), Err(NoSpc));
        assert_eq!(w.set_size(b, 100), Ok(()));
        assert_eq!(w.fs.used().bytes, w.fs.max_bytes());
        // The name is gone, and the file is still open.
        w.unlink(3, "b").unwrap();
        assert_eq!((w.pwrite(a, [1; 200], 0), w.pwrite(a, [1], name)), (Ok(name as u32), Err(NoSpc)));
        w.close(b).unwrap();
        w.unlink(3, "a").unwrap();
        w.close(a).unwrap();
        assert_eq!(w.fs.used(), empty);
    }
    // Files.
    let fs = fill(MemFs::builder().max_files(empty.files + 2).build());
    let mut w = World::of(cx, 1, fs, |_| {});
    for _ in 0..turns(1000, 50) {
        assert_eq!((w.mkdir(3, "a"), w.symlink("f", 3, "b")), (Ok(()), Ok(())));
        assert_eq!(made(&mut w), [Err(NoSpc); 3]);
        assert_eq!(w.link(3, 0, "f", 3, "c"), Ok(()), "a name is no file");
        assert_eq!((w.rmdir(3, "a"), w.unlink(3, "b"), w.unlink(3, "c")), (Ok(()), Ok(()), Ok(())));
        assert_eq!(w.fs.used(), empty);
    }
}

/// A directory reaches the disk as a file does; a stream cannot be told to.
pub(super) fn w65_advice_and_the_disk(cx: &Cx) {
    let mut w = World::new(cx);
    let f = w.open_rw(3, "f", 0).unwrap();
    let advise = |w: &mut World<'_>, fd: u32, offset: u64, len: u64, advice| {
        w.call("fd_advise", &[fd.into(), offset as i64, len as i64, advice])
    };
    for advice in 0..6 {
        assert_eq!(advise(&mut w, f, 0, 10, advice), Ok(()));
    }
    for advice in [6, 255, 0xffff_ffff] {
        assert_eq!(advise(&mut w, f, 0, 10, advice), Err(Inval));
    }
    assert_eq!(advise(&mut w, f, u64::MAX, 1, 0), Err(Inval));
    assert_eq!(advise(&mut w, f, u64::MAX, 0, 0), Ok(()));
    assert_eq!((advise(&mut w, 3, 0, 1, 0), advise(&mut w, 0, 0, 1, 0)), (Err(IsDir), Err(SPipe)));
    for call in ["fd_sync", "fd_datasync"] {
        let wants: [(u32, Result<(), Errno>); 5] =
            [(f, Ok(())), (3, Ok(())), (0, Err(Inval)), (1, Err(Inval)), (99, Err(BadF))];
        for (fd, want) in wants {
            assert_eq!(w.call(call, &[fd.into()]), want, "{call} {fd}");
        }
    }
}
