//! Why a guest was stopped by the rules of WebAssembly.
//!
//! A trap is a number in the machine and a text outside it; both stand in one row each. The texts are those of the
//! official test suite, and a number never changes its meaning. Stops that are the embedder's (fuel, deadline) are no
//! traps.

use core::{error, fmt};

macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a guest was stopped by the rules of WebAssembly.
        #[repr(u32)]
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Trap {
            $($(#[$doc])* $name = $code,)*
        }

        impl Trap {
            /// All traps, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The trap with this number.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The text of the official test suite.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

traps! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// A load, store or bulk instruction touched bytes that its memory or data segment does not have.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// A table instruction touched elements that its table or element segment does not have.
    TableOutOfBounds = 3, "out of bounds table access";
    /// An indirect call through an index beyond the end of the table.
    UndefinedElement = 4, "undefined element";
    /// An indirect call through an element that is null.
    UninitializedElement = 5, "uninitialized element";
    /// An indirect call of a function of another type.
    BadSignature = 6, "indirect call type mismatch";
    /// An integer division or remainder by zero.
    IntegerDivisionByZero = 7, "integer divide by zero";
    /// A quotient or a converted number that the result type cannot hold.
    IntegerOverflow = 8, "integer overflow";
    /// A NaN converted to an integer.
    BadConversionToInteger = 9, "invalid conversion to integer";
    /// Calls nested deeper than the stack allows.
    StackOverflow = 10, "call stack exhausted";
    /// A null reference where an object is needed.
    NullReference = 11, "null reference";
    /// `ref.cast` of an object of another type.
    CastFailure = 12, "cast failure";
    /// An array instruction touched elements that its array does not have.
    ArrayOutOfBounds = 13, "out of bounds array access";
    /// An object larger than any the engine makes.
    AllocationTooLarge = 14, "allocation size too large";
    /// An atomic access at an address that is not a multiple of its size.
    UnalignedAtomic = 15, "unaligned atomic";
    /// `memory.atomic.wait` on a memory that is not shared.
    ExpectedShared = 16, "expected shared memory";
}

impl Trap {
    /// The number of the trap, never 0.
    pub const fn code(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl error::Error for Trap {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_from_one() {
        for (n, &trap) in (1..).zip(Trap::ALL) {
            assert_eq!(trap.code(), n);
            assert_eq!(Trap::from_code(n), Some(trap));
        }
        assert_eq!(Trap::from_code(0), None);
        assert_eq!(Trap::from_code(Trap::ALL.len() as u32 + 1), None);
    }
}
