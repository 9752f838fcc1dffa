//! A tree, or two side by side, from the top down.
//!
//! Idea: one walk gives whatever has a name in either tree, in the order of names, with what it is in each. A list of
//! all entries is this walk over one tree, a comparison is what differs in it.
//!
//! Invariant: the walk keeps one path, and lends it. Trees may be a million levels deep.

use core::ops::ControlFlow;
use std::sync::Arc;
use std::vec::IntoIter;

use super::table::{Body, Id, Inode, ROOT, Table};

/// A name, and what has it in each tree.
struct Pair {
    name: Arc<str>,
    ids: [Option<Id>; 2],
}

/// Shows every path below the root, without a slash in front, with the node in each tree.
pub(super) fn walk(
    trees: [Option<&Table>; 2],
    mut sink: impl FnMut(&str, [Option<(Id, &Inode)>; 2]) -> ControlFlow<()>,
) {
    let node = |side: usize, id: Option<Id>| Some((id?, trees[side]?.get(id?).ok()?));
    let nodes = |ids: [Option<Id>; 2]| [node(0, ids[0]), node(1, ids[1])];
    let mut path = String::new();
    let mut levels = vec![(0, children(nodes([Some(ROOT); 2])))];
    while let Some((len, pairs)) = levels.last_mut() {
        path.truncate(*len);
        let Some(Pair { name, ids }) = pairs.next() else {
            levels.pop();
            continue;
        };
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&name);
        let nodes = nodes(ids);
        if sink(&path, nodes).is_break() {
            return;
        }
        let inner = children(nodes);
        if inner.len() > 0 {
            levels.push((path.len(), inner));
        }
    }
}

/// The names in two directories, from the least to the greatest.
fn children(nodes: [Option<(Id, &Inode)>; 2]) -> IntoIter<Pair> {
    let names = |side: usize| {
        let dir = nodes[side].and_then(|(_, inode)| inode.dir().ok());
        dir.map(|dir| dir.sorted()).unwrap_or_default().into_iter().peekable()
    };
    let (mut left, mut right) = (names(0), names(1));
    let mut pairs = Vec::with_capacity(left.len().max(right.len()));
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => a.min(b),
            (Some((name, _)), None) | (None, Some((name, _))) => name,
            (None, None) => return pairs.into_iter(),
        };
        let name = Arc::clone(next);
        let left = left.next_if(|(other, _)| **other == name).map(|(_, id)| id);
        let right = right.next_if(|(other, _)| **other == name).map(|(_, id)| id);
        pairs.push(Pair { name, ids: [left, right] });
    }
}

/// Is there the same in both? Names in a directory and times do not matter.
pub(super) fn same(a: &Inode, b: &Inode) -> bool {
    match (&a.body, &b.body) {
        (Body::Dir(_), Body::Dir(_)) => true,
        (Body::File(a), Body::File(b)) => a.equals(b),
        (Body::Link(a), Body::Link(b)) => a == b,
        _ => false,
    }
}
