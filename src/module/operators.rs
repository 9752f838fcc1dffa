//! The operator reader: bytes of a body or a constant expression become calls of a [`Sink`], one for each instruction.
//!
//! Everything here is generated. Rows of the instruction table become calls with our types; every other row that the
//! decoder knows becomes [`Sink::later`], with the name of its proposal, so that it is refused by name.
//!
//! Invariant: what a sink sees is well-formed (§5): blocks nest, each has its `end`, nothing follows the last `end`,
//! immediates are encoded as the proposals that are on allow, and every type in them is known. Whether it is *valid* is
//! for the sink to say.

use super::convert::{self, Refusal, Scope};
use super::{ConstExpr, Description, Items};
use crate::error::{Error, Invalid, Place};
use crate::types::{HeapType, ValType};
// Named by rows of the decoder.
use alloc::vec::Vec;
use core::ops::Range;
use jitless_machine::instr::{Access, Plain};
use wasmparser::{BinaryReader, OperatorsReader, VisitOperator, VisitSimdOperator};

/// The immediate of a load or a store (§5.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemArg {
    /// Binary logarithm of the alignment; up to 63, not yet compared with the natural one.
    pub(crate) align: u8,
    /// Above `u32::MAX` only with the memory64 proposal on.
    pub(crate) offset: u64,
    pub(crate) memory: u32,
}

/// The type of a block (§2.4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockType {
    Empty,
    Value(ValType),
    /// An index into `Description::types` that exists; not yet known to be a function type.
    Func(u32),
}

/// The labels of a `br_table`. Their bytes have been read once and are read again each time they are walked.
#[derive(Clone, Debug)]
pub(crate) struct BrTable<'a>(wasmparser::BrTable<'a>);

impl BrTable<'_> {
    /// How many labels there are besides the default one.
    pub(crate) fn len(&self) -> u32 {
        self.0.len()
    }

    pub(crate) fn default(&self) -> u32 {
        self.0.default()
    }

    /// The labels without the default one.
    pub(crate) fn targets(&self) -> impl Iterator<Item = u32> {
        self.0.targets().map_while(Result::ok)
    }
}

