//! Where paths lead, and what may be done there.

use std::time::Duration;

use jitless::wasi::Errno::*;
use jitless::wasi::fs::MemFs;

use super::world::*;
use crate::harness::*;

pub(super) fn w1_ways_out(cx: &Cx) {
    let mut w = World::new(cx);
    for path in
        ["../secret/key", "d/../../secret/key", "./../secret/key", "..", "d/../..", "../box/f", "../", "d/../../"]
    {
        assert_eq!(w.open(3, path, FOLLOW), Err(NotCapable), "{path}");
        assert_eq!(w.stat(3, path, 0), Err(NotCapable), "{path}");
        assert_eq!(w.mkdir(3, path), Err(NotCapable), "{path}");
        assert_eq!(w.unlink(3, path), Err(NotCapable), "{path}");
        assert_eq!(w.rename(3, "f", 3, path), Err(NotCapable), "{path}");
        assert_eq!(w.link(3, 0, path, 3, "h"), Err(NotCapable), "{path}");
    }
    w.nothing_outside();
}

pub(super) fn w2_ways_round(cx: &Cx) {
    let mut w = World::new(cx);
    for path in ["d/..", "d/../f", "./f", "d//g", ".", "d/../d/../d/g", "./././e/../f", "e/."] {
        let fd = w.open(3, path, 0).expect(path);
        w.close(fd).unwrap();
    }
}

pub(super) fn w3_absolute_paths(cx: &Cx) {
    let mut w = World::new(cx);
    for path in ["/secret/key", "/box/f", "//f", "/", "/../secret/key"] {
        assert_eq!(w.open(3, path, FOLLOW), Err(NotCapable), "{path}");
        assert_eq!(w.mkdir(3, path), Err(NotCapable), "{path}");
    }
}

/// A guest cannot make such a link; one that is there leads nowhere.
pub(super) fn w4_links_to_roots(cx: &Cx) {
    let mut w = World::new(cx);
    assert_eq!(w.symlink("/secret/key", 3, "a"), Err(NotCapable));
    assert_eq!(w.symlink("/", 3, "a"), Err(NotCapable));
    assert_eq!(w.open(3, "a", FOLLOW), Err(NoEnt));
    w.fs.symlink("/secret/key", "box/a").unwrap();
    w.fs.symlink("/", "box/d/root").unwrap();
    for path in ["a", "d/root", "d/root/box/f"] {
        assert_eq!(w.open(3, path, FOLLOW), Err(NotCapable), "{path}");
        assert_eq!(w.stat(3, path, FOLLOW), Err(NotCapable), "{path}");
    }
    assert_eq!(w.open(3, "a", 0), Err(Loop));
}

pub(super) fn w5_links_that_lead_out(cx: &Cx) {
    let mut w = World::new(cx);
    let make = |w: &mut World<'_>| w.symlink("../secret/key", 3, "b").unwrap();
    make(&mut w);
    assert_eq!(w.open(3, "b", FOLLOW), Err(NotCapable));
    assert_eq!(w.open_rw(3, "b", FOLLOW | TRUNC), Err(NotCapable));
    assert_eq!(w.open(3, "b", 0), Err(Loop));
    assert_eq!(w.stat(3, "b", FOLLOW), Err(NotCapable));
    assert_eq!(w.stat(3, "b", 0).map(|stat| (stat.sort, stat.size)), Ok((7, 13)));
    assert_eq!(w.set_times(3, "b", FOLLOW, [5, 5], 5), Err(NotCapable));
    assert_eq!(w.set_times(3, "b", 0, [5, 6], 5), Ok(()));
    assert_eq!(w.stat(3, "b", 0).map(|stat| (stat.accessed, stat.modified)), Ok((5, 6)));
    assert_eq!(w.link(3, FOLLOW, "b", 3, "h"), Err(NotCapable));
    assert_eq!(w.link(3, 0, "b", 3, "h"), Ok(()));
    assert_eq!(w.readlink(3, "h", 100), Ok(b"../secret/key".into()));
    assert_eq!(w.rename(3, "b", 3, "c"), Ok(()));
    assert_eq!(w.readlink(3, "c", 100), Ok(b"../secret/key".into()));
    assert_eq!(w.unlink(3, "c"), Ok(()));
    w.nothing_outside();
}

