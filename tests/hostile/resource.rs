//! Resources: fuel to the unit, deadlines, bombs for the translator, growth without end, and what is left afterwards.
//!
//! Invariant: what a guest makes the host do or hold is bounded by its fuel, its deadline, its budget, or the size of
//! its module.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jitless::{
    Account, Caller, Compilation, Dispatch, Engine, ErrorKind::*, ExternRef, Instance, Linker, Module, Ref, RefType,
    Store, StoreLimitsBuilder, Table, TableType, Trap, Val,
};
use jitless_machine::instr::{Access, Plain};
use jitless_machine::types::Ty;

use crate::harness::*;

rows! {
    r1_fuel_to_the_unit r2_fuel_in_every_mode r3_every_operator_costs r4_loops_of_what_is_free
    r5_bulk_operations_pay_first r6_work_before_a_trap_is_paid r7_fuel_at_the_first_call r8_fuel_saturates r9_deadlines
    r10_a_deadline_ends_everything r11_bombs_for_the_translator r12_wide_calls r13_wide_branches r14_preserved_locals
    r15_growth_without_end r16_other_growth_without_end r17_a_million_new_objects r18_large_segments_are_shared
    r19_a_hundred_thousand_segments r20_a_million_globals r22_backtraces_with_long_names r23_allocations_that_fail
    r24_one_budget_for_many_stores r25_budgets_at_the_edges r26_calls_of_an_empty_host_function r28_many_modules_in_one_engine
    r29_many_refused_modules_in_one_engine
}

/// Programs that end, with what of them can be seen: calls of the host, and bytes written in order.
const PROGRAMS: &[&str] = &[
    r#"(module (import "h" "out" (func $out (param i32))) (memory (export "m") 1)
        (func (export "run") (local i32)
            (loop $l
                (call $out (local.get 0)) (i32.store8 (local.get 0) (i32.add (local.get 0) (i32.const 1)))
                (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 100))))))"#,
    r#"(module (import "h" "out" (func $out (param i32))) (memory (export "m") 1)
        (func $put (param i32) (if (i32.and (local.get 0) (i32.const 1)) (then (call $out (local.get 0))))
            (i32.store8 (local.get 0) (i32.const 1)))
        (func $tree (param i32 i32)
            (if (i32.eqz (local.get 0)) (then (call $put (local.get 1)) (return)))
            (call $tree (i32.sub (local.get 0) (i32.const 1)) (i32.shl (local.get 1) (i32.const 1)))
            (call $tree (i32.sub (local.get 0) (i32.const 1)) (i32.or (i32.shl (local.get 1) (i32.const 1))
            (i32.const 1))))
        (func (export "run") (call $tree (i32.const 6) (i32.const 0))))"#,
    r#"(module (import "h" "out" (func $out (param i32))) (memory (export "m") 1) (table 4 funcref) (elem
        (i32.const 0) $a $b $c)
        (type $t (func (param i32) (result i32)))
        (func $a (type $t) (call $out (local.get 0)) (i32.add (local.get 0) (i32.const 1)))
        (func $b (type $t) (i32.store8 (local.get 0) (i32.const 7)) (local.get 0))
        (func $c (type $t) (return_call_indirect (type $t) (local.get 0) (i32.const 1)))
        (func (export "run") (local i32 i32)
            (loop $l
                (drop (call_indirect (type $t) (local.get 0) (i32.const 2)))
                (local.set 0 (call_indirect (type $t) (local.get 0) (i32.const 0)))
                (block $x (block $y (br_table $x $y (i32.and (local.get 0) (i32.const 1)))) (memory.fill
                (i32.const 1000) (i32.const 0) (i32.const 640)))
                (br_if $l (i32.lt_u (local.get 0) (i32.const 60))))))"#,
];

struct Run {
    result: Result<(), jitless::ErrorKind>,
    log: Vec<i32>,
    bytes: Vec<u8>,
    fuel: u64,
}

