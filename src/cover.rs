//! Pending trees, and covering them with tiles.
//!
//! A root and its trees are matched against the machine's trie of patterns. A subtree may be *cut*: computed before, into the
//! accumulator or a temporary slot. The cheapest cover wins; costs are in tenths of a dispatch. The base families guarantee
//! a cover for every tree. Most trees are one tile, which a walk finds (`walk`); most others have a shape that was met before
//! (`memo`); the rest is searched (`search`). Invariant: all three find the same.
mod memo;
mod search;
mod walk;

use self::memo::{Memo, Shape};
pub(crate) use self::walk::Words;
use alloc::vec::Vec;
use jitless_machine::symbol::{Form, Kind, Sym, class};
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
    /// Leaves of the tree that are slots.
    reads: u8,
    /// Operands.
    arity: u8,
    /// Words of a tile that the node itself takes: those of `imm`, in front of them a third that `kids` has room for.
    pub(crate) words: u8,
    pub(crate) kids: [NodeId; 3],
    /// Leaf: the slot's offset or the constant. Access: offset + size (near) or offset (far). Global: its offset or index.
    pub(crate) imm: u64,
    /// A bloom filter of the slots that the tree reads.
    pub(crate) mask: u64,
    /// The highest of them.
    pub(crate) top: i32,
    /// Memoised cost of computing the tree into the accumulator and into a slot; 0: not known yet.
    cost: [u16; 2],
    /// How the node is matched if it is not cut and no accumulator holds it.
    how: How,
}

impl Node {
    /// One without operands that reads nothing.
    fn new(sym: Sym, ty: Ty, words: u8, imm: u64) -> Self {
        let (kids, top, how) = ([NONE; 3], NO_SLOT, How::Operator);
        Node { sym, ty, flags: 0, size: 0, reads: 0, arity: 0, words, kids, imm, mask: 0, top, cost: [0; 2], how }
    }

    /// Is it just a read of `slot`?
    pub(crate) fn is_slot(&self, slot: i32) -> bool {
        self.sym == Sym::L && self.slot() == slot
    }

    pub(crate) fn slot(&self) -> i32 {
        // Exact: a multiple.
        self.imm as i32 >> SLOT_BYTES.ilog2()
    }

    /// Is it a read of a slot that an accumulator holds?
    fn is_held(&self, held: [i32; 3]) -> bool {
        self.sym == Sym::L && held[accumulator(self.ty)] == self.slot()
    }

    fn operands(&self) -> &[NodeId] {
        &self.kids[..self.arity as usize]
    }

    pub(crate) fn is_const(&self) -> bool {
        self.sym == Sym::C
    }

    pub(crate) fn is_large(&self) -> bool {
        self.size > MAX_OPERATORS
    }
}

const SLOT_BYTES: i32 = 8;

/// The offset of a slot from the frame, as a tile has it.
pub(crate) fn offset_of(slot: i32) -> u32 {
    (slot * SLOT_BYTES) as u32
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
    words: Words,
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
    /// As wide as registers, so that it is read as it was written.
    tile: u32,
    cost: u16,
    /// Is a subtree to be computed before?
    pub(crate) cut: bool,
    picks: Few<Pick>,
}

impl Cover {
    pub(crate) const NONE: Self = Self {
        tile: 0,
        cost: u16::MAX,
        cut: false,
        picks: Few { items: [Pick { node: NONE, how: How::Operator }; MAX_NODES], len: 0 },
    };

    pub(crate) fn tile(&self) -> u16 {
        self.tile as u16
    }

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
    /// The first of them on top.
    fn push_all(&mut self, all: &[X]) -> bool {
        all.iter().rev().all(|&x| self.push(x))
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
        let (flags, words) = match sym.info().kind {
            Kind::Load => (LOAD, 1),
            Kind::Traps => (TRAP, 0),
            Kind::Read => (READ, (sym != Sym::form(Form::MemorySize)) as u8),
            _ => (0, (sym == Sym::form(Form::RefFunc)) as u8),
        };
        let mut node = Node { flags, size: 1, arity: kids.len() as u8, ..Node::new(sym, ty, words, imm) };
        for (place, &k) in node.kids.iter_mut().zip(kids) {
            let kid = &self[k];
            *place = k;
            node.flags |= kid.flags;
            // Trees that are larger than allowed become slots at once, so neither number is ever high.
            node.size += kid.size;
            node.reads += kid.reads;
            node.mask |= kid.mask;
            node.top = node.top.max(kid.top);
        }
        self.add(node)
    }

    /// A far load takes a third word: its memory, in front of the offset.
    pub(crate) fn set_memory(&mut self, id: NodeId, memory: u32) {
        let node = &mut self.nodes[id as usize];
        (node.kids[2], node.words) = (memory, 3);
    }

    /// Adds a read of a slot.
    pub(crate) fn slot(&mut self, slot: i32, ty: Ty) -> NodeId {
        let leaf = Node::new(Sym::L, ty, 1, offset_of(slot).into());
        self.add(Node { reads: 1, mask: bloom(slot), top: slot, how: How::Slot, ..leaf })
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, ty: Ty, imm: u64) -> NodeId {
        let wide = matches!(ty, Ty::I64 | Ty::F64 | Ty::Ref);
        self.add(Node { how: How::Constant, ..Node::new(Sym::C, ty, 1 + wide as u8, imm) })
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
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
            for k in &mut node.kids[..node.arity as usize] {
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

    /// Sets the cheapest tile for `root` over `kids`, when the accumulators hold the slots `held`.
    ///
    /// It is written where it is wanted: a copy of what was written in pieces would wait for all of them.
    ///
    /// Did the walk find it? Then [`Self::walked`] has its words.
    pub(crate) fn cover(&mut self, root: Sym, kids: &[NodeId], held: [i32; 3], cover: &mut Cover) -> bool {
        let start = step(0, root).expect("the families have every root");
        let whole = is_move(root) && !self[kids[0]].is_const();
        let searched = cfg!(debug_assertions).then(|| self.search(start, kids, held, u16::MAX, whole));
        let walked = self.walk(start, kids, held, cover).is_some();
        if !walked {
            let mut shape = Shape::of(root);
            let known = self.read(kids, held, &mut shape);
            if !known || !self.memo.find(&shape, cover) {
                *cover = self.search(start, kids, held, if known { shape.held() } else { u16::MAX }, whole);
                if known {
                    self.memo.keep(&shape, cover);
                }
            }
        }
        debug_assert!(searched.is_none_or(|searched| searched == *cover));
        walked
    }

    /// Adds trees to a shape. Is there room?
    fn read(&self, kids: &[NodeId], held: [i32; 3], shape: &mut Shape) -> bool {
        let mut pending = Few::new(NONE);
        let mut room = pending.push_all(kids);
        while room && let Some(id) = pending.pop() {
            let n = &self[id];
            room = shape.push(id, n.sym, n.ty, n.is_held(held)) && pending.push_all(n.operands());
        }
        room
    }
}

/// The root that computes a value of a class into the accumulator or a slot.
pub(crate) fn move_root(ty: Ty, to_accumulator: bool) -> Sym {
    Sym::of_class(if to_accumulator { Form::AccI32 } else { Form::SetI32 }, ty)
}

/// Is `root` a `Set` or an `Acc`?
fn is_move(root: Sym) -> bool {
    (Form::SetI32 as u16..=Form::AccF64 as u16).contains(&root.0)
}
