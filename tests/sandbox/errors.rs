//! Every kind of error, with its data and its number; after each the sandbox goes on.
use std::error::Error as _;
use std::thread;
use std::time::Duration;

use jitless::sandbox::{Sandbox, SandboxConfig, SandboxError, SandboxErrorKind as Kind, Wasi};
use jitless::{Error, ExternRef, Trap, Val};

use super::{sandbox, wasm};

const GUEST: &str = r#"(module
    (import "env" "fail" (func $fail))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (table $t 1 externref)
    (func (export "ok") (result i32) (i32.const 42))
    (func (export "id") (param i32 externref) (result i32) (local.get 0))
    (func $inner (unreachable))
    (func (export "trap") (call $inner))
    (func (export "host") (call $fail))
    (func (export "spin") (loop $l (br $l)))
    (func (export "exit") (call $exit (i32.const 3)))
    (func (export "grow") (drop (memory.grow (i32.const 1000))))
    (func (export "malloc") (param i32) (result i32) (i32.const 64))
    (func (export "bad") (param i32 i32) (result i32 i32) (i32.const 65530) (i32.const 100))
    (func (export "float") (param i32 i32) (result f64) (f64.const 1)))"#;

fn guest(config: SandboxConfig) -> Sandbox {
    let mut sandbox = sandbox(config, GUEST);
    sandbox.host_fn("env", "fail", || -> jitless::Result<()> { Err(Error::msg("no luck")) }).unwrap();
    sandbox
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

struct Row {
    name: &'static str,
    config: fn(SandboxConfig) -> SandboxConfig,
    fail: fn(&mut Sandbox) -> SandboxError,
    code: u32,
    kind: Kind,
    message: &'static str,
    /// What the innermost frames of the backtrace are; empty for none.
    backtrace: &'static [&'static str],
}

fn same(config: SandboxConfig) -> SandboxConfig {
    config
}

