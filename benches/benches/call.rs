//! What a call costs: from guest to guest, across the border and back.
//!
//! The loops inside the guest take an add and a branch besides the call; `loop` is that alone.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jitless::{Engine, Func, Instance, Module, Store, Val};

const CALLS: u32 = 10_000;

const WAT: &str = r#"(module
    (import "host" "next" (func $host (param i32) (result i32)))
    (type $next (func (param i32) (result i32)))
    (table 1 funcref) (elem (i32.const 0) $next)
    (func $next (export "next") (type $next) (i32.add (local.get 0) (i32.const 1)))
    (func (export "loop") (param $n i32) (result i32) (local $i i32)
        (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $n)))) (local.get $i))
    (func (export "guest to guest") (param $n i32) (result i32) (local $i i32)
        (loop $l (local.set $i (call $next (local.get $i)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $n)))) (local.get $i))
    (func (export "guest to guest, indirect") (param $n i32) (result i32) (local $i i32)
        (loop $l (local.set $i (call_indirect (type $next) (local.get $i) (i32.const 0)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $n)))) (local.get $i))
    (func (export "guest to host") (param $n i32) (result i32) (local $i i32)
        (loop $l (local.set $i (call $host (local.get $i)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $n)))) (local.get $i)))"#;

fn call(c: &mut Criterion) {
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(WAT).expect("text")).expect("valid");
    let mut store = Store::new(&engine, ());
    let host = Func::wrap(&mut store, |n: u32| n + 1);
    let instance = Instance::new(&mut store, &module, &[host.into()]).expect("fits");

    let mut group = c.benchmark_group("call");
    group.throughput(Throughput::Elements(CALLS.into()));
    for name in ["loop", "guest to guest", "guest to guest, indirect", "guest to host"] {
        let func = instance.get_typed_func::<u32, u32>(&store, name).expect("exported");
        group.bench_function(name, |b| b.iter(|| func.call(&mut store, CALLS).expect("returns")));
    }
    group.throughput(Throughput::Elements(1));
    let typed = instance.get_typed_func::<u32, u32>(&store, "next").expect("exported");
    group.bench_function("host to guest", |b| b.iter(|| typed.call(&mut store, black_box(1)).expect("returns")));
    let (func, mut results) = (*typed.func(), [Val::I32(0)]);
    group.bench_function("host to guest, untyped", |b| {
        b.iter(|| func.call(&mut store, &[Val::I32(black_box(1))], &mut results).expect("returns"));
    });
    group.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);
