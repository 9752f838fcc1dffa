//! Calls and the stack: where it ends, what a frame may touch, and values that move while others stay.
//!
//! Invariant: whether a call fits is decided before anything of it is written, and nothing after a call that does not
//! fit is executed.

use std::fmt::Write;

use jitless::{Caller, Engine, ErrorKind::*, Func, FuncType, Linker, Store, Trap, Val, ValType};

use crate::harness::*;

rows! {
    c1_endless_recursion c2_endless_recursion_through_the_host c3_arguments_when_the_stack_is_full
    c4_nothing_after_an_exhausted_call c5_endless_tail_calls c6_tail_calls_across_instances c7_tail_calls_of_the_host
    c8_tail_calls_to_larger_frames c9_a_thousand_values c10_blocks_of_a_thousand_values c11_parallel_copies
    c12_locals_overwritten_while_on_the_stack c13_a_thousand_operands_across_a_loop c14_far_branches c15_many_constants
    c16_return_out_of_blocks c17_a_trap_deep_down c18_a_million_traps c19_limits_of_the_stack
    c20_wrong_results_of_the_host c21_sixty_thousand_operands c23_wide_indirect_calls c24_traps_in_nested_entries
}

const FULL: Trap = Trap::StackOverflow;

/// An engine whose guests have a stack of so many bytes.
fn with_stack(cx: &Cx, bytes: usize) -> Engine {
    Engine::new(cx.mode.config().max_wasm_stack(bytes)).unwrap()
}

fn c1_endless_recursion(cx: &Cx) {
    cx.may_take(ms(10_000));
    let mut guest = cx.guest(
        r#"(module (global $depth (export "depth") (mut i32) (i32.const 0))
            (func $f (export "f") (call $f))
            (func $g (export "g") (param i32) (result i32)
                (global.set $depth (local.get 0)) (i32.add (call $g (i32.add (local.get 0) (i32.const 1)))
                (i32.const 1))))"#,
    );
    cx.within(ms(100), || guest.traps("f", &[], FULL));
    guest.traps("g", &vals![1], FULL);
    let depth = guest.export("depth").into_global().unwrap().get(&guest.store);
    cx.note(&depth);
    assert!(depth.i32().unwrap() > 10_000, "{depth}");
    let (live, used) = (cx.live(), guest.store.memory_used());
    for _ in 0..turns(1000, 100) {
        guest.traps("f", &[], FULL);
    }
    assert!((cx.live() - live).abs() < 4096);
    assert_eq!(guest.store.memory_used(), used);
    guest.traps("g", &vals![1], FULL);
    assert_eq!(guest.export("depth").into_global().unwrap().get(&guest.store), depth);
}

fn c2_endless_recursion_through_the_host(cx: &Cx) {
    let mut store = Store::new(&cx.engine, 0u32);
    let mut linker = Linker::new(&cx.engine);
    linker
        .func_wrap("h", "again", |mut caller: Caller<'_, u32>| {
            *caller.data_mut() += 1;
            let f = caller.get_export("f").unwrap().into_func().unwrap();
            f.typed::<(), ()>(&caller)?.call(&mut caller, ())
        })
        .unwrap();
    let module = cx.accepts_wat("(module (import \"h\" \"again\" (func $again)) (func (export \"f\") (call $again)))");
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut guest = Guest { cx, store, linker, instance };
    for round in 1..=3 {
        guest.traps("f", &[], FULL);
        assert_eq!(*guest.store.data(), round * 100);
    }
    // The guest's own depth is counted apart.
    let mut deep = cx.guest(
        r#"(module (func $f (export "f") (param i32) (result i32)
            (if (result i32) (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else
            (i32.const 5)))))"#,
    );
    deep.gives("f", &vals![1000], &vals![5]);
}

fn c3_arguments_when_the_stack_is_full(cx: &Cx) {
    let full = wat(r#"(module
        (func (param i32 i32 i32) (result i32) local.get 0)
        (func (export "f") (param i32) (result i32) (local i32)
            local.get 1 local.get 1 i32.const 0 call 0 drop local.get 1 call 1))"#);
    let locals = cx.aside(|| {
        let locals = "i64 ".repeat(49_990);
        wat(&format!(
            "(module (func $f (export \"f\") (param i32) (result i32) (local {locals})
                (local.set 49990 (i64.extend_i32_u (local.get 0)))
                (drop (call $f (i32.add (local.get 0) (i32.const 1)))) (i32.wrap_i64 (local.get 49990))))"
        ))
    });
    for slot in 0..48 {
        let engine = with_stack(cx, 4096 + 8 * slot);
        let module = cx.load_in(&engine, &full).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let f = instance.get_typed_func::<i32, i32>(&store, "f").unwrap();
        for _ in 0..2 {
            let error = f.call(&mut store, 1).unwrap_err();
            assert_eq!(error.trap(), Some(FULL));
        }
        cx.note(&store.fuel_used());
    }
    for bytes in [8 << 20, 1 << 20, 50_000 * 8, 49_990 * 8, 10_000] {
        let engine = with_stack(cx, bytes);
        let module = cx.load_in(&engine, &locals).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let f = instance.get_typed_func::<i32, i32>(&store, "f").unwrap();
        assert_eq!(f.call(&mut store, 1).unwrap_err().trap(), Some(FULL), "{bytes}");
        cx.note(&store.fuel_used());
    }
}