pub(super) fn w6_links_gain_no_depth(cx: &Cx) {
    let mut w = World::new(cx);
    w.symlink(".", 3, "x").unwrap();
    w.symlink("..", 3, "d/up").unwrap();
    for path in ["x/../../secret/key", "x/../secret/key", "x/x/x/../../secret/key", "d/up/../secret/key"] {
        assert_eq!(w.open(3, path, FOLLOW), Err(NotCapable), "{path}");
    }
    for path in ["x/f", "x/x/x/x/f", "d/up/f", "d/up/d/up/f"] {
        assert!(w.open(3, path, FOLLOW).is_ok(), "{path}");
    }
}

pub(super) fn w7_parents_are_physical(cx: &Cx) {
    let mut w = World::new(cx);
    w.symlink("d", 3, "s").unwrap();
    w.mkdir(3, "d/sub").unwrap();
    w.symlink("d/sub", 3, "t").unwrap();
    let f = w.open(3, "s/../f", FOLLOW).unwrap();
    assert_eq!(w.read(f, 20), Ok(b"0123456789".into()));
    let g = w.open(3, "t/../g", FOLLOW).unwrap();
    assert_eq!(w.read(g, 20), Ok(b"gg".into()));
    assert_eq!(w.open(3, "t/../f", FOLLOW), Err(NoEnt));
}

/// Forty links are followed, whatever stands between them.
pub(super) fn w8_links_upon_links(cx: &Cx) {
    let mut w = World::new(cx);
    for (name, target) in [("p", "q"), ("q", "p"), ("z", "z")] {
        w.symlink(target, 3, name).unwrap();
        assert_eq!(w.open(3, name, FOLLOW), Err(if name == "p" { NoEnt } else { Loop }), "{name}");
        assert_eq!(w.open(3, name, 0), Err(Loop));
    }
    assert_eq!(w.open(3, "p", FOLLOW), Err(Loop));
    let mut target = "f".to_owned();
    for number in 1..=41 {
        w.symlink(&target, 3, format!("c{number}")).unwrap();
        target = format!("c{number}");
    }
    assert!(w.open(3, "c40", FOLLOW).is_ok());
    assert_eq!(w.open(3, "c41", FOLLOW), Err(Loop));
    w.symlink("d", 3, "l0").unwrap();
    for number in 1..=30 {
        let below = number - 1;
        w.symlink(format!("l{below}/../l{below}"), 3, format!("l{number}")).unwrap();
    }
    assert!(w.open(3, "l4", FOLLOW).is_ok());
    let far = "././".repeat(1000);
    w.fs.symlink(&format!("{far}big"), "box/big").unwrap();
    for path in ["l30", "l30/g", "big"] {
        cx.within(Duration::from_millis(1), || assert_eq!(w.open(3, path, FOLLOW), Err(Loop), "{path}"));
    }
}

/// A link that dangles is followed to make what it points to, unless it has to be new.
pub(super) fn w9_dangling_links(cx: &Cx) {
    let mut w = World::new(cx);
    w.symlink("nowhere", 3, "n").unwrap();
    assert_eq!(w.open(3, "n", FOLLOW), Err(NoEnt));
    assert_eq!(w.open(3, "n", FOLLOW | CREAT | EXCL), Err(Exist));
    assert_eq!(w.open(3, "n", 0), Err(Loop));
    assert_eq!(w.open(3, "n", CREAT), Err(Loop));
    assert_eq!(w.open(3, "n", DIRECTORY), Err(Loop));
    assert_eq!(w.stat(3, "n", FOLLOW), Err(NoEnt));
    assert!(w.open(3, "n", FOLLOW | CREAT).is_ok());
    assert_eq!(w.stat(3, "nowhere", 0).map(|stat| stat.sort), Ok(4));
}

pub(super) fn w10_no_creation_outside(cx: &Cx) {
    let mut w = World::new(cx);
    w.symlink("../secret/new", 3, "o").unwrap();
    w.symlink("../secret", 3, "dir").unwrap();
    for (path, flags) in [("o", FOLLOW | CREAT), ("dir/new", CREAT), ("dir/new", FOLLOW | CREAT | EXCL)] {
        assert_eq!(w.open_rw(3, path, flags), Err(NotCapable), "{path}");
    }
    assert_eq!(w.mkdir(3, "dir/new"), Err(NotCapable));
    assert_eq!(w.symlink("x", 3, "dir/new"), Err(NotCapable));
    assert_eq!(w.rename(3, "f", 3, "dir/new"), Err(NotCapable));
    assert_eq!(w.link(3, 0, "f", 3, "dir/new"), Err(NotCapable));
    w.nothing_outside();
}

