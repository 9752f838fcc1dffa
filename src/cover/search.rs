//! The search for the cheapest cover of a tree.
//!
//! Idea: depth first along the trie, each node as it stands or cut, and no further where what was paid and what is still to
//! be read cost as much as the best so far. Invariant: it allocates nothing, and its depth is bounded by the nodes of a tile.
use super::{
    Cover, DISPATCH, Few, How, NO_SLOT, NONE, Node, NodeId, Pick, READ_SLOT, TEMPORARY, Trees, move_root, step, tile,
};
use jitless_machine::symbol::Sym;

/// What a search has committed to on its way down.
#[derive(Clone, Copy)]
struct Path {
    cost: u16,
    /// Leaves that are slots in what is pending. Each costs, wherever it is read, unless the accumulator holds it.
    rest: u16,
    cut: bool,
    /// The accumulator holds, or will hold, a cut subtree.
    accumulator: bool,
    /// The accumulator's present value is used: nothing may be computed before.
    present: bool,
}

struct Search<'a> {
    trees: &'a mut Trees,
    /// Slots that the accumulators hold.
    held: [i32; 3],
    /// Leaves that accumulators hold at most.
    free: u16,
    /// A move must not cut its own operand: that would be the same problem again.
    whole: bool,
    pending: Few<NodeId>,
    picks: Few<Pick>,
    best: Cover,
}

impl Trees {
    /// The cheapest cover there is. `free` leaves may lie in accumulators; `whole` is said of a move, see [`Search`].
    pub(super) fn search(&mut self, start: u32, kids: &[NodeId], held: [i32; 3], free: u16, whole: bool) -> Cover {
        let mut pending = Few::new(NONE);
        pending.push_all(kids);
        let rest = kids.iter().map(|&k| u16::from(self[k].reads)).sum();
        let (best, picks) = (Cover::NONE, Cover::NONE.picks);
        let mut s = Search { trees: self, held, free, whole, pending, picks, best };
        s.descend(start, Path { cost: DISPATCH, rest, cut: false, accumulator: false, present: false });
        debug_assert!(s.best.cost != u16::MAX, "the families cover every tree");
        s.best
    }

    /// The cost of computing a tree before, into the accumulator or a slot.
    fn cut_cost(&mut self, id: NodeId, to_accumulator: bool) -> u16 {
        let n = self[id];
        let known = n.cost[!to_accumulator as usize];
        if known != 0 {
            return known;
        }
        let cost = if n.is_const() {
            DISPATCH
        } else {
            let mut cover = Cover::NONE;
            self.cover(move_root(n.ty, to_accumulator), &[id], [NO_SLOT; 3], &mut cover);
            cover.cost
        };
        self.nodes[id as usize].cost[!to_accumulator as usize] = cost;
        cost
    }
}

impl Search<'_> {
    /// Can this be as cheap as the best, even if it costs `more` than what it must?
    fn is_hopeless(&self, path: Path, more: u16) -> bool {
        path.cost + more + path.rest.saturating_sub(self.free) >= self.best.cost
    }

    /// Matches what is pending from `state` on.
    fn descend(&mut self, state: u32, path: Path) {
        if self.is_hopeless(path, 0) {
            return;
        }
        let Some(id) = self.pending.pop() else {
            if let Some(tile) = tile(state) {
                self.best = Cover { tile: tile.into(), cost: path.cost, cut: path.cut, picks: self.picks };
            }
            return;
        };
        if tile(state).is_none() {
            self.node(id, state, path);
        }
        self.pending.push(id);
    }

    fn node(&mut self, id: NodeId, state: u32, path: Path) {
        let n = self.trees[id];
        // Without the node, which costs what is added.
        let behind = |cost| Path { cost: path.cost + cost, rest: path.rest.saturating_sub(n.reads.into()), ..path };
        match n.sym {
            Sym::L => {
                if !path.cut && n.is_held(self.held) {
                    self.take(id, How::Accumulator, Sym::A, state, Path { present: true, ..behind(0) });
                }
                self.take(id, How::Slot, Sym::L, state, behind(READ_SLOT));
                return;
            }
            Sym::C => self.take(id, How::Constant, Sym::C, state, behind(0)),
            _ => self.operator(id, &n, state, path),
        }
        // A cut costs a dispatch at least.
        if path.present || (self.whole && self.picks.len == 0) || self.is_hopeless(path, DISPATCH) {
            return;
        }
        if !path.accumulator && !n.is_const() && step(state, Sym::A).is_some() {
            let cost = self.trees.cut_cost(id, true);
            self.take(id, How::CutAccumulator, Sym::A, state, Path { cut: true, accumulator: true, ..behind(cost) });
        }
        if !self.is_hopeless(path, DISPATCH + TEMPORARY) && step(state, Sym::L).is_some() {
            let cost = self.trees.cut_cost(id, false) + TEMPORARY;
            self.take(id, How::CutSlot, Sym::L, state, Path { cut: true, ..behind(cost) });
        }
    }

    /// Matches an operator, its operands in either order if that computes the same.
    fn operator(&mut self, id: NodeId, n: &Node, state: u32, path: Path) {
        let mark = self.pending.len;
        if let Some(next) = step(state, n.sym) {
            if self.pending.push_all(n.operands()) {
                self.follow(id, How::Operator, next, path);
            }
            self.pending.truncate(mark);
        }
        if let Some(next) = n.sym.swapped().and_then(|s| step(state, s)) {
            if self.pending.push(n.kids[0]) && self.pending.push(n.kids[1]) {
                self.follow(id, How::Operator, next, path);
            }
            self.pending.truncate(mark);
        }
    }

    fn take(&mut self, id: NodeId, how: How, sym: Sym, state: u32, path: Path) {
        if let Some(next) = step(state, sym) {
            self.follow(id, how, next, path);
        }
    }

    fn follow(&mut self, node: NodeId, how: How, next: u32, path: Path) {
        let mark = self.picks.len;
        if self.picks.push(Pick { node, how }) {
            self.descend(next, path);
        }
        self.picks.truncate(mark);
    }
}
