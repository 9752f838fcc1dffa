//! Families of patterns that have operators below others.
//!
//! Idea: a few operators of each type, its *core*, are combined systematically; the rest is left to the mined lists.
//! Invariant: an engine without these patterns computes the same, in more steps.
use crate::families::{Families, LEAVES, compares, not, of_kind, over_leaves};
use crate::pattern::{Node, accumulators, canonical, known, leaf, node, pattern};
use crate::symbol::{Form, Kind, Sym};
use crate::types::Ty;

const SCALARS: [Ty; 4] = [Ty::I32, Ty::I64, Ty::F32, Ty::F64];

/// Adds the families of this file.
pub(crate) fn add(f: &mut Families) {
    operators_over_operators(f);
    computed_addresses(f);
    over_loads(f);
    roots_over_operators(f);
    selects_over_compares(f);
}

/// The operators of a type that others are combined with.
fn core_of(ty: Ty) -> Vec<Sym> {
    let names = match ty {
        Ty::I32 => "I32Add I32Sub I32Mul I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl",
        Ty::I64 => "I64Add I64Sub I64Mul I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl",
        Ty::F32 => "F32Add F32Sub F32Mul F32Div",
        Ty::F64 => "F64Add F64Sub F64Mul F64Div",
        _ => unreachable!("no operator computes a reference"),
    };
    names.split_whitespace().map(known).collect()
}

fn core_over_leaves(ty: Ty) -> Vec<Node> {
    core_of(ty).into_iter().flat_map(over_leaves).collect()
}

fn is_near(s: &Sym) -> bool {
    s.as_access().is_some_and(|(_, far)| !far)
}

fn loads() -> Vec<Sym> {
    of_kind(Kind::Load).filter(is_near).collect()
}

fn stores() -> Vec<Sym> {
    of_kind(Kind::Root).filter(is_near).collect()
}

fn both_orders(s: Sym, x: &Node, z: Sym) -> [Node; 2] {
    [node(s, vec![x.clone(), leaf(z)]), node(s, vec![leaf(z), x.clone()])].map(canonical)
}

fn operators_over_operators(f: &mut Families) {
    let subtracts = [known("I32Sub"), known("I64Sub")];
    for ty in SCALARS {
        let inner = core_over_leaves(ty);
        for (o, x) in core_of(ty).into_iter().flat_map(|o| inner.iter().map(move |x| (o, x))) {
            for z in LEAVES {
                let float = matches!(ty, Ty::F32 | Ty::F64);
                if z == Sym::C && float {
                    continue;
                }
                for e in both_orders(o, x, z) {
                    // A constant minuend or shifted value stays rare; the translator folds a subtracted constant.
                    let constant_left = z == Sym::C && e.kids[0].sym == Sym::C;
                    if !constant_left || o.info().commutes || subtracts.contains(&o) {
                        f.value(&e);
                    }
                }
            }
        }
    }
}

fn computed_addresses(f: &mut Families) {
    let addresses = [
        "I32Add L L",
        "I32Add A L",
        "I32Add L C",
        "I32Add A C",
        "I32Add L I32Shl L C",
        "I32Add A I32Shl L C",
        "I32Add L I32Shl A C",
        "I32Shl L C",
        "I32Shl A C",
        "I32Add I32Shl L C C",
    ]
    .map(pattern);
    let (loads, stores) = (loads(), stores());
    for a in &addresses {
        for &l in &loads {
            f.value(&node(l, vec![a.clone()]));
        }
        for &s in &stores {
            for v in LEAVES {
                f.root(s, vec![a.clone(), leaf(v)]);
            }
        }
    }
}

/// Operators, compares and branches over loads; stores of loads.
fn over_loads(f: &mut Families) {
    let (compares, stores) = (compares(), stores());
    for l in loads() {
        let ty = l.info().result.expect("a load");
        let core = core_of(ty);
        for a in [Sym::L, Sym::A] {
            let x = node(l, vec![leaf(a)]);
            for z in LEAVES {
                for &o in &core {
                    both_orders(o, &x, z).iter().for_each(|e| f.value(e));
                }
                for &c in compares.iter().filter(|c| c.info().operands[0] == ty) {
                    f.branch(node(c, vec![x.clone(), leaf(z)]));
                }
            }
            branches_over_load(f, &x, ty);
            for &s in stores.iter().filter(|s| s.info().operands[1] == ty) {
                f.root(s, vec![leaf(Sym::L), x.clone()]);
                f.root(s, vec![leaf(Sym::A), node(l, vec![leaf(Sym::L)])]);
            }
        }
    }
}

fn branches_over_load(f: &mut Families, x: &Node, ty: Ty) {
    match ty {
        Ty::I32 => {
            f.branch(x.clone());
            f.branch(not(x));
            for z in [Sym::L, Sym::C] {
                let e = canonical(node(known("I32And"), vec![x.clone(), leaf(z)]));
                f.branch(not(&e));
                f.branch(e);
            }
        }
        Ty::I64 => f.branch(node(known("I64Eqz"), vec![x.clone()])),
        _ => {}
    }
}

/// Stores, compares and returns of operators.
fn roots_over_operators(f: &mut Families) {
    let (compares, stores) = (compares(), stores());
    for ty in SCALARS {
        for x in core_over_leaves(ty) {
            for &s in stores.iter().filter(|s| s.info().operands[1] == ty) {
                f.root(s, vec![leaf(Sym::L), x.clone()]);
                if accumulators(&x) == 0 {
                    f.root(s, vec![leaf(Sym::A), x.clone()]);
                }
            }
            if matches!(ty, Ty::I32 | Ty::I64) && x.sym.info().name[3..].starts_with(['A', 'S']) {
                for &c in compares.iter().filter(|c| c.info().operands[0] == ty) {
                    for z in LEAVES {
                        f.branch(node(c, vec![x.clone(), leaf(z)]));
                    }
                }
            }
            f.root(Sym::of_class(Form::RetValueI32, ty), vec![x.clone()]);
        }
    }
}

fn selects_over_compares(f: &mut Families) {
    for c in compares() {
        for x in over_leaves(c) {
            for ty in SCALARS {
                if !matches!(c.info().operands[0], Ty::I32) && c.info().operands[0] != ty {
                    continue;
                }
                for (a, b) in [(Sym::L, Sym::L), (Sym::L, Sym::C), (Sym::C, Sym::L)] {
                    f.value(&node(Sym::of_class(Form::I32Select, ty), vec![leaf(a), leaf(b), x.clone()]));
                }
            }
        }
    }
}
