//! Folders of the host as file systems.
//!
//! Nothing can lead out of a folder, so races need no test here: an operation is one name in a directory that is already
//! open, and the host is told not to follow it. Between two operations the name may come to mean something else; then
//! that is what is used, and it lies in the same directory.

#![cfg(unix)]

mod fs_steps;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jitless::wasi::fs::{Access, Account, Errno, FileSystem, HostDir, Kind, MemFs, OverlayFs};
use tempfile::TempDir;

use self::fs_steps::{Random, STEPS, Steps, names, tail, told, tree, written};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn steps_in(dir: &Path) -> Steps {
    Steps::new(&HostDir::open(dir).unwrap())
}

#[test]
fn all_that_file_systems_do() {
    let dir = folder();
    steps_in(dir.path()).run("host", STEPS);
}

/// The first steps are done in a folder, the others on an overlay.
#[test]
fn all_that_file_systems_do_over_a_folder() {
    let with_times = |(step, _): &(&str, &str)| step.contains("times ");
    let set_times = STEPS.iter().position(with_times).unwrap()..=STEPS.iter().rposition(with_times).unwrap();
    for start in (0..STEPS.len()).step_by(3) {
        let Some(rest) = tail(start) else { continue };
        // A time of reading that was set does not outlive the look at the folder.
        if set_times.contains(&start) {
            continue;
        }
        let (lower, upper) = (folder(), folder());
        steps_in(lower.path()).run("below", &STEPS[..start]);
        let read_only = || HostDir::open_read_only(lower.path()).unwrap();
        let before = written(&read_only());
        let what = format!("overlay from {:?}", rest.first());
        Steps::new(&OverlayFs::new(read_only(), MemFs::new())).run(&what, rest);
        Steps::new(&OverlayFs::new(read_only(), HostDir::open(upper.path()).unwrap())).run(&what, rest);
        assert_eq!(written(&read_only()), before);
    }
}

/// The same random steps in memory, in a folder, and on overlays over it: results and trees are the same, and the lower
/// folder is what it was, byte for byte, with the times of writing.
#[test]
fn folders_are_as_files_in_memory() {
    for seed in 1..100 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let (model, lower, host, upper) = (MemFs::new(), folder(), folder(), folder());
        let host = HostDir::open(host.path()).unwrap();
        let first: Vec<_> = (0..40).map(|_| random.step()).collect();
        let lower_changed = HostDir::open(lower.path()).unwrap();
        let all: [&dyn FileSystem; 3] = [&model, &host, &lower_changed];
        let told_first = all.map(|fs| {
            let mut steps = Steps::new(fs);
            first.iter().map(|step| format!("{step}: {}", told(&mut steps, step))).collect::<Vec<_>>()
        });
        assert_eq!(told_first[0], told_first[1], "seed {seed}");
        let read_only = || HostDir::open_read_only(lower.path()).unwrap();
        let before = written(&read_only());
        let over = OverlayFs::new(read_only(), MemFs::new());
        let between = OverlayFs::new(read_only(), HostDir::open(upper.path()).unwrap());
        let all: [&dyn FileSystem; 4] = [&model, &host, &over, &between];
        // So all names of a file are known.
        all.iter().for_each(|fs| drop(tree(*fs)));
        let mut steps = all.map(Steps::new);
        let mut log = vec![];
        for _ in 0..60 {
            let step = random.step();
            let [expected, found @ ..] = steps.each_mut().map(|steps| told(steps, &step));
            log.push(format!("{step}: {expected}"));
            assert_eq!(found, [(); 3].map(|()| expected.clone()), "seed {seed}:\n{}\n{before:#?}", log.join("\n"));
        }
        let expected = tree(&model).join("\n");
        for fs in all {
            assert_eq!(tree(fs).join("\n"), expected, "seed {seed}, {fs:?}:\n{}\n{before:#?}", log.join("\n"));
        }
        assert_eq!(over.diff().unwrap(), between.diff().unwrap());
        assert_eq!(written(&read_only()), before, "seed {seed}");
    }
}

#[test]
fn what_is_no_folder_is_not_opened() {
    let dir = folder();
    fs::write(dir.path().join("f"), "x").unwrap();
    for name in ["f", "nix"] {
        assert!(HostDir::open(dir.path().join(name)).is_err(), "{name}");
    }
}

