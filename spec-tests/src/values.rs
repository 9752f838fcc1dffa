//! The values of scripts: arguments for calls, patterns for results.
//!
//! Invariant: numbers are compared by their bits, NaNs by the rule that the script names, and nothing by `==` of floats.

use std::collections::HashMap;

use jitless::{ExternRef, Result, Store, Val};
use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};

/// The host's objects that a script names by numbers. The same number is the same object.
#[derive(Default)]
pub(crate) struct Objects(HashMap<u32, ExternRef>);

/// What lies inside such an object.
struct Object(u32);

impl Objects {
    fn get(&mut self, store: &mut Store<()>, number: u32) -> Result<ExternRef> {
        if let Some(object) = self.0.get(&number) {
            return Ok(object.clone());
        }
        let object = ExternRef::new(store, Object(number))?;
        self.0.insert(number, object.clone());
        Ok(object)
    }
}

/// The number of an object.
fn number(store: &Store<()>, object: &ExternRef) -> Option<u32> {
    object.data(store).ok()??.downcast_ref::<Object>().map(|object| object.0)
}

/// An argument. The outer error is a proposal that it needs.
pub(crate) fn argument(
    store: &mut Store<()>,
    objects: &mut Objects,
    arg: &WastArgCore<'_>,
) -> Result<Result<Val>, &'static str> {
    Ok(Ok(match arg {
        &WastArgCore::I32(value) => Val::I32(value),
        &WastArgCore::I64(value) => Val::I64(value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes())),
        WastArgCore::RefNull(ty) => null(ty)?,
        &WastArgCore::RefExtern(number) => return Ok(objects.get(store, number).map(Val::from)),
        WastArgCore::RefHost(_) => return Err("gc"),
    }))
}

