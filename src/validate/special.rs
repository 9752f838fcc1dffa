//! The rules of the special instructions (§3.4): a function for each row of the table, named as its method.
//!
//! Invariant: a rule changes nothing but the stacks of the body, and checks every index before it uses it. The
//! proposal of the row was checked before.

use super::body::{Body, Kind, malformed};
use super::subtype::Operand;
use super::{Fault, invalid};
use crate::config::Proposals;
use crate::error::Invalid;
use crate::module::operators::{BlockType, BrTable};
use crate::types::{HeapType, RefType, TableType, ValType};

type Rule = Result<(), Fault>;

// ── control (§3.4.12) ──

pub(super) fn unreachable(body: &mut Body<'_>) -> Rule {
    body.set_unreachable();
    Ok(())
}

pub(super) fn nop(_: &mut Body<'_>) -> Rule {
    Ok(())
}

pub(super) fn block(body: &mut Body<'_>, ty: BlockType) -> Rule {
    body.enter(Kind::Block, ty)
}

pub(super) fn loop_(body: &mut Body<'_>, ty: BlockType) -> Rule {
    body.enter(Kind::Loop, ty)
}

pub(super) fn if_(body: &mut Body<'_>, ty: BlockType) -> Rule {
    body.pop(Operand::I32)?;
    body.enter(Kind::If, ty)
}

pub(super) fn else_(body: &mut Body<'_>) -> Rule {
    match body.kind() {
        Some(Kind::If) => body.other_arm(),
        _ => Err(invalid(Invalid::ElseWithoutIf)),
    }
}

pub(super) fn end(body: &mut Body<'_>) -> Rule {
    body.exit()
}

pub(super) fn br(body: &mut Body<'_>, depth: u32) -> Rule {
    let label = body.label(depth)?;
    body.check(label)?;
    unreachable(body)
}

pub(super) fn br_if(body: &mut Body<'_>, depth: u32) -> Rule {
    body.pop(Operand::I32)?;
    let label = body.label(depth)?;
    // The operands have the label's types from here on, which may be less precise.
    body.pop_list(label)?;
    body.push_list(label)
}

pub(super) fn br_table(body: &mut Body<'_>, targets: BrTable<'_>) -> Rule {
    body.pop(Operand::I32)?;
    body.labels(&targets)?;
    unreachable(body)
}

pub(super) fn return_(body: &mut Body<'_>) -> Rule {
    let results = body.function_results();
    body.check(results)?;
    unreachable(body)
}

pub(super) fn call(body: &mut Body<'_>, function: u32) -> Rule {
    let ty = function_type(body, function)?;
    apply(body, ty)
}

pub(super) fn call_indirect(body: &mut Body<'_>, ty: u32, table: u32) -> Rule {
    indirect(body, ty, table)?;
    apply(body, ty)
}

pub(super) fn return_call(body: &mut Body<'_>, function: u32) -> Rule {
    let ty = function_type(body, function)?;
    hand_over(body, ty)
}

pub(super) fn return_call_indirect(body: &mut Body<'_>, ty: u32, table: u32) -> Rule {
    indirect(body, ty, table)?;
    hand_over(body, ty)
}

/// The type index of a function.
fn function_type(body: &Body<'_>, function: u32) -> Result<u32, Fault> {
    body.desc.funcs.get(function as usize).copied().ok_or_else(|| invalid(Invalid::UnknownFunction(function)))
}

/// What an indirect call needs before its arguments: a function type, a table of functions, an index.
fn indirect(body: &mut Body<'_>, ty: u32, table: u32) -> Rule {
    let TableType { element, table64, .. } = table_type(body, table)?;
    if !body.matches(element.into(), RefType::FUNCREF.into()) {
        return Err(invalid(Invalid::TableOfFunctionsExpected { table, element }));
    }
    body.func_type(ty)?;
    body.pop(Operand::address(table64))
}

/// A call: arguments for results.
fn apply(body: &mut Body<'_>, ty: u32) -> Rule {
    body.pop_list(body.params_of(ty))?;
    body.push_list(body.results_of(ty))
}

/// A tail call: the callee's results are the caller's.
fn hand_over(body: &mut Body<'_>, ty: u32) -> Rule {
    body.check(body.params_of(ty))?;
    if !body.lists_match(body.results_of(ty), body.function_results()) {
        return Err(invalid(Invalid::TailCallResults));
    }
    unreachable(body)
}

// ── parametric (§3.4.1) ──