#[test]
fn links_that_lead_out_are_links() {
    let (out, dir) = (folder(), folder());
    fs::write(out.path().join("key"), "secret").unwrap();
    symlink(out.path(), dir.path().join("dir")).unwrap();
    symlink(out.path().join("key"), dir.path().join("key")).unwrap();
    symlink("..", dir.path().join("up")).unwrap();
    symlink(out.path().join("new"), dir.path().join("new")).unwrap();
    steps_in(dir.path()).run(
        "links",
        &[
            ("kind dir", "Link"),
            ("cat dir/key", "NotDir"),
            ("ls dir", "NotDir"),
            ("make dir/x x", "NotDir"),
            ("mkdir dir/x", "NotDir"),
            ("rm dir/key", "NotDir"),
            ("rmdir dir", "NotDir"),
            ("mv key dir/x", "NotDir"),
            ("cat key", "Loop"),
            ("put key x", "Loop"),
            ("stat up", "Link 1 2"),
            ("cat up/x", "NotDir"),
            ("make new x", "Exist"),
            ("settimes key 1 2", "ok"),
            ("times key", "1 2"),
            ("link key key2", "ok"),
            ("kind key2", "Link"),
            ("mv dir moved", "ok"),
            ("kind moved", "Link"),
            ("rm key", "ok"),
        ],
    );
    assert_eq!(fs::read_to_string(out.path().join("key")).unwrap(), "secret");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    assert!(fs::metadata(out.path().join("key")).unwrap().modified().unwrap().elapsed().unwrap().as_secs() < 3600);
}

#[test]
fn what_takes_a_place_meanwhile_is_not_what_was_found() {
    let (out, dir) = (folder(), folder());
    fs::write(out.path().join("key"), "secret").unwrap();
    for place in ["f", "d", "p"] {
        fs::write(dir.path().join(place), "x").unwrap();
    }
    let root = HostDir::open(dir.path()).unwrap().root().unwrap();
    let nodes = ["f", "d", "p"].map(|name| root.lookup(name).unwrap());
    for place in ["f", "d", "p"] {
        // Kept, so that its number is not given again.
        fs::rename(dir.path().join(place), dir.path().join(format!("{place}.old"))).unwrap();
    }
    symlink(out.path().join("key"), dir.path().join("f")).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("p")).status().unwrap().success());
    for access in [Access { read: true, write: false }, Access { read: false, write: true }] {
        let errnos = nodes.each_ref().map(|node| node.open(access).unwrap_err());
        assert_eq!(errnos[0], Errno::Loop);
        assert_eq!(errnos[1], Errno::IsDir);
        assert!([Errno::NotSup, Errno::NxIo].contains(&errnos[2]), "{errnos:?}");
        assert_eq!(nodes.each_ref().map(|node| node.stat().err()), [Some(Errno::NoEnt); 3]);
    }
    fs::remove_file(dir.path().join("f")).unwrap();
    fs::write(dir.path().join("f"), "another").unwrap();
    assert_eq!(nodes[0].open(Access { read: true, write: false }).unwrap_err(), Errno::NoEnt);
}

#[test]
fn names_are_single() {
    let dir = folder();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), "x").unwrap();
    let root = HostDir::open(dir.path().join("d")).unwrap().root().unwrap();
    let (both, node) = (Access { read: true, write: true }, root.lookup("f").unwrap());
    for name in ["", ".", "..", "/", "../d", "./f", "f/", "f/.", "/etc", "x/y"] {
        let all = [
            root.lookup(name).err(),
            root.create(name, both, 0).err(),
            root.create_dir(name, 0).err(),
            root.symlink(name, "x", 0).err(),
            root.link(name, &*node, 0).err(),
            root.unlink(name, 0).err(),
            root.remove_dir(name, 0).err(),
            root.rename(name, &*root, "x", 0).err(),
            root.rename("f", &*root, name, 0).err(),
        ];
        assert_eq!(all, [Some(Errno::Inval); 9], "{name}");
    }
    for name in ["x".repeat(256), "x".repeat(100_000)] {
        assert_eq!(root.lookup(&name).unwrap_err(), Errno::NameTooLong);
        assert_eq!(root.create(&name, both, 0).unwrap_err(), Errno::NameTooLong);
    }
    assert!(root.create(&"x".repeat(255), both, 0).is_ok());
    for name in ["x\0", "\0", "f\0/../../x"] {
        assert_eq!(root.lookup(name).unwrap_err(), Errno::Inval, "{name:?}");
    }
}

