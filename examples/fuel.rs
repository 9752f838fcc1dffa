//! Fuel: a bill for what was executed, the same on every machine; and a call that goes on when there is more.
use jitless::{Engine, ErrorKind, Instance, Module, Store, TypedResumableCall};

const WAT: &str = r#"(module
    ;; The number of steps that Collatz' rule takes from $n to 1.
    (func (export "collatz") (param $n i64) (result i32)
        (local $steps i32)
        (block $done (loop $next
            (br_if $done (i64.le_u (local.get $n) (i64.const 1)))
            (if (i64.eqz (i64.and (local.get $n) (i64.const 1)))
                (then (local.set $n (i64.shr_u (local.get $n) (i64.const 1))))
                (else (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 3)) (i64.const 1)))))
            (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
            (br $next)))
        (local.get $steps)))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(WAT)?)?;
    let mut store = Store::new(&engine, ());
    let collatz = Instance::new(&mut store, &module, &[])?.get_typed_func::<u64, u32>(&store, "collatz")?;

    // Without a bound fuel is counted all the same.
    let before = store.fuel_used();
    let steps = collatz.call(&mut store, 97)?;
    let bill = store.fuel_used() - before;
    println!("{steps} steps for {bill} units of fuel");

    // With too little the call ends.
    store.set_fuel(bill / 2)?;
    let error = collatz.call(&mut store, 97).unwrap_err();
    println!("{error:#}");
    assert_eq!(error.kind(), ErrorKind::OutOfFuel);

    // Or it waits for more. In between the store is free, and nothing is run twice.
    store.set_fuel(0)?;
    let before = store.fuel_used();
    let mut refills = 0;
    let mut call = collatz.call_resumable(&mut store, 97)?;
    let result = loop {
        call = match call {
            TypedResumableCall::Finished(result) => break result,
            TypedResumableCall::OutOfFuel(paused) => {
                refills += 1;
                store.add_fuel(paused.required_fuel().max(100))?;
                paused.resume(&mut store)?
            }
            other => return Err(format!("{other:?}").into()),
        };
    };
    println!("the same {result} steps in {refills} portions");
    assert_eq!((result, store.fuel_used() - before), (steps, bill));
    Ok(())
}
