//! Numbers: the edges of every operator, and whether folding and fusing keep the bits.
//!
//! Idea: a value row is run with its operands from parameters, constant, and one of each, and its result is consumed by
//! each sort of instruction that tiles are fused with. Whatever is fused, the bits are those of the plain operator.

use std::fmt::Write;

use jitless::{Func, Ref, Trap, Val};

use crate::harness::*;

rows! {
    n1_quotients_that_do_not_fit n2_remainders_of_the_least_number n3_division_by_a_constant_zero n4_shift_counts
    n5_rotations n6_f32_to_i32 n7_f64_to_i32 n8_floats_to_i64 n9_saturating_conversions n10_integers_to_floats
    n11_nearest n12_signalling_nans_become_quiet n13_min_and_max n14_sign_bits_of_nans n15_promote_and_demote
    n16_a_signalling_nan_on_its_way n17_identities_that_are_none n18_negated_float_comparisons
    n19_constants_on_the_left_of_comparisons n20_subtractions_of_constants n21_dirty_upper_halves
    n22_every_producer_of_i32 n23_counting_and_extending n26_select_of_the_same n27_ref_is_null n28_subnormals
}

/// A number by its bits.
#[derive(Clone, Copy, PartialEq, Debug)]
enum N {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
}
use N::{F32, F64, I32, I64};

impl N {
    fn ty(self) -> &'static str {
        match self {
            I32(_) => "i32",
            I64(_) => "i64",
            F32(_) => "f32",
            F64(_) => "f64",
        }
    }

    fn val(self) -> Val {
        match self {
            I32(n) => Val::I32(n),
            I64(n) => Val::I64(n),
            F32(bits) => Val::F32(bits),
            F64(bits) => Val::F64(bits),
        }
    }

    /// As an instruction, to the bit.
    fn constant(self) -> String {
        match self {
            I32(n) => format!("(i32.const {n})"),
            I64(n) => format!("(i64.const {n})"),
            F32(bits) => format!("(f32.const {})", float(bits.into(), 8, 23)),
            F64(bits) => format!("(f64.const {})", float(bits, 11, 52)),
        }
    }
}

/// A float literal for these bits.
fn float(bits: u64, exponent_bits: u32, mantissa_bits: u32) -> String {
    let sign = if bits >> (exponent_bits + mantissa_bits) & 1 == 1 { "-" } else { "" };
    let (most, mantissa) = ((1 << exponent_bits) - 1, bits & ((1 << mantissa_bits) - 1));
    let exponent = bits >> mantissa_bits & most;
    let bias = (most >> 1) as i64 + i64::from(mantissa_bits);
    match (exponent, mantissa) {
        (e, 0) if e == most => format!("{sign}inf"),
        (e, m) if e == most => format!("{sign}nan:{m:#x}"),
        (0, m) => format!("{sign}{m:#x}p{}", 1 - bias),
        (e, m) => format!("{sign}{:#x}p{}", m | 1 << mantissa_bits, e as i64 - bias),
    }
}

fn f32s(value: f32) -> N {
    F32(value.to_bits())
}

fn f64s(value: f64) -> N {
    F64(value.to_bits())
}

#[derive(Clone, Copy, Debug)]
enum Want {
    Is(N),
    /// A NaN whose first bit of payload is set.
    QuietNan,
    Traps(Trap),
}
use Want::{Is, QuietNan, Traps};

const OVERFLOW: Want = Traps(Trap::IntegerOverflow);
const NAN: Want = Traps(Trap::BadConversionToInteger);
const BY_ZERO: Want = Traps(Trap::IntegerDivisionByZero);

/// The type of an operator's result.
fn result_of(operator: &str) -> &str {
    let (ty, rest) = operator.split_once('.').unwrap();
    let compares = ["eq", "ne", "lt", "gt", "le", "ge"].contains(&rest.split('_').next().unwrap());
    if compares || rest == "eqz" { "i32" } else { ty }
}

/// What becomes of a value of type `ty` that `expr` makes; with `$r` and `$zero` as locals.
const CONSUMERS: &[&str] = &[
    "EXPR",
    "(local.set $r EXPR) (local.get $r)",
    "(local.tee $r EXPR)",
    "(TY.store (i32.const 8) EXPR) (TY.load (i32.const 8))",
    "(select EXPR (TY.const 0) (i32.const 1))",
    "(select (TY.const 0) EXPR (local.get $zero))",
    "(block (result TY) (br_if 0 EXPR (i32.eqz (local.get $zero))) drop (TY.const 0))",
    "(global.set $TY EXPR) (global.get $TY)",
];

/// Those that only see whether an `i32` is zero.
const CONDITIONS: &[&str] = &[
    "(block (br_if 0 EXPR) (return (i32.const 0))) (i32.const 1)",
    "(block (br_if 0 (i32.eqz EXPR)) (return (i32.const 1))) (i32.const 0)",
    "(select (i32.const 1) (i32.const 0) EXPR)",
    "(if (result i32) EXPR (then (i32.const 1)) (else (i32.const 0)))",
    "(i32.ne (i32.const 0) EXPR)",
];