/// A slash is as good as a dot: what is before it has to be a directory. A file cannot be made with one.
pub(super) fn w11_slashes_at_the_end(cx: &Cx) {
    let mut w = World::new(cx);
    for path in ["f/", "f///", "f/.", "f/.."] {
        assert_eq!(w.open(3, path, 0), Err(NotDir), "{path}");
        assert_eq!(w.stat(3, path, FOLLOW), Err(NotDir), "{path}");
    }
    for path in ["d/", "d///", "d/."] {
        assert!(w.open(3, path, 0).is_ok(), "{path}");
    }
    assert_eq!(w.mkdir(3, "n/"), Ok(()));
    assert_eq!(w.unlink(3, "f/"), Err(NotDir));
    assert_eq!(w.unlink(3, "e/"), Err(IsDir));
    assert_eq!(w.rmdir(3, "f/"), Err(NotDir));
    assert_eq!(w.rmdir(3, "e/"), Ok(()));
    assert_eq!(w.open(3, "new/", CREAT), Err(IsDir));
    assert_eq!(w.rename(3, "f/", 3, "k"), Err(NotDir));
    assert_eq!(w.rename(3, "f", 3, "k/"), Err(NotDir));
    assert_eq!(w.rename(3, "f", 3, "d/"), Err(IsDir));
    assert_eq!(w.rename(3, "n/", 3, "m/"), Ok(()));
    assert_eq!(w.link(3, 0, "f", 3, "k/"), Err(NoEnt));
    assert_eq!(w.link(3, 0, "f/", 3, "k"), Err(NotDir));
}

/// A slash does not make a link be followed that would not be otherwise: a link is no directory.
pub(super) fn w12_slashes_do_not_follow(cx: &Cx) {
    for target in ["../secret", "d"] {
        let mut w = World::new(cx);
        w.symlink(target, 3, "b").unwrap();
        for path in ["b/", "b///"] {
            assert_eq!(w.open(3, path, 0), Err(Loop));
            assert_eq!(w.open(3, path, DIRECTORY), Err(Loop));
            assert_eq!(w.stat(3, path, 0), Err(NotDir));
            assert_eq!(w.set_times(3, path, 0, [0, 0], 5), Err(NotDir));
            assert_eq!(w.readlink(3, path, 100), Err(NotDir));
            assert_eq!(w.unlink(3, path), Err(NotDir));
            assert_eq!(w.rmdir(3, path), Err(NotDir));
            assert_eq!(w.rename(3, path, 3, "c"), Err(NotDir));
            assert_eq!(w.link(3, 0, path, 3, "h"), Err(NotDir));
            assert_eq!(w.mkdir(3, path), Err(Exist));
        }
        assert_eq!(w.symlink("f", 3, "y/"), Err(NoEnt));
        let followed = w.open(3, "b/", FOLLOW | DIRECTORY);
        if target == "d" {
            assert!(followed.is_ok())
        } else {
            assert_eq!(followed, Err(NotCapable))
        }
        w.nothing_outside();
    }
}

pub(super) fn w13_empty_paths(cx: &Cx) {
    let mut w = World::new(cx);
    let results = [
        w.open(3, "", FOLLOW | CREAT).map(drop),
        w.stat(3, "", 0).map(drop),
        w.mkdir(3, ""),
        w.unlink(3, ""),
        w.rmdir(3, ""),
        w.rename(3, "", 3, "k"),
        w.rename(3, "f", 3, ""),
        w.symlink("", 3, "k"),
        w.symlink("f", 3, ""),
        w.link(3, 0, "", 3, "k"),
        w.link(3, 0, "f", 3, ""),
        w.readlink(3, "", 10).map(drop),
        w.set_times(3, "", 0, [0, 0], 5),
    ];
    assert_eq!(results, [Err(NoEnt); 13]);
}

pub(super) fn w14_zero_bytes(cx: &Cx) {
    let mut w = World::new(cx);
    for path in ["f\0", "f\0/../../secret/key", "\0", "d/\0"] {
        assert_eq!(w.open(3, path, FOLLOW), Err(Inval), "{path:?}");
        assert_eq!(w.open(3, path, CREAT), Err(Inval), "{path:?}");
        assert_eq!(w.symlink(path, 3, "k"), Err(Inval), "{path:?}");
        assert_eq!(w.rename(3, "f", 3, path), Err(Inval), "{path:?}");
    }
}

pub(super) fn w15_what_is_not_utf8(cx: &Cx) {
    let mut w = World::new(cx);
    for path in [&b"\xff\xfe"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"d/\x80"] {
        assert_eq!(w.open(3, path, CREAT), Err(IlSeq), "{path:?}");
        assert_eq!(w.mkdir(3, path), Err(IlSeq), "{path:?}");
        assert_eq!(w.symlink(path, 3, "k"), Err(IlSeq), "{path:?}");
    }
}

