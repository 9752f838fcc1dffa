//! How long until code can run: bytes in, a module out, as far as each mode of compilation goes.
//!
//! `decode` reads the module and checks its declarations; `validate` the bodies too; `translate` makes tiles of all of
//! it; `checked` is the default, which validates everything and translates nothing yet.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jitless::{Compilation, Config, Engine, Module};
use jitless_bench::guest;

fn load(c: &mut Criterion) {
    let engine = |compilation| Engine::new(Config::new().compilation(compilation)).expect("in order");
    let modes =
        [("decode", Compilation::Lazy), ("checked", Compilation::LazyChecked), ("translate", Compilation::Eager)];
    for name in ["json", "traits_rs", "lines_go"] {
        let wasm = guest(name).bytes();
        let mut group = c.benchmark_group(format!("load/{name}"));
        group.throughput(Throughput::Bytes(wasm.len() as u64)).sample_size(10);
        for (mode, compilation) in modes {
            let engine = engine(compilation);
            group.bench_function(mode, |b| b.iter(|| Module::new(&engine, &wasm).expect("valid")));
        }
        let engine = engine(Compilation::Lazy);
        group.bench_function("validate", |b| b.iter(|| Module::validate(&engine, &wasm).expect("valid")));
        group.finish();
    }
}

criterion_group!(benches, load);
criterion_main!(benches);