/// Runs an operator in every way.
#[track_caller]
fn check(cx: &Cx, cases: &[(&str, &[N], Want)]) {
    let mut text = String::from("(module (memory 1)");
    for ty in ["i32", "i64", "f32", "f64"] {
        write!(text, "(global ${ty} (mut {ty}) ({ty}.const 0))").unwrap();
    }
    let mut calls = Vec::new();
    for (number, &(operator, args, want)) in cases.iter().enumerate() {
        let result = result_of(operator);
        let params: Vec<_> = args.iter().map(|arg| arg.ty()).collect();
        let header = format!("(param {}) (result {result}) (local $r {result}) (local $zero i32)", params.join(" "));
        // A bit for each operand that is constant.
        for constant in 0..1 << args.len() {
            let operands = args.iter().enumerate().map(|(at, arg)| match constant >> at & 1 {
                0 => format!("(local.get {at})"),
                _ => arg.constant(),
            });
            let expr = format!("({operator} {})", operands.collect::<Vec<_>>().join(" "));
            let conditions = if result == "i32" { CONDITIONS } else { &[] };
            for (way, consumer) in CONSUMERS.iter().chain(conditions).enumerate() {
                let body = consumer.replace("EXPR", &expr).replace("TY", result);
                let name = format!("{number}.{constant}.{way}");
                write!(text, "(func (export \"{name}\") {header} {body})").unwrap();
                let want = match want {
                    Is(I32(n)) if way >= CONSUMERS.len() => Is(I32((n != 0).into())),
                    want => want,
                };
                calls.push((name, number, want));
            }
        }
    }
    text.push(')');
    let mut guest = cx.guest(&text);
    for (name, number, want) in calls {
        let (operator, args, _) = cases[number];
        let vals: Vec<_> = args.iter().map(|arg| arg.val()).collect();
        match (want, guest.call(&name, &vals)) {
            (Traps(want), Err(error)) if error.trap() == Some(want) => {}
            (Is(want), Ok(results)) if results == [want.val()] => {}
            (QuietNan, Ok(results)) if is_quiet_nan(&results[0]) => {}
            (want, got) => panic!("{operator}{args:?} as {name} should be {want:?}, is {got:x?}"),
        }
    }
}

fn is_quiet_nan(val: &Val) -> bool {
    match *val {
        Val::F32(bits) => bits & 0x7FC0_0000 == 0x7FC0_0000,
        Val::F64(bits) => bits & 0x7FF8_0000_0000_0000 == 0x7FF8_0000_0000_0000,
        _ => false,
    }
}

fn n1_quotients_that_do_not_fit(cx: &Cx) {
    check(
        cx,
        &[
            ("i32.div_s", &[I32(i32::MIN), I32(-1)], OVERFLOW),
            ("i64.div_s", &[I64(i64::MIN), I64(-1)], OVERFLOW),
            ("i32.div_s", &[I32(i32::MIN + 1), I32(-1)], Is(I32(i32::MAX))),
            ("i32.div_u", &[I32(i32::MIN), I32(-1)], Is(I32(0))),
            ("i64.div_u", &[I64(i64::MIN), I64(-1)], Is(I64(0))),
        ],
    );
}

fn n2_remainders_of_the_least_number(cx: &Cx) {
    check(
        cx,
        &[
            ("i32.rem_s", &[I32(i32::MIN), I32(-1)], Is(I32(0))),
            ("i64.rem_s", &[I64(i64::MIN), I64(-1)], Is(I64(0))),
            ("i32.rem_s", &[I32(i32::MAX), I32(-1)], Is(I32(0))),
        ],
    );
}

fn n3_division_by_a_constant_zero(cx: &Cx) {
    let mut text = String::from("(module");
    for ty in ["i32", "i64"] {
        for operator in ["div_s", "div_u", "rem_s", "rem_u"] {
            let (i32, zero) = if ty == "i32" { (I32(7), I32(0)) } else { (I64(7), I64(0)) };
            let operator = format!("{ty}.{operator}");
            check(cx, &[(&operator, &[i32, zero], BY_ZERO)]);
            let division = format!("({operator} {} {})", i32.constant(), zero.constant());
            write!(
                text,
                "(func (export \"{operator}\") (if (i32.const 0) (then (drop {division})))
                    (block (br 0) (drop {division})) (block (return) (drop {division})))"
            )
            .unwrap();
        }
    }
    text.push(')');
    let mut guest = cx.guest(&text);
    let names: Vec<_> = guest.instance.exports(&guest.store).map(|export| export.name().to_string()).collect();
    for name in names {
        guest.gives(&name, &[], &[]);
    }
}

fn n4_shift_counts(cx: &Cx) {
    let x = 0x8000_0001u32 as i32;
    let y = 0x8000_0000_0000_0001u64 as i64;
    for k in [32, 33, -1, i32::MIN] {
        check(
            cx,
            &[
                ("i32.shl", &[I32(x), I32(k)], Is(I32(x.wrapping_shl(k as u32)))),
                ("i32.shr_s", &[I32(x), I32(k)], Is(I32(x.wrapping_shr(k as u32)))),
                ("i32.shr_u", &[I32(x), I32(k)], Is(I32((x as u32).wrapping_shr(k as u32) as i32))),
            ],
        );
    }
    assert_eq!((x.wrapping_shl(32), x.wrapping_shl(33)), (x, 2));
    for k in [64, 65, -1, (1 << 32) + 1] {
        check(
            cx,
            &[
                ("i64.shl", &[I64(y), I64(k)], Is(I64(y.wrapping_shl(k as u32)))),
                ("i64.shr_s", &[I64(y), I64(k)], Is(I64(y.wrapping_shr(k as u32)))),
                ("i64.shr_u", &[I64(y), I64(k)], Is(I64((y as u64).wrapping_shr(k as u32) as i64))),
            ],
        );
    }
}

