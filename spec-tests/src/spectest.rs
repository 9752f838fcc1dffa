//! The host module that scripts import from: its names, types and values are given by the suite.
//!
//! Invariant: exactly these names, so that an import of any other is unknown.

use jitless::{
    Global, GlobalType, Linker, Memory, MemoryType, Mutability, Ref, RefType, Result, Store, Table, TableType, Val,
};

/// Defines `spectest`, with a memory and a table of its own.
pub(crate) fn define(linker: &mut Linker<()>, store: &mut Store<()>) -> Result<()> {
    const NAME: &str = "spectest";
    linker.func_wrap(NAME, "print", || {})?;
    linker.func_wrap(NAME, "print_i32", |_: i32| {})?;
    linker.func_wrap(NAME, "print_i64", |_: i64| {})?;
    linker.func_wrap(NAME, "print_f32", |_: f32| {})?;
    linker.func_wrap(NAME, "print_f64", |_: f64| {})?;
    linker.func_wrap(NAME, "print_i32_f32", |_: i32, _: f32| {})?;
    linker.func_wrap(NAME, "print_f64_f64", |_: f64, _: f64| {})?;
    for (name, value) in [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::F32(0x4426_a666)),
        ("global_f64", Val::F64(0x4084_d4cc_cccc_cccd)),
    ] {
        let global = Global::new(&mut *store, GlobalType::new(value.ty(), Mutability::Const), value)?;
        linker.define(&*store, NAME, name, global)?;
    }
    let table = Table::new(&mut *store, TableType::new(RefType::FUNCREF, 10, Some(20)), Ref::Func(None))?;
    linker.define(&*store, NAME, "table", table)?;
    // Refused by an engine that does not run 64-bit tables; then no module can import one either.
    if let Ok(table) = Table::new(&mut *store, TableType::new64(RefType::FUNCREF, 10, Some(20)), Ref::Func(None)) {
        linker.define(&*store, NAME, "table64", table)?;
    }
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    linker.define(&*store, NAME, "memory", memory)?;
    let shared = MemoryType { shared: true, ..MemoryType::new(1, Some(2)) };
    if let Ok(memory) = Memory::new(&mut *store, shared) {
        linker.define(&*store, NAME, "shared_memory", memory)?;
    }
    Ok(())
}