fn rows() -> Vec<Row> {
    let row = |name, code, kind, message, fail| Row { name, config: same, fail, code, kind, message, backtrace: &[] };
    let functions = ["ok", "id", "trap", "host", "spin", "exit", "grow", "malloc", "bad", "float"];
    vec![
        row(
            "invalid",
            2,
            Kind::Invalid { offset: Some(0x17), function: Some(0), operator: Some("i32.add") },
            "invalid module: function 0, offset 0x17, at `i32.add`: type mismatch: expected i32, found nothing",
            |sandbox| sandbox.load(&wasm("(module (func i32.add))")).unwrap_err(),
        ),
        row("malformed", 2, Kind::Invalid { offset: Some(0), function: None, operator: None }, "", |sandbox| {
            sandbox.load(b"\0ELF").unwrap_err()
        }),
        row("no such file", 3, Kind::Load { imports: vec![] }, "cannot read no/such/file.wasm: ", |sandbox| {
            sandbox.load_file("no/such/file.wasm").unwrap_err()
        }),
        row("nothing loaded", 3, Kind::Load { imports: vec![] }, "no module is loaded", |sandbox| {
            sandbox.unload().unwrap();
            sandbox.call("ok", &[]).unwrap_err()
        }),
        row("unloaded twice", 3, Kind::Load { imports: vec![] }, "no module is loaded", |sandbox| {
            sandbox.unload().unwrap();
            sandbox.unload().unwrap_err()
        }),
        row(
            "no such function",
            4,
            Kind::NoSuchFunction { name: "tarp".into(), exports: strings(&functions) },
            "no export named tarp; did you mean trap (func)",
            |sandbox| sandbox.call("tarp", &[]).unwrap_err(),
        ),
        row(
            "no function",
            4,
            Kind::NoSuchFunction { name: "memory".into(), exports: strings(&functions) },
            "export memory is a memory, not a function",
            |sandbox| sandbox.call("memory", &[]).unwrap_err(),
        ),
        Row {
            backtrace: &["inner", "trap"],
            ..row("trap", 5, Kind::Trap(Trap::Unreachable), "trap: unreachable", |sandbox| {
                sandbox.call("trap", &[]).unwrap_err()
            })
        },
        Row {
            backtrace: &["env.fail", "host"],
            ..row("host", 6, Kind::Host, "no luck", |sandbox| sandbox.call("host", &[]).unwrap_err())
        },
        row(
            "argument missing",
            7,
            Kind::Arguments { index: 1, wanted: "externref".into(), given: "nothing".into() },
            "argument 2 of id: expected externref, found nothing",
            |sandbox| sandbox.call("id", &[Val::I32(1)]).unwrap_err(),
        ),
        row(
            "argument of another type",
            7,
            Kind::Arguments { index: 0, wanted: "i32".into(), given: "i64".into() },
            "argument 1 of id: expected i32, found i64",
            |sandbox| sandbox.call("id", &[Val::I64(1), Val::null_extern_ref()]).unwrap_err(),
        ),
        row(
            "argument too many",
            7,
            Kind::Arguments { index: 0, wanted: "nothing".into(), given: "f64".into() },
            "argument 1 of ok: expected nothing, found f64",
            |sandbox| sandbox.call_typed::<f64, i32>("ok", 1.0).unwrap_err(),
        ),
        row(
            "reference of another type",
            7,
            Kind::Arguments {
                index: 1,
                wanted: "a reference that it can take".into(),
                given: "argument 2: expected externref, found funcref".into(),
            },
            "argument 2 of id: expected a reference that it can take, found argument 2: ",
            |sandbox| sandbox.call("id", &[Val::I32(1), Val::null_func_ref()]).unwrap_err(),
        ),
        Row {
            config: |config| config.memory_limit(1 << 20).memory_limit_traps(true),
            backtrace: &["grow"],
            ..row(
                "memory limit",
                8,
                Kind::MemoryLimit { limit: 1 << 20, wanted: 0, holder: "a memory" },
                "budget exceeded by a memory: ",
                |sandbox| sandbox.call("grow", &[]).unwrap_err(),
            )
        },
        row(
            "memory limit at the start",
            8,
            Kind::MemoryLimit { limit: 128 << 20, wanted: 0, holder: "memories and tables" },
            "budget exceeded by memories and tables: ",
            |sandbox| {
                sandbox.load(&wasm("(module (memory 10000))")).unwrap();
                sandbox.call("ok", &[]).unwrap_err()
            },
        ),
        Row {
            config: |config| config.timeout(Duration::from_millis(20)),
            backtrace: &["spin"],
            ..row(
                "timeout",
                9,
                Kind::Timeout { limit: Duration::from_millis(20) },
                "timeout: the call took longer than 20ms",
                |sandbox| sandbox.call("spin", &[]).unwrap_err(),
            )
        },
        row(
            "host function twice",
            10,
            Kind::HostFunction { name: "env.fail".into() },
            "cannot add a host function: env.fail is defined already",
            |sandbox| sandbox.host_fn("env", "fail", || ()).unwrap_err(),
        ),
        row(
            "host function too late",
            10,
            Kind::HostFunction { name: "env.more".into() },
            "cannot add env.more: the module is instantiated already",
            |sandbox| {
                sandbox.call("ok", &[]).unwrap();
                sandbox.host_fn("env", "more", || ()).unwrap_err()
            },
        ),
        Row {
            config: |config| config.wasi(Wasi::Disabled),
            ..row(
                "wasi disabled",
                11,
                Kind::Wasi { missing: "wasi_snapshot_preview1.proc_exit".into() },
                "wasi_snapshot_preview1.proc_exit is needed, but WASI is disabled",
                |sandbox| {
                    let error = sandbox.call("ok", &[]).unwrap_err();
                    sandbox.host_fn("wasi_snapshot_preview1", "proc_exit", |_: i32| ()).unwrap();
                    error
                },
            )
        },
        row(
            "no call of wasi",
            11,
            Kind::Wasi { missing: "wasi_snapshot_preview1.fd_fly".into() },
            "wasi_snapshot_preview1.fd_fly is no call of WASI preview 1",
            |sandbox| {
                sandbox.load(&wasm(r#"(module (import "wasi_snapshot_preview1" "fd_fly" (func)))"#)).unwrap();
                sandbox.call("ok", &[]).unwrap_err()
            },
        ),
        row(
            "results of another type",
            12,
            Kind::Returns { wanted: "i64 f32".into(), given: "i32".into() },
            "results of ok: expected i64 f32, found i32",
            |sandbox| sandbox.call_typed::<(), (i64, f32)>("ok", ()).unwrap_err(),
        ),
        row(
            "no bytes",
            12,
            Kind::Returns { wanted: "bytes".into(), given: "f64".into() },
            "results of float: expected bytes, found f64",
            |sandbox| sandbox.call_str("float", "x").unwrap_err(),
        ),
        row(
            "bytes that are not there",
            12,
            Kind::Returns { wanted: "bytes of the memory".into(), given: "100 bytes at 65530 of 65536".into() },
            "results of bad: expected bytes of the memory, found 100 bytes at 65530 of 65536",
            |sandbox| sandbox.call_str("bad", "x").unwrap_err(),
        ),
        Row {
            config: |config| config.fuel(1000),
            backtrace: &["spin"],
            ..row("out of fuel", 13, Kind::OutOfFuel, "out of fuel", |sandbox| sandbox.call("spin", &[]).unwrap_err())
        },
        Row {
            backtrace: &["spin"],
            ..row("stopped", 14, Kind::Stopped, "stopped by the host", |sandbox| {
                let stopper = sandbox.stopper();
                sandbox.call("ok", &[]).unwrap();
                let stopping = thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    stopper.stop();
                });
                let error = sandbox.call("spin", &[]).unwrap_err();
                stopping.join().unwrap();
                error
            })
        },
        Row {
            backtrace: &["wasi_snapshot_preview1.proc_exit", "exit"],
            ..row("exit", 15, Kind::Exit(3), "exit with status 3", |sandbox| sandbox.call("exit", &[]).unwrap_err())
        },
    ]
}

