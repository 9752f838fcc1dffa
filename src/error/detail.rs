//! The operands of a trap, in words.

use core::fmt::{self, Display, Formatter};

use super::text;
use crate::types::FuncType;
use jitless_machine::trap::Trap;

/// The operands of a trap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum TrapDetail {
    /// Nothing more is known.
    #[default]
    None,
    /// An access to a memory. It would end at `base + offset + size`, which may be more than 64 bits hold.
    Memory {
        /// The instruction, as `i32.load`.
        operator: &'static str,
        /// The number of bytes.
        size: u64,
        /// The address operand.
        base: u64,
        /// The instruction's constant offset.
        offset: u64,
        /// The index of the memory.
        memory: u32,
        /// What the memory holds, in bytes.
        len: u64,
    },
    /// An access to a table.
    Table {
        /// The instruction, as `call_indirect`.
        operator: &'static str,
        /// The number of elements.
        size: u64,
        /// The first.
        index: u64,
        /// The index of the table.
        table: u32,
        /// What the table holds, in elements.
        len: u64,
    },
    /// A copy out of a data or element segment.
    Segment {
        /// The instruction, as `memory.init`.
        operator: &'static str,
        /// The number of bytes or elements.
        size: u64,
        /// The first.
        start: u64,
        /// The index of the segment.
        segment: u32,
        /// What the segment holds, in bytes or elements.
        len: u64,
    },
    /// An indirect call of a function of another type.
    Signature {
        /// The type that the instruction names.
        wanted: FuncType,
        /// The type of the function found.
        found: FuncType,
    },
}

impl TrapDetail {
    /// The address or index of the first byte or element, if the trap has one.
    pub fn first(&self) -> Option<u128> {
        match *self {
            Self::Memory { base, offset, .. } => Some(u128::from(base) + u128::from(offset)),
            Self::Table { index, .. } => Some(index.into()),
            Self::Segment { start, .. } => Some(start.into()),
            Self::None | Self::Signature { .. } => None,
        }
    }

    /// What the one line says after the trap's text. The official suite names the element.
    pub(super) fn suffix(&self, trap: Trap) -> impl Display {
        struct Suffix(Option<u64>);
        impl Display for Suffix {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                self.0.map_or(Ok(()), |index| write!(f, " {index}"))
            }
        }
        match (trap, self) {
            (Trap::UninitializedElement, &Self::Table { index, .. }) => Suffix(Some(index)),
            _ => Suffix(None),
        }
    }
}

/// One line without indentation; empty if nothing is known.
impl Display for TrapDetail {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Memory { operator, size, base, offset, memory, len } => {
                let first = u128::from(*base) + u128::from(*offset);
                write!(f, "{operator} of {} at {first}", text::Count(*size, "byte"))?;
                if *offset != 0 || operator.contains(".load") || operator.contains(".store") {
                    write!(f, " (base {base} + offset {offset})")?;
                }
                write!(f, "; memory {memory} holds {}", text::Count(*len, "byte"))
            }
            Self::Table { operator, size: 1, index, table, len } => {
                write!(f, "{operator} of element {index}; table {table} holds {}", text::Count(*len, "element"))
            }
            Self::Table { operator, size, index, table, len } => {
                write!(f, "{operator} of {} at {index}", text::Count(*size, "element"))?;
                write!(f, "; table {table} holds {}", text::Count(*len, "element"))
            }
            Self::Segment { operator, size, start, segment, len } => {
                let (sort, unit) = if operator.starts_with("table") || operator.ends_with("elem") {
                    ("element", "element")
                } else {
                    ("data", "byte")
                };
                write!(f, "{operator} of {} from {start}", text::Count(*size, unit))?;
                write!(f, "; {sort} segment {segment} holds {}", text::Count(*len, unit))
            }
            Self::Signature { wanted, found } => write!(f, "expected {wanted}, found {found}"),
        }
    }
}
