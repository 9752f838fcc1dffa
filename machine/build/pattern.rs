//! Patterns: statements as trees of symbols, and the text they are read from.
//!
//! Text is in prefix order, `SetI32 I32Add L C`; a symbol's operands say how much of it is the symbol's, so there are no
//! parentheses. Invariant: what is read is canonical, so patterns that match the same trees are equal.
use crate::symbol::{self, Sym};

/// A node of a pattern. The order of fields is the canonical order of operands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node {
    rank: u8,
    pub(crate) sym: Sym,
    pub(crate) kids: Vec<Node>,
}

pub(crate) fn node(sym: Sym, kids: Vec<Node>) -> Node {
    let rank = match sym {
        Sym::C => 0,
        Sym::L => 1,
        Sym::A => 3,
        _ => 2,
    };
    Node { rank, sym, kids }
}

pub(crate) fn leaf(sym: Sym) -> Node {
    node(sym, vec![])
}

/// All symbols.
pub(crate) fn all() -> impl Iterator<Item = Sym> + Clone {
    (0..symbol::COUNT as u16).map(Sym)
}

fn sym(name: &str) -> Option<Sym> {
    all().find(|s| {
        let i = s.info();
        name.strip_suffix(i.suffix) == Some(i.name)
    })
}

/// A symbol that the build script names.
pub(crate) fn known(name: &str) -> Sym {
    sym(name).unwrap_or_else(|| panic!("no symbol {name}"))
}

/// Commutative operators and comparisons have one canonical order of their operands; the matcher tries both.
pub(crate) fn canonical(mut x: Node) -> Node {
    x.kids = x.kids.into_iter().map(canonical).collect();
    if let (2, Some(swapped)) = (x.kids.len(), x.sym.swapped())
        && (x.kids[0] < x.kids[1] || x.kids[0] == x.kids[1] && swapped < x.sym)
    {
        x.kids.swap(0, 1);
        x.sym = swapped;
    }
    x
}

/// Reads one statement.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    fn one<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Node, String> {
        let name = words.next().ok_or("pattern ends early")?;
        let s = sym(name).ok_or_else(|| format!("`{name}` is not in the table"))?;
        let kids = s.info().operands.iter().map(|_| one(words)).collect::<Result<_, _>>()?;
        Ok(node(s, kids))
    }
    let mut words = text.split_whitespace();
    let x = one(&mut words)?;
    match words.next() {
        Some(more) => Err(format!("`{more}` follows a complete pattern")),
        None => Ok(canonical(x)),
    }
}

/// A pattern that the build script names.
pub(crate) fn pattern(text: &str) -> Node {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Accumulators among the leaves.
pub(crate) fn accumulators(x: &Node) -> usize {
    (x.sym == Sym::A) as usize + x.kids.iter().map(accumulators).sum::<usize>()
}
