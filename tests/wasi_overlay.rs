//! Two file systems as one: what is seen, what is copied, and that the lower one stays as it is.
#![cfg(feature = "wasi")]

mod fs_steps;

use jitless::wasi::fs::{Change, Changed, Errno, FileSystem, MemFs, OverlayFs};

use self::fs_steps::{Random, STEPS, Steps, snapshot, tail, told};

/// What a guest changed, as text.
fn changes(changes: &[Change]) -> Vec<String> {
    let sign = |how| match how {
        Changed::Added => '+',
        Changed::Modified => '*',
        Changed::Removed => '-',
    };
    changes.iter().map(|change| format!("{}{}", sign(change.how), change.path)).collect()
}

#[test]
fn all_that_file_systems_do() {
    Steps::new(&MemFs::new()).run("memory", STEPS);
    Steps::new(&OverlayFs::new(MemFs::new(), MemFs::new())).run("empty overlay", STEPS);
}

/// The first steps are done below the overlay, the others on it.
#[test]
fn all_that_file_systems_do_over_what_is_there() {
    let mut done = 0;
    for start in 0..STEPS.len() {
        let Some(rest) = tail(start) else { continue };
        let lower = MemFs::new();
        Steps::new(&lower).run("below", &STEPS[..start]);
        let before = snapshot(&lower);
        let both = OverlayFs::new(lower.clone(), MemFs::new());
        Steps::new(&both).run(&format!("overlay from {:?}", rest.first()), rest);
        assert_eq!(snapshot(&lower), before);
        // And once more with what is there on top.
        let upper = MemFs::new();
        Steps::new(&upper).run("above", &STEPS[..start]);
        Steps::new(&OverlayFs::new(MemFs::new(), upper)).run("upper", rest);
        done += 1;
    }
    assert!(done > 100, "{done}");
}

/// The same random steps in memory and on overlays: results, trees and differences are the same, and the lower file
/// system is what it was.
#[test]
fn overlays_are_as_files_in_memory() {
    for seed in 1..600 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let before = MemFs::new();
        let mut steps = Steps::new(&before);
        // Names that were not seen when a file is copied have a test of their own.
        let links = seed % 2 == 0;
        for _ in 0..60 {
            let step = random.step();
            if links || !step.starts_with("link") {
                told(&mut steps, &step);
            }
        }
        let (model, lower, upper) = (before.fork(), before.fork(), MemFs::new());
        let lower_before = snapshot(&lower);
        let both = OverlayFs::new(lower.clone(), upper.clone());
        let twice = OverlayFs::new(OverlayFs::new(lower.clone(), MemFs::new()), MemFs::new());
        if links {
            snapshot(&both);
            snapshot(&twice);
        }
        let mut all = [Steps::new(&model), Steps::new(&both), Steps::new(&twice)];
        let mut log = vec![];
        for _ in 0..100 {
            let step = random.step();
            let [expected, found, found_twice] = all.each_mut().map(|steps| told(steps, &step));
            log.push(format!("{step}: {expected}"));
            assert_eq!(found, expected, "seed {seed}:\n{}\n{:#?}", log.join("\n"), snapshot(&lower));
            assert_eq!(found_twice, expected, "seed {seed}, two overlays:\n{}", log.join("\n"));
        }
        let short = |fs: &dyn FileSystem| snapshot(fs).join("\n");
        assert_eq!(short(&both), short(&model), "seed {seed}:\n{}\n{lower_before:#?}", log.join("\n"));
        assert_eq!(snapshot(&lower), lower_before, "seed {seed}");
        let expected = changes(&model.diff(&before).unwrap());
        assert_eq!(changes(&both.diff().unwrap()), expected, "seed {seed}:\n{}", log.join("\n"));
        assert_eq!(changes(&twice.diff().unwrap()), expected, "seed {seed}, two overlays");
    }
}

fn pair(files: &[&str]) -> (MemFs, MemFs, OverlayFs) {
    let (lower, upper) = (MemFs::new(), MemFs::new());
    for file in files {
        lower.write(file, "0123456789").unwrap();
    }
    let both = OverlayFs::new(lower.clone(), upper.clone());
    (lower, upper, both)
}