fn n5_rotations(cx: &Cx) {
    let (x, y) = (0x8123_4567u32 as i32, 0x8123_4567_89AB_CDEFu64 as i64);
    check(
        cx,
        &[
            ("i32.rotl", &[I32(x), I32(0)], Is(I32(x))),
            ("i32.rotl", &[I32(x), I32(32)], Is(I32(x))),
            ("i32.rotr", &[I32(x), I32(-1)], Is(I32(x.rotate_left(1)))),
            ("i32.rotr", &[I32(x), I32(0)], Is(I32(x))),
            ("i64.rotl", &[I64(y), I64(64)], Is(I64(y))),
            ("i64.rotl", &[I64(y), I64(0)], Is(I64(y))),
            ("i64.rotr", &[I64(y), I64(-1)], Is(I64(y.rotate_left(1)))),
        ],
    );
}

fn n6_f32_to_i32(cx: &Cx) {
    check(
        cx,
        &[
            ("i32.trunc_f32_s", &[f32s(2147483520.0)], Is(I32(2147483520))),
            ("i32.trunc_f32_s", &[f32s(2147483648.0)], OVERFLOW),
            ("i32.trunc_f32_s", &[f32s(-2147483648.0)], Is(I32(i32::MIN))),
            ("i32.trunc_f32_s", &[f32s(-2147483904.0)], OVERFLOW),
            ("i32.trunc_f32_s", &[F32(0x7FC0_0000)], NAN),
            ("i32.trunc_f32_s", &[F32(0xFFA0_0000)], NAN),
            ("i32.trunc_f32_s", &[f32s(f32::INFINITY)], OVERFLOW),
            ("i32.trunc_f32_u", &[f32s(4294967040.0)], Is(I32(-256))),
            ("i32.trunc_f32_u", &[f32s(4294967296.0)], OVERFLOW),
            ("i32.trunc_f32_u", &[f32s(-0.99999994)], Is(I32(0))),
            ("i32.trunc_f32_u", &[f32s(-1.0)], OVERFLOW),
        ],
    );
}

fn n7_f64_to_i32(cx: &Cx) {
    check(
        cx,
        &[
            ("i32.trunc_f64_s", &[f64s(2147483647.9)], Is(I32(i32::MAX))),
            ("i32.trunc_f64_s", &[f64s(2147483648.0)], OVERFLOW),
            ("i32.trunc_f64_s", &[f64s(-2147483648.9)], Is(I32(i32::MIN))),
            ("i32.trunc_f64_s", &[f64s(-2147483649.0)], OVERFLOW),
            ("i32.trunc_f64_u", &[f64s(-0.9999999999999999)], Is(I32(0))),
            ("i32.trunc_f64_u", &[f64s(-1.0)], OVERFLOW),
            ("i32.trunc_f64_u", &[f64s(4294967295.9)], Is(I32(-1))),
            ("i32.trunc_f64_u", &[f64s(4294967296.0)], OVERFLOW),
            ("i32.trunc_f64_u", &[f64s(f64::NAN)], NAN),
        ],
    );
}

fn n8_floats_to_i64(cx: &Cx) {
    check(
        cx,
        &[
            ("i64.trunc_f32_s", &[f32s(9223371487098961920.0)], Is(I64(9223371487098961920))),
            ("i64.trunc_f32_s", &[f32s(9223372036854775808.0)], OVERFLOW),
            ("i64.trunc_f32_s", &[f32s(-9223372036854775808.0)], Is(I64(i64::MIN))),
            ("i64.trunc_f32_u", &[f32s(18446742974197923840.0)], Is(I64(18446742974197923840u64 as i64))),
            ("i64.trunc_f32_u", &[f32s(18446744073709551616.0)], OVERFLOW),
            ("i64.trunc_f64_u", &[f64s(18446744073709549568.0)], Is(I64(18446744073709549568u64 as i64))),
            ("i64.trunc_f64_u", &[f64s(18446744073709551616.0)], OVERFLOW),
            ("i64.trunc_f64_s", &[f64s(-9223372036854775808.0)], Is(I64(i64::MIN))),
            ("i64.trunc_f64_s", &[f64s(-9223372036854777856.0)], OVERFLOW),
            ("i64.trunc_f64_s", &[f64s(f64::NAN)], NAN),
        ],
    );
}

fn n9_saturating_conversions(cx: &Cx) {
    for (from, bits) in [("f32", 32), ("f64", 64)] {
        let of = |value: f64| if bits == 32 { f32s(value as f32) } else { f64s(value) };
        let two_63 = 9223372036854775808.0;
        for (value, i32_s, i32_u, i64_s, i64_u) in [
            (f64::NAN, 0, 0, 0, 0),
            (f64::INFINITY, i32::MAX, u32::MAX, i64::MAX, u64::MAX),
            (f64::NEG_INFINITY, i32::MIN, 0, i64::MIN, 0),
            (two_63, i32::MAX, u32::MAX, i64::MAX, 1 << 63),
            (-two_63, i32::MIN, 0, i64::MIN, 0),
            (1e30, i32::MAX, u32::MAX, i64::MAX, u64::MAX),
            (-1.0, -1, 0, -1, 0),
            (-0.5, 0, 0, 0, 0),
        ] {
            check(
                cx,
                &[
                    (&format!("i32.trunc_sat_{from}_s"), &[of(value)], Is(I32(i32_s))),
                    (&format!("i32.trunc_sat_{from}_u"), &[of(value)], Is(I32(i32_u as i32))),
                    (&format!("i64.trunc_sat_{from}_s"), &[of(value)], Is(I64(i64_s))),
                    (&format!("i64.trunc_sat_{from}_u"), &[of(value)], Is(I64(i64_u as i64))),
                ],
            );
        }
    }
}

