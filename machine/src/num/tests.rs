//! Each kernel against tables of edge cases and against a model: wider integers, or the functions of `std`.

use std::{hint::black_box, vec::Vec};

use super::*;

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }
}

fn integers() -> Vec<u64> {
    let mut all = Vec::new();
    for shift in 0..64 {
        let power = 1u64 << shift;
        all.extend([power, power - 1, power + 1, power.wrapping_neg(), !power, power.wrapping_neg().wrapping_add(1)]);
    }
    let mut random = Random(1);
    all.extend((0..300).map(|_| random.next() >> (random.next() % 64)));
    all
}

/// Edges, all bit patterns alike, and numbers near integers and halves.
macro_rules! floats {
    ($name:ident, $float:ident, $bits:ty, $int:ty) => {
        fn $name() -> Vec<$float> {
            let quiet = 1 << ($float::MANTISSA_DIGITS - 2);
            let infinity = $float::INFINITY.to_bits();
            let mut all: Vec<$float> =
                [infinity, infinity | 1, infinity | quiet, infinity | quiet | 5, infinity | (quiet - 1), 1, quiet]
                    .map($float::from_bits)
                    .into();
            all.extend([0.0, 0.5, 1.0, 1.5, 2.5, 3.5, $float::MAX, $float::MIN_POSITIVE, $float::EPSILON]);
            for power in 0..70 {
                let near = (2.0 as $float).powi(power);
                all.extend([near, near + 1.0, near - 1.0, near + 0.5, near - 0.5, near * 1.5]);
            }
            for near in all.clone() {
                all.extend([near.next_up(), near.next_down()]);
            }
            let mut random = Random(2);
            for _ in 0..2000 {
                all.push($float::from_bits(random.next() as $bits));
                all.push((random.next() as $int >> (random.next() % <$bits>::BITS as u64)) as $float / 4.0);
            }
            for one in all.clone() {
                all.push(-one);
            }
            all
        }
    };
}
floats!(singles, f32, u32, i32);
floats!(doubles, f64, u64, i64);

/// The table and the kernels have the same names and types.
macro_rules! types_agree {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            ($($operand:ident)*) -> $result:ident = $totality:ident $kernel:ident fuel $fuel:literal $($flag:ident)*;
    )*) => {
        #[test]
        fn types_agree() {
            $(let _: fn($(machine!($operand)),*) -> machine!($totality $result) = $kernel;)*
        }
    };
}
macro_rules! machine {
    (I32) => { u32 };
    (I64) => { u64 };
    (F32) => { f32 };
    (F64) => { f64 };
    (total $result:ident) => { machine!($result) };
    (traps $result:ident) => { Result<machine!($result), Trap> };
}
crate::for_each_plain!(types_agree);