/// Runs a program with so much fuel.
fn run(cx: &Cx, module: &Module, fuel: u64) -> Run {
    let mut store = Store::new(module.engine(), Vec::new());
    let mut linker = Linker::new(module.engine());
    linker.func_wrap("h", "out", |mut caller: Caller<'_, Vec<i32>>, n: i32| caller.data_mut().push(n)).unwrap();
    let instance = linker.instantiate(&mut store, module).unwrap();
    let run = instance.get_typed_func::<(), ()>(&store, "run").unwrap();
    store.set_fuel(fuel).unwrap();
    let before = store.fuel_used();
    let result = run.call(&mut store, ()).map_err(|error| {
        cx.seen(&error);
        error.kind()
    });
    let memory = instance.get_memory(&store, "m").unwrap();
    let bytes = memory.data(&store)[..256].to_vec();
    Run { result, bytes, fuel: store.fuel_used() - before, log: store.into_data() }
}

fn r1_fuel_to_the_unit(cx: &Cx) {
    cx.may_take(ms(5000));
    for text in PROGRAMS {
        let module = cx.accepts_wat(text);
        let full = run(cx, &module, u64::MAX);
        assert!(full.result.is_ok() && full.fuel > 500);
        let exact = run(cx, &module, full.fuel);
        assert_eq!((exact.result, exact.fuel), (Ok(()), full.fuel));
        assert_eq!(run(cx, &module, full.fuel - 1).result, Err(OutOfFuel));
        let mut before = 0;
        for k in 0..full.fuel.min(u64::from(turns(5000, 1000))) {
            let part = run(cx, &module, k);
            assert_eq!(part.result, Err(OutOfFuel), "{k} of {}", full.fuel);
            assert!(full.log.starts_with(&part.log), "{k}: {:?}", part.log);
            assert!(part.log.len() >= before, "{k}: less is done with more");
            before = part.log.len();
            // Bytes are written in order, each once.
            let written = part.bytes.iter().filter(|&&byte| byte != 0).count();
            assert!(part.bytes[..written] == full.bytes[..written], "{k}: {:?}", part.bytes);
        }
    }
    // Those that call nobody, and those that trap.
    for (name, text) in SEEDS {
        let module = cx.accepts_wat(text);
        for export in ["run", "go"] {
            let call = |fuel: u64| {
                let mut guest = cx.guest_of(&module);
                let func = guest.instance.get_func(&guest.store, export)?;
                let before = guest.store.fuel_used();
                guest.store.set_fuel(fuel).unwrap();
                let args: Vec<_> =
                    func.ty(&guest.store).params().iter().map(|&ty| Val::default_for_ty(ty).unwrap()).collect();
                let kind = guest.call(export, &args).map_err(|error| error.kind());
                Some((kind.err(), guest.store.fuel_used() - before))
            };
            let Some((kind, fuel)) = call(u64::MAX) else { continue };
            assert_eq!(call(fuel), Some((kind, fuel)), "{name}");
            for k in 0..fuel.min(200) {
                // A trap stops before the fuel runs out that the rest of its line would have taken.
                let (part, used) = call(k).unwrap();
                assert!(
                    part == Some(OutOfFuel) || (kind == Some(Trap) && part == kind && used == fuel),
                    "{name} with {k} of {fuel}"
                );
            }
        }
    }
}

fn r2_fuel_in_every_mode(cx: &Cx) {
    let mut bills = Vec::new();
    for dispatch in [Dispatch::Auto, Dispatch::Bounced] {
        for compilation in [Compilation::Eager, Compilation::Lazy, Compilation::LazyChecked] {
            let mut config = cx.mode.config();
            let engine = Engine::new(config.dispatch(dispatch).compilation(compilation)).unwrap();
            let bill: Vec<_> = PROGRAMS
                .iter()
                .map(|text| {
                    let module = cx.load_in(&engine, &cx.wat(text)).unwrap();
                    let run = run(cx, &module, u64::MAX);
                    (run.result, run.fuel, run.log, run.bytes)
                })
                .collect();
            bills.push(bill);
        }
    }
    assert!(bills.windows(2).all(|pair| pair[0] == pair[1]));
    cx.note(&bills[0].iter().map(|(_, fuel, _, _)| *fuel).collect::<Vec<_>>());
}

/// The operators of one function of a module: their bytes, and how many of them are not free.
fn operators(text: &str) -> (Vec<u8>, u64) {
    let bytes = wat(text);
    for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
        if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
            let mut reader = body.get_operators_reader().unwrap();
            let (start, mut end, mut count) = (reader.original_position(), reader.original_position(), 0);
            while !reader.eof() {
                end = reader.original_position();
                use wasmparser::Operator::{Block, Else, End, Loop, Nop};
                count += u64::from(!matches!(reader.read().unwrap(), Block { .. } | Loop { .. } | Nop | Else | End));
            }
            return (bytes[start as usize..end as usize].to_vec(), count);
        }
    }
    panic!("no function")
}

const TYPES: &str =
    r#"(type $f (func (param i32 i64 f32 f64 externref))) (type $v (func)) (type $i (func (param i32) (result i32)))"#;
const AROUND: &str = r#"(memory 1 1) (table $t 2 4 funcref) (table $x 2 4 externref) (global $g (mut i32)
    (i32.const 1)) (data $d "x")
    (elem $e func $f) (func $void (type $v)) (func $one (type $i) (local.get 0))"#;