macro_rules! sink {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            $method:ident($($immediate:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;
    )*) => {
        /// What becomes of instructions: the validator, the translator and the constant evaluator are sinks.
        ///
        /// A method for each special row of the instruction table, with the row's name and immediates.
        pub(crate) trait Sink {
            /// The offset in the module of the operator that comes next.
            fn at(&mut self, offset: usize);

            /// An instruction of fixed types without immediates.
            fn plain(&mut self, op: Plain) -> Result<(), Error>;

            /// A load or a store.
            fn access(&mut self, op: Access, arg: MemArg) -> Result<(), Error>;

            $(#[doc = concat!("`", $name, "`")] fn $method(&mut self $(, $immediate: $ty)*) -> Result<(), Error>;)*

            /// An instruction that is in no row of the table: it must be refused. `proposal` and `operator` are the
            /// names in text.
            fn later(&mut self, proposal: &'static str, operator: &'static str) -> Result<(), Error>;
        }

        impl<S: Sink> Sink for &mut S {
            #[inline(always)]
            fn at(&mut self, offset: usize) {
                S::at(self, offset);
            }

            #[inline(always)]
            fn plain(&mut self, op: Plain) -> Result<(), Error> {
                S::plain(self, op)
            }

            #[inline(always)]
            fn access(&mut self, op: Access, arg: MemArg) -> Result<(), Error> {
                S::access(self, op, arg)
            }

            $(
                #[inline(always)]
                fn $method(&mut self $(, $immediate: $ty)*) -> Result<(), Error> {
                    S::$method(self $(, $immediate)*)
                }
            )*

            fn later(&mut self, proposal: &'static str, operator: &'static str) -> Result<(), Error> {
                S::later(self, proposal, operator)
            }
        }

        /// Two sinks in one walk. The second never sees what the first refused.
        impl<A: Sink, B: Sink> Sink for (A, B) {
            #[inline(always)]
            fn at(&mut self, offset: usize) {
                self.0.at(offset);
                self.1.at(offset);
            }

            #[inline(always)]
            fn plain(&mut self, op: Plain) -> Result<(), Error> {
                self.0.plain(op)?;
                self.1.plain(op)
            }

            #[inline(always)]
            fn access(&mut self, op: Access, arg: MemArg) -> Result<(), Error> {
                self.0.access(op, arg)?;
                self.1.access(op, arg)
            }

            $(
                #[inline(always)]
                fn $method(&mut self $(, $immediate: $ty)*) -> Result<(), Error> {
                    self.0.$method($($immediate.clone()),*)?;
                    self.1.$method($($immediate),*)
                }
            )*

            fn later(&mut self, proposal: &'static str, operator: &'static str) -> Result<(), Error> {
                self.0.later(proposal, operator)?;
                self.1.later(proposal, operator)
            }
        }
    };
}

jitless_machine::for_each_special!(sink);

/// Hands the operators of a function's body to a sink. `function` is an index of the function index space; an import
/// has no operators.
///
/// The vector of locals is skipped: [`locals`] reads and checks it.
pub(crate) fn read_body<S: Sink + ?Sized>(desc: &Description, function: u32, sink: &mut S) -> Result<(), Error> {
    read_body_while(desc, function, sink, &|| Ok(()))
}

/// The same, until `go_on` has an error, which it is asked for every few thousand operators.
pub(crate) fn read_body_while<S: Sink + ?Sized>(
    desc: &Description,
    function: u32,
    sink: &mut S,
    go_on: GoOn<'_>,
) -> Result<(), Error> {
    let Some(range) = desc.body(function) else { return Ok(()) };
    let body = wasmparser::FunctionBody::new(binary_reader(desc, range));
    let operators = body.get_operators_reader().map_err(malformed)?;
    read(desc, operators, Reader { desc, function: Some(function), offset: 0, sink }, go_on)
}

/// Says by an error when what takes long has to end.
pub(crate) type GoOn<'a> = &'a dyn Fn() -> Result<(), Error>;

/// Operators between two questions whether to go on.
const STRETCH: u32 = 4096;

/// Hands the operators of a constant expression to a sink, its `end` included.
///
/// A reader is 600 functions for its kind of sink. Those who read little share one, through `dyn`.
pub(crate) fn read_const(desc: &Description, expr: &ConstExpr, sink: &mut dyn Sink) -> Result<(), Error> {
    let operators = OperatorsReader::new(binary_reader(desc, &expr.range));
    read(desc, operators, Reader { desc, function: None, offset: 0, sink }, &|| Ok(()))
}

/// The groups of locals that a function declares, without its parameters: how many, of which type.
///
/// Parameters and locals together stay within `ModuleLimits::locals`, or the iterator ends with an error. Nothing is
/// allocated.
pub(crate) fn locals(desc: &Description, function: u32) -> Result<Locals<'_>, Error> {
    let groups = match desc.body(function) {
        Some(range) => {
            Some(wasmparser::FunctionBody::new(binary_reader(desc, range)).get_locals_reader().map_err(malformed)?)
        }
        None => None,
    };
    let left = groups.as_ref().map_or(0, |groups| groups.get_count());
    let total = desc.type_of_func(function).map_or(0, |ty| ty.params().len() as u64);
    Ok(Locals { desc, function, total, groups, left })
}

/// See [`locals`].
pub(crate) struct Locals<'a> {
    desc: &'a Description,
    function: u32,
    total: u64,
    groups: Option<wasmparser::LocalsReader<'a>>,
    /// Groups to come.
    left: u32,
}

