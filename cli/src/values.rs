//! Values in words: arguments of `--invoke` from text. Results print themselves.

use jitless::{Val, ValType};

/// The value of type `ty` that a text stands for: integers in decimal or hexadecimal, signed or not; floats in decimal,
/// `inf`, `nan`, `nan:0x…`; `null`.
pub(crate) fn parse(text: &str, ty: ValType) -> Result<Val, String> {
    let wrong = || format!("`{}` is no {ty}", text.escape_debug());
    let integer = |bits: u32| integer(text, bits).ok_or_else(wrong);
    match ty {
        ValType::I32 => Ok(Val::I32(integer(32)? as i32)),
        ValType::I64 => Ok(Val::I64(integer(64)? as i64)),
        ValType::F32 => match nan(text, 23) {
            Some((sign, payload)) => Ok(Val::F32(u32::from(sign) << 31 | 0xff << 23 | payload as u32)),
            None => text.parse::<f32>().map(Val::from).map_err(|_| wrong()),
        },
        ValType::F64 => match nan(text, 52) {
            Some((sign, payload)) => Ok(Val::F64(u64::from(sign) << 63 | 0x7ff << 52 | payload)),
            None => text.parse::<f64>().map(Val::from).map_err(|_| wrong()),
        },
        _ if text == "null" => Val::default_for_ty(ty).filter(|val| val.reference().is_some()).ok_or_else(wrong),
        _ => Err(format!("a value of type {ty} has no text; `null` is the only reference that has")),
    }
}

/// The bits of an integer that fits, signed or not.
fn integer(text: &str, bits: u32) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) || digits.ends_with('_') {
        return None;
    }
    let size = u64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    let most = if negative { 1 << (bits - 1) } else { u64::MAX >> (64 - bits) };
    let value = if negative { size.wrapping_neg() } else { size };
    (size <= most).then_some(value)
}

/// Sign and payload of a NaN whose payload has so many bits.
fn nan(text: &str, bits: u32) -> Option<(bool, u64)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let payload = match text.strip_prefix("nan")? {
        "" => 1 << (bits - 1),
        rest => u64::from_str_radix(rest.strip_prefix(":0x")?, 16).ok()?,
    };
    (payload != 0 && payload >> bits == 0).then_some((sign, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, ty, want) in [
            ("0", ValType::I32, Some(Val::I32(0))),
            ("-1", ValType::I32, Some(Val::I32(-1))),
            ("4294967295", ValType::I32, Some(Val::I32(-1))),
            ("4294967296", ValType::I32, None),
            ("-2147483648", ValType::I32, Some(Val::I32(i32::MIN))),
            ("-2147483649", ValType::I32, None),
            ("0xff_ff", ValType::I32, Some(Val::I32(0xffff))),
            ("-0x80000000", ValType::I32, Some(Val::I32(i32::MIN))),
            ("", ValType::I32, None),
            ("-", ValType::I32, None),
            ("--1", ValType::I32, None),
            ("1.5", ValType::I32, None),
            ("18446744073709551615", ValType::I64, Some(Val::I64(-1))),
            ("-9223372036854775808", ValType::I64, Some(Val::I64(i64::MIN))),
            ("18446744073709551616", ValType::I64, None),
            ("1.5", ValType::F32, Some(Val::from(1.5f32))),
            ("-0", ValType::F64, Some(Val::from(-0.0))),
            ("inf", ValType::F64, Some(Val::from(f64::INFINITY))),
            ("nan", ValType::F32, Some(Val::F32(0x7fc0_0000))),
            ("-nan", ValType::F64, Some(Val::F64(0xfff8_0000_0000_0000))),
            ("nan:0x200000", ValType::F32, Some(Val::F32(0x7fa0_0000))),
            ("nan:0x0", ValType::F32, None),
            ("nan:0x800000", ValType::F32, None),
            ("null", ValType::EXTERNREF, Some(Val::null_extern_ref())),
            ("null", ValType::FUNCREF, Some(Val::null_func_ref())),
            ("1", ValType::FUNCREF, None),
            ("null", ValType::V128, None),
        ] {
            assert_eq!(parse(text, ty).ok(), want, "{text} {ty}");
        }
    }
}