/// A path has at most 4096 bytes, a name 255.
pub(super) fn w16_lengths_of_paths(cx: &Cx) {
    let mut w = World::with(cx, 16, |_| {});
    let name = |len| "n".repeat(len);
    assert!(w.open(3, name(255), CREAT).is_ok());
    assert_eq!(w.open(3, name(256), CREAT), Err(NameTooLong));
    assert_eq!(w.open(3, name(100_000), CREAT), Err(NameTooLong));
    assert_eq!(w.open(3, format!("{}f", "./".repeat(2047)), 0).map(|_| ()), Ok(()));
    assert_eq!(w.open(3, format!("{}f", "./".repeat(2048)), 0), Err(NameTooLong));
    assert_eq!(w.symlink(name(4096), 3, "long"), Ok(()));
    assert_eq!(w.symlink(name(4097), 3, "longer"), Err(NameTooLong));
    for (part, count) in [("a/", 32_000), ("../", 20_000), ("./", 30_000), ("d/../", 20_000), ("/", 100_000)] {
        let path = part.repeat(count) + "f";
        assert_eq!(w.open(3, &path, FOLLOW), Err(NameTooLong), "{part}");
    }
    for (path, want) in [
        ("d/../".repeat(819) + "f", Ok(())),
        ("../".repeat(1365), Err(NotCapable)),
        ("d".to_owned() + &"/".repeat(4000), Ok(())),
        ("x/".repeat(2048), Err(NoEnt)),
    ] {
        cx.within(ms(1), || {
            let opened = w.open(3, &path, FOLLOW);
            assert_eq!(opened.map(|fd| w.close(fd).unwrap()), want, "{}", &path[..8]);
        });
    }
}

pub(super) fn w17_pointers_to_paths(cx: &Cx) {
    let mut w = World::new(cx);
    for (ptr, len, want) in [
        (65535, 2, Fault),
        (0xffff_ffff, 0xffff_ffff, Fault),
        (65536, 0, NoEnt),
        (65537, 0, Fault),
        (0, 0xffff_ffff, Fault),
    ] {
        assert_eq!(w.call("path_open", &[3, 1, ptr, len, 1, LOOK, 0, 0, 100]), Err(want), "{ptr} {len}");
        assert_eq!(w.call("path_create_directory", &[3, ptr, len]), Err(want), "{ptr} {len}");
        assert_eq!(w.call("path_unlink_file", &[3, ptr, len]), Err(want), "{ptr} {len}");
        assert_eq!(w.call("path_remove_directory", &[3, ptr, len]), Err(want), "{ptr} {len}");
        assert_eq!(w.call("path_filestat_get", &[3, 0, ptr, len, 100]), Err(want), "{ptr} {len}");
        assert_eq!(w.call("path_symlink", &[ptr, len, 3, 0, 1]), Err(want), "{ptr} {len}");
        assert_eq!(w.call("path_readlink", &[3, ptr, len, 0, 1, 100]), Err(want), "{ptr} {len}");
    }
}

/// They are names like any other.
pub(super) fn w18_names_of_other_systems(cx: &Cx) {
    let mut w = World::new(cx);
    let names = [
        "CON",
        "COM1",
        "COM¹",
        "nul.txt",
        "C:\\x",
        "..\\secret\\key",
        "d\\g",
        "file::$DATA",
        "~",
        "...",
        " ",
        "a\nb",
        "\u{202e}x",
    ];
    for name in names {
        let fd = w.open_rw(3, name, CREAT | EXCL).unwrap();
        assert_eq!(w.write(fd, name), Ok(name.len() as u32));
        assert_eq!(w.fs.read(&format!("box/{name}")).as_deref(), Ok(name.as_bytes()));
    }
    let listed = w.list(3).unwrap();
    assert!(names.iter().all(|name| listed.iter().any(|found| found == name)), "{listed:?}");
    for path in ["/dev/null", "/proc/self/mem"] {
        assert_eq!(w.open(3, path, FOLLOW), Err(NotCapable));
    }
    w.nothing_outside();
}

