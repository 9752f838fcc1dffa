//! What each operator computes, once more and naively: by wider integers, ranges and the standard library.
//!
//! Nothing here is taken from the engine but the names of the traps.

use std::cmp::Ordering;

use jitless::Trap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ty {
    I32,
    I64,
    F32,
    F64,
}

pub(crate) const TYPES: [Ty; 4] = [Ty::I32, Ty::I64, Ty::F32, Ty::F64];

impl Ty {
    pub(crate) fn name(self) -> &'static str {
        ["i32", "i64", "f32", "f64"][self as usize]
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// Are these the same value, or two NaNs?
    pub(crate) fn same(self, a: u64, b: u64) -> bool {
        match self {
            Self::F32 => a == b || f32::of(a).is_nan() && f32::of(b).is_nan(),
            Self::F64 => a == b || f64::of(a).is_nan() && f64::of(b).is_nan(),
            _ => a == b,
        }
    }
}

/// An operator without immediates.
pub(crate) struct Op {
    pub name: &'static str,
    pub params: &'static [Ty],
    pub result: Ty,
    pub traps: bool,
    /// Operand whose bits, and not only its number, show in the result.
    pub exact: Option<usize>,
    pub eval: fn(&[u64]) -> Result<u64, Trap>,
}

/// A load or store.
pub(crate) struct Access {
    pub name: &'static str,
    pub ty: Ty,
    pub size: usize,
    /// Bits to extend the sign from; 0: none.
    pub signed: u32,
}

