//! File systems: what they do compared with a model, and table by table.
#![cfg(feature = "wasi")]

#[cfg(feature = "archive")]
mod archive;
mod driver;
mod limits;
mod model;

use std::collections::BTreeMap;

#[cfg(all(unix, feature = "host-fs"))]
use jitless::wasi::fs::HostDir;
use jitless::wasi::fs::{Change, Changed, MemFs, OverlayFs};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::driver::{Driver, Tape, Traits, agree};
use crate::model::{Body, Model};

/// So many sequences of each sort; `PROPTEST_CASES` asks for more.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

fn traits(max_bytes: u64, max_files: u64) -> Traits {
    Traits { told_times: true, names_only: false, quota: Some((max_bytes, max_files)) }
}

fn tape() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 0..800)
}

fn mem(max_bytes: u64, max_files: u64) -> MemFs {
    MemFs::builder().max_bytes(max_bytes).max_files(max_files).build()
}

/// All paths, with what tells one thing from another.
fn contents(model: &Model) -> BTreeMap<String, (u8, Vec<u8>)> {
    let body = |id: usize| match &model.nodes[id].body {
        Body::File(bytes) => (0, bytes.clone()),
        Body::Dir(_) => (1, vec![]),
        Body::Link(target) => (2, target.clone().into()),
    };
    model.paths().into_iter().map(|(path, id)| (path, body(id))).collect()
}

fn changes(old: &Model, new: &Model) -> Vec<(String, Changed)> {
    let (old, new) = (contents(old), contents(new));
    let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changes: Vec<_> = paths
        .into_iter()
        .filter_map(|path| match (old.get(path), new.get(path)) {
            (None, _) => Some((path.clone(), Changed::Added)),
            (_, None) => Some((path.clone(), Changed::Removed)),
            (old, new) => (old != new).then(|| (path.clone(), Changed::Modified)),
        })
        .collect();
    // A directory comes before what is in it, and that before the next name.
    changes.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    changes
}

/// What a disk has room for is not known, it has a clock of its own, and files that are not open are names.
#[cfg(all(unix, feature = "host-fs"))]
const DISK: Traits = Traits { told_times: false, names_only: true, quota: None };

proptest! {
    #![proptest_config(cases(200))]

    /// A folder of the host gives the same answers to the same sequences.
    #[cfg(all(unix, feature = "host-fs"))]
    #[test]
    fn folders_do_what_the_model_does(tape in tape()) {
        let dir = tempfile::tempdir().unwrap();
        agree(&HostDir::open(dir.path()).unwrap(), &tape, DISK);
    }

    /// And so does an overlay.
    #[test]
    fn overlays_do_what_the_model_does(tape in tape()) {
        agree(&OverlayFs::new(MemFs::new(), MemFs::new()), &tape, Traits { quota: None, ..traits(0, 0) });
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// With room for all.
    #[test]
    fn memory_does_what_the_model_does(tape in tape()) {
        agree(&mem(1 << 30, 1 << 20), &tape, traits(1 << 30, 1 << 20));
    }

    /// With room for little.
    #[test]
    fn quotas_are_exact(tape in tape(), bytes in 0u64..200_000, files in 0u64..12) {
        agree(&mem(bytes, files), &tape, traits(bytes, files));
    }

    /// Forks go their own ways, and the difference is what each has done.
    #[test]
    fn forks_share_nothing_that_is_seen(tapes in [tape(), tape(), tape()]) {
        let traits = traits(1 << 22, 40);
        let [before, one, two] = tapes.each_ref().map(|tape| Tape::new(tape));
        let fs = mem(1 << 22, 40);
        let mut first = Driver::new(&fs, Model::new(1 << 22, 40), traits);
        first.run(&mut { before });
        let fork = fs.fork();
        let mut model = first.model.clone();
        model.held.clear();
        let mut second = Driver::new(&fork, model, traits);
        first.run(&mut { one });
        second.run(&mut { two });
        first.check_all();
        second.check_all();
        let got = fork.diff(&fs).unwrap().into_iter().map(|Change { path, how, .. }| (path, how)).collect::<Vec<_>>();
        prop_assert_eq!(got, changes(&first.model, &second.model));
    }
}
