//! Covers that were found before, by the shapes of their trees.
//!
//! Idea: the best cover follows from a shape alone: the symbols of root and trees in prefix order, the types of their
//! values, and which slots the accumulators hold. Programs repeat few shapes, so most searches end here.
//!
//! Invariant: an answer is what the search would have found.
use super::{Cover, Few, How, NONE, NodeId, Pick};
use alloc::vec::Vec;
use jitless_machine::symbol::{COUNT, Sym};
use jitless_machine::types::Ty;

/// Larger shapes are not kept.
const MOST: usize = 24;
/// Shapes that are kept: each has one place, and the last one stays. A power of two.
const PLACES: usize = 1 << 10;

const _: () = assert!(COUNT <= 1 << 12, "a sign has room for every symbol");

/// Of each node symbol, type, and whether an accumulator holds the slot: 16 bits, four to a word.
type Signs = [u64; MOST / 4];

/// The shape of a root over its trees, and whose it is.
pub(super) struct Shape {
    signs: Signs,
    nodes: [NodeId; MOST],
    len: usize,
    held: u16,
    hash: u64,
}

impl Shape {
    pub(super) fn of(root: Sym) -> Self {
        let mut shape = Self { signs: [0; MOST / 4], nodes: [NONE; MOST], len: 0, held: 0, hash: 0 };
        shape.push(NONE, root, Ty::I32, false);
        shape
    }

    /// Adds the next node in prefix order. Is there room?
    #[inline]
    pub(super) fn push(&mut self, node: NodeId, sym: Sym, ty: Ty, held: bool) -> bool {
        let Some(word) = self.signs.get_mut(self.len / 4) else { return false };
        let sign = u64::from(sym.0 | (ty as u16) << 12 | (held as u16) << 15);
        *word |= sign << (self.len % 4 * 16);
        self.hash = (self.hash ^ sign).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        self.nodes[self.len] = node;
        self.len += 1;
        self.held += u16::from(held);
        true
    }

    /// Leaves that accumulators hold.
    pub(super) fn held(&self) -> u16 {
        self.held
    }
}

/// By number.
const HOWS: [How; 6] = [How::Operator, How::Slot, How::Constant, How::Accumulator, How::CutSlot, How::CutAccumulator];

/// A shape and its cover, whose nodes are places in the shape, and each how a number.
#[derive(Clone, Copy)]
struct Known {
    signs: Signs,
    picks: Few<(u8, u8)>,
    tile: u16,
    cost: u16,
    cut: bool,
}

/// See the head of the file. Takes no memory until something is kept.
#[derive(Default)]
pub(super) struct Memo(Vec<Known>);

impl Memo {
    fn place(shape: &Shape) -> usize {
        shape.hash as usize & (PLACES - 1)
    }

    /// Sets the cover of a shape, if it is known.
    pub(super) fn find(&self, shape: &Shape, cover: &mut Cover) -> bool {
        let Some(known) = self.0.get(Self::place(shape)).filter(|known| known.signs.iter().eq(&shape.signs)) else {
            return false;
        };
        (cover.tile, cover.cost, cover.cut, cover.picks.len) = (known.tile.into(), known.cost, known.cut, 0);
        for &(place, how) in known.picks.all() {
            cover.picks.push(Pick { node: shape.nodes[place as usize], how: HOWS[how as usize] });
        }
        true
    }

    /// Keeps a cover, if there is memory for it.
    pub(super) fn keep(&mut self, shape: &Shape, cover: &Cover) {
        if self.0.is_empty() {
            if self.0.try_reserve_exact(PLACES).is_err() {
                return;
            }
            // The signs of no root.
            let nothing = Known { signs: [u64::MAX; MOST / 4], picks: Few::new((0, 0)), tile: 0, cost: 0, cut: false };
            self.0.resize(PLACES, nothing);
        }
        let mut picks = Few::new((0, 0));
        for pick in cover.picks() {
            let place = shape.nodes.iter().position(|&node| node == pick.node);
            picks.push((place.expect("a cover picks nodes of its trees") as u8, pick.how as u8));
        }
        let (tile, cost, cut) = (cover.tile(), cover.cost, cover.cut);
        self.0[Self::place(shape)] = Known { signs: shape.signs, picks, tile, cost, cut };
    }
}

impl core::fmt::Debug for Memo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}
