//! The engine's side: a program run in every mode, and compared with the model.

use jitless::{
    Compilation, Config, Dispatch, Engine, ErrorKind, Func, Instance, Module, ResumableCall, Store, Trap, Val,
};

use crate::model::{Outcome, Program};
use crate::ops::Ty;
use crate::render::render;

/// Dispatch, compilation, and fuel per slice.
const MODES: [(Dispatch, Compilation, Option<u64>); 5] = [
    (Dispatch::Auto, Compilation::LazyChecked, None),
    (Dispatch::Bounced, Compilation::Eager, Some(1)),
    (Dispatch::Auto, Compilation::Lazy, Some(7)),
    (Dispatch::Bounced, Compilation::Lazy, None),
    (Dispatch::Auto, Compilation::Eager, Some(1000)),
];

pub(crate) fn val(ty: Ty, bits: u64) -> Val {
    match ty {
        Ty::I32 => Val::I32(bits as i32),
        Ty::I64 => Val::I64(bits as i64),
        Ty::F32 => Val::F32(bits as u32),
        Ty::F64 => Val::F64(bits),
    }
}

pub(crate) fn bits(val: &Val) -> u64 {
    match *val {
        Val::I32(value) => (value as u32).into(),
        Val::I64(value) => value as u64,
        Val::F32(bits) => bits.into(),
        Val::F64(bits) => bits,
        _ => unreachable!("numbers only"),
    }
}

struct Run {
    store: Store<()>,
    instance: Instance,
    main: Func,
}

fn load(wasm: &[u8], dispatch: Dispatch, compilation: Compilation) -> jitless::Result<Run> {
    let engine = Engine::new(Config::new().dispatch(dispatch).compilation(compilation))?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, wasm)?, &[])?;
    let main = instance.get_func(&store, "main").expect("exported");
    Ok(Run { store, instance, main })
}

/// Calls with so much fuel again and again.
fn call(run: &mut Run, slice: Option<u64>, args: &[Val], results: &mut [Val]) -> jitless::Result<()> {
    let Some(slice) = slice else { return run.main.call(&mut run.store, args, results) };
    run.store.set_fuel(0)?;
    let mut call = run.main.call_resumable(&mut run.store, args, results)?;
    while let ResumableCall::OutOfFuel(paused) = call {
        assert!(paused.required_fuel() > 0);
        run.store.add_fuel(paused.required_fuel().max(slice))?;
        call = paused.resume(&mut run.store, results)?;
    }
    assert!(matches!(call, ResumableCall::Finished), "{call:?}");
    Ok(())
}

/// The program does what the model did, in every mode.
#[track_caller]
pub(crate) fn check(program: &Program, model: &Outcome) {
    let text = render(program);
    let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let sig = &program.functions[0].sig;
    let args: Vec<Val> = sig.params.iter().zip(&program.args).map(|(&ty, &bits)| val(ty, bits)).collect();
    let mut results: Vec<Val> = sig.results.iter().map(|&ty| val(ty, 0)).collect();

    for (dispatch, compilation, slice) in MODES {
        let about = || format!("{dispatch:?}, {compilation:?}, slices of {slice:?}, args {args:?}\n{text}");
        let mut run = load(&wasm, dispatch, compilation).unwrap_or_else(|error| panic!("{error}\n{}", about()));
        let before = run.store.fuel_used();
        let answer = call(&mut run, slice, &args, &mut results);
        match (&answer, &model.result) {
            (Ok(()), Ok(wanted)) => {
                for (i, ty) in sig.results.iter().enumerate() {
                    let found = bits(&results[i]);
                    assert!(ty.same(found, wanted[i]), "result {i}: {found:#x}, not {:#x}\n{}", wanted[i], about());
                }
            }
            (Err(error), Err(trap)) => assert_eq!(error.trap(), Some(*trap), "{error:#}\n{}", about()),
            (found, wanted) => panic!("{found:?}, not {wanted:?}\n{}", about()),
        }
        let bill = run.store.fuel_used() - before;
        // Of several loads of one expression that all trap, a later one may be first.
        let another_load = model.result == Err(Trap::MemoryOutOfBounds) && bill > model.fuel;
        assert!(bill == model.fuel || another_load, "a bill of {bill}, not {}\n{}", model.fuel, about());
        for (i, (ty, _)) in program.globals.iter().enumerate() {
            let global = run.instance.get_global(&run.store, &format!("g{i}")).expect("exported");
            let (found, wanted) = (bits(&global.get(&run.store)), model.globals[i]);
            assert!(ty.same(found, wanted), "global {i}: {found:#x}, not {wanted:#x}\n{}", about());
        }
        let memory = run.instance.get_memory(&run.store, "memory").expect("exported").data(&run.store);
        if let Some(at) = (0..memory.len()).find(|&at| memory[at] != model.memory[at]) {
            panic!("byte {at}: {:#x}, not {:#x}\n{}", memory[at], model.memory[at], about());
        }
    }

    // With exactly so much fuel it ends, with one less it does not.
    if model.result.is_ok() && model.fuel > 0 {
        let mut run = load(&wasm, Dispatch::Auto, Compilation::Eager).expect("loaded before");
        run.store.set_fuel(model.fuel).expect("never an error");
        run.main.call(&mut run.store, &args, &mut results).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(run.store.get_fuel().ok(), Some(0), "{text}");
        let mut run = load(&wasm, Dispatch::Auto, Compilation::Eager).expect("loaded before");
        run.store.set_fuel(model.fuel - 1).expect("never an error");
        let error = run.main.call(&mut run.store, &args, &mut results).expect_err("one too little");
        assert_eq!(error.kind(), ErrorKind::OutOfFuel, "{error:#}\n{text}");
    }
}
