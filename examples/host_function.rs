//! Functions of the host: closures with Rust's types, the store's data, an error of one's own, a call back into the guest.
use std::fmt;

use jitless::{Caller, Engine, Error, Extern, Linker, Module, Result, Store};

const WAT: &str = r#"(module
    (import "env" "log" (func $log (param i32)))
    (import "env" "withdraw" (func $withdraw (param i32) (result i32)))
    (import "env" "twice" (func $twice (param i32) (result i32)))
    (func (export "increment") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "run") (param i32)
        (call $log (call $withdraw (local.get 0)))
        (call $log (call $twice (i32.const 40)))))"#;

/// What the host functions work on.
struct Account {
    balance: u32,
    log: Vec<u32>,
}

/// An error of the host's own; it comes back out of the guest as it is.
#[derive(Debug)]
struct Overdrawn {
    missing: u32,
}

impl fmt::Display for Overdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "overdrawn by {}", self.missing)
    }
}

impl std::error::Error for Overdrawn {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    linker.func_wrap("env", "log", |mut caller: Caller<'_, Account>, n: u32| caller.data_mut().log.push(n))?;
    linker.func_wrap("env", "withdraw", |mut caller: Caller<'_, Account>, amount: u32| -> Result<u32> {
        let account = caller.data_mut();
        match account.balance.checked_sub(amount) {
            Some(balance) => account.balance = balance,
            None => return Err(Error::new(Overdrawn { missing: amount - account.balance })),
        }
        Ok(account.balance)
    })?;
    linker.func_wrap("env", "twice", |mut caller: Caller<'_, Account>, n: i32| -> Result<i32> {
        let Some(Extern::Func(increment)) = caller.get_export("increment") else {
            return Err(Error::msg("the guest has no function `increment`"));
        };
        let increment = increment.typed::<i32, i32>(&caller)?;
        let once = increment.call(&mut caller, n)?;
        increment.call(&mut caller, once)
    })?;

    let module = Module::new(&engine, wat::parse_str(WAT)?)?;
    let mut store = Store::new(&engine, Account { balance: 100, log: Vec::new() });
    let run = linker.instantiate(&mut store, &module)?.get_typed_func::<u32, ()>(&store, "run")?;

    run.call(&mut store, 30)?;
    assert_eq!(store.data().log, [70, 42]);

    let error = run.call(&mut store, 80).unwrap_err();
    println!("{error:#}");
    assert_eq!(error.downcast_ref::<Overdrawn>().map(|error| error.missing), Some(10));
    assert_eq!(store.data().balance, 70);
    Ok(())
}