#[test]
fn nothing_changes_where_it_is_only_read() {
    let dir = folder();
    fs::write(dir.path().join("f"), "0123").unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    symlink("f", dir.path().join("s")).unwrap();
    let before = fs::metadata(dir.path().join("f")).unwrap().modified().unwrap();
    let host = HostDir::open_read_only(dir.path()).unwrap();
    assert!(host.read_only());
    Steps::new(&host).run(
        "read-only",
        &[
            ("cat f", "0123"),
            ("readlink s", "f"),
            ("put f x", "RoFs"),
            ("open x f w", "RoFs"),
            ("open x f rw", "RoFs"),
            ("make x x", "RoFs"),
            ("mkdir x", "RoFs"),
            ("symlink x x", "RoFs"),
            ("link f x", "RoFs"),
            ("rm f", "RoFs"),
            ("rmdir d", "RoFs"),
            ("mv f x", "RoFs"),
            ("settimes f 1 2", "RoFs"),
            ("settimes d 1 2", "RoFs"),
            ("open x f r", "ok"),
            ("settimes @x 1 2", "RoFs"),
            ("size @x 1", "BadF"),
            ("ls ", "d f s"),
        ],
    );
    assert_eq!(fs::metadata(dir.path().join("f")).unwrap().modified().unwrap(), before);
}

#[test]
fn two_folders_are_two_file_systems() {
    let dirs = [folder(), folder()];
    let roots = dirs.each_ref().map(|dir| HostDir::open(dir.path()).unwrap().root().unwrap());
    for root in &roots {
        root.create("f", Access::default(), 0).unwrap();
    }
    let node = roots[0].lookup("f").unwrap();
    assert_eq!(roots[1].link("x", &*node, 0), Err(Errno::XDev));
    assert_eq!(roots[0].rename("f", &*roots[1], "x", 0), Err(Errno::XDev));
}

