//! Writes `tiles.rs`: the modules of handlers, the list of handlers, and the tables.
//!
//! Handlers are lines for `tile!` and `handlers!`, which `src/tiles.rs` defines; the tables are the packed trie, the
//! displaced pairs and the shapes. Invariant: all of it counts tiles by the same numbers, and those fit 16 bits.
use crate::pairs::{Pair, displace};
use crate::pattern::Node;
use crate::symbol::{self, Kind};
use crate::trie::Trie;
use crate::types::Ty;
use std::collections::HashMap;
use std::fmt::Write;

/// Modules that the handlers are spread over: the compiler works on them side by side.
const MODULES: usize = 32;

/// The text of `tiles.rs`.
pub(crate) fn generate(tiles: &[Vec<Node>], trie: &Trie, pairs: &[Pair]) -> String {
    let mut o = String::new();
    handlers(&mut o, tiles);
    trie_table(&mut o, trie);
    pair_table(&mut o, pairs, tiles.len());
    shapes(&mut o, tiles, pairs);
    o
}

fn handlers(o: &mut String, tiles: &[Vec<Node>]) {
    let module = |i: usize| i * MODULES / tiles.len();
    for m in 0..MODULES {
        writeln!(o, "mod m{m} {{ use super::*;").unwrap();
        for (i, t) in tiles.iter().enumerate().filter(|(i, _)| module(*i) == m) {
            writeln!(o, "tile!(t{i}, {});", sequence_type(t)).unwrap();
        }
        o.push_str("}\n");
    }
    let n = tiles.len();
    writeln!(o, "handlers! {{ {n}:").unwrap();
    (0..n).for_each(|i| write!(o, "m{}::t{i},", module(i)).unwrap());
    o.push_str("}\n");
}

/// The Rust type of a sequence: its prefix, then its last statement.
fn sequence_type(tile: &[Node]) -> String {
    let mut ty = String::new();
    for (k, x) in tile.iter().enumerate() {
        let mut one = String::new();
        rust_type(x, None, &mut one);
        ty = if k == 0 { one } else { format!("Seq<{ty},{one}>") };
    }
    ty
}

/// Writes the Rust type of a node whose value is wanted as `ty`.
fn rust_type(x: &Node, ty: Option<Ty>, out: &mut String) {
    let info = x.sym.info();
    if info.kind == Kind::Leaf {
        let t = ["u32", "u64", "f32", "f64"][symbol::class(ty.expect("a leaf is an operand"))];
        write!(out, "{}<{t}>", info.name).unwrap();
        return;
    }
    let class = ["I32", "I64", "F32", "F64"];
    let name = match info.kind {
        // Roots that differ in the type of their operand alone are one generic type.
        Kind::Root => {
            class.iter().find_map(|c| info.name.strip_suffix(c)).filter(|n| !n.is_empty()).unwrap_or(info.name)
        }
        _ => info.name,
    };
    out.push_str(name);
    let reach = x.sym.as_access().map(|(_, far)| if far { "Far" } else { "Near" });
    let mut sep = '<';
    if let Some(part) = reach {
        out.push(sep);
        out.push_str(part);
        sep = ',';
    }
    for (kid, &ty) in x.kids.iter().zip(info.operands) {
        out.push(sep);
        rust_type(kid, Some(ty), out);
        sep = ',';
    }
    if sep == ',' {
        out.push('>');
    }
}

fn trie_table(o: &mut String, trie: &Trie) {
    let states = trie.pack();
    let decl = format!("/// The matching trie: base or tile, check.\npub static TRIE: [(u32, u32); {}]", states.len());
    list(o, &decl, states.iter().map(|s| format!("({},{})", s.0, s.1)));
}

fn pair_table(o: &mut String, pairs: &[Pair], n: usize) {
    let (begins, cells) = displace(pairs);
    assert!(
        n < u16::MAX as usize && cells.len() <= u16::MAX as usize,
        "{n} tiles, {} pairs: numbers are 16 bits",
        cells.len()
    );
    let decl =
        format!("/// Where the row of each tile that has pairs begins.\nstatic PAIR_ROWS: [u16; {}]", begins.len());
    list(o, &decl, begins.iter().map(|b| b.to_string()));
    let decl = format!(
        "/// First tile, both, by the first's row and the second.\nstatic PAIRS: [(u16, u16); {}]",
        cells.len()
    );
    list(o, &decl, cells.iter().map(|c| format!("({},{})", c.0, c.1)));
}

/// Shapes, for listings: a statement's symbols in prefix order; of a sequence, the prefix and the last statement.
fn shapes(o: &mut String, tiles: &[Vec<Node>], pairs: &[Pair]) {
    fn prefix(x: &Node, out: &mut Vec<u16>) {
        out.push(x.sym.0);
        x.kids.iter().for_each(|k| prefix(k, out));
    }
    let mut shapes: Vec<u16> = vec![];
    let mut starts = vec![];
    let parts: HashMap<usize, (usize, usize)> = pairs.iter().map(|p| (p.fused, (p.before, p.last))).collect();
    for (i, t) in tiles.iter().enumerate() {
        starts.push(shapes.len());
        match parts.get(&i) {
            Some(&(before, last)) => shapes.extend([u16::MAX, before as u16, last as u16]),
            None => prefix(&t[0], &mut shapes),
        }
    }
    starts.push(shapes.len());
    let decl = format!("/// Where each tile's shape begins.\npub static SHAPE_START: [u32; {}]", starts.len());
    list(o, &decl, starts.iter().map(|s| s.to_string()));
    let decl = format!(
        "/// Shapes: symbols in prefix order, or `[u16::MAX, prefix, last]`.\npub static SHAPES: [u16; {}]",
        shapes.len()
    );
    list(o, &decl, shapes.iter().map(|s| s.to_string()));
}

/// Writes a table.
fn list(o: &mut String, decl: &str, items: impl Iterator<Item = String>) {
    writeln!(o, "{decl} = [").unwrap();
    for x in items {
        o.push_str(&x);
        o.push(',');
    }
    o.push_str("];\n");
}
