//! What an embedder touches: the names of wasmtime, generic over the embedder's data, over floors that are not.
//!
//! Idea: a [`Store`] is the runtime's store, the embedder's data and the host's functions in one box. A call enters the
//! machine, and the loop in `func` serves what the machine leaves for: functions of the host, limits, stops.
//!
//! Invariant: a handle says which store it belongs to. Used with another it is an error, or, where there is nothing to
//! return an error in, it is an object without contents; never an object of that other store.

mod caller;
mod engine;
mod externref;
mod func;
mod global;
mod instance;
mod linker;
mod listing;
mod memory;
mod module;
mod resume;
mod store;
mod table;
mod typed;
mod val;

pub use self::caller::Caller;
pub use self::engine::Engine;
pub use self::externref::ExternRef;
pub use self::func::{Func, IntoFunc, WasmRet};
pub use self::global::Global;
pub use self::instance::{Export, Extern, Instance};
pub use self::linker::{InstancePre, Linker};
pub use self::listing::ListedOperator;
#[cfg(feature = "profile")]
pub use self::listing::profile;
pub use self::memory::Memory;
pub use self::module::{ExportType, ImportType, Module};
pub use self::resume::{
    ResumableCall, ResumableCallHostTrap, ResumableCallOutOfFuel, ResumableCallStopped, TypedResumableCall,
    TypedResumableCallHostTrap, TypedResumableCallOutOfFuel, TypedResumableCallStopped,
};
pub use self::store::{AsContext, AsContextMut, StopHandle, Store, StoreContext, StoreContextMut};
pub use self::table::Table;
pub use self::typed::{TypedFunc, WasmParams, WasmResults, WasmTy};
pub use self::val::{Ref, Val};

use crate::error::{Error, Result};
use crate::runtime::StoreInner;

/// Where an object lives: its store, and its number there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Stored {
    store: u64,
    index: u32,
}

impl Stored {
    fn new(store: &StoreInner, index: u32) -> Self {
        Self { store: store.id, index }
    }

    /// The number, if the object is of this store.
    fn of(self, store: &StoreInner) -> Option<u32> {
        (self.store == store.id).then_some(self.index)
    }

    /// The number, or an error that says `what` is of another store.
    #[inline]
    fn check(self, store: &StoreInner, what: &'static str) -> Result<u32> {
        if self.store == store.id { Ok(self.index) } else { Err(foreign(what)) }
    }
}

#[cold]
fn foreign(what: &'static str) -> Error {
    Error::argument(alloc::format!("the {what} belongs to another store"))
}
