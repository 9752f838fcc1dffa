//! What the run loop does with guests, seen from below `api`: a rig that serves host functions, and tables of modules.
extern crate std;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use jitless_machine::control::SHORT_TABLE;

use super::{Outcome, Pause};
use crate::budget::StoreLimitsBuilder;
use crate::config::{Compilation, Config, Dispatch};
use crate::error::{Error, ErrorKind, Result, Trap};
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

#[test]
fn calls() {
    let wat = r#"(module
        (type $bin (func (param i32 i32) (result i32)))
        (table $t 8 funcref)
        (elem (table $t) (i32.const 0) func $add $sub $fib $swap)
        (global $g (mut i32) (i32.const 7))
        (func $add (export "add") (type $bin) (i32.add (local.get 0) (local.get 1)))
        (func $sub (export "sub") (type $bin) (i32.sub (local.get 0) (local.get 1)))
        (func $fib (export "fib") (param i32) (result i32)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                               (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
        (func $swap (export "swap") (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
        (func (export "indirect") (param i32 i32 i32) (result i32)
            (call_indirect (type $bin) (local.get 0) (local.get 1) (local.get 2)))
        (func (export "tail_indirect") (param i32 i32 i32) (result i32)
            (return_call_indirect (type $bin) (local.get 0) (local.get 1) (local.get 2)))
        (func $even (export "even") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
            (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
        (func $odd (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
            (return_call $even (i32.sub (local.get 0) (i32.const 1))))
        (func $down (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
        (func $forever (export "forever") (call $forever))
        (func (export "count") (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))"#;
    let cases: &[(&str, &[u64], &str)] = &[
        ("add", &[3, 4], "[7]"),
        ("sub", &[3, 4], "[4294967295]"),
        ("fib", &[20], "[6765]"),
        ("swap", &[5, 1 << 40], "[1099511627776, 5]"),
        ("indirect", &[8, 3, 0], "[11]"),
        ("indirect", &[8, 3, 1], "[5]"),
        ("indirect", &[8, 3, 1], "[5]"),
        ("indirect", &[8, 3, 2], "trap: indirect call type mismatch"),
        ("indirect", &[8, 3, 4], "trap: uninitialized element 4"),
        ("indirect", &[8, 3, 8], "trap: undefined element"),
        ("indirect", &[8, 3, 0xFFFF_FFFF], "trap: undefined element"),
        ("tail_indirect", &[8, 3, 0], "[11]"),
        ("tail_indirect", &[8, 3, 1], "[5]"),
        ("tail_indirect", &[8, 3, 3], "trap: indirect call type mismatch"),
        ("even", &[100_001], "[0]"),
        ("even", &[100_000], "[1]"),
        ("down", &[10_000], "[10000]"),
        ("forever", &[], "trap: call stack exhausted"),
        ("down", &[100], "[100]"),
        ("count", &[], "[8]"),
        ("count", &[], "[9]"),
    ];
    for config in configs() {
        let mut rig = Rig::new(config);
        let instance = rig.instantiate(wat, &[]).unwrap();
        for &(name, args, want) in cases {
            assert_eq!(short(rig.call(instance, name, args)), want, "{name} {args:?} {:?}", rig.store.engine.config);
        }
        assert!(rig.store.entries.is_empty());
    }
}

/// Two instances that call each other in every way; each has its own memory and global.
#[test]
fn instances() {
    let library = r#"(module
        (import "" "back" (func $back (param i32) (result i32)))
        (global $g (mut i32) (i32.const 1000))
        (memory (export "memory") 1)
        (func (export "bump") (param i32) (result i32)
            (global.set $g (i32.add (global.get $g) (local.get 0)))
            (i32.store (i32.const 0) (global.get $g))
            (global.get $g))
        (func (export "through") (param i32) (result i32)
            (i32.add (call $back (local.get 0)) (global.get $g)))
        (func (export "tail_through") (param i32) (result i32)
            (return_call $back (local.get 0)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1)))
        (func (export "trap") (unreachable)))"#;
    let program = r#"(module
        (import "lib" "bump" (func $bump (param i32) (result i32)))
        (import "lib" "through" (func $through (param i32) (result i32)))
        (import "lib" "tail_through" (func $tail_through (param i32) (result i32)))
        (import "lib" "grow" (func $grow (result i32)))
        (import "lib" "trap" (func $trap))
        (import "lib" "memory" (memory 1))
        (table funcref (elem $bump $through $tail_through))
        (global $g (mut i32) (i32.const 5))
        (func (export "mine") (result i32) (global.get $g))
        (func (export "both") (param i32) (result i32)
            (i32.add (call $bump (local.get 0)) (global.get $g)))
        (func (export "around") (param i32) (result i32) (i32.add (global.get $g) (call $through (local.get 0))))
        (func (export "around_tail") (param i32) (result i32) (i32.add (global.get $g) (call $tail_through (local.get 0))))
        (func (export "tail") (param i32) (result i32) (return_call $bump (local.get 0)))
        (func (export "indirect") (param i32 i32) (result i32)
            (i32.add (global.get $g) (call_indirect (param i32) (result i32) (local.get 0) (local.get 1))))
        (func (export "tail_indirect") (param i32 i32) (result i32)
            (return_call_indirect (param i32) (result i32) (local.get 0) (local.get 1)))
        (func (export "shared") (result i32) (i32.load (i32.const 0)))
        (func (export "grown") (result i32)
            (drop (call $grow)) (i32.load (i32.const 65536)) (drop) (memory.size))
        (func (export "trap") (call $trap)))"#;
    for config in configs() {
        let mut rig = Rig::new(config);
        // The library's import is a host function that calls the program back.
        let program_handle = Arc::new(AtomicUsize::new(0));
        let seen = program_handle.clone();
        let back = rig.host(I32, I32, move |rig, args| {
            let mine = rig.call(seen.load(Ordering::Relaxed) as u32, "mine", &[])?;
            Ok(vec![u64::from((args[0] + mine[0]) as u32)])
        });
        let library = rig.instantiate(library, &[back]).unwrap();
        let imports =
            ["bump", "through", "tail_through", "grow", "trap", "memory"].map(|name| rig.export(library, name));
        let program = rig.instantiate(program, &imports).unwrap();
        program_handle.store(program as usize, Ordering::Relaxed);
        let cases: &[(&str, &[u64], &str)] = &[
            ("both", &[1], "[1006]"),
            ("shared", &[], "[1001]"),
            ("around", &[10], "[1021]"),
            ("around_tail", &[10], "[20]"),
            ("tail", &[1], "[1002]"),
            ("indirect", &[1, 0], "[1008]"),
            ("indirect", &[1, 1], "[1014]"),
            ("indirect", &[1, 2], "[11]"),
            ("tail_indirect", &[1, 0], "[1004]"),
            ("tail_indirect", &[1, 1], "[1010]"),
            ("tail_indirect", &[1, 2], "[6]"),
            ("trap", &[], "trap: unreachable"),
            ("mine", &[], "[5]"),
            ("grown", &[], "[2]"),
            ("shared", &[], "[1004]"),
        ];
        for &(name, args, want) in cases {
            assert_eq!(short(rig.call(program, name, args)), want, "{name} {args:?}");
        }
        assert_eq!(rig.store.stack.crossings().len(), 0);
    }
}

/// Calls in tail position between instances take no room.
#[test]
fn tail_calls_across_instances_take_no_room() {
    let half = r#"(module
        (import "" "table" (table 2 funcref))
        (global $g (mut i32) (i32.const 0))
        (func $f (export "f") (param i32 i32) (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (if (i32.eqz (local.get 0)) (then (return (global.get $g))))
            (return_call_indirect (param i32 i32) (result i32)
                (i32.sub (local.get 0) (i32.const 1)) (i32.xor (local.get 1) (i32.const 1)) (local.get 1)))
        (func (export "nested") (param i32 i32) (result i32)
            (i32.add (i32.const 0) (call $f (local.get 0) (local.get 1))))
        (func (export "set") (param i32) (table.set (local.get 0) (ref.func $f))))"#;
    let mut rig = Rig::new(config());
    let table = rig.instantiate("(module (table (export \"t\") 2 funcref))", &[]).unwrap();
    let table = rig.export(table, "t");
    let halves = [0, 1].map(|i| {
        let half = rig.instantiate(half, &[table]).unwrap();
        rig.call(half, "set", &[i]).unwrap();
        half
    });
    for (name, first) in [("f", 50_001), ("nested", 100_002)] {
        assert_eq!(short(rig.call(halves[0], name, &[100_000, 1])), format!("[{first}]"));
    }
    let used = rig.store.budget.peak();
    assert_eq!(short(rig.call(halves[0], "nested", &[1_000_000, 1])), "[600003]");
    assert_eq!(rig.store.budget.peak(), used);
}

/// Stacks that grow while several calls from the host lie on them, in frames of every shape.
#[test]
fn stacks_move() {
    let wat = r#"(module
        (import "" "again" (func $again (param i32) (result i32)))
        (func $wide (export "wide") (param i32) (result i64)
            (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
            (local.set 1 (i64.extend_i32_u (local.get 0)))
            (if (result i64) (i32.eqz (local.get 0)) (then (i64.const 0)) (else
                (i64.add (call $tail (i32.sub (local.get 0) (i32.const 1))) (local.get 1)))))
        (func $tail (param i32) (result i64)
            (return_call $more (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)))
        (func $more (param i32 i64 i64 i64 i64 i64) (result i64) (return_call $wide (local.get 0)))
        (func (export "deep") (param i32) (result i32)
            (i32.wrap_i64 (i64.sub (call $wide (i32.const 500)) (i64.extend_i32_u
                (i32.sub (i32.const 125250) (call $again (local.get 0))))))))"#;
    for mut config in configs() {
        config.max_wasm_stack(64 << 20);
        let mut rig = Rig::new(config);
        let instance = Arc::new(AtomicUsize::new(0));
        let seen = instance.clone();
        let again = rig.host(I32, I32, move |rig, args| match args[0] {
            0 => Ok(vec![0]),
            n => {
                let deeper = rig.call(seen.load(Ordering::Relaxed) as u32, "deep", &[n - 1])?;
                Ok(vec![deeper[0] + 1])
            }
        });
        instance.store(rig.instantiate(wat, &[again]).unwrap() as usize, Ordering::Relaxed);
        let instance = instance.load(Ordering::Relaxed) as u32;
        let first = rig.store.stack.usable();
        assert_eq!(short(rig.call(instance, "deep", &[20])), "[20]");
        let grown = rig.store.stack.usable();
        assert!(grown > first);
        assert_eq!(short(rig.call(instance, "wide", &[20_000])), "[200010000]");
        assert!(rig.store.stack.usable() > grown);
        assert_eq!(short(rig.call(instance, "deep", &[99])), "[99]");
        assert_eq!(short(rig.call(instance, "deep", &[100])), "trap: call stack exhausted");
    }
}

#[test]
fn depth_is_exact() {
    let wat = r#"(module
        (import "" "again" (func $again (param i32) (result i32)))
        (table funcref (elem $down $id))
        (func $id (param i32) (result i32) (local.get 0))
        (func $down (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
        (func (export "siblings") (param i32) (result i32)
            (drop (i32.add (call $id (i32.const 1)) (i32.add (i32.const 2) (call $id (i32.const 1)))))
            (call $down (local.get 0)))
        (func (export "indirect") (param i32) (result i32)
            (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))
        (func (export "tail") (param i32) (result i32) (return_call $down (local.get 0)))
        (func (export "host") (param i32) (result i32) (call $again (local.get 0))))"#;
    // A limit of n allows n frames.
    let cases: &[(u32, &str, u64, bool)] = &[
        (0, "down", 0, false),
        (1, "down", 0, true),
        (1, "down", 1, false),
        (2, "down", 1, true),
        (1, "siblings", 0, false),
        (2, "siblings", 0, true),
        (10, "siblings", 8, true),
        (10, "siblings", 9, false),
        (10, "indirect", 8, true),
        (10, "indirect", 9, false),
        (10, "tail", 9, true),
        (10, "tail", 10, false),
        (10, "host", 8, true),
        (10, "host", 9, false),
        (u32::MAX, "down", 10_000, true),
    ];
    for &(max, name, arg, fits) in cases {
        let mut config = config();
        config.max_call_depth(Some(max));
        let mut rig = Rig::new(config);
        let instance = Arc::new(AtomicUsize::new(0));
        let seen = instance.clone();
        let again = rig.host(I32, I32, move |rig, args| rig.call(seen.load(Ordering::Relaxed) as u32, "down", &args));
        instance.store(rig.instantiate(wat, &[again]).unwrap() as usize, Ordering::Relaxed);
        for _ in 0..2 {
            let result = rig.call(instance.load(Ordering::Relaxed) as u32, name, &[arg]);
            assert_eq!(result.is_ok(), fits, "{max} {name} {arg}: {}", short(result));
            assert_eq!(rig.store.stack.count(), 0);
        }
    }
}

const PRIMES: &str = r#"(module
    (import "" "see" (func $see (param i32)))
    (memory 1)
    (table 4 funcref)
    (elem declare func $sieve)
    (func $sieve (export "sieve") (param i32) (result i32) (local $i i32) (local $j i32) (local $n i32)
        (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
        (local.set $i (i32.const 2))
        (loop $outer
            (if (i32.load8_u (local.get $i)) (then
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (call $see (local.get $i))
                (local.set $j (i32.mul (local.get $i) (local.get $i)))
                (block $done (loop $inner
                    (br_if $done (i32.ge_u (local.get $j) (local.get 0)))
                    (i32.store8 (local.get $j) (i32.const 0))
                    (local.set $j (i32.add (local.get $j) (local.get $i)))
                    (br $inner)))))
            (table.set (i32.and (local.get $i) (i32.const 3)) (ref.func $sieve))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $outer (i32.lt_u (local.get $i) (local.get 0))))
        (local.get $n)))"#;

/// The same bill in every layout; with one unit less it does not end; with any less it is stopped on its way.
#[test]
fn fuel_is_exact() {
    let mut bills = Vec::new();
    for config in configs() {
        let mut rig = Rig::new(config);
        let see = rig.host(I32, &[], |_, _| Ok(vec![]));
        let instance = rig.instantiate(PRIMES, &[see]).unwrap();
        for n in [100, 200] {
            let before = rig.store.fuel_used();
            let primes = if n == 100 { "[25]" } else { "[46]" };
            assert_eq!(short(rig.call(instance, "sieve", &[n])), primes);
            let bill = rig.store.fuel_used() - before;
            bills.push((n, bill));
            for fuel in [bill, bill - 1].into_iter().chain((0..bill).step_by(37)) {
                rig.store.set_fuel(fuel);
                let result = rig.call(instance, "sieve", &[n]);
                if fuel == bill {
                    assert_eq!(short(result), primes);
                } else {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::OutOfFuel, "{fuel} of {bill}");
                    assert!(error.required_fuel() > Some(0));
                }
                assert_eq!(rig.store.fuel_left(), 0);
            }
            rig.store.set_fuel(u64::MAX);
            assert_eq!(rig.store.fuel_left(), u64::MAX);
        }
    }
    for n in [100, 200] {
        let mut same = bills.iter().filter(|bill| bill.0 == n).map(|bill| bill.1);
        let first = same.next().unwrap();
        assert!(same.all(|bill| bill == first), "{bills:?}");
    }
}

/// Tables short and long, whose entries differ, lead to the same places at the same price.
#[test]
fn branch_tables_of_any_length() {
    for config in configs() {
        for n in [0, 1, 2, SHORT_TABLE, SHORT_TABLE + 1] {
            let labels: String = (0..n).map(|i| ["$a ", "$b "][i as usize % 2]).collect();
            let wat = format!(
                r#"(module (func (export "f") (param i32) (result i32)
                    (block $c
                        (block $b
                            (block $a (br_table {labels} $c (local.get 0)))
                            (return (i32.const 10)))
                        (return (i32.const 20)))
                    (i32.const 30)))"#
            );
            let mut rig = Rig::new(config.clone());
            let instance = rig.instantiate(&wat, &[]).unwrap();
            for i in [0, 1, 2, n.saturating_sub(1), n, n + 1, u32::MAX] {
                let (want, bill) = if i >= n { (30, 3) } else { ([10, 20][i as usize % 2], 4) };
                let before = rig.store.fuel_used();
                assert_eq!(rig.call(instance, "f", &[i.into()]).unwrap(), [want], "{i} of {n}");
                assert_eq!(rig.store.fuel_used() - before, bill, "{i} of {n}");
            }
        }
    }
}

/// A call that pauses again and again costs, and gives, the same; the store is free meanwhile.
#[test]
fn pauses() {
    for config in configs() {
        let mut rig = Rig::new(config);
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let see = rig.host(I32, &[], move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(vec![])
        });
        let instance = rig.instantiate(PRIMES, &[see]).unwrap();
        let func = rig.func(instance, "sieve");
        let other = rig.instantiate("(module (func (export \"spin\") (loop (br 0))))", &[]).unwrap();
        let other = rig.func(other, "spin");
        let before = rig.store.fuel_used();
        rig.call_func(func, &[100]).unwrap();
        let bill = rig.store.fuel_used() - before;
        for step in [1, 7, 100] {
            let before = rig.store.fuel_used();
            let calls = seen.load(Ordering::Relaxed);
            rig.store.set_fuel(0);
            rig.store.enter(func, &[100], true).unwrap();
            let mut pauses = 0;
            let results = loop {
                match rig.serve() {
                    Outcome::Done => break rig.finish(func),
                    Outcome::Paused(Pause::OutOfFuel { required }) => {
                        pauses += 1;
                        let paused = rig.store.detach();
                        assert!(rig.store.entries.is_empty());
                        if pauses == 3 {
                            // Something else in between, and a paused call that is dropped.
                            let left = (rig.store.fuel_left(), rig.store.fuel_used());
                            rig.store.set_fuel(0);
                            rig.store.enter(other, &[], true).unwrap();
                            assert!(matches!(rig.serve(), Outcome::Paused(_)));
                            drop(rig.store.detach());
                            rig.store.set_fuel(left.0);
                        }
                        let left = rig.store.fuel_left();
                        rig.store.set_fuel(left + if pauses % 2 == 0 { required.max(step) } else { step });
                        rig.store.attach(paused).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(results, [25]);
            assert!(pauses > 3);
            assert_eq!(seen.load(Ordering::Relaxed) - calls, 25);
            // What was added to settle a debt was not all needed.
            let used = rig.store.fuel_used() - before;
            assert!(used >= bill, "{used} {bill}");
            rig.store.set_fuel(u64::MAX);
        }
        // Dropped calls are freed at the next one.
        let held = rig.store.budget.used();
        for _ in 0..100 {
            rig.store.set_fuel(10);
            rig.store.enter(func, &[100], true).unwrap();
            assert!(matches!(rig.serve(), Outcome::Paused(_)));
            drop(rig.store.detach());
        }
        assert!(rig.store.budget.used() < held + (1 << 20));
    }
}

#[test]
fn a_paused_call_belongs_to_its_store() {
    let wat = "(module (func (export \"f\") (loop (br 0))))";
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    rig.store.set_fuel(10);
    rig.store.enter(rig.func(instance, "f"), &[], true).unwrap();
    assert!(matches!(rig.serve(), Outcome::Paused(_)));
    let paused = rig.store.detach();
    let mut other = Rig::new(config());
    assert_eq!(other.store.attach(paused).unwrap_err().kind(), ErrorKind::Argument);
    assert!(other.store.entries.is_empty());
}

/// A host function's answer may come later, and from inside of another call.
#[test]
fn host_calls_wait() {
    let wat = r#"(module
        (import "" "ask" (func $ask (param i32) (result i32)))
        (func (export "f") (param i32) (result i32)
            (i32.add (call $ask (local.get 0)) (call $ask (i32.const 100)))))"#;
    let mut rig = Rig::new(config());
    let ask = rig.host(I32, I32, |_, args| match args[0] {
        100 => Ok(vec![1]),
        _ => Err(Error::msg("not now")),
    });
    let instance = rig.instantiate(wat, &[ask]).unwrap();
    let func = rig.func(instance, "f");
    rig.store.enter(func, &[5], true).unwrap();
    assert!(matches!(rig.serve(), Outcome::Failed(_)));
    let paused = rig.store.detach();
    assert_eq!(short(rig.call_func(func, &[100])), "[2]");
    rig.store.attach(paused).unwrap();
    assert_eq!(rig.store.calling_instance(), Some(instance));
    rig.store.host_slots()[0] = 40;
    rig.store.host_return();
    assert!(matches!(rig.serve(), Outcome::Done));
    assert_eq!(rig.finish(func), [41]);
}

#[test]
fn host_functions_are_entered_as_well() {
    let mut rig = Rig::new(config());
    let add = rig.host(&[ValType::I32, ValType::I32], I32, |rig, args| {
        assert_eq!(rig.store.calling_instance(), None);
        Ok(vec![args[0] + args[1]])
    });
    let nothing = rig.host(&[], &[], |_, _| Ok(vec![]));
    let [ExternId::Func(add), ExternId::Func(nothing)] = [add, nothing] else { panic!() };
    assert_eq!(short(rig.call_func(add, &[1, 2])), "[3]");
    assert_eq!(short(rig.call_func(nothing, &[])), "[]");
    assert!(rig.store.backtrace().frames().is_empty());
}

#[test]
fn stops() {
    let wat = r#"(module
        (import "" "stop" (func $stop))
        (func (export "spin") (call $stop) (loop (br 0)))
        (func (export "f") (result i32) (i32.const 1)))"#;
    let mut rig = Rig::new(config());
    let handle = rig.store.stop_handle();
    let during = handle.clone();
    let stop = rig.host(&[], &[], move |_, _| {
        during.stop();
        Ok(vec![])
    });
    let instance = rig.instantiate(wat, &[stop]).unwrap();
    // When none runs it stops nothing.
    handle.stop();
    for _ in 0..3 {
        assert_eq!(short(rig.call(instance, "f", &[])), "[1]");
        assert_eq!(short(rig.call(instance, "spin", &[])), "stopped by the host");
    }
    handle.stop();
    assert_eq!(short(rig.call(instance, "f", &[])), "[1]");
    // From another thread.
    let instance = rig.instantiate("(module (func (export \"spin\") (loop (br 0))))", &[]).unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(core::time::Duration::from_millis(50));
        handle.stop();
    });
    assert_eq!(short(rig.call(instance, "spin", &[])), "stopped by the host");
    thread.join().unwrap();
}

#[cfg(feature = "std")]
#[test]
fn deadlines() {
    use core::time::Duration;
    use std::time::Instant;
    let wat = r#"(module
        (memory 1)
        (func (export "spin") (loop (br 0)))
        (func (export "fill") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)))
        (func (export "f") (result i32) (i32.const 1)))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    assert_eq!(short(rig.call(instance, "f", &[])), "[1]");
    let now = Instant::now();
    for (name, deadline, want) in [
        ("f", Some(now), "deadline passed"),
        ("f", now.checked_add(Duration::from_secs(3600)), "[1]"),
        ("spin", Some(now + Duration::from_millis(60)), "deadline passed"),
        ("fill", Some(now + Duration::from_millis(120)), "deadline passed"),
        ("f", None, "[1]"),
    ] {
        rig.store.set_deadline(deadline);
        assert_eq!(rig.store.deadline(), deadline);
        assert_eq!(short(rig.call(instance, name, &[])), want, "{name}");
        assert_eq!(rig.store.check_stop().is_err(), want == "deadline passed");
    }
    assert!(now.elapsed() < Duration::from_secs(20));
}

