//! Values with their types, and how they become slots and come back.
//!
//! Invariant: what becomes a slot was compared with the type that the guest expects there, store included.

use core::fmt::{self, Display, Formatter, LowerExp};

use super::externref::ExternRef;
use super::func::Func;
use crate::error::{Error, Result};
use crate::runtime::StoreInner;
use crate::types::{HeapType, RefType, ValType};
use crate::value::Slot;

/// A value of WebAssembly with its type.
///
/// Floats are their bits, so that no NaN changes on the way; [`Val::f32`] and [`Val::f64`] give numbers.
///
/// ```
/// use jitless::Val;
///
/// assert_eq!(Val::from(7), Val::I32(7));
/// assert_eq!(Val::from(1.5f32).f32(), Some(1.5));
/// assert_eq!(Val::I64(7).i32(), None);
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Val {
    /// An `i32`, as a signed number.
    I32(i32),
    /// An `i64`, as a signed number.
    I64(i64),
    /// The bits of an `f32`.
    F32(u32),
    /// The bits of an `f64`.
    F64(u64),
    /// A `v128`, its first byte the lowest.
    V128(u128),
    /// A reference to a function, or null.
    FuncRef(Option<Func>),
    /// A reference to a value of the host, or null.
    ExternRef(Option<ExternRef>),
}

/// A reference with its type: what tables hold.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Ref {
    /// A reference to a function, or null.
    Func(Option<Func>),
    /// A reference to a value of the host, or null.
    Extern(Option<ExternRef>),
}

macro_rules! accessors {
    ($($name:ident $variant:ident $ty:ty, $of:expr, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub fn $name(&self) -> Option<$ty> {
                if let Self::$variant(value) = self { Some($of(value)) } else { None }
            }
        )*
    };
}

impl Val {
    /// The null reference to a function.
    pub const fn null_func_ref() -> Self {
        Self::FuncRef(None)
    }

    /// The null reference to a value of the host.
    pub const fn null_extern_ref() -> Self {
        Self::ExternRef(None)
    }

    /// The value that a local of this type has at first: zero or null. `None` if the type has none.
    pub fn default_for_ty(ty: ValType) -> Option<Self> {
        Some(match ty {
            ValType::I32 => Self::I32(0),
            ValType::I64 => Self::I64(0),
            ValType::F32 => Self::F32(0),
            ValType::F64 => Self::F64(0),
            ValType::V128 => Self::V128(0),
            ValType::Ref(ty) => Ref::null(ty)?.into(),
        })
    }

    /// The type. A reference to a function counts as `funcref`, whatever the function's own type is.
    pub const fn ty(&self) -> ValType {
        match self {
            Self::I32(_) => ValType::I32,
            Self::I64(_) => ValType::I64,
            Self::F32(_) => ValType::F32,
            Self::F64(_) => ValType::F64,
            Self::V128(_) => ValType::V128,
            Self::FuncRef(_) => ValType::FUNCREF,
            Self::ExternRef(_) => ValType::EXTERNREF,
        }
    }

    accessors! {
        i32 I32 i32, |&value| value, "The number, if this is an `i32`.";
        i64 I64 i64, |&value| value, "The number, if this is an `i64`.";
        f32 F32 f32, |&bits| f32::from_bits(bits), "The number, if this is an `f32`.";
        f64 F64 f64, |&bits| f64::from_bits(bits), "The number, if this is an `f64`.";
        v128 V128 u128, |&value| value, "The bits, if this is a `v128`.";
        func_ref FuncRef Option<&Func>, Option::as_ref, "The function, if this is a reference to one; null is `Some(None)`.";
        extern_ref ExternRef Option<&ExternRef>, Option::as_ref,
            "The value of the host, if this is a reference to one; null is `Some(None)`.";
    }

    /// The reference, if this is one.
    pub fn reference(&self) -> Option<Ref> {
        match self {
            Self::FuncRef(func) => Some(Ref::Func(*func)),
            Self::ExternRef(object) => Some(Ref::Extern(object.clone())),
            _ => None,
        }
    }
}