fn c4_nothing_after_an_exhausted_call(cx: &Cx) {
    let big = "i64 ".repeat(3000);
    let modules = [
        ("call", "(func $f (export \"f\") (call $f) (global.set $after (i32.const 1)))".to_string()),
        (
            "call_indirect",
            "(table 1 funcref) (elem (i32.const 0) $f)
                (func $f (export \"f\") (call_indirect (i32.const 0)) (global.set $after (i32.const 1)))"
                .to_string(),
        ),
        (
            "return_call to a larger frame",
            format!(
                "(func $f (export \"f\") (call $g) (global.set $after (i32.const 1))) (func $g (return_call $big))
                (func $big (local {big}) (local.set 2999 (i64.const 1)) (call $f) (global.set $after (i32.const 1))
                    (drop (local.get 2999)))"
            ),
        ),
        (
            "return_call_indirect to a larger frame",
            format!(
                "(table 1 funcref) (elem (i32.const 0) $big)
                (func $f (export \"f\") (call $g) (global.set $after (i32.const 1)))
                (func $g (return_call_indirect (i32.const 0)))
                (func $big (local {big}) (local.set 2999 (i64.const 1)) (call $f) (global.set $after (i32.const 1))
                    (drop (local.get 2999)))"
            ),
        ),
        (
            "a call of the host",
            "(func $f (export \"f\") (drop (call $many (i64.const 1) (i64.const 2) (i64.const 3)))
                (call $f) (global.set $after (i32.const 1)))"
                .to_string(),
        ),
    ];
    for (what, functions) in modules {
        let text = format!(
            "(module (import \"h\" \"many\" (func $many (param i64 i64 i64) (result i64)))
                (global $after (export \"after\") (mut i32) (i32.const 0)) {functions})"
        );
        let bytes = cx.wat(&text);
        for slot in 0..24 {
            let engine = with_stack(cx, 65536 + 8 * slot);
            let module = cx.load_in(&engine, &bytes).unwrap();
            let mut store = Store::new(&engine, ());
            let mut linker = Linker::new(&engine);
            linker.func_wrap("h", "many", |a: i64, b: i64, c: i64| a + b + c).unwrap();
            let instance = linker.instantiate(&mut store, &module).unwrap();
            let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
            let error = f.call(&mut store, ()).unwrap_err();
            assert_eq!(error.trap(), Some(FULL), "{what}: {error}");
            let after = instance.get_global(&store, "after").unwrap().get(&store);
            assert_eq!(after, Val::I32(0), "{what}, {slot}");
            cx.note(&store.fuel_used());
        }
    }
    // In a start function.
    let mut world = cx.world(());
    let ty = jitless::GlobalType::new(ValType::I32, jitless::Mutability::Var);
    let after = jitless::Global::new(&mut world.store, ty, Val::I32(0)).unwrap();
    world.linker.define(&world.store, "h", "after", after).unwrap();
    let error = world.try_add(
        "(module (import \"h\" \"after\" (global $after (mut i32))) (func $f (call $f) (global.set $after
            (i32.const 1)))
            (start $f))",
    );
    assert_eq!(error.unwrap_err().trap(), Some(FULL));
    assert_eq!(after.get(&world.store), Val::I32(0));
}

fn c5_endless_tail_calls(cx: &Cx) {
    cx.may_take(ms(10_000));
    let mut guest = cx.guest(
        r#"(module
            (func $a (export "f") (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
                (return_call $b (i32.sub (local.get 0) (i32.const 1)) (i64.const 5)))
            (func $b (param i32 i64) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 2))))
                (return_call $a (i32.sub (local.get 0) (i32.const 1)))))"#,
    );
    guest.gives("f", &vals![turns(100_000_001, 1_000_001) as i32], &vals![2]);
    guest.store.set_fuel(1_000_000).unwrap();
    guest.ends("f", &vals![-1], OutOfFuel);
}

fn c6_tail_calls_across_instances(cx: &Cx) {
    let mut world = cx.world(());
    let text = |name: &str, import: &str, own: i32| {
        format!(
            r#"(module (type $t (func (param i32 i32) (result i32))) {import}
                (global $own i32 (i32.const {own})) (memory 1) (data (i32.const 8) "{own}")
                (func (export "{name}") (type $t)
                    (if (i32.eqz (local.get 0)) (then (return (i32.add (local.get 1) (i32.load8_u (i32.const 8))))))
                    (return_call_indirect $peers (type $t)
                        (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (global.get $own))
                        (i32.and (local.get 0) (i32.const 1))))
                (elem (table $peers) (i32.const {}) func 0))"#,
            own - 1
        )
    };
    let a = world.add("a", &text("f", "(table $peers (export \"t\") 2 funcref)", 1));
    world.add("b", &text("f", "(import \"a\" \"t\" (table $peers 2 funcref))", 2));
    let n = turns(1_000_000, 100_000) as i32;
    world.at(a);
    // Both instances, one after the other: 1 and 2 at each second step, and the character at the end.
    let heap = cx.live();
    let sum = n / 2 * 3 + i32::from(n % 2 == 1) * 2;
    for _ in 0..2 {
        world.gives("f", &vals![n, 0], &vals![sum + i32::from(b'1')]);
        assert!(cx.live() - heap < 256 << 10);
    }
}

