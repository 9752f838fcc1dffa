//! The store (§4.2.3): the objects of instances, and the state of the calls that run among them.
//!
//! Idea: objects have numbers. What a guest holds are handles, numbers too, so no value of a guest is ever an address, and
//! an object of another store can only be mistaken for one of this, which `api` sees to. Nothing here runs anything:
//! objects do not know who runs them.
//!
//! Invariant: nothing is freed before the store is, paused calls and values of the host excepted; what the machine holds
//! addresses of does not move, or is told anew to `ctx` when it has moved. All that a guest can make grow is charged
//! before.

mod activation;
mod externs;
mod global;
mod instance;
mod memory;
mod meter;
mod stack;
mod table;

pub(crate) use self::activation::{Activation, Entry, Parked, Registers};
pub(crate) use self::instance::{Instance, Segment};
pub(crate) use self::memory::Memory;
pub(crate) use self::meter::{Pause, Stop};
pub(crate) use self::stack::{Bounds, Crossing, SLOT, Stack};
pub(crate) use self::table::Table;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};

use jitless_machine::dispatch::{COLD, Ctx, Exit, Rec, View};

use self::externs::Externs;
use self::global::{HostGlobal, Numbers, Owner};
use self::memory::nowhere;
use self::meter::Meter;
use crate::budget::{Account, Budget, StoreLimits};
use crate::error::{Error, Result};
use crate::load::EngineInner;
use crate::types::{FuncType, GlobalType, TypeId};

/// What can be imported and exported, by its number in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExternId {
    /// The handle of a function.
    Func(u32),
    Table(u32),
    Memory(u32),
    Global(u32),
    Tag(u32),
}

/// Who carries out a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Callee {
    /// The host; the function's area takes so many slots.
    Host { area: u32 },
    /// The instance with this number in its key, of which this is the function's index.
    Guest { instance: u32, index: u32 },
}

/// Everything that guests of a store live in, but for what is the embedder's.
pub(crate) struct StoreInner {
    /// Unlike that of any other store of this process.
    pub(crate) id: u64,
    pub(crate) engine: Arc<EngineInner>,
    pub(crate) budget: Budget,

    /// Functions, by handle. A host function's key has no instance in its high half, and its `frame` is its area.
    recs: Vec<Rec>,
    /// Types of the host's functions, by the embedder's numbers, which are consecutive.
    hosts: Vec<FuncType>,
    tables: Vec<Table>,
    memories: Vec<Memory>,
    host_globals: Vec<HostGlobal>,
    numbers: Numbers,
    instances: Vec<Instance>,
    externs: Externs,

    /// Is there somebody to ask before something grows? That somebody's answer for the growth at hand.
    pub(crate) limited: bool,
    pub(crate) allowed: Option<bool>,
    meter: Meter,

    /// What the machine knows.
    pub(crate) ctx: Ctx,
    /// The instance whose code runs, as the number in its key; 0 for none.
    pub(crate) current: u32,
    /// Memory 0 of that instance.
    pub(crate) memory0: *const View,
    nothing: Box<Cell<View>>,
    /// An exit of the machine that is not dealt with yet, or waits for the embedder.
    pub(crate) pending: Option<Exit>,
    /// The host function that is called, if that is what it waits for.
    pub(crate) called: u32,
    /// Calls from the host, outermost first.
    pub(crate) entries: Vec<Entry>,
    pub(crate) bounds: Bounds,
    /// The stack of the innermost call, those of calls that it interrupted, and one to spare.
    pub(crate) stack: Stack,
    pub(crate) outer_stacks: Vec<Stack>,
    pub(crate) spare: Option<Stack>,
    /// Frames that are counted on outer stacks.
    pub(crate) outer_count: usize,
    parked: Vec<Parked>,
}

/// The instance of a key.
#[inline]
pub(crate) const fn instance_of(key: u64) -> u32 {
    (key >> 32) as u32
}

/// The key of a function: its instance's number, from 1 on, or 0 for the host, and its type.
pub(crate) const fn key(instance: u32, ty: TypeId) -> u64 {
    (instance as u64) << 32 | ty.0 as u64
}

impl StoreInner {
    /// What its guests hold is charged to `pool` too.
    pub(crate) fn new(engine: Arc<EngineInner>, pool: Option<Account>) -> Self {
        static STORES: AtomicUsize = AtomicUsize::new(1);
        let bounds = Bounds::new(engine.config.max_wasm_stack, &engine.config.limits);
        let nothing = Box::new(Cell::new(nowhere()));
        let null = Rec { key: u64::MAX, code: core::ptr::null(), frame: COLD, index: 0 };
        let mut store = Self {
            id: STORES.fetch_add(1, Ordering::Relaxed) as u64,
            engine,
            budget: Budget::new(StoreLimits::default(), pool),
            recs: alloc::vec![null],
            hosts: Vec::new(),
            tables: Vec::new(),
            memories: Vec::new(),
            host_globals: Vec::new(),
            numbers: Numbers::default(),
            instances: Vec::new(),
            externs: Externs::default(),
            limited: false,
            allowed: None,
            meter: Meter::default(),
            ctx: Ctx::new(),
            current: 0,
            memory0: nothing.as_ptr(),
            nothing,
            pending: None,
            called: 0,
            entries: Vec::new(),
            bounds,
            stack: Stack::default(),
            outer_stacks: Vec::new(),
            spare: None,
            outer_count: 0,
            parked: Vec::new(),
        };
        store.recs_moved();
        store
    }

