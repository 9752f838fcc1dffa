//! What goes in and out: values, texts, bytes; calls in parts; functions of the host; several modules; the log.
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jitless::sandbox::{
    Allocator, Guest, LogLevel, Progress, Sandbox, SandboxConfig, SandboxErrorKind as Kind, Stopper,
};
use jitless::{Caller, ErrorKind, Val, ValType};

use super::{sandbox, wasm};

/// A guest whose functions put `>` before what they get, in every way that bytes can be passed. Its allocator's functions
/// count what is not freed, in bytes where they are told.
fn shapes(allocator: &str) -> String {
    let allocator = match allocator {
        "malloc" => {
            r#"(func (export "malloc") (param i32) (result i32) (call $alloc (local.get 0)))
            (func (export "free") (param i32) (global.set $live (i32.sub (global.get $live) (i32.const 1))))"#
        }
        "alloc" => {
            r#"(func (export "alloc") (param i32) (result i32) (call $alloc (local.get 0)))
            (func (export "dealloc") (param i32 i32) (global.set $live (i32.sub (global.get $live) (i32.const 1))))"#
        }
        "__wbindgen_malloc" => {
            r#"(func (export "__wbindgen_malloc") (param i32 i32) (result i32) (call $alloc (local.get 0)))
            (func (export "__wbindgen_free") (param i32 i32 i32)
                (global.set $live (i32.sub (global.get $live) (i32.const 1))))"#
        }
        "cabi_realloc" => {
            r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $alloc (local.get 3)))"#
        }
        _ => "",
    };
    format!(
        r#"(module (memory (export "memory") 1)
        (global $top (mut i32) (i32.const 1024))
        (global $live (export "live") (mut i32) (i32.const 0))
        (func $alloc (param $len i32) (result i32)
            (global.get $top)
            (global.set $top (i32.add (i32.add (global.get $top) (local.get $len)) (i32.const 1)))
            (global.set $live (i32.add (global.get $live) (i32.const 1))))
        {allocator}
        (func $copy (param $ptr i32) (param $len i32) (result i32) (local $new i32)
            (local.set $new (call $alloc (i32.add (local.get $len) (i32.const 2))))
            (i32.store8 (local.get $new) (i32.const 62))
            (memory.copy (i32.add (local.get $new) (i32.const 1)) (local.get $ptr) (local.get $len))
            (i32.store8 (i32.add (i32.add (local.get $new) (i32.const 1)) (local.get $len)) (i32.const 0))
            (local.get $new))
        (func (export "pair") (param i32 i32) (result i32 i32)
            (call $copy (local.get 0) (local.get 1)) (i32.add (local.get 1) (i32.const 1)))
        (func (export "packed") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (call $copy (local.get 0) (local.get 1))) (i64.const 32))
                (i64.extend_i32_u (i32.add (local.get 1) (i32.const 1)))))
        (func (export "place") (param i32 i32 i32)
            (i32.store (local.get 0) (call $copy (local.get 1) (local.get 2)))
            (i32.store offset=4 (local.get 0) (i32.add (local.get 2) (i32.const 1))))
        (func (export "zero") (param i32 i32) (result i32) (call $copy (local.get 0) (local.get 1)))
        (func (export "zeros") (param $ptr i32) (result i32) (local $len i32)
            (block $end (loop $next
                (br_if $end (i32.eqz (i32.load8_u (i32.add (local.get $ptr) (local.get $len)))))
                (local.set $len (i32.add (local.get $len) (i32.const 1)))
                (br $next)))
            (call $copy (local.get $ptr) (local.get $len)))
        (func (export "same") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1))
        (func (export "none") (param i32 i32)))"#
    )
}

#[test]
fn texts_in_every_shape() {
    for (allocator, frees, taken) in [
        ("malloc", true, false),
        ("alloc", true, false),
        ("__wbindgen_malloc", true, true),
        ("cabi_realloc", false, true),
    ] {
        for (name, wanted) in [
            ("pair", ">höß"),
            ("packed", ">höß"),
            ("place", ">höß"),
            ("zero", ">höß"),
            ("zeros", ">höß"),
            ("same", "höß"),
            ("none", ""),
        ] {
            let mut sandbox = sandbox(SandboxConfig::default(), &shapes(allocator));
            assert_eq!(sandbox.call_str(name, "höß").unwrap(), wanted, "{allocator} {name}");
            let (store, instance) = sandbox.instance().unwrap();
            let live = instance.get_global(&*store, "live").unwrap().get(&*store).i32().unwrap();
            let results = i32::from(!matches!(name, "same" | "none"));
            let made = 1 + results + i32::from(name == "place");
            let freed = if !frees { 0 } else { made - i32::from(taken) };
            assert_eq!(live, made - freed, "{allocator} {name}: blocks that are left");
            assert_eq!(sandbox.call_str(name, "").unwrap(), wanted.replace("höß", ""), "{allocator} {name}");
            assert_eq!(sandbox.usage().calls, 2);
        }
    }
}