fn null(ty: &HeapType<'_>) -> Result<Val, &'static str> {
    use AbstractHeapType::{Cont, Exn, Extern, Func, NoCont, NoExn, NoExtern, NoFunc};
    match ty {
        HeapType::Abstract { shared: true, .. } => Err("shared-everything-threads"),
        HeapType::Abstract { ty: Func | NoFunc, .. } | HeapType::Concrete(_) => Ok(Val::null_func_ref()),
        HeapType::Abstract { ty: Extern | NoExtern, .. } => Ok(Val::null_extern_ref()),
        HeapType::Abstract { ty: Exn | NoExn, .. } => Err("exceptions"),
        HeapType::Abstract { ty: Cont | NoCont, .. } => Err("stack-switching"),
        HeapType::Abstract { .. } => Err("gc"),
        HeapType::Exact(_) => Err("custom-descriptors"),
    }
}

/// Is the value what the script wants?
pub(crate) fn matches(store: &Store<()>, wanted: &WastRetCore<'_>, value: &Val) -> bool {
    match (wanted, value) {
        (WastRetCore::I32(wanted), Val::I32(value)) => wanted == value,
        (WastRetCore::I64(wanted), Val::I64(value)) => wanted == value,
        (WastRetCore::F32(wanted), &Val::F32(bits)) => f32_matches(wanted, bits),
        (WastRetCore::F64(wanted), &Val::F64(bits)) => f64_matches(wanted, bits),
        (WastRetCore::V128(wanted), &Val::V128(value)) => v128_matches(wanted, value),
        (WastRetCore::RefNull(None), value) => value.reference().is_some_and(|reference| reference.is_null()),
        (WastRetCore::RefNull(Some(ty)), value) => null(ty).is_ok_and(|null| null == *value),
        (WastRetCore::RefExtern(None), Val::ExternRef(Some(_))) => true,
        (&WastRetCore::RefExtern(Some(wanted)), Val::ExternRef(Some(object))) => number(store, object) == Some(wanted),
        (WastRetCore::RefFunc(_), Val::FuncRef(Some(_))) => true,
        (WastRetCore::Either(wanted), value) => wanted.iter().any(|wanted| matches(store, wanted, value)),
        _ => false,
    }
}

/// The bits of a NaN's payload that are its quiet bit, and the rest, below the sign.
const F32_QUIET: u32 = 0x7FC0_0000;
const F64_QUIET: u64 = 0x7FF8_0000_0000_0000;

fn f32_matches(wanted: &NanPattern<F32>, bits: u32) -> bool {
    match wanted {
        NanPattern::CanonicalNan => bits & !(1 << 31) == F32_QUIET,
        NanPattern::ArithmeticNan => bits & F32_QUIET == F32_QUIET,
        NanPattern::Value(wanted) => wanted.bits == bits,
    }
}

fn f64_matches(wanted: &NanPattern<F64>, bits: u64) -> bool {
    match wanted {
        NanPattern::CanonicalNan => bits & !(1 << 63) == F64_QUIET,
        NanPattern::ArithmeticNan => bits & F64_QUIET == F64_QUIET,
        NanPattern::Value(wanted) => wanted.bits == bits,
    }
}

fn v128_matches(wanted: &V128Pattern, value: u128) -> bool {
    let lane = |size: usize, lane: usize| (value >> (lane * size)) as u64;
    match wanted {
        V128Pattern::I8x16(lanes) => (0..16).all(|i| lanes[i] == lane(8, i) as i8),
        V128Pattern::I16x8(lanes) => (0..8).all(|i| lanes[i] == lane(16, i) as i16),
        V128Pattern::I32x4(lanes) => (0..4).all(|i| lanes[i] == lane(32, i) as i32),
        V128Pattern::I64x2(lanes) => (0..2).all(|i| lanes[i] == lane(64, i) as i64),
        V128Pattern::F32x4(lanes) => (0..4).all(|i| f32_matches(&lanes[i], lane(32, i) as u32)),
        V128Pattern::F64x2(lanes) => (0..2).all(|i| f64_matches(&lanes[i], lane(64, i))),
    }
}

/// Results as they are, for people.
pub(crate) fn show(values: &[Val]) -> String {
    list(values, |value| format!("{} {value}", value.ty()))
}

/// Results as they are wanted.
pub(crate) fn show_wanted(wanted: &[&WastRetCore<'_>]) -> String {
    list(wanted, |wanted| show_one(wanted))
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return "nothing".into();
    }
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn show_one(wanted: &WastRetCore<'_>) -> String {
    fn nan<T>(ty: &str, pattern: &NanPattern<T>, val: impl Fn(&T) -> Val) -> String {
        match pattern {
            NanPattern::CanonicalNan => format!("{ty} nan:canonical"),
            NanPattern::ArithmeticNan => format!("{ty} nan:arithmetic"),
            NanPattern::Value(value) => format!("{ty} {}", val(value)),
        }
    }
    match wanted {
        WastRetCore::I32(value) => format!("i32 {value}"),
        WastRetCore::I64(value) => format!("i64 {value}"),
        WastRetCore::F32(pattern) => nan("f32", pattern, |value| Val::F32(value.bits)),
        WastRetCore::F64(pattern) => nan("f64", pattern, |value| Val::F64(value.bits)),
        WastRetCore::RefNull(_) => "null".into(),
        WastRetCore::RefExtern(Some(number)) => format!("externref {number}"),
        WastRetCore::Either(wanted) => wanted.iter().map(show_one).collect::<Vec<_>>().join(" or "),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nans() {
        let f32_of = |bits| NanPattern::Value(F32 { bits });
        for (pattern, bits, want) in [
            (NanPattern::CanonicalNan, 0x7FC0_0000, true),
            (NanPattern::CanonicalNan, 0xFFC0_0000, true),
            (NanPattern::CanonicalNan, 0x7FC0_0001, false),
            (NanPattern::ArithmeticNan, 0xFFC0_0001, true),
            (NanPattern::ArithmeticNan, 0x7FA0_0000, false),
            (NanPattern::ArithmeticNan, 0x7F80_0000, false),
            (f32_of(0x7FA0_0000), 0x7FA0_0000, true),
            (f32_of(0), 1 << 31, false),
        ] {
            assert_eq!(f32_matches(&pattern, bits), want, "{pattern:?} {bits:#x}");
        }
        for (pattern, bits, want) in [
            (NanPattern::CanonicalNan, 0xFFF8_0000_0000_0000, true),
            (NanPattern::CanonicalNan, 0x7FF8_0000_0000_0001, false),
            (NanPattern::ArithmeticNan, 0x7FF8_0000_0000_0001, true),
            (NanPattern::ArithmeticNan, 0x7FF4_0000_0000_0000, false),
        ] {
            assert_eq!(f64_matches(&pattern, bits), want, "{pattern:?} {bits:#x}");
        }
    }

    #[test]
    fn lanes() {
        let lanes = V128Pattern::I8x16(std::array::from_fn(|i| i as i8 - 8));
        let value = u128::from_le_bytes(std::array::from_fn(|i| (i as u8).wrapping_sub(8)));
        assert!(v128_matches(&lanes, value));
        assert!(!v128_matches(&lanes, value ^ 1 << 127));
        let nan = V128Pattern::F64x2([NanPattern::CanonicalNan, NanPattern::Value(F64 { bits: 1 << 63 })]);
        assert!(v128_matches(&nan, 1 << 127 | 0xFFF8_0000_0000_0000));
        assert!(!v128_matches(&nan, 0xFFF8_0000_0000_0000));
    }
}