macro_rules! integer_tests {
    ($module:ident, $unsigned:ident, $signed:ident:
        $eqz:ident $eq:ident $ne:ident $lt_s:ident $lt_u:ident $gt_s:ident $gt_u:ident $le_s:ident $le_u:ident
        $ge_s:ident $ge_u:ident $clz:ident $ctz:ident $popcnt:ident $add:ident $sub:ident $mul:ident $div_s:ident
        $div_u:ident $rem_s:ident $rem_u:ident $and:ident $or:ident $xor:ident $shl:ident $shr_s:ident $shr_u:ident
        $rotl:ident $rotr:ident $extend8_s:ident $extend16_s:ident) => {
        mod $module {
            use super::*;

            const BITS: u32 = $unsigned::BITS;

            fn pairs() -> impl Iterator<Item = ($unsigned, $unsigned)> {
                let all: Vec<$unsigned> = integers().into_iter().map(|one| one as $unsigned).collect();
                all.clone().into_iter().flat_map(move |a| all.clone().into_iter().map(move |b| (a, b)))
            }

            /// The low bits of a wide result.
            fn low(wide: i128) -> $unsigned {
                wide.rem_euclid(1 << BITS) as $unsigned
            }

            #[test]
            fn two_operands() {
                for (a, b) in pairs() {
                    let (u, v) = (i128::from(a), i128::from(b));
                    let (s, t) = (i128::from(a as $signed), i128::from(b as $signed));
                    let ordered = [
                        ($eq(a, b), u == v),
                        ($ne(a, b), u != v),
                        ($lt_s(a, b), s < t),
                        ($lt_u(a, b), u < v),
                        ($gt_s(a, b), s > t),
                        ($gt_u(a, b), u > v),
                        ($le_s(a, b), s <= t),
                        ($le_u(a, b), u <= v),
                        ($ge_s(a, b), s >= t),
                        ($ge_u(a, b), u >= v),
                    ];
                    for (n, (found, expected)) in ordered.into_iter().enumerate() {
                        assert_eq!(found, u32::from(expected), "comparison {n} of {a:#x} and {b:#x}");
                    }
                    assert_eq!($add(a, b), low(u + v), "{a:#x} + {b:#x}");
                    assert_eq!($sub(a, b), low(u - v), "{a:#x} - {b:#x}");
                    assert_eq!($mul(a, b), low(u.wrapping_mul(v)), "{a:#x} * {b:#x}");
                    let (quotient, rest) = if b == 0 {
                        (Err(Trap::IntegerDivisionByZero), Err(Trap::IntegerDivisionByZero))
                    } else if s / t > i128::from($signed::MAX) {
                        (Err(Trap::IntegerOverflow), Ok(0))
                    } else {
                        (Ok(low(s / t)), Ok(low(s % t)))
                    };
                    assert_eq!($div_s(a, b), quotient, "{a:#x} / {b:#x}");
                    assert_eq!($rem_s(a, b), rest, "{a:#x} % {b:#x}");
                    let (quotient, rest) = if b == 0 {
                        (Err(Trap::IntegerDivisionByZero), Err(Trap::IntegerDivisionByZero))
                    } else {
                        (Ok(low(u / v)), Ok(low(u % v)))
                    };
                    assert_eq!($div_u(a, b), quotient, "{a:#x} / {b:#x}");
                    assert_eq!($rem_u(a, b), rest, "{a:#x} % {b:#x}");

                    let distance = (v % i128::from(BITS)) as u32;
                    let twice = u128::from(a) << BITS | u128::from(a);
                    assert_eq!($shl(a, b), low(u << distance), "{a:#x} << {b:#x}");
                    assert_eq!($shr_s(a, b), low(s >> distance), "{a:#x} >> {b:#x}");
                    assert_eq!($shr_u(a, b), low(u >> distance), "{a:#x} >>> {b:#x}");
                    assert_eq!($rotl(a, b), (twice >> (BITS - distance)) as $unsigned, "{a:#x} rotl {b:#x}");
                    assert_eq!($rotr(a, b), (twice >> distance) as $unsigned, "{a:#x} rotr {b:#x}");
                }
            }

            #[test]
            fn bit_by_bit() {
                let bit = |a: $unsigned, n: u32| (u128::from(a) >> n) as u32 & 1;
                for a in integers().into_iter().map(|one| one as $unsigned) {
                    assert_eq!($eqz(a), u32::from((0..BITS).all(|n| bit(a, n) == 0)), "{a:#x}");
                    let highest = (0..BITS).rev().position(|n| bit(a, n) == 1);
                    let lowest = (0..BITS).position(|n| bit(a, n) == 1);
                    assert_eq!($clz(a), highest.unwrap_or(BITS as usize) as $unsigned, "{a:#x}");
                    assert_eq!($ctz(a), lowest.unwrap_or(BITS as usize) as $unsigned, "{a:#x}");
                    assert_eq!($popcnt(a), (0..BITS).filter(|&n| bit(a, n) == 1).count() as $unsigned, "{a:#x}");
                    for (extend, width) in [($extend8_s as fn(_) -> _, 8), ($extend16_s, 16)] {
                        let value = i128::from(a) % (1 << width);
                        let signed = if value < 1 << (width - 1) { value } else { value - (1 << width) };
                        assert_eq!(extend(a), low(signed), "{a:#x} of {width} bits");
                    }
                }
                for (a, b) in pairs() {
                    for n in [0, 1, BITS / 2, BITS - 1] {
                        let (x, y) = (bit(a, n), bit(b, n));
                        assert_eq!(bit($and(a, b), n), x * y);
                        assert_eq!(bit($or(a, b), n), (x + y).min(1));
                        assert_eq!(bit($xor(a, b), n), (x + y) % 2);
                    }
                }
            }
        }
    };
}
integer_tests! {
    i32_, u32, i32:
    i32_eqz i32_eq i32_ne i32_lt_s i32_lt_u i32_gt_s i32_gt_u i32_le_s i32_le_u i32_ge_s i32_ge_u i32_clz i32_ctz
    i32_popcnt i32_add i32_sub i32_mul i32_div_s i32_div_u i32_rem_s i32_rem_u i32_and i32_or i32_xor i32_shl
    i32_shr_s i32_shr_u i32_rotl i32_rotr i32_extend8_s i32_extend16_s
}
integer_tests! {
    i64_, u64, i64:
    i64_eqz i64_eq i64_ne i64_lt_s i64_lt_u i64_gt_s i64_gt_u i64_le_s i64_le_u i64_ge_s i64_ge_u i64_clz i64_ctz
    i64_popcnt i64_add i64_sub i64_mul i64_div_s i64_div_u i64_rem_s i64_rem_u i64_and i64_or i64_xor i64_shl
    i64_shr_s i64_shr_u i64_rotl i64_rotr i64_extend8_s i64_extend16_s
}