#[test]
fn charges() {
    let mut rig = Rig::new(config());
    rig.store.set_fuel(100);
    for (fuel, left, required) in
        [(40, 60, None), (61, 60, Some(1)), (u64::MAX, 60, Some(u64::MAX - 60)), (60, 0, None)]
    {
        let result = rig.store.charge(fuel);
        assert_eq!(rig.store.fuel_left(), left);
        assert_eq!(result.err().and_then(|error| error.required_fuel()), required);
    }
    assert_eq!(rig.store.fuel_used(), 100);
    rig.store.set_fuel(u64::MAX);
    rig.store.charge(u64::MAX).unwrap();
    assert_eq!((rig.store.fuel_left(), rig.store.fuel_used()), (u64::MAX, u64::MAX));
}

/// One memory, one table, and every operation of the run loop on them.
#[test]
fn bulk_operations() {
    let wat = r#"(module
        (memory $m 1 3) (memory $n 1)
        (table $t 10 20 funcref) (table $u 4 funcref)
        (data $active (i32.const 10) "abc")
        (data $passive "0123456789")
        (elem $e func $f $f $f)
        (func $f)
        (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "load1") (param i32) (result i32) (i32.load8_u 1 (local.get 0)))
        (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
        (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "copy10") (param i32 i32 i32) (memory.copy 1 0 (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init") (param i32 i32 i32) (memory.init $passive (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init_active") (param i32 i32 i32) (memory.init $active (local.get 0) (local.get 1) (local.get 2)))
        (func (export "drop") (data.drop $passive))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "size") (result i32) (memory.size))
        (func (export "size1") (result i32) (memory.size 1))
        (func (export "tset") (param i32) (table.set (local.get 0) (ref.func $f)))
        (func (export "tnull") (param i32) (result i32) (ref.is_null (table.get (local.get 0))))
        (func (export "tnull1") (param i32) (result i32) (ref.is_null (table.get $u (local.get 0))))
        (func (export "tgrow") (param i32) (result i32) (table.grow (ref.func $f) (local.get 0)))
        (func (export "tsize") (result i32) (table.size))
        (func (export "tfill") (param i32 i32) (table.fill (local.get 0) (ref.func $f) (local.get 1)))
        (func (export "tcopy") (param i32 i32 i32) (table.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "tcopy10") (param i32 i32 i32) (table.copy $u $t (local.get 0) (local.get 1) (local.get 2)))
        (func (export "tinit") (param i32 i32 i32) (table.init $e (local.get 0) (local.get 1) (local.get 2)))
        (func (export "edrop") (elem.drop $e)))"#;
    const MEM: &str = "trap: out of bounds memory access";
    const TAB: &str = "trap: out of bounds table access";
    let cases: &[(&str, &[u64], &str)] = &[
        ("load", &[11], "[98]"),
        ("fill", &[65530, 1, 6], "[]"),
        ("fill", &[65530, 2, 7], MEM),
        ("load", &[65535], "[1]"),
        ("fill", &[65536, 2, 0], "[]"),
        ("fill", &[65537, 2, 0], MEM),
        ("fill", &[0, 2, 0xFFFF_FFFF], MEM),
        ("fill", &[0, 0x1FF, 2], "[]"),
        ("load", &[1], "[255]"),
        ("copy", &[11, 10, 3], "[]"),
        ("load", &[11], "[97]"),
        ("load", &[13], "[99]"),
        ("copy", &[10, 11, 3], "[]"),
        ("load", &[12], "[99]"),
        ("copy", &[65536, 0, 0], "[]"),
        ("copy", &[0, 65537, 0], MEM),
        ("copy10", &[5, 10, 3], "[]"),
        ("load1", &[6], "[98]"),
        ("init", &[20, 3, 4], "[]"),
        ("load", &[20], "[51]"),
        ("init", &[20, 7, 4], MEM),
        ("init", &[65533, 0, 4], MEM),
        ("init_active", &[0, 0, 0], "[]"),
        ("init_active", &[0, 0, 1], MEM),
        ("drop", &[], "[]"),
        ("drop", &[], "[]"),
        ("init", &[20, 0, 0], "[]"),
        ("init", &[20, 0, 1], MEM),
        ("size", &[], "[1]"),
        ("grow", &[0], "[1]"),
        ("grow", &[0xFFFF_FFFF], "[4294967295]"),
        ("grow", &[1], "[1]"),
        ("load", &[65535], "[1]"),
        ("load", &[65536], "[0]"),
        ("load", &[131071], "[0]"),
        ("load", &[131072], MEM),
        ("grow", &[2], "[4294967295]"),
        ("grow", &[1], "[2]"),
        ("size", &[], "[3]"),
        ("size1", &[], "[1]"),
        ("tnull", &[9], "[1]"),
        ("tnull", &[10], TAB),
        ("tset", &[9], "[]"),
        ("tset", &[10], TAB),
        ("tnull", &[9], "[0]"),
        ("tgrow", &[0xFFFF_FFFF], "[4294967295]"),
        ("tgrow", &[11], "[4294967295]"),
        ("tgrow", &[10], "[10]"),
        ("tgrow", &[0], "[20]"),
        ("tnull", &[19], "[0]"),
        ("tsize", &[], "[20]"),
        ("tfill", &[0, 2], "[]"),
        ("tnull", &[1], "[0]"),
        ("tnull", &[2], "[1]"),
        ("tfill", &[20, 0], "[]"),
        ("tfill", &[21, 0], TAB),
        ("tfill", &[19, 2], TAB),
        ("tcopy", &[1, 0, 3], "[]"),
        ("tnull", &[2], "[0]"),
        ("tnull", &[3], "[1]"),
        ("tcopy", &[18, 0, 3], TAB),
        ("tcopy10", &[0, 1, 4], "[]"),
        ("tnull1", &[1], "[0]"),
        ("tnull1", &[2], "[1]"),
        ("tcopy10", &[1, 1, 4], TAB),
        ("tinit", &[3, 0, 3], "[]"),
        ("tnull", &[5], "[0]"),
        ("tinit", &[3, 1, 3], TAB),
        ("edrop", &[], "[]"),
        ("tinit", &[20, 0, 0], "[]"),
        ("tinit", &[3, 0, 1], TAB),
    ];
    for config in configs() {
        let mut rig = Rig::new(config);
        let instance = rig.instantiate(wat, &[]).unwrap();
        for &(name, args, want) in cases {
            assert_eq!(short(rig.call(instance, name, args)), want, "{name} {args:?}");
        }
    }
}

