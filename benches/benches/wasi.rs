//! What calls of WASI cost a guest, and how fast large files go through.
//!
//! The loops inside the guest take a few instructions besides the call; what they are is in `call`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jitless::wasi::fs::MemFs;
use jitless::wasi::{self, Output, WasiCtx};
use jitless::{Engine, Linker, Module, Store};

const CALLS: u32 = 10_000;
/// A large block.
const BLOCK: u32 = 1 << 20;

/// 16 bytes at 0; a block at 64 KiB. Descriptor 4 is a file.
const WAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 64)
    (data (i32.const 100) "a file") (data (i32.const 110) "dir/in/which/it/is")
    (data (i32.const 200) "\00\00\00\00\10\00\00\00") (data (i32.const 208) "\00\00\01\00\00\00\10\00")
    (func (export "open") (result i32) (call $open (i32.const 3) (i32.const 1) (i32.const 100) (i32.const 6)
        (i32.const 1) (i64.const -1) (i64.const 0) (i32.const 0) (i32.const 300)))
    (func $go (param $what i32) (result i32)
        (block $stat (block $open (block $time (block $read (block $pwrite (block $file (block $stdout
            (br_table $stdout $file $pwrite $read $time $open $stat (local.get $what)))
            (return (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 300))))
            (return (call $write (i32.const 4) (i32.const 200) (i32.const 1) (i32.const 300))))
            (return (call $pwrite (i32.const 4) (i32.const 200) (i32.const 1) (i64.const 0) (i32.const 300))))
            (return (call $pread (i32.const 4) (i32.const 200) (i32.const 1) (i64.const 0) (i32.const 300))))
            (return (call $time (i32.const 0) (i64.const 0) (i32.const 304))))
            (return (i32.or (call $open (i32.const 3) (i32.const 1) (i32.const 100) (i32.const 6) (i32.const 0)
                (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 300)) (call $close (i32.load (i32.const 300))))))
        (call $stat (i32.const 3) (i32.const 1) (i32.const 110) (i32.const 18) (i32.const 304)))
    (func (export "loop") (param $what i32) (param $n i32) (result i32) (local $error i32)
        (drop (call $seek (i32.const 4) (i64.const 0) (i32.const 0) (i32.const 304)))
        (loop $l
            (local.set $error (i32.or (local.get $error) (call $go (local.get $what))))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $l (local.get $n)))
        (local.get $error))
    (func (export "write block") (result i32)
        (call $pwrite (i32.const 4) (i32.const 208) (i32.const 1) (i64.const 0) (i32.const 300)))
    (func (export "read block") (result i32)
        (call $pread (i32.const 4) (i32.const 208) (i32.const 1) (i64.const 0) (i32.const 300))))"#;

fn calls(c: &mut Criterion) {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).expect("new names");
    let fs = MemFs::new();
    fs.create_dir_all("dir/in/which/it/is").expect("room");
    let ctx = WasiCtx::builder().stdout(Output::null()).mount("/", fs).build().expect("nothing wrong");
    let mut store = Store::new(&engine, ctx);
    let module = Module::new(&engine, wat::parse_str(WAT).expect("text")).expect("valid");
    let instance = linker.instantiate(&mut store, &module).expect("fits");
    let open = instance.get_typed_func::<(), u32>(&store, "open").expect("exported");
    assert_eq!(open.call(&mut store, ()).expect("returns"), 0);

    let mut group = c.benchmark_group("wasi");
    group.throughput(Throughput::Elements(CALLS.into()));
    let run = instance.get_typed_func::<(u32, u32), u32>(&store, "loop").expect("exported");
    let names = [
        "fd_write, 16 bytes to nowhere",
        "fd_write, 16 bytes to a file",
        "fd_pwrite, 16 bytes to a file",
        "fd_pread, 16 bytes of a file",
        "clock_time_get",
        "path_open and fd_close",
        "path_filestat_get, four directories down",
    ];
    for (what, name) in (0..).zip(names) {
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(run.call(&mut store, (what, CALLS)).expect("returns"), 0));
        });
    }
    group.throughput(Throughput::Bytes(BLOCK.into()));
    for name in ["write block", "read block"] {
        let func = instance.get_typed_func::<(), u32>(&store, name).expect("exported");
        group.bench_function(name, |b| b.iter(|| assert_eq!(func.call(&mut store, ()).expect("returns"), 0)));
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
