//! A store with an instance in it, and what is asked of it when it goes.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug};
use std::hash::Hasher;

use jitless::{Error, ErrorKind, Extern, Instance, Linker, Module, Result, Store, Trap, Val};

use super::*;

/// A store with an instance in it, which calls go to. When it goes, the store is tried once more.
pub(crate) struct Guest<'c, T> {
    pub(crate) cx: &'c Cx,
    pub(crate) store: Store<T>,
    pub(crate) linker: Linker<T>,
    pub(crate) instance: Instance,
}

impl<'c, T> Guest<'c, T> {
    #[track_caller]
    pub(crate) fn new(cx: &'c Cx, mut store: Store<T>, linker: Linker<T>, module: &Module) -> Self {
        let instance = linker.instantiate(&mut store, module).expect("instantiates");
        Self { cx, store, linker, instance }
    }

    /// Another instance in the same store; its exports can be imported from `name` from now on.
    #[track_caller]
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Instance {
        let instance = self.try_add(text).expect("instantiates");
        self.linker.instance(&self.store, name, instance).expect("new names");
        instance
    }

    /// The same for what may fail.
    #[track_caller]
    pub(crate) fn try_add(&mut self, text: &str) -> Result<Instance> {
        let module = self.cx.accepts_wat(text);
        let result = self.linker.instantiate(&mut self.store, &module);
        if let Err(error) = &result {
            self.cx.seen(error);
        }
        result
    }

    /// Calls go to this instance from now on.
    pub(crate) fn at(&mut self, instance: Instance) -> &mut Self {
        self.instance = instance;
        self
    }

    /// Calls an export and gives back its results.
    #[track_caller]
    pub(crate) fn call(&mut self, name: &str, args: &[Val]) -> Result<Vec<Val>> {
        let func = self.instance.get_func(&self.store, name).unwrap_or_else(|| panic!("no export {name}"));
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        let result = func.call(&mut self.store, args, &mut results);
        match result {
            Ok(()) => {
                self.cx.note(&Plain(&results));
                Ok(results)
            }
            Err(error) => {
                self.cx.seen(&error);
                Err(error)
            }
        }
    }

    /// Calls an export that returns these values.
    #[track_caller]
    pub(crate) fn gives(&mut self, name: &str, args: &[Val], want: &[Val]) {
        match self.call(name, args) {
            Ok(results) => assert_eq!(results, want, "{name}{args:?}"),
            Err(error) => panic!("{name}{args:?} should give {want:?}: {error:#}"),
        }
    }

    /// Calls an export that fails.
    #[track_caller]
    pub(crate) fn fails(&mut self, name: &str, args: &[Val]) -> Error {
        match self.call(name, args) {
            Ok(results) => panic!("{name}{args:?} should fail, gives {results:?}"),
            Err(error) => error,
        }
    }

    #[track_caller]
    pub(crate) fn traps(&mut self, name: &str, args: &[Val], want: Trap) -> Error {
        let error = self.fails(name, args);
        assert_eq!(error.trap(), Some(want), "{name}{args:?}: {error}");
        error
    }

    #[track_caller]
    pub(crate) fn ends(&mut self, name: &str, args: &[Val], want: ErrorKind) -> Error {
        let error = self.fails(name, args);
        assert_eq!(error.kind(), want, "{name}{args:?}: {error}");
        error
    }

    /// The fuel that a call takes, whatever comes of it.
    #[track_caller]
    pub(crate) fn fuel_of(&mut self, name: &str, args: &[Val]) -> u64 {
        let before = self.store.fuel_used();
        let _ = self.call(name, args);
        self.store.fuel_used() - before
    }

    pub(crate) fn export(&self, name: &str) -> Extern {
        self.instance.get_export(&self.store, name).unwrap_or_else(|| panic!("no export {name}"))
    }
}

/// References are the same again though their handles may differ.
pub(super) struct Plain<'a>(&'a [Val]);

impl Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|val| format!("{} {val}", val.ty()))).finish()
    }
}

impl<T> Drop for Guest<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if !self.cx.timed.get() {
            self.cx.note(&("fuel", self.store.fuel_used()));
        }
        let memories: Vec<_> = self.instance.exports(&self.store).filter_map(|export| export.into_memory()).collect();
        for memory in memories {
            let mut hasher = DefaultHasher::new();
            let bytes = memory.data(&self.store);
            // Large memories are mostly untouched, and stay so.
            hasher.write(&bytes[..bytes.len().min(1 << 20)]);
            self.cx.note(&("memory", bytes.len(), hasher.finish()));
        }
        self.cx.ok_in(&mut self.store);
    }
}