fn r3_every_operator_costs(cx: &Cx) {
    cx.may_take(ms(15_000));
    cx.no_oracle();
    let n = turns(10_000, 500) as usize;
    let one = |ty: Ty| format!("({}.const 1)", ty.text());
    let get = |ty: Ty| match ty {
        Ty::I32 => "(local.get 0)",
        Ty::I64 => "(local.get 1)",
        Ty::F32 => "(local.get 2)",
        _ => "(local.get 3)",
    };
    let mut copies: Vec<String> = Vec::new();
    for op in Plain::ALL {
        let info = op.info();
        let constants: String = info.operands.iter().map(|&ty| one(ty)).collect();
        let locals: String = info.operands.iter().map(|&ty| get(ty)).collect();
        copies.push(format!("(drop ({} {constants}))", info.name));
        copies.push(format!("(drop ({} {locals}))", info.name));
    }
    for op in Access::ALL {
        let info = op.info();
        for (address, value) in [("(i32.const 1)", one(info.ty)), ("(local.get 0)", get(info.ty).to_string())] {
            copies.push(match info.store {
                true => format!("({} {address} {value})", info.name),
                false => format!("(drop ({} {address}))", info.name),
            });
        }
    }
    for special in [
        "(if (i32.const 1) (then))",
        "(if (local.get 0) (then (nop)) (else (nop)))",
        "(block (br 0))",
        "(block (br_if 0 (i32.const 0)))",
        "(block (br_if 0 (local.get 0)))",
        "(block (br_table 0 0 (i32.const 0)))",
        "(block (br_table 0 0 (local.get 0)))",
        "(call $void)",
        "(drop (call $one (i32.const 1)))",
        "(drop (call_indirect (type $i) (local.get 0) (i32.const 1)))",
        "(drop (select (i32.const 1) (i32.const 2) (i32.const 0)))",
        "(drop (select (local.get 1) (i64.const 2) (local.get 0)))",
        "(drop (select (result externref) (local.get 4) (ref.null extern) (local.get 0)))",
        "(drop (local.get 0))",
        "(local.set 0 (i32.const 1))",
        "(local.set 0 (local.get 0))",
        "(drop (local.tee 0 (i32.const 1)))",
        "(drop (global.get $g))",
        "(global.set $g (i32.const 1))",
        "(global.set $g (global.get $g))",
        "(drop (memory.size))",
        "(drop (memory.grow (i32.const 0)))",
        "(drop (memory.grow (i32.const 1)))",
        "(drop (i32.const 0))",
        "(drop (i64.const 0))",
        "(drop (f32.const 0))",
        "(drop (f64.const 0))",
        "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))",
        "(data.drop $d)",
        "(memory.copy (i32.const 0) (i32.const 0) (i32.const 0))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))",
        "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 0))",
        "(elem.drop $e)",
        "(table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 0))",
        "(table.fill $t (i32.const 0) (ref.null func) (i32.const 0))",
        "(drop (table.get $x (i32.const 0)))",
        "(table.set $x (i32.const 0) (local.get 4))",
        "(drop (table.grow $t (ref.null func) (i32.const 0)))",
        "(drop (table.size $t))",
        "(drop (ref.null func))",
        "(drop (ref.is_null (local.get 4)))",
        "(drop (ref.func $f))",
    ] {
        copies.push(special.into());
    }
    let mut dear = Vec::new();
    for copy in copies {
        // The function comes last, so that its body can be found and made longer.
        let text = |body: &str| {
            format!(
                "(module {TYPES} (func $f (export \"f\") (type $f) {body}) {AROUND} (elem (table $t)
                    (i32.const 1) func $one))"
            )
        };
        let (bytes, cost) = cx.aside(|| operators(&text(&copy)));
        let long = cx.aside(|| with_body(&wat(&text(&copy)), &times(&bytes, n)));
        let module = cx.load(&long).unwrap_or_else(|error| panic!("{copy}: {error}"));
        let mut guest = cx.guest_of(&module);
        let args = [Val::I32(1), Val::I64(1), Val::from(1f32), Val::from(1f64), Val::null_extern_ref()];
        guest.gives("f", &args, &[]);
        let used = guest.store.fuel_used();
        assert!(used >= n as u64 * cost, "{copy}: {n} copies cost {used}, {cost} each expected");
        if used > n as u64 * cost + 10 {
            dear.push(copy);
        }
    }
    // What costs more does something in a callee.
    assert!(dear.iter().all(|copy| copy.contains("call")), "{dear:?}");
}

/// The module with other operators in its first function, which has no locals.
fn with_body(bytes: &[u8], operators: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (H.to_vec(), 8);
    while at < bytes.len() {
        let (size, start) = leb_at(bytes, at + 1);
        let (id, contents) = (bytes[at], &bytes[start..start + size]);
        at = start + size;
        if id == 10 {
            let (count, first) = leb_at(contents, 0);
            let (size, start) = leb_at(contents, first);
            let body = func(&cat(&[&[0], operators, &[0x0B]]));
            out.extend(section(10, &cat(&[&leb(count as u64), &body, &contents[start + size..]])));
        } else {
            out.extend(section(id, contents));
        }
    }
    out
}

/// A number, and where it ends.
fn leb_at(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        value |= usize::from(bytes[at] & 0x7F) << shift;
        (at, shift) = (at + 1, shift + 7);
        if bytes[at - 1] < 0x80 {
            return (value, at);
        }
    }
}

fn r4_loops_of_what_is_free(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "again" (func $again)) (table 2 funcref) (elem (i32.const 0) $tail_i)
            (func (export "loop") (loop (br 0)))
            (func (export "block") (loop (block) (nop) (br 0)))
            (func (export "table") (loop (block) (br_table 0 0 (i32.const 0))))
            (func (export "if") (loop (br_if 0 (i32.const 1))))
            (func (export "nested") (loop (loop (br 1))))
            (func $tail (export "tail") (return_call $tail))
            (func $tail_i (export "tail_i") (return_call_indirect (i32.const 0)))
            (func $a (export "mutual") (call $b)) (func $b (call $a))
            (func (export "host") (loop (call $again) (br 0)))
            (func $empty) (func (export "calls") (loop (call $empty) (br 0)))
            (func (export "ping") (call $again)))"#,
        |_, linker| {
            linker
                .func_wrap("h", "again", |mut caller: Caller<'_, ()>| {
                    // From guest to host and back, as long as there is fuel.
                    let f = caller.get_export("calls").unwrap().into_func().unwrap();
                    f.typed::<(), ()>(&caller)?.call(&mut caller, ())
                })
                .unwrap();
        },
    );
    for name in ["loop", "block", "table", "if", "nested", "tail", "tail_i", "mutual", "host", "calls", "ping"] {
        guest.store.set_fuel(10_000).unwrap();
        guest.ends(name, &[], OutOfFuel);
    }
}