/// What becomes of a value on the way in and out.
impl Val {
    /// Writes the value as the slots of a value of type `ty`, if it is one: as many as [`ValType::slots`] says.
    ///
    /// `Ok(false)` is for a value of another type.
    pub(super) fn lower(&self, ty: ValType, store: &mut StoreInner, slots: &mut [u64]) -> Result<bool> {
        let slot = match (self, ty) {
            (&Self::I32(value), ValType::I32) => Slot::from_i32(value),
            (&Self::I64(value), ValType::I64) => Slot::from_i64(value),
            (&Self::F32(bits), ValType::F32) => Slot::from_f32(bits),
            (&Self::F64(bits), ValType::F64) => Slot::from_f64(bits),
            (&Self::V128(value), ValType::V128) => {
                let [low, high] = Slot::from_v128(value);
                if let [first, second, ..] = slots {
                    (*first, *second) = (low.0, high.0);
                }
                return Ok(true);
            }
            (Self::FuncRef(func), ValType::Ref(ty)) => match lower_func(*func, ty, store)? {
                Some(slot) => slot,
                None => return Ok(false),
            },
            (Self::ExternRef(object), ValType::Ref(ty)) => match lower_extern(object.as_ref(), ty, store)? {
                Some(slot) => slot,
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        if let Some(first) = slots.first_mut() {
            *first = slot.0;
        }
        Ok(true)
    }

    /// The value of type `ty` that these slots hold.
    pub(super) fn lift(ty: ValType, store: &StoreInner, slots: &[u64]) -> Self {
        let low = slots.first().map_or(Slot::ZERO, |&slot| Slot(slot));
        match ty {
            ValType::I32 => Self::I32(low.i32()),
            ValType::I64 => Self::I64(low.i64()),
            ValType::F32 => Self::F32(low.f32()),
            ValType::F64 => Self::F64(low.f64()),
            ValType::V128 => Self::V128(Slot::v128([low, slots.get(1).map_or(Slot::ZERO, |&slot| Slot(slot))])),
            ValType::Ref(ty) => Ref::lift(ty, store, low.0).into(),
        }
    }
}

/// Outer `None`: the function is not of the type.
fn lower_func(func: Option<Func>, ty: RefType, store: &StoreInner) -> Result<Option<Slot>> {
    let Some(func) = func else {
        let fits = ty.nullable && matches!(ty.heap, HeapType::Func | HeapType::NoFunc | HeapType::Concrete(_));
        return Ok(fits.then_some(Slot::NULL));
    };
    let handle = func.stored.check(store, "function")?;
    let fits = match ty.heap {
        HeapType::Func => true,
        HeapType::Concrete(wanted) => store.engine.types.is_subtype(store.func_type_id(handle), wanted),
        _ => false,
    };
    Ok(fits.then_some(Slot::from_handle(Some(handle))))
}

/// Outer `None`: the type is none of external references, or null is not in it.
fn lower_extern(object: Option<&ExternRef>, ty: RefType, store: &mut StoreInner) -> Result<Option<Slot>> {
    match object {
        Some(object) if ty.heap == HeapType::Extern => object.lower(store).map(|slot| Some(Slot(slot))),
        None if ty.nullable && matches!(ty.heap, HeapType::Extern | HeapType::NoExtern) => Ok(Some(Slot::NULL)),
        _ => Ok(None),
    }
}

impl Ref {
    /// The null reference of a type, if it has one.
    pub fn null(ty: RefType) -> Option<Self> {
        if !ty.nullable {
            return None;
        }
        match ty.heap {
            HeapType::Func | HeapType::NoFunc | HeapType::Concrete(_) => Some(Self::Func(None)),
            HeapType::Extern | HeapType::NoExtern => Some(Self::Extern(None)),
            _ => None,
        }
    }

    /// Is it null?
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Func(None) | Self::Extern(None))
    }

    /// The slot that stands for the reference where `ty` is expected.
    pub(super) fn lower(&self, ty: RefType, store: &mut StoreInner) -> Result<u64> {
        let slot = match self {
            Self::Func(func) => lower_func(*func, ty, store)?,
            Self::Extern(object) => lower_extern(object.as_ref(), ty, store)?,
        };
        let found = Val::from(self.clone()).ty();
        slot.map(|slot| slot.0).ok_or_else(|| Error::argument(alloc::format!("expected {ty}, found {found}")))
    }

    pub(super) fn lift(ty: RefType, store: &StoreInner, slot: u64) -> Self {
        match ty.heap {
            HeapType::Extern | HeapType::NoExtern => Self::Extern(ExternRef::lift(store, slot)),
            _ => Self::Func(Func::lift(store, slot)),
        }
    }
}

