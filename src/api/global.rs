//! Globals.
//!
//! Invariant: a global holds a value of its type, and one that is not mutable its first.

use super::Stored;
use super::store::{AsContext, AsContextMut};
use super::val::Val;
use crate::error::{Error, Result};
use crate::types::{GlobalType, Mutability, ValType};

/// A global. Copies are the same global; the store keeps it.
///
/// ```
/// use jitless::{Engine, Global, GlobalType, Mutability, Store, Val, ValType};
///
/// let mut store = Store::new(&Engine::default(), ());
/// let counter = Global::new(&mut store, GlobalType::new(ValType::I64, Mutability::Var), Val::I64(1))?;
/// counter.set(&mut store, Val::I64(2))?;
/// assert_eq!(counter.get(&store), Val::I64(2));
/// assert!(counter.set(&mut store, Val::I32(3)).is_err());
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Global {
    pub(super) stored: Stored,
}

impl Global {
    /// A global that holds `value`, outside of all instances.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Self> {
        let inner = &mut store.as_context_mut().0.inner;
        inner.externs_make_room();
        let mut slots = [0; 2];
        if !value.lower(ty.content, inner, &mut slots)? {
            return Err(mismatch(ty.content, &value));
        }
        let index = inner.add_global(ty, slots)?;
        Ok(Self { stored: Stored::new(inner, index) })
    }

    /// The type. Of a global of another store it is `(global i32)`.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        let inner = &store.as_context().0.inner;
        let none = GlobalType::new(ValType::I32, Mutability::Const);
        self.stored.of(inner).map_or(none, |global| inner.global_type(global))
    }

    /// The value. Of a global of another store it is an `i32` of 0.
    pub fn get(&self, store: impl AsContext) -> Val {
        let inner = &store.as_context().0.inner;
        let Some(global) = self.stored.of(inner) else { return Val::I32(0) };
        Val::lift(inner.global_type(global).content, inner, &inner.global_get(global))
    }

    /// Sets the value, if the global is mutable and the value of its type.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let inner = &mut store.as_context_mut().0.inner;
        let global = self.stored.check(inner, "global")?;
        let ty = inner.global_type(global);
        if !ty.mutable {
            return Err(Error::argument("global is immutable"));
        }
        inner.externs_make_room();
        let mut slots = [0; 2];
        if !value.lower(ty.content, inner, &mut slots)? {
            return Err(mismatch(ty.content, &value));
        }
        inner.global_set(global, slots);
        Ok(())
    }
}

#[cold]
fn mismatch(wanted: ValType, found: &Val) -> Error {
    Error::argument(alloc::format!("expected {wanted}, found {}", found.ty()))
}
