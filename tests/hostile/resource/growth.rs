//! What guests make the host hold: memories and tables that grow, segments, globals, and the budgets for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use jitless::{Account, ErrorKind::*, Instance, Store, StoreLimitsBuilder, Trap};

use crate::harness::*;

pub(super) fn r15_growth_without_end(cx: &Cx) {
    cx.holds(800 << 20);
    let mut guest = cx.guest(
        r#"(module (memory 1) (func (export "f") (loop (drop (memory.grow (i32.const 1))) (br 0)))
            (func (export "size") (result i32) (memory.size)) (func (export "last") (result i32)
            (i32.load (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)))))"#,
    );
    guest.store.set_limits(StoreLimitsBuilder::new().total_memory(256 << 20).build());
    guest.store.set_fuel(10_000_000).unwrap();
    guest.ends("f", &[], OutOfFuel);
    guest.store.set_fuel(u64::MAX).unwrap();
    let pages = guest.call("size", &[]).unwrap()[0].i32().unwrap();
    assert!((4000..=4096).contains(&pages), "{pages}");
    guest.gives("last", &[], &vals![0]);
    assert!(guest.store.memory_peak() <= 256 << 20);
}

pub(super) fn r16_other_growth_without_end(cx: &Cx) {
    cx.holds(800 << 20);
    cx.may_take(ms(3000));
    let limits = || StoreLimitsBuilder::new().total_memory(64 << 20).build();
    let mut guest = cx.guest(
        r#"(module (table 1 externref) (func (export "f") (param i32)
                (loop (drop (table.grow (ref.null extern) (local.get 0))) (br 0)))
            (func (export "size") (result i32) (table.size)))"#,
    );
    guest.store.set_limits(limits());
    for delta in [1, 10, 1000] {
        guest.store.set_fuel(4_000_000).unwrap();
        guest.ends("f", &vals![delta], OutOfFuel);
    }
    guest.store.set_fuel(u64::MAX).unwrap();
    let size = guest.call("size", &[]).unwrap()[0].i32().unwrap();
    assert!((7_000_000..=8_400_000).contains(&size), "{size}");
    drop(guest);
    let memories = "(memory 0) ".repeat(100);
    let grow: String = (0..100).map(|n| format!("(drop (memory.grow {n} (i32.const 1)))")).collect();
    let mut guest = cx.guest(&format!("(module {memories} (func (export \"f\") (loop {grow} (br 0))))"));
    guest.store.set_limits(limits());
    guest.store.set_fuel(1_000_000).unwrap();
    guest.ends("f", &[], OutOfFuel);
    assert!(guest.store.memory_used() > 58 << 20 && guest.store.memory_peak() <= 64 << 20);
}

pub(super) fn r18_large_segments_are_shared(cx: &Cx) {
    cx.holds(200 << 20);
    cx.no_oracle();
    let size = 50 << 20;
    let data = |mode: &[u8]| cat(&[&[1], mode, &leb(size as u64), &vec![7; size]]);
    let passive = cx.aside(|| module(&[&section(11, &data(&[1]))]));
    let before = cx.live();
    let loaded = cx.accepts(&passive);
    drop(passive);
    let mut stores = Vec::new();
    for _ in 0..10 {
        let mut store = Store::new(&cx.engine, ());
        for _ in 0..100 {
            Instance::new(&mut store, &loaded, &[]).unwrap();
        }
        assert!(store.memory_used() < 1 << 20);
        stores.push(store);
    }
    let held = cx.live() - before + size as i64;
    assert!(held <= 60 << 20, "{held} bytes for a thousand instances");
    drop((stores, loaded));
    let active = cx.aside(|| {
        let memory = section(5, &cat(&[&[1, 0], &leb(801)]));
        module(&[&memory, &section(7, b"\x01\x01m\x02\0"), &section(11, &data(&hex("00 41 00 0B")))])
    });
    let loaded = cx.accepts(&active);
    let mut store = Store::new(&cx.engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(110 << 20).build());
    for _ in 0..2 {
        Instance::new(&mut store, &loaded, &[]).unwrap();
    }
    assert!(store.memory_used() <= (106 << 20) + 4096);
    assert_eq!(Instance::new(&mut store, &loaded, &[]).unwrap_err().kind(), Budget);
}