pub(super) fn drop_(body: &mut Body<'_>) -> Rule {
    body.pop_any().map(drop)
}

/// `select` without a type: two operands of one number or vector type.
pub(super) fn select(body: &mut Body<'_>) -> Rule {
    body.pop(Operand::I32)?;
    let second = body.pop_any()?;
    let first = body.pop_any()?;
    match (first.ty(), second.ty()) {
        (Some(a), Some(b)) if a != b || a.is_ref() => return Err(invalid(Invalid::UntypedSelect(a, b))),
        (Some(one), None) | (None, Some(one)) if one.is_ref() => {
            return Err(invalid(Invalid::UntypedSelect(one, one)));
        }
        _ => {}
    }
    body.push(if first.is_unknown() { second } else { first });
    Ok(())
}

pub(super) fn typed_select(body: &mut Body<'_>, ty: ValType) -> Rule {
    let ty = Operand::from(ty);
    body.pop(Operand::I32)?;
    body.pop(ty)?;
    body.pop(ty)?;
    body.push(ty);
    Ok(())
}

// ── variables (§3.4.3) ──

pub(super) fn local_get(body: &mut Body<'_>, local: u32) -> Rule {
    let ty = body.local(local)?;
    body.push(ty);
    Ok(())
}

pub(super) fn local_set(body: &mut Body<'_>, local: u32) -> Rule {
    let ty = body.local(local)?;
    body.pop(ty)
}

pub(super) fn local_tee(body: &mut Body<'_>, local: u32) -> Rule {
    let ty = body.local(local)?;
    body.pop(ty)?;
    body.push(ty);
    Ok(())
}

pub(super) fn global_get(body: &mut Body<'_>, global: u32) -> Rule {
    match body.desc.globals.get(global as usize) {
        Some(global) => body.push(global.ty.content.into()),
        None => return Err(invalid(Invalid::UnknownGlobal(global))),
    }
    Ok(())
}

pub(super) fn global_set(body: &mut Body<'_>, global: u32) -> Rule {
    match body.desc.globals.get(global as usize) {
        Some(global) if global.ty.mutable => body.pop(global.ty.content.into()),
        Some(_) => Err(invalid(Invalid::ImmutableGlobal(global))),
        None => Err(invalid(Invalid::UnknownGlobal(global))),
    }
}

// ── numbers (§3.4.5) ──

pub(super) fn i32_const(body: &mut Body<'_>, _: i32) -> Rule {
    body.push(Operand::I32);
    Ok(())
}

pub(super) fn i64_const(body: &mut Body<'_>, _: i64) -> Rule {
    body.push(Operand::I64);
    Ok(())
}

pub(super) fn f32_const(body: &mut Body<'_>, _: u32) -> Rule {
    body.push(Operand::F32);
    Ok(())
}

pub(super) fn f64_const(body: &mut Body<'_>, _: u64) -> Rule {
    body.push(Operand::F64);
    Ok(())
}

// ── memory (§3.4.10) ──

pub(super) fn memory_size(body: &mut Body<'_>, memory: u32) -> Rule {
    let address = body.memory(memory)?;
    body.push(address);
    Ok(())
}

pub(super) fn memory_grow(body: &mut Body<'_>, memory: u32) -> Rule {
    let address = body.memory(memory)?;
    body.pop(address)?;
    body.push(address);
    Ok(())
}

pub(super) fn memory_fill(body: &mut Body<'_>, memory: u32) -> Rule {
    let address = body.memory(memory)?;
    body.pop(address)?;
    body.pop(Operand::I32)?;
    body.pop(address)
}

pub(super) fn memory_copy(body: &mut Body<'_>, to: u32, from: u32) -> Rule {
    let (to, from) = (body.memory(to)?, body.memory(from)?);
    body.pop(narrower(to, from))?;
    body.pop(from)?;
    body.pop(to)
}

pub(super) fn memory_init(body: &mut Body<'_>, data: u32, memory: u32) -> Rule {
    let address = body.memory(memory)?;
    data_segment(body, data)?;
    body.pop(Operand::I32)?;
    body.pop(Operand::I32)?;
    body.pop(address)
}

pub(super) fn data_drop(body: &mut Body<'_>, data: u32) -> Rule {
    data_segment(body, data)
}

/// A count that fits both address types.
fn narrower(a: Operand, b: Operand) -> Operand {
    if a == Operand::I32 { a } else { b }
}

