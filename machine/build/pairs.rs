//! Numbers of tiles, and the table of pairs: two tiles in a row, and the one that is both.
//!
//! Idea: fusion goes one statement at a time, so a sequence of any length is found by looking up pairs. Invariant: whatever
//! is a tile, its statements and its prefixes are tiles too.
use crate::pattern::Node;
use std::collections::{BTreeMap, HashMap};

/// The wanted tiles with their statements and prefixes, each once. A tile's place is its number.
pub(crate) fn number(wanted: Vec<Vec<Node>>) -> Vec<Vec<Node>> {
    let mut number: HashMap<Vec<Node>, usize> = HashMap::new();
    let mut tiles: Vec<Vec<Node>> = vec![];
    for t in wanted {
        let singles = t.iter().map(|x| vec![x.clone()]);
        for part in singles.chain((2..=t.len()).map(|n| t[..n].to_vec())) {
            number.entry(part.clone()).or_insert_with(|| {
                tiles.push(part);
                tiles.len() - 1
            });
        }
    }
    hottest_first(tiles, &number)
}

/// Sorts tiles by how many sequences they are part of, so that what is used together lies together: code and tables.
fn hottest_first(tiles: Vec<Vec<Node>>, number: &HashMap<Vec<Node>, usize>) -> Vec<Vec<Node>> {
    let mut heat = vec![0u32; tiles.len()];
    for t in tiles.iter().filter(|t| t.len() > 1) {
        t.iter().for_each(|x| heat[number[&vec![x.clone()]]] += 1);
        (2..=t.len()).for_each(|n| heat[number[&t[..n]]] += 1);
    }
    let mut order: Vec<_> = heat.into_iter().zip(tiles).collect();
    order.sort_by_key(|(heat, _)| std::cmp::Reverse(*heat));
    order.into_iter().map(|(_, tile)| tile).collect()
}

/// Two tiles in a row, and the one that is both.
pub(crate) struct Pair {
    pub(crate) before: usize,
    pub(crate) last: usize,
    pub(crate) fused: usize,
}

/// The pairs that the tiles of several statements are.
pub(crate) fn pairs(tiles: &[Vec<Node>]) -> Vec<Pair> {
    let number: HashMap<&[Node], usize> = tiles.iter().enumerate().map(|(i, t)| (&t[..], i)).collect();
    let mut pairs = vec![];
    for (fused, t) in tiles.iter().enumerate().filter(|(_, t)| t.len() > 1) {
        let (before, last) = t.split_at(t.len() - 1);
        pairs.push(Pair { before: number[before], last: number[last], fused });
    }
    pairs
}

/// Lays the rows of a sparse table over each other: where each row begins, and `(row, value)` by begin and column. The
/// longest rows choose first; each begins where none of its values meets another's.
pub(crate) fn displace(pairs: &[Pair]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut rows: BTreeMap<usize, Vec<&Pair>> = BTreeMap::new();
    pairs.iter().for_each(|p| rows.entry(p.before).or_default().push(p));
    let mut begins = vec![0; rows.keys().next_back().map_or(0, |&last| last + 1)];
    let mut cells: Vec<Option<(usize, usize)>> = vec![];
    let mut order: Vec<_> = rows.into_iter().collect();
    order.sort_by_key(|(_, row)| std::cmp::Reverse(row.len()));
    for (before, row) in order {
        let free = |begin: &usize| row.iter().all(|p| cells.get(begin + p.last).is_none_or(|c| c.is_none()));
        let begin = (0..).find(free).expect("there is room behind");
        for p in row {
            let at = begin + p.last;
            cells.resize(cells.len().max(at + 1), None);
            cells[at] = Some((before, p.fused));
        }
        begins[before] = begin;
    }
    (begins, cells.into_iter().map(|c| c.unwrap_or((u16::MAX as usize, 0))).collect())
}