fn n10_integers_to_floats(cx: &Cx) {
    check(
        cx,
        &[
            ("f32.convert_i64_s", &[I64(0x7FFF_FF40_0000_0001)], Is(F32(0x5EFF_FFFF))),
            ("f32.convert_i64_u", &[I64(0x8000_0080_0000_0001u64 as i64)], Is(F32(0x5F00_0001))),
            ("f64.convert_i64_u", &[I64(-1)], Is(F64(0x43F0_0000_0000_0000))),
            ("f32.convert_i32_u", &[I32(0xFFFF_FF7Fu32 as i32)], Is(F32(0x4F7F_FFFF))),
            ("f64.convert_i32_u", &[I32(-1)], Is(f64s(4294967295.0))),
            ("f64.convert_i32_s", &[I32(-1)], Is(f64s(-1.0))),
        ],
    );
}

fn n11_nearest(cx: &Cx) {
    for (value, want) in [
        (0.5, 0.0),
        (1.5, 2.0),
        (2.5, 2.0),
        (-0.5, -0.0),
        (0.49999999999999994, 0.0),
        (4503599627370497.5, 4503599627370498.0),
    ] {
        check(cx, &[("f64.nearest", &[f64s(value)], Is(f64s(want)))]);
    }
    for (value, want) in [(0.5, 0.0), (1.5, 2.0), (-0.5, -0.0), (0.49999997, 0.0), (8388609.0, 8388609.0)] {
        check(cx, &[("f32.nearest", &[f32s(value)], Is(f32s(want)))]);
    }
}

const SIGNALLING: u32 = 0x7FA0_0000;

fn n12_signalling_nans_become_quiet(cx: &Cx) {
    for operator in ["ceil", "floor", "trunc", "nearest", "sqrt"] {
        check(
            cx,
            &[
                (&format!("f32.{operator}"), &[F32(SIGNALLING)], QuietNan),
                (&format!("f64.{operator}"), &[F64(0x7FF4_0000_0000_0000)], QuietNan),
            ],
        );
    }
}

fn n13_min_and_max(cx: &Cx) {
    let (zero, minus) = (f32s(0.0), f32s(-0.0));
    for (a, b) in [(zero, minus), (minus, zero)] {
        check(cx, &[("f32.min", &[a, b], Is(F32(0x8000_0000))), ("f32.max", &[a, b], Is(F32(0)))]);
    }
    let (zero, minus) = (f64s(0.0), f64s(-0.0));
    for (a, b) in [(zero, minus), (minus, zero)] {
        check(cx, &[("f64.min", &[a, b], Is(F64(1 << 63))), ("f64.max", &[a, b], Is(F64(0)))]);
    }
    for operator in ["f32.min", "f32.max"] {
        check(
            cx,
            &[(operator, &[f32s(1.0), F32(SIGNALLING)], QuietNan), (operator, &[F32(SIGNALLING), f32s(1.0)], QuietNan)],
        );
    }
    for operator in ["f64.min", "f64.max"] {
        check(
            cx,
            &[(operator, &[f64s(f64::NAN), f64s(1.0)], QuietNan), (operator, &[f64s(1.0), f64s(f64::NAN)], QuietNan)],
        );
    }
}

fn n14_sign_bits_of_nans(cx: &Cx) {
    let x = F32(0xFFA0_0001);
    let y = F64(0xFFF4_0000_0000_0001);
    check(
        cx,
        &[
            ("f32.abs", &[x], Is(F32(0x7FA0_0001))),
            ("f32.neg", &[x], Is(F32(0x7FA0_0001))),
            ("f32.copysign", &[F32(0x7FA0_0001), f32s(-1.0)], Is(x)),
            ("f32.copysign", &[x, f32s(1.0)], Is(F32(0x7FA0_0001))),
            ("f64.abs", &[y], Is(F64(0x7FF4_0000_0000_0001))),
            ("f64.neg", &[y], Is(F64(0x7FF4_0000_0000_0001))),
            ("f64.copysign", &[F64(0x7FF4_0000_0000_0001), f64s(-1.0)], Is(y)),
            ("f64.copysign", &[y, f64s(1.0)], Is(F64(0x7FF4_0000_0000_0001))),
        ],
    );
}

fn n15_promote_and_demote(cx: &Cx) {
    check(
        cx,
        &[
            ("f64.promote_f32", &[F32(SIGNALLING)], QuietNan),
            ("f32.demote_f64", &[F64(0x7FF4_0000_0000_0000)], QuietNan),
            // 0x1.fffffe0000000p-127
            ("f32.demote_f64", &[F64(0x380F_FFFF_E000_0000)], Is(F32(0x0080_0000))),
            ("f32.demote_f64", &[f64s(1e39)], Is(f32s(f32::INFINITY))),
        ],
    );
}