/// The price of a bulk operation is paid before a byte changes.
#[test]
fn bulk_operations_are_paid_first() {
    let wat = r#"(module (memory (export "m") 16) (table 1 10000 funcref)
        (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576)))
        (func (export "grow") (result i32) (table.grow (ref.null func) (i32.const 8000))))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    let ExternId::Memory(memory) = rig.export(instance, "m") else { panic!() };
    rig.store.set_fuel(10_000);
    let error = rig.call(instance, "fill", &[]).unwrap_err();
    assert_eq!(error.required_fuel(), Some(16384));
    assert!(rig.store.memory(memory).bytes().iter().all(|&byte| byte == 0));
    assert!(rig.store.fuel_left() >= 9_990);
    rig.store.set_fuel(500);
    assert_eq!(rig.call(instance, "grow", &[]).unwrap_err().kind(), ErrorKind::OutOfFuel);
    for (name, bulk) in [("fill", 16384), ("grow", 1000)] {
        rig.store.set_fuel(100_000);
        rig.call(instance, name, &[]).unwrap();
        let used = 100_000 - rig.store.fuel_left();
        assert!((bulk + 1..bulk + 10).contains(&used), "{name} {used}");
    }
}

#[test]
fn growth_is_asked_for() {
    let wat = r#"(module (memory 1 10) (table 1 100 funcref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "tgrow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    rig.store.ask_limiter(true);
    rig.limiter = Box::new(|table, desired| if table { desired <= 50 } else { desired <= 3 << 16 });
    for (name, delta, want) in [
        ("grow", 1, "[1]"),
        ("grow", 2, "[4294967295]"),
        ("grow", 1, "[2]"),
        ("grow", 100, "[4294967295]"),
        ("tgrow", 40, "[1]"),
        ("tgrow", 40, "[4294967295]"),
        ("tgrow", 9, "[41]"),
    ] {
        assert_eq!(short(rig.call(instance, name, &[delta])), want, "{name} {delta}");
    }
    assert_eq!(rig.failures, 0);
}