#[test]
fn only_what_is_changed_is_copied() {
    let (_, upper, both) = pair(&["a/b/f", "a/b/g", "a/h"]);
    let mut steps = Steps::new(&both);
    steps.run(
        "reads",
        &[("cat a/b/f", "0123456789"), ("listed a", "2"), ("stat a/h", "File 1 10"), ("open x a/h r", "ok")],
    );
    assert!(upper.list("").unwrap().is_empty());
    assert!(both.diff().unwrap().is_empty());
    steps.run(
        "writes",
        &[("pwrite a/b/f 0 x", "1"), ("mv a/b z", "ok"), ("cat z/f", "x123456789"), ("cat z/g", "0123456789")],
    );
    assert_eq!(upper.list("z").unwrap(), ["f"]);
    assert_eq!(changes(&both.diff().unwrap()), ["-a/b", "-a/b/f", "-a/b/g", "+z", "+z/f", "+z/g"]);
    steps.run("back", &[("mv z a/b", "ok"), ("pwrite a/b/f 0 0", "1")]);
    assert!(both.diff().unwrap().is_empty());
}

#[test]
fn numbers_stay_and_open_files_see_what_is_written() {
    let (_, _, both) = pair(&["f", "d/g"]);
    let mut steps = Steps::new(&both);
    let number = |steps: &Steps, path: &str| steps.node(path).unwrap().stat().unwrap().inode;
    let before = [number(&steps, "f"), number(&steps, "d")];
    steps.run(
        "copied while open",
        &[
            ("settimes f 5 6", "ok"),
            ("times f", "5 6"),
            ("open d d/g r", "ok"),
            ("pwrite d/g 0 abc", "3"),
            ("cat @d", "abc3456789"),
            ("open g d/g r", "ok"),
            ("rm d/g", "ok"),
            ("cat @g", "abc3456789"),
            ("stat @d", "File 0 10"),
            ("settimes @d 7 8", "ok"),
        ],
    );
    assert_eq!([number(&steps, "f"), number(&steps, "d")], before);
}

#[test]
fn copies_keep_times() {
    let (lower, _, both) = pair(&["d/f"]);
    Steps::new(&lower).run(
        "below",
        &[
            ("settimes d/f 11 12", "ok"),
            ("symlink x d/s", "ok"),
            ("settimes d/s 13 14", "ok"),
            ("settimes d 15 16", "ok"),
        ],
    );
    Steps::new(&both).run(
        "copied",
        &[
            ("open x d/f rw", "ok"),
            ("times d/f", "11 12"),
            ("times d", "15 16"),
            ("link d/s s", "ok"),
            ("times d/s", "13 14"),
            ("times d", "15 16"),
        ],
    );
}

#[test]
fn names_of_one_lower_file() {
    let (lower, upper, both) = pair(&["f"]);
    lower.hard_link("f", "g").unwrap();
    lower.hard_link("f", "h").unwrap();
    Steps::new(&both).run(
        "names",
        &[
            ("stat f", "File 3 10"),
            ("same f g", "true"),
            ("rm h", "ok"),
            ("stat f", "File 2 10"),
            ("pwrite g 0 abc", "3"),
            ("cat f", "abc3456789"),
            ("same f g", "true"),
            ("stat f", "File 2 10"),
            ("rm f", "ok"),
            ("stat g", "File 1 10"),
        ],
    );
    assert_eq!(upper.list("").unwrap(), ["g"]);
    assert_eq!(lower.list("").unwrap(), ["f", "g", "h"]);
}

#[test]
fn names_that_nobody_has_seen() {
    let linked = || {
        let (lower, upper, both) = pair(&["a/f"]);
        Steps::new(&lower).run("below", &[("settimes a 1 2", "ok"), ("mkdir b", "ok"), ("mkdir c", "ok")]);
        for name in ["b/f", "c/f"] {
            lower.hard_link("a/f", name).unwrap();
        }
        (upper, Steps::new(&both))
    };
    let (_, mut steps) = linked();
    steps.run(
        "removed",
        &[
            ("hold x a/f", "ok"),
            ("rm a/f", "ok"),
            ("stat @x", "File 2 10"),
            ("same @x b/f", "true"),
            ("stat b/f", "File 2 10"),
        ],
    );
    let (_, mut steps) = linked();
    steps.run(
        "the last one",
        &[
            ("rm a/f", "ok"),
            ("rm b/f", "ok"),
            ("stat c/f", "File 1 10"),
            ("hold x c/f", "ok"),
            ("rm c/f", "ok"),
            ("stat @x", "File 0 10"),
        ],
    );
    let (upper, mut steps) = linked();
    steps.run(
        "copied",
        &[
            ("pwrite a/f 0 abc", "3"),
            ("stat a/f", "File 3 10"),
            ("cat b/f", "abc3456789"),
            ("same a/f b/f", "true"),
            ("stat a/f", "File 3 10"),
            ("rm a/f", "ok"),
            ("stat c/f", "File 2 10"),
            ("cat c/f", "abc3456789"),
        ],
    );
    assert_eq!(upper.stat("c/f").unwrap().links, 2);
}

