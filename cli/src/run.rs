//! The verb `run`: a program or one of its exports, with WASI, within bounds.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use jitless::wasi::{self, Input, Output, WasiCtx};
use jitless::{Compilation, Error, ErrorKind, Linker, Module, Store, Val};

use crate::files::{Files, Saves};
use crate::report::{self, Failure, escaped, note, plain, status};
use crate::streams::{self, Fate};
use crate::summary::{Object, quoted};
use crate::{entry, flags, input};

/// Options and arguments of `run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Call this export instead of `_start`, with the arguments behind FILE, and print its results; of several the last
    /// gets them
    #[arg(long, value_name = "EXPORT")]
    invoke: Vec<String>,

    /// Stop the guest after so many executed instructions
    #[arg(long, value_name = "N", value_parser = flags::number)]
    fuel: Option<u64>,

    /// Stop the guest after this time, as 10s or 250ms
    #[arg(long, value_name = "TIME", value_parser = flags::duration)]
    timeout: Option<Duration>,

    /// The most memory that the guest makes the host hold, all in all, as 256MiB
    #[arg(long, value_name = "SIZE", value_parser = flags::size)]
    memory: Option<u64>,

    #[command(flatten)]
    wasm: flags::Wasm,

    /// Set a variable of the guest's environment; without a value, the command's own is handed on
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,

    /// What the guest sees as the name of its program. Default: the name of FILE
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    argv0: Option<OsString>,

    /// What the guest reads as standard input
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,

    #[command(flatten)]
    files: Files,

    /// Give the guest a clock that steps and random numbers from a seed, so that every run is the same
    #[arg(long, hide_short_help = true, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    #[arg(value_parser = flags::number)]
    deterministic: Option<u64>,

    /// Say on standard error what the guest calls
    #[arg(long, hide_short_help = true, value_name = "WHAT", value_enum)]
    trace: Option<Traced>,

    /// What becomes of imports that are not defined
    #[arg(long, value_name = "HOW", value_enum)]
    stub_imports: Option<Stub>,

    /// Say at the end what fuel, memory and time the guest took
    #[arg(long)]
    stats: bool,

    /// Write how the guest ended to this file, as JSON
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    status: Option<PathBuf>,

    /// The module, binary or text, or `-` for standard input; and the guest's arguments
    #[arg(value_name = "FILE [ARGS]", trailing_var_arg = true)]
    words: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stub {
    /// They fail when they are called
    Trap,
    /// They return zeros; memories, tables and globals are made
    Zero,
}

#[derive(Clone, Copy, ValueEnum)]
enum Traced {
    /// Calls of WASI, and what they come to
    Wasi,
}

/// Runs a guest, and gives the status that it ended with.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let begin = Instant::now();
    let mut plan = match args.wasm.plan(Compilation::Lazy) {
        Ok(plan) => plan,
        Err(helped) => return helped,
    };
    plan.total = args.memory.unwrap_or(plan.total);
    let Some((file, guest_args)) = args.words.split_first() else {
        return Err(Failure::usage("FILE is missing; `jitless --help` says more"));
    };
    let (output, fate) = streams::stdout();
    let name = input::name(file);
    let mut guest =
        Guest { args, plan, begin, name, fate, saves: Saves::default(), loaded: None, module: None, store: None };
    let result = guest.run(file, guest_args, output);
    guest.finish(result)
}

/// What the run needs at its end, however far it came.
struct Guest<'a> {
    args: &'a Args,
    plan: flags::Plan,
    begin: Instant,
    name: String,
    fate: Fate,
    saves: Saves,
    loaded: Option<Duration>,
    module: Option<Module>,
    store: Option<Store<WasiCtx>>,
}

/// Why a run ended.
enum End {
    /// The library says why.
    Error(Error),
    /// Something else went wrong.
    Failure(Failure),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Guest<'_> {
    /// The results, if an export was called.
    fn run(&mut self, file: &OsStr, guest_args: &[OsString], output: Output) -> Result<Vec<Val>, End> {
        let wasi = self.wasi(file, guest_args, output)?;
        let (args, plan) = (self.args, &self.plan);
        let engine = plan.engine()?;
        let module = self.module.insert(Module::from_bytes(&engine, input::module(file)?)?);
        self.loaded = Some(self.begin.elapsed());

        let mut linker = Linker::new(&engine);
        wasi::add_imported_to_linker(&mut linker, module, |wasi: &mut WasiCtx| wasi)?;
        let store = self.store.insert(Store::new(&engine, wasi));
        store.set_limits(plan.limits());
        if let Some(fuel) = args.fuel.or(plan.fuel) {
            store.set_fuel(fuel)?;
        }
        if let Some(timeout) = args.timeout.or(plan.timeout) {
            store.set_deadline(self.begin.checked_add(timeout));
        }
        let calls = entry::calls(module, &args.invoke, guest_args, &self.name)?;
        match args.stub_imports {
            Some(Stub::Trap) => linker.define_unknown_imports_as_traps(module)?,
            Some(Stub::Zero) => linker.define_unknown_imports_as_default_values(&mut *store, module)?,
            None => {}
        }
        let instance = linker.instantiate(&mut *store, module)?;
        let mut results = Vec::new();
        for call in calls {
            results.extend(call.make(store, instance)?);
        }
        Ok(results)
    }

