//! The kernels: what each plain instruction computes, as a pure function with the name that the table gives it.
//!
//! Integers are unsigned here, whatever sign an instruction sees in them. A kernel is leaf code: no call, no panic, no
//! allocation; the functions of libm are calls, so rounding and square roots are made of plain arithmetic. All of it is
//! exact to the bit by the specification, except which NaN an arithmetic instruction gives: that is the hardware's
//! choice among those allowed. `abs`, `neg` and `copysign` touch the sign alone, of a NaN too.
//!
//! The optimiser may drop an operation that changes no number, and then a NaN is not made quiet. It can where an
//! operand is a constant of the build, such as 1 in a product, or where a number is promoted and demoted at once. So
//! operands come from the guest, and no tile has `F32DemoteF64` around `F64PromoteF32`.

mod sqrt;
#[cfg(test)]
mod tests;

use crate::trap::Trap;

/// One kernel a line.
macro_rules! kernels {
    ($($name:ident($($arg:ident: $ty:ty),+) -> $result:ty $body:block)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            #[inline(always)]
            pub fn $name($($arg: $ty),+) -> $result $body
        )*
    };
}

// Comparisons: 1 or 0.
kernels! {
    i32_eqz(a: u32) -> u32 { u32::from(a == 0) }
    i32_eq(a: u32, b: u32) -> u32 { u32::from(a == b) }
    i32_ne(a: u32, b: u32) -> u32 { u32::from(a != b) }
    i32_lt_s(a: u32, b: u32) -> u32 { u32::from((a as i32) < b as i32) }
    i32_lt_u(a: u32, b: u32) -> u32 { u32::from(a < b) }
    i32_gt_s(a: u32, b: u32) -> u32 { u32::from(a as i32 > b as i32) }
    i32_gt_u(a: u32, b: u32) -> u32 { u32::from(a > b) }
    i32_le_s(a: u32, b: u32) -> u32 { u32::from(a as i32 <= b as i32) }
    i32_le_u(a: u32, b: u32) -> u32 { u32::from(a <= b) }
    i32_ge_s(a: u32, b: u32) -> u32 { u32::from(a as i32 >= b as i32) }
    i32_ge_u(a: u32, b: u32) -> u32 { u32::from(a >= b) }

    i64_eqz(a: u64) -> u32 { u32::from(a == 0) }
    i64_eq(a: u64, b: u64) -> u32 { u32::from(a == b) }
    i64_ne(a: u64, b: u64) -> u32 { u32::from(a != b) }
    i64_lt_s(a: u64, b: u64) -> u32 { u32::from((a as i64) < b as i64) }
    i64_lt_u(a: u64, b: u64) -> u32 { u32::from(a < b) }
    i64_gt_s(a: u64, b: u64) -> u32 { u32::from(a as i64 > b as i64) }
    i64_gt_u(a: u64, b: u64) -> u32 { u32::from(a > b) }
    i64_le_s(a: u64, b: u64) -> u32 { u32::from(a as i64 <= b as i64) }
    i64_le_u(a: u64, b: u64) -> u32 { u32::from(a <= b) }
    i64_ge_s(a: u64, b: u64) -> u32 { u32::from(a as i64 >= b as i64) }
    i64_ge_u(a: u64, b: u64) -> u32 { u32::from(a >= b) }

    f32_eq(a: f32, b: f32) -> u32 { u32::from(a == b) }
    f32_ne(a: f32, b: f32) -> u32 { u32::from(a != b) }
    f32_lt(a: f32, b: f32) -> u32 { u32::from(a < b) }
    f32_gt(a: f32, b: f32) -> u32 { u32::from(a > b) }
    f32_le(a: f32, b: f32) -> u32 { u32::from(a <= b) }
    f32_ge(a: f32, b: f32) -> u32 { u32::from(a >= b) }

    f64_eq(a: f64, b: f64) -> u32 { u32::from(a == b) }
    f64_ne(a: f64, b: f64) -> u32 { u32::from(a != b) }
    f64_lt(a: f64, b: f64) -> u32 { u32::from(a < b) }
    f64_gt(a: f64, b: f64) -> u32 { u32::from(a > b) }
    f64_le(a: f64, b: f64) -> u32 { u32::from(a <= b) }
    f64_ge(a: f64, b: f64) -> u32 { u32::from(a >= b) }
}

