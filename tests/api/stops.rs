//! What bounds a call from outside: stops, deadlines, limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jitless::*;

use crate::{Check, MyError, SPIN, alone, module, refused, run, usable};

#[test]
fn l19_stops_hit_the_call_that_runs() -> Check {
    let (mut store, instance) = alone(SPIN);
    let spin = instance.get_typed_func::<(), ()>(&store, "spin")?;
    let count = instance.get_typed_func::<i32, i32>(&store, "count")?;
    let handle = store.stop_handle();

    // Before a call, it does nothing.
    handle.stop();
    assert_eq!(count.call(&mut store, 1000)?, 7);

    // During one, from another thread, any number of times.
    for _ in 0..20 {
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) == 0 {
                    handle.clone().stop();
                    thread::yield_now();
                }
            });
            refused(spin.call(&mut store, ()), ErrorKind::Stopped, "stopped");
            done.store(1, Ordering::Relaxed);
        });
        assert_eq!(count.call(&mut store, 1000)?, 7);
    }

    // From within, and all calls inside each other end.
    let engine = store.engine().clone();
    let mut linker = Linker::<Option<StopHandle>>::new(&engine);
    linker.func_wrap("env", "stop", |mut caller: Caller<'_, Option<StopHandle>>| -> Result<()> {
        if let Some(handle) = caller.data() {
            handle.stop();
        }
        caller.instance().unwrap().get_typed_func::<(), ()>(&caller, "spin")?.call(&mut caller, ())
    })?;
    let nested = module(
        &engine,
        r#"(module (import "env" "stop" (func $stop)) (func (export "spin") (loop $l (br $l)))
            (func (export "run") (result i32) (call $stop) (i32.const 1)))"#,
    );
    let mut other = Store::new(&engine, None);
    *other.data_mut() = Some(other.stop_handle());
    let instance = linker.instantiate(&mut other, &nested)?;
    refused(run(&mut other, instance, "run"), ErrorKind::Stopped, "stopped");
    usable(&mut other);

    // After the store is gone.
    drop(store);
    handle.stop();
    Ok(())
}

#[test]
fn deadlines() -> Check {
    let (mut store, instance) = alone(SPIN);
    let spin = instance.get_typed_func::<(), ()>(&store, "spin")?;
    let start = Instant::now();
    store.set_deadline(Some(start + Duration::from_millis(30)));
    refused(spin.call(&mut store, ()), ErrorKind::Deadline, "deadline passed");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(30) && took < Duration::from_secs(5), "{took:?}");
    // It stays, and ends the next call at once.
    refused(spin.call(&mut store, ()), ErrorKind::Deadline, "deadline passed");
    assert_eq!(store.deadline(), Some(start + Duration::from_millis(30)));
    store.set_deadline(None);
    assert_eq!(instance.get_typed_func::<i32, i32>(&store, "count")?.call(&mut store, 10)?, 7);
    Ok(())
}

