//! What must hold for any bytes at all. Each function takes bytes and panics if it does not hold; libFuzzer's targets
//! and the ordinary tests call the same functions.
//!
//! Invariant: nothing here knows more of the engine than its public interface.

pub mod inputs;
mod ours;
#[cfg_attr(not(any(feature = "wasmi", feature = "wasmtime")), allow(dead_code))]
mod report;
#[cfg(feature = "wasmi")]
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

use std::fmt::Write;

use jitless::{Compilation, Config, Engine, Error, ErrorKind, Module};
use wasmparser::{Validator, WasmFeatures};

/// The body of a libFuzzer target, or a `main` that runs files and folders of files.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::inputs::replay(std::env::args_os().skip(1), $body);
        }
    };
}

fn engine(compilation: Compilation) -> Engine {
    Engine::new(Config::new().compilation(compilation)).expect("a configuration in order")
}

/// Bytes become a module or an error with its place; nothing panics, whatever is asked of the module then.
pub fn decode(data: &[u8]) {
    let eager = Module::new(&engine(Compilation::Eager), data);
    let lazy = Module::new(&engine(Compilation::Lazy), data);
    match (&eager, &lazy) {
        (Ok(_), Err(error)) => panic!("eager: a module, lazy: {error}"),
        (Err(error), _) => check_error(error),
        (Ok(_), Ok(_)) => {}
    }
    if let Err(error) = &lazy {
        check_error(error);
    }
    for module in [eager, lazy].into_iter().flatten() {
        look_at(&module);
    }
}

/// A module's errors are of the four kinds there are for modules, and fit in a line.
fn check_error(error: &Error) {
    use ErrorKind::{Invalid, Limit, Malformed, Unsupported};
    assert!(matches!(error.kind(), Malformed | Invalid | Unsupported | Limit), "{error}");
    let line = error.to_string();
    assert!(!line.is_empty() && line.len() < 4096 && !line.contains(['\n', '\r']), "{line:?}");
    let (_, _) = (format!("{error:#}"), format!("{error:?}"));
}

/// Everything that can be asked of a module without running it.
fn look_at(module: &Module) {
    let mut text = String::new();
    for import in module.imports() {
        write!(text, "{} {} {}", import.module(), import.name(), import.ty()).expect("a string");
    }
    for export in module.exports() {
        write!(text, "{} {}", export.name(), export.ty()).expect("a string");
        assert!(module.get_export(export.name()).is_some());
    }
    for (name, bytes) in module.custom_sections() {
        write!(text, "{name} {}", bytes.len()).expect("a string");
    }
    write!(text, "{:?} {module:?}", module.name()).expect("a string");
    for function in 0..16 {
        if let Ok(listing) = module.listing(function) {
            write!(text, "{listing:?}").expect("a string");
        }
    }
}

/// The proposals that this version runs, as the other validator calls them.
const FEATURES: WasmFeatures = WasmFeatures::MVP
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::MULTI_MEMORY);

/// Our verdict on the bytes is that of wasmparser's validator; so on a module made from them, and on that module with a
/// few bytes changed.
pub fn validate(data: &[u8]) {
    same_verdict(data);
    if let Some(mut wasm) = inputs::module(data, inputs::Purpose::Validate) {
        assert!(same_verdict(&wasm), "a generated module is refused by both");
        inputs::mutate(&mut wasm, inputs::hash(data));
        same_verdict(&wasm);
    }
    if let Some(wasm) = inputs::module(data, inputs::Purpose::InvalidBodies) {
        same_verdict(&wasm);
    }
}

/// Our verdict on a module and that of wasmparser are the same; this is it.
pub fn same_verdict(wasm: &[u8]) -> bool {
    let ours = Module::validate(&engine(Compilation::LazyChecked), wasm);
    let theirs = Validator::new_with_features(FEATURES).validate_all(wasm);
    match (&ours, &theirs) {
        (Ok(()), Ok(_)) => true,
        (Err(ours), Err(_)) => {
            check_error(ours);
            false
        }
        // A limit that is ours alone.
        (Err(ours), Ok(_)) if ours.kind() == ErrorKind::Limit => false,
        (Err(ours), Ok(_)) => panic!("ours: {ours}\nwasmparser: valid"),
        (Ok(()), Err(theirs)) => panic!("ours: valid\nwasmparser: {theirs}"),
    }
}

/// Which other engines a module is put to, of those that this crate was built with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// None: its results may differ.
    None,
    /// All but wasmi.
    NotWasmi,
    /// All.
    All,
}

/// A module made from the bytes does the same in every mode of ours and in every other engine there is.
///
/// Bytes that are a module already are run as they are, by ours alone.
pub fn exec_diff(data: &[u8]) {
    if data.starts_with(b"\0asm") {
        if Module::validate(&engine(Compilation::Lazy), data).is_ok() {
            run_everywhere(data, inputs::hash(data), Others::None);
        }
        return;
    }
    // Engines may differ in NaN bits. Where all NaNs are made one kind, they are compared too; where not, ours are
    // compared with each other, bit for bit.
    let seed = inputs::hash(data);
    let canonical = !seed.is_multiple_of(4);
    let Some(wasm) = inputs::module(data, inputs::Purpose::Run { canonical }) else { return };
    let others = match (canonical, inputs::is_guarded(data)) {
        (false, _) => Others::None,
        // wasmi 2.0.0 picks the wrong one in the guard of a division, `(select (i32.const 1) $x (i32.eqz $x))`.
        (true, true) => Others::NotWasmi,
        (true, false) => Others::All,
    };
    run_everywhere(&wasm, seed, others);
}

/// The same for a module that is given.
pub fn run_everywhere(wasm: &[u8], seed: u64, others: Others) {
    let Some(first) = ours::first(wasm, seed) else { return };
    for mode in ours::MODES {
        let again = ours::run(wasm, seed, mode, first.steps.len());
        assert!(again == first, "{mode:?}\n{}", report::difference(&first, &again));
    }
    let (_some, _all) = (others != Others::None, others == Others::All);
    #[cfg(feature = "wasmtime")]
    if _some && let Some(theirs) = wasmtime::run(wasm, seed, first.steps.len()) {
        report::compare(&first, &theirs, "wasmtime");
    }
    #[cfg(feature = "wasmi")]
    if _all && let Some(theirs) = wasmi::run(wasm, seed, first.steps.len()) {
        report::compare(&first, &theirs, "wasmi");
    }
}