pub(super) fn r19_a_hundred_thousand_segments(cx: &Cx) {
    cx.no_oracle();
    cx.may_take(ms(6000));
    cx.holds(64 << 20);
    let n = 100_000u64;
    let rounds = turns(100, 10);
    let memory = section(5, &hex("01 00 02"));
    let empty = cat(&[&leb(n), &times(&hex("00 41 00 0B 00"), n as usize)]);
    let bytes: Vec<u8> =
        (0..n).rev().flat_map(|at| cat(&[&[0, 0x41], &sleb(at as i64), &[0x0B, 1, at as u8]])).collect();
    let descending = cat(&[&leb(n), &bytes]);
    let table = section(4, &cat(&[&hex("01 70 00"), &leb(n)]));
    let elements: Vec<u8> = (0..n).flat_map(|at| cat(&[&[0, 0x41], &sleb(at as i64), &[0x0B, 1, 0]])).collect();
    let funcs = (section(3, &[1, 0]), section(10, &hex("01 02 00 0B")));
    for (what, bytes) in [
        ("empty", module(&[&memory, &section(11, &empty)])),
        ("descending", module(&[&memory, &section(11, &descending)])),
        ("elements", module(&[&t0(), &funcs.0, &table, &section(9, &cat(&[&leb(n), &elements])), &funcs.1])),
    ] {
        let module = cx.accepts(&bytes);
        cx.within(ms(1000), || {
            for _ in 0..rounds {
                let mut store = Store::new(&cx.engine, ());
                Instance::new(&mut store, &module, &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        });
        let mut store = Store::new(&cx.engine, ());
        store.set_fuel(n - 1).unwrap();
        assert_eq!(Instance::new(&mut store, &module, &[]).unwrap_err().kind(), OutOfFuel, "{what}");
        store.set_fuel(n).unwrap();
        Instance::new(&mut store, &module, &[]).map(drop).expect(what);
        assert_eq!(store.fuel_used(), n, "{what}");
    }
}

pub(super) fn r20_a_million_globals(cx: &Cx) {
    cx.no_oracle();
    cx.holds(256 << 20);
    cx.may_take(ms(3000));
    let n = size(1_000_000) as u64;
    let module =
        cx.accepts(&cx.aside(|| module(&[&section(6, &cat(&[&leb(n), &times(&hex("7F 00 41 00 0B"), n as usize)]))])));
    let mut store = Store::new(&cx.engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(256 << 20).build());
    let before = cx.live();
    let mut made = 0;
    for _ in 0..100 {
        match Instance::new(&mut store, &module, &[]) {
            Ok(_) => made += 1,
            Err(error) => {
                assert_eq!(error.kind(), Budget, "{error}");
                break;
            }
        }
    }
    assert!(made >= 16, "{made} instances in 256 MiB");
    let each = (cx.live() - before) / made / n as i64;
    assert!(each <= 16, "{each} bytes a global");
    assert!(cx.live() - before <= 256 << 20);
}

pub(super) fn r24_one_budget_for_many_stores(cx: &Cx) {
    const CAP: u64 = 8 << 20;
    let module = cx.accepts_wat(
        r#"(module (memory 1) (table 10 funcref)
            (func (export "grow") (param i32) (result i32)
                (drop (table.grow (ref.null func) (i32.mul (local.get 0) (i32.const 100))))
                (memory.grow (local.get 0))))"#,
    );
    let pool = Account::new(CAP);
    let refused = AtomicU64::new(0);
    cx.may_take(ms(3000));
    std::thread::scope(|scope| {
        let threads = [1, 2, 3, 4, 5, 6, 7, 8].map(|seed: u64| {
            let (engine, module, pool, refused) = (&cx.engine, &module, &pool, &refused);
            cx.spawn(scope, move || {
                let (end, mut random) = (Instant::now() + ms(1000), seed);
                while Instant::now() < end {
                    let mut store = Store::within(engine, (), pool);
                    let grow = Instance::new(&mut store, module, &[])
                        .and_then(|instance| instance.get_typed_func::<i32, i32>(&store, "grow"));
                    for _ in 0..20 {
                        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        let pages = (random >> 60) as i32;
                        let grown = grow.as_ref().map(|grow| grow.call(&mut store, pages));
                        refused.fetch_add(!matches!(grown, Ok(Ok(0..))) as u64, Relaxed);
                        assert!(store.memory_used() <= pool.used() && pool.used() <= CAP);
                    }
                }
            })
        });
        threads.into_iter().for_each(|thread| cx.join(thread));
    });
    assert!(pool.peak() <= CAP && refused.load(Relaxed) > 0, "{pool:?}");
    assert_eq!(pool.used(), 0);
}

pub(super) fn r25_budgets_at_the_edges(cx: &Cx) {
    let page = cx.accepts_wat(
        "(module (memory (export \"m\") 1) (func (export \"f\") (result i32) (memory.grow (i32.const 1))))",
    );
    let empty = cx.accepts_wat("(module (memory 0) (func (export \"f\") (result i32) (memory.grow (i32.const 1))))");
    for bytes in [0, 1, 65535] {
        let mut store = Store::new(&cx.engine, ());
        store.set_limits(StoreLimitsBuilder::new().total_memory(bytes).build());
        assert_eq!(Instance::new(&mut store, &page, &[]).unwrap_err().kind(), Budget);
        match Instance::new(&mut store, &empty, &[]) {
            Ok(instance) => {
                let f = instance.get_typed_func::<(), i32>(&store, "f").unwrap();
                match f.call(&mut store, ()) {
                    Ok(grown) => assert_eq!(grown, -1),
                    Err(error) => assert!(
                        matches!((error.kind(), error.trap()), (Budget, _) | (_, Some(Trap::StackOverflow))),
                        "{error}"
                    ),
                }
            }
            Err(error) => assert_eq!(error.kind(), Budget, "{error}"),
        }
        assert!(store.memory_used() <= bytes);
        cx.ok_in(&mut store);
    }
    let mut store = Store::new(&cx.engine, ());
    store.set_limits(
        StoreLimitsBuilder::new().total_memory(u64::MAX).memory_size(usize::MAX).table_elements(usize::MAX).build(),
    );
    let instance = Instance::new(&mut store, &page, &[]).unwrap();
    let f = instance.get_typed_func::<(), i32>(&store, "f").unwrap();
    assert_eq!(f.call(&mut store, ()).unwrap(), 1);
    assert!(instance.get_memory(&store, "m").unwrap().grow(&mut store, u64::MAX).is_err());
    cx.ok_in(&mut store);
}
