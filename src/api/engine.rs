//! The engine: a configuration, and the types that all its modules share.
//!
//! Invariant: what an engine holds is never changed by a guest that runs, so any number of threads may use it.

use alloc::sync::Arc;
use core::fmt::{self, Debug, Formatter};

use crate::config::Config;
use crate::error::Result;
use crate::load::EngineInner;
use crate::types::{FuncType, ValType};

/// A configuration, checked, and the types of all modules made with it. Cheap to clone; clones are the same engine.
///
/// ```
/// use jitless::{Config, Engine};
///
/// let engine = Engine::new(Config::new().max_call_depth(Some(1000)))?;
/// assert!(Engine::same(&engine, &engine.clone()));
/// assert!(!Engine::same(&engine, &Engine::default()));
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<EngineInner>,
}

impl Engine {
    /// Makes an engine, or says what in the configuration cannot be.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { inner: Arc::new(EngineInner::new(config.clone())?) })
    }

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Are both the same engine? What one makes, the other cannot use unless they are.
    pub fn same(a: &Self, b: &Self) -> bool {
        Arc::ptr_eq(&a.inner, &b.inner)
    }
}

/// An engine of [`Config::new`].
impl Default for Engine {
    fn default() -> Self {
        Self::new(&Config::new()).expect("the default configuration is in order")
    }
}

impl Debug for Engine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", self.config()).finish()
    }
}

impl FuncType {
    /// The type of functions that take `params` and return `results`.
    ///
    /// ```
    /// use jitless::{Engine, FuncType, ValType};
    ///
    /// let ty = FuncType::new(&Engine::default(), [ValType::I32, ValType::EXTERNREF], [ValType::I64]);
    /// assert_eq!(ty.to_string(), "(func (param i32 externref) (result i64))");
    /// ```
    pub fn new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        // Types that name defined types will need their registry; all others are the same in every engine.
        let _ = engine;
        Self::from_parts(params, results)
    }
}