fn r5_bulk_operations_pay_first(cx: &Cx) {
    cx.holds(2 << 30);
    // Not exported, so that nobody looks at a gibibyte.
    let mut guest = cx.guest(
        r#"(module (memory 16384) (table 1000000 funcref) (table $x (export "t") 1000000 externref) (func $f)
            (elem declare func $f)
            (data $d "0123456789")
            (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x40000000)))
            (func (export "copy") (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3fffffff)))
            (func (export "tfill") (table.fill 0 (i32.const 0) (ref.func $f) (i32.const 1000000)))
            (func (export "tcopy") (table.copy 0 0 (i32.const 1) (i32.const 0) (i32.const 999999)))
            (func (export "tgrow") (result i32) (table.grow 0 (ref.func $f) (i32.const 1000000)))
            (func (export "byte") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "set") (i32.store8 (i32.const 0) (i32.const 9)))
            (func (export "null") (param i32) (result i32) (ref.is_null (table.get 0 (local.get 0))))
            (func (export "size") (result i32) (table.size 0)))"#,
    );
    guest.gives("set", &[], &[]);
    for name in ["fill", "copy", "tfill", "tcopy", "tgrow"] {
        guest.store.set_fuel(1_000).unwrap();
        cx.within(ms(1), || guest.ends(name, &[], OutOfFuel));
        guest.store.set_fuel(u64::MAX).unwrap();
        for (at, want) in [(0, 9), (1, 0), (1000, 0), (0x3FFF_FFFF, 0)] {
            guest.gives("byte", &vals![at], &vals![want]);
        }
        for at in [0, 1, 999_999] {
            guest.gives("null", &vals![at], &vals![1]);
        }
        guest.gives("size", &[], &vals![1_000_000]);
    }
    let large = cx.aside(|| {
        let data = cat(&[&[1, 1], &leb(10 << 20), &vec![7; 10 << 20]]);
        let code = func(&cat(&[&hex("00 41 00 41 00 41"), &sleb(10 << 20), &hex("FC 08 00 00 0B")]));
        let exports = section(7, b"\x02\x01f\0\0\x01m\x02\0");
        module(&[
            &t0(),
            &section(3, &[1, 0]),
            &section(5, &cat(&[&[1, 0], &leb(161)])),
            &exports,
            &section(12, &[1]),
            &section(10, &cat(&[&[1], &code])),
            &section(11, &data),
        ])
    });
    let module = cx.accepts(&large);
    let mut guest = cx.guest_of(&module);
    guest.store.set_fuel(1_000).unwrap();
    guest.ends("f", &[], OutOfFuel);
    let memory = guest.export("m").into_memory().unwrap();
    assert!(memory.data(&guest.store).iter().all(|&byte| byte == 0));
    // With a hundred thousand times more it is done.
    guest.store.set_fuel(1_000_000).unwrap();
    guest.gives("f", &[], &[]);
    assert!(memory.data(&guest.store)[..10 << 20].iter().all(|&byte| byte == 7));
}

fn r6_work_before_a_trap_is_paid(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (func (export "f") (param i32) (result i32)
            (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i32.div_s (i32.const 1) (local.get 0))))"#,
    );
    guest.store.set_fuel(10_000_000).unwrap();
    guest.traps("f", &vals![100_000], Trap::IntegerDivisionByZero);
    let used = guest.store.fuel_used();
    assert!((100_000..10_000_000).contains(&used), "{used}");
    assert_eq!(guest.store.get_fuel().unwrap(), 10_000_000 - used);
    // Five operators a turn; two, and the division, at the end.
    assert_eq!(used, 5 * 100_000 + 3);
}

fn r7_fuel_at_the_first_call(cx: &Cx) {
    let mut config = cx.mode.config();
    let engine = Engine::new(config.compilation(Compilation::Lazy)).unwrap();
    let bytes = wat(r#"(module (func (export "f") (param i32) (result i32) (call $g (local.get 0)))
            (func $g (param i32) (result i32) (i32.add (local.get 0) (call $h)))
            (func $h (result i32) (i32.const 5)))"#);
    cx.no_oracle();
    let module = cx.load_in(&engine, &bytes).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let f = instance.get_typed_func::<i32, i32>(&store, "f").unwrap();
    for fuel in 0..8 {
        store.set_fuel(fuel).unwrap();
        if let Err(error) = f.call(&mut store, 1) {
            assert_eq!(error.kind(), OutOfFuel);
        }
        // From another thread too.
        std::thread::scope(|scope| {
            let other = cx.spawn(scope, || {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                let f = instance.get_typed_func::<i32, i32>(&store, "f").unwrap();
                store.set_fuel(fuel).unwrap();
                let first = f.call(&mut store, 2).is_ok();
                store.set_fuel(1000).unwrap();
                (first, f.call(&mut store, 2).unwrap())
            });
            assert_eq!(cx.join(other).1, 7);
        });
        store.set_fuel(1000).unwrap();
        assert_eq!(f.call(&mut store, 1).unwrap(), 6);
    }
    // A body that is not valid stays so.
    let invalid = wat("(module (func (export \"f\") (i32.const 1)) (func (export \"g\") (result i32) (i32.const 3)))");
    let module = cx.load_in(&engine, &invalid).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
    for _ in 0..3 {
        let error = f.call(&mut store, ()).unwrap_err();
        cx.seen(&error);
        assert_eq!(error.kind(), Invalid, "{error}");
    }
    assert_eq!(instance.get_typed_func::<(), i32>(&store, "g").unwrap().call(&mut store, ()).unwrap(), 3);
}

fn r8_fuel_saturates(cx: &Cx) {
    let mut guest = cx.guest("(module (func (export \"f\") (result i32) (i32.const 1)))");
    for fuel in [u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 + 1, 1 << 62] {
        for more in [0, 1, u64::MAX, 1 << 63] {
            guest.store.set_fuel(fuel).unwrap();
            assert_eq!(guest.store.get_fuel().unwrap(), fuel);
            guest.store.add_fuel(more).unwrap();
            // The greatest number is no bound, so adding comes to one less at most.
            let before = guest.store.get_fuel().unwrap();
            let want = if fuel == u64::MAX { fuel } else { fuel.saturating_add(more).min(u64::MAX - 1) };
            assert_eq!(before, want, "{fuel} + {more}");
            let cost = guest.fuel_of("f", &[]);
            let left = guest.store.get_fuel().unwrap();
            match before {
                u64::MAX => assert_eq!(left, before),
                _ => {
                    assert!((before - cost..=before).contains(&left), "{fuel} + {more}: {before}, {cost} used, {left}")
                }
            }
        }
    }
    guest.store.set_fuel(0).unwrap();
    guest.ends("f", &[], OutOfFuel);
    guest.store.add_fuel(u64::MAX).unwrap();
    guest.gives("f", &[], &vals![1]);
}

