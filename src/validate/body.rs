//! The algorithm of the specification's appendix ("Validation Algorithm"): a stack of operand types, a stack of
//! control frames, one pass over a function body. One rule for all plain instructions, one for all loads and stores;
//! the rules of the special ones are in `special.rs`.
//!
//! Invariant: the cost of an operator does not grow with what surrounds it. Only lists of types that the operator
//! itself consumes or produces are walked, each at most once, wide ones as a vector comparison; nothing recurses.

use super::subtype::Operand;
use super::{Fault, References, Refusal, invalid, special};
use crate::config::Proposals;
use crate::error::{Error, Invalid};
use crate::module::Description;
use crate::module::operators::{self, BlockType, BrTable, MemArg, Sink};
use crate::types::{FuncType, HeapType, ValType};
use alloc::vec::Vec;
use core::ops::Range;
use hashbrown::HashMap;
use jitless_machine::for_each_special;
use jitless_machine::instr::{Access, Plain, Proposal, Special};
use jitless_machine::types::Ty;

/// No operand stack is higher. One operator can push a thousand operands, so the bytes of a body do not bound it.
const OPERANDS: usize = 1 << 20;

/// The validator of function bodies: one after another, with the same allocations.
pub(crate) struct Body<'a> {
    pub(super) desc: &'a Description,
    /// In a constant expression every function may be named; that is what declares it.
    refs: Option<&'a References>,
    stack: Vec<Operand>,
    frames: Vec<Frame>,
    /// The height of the innermost frame.
    height: usize,
    locals: Locals<'a>,
    wide: Wide,
    seen: Seen,
    /// Where in the module: the function, and the operator's offset.
    function: Option<u32>,
    offset: usize,
}

/// A control frame: what is between a block's operator and its `end`.
#[derive(Clone, Copy)]
struct Frame {
    /// The height of the operand stack below the block's parameters.
    height: u32,
    kind: Kind,
    /// Has an operator passed after which nothing is reached? Then the operands below `height` are of any number
    /// and type.
    unreachable: bool,
    ty: BlockOf,
}

#[cfg(test)]
pub(super) const FRAME_BYTES: usize = size_of::<Frame>();

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    Block,
    Loop,
    If,
    Else,
}

/// A block type that was checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockOf {
    Empty,
    Value(Operand),
    /// A type index, of a function type.
    Func(u32),
}

/// The types that an operator takes or leaves, the deepest first.
#[derive(Clone, Copy)]
pub(super) enum List<'a> {
    Empty,
    One(Operand),
    Many(&'a [ValType], Key),
}

/// Names a list of types of the module: type index, and whether its results are meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u32, bool);

impl List<'_> {
    fn len(self) -> usize {
        match self {
            List::Empty => 0,
            List::One(_) => 1,
            List::Many(types, _) => types.len(),
        }
    }

    /// The same list, as far as names tell; lists of other names may be equal too.
    fn is(self, other: Self) -> bool {
        match (self, other) {
            (List::Empty, List::Empty) => true,
            (List::One(a), List::One(b)) => a == b,
            (List::Many(_, a), List::Many(_, b)) => a == b,
            _ => false,
        }
    }
}

/// The types of a function's locals, parameters first. Takes memory for what the bytes declare, not for the number of
/// locals: six bytes can declare fifty thousand.
#[derive(Default)]
struct Locals<'a> {
    /// The first of them, one by one.
    first: Vec<Operand>,
    params: &'a [ValType],
    /// The others: for each group, the index after its last local, and its type.
    groups: Vec<(u32, Operand)>,
    count: u32,
}

impl<'a> Locals<'a> {
    const FIRST: usize = 64;

    fn begin(&mut self, params: &'a [ValType]) {
        self.first.clear();
        self.first.extend(params.iter().take(Self::FIRST).map(|&ty| Operand::from(ty)));
        self.params = params;
        self.groups.clear();
        self.count = params.len() as u32;
    }

