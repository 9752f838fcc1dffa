//! Modules: what they tell, where they come from, what loading them promises.

use jitless::*;

use crate::{ADD, Check, module, refused};

#[test]
fn modules_tell_what_they_need_and_offer() -> Check {
    let module = module(
        &Engine::default(),
        r#"(module $guest
            (import "env" "f" (func (param i32 f64) (result i64)))
            (import "env" "m" (memory 1 2))
            (import "env" "t" (table 3 funcref))
            (import "env" "g" (global (mut f32)))
            (@custom "note" "hello")
            (func (export "run") (param externref))
            (export "m" (memory 0)) (export "g" (global 0)) (export "t" (table 0)))"#,
    );
    let imports: Vec<_> = module.imports().map(|i| format!("{} {} {}", i.module(), i.name(), i.ty())).collect();
    assert_eq!(
        imports,
        [
            "env f (func (param i32 f64) (result i64))",
            "env m (memory 1 2)",
            "env t (table 3 funcref)",
            "env g (global (mut f32))",
        ]
    );
    let exports: Vec<_> = module.exports().map(|e| format!("{} {}", e.name(), e.ty())).collect();
    assert_eq!(
        exports,
        ["run (func (param externref))", "m (memory 1 2)", "g (global (mut f32))", "t (table 3 funcref)"]
    );
    assert_eq!(module.name(), Some("guest"));
    assert!(module.custom_sections().any(|(name, contents)| name == "note" && contents == b"hello"));
    assert_eq!(module.get_export("nothing"), None);
    Ok(())
}

#[test]
fn modules_from_anywhere() -> Check {
    let engine = Engine::default();
    let wasm = wat::parse_str(ADD)?;
    assert_eq!(Module::from_reader(&engine, &wasm[..])?.exports().len(), 1);
    Module::validate(&engine, &wasm)?;

    refused(Module::new(&engine, &wasm[..wasm.len() - 1]), ErrorKind::Malformed, "");
    refused(Module::validate(&engine, &wasm[..9]), ErrorKind::Malformed, "");
    refused(Module::new(&engine, []), ErrorKind::Malformed, "");
    refused(Module::from_file(&engine, "no/such/file.wasm"), ErrorKind::Host, "cannot read no/such/file.wasm: ");
    refused(Module::from_file(&engine, "."), ErrorKind::Host, "cannot read .: ");

    // More than the engine takes is refused, not read to its end.
    let mut config = Config::new();
    config.limits_mut().module_bytes = 1000;
    let endless = wasm.chain_with_zeros();
    refused(Module::from_reader(&Engine::new(&config)?, endless), ErrorKind::Limit, "module bytes");
    Ok(())
}

trait ChainWithZeros {
    fn chain_with_zeros(&self) -> impl std::io::Read;
}

impl ChainWithZeros for Vec<u8> {
    fn chain_with_zeros(&self) -> impl std::io::Read {
        std::io::Read::chain(&self[..], std::io::repeat(0))
    }
}

/// Bodies are validated even where the engine would wait.
#[test]
fn validate_looks_at_bodies() -> Check {
    let wasm = wat::parse_str(r#"(module (func (result i32) (i64.const 1)))"#)?;
    let engine = Engine::new(Config::new().compilation(Compilation::Lazy))?;
    assert!(Module::new(&engine, &wasm).is_ok());
    refused(Module::validate(&engine, &wasm), ErrorKind::Invalid, "type mismatch");
    Ok(())
}

#[test]
fn l22_the_bytes_may_change_after_loading() -> Check {
    let engine = Engine::new(Config::new().compilation(Compilation::Lazy))?;
    let mut wasm = wat::parse_str(ADD)?;
    let module = Module::new(&engine, &wasm)?;
    wasm.fill(0xFF);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    assert_eq!(instance.get_typed_func::<(i32, i32), i32>(&store, "add")?.call(&mut store, (1, 2))?, 3);
    Ok(())
}
