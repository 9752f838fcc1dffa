//! A WebAssembly interpreter: fast without generating machine code, bounded in everything, and hard to break.
//!
//! Module in, results out:
//!
//! ```
//! # use jitless::{Engine, Instance, Module, Store};
//! # let wasm = wat::parse_str(r#"(module (func (export "add") (param i32 i32) (result i32)
//! #     (i32.add (local.get 0) (local.get 1))))"#)?;
//! let engine = Engine::default();
//! let module = Module::new(&engine, wasm)?;
//! let mut store = Store::new(&engine, ());
//! let instance = Instance::new(&mut store, &module, &[])?;
//! let add = instance.get_typed_func::<(i32, i32), i32>(&store, "add")?;
//! assert_eq!(add.call(&mut store, (1, 2))?, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! | to | see |
//! |---|---|
//! | choose what is allowed, once | [`Config`], [`Engine`] |
//! | load a module, look at what it needs | [`Module`] |
//! | give it functions of the host | [`Linker::func_wrap`], [`Caller`] |
//! | run it | [`Linker::instantiate`], [`Instance::get_typed_func`], [`TypedFunc::call`], [`Func::call`] |
//! | exchange data | [`Memory`], [`Table`], [`Global`], [`ExternRef`], [`Val`] |
//! | bound it | [`Store::set_fuel`], [`Store::set_deadline`], [`Store::stop_handle`], [`StoreLimits`] |
//! | stop it and let it go on | [`Func::call_resumable`] |
//! | have all of that as one thing, files included | [`Sandbox`] (feature `wasi`) |
//! | find out what went wrong | [`Error`], [`ErrorKind`], [`Trap`], [`Backtrace`] |
//!
//! The names are those of wasmtime, so most programs for it need another import line and nothing else. What differs: an
//! [`Error`] of our own, no panics on wrong handles (see below), fuel that is always counted, deadlines without a thread,
//! calls that can be resumed, and no bound `T: 'static` on a store's data.
//!
//! # Promises
//! * Nothing a module does, and nothing in it, makes this crate panic, abort, loop in the host or read what is not its own.
//! * A handle belongs to one [`Store`]. Used with another it is an error of kind [`ErrorKind::Argument`]; where there is
//!   no error to return ([`Memory::data`], [`Func::ty`]…) it is a thing without contents.
//! * A new store is bounded: 4 GiB for everything its guests make the host hold, a stack of 8 MiB. Fuel and time are not,
//!   until they are set.
//! * Fuel counts executed WebAssembly instructions, and no improvement of this crate changes a bill; see *Fuel*.
//!
//! # Fuel
//! One unit for each instruction but `block`, `loop`, `else`, `end` and `nop`, which are free. A call takes one more for
//! each 16 locals that the callee declares. `memory.copy`, `memory.fill` and `memory.init` take one more for each 64 bytes,
//! `table.copy`, `table.fill`, `table.init` and `table.grow` for each 8 elements, rounded down; that is charged after the
//! bounds are checked and before anything is done. Instantiation takes for each segment what `memory.init` or `table.init`
//! would, and nothing is made if there is less. Functions of the host charge what they like ([`Caller::charge`]).
//!
//! Instructions are charged for in groups that are always executed together, so when fuel runs out [`Store::fuel_used`]
//! may be beyond what was set, by no more than such a group; the group is then executed when the call goes on
//! ([`Func::call_resumable`]). A bill is exact when a call returns, at a call of the host, and at a trap, with one
//! exception: of several loads within one expression that would all trap, it is not said which one is reported; the bill
//! is that of the one that is.
//!
//! # Features
//! `std` (default): deadlines, files, readers; without it the crate needs `alloc` only. `wasi` (default): WASI preview 1.
//! `wat`: the text format wherever a binary is taken. Features add possibilities and never change a result.
//!
//! # The house
//! Floors, each using those below it and none above: *ground* (`types`, `value`, `error`, `budget`, `config`), *module*
//! (bytes become a description), *validate*, *translate* (validated operators become tiles), *load* (the three in a row),
//! *runtime* (the store's objects), *exec* (the run loop around the machine, the only place with `unsafe`), *api* (this
//! interface). Below them all lies the crate `jitless-machine`: the table of instructions and the tiles that run them.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub(crate) mod budget;
pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod types;
pub(crate) mod value;

pub(crate) mod module;

pub(crate) mod validate;

pub(crate) mod code;
pub(crate) mod cover;
pub(crate) mod translate;

pub(crate) mod load;

pub(crate) mod runtime;

pub(crate) mod exec;

mod api;

#[cfg(feature = "wasi")]
pub mod sandbox;
#[cfg(feature = "wasi")]
pub mod wasi;

pub use self::api::*;
pub use self::budget::{Account, ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use self::config::{Compilation, Config, Dispatch, ModuleLimits, Proposals};
pub use self::error::{
    Backtrace, Cause, Error, ErrorKind, Frame, ImportError, Invalid, Place, Result, Trap, TrapDetail,
};
#[cfg(feature = "wasi")]
pub use self::sandbox::{Sandbox, SandboxConfig, SandboxError, SandboxErrorKind};
pub use self::types::{
    ExternKind, ExternType, FuncType, GlobalType, HeapType, Limits, MemoryType, Mutability, RefType, TableType, TypeId,
    ValType,
};