pub(super) fn w19_renaming(cx: &Cx) {
    let mut w = World::new(cx);
    w.open(3, "f2", CREAT).unwrap();
    w.mkdir(3, "d2").unwrap();
    for (old, new, want) in [
        ("f2", "f", Ok(())),
        ("d2", "e", Ok(())),
        ("e", "d", Err(NotEmpty)),
        ("e", "f", Err(NotDir)),
        ("f", "e", Err(IsDir)),
        ("d", "d/x", Err(Inval)),
        ("d", "d/x/y", Err(NoEnt)),
        ("f", "f", Ok(())),
        ("d", "d", Ok(())),
        (".", "q", Err(Busy)),
        ("d/..", "q", Err(Busy)),
        ("f", ".", Err(Busy)),
        ("..", "q", Err(NotCapable)),
        ("nope", "q", Err(NoEnt)),
    ] {
        assert_eq!(w.rename(3, old, 3, new), want, "{old} {new}");
    }
    // What is open stays open, without a name.
    let open = w.open(3, "e", DIRECTORY).unwrap();
    w.mkdir(3, "e2").unwrap();
    assert_eq!(w.rename(3, "e2", 3, "e"), Ok(()));
    assert_eq!(w.open(open, "x", CREAT), Err(NoEnt));
    assert_eq!(w.fstat(open).map(|stat| stat.links), Ok(0));
    assert_eq!(w.fs.read("box/f"), Ok(vec![]));
}

/// What could be written through the new name must have been writable through the old one.
pub(super) fn w20_rights_of_both_ends(cx: &Cx) {
    let mut w = World::new(cx);
    assert_eq!(w.rename(3, "f", 4, "r"), Err(NotCapable));
    assert_eq!(w.link(3, 0, "f", 4, "x"), Err(NotCapable));
    assert_eq!(w.link(4, 0, "r", 3, "x"), Err(NotCapable));
    assert_eq!(w.rename(4, "r", 3, "x"), Err(NotCapable));
    assert_eq!(w.open_rw(3, "x", 0), Err(NoEnt));
    // The same with a directory that a guest gave rights up on itself: those to write what is in it.
    let d = w.open_with(3, 0, "d", DIRECTORY.into(), !WRITE, 0).unwrap();
    let [rights, inheriting] = w.rights(d);
    w.call("fd_fdstat_set_rights", &[d.into(), rights, inheriting & !WRITE]).unwrap();
    assert_eq!(w.open_rw(d, "g", 0), Err(NotCapable));
    assert_eq!(w.link(d, 0, "g", 3, "x"), Err(NotCapable));
    assert_eq!(w.rename(d, "g", 3, "x"), Err(NotCapable));
    assert_eq!(w.link(d, 0, "g", d, "x"), Ok(()));
    assert_eq!(w.rename(3, "f", d, "f"), Ok(()));
    w.nothing_outside();
}

pub(super) fn w21_read_only(cx: &Cx) {
    let mut w = World::new(cx);
    let results = [
        w.open(4, "r", TRUNC).map(drop),
        w.open(4, "new", CREAT).map(drop),
        w.open(4, "r", CREAT).map(drop),
        w.open_rw(4, "r", 0).map(drop),
        w.set_times(4, "r", 0, [0, 0], 10),
        w.unlink(4, "r"),
        w.rmdir(4, "r"),
        w.mkdir(4, "m"),
        w.symlink("r", 4, "s"),
    ];
    assert_eq!(results, [Err(NotCapable); 9]);
    let r = w.open(4, "r", 0).unwrap();
    assert_eq!(w.set_size(r, 0), Err(NotCapable));
    assert_eq!(w.write(r, "x"), Err(NotCapable));
    assert_eq!(w.pwrite(r, "x", 0), Err(NotCapable));
    assert_eq!(w.call("fd_allocate", &[r.into(), 0, 10]), Err(NotCapable));
    assert_eq!(w.call("fd_filestat_set_times", &[r.into(), 0, 0, 10]), Err(NotCapable));
    assert_eq!(w.call("fd_filestat_set_times", &[4, 0, 0, 10]), Err(NotCapable));
    // Also through another descriptor for the same directory.
    let again = w.open(4, ".", DIRECTORY).unwrap();
    assert_eq!(w.open(again, "new", CREAT), Err(NotCapable));
    assert_eq!(w.read(r, 10), Ok(b"ro".into()));
    w.nothing_outside();
}

