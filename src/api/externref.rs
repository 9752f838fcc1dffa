//! Values of the host that guests hold without seeing what they are.
//!
//! Invariant: a guest holds a number of its store, never an address; the value lives until neither host nor guest can
//! reach it, and is dropped once.

use alloc::sync::Arc;
use core::any::Any;
use core::fmt::{self, Debug, Formatter};

use super::foreign;
use super::store::{AsContextMut, StoreContext};
use crate::error::Result;
use crate::runtime::StoreInner;

/// A value of the host, for guests to pass around: what `externref` is to a guest. Cheap to clone.
///
/// ```
/// use jitless::{Engine, ExternRef, Store};
///
/// let mut store = Store::new(&Engine::default(), ());
/// let name = ExternRef::new(&mut store, String::from("Ada"))?;
/// let data = name.data(&store)?.and_then(|data| data.downcast_ref::<String>());
/// assert_eq!(data.map(String::as_str), Some("Ada"));
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone)]
pub struct ExternRef {
    store: u64,
    object: Arc<dyn Any + Send + Sync>,
}

impl ExternRef {
    /// Brings a value into a store. It is charged to the store's budget once a guest, a table or a global holds it.
    pub fn new<V: Any + Send + Sync>(store: impl AsContextMut, value: V) -> Result<Self> {
        Ok(Self { store: store.as_context().0.inner.id, object: Arc::new(value) })
    }

    /// The value, to be downcast to what it is.
    ///
    /// `None` is for references that did not come from a host; there are none yet.
    pub fn data<'a, T: 'a>(
        &'a self,
        store: impl Into<StoreContext<'a, T>>,
    ) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        if store.into().0.inner.id == self.store { Ok(Some(&*self.object)) } else { Err(foreign("external reference")) }
    }

    /// Are both the same value? Two values that are equal are not the same.
    pub fn same(a: &Self, b: &Self) -> bool {
        a.store == b.store && Arc::ptr_eq(&a.object, &b.object)
    }

    /// The handle that stands for the value in a slot. Several may stand for one value.
    pub(super) fn lower(&self, store: &mut StoreInner) -> Result<u64> {
        if store.id != self.store {
            return Err(foreign("external reference"));
        }
        Ok(u64::from(store.extern_insert(self.object.clone())?))
    }

    /// The value that a slot stands for.
    pub(super) fn lift(store: &StoreInner, slot: u64) -> Option<Self> {
        let object = store.extern_get(slot as u32)?;
        Some(Self { store: store.id, object })
    }
}

/// Equal are references to the same value.
impl PartialEq for ExternRef {
    fn eq(&self, other: &Self) -> bool {
        Self::same(self, other)
    }
}

impl Eq for ExternRef {}

impl Debug for ExternRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ExternRef")
    }
}
