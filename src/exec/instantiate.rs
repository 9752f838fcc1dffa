//! Instantiation (§4.5.4): what a module defines is made, joined with what it imports, and filled.
//!
//! Idea: everything is made apart from the store, and taken in when nothing can fail any more. Then segments are written,
//! and if one traps, the instance stays: what was written before it may lead to its functions.
//!
//! Invariant: until everything is taken in, the store is as before, its budget included.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;

use jitless_machine::dispatch::{COLD, Rec, View};
use jitless_machine::trap::Trap;

use super::bulk::range;
use super::constant::Constants;
use super::grow::{make_memory, make_table, size_in_bytes};
use crate::budget::{Budget, Resource};
use crate::error::{Error, Result, TrapDetail};
use crate::load::Loaded;
use crate::module::operators::{self, Item};
use crate::module::{DataMode, Description, Element, Mode};
use crate::runtime::{ExternId, Instance, Memory, Next, Parts, SLOT, Segment, StoreInner, Table, key};

/// What is charged, to be given back unless it is kept.
struct Charges<'b> {
    budget: &'b mut Budget,
    before: u64,
    instances: u64,
    tables: u64,
    memories: u64,
}

impl<'b> Charges<'b> {
    fn new(budget: &'b mut Budget) -> Self {
        Self { before: budget.held(), budget, instances: 0, tables: 0, memories: 0 }
    }

    fn count(&mut self, instances: u64, tables: u64, memories: u64) -> Result<()> {
        self.budget.add(Resource::Instances, instances)?;
        self.instances = instances;
        self.budget.add(Resource::Tables, tables)?;
        self.tables = tables;
        self.budget.add(Resource::Memories, memories)?;
        self.memories = memories;
        Ok(())
    }

    fn keep(mut self) {
        self.before = self.budget.held();
        (self.instances, self.tables, self.memories) = (0, 0, 0);
    }
}

impl Drop for Charges<'_> {
    fn drop(&mut self) {
        self.budget.release(self.budget.held() - self.before);
        self.budget.sub(Resource::Instances, self.instances);
        self.budget.sub(Resource::Tables, self.tables);
        self.budget.sub(Resource::Memories, self.memories);
    }
}

impl StoreInner {
    /// Makes an instance of imports that have the types its module wants, in its order. The instance's place in the store,
    /// and the function that is to be called then, if there is one.
    pub(crate) fn instantiate(&mut self, module: &Arc<Loaded>, imports: &[ExternId]) -> Result<(u32, Option<u32>)> {
        let desc = &module.desc;
        let imports = Imports::sort(desc, imports)?;
        let next = self.next_numbers(desc.bodies.len(), desc.globals.len());
        let next = next.ok_or_else(|| Error::budget("an instance", u32::MAX.into(), u64::MAX))?;
        // What is too many is refused before there is room made for it; this is counted again when it is made.
        let (tables, memories) = (desc.tables.len() as u32, desc.memories.len() as u32);
        let (tables, memories) = (tables - desc.imported_tables, memories - desc.imported_memories);
        Charges::new(&mut self.budget).count(1, tables.into(), memories.into())?;
        if !self.reserve(desc.bodies.len(), desc.tables.len(), desc.memories.len()) {
            return Err(Error::budget("an instance", self.budget.limit(), self.budget.used()));
        }
        self.charge(price(desc))?;
        // Apart from the store, so that the store can be read meanwhile.
        let mut budget = core::mem::take(&mut self.budget);
        let made = self.make(module, &imports, next, &mut budget);
        self.budget = budget;
        let instance = self.add_instance(made?);
        self.fill(instance)?;
        Ok((instance, desc.start.map(|start| self.instance(instance).funcs[start as usize])))
    }