#[test]
fn widths() {
    for a in integers() {
        assert_eq!(u128::from(i32_wrap_i64(a)), u128::from(a) % (1 << 32));
        assert_eq!(u128::from(i64_extend_i32_u(a as u32)), u128::from(a) % (1 << 32));
        assert_eq!(i128::from(i64_extend_i32_s(a as u32) as i64), i128::from(a as u32 as i32));
        assert_eq!(i64_extend32_s(a), i64_extend_i32_s(a as u32));
    }
}

macro_rules! float_tests {
    ($module:ident, $float:ident, $bits:ident, $floats:ident, $by_integers:path:
        $eq:ident $ne:ident $lt:ident $gt:ident $le:ident $ge:ident $abs:ident $neg:ident $ceil:ident $floor:ident
        $trunc:ident $nearest:ident $sqrt:ident $add:ident $sub:ident $mul:ident $div:ident $min:ident $max:ident
        $copysign:ident $to_bits:ident $of_bits:ident) => {
        mod $module {
            use super::*;

            const SIGN: $bits = 1 << ($bits::BITS - 1);
            const QUIET: $bits = 1 << ($float::MANTISSA_DIGITS - 2);

            /// Few enough to take two at a time.
            fn some() -> Vec<$float> {
                let all = $floats();
                let step = all.len() / 300;
                let few = all.iter().take(50).chain(all.iter().step_by(step));
                few.flat_map(|&one| [one, -one]).collect()
            }

            fn same(found: $float, expected: $float, what: &str, a: $float) {
                assert_eq!(found.to_bits(), expected.to_bits(), "{what} of {a:?} = {:#x}", a.to_bits());
            }

            #[test]
            fn rounding() {
                for a in $floats() {
                    if a.is_nan() {
                        let quiet = $float::from_bits(a.to_bits() | QUIET);
                        for kernel in [$floor, $ceil, $trunc, $nearest] {
                            same(kernel(a), quiet, "quiet", a);
                        }
                    } else {
                        same($floor(a), a.floor(), "floor", a);
                        same($ceil(a), a.ceil(), "ceil", a);
                        same($trunc(a), a.trunc(), "trunc", a);
                        same($nearest(a), a.round_ties_even(), "nearest", a);
                    }
                }
            }

            #[test]
            fn rounding_by_table() {
                let infinity = $float::INFINITY;
                for (a, floor, ceil, trunc, nearest) in [
                    (0.0, 0.0, 0.0, 0.0, 0.0),
                    (0.3, 0.0, 1.0, 0.0, 0.0),
                    (0.5, 0.0, 1.0, 0.0, 0.0),
                    (0.7, 0.0, 1.0, 0.0, 1.0),
                    (1.0, 1.0, 1.0, 1.0, 1.0),
                    (1.5, 1.0, 2.0, 1.0, 2.0),
                    (2.5, 2.0, 3.0, 2.0, 2.0),
                    (3.5, 3.0, 4.0, 3.0, 4.0),
                    (4_194_303.5, 4_194_303.0, 4_194_304.0, 4_194_303.0, 4_194_304.0),
                    (8_388_607.0, 8_388_607.0, 8_388_607.0, 8_388_607.0, 8_388_607.0),
                    (8_388_609.0, 8_388_609.0, 8_388_609.0, 8_388_609.0, 8_388_609.0),
                    (1e30, 1e30, 1e30, 1e30, 1e30),
                    (infinity, infinity, infinity, infinity, infinity),
                ] {
                    same($floor(a), floor, "floor", a);
                    same($ceil(a), ceil, "ceil", a);
                    same($trunc(a), trunc, "trunc", a);
                    same($nearest(a), nearest, "nearest", a);
                    same($floor(-a), -ceil, "floor", -a);
                    same($ceil(-a), -floor, "ceil", -a);
                    same($trunc(-a), -trunc, "trunc", -a);
                    same($nearest(-a), -nearest, "nearest", -a);
                }
            }

            #[test]
            fn roots() {
                for a in $floats() {
                    if a.is_nan() || a < 0.0 {
                        for root in [$sqrt(a), $by_integers(a)] {
                            assert!(root.is_nan() && root.to_bits() & QUIET != 0, "{a:?}");
                        }
                    } else {
                        same($sqrt(a), a.sqrt(), "root", a);
                        same($by_integers(a), a.sqrt(), "root by integers", a);
                    }
                }
                for (a, root) in [(4.0, 2.0), (2.25, 1.5), (0.0625, 0.25), (-0.0, -0.0)] {
                    same($sqrt(a), root, "root", a);
                    same($by_integers(a), root, "root by integers", a);
                }
            }

            #[test]
            fn signs() {
                for a in $floats() {
                    let bits = a.to_bits();
                    assert_eq!($abs(a).to_bits(), bits & !SIGN);
                    assert_eq!($neg(a).to_bits(), bits ^ SIGN);
                    assert_eq!($to_bits(a), bits);
                    assert_eq!($of_bits(bits).to_bits(), bits);
                    for b in [1.0, -1.0, 0.0, -0.0, $float::NAN, -$float::NAN] {
                        assert_eq!($copysign(a, b).to_bits(), bits & !SIGN | b.to_bits() & SIGN);
                    }
                }
            }

            #[test]
            fn comparisons() {
                // The order of numbers is that of their bits as integers of sign and size.
                let rank = |a: $float| {
                    let size = i128::from(a.to_bits() & !SIGN);
                    if a.to_bits() & SIGN == 0 { size } else { -size }
                };
                for a in some() {
                    for b in some() {
                        let order = (!a.is_nan() && !b.is_nan()).then(|| rank(a).cmp(&rank(b)));
                        let cases = [
                            ($eq(a, b), order.is_some_and(|o| o.is_eq())),
                            ($ne(a, b), order.is_none_or(|o| o.is_ne())),
                            ($lt(a, b), order.is_some_and(|o| o.is_lt())),
                            ($gt(a, b), order.is_some_and(|o| o.is_gt())),
                            ($le(a, b), order.is_some_and(|o| o.is_le())),
                            ($ge(a, b), order.is_some_and(|o| o.is_ge())),
                        ];
                        for (n, (found, expected)) in cases.into_iter().enumerate() {
                            assert_eq!(found, u32::from(expected), "comparison {n} of {a:?} and {b:?}");
                        }
                    }
                }
            }

            #[test]
            fn extremes() {
                for a in some() {
                    for b in some() {
                        let (least, most) = ($min(a, b), $max(a, b));
                        if a.is_nan() || b.is_nan() {
                            for found in [least, most] {
                                assert!(found.is_nan() && found.to_bits() & QUIET != 0, "{a:?} {b:?}");
                                let canonical = |x: $float| !x.is_nan() || x.to_bits() & !SIGN == $float::NAN.to_bits();
                                assert!(!canonical(a) || !canonical(b) || canonical(found), "{a:?} {b:?}");
                            }
                            continue;
                        }
                        let (mut low, mut high) = if b.total_cmp(&a).is_lt() { (b, a) } else { (a, b) };
                        if low == high {
                            (low, high) = (low.min(high), high.max(low));
                        }
                        if a == 0.0 && b == 0.0 {
                            let (first, second) = (a.is_sign_negative(), b.is_sign_negative());
                            low = if first || second { -0.0 } else { 0.0 };
                            high = if first && second { -0.0 } else { 0.0 };
                        }
                        same(least, low, "least", a);
                        same(most, high, "most", a);
                    }
                }
            }

            #[test]
            fn arithmetic() {
                let (inf, max, tiny) = ($float::INFINITY, $float::MAX, $float::from_bits(1));
                let half = 1.0 + $float::EPSILON / 2.0;
                for (kernel, a, b, expected) in [
                    ($add as fn($float, $float) -> $float, 1.0, 2.0, 3.0),
                    ($add, 1.0, $float::EPSILON / 2.0, half),
                    ($add, 0.0, -0.0, 0.0),
                    ($add, -0.0, -0.0, -0.0),
                    ($add, max, max, inf),
                    ($sub, 1.5, 2.0, -0.5),
                    ($sub, 1.0, 1.0, 0.0),
                    ($sub, tiny, tiny, 0.0),
                    ($mul, 1.5, -2.0, -3.0),
                    ($mul, max, 2.0, inf),
                    ($mul, tiny, 0.5, 0.0),
                    ($mul, tiny, -0.25, -0.0),
                    ($div, 1.0, 4.0, 0.25),
                    ($div, 1.0, 0.0, inf),
                    ($div, 1.0, -0.0, -inf),
                    ($div, -1.0, inf, -0.0),
                ] {
                    same(kernel(a, b), expected, "arithmetic", a);
                }
                for found in [$add(inf, -inf), $sub(inf, inf), $mul(0.0, inf), $div(0.0, 0.0), $div(inf, inf)] {
                    assert_eq!(found.to_bits() & !SIGN, $float::NAN.to_bits());
                }
                // Hidden from the optimiser, which takes a number times 1 for the number.
                let (signalling, one) = black_box(($float::from_bits($float::INFINITY.to_bits() | 1), 1.0));
                for kernel in [$add, $sub, $mul, $div, $min, $max] {
                    for found in [kernel(signalling, one), kernel(one, signalling)] {
                        assert!(found.is_nan() && found.to_bits() & QUIET != 0);
                    }
                }
            }
        }
    };
}
float_tests! {
    f32_, f32, u32, singles, sqrt::by_integers::single:
    f32_eq f32_ne f32_lt f32_gt f32_le f32_ge f32_abs f32_neg f32_ceil f32_floor f32_trunc f32_nearest f32_sqrt
    f32_add f32_sub f32_mul f32_div f32_min f32_max f32_copysign i32_reinterpret_f32 f32_reinterpret_i32
}
float_tests! {
    f64_, f64, u64, doubles, sqrt::by_integers::double:
    f64_eq f64_ne f64_lt f64_gt f64_le f64_ge f64_abs f64_neg f64_ceil f64_floor f64_trunc f64_nearest f64_sqrt
    f64_add f64_sub f64_mul f64_div f64_min f64_max f64_copysign i64_reinterpret_f64 f64_reinterpret_i64
}

