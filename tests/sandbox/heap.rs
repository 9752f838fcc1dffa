//! Guests that want more than the limit: whatever they try, the process holds little more than the limit, and all of it
//! comes back.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use jitless::sandbox::{Sandbox, SandboxConfig};

use super::sandbox;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// What this thread holds, and the most that it held. A sandbox lives in one thread here.
    static HEAP: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn count(delta: i64) {
    // At the end of a thread nobody counts.
    let _ = HEAP.try_with(|heap| {
        let (live, peak) = heap.get();
        heap.set((live + delta, peak.max(live + delta)));
    });
}

// SAFETY: everything is handed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }
}

const LIMIT: i64 = 64 << 20;
const SPARE: i64 = 16 << 20;

/// Calls functions of a guest one after the other, each of which goes on until it gets no more. What is held in the end is
/// half of the limit at least, never more than that and a little, and nothing after it.
fn greedy(text: &str, functions: &[&str]) {
    let (before, _) = HEAP.get();
    HEAP.set((before, before));
    let config = SandboxConfig::default().memory_limit(LIMIT as u64).output_limit(1 << 30).timeout(None);
    let mut guest: Sandbox = sandbox(config, text);
    for name in functions {
        let got = guest.call_typed::<(), i32>(name, ()).unwrap();
        assert!(got > 0, "{name}: {got}");
        let (live, peak) = HEAP.get();
        assert!(peak - before <= LIMIT + SPARE, "{name}: {} bytes of heap at once", peak - before);
        // Small files are charged for more than they take.
        assert!(live - before >= LIMIT / 2, "{name}: {} bytes of heap only: nothing is tested", live - before);
        let usage = guest.usage();
        assert!(usage.memory_peak <= LIMIT as u64, "{name}: {usage:?}");
    }
    // It goes on, and with another guest too.
    assert_eq!(guest.call_typed::<(), i32>("ok", ()).unwrap(), 42);
    guest.reset();
    assert_eq!(guest.call_typed::<(), i32>("ok", ()).unwrap(), 42);
    drop(guest);
    let left = HEAP.get().0 - before;
    assert!(left < 64 << 10, "{left} bytes left behind");
}

const OK: &str = r#"(func (export "ok") (result i32) (i32.const 42))"#;

#[test]
fn memories() {
    greedy(
        &format!(
            r#"(module (memory $a 1) (memory $b 1) {OK}
            (func (export "a") (result i32)
                (loop $l (br_if $l (i32.ne (memory.grow $a (i32.const 1)) (i32.const -1)))) (memory.size $a))
            (func (export "b") (result i32)
                (loop $l (br_if $l (i32.ne (memory.grow $b (i32.const 1)) (i32.const -1)))) (memory.size $b))
            (func (export "all") (result i32)
                (memory.fill $a (i32.const 0) (i32.const 1) (i32.mul (memory.size $a) (i32.const 65536)))
                (i32.sub (i32.const 0) (memory.grow $a (i32.const 65000)))))"#
        ),
        &["a", "b", "all"],
    );
}

#[test]
fn tables() {
    greedy(
        &format!(
            r#"(module (table $a 1 funcref) (table $b 1 externref) {OK}
            (func (export "a") (result i32)
                (loop $l (br_if $l (i32.ne (table.grow $a (ref.func 0) (i32.const 1000)) (i32.const -1))))
                (table.size $a))
            (func (export "b") (result i32)
                (loop $l (br_if $l (i32.ne (table.grow $b (ref.null extern) (i32.const 10)) (i32.const -1))))
                (table.size $b)) (elem declare func 0))"#
        ),
        &["a", "b"],
    );
}

/// Calls of WASI, and a buffer of 64 KiB at 65,536.
const CALLS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 0) "\00\00\01\00\00\00\01\00")
    (data (i32.const 16) "file")"#;

#[test]
fn files() {
    greedy(
        &format!(
            r#"(module {CALLS} {OK} (global $n (mut i32) (i32.const 0))
            (func $create (param $len i32) (result i32)
                (call $open (i32.const 3) (i32.const 0) (i32.const 16) (local.get $len) (i32.const 1)
                    (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 32)))
            (func (export "long") (result i32) (local $count i32)
                (if (call $create (i32.const 4)) (then (return (i32.const -1))))
                (loop $l
                    (if (call $write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 40))
                        (then (return (local.get $count))))
                    (local.set $count (i32.add (local.get $count) (i32.const 1)))
                    (br $l))
                (unreachable)))"#
        ),
        &["long"],
    );
    // Names and nodes are held as well.
    greedy(
        &format!(
            r#"(module {CALLS} {OK}
            (func (export "many") (result i32) (local $n i32)
                (loop $l
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    ;; The number in letters.
                    (i32.store (i32.const 16) (i32.or (i32.const 0x40404040)
                        (i32.or (i32.and (local.get $n) (i32.const 31))
                        (i32.or (i32.shl (i32.and (i32.shr_u (local.get $n) (i32.const 5)) (i32.const 31)) (i32.const 8))
                        (i32.or (i32.shl (i32.and (i32.shr_u (local.get $n) (i32.const 10)) (i32.const 31)) (i32.const 16))
                            (i32.shl (i32.and (i32.shr_u (local.get $n) (i32.const 15)) (i32.const 31)) (i32.const 24)))))))
                    (br_if $l (i32.eqz (call $mkdir (i32.const 3) (i32.const 16) (i32.const 4)))))
                (local.get $n)))"#
        ),
        &["many"],
    );
}

#[test]
fn output() {
    greedy(
        &format!(
            r#"(module {CALLS} {OK}
            (func $fill (param $fd i32) (result i32) (local $count i32)
                (loop $l
                    (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 40))
                        (then (return (i32.add (local.get $count) (i32.const 1)))))
                    (local.set $count (i32.add (local.get $count) (i32.const 1)))
                    (br $l))
                (unreachable))
            (func (export "out") (result i32) (call $fill (i32.const 1)))
            (func (export "err") (result i32) (call $fill (i32.const 2))))"#
        ),
        &["out", "err"],
    );
}
