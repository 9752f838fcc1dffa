//! Time, fuel and memory: what a preset allows, and that each call has its own.
use std::time::{Duration, Instant};

use jitless::sandbox::{SandboxConfig, SandboxErrorKind as Kind};
use jitless::{Trap, Val};

use super::sandbox;

/// `grow` takes as many pages as it gets, one by one.
const GROW: &str = r#"(module (memory (export "memory") 1)
    (func (export "grow") (result i32)
        (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (memory.size))
    (func (export "spin") (loop $l (br $l)))
    (func $deep (export "deep") (call $deep) (drop (memory.size))))"#;

#[test]
fn presets() {
    const MIB: i32 = 16;
    for (name, config, mib) in [
        ("default", SandboxConfig::default(), 128),
        ("new", SandboxConfig::new(), 128),
        ("python", SandboxConfig::python(), 256),
        ("pyodide", SandboxConfig::pyodide(), 256),
        ("rust", SandboxConfig::rust(), 64),
        ("strict", SandboxConfig::strict(), 16),
    ] {
        let mut guest = sandbox(config, GROW);
        let pages = guest.call_typed::<(), i32>("grow", ()).unwrap();
        // The stack and the module take a little.
        assert!((mib * MIB - MIB..mib * MIB).contains(&pages), "{name}: {pages}");
        assert!(guest.usage().memory_peak <= (mib as u64) << 20, "{name}");
        // The stack counts too.
        let error = guest.call("deep", &[]).unwrap_err();
        assert!(matches!(error.kind(), Kind::MemoryLimit { .. } | Kind::Trap(Trap::StackOverflow)), "{name}: {error}");
        guest.reset();
        let error = guest.call("deep", &[]).unwrap_err();
        assert_eq!(*error.kind(), Kind::Trap(Trap::StackOverflow), "{name}");
        assert!(guest.call_typed::<(), i32>("grow", ()).unwrap() > 1, "{name}");
    }
    let mut strict = sandbox(SandboxConfig::strict(), GROW);
    let error = strict.call("spin", &[]).unwrap_err();
    assert!(matches!(error.kind(), Kind::OutOfFuel | Kind::Timeout { .. }), "{error}");
}

#[test]
fn each_call_has_its_own_time_and_fuel() {
    let mut guest = sandbox(SandboxConfig::default().timeout(Duration::from_millis(50)).fuel(u64::MAX - 1), GROW);
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(guest.call("spin", &[]).unwrap_err().code(), 9);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(5), "{took:?}");
    }
    guest.set_timeout(None);
    guest.set_fuel(Some(100_000));
    for _ in 0..3 {
        let before = guest.usage().fuel;
        assert_eq!(*guest.call("spin", &[]).unwrap_err().kind(), Kind::OutOfFuel);
        assert!((100_000..101_000).contains(&(guest.usage().fuel - before)));
    }
}

#[test]
fn a_start_function_has_the_same_limits() {
    let text = r#"(module (func $spin (loop $l (br $l))) (start $spin) (func (export "ok")))"#;
    let mut guest = sandbox(SandboxConfig::default().timeout(Duration::from_millis(20)), text);
    assert_eq!(guest.call("ok", &[]).unwrap_err().code(), 9);
    guest.set_fuel(Some(1000));
    let before = guest.usage().fuel;
    assert_eq!(guest.call("ok", &[]).unwrap_err().code(), 13);
    // It is counted, though there is no guest.
    assert!(guest.usage().fuel >= before + 1000);
    let (memory, _) = (guest.usage().memory_now, guest.unload());
    assert_eq!(memory, 0);
}

#[test]
fn growth_traps_where_it_is_if_that_is_wanted() {
    let config = SandboxConfig::default().memory_limit(1 << 20).memory_limit_traps(true);
    let mut guest = sandbox(config, GROW);
    let error = guest.call("grow", &[]).unwrap_err();
    let Kind::MemoryLimit { limit, wanted, holder } = *error.kind() else { panic!("{error}") };
    assert_eq!((limit, holder), (1 << 20, "a memory"));
    assert!(wanted > limit);
    let backtrace = error.backtrace().unwrap();
    assert!(backtrace.frames()[0].module_offset() > 0);
    // Without it the guest is told, and goes on.
    let mut guest = sandbox(SandboxConfig::default().memory_limit(1 << 20), GROW);
    let Val::I32(pages) = guest.call("grow", &[]).unwrap()[0] else { panic!("no i32") };
    assert!((8..16).contains(&pages), "{pages}");
}

#[test]
fn the_module_counts() {
    let text = format!(r#"(module (memory 1) (data (i32.const 0) "{}") (func (export "ok")))"#, "x".repeat(60_000));
    let mut guest = sandbox(SandboxConfig::default(), &text);
    guest.call("ok", &[]).unwrap();
    let used = guest.usage().memory_now;
    assert!(used > 120_000, "{used}");
    let mut guest = sandbox(SandboxConfig::default().memory_limit(100_000), &text);
    let error = guest.call("ok", &[]).unwrap_err();
    assert!(matches!(error.kind(), Kind::MemoryLimit { limit: 100_000, .. }), "{error}");
}