// Integers. Shifts and rotations take the distance modulo the width.
kernels! {
    i32_clz(a: u32) -> u32 { a.leading_zeros() }
    i32_ctz(a: u32) -> u32 { a.trailing_zeros() }
    i32_popcnt(a: u32) -> u32 { a.count_ones() }
    i32_add(a: u32, b: u32) -> u32 { a.wrapping_add(b) }
    i32_sub(a: u32, b: u32) -> u32 { a.wrapping_sub(b) }
    i32_mul(a: u32, b: u32) -> u32 { a.wrapping_mul(b) }
    i32_div_s(a: u32, b: u32) -> Result<u32, Trap> {
        match (a as i32).checked_div(b as i32) {
            Some(quotient) => Ok(quotient as u32),
            None if b == 0 => Err(Trap::IntegerDivisionByZero),
            None => Err(Trap::IntegerOverflow),
        }
    }
    i32_div_u(a: u32, b: u32) -> Result<u32, Trap> { a.checked_div(b).ok_or(Trap::IntegerDivisionByZero) }
    i32_rem_s(a: u32, b: u32) -> Result<u32, Trap> {
        if b == 0 { Err(Trap::IntegerDivisionByZero) } else { Ok((a as i32).wrapping_rem(b as i32) as u32) }
    }
    i32_rem_u(a: u32, b: u32) -> Result<u32, Trap> { a.checked_rem(b).ok_or(Trap::IntegerDivisionByZero) }
    i32_and(a: u32, b: u32) -> u32 { a & b }
    i32_or(a: u32, b: u32) -> u32 { a | b }
    i32_xor(a: u32, b: u32) -> u32 { a ^ b }
    i32_shl(a: u32, b: u32) -> u32 { a.wrapping_shl(b) }
    i32_shr_s(a: u32, b: u32) -> u32 { (a as i32).wrapping_shr(b) as u32 }
    i32_shr_u(a: u32, b: u32) -> u32 { a.wrapping_shr(b) }
    i32_rotl(a: u32, b: u32) -> u32 { a.rotate_left(b & 31) }
    i32_rotr(a: u32, b: u32) -> u32 { a.rotate_right(b & 31) }
    i32_extend8_s(a: u32) -> u32 { a as i8 as u32 }
    i32_extend16_s(a: u32) -> u32 { a as i16 as u32 }

    i64_clz(a: u64) -> u64 { u64::from(a.leading_zeros()) }
    i64_ctz(a: u64) -> u64 { u64::from(a.trailing_zeros()) }
    i64_popcnt(a: u64) -> u64 { u64::from(a.count_ones()) }
    i64_add(a: u64, b: u64) -> u64 { a.wrapping_add(b) }
    i64_sub(a: u64, b: u64) -> u64 { a.wrapping_sub(b) }
    i64_mul(a: u64, b: u64) -> u64 { a.wrapping_mul(b) }
    i64_div_s(a: u64, b: u64) -> Result<u64, Trap> {
        match (a as i64).checked_div(b as i64) {
            Some(quotient) => Ok(quotient as u64),
            None if b == 0 => Err(Trap::IntegerDivisionByZero),
            None => Err(Trap::IntegerOverflow),
        }
    }
    i64_div_u(a: u64, b: u64) -> Result<u64, Trap> { a.checked_div(b).ok_or(Trap::IntegerDivisionByZero) }
    i64_rem_s(a: u64, b: u64) -> Result<u64, Trap> {
        if b == 0 { Err(Trap::IntegerDivisionByZero) } else { Ok((a as i64).wrapping_rem(b as i64) as u64) }
    }
    i64_rem_u(a: u64, b: u64) -> Result<u64, Trap> { a.checked_rem(b).ok_or(Trap::IntegerDivisionByZero) }
    i64_and(a: u64, b: u64) -> u64 { a & b }
    i64_or(a: u64, b: u64) -> u64 { a | b }
    i64_xor(a: u64, b: u64) -> u64 { a ^ b }
    i64_shl(a: u64, b: u64) -> u64 { a.wrapping_shl(b as u32) }
    i64_shr_s(a: u64, b: u64) -> u64 { (a as i64).wrapping_shr(b as u32) as u64 }
    i64_shr_u(a: u64, b: u64) -> u64 { a.wrapping_shr(b as u32) }
    i64_rotl(a: u64, b: u64) -> u64 { a.rotate_left(b as u32 & 63) }
    i64_rotr(a: u64, b: u64) -> u64 { a.rotate_right(b as u32 & 63) }
    i64_extend8_s(a: u64) -> u64 { a as i8 as u64 }
    i64_extend16_s(a: u64) -> u64 { a as i16 as u64 }
    i64_extend32_s(a: u64) -> u64 { a as i32 as u64 }
}

