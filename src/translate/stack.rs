//! The symbolic stack, and the rules on delaying evaluation.
//!
//! 1. Before slot *s* is written, pending entries that read *s* are evaluated into their homes.
//! 2. An entry reads no home below its own, so a home that is filled disturbs entries below it alone.
//! 3. What may trap or reads memory is evaluated before a root that changes memory, traps differently, or leaves.
//!
//! An entry is *settled* when it is a constant or lies in its home; the others are listed, and the list is short: when it
//! is full, the oldest is evaluated. So no rule costs more than the list is long.
use super::emit::Own;
use super::{Scratch, Translator};
use crate::cover::{Cover, How, LOAD, MAX_NODES, NO_SLOT, NONE, NodeId, Pick, TRAP, accumulator, move_root, offset_of};
use crate::module::operators::MemArg;
use jitless_machine::instr::{Access, Plain};
use jitless_machine::symbol::{Form, Kind, Sym};
use jitless_machine::types::Ty;

/// Unsettled entries at most.
const UNSETTLED: usize = 64;

/// An operand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) node: NodeId,
    /// Its slot, when it cannot wait.
    pub(super) home: i32,
    /// The slot behind.
    end: i32,
}

fn slots(ty: Ty) -> i32 {
    ty.slots() as i32
}

impl Translator<'_> {
    /// The home of the operand pushed next.
    pub(super) fn next_home(&self) -> i32 {
        self.s.stack.last().map_or(self.base, |e| e.end)
    }

    /// Makes room in the frame up to `slot`.
    pub(super) fn reach(&mut self, slot: i32) {
        self.high = self.high.max(slot);
    }

    pub(super) fn push(&mut self, node: NodeId) {
        let n = &self.s.trees[node];
        let (ty, large, constant) = (n.ty, n.is_large(), n.is_const());
        let home = self.put(node, ty);
        if !constant && !self.s.trees[node].is_slot(home) {
            self.wait(large);
        }
    }

    /// Pushes a constant.
    pub(super) fn push_constant(&mut self, ty: Ty, bits: u64) {
        let node = self.s.trees.constant(ty, bits);
        self.put(node, ty);
    }

    /// Pushes a read of a slot that is no home.
    pub(super) fn push_read(&mut self, slot: i32, ty: Ty) {
        let node = self.s.trees.slot(slot, ty);
        self.put(node, ty);
        self.wait(false);
    }

    /// Puts an operand on top. Returns its home.
    #[inline]
    fn put(&mut self, node: NodeId, ty: Ty) -> i32 {
        let home = self.next_home();
        let end = home + slots(ty);
        self.reach(end);
        self.s.stack.push(Entry { node, home, end });
        home
    }

    /// The operand on top is not settled. If it is large it does not stay so.
    #[inline]
    fn wait(&mut self, large: bool) {
        let top = self.s.stack.len() - 1;
        self.s.unsettled.push(top as u32);
        if large {
            self.spill(top);
        } else if self.s.unsettled.len() > UNSETTLED {
            self.spill(self.s.unsettled[0] as usize);
        }
    }

    pub(super) fn pop(&mut self) -> NodeId {
        let node = self.s.stack.pop().expect("validated").node;
        self.forget_above();
        node
    }

    /// Drops operands above `height`.
    pub(super) fn truncate(&mut self, height: usize) {
        self.s.stack.truncate(height);
        self.forget_above();
    }

    fn forget_above(&mut self) {
        let height = self.s.stack.len();
        while self.s.unsettled.last().is_some_and(|&i| i as usize >= height) {
            self.s.unsettled.pop();
        }
    }

    /// Pushes values that lie in their homes already.
    pub(super) fn push_settled(&mut self, types: impl Iterator<Item = Ty>) {
        let mut home = self.next_home();
        for ty in types {
            let (node, end) = (self.s.trees.slot(home, ty), home + slots(ty));
            self.s.stack.push(Entry { node, home, end });
            home = end;
        }
        self.reach(home);
    }

    pub(super) fn flags(&self, node: NodeId) -> u8 {
        self.s.trees[node].flags
    }

    /// Evaluates entry `i` into its home.
    pub(super) fn spill(&mut self, i: usize) {
        let Entry { node, home, .. } = self.s.stack[i];
        let n = &self.s.trees[node];
        if n.is_slot(home) {
            return;
        }
        let (ty, flags) = (n.ty, n.flags);
        // What may trap waits for what stood before it and may trap otherwise.
        if flags & TRAP != 0 {
            self.spill_flagged_below(i, LOAD | TRAP);
        } else if flags & LOAD != 0 {
            self.spill_flagged_below(i, TRAP);
        }
        if let Some(at) = self.s.unsettled.iter().rposition(|&u| u as usize == i) {
            self.s.unsettled.remove(at);
        }
        self.before_write(home, i);
        self.root(move_root(ty, false), [offset_of(home)].into(), &[node]);
        self.now_holds(ty, home);
        self.s.stack[i].node = self.s.trees.slot(home, ty);
    }

    /// Evaluates the unsettled entries below `height` that `wanted` names, the lowest first.
    fn spill_where(&mut self, height: usize, wanted: impl Fn(&Self, NodeId) -> bool) {
        let mut at = 0;
        while let Some(&i) = self.s.unsettled.get(at) {
            if i as usize >= height {
                break;
            }
            if wanted(self, self.s.stack[i as usize].node) {
                self.spill(i as usize);
                // That may have evaluated entries further down too.
                at = 0;
            } else {
                at += 1;
            }
        }
    }

    /// Rule 1: `slot` is about to be written; look at the entries below `height`.
    pub(super) fn before_write(&mut self, slot: i32, height: usize) {
        self.spill_where(height, |t, n| t.s.trees.may_read(n, slot));
    }

    /// Evaluates entries that have any of `flags`.
    pub(super) fn spill_flagged(&mut self, flags: u8) {
        self.spill_flagged_below(self.s.stack.len(), flags);
    }

    pub(super) fn spill_flagged_below(&mut self, height: usize, flags: u8) {
        self.spill_where(height, |t, n| t.flags(n) & flags != 0);
    }

    /// Evaluates entries below `height` that a call or an operation of the run loop could disturb: it may change memory and
    /// globals, and whatever lies from slot `first` on.
    pub(super) fn spill_disturbed(&mut self, height: usize, first: i32) {
        self.spill_where(height, |t, n| t.flags(n) != 0 || t.s.trees[n].top >= first);
    }

    /// Evaluates everything but constants.
    pub(super) fn settle(&mut self) {
        self.spill_where(usize::MAX, |_, _| true);
    }

    /// Evaluates the entries from `height` on, constants too.
    pub(super) fn spill_from(&mut self, height: usize) {
        self.carry_more(self.s.stack.len() - height);
        for i in height..self.s.stack.len() {
            self.spill(i);
        }
    }

    /// A root that traps runs after pending operators that trap differently.
    pub(super) fn keep_order(&mut self, flags: u8) {
        if flags & TRAP != 0 {
            self.spill_flagged(LOAD | TRAP);
        } else if flags & LOAD != 0 {
            self.spill_flagged(TRAP);
        }
    }

    /// The accumulator of a class holds `slot` from now on, and no other does.
    pub(super) fn now_holds(&mut self, ty: Ty, slot: i32) {
        self.forget_slots(slot, slot + 1);
        self.held[accumulator(ty)] = slot;
    }

    /// Slots were overwritten otherwise.
    pub(super) fn forget_slots(&mut self, from: i32, to: i32) {
        for held in &mut self.held {
            if (from..to).contains(held) {
                *held = NO_SLOT;
            }
        }
    }

    /// Emits a root: what of its trees does not fit its tile, then the tile with the words `own` and those of the cover.
    pub(super) fn root(&mut self, root: Sym, own: Own, kids: &[NodeId]) {
        self.temporaries = 0;
        self.root_with(root, own, kids);
    }

    fn root_with(&mut self, root: Sym, own: Own, kids: &[NodeId]) {
        let mut cover = Cover::NONE;
        let walked = self.s.trees.cover(root, kids, self.held, &mut cover);
        let temporaries = if cover.cut { self.before(cover.picks()) } else { [0; MAX_NODES] };
        let Scratch { trees, emit, .. } = &mut *self.s;
        emit.tile(cover.tile());
        emit.statement(root.as_access().is_some());
        emit.own(own);
        if walked && !emit.is_mapping() {
            emit.nodes(trees.walked());
        } else {
            self.nodes(cover.picks(), &temporaries);
        }
    }

    /// Emits the words of a tile's nodes, one by one.
    #[inline(never)]
    fn nodes(&mut self, picks: &[Pick], temporaries: &[i32; MAX_NODES]) {
        let Scratch { trees, emit, .. } = &mut *self.s;
        for (pick, &slot) in picks.iter().zip(temporaries) {
            let n = &trees[pick.node];
            let (imm, words) = match pick.how {
                How::Accumulator | How::CutAccumulator => continue,
                How::CutSlot => (offset_of(slot).into(), 1),
                _ => (n.imm, n.words),
            };
            if emit.is_mapping() && pick.how == How::Operator && matches!(n.sym.info().kind, Kind::Load | Kind::Traps) {
                emit.note_operator(pick.node);
            }
            if words > 2 {
                emit.word(n.kids[2]);
            }
            emit.immediate(imm, words.min(2));
        }
    }

    /// Emits the subtrees that a cover leaves out. Returns the temporary slot of each that has one.
    fn before(&mut self, picks: &[Pick]) -> [i32; MAX_NODES] {
        let mut temporaries = [0; MAX_NODES];
        for (pick, slot) in picks.iter().zip(&mut temporaries).filter(|(p, _)| p.how == How::CutSlot) {
            *slot = self.high + self.temporaries;
            let ty = self.s.trees[pick.node].ty;
            self.temporaries += slots(ty);
            self.frame = self.frame.max(self.high + self.temporaries);
            self.root_with(move_root(ty, false), [offset_of(*slot)].into(), &[pick.node]);
            self.held[accumulator(ty)] = NO_SLOT;
        }
        for pick in picks.iter().filter(|p| p.how == How::CutAccumulator) {
            let ty = self.s.trees[pick.node].ty;
            self.root_with(move_root(ty, true), [].into(), &[pick.node]);
            self.held[accumulator(ty)] = NO_SLOT;
        }
        temporaries
    }

    /// Emits a root without operands.
    pub(super) fn bare(&mut self, form: Form, own: &[u32]) {
        self.s.emit.tile(crate::cover::bare_tile(Sym::form(form)));
        self.s.emit.statement(matches!(form, Form::Unreachable | Form::Slow));
        self.s.emit.words(own);
    }

    // ---- operators

    pub(super) fn operator(&mut self, sym: Sym, ty: Ty, kids: &[NodeId], imm: u64) -> NodeId {
        let id = self.s.trees.operator(sym, ty, kids, imm);
        self.s.emit.origin(id);
        id
    }

    /// The entries from `from` on, three at most.
    fn operands(&self, from: usize) -> [NodeId; 3] {
        let mut nodes = [NONE; 3];
        nodes.iter_mut().zip(&self.s.stack[from..]).for_each(|(node, e)| *node = e.node);
        nodes
    }

    /// Pushes a plain instruction, or anything else that only computes, over the operands on the stack.
    pub(super) fn compute(&mut self, sym: Sym, ty: Ty) {
        let info = sym.info();
        let n = info.operands.len();
        let from = self.s.stack.len() - n;
        let mut kids = self.operands(from);
        let flags = kids[..n].iter().fold(0, |flags, &kid| flags | self.flags(kid));
        let traps = info.kind == Kind::Traps && flags & (LOAD | TRAP) != 0;
        if traps || flags & TRAP != 0 && n > 1 {
            for i in from..self.s.stack.len() {
                if self.flags(self.s.stack[i].node) & (LOAD | TRAP) != 0 {
                    self.spill(i);
                }
            }
            // Others may have been disturbed by that.
            kids = self.operands(from);
        }
        self.truncate(from);
        let id = self.folded(sym, &kids[..n]).unwrap_or_else(|| self.operator(sym, ty, &kids[..n], 0));
        self.push(id);
    }

    fn constant_of(&self, id: NodeId) -> Option<u64> {
        let n = &self.s.trees[id];
        n.is_const().then_some(n.imm)
    }

    /// The same value by a form that more tiles know: subtracted constants are added, sums of constants are one.
    fn folded(&mut self, sym: Sym, kids: &[NodeId]) -> Option<NodeId> {
        let (add, ty, value) = match sym.as_plain()? {
            Plain::I32Sub => (Plain::I32Add, Ty::I32, self.constant_of(kids[1])?.wrapping_neg() as u32 as u64),
            Plain::I64Sub => (Plain::I64Add, Ty::I64, self.constant_of(kids[1])?.wrapping_neg()),
            Plain::I32Add => (Plain::I32Add, Ty::I32, self.constant_of(kids[1])?),
            Plain::I64Add => (Plain::I64Add, Ty::I64, self.constant_of(kids[1])?),
            Plain::I32Eqz if self.negated(kids[0]).is_some() => return Some(self.not(kids[0])),
            _ => return None,
        };
        let (sum, add) = (self.s.trees[kids[0]], Sym::plain(add));
        if sum.sym == add
            && let Some(inner) = self.constant_of(sum.kids[1])
        {
            let total = inner.wrapping_add(value);
            let total = if ty == Ty::I32 { total as u32 as u64 } else { total };
            let c = self.s.trees.constant(ty, total);
            return Some(self.operator(add, ty, &[sum.kids[0], c], 0));
        }
        let c = self.s.trees.constant(ty, value);
        Some(self.operator(add, ty, &[kids[0], c], 0))
    }

    /// The comparison that is true where `id` is false.
    fn negated(&self, id: NodeId) -> Option<Sym> {
        self.s.trees[id].sym.as_plain()?.info().negated.map(Sym::plain)
    }

    /// A condition that is true where `id` is zero.
    pub(super) fn not(&mut self, id: NodeId) -> NodeId {
        let n = self.s.trees[id];
        if let Some(sym) = self.negated(id) {
            return self.operator(sym, Ty::I32, &n.kids[..2], 0);
        }
        match n.sym.as_plain() {
            Some(Plain::I32Eqz) => n.kids[0],
            Some(Plain::I64Eqz) => {
                let zero = self.s.trees.constant(Ty::I64, 0);
                self.operator(Sym::plain(Plain::I64Ne), Ty::I32, &[n.kids[0], zero], 0)
            }
            _ => self.operator(Sym::plain(Plain::I32Eqz), Ty::I32, &[id], 0),
        }
    }

    /// The cheapest condition for a branch on "not zero".
    pub(super) fn condition(&mut self, id: NodeId) -> NodeId {
        let n = self.s.trees[id];
        let with_zero = n.kids[1] != NONE && n.sym.info().operands.len() == 2 && self.constant_of(n.kids[1]) == Some(0);
        match n.sym.as_plain() {
            Some(Plain::I32Ne) if with_zero => n.kids[0],
            Some(Plain::I32Eq) if with_zero => self.not(n.kids[0]),
            _ => id,
        }
    }

    /// Symbol, immediate and memory of an access: near if one word can say where it ends.
    pub(super) fn reach_of(op: Access, arg: MemArg) -> (Sym, u64) {
        let end = arg.offset + op.info().bytes as u64;
        if arg.memory == 0 && end <= u32::MAX as u64 { (Sym::near(op), end) } else { (Sym::far(op), arg.offset) }
    }

    pub(super) fn load(&mut self, op: Access, arg: MemArg) {
        let (sym, imm) = Self::reach_of(op, arg);
        if self.flags(self.s.stack.last().expect("validated").node) & TRAP != 0 {
            self.spill(self.s.stack.len() - 1);
        }
        let address = self.pop();
        let id = self.operator(sym, op.info().ty, &[address], imm);
        if sym == Sym::far(op) {
            self.s.trees.set_memory(id, arg.memory);
        }
        self.push(id);
    }

    pub(super) fn store(&mut self, op: Access, arg: MemArg) {
        let from = self.s.stack.len() - 2;
        self.spill_flagged_below(from, LOAD | TRAP);
        let flags = self.flags(self.s.stack[from].node) | self.flags(self.s.stack[from + 1].node);
        if flags & TRAP != 0 {
            self.spill_from(from);
        }
        let value = self.pop();
        let address = self.pop();
        let (sym, imm) = Self::reach_of(op, arg);
        let far = [arg.memory, imm as u32, (imm >> 32) as u32];
        let own = if sym == Sym::near(op) { [imm as u32].into() } else { far.into() };
        self.root(sym, own, &[address, value]);
    }
}