    fn recs_moved(&mut self) {
        self.ctx.recs = self.recs.as_ptr();
    }

    /// Whether growth waits for somebody's answer.
    pub(crate) fn ask_limiter(&mut self, yes: bool) {
        self.limited = yes;
    }

    /// Makes the instance with this number in its key the one whose code runs; 0 is none.
    #[inline]
    pub(crate) fn switch(&mut self, instance: u32) {
        self.current = instance;
        let Some(i) = self.instances.get((instance as usize).wrapping_sub(1)) else {
            self.memory0 = self.nothing.as_ptr();
            return;
        };
        self.ctx.key = u64::from(instance) << 32;
        self.ctx.globals = i.cells.as_ptr().cast_mut().cast();
        self.ctx.far_globals = i.far_globals.as_ptr();
        self.ctx.tables = i.table_views.as_ptr();
        self.ctx.memories = i.memory_views.as_ptr();
        self.ctx.funcs = i.funcs.as_ptr();
        self.memory0 = i.memory_views.first().copied().unwrap_or(self.nothing.as_ptr());
    }
}

// Functions.
impl StoreInner {
    /// A function of the host. `number` is for the embedder, who counts them.
    pub(crate) fn add_host_func(&mut self, ty: &FuncType, id: TypeId, number: u32) -> Result<u32> {
        let bytes = (size_of::<FuncType>() + size_of::<Rec>()) as u64;
        self.budget.charge(bytes, "a function of the host")?;
        let rec = Rec { key: key(0, id), code: core::ptr::null(), frame: ty.area(), index: number };
        debug_assert_eq!(number as usize, self.hosts.len());
        let room = self.recs.len() < u32::MAX as usize
            && self.recs.try_reserve(1).is_ok()
            && self.hosts.try_reserve(1).is_ok();
        if !room {
            self.budget.release(bytes);
            return Err(Error::budget("a function of the host", self.budget.used(), bytes));
        }
        self.hosts.push(ty.clone());
        self.recs.push(rec);
        self.recs_moved();
        Ok(self.recs.len() as u32 - 1)
    }

    /// The record of a function.
    #[inline]
    pub(crate) fn rec(&self, func: u32) -> Rec {
        self.recs[func as usize]
    }

    pub(crate) fn rec_mut(&mut self, func: u32) -> &mut Rec {
        &mut self.recs[func as usize]
    }

    #[inline]
    pub(crate) fn callee(&self, func: u32) -> Callee {
        let rec = self.rec(func);
        match instance_of(rec.key) {
            0 => Callee::Host { area: rec.frame },
            instance => Callee::Guest { instance, index: rec.index },
        }
    }

    #[inline]
    pub(crate) fn is_host(&self, func: u32) -> bool {
        instance_of(self.rec(func).key) == 0
    }

    /// The embedder's number of a host function.
    #[inline]
    pub(crate) fn host_number(&self, func: u32) -> u32 {
        self.rec(func).index
    }

    pub(crate) fn func_type(&self, func: u32) -> &FuncType {
        match self.callee(func) {
            Callee::Host { .. } => &self.hosts[self.rec(func).index as usize],
            Callee::Guest { instance, index } => {
                self.numbered(instance).module.desc.type_of_func(index).expect("validated")
            }
        }
    }

    pub(crate) fn func_type_id(&self, func: u32) -> TypeId {
        TypeId(self.rec(func).key as u32)
    }
}

// Objects.
impl StoreInner {
    pub(crate) fn memory(&self, memory: u32) -> &Memory {
        &self.memories[memory as usize]
    }

    pub(crate) fn memory_mut(&mut self, memory: u32) -> &mut Memory {
        &mut self.memories[memory as usize]
    }

    /// Two memories at once, the first to be changed; `None` if they are the same.
    pub(crate) fn two_memories(&mut self, first: u32, second: u32) -> Option<(&mut Memory, &Memory)> {
        let [first, second] = self.memories.get_disjoint_mut([first as usize, second as usize]).ok()?;
        Some((first, second))
    }

    pub(crate) fn table(&self, table: u32) -> &Table {
        &self.tables[table as usize]
    }

    pub(crate) fn table_mut(&mut self, table: u32) -> &mut Table {
        &mut self.tables[table as usize]
    }

    /// Two tables at once, the first to be changed; `None` if they are the same.
    pub(crate) fn two_tables(&mut self, first: u32, second: u32) -> Option<(&mut Table, &Table)> {
        let [first, second] = self.tables.get_disjoint_mut([first as usize, second as usize]).ok()?;
        Some((first, second))
    }

