//! Dispatch never depends on the optimiser: a long run needs no native stack, in either layout and in any build.
use jitless::{Config, Dispatch, Engine, Instance, Module, Store};

const GUEST: &str = r#"
(module
  (func $count (export "count") (param $n i64) (result i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.xor (local.get $n) (i64.const 5))))
      (br_if $again (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))
    (local.get $sum))
  (func $down (export "down") (param $n i64) (result i64)
    (if (result i64) (i64.eqz (local.get $n))
      (then (i64.const 0))
      (else (i64.add (i64.const 1) (call $down (i64.sub (local.get $n) (i64.const 1))))))))
"#;

/// Native stack in bytes, and rounds of a loop of two tiles at least.
const fn extent() -> (usize, i64) {
    if cfg!(debug_assertions) { (256 << 10, 500_000) } else { (64 << 10, 50_000_000) }
}

fn runs(dispatch: Dispatch) {
    let (stack, rounds) = extent();
    let engine = Engine::new(Config::new().dispatch(dispatch)).unwrap();
    let module = Module::new(&engine, wat::parse_str(GUEST).unwrap()).unwrap();
    let sum = (1..=rounds).fold(0i64, |sum, n| sum.wrapping_add(n ^ 5));
    let run = move || {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let count = instance.get_typed_func::<i64, i64>(&store, "count").unwrap();
        assert_eq!(count.call(&mut store, rounds).unwrap(), sum);
        let down = instance.get_typed_func::<i64, i64>(&store, "down").unwrap();
        assert_eq!(down.call(&mut store, 50_000).unwrap(), 50_000);
    };
    std::thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_long_run_in_the_layout_that_the_probe_chose() {
    runs(Dispatch::Auto);
}

#[test]
fn a_long_run_bounced() {
    runs(Dispatch::Bounced);
}