/// Single precision through double precision: one rounding more, which cannot show.
#[test]
fn single_arithmetic() {
    let all = singles();
    for (&a, &b) in all.iter().zip(all.iter().rev()).chain(all.iter().zip(&all[7..])) {
        let (x, y) = (f64::from(a), f64::from(b));
        for (found, expected) in
            [(f32_add(a, b), x + y), (f32_sub(a, b), x - y), (f32_mul(a, b), x * y), (f32_div(a, b), x / y)]
        {
            let expected = expected as f32;
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{a:?} and {b:?}: {found:?} for {expected:?}");
        }
    }
}

/// To integers: the whole part, exactly, where it fits.
#[test]
fn to_integers() {
    fn trunc(a: f64, low: i128, high: i128) -> Result<u64, Trap> {
        if a.is_nan() {
            return Err(Trap::BadConversionToInteger);
        }
        let whole = a as i128;
        if (low..=high).contains(&whole) { Ok(whole as u64) } else { Err(Trap::IntegerOverflow) }
    }
    fn saturate(a: f64, low: i128, high: i128) -> u64 {
        if a.is_nan() { 0 } else { (a as i128).clamp(low, high) as u64 }
    }
    macro_rules! check {
        ($($all:ident: $int:ident as $unsigned:ident $checked:ident $saturating:ident;)*) => {
            $(for a in $all() {
                let (low, high) = (i128::from($int::MIN), i128::from($int::MAX));
                let (wide, name) = (f64::from(a), stringify!($checked));
                assert_eq!($checked(a), trunc(wide, low, high).map(|v| v as $unsigned), "{name} {a:?}");
                assert_eq!($saturating(a), saturate(wide, low, high) as $unsigned, "saturating {name} {a:?}");
            })*
        };
    }
    check! {
        singles: i32 as u32 i32_trunc_f32_s i32_trunc_sat_f32_s;
        singles: u32 as u32 i32_trunc_f32_u i32_trunc_sat_f32_u;
        doubles: i32 as u32 i32_trunc_f64_s i32_trunc_sat_f64_s;
        doubles: u32 as u32 i32_trunc_f64_u i32_trunc_sat_f64_u;
        singles: i64 as u64 i64_trunc_f32_s i64_trunc_sat_f32_s;
        singles: u64 as u64 i64_trunc_f32_u i64_trunc_sat_f32_u;
        doubles: i64 as u64 i64_trunc_f64_s i64_trunc_sat_f64_s;
        doubles: u64 as u64 i64_trunc_f64_u i64_trunc_sat_f64_u;
    }
}