/// A link to a link that is followed is one to what that points to.
pub(super) fn w22_hard_links(cx: &Cx) {
    let mut w = World::new(cx);
    assert_eq!(w.link(3, 0, "d", 3, "dl"), Err(Perm));
    assert_eq!(w.link(3, 0, "f", 3, "d/g"), Err(Exist));
    assert_eq!(w.link(3, 0, "f", 3, "f"), Err(Exist));
    assert_eq!(w.link(3, 0, "f", 3, "e"), Err(Exist));
    assert_eq!(w.link(3, 2 << 16, "f", 3, "h"), Err(Inval));
    assert_eq!(w.link(3, 0, "f", 3, "h"), Ok(()));
    w.symlink("f", 3, "s").unwrap();
    assert_eq!(w.link(3, 0, "s", 3, "s2"), Ok(()));
    assert_eq!(w.stat(3, "s2", 0).map(|stat| (stat.sort, stat.links)), Ok((7, 2)));
    w.symlink("nowhere", 3, "n").unwrap();
    assert_eq!((w.link(3, FOLLOW, "n", 3, "n2"), w.link(3, 0, "f", 3, "n")), (Err(NoEnt), Err(Exist)));
    assert_eq!((w.link(3, 0, "n", 3, "n2"), w.readlink(3, "n2", 10)), (Ok(()), Ok(b"nowhere".into())));
    assert_eq!(w.link(3, FOLLOW, "s", 3, "f2"), Ok(()));
    assert_eq!(w.stat(3, "f2", 0).map(|stat| (stat.sort, stat.links)), Ok((4, 3)));
    let names = turns(100_000, 10_000);
    cx.may_take(ms(3000));
    let before = w.fs.used();
    let (name, _) = costs();
    w.quiet = true;
    for number in 0..names {
        let name = format!("d/{number:06}");
        assert_eq!(w.link(3, 0, "f", 3, &name), Ok(()));
    }
    let used = w.fs.used();
    assert_eq!((used.files, used.bytes), (before.files, before.bytes + u64::from(names) * (name + 5)));
    assert_eq!(w.stat(3, "f", 0).map(|stat| stat.links), Ok(u64::from(names) + 3));
}

/// A file without a name goes on being one, and counts until it is closed.
pub(super) fn w23_files_without_names(cx: &Cx) {
    let fs = fill(MemFs::builder().max_bytes(16 << 20).build());
    let mut w = World::of(cx, 32, fs, |_| {});
    let old = w.open_rw(3, "f", 0).unwrap();
    w.unlink(3, "f").unwrap();
    assert_eq!(w.open(3, "f", 0), Err(NoEnt));
    assert_eq!(w.read(old, 20), Ok(b"0123456789".into()));
    assert_eq!(w.write(old, "x"), Ok(1));
    assert_eq!(w.fstat(old).map(|stat| (stat.links, stat.size)), Ok((0, 11)));
    let new = w.open_rw(3, "f", CREAT | EXCL).unwrap();
    assert_eq!(w.fstat(new).map(|stat| (stat.links, stat.size)), Ok((1, 0)));
    assert_ne!(w.fstat(new).unwrap().inode, w.fstat(old).unwrap().inode);
    w.close(old).unwrap();
    let big = vec![7; 1 << 20];
    let mut held = vec![];
    let refused = loop {
        let fd = w.open_rw(3, "big", CREAT).unwrap();
        held.push(fd);
        w.unlink(3, "big").unwrap();
        match w.write(fd, &big) {
            Ok(written) if written < 1 << 20 => break w.write(fd, "x"),
            written => assert_eq!(written, Ok(1 << 20)),
        }
    };
    assert_eq!((refused, held.len()), (Err(NoSpc), 16));
    w.close(held.pop().unwrap()).unwrap();
    let room = (w.fs.max_bytes() - w.fs.used().bytes) as u32;
    assert!(room > 1 << 19);
    assert_eq!((w.write(held[0], &big), w.write(held[0], "x")), (Ok(room), Err(NoSpc)));
}

/// A directory without a name has no entries and gets none.
pub(super) fn w24_directories_without_names(cx: &Cx) {
    let mut w = World::new(cx);
    let e = w.open(3, "e", DIRECTORY).unwrap();
    w.rmdir(3, "e").unwrap();
    assert_eq!(w.open(e, "x", CREAT), Err(NoEnt));
    assert_eq!(w.mkdir(e, "x"), Err(NoEnt));
    assert_eq!(w.symlink("f", e, "x"), Err(NoEnt));
    assert_eq!(w.rename(3, "f", e, "x"), Err(NoEnt));
    assert_eq!(w.list(e), Ok(vec![".".into(), "..".into()]));
    assert_eq!(w.fstat(e).map(|stat| stat.links), Ok(0));
    assert_eq!(w.open(e, "..", 0), Err(NotCapable));
    assert!(w.open(e, ".", 0).is_ok());
}