    /// Makes everything. What is returned is charged.
    fn make(&self, module: &Arc<Loaded>, imports: &Imports, next: Next, budget: &mut Budget) -> Result<Parts> {
        let desc = &module.desc;
        let (own_tables, own_memories) =
            (&desc.tables[desc.imported_tables as usize..], &desc.memories[desc.imported_memories as usize..]);
        let mut charges = Charges::new(budget);
        charges.count(1, own_tables.len() as u64, own_memories.len() as u64)?;
        for table in own_tables {
            charges.budget.check(Resource::TableElements, table.ty.limits.min)?;
        }
        for memory in own_memories {
            charges.budget.check(Resource::Memory, size_in_bytes(memory)?)?;
        }
        charges.budget.charge(size(desc), "an instance")?;
        self.check_sum(desc, charges.budget)?;

        let own_funcs = (0..desc.bodies.len() as u32).map(|i| next.func + i);
        let funcs = list(imports.funcs.iter().copied().chain(own_funcs), desc.funcs.len())?;
        let recs = own_recs(desc, next.instance)?;
        let memories: Vec<Memory> =
            collect(own_memories.iter().map(|&ty| make_memory(ty, charges.budget)), own_memories.len())?;

        let cells = list(desc.globals.iter().map(|_| Cell::new(0)), desc.globals.len())?;
        for (global, cell) in imports.globals.iter().zip(&cells) {
            cell.set(self.global_get(*global)[0]);
        }
        let constants = Constants { desc, globals: &cells, funcs: &funcs };
        for (global, cell) in desc.globals.iter().zip(&cells) {
            if let Some(init) = &global.init {
                cell.set(constants.value(init)?);
            }
        }
        let mut tables = list(core::iter::empty(), own_tables.len())?;
        for table in own_tables {
            let init = table.init.as_ref().map_or(Ok(0), |init| constants.value(init))?;
            tables.push(make_table(table.ty, init, charges.budget)?);
        }
        let mut elements = list(core::iter::empty(), desc.elements.len())?;
        for segment in &desc.elements {
            elements.push(passive(segment, constants, charges.budget)?);
        }

        let instance = Instance {
            module: module.clone(),
            tables: numbers(&imports.tables, next.table, own_tables.len())?,
            table_views: views(&imports.tables, |table| self.table(table).view(), tables.iter().map(Table::view))?,
            memories: numbers(&imports.memories, next.memory, own_memories.len())?,
            memory_views: views(
                &imports.memories,
                |memory| self.memory(memory).view(),
                memories.iter().map(Memory::view),
            )?,
            far_globals: list(imports.globals.iter().map(|&g| self.global_address(g)), imports.globals.len())?,
            imported_globals: list(imports.globals.iter().copied(), imports.globals.len())?,
            first_global: next.global,
            dropped: list(desc.data.iter().map(|_| false), desc.data.len())?,
            elements,
            funcs,
            cells,
        };
        charges.keep();
        Ok(Parts { instance, recs, tables, memories })
    }

    /// Is there room for all memories and tables? Before the first is made.
    fn check_sum(&self, desc: &Description, budget: &Budget) -> Result<()> {
        let memories = desc.memories[desc.imported_memories as usize..].iter();
        let tables = desc.tables[desc.imported_tables as usize..].iter();
        let sum = memories
            .map(|ty| ty.limits.min.saturating_mul(ty.page_size()))
            .chain(tables.map(|table| table.ty.limits.min.saturating_mul(SLOT as u64)))
            .fold(0, u64::saturating_add);
        if sum <= budget.left() {
            return Ok(());
        }
        Err(Error::budget("memories and tables", budget.limit(), budget.used().saturating_add(sum)))
    }

    /// Writes the active segments.
    fn fill(&mut self, instance: u32) -> Result<()> {
        let module = self.instance(instance).module.clone();
        let (desc, number) = (&module.desc, instance + 1);
        for segment in &desc.elements {
            let Mode::Active { table, offset } = &segment.mode else { continue };
            let place = self.instance(instance).tables[*table as usize];
            let (instance, target) = self.instance_and_table(number, place);
            let constants = constants(desc, instance);
            let (start, size) = (u64::from(constants.value(offset)? as u32), u64::from(segment.items.len()));
            let len = target.len();
            let Some(writes) = range(start, size, target.elements().len()) else {
                let detail = TrapDetail::Table { operator: "table.init", size, index: start, table: *table, len };
                return Err(Error::trap_with(Trap::TableOutOfBounds, detail));
            };
            for (element, (_, item)) in
                target.elements_mut()[writes].iter_mut().zip(operators::items(desc, &segment.items))
            {
                *element = value_of(&item, constants)?;
            }
        }
        for (i, segment) in desc.data.iter().enumerate() {
            let DataMode::Active { memory, offset } = &segment.mode else { continue };
            let place = self.instance(instance).memories[*memory as usize];
            let (from, target) = self.instance_and_memory(number, place);
            let start = u64::from(constants(desc, from).value(offset)? as u32);
            let bytes = desc.slice(&segment.range);
            let len = target.bytes().len();
            let Some(writes) = range(start, bytes.len() as u64, len) else {
                let (operator, size, memory, len) = ("memory.init", bytes.len() as u64, *memory, len as u64);
                let detail = TrapDetail::Memory { operator, size, base: start, offset: 0, memory, len };
                return Err(Error::trap_with(Trap::MemoryOutOfBounds, detail));
            };
            target.bytes_mut()[writes].copy_from_slice(bytes);
            self.numbered_mut(number).dropped[i] = true;
        }
        Ok(())
    }
}

/// What it costs to fill an instance: each segment as `memory.init` or `table.init` would, data only where it is copied.
fn price(desc: &Description) -> u64 {
    let elements = desc.elements.iter().map(|segment| 1 + u64::from(segment.items.len()) / 8);
    let active = desc.data.iter().filter(|segment| matches!(segment.mode, DataMode::Active { .. }));
    elements.chain(active.map(|segment| 1 + segment.range.len() as u64 / 64)).sum()
}

