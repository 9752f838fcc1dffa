//! May this module run? Chapter 3 of the specification: here everything but function bodies, a body in `body.rs`.
//!
//! Invariant: what `translate` and `exec` see has passed here first, so they never check a type or an index. Limits,
//! and whether the types of a module may be used at all, are decoding's affair.

mod body;
mod special;
mod subtype;
#[cfg(test)]
mod tests;

pub(crate) use self::body::Body;

use crate::config::Proposals;
use crate::error::{Error, Invalid, Place};
use crate::module::operators::{self, BlockType, BrTable, Item, MemArg, Sink};
use crate::module::{ConstExpr, DataMode, Description, Element, Export, ImportType, Mode};
use crate::types::{ExternKind, FuncType, HeapType, Limits, MemoryType, RefType, TableType, ValType};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use jitless_machine::for_each_special;
use jitless_machine::instr::{Access, Plain, Special};

/// Why something is refused, while the place is not yet added.
enum Refusal {
    Malformed(&'static str),
    Invalid(Invalid),
    /// The instruction, or the item, needs a proposal.
    Needs(Proposals),
    /// Knows its place.
    Error(Error),
}

/// A refusal on its way to where the place is known. Small, since every rule returns one.
struct Fault(Box<Refusal>);

impl From<Refusal> for Fault {
    #[cold]
    fn from(refusal: Refusal) -> Fault {
        Fault(Box::new(refusal))
    }
}

impl From<Error> for Fault {
    #[cold]
    fn from(error: Error) -> Fault {
        Refusal::Error(error).into()
    }
}

impl Fault {
    #[cold]
    fn at(self, place: Place) -> Error {
        match *self.0 {
            Refusal::Malformed(message) => Error::malformed(place.offset, message),
            Refusal::Invalid(why) => Error::invalid(place, why),
            Refusal::Needs(proposal) => Error::needs(place, "", proposal),
            Refusal::Error(error) => error,
        }
    }
}

#[cold]
fn invalid(why: Invalid) -> Fault {
    Refusal::Invalid(why).into()
}

/// The functions that `ref.func` may name inside bodies: those that occur outside of them (§3.5.16, `C.refs`).
///
/// A module that was validated has one; it is all that bodies need besides the description.
#[derive(Debug, Default)]
pub(crate) struct References(Vec<u64>);

impl References {
    /// For a module of `functions` functions.
    fn new(functions: usize) -> References {
        References(alloc::vec![0; functions.div_ceil(64)])
    }

    fn insert(&mut self, function: u32) {
        if let Some(word) = self.0.get_mut(function as usize / 64) {
            *word |= 1 << (function % 64);
        }
    }

    fn contains(&self, function: u32) -> bool {
        self.0.get(function as usize / 64).is_some_and(|word| word >> (function % 64) & 1 == 1)
    }
}

/// Validates everything but the bodies of functions.
pub(crate) fn module(desc: &Description) -> Result<References, Error> {
    Module { desc, refs: References::new(desc.funcs.len()), body: Body::for_constants(desc) }.check()
}

/// Validates the body of a function that the module defines. `body` serves for many functions of one module.
pub(crate) fn body(desc: &Description, function: u32, body: &mut Body<'_>) -> Result<(), Error> {
    body.begin(function)?;
    operators::read_body(desc, function, body)?;
    body.finish()
}

fn func_type(desc: &Description, index: u32) -> Result<&FuncType, Fault> {
    desc.func_type(index).ok_or_else(|| {
        invalid(match (index as usize) < desc.types.len() {
            true => Invalid::SortOfType { index, expected: "function" },
            false => Invalid::UnknownType(index),
        })
    })
}

/// One pass over a description.
struct Module<'a> {
    desc: &'a Description,
    refs: References,
    /// For constant expressions.
    body: Body<'a>,
}

