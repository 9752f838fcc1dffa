//! The walk: one tile for a root and all its trees.
//!
//! Idea: trees have all sorts of forms, so this decides as little as can be: what is not needed is computed all the same.
//! The words of the tile are collected on the way. Invariant: a cover that it finds is what the search would have found.
use super::{Cover, DISPATCH, How, MAX_NODES, NONE, Node, NodeId, Pick, READ_SLOT, Trees, step, tile};
use jitless_machine::symbol::Sym;

/// Words that the nodes of a tile take, in prefix order.
#[derive(Debug)]
pub(crate) struct Words {
    items: [u32; 3 * MAX_NODES],
    len: usize,
}

impl Default for Words {
    fn default() -> Self {
        Self { items: [0; 3 * MAX_NODES], len: 0 }
    }
}

impl Words {
    pub(crate) fn all(&self) -> &[u32] {
        &self.items[..self.len]
    }

    /// The first few, if there are no more.
    pub(crate) fn few(&self) -> Option<[u32; 8]> {
        self.items.first_chunk().copied().filter(|few| self.len <= few.len())
    }

    /// Adds as many of a node's words. Two are written in any case: how many count nobody can foresee.
    fn push(&mut self, n: &Node, words: u8) {
        if words > 2 {
            self.items[self.len] = n.kids[2];
            self.len += 1;
        }
        self.items[self.len] = n.imm as u32;
        self.items[self.len + 1] = (n.imm >> 32) as u32;
        self.len += words.min(2) as usize;
    }
}

impl Trees {
    /// The words of the cover that the walk found last.
    pub(crate) fn walked(&self) -> &Words {
        &self.words
    }

    /// Covers a root and all its trees with one tile, if the first choice for each node leads to one. Then it is the best:
    /// it reads what must be read, and a cut would cost a dispatch more.
    pub(super) fn walk(&mut self, start: u32, kids: &[NodeId], held: [i32; 3], cover: &mut Cover) -> Option<()> {
        // Beyond its length lies what counts for nothing.
        let (mut pending, mut len) = ([NONE; MAX_NODES + 3], kids.len());
        pending.iter_mut().zip(kids.iter().rev()).for_each(|(place, &kid)| *place = kid);
        let (mut state, mut picked) = (start, 0);
        (cover.cost, cover.cut, self.words.len) = (DISPATCH, false, 0);
        while len != 0 {
            if picked + len > MAX_NODES {
                return None;
            }
            len -= 1;
            let id = pending[len];
            let n = &self.nodes[id as usize];
            let in_accumulator = n.is_held(held);
            let (sym, how, words) =
                if in_accumulator { (Sym::A, How::Accumulator, 0) } else { (n.sym, n.how, n.words) };
            cover.picks.items[picked] = Pick { node: id, how };
            picked += 1;
            cover.cost += READ_SLOT * (how == How::Slot) as u16;
            self.words.push(n, words);
            let arity = n.arity as usize;
            pending[len] = n.kids[arity.saturating_sub(1)];
            pending[len + 1] = n.kids[arity.saturating_sub(2)];
            pending[len + 2] = n.kids[0];
            match step(state, sym) {
                Some(next) => state = next,
                None => {
                    state = step(state, n.sym.swapped()?)?;
                    pending.swap(len, len + 1);
                }
            }
            len += arity;
        }
        cover.picks.len = picked as u8;
        cover.tile = tile(state)?.into();
        Some(())
    }
}
