//! Code of people one does not know: what it may take, and what happens when it wants more.
use std::time::Duration;

use jitless::sandbox::Progress;
use jitless::{Sandbox, SandboxConfig};

const WAT: &str = r#"(module
    (memory (export "memory") 1)
    ;; Takes memory page by page until it gets no more.
    (func (export "eat") (result i32)
        (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (memory.size))
    (func (export "spin") (loop $l (br $l)))
    ;; The sum of the numbers below `n`, one by one.
    (func (export "sum") (param $n i64) (result i64) (local $i i64) (local $sum i64)
        (loop $l
            (local.set $sum (i64.add (local.get $sum) (local.get $i)))
            (local.set $i (i64.add (local.get $i) (i64.const 1)))
            (br_if $l (i64.lt_u (local.get $i) (local.get $n))))
        (local.get $sum))
    ;; Texts go through the guest's own allocator: this one always gives the same room.
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "shout") (param $ptr i32) (param $len i32) (result i32 i32) (local $i i32) (local $c i32)
        (block $done (loop $next
            (br_if $done (i32.eq (local.get $i) (local.get $len)))
            (local.set $c (i32.load8_u (i32.add (local.get $ptr) (local.get $i))))
            (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
                (then (i32.store8 (i32.add (local.get $ptr) (local.get $i)) (i32.sub (local.get $c) (i32.const 32)))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
        (local.get $ptr) (local.get $len)))"#;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 16 MiB, a second, fuel, no clock. The time of each call is made shorter still.
    let config = SandboxConfig::strict().timeout(Duration::from_millis(100));
    let mut sandbox = Sandbox::new(config)?;
    sandbox.load(&wat::parse_str(WAT)?)?;

    println!("{}", sandbox.call_str("shout", "texts go in and come out")?);

    let pages = sandbox.call_typed::<(), i32>("eat", ())?;
    println!("it got {pages} pages of 64 KiB");
    assert!(pages < 256);

    // It holds all there is, so now it has room for nothing. A new guest of the same module has.
    sandbox.reset();

    println!("spin: {}", sandbox.call("spin", &[]).unwrap_err());

    // A long call in parts, each with fuel of its own; between them the host does what it likes.
    sandbox.set_fuel(Some(50_000));
    let mut parts = 1;
    let mut progress = sandbox.start("sum", &[100_000i64.into()])?;
    let sum = loop {
        match progress {
            Progress::Finished(results) => break results[0].i64(),
            Progress::Paused(paused) => progress = sandbox.resume(paused)?,
        }
        parts += 1;
    };
    println!("the sum is {sum:?}, in {parts} parts");
    assert_eq!(sum, Some(4_999_950_000));

    println!("{:?}", sandbox.usage());
    // All memory comes back.
    sandbox.unload()?;
    assert_eq!(sandbox.usage().memory_now, 0);
    Ok(())
}
