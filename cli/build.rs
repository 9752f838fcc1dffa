//! Tells the command which commit it was built from, where that can be known; and links the unwinder into it.
use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=JITLESS_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    if has_static_unwinder() {
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}

fn commit() -> Option<String> {
    let log = Path::new("../.git/logs/HEAD");
    if !log.exists() {
        return None;
    }
    println!("cargo:rerun-if-changed={}", log.display());
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Some(commit).filter(|commit| !commit.is_empty())
}

/// Is there an archive of GCC's unwinder? Named before the shared library, it spares each start of the command the loading
/// of that library, whose constructor asks the processor for its features: a tenth of the time that a small program takes.
/// A linker that does not look back passes it over.
fn has_static_unwinder() -> bool {
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !native || target("OS") != "linux" || target("ENV") != "gnu" {
        return false;
    }
    // Where there is none, the compiler repeats the bare name.
    let output = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}
