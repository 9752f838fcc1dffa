//! What of WASI a guest gets, mode by mode; programs, their files and their streams.
use std::sync::Arc;
use std::time::{Duration, Instant};

use jitless::sandbox::{Sandbox, SandboxConfig, SandboxErrorKind as Kind, Wasi};
use jitless::wasi::fs::{Errno, MemFs};
use jitless::wasi::{Clock, Random};

use super::sandbox;

const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)"#;

/// A program that copies its input to the end of the file `log`, to its output and to its errors, and exits with the number
/// of its arguments.
fn program() -> String {
    format!(
        r#"(module {IMPORTS}
        (data (i32.const 16) "log")
        (func $all (param $fd i32)
            (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 99)))))
        (func (export "_start")
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 1000))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)) (then (call $exit (i32.const 97))))
            ;; Created if it is not there, and written at its end.
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 3) (i32.const 1)
                    (i64.const 66) (i64.const 0) (i32.const 1) (i32.const 12))
                (then (call $exit (i32.const 98))))
            (call $all (i32.load (i32.const 12)))
            (call $all (i32.const 1))
            (call $all (i32.const 2))
            (drop (call $args (i32.const 20) (i32.const 24)))
            (call $exit (i32.load (i32.const 20)))))"#
    )
}

#[test]
fn a_program_and_its_files() {
    let template = MemFs::new();
    template.write("log", "first ").unwrap();
    let config = SandboxConfig::rust().wasi(Wasi::Memory(template.clone()));
    let mut one = sandbox(config.clone(), &program());
    let mut other = sandbox(config, &program());
    one.set_stdin("hello ");
    assert_eq!(one.run(["prog", "a", "b"]).unwrap().code(), 3);
    assert_eq!((one.stdout().text(), one.stderr().text()), ("hello ".into(), "hello ".into()));
    // Files stay from run to run; all else is new.
    one.set_stdin("again ");
    assert_eq!(one.run(["prog"]).unwrap().code(), 1);
    assert_eq!(one.stdout().text(), "again ");
    assert_eq!(one.files().unwrap().read("log").unwrap(), b"first hello again ");
    assert_eq!(one.usage().calls, 2);
    // Nobody else sees that.
    assert!(other.run(Vec::<String>::new()).unwrap().success());
    assert_eq!(other.files().unwrap().read("log").unwrap(), b"first ");
    assert_eq!(template.read("log").unwrap(), b"first ");
    // The host's hand.
    one.files().unwrap().remove("log").unwrap();
    one.run(["prog"]).unwrap();
    assert_eq!(one.files().unwrap().read("log").unwrap(), b"again ");
    // What is unloaded leaves its files.
    one.unload().unwrap();
    assert_eq!(one.files().unwrap().read("log").unwrap(), b"again ");
    assert!(one.usage().memory_now > 0);
}

#[test]
fn files_count_between_guests_too() {
    let mut guest = sandbox(SandboxConfig::default().memory_limit(1 << 20), &program());
    let files = guest.files().unwrap().clone();
    files.write("big", vec![1; 600 << 10]).unwrap();
    assert_eq!(files.write("more", vec![1; 600 << 10]).unwrap_err(), Errno::NoSpc);
    assert!(guest.run(["prog"]).unwrap().code() == 1);
    assert!(guest.usage().memory_now > 600 << 10);
    // With a guest that holds much there is less room.
    files.remove("big").unwrap();
    assert_eq!(files.write("big", vec![1; 960 << 10]).unwrap_err(), Errno::NoSpc);
    guest.reset();
    files.write("big", vec![1; 960 << 10]).unwrap();
    let error = guest.run(["prog"]).unwrap_err();
    assert!(matches!(error.kind(), Kind::MemoryLimit { limit: 1_048_576, .. }), "{error}");
    files.remove("big").unwrap();
    guest.run(["prog"]).unwrap();
    // More than the limit from the start.
    let template = MemFs::new();
    template.write("big", vec![1; 2 << 20]).unwrap();
    let error = Sandbox::new(SandboxConfig::default().memory_limit(1 << 20).wasi(Wasi::Memory(template))).unwrap_err();
    assert_eq!(*error.kind(), Kind::Init { option: "wasi" });
}

#[test]
fn mounts_are_shared() {
    let (fs, config) = (MemFs::new(), SandboxConfig::default());
    let config = config.wasi(Wasi::Mounts(vec![("/".into(), Arc::new(fs.clone()))]));
    for _ in 0..2 {
        let mut guest = sandbox(config.clone(), &program());
        guest.set_stdin("x");
        guest.run(["prog"]).unwrap();
        assert!(guest.files().is_none());
    }
    assert_eq!(fs.read("log").unwrap(), b"xx");
    let mut guest = sandbox(config.wasi(Wasi::Mounts(vec![])), &program());
    assert_eq!(guest.run(["prog"]).unwrap().code(), 98);
}

#[test]
fn shared_files_outlive_who_pays() {
    let fs = MemFs::new();
    let config = SandboxConfig::default().memory_limit(1 << 20);
    let config = config.wasi(Wasi::Mounts(vec![("/".into(), Arc::new(fs.clone()))]));
    let mut guest = sandbox(config, &program());
    guest.run(["prog"]).unwrap();
    assert_eq!(fs.write("big", vec![1; 960 << 10]).unwrap_err(), Errno::NoSpc);
    drop(guest);
    fs.write("big", vec![1; 960 << 10]).unwrap();
    assert_eq!(fs.write("more", vec![1; 960 << 10]).unwrap_err(), Errno::NoSpc);
}

