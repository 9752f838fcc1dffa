//! Programs that do nothing but move values: every turn permutes or copies them, through one of several ways, and at
//! the end they are all results.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::generate::step;
use crate::model::{Function, Instr, Program, Sig};
use crate::ops::{TYPES, Ty, op};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// The parameters of a loop.
    Loop,
    /// A loop whose way back is an entry of a table.
    Table,
    /// A loop whose way back is conditional.
    Condition,
    /// Locals set in turn, all values read before.
    Locals,
    /// The arguments of a tail call of itself.
    TailCall,
    /// The same through the table.
    TailCallIndirect,
    /// The results of a function that turns them.
    Results,
}

const WAYS: [Way; 7] =
    [Way::Loop, Way::Table, Way::Condition, Way::Locals, Way::TailCall, Way::TailCallIndirect, Way::Results];

/// `sources[i]` says which value comes to place `i`, among those of the same type.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    types: Vec<Ty>,
    sources: Vec<usize>,
    turns: u32,
    way: Way,
    seed: u32,
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (vec((0..4usize, any::<usize>()), 1..9), 0..7u32, 0..WAYS.len(), 1..u32::MAX).prop_map(|(raw, turns, way, seed)| {
        let types: Vec<Ty> = raw.iter().map(|r| TYPES[r.0]).collect();
        let place = |(i, &(_, any)): (usize, &(usize, usize))| {
            let same: Vec<usize> = (0..types.len()).filter(|&j| types[j] == types[i]).collect();
            same[any % same.len()]
        };
        let sources = raw.iter().enumerate().map(place).collect();
        Plan { types, sources, turns, way: WAYS[way], seed }
    })
}

/// `main` takes the values and the number of turns.
pub(crate) fn program(plan: &Plan) -> Program {
    let n = plan.types.len() as u32;
    let turns = n;
    let params = [&plan.types[..], &[Ty::I32]].concat();
    let sig = Sig { params: params.clone(), results: plan.types.clone() };
    let all = || (0..n).map(Instr::LocalGet);
    let turned = || plan.sources.iter().map(|&i| Instr::LocalGet(i as u32));
    let store = || (0..n).rev().map(Instr::LocalSet);
    let one = |name| [Instr::LocalGet(turns), Instr::Const(Ty::I32, 1), Instr::Plain(op(name))];
    let count_down = || one("i32.sub").into_iter().chain([Instr::LocalSet(turns)]);
    let done = |code: Vec<Instr>| [vec![Instr::LocalGet(turns), Instr::Plain(op("i32.eqz"))], code].concat();

    let mut body: Vec<Instr> = vec![];
    let mut second = None;
    match plan.way {
        Way::Loop | Way::Table | Way::Condition => {
            let mut inner: Vec<Instr> = store().collect();
            let leave = [all().collect(), vec![Instr::Return]].concat();
            inner.extend(done(vec![Instr::If(Sig::default(), leave, vec![])]));
            inner.extend(count_down());
            // Something below the values, which the way back drops.
            inner.push(Instr::Const(Ty::I64, 99));
            inner.extend(turned());
            match plan.way {
                Way::Loop => inner.push(Instr::Br(0)),
                Way::Table => inner.extend([Instr::LocalGet(turns), Instr::BrTable(vec![0, 0, 0], 0)]),
                _ => inner.extend([Instr::Const(Ty::I32, 1), Instr::BrIf(0), Instr::Unreachable]),
            }
            body.extend(all());
            body.push(Instr::Loop(Sig { params: plan.types.clone(), results: plan.types.clone() }, inner));
        }
        Way::Locals => {
            let mut inner = done(vec![Instr::BrIf(1)]);
            inner.extend(count_down());
            inner.extend(turned().chain(store()));
            inner.push(Instr::Br(0));
            let inner = vec![Instr::Loop(Sig::default(), inner)];
            body.push(Instr::Block(Sig::default(), inner));
            body.extend(all());
        }
        Way::TailCall | Way::TailCallIndirect => {
            let leave = [all().collect(), vec![Instr::Return]].concat();
            body = done(vec![Instr::If(Sig::default(), leave, vec![])]);
            body.extend(turned());
            body.extend(one("i32.sub"));
            match plan.way {
                Way::TailCall => body.push(Instr::ReturnCall(0)),
                _ => body.extend([Instr::Const(Ty::I32, 0), Instr::ReturnCallIndirect(0)]),
            }
        }
        Way::Results => {
            let turn = Sig { params: plan.types.clone(), results: plan.types.clone() };
            second = Some(Function { sig: turn, locals: vec![], body: turned().collect() });
            let mut inner = done(vec![Instr::BrIf(1)]);
            inner.extend(count_down());
            inner.extend(all().chain([Instr::Call(1)]).chain(store()));
            inner.push(Instr::Br(0));
            let inner = vec![Instr::Loop(Sig::default(), inner)];
            body.push(Instr::Block(Sig::default(), inner));
            body.extend(all());
        }
    }
    let mut seed = plan.seed;
    let mut bits = |ty: &Ty| match ty {
        // No NaN: they are compared bit for bit.
        Ty::F32 => u64::from(step(&mut seed) & 0xBFFF_FFFF),
        Ty::F64 => u64::from(step(&mut seed)) << 32 & !(1 << 62) | u64::from(step(&mut seed)),
        Ty::I32 => step(&mut seed).into(),
        Ty::I64 => u64::from(step(&mut seed)) << 32 | u64::from(step(&mut seed)),
    };
    let args = plan.types.iter().map(&mut bits).chain([plan.turns.into()]).collect();
    let first = Function { sig, locals: vec![], body };
    let functions = [first].into_iter().chain(second).collect();
    Program { functions, globals: vec![], memory: vec![], args }
}