fn n16_a_signalling_nan_on_its_way(cx: &Cx) {
    let text = r#"(module
        (import "h" "same" (func $same (param f32) (result f32)))
        (memory (export "m") 1) (data (i32.const 4) "\00\00\a0\7f")
        (global $g (mut f32) (f32.const 0))
        (func $through (param f32) (result f32) (local f32)
            (local.set 1 (local.get 0)) (local.get 1))
        (func (export "f") (param i32) (result f32) (local f32)
            (local.set 1 (f32.load (i32.const 4)))
            (local.set 1 (select (local.get 1) (f32.const 1) (local.get 0)))
            (local.set 1 (block (result f32) (br_if 0 (local.get 1) (local.get 0)) drop (f32.const 2)))
            (global.set $g (local.get 1))
            (local.set 1 (call $through (global.get $g)))
            (local.set 1 (call $same (local.get 1)))
            (local.set 1 (if (result f32) (local.get 0) (then (local.get 1)) (else (f32.const 3))))
            (f32.store (i32.const 8) (local.get 1))
            (f32.load (i32.const 8))))"#;
    for typed in [true, false] {
        let mut guest = cx.guest_with(text, |store, linker| {
            if typed {
                // Through Rust's own `f32`, as most host functions have it.
                linker.func_wrap("h", "same", |x: f32| x).unwrap();
            } else {
                let ty = jitless::FuncType::new(store.engine(), [jitless::ValType::F32], [jitless::ValType::F32]);
                let same = Func::new(&mut *store, ty, |_, args, results| {
                    results[0] = args[0].clone();
                    Ok(())
                });
                linker.define(&*store, "h", "same", same).unwrap();
            }
        });
        guest.gives("f", &vals![1], &[Val::F32(SIGNALLING)]);
        let memory = guest.export("m").into_memory().unwrap();
        assert_eq!(memory.data(&guest.store)[8..12], SIGNALLING.to_le_bytes());
    }
}

fn n17_identities_that_are_none(cx: &Cx) {
    let minus = f32s(-0.0);
    for (operator, other) in
        [("f32.add", minus), ("f32.mul", f32s(1.0)), ("f32.sub", f32s(0.0)), ("f32.div", f32s(1.0))]
    {
        check(cx, &[(operator, &[F32(SIGNALLING), other], QuietNan), (operator, &[minus, other], Is(minus))]);
    }
    check(cx, &[("f32.add", &[minus, f32s(0.0)], Is(f32s(0.0))), ("f32.sub", &[f32s(0.0), f32s(0.0)], Is(f32s(0.0)))]);
    let mut guest = cx.guest(
        r#"(module
            (func (export "neg") (param f32) (result f32) (f32.neg (f32.neg (local.get 0))))
            (func (export "abs") (param f32) (result f32) (f32.abs (f32.neg (local.get 0))))
            (func (export "abs64") (param f64) (result f64) (f64.abs (f64.neg (local.get 0))))
            (func (export "nabs") (param f32) (result f32) (f32.neg (f32.abs (local.get 0))))
            (func (export "eqz") (param i32) (result i32) (i32.eqz (i32.eqz (local.get 0))))
            (func (export "eqz64") (param i64) (result i32) (i32.eqz (i64.eqz (local.get 0))))
            (func (export "eqz3") (param i32) (result i32) (i32.eqz (i32.eqz (i32.eqz (local.get 0))))))"#,
    );
    for bits in [SIGNALLING, SIGNALLING | 1 << 31, 0, 1 << 31, 0x7F80_0000] {
        guest.gives("neg", &[Val::F32(bits)], &[Val::F32(bits)]);
        guest.gives("abs", &[Val::F32(bits)], &[Val::F32(bits & !(1 << 31))]);
        guest.gives("nabs", &[Val::F32(bits)], &[Val::F32(bits | 1 << 31)]);
    }
    guest.gives("abs64", &[Val::F64(0xFFF4_0000_0000_0001)], &[Val::F64(0x7FF4_0000_0000_0001)]);
    guest.gives("eqz", &vals![5], &vals![1]);
    guest.gives("eqz", &vals![0], &vals![0]);
    guest.gives("eqz64", &vals![1i64 << 40], &vals![1]);
    guest.gives("eqz3", &vals![5], &vals![0]);
}

fn n18_negated_float_comparisons(cx: &Cx) {
    let mut text = String::from("(module");
    let compare = |name: &str, a: f64, b: f64| match name {
        "eq" => a == b,
        "ne" => a != b,
        "lt" => a < b,
        "gt" => a > b,
        "le" => a <= b,
        _ => a >= b,
    };
    let names = ["eq", "ne", "lt", "gt", "le", "ge"];
    for ty in ["f32", "f64"] {
        for name in names {
            for negations in 0..3 {
                let mut condition = format!("({ty}.{name} (local.get 0) (local.get 1))");
                for _ in 0..negations {
                    condition = format!("(i32.eqz {condition})");
                }
                write!(
                    text,
                    "(func (export \"{ty}.{name}.{negations}\") (param {ty} {ty}) (result i32 i32 i32 i32 i32)
                        (block (result i32) (i32.const 1) (br_if 0 {condition}) drop (i32.const 0))
                        (if (result i32) {condition} (then (i32.const 1)) (else (i32.const 0)))
                        (select (i32.const 1) (i32.const 0) {condition})
                        (loop (result i32) (block (br_if 0 {condition}) (br 2 (i32.const 0) (i32.const 0) (i32.const 0)
                            (i32.const 0) (i32.const 0))) (i32.const 1))
                        {condition})"
                )
                .unwrap();
            }
        }
    }
    text.push(')');
    let mut guest = cx.guest(&text);
    for ty in ["f32", "f64"] {
        for name in names {
            for negations in 0..3 {
                for (a, b) in [
                    (f64::NAN, 1.0),
                    (1.0, f64::NAN),
                    (f64::NAN, f64::NAN),
                    (1.0, 2.0),
                    (2.0, 1.0),
                    (1.0, 1.0),
                    (0.0, -0.0),
                ] {
                    let args = if ty == "f32" { vals![a as f32, b as f32] } else { vals![a, b] };
                    let holds = i32::from(compare(name, a, b) ^ (negations % 2 == 1));
                    guest.gives(&format!("{ty}.{name}.{negations}"), &args, &vals![holds, holds, holds, holds, holds]);
                }
            }
        }
    }
}