// Floating-point numbers.
kernels! {
    f32_abs(a: f32) -> f32 { a.abs() }
    f32_neg(a: f32) -> f32 { -a }
    f32_sqrt(a: f32) -> f32 { sqrt::single(a) }
    f32_add(a: f32, b: f32) -> f32 { a + b }
    f32_sub(a: f32, b: f32) -> f32 { a - b }
    f32_mul(a: f32, b: f32) -> f32 { a * b }
    f32_div(a: f32, b: f32) -> f32 { a / b }
    f32_copysign(a: f32, b: f32) -> f32 { a.copysign(b) }

    f64_abs(a: f64) -> f64 { a.abs() }
    f64_neg(a: f64) -> f64 { -a }
    f64_sqrt(a: f64) -> f64 { sqrt::double(a) }
    f64_add(a: f64, b: f64) -> f64 { a + b }
    f64_sub(a: f64, b: f64) -> f64 { a - b }
    f64_mul(a: f64, b: f64) -> f64 { a * b }
    f64_div(a: f64, b: f64) -> f64 { a / b }
    f64_copysign(a: f64, b: f64) -> f64 { a.copysign(b) }
}

/// The kernels that are more than one operation. From `$fine` on every number is whole, and all below fit `$int`;
/// `$quiet` is the bit that makes a NaN quiet.
macro_rules! float_kernels {
    (
        $float:ident, fine $fine:literal, as $int:ident, quiet $quiet:literal:
        $round:ident $trunc:ident $floor:ident $ceil:ident $nearest:ident $min:ident $max:ident
    ) => {
        /// Rounds by a rule that is given a number and its whole part; a zero gets its sign back.
        #[inline(always)]
        fn $round(a: $float, rule: impl FnOnce($float, $float) -> $float) -> $float {
            if a.abs() < $fine {
                // SAFETY: not a NaN, and numbers below `$fine` fit the type.
                let whole = unsafe { a.to_int_unchecked::<$int>() } as $float;
                rule(a, whole).copysign(a)
            } else if a.is_nan() {
                // Adding 0 would quiet it too, had the optimiser not the right to take that away.
                $float::from_bits(a.to_bits() | $quiet)
            } else {
                a
            }
        }

        kernels! {
            $trunc(a: $float) -> $float { $round(a, |_, whole| whole) }
            $floor(a: $float) -> $float { $round(a, |a, whole| if whole > a { whole - 1.0 } else { whole }) }
            $ceil(a: $float) -> $float { $round(a, |a, whole| if whole < a { whole + 1.0 } else { whole }) }
            // A sum with `$fine` has no bits for a fraction, so the addition rounds it off, ties to even.
            $nearest(a: $float) -> $float {
                $round(a, |a, _| {
                    let fine = $float::copysign($fine, a);
                    (a + fine) - fine
                })
            }
            // Equal numbers differ at most in the sign of zero. The sum of two of which one is a NaN is a quiet NaN.
            $min(a: $float, b: $float) -> $float {
                if a < b {
                    a
                } else if b < a {
                    b
                } else if a == b {
                    $float::from_bits(a.to_bits() | b.to_bits())
                } else {
                    a + b
                }
            }
            $max(a: $float, b: $float) -> $float {
                if a > b {
                    a
                } else if b > a {
                    b
                } else if a == b {
                    $float::from_bits(a.to_bits() & b.to_bits())
                } else {
                    a + b
                }
            }
        }
    };
}