/// Data segments follow the code, so a body may name one only if their number was announced before it.
fn data_segment(body: &Body<'_>, data: u32) -> Rule {
    match body.desc.data_count {
        None => Err(malformed("data count section required")),
        Some(count) if data < count => Ok(()),
        Some(_) => Err(invalid(Invalid::UnknownData(data))),
    }
}

// ── tables (§3.4.9) ──

pub(super) fn table_get(body: &mut Body<'_>, table: u32) -> Rule {
    let table = table_type(body, table)?;
    body.pop(Operand::address(table.table64))?;
    body.push(table.element.into());
    Ok(())
}

pub(super) fn table_set(body: &mut Body<'_>, table: u32) -> Rule {
    let table = table_type(body, table)?;
    body.pop(table.element.into())?;
    body.pop(Operand::address(table.table64))
}

pub(super) fn table_size(body: &mut Body<'_>, table: u32) -> Rule {
    let table = table_type(body, table)?;
    body.push(Operand::address(table.table64));
    Ok(())
}

pub(super) fn table_grow(body: &mut Body<'_>, table: u32) -> Rule {
    let table = table_type(body, table)?;
    body.pop(Operand::address(table.table64))?;
    body.pop(table.element.into())?;
    body.push(Operand::address(table.table64));
    Ok(())
}

pub(super) fn table_fill(body: &mut Body<'_>, table: u32) -> Rule {
    let table = table_type(body, table)?;
    body.pop(Operand::address(table.table64))?;
    body.pop(table.element.into())?;
    body.pop(Operand::address(table.table64))
}

pub(super) fn table_copy(body: &mut Body<'_>, to: u32, from: u32) -> Rule {
    let (to, from) = (table_type(body, to)?, table_type(body, from)?);
    subtype(body, from.element, to.element)?;
    let (to, from) = (Operand::address(to.table64), Operand::address(from.table64));
    body.pop(narrower(to, from))?;
    body.pop(from)?;
    body.pop(to)
}

pub(super) fn table_init(body: &mut Body<'_>, segment: u32, table: u32) -> Rule {
    let table = table_type(body, table)?;
    subtype(body, element_type(body, segment)?, table.element)?;
    body.pop(Operand::I32)?;
    body.pop(Operand::I32)?;
    body.pop(Operand::address(table.table64))
}

pub(super) fn elem_drop(body: &mut Body<'_>, segment: u32) -> Rule {
    element_type(body, segment).map(drop)
}

fn table_type(body: &Body<'_>, table: u32) -> Result<TableType, Fault> {
    match body.desc.tables.get(table as usize) {
        Some(table) => Ok(table.ty),
        None => Err(invalid(Invalid::UnknownTable(table))),
    }
}

fn element_type(body: &Body<'_>, segment: u32) -> Result<RefType, Fault> {
    match body.desc.elements.get(segment as usize) {
        Some(segment) => Ok(segment.ty),
        None => Err(invalid(Invalid::UnknownElem(segment))),
    }
}

fn subtype(body: &Body<'_>, found: RefType, expected: RefType) -> Rule {
    match body.matches(found.into(), expected.into()) {
        true => Ok(()),
        false => Err(invalid(Invalid::ElementType { expected, found })),
    }
}

// ── references (§3.4.7) ──

pub(super) fn ref_null(body: &mut Body<'_>, heap: HeapType) -> Rule {
    body.push(RefType::new(true, heap).into());
    Ok(())
}

pub(super) fn ref_is_null(body: &mut Body<'_>) -> Rule {
    let operand = body.pop_any()?;
    if !(operand.is_ref() || operand.is_unknown()) {
        return Err(invalid(Invalid::ReferenceExpected { found: operand.ty() }));
    }
    body.push(Operand::I32);
    Ok(())
}

pub(super) fn ref_func(body: &mut Body<'_>, function: u32) -> Rule {
    let ty = function_reference(body, function)?;
    if !body.is_declared(function) {
        return Err(invalid(Invalid::UndeclaredFunctionReference(function)));
    }
    body.push(ty);
    Ok(())
}

/// The type of a reference to this function, whether it was declared or not.
pub(super) fn function_reference(body: &Body<'_>, function: u32) -> Result<Operand, Fault> {
    let ty = function_type(body, function)?;
    if !body.desc.proposals.contains(Proposals::FUNCTION_REFERENCES) {
        return Ok(RefType::FUNCREF.into());
    }
    match body.desc.types.get(ty as usize) {
        Some(&id) => Ok(RefType::new(false, HeapType::Concrete(id)).into()),
        None => Err(invalid(Invalid::UnknownType(ty))),
    }
}