impl Module<'_> {
    fn check(mut self) -> Result<References, Error> {
        self.types()?;
        self.imports()?;
        self.funcs()?;
        self.tables()?;
        self.memories()?;
        self.globals()?;
        self.exports()?;
        self.start()?;
        self.elements()?;
        self.data()?;
        Ok(self.refs)
    }

    fn types(&self) -> Result<(), Error> {
        // Operand types hold ids in fewer bits than they have; no memory holds so many types.
        match self.desc.types.iter().find(|id| id.0 >= subtype::TYPE_IDS) {
            None => Ok(()),
            Some(id) => {
                let (limit, found) = (subtype::TYPE_IDS.into(), id.0.into());
                Err(Error::limit("types of an engine", limit, found, Some(self.desc.offsets.types as usize)))
            }
        }
    }

    fn imports(&self) -> Result<(), Error> {
        for import in &self.desc.imports {
            let checked = match import.ty {
                ImportType::Func(ty) => func_type(self.desc, ty).map(drop),
                ImportType::Tag(ty) => tag_type(self.desc, ty),
                ImportType::Table(ty) => table_type(&ty),
                ImportType::Memory(ty) => memory_type(&ty),
                ImportType::Global(ty) => self.across(ty.mutable),
            };
            checked.map_err(at(import.module.start))?;
        }
        Ok(())
    }

    /// May a global be imported or exported?
    fn across(&self, mutable: bool) -> Result<(), Fault> {
        match mutable && !self.desc.proposals.contains(Proposals::MUTABLE_GLOBAL) {
            true => Err(invalid(Invalid::MutableGlobalAcross)),
            false => Ok(()),
        }
    }

    fn funcs(&self) -> Result<(), Error> {
        let desc = self.desc;
        for &ty in &desc.funcs[desc.imported_funcs as usize..] {
            func_type(desc, ty).map_err(at(desc.offsets.funcs))?;
        }
        for &ty in &desc.tags[desc.imported_tags as usize..] {
            tag_type(desc, ty).map_err(at(desc.offsets.tags))?;
        }
        Ok(())
    }

    fn tables(&mut self) -> Result<(), Error> {
        let desc = self.desc;
        let count = desc.tables.len();
        if count > 1 && !desc.proposals.contains(Proposals::REFERENCE_TYPES) {
            return Err(at(desc.tables[1].offset)(invalid(Invalid::MultipleTables(count as u32))));
        }
        for table in &desc.tables[desc.imported_tables as usize..] {
            table_type(&table.ty).map_err(at(table.offset))?;
            let element = table.ty.element;
            match &table.init {
                Some(init) => self.constant(init, element.into(), desc.imported_globals)?,
                None if element.nullable => {}
                None => return Err(at(table.offset)(invalid(Invalid::TableWithoutValue(element)))),
            }
            desc.limits.check_table_elements(table.ty.limits.min, Some(table.offset as usize))?;
        }
        Ok(())
    }

    fn memories(&self) -> Result<(), Error> {
        let desc = self.desc;
        let count = desc.memories.len();
        if count > 1 && !desc.proposals.contains(Proposals::MULTI_MEMORY) {
            return Err(at(desc.offsets.memories)(invalid(Invalid::MultipleMemories(count as u32))));
        }
        for memory in &desc.memories[desc.imported_memories as usize..] {
            memory_type(memory).map_err(at(desc.offsets.memories))?;
            desc.limits.check_memory_pages(memory.limits.min, Some(desc.offsets.memories as usize))?;
        }
        Ok(())
    }

    fn globals(&mut self) -> Result<(), Error> {
        let desc = self.desc;
        for (index, global) in (0..).zip(&desc.globals) {
            if let Some(init) = &global.init {
                self.constant(init, global.ty.content, index)?;
            }
        }
        Ok(())
    }

    fn exports(&mut self) -> Result<(), Error> {
        let desc = self.desc;
        for export in &desc.exports {
            self.export(export).map_err(at(export.name.start))?;
        }
        match desc.duplicate_export() {
            None => Ok(()),
            Some(export) => {
                let name = String::from(desc.text(&export.name));
                Err(at(export.name.start)(invalid(Invalid::DuplicateExport(name))))
            }
        }
    }

    fn export(&mut self, &Export { kind, index, .. }: &Export) -> Result<(), Fault> {
        let desc = self.desc;
        let (count, unknown): (usize, fn(u32) -> Invalid) = match kind {
            ExternKind::Func => (desc.funcs.len(), Invalid::UnknownFunction),
            ExternKind::Table => (desc.tables.len(), Invalid::UnknownTable),
            ExternKind::Memory => (desc.memories.len(), Invalid::UnknownMemory),
            ExternKind::Global => (desc.globals.len(), Invalid::UnknownGlobal),
            ExternKind::Tag => (desc.tags.len(), Invalid::UnknownTag),
        };
        if index as usize >= count {
            return Err(invalid(unknown(index)));
        }
        match kind {
            ExternKind::Func => self.refs.insert(index),
            ExternKind::Global => self.across(desc.globals[index as usize].ty.mutable)?,
            _ => {}
        }
        Ok(())
    }

    fn start(&self) -> Result<(), Error> {
        let Some(function) = self.desc.start else { return Ok(()) };
        let why = match self.desc.type_of_func(function) {
            Some(ty) if ty.params().is_empty() && ty.results().is_empty() => return Ok(()),
            Some(_) => Invalid::StartFunction(function),
            None => Invalid::UnknownFunction(function),
        };
        Err(at(self.desc.offsets.start)(invalid(why)))
    }

    fn elements(&mut self) -> Result<(), Error> {
        let desc = self.desc;
        for element in &desc.elements {
            if let Mode::Active { table, offset } = &element.mode {
                let table = self.destination(*table, element).map_err(at(element.offset))?;
                self.constant(offset, address(table.table64), u32::MAX)?;
            }
            for (offset, item) in operators::items(desc, &element.items) {
                match item {
                    Item::Expr(expr) => self.constant(&expr, element.ty.into(), u32::MAX)?,
                    Item::Func(function) if (function as usize) < desc.funcs.len() => self.refs.insert(function),
                    Item::Func(function) => {
                        return Err(at(offset as u32)(invalid(Invalid::UnknownFunction(function))));
                    }
                }
            }
        }
        Ok(())
    }

    /// The table that an active segment goes to.
    fn destination(&self, table: u32, element: &Element) -> Result<TableType, Fault> {
        let Some(table) = self.desc.tables.get(table as usize) else {
            return Err(invalid(Invalid::UnknownTable(table)));
        };
        element_type(self.desc, element.ty, table.ty.element)?;
        Ok(table.ty)
    }

    fn data(&mut self) -> Result<(), Error> {
        let desc = self.desc;
        for data in &desc.data {
            if let DataMode::Active { memory, offset } = &data.mode {
                match desc.memories.get(*memory as usize) {
                    Some(memory) => self.constant(offset, address(memory.memory64), u32::MAX)?,
                    None => return Err(at(data.offset)(invalid(Invalid::UnknownMemory(*memory)))),
                }
            }
        }
        Ok(())
    }

    /// A constant expression (§3.4.14) that leaves a value of type `ty`, and sees the first `globals` globals.
    fn constant(&mut self, expr: &ConstExpr, ty: ValType, globals: u32) -> Result<(), Error> {
        self.body.begin_constant(expr.range.start as usize, ty);
        let mut sink = Constant { desc: self.desc, body: &mut self.body, refs: &mut self.refs, globals };
        operators::read_const(self.desc, expr, &mut sink)?;
        self.body.finish()
    }
}