/// A number as it lies in 64 bits.
pub(crate) trait Bits: Sized {
    const TY: Ty;
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! bits {
    ($($ty:ty, $wasm:ident, |$b:ident| $of:expr, |$v:ident| $bits:expr;)*) => {
        $(
            impl Bits for $ty {
                const TY: Ty = Ty::$wasm;
                fn of($b: u64) -> Self { $of }
                fn bits(self) -> u64 { let $v = self; $bits }
            }
            impl Answer for $ty {
                type Number = Self;
                const TRAPS: bool = false;
                fn answer(self) -> Result<u64, Trap> { Ok(self.bits()) }
            }
        )*
    };
}

/// What an operator gives: a number, or a number or a trap.
trait Answer {
    type Number: Bits;
    const TRAPS: bool;
    fn answer(self) -> Result<u64, Trap>;
}

impl<N: Bits> Answer for Result<N, Trap> {
    type Number = N;
    const TRAPS: bool = true;
    fn answer(self) -> Result<u64, Trap> {
        self.map(Bits::bits)
    }
}

bits! {
    u32, I32, |b| b as u32, |v| v.into();
    i32, I32, |b| b as i32, |v| (v as u32).into();
    u64, I64, |b| b, |v| v;
    i64, I64, |b| b as i64, |v| v as u64;
    f32, F32, |b| f32::from_bits(b as u32), |v| v.to_bits().into();
    f64, F64, |b| f64::from_bits(b), |v| v.to_bits();
}

fn bool(b: bool) -> u32 {
    b.into()
}

fn whole(x: f64, least: i128, most: i128) -> Result<i128, Trap> {
    if x.is_nan() {
        return Err(Trap::BadConversionToInteger);
    }
    // Out of range stays out of range: the cast stops at the ends of `i128`.
    let n = x.trunc() as i128;
    if (least..=most).contains(&n) { Ok(n) } else { Err(Trap::IntegerOverflow) }
}

fn near(x: f64, least: i128, most: i128) -> i128 {
    if x.is_nan() { 0 } else { (x.trunc() as i128).clamp(least, most) }
}

fn quotient(a: i128, b: i128, most: i128) -> Result<i128, Trap> {
    match a.checked_div(b) {
        None => Err(Trap::IntegerDivisionByZero),
        Some(q) if q > most => Err(Trap::IntegerOverflow),
        Some(q) => Ok(q),
    }
}

fn remainder(a: i128, b: i128) -> Result<i128, Trap> {
    a.checked_rem(b).ok_or(Trap::IntegerDivisionByZero)
}

macro_rules! ops {
    ($($name:literal $(exact $exact:literal)? ($($arg:ident: $ty:ty),+) -> $result:ty { $body:expr })*) => {
        pub(crate) static OPS: &[Op] = &[$(Op {
            name: $name,
            params: &[$(<$ty>::TY),+],
            result: <<$result as Answer>::Number as Bits>::TY,
            traps: <$result as Answer>::TRAPS,
            exact: [$(Some($exact),)? None][0],
            eval: |values| {
                let mut values = values.iter();
                $(let $arg = <$ty>::of(*values.next().unwrap());)+
                let answer: $result = $body;
                answer.answer()
            },
        }),*];
    };
}

type Or<N> = Result<N, Trap>;

ops! {
    "i32.eqz" (a: u32) -> u32 { bool(a == 0) }
    "i32.eq" (a: u32, b: u32) -> u32 { bool(a == b) }
    "i32.ne" (a: u32, b: u32) -> u32 { bool(a != b) }
    "i32.lt_s" (a: i32, b: i32) -> u32 { bool(a < b) }
    "i32.lt_u" (a: u32, b: u32) -> u32 { bool(a < b) }
    "i32.gt_s" (a: i32, b: i32) -> u32 { bool(a > b) }
    "i32.gt_u" (a: u32, b: u32) -> u32 { bool(a > b) }
    "i32.le_s" (a: i32, b: i32) -> u32 { bool(a <= b) }
    "i32.le_u" (a: u32, b: u32) -> u32 { bool(a <= b) }
    "i32.ge_s" (a: i32, b: i32) -> u32 { bool(a >= b) }
    "i32.ge_u" (a: u32, b: u32) -> u32 { bool(a >= b) }
    "i64.eqz" (a: u64) -> u32 { bool(a == 0) }
    "i64.eq" (a: u64, b: u64) -> u32 { bool(a == b) }
    "i64.ne" (a: u64, b: u64) -> u32 { bool(a != b) }
    "i64.lt_s" (a: i64, b: i64) -> u32 { bool(a < b) }
    "i64.lt_u" (a: u64, b: u64) -> u32 { bool(a < b) }
    "i64.gt_s" (a: i64, b: i64) -> u32 { bool(a > b) }
    "i64.gt_u" (a: u64, b: u64) -> u32 { bool(a > b) }
    "i64.le_s" (a: i64, b: i64) -> u32 { bool(a <= b) }
    "i64.le_u" (a: u64, b: u64) -> u32 { bool(a <= b) }
    "i64.ge_s" (a: i64, b: i64) -> u32 { bool(a >= b) }
    "i64.ge_u" (a: u64, b: u64) -> u32 { bool(a >= b) }
    "f32.eq" (a: f32, b: f32) -> u32 { bool(a == b) }
    "f32.ne" (a: f32, b: f32) -> u32 { bool(a != b) }
    "f32.lt" (a: f32, b: f32) -> u32 { bool(a < b) }
    "f32.gt" (a: f32, b: f32) -> u32 { bool(a > b) }
    "f32.le" (a: f32, b: f32) -> u32 { bool(a <= b) }
    "f32.ge" (a: f32, b: f32) -> u32 { bool(a >= b) }
    "f64.eq" (a: f64, b: f64) -> u32 { bool(a == b) }
    "f64.ne" (a: f64, b: f64) -> u32 { bool(a != b) }
    "f64.lt" (a: f64, b: f64) -> u32 { bool(a < b) }
    "f64.gt" (a: f64, b: f64) -> u32 { bool(a > b) }
    "f64.le" (a: f64, b: f64) -> u32 { bool(a <= b) }
    "f64.ge" (a: f64, b: f64) -> u32 { bool(a >= b) }

    "i32.clz" (a: u32) -> u32 { (0..32).take_while(|i| a << i >> 31 == 0).count() as u32 }
    "i32.ctz" (a: u32) -> u32 { (0..32).take_while(|i| a >> i & 1 == 0).count() as u32 }
    "i32.popcnt" (a: u32) -> u32 { (0..32).filter(|i| a >> i & 1 == 1).count() as u32 }
    "i32.add" (a: u32, b: u32) -> u32 { (u64::from(a) + u64::from(b)) as u32 }
    "i32.sub" (a: u32, b: u32) -> u32 { (i64::from(a) - i64::from(b)) as u32 }
    "i32.mul" (a: u32, b: u32) -> u32 { (u64::from(a) * u64::from(b)) as u32 }
    "i32.div_s" (a: i32, b: i32) -> Or<i32> { quotient(a.into(), b.into(), i32::MAX.into()).map(|q| q as i32) }
    "i32.div_u" (a: u32, b: u32) -> Or<u32> { quotient(a.into(), b.into(), u32::MAX.into()).map(|q| q as u32) }
    "i32.rem_s" (a: i32, b: i32) -> Or<i32> { remainder(a.into(), b.into()).map(|r| r as i32) }
    "i32.rem_u" (a: u32, b: u32) -> Or<u32> { remainder(a.into(), b.into()).map(|r| r as u32) }
    "i32.and" (a: u32, b: u32) -> u32 { a & b }
    "i32.or" (a: u32, b: u32) -> u32 { a | b }
    "i32.xor" (a: u32, b: u32) -> u32 { a ^ b }
    "i32.shl" (a: u32, b: u32) -> u32 { (u64::from(a) << (b % 32)) as u32 }
    "i32.shr_s" (a: i32, b: u32) -> u32 { (i64::from(a) >> (b % 32)) as u32 }
    "i32.shr_u" (a: u32, b: u32) -> u32 { a >> (b % 32) }
    "i32.rotl" (a: u32, b: u32) -> u32 { ((u64::from(a) << 32 | u64::from(a)) << (b % 32) >> 32) as u32 }
    "i32.rotr" (a: u32, b: u32) -> u32 { ((u64::from(a) << 32 | u64::from(a)) >> (b % 32)) as u32 }
    "i64.clz" (a: u64) -> u64 { (0..64).take_while(|i| a << i >> 63 == 0).count() as u64 }
    "i64.ctz" (a: u64) -> u64 { (0..64).take_while(|i| a >> i & 1 == 0).count() as u64 }
    "i64.popcnt" (a: u64) -> u64 { (0..64).filter(|i| a >> i & 1 == 1).count() as u64 }
    "i64.add" (a: u64, b: u64) -> u64 { (u128::from(a) + u128::from(b)) as u64 }
    "i64.sub" (a: u64, b: u64) -> u64 { (i128::from(a) - i128::from(b)) as u64 }
    "i64.mul" (a: u64, b: u64) -> u64 { (u128::from(a) * u128::from(b)) as u64 }
    "i64.div_s" (a: i64, b: i64) -> Or<i64> { quotient(a.into(), b.into(), i64::MAX.into()).map(|q| q as i64) }
    "i64.div_u" (a: u64, b: u64) -> Or<u64> { quotient(a.into(), b.into(), u64::MAX.into()).map(|q| q as u64) }
    "i64.rem_s" (a: i64, b: i64) -> Or<i64> { remainder(a.into(), b.into()).map(|r| r as i64) }
    "i64.rem_u" (a: u64, b: u64) -> Or<u64> { remainder(a.into(), b.into()).map(|r| r as u64) }
    "i64.and" (a: u64, b: u64) -> u64 { a & b }
    "i64.or" (a: u64, b: u64) -> u64 { a | b }
    "i64.xor" (a: u64, b: u64) -> u64 { a ^ b }
    "i64.shl" (a: u64, b: u64) -> u64 { (u128::from(a) << (b % 64)) as u64 }
    "i64.shr_s" (a: i64, b: u64) -> u64 { (i128::from(a) >> (b % 64)) as u64 }
    "i64.shr_u" (a: u64, b: u64) -> u64 { a >> (b % 64) }
    "i64.rotl" (a: u64, b: u64) -> u64 { ((u128::from(a) << 64 | u128::from(a)) << (b % 64) >> 64) as u64 }
    "i64.rotr" (a: u64, b: u64) -> u64 { ((u128::from(a) << 64 | u128::from(a)) >> (b % 64)) as u64 }

    "f32.abs" (a: f32) -> f32 { f32::from_bits(a.to_bits() & !(1 << 31)) }
    "f32.neg" (a: f32) -> f32 { f32::from_bits(a.to_bits() ^ 1 << 31) }
    "f32.ceil" (a: f32) -> f32 { a.ceil() }
    "f32.floor" (a: f32) -> f32 { a.floor() }
    "f32.trunc" (a: f32) -> f32 { a.trunc() }
    "f32.nearest" (a: f32) -> f32 { a.round_ties_even() }
    "f32.sqrt" (a: f32) -> f32 { a.sqrt() }
    "f32.add" (a: f32, b: f32) -> f32 { a + b }
    "f32.sub" (a: f32, b: f32) -> f32 { a - b }
    "f32.mul" (a: f32, b: f32) -> f32 { a * b }
    "f32.div" (a: f32, b: f32) -> f32 { a / b }
    "f32.min" (a: f32, b: f32) -> f32 {
        match a.partial_cmp(&b) {
            None => f32::NAN,
            // Zeros differ in their signs.
            Some(Ordering::Equal) => f32::from_bits(a.to_bits() | b.to_bits()),
            Some(order) => if order == Ordering::Less { a } else { b },
        }
    }
    "f32.max" (a: f32, b: f32) -> f32 {
        match a.partial_cmp(&b) {
            None => f32::NAN,
            // Zeros differ in their signs.
            Some(Ordering::Equal) => f32::from_bits(a.to_bits() & b.to_bits()),
            Some(order) => if order == Ordering::Greater { a } else { b },
        }
    }
    "f32.copysign" exact 1 (a: f32, b: f32) -> f32 { a.copysign(b) }
    "f64.abs" (a: f64) -> f64 { f64::from_bits(a.to_bits() & !(1 << 63)) }
    "f64.neg" (a: f64) -> f64 { f64::from_bits(a.to_bits() ^ 1 << 63) }
    "f64.ceil" (a: f64) -> f64 { a.ceil() }
    "f64.floor" (a: f64) -> f64 { a.floor() }
    "f64.trunc" (a: f64) -> f64 { a.trunc() }
    "f64.nearest" (a: f64) -> f64 { a.round_ties_even() }
    "f64.sqrt" (a: f64) -> f64 { a.sqrt() }
    "f64.add" (a: f64, b: f64) -> f64 { a + b }
    "f64.sub" (a: f64, b: f64) -> f64 { a - b }
    "f64.mul" (a: f64, b: f64) -> f64 { a * b }
    "f64.div" (a: f64, b: f64) -> f64 { a / b }
    "f64.min" (a: f64, b: f64) -> f64 {
        match a.partial_cmp(&b) {
            None => f64::NAN,
            // Zeros differ in their signs.
            Some(Ordering::Equal) => f64::from_bits(a.to_bits() | b.to_bits()),
            Some(order) => if order == Ordering::Less { a } else { b },
        }
    }
    "f64.max" (a: f64, b: f64) -> f64 {
        match a.partial_cmp(&b) {
            None => f64::NAN,
            // Zeros differ in their signs.
            Some(Ordering::Equal) => f64::from_bits(a.to_bits() & b.to_bits()),
            Some(order) => if order == Ordering::Greater { a } else { b },
        }
    }
    "f64.copysign" exact 1 (a: f64, b: f64) -> f64 { a.copysign(b) }

    "i32.wrap_i64" (a: u64) -> u32 { (a % (1 << 32)) as u32 }
    "i32.trunc_f32_s" (a: f32) -> Or<i32> { whole(a.into(), i32::MIN.into(), i32::MAX.into()).map(|n| n as i32) }
    "i32.trunc_f32_u" (a: f32) -> Or<u32> { whole(a.into(), 0, u32::MAX.into()).map(|n| n as u32) }
    "i32.trunc_f64_s" (a: f64) -> Or<i32> { whole(a, i32::MIN.into(), i32::MAX.into()).map(|n| n as i32) }
    "i32.trunc_f64_u" (a: f64) -> Or<u32> { whole(a, 0, u32::MAX.into()).map(|n| n as u32) }
    "i64.extend_i32_s" (a: i32) -> i64 { a.into() }
    "i64.extend_i32_u" (a: u32) -> u64 { a.into() }
    "i64.trunc_f32_s" (a: f32) -> Or<i64> { whole(a.into(), i64::MIN.into(), i64::MAX.into()).map(|n| n as i64) }
    "i64.trunc_f32_u" (a: f32) -> Or<u64> { whole(a.into(), 0, u64::MAX.into()).map(|n| n as u64) }
    "i64.trunc_f64_s" (a: f64) -> Or<i64> { whole(a, i64::MIN.into(), i64::MAX.into()).map(|n| n as i64) }
    "i64.trunc_f64_u" (a: f64) -> Or<u64> { whole(a, 0, u64::MAX.into()).map(|n| n as u64) }
    "f32.convert_i32_s" (a: i32) -> f32 { a as f32 }
    "f32.convert_i32_u" (a: u32) -> f32 { a as f32 }
    "f32.convert_i64_s" (a: i64) -> f32 { a as f32 }
    "f32.convert_i64_u" (a: u64) -> f32 { a as f32 }
    "f32.demote_f64" (a: f64) -> f32 { a as f32 }
    "f64.convert_i32_s" (a: i32) -> f64 { a.into() }
    "f64.convert_i32_u" (a: u32) -> f64 { a.into() }
    "f64.convert_i64_s" (a: i64) -> f64 { a as f64 }
    "f64.convert_i64_u" (a: u64) -> f64 { a as f64 }
    "f64.promote_f32" (a: f32) -> f64 { a.into() }
    "i32.reinterpret_f32" exact 0 (a: f32) -> u32 { a.to_bits() }
    "i64.reinterpret_f64" exact 0 (a: f64) -> u64 { a.to_bits() }
    "f32.reinterpret_i32" (a: u32) -> f32 { f32::from_bits(a) }
    "f64.reinterpret_i64" (a: u64) -> f64 { f64::from_bits(a) }
    "i32.extend8_s" (a: u32) -> i32 { i32::from(a as i8) }
    "i32.extend16_s" (a: u32) -> i32 { i32::from(a as i16) }
    "i64.extend8_s" (a: u64) -> i64 { i64::from(a as i8) }
    "i64.extend16_s" (a: u64) -> i64 { i64::from(a as i16) }
    "i64.extend32_s" (a: u64) -> i64 { i64::from(a as i32) }
    "i32.trunc_sat_f32_s" (a: f32) -> i32 { near(a.into(), i32::MIN.into(), i32::MAX.into()) as i32 }
    "i32.trunc_sat_f32_u" (a: f32) -> u32 { near(a.into(), 0, u32::MAX.into()) as u32 }
    "i32.trunc_sat_f64_s" (a: f64) -> i32 { near(a, i32::MIN.into(), i32::MAX.into()) as i32 }
    "i32.trunc_sat_f64_u" (a: f64) -> u32 { near(a, 0, u32::MAX.into()) as u32 }
    "i64.trunc_sat_f32_s" (a: f32) -> i64 { near(a.into(), i64::MIN.into(), i64::MAX.into()) as i64 }
    "i64.trunc_sat_f32_u" (a: f32) -> u64 { near(a.into(), 0, u64::MAX.into()) as u64 }
    "i64.trunc_sat_f64_s" (a: f64) -> i64 { near(a, i64::MIN.into(), i64::MAX.into()) as i64 }
    "i64.trunc_sat_f64_u" (a: f64) -> u64 { near(a, 0, u64::MAX.into()) as u64 }
}

macro_rules! accesses {
    ($name:ident: $($text:literal $ty:ident $size:literal $signed:literal;)*) => {
        pub(crate) static $name: &[Access] = &[$(Access { name: $text, ty: Ty::$ty, size: $size, signed: $signed }),*];
    };
}

accesses! {
    LOADS:
    "i32.load" I32 4 0;
    "i64.load" I64 8 0;
    "f32.load" F32 4 0;
    "f64.load" F64 8 0;
    "i32.load8_s" I32 1 8;
    "i32.load8_u" I32 1 0;
    "i32.load16_s" I32 2 16;
    "i32.load16_u" I32 2 0;
    "i64.load8_s" I64 1 8;
    "i64.load8_u" I64 1 0;
    "i64.load16_s" I64 2 16;
    "i64.load16_u" I64 2 0;
    "i64.load32_s" I64 4 32;
    "i64.load32_u" I64 4 0;
}

accesses! {
    STORES:
    "i32.store" I32 4 0;
    "i64.store" I64 8 0;
    "f32.store" F32 4 0;
    "f64.store" F64 8 0;
    "i32.store8" I32 1 0;
    "i32.store16" I32 2 0;
    "i64.store8" I64 1 0;
    "i64.store16" I64 2 0;
    "i64.store32" I64 4 0;
}

/// The operator with this name.
pub(crate) fn op(name: &str) -> &'static Op {
    OPS.iter().find(|op| op.name == name).unwrap()
}

#[test]
fn every_plain_operator_of_the_table_is_here() {
    let mut listed: Vec<_> = OPS.iter().map(|op| op.name).collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(listed.len(), 136);
}