fn c7_tail_calls_of_the_host(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "sum" (func $sum (param i32 i32) (result i32))) (import "h" "none" (func $none))
            (import "h" "wide" (func $wide (param i32) (result i64 i64 i64)))
            (func $t (param i32 i32) (result i32) local.get 0 local.get 1 return_call $sum)
            (func $n (param i64 i64 i64) (return_call $none))
            (func $w (result i64 i64 i64) (return_call $wide (i32.const 7)))
            (func (export "f") (result i32) (local i32 i32)
                (local.set 0 (i32.const 100)) (local.set 1 (i32.const 200))
                (call $n (i64.const 1) (i64.const 2) (i64.const 3))
                (i32.add (i32.add (local.get 0) (call $t (i32.const 3) (i32.const 4)))
                    (i32.add (local.get 1) (call $t (i32.const 10) (i32.const 20)))))
            (func (export "g") (result i64 i64 i64 i32) (local i32) (local.set 0 (i32.const 9)) (call $w) (local.get 0))
            (func (export "direct") (param i32 i32) (result i32) local.get 1 local.get 0 return_call $sum))"#,
        |_, linker| {
            linker.func_wrap("h", "sum", |a: i32, b: i32| a * 2 + b).unwrap();
            linker.func_wrap("h", "none", || ()).unwrap();
            linker.func_wrap("h", "wide", |a: i32| (i64::from(a), 8i64, 9i64)).unwrap();
        },
    );
    guest.gives("f", &[], &vals![100 + 10 + 200 + 40]);
    guest.gives("g", &[], &vals![7i64, 8i64, 9i64, 9]);
    guest.gives("direct", &vals![1, 2], &vals![5]);
}

fn c8_tail_calls_to_larger_frames(cx: &Cx) {
    cx.may_take(ms(10_000));
    let bytes = cx.aside(|| {
        let (params, locals) = ("i32 ".repeat(1000), "i64 ".repeat(48_000));
        let args: String = (0..1000).map(|n| format!("(i32.const {n}) ")).collect();
        wat(&format!(
            r#"(module (global $left (mut i32) (i32.const 0)) (global $depth (mut i32) (i32.const 0))
                (func $big (param {params}) (result i32) (local {locals})
                    (local.set 48999 (i64.const 3))
                    (if (global.get $left) (then
                        (global.set $left (i32.sub (global.get $left) (i32.const 1)))
                        (return_call $small)))
                    (i32.add (i32.add (local.get 999) (local.get 1)) (i32.wrap_i64 (local.get 48999))))
                (func $small (result i32) (local i32) (return_call $big {args}))
                (func (export "once") (result i32) (local i32)
                    (local.set 0 (i32.const 100000)) (i32.add (local.get 0) (call $small)))
                (func (export "often") (param i32) (result i32) (local i32)
                    (global.set $left (local.get 0)) (local.set 1 (i32.const 100000)) (i32.add (local.get 1)
                    (call $small)))
                (func $deep (param i32) (result i32) (local i32)
                    (local.set 1 (local.get 0))
                    (if (result i32) (local.get 0)
                        (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                        (else (call $small)))
                    (i32.sub (local.get 1)) (i32.add (local.get 0)))
                (func (export "deep") (param i32) (result i32) (global.set $left (i32.const 2)) (call $deep
                (local.get 0))))"#
        ))
    });
    let module = cx.accepts(&bytes);
    let mut guest = cx.guest_of(&module);
    guest.gives("once", &[], &vals![101_003]);
    guest.gives("often", &vals![turns(1_000_000, 10_000) as i32], &vals![101_003]);
    // Near the limit: it works, or it does not fit; for each distance from the end.
    let mut fits = 0;
    for slot in 0..40 {
        let engine = with_stack(cx, 400_000 + 8 * slot);
        let module = cx.load_in(&engine, &bytes).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let deep = instance.get_typed_func::<i32, i32>(&store, "deep").unwrap();
        for depth in [0, 100, 200, 300, 1000, 5000] {
            match deep.call(&mut store, depth) {
                Ok(sum) => {
                    assert_eq!(sum, 1003 + depth);
                    fits += 1;
                }
                Err(error) => assert_eq!(error.trap(), Some(FULL)),
            }
        }
    }
    cx.note(&fits);
    assert!((40..240).contains(&fits), "{fits}");
}

/// Types in turn.
fn mixed(n: usize) -> Vec<ValType> {
    [ValType::I64, ValType::F32, ValType::I32, ValType::F64].into_iter().cycle().take(n).collect()
}

fn mixed_vals(n: usize) -> Vec<Val> {
    let val = |(at, ty): (usize, ValType)| match ty {
        ValType::I64 => Val::I64(at as i64 | 1 << 40),
        ValType::F32 => Val::F32(0x7FA0_0000 + at as u32),
        ValType::I32 => Val::I32(-(at as i32)),
        _ => Val::from(at as f64 + 0.5),
    };
    mixed(n).into_iter().enumerate().map(val).collect()
}