    /// Declares `count` more; the reader keeps the sum within its limit.
    fn declare(&mut self, count: u32, ty: Operand) {
        if count == 0 {
            return;
        }
        let direct = (Self::FIRST - self.first.len()).min(count as usize);
        self.first.resize(self.first.len() + direct, ty);
        self.count += count;
        match self.groups.last_mut() {
            Some(last) if last.1 == ty => last.0 = self.count,
            _ => self.groups.push((self.count, ty)),
        }
    }

    #[inline]
    fn get(&self, index: u32) -> Option<Operand> {
        match self.first.get(index as usize) {
            Some(&ty) => Some(ty),
            None => self.beyond(index),
        }
    }

    fn beyond(&self, index: u32) -> Option<Operand> {
        if let Some(&ty) = self.params.get(index as usize) {
            return Some(ty.into());
        }
        let group = self.groups.partition_point(|&(end, _)| end <= index);
        self.groups.get(group).map(|&(_, ty)| ty)
    }
}

/// Long lists of types as operands, made when first needed: comparing and copying them is then a matter of memory.
#[derive(Default)]
struct Wide {
    lists: HashMap<Key, Range<usize>>,
    operands: Vec<Operand>,
}

impl Wide {
    /// Lists up to this length are converted as they are walked.
    const NARROW: usize = 8;

    fn list(&mut self, types: &[ValType], key: Key) -> Range<usize> {
        let operands = &mut self.operands;
        let make = || {
            let start = operands.len();
            operands.extend(types.iter().map(|&ty| Operand::from(ty)));
            start..operands.len()
        };
        self.lists.entry(key).or_insert_with(make).clone()
    }
}

/// Which labels this `br_table` has checked: a stamp for each control frame, valid if it is the current one.
#[derive(Default)]
struct Seen {
    stamps: Vec<u32>,
    current: u32,
}

impl Seen {
    fn begin(&mut self) {
        self.current = self.current.wrapping_add(1);
        if self.current == 0 {
            self.stamps.fill(0);
            self.current = 1;
        }
    }

    /// Marks a frame; was it marked before?
    fn mark(&mut self, frame: usize, frames: usize) -> bool {
        if self.stamps.len() < frames {
            self.stamps.resize(frames, 0);
        }
        core::mem::replace(&mut self.stamps[frame], self.current) == self.current
    }
}

/// Do these operands match these types, without asking for subtypes? No early exit, so that it becomes vector code.
fn all_match(found: &[Operand], expected: &[Operand]) -> bool {
    found
        .iter()
        .zip(expected)
        .fold(true, |so_far, (found, expected)| so_far & ((found == expected) | found.is_unknown()))
}

/// A body, or constant expression, from outside: begin, be the sink of a reader, finish.
impl<'a> Body<'a> {
    /// `refs` is what [`super::module`] returned for this description.
    pub(crate) fn new(desc: &'a Description, refs: &'a References) -> Body<'a> {
        Body { refs: Some(refs), ..Body::for_constants(desc) }
    }

    /// For `begin_constant`.
    pub(super) fn for_constants(desc: &'a Description) -> Body<'a> {
        Body {
            desc,
            refs: None,
            stack: Vec::new(),
            frames: Vec::new(),
            height: 0,
            locals: Locals::default(),
            wide: Wide::default(),
            seen: Seen::default(),
            function: None,
            offset: 0,
        }
    }

    /// Prepares for the body of `function`, which the module defines: its parameters, its locals, its frame.
    pub(crate) fn begin(&mut self, function: u32) -> Result<(), Error> {
        let body = self.desc.body(function).expect("a function that the module defines");
        self.function = Some(function);
        self.offset = body.start as usize;
        let ty = self.desc.funcs[function as usize];
        match self.func_type(ty) {
            Ok(ty) => self.locals.begin(ty.params()),
            Err(fault) => return Err(self.refuse(fault, None)),
        }
        for group in operators::locals(self.desc, function)? {
            let (count, ty) = group?;
            self.locals.declare(count, ty.into());
        }
        self.start(BlockOf::Func(ty));
        Ok(())
    }

    /// Prepares for a constant expression that is to leave a value of type `ty`.
    pub(super) fn begin_constant(&mut self, offset: usize, ty: ValType) {
        self.function = None;
        self.offset = offset;
        self.start(BlockOf::Value(ty.into()));
    }

    fn start(&mut self, ty: BlockOf) {
        self.stack.clear();
        self.frames.clear();
        self.height = 0;
        self.frames.push(Frame { height: 0, kind: Kind::Function, unreachable: false, ty });
    }

    /// Has the body ended where its bytes do? The reader has seen to it that it has; this is the proof.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match self.frames.is_empty() && self.stack.is_empty() {
            true => Ok(()),
            false => Err(self.refuse(malformed("unexpected end"), None)),
        }
    }

    /// The error for a fault of the current operator.
    #[cold]
    pub(super) fn refuse(&self, fault: Fault, operator: Option<&'static str>) -> Error {
        fault.at(self.desc.place(self.offset, self.function, operator))
    }
}

