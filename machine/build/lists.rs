//! Lists of sequences: `tiles/*.txt` and the file that `JITLESS_TILES` names.
//!
//! One sequence a line, statements joined by ` ; `, and `#` begins a comment. Invariant: what cannot be read, such as a
//! name that is not in the table, stops the build with its file and line.
use crate::pattern::{Node, node, parse};
use std::path::Path;

/// A line stands for that many sequences at most.
const VARIANTS: usize = 4;

/// Every order of the operands of float sums and products: they do not commute, since the order decides which NaN
/// survives, but programs write both.
fn orders(x: &Node) -> Vec<Node> {
    let mut out = vec![node(x.sym, vec![])];
    for kid in &x.kids {
        let forms = orders(kid);
        out = out
            .iter()
            .flat_map(|o| forms.iter().map(|k| node(o.sym, o.kids.iter().cloned().chain([k.clone()]).collect())))
            .collect();
    }
    if ["F32Add", "F32Mul", "F64Add", "F64Mul"].contains(&x.sym.info().name) && x.kids[0] != x.kids[1] {
        let swapped: Vec<Node> = out.iter().map(|o| node(o.sym, o.kids.iter().rev().cloned().collect())).collect();
        out.extend(swapped);
    }
    out
}

/// Reads a list.
pub(crate) fn read(path: &Path, out: &mut Vec<Vec<Node>>) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let mut variants: Vec<Vec<Node>> = vec![vec![]];
        for statement in line.split(';') {
            let x = parse(statement).unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), n + 1));
            let forms = orders(&x);
            variants = variants
                .iter()
                .flat_map(|v| forms.iter().map(|f| v.iter().cloned().chain([f.clone()]).collect()))
                .take(VARIANTS)
                .collect();
        }
        out.extend(variants);
    }
}

/// Reads all lists of a folder, by name.
pub(crate) fn read_folder(folder: &str, out: &mut Vec<Vec<Node>>) {
    let mut lists: Vec<_> = std::fs::read_dir(folder).expect(folder).map(|f| f.expect(folder).path()).collect();
    lists.retain(|p| p.extension().is_some_and(|x| x == "txt"));
    lists.sort();
    lists.iter().for_each(|list| read(list, out));
}
