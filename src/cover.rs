//! Pending trees, and covering them with tiles.
//!
//! A root and its trees are matched against the machine's trie of patterns, depth first. A subtree may be *cut*: computed
//! before, into the accumulator or a temporary slot. The cheapest cover wins; costs are in tenths of a dispatch. The base
//! families guarantee a cover for every tree. Invariant: the search allocates nothing and its depth is bounded by
//! [`MAX_NODES`].
mod memo;

use self::memo::{Memo, Shape};
use alloc::vec::Vec;
use jitless_machine::symbol::{Kind, Sym, class};
use jitless_machine::tiles::TRIE;
use jitless_machine::types::Ty;

/// Index of a node.
pub(crate) type NodeId = u32;
/// No node, no slot.
pub(crate) const NONE: u32 = u32::MAX;
pub(crate) const NO_SLOT: i32 = i32::MIN;

/// Operators in a tree at most: larger ones are evaluated to their home at once.
pub(crate) const MAX_OPERATORS: u8 = 8;
/// Nodes of a tile that are matched at most, its root left out; the families have 6. Longer patterns are never found.
pub(crate) const MAX_NODES: usize = 12;

/// The tree reads memory.
pub(crate) const LOAD: u8 = 1;
/// The tree has an operator that may trap and is no load.
pub(crate) const TRAP: u8 = 2;
/// The tree reads a global or the size of a memory.
pub(crate) const READ: u8 = 4;

/// A node of a pending tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) sym: Sym,
    pub(crate) ty: Ty,
    /// [`LOAD`], [`TRAP`], [`READ`], of the whole tree.
    pub(crate) flags: u8,
    /// Operators of the tree.
    size: u8,
    pub(crate) kids: [NodeId; 3],
    /// Leaf: the slot or the constant. Access: offset + size (near) or offset (far). Global: its offset or index.
    pub(crate) imm: u64,
    /// A bloom filter of the slots that the tree reads.
    pub(crate) mask: u64,
    /// The highest of them.
    pub(crate) top: i32,
    /// Memoised cost of computing the tree into the accumulator and into a slot; 0: not known yet.
    cost: [u16; 2],
}

impl Node {
    /// Is it just a read of `slot`?
    pub(crate) fn is_slot(&self, slot: i32) -> bool {
        self.sym == Sym::L && self.imm as i64 as i32 == slot
    }

    pub(crate) fn slot(&self) -> i32 {
        self.imm as i64 as i32
    }

    pub(crate) fn is_const(&self) -> bool {
        self.sym == Sym::C
    }

    pub(crate) fn is_large(&self) -> bool {
        self.size > MAX_OPERATORS
    }
}

fn bloom(slot: i32) -> u64 {
    1 << (slot as u32 & 63)
}

/// Number of an accumulator: integers and references, f32, f64.
pub(crate) fn accumulator(ty: Ty) -> usize {
    class(ty).saturating_sub(1)
}

/// All trees of a function.
#[derive(Default, Debug)]
pub(crate) struct Trees {
    nodes: Vec<Node>,
    memo: Memo,
}

impl core::ops::Index<NodeId> for Trees {
    type Output = Node;
    #[inline]
    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}

/// How a node of the tree was matched. As wide as a node, so that a [`Pick`] has no gap and many are set at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum How {
    Operator,
    Slot,
    Constant,
    Accumulator,
    /// Computed before, into a temporary slot.
    CutSlot,
    /// Computed just before, into the accumulator.
    CutAccumulator,
}

/// One node of a cover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pick {
    pub(crate) node: NodeId,
    pub(crate) how: How,
}

/// A tile and the nodes it takes, in prefix order.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Cover {
    pub(crate) tile: u16,
    cost: u16,
    picks: Few<Pick>,
}

impl Cover {
    const NONE: Self = Self {
        tile: 0,
        cost: u16::MAX,
        picks: Few { items: [Pick { node: NONE, how: How::Operator }; MAX_NODES], len: 0 },
    };

