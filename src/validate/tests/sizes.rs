//! Tests with modules that are large, deep or wide: what they cost is bounded by their bytes.

use super::{
    I64, body_of, cat, function, function_of, in_house, judge, judge_with, leb, section, sections, signature, t1000,
    types, verdict,
};
use crate::config::Config;
use crate::error::ErrorKind;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

/// A test takes no longer than any input may, and no more of the native stack.
fn within_bounds(test: impl FnOnce() + Send + 'static) {
    let (stack, seconds) = if cfg!(debug_assertions) { (1 << 20, 20) } else { (256 << 10, 5) };
    let thread = std::thread::Builder::new().stack_size(stack).spawn(move || {
        let start = Instant::now();
        test();
        start.elapsed()
    });
    let time = thread.expect("a thread").join().expect("a test that passes");
    assert!(time < Duration::from_secs(seconds), "{time:?}");
}

fn nested(open: &[u8], close: &[u8], count: usize) -> Vec<u8> {
    body_of(&cat(&[&open.repeat(count), &close.repeat(count), &[0x0B]]))
}

#[test]
fn v1_nested_blocks() {
    within_bounds(|| {
        for count in [100_000, 2_500_000] {
            judge(&nested(&[0x02, 0x40], &[0x0B], count)).unwrap();
        }
    });
}

#[test]
fn v2_nested_loops_and_ifs() {
    within_bounds(|| {
        judge(&nested(&[0x03, 0x40], &[0x0B], 100_000)).unwrap();
        judge(&nested(&[0x41, 0, 0x04, 0x40], &[0x0B], 100_000)).unwrap();
        judge(&nested(&[0x41, 0, 0x04, 0x40], &[0x05, 0x0B], 100_000)).unwrap();
        let deep = nested(&[0x02, 0x40], &[0x0B], 1001);
        let mut config = Config::new();
        config.limits_mut().nesting = 1000;
        assert_eq!(judge_with(&deep, &config).unwrap_err().kind(), ErrorKind::Limit);
        config.limits_mut().nesting = 1001;
        judge_with(&deep, &config).unwrap();
    });
}

#[test]
fn v3_branches_far_out() {
    within_bounds(|| {
        const N: usize = 99_999;
        for (depth, valid) in [(N as u64, true), (N as u64 + 1, false), (u32::MAX.into(), false)] {
            let code = cat(&[&[0x02, 0x40].repeat(N), &[0x0C], &leb(depth), &[0x0B].repeat(N), &[0x0B]]);
            assert_eq!(judge(&body_of(&code)).is_ok(), valid, "{depth}");
        }
    });
}