/// A kind without what only the engine's own sums say.
fn plain(kind: &Kind) -> Kind {
    match *kind {
        Kind::MemoryLimit { limit, wanted, holder } => {
            assert!(wanted > limit, "{kind:?}");
            Kind::MemoryLimit { limit, wanted: 0, holder }
        }
        ref other => other.clone(),
    }
}

#[test]
fn every_error_and_on_it_goes() {
    for Row { name, config, fail, code, kind, message, backtrace } in rows() {
        let mut sandbox = guest(config(SandboxConfig::default()));
        let error = fail(&mut sandbox);
        assert_eq!(plain(error.kind()), kind, "{name}");
        assert_eq!((error.code(), error.kind().code()), (code, code), "{name}");
        assert!(error.message().starts_with(message), "{name}: {error}");
        assert_eq!(error.to_string(), error.message(), "{name}");
        assert!(!error.message().contains('\n'), "{name}: {error}");
        let frames = error.backtrace().map_or(&[][..], |backtrace| backtrace.frames());
        assert_eq!(frames.len(), backtrace.len(), "{name}: {:?}", error.backtrace());
        for (frame, &wanted) in frames.iter().zip(backtrace) {
            assert!(frame.func_name().is_none_or(|found| found == wanted), "{name}: {frame:?}");
        }
        assert_eq!(error.source().is_some(), error.error().is_some(), "{name}");

        // Where the module was replaced or given up it is loaded again; all else goes on as it is.
        if sandbox.module().is_none_or(|module| module.get_export("ok").is_none()) {
            sandbox.load(&wasm(GUEST)).unwrap();
        }
        assert_eq!(sandbox.call("ok", &[]).unwrap(), [Val::I32(42)], "{name}");
        assert_eq!(sandbox.call_typed::<(), i32>("ok", ()).unwrap(), 42, "{name}");
    }
    // All numbers but that of the first kind, which needs no sandbox.
    let mut codes: Vec<u32> = rows().iter().map(|row| row.code).collect();
    codes.dedup();
    assert_eq!(codes, (2..=15).collect::<Vec<u32>>());
}