fn names(types: &[ValType]) -> String {
    types.iter().map(|ty| format!("{ty} ")).collect()
}

fn c9_a_thousand_values(cx: &Cx) {
    let types = mixed(1000);
    let (list, gets) = (names(&types), (0..1000).map(|n| format!("(local.get {n}) ")).collect::<String>());
    let mut guest = cx.guest_with(
        &format!(
            r#"(module (type $t (func (param {list}) (result {list}))) (import "h" "same" (func $host (type $t)))
                (func $same (export "same") (type $t) {gets})
                (func (export "twice") (type $t) {gets} (call $same) (call $same))
                (func (export "host") (type $t) {gets} (call $host) (call $same) (call $host))
                (func (export "tail") (type $t) {gets} (return_call $same))
                (func (export "tail_host") (type $t) {gets} (return_call $host)))"#
        ),
        |store, linker| {
            let ty = FuncType::new(store.engine(), types.clone(), types.clone());
            linker
                .func_new("h", "same", ty, |_, args, results| {
                    results.clone_from_slice(args);
                    Ok(())
                })
                .unwrap();
        },
    );
    let vals = mixed_vals(1000);
    for name in ["same", "twice", "host", "tail", "tail_host"] {
        guest.gives(name, &vals, &vals);
    }
}

fn c10_blocks_of_a_thousand_values(cx: &Cx) {
    let list = names(&mixed(1000));
    let gets: String = (0..1000).map(|n| format!("(local.get {n}) ")).collect();
    let mut text = format!(
        "(module (type $t (func (param {list}) (result {list}))) (global $c (mut i32) (i32.const 0))
            (func (export \"set\") (param i32) (global.set $c (local.get 0)))"
    );
    for (name, begin, end) in [
        ("block", "(block (type $t)", ")"),
        ("loop", "(loop (type $t)", ")"),
        ("if", "(global.get $c) (if (type $t) (then", ") (else))"),
        ("else", "(global.get $c) (if (type $t) (then) (else", "))"),
        ("br_if", "(block (type $t) (br_if 0 (global.get $c))", ")"),
        ("nested", "(block (type $t) (block (type $t) (br_if 1 (global.get $c))", "(br 0)) (br 0))"),
        ("br_table", "(block (type $t) (block (type $t) (br_table 0 1 (global.get $c))", "))"),
        ("return", "(block (type $t) (br_if 1 (global.get $c))", "return)"),
    ] {
        write!(text, "(func (export \"{name}\") (param {list}) (result {list}) {gets} {begin} {end})").unwrap();
    }
    // A loop that is gone through again, its parameters in other places each time.
    write!(
        text,
        "(func (export \"again\") (param {list}) (result {list}) (local i32) {gets}
            (loop (type $t) (br_if 0 (i32.lt_u (local.tee 1000 (i32.add (local.get 1000) (i32.const 1)))
            (i32.const 10)))))"
    )
    .unwrap();
    text.push(')');
    let mut guest = cx.guest(&text);
    let vals = mixed_vals(1000);
    for name in ["block", "loop", "if", "else", "br_if", "nested", "br_table", "return", "again"] {
        for condition in [0, 1] {
            guest.gives("set", &vals![condition], &[]);
            guest.gives(name, &vals, &vals);
        }
    }
}

fn c11_parallel_copies(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (type $2 (func (param i32 i32) (result i32 i32))) (type $3 (func (param i32 i32 i32)
            (result i32 i32 i32)))
            (func (export "swap") (type $2) local.get 1 local.get 0)
            (func (export "br") (type $2) (block (result i32 i32) (local.get 1) (local.get 0) (br 0)))
            (func (export "br_if") (type $2) (block (result i32 i32)
                (local.get 1) (local.get 0) (br_if 0 (i32.const 1)) drop drop (i32.const 0) (i32.const 0)))
            (func (export "locals") (type $2) (local i32)
                (local.get 1) (local.get 0) (local.set 1) (local.set 0) (local.get 0) (local.get 1))
            (func (export "table") (param i32 i32 i32) (result i32 i32)
                (i32.const 50)
                (block (result i32 i32)
                    (i32.const 60) (i32.const 61)
                    (block (result i32 i32)
                        (local.get 1) (local.get 0) (br_table 0 1 2 (local.get 2)))
                    (local.set 1) (local.set 0) drop drop (local.get 1) (local.get 0))
                (local.set 1) (local.set 0) drop (local.get 0) (local.get 1))
            (func $ret (export "ret") (type $2) (local.get 0) (local.get 1))
            (func (export "tail") (type $2) (return_call $ret (local.get 1) (local.get 0)))
            (func $ret3 (type $3) (local.get 0) (local.get 1) (local.get 2))
            (func (export "rotate") (type $3) (return_call $ret3 (local.get 1) (local.get 2) (local.get 0)))
            (func (export "back") (type $3) (return_call $ret3 (local.get 2) (local.get 0) (local.get 1)))
            (func (export "same") (type $3) (return_call $ret3 (local.get 0) (local.get 0) (local.get 1)))
            (func $self (export "self") (param i32 i32 i32) (result i32 i32)
                (if (i32.eqz (local.get 2)) (then (return (local.get 0) (local.get 1))))
                (return_call $self (local.get 1) (local.get 0) (i32.sub (local.get 2) (i32.const 1))))
            (func (export "loop") (param i32 i32 i32 i32) (result i32 i32 i32)
                (local.get 0) (local.get 1) (local.get 2)
                (loop $l (type $3) (local.set 0) (local.set 1) (local.set 2)
                    (local.get 1) (local.get 0) (local.get 2)
                    (br_if $l (local.tee 3 (i32.sub (local.get 3) (i32.const 1))))))
            (func (export "stack") (type $3)
                (local.get 0) (local.get 1) (local.get 2) (block (type $3) (local.set 0) (local.set 1) (local.set 2)
                    (local.get 0) (local.get 2) (local.get 1) (br 0))))"#,
    );
    for name in ["swap", "br", "br_if", "locals", "tail"] {
        guest.gives(name, &vals![1, 2], &vals![2, 1]);
    }
    guest.gives("table", &vals![1, 2, 0], &vals![1, 2]);
    guest.gives("table", &vals![1, 2, 1], &vals![2, 1]);
    guest.gives("table", &vals![1, 2, 2], &vals![2, 1]);
    guest.gives("rotate", &vals![1, 2, 3], &vals![2, 3, 1]);
    guest.gives("back", &vals![1, 2, 3], &vals![3, 1, 2]);
    guest.gives("same", &vals![1, 2, 3], &vals![1, 1, 2]);
    guest.gives("self", &vals![1, 2, 1001], &vals![2, 1]);
    guest.gives("stack", &vals![1, 2, 3], &vals![3, 1, 2]);
    // Each turn rotates by one: 10^6 + 1 turns.
    let n = turns(1_000_000, 100_000) as i32;
    let mut model = [1, 2, 3];
    for _ in 0..n {
        model.rotate_left(1);
    }
    guest.gives("loop", &vals![1, 2, 3, n], &vals![model[0], model[1], model[2]]);
}