macro_rules! from {
    ($($target:ident { $($ty:ty, $make:expr;)* })*) => {
        $($(
            impl From<$ty> for $target {
                fn from(value: $ty) -> Self {
                    $make(value)
                }
            }
        )*)*
    };
}

from! {
    Val {
        i32, Val::I32;
        i64, Val::I64;
        u32, |value: u32| Val::I32(value as i32);
        u64, |value: u64| Val::I64(value as i64);
        f32, |value: f32| Val::F32(value.to_bits());
        f64, |value: f64| Val::F64(value.to_bits());
        u128, Val::V128;
        Func, |func| Val::FuncRef(Some(func));
        Option<Func>, Val::FuncRef;
        ExternRef, |object| Val::ExternRef(Some(object));
        Option<ExternRef>, Val::ExternRef;
        Ref, |reference| match reference {
            Ref::Func(func) => Val::FuncRef(func),
            Ref::Extern(object) => Val::ExternRef(object),
        };
    }
    Ref {
        Func, |func| Ref::Func(Some(func));
        Option<Func>, Ref::Func;
        ExternRef, |object| Ref::Extern(Some(object));
        Option<ExternRef>, Ref::Extern;
    }
}

/// The value as the text format writes it: floats so that they read back to the same bits, `nan:0x200000`, `null`.
///
/// A function is `funcref` and a value of the host `externref`, as they have no text.
impl Display for Val {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32(value) => Display::fmt(value, f),
            Self::I64(value) => Display::fmt(value, f),
            Self::F32(bits) => {
                let value = f32::from_bits(*bits);
                let (negative, payload) = (bits >> 31 != 0, u64::from(bits & 0x7F_FFFF));
                if value.is_nan() { fmt_nan(f, negative, payload, 1 << 22) } else { fmt_float(f, value, value.into()) }
            }
            Self::F64(bits) => {
                let value = f64::from_bits(*bits);
                let (negative, payload) = (bits >> 63 != 0, bits & 0xF_FFFF_FFFF_FFFF);
                if value.is_nan() { fmt_nan(f, negative, payload, 1 << 51) } else { fmt_float(f, value, value) }
            }
            Self::V128(value) => write!(f, "{value:#034x}"),
            Self::FuncRef(None) | Self::ExternRef(None) => f.write_str("null"),
            Self::FuncRef(Some(_)) => f.write_str("funcref"),
            Self::ExternRef(Some(_)) => f.write_str("externref"),
        }
    }
}

fn fmt_float(f: &mut Formatter<'_>, value: impl Display + LowerExp, size: f64) -> fmt::Result {
    let size = if size < 0.0 { -size } else { size };
    let plain = size == 0.0 || (1e-5..1e16).contains(&size) || size == f64::INFINITY;
    if plain { Display::fmt(&value, f) } else { LowerExp::fmt(&value, f) }
}

fn fmt_nan(f: &mut Formatter<'_>, negative: bool, payload: u64, canonical: u64) -> fmt::Result {
    f.write_str(if negative { "-nan" } else { "nan" })?;
    if payload == canonical { Ok(()) } else { write!(f, ":{payload:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn texts() {
        for (val, text) in [
            (Val::I32(-1), "-1"),
            (Val::from(0.1f32), "0.1"),
            (Val::from(1e300), "1e300"),
            (Val::from(f32::MIN_POSITIVE), "1.1754944e-38"),
            (Val::from(-0.0), "-0"),
            (Val::from(f32::INFINITY), "inf"),
            (Val::from(f64::NEG_INFINITY), "-inf"),
            (Val::F32(0x7FC0_0000), "nan"),
            (Val::F32(0xFFC0_0000), "-nan"),
            (Val::F32(0x7FA0_0000), "nan:0x200000"),
            (Val::F64(0x7FF0_0000_0000_0001), "nan:0x1"),
            (Val::V128(1), "0x00000000000000000000000000000001"),
            (Val::null_func_ref(), "null"),
        ] {
            assert_eq!(val.to_string(), text);
        }
    }

    #[test]
    fn defaults() {
        for ty in [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128] {
            assert_eq!(Val::default_for_ty(ty).map(|val| val.ty()), Some(ty));
        }
        assert_eq!(Val::default_for_ty(ValType::FUNCREF), Some(Val::FuncRef(None)));
        assert_eq!(Val::default_for_ty(ValType::Ref(RefType::new(false, HeapType::Func))), None);
    }
}
