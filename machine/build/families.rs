//! Families of patterns: single statements, systematically. Here are those that cover every tree.
//!
//! Idea: every operator and every root has tiles over leaves, and any operand can be computed into a leaf before. So an
//! operator over constants alone needs no tile. Invariant: no statement uses an accumulator twice.
use crate::pattern::{Node, accumulators, all, canonical, known, leaf, node};
use crate::symbol::{Form, Kind, Sym};
use crate::types::Ty;

pub(crate) const LEAVES: [Sym; 3] = [Sym::L, Sym::C, Sym::A];

/// All ways to fill `n` operands with leaves.
fn fillings(n: usize) -> Vec<Vec<Node>> {
    (0..n).fold(vec![vec![]], |all, _| {
        all.iter().flat_map(|v| LEAVES.iter().map(move |&l| v.iter().cloned().chain([leaf(l)]).collect())).collect()
    })
}

/// An operator over every choice of leaves: at most one accumulator, not only constants.
pub(crate) fn over_leaves(s: Sym) -> Vec<Node> {
    let n = s.info().operands.len();
    let mut out: Vec<Node> = fillings(n)
        .into_iter()
        .map(|kids| canonical(node(s, kids)))
        .filter(|x| accumulators(x) <= 1 && (n == 0 || x.kids.iter().any(|k| k.sym != Sym::C)))
        .collect();
    out.sort();
    out.dedup();
    out
}

pub(crate) fn of_kind(kind: Kind) -> impl Iterator<Item = Sym> {
    all().filter(move |s| s.info().kind == kind)
}

/// Comparisons of two operands.
pub(crate) fn compares() -> Vec<Sym> {
    all()
        .filter(|s| s.as_plain().is_some_and(|p| p.info().operands.len() == 2 && p.info().result == Ty::I32))
        .filter(|s| ["Eq", "Ne", "Lt", "Gt", "Le", "Ge"].iter().any(|c| s.info().name[3..].starts_with(c)))
        .collect()
}

pub(crate) fn not(x: &Node) -> Node {
    node(known("I32Eqz"), vec![x.clone()])
}

/// The two classes of accumulators are different registers: a statement may use one of each.
fn fits(x: &Node) -> bool {
    let operands = x.sym.info().operands;
    accumulators(x) <= 1 || operands.len() == 2 && matches!(operands[1], Ty::F32 | Ty::F64)
}

/// Statements, as they come: some come twice.
pub(crate) struct Families {
    out: Vec<Node>,
}

impl Families {
    /// What a complete engine needs at least.
    pub(crate) fn base() -> Families {
        let mut f = Families { out: vec![] };
        f.operators();
        f.roots();
        f.branches();
        f
    }

    pub(crate) fn into_sequences(self) -> Vec<Vec<Node>> {
        self.out.into_iter().map(|x| vec![x]).collect()
    }

    pub(crate) fn root(&mut self, s: Sym, kids: Vec<Node>) {
        let x = canonical(node(s, kids));
        if fits(&x) {
            self.out.push(x);
        }
    }

    /// An expression into a slot and into the accumulator.
    pub(crate) fn value(&mut self, x: &Node) {
        if accumulators(x) > 1 {
            return;
        }
        let ty = x.sym.info().result.expect("an expression");
        for f in [Form::SetI32, Form::AccI32] {
            self.root(Sym::of_class(f, ty), vec![x.clone()]);
        }
    }

    pub(crate) fn branch(&mut self, x: Node) {
        if accumulators(&x) <= 1 {
            self.root(Sym::form(Form::BrIf), vec![x]);
        }
    }

    /// Every operator over every choice of leaves.
    fn operators(&mut self) {
        for s in all().filter(|s| !matches!(s.info().kind, Kind::Leaf | Kind::Root)) {
            over_leaves(s).iter().for_each(|x| self.value(x));
            if s.info().kind == Kind::Load {
                self.value(&node(s, vec![leaf(Sym::C)]));
            }
        }
    }

    /// Every root over every choice of leaves.
    fn roots(&mut self) {
        for s in of_kind(Kind::Root) {
            for kids in fillings(s.info().operands.len()) {
                self.root(s, kids);
            }
        }
    }

    /// Compare and branch.
    fn branches(&mut self) {
        for c in compares() {
            for x in over_leaves(c) {
                if matches!(c.info().operands[0], Ty::F32 | Ty::F64) {
                    self.branch(not(&x));
                }
                self.branch(x);
            }
        }
        for x in over_leaves(known("I32And")) {
            self.branch(not(&x));
            self.branch(x);
        }
        for z in ["I32Eqz", "I64Eqz"].map(known) {
            for l in [Sym::L, Sym::A] {
                self.branch(node(z, vec![leaf(l)]));
            }
        }
    }
}