fn c12_locals_overwritten_while_on_the_stack(cx: &Cx) {
    let push: String = (0..200).map(|n| format!("(local.get {n}) ")).collect();
    let set: String = (0..200).map(|n| format!("(local.set {n} (i32.const 9)) ")).collect();
    let (fill, add): (String, String) =
        ((0..200).map(|n| format!("(local.set {n} (i32.const {n})) ")).collect(), "i32.add ".repeat(199));
    let mut guest = cx.guest(&format!(
        r#"(module
            (func (export "plain") (param i32) (result i32) local.get 0 (local.set 0 (i32.const 9)) local.get 0 i32.add)
            (func (export "block") (param i32) (result i32)
                local.get 0 (block (local.set 0 (i32.const 9))) local.get 0 i32.add)
            (func (export "loop") (param i32) (result i32) (local i32)
                local.get 0
                (loop (local.set 0 (i32.const 9))
                    (br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 3))))
                local.get 0 i32.add)
            (func (export "then") (param i32) (result i32)
                local.get 0 (if (local.get 0) (then (local.set 0 (i32.const 9))) (else)) local.get 0 i32.add)
            (func (export "both") (param i32) (result i32)
                local.get 0
                (if (i32.eqz (local.get 0)) (then (local.set 0 (i32.const 8))) (else (local.set 0 (i32.const 9))))
                local.get 0 i32.add)
            (func (export "tee") (param i32) (result i32) (i32.add (local.get 0) (local.tee 0 (i32.const 9))))
            (func (export "pending") (param i32) (result i32)
                (i32.add (i32.mul (local.get 0) (i32.const 1)) (block (result i32) (local.set 0 (i32.const 9))
                (local.get 0))))
            (func (export "inner") (param i32) (result i32)
                local.get 0 (block (block (br_if 1 (local.get 0))) (unreachable)) (local.set 0
                    (i32.const 9)) local.get 0 i32.add)
            (func (export "deep") (param i32) (result i32)
                local.get 0 (block (loop (if (local.get 0) (then (local.set 0 (i32.const 9))
                    (br 2))))) local.get 0 i32.add)
            (func (export "many") (param i32) (result i32) (local {locals})
                {fill} {push} (block {set}) {add} local.get 5 i32.add)
            (func (export "many_loop") (param i32) (result i32) (local {locals})
                {fill} {push} (loop {set}) {add} local.get 5 i32.add)
            (func (export "many_if") (param i32) (result i32) (local {locals})
                {fill} {push} (if (local.get 0) (then {set}) (else {set})) {add} local.get 5 i32.add))"#,
        locals = "i32 ".repeat(200)
    ));
    for name in ["plain", "block", "loop", "then", "both", "tee", "pending", "inner", "deep"] {
        guest.gives(name, &vals![100], &vals![109]);
    }
    for name in ["many", "many_loop", "many_if"] {
        guest.gives(name, &vals![0], &vals![199 * 100 + 9]);
    }
}

