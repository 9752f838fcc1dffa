//! The official programs of WASI preview1, on every file system that can be written to.
//!
//! Idea: the programs are not ours, so they are not here: `JITLESS_WASI_SUITE` names a folder with the built ones
//! (`wasm32-wasip1/*.wasm`, each with its `.json` and its root folder beside it), anywhere in it. Without that one line
//! says that they did not run.
//!
//! Each program runs on each file system twice: as it is, and with the error numbers of Unix demanded.
#![cfg(feature = "wasi")]

use std::collections::BTreeMap;
use std::fs as host;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jitless::wasi::fs::{Access, FileSystem, MemFs, Node};
#[cfg(feature = "host-fs")]
use jitless::wasi::fs::{HostDir, OverlayFs};
use jitless::wasi::{self, Capture, WasiCtx};
use jitless::{Engine, Linker, Module, Store};
use serde::Deserialize;

/// How many programs there are at least.
const PROGRAMS: usize = 72;

/// Makes a file system with what is in a folder of the host, and what has to be there as long as it is used.
type Make = fn(&Path) -> (Arc<dyn FileSystem>, Option<tempfile::TempDir>);

const FILE_SYSTEMS: &[(&str, Make)] = &[
    ("MemFs", |folder| {
        let fs = MemFs::new();
        copy(folder, &*fs.root().unwrap());
        (Arc::new(fs), None)
    }),
    #[cfg(feature = "host-fs")]
    ("HostDir", |folder| {
        let temporary = tempfile::tempdir().unwrap();
        let fs = HostDir::open(temporary.path()).unwrap();
        copy(folder, &*fs.root().unwrap());
        (Arc::new(fs), Some(temporary))
    }),
    #[cfg(feature = "host-fs")]
    ("OverlayFs of HostDir and MemFs", |folder| {
        (Arc::new(OverlayFs::new(HostDir::open_read_only(folder).unwrap(), MemFs::new())), None)
    }),
];

/// Copies what is in a folder of the host into a directory.
fn copy(folder: &Path, dir: &dyn Node) {
    for entry in host::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            dir.create_dir(&name, 1000).unwrap();
            copy(&path, &*dir.lookup(&name).unwrap());
        } else {
            let bytes = host::read(&path).unwrap();
            let file = dir.create(&name, Access { read: false, write: true }, 1000).unwrap();
            assert_eq!(file.write_at(0, &bytes, 1000).unwrap_or(0), bytes.len(), "{name}");
        }
    }
}

/// What a program's `.json` says, and what it leaves out.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Spec {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    root: Option<String>,
    exit_code: i32,
    stdout: Option<String>,
}

impl Spec {
    fn of(program: &Path) -> Self {
        let Ok(text) = host::read_to_string(program.with_extension("json")) else { return Self::default() };
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", program.display()))
    }
}

fn programs(folder: &Path, out: &mut Vec<PathBuf>) {
    for path in host::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.is_symlink() {
            programs(&path, out);
        } else if path.extension().is_some_and(|end| end == "wasm")
            && path.parent().is_some_and(|folder| folder.ends_with("wasm32-wasip1"))
        {
            out.push(path);
        }
    }
}

/// Runs a program. What is wrong with it, if anything is?
fn run(module: &Module, program: &Path, make: Make, unix: bool) -> Result<(), String> {
    let spec = Spec::of(program);
    let (out, err) = (Capture::new(1 << 20), Capture::new(1 << 20));
    let mut ctx = WasiCtx::builder();
    ctx.arg("prog").args(&spec.args).envs(spec.env).stdout(out.clone()).stderr(err.clone());
    // Those that look at the environment itself expect nothing else in it.
    let counts = program.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("environ_"));
    if unix && !counts {
        ctx.env("ERRNO_MODE_UNIX", "1");
    }
    let mut temporary = None;
    if let Some(root) = &spec.root {
        let (fs, files) = make(&program.with_file_name(root));
        ctx.mount("/", fs);
        temporary = files;
    }
    let mut linker = Linker::new(module.engine());
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let mut store = Store::new(module.engine(), ctx.build().unwrap());
    store.set_deadline(Some(Instant::now() + Duration::from_secs(60)));
    let ended = linker.instantiate(&mut store, module).and_then(|instance| wasi::run_command(&mut store, &instance));
    drop(temporary);
    match ended {
        Err(error) => return Err(format!("{error}: {}", err.text())),
        Ok(code) if code != spec.exit_code => return Err(format!("exit code {code}: {}", err.text())),
        Ok(_) => {}
    }
    match spec.stdout {
        Some(text) if text != out.text() => Err(format!("printed {:?}", out.text())),
        _ => Ok(()),
    }
}

#[test]
fn official_programs() {
    let Some(suite) = std::env::var_os("JITLESS_WASI_SUITE").map(PathBuf::from).filter(|suite| suite.is_dir()) else {
        println!("skipped: JITLESS_WASI_SUITE names no folder with the official programs");
        return;
    };
    let mut found = vec![];
    programs(&suite, &mut found);
    found.sort();
    assert!(found.len() >= PROGRAMS, "only {} programs in {}", found.len(), suite.display());
    let engine = Engine::default();
    let mut faults = vec![];
    let mut passed = vec![[0; 2]; FILE_SYSTEMS.len()];
    for program in &found {
        let module = Module::from_file(&engine, program).unwrap();
        let name = program.file_stem().unwrap_or_default().to_string_lossy();
        for ((fs, make), passed) in FILE_SYSTEMS.iter().zip(&mut passed) {
            for (unix, passed) in [false, true].into_iter().zip(passed) {
                match run(&module, program, *make, unix) {
                    Ok(()) => *passed += 1,
                    Err(why) => faults.push(format!("{name} on {fs}{}: {why}", if unix { " (Unix)" } else { "" })),
                }
            }
        }
    }
    for ((fs, _), [plain, unix]) in FILE_SYSTEMS.iter().zip(passed) {
        println!("{fs}: {plain} of {}, with the numbers of Unix {unix}", found.len());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
