//! How a value lies in a slot: 64 bits that say nothing of their type.
//!
//! Invariant: no slot ever holds a pointer of the host. A reference is a handle of the store, from 1 on; null is 0.

/// The raw bits of a value of one slot. A `v128` takes two, the lower half first.
///
/// An `i32` and an `f32` are zero-extended, so that equal values have equal bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub(crate) struct Slot(pub(crate) u64);

impl Slot {
    /// Zero of each number type, and the null reference.
    pub(crate) const ZERO: Self = Self(0);
    /// The null reference of any type.
    pub(crate) const NULL: Self = Self(0);

    pub(crate) const fn from_i32(value: i32) -> Self {
        Self(value as u32 as u64)
    }

    pub(crate) const fn from_i64(value: i64) -> Self {
        Self(value as u64)
    }

    pub(crate) const fn from_f32(bits: u32) -> Self {
        Self(bits as u64)
    }

    pub(crate) const fn from_f64(bits: u64) -> Self {
        Self(bits)
    }

    /// Lower half first.
    pub(crate) const fn from_v128(value: u128) -> [Self; 2] {
        [Self(value as u64), Self((value >> 64) as u64)]
    }

    /// A reference by its handle, which is at least 1.
    pub(crate) const fn from_handle(handle: Option<u32>) -> Self {
        match handle {
            Some(handle) => {
                debug_assert!(handle != 0);
                Self(handle as u64)
            }
            None => Self::NULL,
        }
    }

    pub(crate) const fn i32(self) -> i32 {
        self.0 as i32
    }

    pub(crate) const fn u32(self) -> u32 {
        self.0 as u32
    }

    pub(crate) const fn i64(self) -> i64 {
        self.0 as i64
    }

    pub(crate) const fn u64(self) -> u64 {
        self.0
    }

    /// The bits of an `f32`.
    pub(crate) const fn f32(self) -> u32 {
        self.0 as u32
    }

    /// The bits of an `f64`.
    pub(crate) const fn f64(self) -> u64 {
        self.0
    }

    /// Lower half first.
    pub(crate) const fn v128([low, high]: [Self; 2]) -> u128 {
        low.0 as u128 | (high.0 as u128) << 64
    }
}

macro_rules! slot_from {
    ($($ty:ty, $make:expr, $take:expr;)*) => {
        $(
            impl From<$ty> for Slot {
                fn from(value: $ty) -> Self {
                    $make(value)
                }
            }

            impl From<Slot> for $ty {
                fn from(slot: Slot) -> Self {
                    $take(slot)
                }
            }
        )*
    };
}

slot_from! {
    i32, Slot::from_i32, Slot::i32;
    u32, |value| Slot(u64::from(value)), Slot::u32;
    i64, Slot::from_i64, Slot::i64;
    u64, Slot, Slot::u64;
    f32, |value: f32| Slot::from_f32(value.to_bits()), |slot: Slot| f32::from_bits(slot.f32());
    f64, |value: f64| Slot::from_f64(value.to_bits()), |slot: Slot| f64::from_bits(slot.f64());
    bool, |value| Slot(u64::from(value)), |slot: Slot| slot.i32() != 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_zero_extended() {
        assert_eq!(Slot::from(-1i32).0, 0xFFFF_FFFF);
        assert_eq!(Slot::from(-0.0f32).0, 0x8000_0000);
        assert_eq!(Slot::from(true).0, 1);
    }

    #[test]
    fn values_come_back() {
        assert_eq!(i32::from(Slot::from(i32::MIN)), i32::MIN);
        assert_eq!(i64::from(Slot::from(i64::MIN)), i64::MIN);
        assert_eq!(f64::from(Slot::from(1.5f64)), 1.5);
        // A signalling NaN keeps its bits.
        assert_eq!(Slot::from_f32(0x7FA0_0001).f32(), 0x7FA0_0001);
        let wide = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210;
        assert_eq!(Slot::v128(Slot::from_v128(wide)), wide);
        assert_eq!(Slot::from_v128(wide)[0].0, 0xFEDC_BA98_7654_3210);
        assert_eq!((Slot::from_handle(Some(7)).0, Slot::from_handle(None)), (7, Slot::NULL));
    }
}