fn c13_a_thousand_operands_across_a_loop(cx: &Cx) {
    let all = |each: &dyn Fn(i32) -> String| (0..1000).map(each).collect::<String>();
    let fill = all(&|n| format!("(local.set {n} (i32.const {n})) "));
    let push = all(&|n| format!("(local.get {n}) "));
    let set = all(&|n| format!("(local.set {n} (i32.add (local.get {n}) (i32.const 1))) "));
    let mut guest = cx.guest(&format!(
        "(module (func (export \"f\") (result i32 i32) (local {locals} i32)
            {fill} {push}
            (loop {set} (br_if 0 (i32.lt_u (local.tee 1000 (i32.add (local.get 1000) (i32.const 1))) (i32.const 3))))
            {add} {push} {add}))",
        locals = "i32 ".repeat(1000),
        add = "i32.add ".repeat(999),
    ));
    guest.gives("f", &[], &vals![999 * 500, 999 * 500 + 3000]);
}

/// A module of one function `f` of this type, with these locals in the binary format.
fn function(ty: &str, body: &[u8]) -> Vec<u8> {
    let types = section(1, &cat(&[&[1], &hex(ty)]));
    module(&[&types, &section(3, &[1, 0]), &export_f(), &section(10, &cat(&[&[1], &func(body)]))])
}

fn c14_far_branches(cx: &Cx) {
    // local.set 1 (local.get 1 + 1): four instructions.
    let step = hex("20 01 41 01 6A 21 01");
    let long = times(&step, 25_000);
    // Ten times round.
    let back = cat(&[&hex("01 02 7F 03 40"), &long, &hex("20 02 41 01 6A 22 02 41 0A 49 0D 00 0B 20 01 0B")]);
    let module = cx.accepts(&function("60 01 7F 01 7F", &back));
    cx.guest_of(&module).gives("f", &vals![0], &vals![250_000]);
    // Over a megabyte.
    let forward = cat(&[&hex("01 02 7F 02 40 20 00 0D 00"), &times(&step, 150_000), &hex("0B 20 01 0B")]);
    let module = cx.accepts(&function("60 01 7F 01 7F", &forward));
    let mut guest = cx.guest_of(&module);
    guest.gives("f", &vals![0], &vals![150_000]);
    guest.gives("f", &vals![1], &vals![0]);
    // A table with targets behind and before: 0 leaves the inner block, 1 goes round again, 2 leaves everything.
    let table = cat(&[
        &hex("01 02 7F 02 40 03 40 02 40"),
        &long,
        &hex("20 02 41 01 6A 22 02 41 01 6B 0E 02 01 00 02 0B"),
        &long,
        &hex("0C 00 0B 0B 20 01 0B"),
    ]);
    let module = cx.accepts(&function("60 01 7F 01 7F", &table));
    cx.guest_of(&module).gives("f", &vals![0], &vals![4 * 25_000]);
}

fn c15_many_constants(cx: &Cx) {
    let n = 70_000u64;
    let mix = |k: u64| k.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ k << 3;
    let (mut ints, mut floats, mut want) = (hex("00"), hex("00"), 0u64);
    for k in 0..n {
        // local.get 0, the constant, xor, rotl by 1, local.set 0
        ints.extend(cat(&[&hex("20 00 42"), &sleb(mix(k) as i64), &hex("85 42 01 89 21 00")]));
        floats.extend(cat(&[&hex("20 00 44"), &mix(k).to_le_bytes(), &hex("BD 85 42 01 89 21 00")]));
        want = (want ^ mix(k)).rotate_left(1);
    }
    for mut body in [ints, floats] {
        body.extend(hex("20 00 0B"));
        let module = cx.accepts(&function("60 01 7E 01 7E", &body));
        cx.guest_of(&module).gives("f", &vals![0i64], &vals![want]);
    }
}

fn c16_return_out_of_blocks(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module
            (func $f (export "f") (result i32)
                i32.const 1 i32.const 2 (block (result i32) i32.const 3 (block i32.const 7 return)) drop drop)
            (func (export "many") (param i32) (result i32) (local i32)
                (i32.const 1000)
                (loop $l
                    (local.set 1 (i32.add (local.get 1) (i32.sub (call $f) (i32.const 6))))
                    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
                (local.get 1) i32.add)
            (func (export "operands") (result i32) (i32.add (i32.const 10) (i32.add (call $f) (i32.mul (call $f)
            (call $f))))))"#,
    );
    guest.gives("f", &[], &vals![7]);
    let n = turns(1_000_000, 100_000) as i32;
    guest.gives("many", &vals![n], &vals![n + 1000]);
    guest.gives("operands", &[], &vals![66]);
}

fn c17_a_trap_deep_down(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (func $deep (export "f") (param i32)
            (if (i32.eqz (local.get 0)) (then (unreachable))) (call $deep (i32.sub (local.get 0) (i32.const 1))) (nop))
            (func $tail (export "tail") (param i32)
                (if (i32.eqz (local.get 0)) (then (unreachable))) (return_call $tail (i32.sub (local.get 0)
                (i32.const 1)))))"#,
    );
    guest.traps("f", &vals![100_000], Trap::Unreachable);
    let error = cx.within(ms(10), || guest.traps("f", &vals![100_000], Trap::Unreachable));
    let backtrace = error.backtrace().unwrap();
    assert_eq!((backtrace.frames().len(), backtrace.left_out()), (64, 100_001 - 64));
    let error = guest.traps("tail", &vals![100_000], Trap::Unreachable);
    assert_eq!(error.backtrace().unwrap().frames().len(), 1);
}