#[test]
fn to_integers_at_the_edges() {
    let overflow = Err(Trap::IntegerOverflow);
    assert_eq!(i32_trunc_f64_s(-2_147_483_648.9), Ok(0x8000_0000));
    assert_eq!(i32_trunc_f64_s(-2_147_483_649.0), overflow);
    assert_eq!(i32_trunc_f64_s(2_147_483_647.9), Ok(0x7fff_ffff));
    assert_eq!(i32_trunc_f64_s(2_147_483_648.0), overflow);
    assert_eq!(i32_trunc_f64_u(-0.9), Ok(0));
    assert_eq!(i32_trunc_f64_u(-1.0), overflow);
    assert_eq!(i32_trunc_f64_u(4_294_967_295.9), Ok(u32::MAX));
    assert_eq!(i32_trunc_f32_s(-2_147_483_648.0), Ok(0x8000_0000));
    assert_eq!(i32_trunc_f32_s(f32::NEG_INFINITY), overflow);
    assert_eq!(i64_trunc_f64_u(f64::INFINITY), Err(Trap::IntegerOverflow));
    assert_eq!(i64_trunc_f32_s(f32::NAN), Err(Trap::BadConversionToInteger));
}

/// From integers: keep `digits` bits, and round by what is cut off.
#[test]
fn from_integers() {
    fn model(value: i128, digits: u32) -> f64 {
        let size = value.unsigned_abs();
        let cut = (128 - size.leading_zeros()).saturating_sub(digits);
        let (kept, rest, half) = (size >> cut, size & ((1 << cut) - 1), (1u128 << cut) >> 1);
        let up = cut > 0 && (rest > half || rest == half && kept & 1 == 1);
        let size = ((kept + u128::from(up)) << cut) as f64;
        if value < 0 { -size } else { size }
    }
    let ties = (0..200).map(|n| (1u64 << 63 | n << 8) + 0x80).chain((0..200).map(|n| (1u64 << 40 | n) << 10));
    let ties = ties.chain((0..200).map(|n| (1u64 << 31 | n << 7) + (n & 1)));
    // A little above a tie: wrong if rounded to double precision first.
    let above = (0..200).map(|n| (1u64 << 62 | n << 39 | 1 << 38) + 1).flat_map(|a| [a, a.wrapping_neg()]);
    for a in integers().into_iter().chain(ties).chain(above) {
        let (u, s) = (i128::from(a), i128::from(a as i64));
        let (u32s, i32s) = (i128::from(a as u32), i128::from(a as u32 as i32));
        assert_eq!(f64::from(f32_convert_i32_s(a as u32)), model(i32s, 24), "{a:#x}");
        assert_eq!(f64::from(f32_convert_i32_u(a as u32)), model(u32s, 24), "{a:#x}");
        assert_eq!(f64::from(f32_convert_i64_s(a)), model(s, 24), "{a:#x}");
        assert_eq!(f64::from(f32_convert_i64_u(a)), model(u, 24), "{a:#x}");
        assert_eq!(f64_convert_i32_s(a as u32), model(i32s, 53), "{a:#x}");
        assert_eq!(f64_convert_i32_u(a as u32), model(u32s, 53), "{a:#x}");
        assert_eq!(f64_convert_i64_s(a), model(s, 53), "{a:#x}");
        assert_eq!(f64_convert_i64_u(a), model(u, 53), "{a:#x}");
    }
    assert_eq!(f64_convert_i64_u(0).to_bits(), 0);
    assert_eq!(f32_convert_i32_s(0).to_bits(), 0);
}