float_kernels! {
    f32, fine 8_388_608.0, as i32, quiet 0x0040_0000:
    f32_round f32_trunc f32_floor f32_ceil f32_nearest f32_min f32_max
}
float_kernels! {
    f64, fine 4_503_599_627_370_496.0, as i64, quiet 0x0008_0000_0000_0000:
    f64_round f64_trunc f64_floor f64_ceil f64_nearest f64_min f64_max
}

// Conversions. `as` saturates from floating point to integers, and rounds to the nearest, ties to even, the other way.
kernels! {
    i32_wrap_i64(a: u64) -> u32 { a as u32 }
    i64_extend_i32_s(a: u32) -> u64 { a as i32 as u64 }
    i64_extend_i32_u(a: u32) -> u64 { u64::from(a) }
    f32_convert_i32_s(a: u32) -> f32 { a as i32 as f32 }
    f32_convert_i32_u(a: u32) -> f32 { a as f32 }
    f32_convert_i64_s(a: u64) -> f32 { a as i64 as f32 }
    f32_convert_i64_u(a: u64) -> f32 { a as f32 }
    f32_demote_f64(a: f64) -> f32 { a as f32 }
    f64_convert_i32_s(a: u32) -> f64 { f64::from(a as i32) }
    f64_convert_i32_u(a: u32) -> f64 { f64::from(a) }
    f64_convert_i64_s(a: u64) -> f64 { a as i64 as f64 }
    f64_convert_i64_u(a: u64) -> f64 { a as f64 }
    f64_promote_f32(a: f32) -> f64 { f64::from(a) }
    i32_reinterpret_f32(a: f32) -> u32 { a.to_bits() }
    i64_reinterpret_f64(a: f64) -> u64 { a.to_bits() }
    f32_reinterpret_i32(a: u32) -> f32 { f32::from_bits(a) }
    f64_reinterpret_i64(a: u64) -> f64 { f64::from_bits(a) }
    i32_trunc_sat_f32_s(a: f32) -> u32 { a as i32 as u32 }
    i32_trunc_sat_f32_u(a: f32) -> u32 { a as u32 }
    i32_trunc_sat_f64_s(a: f64) -> u32 { a as i32 as u32 }
    i32_trunc_sat_f64_u(a: f64) -> u32 { a as u32 }
    i64_trunc_sat_f32_s(a: f32) -> u64 { a as i64 as u64 }
    i64_trunc_sat_f32_u(a: f32) -> u64 { a as u64 }
    i64_trunc_sat_f64_s(a: f64) -> u64 { a as i64 as u64 }
    i64_trunc_sat_f64_u(a: f64) -> u64 { a as u64 }
}

/// Conversions that trap. The condition holds exactly for the numbers whose whole part fits the integer type, and for
/// no NaN; each bound in it is a number of the floating-point type.
macro_rules! checked_conversions {
    ($($name:ident($arg:ident: $float:ty) -> $int:ty as $result:ty, if $fits:expr;)*) => {
        kernels! {
            $($name($arg: $float) -> Result<$result, Trap> {
                if $fits {
                    // SAFETY: not a NaN, and its whole part fits the type.
                    Ok(unsafe { $arg.to_int_unchecked::<$int>() } as $result)
                } else if $arg.is_nan() {
                    Err(Trap::BadConversionToInteger)
                } else {
                    Err(Trap::IntegerOverflow)
                }
            })*
        }
    };
}

checked_conversions! {
    i32_trunc_f32_s(a: f32) -> i32 as u32, if (-2_147_483_648.0..2_147_483_648.0).contains(&a);
    i32_trunc_f32_u(a: f32) -> u32 as u32, if a > -1.0 && a < 4_294_967_296.0;
    i32_trunc_f64_s(a: f64) -> i32 as u32, if a > -2_147_483_649.0 && a < 2_147_483_648.0;
    i32_trunc_f64_u(a: f64) -> u32 as u32, if a > -1.0 && a < 4_294_967_296.0;
    i64_trunc_f32_s(a: f32) -> i64 as u64, if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&a);
    i64_trunc_f32_u(a: f32) -> u64 as u64, if a > -1.0 && a < 18_446_744_073_709_551_616.0;
    i64_trunc_f64_s(a: f64) -> i64 as u64, if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&a);
    i64_trunc_f64_u(a: f64) -> u64 as u64, if a > -1.0 && a < 18_446_744_073_709_551_616.0;
}