fn c18_a_million_traps(cx: &Cx) {
    cx.may_take(ms(5000));
    let consts = "(i32.const 1) ".repeat(50);
    let mut guest = cx.guest(&format!(
        "(module (func (export \"f\") (param i32) (result i32)
            {consts} (i32.div_s (i32.const 1) (local.get 0)) {add}))",
        add = "i32.add ".repeat(50)
    ));
    let f = guest.instance.get_typed_func::<i32, i32>(&guest.store, "f").unwrap();
    let trap = |store: &mut Store<()>| f.call(store, 0).unwrap_err().trap();
    assert_eq!(trap(&mut guest.store), Some(Trap::IntegerDivisionByZero));
    let (live, used) = (cx.live(), guest.store.memory_used());
    for _ in 0..turns(1_000_000, 100_000) {
        assert_eq!(trap(&mut guest.store), Some(Trap::IntegerDivisionByZero));
    }
    assert_eq!((cx.live(), guest.store.memory_used()), (live, used));
    guest.gives("f", &vals![1], &vals![51]);
}

fn c19_limits_of_the_stack(cx: &Cx) {
    let bytes = wat(r#"(module (func $f (export "f") (param i32) (result i32)
            (if (result i32) (i32.le_s (local.get 0) (i32.const 1)) (then (i32.const 1))
                (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))))))"#);
    let run = |config: &jitless::Config, n: i32| {
        let engine = Engine::new(config).unwrap();
        let module = cx.load_in(&engine, &bytes).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        instance.get_typed_func::<i32, i32>(&store, "f").unwrap().call(&mut store, n)
    };
    for limit in [0, 1, 2, 3, 100] {
        let mut config = cx.mode.config();
        config.max_call_depth(Some(limit));
        if limit > 0 {
            assert_eq!(run(&config, limit as i32).unwrap(), limit as i32, "limit {limit}");
        }
        assert_eq!(run(&config, limit as i32 + 1).unwrap_err().trap(), Some(FULL), "limit {limit}");
    }
    let mut config = cx.mode.config();
    config.max_call_depth(Some(u32::MAX));
    assert_eq!(cx.heap_within(1 << 20, || run(&config, 1000)).unwrap(), 1000);
    assert_eq!(run(&config, 10_000_000).unwrap_err().trap(), Some(FULL));
    // Bytes for guests: below what one small function needs it is an error of the configuration.
    for bytes in [0, 8] {
        let mut config = cx.mode.config();
        let error = Engine::new(config.max_wasm_stack(bytes)).unwrap_err();
        assert_eq!(error.kind(), Argument, "{error}");
    }
    let mut config = cx.mode.config();
    config.max_wasm_stack(usize::MAX);
    assert_eq!(cx.heap_within(1 << 20, || run(&config, 1000)).unwrap(), 1000);
    // The one limit leaves the other alone.
    config.max_call_depth(Some(10)).max_wasm_stack(1 << 20);
    assert_eq!(run(&config, 11).unwrap_err().trap(), Some(FULL));
    config.max_call_depth(None);
    assert_eq!(run(&config, 1000).unwrap(), 1000);
    // From the host into the guest, and again.
    for limit in [0, 1, 5] {
        let mut config = cx.mode.config();
        config.max_host_depth(limit);
        let engine = Engine::new(&config).unwrap();
        let mut store = Store::new(&engine, 0u32);
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("h", "again", |mut caller: Caller<'_, u32>| {
                *caller.data_mut() += 1;
                let f = caller.get_export("f").unwrap().into_func().unwrap();
                f.typed::<(), ()>(&caller)?.call(&mut caller, ())
            })
            .unwrap();
        let bytes = wat("(module (import \"h\" \"again\" (func $again)) (func (export \"f\") (call $again)))");
        let module = cx.load_in(&engine, &bytes).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
        assert_eq!(f.call(&mut store, ()).unwrap_err().trap(), Some(FULL));
        assert_eq!(*store.data(), limit);
    }
}