/// Adds a place outside of all functions.
fn at(offset: u32) -> impl Fn(Fault) -> Error {
    move |fault| fault.at(Place::at(offset as usize))
}

fn address(is_64: bool) -> ValType {
    if is_64 { ValType::I64 } else { ValType::I32 }
}

fn tag_type(desc: &Description, ty: u32) -> Result<(), Fault> {
    match func_type(desc, ty)?.results() {
        [] => Ok(()),
        _ => Err(invalid(Invalid::TagResults)),
    }
}

fn table_type(ty: &TableType) -> Result<(), Fault> {
    let limit = if ty.table64 { u64::MAX } else { u32::MAX.into() };
    limits(&ty.limits, limit, |found| Invalid::TableSize { limit, found })
}

fn memory_type(ty: &MemoryType) -> Result<(), Fault> {
    if ty.page_size_log2 != MemoryType::PAGE_SIZE_LOG2 && ty.page_size_log2 != 0 {
        return Err(invalid(Invalid::PageSize));
    }
    if ty.shared && ty.limits.max.is_none() {
        return Err(invalid(Invalid::SharedWithoutMaximum));
    }
    let limit = ty.reachable_pages();
    limits(&ty.limits, limit, |found| Invalid::MemorySize { limit, found })
}

/// Limits are in order, and within a range (§3.2.10).
fn limits(limits: &Limits, range: u64, outside: impl Fn(u64) -> Invalid) -> Result<(), Fault> {
    let Limits { min, max } = *limits;
    match max {
        _ if min > range => Err(invalid(outside(min))),
        Some(max) if max > range => Err(invalid(outside(max))),
        Some(max) if min > max => Err(invalid(Invalid::MinimumAboveMaximum { min, max })),
        _ => Ok(()),
    }
}

