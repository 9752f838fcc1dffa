//! The sandbox: its errors, its limits, what goes in and out, and the examples.
#![cfg(feature = "wasi")]

mod corpus;
mod errors;
mod examples;
mod heap;
mod limits;
mod values;
mod wasi;

use jitless::{Sandbox, SandboxConfig};

/// The module in the binary format.
fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A sandbox with a module in it.
fn sandbox(config: SandboxConfig, text: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(config).unwrap();
    sandbox.load(&wasm(text)).unwrap();
    sandbox
}
