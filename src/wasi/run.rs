//! Running a guest as what it is: a command, which runs once and has a status, or a reactor, which is made ready and
//! then called.

use super::abi::Version;
use super::errno::Errno;
use crate::{AsContextMut, Cause, ExternType, Instance, Linker, Module, Result, Val, ValType};

/// The function that runs a command.
const START: &str = "_start";
/// The function that makes a reactor ready.
const INITIALIZE: &str = "_initialize";

/// Runs a command: calls `_start`. How the guest ended: the status of its exit, 0 if it just returned.
///
/// An error if it did not end by itself, and of kind [`Argument`](crate::ErrorKind::Argument) if it is no command.
///
/// ```
/// use jitless::wasi::{self, WasiCtx};
/// use jitless::{Engine, Linker, Module, Store};
///
/// let wasm = wat::parse_str(r#"(module
///     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
///     (func (export "_start") (call $exit (i32.const 7))))"#)?;
/// let engine = Engine::default();
/// let mut linker = Linker::new(&engine);
/// wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)?;
/// let mut store = Store::new(&engine, WasiCtx::builder().arg("prog").build()?);
/// let instance = linker.instantiate(&mut store, &Module::new(&engine, wasm)?)?;
/// assert_eq!(wasi::run_command(&mut store, &instance)?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_command(mut store: impl AsContextMut, instance: &Instance) -> Result<i32> {
    if instance.get_export(&store, INITIALIZE).is_some() {
        return Err(wrong("a command exports no function `_initialize`"));
    }
    if instance.get_export(&store, START).is_none() {
        return Err(wrong("a command exports a function `_start`"));
    }
    let start = instance.get_typed_func::<(), ()>(&store, START)?;
    match start.call(&mut store, ()) {
        Ok(()) => Ok(0),
        Err(error) => error.exit_code().ok_or(error),
    }
}

/// Makes a reactor ready: calls `_initialize`, if it has that. Once, before anything else of it is called.
///
/// An error of kind [`Argument`](crate::ErrorKind::Argument) if it is a command.
pub fn initialize(mut store: impl AsContextMut, instance: &Instance) -> Result<()> {
    if instance.get_export(&store, START).is_some() {
        return Err(wrong("a reactor exports no function `_start`"));
    }
    if instance.get_export(&store, INITIALIZE).is_none() {
        return Ok(());
    }
    instance.get_typed_func::<(), ()>(&store, INITIALIZE)?.call(&mut store, ())
}

fn wrong(what: &str) -> crate::Error {
    Cause::Argument(what.into()).into()
}

/// Defines every function that `module` imports from WASI and that is not defined yet, as one that answers
/// [`Errno::NoSys`]: what a guest is told by a host that does not know a call. For guests that import more than
/// [`add_to_linker`](super::add_to_linker) defines, and call it only if they must.
///
/// A function that does not return one `i32` stays undefined.
pub fn add_unknown_to_linker<T>(linker: &mut Linker<T>, module: &Module) -> Result<()> {
    let modules = Version::ALL.map(Version::module);
    let mut known: std::collections::HashSet<(String, String)> =
        linker.iter().map(|(module, name, _)| (module.into(), name.into())).collect();
    for import in module.imports().filter(|import| modules.contains(&import.module())) {
        let ExternType::Func(ty) = import.ty() else { continue };
        if ty.results() == [ValType::I32] && known.insert((import.module().into(), import.name().into())) {
            linker.func_new(import.module(), import.name(), ty, |_, _, results| {
                results.fill(Val::I32(Errno::NoSys as i32));
                Ok(())
            })?;
        }
    }
    Ok(())
}