fn n19_constants_on_the_left_of_comparisons(cx: &Cx) {
    let constants = [0, 1, -1, 0x7FFF, 0x8000, 0xFFFF_8000u32 as i32, i32::MIN];
    let names = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"];
    let compare = |name: &str, a: i64, b: i64| {
        let (ua, ub) = (a as u64, b as u64);
        match name {
            "eq" => a == b,
            "ne" => a != b,
            "lt_s" => a < b,
            "lt_u" => ua < ub,
            "gt_s" => a > b,
            "gt_u" => ua > ub,
            "le_s" => a <= b,
            "le_u" => ua <= ub,
            "ge_s" => a >= b,
            _ => ua >= ub,
        }
    };
    let mut text = String::from("(module");
    for ty in ["i32", "i64"] {
        for name in names {
            for constant in constants {
                let ways = |left: &str, right: &str| {
                    let condition = format!("({ty}.{name} {left} {right})");
                    format!(
                        "{condition} (block (result i32) (i32.const 1) (br_if 0 {condition}) drop (i32.const 0))
                         (if (result i32) {condition} (then (i32.const 1)) (else (i32.const 0)))
                         (select (i32.const 1) (i32.const 0) {condition}) (i32.eqz {condition})"
                    )
                };
                let (x, c) = ("(local.get 0)".to_string(), format!("({ty}.const {constant})"));
                write!(
                    text,
                    "(func (export \"{ty}.{name}.{constant}\") (param {ty})
                        (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
                        {} {})",
                    ways(&c, &x),
                    ways(&x, &c)
                )
                .unwrap();
            }
        }
    }
    text.push(')');
    let mut guest = cx.guest(&text);
    for name in names {
        for constant in constants {
            for x in [0, 1, -1, 0x7FFF, 0x8000, 0xFFFF_8000u32 as i32, i32::MIN, i32::MAX, 12345] {
                let (c, x) = (i64::from(constant), i64::from(x));
                let [left, right] = [compare(name, c, x), compare(name, x, c)].map(i32::from);
                let want = vals![left, left, left, left, 1 - left, right, right, right, right, 1 - right];
                guest.gives(&format!("i32.{name}.{constant}"), &vals![x as i32], &want);
                guest.gives(&format!("i64.{name}.{constant}"), &vals![x], &want);
            }
        }
    }
}

fn n20_subtractions_of_constants(cx: &Cx) {
    for x in [0, 1, -1, i32::MIN, i32::MAX, 5] {
        let y = i64::from(x) << 32 | 7;
        check(
            cx,
            &[
                ("i32.sub", &[I32(x), I32(i32::MIN)], Is(I32(x.wrapping_sub(i32::MIN)))),
                ("i64.sub", &[I64(y), I64(i64::MIN)], Is(I64(y.wrapping_sub(i64::MIN)))),
                ("i32.sub", &[I32(x), I32(-32768)], Is(I32(x.wrapping_add(32768)))),
                ("i32.sub", &[I32(0), I32(x)], Is(I32(x.wrapping_neg()))),
                ("i64.sub", &[I64(0), I64(i64::MIN)], Is(I64(i64::MIN))),
            ],
        );
    }
}

fn n21_dirty_upper_halves(cx: &Cx) {
    let text = r#"(module
        (import "h" "see" (func $see (param i32) (result i64)))
        (memory (export "m") 1) (data (i32.const 1) "\2a") (table $t 3 externref) (table $f 2 funcref) (elem
        (table $f) (i32.const 1) func $g)
        (func $g (result i32) (i32.const 9))
        (func (export "extend") (param i64) (result i64) (i64.extend_i32_u (i32.wrap_i64 (local.get 0))))
        (func (export "load") (param i64) (result i32) (i32.load8_u (i32.wrap_i64 (local.get 0))))
        (func (export "store") (param i64) (i32.store8 offset=7 (i32.wrap_i64 (local.get 0)) (i32.const 5)))
        (func (export "get") (param i64) (result i32) (ref.is_null (table.get $t (i32.wrap_i64 (local.get 0)))))
        (func (export "grow") (param i64) (result i32) (memory.grow (i32.wrap_i64 (local.get 0))))
        (func (export "tgrow") (param i64) (result i32) (table.grow $t (ref.null extern) (i32.wrap_i64 (local.get 0))))
        (func (export "case") (param i64) (result i32)
            (block (block (block (br_table 0 1 2 (i32.wrap_i64 (local.get 0))))
                (return (i32.const 10))) (return (i32.const 11))) (i32.const 12))
        (func (export "indirect") (param i64) (result i32) (call_indirect $f (result i32) (i32.wrap_i64 (local.get 0))))
        (func (export "host") (param i64) (result i64) (call $see (i32.wrap_i64 (local.get 0))))
        (func (export "if") (param i64) (result i32)
            (if (result i32) (i32.wrap_i64 (local.get 0)) (then (i32.const 1)) (else (i32.const 0))))
        (func (export "eqz") (param i64) (result i32) (i32.eqz (i32.wrap_i64 (local.get 0))))
        (func (export "div") (param i64) (result i32) (i32.div_u (i32.const 7) (i32.wrap_i64 (local.get 0))))
        (func (export "shr") (param i64) (result i32) (i32.shr_u (i32.wrap_i64 (local.get 0)) (i32.const 0)))
        (func (export "convert") (param i64) (result f64) (f64.convert_i32_u (i32.wrap_i64 (local.get 0))))
        (func (export "fill") (param i64)
            (memory.fill (i32.const 100) (i32.const 1) (i32.wrap_i64 (local.get 0))))
        (func (export "set") (param i64) (result i64) (local i32)
            (local.set 1 (i32.wrap_i64 (local.get 0))) (i64.extend_i32_u (local.get 1))))"#;
    let mut guest = cx.guest_with(text, |_, linker| {
        linker.func_wrap("h", "see", |x: u32| u64::from(x)).unwrap();
    });
    let dirty = vals![0xDEAD_BEEF_0000_0001u64];
    for (name, want) in [
        ("extend", vals![1i64]),
        ("load", vals![42]),
        ("get", vals![1]),
        ("grow", vals![1]),
        ("tgrow", vals![3]),
        ("case", vals![11]),
        ("indirect", vals![9]),
        ("host", vals![1i64]),
        ("if", vals![1]),
        ("eqz", vals![0]),
        ("div", vals![7]),
        ("shr", vals![1]),
        ("convert", vals![1.0]),
        ("set", vals![1i64]),
    ] {
        guest.gives(name, &dirty, &want);
    }
    guest.gives("store", &dirty, &[]);
    guest.gives("fill", &dirty, &[]);
    let memory = guest.export("m").into_memory().unwrap();
    let bytes = memory.data(&guest.store);
    assert_eq!((bytes[8], &bytes[100..102]), (5, &[1, 0][..]));
    assert_eq!(bytes.len(), 2 << 16);
}