#[cold]
pub(super) fn malformed(message: &'static str) -> Fault {
    Refusal::Malformed(message).into()
}

#[cold]
fn needs(proposal: Proposals) -> Fault {
    Refusal::Needs(proposal).into()
}

#[cold]
fn mismatch(expected: Operand, found: Operand) -> Fault {
    invalid(Invalid::TypeMismatch { expected: expected.ty(), found: found.ty() })
}

/// Operands.
impl<'a> Body<'a> {
    #[inline]
    pub(super) fn push(&mut self, ty: Operand) {
        self.stack.push(ty);
    }

    /// Takes an operand of the expected type, or of a subtype.
    #[inline]
    pub(super) fn pop(&mut self, expected: Operand) -> Result<(), Fault> {
        match self.stack.last() {
            Some(&top) if top == expected && self.stack.len() > self.height => {
                self.stack.pop();
                Ok(())
            }
            _ => self.pop_slowly(expected),
        }
    }

    fn pop_slowly(&mut self, expected: Operand) -> Result<(), Fault> {
        let at = self.check_at(self.stack.len(), expected)?;
        self.stack.truncate(at);
        Ok(())
    }

    /// Takes an operand of whatever type; it may be unknown.
    #[inline]
    pub(super) fn pop_any(&mut self) -> Result<Operand, Fault> {
        if self.stack.len() > self.height {
            Ok(self.stack.pop().unwrap_or(Operand::UNKNOWN))
        } else {
            self.underflow(Operand::UNKNOWN).map(|()| Operand::UNKNOWN)
        }
    }

    /// Does the operand below `at` match? Returns where the next one ends.
    #[inline]
    fn check_at(&self, at: usize, expected: Operand) -> Result<usize, Fault> {
        if at <= self.height {
            self.underflow(expected)?;
            return Ok(at);
        }
        let found = self.stack[at - 1];
        if found == expected || self.matches(found, expected) { Ok(at - 1) } else { Err(mismatch(expected, found)) }
    }

    /// There is no operand above the innermost frame's height: is that in order?
    #[cold]
    fn underflow(&self, expected: Operand) -> Result<(), Fault> {
        match self.frames.last() {
            Some(frame) if frame.unreachable => Ok(()),
            _ => Err(mismatch(expected, Operand::UNKNOWN)),
        }
    }

    #[cold]
    pub(super) fn matches(&self, found: Operand, expected: Operand) -> bool {
        found.matches(expected, &self.desc.engine_types)
    }

    /// Do the topmost operands match the list? Returns the height below them.
    #[inline]
    pub(super) fn check(&mut self, list: List<'a>) -> Result<usize, Fault> {
        match list {
            List::Empty => Ok(self.stack.len()),
            List::One(ty) => self.check_at(self.stack.len(), ty),
            List::Many(types, key) => self.check_many(types, key),
        }
    }

    fn check_many(&mut self, types: &'a [ValType], key: Key) -> Result<usize, Fault> {
        if types.len() <= Wide::NARROW {
            types.iter().rev().try_fold(self.stack.len(), |at, &ty| self.check_at(at, ty.into()))
        } else {
            self.check_wide(types, key)
        }
    }