#[test]
fn bytes_and_allocators() {
    let mut one = sandbox(SandboxConfig::default(), &shapes("alloc"));
    assert_eq!(one.call_bytes("pair", &[0, 255]).unwrap(), [62, 0, 255]);
    let error = one.call_str("pair", "\u{0}").map(|text| assert_eq!(text, ">\0"));
    error.unwrap();
    // One that is configured is the only one that counts.
    let config = SandboxConfig::default().allocator(Allocator::malloc());
    let mut two = sandbox(config, &shapes("alloc"));
    let error = two.call_str("pair", "").unwrap_err();
    assert!(matches!(error.kind(), Kind::NoSuchFunction { name, .. } if name == "malloc"), "{error}");
    let mut three = sandbox(SandboxConfig::default(), &shapes("none"));
    assert!(three.call_str("pair", "").unwrap_err().message().starts_with("no export named malloc"));
    let config = SandboxConfig::default().allocator(Allocator::new("alloc", None).arguments_are_taken());
    let mut four = sandbox(config, &shapes("alloc"));
    assert_eq!(four.call_str("packed", "x").unwrap(), ">x");
    let (store, instance) = four.instance().unwrap();
    assert_eq!(instance.get_global(&*store, "live").unwrap().get(&*store), Val::I32(2));
    // Not UTF-8.
    let mut five = sandbox(
        SandboxConfig::default(),
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "\ff\fe\00")
            (func (export "malloc") (param i32) (result i32) (i32.const 64))
            (func (export "f") (param i32 i32) (result i32) (i32.const 8))
            (func (export "wild") (param i32 i32) (result i32) (i32.const -1))
            (func (export "g") (param f64)))"#,
    );
    let error = five.call_str("f", "").unwrap_err();
    assert!(matches!(error.kind(), Kind::Returns { wanted, .. } if wanted == "UTF-8"), "{error}");
    assert_eq!(five.call_bytes("f", &[]).unwrap(), [255, 254]);
    let error = five.call_bytes("wild", &[]).unwrap_err();
    assert!(matches!(error.kind(), Kind::Returns { .. }), "{error}");
    let error = five.call_bytes("g", &[]).unwrap_err();
    assert!(matches!(error.kind(), Kind::Arguments { .. }), "{error}");
    // An allocator that lies about where there is room.
    let mut six = sandbox(
        SandboxConfig::default(),
        r#"(module (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) (i32.const -2))
            (func (export "null") (param i32) (result i32) (i32.const 0))
            (func (export "f") (param i32 i32)))"#,
    );
    assert!(matches!(six.call_str("f", "abc").unwrap_err().kind(), Kind::Trap(_)));
}

#[test]
fn no_room_is_an_error() {
    let config = SandboxConfig::default().allocator(Allocator::new("null", None));
    let mut sandbox = sandbox(
        config,
        r#"(module (memory (export "memory") 1)
            (func (export "null") (param i32) (result i32) (i32.const 0)) (func (export "f") (param i32 i32)))"#,
    );
    let error = sandbox.call_str("f", "abc").unwrap_err();
    assert_eq!(error.message(), "results of null: expected an address, found null: it has no room");
    sandbox.call_str("f", "").unwrap();
}