#[test]
fn promotion_and_demotion() {
    for a in singles() {
        let wide = f64_promote_f32(a);
        if a.is_nan() {
            assert_eq!(wide.to_bits() >> 51 & 0xfff, 0xfff, "{a:?}");
        } else {
            assert_eq!(f32_demote_f64(wide).to_bits(), a.to_bits());
        }
        // Halfway between two neighbours goes to the even one, and a little off to the nearer one.
        let next = f32::from_bits(a.to_bits() + 1);
        if a.is_finite() && next.is_finite() && a.is_sign_positive() {
            let half = (wide + f64::from(next)) / 2.0;
            let even = if a.to_bits() & 1 == 0 { a } else { next };
            assert_eq!(f32_demote_f64(half), even, "{a:?}");
            assert_eq!(f32_demote_f64(half.next_down()), a);
            assert_eq!(f32_demote_f64(half.next_up()), next);
            assert_eq!(f32_demote_f64(-half), -even);
        }
    }
    for a in doubles().into_iter().filter(|a| a.is_nan()) {
        let short = f32_demote_f64(a);
        assert!(short.is_nan() && short.to_bits() & 0x0040_0000 != 0, "{:#x}", a.to_bits());
    }
    assert_eq!(f32_demote_f64(f64::MAX), f32::INFINITY);
    assert_eq!(f32_demote_f64(-1e-60).to_bits(), (-0.0f32).to_bits());
}