    /// `O(1)` where the stack is empty and polymorphic.
    fn check_wide(&mut self, types: &'a [ValType], key: Key) -> Result<usize, Fault> {
        let len = self.stack.len();
        let there = (len - self.height).min(types.len());
        let missing = types.len() - there;
        let list = self.wide.list(types, key);
        let expected = &self.wide.operands[list][missing..];
        let found = &self.stack[len - there..];
        if !all_match(found, expected) {
            for (&found, &expected) in found.iter().zip(expected).rev() {
                if !self.matches(found, expected) {
                    return Err(mismatch(expected, found));
                }
            }
        }
        if missing > 0 {
            self.underflow(types[missing - 1].into())?;
        }
        Ok(len - there)
    }

    #[inline]
    pub(super) fn pop_list(&mut self, list: List<'a>) -> Result<(), Fault> {
        let height = self.check(list)?;
        self.stack.truncate(height);
        Ok(())
    }

    #[inline]
    pub(super) fn push_list(&mut self, list: List<'a>) -> Result<(), Fault> {
        match list {
            List::Empty => Ok(()),
            List::One(ty) => {
                self.push(ty);
                Ok(())
            }
            List::Many(types, key) => self.push_many(types, key),
        }
    }

    fn push_many(&mut self, types: &'a [ValType], key: Key) -> Result<(), Fault> {
        let found = self.stack.len() + types.len();
        if found > OPERANDS {
            let (limit, found) = (OPERANDS as u64, found as u64);
            return Err(Error::limit("operands on the stack", limit, found, Some(self.offset)).into());
        }
        if types.len() <= Wide::NARROW {
            self.stack.extend(types.iter().map(|&ty| Operand::from(ty)));
        } else {
            let list = self.wide.list(types, key);
            self.stack.extend_from_slice(&self.wide.operands[list]);
        }
        Ok(())
    }

    /// Does each type of `sub` match the one of `sup`?
    pub(super) fn lists_match(&mut self, sub: List<'a>, sup: List<'a>) -> bool {
        if sub.is(sup) {
            return true;
        }
        match (sub, sup) {
            (List::One(a), List::One(b)) => self.matches(a, b),
            (List::Many(a, a_key), List::Many(b, b_key)) if a.len() == b.len() => {
                if a.len() > Wide::NARROW {
                    let (a, b) = (self.wide.list(a, a_key), self.wide.list(b, b_key));
                    if all_match(&self.wide.operands[a], &self.wide.operands[b]) {
                        return true;
                    }
                }
                a.iter().zip(b).all(|(&a, &b)| self.matches(a.into(), b.into()))
            }
            _ => false,
        }
    }
}

/// Control.
impl<'a> Body<'a> {
    /// Opens a block: its parameters are taken, and are its first operands.
    pub(super) fn enter(&mut self, kind: Kind, ty: BlockType) -> Result<(), Fault> {
        let ty = self.block_type(ty)?;
        self.desc.limits.check_nesting(self.frames.len() as u64, Some(self.offset))?;
        let params = self.params(ty);
        self.pop_list(params)?;
        self.height = self.stack.len();
        self.frames.push(Frame { height: self.height as u32, kind, unreachable: false, ty });
        self.push_list(params)
    }

    fn block_type(&self, ty: BlockType) -> Result<BlockOf, Fault> {
        Ok(match ty {
            BlockType::Empty => BlockOf::Empty,
            BlockType::Value(ty) => BlockOf::Value(ty.into()),
            BlockType::Func(index) => {
                self.func_type(index)?;
                BlockOf::Func(index)
            }
        })
    }