#[test]
fn host_functions_typed_and_dynamic() {
    let text = r#"(module
        (import "env" "log" (func $log (param i32 i32)))
        (import "env" "sum" (func $sum (param i32 i64) (result f64)))
        (memory 1) (data (i32.const 8) "hello")
        (func (export "run") (result f64)
            (call $log (i32.const 8) (i32.const 5)) (call $sum (i32.const 1) (i64.const 2))))"#;
    let lines = Arc::new(Mutex::new(Vec::new()));
    for late in [false, true] {
        let mut sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        if late {
            sandbox.load(&wasm(text)).unwrap();
        }
        let sink = lines.clone();
        sandbox
            .host_fn("env", "log", move |caller: Caller<'_, Guest>, ptr: u32, len: u32| {
                sink.lock().unwrap().push(caller.memory()?.read_str(&caller, ptr, len)?.to_owned());
                Ok(())
            })
            .unwrap()
            .host_fn_dynamic("env", "sum", &[ValType::I32, ValType::I64], &[ValType::F64], |_, params, results| {
                let (Some(a), Some(b)) = (params[0].i32(), params[1].i64()) else { panic!("{params:?}") };
                results[0] = Val::from(f64::from(a) + b as f64);
                Ok(())
            })
            .unwrap();
        if !late {
            sandbox.load(&wasm(text)).unwrap();
        }
        assert_eq!(sandbox.call("run", &[]).unwrap(), [Val::from(3.0)]);
        // After it is unloaded functions can be added again.
        sandbox.unload().unwrap();
        sandbox.host_fn("env", "more", || 1i64).unwrap();
        sandbox.load(&wasm(r#"(module (import "env" "more" (func (result i64))) (export "m" (func 0)))"#)).unwrap();
        assert_eq!(sandbox.call_typed::<(), i64>("m", ()).unwrap(), 1);
    }
    assert_eq!(*lines.lock().unwrap(), ["hello", "hello"]);
}

#[test]
fn calls_in_parts() {
    let text = r#"(module (global $n (export "n") (mut i64) (i64.const 0))
        (func (export "count") (param i64) (result i64)
            (loop $l (global.set $n (i64.add (global.get $n) (i64.const 1)))
                (br_if $l (i64.lt_u (global.get $n) (local.get 0))))
            (global.get $n))
        (func (export "spin") (loop $l (br $l)))
        (func (export "trap") (unreachable)))"#;
    let mut guest = sandbox(SandboxConfig::default().fuel(1000), text);
    let (mut progress, mut parts) = (guest.start("count", &[Val::I64(1000)]).unwrap(), 0);
    let results = loop {
        match progress {
            Progress::Finished(results) => break results,
            Progress::Paused(paused) => {
                assert_eq!(paused.why(), ErrorKind::OutOfFuel);
                // Other calls come between.
                assert_eq!(*guest.call("trap", &[]).unwrap_err().kind(), Kind::Trap(jitless::Trap::Unreachable));
                progress = guest.resume(paused).unwrap();
            }
        }
        parts += 1;
    };
    assert_eq!(results, [Val::I64(1000)]);
    assert!((4..20).contains(&parts), "{parts}");

    let mut guest = sandbox(SandboxConfig::default().timeout(Duration::from_millis(5)), text);
    let Progress::Paused(paused) = guest.start("spin", &[]).unwrap() else { panic!("it ended") };
    assert_eq!(paused.why(), ErrorKind::Deadline);
    let Progress::Paused(paused) = guest.resume(paused).unwrap() else { panic!("it ended") };
    guest.reset();
    let error = guest.resume(paused).unwrap_err();
    assert_eq!(error.message(), "the guest of the call is gone");
    // Nor does another guest go on with it.
    let Progress::Paused(paused) = guest.start("spin", &[]).unwrap() else { panic!("it ended") };
    guest.reset();
    guest.call("trap", &[]).unwrap_err();
    guest.resume(paused).unwrap_err();

    let mut guest = sandbox(SandboxConfig::default(), text);
    let error = guest.start("trap", &[]).unwrap_err();
    assert_eq!(error.code(), 5);
    let error = guest.start("count", &[]).unwrap_err();
    assert_eq!(error.code(), 7);
}

#[test]
fn a_stopper_follows_the_sandbox() {
    let text = r#"(module (func $spin (export "spin") (export "_start") (loop $l (br $l))))"#;
    let mut guest = sandbox(SandboxConfig::default(), text);
    let stopper: Stopper = guest.stopper();
    // Nothing runs.
    stopper.stop();
    for run in [true, false, true] {
        let stopper = stopper.clone();
        let stopping = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            stopper.stop();
        });
        let error = if run { guest.run(["spin"]).unwrap_err() } else { guest.call("spin", &[]).unwrap_err() };
        assert_eq!(*error.kind(), Kind::Stopped);
        stopping.join().unwrap();
    }
}

