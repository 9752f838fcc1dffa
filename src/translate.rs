//! Translation: validated operators become tiles.
//!
//! The symbolic stack holds *pending trees* ([`crate::cover`]): local reads, constants, pure operators and loads are not
//! executed where they stand but where a *root* consumes them (a store, a branch, a call, a write to a local), by the cheapest
//! tiles that cover the tree. Frames are `[arguments or results | link] fp-> [locals | homes]`: the operand at stack
//! height *i* has a slot of its own there, its *home*, to which it is evaluated when it cannot wait. Arguments are evaluated
//! into their homes, and the callee's frame begins at the first of them.
//!
//! Invariant: what comes here has passed the validator, so no type is checked and no index questioned.
mod control;
mod emit;
#[cfg(feature = "profile")]
pub(crate) mod profile;
mod special;
mod stack;

use crate::code::{Code, Map};
use crate::cover::{NO_SLOT, Trees};
use crate::error::{Error, Result};
use crate::module::Description;
use crate::module::operators::{self, GoOn, Sink};
use crate::types::{FuncType, ValType};
use alloc::vec::Vec;
use emit::Emit;
use jitless_machine::types::Ty;

/// Declared locals that cost one unit of fuel at each call, as part of the callee's bill.
pub(crate) const LOCALS_PER_FUEL: u32 = 16;

/// Frames of this size or more are refused: a frame's bytes are one word of a call site, and the largest mean "cold".
const FRAME_LIMIT: u64 = 1 << 30;

/// What the translator of one function hands to the next: its allocations.
#[derive(Default, Debug)]
pub(crate) struct Scratch {
    trees: Trees,
    stack: Vec<stack::Entry>,
    unsettled: Vec<u32>,
    blocks: Vec<control::Block>,
    locals: Vec<Local>,
    /// Number of the function that entries of `locals` are valid for.
    generation: u32,
    groups: Vec<Group>,
    assigned: Vec<u32>,
    cleared: Vec<u32>,
    emit: Emit,
}

impl Scratch {
    /// Is so much memory in it that it should not be kept?
    pub(crate) fn is_large(&self) -> bool {
        const ITEMS: usize = 1 << 15;
        self.emit.is_large()
            || self.trees.capacity() > ITEMS
            || self.stack.capacity() > ITEMS
            || self.blocks.capacity() > ITEMS
            || self.locals.capacity() > 2 * ITEMS
    }
}

/// Locals of one type in a row.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: u32,
    slot: i32,
    ty: Ty,
}

/// A local that the function has touched.
#[derive(Clone, Copy, Debug)]
struct Local {
    generation: u32,
    slot: i32,
    ty: Ty,
    /// Set on every way here.
    set: bool,
    /// Read where it may not be set, so cleared at entry.
    cleared: bool,
}

/// One function on its way to tiles.
pub(crate) struct Translator<'a> {
    desc: &'a Description,
    ty: &'a FuncType,
    s: &'a mut Scratch,
    /// Slots of `[arguments or results | link]`.
    area: i32,
    /// Slot of the first home.
    base: i32,
    /// First slot that no home has used so far; temporaries lie from here on.
    high: i32,
    /// Slots that homes and temporaries together have needed.
    frame: i32,
    /// Temporaries in use by the present root.
    temporaries: i32,
    /// Slots that the accumulators hold.
    held: [i32; 3],
    /// Control cannot get here; nothing is translated.
    dead: bool,
    /// Blocks opened in dead code.
    skipped: u32,
    /// Number of trees at which to look for garbage.
    trees_limit: usize,
    /// Values carried by calls, blocks and branches so far, and at most.
    carried: u64,
    carried_limit: u64,
}

/// Values that calls, blocks and branches carry through a function at most: so many, and so many for each byte of its body.
/// An operator of two bytes may carry 2,000.
const CARRIED: (u64, u64) = (1_000_000, 16);

/// Translates a valid function, addressed by its index in the module. `go_on` may end it.
pub(crate) fn function(
    desc: &Description,
    bounced: bool,
    function: u32,
    scratch: &mut Scratch,
    go_on: GoOn<'_>,
) -> Result<Code> {
    scratch.emit.begin(bounced, None);
    run(desc, function, scratch, |t| operators::read_body_while(desc, function, t, go_on)).map(|(code, _)| code)
}

/// The same of a function that may not be valid, while `check` sees every operator first.
pub(crate) fn checked<C: Sink>(
    desc: &Description,
    bounced: bool,
    function: u32,
    check: &mut C,
    scratch: &mut Scratch,
    go_on: GoOn<'_>,
) -> Result<Code> {
    scratch.emit.begin(bounced, None);
    run(desc, function, scratch, |t| operators::read_body_while(desc, function, &mut (check, t), go_on))
        .map(|(code, _)| code)
}

/// Translates a function once more, for the way back from its words to its operators, or with `lines` for its listing.
pub(crate) fn map(desc: &Description, bounced: bool, function: u32, lines: bool) -> Result<Map> {
    let mut scratch = Scratch::default();
    scratch.emit.begin(bounced, Some(Map::new(lines)));
    run(desc, function, &mut scratch, |t| operators::read_body(desc, function, t)).map(|(_, map)| map)
}