pub(super) fn w25_removing(cx: &Cx) {
    let mut w = World::new(cx);
    w.symlink("e", 3, "le").unwrap();
    for (path, want) in [
        ("d", Err(NotEmpty)),
        (".", Err(Inval)),
        ("e/.", Err(Inval)),
        ("e/..", Err(Inval)),
        ("..", Err(NotCapable)),
        ("f", Err(NotDir)),
        ("le", Err(NotDir)),
        ("le/", Err(NotDir)),
        ("nope", Err(NoEnt)),
        ("e", Ok(())),
    ] {
        assert_eq!(w.rmdir(3, path), want, "{path}");
    }
    for (path, want) in
        [("d", Err(IsDir)), (".", Err(IsDir)), ("d/..", Err(IsDir)), ("nope", Err(NoEnt)), ("le", Ok(()))]
    {
        assert_eq!(w.unlink(3, path), want, "{path}");
    }
}

/// As deep as the quota allows; a tree goes away without going down it.
pub(super) fn w26_trees_without_end(cx: &Cx) {
    cx.may_take(ms(5000));
    let levels = u64::from(turns(200_000, 20_000));
    cx.holds(levels as usize * 2048);
    let fs = fill(MemFs::new());
    let files = fs.used().files + levels;
    let mut w = World::of(cx, 1, fill(MemFs::builder().max_files(files).build()), |_| {});
    let mut fd = w.open(3, "e", DIRECTORY).unwrap();
    let mut level = 0;
    w.quiet = true;
    let refused = loop {
        if let Err(errno) = w.mkdir(fd, "x") {
            break errno;
        }
        level += 1;
        let next = w.open(fd, "x", DIRECTORY).unwrap();
        w.close(fd).unwrap();
        fd = next;
    };
    assert_eq!((refused, level), (NoSpc, levels));
    assert_eq!(w.open(fd, "..", 0), Err(NotCapable));
    assert_eq!(w.rename(3, "e", 3, "d/e"), Ok(()));
    assert_eq!(w.rmdir(3, "d/e"), Err(NotEmpty));
    assert_eq!(w.fs.remove("box/d"), Ok(()));
    assert_eq!(w.fs.used().files, files - levels - 2, "what is open counts");
}

/// Making a directory by opening it is not there. What only says that a file has to be new says nothing alone.
pub(super) fn w27_flags_of_opening(cx: &Cx) {
    let mut w = World::new(cx);
    for (look, path, oflags, rights, fdflags, want) in [
        (0, "f", 0xfff0, LOOK, 0, Err(Inval)),
        (0, "f", 16, LOOK, 0, Err(Inval)),
        (0, "f", 1 << 16, LOOK, 0, Err(Inval)),
        (0, "nd", 3, LOOK, 0, Err(Inval)),
        (0, "f", 4, LOOK, 0, Ok(())),
        (0, "f", 2, LOOK, 0, Err(NotDir)),
        (0, "d", 0, WRITE, 0, Err(IsDir)),
        (0, "d", 2, READ | WRITE, 0, Err(IsDir)),
        (0, "d", 8, READ, 0, Err(IsDir)),
        (0, "d", 1, READ, 0, Err(IsDir)),
        (0, "d", 5, READ, 0, Err(Exist)),
        (0, "f", 0, LOOK, 0xffe0, Err(Inval)),
        (0, "f", 0, LOOK, 0x1f, Ok(())),
        (0xffff_fffe, "f", 0, LOOK, 0, Err(Inval)),
        (3, "f", 0, LOOK, 0, Err(Inval)),
    ] {
        let opened = w.open_with(3, look, path, oflags, rights, fdflags);
        assert_eq!(opened.map(drop), want, "{look} {path} {oflags} {rights} {fdflags}");
    }
    assert_eq!(w.stat(3, "nd", 0), Err(NoEnt));
}

