//! The rules of validation that a module can break, and where it does.
//!
//! Invariant: the text of a rule begins with the text that the official test suite expects for it.

use alloc::string::String;
use core::fmt::{self, Display, Formatter};

use super::text::Escaped;
use crate::types::{RefType, ValType};

/// A place in a module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// In bytes from the start of the module.
    pub offset: usize,
    /// The index of the function whose body it is, imports counted.
    pub function: Option<u32>,
    /// That function's name, if the module has one for it.
    pub name: Option<String>,
    /// The instruction, as `i32.add`.
    pub operator: Option<&'static str>,
}

impl Place {
    /// A place outside of all function bodies.
    pub(crate) fn at(offset: usize) -> Self {
        Self { offset, ..Self::default() }
    }
}

/// Ends in a colon and a space, to be followed by what is wrong there.
impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(function) = self.function {
            write!(f, "function {function}")?;
            if let Some(name) = &self.name {
                write!(f, " `{}`", Escaped(name))?;
            }
            f.write_str(", ")?;
        }
        write!(f, "offset {:#x}", self.offset)?;
        if let Some(operator) = self.operator {
            write!(f, ", at `{operator}`")?;
        }
        f.write_str(": ")
    }
}

/// A rule of validation that a module breaks (§3). The numbers are the module's indices.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// An operand has another type than the instruction wants.
    #[error("type mismatch: expected {}, found {}", Or(*expected, "a value"), Or(*found, "nothing"))]
    TypeMismatch {
        /// What the instruction wants; `None` if it takes anything.
        expected: Option<ValType>,
        /// What the stack has; `None` if it has nothing left in this block.
        found: Option<ValType>,
    },
    /// A reference is wanted, whatever it refers to.
    #[error("type mismatch: expected a reference, found {}", Or(*found, "nothing"))]
    ReferenceExpected {
        /// What the stack has; `None` if it has nothing left in this block.
        found: Option<ValType>,
    },
    /// More values are on the stack at the end of a block than it returns.
    #[error("type mismatch: {0} more values on the stack than the block returns")]
    ValuesRemaining(usize),
    /// The two values of a `select` without types are of different types, or references.
    #[error("type mismatch: select of {0} and {1} needs to name its type")]
    UntypedSelect(ValType, ValType),
    /// The labels of a `br_table` take different numbers of values.
    #[error("type mismatch: the default label takes {default} values, label {label} {found}")]
    BranchTableArity {
        /// The label that differs, as counted outwards.
        label: u32,
        /// How many values the default label takes.
        default: usize,
        /// How many this one takes.
        found: usize,
    },
    /// An `if` without `else` that changes the stack.
    #[error("type mismatch: if without else takes and returns different types")]
    MissingElse,
    /// A tail call of a function with other results than the caller's.
    #[error("type mismatch: the results of the function called are not those of its caller")]
    TailCallResults,
    /// The table of an indirect call does not hold functions.
    #[error("type mismatch: table {table} holds {element}, not functions")]
    TableOfFunctionsExpected {
        /// The table.
        table: u32,
        /// What it holds.
        element: RefType,
    },
    /// A copy between tables, or from a segment, of elements of another type.
    #[error("type mismatch: expected elements of type {expected}, found {found}")]
    ElementType {
        /// What the destination holds.
        expected: RefType,
        /// What the source holds.
        found: RefType,
    },
    /// A type index names a type of the wrong sort.
    #[error("type mismatch: type {index} is no {expected} type")]
    SortOfType {
        /// The type index.
        index: u32,
        /// `function`, `structure` or `array`.
        expected: &'static str,
    },
    /// A `select` names another number of types than one.
    #[error("invalid result arity: select names one type")]
    ResultArity,
    /// No function has this index.
    #[error("unknown function {0}")]
    UnknownFunction(u32),
    /// No type has this index.
    #[error("unknown type {0}")]
    UnknownType(u32),
    /// No local has this index.
    #[error("unknown local {0}")]
    UnknownLocal(u32),
    /// No global has this index.
    #[error("unknown global {0}")]
    UnknownGlobal(u32),
    /// No table has this index.
    #[error("unknown table {0}")]
    UnknownTable(u32),
    /// No memory has this index.
    #[error("unknown memory {0}")]
    UnknownMemory(u32),
    /// No tag has this index.
    #[error("unknown tag {0}")]
    UnknownTag(u32),
    /// No label has this index.
    #[error("unknown label {0}")]
    UnknownLabel(u32),
    /// No data segment has this index.
    #[error("unknown data segment {0}")]
    UnknownData(u32),
    /// No element segment has this index.
    #[error("unknown elem segment {0}")]
    UnknownElem(u32),
    /// A local of a type without default is read before it is set.
    #[error("uninitialized local {0}")]
    UninitializedLocal(u32),
    /// A function is referred to that nothing outside of bodies mentions.
    #[error("undeclared function reference: function {0} is in no export, global or element segment")]
    UndeclaredFunctionReference(u32),
    /// An alignment hint is larger than the access.
    #[error("alignment must not be larger than natural")]
    AlignmentTooLarge,
    /// A constant offset that no address of the memory can reach.
    #[error("offset out of range: {0} for a memory of 32-bit addresses")]
    OffsetOutOfRange(u64),
    /// A global that cannot be set is set.
    #[error("immutable global: global is immutable: {0}")]
    ImmutableGlobal(u32),
    /// A constant expression does what a constant expression must not.
    #[error("constant expression required")]
    ConstantExpressionRequired,
    /// Two exports have the same name.
    #[error("duplicate export name `{}`", Escaped(.0))]
    DuplicateExport(String),
    /// More than one memory without the multi-memory proposal.
    #[error("multiple memories: {0}, at most 1 without the multi-memory proposal")]
    MultipleMemories(u32),
    /// More than one table without the reference-types proposal.
    #[error("multiple tables: {0}, at most 1 without the reference-types proposal")]
    MultipleTables(u32),
    /// The start function takes or returns something.
    #[error("start function: function {0} must take and return nothing")]
    StartFunction(u32),
    /// A block or function returns more than one value without the multi-value proposal.
    #[error("invalid result arity: {0} results, at most 1 without the multi-value proposal")]
    MultipleResults(usize),
    /// A memory larger than its addresses reach.
    #[error("memory size must be at most {limit} pages{}: {found}", if *limit == 65536 { " (4GiB)" } else { "" })]
    MemorySize {
        /// The largest number of pages.
        limit: u64,
        /// The number declared.
        found: u64,
    },
    /// A table larger than its indices reach.
    #[error("table size must be at most {limit} elements: {found}")]
    TableSize {
        /// The largest number of elements.
        limit: u64,
        /// The number declared.
        found: u64,
    },
    /// A minimum above its maximum.
    #[error("size minimum must not be greater than maximum: {min} and {max}")]
    MinimumAboveMaximum {
        /// The minimum.
        min: u64,
        /// The maximum.
        max: u64,
    },
    /// A shared memory without a maximum.
    #[error("shared memory must have maximum")]
    SharedWithoutMaximum,
    /// A table without initial value whose elements cannot be null.
    #[error("type mismatch: a table of {0} needs an initial value")]
    TableWithoutValue(RefType),
    /// A page size that is no power of two that is allowed.
    #[error("invalid custom page size")]
    PageSize,
    /// A tag whose type has results.
    #[error("non-empty tag result type")]
    TagResults,
    /// A declared supertype that is not one.
    #[error("sub type {sub} does not match super type {sup}")]
    SubType {
        /// The type that is declared to be below.
        sub: u32,
        /// The type that is declared to be above.
        sup: u32,
    },
    /// A type declares more than one supertype.
    #[error("multiple supertypes: {0}, at most 1")]
    MultipleSupertypes(usize),
    /// An `else` that belongs to no `if`.
    #[error("type mismatch: else without if")]
    ElseWithoutIf,
    /// A global that can be set is imported or exported without the mutable-global proposal.
    #[error("mutable global: a mutable global cannot be imported or exported without the mutable-global proposal")]
    MutableGlobalAcross,
    /// A rule that has no row of its own here. The text begins with the suite's.
    #[error("{0}")]
    Other(&'static str),
}

struct Or(Option<ValType>, &'static str);

impl Display for Or {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ty) => ty.fmt(f),
            None => f.write_str(self.1),
        }
    }
}
