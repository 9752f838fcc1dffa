//! The matching trie of single statements, and its packing into one table.
//!
//! Idea: a double array. The child of state `s` by symbol `x` is state `base[s] + x`, if its `check` is `s`: the rows of
//! all states lie over each other, each where its children are free. Invariant: a pattern is complete where its prefix
//! order ends, so a state either has children or is a tile.
use crate::pattern::Node;
use crate::symbol;
use std::collections::{BTreeMap, BTreeSet};

/// The bit that tells a tile from a base.
const TILE: u32 = 1 << 31;

/// The trie before it is packed.
pub(crate) struct Trie {
    edges: Vec<BTreeMap<u16, usize>>,
    tile: Vec<Option<usize>>,
    /// The first tile behind each state, which is the hottest.
    first: Vec<usize>,
}

impl Trie {
    /// The trie of those tiles that are one statement.
    pub(crate) fn of(tiles: &[Vec<Node>]) -> Trie {
        let mut trie = Trie { edges: vec![BTreeMap::new()], tile: vec![None], first: vec![0] };
        for (i, t) in tiles.iter().enumerate() {
            if let [x] = &t[..] {
                trie.insert(x, i);
            }
        }
        trie
    }

    /// Adds a pattern. Tiles come in their order.
    fn insert(&mut self, x: &Node, tile: usize) {
        fn walk(t: &mut Trie, at: usize, x: &Node, tile: usize) -> usize {
            let fresh = t.edges.len();
            let mut at = *t.edges[at].entry(x.sym.0).or_insert(fresh);
            if at == fresh {
                t.edges.push(BTreeMap::new());
                t.tile.push(None);
                t.first.push(tile);
            }
            for kid in &x.kids {
                at = walk(t, at, kid, tile);
            }
            at
        }
        let end = walk(self, 0, x, tile);
        self.tile[end] = Some(tile);
    }

    /// `(base or tile, check)` by state. What leads to hot tiles comes first, and so lies together.
    pub(crate) fn pack(&self) -> Vec<(u32, u32)> {
        let mut out: Vec<Option<(u32, u32)>> = vec![Some((0, u32::MAX))];
        let mut queue = BTreeSet::from([(0, 0usize, 0usize)]);
        let mut first_free = 1;
        while let Some((_, state, slot)) = queue.pop_first() {
            if let Some(tile) = self.tile[state] {
                out[slot].as_mut().expect("placed").0 = TILE | tile as u32;
                continue;
            }
            let edges = &self.edges[state];
            let least = *edges.keys().next().expect("a state has children or is a tile") as usize;
            while out.get(first_free).is_some_and(|o| o.is_some()) {
                first_free += 1;
            }
            let mut base = first_free.saturating_sub(least).max(1);
            while edges.keys().any(|&s| out.get(base + s as usize).is_some_and(|o| o.is_some())) {
                base += 1;
            }
            for (&s, &child) in edges {
                let at = base + s as usize;
                if out.len() <= at {
                    out.resize(at + 1, None);
                }
                out[at] = Some((0, slot as u32));
                queue.insert((self.first[child], child, at));
            }
            out[slot].as_mut().expect("placed").0 = base as u32;
        }
        // Room behind, so that no lookup needs a bounds check of its own.
        let end = out.len() + symbol::COUNT;
        out.resize(end, None);
        out.into_iter().map(|o| o.unwrap_or((0, u32::MAX - 1))).collect()
    }
}