fn c20_wrong_results_of_the_host(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "wrong" (func $wrong (param i32) (result i32 i64))) (import "h" "more" (func $more
            (result i64 i64 i64)))
            (func (export "wrong") (param i32) (result i32 i32 i64) (i32.const 5) (call $wrong (local.get 0)))
            (func (export "more") (result i32 i64 i64 i64 i32) (local i32) (local.set 0 (i32.const 6)) (i32.const 5)
            (call $more) (local.get 0)))"#,
        |store, linker| {
            let ty = FuncType::new(store.engine(), [ValType::I32], [ValType::I32, ValType::I64]);
            linker
                .func_new("h", "wrong", ty, |_, args, results| {
                    // There are as many results as the type says; only their types can be wrong.
                    assert_eq!(results.len(), 2);
                    if args[0] == Val::I32(0) {
                        results[1] = Val::I32(3);
                    }
                    Ok(())
                })
                .unwrap();
            let ty = FuncType::new(store.engine(), [], [ValType::I64; 3]);
            linker
                .func_new("h", "more", ty, |_, _, results| {
                    results.clone_from_slice(&vals![1i64, 2i64, 3i64]);
                    Ok(())
                })
                .unwrap();
        },
    );
    for _ in 0..3 {
        guest.ends("wrong", &vals![0], Host);
        guest.gives("wrong", &vals![1], &vals![5, 0, 0i64]);
        guest.gives("more", &[], &vals![5, 1i64, 2i64, 3i64, 6]);
    }
    // Called by the host itself.
    let ty = FuncType::new(&cx.engine, [], [ValType::I32]);
    let wrong = Func::new(&mut guest.store, ty, |_, _, results| {
        results[0] = Val::I64(0);
        Ok(())
    });
    assert_eq!(wrong.call(&mut guest.store, &[], &mut [Val::I32(0)]).unwrap_err().kind(), Host);
}

fn c21_sixty_thousand_operands(cx: &Cx) {
    let consts: String = (0..1000).map(|n| format!("(i64.const {n}) ")).collect();
    let text = format!(
        "(module (func $many (result {list}) {consts})
            (func (export \"f\") (result i64) {calls} {adds}))",
        list = "i64 ".repeat(1000),
        calls = "(call $many) ".repeat(60),
        adds = "i64.add ".repeat(59_999),
    );
    let bytes = cx.wat(&text);
    match cx.load(&bytes) {
        Ok(module) => cx.guest_of(&module).gives("f", &[], &vals![60 * 999 * 500i64]),
        Err(error) => assert_eq!(error.kind(), Limit, "{error}"),
    }
}

fn c23_wide_indirect_calls(cx: &Cx) {
    for n in [400, 1000] {
        let list = "i32 ".repeat(n);
        let gets: String = (0..n).map(|k| format!("(local.get {k}) ")).collect();
        let weighted: String = (0..n).map(|k| format!("(i32.mul (local.get {k}) (i32.const {})) ", k + 1)).collect();
        let mut guest = cx.guest(&format!(
            r#"(module (type $t (func (param {list}) (result i32))) (table 1 funcref) (elem (i32.const 0) $f)
                (func $f (type $t) {weighted} {add})
                (func (export "f") (type $t) {gets} (i32.const 0) (call_indirect (type $t)))
                (func (export "tail") (type $t) {gets} (i32.const 0) (return_call_indirect (type $t))))"#,
            add = "i32.add ".repeat(n - 1)
        ));
        let args: Vec<_> = (0..n as i32).map(|k| Val::I32(k * k + 3)).collect();
        let want = (0..n as i32).fold(0i32, |sum, k| sum.wrapping_add((k * k + 3).wrapping_mul(k + 1)));
        guest.gives("f", &args, &vals![want]);
        guest.gives("tail", &args, &vals![want]);
    }
}

fn c24_traps_in_nested_entries(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "try" (func $try (param i32) (result i32)))
            (func $deep (param i32) (result i32)
                (if (result i32) (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
                    (else (i32.div_s (i32.const 1) (i32.const 0)))))
            (func (export "f") (param i32) (result i32) (local i64) (local.set 1 (i64.const 5)) (call $deep
            (local.get 0)))
            (func (export "g") (param i32) (result i32) (local i32 i32)
                (local.set 1 (i32.const 1000)) (local.set 2 (i32.const 20))
                (i32.add (local.get 1) (i32.add (call $try (local.get 0)) (i32.add (local.get 2) (call $try
                (local.get 0)))))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "try", |mut caller: Caller<'_, ()>, depth: i32| {
                    let f = caller.get_export("f").unwrap().into_func().unwrap();
                    let used = caller.fuel_used();
                    let error = f.typed::<i32, i32>(&caller)?.call(&mut caller, depth).unwrap_err();
                    assert_eq!(error.trap(), Some(Trap::IntegerDivisionByZero));
                    assert!(caller.fuel_used() >= used + depth as u64);
                    Ok(3i32)
                })
                .unwrap();
        },
    );
    for depth in [0, 10, 1000, 10_000] {
        guest.gives("g", &vals![depth], &vals![1026]);
        let first = guest.fuel_of("g", &vals![depth]);
        assert_eq!(guest.fuel_of("g", &vals![depth]), first);
    }
    // The inner one uses up the stack; the outer one has room for as much again.
    let mut guest = cx.guest_with(
        r#"(module (import "h" "try" (func $try))
            (func $endless (export "endless") (call $endless))
            (func (export "g") (result i32) (call $try) (call $try) (i32.const 8)))"#,
        |_, linker| {
            linker
                .func_wrap("h", "try", |mut caller: Caller<'_, ()>| {
                    let endless = caller.get_export("endless").unwrap().into_func().unwrap();
                    let error = endless.typed::<(), ()>(&caller).unwrap().call(&mut caller, ()).unwrap_err();
                    assert_eq!(error.trap(), Some(FULL));
                })
                .unwrap();
        },
    );
    for _ in 0..3 {
        guest.gives("g", &[], &vals![8]);
    }
}
