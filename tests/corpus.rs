//! Real programs from package registries: exit code, standard output and written files are what they have to be.
//!
//! Idea: the programs are not ours, so they are not here. A manifest (`JITLESS_MANIFEST`, or `../shared/corpus/manifest.toml`)
//! says what each is to do, a cache (`JITLESS_CORPUS`, or `~/.cache/jitless-corpus`) holds them; without them one line says
//! that they did not run. Each gets its folders in memory. Words behind `--` choose programs by parts of their names,
//! `--slow` takes the slow ones too.
//!
//! Short programs run twice, with a clock that steps and random numbers from a seed: output, files and fuel are the same.
#![cfg(feature = "wasi")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use jitless::wasi::fs::{Changed, MemFs};
use jitless::wasi::{self, Capture, WasiCtx};
use jitless::{Compilation, Config, Engine, Linker, Module, Store};
use regex::bytes::Regex;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What a module may need; programs that need more do not run here.
const FEATURES: &[&str] = &[
    "bulk-memory",
    "extended-const",
    "multi-memory",
    "multi-value",
    "mutable-globals",
    "reference-types",
    "sat-float",
    "sign-ext",
    "tail-call",
];

/// Programs that execute no more operators run twice.
const SHORT: u64 = 300_000_000;

/// The most that a program may print.
const OUTPUT: usize = 64 << 20;

#[derive(Deserialize)]
struct Manifest {
    module: Vec<Wasm>,
    program: Vec<Program>,
}

#[derive(Deserialize)]
struct Wasm {
    id: String,
    features: Vec<String>,
}

#[derive(Deserialize)]
struct Program {
    id: String,
    module: String,
    argv0: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    dir: Vec<Folder>,
    stdin_text: Option<String>,
    stdin_file: Option<String>,
    #[serde(default)]
    invoke: Vec<String>,
    exit: Exit,
    stdout_sha256: String,
    #[serde(default)]
    file: Vec<Written>,
    #[serde(default)]
    mask: Vec<String>,
    #[serde(default)]
    slow: bool,
    operators_run: Option<u64>,
}