    pub(crate) fn picks(&self) -> &[Pick] {
        self.picks.all()
    }
}

/// A stack of bounded depth.
#[derive(Clone, Copy, Debug)]
struct Few<X> {
    items: [X; MAX_NODES],
    len: u8,
}

impl<X: Copy> Few<X> {
    fn new(x: X) -> Self {
        Few { items: [x; MAX_NODES], len: 0 }
    }
    fn push(&mut self, x: X) -> bool {
        let room = (self.len as usize) < MAX_NODES;
        if room {
            self.items[self.len as usize] = x;
            self.len += 1;
        }
        room
    }
    fn pop(&mut self) -> Option<X> {
        self.len = self.len.checked_sub(1)?;
        Some(self.items[self.len as usize])
    }
    fn truncate(&mut self, len: u8) {
        self.len = len;
    }
    fn all(&self) -> &[X] {
        &self.items[..self.len as usize]
    }
}

impl<X: PartialEq + Copy> PartialEq for Few<X> {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

const TILE: u32 = 1 << 31;

/// The state behind `state` along `sym`.
#[inline]
fn step(state: u32, sym: Sym) -> Option<u32> {
    let at = TRIE[state as usize].0 + sym.0 as u32;
    (TRIE[at as usize].1 == state).then_some(at)
}

/// The tile that ends at `state`.
#[inline]
fn tile(state: u32) -> Option<u16> {
    let base = TRIE[state as usize].0;
    (base & TILE != 0).then_some(base as u16)
}

/// The tile of a root without operands.
pub(crate) fn bare_tile(root: Sym) -> u16 {
    step(0, root).and_then(tile).expect("the families have every root")
}

const DISPATCH: u16 = 10;
const READ_SLOT: u16 = 1;
const TEMPORARY: u16 = 2;

/// What a search has committed to on its way down.
#[derive(Clone, Copy, Default)]
struct Used {
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
    /// A move must not cut its own operand: that would be the same problem again.
    whole: bool,
    pending: Few<NodeId>,
    picks: Few<Pick>,
    best: Cover,
}

impl Trees {
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Adds an operator over `kids`.
    pub(crate) fn operator(&mut self, sym: Sym, ty: Ty, kids: &[NodeId], imm: u64) -> NodeId {
        let flags = match sym.info().kind {
            Kind::Load => LOAD,
            Kind::Traps => TRAP,
            Kind::Read => READ,
            _ => 0,
        };
        let mut node = Node { sym, ty, flags, size: 1, kids: [NONE; 3], imm, mask: 0, top: NO_SLOT, cost: [0; 2] };
        for (i, &k) in kids.iter().enumerate() {
            let kid = &self[k];
            node.kids[i] = k;
            node.flags |= kid.flags;
            node.size = node.size.saturating_add(kid.size);
            node.mask |= kid.mask;
            node.top = node.top.max(kid.top);
        }
        self.add(node)
    }

