//! The five lines: a module, a store, an instance, a function, a call.
use jitless::{Engine, Instance, Module, Store};

const WAT: &str =
    r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wasm = wat::parse_str(WAT)?;

    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, wasm)?, &[])?;
    let add = instance.get_typed_func::<(i32, i32), i32>(&store, "add")?;
    println!("19 + 23 = {}", add.call(&mut store, (19, 23))?);

    assert_eq!(add.call(&mut store, (19, 23))?, 42);
    Ok(())
}