fn run(
    desc: &Description,
    function: u32,
    scratch: &mut Scratch,
    read: impl FnOnce(&mut Translator<'_>) -> Result<()>,
) -> Result<(Code, Map)> {
    let ty = desc.type_of_func(function).expect("the caller passes a function of the module");
    let mut t = Translator::new(desc, ty, scratch);
    t.read_locals(function)?;
    t.carried_limit = CARRIED.0 + CARRIED.1 * desc.body(function).map_or(0, |body| body.len() as u64);
    t.open_body();
    read(&mut t)?;
    t.complete()
}

impl<'a> Translator<'a> {
    fn new(desc: &'a Description, ty: &'a FuncType, s: &'a mut Scratch) -> Self {
        s.trees.clear();
        s.stack.clear();
        s.unsettled.clear();
        s.blocks.clear();
        s.groups.clear();
        s.assigned.clear();
        s.cleared.clear();
        s.generation = s.generation.wrapping_add(1);
        let area = ty.area() as i32;
        Translator {
            desc,
            ty,
            s,
            area,
            base: 0,
            high: 0,
            frame: 0,
            temporaries: 0,
            held: [NO_SLOT; 3],
            dead: false,
            skipped: 0,
            trees_limit: 4096,
            carried: 0,
            carried_limit: 0,
        }
    }

    /// Parameters lie below the link, declared locals from `fp` on.
    fn read_locals(&mut self, function: u32) -> Result<()> {
        let mut slot = -self.area;
        let mut index = 0;
        for p in self.ty.params() {
            self.s.groups.push(Group { first: index, slot, ty: p.class() });
            slot += p.slots() as i32;
            index += 1;
        }
        let declared = index;
        slot = 0;
        for group in operators::locals(self.desc, function)? {
            let (count, ty) = group?;
            if count != 0 {
                self.s.groups.push(Group { first: index, slot, ty: ty.class() });
            }
            slot += (count * ty.slots()) as i32;
            index += count;
        }
        self.base = slot;
        self.high = slot;
        self.frame = slot;
        if self.s.locals.len() < index as usize {
            let fresh = Local { generation: 0, slot: 0, ty: Ty::I32, set: false, cleared: false };
            self.s.locals.resize(index as usize, fresh);
        }
        self.s.emit.owe((index - declared) / LOCALS_PER_FUEL);
        Ok(())
    }

    /// A local.
    #[inline]
    fn local(&mut self, index: u32) -> &mut Local {
        if self.s.locals[index as usize].generation != self.s.generation {
            self.meet(index);
        }
        &mut self.s.locals[index as usize]
    }

    /// Looks a local up in its group, when the function first touches it.
    #[cold]
    fn meet(&mut self, index: u32) {
        let g = self.s.groups[self.s.groups.partition_point(|g| g.first <= index) - 1];
        let slots = if g.ty == Ty::V128 { 2 } else { 1 };
        self.s.locals[index as usize] = Local {
            generation: self.s.generation,
            slot: g.slot + ((index - g.first) * slots) as i32,
            ty: g.ty,
            set: index < self.ty.params().len() as u32,
            cleared: false,
        };
    }

    /// The local has a value from here to the end of the block.
    fn assign(&mut self, index: u32) {
        if !self.local(index).set {
            self.local(index).set = true;
            self.s.assigned.push(index);
        }
    }

    /// Forgets assignments made since `mark`.
    fn unassign(&mut self, mark: usize) {
        while self.s.assigned.len() > mark {
            let index = self.s.assigned.pop().expect("longer than mark");
            self.local(index).set = false;
        }
    }

    /// Is control here, and if so, pay for an operator.
    #[inline]
    fn begin(&mut self, fuel: u32) -> bool {
        if self.dead {
            return false;
        }
        if self.s.emit.is_deep_in_debt() {
            self.pay();
        }
        self.s.emit.owe(fuel);
        if self.s.stack.is_empty() {
            // Nobody knows a node: few are used, again and again, and stay in the cache.
            self.s.trees.clear();
            self.s.emit.forget_origins();
        } else if self.s.trees.len() > self.trees_limit {
            self.compact();
        }
        true
    }

    /// Keeps the trees that are pending alone.
    #[cold]
    fn compact(&mut self) {
        let mapping = self.s.emit.is_mapping();
        let mut moves = Vec::new();
        let roots = self.s.stack.iter_mut().map(|e| &mut e.node);
        self.s.trees.compact(roots, |old, new| {
            if mapping {
                moves.push((old, new))
            }
        });
        self.s.emit.renumber(moves.into_iter());
        self.trees_limit = 2 * self.s.trees.len() + 4096;
    }

    /// Counts values that are carried.
    fn carry_more(&mut self, n: usize) {
        self.carried += n as u64;
    }

    /// Work per byte is bounded, whatever is carried.
    fn check_carried(&self) -> Result<()> {
        if self.carried <= self.carried_limit {
            return Ok(());
        }
        Err(Error::limit("values carried by a function", self.carried_limit, self.carried, None))
    }

    fn complete(mut self) -> Result<(Code, Map)> {
        let bytes = self.frame.max(self.high) as u64 * 8;
        if bytes >= FRAME_LIMIT {
            return Err(Error::limit("frame bytes", FRAME_LIMIT, bytes, None));
        }
        self.s.cleared.sort_unstable();
        let cleared = core::mem::take(&mut self.s.cleared);
        let slots: Vec<(i32, i32)> = cleared
            .iter()
            .map(|&x| {
                let local = *self.local(x);
                (local.slot, if local.ty == Ty::V128 { 2 } else { 1 })
            })
            .collect();
        self.s.cleared = cleared;
        self.s.emit.complete(&slots, bytes as u32)
    }
}

/// Types of a list, as classes.
fn slots_of(types: &[ValType]) -> i32 {
    types.iter().map(|t| t.slots() as i32).sum()
}