#[test]
fn options_that_cannot_be() {
    let base = SandboxConfig::default;
    for (config, option) in [
        (base().memory_limit(1000), "memory_limit"),
        (base().timeout(Duration::ZERO), "timeout"),
        (base().fuel(0), "fuel"),
        (base().env("a=b", "c"), "env"),
    ] {
        let error = Sandbox::new(config).unwrap_err();
        assert_eq!(*error.kind(), Kind::Init { option }, "{error}");
        assert_eq!(error.code(), 1);
        assert!(error.message().starts_with(&format!("the option `{option}` ")), "{error}");
    }
}

#[test]
fn imports_that_are_not_there_are_all_named() {
    let text =
        r#"(module (import "env" "a" (func)) (import "env" "fail" (func (param i32))) (import "lib" "m" (memory 1)))"#;
    let mut sandbox = sandbox(SandboxConfig::default(), text);
    sandbox.host_fn("env", "fail", || ()).unwrap();
    let error = sandbox.call("ok", &[]).unwrap_err();
    let Kind::Load { imports } = error.kind() else { panic!("{error}") };
    let names: Vec<_> = imports.iter().map(|import| (import.name.as_str(), import.found.is_some())).collect();
    assert_eq!(names, [("a", false), ("fail", true), ("m", false)]);
    // A function that was missing can be added still.
    sandbox.load(&wasm(r#"(module (import "env" "a" (func (result i32))) (export "ok" (func 0)))"#)).unwrap();
    sandbox.call("ok", &[]).unwrap_err();
    sandbox.host_fn("env", "a", || 5).unwrap();
    assert_eq!(sandbox.call_typed::<(), i32>("ok", ()).unwrap(), 5);
}

#[test]
fn references_of_another_sandbox_are_arguments_that_are_wrong() {
    let text = r#"(module (func (export "f") (result funcref) (ref.func 0)) (func (export "g") (param i32 funcref)))"#;
    let mut one = sandbox(SandboxConfig::default(), text);
    let mut other = sandbox(SandboxConfig::default(), text);
    let func = one.call("f", &[]).unwrap().remove(0);
    one.call("g", &[Val::I32(0), func.clone()]).unwrap();
    let error = other.call("g", &[Val::I32(0), func.clone()]).unwrap_err();
    assert!(matches!(error.kind(), Kind::Arguments { index: 1, .. }), "{error}");
    // It is gone with its guest.
    one.reset();
    let error = one.call("g", &[Val::I32(0), func]).unwrap_err();
    assert!(matches!(error.kind(), Kind::Arguments { index: 1, .. }), "{error}");
    let text = r#"(module (func (export "id") (param externref) (result externref) (local.get 0)))"#;
    let mut two = sandbox(SandboxConfig::default(), text);
    let (store, _) = two.instance().unwrap();
    let object = ExternRef::new(store, "hello").unwrap();
    assert_eq!(two.call("id", &[object.clone().into()]).unwrap(), [Val::from(object)]);
}

#[test]
fn a_host_functions_own_errors_are_its_own() {
    let mut sandbox = sandbox(
        SandboxConfig::default(),
        r#"(module (import "env" "f" (func $f)) (func (export "run") (call $f)) (func (export "ok")))"#,
    );
    sandbox
        .host_fn("env", "f", |mut caller: jitless::Caller<'_, jitless::sandbox::Guest>| {
            let run = caller.get_export("ok").and_then(|item| item.into_func()).ok_or_else(|| Error::msg("no ok"))?;
            run.typed::<i32, i32>(&caller)?.call(&mut caller, 1)?;
            Ok(())
        })
        .unwrap();
    let error = sandbox.call("run", &[]).unwrap_err();
    assert_eq!(*error.kind(), Kind::Host, "{error}");
    sandbox.call("ok", &[]).unwrap();
}
