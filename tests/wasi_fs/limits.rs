//! What memory and time a file system takes, at its limits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jitless::wasi::fs::{Access, Account, Errno, FileSystem, Kind, MAX_SIZE, MemFs, Node};

const BOTH: Access = Access { read: true, write: true };

/// An account with a limit.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    used: AtomicU64,
    limit: u64,
}

impl Purse {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit })
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

impl Account for Purse {
    fn charge(&self, bytes: u64) -> bool {
        let fits = self.used().checked_add(bytes).is_some_and(|sum| sum <= self.limit);
        if fits {
            self.used.fetch_add(bytes, Relaxed);
        }
        fits
    }

    fn release(&self, bytes: u64) {
        assert!(self.used.fetch_sub(bytes, Relaxed) >= bytes, "more was given back than was charged");
    }
}

#[track_caller]
fn within(limit: Duration, what: impl FnOnce()) {
    let start = Instant::now();
    what();
    let took = start.elapsed();
    assert!(took < limit, "took {took:?}");
}

fn big() -> MemFs {
    MemFs::builder().max_files(2_000_000).build()
}

/// A chain of directories, by handles.
fn chain(fs: &MemFs, levels: u32) -> Arc<dyn Node> {
    let mut dir = fs.root().unwrap();
    for _ in 0..levels {
        dir.create_dir("x", 0).unwrap();
        dir = dir.lookup("x").unwrap();
    }
    dir
}

#[test]
fn a_tree_of_a_million_levels() {
    let fs = big();
    let deepest = chain(&fs, 1_000_000);
    let root = fs.root().unwrap();
    assert_eq!(root.rename("x", &*deepest, "y", 0), Err(Errno::Inval), "a directory into itself");
    let mut levels = 0;
    within(Duration::from_secs(10), || {
        fs.walk(|found| {
            levels += 1;
            assert_eq!(found.path.len(), 2 * levels - 1);
            ControlFlow::Continue(())
        });
    });
    assert_eq!(levels, 1_000_000);
    let fork = fs.fork();
    within(Duration::from_secs(10), || fork.remove("x").unwrap());
    assert_eq!((fork.used().bytes, fork.used().files), (0, 0));
    assert_eq!(fs.diff(&fork), Err(Errno::NoMem), "the paths alone would have 10^12 bytes");
    drop((deepest, root));
    within(Duration::from_secs(5), || drop(fs));
}