fn constants<'a>(desc: &'a Description, instance: &'a Instance) -> Constants<'a> {
    Constants { desc, globals: &instance.cells, funcs: &instance.funcs }
}

/// What an instance takes besides memories, tables and the contents of segments.
fn size(desc: &Description) -> u64 {
    let bytes = |count: usize, each: usize| (count as u64).saturating_mul(each as u64);
    [
        bytes(1, size_of::<Instance>()),
        bytes(desc.funcs.len(), size_of::<u32>()),
        bytes(desc.bodies.len(), size_of::<Rec>()),
        bytes(desc.tables.len() + desc.memories.len(), size_of::<u32>() + size_of::<*const View>()),
        bytes(desc.globals.len(), size_of::<u64>()),
        bytes(desc.imported_globals as usize, size_of::<*mut u8>() + size_of::<u32>()),
        bytes(desc.data.len(), size_of::<bool>()),
        bytes(desc.elements.len(), size_of::<Segment>()),
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

/// Imports by what they are, each in the order of its index space.
#[derive(Default)]
struct Imports {
    funcs: Vec<u32>,
    tables: Vec<u32>,
    memories: Vec<u32>,
    globals: Vec<u32>,
}

impl Imports {
    fn sort(desc: &Description, imports: &[ExternId]) -> Result<Self> {
        let mut sorted = Self::default();
        for &import in imports {
            let (list, number) = match import {
                ExternId::Func(number) => (&mut sorted.funcs, number),
                ExternId::Table(number) => (&mut sorted.tables, number),
                ExternId::Memory(number) => (&mut sorted.memories, number),
                ExternId::Global(number) => (&mut sorted.globals, number),
                ExternId::Tag(_) => return Err(Error::argument("tags cannot be imported")),
            };
            list.push(number);
        }
        let wanted = [desc.imported_funcs, desc.imported_tables, desc.imported_memories, desc.imported_globals];
        let found = [&sorted.funcs, &sorted.tables, &sorted.memories, &sorted.globals].map(|list| list.len() as u32);
        if found == wanted { Ok(sorted) } else { Err(Error::argument("imports of other sorts than the module wants")) }
    }
}

/// The items, of which there are at most `len`, with room for `len`.
fn list<X>(items: impl Iterator<Item = X>, len: usize) -> Result<Vec<X>> {
    collect(items.map(Ok), len)
}

fn collect<X>(items: impl Iterator<Item = Result<X>>, len: usize) -> Result<Vec<X>> {
    let mut list = Vec::new();
    if list.try_reserve_exact(len).is_err() {
        return Err(Error::budget("an instance", 0, (len as u64).saturating_mul(size_of::<X>() as u64)));
    }
    for item in items {
        list.push(item?);
    }
    Ok(list)
}

/// Records of the functions that the module defines, not translated yet.
fn own_recs(desc: &Description, instance: u32) -> Result<Vec<Rec>> {
    let own = (desc.imported_funcs..).zip(&desc.funcs[desc.imported_funcs as usize..]);
    let rec = |(index, &ty): (u32, &u32)| Rec {
        key: key(instance, desc.types[ty as usize]),
        code: core::ptr::null(),
        frame: COLD,
        index,
    };
    list(own.map(rec), desc.bodies.len())
}

/// Numbers by index: those of imports, then consecutive ones.
fn numbers(imported: &[u32], first: u32, own: usize) -> Result<Vec<u32>> {
    list(imported.iter().copied().chain((0..own as u32).map(|i| first + i)), imported.len() + own)
}

/// Views by index.
fn views(
    imported: &[u32],
    view: impl Fn(u32) -> *const View,
    own: impl ExactSizeIterator<Item = *const View>,
) -> Result<Vec<*const View>> {
    let len = imported.len() + own.len();
    list(imported.iter().map(|&number| view(number)).chain(own), len)
}

/// What a segment holds that is used later; nothing if it never can be.
fn passive(segment: &Element, constants: Constants<'_>, budget: &mut Budget) -> Result<Segment> {
    if !matches!(segment.mode, Mode::Passive) {
        return Ok(Segment::new());
    }
    let len = segment.items.len() as usize;
    budget.charge((len * SLOT) as u64, "an element segment")?;
    let items = operators::items(constants.desc, &segment.items);
    collect(items.map(|(_, item)| value_of(&item, constants)), len)
}

fn value_of(item: &Item, constants: Constants<'_>) -> Result<u64> {
    match item {
        Item::Func(func) => Ok(constants.funcs[*func as usize].into()),
        Item::Expr(expr) => constants.value(expr),
    }
}