#[test]
fn l20_limiters() -> Check {
    /// Answers as it is told to, and notes what it is asked.
    #[derive(Default)]
    struct Limiter {
        refuse: bool,
        fail: bool,
        asked: Vec<(usize, usize, Option<usize>)>,
        failed: Vec<String>,
        instances: usize,
    }
    impl ResourceLimiter for Limiter {
        fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
            self.asked.push((current, desired, maximum));
            if self.fail { Err(Error::new(MyError(1))) } else { Ok(!self.refuse) }
        }
        fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
            self.memory_growing(current, desired, maximum)
        }
        fn memory_grow_failed(&mut self, error: &Error) -> Result<()> {
            self.failed.push(error.to_string());
            Ok(())
        }
        fn instances(&self) -> usize {
            self.instances
        }
    }
    let engine = Engine::default();
    let module = module(
        &engine,
        r#"(module (memory (export "m") 1 10) (table (export "t") 1 10 funcref)
            (func (export "grow") (result i32) (memory.grow (i32.const 2)))
            (func (export "grow_table") (result i32) (table.grow (ref.null func) (i32.const 2))))"#,
    );
    let mut store = Store::new(&engine, Limiter { instances: 1, ..Limiter::default() });
    store.limiter(|limiter| limiter);
    let instance = Instance::new(&mut store, &module, &[])?;
    let page = 65536;
    assert_eq!(store.data_mut().asked.drain(..).collect::<Vec<_>>(), [(0, 1, Some(10)), (0, page, Some(10 * page))]);
    refused(Instance::new(&mut store, &module, &[]), ErrorKind::Budget, "instances");

    assert_eq!((run(&mut store, instance, "grow")?, run(&mut store, instance, "grow_table")?), (1, 1));
    let asked: Vec<_> = store.data_mut().asked.drain(..).collect();
    assert_eq!(asked, [(page, 3 * page, Some(10 * page)), (1, 3, Some(10))]);

    store.data_mut().refuse = true;
    assert_eq!((run(&mut store, instance, "grow")?, run(&mut store, instance, "grow_table")?), (-1, -1));
    let memory = instance.get_memory(&store, "m").unwrap();
    refused(memory.grow(&mut store, 1), ErrorKind::Budget, "by a memory");
    assert_eq!(memory.size(&store), 3);
    *store.data_mut() = Limiter { fail: true, instances: 9, ..Limiter::default() };
    let error = run(&mut store, instance, "grow").unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&MyError(1)));
    assert!(error.backtrace().is_some());
    assert!(memory.grow(&mut store, 1).unwrap_err().is::<MyError>());
    assert!(Instance::new(&mut store, &module, &[]).unwrap_err().is::<MyError>());

    // Where the store's own limits refuse, nobody is asked.
    *store.data_mut() = Limiter { instances: 9, ..Limiter::default() };
    let used = store.memory_used();
    store.set_limits(StoreLimitsBuilder::new().total_memory(used + 100_000).build());
    assert_eq!(run(&mut store, instance, "grow")?, -1);
    assert_eq!((store.memory_used(), store.data().asked.len(), store.data().failed.len()), (used, 0, 0));
    usable(&mut store);
    Ok(())
}

#[test]
fn limits_of_the_store() -> Check {
    let engine = Engine::default();
    let wat = r#"(module (memory 1) (table 1 funcref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "grow_table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let module = module(&engine, wat);
    let with = |limits: StoreLimits| -> Result<_> {
        let mut store = Store::new(&engine, ());
        store.set_limits(limits);
        let instance = Instance::new(&mut store, &module, &[])?;
        let grow = instance.get_typed_func::<u32, i32>(&store, "grow")?;
        let grow_table = instance.get_typed_func::<u32, i32>(&store, "grow_table")?;
        Ok((store, grow, grow_table))
    };
    let limits = StoreLimitsBuilder::new().memory_size(3 << 16).table_elements(100).instances(1).build();
    let (mut store, grow, grow_table) = with(limits)?;
    assert_eq!([3, 2, 1, 0].map(|n| grow.call(&mut store, n).unwrap()), [-1, 1, -1, 3]);
    assert_eq!([100, 99, 1, 0].map(|n| grow_table.call(&mut store, n).unwrap()), [-1, 1, -1, 100]);
    refused(Instance::new(&mut store, &module, &[]), ErrorKind::Budget, "instances");

    let limits = StoreLimitsBuilder::new().memory_size(3 << 16).trap_on_grow_failure(true).build();
    let (mut store, grow, _) = with(limits)?;
    refused(grow.call(&mut store, 3), ErrorKind::Budget, "by a memory");
    assert_eq!(grow.call(&mut store, 2)?, 1);

    let (mut store, grow, grow_table) = with(StoreLimitsBuilder::new().total_memory(1 << 20).build())?;
    assert_eq!(grow.call(&mut store, 20)?, -1);
    assert_eq!(grow_table.call(&mut store, 200_000)?, -1);
    assert_eq!(grow.call(&mut store, 10)?, 1);
    assert!(store.memory_used() <= 1 << 20 && store.memory_peak() <= 1 << 20);
    for limits in [
        StoreLimitsBuilder::new().memories(0).build(),
        StoreLimitsBuilder::new().tables(0).build(),
        StoreLimitsBuilder::new().memory_size(0).build(),
        StoreLimitsBuilder::new().total_memory(1000).build(),
    ] {
        assert_eq!(with(limits).err().map(|error| error.kind()), Some(ErrorKind::Budget));
    }
    Ok(())
}
