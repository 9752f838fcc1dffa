//! How fast code runs: every guest's short run, in a store of its own, its output looked at.

use criterion::{Criterion, criterion_group, criterion_main};
use jitless::Engine;
use jitless_bench::guests;

fn run(c: &mut Criterion) {
    let engine = Engine::default();
    let mut group = c.benchmark_group("run");
    group.sample_size(10);
    for guest in guests() {
        let loaded = guest.load(&engine).expect("valid");
        group.bench_function(guest.name, |b| b.iter(|| guest.run(&loaded).expect("runs")));
    }
    group.finish();
}

criterion_group!(benches, run);
criterion_main!(benches);
