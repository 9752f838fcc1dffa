//! Square roots, which `core` does not have: one instruction where there is one, otherwise integer arithmetic.
//!
//! Each way rounds correctly, so all give the same bits, but for the NaN that comes of a NaN or of a negative number.

#[cfg(target_arch = "x86")]
use core::arch::x86 as intel;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as intel;

/// The square root of a 32-bit number.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
#[inline(always)]
pub(super) fn single(a: f32) -> f32 {
    // SAFETY: the build has the feature.
    unsafe { intel::_mm_cvtss_f32(intel::_mm_sqrt_ss(intel::_mm_set_ss(a))) }
}

/// The square root of a 64-bit number.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
#[inline(always)]
pub(super) fn double(a: f64) -> f64 {
    // SAFETY: the build has the feature.
    unsafe {
        let a = intel::_mm_set_sd(a);
        intel::_mm_cvtsd_f64(intel::_mm_sqrt_sd(a, a))
    }
}

/// The square root of a 32-bit number.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[inline(always)]
pub(super) fn single(a: f32) -> f32 {
    let root: f32;
    // SAFETY: reads one register, writes another, and does nothing else.
    unsafe {
        core::arch::asm!("fsqrt {0:s}, {1:s}", lateout(vreg) root, in(vreg) a,
            options(pure, nomem, nostack, preserves_flags));
    }
    root
}

/// The square root of a 64-bit number.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[inline(always)]
pub(super) fn double(a: f64) -> f64 {
    let root: f64;
    // SAFETY: reads one register, writes another, and does nothing else.
    unsafe {
        core::arch::asm!("fsqrt {0:d}, {1:d}", lateout(vreg) root, in(vreg) a,
            options(pure, nomem, nostack, preserves_flags));
    }
    root
}

#[cfg(not(any(
    all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
)))]
pub(super) use by_integers::{double, single};

/// For hosts without an instruction that stable Rust can name.
#[cfg_attr(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"), allow(dead_code))]
pub(super) mod by_integers {
    /// Bits of the fraction of a 64-bit number.
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    const HIDDEN: u64 = 1 << FRACTION;
    const BIAS: i32 = f64::MAX_EXP - 1;

    /// The square root of a 32-bit number. Rounding twice does no harm: 53 bits are more than twice 24.
    pub(in crate::num) fn single(a: f32) -> f32 {
        double(f64::from(a)) as f32
    }

    /// The square root of a 64-bit number.
    pub(in crate::num) fn double(a: f64) -> f64 {
        if a.is_nan() {
            return f64::from_bits(a.to_bits() | HIDDEN >> 1);
        }
        if a == 0.0 || a == f64::INFINITY {
            return a;
        }
        if a < 0.0 {
            return f64::NAN;
        }
        // a = mantissa · 2^exponent, with the highest bit of the mantissa at FRACTION.
        let (field, fraction) = ((a.to_bits() >> FRACTION) as i32, a.to_bits() & (HIDDEN - 1));
        let (mantissa, field) = if field == 0 { (fraction, 1) } else { (fraction | HIDDEN, field) };
        let missing = FRACTION - mantissa.ilog2();
        let exponent = field - missing as i32 - BIAS - FRACTION as i32;
        // Shifted so that the root has one bit more than fits, and that the exponent can be halved.
        let shift = FRACTION + 2 + ((exponent - FRACTION as i32) & 1) as u32;
        let root = (u128::from(mantissa << missing) << shift).isqrt() as u64;
        // The bit too many decides alone: no root ends in exactly that bit, or its square would be odd.
        let rounded = (root + 1) >> 1;
        let field = (exponent - shift as i32) / 2 + 1 + BIAS + FRACTION as i32;
        f64::from_bits(((field as u64 - 1) << FRACTION) + rounded)
    }
}