#[test]
fn modules_import_from_libraries() {
    let mut guest = Sandbox::new(SandboxConfig::default()).unwrap();
    guest
        .load_library(
            "counter",
            &wasm(
                r#"(module (global $n (mut i32) (i32.const 0))
                (func (export "_initialize") (global.set $n (i32.const 10)))
                (func (export "next") (result i32)
                    (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"#,
            ),
        )
        .unwrap();
    assert_eq!(guest.load_library("counter", &wasm("(module)")).unwrap_err().code(), 3);
    guest.load(&wasm(r#"(module (import "counter" "next" (func (result i32))) (export "f" (func 0)))"#)).unwrap();
    assert_eq!(guest.call_typed::<(), i32>("f", ()).unwrap(), 11);
    assert_eq!(guest.call_typed::<(), i32>("f", ()).unwrap(), 12);
    guest.reset();
    assert_eq!(guest.call_typed::<(), i32>("f", ()).unwrap(), 11);
    guest.unload().unwrap();
    guest.load(&wasm(r#"(module (import "counter" "next" (func (result i32))) (export "f" (func 0)))"#)).unwrap();
    assert_eq!(guest.call("f", &[]).unwrap_err().code(), 3);
}

#[test]
fn readers_files_and_validation() {
    let bytes = wasm(r#"(module (func (export "ok") (result i32) (i32.const 1)))"#);
    let mut guest = Sandbox::new(SandboxConfig::default()).unwrap();
    guest.load_reader(&bytes[..]).unwrap();
    assert_eq!(guest.call_typed::<(), i32>("ok", ()).unwrap(), 1);
    guest.load_file(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/hello.wasm")).unwrap();
    assert!(guest.run(["hello"]).unwrap().success());
    assert!(!guest.stdout().is_empty());
    guest.validate(&bytes).unwrap();
    assert_eq!(guest.validate(b"\0asm").unwrap_err().code(), 2);
    // More bytes than the limit are not even read.
    let mut small = Sandbox::new(SandboxConfig::default().memory_limit(64 << 10)).unwrap();
    let error = small.load_reader(std::io::repeat(0)).unwrap_err();
    assert_eq!((error.code(), error.message()), (3, "limit exceeded: 65537 module bytes, at most 65536"));
}

#[test]
fn the_log_tells_what_happens() {
    for (level, wanted) in [
        (LogLevel::Off, &[][..]),
        (LogLevel::Error, &["Error trap: trap: unreachable"]),
        (LogLevel::Info, &["Info ok: ", "Error trap: trap: unreachable"]),
        (LogLevel::Debug, &["Debug loaded: ", "Debug instantiating", "Info ok: ", "Error trap: trap: unreachable"]),
    ] {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let config = SandboxConfig::default()
            .log(level, move |level, line| sink.lock().unwrap().push(format!("{level:?} {line}")));
        let mut guest = sandbox(config, r#"(module (func (export "ok")) (func (export "trap") (unreachable)))"#);
        guest.call("ok", &[]).unwrap();
        guest.call("trap", &[]).unwrap_err();
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), wanted.len(), "{lines:?}");
        assert!(lines.iter().zip(wanted).all(|(line, wanted)| line.starts_with(wanted)), "{lines:?}");
    }
}

#[test]
fn usage_adds_up() {
    let mut guest =
        sandbox(SandboxConfig::default(), r#"(module (memory 16) (func (export "ok") (drop (i32.const 1))))"#);
    assert_eq!(guest.usage(), Default::default());
    guest.call("ok", &[]).unwrap();
    let first = guest.usage();
    assert!(first.memory_now >= 1 << 20 && first.memory_peak >= first.memory_now, "{first:?}");
    assert!(first.fuel > 0 && first.calls == 1 && first.time > Duration::ZERO, "{first:?}");
    guest.call("ok", &[]).unwrap();
    assert_eq!(guest.usage().fuel, 2 * first.fuel);
    guest.reset();
    guest.call("ok", &[]).unwrap();
    let third = guest.usage();
    assert_eq!((third.fuel, third.calls), (3 * first.fuel, 3));
    guest.unload().unwrap();
    let last = guest.usage();
    assert_eq!((last.memory_now, last.memory_peak), (0, third.memory_peak));
}

#[test]
fn a_sandbox_goes_to_other_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let mut guest = send(sandbox(SandboxConfig::strict(), r#"(module (func (export "ok")))"#));
    thread::spawn(move || guest.call("ok", &[]).map(drop)).join().unwrap().unwrap();
}