    /// The kind of the innermost frame.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.frames.last().map(|frame| frame.kind)
    }

    /// Replaces the first arm of an `if`, which must have left the block's results, by the second.
    pub(super) fn other_arm(&mut self) -> Result<(), Fault> {
        let ty = self.leave()?.ty;
        self.height = self.stack.len();
        self.frames.push(Frame { height: self.height as u32, kind: Kind::Else, unreachable: false, ty });
        self.push_list(self.params(ty))
    }

    /// Closes the innermost block: its results and nothing else must be there.
    pub(super) fn exit(&mut self) -> Result<(), Fault> {
        let frame = self.leave()?;
        let results = self.results(frame.ty);
        if frame.kind == Kind::If {
            // The missing second arm hands the parameters on.
            if !self.lists_match(self.params(frame.ty), results) {
                return Err(invalid(Invalid::MissingElse));
            }
        }
        if frame.kind == Kind::Function { Ok(()) } else { self.push_list(results) }
    }

    /// Takes the results and the innermost frame.
    fn leave(&mut self) -> Result<Frame, Fault> {
        let frame = *self.frames.last().ok_or_else(|| malformed("unexpected token"))?;
        let height = self.check(self.results(frame.ty))?;
        if height != self.height {
            return Err(invalid(Invalid::ValuesRemaining(height - self.height)));
        }
        self.stack.truncate(height);
        self.frames.pop();
        self.height = self.frames.last().map_or(0, |frame| frame.height as usize);
        Ok(frame)
    }

    /// What follows in this block is never reached.
    pub(super) fn set_unreachable(&mut self) {
        self.stack.truncate(self.height);
        if let Some(frame) = self.frames.last_mut() {
            frame.unreachable = true;
        }
    }

    /// The types that a branch to this label carries.
    pub(super) fn label(&self, depth: u32) -> Result<List<'a>, Fault> {
        self.frame_at(depth).map(|frame| self.label_of(self.frames[frame]))
    }

    fn frame_at(&self, depth: u32) -> Result<usize, Fault> {
        match (self.frames.len() as u64).checked_sub(u64::from(depth) + 1) {
            Some(frame) => Ok(frame as usize),
            None => Err(invalid(Invalid::UnknownLabel(depth))),
        }
    }

    #[inline]
    fn label_of(&self, frame: Frame) -> List<'a> {
        if frame.kind == Kind::Loop { self.params(frame.ty) } else { self.results(frame.ty) }
    }

    /// All labels carry what is on the stack. Each that differs from the default is checked once.
    pub(super) fn labels(&mut self, targets: &BrTable<'_>) -> Result<(), Fault> {
        let default = self.label(targets.default())?;
        self.check(default)?;
        self.seen.begin();
        for depth in targets.targets() {
            let frame = self.frame_at(depth)?;
            let label = self.label_of(self.frames[frame]);
            if label.is(default) || self.seen.mark(frame, self.frames.len()) {
                continue;
            }
            if label.len() != default.len() {
                let (default, found) = (default.len(), label.len());
                return Err(invalid(Invalid::BranchTableArity { label: depth, default, found }));
            }
            self.check(label)?;
        }
        Ok(())
    }

    /// What the function returns.
    pub(super) fn function_results(&self) -> List<'a> {
        self.frames.first().map_or(List::Empty, |frame| self.results(frame.ty))
    }

    #[inline]
    fn params(&self, ty: BlockOf) -> List<'a> {
        match ty {
            BlockOf::Empty | BlockOf::Value(_) => List::Empty,
            BlockOf::Func(index) => self.params_of(index),
        }
    }

    #[inline]
    fn results(&self, ty: BlockOf) -> List<'a> {
        match ty {
            BlockOf::Empty => List::Empty,
            BlockOf::Value(ty) => List::One(ty),
            BlockOf::Func(index) => self.results_of(index),
        }
    }

    /// The parameters of a type that was found to be a function type.
    #[inline]
    pub(super) fn params_of(&self, type_index: u32) -> List<'a> {
        list(self.desc.func_type(type_index).map_or(&[], FuncType::params), Key(type_index, false))
    }

    /// The results of a type that was found to be a function type.
    #[inline]
    pub(super) fn results_of(&self, type_index: u32) -> List<'a> {
        list(self.desc.func_type(type_index).map_or(&[], FuncType::results), Key(type_index, true))
    }
}

#[inline]
fn list(types: &[ValType], key: Key) -> List<'_> {
    match types {
        [] => List::Empty,
        [one] => List::One((*one).into()),
        many => List::Many(many, key),
    }
}