/// How long a call may go on after its deadline.
const LATE: Duration = if cfg!(debug_assertions) { ms(1000) } else { ms(50) };

fn r9_deadlines(cx: &Cx) {
    cx.timed();
    let mut guest =
        cx.guest(r#"(module (func (export "spin") (loop (br 0))) (func (export "short") (result i32) (i32.const 5)))"#);
    let now = Instant::now();
    for past in [Some(now), now.checked_sub(ms(1000))].into_iter().flatten() {
        guest.store.set_deadline(Some(past));
        let start = Instant::now();
        guest.ends("spin", &[], Deadline);
        assert!(start.elapsed() <= LATE);
        guest.ends("short", &[], Deadline);
        assert_eq!(guest.store.deadline(), Some(past));
    }
    guest.store.set_deadline(now.checked_add(Duration::MAX));
    guest.gives("short", &[], &vals![5]);
    guest.store.set_deadline(Some(now + Duration::from_secs(1 << 30)));
    guest.gives("short", &[], &vals![5]);
    guest.store.set_deadline(None);
    guest.gives("short", &[], &vals![5]);
    // It is that of the call, in a host function too.
    let mut store = Store::new(&cx.engine, ());
    let mut linker = Linker::new(&cx.engine);
    linker
        .func_wrap("h", "wait", |caller: Caller<'_, ()>| {
            assert!(caller.deadline().is_some());
            loop {
                caller.check_stop()?;
                std::thread::yield_now();
            }
            #[allow(unreachable_code)]
            Ok(())
        })
        .unwrap();
    let module =
        cx.accepts_wat("(module (import \"h\" \"wait\" (func $w)) (func (export \"f\") (call $w) (unreachable)))");
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
    let start = Instant::now();
    store.set_deadline(Some(start + ms(20)));
    assert_eq!(f.call(&mut store, ()).unwrap_err().kind(), Deadline);
    assert!(start.elapsed() >= ms(20) && start.elapsed() <= ms(20) + LATE);
    cx.ok_in(&mut store);
}

fn r10_a_deadline_ends_everything(cx: &Cx) {
    cx.timed();
    cx.may_take(ms(3000));
    cx.holds(64 << 20);
    let straight = "(local.set 0 (i32.add (local.get 0) (i32.const 3)))".repeat(1000);
    let mut guest = cx.guest(&format!(
        r#"(module (memory 1024)
            (func (export "loop") (loop (br 0)))
            (func (export "straight") (local i32) (loop {straight} (br 0)))
            (func (export "fill") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000)) (br 0)))
            (func (export "once") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000)))
            (func (export "trap") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
            (func $f (export "calls") (loop (call $g) (br 0))) (func $g)
            (func $t (export "tail") (return_call $t)))"#
    ));
    let within = |start: Instant, more: Duration, what: &str| {
        let took = start.elapsed();
        assert!(took >= ms(100) && took <= ms(100) + LATE + more, "{what} ended after {took:?}");
    };
    for name in ["loop", "straight", "calls", "tail"] {
        let start = Instant::now();
        guest.store.set_deadline(Some(start + ms(100)));
        guest.ends(name, &[], Deadline);
        within(start, Duration::ZERO, name);
    }
    // A bulk operation happens as a whole.
    guest.store.set_deadline(None);
    let start = Instant::now();
    guest.gives("once", &[], &[]);
    let once = start.elapsed();
    let start = Instant::now();
    guest.store.set_deadline(Some(start + ms(100)));
    guest.ends("fill", &[], Deadline);
    within(start, 2 * once, "fill");
    // Traps, one after the other: the call after the deadline says so.
    let trap = guest.instance.get_typed_func::<i32, i32>(&guest.store, "trap").unwrap();
    let start = Instant::now();
    guest.store.set_deadline(Some(start + ms(100)));
    while trap.call(&mut guest.store, 0).unwrap_err().kind() != Deadline && start.elapsed() < ms(2000) {}
    within(start, Duration::ZERO, "traps");
    guest.store.set_deadline(None);
    // A function of 7.6 MB that has to be translated first.
    let body = cat(&[&[0], &times(&[0x41, 0, 0x1A], 7_600_000 / 3), &[0x0B]]);
    let large = cx.aside(|| exported_body(&body));
    cx.no_oracle();
    let module = cx.load(&large).unwrap();
    let mut guest = cx.guest_of(&module);
    let f = guest.instance.get_typed_func::<(), ()>(&guest.store, "f").unwrap();
    let start = Instant::now();
    guest.store.set_deadline(Some(start + ms(100)));
    if let Err(error) = f.call(&mut guest.store, ()) {
        assert_eq!(error.kind(), Deadline);
    }
    let took = start.elapsed();
    assert!(took <= ms(100) + LATE, "a large function ended after {took:?}");
    #[cfg(feature = "wasi")]
    crate::wasi::costs::waiting_ends(cx, LATE);
}