    /// A memory and the account that its growth is charged to.
    pub(crate) fn memory_and_budget(&mut self, memory: u32) -> (&mut Memory, &mut Budget) {
        (&mut self.memories[memory as usize], &mut self.budget)
    }

    /// A table and the account that its growth is charged to.
    pub(crate) fn table_and_budget(&mut self, table: u32) -> (&mut Table, &mut Budget) {
        (&mut self.tables[table as usize], &mut self.budget)
    }

    /// An instance by its place in the store, as the embedder knows it.
    pub(crate) fn instance(&self, instance: u32) -> &Instance {
        &self.instances[instance as usize]
    }

    /// An instance by the number in its key.
    pub(crate) fn numbered(&self, instance: u32) -> &Instance {
        &self.instances[instance as usize - 1]
    }

    pub(crate) fn numbered_mut(&mut self, instance: u32) -> &mut Instance {
        &mut self.instances[instance as usize - 1]
    }

    /// An instance by the number in its key, and a memory to be changed.
    pub(crate) fn instance_and_memory(&mut self, instance: u32, memory: u32) -> (&Instance, &mut Memory) {
        (&self.instances[instance as usize - 1], &mut self.memories[memory as usize])
    }

    /// An instance by the number in its key, and a table to be changed.
    pub(crate) fn instance_and_table(&mut self, instance: u32, table: u32) -> (&Instance, &mut Table) {
        (&self.instances[instance as usize - 1], &mut self.tables[table as usize])
    }

    /// A global of the host. The value has its type.
    pub(crate) fn add_global(&mut self, ty: GlobalType, [low, high]: [u64; 2]) -> Result<u32> {
        // The cell, its entry, and the run of numbers.
        let bytes = (size_of::<HostGlobal>() + 32) as u64;
        self.budget.charge(bytes, "a global")?;
        let host = self.host_globals.len() as u32;
        let number = self.host_globals.try_reserve(1).ok().and_then(|()| self.numbers.more(Owner::Host(host), 1));
        let Some(number) = number else {
            self.budget.release(bytes);
            return Err(Error::budget("a global", self.budget.used(), bytes));
        };
        self.host_globals.push(HostGlobal { ty, cell: Box::new([Cell::new(low), Cell::new(high)]) });
        Ok(number)
    }

    /// The address of a global's cell. It stays there.
    pub(crate) fn global_address(&self, global: u32) -> *mut u8 {
        self.global_cell(global).as_ptr().cast_mut().cast()
    }

    /// Numbers that the next instance's parts will get, if there are so many.
    pub(crate) fn next_numbers(&self, funcs: usize, globals: usize) -> Option<Next> {
        u32::try_from(self.recs.len() + funcs).ok().filter(|&funcs| funcs != u32::MAX)?;
        Some(Next {
            instance: u32::try_from(self.instances.len() + 1).ok()?,
            func: self.recs.len() as u32,
            table: self.tables.len() as u32,
            memory: self.memories.len() as u32,
            global: self.numbers.next(u32::try_from(globals).ok()?)?,
        })
    }

    /// Room for the parts of an instance, so that taking them in cannot fail.
    pub(crate) fn reserve(&mut self, funcs: usize, tables: usize, memories: usize) -> bool {
        self.recs.try_reserve(funcs).is_ok()
            && self.tables.try_reserve(tables).is_ok()
            && self.memories.try_reserve(memories).is_ok()
            && self.instances.try_reserve(1).is_ok()
    }

    /// Takes in what was made for an instance, by the numbers that were foretold; the instance's place.
    pub(crate) fn add_instance(&mut self, parts: Parts) -> u32 {
        let Parts { instance, recs, tables, memories } = parts;
        let place = self.instances.len() as u32;
        let first = self.numbers.more(Owner::Instance(place), instance.cells.len() as u32);
        debug_assert_eq!(first, Some(instance.first_global));
        self.tables.extend(tables);
        self.memories.extend(memories);
        self.instances.push(instance);
        self.recs.extend(recs);
        self.recs_moved();
        place
    }

    /// Takes in a table; its number.
    pub(crate) fn push_table(&mut self, table: Table) -> u32 {
        self.tables.push(table);
        self.tables.len() as u32 - 1
    }

    /// Takes in a memory; its number.
    pub(crate) fn push_memory(&mut self, memory: Memory) -> u32 {
        self.memories.push(memory);
        self.memories.len() as u32 - 1
    }
}

/// What is made for an instance.
pub(crate) struct Parts {
    pub(crate) instance: Instance,
    pub(crate) recs: Vec<Rec>,
    pub(crate) tables: Vec<Table>,
    pub(crate) memories: Vec<Memory>,
}

/// The numbers of an instance's parts: its own in its key, and its first ones in the store's index spaces.
#[derive(Clone, Copy)]
pub(crate) struct Next {
    pub(crate) instance: u32,
    pub(crate) func: u32,
    pub(crate) table: u32,
    pub(crate) memory: u32,
    pub(crate) global: u32,
}
