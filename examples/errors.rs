//! Every kind of error of a sandbox, with its number; after each of them the same sandbox goes on.
use std::thread;
use std::time::Duration;

use jitless::sandbox::{Sandbox, SandboxConfig, SandboxError, SandboxErrorKind, Wasi};
use jitless::{Error, Val};

const WAT: &str = r#"(module
    (import "env" "lookup" (func $lookup (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func $inner (unreachable))
    (func (export "trap") (call $inner))
    (func (export "ask") (drop (call $lookup (i32.const 7))))
    (func (export "grow") (drop (memory.grow (i32.const 5000))))
    (func (export "spin") (loop $l (br $l)))
    (func (export "leave") (call $exit (i32.const 3))))"#;

/// Says what went wrong; that the sandbox goes on is what the next call shows.
fn show(sandbox: &mut Sandbox, error: SandboxError) -> Result<u32, SandboxError> {
    println!("{:2}  {error}", error.code());
    if let Some(backtrace) = error.backtrace().filter(|backtrace| !backtrace.is_empty()) {
        println!("{backtrace}");
    }
    assert_eq!(sandbox.call_typed::<(i32, i32), i32>("add", (1, 2))?, 3);
    Ok(error.code())
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wasm = wat::parse_str(WAT)?;
    let mut codes = Vec::new();

    let error = Sandbox::new(SandboxConfig::default().timeout(Duration::ZERO)).unwrap_err();
    println!("{:2}  {error}", error.code());
    codes.push(error.code());

    let config = SandboxConfig::rust().memory_limit_traps(true).timeout(Duration::from_millis(50));
    let mut sandbox = Sandbox::new(config)?;
    sandbox.host_fn("env", "lookup", |key: u32| -> jitless::Result<u32> {
        Err(Error::msg(format!("nothing is known of {key}")))
    })?;
    let mut twin = Sandbox::new(SandboxConfig::rust().wasi(Wasi::Disabled))?;
    sandbox.load(&wasm)?;

    for fail in [
        // A module that is none, and one that is not there.
        (|sandbox| sandbox.load(b"#!/bin/sh")) as fn(&mut Sandbox) -> Result<(), SandboxError>,
        |sandbox| sandbox.load_file("no/such/module.wasm"),
        // A name with a slip, a trap, an error of the host's, arguments of another type.
        |sandbox| sandbox.call("ad", &[]).map(drop),
        |sandbox| sandbox.call("trap", &[]).map(drop),
        |sandbox| sandbox.call("ask", &[]).map(drop),
        |sandbox| sandbox.call("add", &[Val::I32(1), Val::I64(2)]).map(drop),
        // Too much memory, too much time.
        |sandbox| sandbox.call("grow", &[]).map(drop),
        |sandbox| sandbox.call("spin", &[]).map(drop),
        // A function of the host that is there already.
        |sandbox| sandbox.host_fn("env", "lookup", |key: u32| key).map(drop),
    ] {
        let error = fail(&mut sandbox).unwrap_err();
        codes.push(show(&mut sandbox, error)?);
    }

    // A module that wants WASI, where there is none.
    twin.host_fn("env", "lookup", |key: u32| key)?;
    twin.load(&wasm)?;
    let error = twin.call("add", &[]).unwrap_err();
    codes.push(show(&mut sandbox, error)?);

    let error = sandbox.call_typed::<(i32, i32), f64>("add", (1, 2)).unwrap_err();
    codes.push(show(&mut sandbox, error)?);

    // Fuel is counted for each call.
    sandbox.set_fuel(Some(1000));
    let error = sandbox.call("spin", &[]).unwrap_err();
    codes.push(show(&mut sandbox, error)?);
    sandbox.set_fuel(None);

    sandbox.set_timeout(None);
    let stopper = sandbox.stopper();
    let stopping = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        stopper.stop();
    });
    let error = sandbox.call("spin", &[]).unwrap_err();
    stopping.join().map_err(|_| "the other thread failed")?;
    codes.push(show(&mut sandbox, error)?);

    let error = sandbox.call("leave", &[]).unwrap_err();
    assert_eq!(*error.kind(), SandboxErrorKind::Exit(3));
    codes.push(show(&mut sandbox, error)?);

    assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    Ok(())
}