/// Loads a bomb and makes sure that its first function has been translated. What is too large is refused by the one or
/// by the other.
fn explode(cx: &Cx, what: &str, bytes: &[u8]) -> Option<Module> {
    let loaded = Module::new(&cx.engine, bytes).and_then(|module| {
        let mut store = Store::new(&cx.engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let f = instance.get_func(&store, "f").unwrap();
        let ty = f.ty(&store);
        let args: Vec<_> = ty.params().iter().map(|&ty| Val::default_for_ty(ty).unwrap()).collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        store.set_fuel(10_000).unwrap();
        match f.call(&mut store, &args, &mut results) {
            Err(error) if !matches!(error.kind(), OutOfFuel | Trap) => Err(error),
            _ => Ok(module),
        }
    });
    cx.note(&(what, loaded.as_ref().err().map(|error| error.kind())));
    loaded.inspect_err(|error| assert!(matches!(error.kind(), Limit | Budget), "{what}: {error}")).ok()
}

/// Bombs that went off, and what was wrong with them.
struct Bombs<'c> {
    cx: &'c Cx,
    wrong: RefCell<Vec<String>>,
}

impl<'c> Bombs<'c> {
    fn new(cx: &'c Cx) -> Self {
        cx.no_oracle();
        // Each has its own bound.
        cx.may_take(ms(60_000));
        Self { cx, wrong: RefCell::new(Vec::new()) }
    }

    /// A bomb goes off in its time, and what is kept of it is of the size of its module.
    fn bomb(&self, what: &str, bytes: &[u8], functions: usize, bodies: usize) {
        let (cx, mut wrong) = (self.cx, self.wrong.borrow_mut());
        cx.loads(bytes);
        let mut check = |found: i64, bound: usize, text: &str| {
            if found > bound as i64 {
                wrong.push(format!("{what}, {} bytes: {found} {text}, at most {bound}", bytes.len()));
            }
        };
        let before = cx.live();
        cx.peak();
        let took = cx.time_of(|| drop(explode(cx, what, bytes)));
        check(took.as_millis() as i64, ms(2000).as_millis() as usize, "ms");
        check(cx.peak() - before, (64 << 20) + 40 * bytes.len(), "bytes at once");
        // Without the module little stays with the engine.
        check(cx.live() - before, 4 << 20, "bytes stay with the engine");
        let before = cx.live();
        let module = explode(cx, what, bytes);
        let kept = cx.live() - before - bytes.len() as i64;
        check(kept, 32 * bodies + 256 * functions + (64 << 10), "bytes kept");
        drop(module);
    }

    /// The same for a function without parameters and results.
    fn body(&self, what: &str, locals: &[u8], operators: Vec<u8>) {
        let body = cat(&[locals, &operators, &[0x0B]]);
        self.bomb(what, &exported_body(&body), 1, body.len());
    }

    /// The same for a function of a thousand `i64` to a thousand `i64` that begins with its parameters on the stack.
    fn wide(&self, what: &str, operators: Vec<u8>) {
        let body = cat(&[&[0], &gets(1000), &operators, &[0x0B]]);
        let code = section(10, &cat(&[&[1], &func(&body)]));
        self.bomb(what, &module(&[&t1000(), &section(3, &[1, 0]), &export_f(), &code]), 1, body.len());
    }