impl Locals<'_> {
    fn group(&mut self) -> Option<Result<(u32, ValType), Error>> {
        self.left = self.left.checked_sub(1)?;
        let groups = self.groups.as_mut()?;
        let offset = groups.original_position() as usize;
        Some(groups.read().map_err(malformed).and_then(|(count, ty)| {
            self.total += u64::from(count);
            self.desc.limits.check_locals(self.total, Some(offset))?;
            match Scope::of(self.desc).val_type(ty) {
                Ok(ty) => Ok((count, ty)),
                Err(refusal) => Err(refusal.at(self.desc.place(offset, Some(self.function), None))),
            }
        }))
    }
}

impl Iterator for Locals<'_> {
    type Item = Result<(u32, ValType), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = self.group();
        if matches!(group, Some(Err(_))) {
            self.left = 0;
        }
        group
    }
}

/// One item of an element segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Func(u32),
    Expr(ConstExpr),
}

/// The items of an element segment, in order, each with its offset in the module.
pub(crate) fn items<'a>(desc: &'a Description, items: &Items) -> impl Iterator<Item = (usize, Item)> + use<'a> {
    let (range, mut left, exprs) = match items {
        Items::Funcs(range, count) => (range, *count, false),
        Items::Exprs(range, count) => (range, *count, true),
    };
    let mut reader = binary_reader(desc, range);
    core::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let offset = reader.original_position() as usize;
        // The segment was read through once when it was decoded, so there are as many items as it says.
        let item = if exprs {
            let expr: wasmparser::ConstExpr<'_> = reader.read().ok()?;
            Item::Expr(convert::const_expr(&expr))
        } else {
            Item::Func(reader.read_var_u32().ok()?)
        };
        Some((offset, item))
    })
}

fn binary_reader<'a>(desc: &'a Description, range: &Range<u32>) -> BinaryReader<'a> {
    BinaryReader::new_features(desc.slice(range), u64::from(range.start), convert::features(desc.proposals))
}

fn read<'a, S: Sink + ?Sized>(
    desc: &'a Description,
    mut operators: OperatorsReader<'a>,
    mut reader: Reader<'_, S>,
    go_on: GoOn<'_>,
) -> Result<(), Error> {
    debug_assert!(core::ptr::eq(desc, reader.desc));
    let mut left = STRETCH;
    while !operators.eof() {
        left -= 1;
        if left == 0 {
            go_on()?;
            left = STRETCH;
        }
        reader.offset = operators.original_position() as usize;
        reader.sink.at(reader.offset);
        match operators.visit_operator(&mut reader) {
            Ok(done) => done?,
            Err(error) => return Err(malformed(error)),
        }
    }
    operators.finish().map_err(malformed)
}

#[cold]
pub(super) fn malformed(error: wasmparser::Error) -> Error {
    Error::malformed(error.offset() as usize, error.message())
}

/// The decoder's visitor: converts immediates and passes on.
struct Reader<'d, S: ?Sized> {
    desc: &'d Description,
    function: Option<u32>,
    /// Of the operator that is being visited.
    offset: usize,
    sink: &'d mut S,
}

impl<S: ?Sized> Reader<'_, S> {
    #[cold]
    fn place(&self, operator: &'static str) -> Place {
        self.desc.place(self.offset, self.function, Some(operator))
    }

    fn needs_data_count(&self) -> Result<(), Error> {
        match self.desc.data_count {
            Some(_) => Ok(()),
            None => Err(Error::malformed(self.offset, "data count section required")),
        }
    }
}

/// An immediate of the instruction table: what the decoder calls it, and how it becomes ours.
trait Immediate: Sized {
    type Wire;
    fn convert(wire: Self::Wire, scope: Scope<'_>) -> Result<Self, Refusal>;
}

macro_rules! as_it_is {
    ($($ty:ty)*) => {
        $(
            impl Immediate for $ty {
                type Wire = $ty;

                #[inline(always)]
                fn convert(wire: $ty, _: Scope<'_>) -> Result<$ty, Refusal> {
                    Ok(wire)
                }
            }
        )*
    };
}

as_it_is!(u32 i32 i64);

impl Immediate for BlockType {
    type Wire = wasmparser::BlockType;

