//! What an instance costs, its store included: of a module that is next to nothing, of one with a memory of 16 MiB, of
//! one with many functions and a table, and of a guest with its imports.

use criterion::{Criterion, criterion_group, criterion_main};
use jitless::wasi::WasiCtx;
use jitless::{Engine, Instance, Module, Store};
use jitless_bench::guest;

fn instantiate(c: &mut Criterion) {
    let engine = Engine::default();
    let small = "(module (func (export \"f\")))".to_owned();
    let memory = "(module (memory 256) (data (i32.const 1000) \"data\") (func (export \"f\")))".to_owned();
    let elements: String = (0..1000).map(|i| format!(" $f{i}")).collect();
    let funcs: String = (0..1000).map(|i| format!("(func $f{i} (result i32) (i32.const {i}))")).collect();
    let many = format!("(module (table 1000 funcref) (elem (i32.const 0){elements}) {funcs})");

    let mut group = c.benchmark_group("instantiate");
    for (name, text) in [("small", small), ("16 MiB", memory), ("1000 functions", many)] {
        let module = Module::new(&engine, wat::parse_str(text).expect("text")).expect("valid");
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut store = Store::new(&engine, ());
                Instance::new(&mut store, &module, &[]).expect("fits");
                store
            });
        });
    }
    let loaded = guest("json").load(&engine).expect("valid");
    group.bench_function("json", |b| {
        b.iter(|| {
            let mut store = Store::new(&engine, WasiCtx::builder().build().expect("in order"));
            loaded.instantiate(&mut store).expect("fits");
            store
        });
    });
    group.finish();
}

criterion_group!(benches, instantiate);
criterion_main!(benches);