    #[track_caller]
    fn finish(self) {
        let wrong = self.wrong.into_inner();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

fn r11_bombs_for_the_translator(cx: &Cx) {
    let bombs = Bombs::new(cx);
    let [m, n] = [size(2_500_000), size(1_900_000)];
    let [none, one, two] = [&[0][..], &[1, 1, 0x7F], &[1, 2, 0x7F]];
    bombs.body("nested blocks", none, cat(&[&times(&[2, 0x40], m), &times(&[0x0B], m)]));
    bombs.body("nested loops", none, cat(&[&times(&[3, 0x40], m), &times(&[0x0B], m)]));
    bombs.body("constants dropped", none, times(&[0x41, 0, 0x1A], m));
    bombs.body("br_if", none, cat(&[&[2, 0x40], &times(&[0x41, 0, 0x0D, 0], n), &[0x0B]]));
    bombs.body("br_if of a local", one, cat(&[&[2, 0x40], &times(&[0x20, 0, 0x0D, 0], n), &[0x0B]]));
    let targets = size(7_000_000);
    bombs.body("br_table", none, cat(&[&hex("41 00 0E"), &leb(targets as u64), &times(&[0], targets + 1)]));
    bombs.body("a local to itself", one, times(&[0x20, 0, 0x21, 0], n));
    bombs.body("a local to another", two, times(&[0x20, 0, 0x21, 1], n));
    bombs.body("ifs", one, times(&[0x20, 0, 4, 0x40, 0x0B], size(1_500_000)));
    let n = size(1_000_000);
    let many = |n: usize, body: &[u8]| {
        let funcs = section(3, &cat(&[&leb(n as u64), &times(&[0], n)]));
        module(&[&t0(), &funcs, &export_f(), &section(10, &cat(&[&leb(n as u64), &times(&func(body), n)]))])
    };
    bombs.bomb("functions", &many(n, &[0, 0x0B]), n, 2 * n);
    let declared = cat(&[&[1], &leb(49_999), &[0x7E, 0x0B]]);
    bombs.bomb("locals", &many(n / 10, &declared), n / 10, n / 10 * declared.len());
    bombs.finish();
}

fn r12_wide_calls(cx: &Cx) {
    let bombs = Bombs::new(cx);
    bombs.wide("calls", times(&[0x10, 0], turns(3_500_000, 50_000) as usize));
    bombs.finish();
}

fn r13_wide_branches(cx: &Cx) {
    let bombs = Bombs::new(cx);
    let branch = hex("20 00 A7 0D 00");
    bombs.wide("br_if", cat(&[&[2, 0], &times(&branch, 10_000), &[0x0B]]));
    let n = size(1_000_000);
    bombs.wide("br_if to the function", times(&branch, n / 10));
    bombs.wide("br_table", cat(&[&hex("02 00 41 00 0E"), &leb(n as u64), &times(&[0], n + 1), &[0x0B]]));
    let two = cat(&[&hex("02 00 02 00 41 00 0E"), &leb(n as u64 - 1), &times(&[0, 1], n / 2), &hex("0B 0B")]);
    bombs.wide("br_table at two labels", two);
    bombs.wide("blocks in blocks", cat(&[&times(&[2, 0], n), &times(&[0x0B], n)]));
    bombs.wide("blocks in a row", times(&[2, 0, 0x0B], n));
    bombs.wide("loops in a row", times(&[3, 0, 0x0B], n));
    bombs.wide("return", times(&[0x0F], n));
    bombs.wide("return_call", times(&[0x12, 0], n));
    bombs.wide("return in arms", times(&hex("20 00 A7 04 00 0F 0B"), n / 10));
    bombs.finish();
}

fn r14_preserved_locals(cx: &Cx) {
    let bombs = Bombs::new(cx);
    let (first, one, n) = (times(&[0x20, 0], 1000), [1, 1, 0x7F], size(1_000_000));
    let drops = times(&[0x1A], 1000);
    bombs.body("dropped", &one, cat(&[&first, &times(&hex("41 01 21 00 20 00 1A"), n), &drops]));
    bombs.body("kept", &one, cat(&[&first, &times(&hex("41 01 21 00 20 00"), n), &[0]]));
    bombs.body("tee", &one, cat(&[&first, &times(&hex("20 00 22 00 1A"), n), &drops]));
    let many = cat(&[&[1], &leb(50_000), &[0x7F]]);
    bombs.body("loops in loops", &many, cat(&[&times(&[3, 0x40], 10_000), &times(&[0x0B], 10_000)]));
    bombs.body("loops in a row", &many, times(&[3, 0x40, 0x0B], 10_000));
    let set = |n: u64| cat(&[&[3, 0x40, 0x20], &leb(n), &hex("41 01 6A 21"), &leb(n), &[0x0B]]);
    bombs.body("loops that set a local each", &many, (0..10_000).flat_map(set).collect());
    // Fifty thousand locals on the stack, across ten thousand loops.
    let drops = times(&[0x1A], 50_000);
    let loops = cat(&[&gets(50_000), &times(&[3, 0x40, 0x0B], 10_000), &drops]);
    bombs.body("locals across loops", &many, loops);
    let blocks: Vec<u8> = (0..10_000).flat_map(|n| cat(&[&[2, 0x40, 0x41, 1, 0x21], &leb(n), &[0x0B]])).collect();
    bombs.body("locals across blocks that set them", &many, cat(&[&gets(50_000), &blocks, &drops]));
    bombs.finish();
}

fn r15_growth_without_end(cx: &Cx) {
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

fn r16_other_growth_without_end(cx: &Cx) {
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

fn r17_a_million_new_objects(cx: &Cx) {
    cx.may_take(ms(9000));
    let mut guest = cx.guest_with(
        r#"(module (import "h" "new" (func $new (param i32) (result externref))) (import "h" "take" (func $take
            (param externref)))
            (func (export "f") (param i32) (result i32) (local externref)
                (loop $l
                    (local.set 1 (call $new (local.get 0))) (call $take (local.get 1)) (call $take (call $new
                    (i32.const 5)))
                    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
                (ref.is_null (local.get 1))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "new", |mut caller: Caller<'_, ()>, n: i32| {
                    Ok(Some(ExternRef::new(&mut caller, [n; 16])?))
                })
                .unwrap();
            linker
                .func_wrap("h", "take", |caller: Caller<'_, ()>, object: Option<ExternRef>| {
                    let object = object.unwrap();
                    assert!(object.data(&caller).unwrap().unwrap().is::<[i32; 16]>());
                })
                .unwrap();
        },
    );
    cx.heap_within(4 << 20, || guest.gives("f", &vals![turns(500_000, 50_000) as i32], &vals![0]));
    #[cfg(feature = "wasi")]
    crate::wasi::costs::a_million_files(cx);
}