fn n22_every_producer_of_i32(cx: &Cx) {
    let producers: &[(&str, &str, i32)] = &[
        ("memory.size", "(memory.size)", 1),
        ("memory.grow", "(memory.grow (i32.const 60000))", -1),
        ("table.size", "(table.size $t)", 2),
        ("table.grow", "(table.grow $t (ref.null func) (i32.const -1))", -1),
        ("i64.eqz", "(i64.eqz (local.get $zero))", 1),
        ("load8_s", "(i32.load8_s (i32.const 4))", -128),
        ("load16_s", "(i32.load16_s (i32.const 4))", -128),
        ("load", "(i32.load (i32.const 4))", -128),
        ("extend8_s", "(i32.extend8_s (i32.load8_u (i32.const 4)))", -128),
        ("extend16_s", "(i32.extend16_s (i32.load16_u (i32.const 4)))", -128),
        ("reinterpret", "(i32.reinterpret_f32 (f32.const -0.0))", i32::MIN),
        ("reinterpret of a local", "(i32.reinterpret_f32 (f32.neg (local.get $f)))", i32::MIN),
        ("ref.is_null", "(ref.is_null (local.get $r))", 1),
        ("host", "(call $minus)", -1),
        ("guest", "(call $g)", -1),
        ("wrap", "(i32.wrap_i64 (i64.const -1))", -1),
        ("sub", "(i32.sub (i32.wrap_i64 (local.get $zero)) (i32.const 1))", -1),
        ("mul", "(i32.mul (i32.const -1) (i32.load (i32.const 4)))", 128),
        ("add", "(i32.add (i32.load (i32.const 4)) (i32.load (i32.const 4)))", -256),
        ("shl", "(i32.shl (i32.load (i32.const 4)) (i32.const 8))", -32768),
        ("shr_s", "(i32.shr_s (i32.load (i32.const 4)) (i32.const 1))", -64),
        ("rotl", "(i32.rotl (i32.load (i32.const 4)) (i32.const 1))", -255),
        ("xor", "(i32.xor (i32.load (i32.const 4)) (i32.const 1))", -127),
        ("div_s", "(i32.div_s (i32.load (i32.const 4)) (i32.const 2))", -64),
        ("rem_s", "(i32.rem_s (i32.load (i32.const 4)) (i32.const 100))", -28),
        ("trunc", "(i32.trunc_f64_s (f64.const -1))", -1),
        ("trunc_sat", "(i32.trunc_sat_f64_u (f64.const 1e30))", -1),
        ("global", "(global.get $n)", -1),
        ("select", "(select (i32.const -1) (i32.const 0) (i64.eqz (local.get $zero)))", -1),
        ("block", "(block (result i32) (i32.const -1))", -1),
        ("tee", "(local.tee $x (i32.load (i32.const 4)))", -128),
    ];
    let mut text = String::from(
        r#"(module (import "h" "minus" (func $minus (result i32)))
            (memory 1 1) (data (i32.const 4) "\80\ff\ff\ff") (table $t 2 2 funcref) (global $n (mut i32) (i32.const -1))
            (func $g (result i32) (i32.const -1))"#,
    );
    for (name, producer, _) in producers {
        write!(
            text,
            "(func (export \"{name}\") (result i64 i64 i64) (local $zero i64) (local $f f32) (local $r funcref)
                (local $x i32)
                (i64.extend_i32_u {producer})
                (local.set $x {producer}) (i64.shr_u (i64.extend_i32_u (local.get $x)) (i64.const 0))
                (i64.add (i64.const 0) (i64.extend_i32_u {producer})))"
        )
        .unwrap();
    }
    text.push(')');
    let mut guest = cx.guest_with(&text, |_, linker| {
        linker.func_wrap("h", "minus", || -1i32).unwrap();
    });
    for &(name, _, want) in producers {
        let want = i64::from(want as u32);
        guest.gives(name, &[], &vals![want, want, want]);
    }
}