#[test]
fn listings_are_sorted_and_paid_for() {
    #[derive(Debug, Default)]
    struct Purse(AtomicU64);
    impl Account for Purse {
        fn charge(&self, bytes: u64) -> bool {
            let room = |sum: u64| sum.checked_add(bytes).filter(|&sum| sum <= 100_000);
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
        }

        fn release(&self, bytes: u64) {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
    let dir = folder();
    for n in (0..500).rev() {
        fs::write(dir.path().join(format!("{n:03}")), "").unwrap();
    }
    let host = HostDir::open(dir.path()).unwrap();
    let purse = Arc::new(Purse::default());
    host.charge_to(purse.clone()).unwrap();
    let root = host.root().unwrap();
    let all = names(&*root).unwrap();
    assert!(all.iter().eq(&(0..500).map(|n| format!("{n:03}")).collect::<Vec<_>>()));
    let one = purse.0.load(Ordering::Relaxed);
    assert!((10_000..100_000).contains(&one), "{one}");
    // The same once more is paid for once.
    assert_eq!(names(&*root).unwrap(), all);
    assert_eq!(purse.0.load(Ordering::Relaxed), one);
    // More than there is room for.
    let more: Vec<_> = (0..100_000 / one).map(|_| host.root().unwrap()).collect();
    assert!(more.iter().skip(1).all(|root| names(&**root).is_ok()));
    assert_eq!(names(&*more[0]).unwrap_err(), Errno::NoSpc);
    drop((root, more));
    assert_eq!(purse.0.load(Ordering::Relaxed), 0);
}

#[test]
fn what_comes_and_goes_while_it_is_listed() {
    let dir = folder();
    for n in 0..100 {
        fs::write(dir.path().join(format!("{n:02}")), "").unwrap();
    }
    let root = HostDir::open(dir.path()).unwrap().root().unwrap();
    let (mut seen, mut from) = (vec![], 0);
    loop {
        let before = from;
        root.read_dir(from, &mut |entry| {
            seen.push(entry.name.to_owned());
            from = entry.next;
            std::ops::ControlFlow::Break(())
        })
        .unwrap();
        if from == before {
            break;
        }
        let last = seen.last().unwrap();
        root.unlink(last, 0).unwrap();
        root.create(&format!("new-{last}"), Access::default(), 0).unwrap();
    }
    assert!(seen.iter().eq(&(0..100).map(|n| format!("{n:02}")).collect::<Vec<_>>()));
    assert!(names(&*root).unwrap().iter().all(|name| name.starts_with("new-")));
}

#[test]
fn what_is_no_file_is_not_opened() {
    let dir = folder();
    assert!(Command::new("mkfifo").arg(dir.path().join("p")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
    steps_in(dir.path()).run(
        "others",
        &[
            ("kind p", "Other"),
            ("kind s", "Socket"),
            ("listed ", "2"),
            ("open x p r", "NotSup"),
            ("open x p w", "NotSup"),
            ("open x s r", "NotSup"),
            ("settimes p 1 2", "ok"),
            ("times p", "1 2"),
            ("mv p q", "ok"),
            ("rm q", "ok"),
        ],
    );
}

#[test]
fn a_directory_that_is_gone_is_empty() {
    let dir = folder();
    let mut steps = steps_in(dir.path());
    steps.run("gone", &[("mkdir d", "ok"), ("hold d d", "ok"), ("rmdir d", "ok")]);
    assert!(["", "NoEnt"].contains(&&*told(&mut steps, "ls @d")));
}

/// An overlay keeps places, not open directories, of which a process can only have so many.
#[cfg(target_os = "linux")]
#[test]
fn overlays_hold_few_directories_open() {
    let (lower, upper) = (folder(), folder());
    for n in 0..400 {
        fs::create_dir_all(lower.path().join(format!("{}/{n}", n % 20))).unwrap();
        fs::write(lower.path().join(format!("{}/{n}/f", n % 20)), "x").unwrap();
    }
    let lower = HostDir::open_read_only(lower.path()).unwrap();
    let both = OverlayFs::new(lower, HostDir::open(upper.path()).unwrap());
    let mut steps = Steps::new(&both);
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for n in 0..400 {
        let path = format!("{}/{n}", n % 20);
        steps.run("each", &[(&format!("append {path}/f y"), "1 2"), (&format!("ls {path}"), "f")]);
    }
    // Other tests of this process have some, too.
    assert!(open() < before + 150, "{} before, {} after", before, open());
    assert_eq!(both.diff().unwrap().len(), 400);
}

#[test]
fn names_of_other_bytes_are_not_shown() {
    use std::os::unix::ffi::OsStrExt;
    let dir = folder();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(dir.path().join(odd), "x").unwrap();
    symlink(odd, dir.path().join("s")).unwrap();
    steps_in(dir.path()).run("bytes", &[("ls ", "s"), ("readlink s", "IlSeq"), ("stat s", "Link 1 2")]);
}

#[test]
fn times_of_any_size() {
    let dir = folder();
    fs::write(dir.path().join("f"), "x").unwrap();
    let old = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1_000_000);
    fs::File::options()
        .write(true)
        .open(dir.path().join("f"))
        .unwrap()
        .set_times(fs::FileTimes::new().set_modified(old).set_accessed(old))
        .unwrap();
    let mut steps = steps_in(dir.path());
    steps.run("old", &[("times f", "0 0"), ("settimes f 0 0", "ok"), ("times f", "0 0")]);
    // A host may hold less, but takes it.
    let max = u64::MAX;
    steps.run("new", &[(&format!("settimes f {max} {max}"), "ok")]);
    let stat = steps.node("f").unwrap().stat().unwrap();
    assert!(stat.accessed > 4_000_000_000_000_000_000 && stat.modified == stat.accessed, "{stat:?}");
    assert_eq!(stat.kind, Kind::File);
}

#[test]
fn a_directory_moves_and_stays_the_same() {
    let dir = folder();
    let mut steps = steps_in(dir.path());
    steps.run(
        "moves",
        &[
            ("mkdir a", "ok"),
            ("make a/f x", "ok"),
            ("hold a a", "ok"),
            ("mkdir b", "ok"),
            ("mv a b/c", "ok"),
            ("same @a b/c", "true"),
            ("cat @a/f", "x"),
            ("make @a/g y", "ok"),
            ("ls b/c", "f g"),
        ],
    );
}
