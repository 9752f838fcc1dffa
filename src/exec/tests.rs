//! What the run loop does with guests, seen from below `api`: a rig that serves host functions, and tables of modules.

mod calls;
mod host;
mod objects;
mod pauses;
mod traps;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Outcome, Pause};
use crate::config::{Compilation, Config, Dispatch};
use crate::error::{Error, Result};
use crate::load::{EngineInner, Loaded, load};
use crate::runtime::{ExternId, StoreInner};
use crate::types::{FuncType, ValType};

type Host = Box<dyn Fn(&mut Rig, Vec<u64>) -> Result<Vec<u64>>>;

/// A store with host functions, as `api` makes one.
struct Rig {
    store: StoreInner,
    hosts: Vec<Arc<Host>>,
    /// What is said to growth.
    limiter: Box<dyn Fn(bool, u64) -> bool>,
    failures: usize,
}

fn config() -> Config {
    Config::new()
}

impl Rig {
    fn new(config: Config) -> Self {
        let engine = Arc::new(EngineInner::new(config).unwrap());
        let store = StoreInner::new(engine, None);
        Self { store, hosts: Vec::new(), limiter: Box::new(|_, _| true), failures: 0 }
    }

    fn load(&self, wat: &str) -> Arc<Loaded> {
        let wasm = wat::parse_str(wat).unwrap();
        load(&self.store.engine, wasm.into()).unwrap()
    }

    fn host(
        &mut self,
        params: &[ValType],
        results: &[ValType],
        host: impl Fn(&mut Rig, Vec<u64>) -> Result<Vec<u64>> + 'static,
    ) -> ExternId {
        let ty = FuncType::from_parts(params.iter().copied(), results.iter().copied());
        let id = self.store.engine.types.register_func(&ty);
        let handle = self.store.add_host_func(&ty, id, self.hosts.len() as u32).unwrap();
        self.hosts.push(Arc::new(Box::new(host)));
        ExternId::Func(handle)
    }

    fn instantiate(&mut self, wat: &str, imports: &[ExternId]) -> Result<u32> {
        let module = self.load(wat);
        self.instantiate_loaded(&module, imports)
    }

    fn instantiate_loaded(&mut self, module: &Arc<Loaded>, imports: &[ExternId]) -> Result<u32> {
        let (instance, start) = self.store.instantiate(module, imports)?;
        if let Some(start) = start {
            self.call_func(start, &[])?;
        }
        Ok(instance)
    }

    #[track_caller]
    fn export(&self, instance: u32, name: &str) -> ExternId {
        let instance = self.store.instance(instance);
        instance.export(instance.module.desc.export(name).unwrap_or_else(|| panic!("no export {name}")))
    }

    #[track_caller]
    fn func(&self, instance: u32, name: &str) -> u32 {
        match self.export(instance, name) {
            ExternId::Func(func) => func,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[track_caller]
    fn call(&mut self, instance: u32, name: &str, args: &[u64]) -> Result<Vec<u64>> {
        self.call_func(self.func(instance, name), args)
    }

    fn call_func(&mut self, func: u32, args: &[u64]) -> Result<Vec<u64>> {
        self.store.enter(func, args, false)?;
        match self.serve() {
            Outcome::Done => Ok(self.finish(func)),
            Outcome::Paused(pause) => {
                let trace = self.store.backtrace();
                self.store.abandon();
                Err(error_of(pause).with_backtrace(trace))
            }
            Outcome::Failed(error) => {
                self.store.abandon();
                Err(error)
            }
            other => panic!("{other:?}"),
        }
    }

    fn finish(&mut self, func: u32) -> Vec<u64> {
        let mut results = vec![0; self.store.func_type(func).result_slots() as usize];
        self.store.finish(&mut results);
        results
    }

    fn serve(&mut self) -> Outcome {
        loop {
            match self.store.run() {
                Outcome::Host(func) => {
                    let host = self.hosts[self.store.host_number(func) as usize].clone();
                    let n = self.store.func_type(func).param_slots() as usize;
                    let args = self.store.host_slots()[..n].to_vec();
                    match host(self, args) {
                        Ok(results) => self.store.host_slots()[..results.len()].copy_from_slice(&results),
                        Err(error) => return Outcome::Failed(error.with_backtrace(self.store.backtrace())),
                    }
                    self.store.host_return();
                }
                Outcome::Ask { table, desired, .. } => {
                    let allowed = (self.limiter)(table, desired);
                    self.store.answer(allowed);
                }
                Outcome::GrowFailed { .. } => self.failures += 1,
                other => return other,
            }
        }
    }
}

fn error_of(pause: Pause) -> Error {
    match pause {
        Pause::OutOfFuel { required } => Error::out_of_fuel(required),
        Pause::Deadline => Error::deadline(),
        Pause::Stopped => Error::stopped(),
    }
}

/// Everything in both layouts, eager and lazy.
fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for dispatch in [Dispatch::Auto, Dispatch::Bounced] {
        for compilation in [Compilation::Eager, Compilation::Lazy, Compilation::LazyChecked] {
            let mut config = config();
            config.dispatch(dispatch).compilation(compilation);
            configs.push(config);
        }
    }
    configs
}

/// What a call gives, in a word or two.
fn short(result: Result<Vec<u64>>) -> String {
    match result {
        Ok(values) => format!("{values:?}"),
        Err(error) => error.to_string(),
    }
}

const I32: &[ValType] = &[ValType::I32];
