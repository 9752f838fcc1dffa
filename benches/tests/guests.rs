//! Every guest prints what it prints in other engines, whatever the dispatch, for the same bill.

use jitless::{Compilation, Config, Dispatch, Engine};
use jitless_bench::guests;

#[test]
fn guests_print_what_they_should() {
    let engine = |dispatch, compilation| {
        Engine::new(Config::new().dispatch(dispatch).compilation(compilation)).expect("in order")
    };
    let engines = [engine(Dispatch::Auto, Compilation::Lazy), engine(Dispatch::Bounced, Compilation::Eager)];
    for guest in guests() {
        let [a, b] = engines.each_ref().map(|engine| {
            let loaded = guest.load(engine).unwrap_or_else(|error| panic!("{}: {error:#}", guest.name));
            guest.run(&loaded).unwrap_or_else(|error| panic!("{}: {error:#}", guest.name))
        });
        assert!(a == b && a > 1000, "{}: a bill of {a} and one of {b}", guest.name);
    }
}

#[test]
fn every_file_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, guests().iter().map(|guest| guest.name).collect::<Vec<_>>());
}