    fn wasi(&mut self, file: &OsStr, guest_args: &[OsString], output: Output) -> Result<WasiCtx, End> {
        let mut wasi = WasiCtx::builder();
        let own_name = Path::new(file).file_name().unwrap_or(file);
        wasi.arg(self.args.argv0.as_deref().unwrap_or(own_name).as_encoded_bytes());
        if self.args.invoke.is_empty() {
            wasi.args(guest_args.iter().map(|arg| arg.as_encoded_bytes()));
        }
        for variable in &self.args.env {
            let bytes = variable.as_encoded_bytes();
            match bytes.iter().position(|&byte| byte == b'=') {
                Some(at) => wasi.env(&bytes[..at], &bytes[at + 1..]),
                // An empty name is refused, one that is not set is left out.
                None => match std::env::var_os(variable) {
                    Some(value) => wasi.env(bytes, value.as_encoded_bytes()),
                    None if bytes.is_empty() => wasi.env(bytes, bytes),
                    None => &mut wasi,
                },
            };
        }
        wasi.stdout(output).stderr(Output::inherit_stderr());
        match &self.args.stdin {
            None if file == "-" => wasi.stdin(Input::empty()),
            None => wasi.stdin(Input::inherit()),
            Some(path) => {
                let file = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
                    true => Err(std::io::ErrorKind::IsADirectory.into()),
                    false => Ok(file),
                });
                let unreadable = |error| {
                    let path = escaped(&path.to_string_lossy());
                    Failure::new(format!("cannot read {path}: {}", plain(&error)))
                };
                wasi.stdin(Input::file(file.map_err(unreadable)?))
            }
        };
        self.saves = self.args.files.mount(&mut wasi)?;
        if let Some(seed) = self.args.deterministic {
            wasi.deterministic(seed);
        }
        if let Some(Traced::Wasi) = self.args.trace {
            wasi.trace(|line| note(escaped(line)));
        }
        Ok(wasi.build().map_err(Failure::usage)?)
    }

    /// Says how it ended, everywhere where it is to be said.
    fn finish(self, result: Result<Vec<Val>, End>) -> Result<u8, Failure> {
        let took = self.begin.elapsed();
        let written = self.saves.write().and(self.write_status(&result));
        let end = match result {
            Ok(results) => print_results(&results).and_then(|()| self.fate.check()).map(|()| status::OK),
            Err(End::Error(error)) if error.kind() == ErrorKind::Exit => match report::status_of(&error) {
                status::OK => self.fate.check().map(|()| status::OK),
                other => Ok(other),
            },
            Err(End::Error(error)) => Err(Failure::of(&error, &self.name)),
            Err(End::Failure(failure)) => Err(failure),
        };
        if let Err(failure) = &end {
            failure.say();
        }
        if self.args.stats {
            self.stats(took);
        }
        // What the guest ended with counts more than that it could not be noted down.
        match (end, written) {
            (Ok(status::OK), Err(failure)) => Err(failure),
            (Ok(status), Err(failure)) => {
                failure.say();
                Ok(status)
            }
            (Ok(status), Ok(())) => Ok(status),
            (Err(failure), written) => {
                if let Err(failure) = written {
                    failure.say();
                }
                Ok(failure.status())
            }
        }
    }

    fn stats(&self, took: Duration) {
        if let Some(store) = &self.store {
            let (fuel, peak) = (store.fuel_used(), report::bytes(store.memory_peak()));
            note(format!("fuel used {fuel}, memory {peak} of {}", report::bytes(self.plan.total)));
        }
        if let Some(loaded) = self.loaded {
            note(format!("loaded in {loaded:.2?}, ran for {:.2?}", took - loaded));
        }
    }

    fn write_status(&self, result: &Result<Vec<Val>, End>) -> Result<(), Failure> {
        let Some(path) = &self.args.status else { return Ok(()) };
        let mut object = Object::new();
        match result {
            Ok(results) if !self.args.invoke.is_empty() => {
                let results = results.iter().map(|val| quoted(&val.to_string()));
                object.text("kind", "returned").list("results", results)
            }
            Ok(_) => object.text("kind", "exit").number("code", 0),
            Err(End::Error(error)) => object.error(error),
            Err(End::Failure(failure)) => object.text("kind", "failed").text("message", failure.text()),
        };
        if let Some(store) = &self.store {
            object.number("fuel_used", store.fuel_used());
            object.number("memory", store.memory_used());
            object.number("memory_peak", store.memory_peak());
        }
        let text = object.finish() + "\n";
        std::fs::write(path, text).map_err(|error| {
            Failure::new(format!("cannot write {}: {}", escaped(&path.to_string_lossy()), plain(&error)))
        })
    }
}

/// One a line.
fn print_results(results: &[Val]) -> Result<(), Failure> {
    if results.is_empty() {
        return Ok(());
    }
    report::print(results.iter().map(|val| format!("{val}\n")).collect::<String>())
}