    /// Adds a read of a slot.
    pub(crate) fn slot(&mut self, slot: i32, ty: Ty) -> NodeId {
        let (imm, mask) = (slot as i64 as u64, bloom(slot));
        self.add(Node { sym: Sym::L, ty, flags: 0, size: 0, kids: [NONE; 3], imm, mask, top: slot, cost: [0; 2] })
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, ty: Ty, imm: u64) -> NodeId {
        let kids = [NONE; 3];
        self.add(Node { sym: Sym::C, ty, flags: 0, size: 0, kids, imm, mask: 0, top: NO_SLOT, cost: [0; 2] })
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    /// Sets what a node carries beside its operands.
    pub(crate) fn set_extra(&mut self, id: NodeId, extra: u32) {
        self.nodes[id as usize].kids[2] = extra;
    }

    /// May the tree read `slot`?
    pub(crate) fn may_read(&self, id: NodeId, slot: i32) -> bool {
        let n = &self[id];
        n.mask & bloom(slot) != 0 && (n.sym != Sym::L || n.slot() == slot)
    }

    /// Keeps the trees at `roots` alone and renumbers them; `moved` hears of old and new numbers, the new ones ascending.
    pub(crate) fn compact<'a>(
        &mut self,
        roots: impl Iterator<Item = &'a mut NodeId>,
        mut moved: impl FnMut(NodeId, NodeId),
    ) {
        fn copy(old: &[Node], new: &mut Vec<Node>, moved: &mut dyn FnMut(NodeId, NodeId), id: NodeId) -> NodeId {
            let mut node = old[id as usize];
            let operands = node.sym.info().operands.len();
            for k in &mut node.kids[..operands] {
                *k = copy(old, new, moved, *k);
            }
            let fresh = new.len() as u32;
            new.push(node);
            moved(id, fresh);
            fresh
        }
        let old = core::mem::take(&mut self.nodes);
        for root in roots {
            *root = copy(&old, &mut self.nodes, &mut moved, *root);
        }
    }

    /// The cheapest tile for `root` over `kids`, when the accumulators hold the slots `held`.
    pub(crate) fn cover(&mut self, root: Sym, kids: &[NodeId], held: [i32; 3]) -> Cover {
        let start = step(0, root).expect("the families have every root");
        let mut cover = Cover::NONE;
        if self.cover_leaves(start, kids, held, &mut cover).is_some() {
            return cover;
        }
        let mut shape = Shape::of(root);
        let known = kids.iter().all(|&k| self.read(k, held, &mut shape));
        let whole = is_move(root) && !self[kids[0]].is_const();
        if known && self.memo.find(&shape, &mut cover) {
            debug_assert_eq!(cover, self.search(start, kids, held, whole));
            return cover;
        }
        cover = self.search(start, kids, held, whole);
        if known {
            self.memo.keep(&shape, &cover);
        }
        cover
    }

    /// Adds a tree to a shape. Is there room?
    fn read(&self, id: NodeId, held: [i32; 3], shape: &mut Shape) -> bool {
        let n = &self[id];
        if n.size == 0 {
            let in_accumulator = n.sym == Sym::L && held[accumulator(n.ty)] == n.slot();
            return shape.push(id, n.sym, n.ty, in_accumulator);
        }
        // Whatever else a node carries stands behind its last operand.
        let mut operands = n.kids.iter().take_while(|&&k| k != NONE);
        shape.push(id, n.sym, n.ty, false) && operands.all(|&k| self.read(k, held, shape))
    }

    /// Covers a root over leaves, where the first choice for each is the best.
    fn cover_leaves(&self, start: u32, kids: &[NodeId], held: [i32; 3], cover: &mut Cover) -> Option<()> {
        let mut state = start;
        (cover.cost, cover.picks.len) = (DISPATCH, 0);
        for &k in kids {
            let n = &self[k];
            let (sym, how, cost) = match n.sym {
                Sym::C => (Sym::C, How::Constant, 0),
                Sym::L if held[accumulator(n.ty)] == n.slot() => (Sym::A, How::Accumulator, 0),
                Sym::L => (Sym::L, How::Slot, READ_SLOT),
                _ => return None,
            };
            state = step(state, sym)?;
            cover.cost += cost;
            cover.picks.push(Pick { node: k, how });
        }
        cover.tile = tile(state)?;
        Some(())
    }