    fn convert(wire: wasmparser::BlockType, scope: Scope<'_>) -> Result<BlockType, Refusal> {
        match wire {
            wasmparser::BlockType::Empty => Ok(BlockType::Empty),
            wasmparser::BlockType::Type(ty) => scope.val_type(ty).map(BlockType::Value),
            wasmparser::BlockType::FuncType(index) => scope.block_type(index).map(BlockType::Func),
        }
    }
}

impl Immediate for ValType {
    type Wire = wasmparser::ValType;

    fn convert(wire: wasmparser::ValType, scope: Scope<'_>) -> Result<ValType, Refusal> {
        scope.val_type(wire)
    }
}

impl Immediate for HeapType {
    type Wire = wasmparser::HeapType;

    fn convert(wire: wasmparser::HeapType, scope: Scope<'_>) -> Result<HeapType, Refusal> {
        scope.heap_type(wire)
    }
}

macro_rules! visit_plain {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            ($($operand:ident)*) -> $result:ident = $totality:ident $kernel:ident fuel $fuel:literal $($flag:ident)*;
    )*) => {
        $(
            #[inline(always)]
            fn $visit(&mut self) -> Self::Output {
                self.sink.plain(Plain::$operator)
            }
        )*
    };
}

macro_rules! visit_access {
    ($(@$proposal:ident $operator:ident $visit:ident $name:literal $direction:ident $ty:ident as $memory:ident;)*) => {
        $(
            #[inline(always)]
            fn $visit(&mut self, arg: wasmparser::MemArg) -> Self::Output {
                match arg.target {
                    wasmparser::MemArgTarget::Memory(memory) => {
                        self.sink.access(Access::$operator, MemArg { align: arg.align, offset: arg.offset, memory })
                    }
                    wasmparser::MemArgTarget::Array(_) => self.sink.later("multibyte-array-access", $name),
                }
            }
        )*
    };
}

macro_rules! visit_special {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            $method:ident($($immediate:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;
    )*) => {
        $(visit_special!(@row $visit $name $method($($immediate: $ty),*));)*
    };

    // Immediates whose types differ from the decoder's in more than the name.
    (@row visit_br_table $name:literal $method:ident($($immediates:tt)*)) => {
        fn visit_br_table(&mut self, targets: wasmparser::BrTable<'a>) -> Self::Output {
            self.sink.$method(BrTable(targets))
        }
    };
    (@row visit_f32_const $name:literal $method:ident($($immediates:tt)*)) => {
        #[inline(always)]
        fn visit_f32_const(&mut self, value: wasmparser::Ieee32) -> Self::Output {
            self.sink.$method(value.bits())
        }
    };
    (@row visit_f64_const $name:literal $method:ident($($immediates:tt)*)) => {
        #[inline(always)]
        fn visit_f64_const(&mut self, value: wasmparser::Ieee64) -> Self::Output {
            self.sink.$method(value.bits())
        }
    };
    // Data indices in code need the data count section (§5.5.16).
    (@row visit_memory_init $name:literal $method:ident($($immediates:tt)*)) => {
        fn visit_memory_init(&mut self, data_index: u32, mem: u32) -> Self::Output {
            self.needs_data_count()?;
            self.sink.$method(data_index, mem)
        }
    };
    (@row visit_data_drop $name:literal $method:ident($($immediates:tt)*)) => {
        fn visit_data_drop(&mut self, data_index: u32) -> Self::Output {
            self.needs_data_count()?;
            self.sink.$method(data_index)
        }
    };
    (@row $visit:ident $name:literal $method:ident($($immediate:ident: $ty:ty),*)) => {
        #[inline(always)]
        fn $visit(&mut self $(, $immediate: <$ty as Immediate>::Wire)*) -> Self::Output {
            $(
                let $immediate = match <$ty as Immediate>::convert($immediate, Scope::of(self.desc)) {
                    Ok(immediate) => immediate,
                    Err(refusal) => return Err(refusal.at(self.place($name))),
                };
            )*
            self.sink.$method($($immediate),*)
        }
    };
}

