//! Python on a budget: CPython compiled for WASI runs a script that lies in memory, with a memory limit, a deadline and
//! captured output. Nothing of the host's is in its reach.
//!
//! `cargo run --release --example python -- python.wasm [SCRIPT.py]`. The module is a CPython for `wasm32-wasip1` with its
//! library inside it, as `python-3.12.0.wasm` of VMware's WebAssembly Language Runtimes; a library beside it would be files
//! too (`MemFs`). Without a path it is looked for as `modules/cpython-3.12.wasm` in the folder `$JITLESS_CORPUS`, or
//! `~/.cache/jitless-corpus`; without a module there is nothing to show.
use std::path::{Path, PathBuf};
use std::time::Duration;

use jitless::{Sandbox, SandboxConfig, SandboxErrorKind};

const SCRIPT: &str = r#"
import json, sys
words = open("/app/words.txt").read().split()
json.dump({word: len(word) for word in words}, open("/app/lengths.json", "w"))
print("hello from", sys.platform, "with", len(words), "words")
"#;

/// Where the module is, if it is anywhere.
pub(crate) fn find() -> Option<PathBuf> {
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/jitless-corpus"));
    let corpus = std::env::var_os("JITLESS_CORPUS").map(PathBuf::from).or_else(cache)?;
    Some(corpus.join("modules/cpython-3.12.wasm")).filter(|path| path.is_file())
}

/// A sandbox with Python in it.
pub(crate) fn python(module: &Path) -> Result<Sandbox, Box<dyn std::error::Error>> {
    // 256 MiB for everything, files and output included, and 60 seconds a run.
    let config = SandboxConfig::python().env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0");
    let mut sandbox = Sandbox::new(config)?;
    sandbox.load_file(module)?;
    Ok(sandbox)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(module) = args.next().or_else(find) else {
        println!("no Python: give the path of a CPython for WASI");
        return Ok(());
    };
    let mut sandbox = python(&module)?;
    let script = args.next().map_or(Ok(SCRIPT.into()), std::fs::read_to_string)?;
    let files = sandbox.files().ok_or("no files")?.clone();
    files.write("app/words.txt", "small and bounded and hard to break")?;
    files.write("app/main.py", script)?;

    let status = sandbox.run(["python", "/app/main.py"])?;
    print!("{}", sandbox.stdout().text());
    eprint!("{}", sandbox.stderr().text());
    println!("status {}, {:?}", status.code(), sandbox.usage());
    if let Ok(lengths) = files.read("app/lengths.json") {
        println!("it wrote {}", String::from_utf8(lengths)?);
    }

    // What never ends is ended, and Python runs again.
    files.write("app/forever.py", "while True: pass")?;
    sandbox.set_timeout(Some(Duration::from_secs(5)));
    let error = sandbox.run(["python", "/app/forever.py"]).unwrap_err();
    assert!(matches!(error.kind(), SandboxErrorKind::Timeout { .. }), "{error}");
    println!("forever.py: {error}");
    Ok(())
}
