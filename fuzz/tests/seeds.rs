//! The fuzz bodies over what is kept (`seeds/`, and the benches' guests), over that with a few bytes changed, and over
//! random numbers. Takes a minute at most; `JITLESS_FUZZ_RUNS=100` takes a hundred times as long.

use std::path::Path;

use jitless_fuzz::inputs::{Purpose, Random, files, module, mutate};
use jitless_fuzz::{Others, decode, exec_diff, run_everywhere, validate};

fn runs(usual: u64) -> u64 {
    usual * std::env::var("JITLESS_FUZZ_RUNS").map_or(1, |factor| factor.parse::<u64>().expect("a number"))
}

/// The contents of the files below a folder of the repository, text compiled; nothing if there is no such folder.
fn kept(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let paths = if root.is_dir() { files(&root) } else { vec![] };
    let read = |path: &std::path::PathBuf| match path.extension().and_then(|e| e.to_str()) {
        Some("wat") => wat::parse_file(path).unwrap_or_else(|error| panic!("{error}")),
        _ => std::fs::read(path).expect("readable"),
    };
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// Names the input, then runs the body.
fn each(inputs: impl Iterator<Item = (String, Vec<u8>)>, bodies: &[fn(&[u8])]) {
    for (name, bytes) in inputs {
        for body in bodies {
            let named = std::panic::catch_unwind(|| body(&bytes));
            assert!(named.is_ok(), "the input was {name}");
        }
    }
}

fn tapes(seed: u64, count: u64, longest: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..count).map(move |n| {
        let mut random = Random(seed + n);
        let len = random.below(longest);
        (format!("tape {seed:#x} + {n}"), random.bytes(len))
    })
}

fn verdict(wasm: &[u8]) {
    jitless_fuzz::same_verdict(wasm);
}

fn run(wasm: &[u8]) {
    run_everywhere(wasm, 7, Others::All);
}

#[test]
fn seeds() {
    each(kept("fuzz/seeds").into_iter(), &[decode, validate, exec_diff]);
    let modules = kept("fuzz/seeds").into_iter().filter(|(name, _)| name.ends_with(".wat"));
    each(modules, &[run]);
}

#[test]
fn modules_with_changes() {
    let small = |(_, bytes): &(String, Vec<u8>)| bytes.starts_with(b"\0asm") && bytes.len() < 20_000;
    let modules = [kept("fuzz/seeds"), kept("benches/guests")].concat();
    for (name, bytes) in modules.into_iter().filter(small) {
        let changed = (0..runs(100)).map(|n| {
            let mut bytes = bytes.clone();
            mutate(&mut bytes, n);
            if n % 8 == 0 {
                bytes.truncate(Random(n).below(bytes.len()));
            }
            (format!("{name}, change {n}"), bytes)
        });
        each(changed, &[decode, verdict, exec_diff]);
    }
}

#[test]
fn random_bytes() {
    let with_header =
        tapes(0x1000, runs(20_000), 200).map(|(name, tape)| (name, [b"\0asm\x01\0\0\0", &tape[..]].concat()));
    each(with_header, &[decode, verdict]);
}

#[test]
fn random_modules_validate() {
    each(tapes(0x2000, runs(6000), 3000), &[validate]);
}

#[test]
fn random_modules_run() {
    each(tapes(0x3000, runs(6000), 3000), &[exec_diff]);
}

/// Most tapes give a module, and most modules something to run.
#[test]
fn tapes_become_modules() {
    let made = tapes(0x3000, 200, 3000).filter(|(_, tape)| module(tape, Purpose::Run { canonical: true }).is_some());
    assert!(made.count() > 150);
}