/// Any time is kept to the nanosecond.
pub(super) fn w54_times(cx: &Cx) {
    let mut w = World::new(cx);
    let times = |w: &mut World<'_>, path: &str| w.stat(3, path, 0).map(|stat| [stat.accessed, stat.modified]).unwrap();
    for which in [1 | 2, 4 | 8, 15, 16, 0xfff0] {
        assert_eq!(w.set_times(3, "f", 0, [7, 7], which), Err(Inval), "{which}");
    }
    assert_eq!(times(&mut w, "f"), [0, 0]);
    for (which, want) in [
        (1, [u64::MAX, 0]),
        (4, [u64::MAX, 1]),
        (0, [u64::MAX, 1]),
        (2, [1_000_000, 1]),
        (1 | 8, [u64::MAX, 1_000_000]),
        (1 | 4, [u64::MAX, 1]),
    ] {
        assert_eq!(w.set_times(3, "f", 0, [u64::MAX, 1], which), Ok(()));
        assert_eq!(times(&mut w, "f"), want, "{which}");
    }
    w.symlink("nowhere", 3, "n").unwrap();
    assert_eq!(w.set_times(3, "n", FOLLOW, [1, 2], 5), Err(NoEnt));
    assert_eq!(w.set_times(3, "n", 0, [1, 2], 5), Ok(()));
    assert_eq!(times(&mut w, "n"), [1, 2]);
    let f = w.open_rw(3, "f", 0).unwrap();
    assert_eq!(w.call("fd_filestat_set_times", &[f.into(), 3, 4, 3]), Err(Inval));
    assert_eq!(w.call("fd_filestat_set_times", &[f.into(), 3, 4, 5]), Ok(()));
    assert_eq!(w.call("fd_filestat_set_times", &[3, 3, 4, 5]), Ok(()));
    assert_eq!((times(&mut w, "f"), times(&mut w, ".")), ([3, 4], [3, 4]));
    assert_eq!(w.call("fd_filestat_set_times", &[0, 3, 4, 5]), Err(NotSup));
}

pub(super) fn w57_reading_links(cx: &Cx) {
    let mut w = World::new(cx);
    w.symlink("d/./g", 3, "rl").unwrap();
    w.put(0x5000, &[9; 8]);
    for (len, want) in [(0, ""), (1, "d"), (5, "d/./g"), (6, "d/./g"), (100, "d/./g")] {
        assert_eq!(w.readlink(3, "rl", len), Ok(want.into()), "{len}");
    }
    // No zero byte is added.
    assert_eq!(w.get(0x5000, 8), b"d/./g\x09\x09\x09");
    assert_eq!(w.readlink(3, "rl", 0xffff_ffff), Err(Fault));
    for path in ["f", "d", "."] {
        assert_eq!(w.readlink(3, path, 100), Err(Inval), "{path}");
    }
    assert_eq!(w.readlink(3, "nope", 100), Err(NoEnt));
}

pub(super) fn w58_making_links(cx: &Cx) {
    let mut w = World::with(cx, 16, |_| {});
    assert_eq!(w.symlink("", 3, "k"), Err(NoEnt));
    assert_eq!(w.symlink("x".repeat(100_000), 3, "k"), Err(NameTooLong));
    for (target, path, want) in [
        ("f", "f", Exist),
        ("f", "e", Exist),
        ("f", "e/", Exist),
        ("f", "f/", NotDir),
        ("f", ".", Exist),
        ("f", "k/", NoEnt),
        ("f", "nope/k", NoEnt),
    ] {
        assert_eq!(w.symlink(target, 3, path), Err(want), "{path}");
    }
    assert_eq!(w.symlink("r", 4, "k"), Err(NotCapable));
    // Just so many bytes, whatever comes after them.
    w.put(0x3000, b"target\0rest");
    w.put(0x1000, b"kk");
    assert_eq!(w.call("path_symlink", &[0x3000, 3, 3, 0x1000, 1]), Ok(()));
    assert_eq!(w.readlink(3, "k", 100), Ok(b"tar".into()));
}

/// As long as a node exists its number is its own; all have the same device.
pub(super) fn w64_numbers_of_nodes(cx: &Cx) {
    let mut w = World::new(cx);
    let mut seen = std::collections::HashSet::new();
    let f = w.stat(3, "f", 0).unwrap();
    for path in ["f", "d", "d/g", "e", "."] {
        let stat = w.stat(3, path, 0).unwrap();
        assert!(seen.insert(stat.inode) && stat.device == f.device, "{path}");
    }
    w.link(3, 0, "f", 3, "h").unwrap();
    assert_eq!(w.stat(3, "h", 0).unwrap().inode, f.inode);
    let fd = w.open(3, "f", 0).unwrap();
    w.unlink(3, "h").unwrap();
    w.unlink(3, "f").unwrap();
    w.open(3, "f", CREAT).unwrap();
    let new = w.stat(3, "f", 0).unwrap();
    assert!(new.inode != f.inode && new.device == f.device);
    assert_eq!(w.fstat(fd).unwrap().inode, f.inode);
    w.rename(3, "f", 3, "e/f").unwrap();
    assert_eq!(w.stat(3, "e/f", 0).unwrap().inode, new.inode);
}