#[cfg(feature = "host-fs")]
#[test]
fn folders_of_the_host() {
    let folder = std::env::temp_dir().join(format!("jitless-sandbox-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut guest = sandbox(SandboxConfig::default().wasi(Wasi::host([("/", &folder)]).unwrap()), &program());
    guest.set_stdin("to the disk");
    let status = guest.run(["prog"]).unwrap();
    let log = std::fs::read(folder.join("log"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((status.code(), log.unwrap().as_slice()), (1, &b"to the disk"[..]));
    assert!(Wasi::host([("/", &folder)]).is_err());
}

#[test]
fn stubs_say_that_there_is_nothing() {
    let text = format!(
        r#"(module (import "wasi_unstable" "fd_sync" (func $sync (param i32) (result i32))) {IMPORTS}
        (func (export "write") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (func (export "sync") (result i32) (call $sync (i32.const 1)))
        (func (export "_start") (call $exit (i32.const 5))))"#
    );
    let mut guest = sandbox(SandboxConfig::default().wasi(Wasi::Stub), &text);
    for name in ["write", "sync"] {
        assert_eq!(guest.call_typed::<(), i32>(name, ()).unwrap(), 52);
    }
    assert_eq!(guest.run(["prog"]).unwrap().code(), 5);
    assert!(guest.stdout().is_empty());
    let error = sandbox(SandboxConfig::default().wasi(Wasi::Disabled), &text).run(["prog"]).unwrap_err();
    assert!(matches!(error.kind(), Kind::Wasi { .. }), "{error}");
}

#[test]
fn later_versions_of_wasi_are_named() {
    let mut guest =
        sandbox(SandboxConfig::default(), r#"(module (import "wasi:cli/stdout@0.2.0" "get-stdout" (func)))"#);
    let error = guest.run(["prog"]).unwrap_err();
    assert_eq!(error.message(), "wasi:cli/stdout@0.2.0.get-stdout is of a later WASI than preview 1");
}

#[test]
fn no_program() {
    let mut guest = sandbox(SandboxConfig::default(), r#"(module (func (export "start")))"#);
    let error = guest.run(["prog"]).unwrap_err();
    assert!(matches!(error.kind(), Kind::NoSuchFunction { name, .. } if name == "_start"), "{error}");
    // One that ends before it begins.
    let text = format!("(module {IMPORTS} (func $s (call $exit (i32.const 9))) (start $s) (func (export \"_start\")))");
    assert_eq!(sandbox(SandboxConfig::default(), &text).run(["prog"]).unwrap().code(), 9);
    let text = r#"(module (func (export "_start") (unreachable)))"#;
    assert_eq!(sandbox(SandboxConfig::default(), text).run(["prog"]).unwrap_err().code(), 5);
}

#[test]
fn reactors_are_made_ready_once() {
    let text = r#"(module (global $n (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $n (i32.add (global.get $n) (i32.const 1))))
        (func (export "n") (result i32) (global.get $n)))"#;
    let mut guest = sandbox(SandboxConfig::default(), text);
    for _ in 0..2 {
        assert_eq!(guest.call_typed::<(), i32>("n", ()).unwrap(), 1);
    }
}

#[test]
fn a_guest_that_sleeps_ends_in_time() {
    let text = format!(
        r#"(module {IMPORTS} (data (i32.const 24) "\ff\ff\ff\ff\ff\ff\ff\00") (data (i32.const 16) "\01")
        (func (export "_start") (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#
    );
    let mut guest = sandbox(SandboxConfig::default().timeout(Duration::from_millis(50)), &text);
    let start = Instant::now();
    let error = guest.run(["prog"]).unwrap_err();
    assert_eq!(*error.kind(), Kind::Timeout { limit: Duration::from_millis(50) });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn output_has_its_limit() {
    let mut guest = sandbox(SandboxConfig::default().output_limit(3), &program());
    guest.set_stdin("hello");
    guest.run(["prog"]).unwrap();
    assert_eq!((guest.stdout().text().as_str(), guest.stdout().is_full()), ("hel", true));
}

#[test]
fn clock_and_random_bytes_can_be_fixed() {
    let text = format!(
        r#"(module {IMPORTS}
        (func (export "time") (result i64) (drop (call $time (i32.const 0) (i64.const 1) (i32.const 0))) (i64.load (i32.const 0)))
        (func (export "random") (result i64) (drop (call $random (i32.const 0) (i32.const 8))) (i64.load (i32.const 0))))"#
    );
    let config = SandboxConfig::default().clock(Clock::fixed(7)).random(Random::seeded(1));
    let mut guest = sandbox(config, &text);
    assert_eq!(guest.call_typed::<(), i64>("time", ()).unwrap(), 7);
    let first = guest.call_typed::<(), i64>("random", ()).unwrap();
    assert_ne!(guest.call_typed::<(), i64>("random", ()).unwrap(), first);
    guest.reset();
    assert_eq!(guest.call_typed::<(), i64>("random", ()).unwrap(), first);
    let mut strict = sandbox(SandboxConfig::strict(), &text);
    assert_eq!(strict.call_typed::<(), i64>("time", ()).unwrap(), 0);
}
