//! What files in memory cost without a guest: large blocks, small writes, opening and closing, forks.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jitless::wasi::fs::{Access, FileSystem, MemFs};

const BLOCK: usize = 1 << 20;
const SIZE: u64 = 64 << 20;
const BOTH: Access = Access { read: true, write: true };

fn fs(c: &mut Criterion) {
    let fs = MemFs::new();
    let root = fs.root().expect("a root");
    let file = root.create("file", BOTH, 0).expect("made");
    let mut block = vec![1; BLOCK];
    let mut offsets = (0..SIZE).step_by(BLOCK).cycle();
    let mut next = || offsets.next().expect("endless");

    let mut group = c.benchmark_group("fs");
    group.throughput(Throughput::Bytes(SIZE));
    group.bench_function("write a new file", |b| {
        b.iter(|| {
            file.set_size(0, 0).expect("cut off");
            for offset in (0..SIZE).step_by(BLOCK) {
                file.write_at(offset, &block, 0).expect("written");
            }
        });
    });
    group.throughput(Throughput::Bytes(BLOCK as u64));
    group.bench_function("write over", |b| b.iter(|| file.write_at(next(), &block, 0).expect("written")));
    group.bench_function("read", |b| b.iter(|| file.read_at(next(), &mut block).expect("read")));

    group.throughput(Throughput::Elements(1));
    let mut small = [1; 16];
    group.bench_function("write 16 bytes", |b| b.iter(|| file.write_at(100, black_box(&small), 0).expect("written")));
    group.bench_function("read 16 bytes", |b| b.iter(|| file.read_at(100, black_box(&mut small)).expect("read")));
    group.bench_function("append 16 bytes", |b| {
        file.set_size(0, 0).expect("cut off");
        b.iter(|| {
            let (_, end) = file.append(black_box(&small), 0).expect("written");
            if end > SIZE {
                file.set_size(0, 0).expect("cut off");
            }
        });
    });
    group.bench_function("open and close", |b| {
        b.iter(|| root.lookup(black_box("file")).expect("there").open(BOTH).expect("opened"));
    });
    group.bench_function("create, write, close, unlink", |b| {
        b.iter(|| {
            root.create("f", BOTH, 0).expect("made").write_at(0, &small, 0).expect("written");
            root.unlink("f", 0).expect("gone");
        });
    });
    for number in 0..1000 {
        fs.write(&format!("lib/{number}"), [0; 10_000]).expect("written");
    }
    group.bench_function("fork of 1000 files", |b| b.iter_batched(|| (), |()| fs.fork(), BatchSize::SmallInput));
    group.finish();
}

criterion_group!(benches, fs);
criterion_main!(benches);