#[test]
fn v8_locals_at_the_limit() {
    in_house("local.get 4294967295 drop", "unknown local 4294967295");
    let of = |count: u64, code: &[u8]| {
        let body = cat(&[&[1], &leb(count), &[0x7F], code, &[0x0B]]);
        let code = section(10, &cat(&[&[1], &leb(body.len() as u64), &body]));
        judge(&sections(&[types(&[signature(&[], &[])]), section(3, &[1, 0]), code]))
    };
    of(50_000, &cat(&[&[0x20], &leb(49_999), &[0x1A]])).unwrap();
    assert!(of(50_000, &cat(&[&[0x20], &leb(50_000), &[0x1A]])).is_err());
    assert_eq!(of(50_001, &[]).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(of(u32::MAX.into(), &[]).unwrap_err().kind(), ErrorKind::Limit);
}

/// A million functions of six bytes, each with fifty thousand locals, and as many of a thousand parameters.
#[test]
fn v8_locals_cost_what_their_bytes_say() {
    within_bounds(|| {
        let many = |ty: Vec<u8>, body: &[u8], count: usize| {
            let bodies = cat(&[&leb(body.len() as u64), body]).repeat(count);
            let count = leb(count as u64);
            let funcs = cat(&[&count, &[0].repeat(bodies.len() / (body.len() + 1))]);
            judge(&sections(&[types(&[ty]), section(3, &funcs), section(10, &cat(&[&count, &bodies]))])).unwrap();
        };
        many(signature(&[], &[]), &[1, 0xD0, 0x86, 0x03, 0x7F, 0x0B], 300_000);
        many(signature(&[I64; 1000], &[]), &[0, 0x0B], 300_000);
    });
}

#[test]
fn v12_long_constant_expressions() {
    within_bounds(|| {
        let steps = [0x41, 1, 0x6A].repeat(1_000_000);
        let global = cat(&[&[1, 0x7F, 0, 0x41, 0], &steps, &[0x0B]]);
        judge(&sections(&[section(6, &global)])).unwrap();
        // A chain of globals needs the gc proposal; only imports are visible without it.
        let chain: Vec<u8> = (1..100_000u64)
            .flat_map(|k| {
                let get = cat(&[&[0x23], &leb(k - 1)]);
                cat(&[&[0x7F, 0], &get, &get, &[0x6A, 0x0B]])
            })
            .collect();
        let globals = cat(&[&leb(100_000), &[0x7F, 0, 0x41, 1, 0x0B], &chain]);
        let error = judge(&sections(&[section(6, &globals)])).unwrap_err();
        assert!(error.to_string().contains("unknown global 0"), "{error}");
    });
}

#[test]
fn v13_br_table_of_a_million_targets_at_a_wide_label() {
    within_bounds(|| {
        let wide = [signature(&[], &[]), signature(&[], &[I64; 1000]), signature(&[], &cat(&[&[0x7F], &[I64; 999]]))];
        let table = cat(&[&leb(1_000_000), &[0].repeat(1_000_000), &[0]]);
        // As in the list: the label falls through to a function without results, so its operands are dropped.
        let drops = [0x1A].repeat(1000);
        judge(&function_of(&wide, &cat(&[&[0x00, 0x02, 1, 0x00, 0x0E], &table, &[0x0B], &drops, &[0x0B]]))).unwrap();
        // The same where the targets are another label than the default, of another type.
        let table = cat(&[&leb(1_000_000), &[1].repeat(1_000_000), &[0]]);
        let code =
            cat(&[&[0x02, 2, 0x02, 1, 0x00, 0x41, 0, 0x0E], &table, &[0x0B], &drops, &[0x00, 0x0B], &drops, &[0x0B]]);
        judge(&function_of(&wide, &code)).unwrap();
        // And where they are a hundred thousand labels.
        let blocks = [0x02, 2].repeat(100_000);
        let targets: Vec<u8> = (0..100_000).flat_map(leb).collect();
        let ends = cat(&[&[0x00, 0x0B].repeat(100_000), &drops]);
        let code = cat(&[
            &[0x02, 1],
            &blocks,
            &[0x00, 0x0E],
            &leb(100_000),
            &targets,
            &leb(100_000),
            &ends,
            &[0x00, 0x0B],
            &drops,
            &[0x0B],
        ]);
        judge(&function_of(&wide, &code)).unwrap();
    });
}

#[test]
fn v14_br_table_over_labels_of_different_arity() {
    within_bounds(|| {
        for same in [true, false] {
            let arity = |k: usize| if same { 3 } else { k % 10 };
            let open: String = (0..500).map(|k| format!("block (result {}) ", "i32 ".repeat(arity(k)))).collect();
            let close: String = (0..500).map(|_| "unreachable end unreachable ").collect();
            let targets: String = (0..500).map(|k| format!("{k} ")).collect();
            let func = format!("(func {open} unreachable br_table {targets} {close})");
            verdict(&format!("(module {})", func.repeat(50)), if same { "ok" } else { "type mismatch" });
        }
    });
}

#[test]
fn v16_v17_many_types() {
    within_bounds(|| {
        let identical = cat(&[&leb(1_000_000), &[0x60, 0, 0].repeat(1_000_000)]);
        judge(&sections(&[section(1, &identical)])).unwrap();
        let distinct: Vec<u8> = (0..100_000u32)
            .flat_map(|k| {
                let params: Vec<u8> = (0..20).map(|bit| if k >> bit & 1 == 1 { 0x7F } else { I64 }).collect();
                signature(&params, &[])
            })
            .collect();
        judge(&sections(&[section(1, &cat(&[&leb(100_000), &distinct]))])).unwrap();
    });
}

#[test]
fn v37_a_million_operands() {
    within_bounds(|| {
        let constants = [0x41, 0].repeat(1_000_000);
        judge(&body_of(&cat(&[&constants, &[0x00, 0x0B]]))).unwrap();
        judge(&body_of(&cat(&[&constants, &[0x1A].repeat(1_000_000), &[0x0B]]))).unwrap();
        // A thousand for two bytes: they would take gigabytes.
        let wide = [signature(&[], &[]), signature(&[], &[I64; 1000])];
        let block = [0x02, 1, 0x00, 0x0B].repeat(200_000);
        assert_eq!(judge(&function_of(&wide, &cat(&[&block, &[0x00, 0x0B]]))).unwrap_err().kind(), ErrorKind::Limit);
    });
}

#[test]
fn v38_long_bodies() {
    within_bounds(|| {
        let of = |bytes: usize| judge(&body_of(&cat(&[&[0x01].repeat(bytes - 2), &[0x0B]])));
        of(7_654_321).unwrap();
        assert_eq!(of(7_654_322).unwrap_err().kind(), ErrorKind::Limit);
    });
}

#[test]
fn v39_exports() {
    within_bounds(|| {
        verdict("(module (func) (export \"a\" (func 0)) (export \"a\" (func 0)))", "duplicate export name");
        let exports: Vec<u8> =
            (0..1_000_000).flat_map(|k| cat(&[&[6], format!("{k:06}").as_bytes(), &[0, 0]])).collect();
        let [function, code] = function(&[0x0B]);
        let exports = section(7, &cat(&[&leb(1_000_000), &exports]));
        judge(&sections(&[types(&[signature(&[], &[])]), function, exports, code])).unwrap();
    });
}

#[test]
fn v42_wide_calls() {
    within_bounds(|| {
        // The function of 1000 parameters is an import, so it has index 0.
        let import = section(2, &[1, 1, b'a', 1, b'b', 0, 1]);
        let calls = |before: &[u8], count: usize, after: &[u8]| {
            let [function, code] = function(&cat(&[before, &[0x10, 0].repeat(count), after, &[0x0B]]));
            judge(&sections(&[types(&t1000()), import.clone(), function, code])).unwrap();
        };
        calls(&[0x00], 1_000_000, &[0x00]);
        // Reachable, and in full: R12 of the list.
        calls(&[0x42, 0].repeat(1000), 200_000, &[0x1A].repeat(1000));
    });
}

/// Branches, returns and blocks that carry a thousand values each: R13 of the list.
#[test]
fn v42_wide_branches() {
    within_bounds(|| {
        let thousand = [0x42, 0].repeat(1000);
        let drops = [0x1A].repeat(1000);
        let t = t1000();
        let branches = [0x41, 0, 0x0D, 0].repeat(200_000);
        judge(&function_of(&t, &cat(&[&thousand, &[0x02, 1], &branches, &[0x0B], &drops, &[0x0B]]))).unwrap();
        let blocks = [0x02, 1, 0x0B].repeat(200_000);
        judge(&function_of(&t, &cat(&[&thousand, &blocks, &drops, &[0x0B]]))).unwrap();
        let ifs = [0x41, 0, 0x04, 1, 0x05, 0x0B].repeat(200_000);
        judge(&function_of(&t, &cat(&[&thousand, &ifs, &drops, &[0x0B]]))).unwrap();
        let results = [signature(&[], &[I64; 1000])];
        let returns = cat(&[&thousand, &[0x0F].repeat(1_000_000), &[0x0B]]);
        judge(&function_of(&results, &returns)).unwrap();
        let tail_calls = cat(&[&[0x12, 0].repeat(1_000_000), &[0x0B]]);
        judge(&function_of(&results, &tail_calls)).unwrap();
    });
}
