//! Stopping a guest that would never end: at a moment, and from another thread.
use std::thread;
use std::time::{Duration, Instant};

use jitless::{Engine, ErrorKind, Instance, Module, ResumableCall, Store};

const WAT: &str = r#"(module
    (global $n (export "n") (mut i64) (i64.const 0))
    (func (export "spin") (loop $l (global.set $n (i64.add (global.get $n) (i64.const 1))) (br $l)))
    (func (export "answer") (result i32) (i32.const 42)))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(WAT)?)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let spin = instance.get_typed_func::<(), ()>(&store, "spin")?;
    let answer = instance.get_typed_func::<(), i32>(&store, "answer")?;

    // At a moment. No thread watches the clock: the machine does.
    let start = Instant::now();
    store.set_deadline(Some(start + Duration::from_millis(50)));
    let error = spin.call(&mut store, ()).unwrap_err();
    println!("{error:#}\nafter {:?}", start.elapsed());
    assert_eq!(error.kind(), ErrorKind::Deadline);
    store.set_deadline(None);
    assert_eq!(answer.call(&mut store, ())?, 42);

    // From another thread. It stops the call that runs, and no other.
    let handle = store.stop_handle();
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        handle.stop();
    });
    let error = spin.call(&mut store, ()).unwrap_err();
    stopper.join().map_err(|_| "the other thread failed")?;
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::Stopped);
    assert_eq!(answer.call(&mut store, ())?, 42);

    // A call that was stopped can go on, if it was made so.
    store.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
    let spin = spin.func();
    let ResumableCall::Stopped(paused) = spin.call_resumable(&mut store, &[], &mut [])? else {
        return Err("it ended?".into());
    };
    let n = instance.get_global(&store, "n").ok_or("no global")?;
    let before = n.get(&store).i64();
    store.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
    let ResumableCall::Stopped(_) = paused.resume(&mut store, &mut [])? else {
        return Err("it ended?".into());
    };
    assert!(n.get(&store).i64() > before);
    println!("{} rounds in all", n.get(&store));
    Ok(())
}