fn r18_large_segments_are_shared(cx: &Cx) {
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

fn r19_a_hundred_thousand_segments(cx: &Cx) {
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

fn r20_a_million_globals(cx: &Cx) {
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

fn r22_backtraces_with_long_names(cx: &Cx) {
    cx.may_take(ms(5000));
    let name = "n".repeat(99_999);
    let bytes = cx.aside(|| {
        // A function that calls itself to some depth, then traps; and its name.
        let types = section(1, &hex("01 60 01 7F 00"));
        let code = func(&hex("00 20 00 45 04 40 00 0B 20 00 41 01 6B 10 00 0B"));
        let string = cat(&[&leb(name.len() as u64), name.as_bytes()]);
        let names = section(0, &cat(&[&[4], b"name", &section(0, &string), &section(1, &cat(&[&[1, 0], &string]))]));
        module(&[&types, &section(3, &[1, 0]), &export_f(), &section(10, &cat(&[&[1], &code])), &names])
    });
    let module = cx.accepts(&bytes);
    let mut guest = cx.guest_of(&module);
    guest.traps("f", &vals![1000], Trap::Unreachable);
    let f = guest.instance.get_typed_func::<i32, ()>(&guest.store, "f").unwrap();
    let mut kept = Vec::with_capacity(1000);
    let before = cx.live();
    for _ in 0..kept.capacity() {
        kept.push(f.call(&mut guest.store, 1000).unwrap_err());
    }
    let each = (cx.live() - before) / kept.len() as i64;
    assert!(each <= 64 << 10, "{each} bytes for an error");
}

fn r23_allocations_that_fail(cx: &Cx) {
    // An allocation that cannot fail ends the process, so the work is done in another one, which says how far it came.
    const CHILD: &str = "JITLESS_HOSTILE_R23";
    let large = 48 << 10;
    let text = r#"(module (memory (export "m") 1 100) (table 20000 20000 funcref) (data (i32.const 0) "abc")
        (func $deep (param i32) (result i32) (local i64 i64 i64 i64)
            (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0)
            (i32.const 1)))))
                (else (i32.const 0))))
        (func (export "f") (result i32 i32 i32)
            (memory.grow (i32.const 3)) (table.grow (ref.null func) (i32.const 1)) (call $deep (i32.const 20000))))"#;
    if std::env::var_os(CHILD).is_some() {
        let bytes = wat(text);
        let module = cx.accepts(&bytes);
        let whole = |cx: &Cx| -> jitless::Result<Vec<Val>> {
            let mut store = Store::new(&cx.engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let mut results = vals![0, 0, 0];
            instance.get_func(&store, "f").unwrap().call(&mut store, &[], &mut results)?;
            let table = Table::new(&mut store, TableType::new(RefType::EXTERNREF, 10_000, None), Ref::Extern(None))?;
            table.grow(&mut store, 20_000, Ref::Extern(None))?;
            Ok(results.to_vec())
        };
        let want = whole(cx).unwrap();
        for after in 0.. {
            println!("{after} large allocations succeed");
            // What is made once for a module stays with it.
            drop(failing(large, after, || whole(cx)));
            let live = cx.live();
            let result = failing(large, after, || whole(cx)).map_err(|error| error.kind());
            if result.is_err() {
                assert!((cx.live() - live).abs() < 4096, "{after}: {} bytes lost", cx.live() - live);
            }
            match result {
                Ok(results) if results == want => break,
                // Growth that is refused is a value.
                Ok(results) => assert!(results.contains(&Val::I32(-1)), "{results:?}"),
                Err(kind) => assert!(matches!(kind, Budget | Trap), "{kind}"),
            }
        }
        return;
    }
    let child = cx.aside(|| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resource::row::r23_allocations_that_fail", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap()
    });
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{}\n{out}\n{err}", child.status);
    assert!(out.contains("3 large allocations succeed"), "{out}");
}

fn r24_one_budget_for_many_stores(cx: &Cx) {
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

fn r25_budgets_at_the_edges(cx: &Cx) {
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

fn r26_calls_of_an_empty_host_function(cx: &Cx) {
    let calls = Arc::new(AtomicU64::new(0));
    let count = calls.clone();
    let mut guest = cx.guest_with(
        r#"(module (import "h" "none" (func $none)) (func (export "f") (local i32)
            (loop (call $none) (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
            (i32.const 1000000000))))))"#,
        move |_, linker| {
            linker
                .func_wrap("h", "none", move || {
                    count.fetch_add(1, Relaxed);
                })
                .unwrap();
        },
    );
    guest.store.set_fuel(1_000_000).unwrap();
    guest.ends("f", &[], OutOfFuel);
    let calls = calls.load(Relaxed);
    assert!((50_000..=1_000_000).contains(&calls), "{calls}");
    cx.note(&calls);
}

/// A small module with a type, names and code that no other number gives.
fn numbered(number: u32) -> Vec<u8> {
    let digits: Vec<u8> = (0..12).map(|digit| 0x7C + (number >> (2 * digit) & 3) as u8).collect();
    let types = section(1, &cat(&[&[1, 0x60, 12], &digits, &[0]]));
    let name = format!("f{number}");
    let export = section(7, &cat(&[&[1, name.len() as u8], name.as_bytes(), &[0, 0]]));
    module(&[&types, &section(3, &[1, 0]), &export, &section(10, &hex("01 02 00 0B"))])
}

fn r28_many_modules_in_one_engine(cx: &Cx) {
    let n = turns(10_000, 2_000);
    cx.no_oracle();
    cx.may_take(ms(3000));
    let round = || {
        for number in 0..n {
            let module = Module::new(&cx.engine, numbered(number)).unwrap();
            let mut store = Store::new(&cx.engine, ());
            Instance::new(&mut store, &module, &[]).unwrap();
        }
    };
    let before = cx.live();
    round();
    // Types stay as long as their engine, once each; nothing else does.
    let types = cx.live() - before;
    assert!(types <= 512 * i64::from(n), "{types} bytes for {n} types");
    let before = cx.live();
    round();
    assert!((cx.live() - before).abs() < 4096, "{} bytes more", cx.live() - before);
}

fn r29_many_refused_modules_in_one_engine(cx: &Cx) {
    cx.no_oracle();
    cx.may_take(ms(3000));
    let seeds: Vec<_> = SEEDS.iter().map(|(_, text)| cx.wat(text)).collect();
    let engine = Engine::new(&cx.mode.config()).unwrap();
    let mut refused = 0;
    let mut round = || {
        let mut random = 1u64;
        for turn in 0..turns(20_000, 2_000) as usize {
            // Not of a good quality, but the same again.
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let mut bytes = seeds[turn % seeds.len()].clone();
            let at = (random >> 33) as usize % bytes.len();
            bytes[at] = 0xFF;
            refused += u32::from(Module::new(&engine, &bytes).is_err());
        }
    };
    // The types of those that came as far as that are known then.
    round();
    let before = cx.live();
    round();
    assert!((cx.live() - before).abs() < 4096, "{} bytes more", cx.live() - before);
    cx.note(&refused);
    assert!(refused > 1000);
}