/// Index spaces.
impl<'a> Body<'a> {
    pub(super) fn func_type(&self, type_index: u32) -> Result<&'a FuncType, Fault> {
        super::func_type(self.desc, type_index)
    }

    #[inline]
    pub(super) fn local(&self, index: u32) -> Result<Operand, Fault> {
        self.locals.get(index).ok_or_else(|| invalid(Invalid::UnknownLocal(index)))
    }

    /// The address type of a memory.
    #[inline]
    pub(super) fn memory(&self, index: u32) -> Result<Operand, Fault> {
        match self.desc.memories.get(index as usize) {
            Some(memory) => Ok(Operand::address(memory.memory64)),
            None => Err(invalid(Invalid::UnknownMemory(index))),
        }
    }

    /// May `ref.func` name this function?
    pub(super) fn is_declared(&self, function: u32) -> bool {
        self.refs.is_none_or(|refs| refs.contains(function))
    }
}

/// The two general rules, and the proposals of all.
impl Body<'_> {
    #[inline]
    fn gate(&self, proposal: Proposal) -> Result<(), Fault> {
        let proposal = Proposals::of(proposal);
        if self.desc.proposals.contains(proposal) { Ok(()) } else { Err(needs(proposal)) }
    }

    #[inline]
    fn plain_rule(&mut self, op: Plain) -> Result<(), Fault> {
        let info = op.info();
        self.gate(info.proposal)?;
        let (len, count) = (self.stack.len(), info.operands.len());
        let is = |(found, &expected): (&Operand, &Ty)| *found == Operand::of(expected);
        if len - self.height >= count && self.stack[len - count..].iter().zip(info.operands).all(is) {
            self.stack.truncate(len - count);
        } else {
            for &expected in info.operands.iter().rev() {
                self.pop(Operand::of(expected))?;
            }
        }
        self.push(Operand::of(info.result));
        Ok(())
    }

    #[inline]
    fn access_rule(&mut self, op: Access, arg: MemArg) -> Result<(), Fault> {
        let info = op.info();
        self.gate(info.proposal)?;
        let address = self.memory(arg.memory)?;
        if u32::from(arg.align) > info.bytes.trailing_zeros() {
            return Err(invalid(Invalid::AlignmentTooLarge));
        }
        if arg.offset > u64::from(u32::MAX) && address == Operand::I32 {
            return Err(invalid(Invalid::OffsetOutOfRange(arg.offset)));
        }
        let value = Operand::of(info.ty);
        if info.store {
            self.pop(value)?;
        }
        self.pop(address)?;
        if !info.store {
            self.push(value);
        }
        Ok(())
    }
}

/// A method for each special row: the gate of its proposal, then its rule in `special.rs`.
macro_rules! special_rows {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            $method:ident($($immediate:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;
    )*) => {$(
        #[inline]
        fn $method(&mut self, $($immediate: $ty),*) -> Result<(), Error> {
            let gate = self.gate(Special::$operator.info().proposal);
            match gate.and_then(|()| special::$method(self, $($immediate),*)) {
                Ok(()) => Ok(()),
                Err(fault) => Err(self.refuse(fault, Some($name))),
            }
        }
    )*};
}

impl Sink for Body<'_> {
    #[inline]
    fn at(&mut self, offset: usize) {
        self.offset = offset;
    }

    #[inline]
    fn plain(&mut self, op: Plain) -> Result<(), Error> {
        match self.plain_rule(op) {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.refuse(fault, Some(op.info().name))),
        }
    }

    #[inline]
    fn access(&mut self, op: Access, arg: MemArg) -> Result<(), Error> {
        match self.access_rule(op, arg) {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.refuse(fault, Some(op.info().name))),
        }
    }

    for_each_special!(special_rows);

    fn later(&mut self, proposal: &'static str, operator: &'static str) -> Result<(), Error> {
        Err(Error::unsupported(self.desc.place(self.offset, self.function, Some(operator)), "", proposal, false))
    }
}