#[test]
fn budgets() {
    let grows = r#"(module (memory 1) (table 1 externref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "tgrow") (param i32) (result i32) (table.grow (ref.null extern) (local.get 0))))"#;
    for (trap, refused) in [(false, "[4294967295]"), (true, "budget exceeded")] {
        let mut rig = Rig::new(config());
        let mut limits = StoreLimitsBuilder::new().total_memory(2 << 20).trap_on_grow_failure(trap);
        limits = limits.memory_size(10 << 16).table_elements(1000);
        rig.store.budget.set_limits(limits.build());
        let instance = rig.instantiate(grows, &[]).unwrap();
        for (name, delta, want) in [
            ("grow", 9, "[1]"),
            ("grow", 1, refused),
            ("tgrow", 999, "[1]"),
            ("tgrow", 1, refused),
            ("grow", 60_000, if trap { refused } else { "[4294967295]" }),
            ("grow", 0xFFFF_FFFF, "[4294967295]"),
        ] {
            let got = short(rig.call(instance, name, &[delta]));
            assert!(got.starts_with(want), "{name} {delta}: {got}");
        }
    }
    // What cannot be made leaves nothing behind.
    let many = format!("(module {})", "(memory 65536) ".repeat(50));
    for (wat, imports) in [
        (many.as_str(), 0),
        ("(module (memory 1) (memory 100))", 0),
        ("(module (table 10000000 funcref))", 0),
        ("(module (table 1 funcref) (table 1000 funcref) (table 5000000 funcref))", 0),
        ("(module (memory 1) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref))", 0),
    ] {
        let mut rig = Rig::new(config());
        let limits = StoreLimitsBuilder::new().total_memory(4 << 20).tables(3).memory_size(5 << 20);
        rig.store.budget.set_limits(limits.build());
        let before = (rig.store.budget.used(), rig.store.next_numbers(0, 0).unwrap().func);
        for _ in 0..3 {
            let error = rig.instantiate(wat, &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Budget, "{wat} {imports}");
            assert_eq!((rig.store.budget.used(), rig.store.next_numbers(0, 0).unwrap().func), before);
        }
        rig.instantiate("(module (memory 1) (table 1 funcref))", &[]).unwrap();
    }
}

