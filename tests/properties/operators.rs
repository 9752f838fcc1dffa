//! Every operator on every pair of edge values, with each operand from a local, a constant and memory, its result
//! returned, branched on and stored.

use jitless::{Compilation, Config, Dispatch, Engine, Instance, Module, Store, Trap, Val};

use crate::engine::{bits, val};
use crate::ops::{OPS, Op, Ty};
use crate::render::constant;

const I32: &[u64] = &[0, 1, 2, 31, 32, 0x7F, 0x80, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF];
const I64: &[u64] = &[
    0,
    1,
    63,
    64,
    0x80,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 32,
    i64::MAX as u64,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX,
];

fn edges(ty: Ty) -> Vec<u64> {
    // Around the bounds of integers, halves for rounding, zeros, the smallest and greatest, infinity, NaN.
    let floats = [
        0.0,
        0.5,
        1.5,
        2.5,
        -1.0,
        -0.9,
        127.0,
        2147483647.0,
        2147483648.0,
        -2147483649.0,
        4294967295.0,
        4294967296.0,
        9.223372036854775e18,
        9.223372036854776e18,
        -9.223372036854778e18,
        1.8446744073709552e19,
        4503599627370495.5,
        8388607.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MIN_POSITIVE,
        -f64::MAX,
    ];
    match ty {
        Ty::I32 => I32.to_vec(),
        Ty::I64 => I64.to_vec(),
        Ty::F32 => floats.map(|x| (x as f32).to_bits().into()).into_iter().chain([1, 1 << 31, 0x7F7F_FFFF]).collect(),
        Ty::F64 => floats.map(f64::to_bits).into_iter().chain([1, 1 << 63]).collect(),
    }
}

/// Where an operand comes from. The function's parameters are all operands, whether it reads them there or not.
#[derive(Clone, Copy)]
enum From {
    Local,
    Constant(u64),
    Memory,
}

/// A function in text that puts the operands together and does `then` with the result.
fn function(name: &str, op: &Op, from: &[From], then: &str) -> String {
    let params: String = op.params.iter().map(|ty| format!(" {}", ty.name())).collect();
    let mut text = format!("(func (export \"{name}\") (param{params}) (result {})\n", op.result.name());
    for (i, (ty, from)) in op.params.iter().zip(from).enumerate() {
        if let From::Memory = from {
            text += &format!("  (i32.const {}) (local.get {i}) ({}.store)\n", i * 8, ty.name());
        }
    }
    for (i, (ty, from)) in op.params.iter().zip(from).enumerate() {
        text += &match from {
            From::Local => format!("  local.get {i}\n"),
            From::Constant(bits) => format!("  {}\n", constant(*ty, *bits)),
            From::Memory => format!("  i32.const {} {}.load\n", i * 8, ty.name()),
        };
    }
    text + "  " + op.name + then + ")\n"
}

#[track_caller]
fn expect(op: &Op, args: &[u64], found: jitless::Result<u64>, about: &str) {
    let same = match ((op.eval)(args), &found) {
        (Ok(wanted), Ok(found)) => op.result.same(*found, wanted),
        (Err(trap), Err(error)) => error.trap() == Some(trap),
        _ => false,
    };
    let wanted: Result<u64, Trap> = (op.eval)(args);
    assert!(same, "{} of {args:x?}, {about}: {found:x?}, not {wanted:x?}", op.name);
}

/// Sources of the operands: all from one place, and each from a constant in turn.
fn forms(op: &Op) -> Vec<(Vec<From>, String)> {
    let n = op.params.len();
    let mut forms = vec![(vec![From::Local; n], "locals".to_owned()), (vec![From::Memory; n], "memory".to_owned())];
    for (i, &ty) in op.params.iter().enumerate() {
        for (e, bits) in edges(ty).into_iter().enumerate() {
            for other in [From::Local, From::Memory] {
                if n == 1 && matches!(other, From::Memory) {
                    continue;
                }
                let mut from = vec![other; n];
                from[i] = From::Constant(bits);
                forms.push((from, format!("constant {i} {e} {}", matches!(other, From::Memory))));
            }
        }
    }
    forms
}

#[test]
fn every_operator_on_edges() {
    for dispatch in [Dispatch::Auto, Dispatch::Bounced] {
        for op in OPS {
            check(op, dispatch);
        }
    }
}

fn check(op: &Op, dispatch: Dispatch) {
    // As a result; as a condition; stored and loaded again.
    let (ty, zero) = (op.result.name(), constant(op.result, 0));
    let uses = [
        ("", String::new()),
        ("br_if", format!("\n  if (result {ty}) {} else {zero} end", constant(op.result, 1))),
        ("store", format!("\n  (local.set $r) (i32.const 32) (local.get $r) ({ty}.store) ({ty}.load (i32.const 32))")),
    ];
    let forms = forms(op);
    let mut text = "(module (memory 1)\n".to_owned();
    for (from, about) in &forms {
        for (name, then) in &uses {
            let branch = *name == "br_if" && op.result == Ty::I32;
            let store = *name == "store";
            if name.is_empty() || branch || store {
                let name = format!("{about} {name}");
                text += &function(&name, op, from, then).replacen("\n", &format!(" (local $r {ty})\n"), 1);
            }
        }
    }
    text += ")";
    let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let engine = Engine::new(Config::new().dispatch(dispatch).compilation(Compilation::Eager)).expect("in order");
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, wasm).expect("valid");
    let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
    for (from, about) in &forms {
        for (name, _) in &uses {
            let name = format!("{about} {name}");
            let Some(func) = instance.get_func(&store, &name) else { continue };
            let choices = |i: usize| match from.get(i) {
                Some(From::Constant(bits)) => vec![*bits],
                Some(_) => edges(op.params[i]),
                None => vec![0],
            };
            for a in choices(0) {
                for b in choices(1) {
                    let args = &[a, b][..op.params.len()];
                    let vals: Vec<Val> = op.params.iter().zip(args).map(|(&ty, &bits)| val(ty, bits)).collect();
                    let mut result = [val(op.result, 0)];
                    let found = func.call(&mut store, &vals, &mut result).map(|()| bits(&result[0]));
                    if name.ends_with("br_if") {
                        let wanted = (op.eval)(args).map(|bits| u64::from(bits != 0));
                        assert_eq!(found.as_ref().ok(), wanted.as_ref().ok(), "{} of {args:x?}, {name}", op.name);
                    } else {
                        expect(op, args, found, &format!("{name}, {dispatch:?}"));
                    }
                }
            }
        }
    }
}