/// May elements of the type `found` go where `expected` is held?
fn element_type(desc: &Description, found: RefType, expected: RefType) -> Result<(), Fault> {
    match subtype::Operand::from(found).matches(expected.into(), &desc.engine_types) {
        true => Ok(()),
        false => Err(invalid(Invalid::ElementType { expected, found })),
    }
}

/// Validates a constant expression: a body that knows no locals, in which most instructions are refused.
struct Constant<'b, 'a> {
    desc: &'a Description,
    body: &'b mut Body<'a>,
    /// What `ref.func` names is declared by that.
    refs: &'b mut References,
    /// How many globals it may look at.
    globals: u32,
}

impl Constant<'_, '_> {
    fn global(&self, index: u32) -> Result<(), Fault> {
        // Only the gc proposal lets an expression see a global of its own module.
        let own = self.desc.proposals.contains(Proposals::GC);
        let visible = if own { self.globals } else { self.globals.min(self.desc.imported_globals) };
        match self.desc.globals.get(index as usize) {
            Some(_) if index >= visible => Err(invalid(Invalid::UnknownGlobal(index))),
            Some(global) if global.ty.mutable => Err(invalid(Invalid::ConstantExpressionRequired)),
            _ => Ok(()),
        }
    }

    #[cold]
    fn refuse<T>(&self, operator: &'static str) -> Result<T, Error> {
        Err(self.body.refuse(invalid(Invalid::ConstantExpressionRequired), Some(operator)))
    }
}

/// A method for each special row: those that are constant, and `end`, are as in a body.
macro_rules! special_rows {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            $method:ident($($immediate:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;
    )*) => {$(
        fn $method(&mut self, $($immediate: $ty),*) -> Result<(), Error> {
            match Special::$operator {
                Special::End => {}
                op if op.info().constant => {}
                _ => return self.refuse($name),
            }
            special_rows!(@before $operator self $name $($immediate)*);
            Sink::$method(self.body, $($immediate),*)
        }
    )*};

    (@before GlobalGet $self:ident $name:literal $index:ident) => {
        $self.global($index).map_err(|fault| $self.body.refuse(fault, Some($name)))?;
    };
    (@before RefFunc $self:ident $name:literal $index:ident) => {
        $self.refs.insert($index);
    };
    (@before $($rest:tt)*) => {};
}

impl Sink for Constant<'_, '_> {
    fn at(&mut self, offset: usize) {
        self.body.at(offset);
    }

    fn plain(&mut self, op: Plain) -> Result<(), Error> {
        let info = op.info();
        if !info.constant {
            return self.refuse(info.name);
        }
        if !self.desc.proposals.contains(Proposals::EXTENDED_CONST) {
            return Err(self.body.refuse(Refusal::Needs(Proposals::EXTENDED_CONST).into(), Some(info.name)));
        }
        self.body.plain(op)
    }

    fn access(&mut self, op: Access, _: MemArg) -> Result<(), Error> {
        self.refuse(op.info().name)
    }

    for_each_special!(special_rows);

    fn later(&mut self, proposal: &'static str, operator: &'static str) -> Result<(), Error> {
        self.body.later(proposal, operator)
    }
}