/// A quota that is met in the middle leaves all as it was.
#[test]
fn what_does_not_fit_is_not_copied() {
    let lower = MemFs::new();
    lower.write("d/f", vec![7; 100_000]).unwrap();
    let upper = MemFs::builder().max_bytes(50_000).build();
    let both = OverlayFs::new(lower, upper.clone());
    Steps::new(&both).run(
        "quota",
        &[
            ("open x d/f w", "NoSpc"),
            ("mv d/f g", "NoSpc"),
            ("link d/f g", "NoSpc"),
            ("stat d/f", "File 1 100000"),
            ("rm d/f", "ok"),
            ("make d/f x", "ok"),
        ],
    );
    assert_eq!(upper.list("d").unwrap(), ["f"]);
    assert_eq!(both.read("d/f").unwrap(), b"x");
    assert_eq!(both.read("d/nix"), Err(Errno::NoEnt));
}

/// Down and up again, and through the walks, without recursion and without going from the root each time.
#[test]
fn deep_trees() {
    const DEPTH: usize = 10_000;
    let (_, _, both) = pair(&[]);
    let mut node = both.root().unwrap();
    for _ in 0..DEPTH {
        node.create_dir("d", 0).unwrap();
        node = node.lookup("d").unwrap();
    }
    node.create("f", Default::default(), 0).unwrap();
    // Directories that are held are not walked to again, however many there are.
    let mut held = vec![both.root().unwrap()];
    for _ in 0..DEPTH {
        held.push(held.last().unwrap().lookup("d").unwrap());
    }
    let start = std::time::Instant::now();
    for step in 0..DEPTH {
        let dir = &held[step * 7919 % DEPTH];
        dir.create("g", Default::default(), 0).unwrap();
        dir.unlink("g", 0).unwrap();
    }
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    drop(held);
    assert_eq!(both.root().unwrap().rename("d", &*node, "d", 0), Err(Errno::Inval));
    let all = both.diff().unwrap();
    assert_eq!((all.len(), all[DEPTH].path.len()), (DEPTH + 1, 2 * DEPTH + 1));
}

#[test]
fn nodes_are_paid_for() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Purse(AtomicU64);
    impl jitless::wasi::fs::Account for Purse {
        fn charge(&self, bytes: u64) -> bool {
            let room = |sum: u64| sum.checked_add(bytes).filter(|&sum| sum <= 1_500_000);
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
        }

        fn release(&self, bytes: u64) {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
    let purse = Arc::new(Purse::default());
    let sum = || purse.0.load(Ordering::Relaxed);
    let names: Vec<_> = (0..1000).map(|n| format!("d/{n}")).collect();
    let (_, _, both) = pair(&names.iter().map(|name| &**name).collect::<Vec<_>>());
    both.charge_to(purse.clone()).unwrap();
    let mut steps = Steps::new(&both);
    steps.run("list", &[("listed d", "1000")]);
    let listed = sum();
    assert!((704 * 1000..900_000).contains(&listed), "{listed}");
    // What comes and goes leaves nothing behind.
    steps.run("first", &[("make x x", "ok"), ("rm x", "ok")]);
    let before = sum();
    for _ in 0..100 {
        steps.run(
            "all",
            &[
                ("make x x", "ok"),
                ("mv x yy", "ok"),
                ("link yy z", "ok"),
                ("open x z r", "ok"),
                ("rm yy", "ok"),
                ("rm z", "ok"),
                ("drop x", "ok"),
                ("mkdir y", "ok"),
                ("rmdir y", "ok"),
            ],
        );
    }
    assert_eq!(sum(), before);
    // Too many for what is left: nothing is seen, nothing is charged.
    let (_, _, other) =
        pair(&(0..2000).map(|n| format!("d/{n}")).collect::<Vec<_>>().iter().map(|name| &**name).collect::<Vec<_>>());
    other.charge_to(purse.clone()).unwrap();
    Steps::new(&other).run("too many", &[("cat d/0", "NoSpc"), ("ls ", "d")]);
    drop((steps, other));
    drop(both);
    assert_eq!(sum(), 0);
}