fn n23_counting_and_extending(cx: &Cx) {
    check(
        cx,
        &[
            ("i32.clz", &[I32(0)], Is(I32(32))),
            ("i32.ctz", &[I32(0)], Is(I32(32))),
            ("i64.clz", &[I64(0)], Is(I64(64))),
            ("i64.ctz", &[I64(0)], Is(I64(64))),
            ("i32.clz", &[I32(1)], Is(I32(31))),
            ("i32.ctz", &[I32(i32::MIN)], Is(I32(31))),
            ("i32.popcnt", &[I32(-1)], Is(I32(32))),
            ("i64.popcnt", &[I64(-1)], Is(I64(64))),
            ("i32.extend8_s", &[I32(0x80)], Is(I32(-128))),
            ("i32.extend8_s", &[I32(0xFFFF_FF7Fu32 as i32)], Is(I32(127))),
            ("i32.extend16_s", &[I32(0x8000)], Is(I32(-32768))),
            ("i64.extend8_s", &[I64(0x80)], Is(I64(-128))),
            ("i64.extend16_s", &[I64(0x8000)], Is(I64(-32768))),
            ("i64.extend32_s", &[I64(0x8000_0000)], Is(I64(-2147483648))),
        ],
    );
}

fn n26_select_of_the_same(cx: &Cx) {
    let mut text = String::from("(module");
    let mut calls = Vec::new();
    for (ty, number) in [("i32", I32(7)), ("i64", I64(7)), ("f32", f32s(7.5)), ("f64", f64s(7.5))] {
        for (sort, value) in [("local", "(local.get 0)".to_string()), ("constant", number.constant())] {
            for (how, condition) in [("0", "(i32.const 0)"), ("1", "(i32.const 1)"), ("p", "(local.get 1)")] {
                let name = format!("{ty}.{sort}.{how}");
                let other = match ty {
                    "i32" | "i64" => format!("({ty}.const -9)"),
                    _ => format!("({ty}.const -9.25)"),
                };
                let minus = match ty {
                    "i32" => I32(-9),
                    "i64" => I64(-9),
                    "f32" => f32s(-9.25),
                    _ => f64s(-9.25),
                };
                write!(
                    text,
                    "(func (export \"{name}\") (param {ty} i32) (result {ty} {ty} {ty})
                        (select {value} {value} {condition})
                        (select {value} {other} {condition}) (select (result {ty}) {other} {value} {condition}))"
                )
                .unwrap();
                calls.push((name, how, number, minus));
            }
        }
    }
    text.push_str(
        r#"(func (export "externref") (param externref i32) (result externref externref)
            (select (result externref) (local.get 0) (local.get 0) (local.get 1))
            (select (result externref) (ref.null extern) (local.get 0) (i32.const 0))))"#,
    );
    let mut guest = cx.guest(&text);
    for (name, how, number, minus) in calls {
        for condition in [0, 1] {
            let taken = how == "1" || (how == "p" && condition == 1);
            let (first, second) = if taken { (number, minus) } else { (minus, number) };
            let want = [number.val(), first.val(), second.val()];
            guest.gives(&name, &[number.val(), Val::I32(condition)], &want);
        }
    }
    let object = jitless::ExternRef::new(&mut guest.store, 5u8).unwrap();
    let want = [Val::from(object.clone()), Val::from(object.clone())];
    guest.gives("externref", &[object.into(), Val::I32(1)], &want);
}

fn n27_ref_is_null(cx: &Cx) {
    let mut guest = cx.guest(
        r#"(module (elem declare func $f) (func $f)
            (func (export "null") (result i32 i32)
                (ref.is_null (ref.null func)) (ref.is_null (ref.null extern)))
            (func (export "func") (result i32) (ref.is_null (ref.func $f)))
            (func (export "taken") (param funcref) (result i32)
                (block (br_if 0 (i32.eqz (ref.is_null (local.get 0)))) (return (i32.const 0))) (i32.const 1))
            (func (export "both") (result i32 i32)
                (block (result i32) (i32.const 1) (br_if 0 (i32.eqz (ref.is_null (ref.null func)))) drop (i32.const 0))
                (block (result i32) (i32.const 1) (br_if 0 (i32.eqz (ref.is_null (ref.func $f)))) drop
                (i32.const 0))))"#,
    );
    guest.gives("null", &[], &vals![1, 1]);
    guest.gives("func", &[], &vals![0]);
    guest.gives("both", &[], &vals![0, 1]);
    guest.gives("taken", &[Val::null_func_ref()], &vals![0]);
    let func = Func::wrap(&mut guest.store, || {});
    guest.gives("taken", &[Ref::from(func).into()], &vals![1]);
}

fn n28_subnormals(cx: &Cx) {
    let p75 = f32s(2f32.powi(-75));
    let least = F32(1);
    check(
        cx,
        &[
            ("f32.sqrt", &[f32s(-0.0)], Is(f32s(-0.0))),
            ("f64.div", &[f64s(0.0), f64s(0.0)], QuietNan),
            ("f64.div", &[f64s(1.0), f64s(-0.0)], Is(f64s(f64::NEG_INFINITY))),
            ("f32.mul", &[p75, p75], Is(F32(0))),
            ("f32.mul", &[least, least], Is(F32(0))),
            ("f32.add", &[least, f32s(0.0)], Is(least)),
            ("f32.mul", &[least, f32s(2.0)], Is(F32(2))),
            ("f64.add", &[F64(1), F64(1)], Is(F64(2))),
            ("f64.mul", &[F64(1), f64s(0.5)], Is(F64(0))),
            ("f32.demote_f64", &[f64s(2f64.powi(-149))], Is(least)),
        ],
    );
}