#[test]
fn segments_stay_where_a_later_one_traps() {
    let mut rig = Rig::new(config());
    let objects = rig
        .instantiate(
            r#"(module (memory (export "m") 1) (table (export "t") 3 funcref)
                (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
                (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
            &[],
        )
        .unwrap();
    let imports = [rig.export(objects, "m"), rig.export(objects, "t")];
    for (segments, want) in [
        (r#"(data (i32.const 1) "ab") (data (i32.const 65535) "cd")"#, "trap: out of bounds memory access"),
        (r#"(data (i32.const -1) "a")"#, "trap: out of bounds memory access"),
        (r#"(data (i32.const 65537) "")"#, "trap: out of bounds memory access"),
        (r#"(elem (i32.const 0) $f) (elem (i32.const 2) $f $f)"#, "trap: out of bounds table access"),
        (r#"(elem (i32.const 4))"#, "trap: out of bounds table access"),
    ] {
        let wat = format!(
            r#"(module (import "" "m" (memory 1)) (import "" "t" (table 3 funcref))
                (func $f (result i32) (i32.const 42)) {segments})"#
        );
        assert_eq!(rig.instantiate(&wat, &imports).unwrap_err().to_string(), want);
    }
    for (name, arg, want) in [
        ("load", 1, "[97]"),
        ("load", 2, "[98]"),
        ("load", 65535, "[0]"),
        ("call", 0, "[42]"),
        ("call", 2, "trap: uninitialized element 2"),
    ] {
        assert_eq!(short(rig.call(objects, name, &[arg])), want);
    }
    let fits = r#"(module (import "" "m" (memory 1)) (import "" "t" (table 3 funcref))
        (data (i32.const 65536) "") (elem (i32.const 3)))"#;
    rig.instantiate(fits, &imports).unwrap();
}

#[test]
fn globals_and_constants() {
    let first = r#"(module
        (global (export "a") i32 (i32.const 20))
        (global (export "b") (mut i64) (i64.const 7))
        (global (export "c") f32 (f32.const 1.5))
        (func $f (export "f") (result i32) (i32.const 9))
        (global (export "d") funcref (ref.func $f))
        (func (export "get") (result i64) (global.get 1)))"#;
    let second = r#"(module
        (import "" "a" (global $a i32)) (import "" "b" (global $b (mut i64)))
        (import "" "c" (global $c f32)) (import "" "d" (global $d funcref))
        (global $e (export "e") i32 (i32.sub (i32.mul (global.get $a) (i32.const 3)) (i32.const -1)))
        (global $g (export "g") (mut i32) (global.get $a))
        (export "a" (global $a)) (export "b" (global $b))
        (table (export "t") 2 funcref) (elem (i32.const 1) funcref (global.get $d))
        (func (export "ga") (result i32) (global.get $a))
        (func (export "gb") (result i64) (global.get $b))
        (func (export "sb") (param i64) (global.set $b (local.get 0)))
        (func (export "gc") (result f32) (global.get $c))
        (func (export "ge") (result i32) (global.get $e))
        (func (export "sg") (param i32) (global.set $g (local.get 0)))
        (func (export "call") (result i32) (call_indirect (result i32) (i32.const 1))))"#;
    for config in configs() {
        let mut rig = Rig::new(config);
        let one = rig.instantiate(first, &[]).unwrap();
        let imports = ["a", "b", "c", "d"].map(|name| rig.export(one, name));
        let two = rig.instantiate(second, &imports).unwrap();
        for (instance, name, args, want) in [
            (two, "ga", [].as_slice(), "[20]"),
            (two, "ge", &[], "[61]"),
            (two, "gc", &[], "[1069547520]"),
            (two, "gb", &[], "[7]"),
            (two, "sb", &[1 << 40], "[]"),
            (one, "get", &[], "[1099511627776]"),
            (two, "gb", &[], "[1099511627776]"),
            (two, "sg", &[3], "[]"),
            (two, "call", &[], "[9]"),
        ] {
            assert_eq!(short(rig.call(instance, name, args)), want, "{name}");
        }
        let global = |rig: &Rig, instance, name| match rig.export(instance, name) {
            ExternId::Global(global) => global,
            other => panic!("{other:?}"),
        };
        assert_eq!(global(&rig, one, "a"), global(&rig, two, "a"));
        assert_eq!(global(&rig, one, "b"), global(&rig, two, "b"));
        assert_eq!(rig.store.global_get(global(&rig, two, "g")), [3, 0]);
        assert_eq!(rig.store.global_get(global(&rig, two, "e")), [61, 0]);
        rig.store.global_set(global(&rig, two, "b"), [5, 0]);
        assert_eq!(short(rig.call(one, "get", &[])), "[5]");
        // The host's own, as an import.
        let ty = rig.store.global_type(global(&rig, two, "b"));
        let own = rig.store.add_global(ty, [77, 0]).unwrap();
        let imports = [imports[0], ExternId::Global(own), imports[2], imports[3]];
        let three = rig.instantiate(second, &imports).unwrap();
        assert_eq!(short(rig.call(three, "gb", &[])), "[77]");
        rig.call(three, "sb", &[78]).unwrap();
        assert_eq!(rig.store.global_get(own), [78, 0]);
    }
}

/// Counts how many of it are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Arc<Self> {
        alive.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self(alive.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_ne!(self.0.fetch_sub(1, Ordering::Relaxed), 0, "dropped twice");
    }
}

#[test]
fn host_values_live_as_long_as_somebody_holds_them() {
    let wat = r#"(module
        (import "" "make" (func $make (result externref)))
        (import "" "check" (func $check (param externref)))
        (table $t 10 externref)
        (global $g (mut externref) (ref.null extern))
        (func (export "churn") (param i32)
            (loop
                (global.set $g (call $make))
                (call $check (global.get $g))
                (table.set (i32.rem_u (local.get 0) (i32.const 10)) (global.get $g))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (call $check (table.get (i32.const 3))))
        (func (export "clear")
            (table.fill (i32.const 0) (ref.null extern) (i32.const 10)) (global.set $g (ref.null extern)))
        (func $hold (export "hold") (param externref i32)
            (if (local.get 1)
                (then (call $hold (local.get 0) (i32.sub (local.get 1) (i32.const 1))))
                (else (call $check (call $make))))
            (call $check (local.get 0))))"#;
    for config in configs() {
        let alive = Arc::new(AtomicUsize::new(0));
        let mut rig = Rig::new(config);
        let made = alive.clone();
        let make = rig.host(&[], &[ValType::EXTERNREF], move |rig, _| {
            rig.store.externs_make_room();
            let handle = rig.store.extern_insert(Counted::new(&made))?;
            // Others come and go.
            Ok(vec![handle.into()])
        });
        let check = rig.host(&[ValType::EXTERNREF], &[], |rig, args| {
            assert!(rig.store.extern_get(args[0] as u32).unwrap().downcast::<Counted>().is_ok());
            rig.store.collect_externs();
            assert!(rig.store.extern_get(args[0] as u32).is_some());
            Ok(vec![])
        });
        let instance = rig.instantiate(wat, &[make, check]).unwrap();
        rig.call(instance, "churn", &[3000]).unwrap();
        assert!(alive.load(Ordering::Relaxed) < 100, "{}", alive.load(Ordering::Relaxed));
        let handle = rig.store.extern_insert(Counted::new(&alive)).unwrap();
        rig.call(instance, "hold", &[handle.into(), 200]).unwrap();
        rig.call(instance, "clear", &[]).unwrap();
        let charged = rig.store.budget.used();
        // What lies on the stack no more may live on, until something else lies there.
        rig.store.stack.slots_mut().fill(0);
        rig.store.ctx.ai = 0;
        rig.store.ctx.value = 0;
        rig.store.collect_externs();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        assert!(rig.store.budget.used() < charged);
        rig.store.extern_insert(Counted::new(&alive)).unwrap();
        drop(rig);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn host_values_are_charged() {
    let mut rig = Rig::new(config());
    rig.store.budget.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).build());
    let alive = Arc::new(AtomicUsize::new(0));
    let made = loop {
        if let Err(error) = rig.store.extern_insert(Counted::new(&alive)) {
            assert_eq!(error.kind(), ErrorKind::Budget);
            break alive.load(Ordering::Relaxed);
        }
    };
    assert!((1000..100_000).contains(&made));
    rig.store.collect_externs();
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    // A handle that means nothing.
    for handle in [0, 1, u32::MAX] {
        assert!(rig.store.extern_get(handle).is_none());
    }
}

/// Where, with which operands, and what it cost.
#[test]
fn traps_say_where() {
    let wat = r#"(module $m
        (import "env" "step" (func $step (param i32)))
        (memory 1) (table 3 funcref)
        (func $load (param i32) (result i32) (i32.load offset=4 (local.get 0)))
        (func $outer (export "outer") (param i32) (result i32) (i32.add (i32.const 1) (call $load (local.get 0))))
        (func (export "store") (param i32) (i64.store16 offset=1 (local.get 0) (i64.const 1)))
        (func (export "stepping") (param i32) (call $step (local.get 0)))
        (func (export "div") (param i32) (result i32)
            (local i32)
            (local.set 1 (i32.const 100))
            (loop (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
            (i32.div_u (i32.const 1) (local.get 0)))
        (func (export "copy") (memory.copy (i32.const 0) (i32.const 1) (i32.const 65536)))
        (func (export "indirect") (call_indirect (i32.const 2))))"#;
    let cases: &[(&str, &[u64], &str)] = &[
        (
            "outer",
            &[70000],
            "trap: out of bounds memory access\n  \
             i32.load of 4 bytes at 70004 (base 70000 + offset 4); memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: load  m\n    1: outer  m",
        ),
        (
            "store",
            &[0xFFFF_FFFF],
            "trap: out of bounds memory access\n  \
             i64.store16 of 2 bytes at 4294967296 (base 4294967295 + offset 1); memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: store  m",
        ),
        (
            "stepping",
            &[70000],
            "trap: out of bounds memory access\n  \
             i32.load of 4 bytes at 70004 (base 70000 + offset 4); memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: load  m\n    1: outer  m\n    -- host: env.step\n    2: stepping  m",
        ),
        ("div", &[0], "trap: integer divide by zero\n  wasm backtrace, innermost first:\n    0: div  m"),
        (
            "copy",
            &[],
            "trap: out of bounds memory access\n  \
             memory.copy of 65536 bytes at 1; memory 0 holds 65536 bytes\n  \
             wasm backtrace, innermost first:\n    0: copy  m",
        ),
        (
            "indirect",
            &[],
            "trap: uninitialized element 2\n  call_indirect of element 2; table 0 holds 3 elements\n  \
             wasm backtrace, innermost first:\n    0: indirect  m",
        ),
    ];
    let mut bills = Vec::new();
    for config in configs() {
        let mut rig = Rig::new(config);
        let instance = Arc::new(AtomicUsize::new(0));
        let seen = instance.clone();
        let step = rig.host(I32, &[], move |rig, args| {
            rig.call(seen.load(Ordering::Relaxed) as u32, "outer", &args).map(|_| vec![]).inspect_err(|error| {
                // Only the guest's own frames are on it yet.
                assert_eq!(error.backtrace().unwrap().frames().len(), 4);
            })
        });
        instance.store(rig.instantiate(wat, &[step]).unwrap() as usize, Ordering::Relaxed);
        let instance = instance.load(Ordering::Relaxed) as u32;
        for &(name, args, want) in cases {
            let error = rig.call(instance, name, args).unwrap_err();
            let text = format!("{error:#}");
            // Without the offsets.
            let lines: Vec<String> = text
                .lines()
                .map(|line| {
                    let words: Vec<&str> = line.split(' ').collect();
                    let kept = words.iter().filter(|word| !word.starts_with("0x"));
                    let line = kept.copied().collect::<Vec<_>>().join(" ");
                    if line.starts_with("    ") { format!("    {}", line.trim().replace(":  ", ": ")) } else { line }
                })
                .map(|line| match line.split_once("  m") {
                    Some((before, "")) => format!("{}  m", before.trim_end()),
                    _ => line,
                })
                .collect();
            assert_eq!(lines.join("\n"), want);
        }
        let frames = |error: &Error| error.backtrace().unwrap().frames().to_vec();
        let error = rig.call(instance, "outer", &[70000]).unwrap_err();
        let desc = &rig.store.instance(instance).module.desc;
        for (frame, (function, opcode)) in frames(&error).iter().zip([(1, 0x28), (2, 0x10)]) {
            assert_eq!(frame.func_index(), function);
            assert_eq!(desc.bytes[frame.module_offset()], opcode);
            assert_eq!(frame.module_offset() - frame.func_offset(), desc.body(function).unwrap().start as usize);
        }
        // What was spent before the trap is charged: 2 for the start, 99 times round, 4 a time, and 3 to the end.
        let before = rig.store.fuel_used();
        rig.call(instance, "div", &[0]).unwrap_err();
        bills.push(rig.store.fuel_used() - before);
        let before = rig.store.fuel_used();
        rig.call(instance, "div", &[1]).unwrap();
        bills.push(rig.store.fuel_used() - before);
    }
    assert!(bills.iter().all(|&bill| bill == bills[0]), "{bills:?}");
}

#[test]
fn backtraces_are_bounded() {
    let wat = r#"(module (func $f (export "f") (call $f)) (func $g (export "g") (param i32)
        (if (local.get 0) (then (call $g (i32.sub (local.get 0) (i32.const 1)))) (else (unreachable)))))"#;
    let mut rig = Rig::new(config());
    let instance = rig.instantiate(wat, &[]).unwrap();
    let error = rig.call(instance, "g", &[1000]).unwrap_err();
    let trace = error.backtrace().unwrap();
    assert_eq!((trace.frames().len(), trace.left_out()), (64, 937));
    for _ in 0..100 {
        let error = rig.call(instance, "f", &[]).unwrap_err();
        let trace = error.backtrace().unwrap();
        assert_eq!(error.trap(), Some(Trap::StackOverflow));
        assert_eq!(trace.frames().len(), 64);
        assert!(trace.left_out() > 10_000);
    }
    let peak = rig.store.budget.peak();
    rig.call(instance, "f", &[]).unwrap_err();
    assert_eq!(rig.store.budget.peak(), peak);
}

/// An invalid body is an error of the call that first needs it, and of every later one.
#[test]
fn lazy_validation() {
    let wat = r#"(module (func $bad (result i32) (i64.const 1))
        (func (export "ok") (result i32) (i32.const 1))
        (func (export "bad") (result i32) (call $bad)))"#;
    let wasm = wat::parse_str(wat).unwrap();
    for (compilation, loads) in
        [(Compilation::Lazy, true), (Compilation::LazyChecked, false), (Compilation::Eager, false)]
    {
        let mut config = config();
        config.compilation(compilation);
        let mut rig = Rig::new(config);
        let loaded = load(&rig.store.engine, wasm.clone().into());
        assert_eq!(loaded.is_ok(), loads);
        assert!(crate::load::validate(&rig.store.engine, wasm.clone().into()).is_err());
        let Ok(loaded) = loaded else { continue };
        let instance = rig.instantiate_loaded(&loaded, &[]).unwrap();
        for _ in 0..3 {
            assert_eq!(short(rig.call(instance, "ok", &[])), "[1]");
            assert_eq!(rig.call(instance, "bad", &[]).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}

/// Threads that translate, patch and run the same code.
#[test]
fn threads_share_code() {
    let mut text = String::from("(module (table funcref (elem");
    (0..100).for_each(|i| text += &format!(" $f{i}"));
    text += "))";
    for i in 0..100 {
        text += &format!(
            "(func $f{i} (param i32) (result i32) (if (result i32) (local.get 0)
                (then (i32.add (i32.const {i}) (call $f{} (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))",
            (i * 37 + 11) % 100
        );
    }
    text += "(func (export \"run\") (param i32) (result i32)
        (call_indirect (param i32) (result i32) (i32.const 60) (local.get 0))))";
    let wasm = wat::parse_str(&text).unwrap();
    for mut config in configs() {
        config.compilation(Compilation::Lazy);
        let engine = Arc::new(EngineInner::new(config).unwrap());
        let loaded = load(&engine, wasm.clone().into()).unwrap();
        let sums: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let loaded = loaded.clone();
                    scope.spawn(move || {
                        let store = StoreInner::new(loaded.engine.clone(), None);
                        let mut rig = Rig { store, hosts: vec![], limiter: Box::new(|_, _| true), failures: 0 };
                        let instance = rig.instantiate_loaded(&loaded, &[]).unwrap();
                        (0..100).map(|i| rig.call(instance, "run", &[i]).unwrap()[0]).sum()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(sums.iter().all(|&sum| sum == sums[0]), "{sums:?}");
    }
}