#[derive(Deserialize)]
struct Folder {
    guest: String,
    source: Option<String>,
    only: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Written {
    path: String,
    sha256: String,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Exit {
    Code(i32),
    Trap(String),
}

/// What a run came to.
#[derive(PartialEq, Debug)]
struct Outcome {
    exit: Exit,
    stdout: Vec<u8>,
    /// By path.
    files: BTreeMap<String, String>,
    fuel: u64,
}

/// Where the sources of programs lie.
struct Places {
    manifest: PathBuf,
    cache: PathBuf,
}

impl Places {
    fn of(&self, source: &str) -> PathBuf {
        match source.strip_prefix("package:") {
            Some(path) => self.cache.join("packages").join(path),
            None => self.manifest.with_file_name(source),
        }
    }

    fn wasm(&self, program: &Program) -> PathBuf {
        self.cache.join("modules").join(&program.module).with_added_extension("wasm")
    }

    fn folder(&self, folder: &Folder) -> MemFs {
        let fs = MemFs::new();
        let Some(source) = folder.source.as_deref().map(|source| self.of(source)) else { return fs };
        match &folder.only {
            None => copy(&source, "", &fs),
            Some(names) => {
                for name in names {
                    let (path, name) = match name.split_once('=') {
                        Some((path, name)) => (path, name),
                        None => (name.as_str(), name.rsplit('/').next().unwrap_or(name)),
                    };
                    fs.write(name, fs::read(source.join(path)).unwrap()).unwrap();
                }
            }
        }
        fs
    }
}

fn copy(from: &Path, to: &str, fs: &MemFs) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())).map(Result::unwrap) {
        let to = format!("{to}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            fs.create_dir_all(&to).unwrap();
            copy(&entry.path(), &to, fs);
        } else {
            fs.write(&to, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Program {
    fn run(&self, places: &Places, deterministic: bool) -> Outcome {
        let stdout = Capture::new(OUTPUT);
        let mut ctx = WasiCtx::builder();
        ctx.arg(self.argv0.as_ref().unwrap_or(&self.module)).args(&self.args).envs(&self.env);
        ctx.stdout(stdout.clone());
        if let Some(text) = &self.stdin_text {
            ctx.stdin(text.as_bytes());
        } else if let Some(file) = &self.stdin_file {
            ctx.stdin(fs::read(places.of(file)).unwrap());
        }
        if deterministic {
            ctx.deterministic(0);
        }
        let folders: Vec<_> = self.dir.iter().map(|folder| (folder.guest.as_str(), places.folder(folder))).collect();
        let before: Vec<_> = folders.iter().map(|(_, fs)| fs.fork()).collect();
        for (guest, fs) in &folders {
            ctx.mount(guest, fs.clone());
        }

        let engine = Engine::new(Config::new().compilation(Compilation::Lazy)).unwrap();
        let module = Module::from_file(&engine, places.wasm(self)).unwrap();
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
        linker.define_unknown_imports_as_traps(&module).unwrap();
        let mut store = Store::new(&engine, ctx.build().unwrap());
        let exit = linker.instantiate(&mut store, &module).and_then(|instance| {
            if self.invoke.is_empty() {
                return wasi::run_command(&mut store, &instance);
            }
            for name in &self.invoke {
                let func = instance.get_func(&store, name).expect("exported");
                let mut results = vec![jitless::Val::I32(0); func.ty(&store).results().len()];
                func.call(&mut store, &[], &mut results)?;
            }
            Ok(0)
        });
        let exit = match exit {
            Ok(code) => Exit::Code(code),
            Err(error) => match error.exit_code() {
                Some(code) => Exit::Code(code),
                None if error.trap().is_some() => Exit::Trap("trap".into()),
                None => panic!("{}: {error:#}", self.id),
            },
        };
        let mut files = BTreeMap::new();
        for ((guest, fs), before) in folders.iter().zip(&before) {
            for change in fs.diff(before).unwrap() {
                let path = format!("{}/{}", guest.trim_end_matches('/'), change.path);
                match fs.read(&change.path) {
                    Ok(bytes) if change.how != Changed::Removed => files.insert(path, hash(&bytes)),
                    // Folders are not compared.
                    _ => None,
                };
            }
        }
        Outcome { exit, stdout: stdout.take(), files, fuel: store.fuel_used() }
    }

    /// What of an outcome is not as it has to be.
    fn faults(&self, outcome: &Outcome) -> Vec<String> {
        let mut faults = vec![];
        if outcome.exit != self.exit {
            faults.push(format!("exit {:?}, not {:?}", outcome.exit, self.exit));
        }
        let mask = |text: Vec<u8>, mask: &String| Regex::new(mask).unwrap().replace_all(&text, &b"#"[..]).into_owned();
        let stdout = self.mask.iter().fold(outcome.stdout.clone(), mask);
        if hash(&stdout) != self.stdout_sha256 {
            let text = String::from_utf8_lossy(&stdout);
            faults.push(format!("another standard output, of {} bytes: {:.300}", stdout.len(), text.escape_debug()));
        }
        let wanted: BTreeMap<_, _> = self.file.iter().map(|file| (file.path.clone(), file.sha256.clone())).collect();
        if outcome.files != wanted {
            faults.push(format!("wrote {:?}, not {wanted:?}", outcome.files));
        }
        faults
    }
}

fn places() -> Option<Places> {
    let manifest = match env::var_os("JITLESS_MANIFEST") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/manifest.toml"),
    };
    let cache = match env::var_os("JITLESS_CORPUS") {
        Some(path) => path.into(),
        None => PathBuf::from(env::var_os("HOME")?).join(".cache/jitless-corpus"),
    };
    (manifest.is_file() && cache.join("modules").is_dir()).then_some(Places { manifest, cache })
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let Some(places) = places() else {
        println!("skipped: the corpus is not here");
        return ExitCode::SUCCESS;
    };
    let manifest: Manifest = toml::from_str(&fs::read_to_string(&places.manifest).unwrap()).unwrap();
    let names: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let slow = words.iter().any(|word| word == "--slow");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for program in &manifest.program {
        let chosen = names.is_empty() || names.iter().any(|&name| program.id.contains(name));
        let module = manifest.module.iter().find(|module| module.id == program.module).expect("listed");
        let ours = module.features.iter().all(|feature| FEATURES.contains(&feature.as_str()));
        if !chosen || !ours || program.slow && !slow || !places.wasm(program).is_file() {
            skipped += 1;
            continue;
        }
        let begin = Instant::now();
        let short = program.operators_run.is_some_and(|operators| operators <= SHORT);
        let outcome = program.run(&places, short);
        let took = begin.elapsed();
        let mut faults = program.faults(&outcome);
        if short && program.run(&places, true) != outcome {
            faults.push("a second run was another".to_owned());
        }
        report(&program.id, took, &faults);
        if faults.is_empty() { passed += 1 } else { failed += 1 }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(name: &str, took: Duration, faults: &[String]) {
    let verdict = if faults.is_empty() { "ok" } else { "FAILED" };
    println!("{verdict:7} {name:32} {:8.3} s", took.as_secs_f64());
    faults.iter().for_each(|fault| println!("        {fault}"));
}