/// Rows of the decoder that have no row in our table.
macro_rules! visit_later {
    ($(
        @$proposal:ident $operator:ident $({ $($immediate:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*)
    )*) => {
        $(visit_later!(@row $proposal $operator $visit($($($ty),*)?));)*
    };

    (@row reference_types TypedSelectMulti $visit:ident($ty:ty)) => {
        fn $visit(&mut self, _: $ty) -> Self::Output {
            Err(Error::invalid(self.place("select"), Invalid::ResultArity))
        }
    };
    (@row mvp $($rest:tt)*) => {};
    (@row sign_extension $($rest:tt)*) => {};
    (@row saturating_float_to_int $($rest:tt)*) => {};
    (@row bulk_memory $($rest:tt)*) => {};
    (@row reference_types $($rest:tt)*) => {};
    (@row tail_call $($rest:tt)*) => {};
    (@row $proposal:ident $operator:ident $visit:ident($($ty:ty),*)) => {
        #[cold]
        fn $visit(&mut self $(, _: $ty)*) -> Self::Output {
            const VISIT: &str = stringify!($visit);
            const BYTES: [u8; text_len(VISIT)] = text_name(VISIT);
            const NAME: &str = match core::str::from_utf8(&BYTES) {
                Ok(name) => name,
                Err(_) => VISIT,
            };
            self.sink.later(convert::proposal_name(stringify!($proposal)), NAME)
        }
    };
}

impl<'a, S: Sink + ?Sized> VisitOperator<'a> for Reader<'_, S> {
    type Output = Result<(), Error>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    jitless_machine::for_each_plain!(visit_plain);
    jitless_machine::for_each_access!(visit_access);
    jitless_machine::for_each_special!(visit_special);
    wasmparser::for_each_visit_operator!(visit_later);
}

impl<'a, S: Sink + ?Sized> VisitSimdOperator<'a> for Reader<'_, S> {
    wasmparser::for_each_visit_simd_operator!(visit_later);
}

/// The length of [`text_name`]'s result.
const fn text_len(visit: &str) -> usize {
    visit.len() - "visit_".len()
}

/// The name in the text format of an operator that is in no row of the table, from the name of its visitor: a dot
/// after the namespace, if it has one, and behind the words of atomic ones. Only for messages.
const fn text_name<const N: usize>(visit: &str) -> [u8; N] {
    const NAMESPACES: &[&str] = &[
        "any", "array", "atomic", "cont", "extern", "f32", "f32x4", "f64", "f64x2", "global", "i16x8", "i31", "i32",
        "i32x4", "i64", "i64x2", "i8x16", "memory", "ref", "struct", "table", "v128",
    ];
    const ATOMIC: &[&str] = &["atomic", "rmw", "rmw8", "rmw16", "rmw32"];
    let mut name = [0; N];
    let mut i = 0;
    // Where the word began that is being read, and the words that end in a dot there.
    let mut word = 0;
    let mut dotted = NAMESPACES;
    while i < N {
        name[i] = visit.as_bytes()["visit_".len() + i];
        if name[i] == b'_' {
            if any(&name, word, i, dotted) {
                name[i] = b'.';
                dotted = ATOMIC;
            } else {
                dotted = &[];
            }
            word = i + 1;
        }
        i += 1;
    }
    name
}

/// Is the word that lies there one of these?
const fn any(name: &[u8], from: usize, to: usize, words: &[&str]) -> bool {
    let mut n = 0;
    while n < words.len() {
        let word = words[n].as_bytes();
        let mut i = 0;
        while i < word.len() && from + i < to && name[from + i] == word[i] {
            i += 1;
        }
        if i == word.len() && from + i == to {
            return true;
        }
        n += 1;
    }
    false
}