#[test]
fn a_directory_of_a_million_names() {
    let fs = big();
    let root = fs.root().unwrap();
    within(Duration::from_secs(60), || {
        for number in 0..1_000_000 {
            drop(root.create(&number.to_string(), BOTH, 0).unwrap());
        }
    });
    let (mut from, mut seen) = (0, 0);
    // Each call shows 16 entries.
    within(Duration::from_secs(20), || {
        loop {
            let mut left = 16;
            root.read_dir(from, &mut |entry| {
                (from, seen, left) = (entry.next, seen + 1, left - 1);
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
            if left > 0 {
                break;
            }
        }
    });
    assert_eq!(seen, 1_000_000);
    drop(root);
    within(Duration::from_secs(5), || drop(fs));
}

#[test]
fn what_comes_and_goes_leaves_nothing() {
    let (fs, purse) = (MemFs::new(), Purse::new(1 << 30));
    fs.write("kept", "bytes").unwrap();
    fs.charge_to(purse.clone()).unwrap();
    let used = fs.used();
    assert_eq!(purse.used(), used.bytes);
    let root = fs.root().unwrap();
    for cycle in 0u32..1_000_000 {
        let file = root.create("f", BOTH, 0).unwrap();
        file.write_at(0, b"some bytes", 0).unwrap();
        // Every other one is closed first.
        if cycle % 2 == 0 {
            root.unlink("f", 0).unwrap();
            drop(file);
        } else {
            drop(file);
            root.unlink("f", 0).unwrap();
        }
    }
    assert_eq!(fs.used(), used);
    assert_eq!(purse.used(), used.bytes);
    drop(root);
    drop(fs);
    assert_eq!(purse.used(), 0, "the last handle gives everything back");
}

#[test]
fn a_quota_is_met_to_the_last_byte() {
    // A file named `f` takes 384 for itself and 193 for its name.
    let fs = MemFs::builder().max_bytes(577 + 100).max_files(1).build();
    let root = fs.root().unwrap();
    for _ in 0..1000 {
        let file = root.create("f", BOTH, 0).unwrap();
        assert_eq!(root.create("g", BOTH, 0).err(), Some(Errno::NoSpc), "one file is all");
        assert_eq!(file.write_at(0, &[1; 200], 0), Ok(100), "a write takes the room there is");
        assert_eq!(file.write_at(100, &[1], 0), Err(Errno::NoSpc));
        assert_eq!(file.append(&[1], 0), Err(Errno::NoSpc));
        assert_eq!(file.write_at(50, &[1; 50], 0), Ok(50));
        assert_eq!(file.set_size(101, 0), Err(Errno::NoSpc));
        assert_eq!(file.allocate(0, 101, 0), Err(Errno::NoSpc));
        assert_eq!(root.rename("f", &*root, "ff", 0), Err(Errno::NoSpc), "a longer name");
        assert_eq!(root.link("g", &*root.lookup("f").unwrap(), 0), Err(Errno::NoSpc));
        assert_eq!(file.set_size(99, 0), Ok(()));
        assert_eq!(root.rename("f", &*root, "ff", 0), Ok(()));
        assert_eq!(fs.used().bytes, 577 + 100);
        root.unlink("ff", 0).unwrap();
        assert_eq!(fs.used().files, 1, "it is still open");
        assert_eq!(root.create("f", BOTH, 0).err(), Some(Errno::NoSpc));
        drop(file);
        assert_eq!((fs.used().bytes, fs.used().files), (0, 0));
    }
}

#[test]
fn orphans_count_until_they_are_closed() {
    let fs = MemFs::builder().max_bytes(64 << 20).build();
    let root = fs.root().unwrap();
    let mut open = vec![];
    let refused = loop {
        let file = root.create("f", BOTH, 0).unwrap();
        let written = file.write_at(0, &vec![1; 1 << 20], 0);
        root.unlink("f", 0).unwrap();
        open.push(file);
        if written != Ok(1 << 20) {
            break written;
        }
    };
    assert!(matches!(refused, Ok(_) | Err(Errno::NoSpc)));
    assert_eq!(open.len(), 64);
    open.clear();
    assert_eq!(fs.used().bytes, 0);
}

#[test]
fn absurd_offsets_take_nothing() {
    let fs = MemFs::builder().max_bytes(64 << 20).build();
    let file = fs.root().unwrap().create("f", BOTH, 0).unwrap();
    let cases = [
        (1 << 40, Errno::NoSpc),
        (MAX_SIZE - 1, Errno::NoSpc),
        (MAX_SIZE, Errno::FBig),
        (1 << 63, Errno::FBig),
        (u64::MAX, Errno::FBig),
    ];
    within(Duration::from_millis(100), || {
        for (offset, error) in cases {
            assert_eq!(file.write_at(offset, b"x", 0), Err(error), "{offset}");
            assert_eq!(file.read_at(offset, &mut [0; 8]), Ok(0));
        }
        for (offset, len, error) in [
            (0, 1 << 63, Errno::FBig),
            (1 << 63, 1 << 63, Errno::FBig),
            (u64::MAX, 1, Errno::FBig),
            (0, 65 << 20, Errno::NoSpc),
            (0, 0, Errno::Inval),
        ] {
            assert_eq!(file.allocate(offset, len, 0), Err(error));
        }
        assert_eq!(file.set_size(1 << 63, 0), Err(Errno::FBig));
        assert_eq!(file.set_size(64 << 20, 0), Err(Errno::NoSpc));
    });
    assert_eq!(file.stat().unwrap().size, 0);
    // Where there is no quota to speak of, a hole takes no memory either.
    let fs = MemFs::builder().max_bytes(u64::MAX).build();
    let file = fs.root().unwrap().create("f", BOTH, 0).unwrap();
    assert_eq!(file.set_size(MAX_SIZE, 0), Ok(()));
    assert_eq!(file.write_at(1 << 40, b"x", 0), Ok(1));
    let mut bytes = [1; 3];
    assert_eq!(file.read_at((1 << 40) - 1, &mut bytes), Ok(3));
    assert_eq!(bytes, *b"\0x\0");
    assert_eq!(file.append(b"x", 0), Err(Errno::FBig));
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let fs = MemFs::new();
    for size in [5, 65_535, 65_536, 65_537, 200_000] {
        fs.write("f", vec![0xff; 300_000]).unwrap();
        let file = fs.node("f").unwrap().open(BOTH).unwrap();
        file.set_size(size, 0).unwrap();
        file.set_size(300_000, 0).unwrap();
        let bytes = fs.read("f").unwrap();
        assert!(bytes[..size as usize].iter().all(|&byte| byte == 0xff));
        assert!(bytes[size as usize..].iter().all(|&byte| byte == 0), "{size}");
    }
}

#[test]
fn an_account_is_asked_first() {
    let fs = MemFs::new();
    fs.write("f", [0; 1000]).unwrap();
    let held = fs.used().bytes;
    let poor = Purse::new(held - 1);
    assert_eq!(fs.charge_to(poor.clone()), Err(Errno::NoSpc));
    assert_eq!(poor.used(), 0);
    let purse = Purse::new(held + 10);
    fs.charge_to(purse.clone()).unwrap();
    fs.charge_to(poor.clone()).unwrap();
    assert_eq!((purse.used(), poor.used()), (held, 0), "the first account stays");
    let file = fs.node("f").unwrap().open(BOTH).unwrap();
    assert_eq!(file.append(&[1; 11], 0), Err(Errno::NoSpc));
    assert_eq!(file.append(&[1; 10], 0), Ok((10, 1010)));
    assert_eq!(fs.write("g", ""), Err(Errno::NoSpc));
    let fork = fs.fork();
    fork.write("g", "a fork is nobody's").unwrap();
    assert_eq!(purse.used(), held + 10);
    file.set_size(0, 0).unwrap();
    assert_eq!(purse.used(), held - 1000);
    drop((fs, fork));
    assert_eq!(purse.used(), held - 1000, "an open file keeps all there is");
    drop(file);
    assert_eq!(purse.used(), 0);
}

#[test]
fn paths_of_the_host() {
    let fs = MemFs::builder().time(7).build();
    fs.write("/a/./b//c", "text").unwrap();
    fs.symlink("b/c", "a/l").unwrap();
    fs.hard_link("a/b/c", "h").unwrap();
    fs.create_dir_all("a/b/").unwrap();
    fs.create_dir_all("").unwrap();
    fs.write("h", "other").unwrap();
    assert_eq!(fs.read("a/b/c"), Ok(b"other".to_vec()));
    assert_eq!(fs.list("/"), Ok(vec!["a".into(), "h".into()]));
    assert_eq!(fs.list("a"), Ok(vec!["b".into(), "l".into()]));
    assert_eq!(fs.read_link("a/l"), Ok("b/c".into()));
    let stat = fs.stat("h").unwrap();
    assert_eq!((stat.kind, stat.links, stat.size, stat.modified), (Kind::File, 2, 5, 7));
    let long = "n".repeat(256);
    for (got, want) in [
        (fs.read("../x").err(), Errno::Inval),
        (fs.write("a/../x", "").err(), Errno::Inval),
        (fs.write("a\0", "").err(), Errno::Inval),
        (fs.write(&long, "").err(), Errno::NameTooLong),
        (fs.write("", "").err(), Errno::IsDir),
        (fs.write("a", "").err(), Errno::IsDir),
        (fs.write("h/x", "").err(), Errno::NotDir),
        (fs.write("a/l", "").err(), Errno::Loop),
        (fs.read("a").err(), Errno::IsDir),
        (fs.read("a/l").err(), Errno::Loop),
        (fs.read("a/l/x").err(), Errno::NotDir),
        (fs.read("x").err(), Errno::NoEnt),
        (fs.symlink("x", "h").err(), Errno::Exist),
        (fs.symlink("", "x").err(), Errno::NoEnt),
        (fs.symlink("x\0", "x").err(), Errno::Inval),
        (fs.symlink(&"x".repeat(4097), "x").err(), Errno::NameTooLong),
        (fs.hard_link("a", "x").err(), Errno::Perm),
        (fs.create_dir_all("h").err(), Errno::NotDir),
        (fs.remove("/").err(), Errno::Busy),
        (fs.remove("x").err(), Errno::NoEnt),
    ] {
        assert_eq!(got, Some(want));
    }
    fs.symlink(&"x".repeat(4096), "x").unwrap();
    assert!(fs.exists("a/b/c") && !fs.exists("a/x"));
    fs.remove("a").unwrap();
    assert_eq!(fs.stat("h").unwrap().links, 1);
    assert_eq!(fs.read("h"), Ok(b"other".to_vec()));
}

#[test]
fn a_removed_directory_takes_no_names() {
    let fs = MemFs::new();
    fs.write("d/e/f", "").unwrap();
    fs.write("g", "").unwrap();
    let (root, dir) = (fs.root().unwrap(), fs.node("d").unwrap());
    fs.remove("d").unwrap();
    assert_eq!(dir.create("x", BOTH, 0).err(), Some(Errno::NoEnt));
    assert_eq!(dir.create_dir("x", 0), Err(Errno::NoEnt));
    assert_eq!(dir.symlink("x", "y", 0), Err(Errno::NoEnt));
    assert_eq!(dir.link("x", &*root.lookup("g").unwrap(), 0), Err(Errno::NoEnt));
    assert_eq!(root.rename("g", &*dir, "x", 0), Err(Errno::NoEnt));
    assert_eq!(dir.lookup("e").err(), Some(Errno::NoEnt));
    assert_eq!(dir.stat().unwrap().links, 0);
    let other = MemFs::new().root().unwrap();
    assert_eq!(other.link("x", &*root.lookup("g").unwrap(), 0), Err(Errno::XDev));
    assert_eq!(root.rename("g", &*other, "x", 0), Err(Errno::XDev));
}