    fn search(&mut self, start: u32, kids: &[NodeId], held: [i32; 3], whole: bool) -> Cover {
        let mut pending = Few::new(NONE);
        for &k in kids.iter().rev() {
            pending.push(k);
        }
        let (best, picks) = (Cover::NONE, Cover::NONE.picks);
        let mut s = Search { trees: self, held, whole, pending, picks, best };
        s.descend(start, DISPATCH, Used::default());
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
        let root = move_root(n.ty, to_accumulator);
        let cost = if n.is_const() { DISPATCH } else { self.cover(root, &[id], [NO_SLOT; 3]).cost };
        self.nodes[id as usize].cost[!to_accumulator as usize] = cost;
        cost
    }
}

/// The root that computes a value of a class into the accumulator or a slot.
pub(crate) fn move_root(ty: Ty, to_accumulator: bool) -> Sym {
    use jitless_machine::symbol::Form;
    Sym::of_class(if to_accumulator { Form::AccI32 } else { Form::SetI32 }, ty)
}

/// Is `root` a `Set` or an `Acc`?
fn is_move(root: Sym) -> bool {
    use jitless_machine::symbol::Form;
    (Form::SetI32 as u16..=Form::AccF64 as u16).contains(&root.0)
}

impl Search<'_> {
    /// Matches what is pending from `state` on.
    fn descend(&mut self, state: u32, cost: u16, used: Used) {
        if cost >= self.best.cost {
            return;
        }
        let Some(id) = self.pending.pop() else {
            if let Some(tile) = tile(state) {
                self.best = Cover { tile, cost, picks: self.picks };
            }
            return;
        };
        if tile(state).is_none() {
            self.node(id, state, cost, used);
        }
        self.pending.push(id);
    }

    fn node(&mut self, id: NodeId, state: u32, cost: u16, used: Used) {
        let n = self.trees[id];
        match n.sym {
            Sym::L => {
                if !used.cut && self.held[accumulator(n.ty)] == n.slot() {
                    self.take(id, How::Accumulator, Sym::A, state, cost, Used { present: true, ..used });
                }
                self.take(id, How::Slot, Sym::L, state, cost + READ_SLOT, used);
                return;
            }
            Sym::C => self.take(id, How::Constant, Sym::C, state, cost, used),
            _ => self.operator(id, &n, state, cost, used),
        }
        // A cut costs a dispatch at least.
        if used.present || (self.whole && self.picks.len == 0) || cost + DISPATCH >= self.best.cost {
            return;
        }
        let cut = Used { cut: true, ..used };
        if !used.accumulator && !n.is_const() && step(state, Sym::A).is_some() {
            let more = self.trees.cut_cost(id, true);
            self.take(id, How::CutAccumulator, Sym::A, state, cost + more, Used { accumulator: true, ..cut });
        }
        if step(state, Sym::L).is_some() {
            let more = self.trees.cut_cost(id, false) + TEMPORARY;
            self.take(id, How::CutSlot, Sym::L, state, cost + more, cut);
        }
    }

    /// Matches an operator, its operands in either order if that computes the same.
    fn operator(&mut self, id: NodeId, n: &Node, state: u32, cost: u16, used: Used) {
        let mark = self.pending.len;
        let operands = n.sym.info().operands.len();
        if let Some(next) = step(state, n.sym) {
            let room = n.kids[..operands].iter().rev().all(|&k| self.pending.push(k));
            if room {
                self.follow(id, How::Operator, next, cost, used);
            }
            self.pending.truncate(mark);
        }
        if let Some(next) = n.sym.swapped().and_then(|s| step(state, s)) {
            if self.pending.push(n.kids[0]) && self.pending.push(n.kids[1]) {
                self.follow(id, How::Operator, next, cost, used);
            }
            self.pending.truncate(mark);
        }
    }

    fn take(&mut self, id: NodeId, how: How, sym: Sym, state: u32, cost: u16, used: Used) {
        if let Some(next) = step(state, sym) {
            self.follow(id, how, next, cost, used);
        }
    }

    fn follow(&mut self, node: NodeId, how: How, next: u32, cost: u16, used: Used) {
        let mark = self.picks.len;
        if self.picks.push(Pick { node, how }) {
            self.descend(next, cost, used);
        }
        self.picks.truncate(mark);
    }
}
