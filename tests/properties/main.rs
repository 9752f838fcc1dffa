//! Properties that hold for every program, tried on random ones: the engine does what a naive model does, in every
//! mode, and bills exactly the operators that the model counted.
//!
//! Programs are read off a *tape* of random numbers, so that proptest shrinks a failure by shortening the tape. `tree`
//! programs are one deep expression after another, `flow` programs jump about, `moves` programs do nothing but permute
//! values through branches and calls.

mod engine;
mod generate;
mod model;
mod moves;
mod operators;
mod ops;
mod render;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::generate::Shape;
use crate::model::Program;

/// So many programs of each sort; `PROPTEST_CASES` asks for more.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

#[track_caller]
fn check(program: &Program) {
    let model = model::run(program);
    engine::check(program, &model);
}

proptest! {
    #![proptest_config(cases(1500))]

    /// Nested operators over locals, constants, loads, globals and calls: tiles against plain evaluation.
    #[test]
    fn expression_trees(tape in vec(any::<u32>(), 0..500)) {
        check(&generate::program(&tape, Shape::Tree));
    }

    /// Blocks, loops, branches with values, calls of every sort: the bill is the model's count of operators.
    #[test]
    fn control_flow(tape in vec(any::<u32>(), 0..700)) {
        check(&generate::program(&tape, Shape::Flow));
    }

    /// Values that change places through branches, tail calls and results.
    #[test]
    fn parallel_moves(plan in moves::plan()) {
        check(&moves::program(&plan));
    }
}

/// The generator reaches what it is there for: programs end by themselves and by most traps, and run for a while.
#[test]
fn programs_are_worth_running() {
    let (mut ends, mut fuel) = (std::collections::BTreeMap::new(), 0);
    for seed in 0..400u32 {
        let tape: Vec<u32> =
            (0..500).scan(seed.wrapping_mul(0x9E37_79B9) | 1, |s, _| Some(generate::step(s))).collect();
        let model = model::run(&generate::program(&tape, if seed % 2 == 0 { Shape::Tree } else { Shape::Flow }));
        fuel += model.fuel;
        *ends.entry(model.result.map_or_else(|trap| trap.to_string(), |_| "returned".into())).or_insert(0) += 1;
    }
    assert!(fuel > 400 * 100, "{fuel} operators in 400 programs");
    assert!(ends["returned"] > 150 && ends.len() >= 6, "{ends:?}");
}
