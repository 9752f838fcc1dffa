//! Hosts that load, re-enter, fail, panic, or have a say in growth.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use jitless::{
    Caller, Error, ErrorKind::*, Instance, Linker, Memory, MemoryType, Module, Ref, RefType, ResourceLimiter, Store,
    Table, TableType, Val,
};

use super::MyError;
use crate::harness::*;

pub(super) fn l7_a_host_that_loads_another_module(cx: &Cx) {
    let inner = cx.wat(
        "(module (memory 1) (func (export \"f\") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))",
    );
    let mut guest = cx.guest_with(
        r#"(module (import "h" "eval" (func $eval (param i32) (result i32))) (memory 1)
            (func (export "f") (param i32) (result i32) (i32.store (i32.const 0) (i32.const 5))
                (i32.add (call $eval (local.get 0)) (i32.add (i32.load (i32.const 0)) (call $eval
                (i32.const 100))))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "eval", move |mut caller: Caller<'_, ()>, n: i32| {
                    let module = Module::new(caller.engine(), &inner)?;
                    let instance = Instance::new(&mut caller, &module, &[])?;
                    let f = instance.get_typed_func::<i32, i32>(&caller, "f")?;
                    drop(module);
                    f.call(&mut caller, n)
                })
                .unwrap();
        },
    );
    for n in 0..20 {
        guest.gives("f", &vals![n], &vals![3 * n + 305]);
    }
}

pub(super) fn l8_a_host_that_re_enters(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (type $t (func (param i32) (result i32))) (import "h" "again" (func $again (type $t)))
            (memory 1) (table $t (export "t") 2 funcref) (elem $e (i32.const 0) $host $other) (elem $p func $other)
            (func $host (type $t) (i32.add (call $again (local.get 0)) (i32.const 1)))
            (func $other (type $t) (i32.const 77))
            (func (export "inner") (param i32) (result i32)
                (drop (memory.grow (i32.const 3))) (i32.store (i32.const 200000) (i32.const 9))
                (drop (table.grow $t (ref.func $other) (i32.const 100)))
                (table.set $t (i32.const 0) (ref.func $other))
                (table.init $t $p (i32.const 1) (i32.const 0) (i32.const 1)) (elem.drop $p)
                (i32.mul (local.get 0) (i32.const 10)))
            (func (export "f") (param i32) (result i32 i32 i32 i32) (local i64 i64)
                (local.set 1 (i64.const 5)) (local.set 2 (i64.const 6))
                (i32.add (i32.wrap_i64 (i64.add (local.get 1) (local.get 2)))
                    (call_indirect (type $t) (local.get 0) (i32.const 0)))
                (i32.load (i32.const 200000)) (call_indirect (type $t) (i32.const 0) (i32.const 101))
                (i32.add (memory.size) (i32.wrap_i64 (local.get 1)))))"#,
        |_, linker| {
            linker
                .func_wrap("h", "again", |mut caller: Caller<'_, ()>, n: i32| {
                    let inner = caller.get_export("inner").unwrap().into_func().unwrap();
                    inner.typed::<i32, i32>(&caller)?.call(&mut caller, n)
                })
                .unwrap();
        },
    );
    guest.gives("f", &vals![4], &vals![11 + 41, 9, 77, 4 + 5]);
    // Now slot 0 holds the other one.
    guest.gives("f", &vals![4], &vals![11 + 77, 9, 77, 4 + 5]);
}

pub(super) fn l11_an_error_of_the_host_from_deep_down(cx: &Cx) {
    let mut guest = cx.guest_with(
        r#"(module (import "h" "fail" (func $fail)) (global $after (export "after") (mut i32) (i32.const 0))
            (func $deep (export "f") (param i32)
                (if (local.get 0)
                    (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
                    (else (call $fail)))
                (global.set $after (i32.add (global.get $after) (i32.const 1)))))"#,
        |_, linker| {
            linker.func_wrap("h", "fail", || -> jitless::Result<()> { Err(Error::new(MyError { code: 77 })) }).unwrap();
        },
    );
    let error = guest.ends("f", &vals![5], Host);
    assert_eq!(error.downcast_ref::<MyError>(), Some(&MyError { code: 77 }));
    assert_eq!(error.to_string(), "my error 77");
    let frames = error.backtrace().unwrap().frames();
    assert_eq!(frames.iter().filter(|frame| !frame.is_host()).count(), 6, "{error:#}");
    assert_eq!(error.downcast::<MyError>().unwrap(), MyError { code: 77 });
    assert_eq!(guest.export("after").into_global().unwrap().get(&guest.store), Val::I32(0));
}

pub(super) fn l12_a_host_that_panics(cx: &Cx) {
    /// A panic that prints nothing.
    fn panic_quietly() -> ! {
        resume_unwind(Box::new("the host's panic"))
    }
    struct Data {
        limiter: bool,
    }
    impl ResourceLimiter for Data {
        fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> jitless::Result<bool> {
            if self.limiter {
                panic_quietly()
            }
            Ok(true)
        }
        fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> jitless::Result<bool> {
            if self.limiter {
                panic_quietly()
            }
            Ok(true)
        }
    }
    let text = r#"(module (import "h" "panic" (func $panic)) (import "h" "nest" (func $nest)) (memory 1)
        (table 1 funcref)
        (func (export "plain") (local i64) (local.set 0 (i64.const 1)) (call $panic))
        (func (export "nested") (call $nest))
        (func (export "memory") (result i32) (memory.grow (i32.const 1)))
        (func (export "table") (result i32) (table.grow (ref.null func) (i32.const 1)))
        (func (export "fine") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))"#;
    let module = cx.accepts_wat(text);
    let mut store = Store::new(&cx.engine, Data { limiter: false });
    store.limiter(|data| data);
    let mut linker = Linker::new(&cx.engine);
    linker.func_wrap("h", "panic", || -> () { panic_quietly() }).unwrap();
    linker
        .func_wrap("h", "nest", |mut caller: Caller<'_, Data>| {
            let plain = caller.get_export("plain").unwrap().into_func().unwrap();
            plain.typed::<(), ()>(&caller)?.call(&mut caller, ())
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut guest = Guest { cx, store, linker, instance };
    guest.gives("fine", &vals![41], &vals![42]);
    let used = guest.store.memory_used();
    for name in ["plain", "nested", "memory", "table"] {
        for _ in 0..3 {
            guest.store.data_mut().limiter = true;
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let func = instance.get_func(&guest.store, name).unwrap();
                let mut results = vec![Val::I32(0); func.ty(&guest.store).results().len()];
                func.call(&mut guest.store, &[], &mut results)
            }));
            let panic = caught.expect_err("the panic reaches the caller");
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"the host's panic"));
            guest.store.data_mut().limiter = false;
            guest.gives("fine", &vals![41], &vals![42]);
        }
    }
    assert_eq!(guest.store.memory_used(), used);
    guest.gives("memory", &[], &vals![1]);
    guest.gives("table", &[], &vals![1]);
    drop(guest);
    // From the drop of a value of the host, collected or with the store.
    struct Bomb(Arc<AtomicI64>, bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
            if self.1 {
                panic_quietly()
            }
        }
    }
    let alive = Arc::new(AtomicI64::new(0));
    let mut guest = cx.guest("(module (global $g (export \"g\") (mut externref) (ref.null extern)))");
    let global = guest.export("g").into_global().unwrap();
    for armed in [true, false, true] {
        alive.fetch_add(1, Relaxed);
        let object = jitless::ExternRef::new(&mut guest.store, Bomb(alive.clone(), armed)).unwrap();
        global.set(&mut guest.store, object.into()).unwrap();
    }
    global.set(&mut guest.store, Val::null_extern_ref()).unwrap();
    for _ in 0..4 {
        let _ = catch_unwind(AssertUnwindSafe(|| guest.store.gc()));
    }
    drop(guest);
    assert_eq!(alive.load(Relaxed), 0);
}

struct Limiter {
    answer: fn(usize, usize) -> jitless::Result<bool>,
    failures: u32,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> jitless::Result<bool> {
        (self.answer)(current, desired)
    }
    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> jitless::Result<bool> {
        (self.answer)(current, desired)
    }
    fn memory_grow_failed(&mut self, _: &Error) -> jitless::Result<()> {
        self.failures += 1;
        Ok(())
    }
    fn table_grow_failed(&mut self, _: &Error) -> jitless::Result<()> {
        self.failures += 1;
        Ok(())
    }
}

pub(super) fn l20_limiters_of_all_sorts(cx: &Cx) {
    let module = cx.accepts_wat(
        r#"(module (memory (export "m") 1 100) (table (export "t") 1 1000000 funcref)
            (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
            (func (export "sizes") (result i32 i32) (memory.size) (table.size)))"#,
    );
    let mut store = Store::new(&cx.engine, Limiter { answer: |_, _| Ok(true), failures: 0 });
    store.limiter(|data| data);
    let linker = Linker::new(&cx.engine);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut guest = Guest { cx, store, linker, instance };
    guest.gives("sizes", &[], &vals![1, 1]);
    let used = guest.store.memory_used();
    // Refuses everything.
    guest.store.data_mut().answer = |_, _| Ok(false);
    guest.gives("memory", &vals![1], &vals![-1]);
    guest.gives("table", &vals![1], &vals![-1]);
    assert_eq!(guest.store.memory_used(), used);
    let refused = guest.linker.instantiate(&mut guest.store, &module).unwrap_err();
    assert_eq!(refused.kind(), Budget, "{refused}");
    assert_eq!(guest.store.memory_used(), used);
    assert!(Memory::new(&mut guest.store, MemoryType::new(1, None)).is_err());
    assert!(Table::new(&mut guest.store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).is_err());
    // Ends the call.
    guest.store.data_mut().answer = |_, desired| Err(Error::msg(format_args!("no {desired} for you")));
    guest.ends("memory", &vals![1], Host);
    guest.ends("table", &vals![1], Host);
    // Allows what the allocator then refuses.
    guest.store.data_mut().answer = |_, _| Ok(true);
    failing(1 << 20, 0, || guest.gives("memory", &vals![50], &vals![-1]));
    failing(1 << 20, 0, || guest.gives("table", &vals![500_000], &vals![-1]));
    assert_eq!((guest.store.data().failures, guest.store.memory_used()), (2, used));
    // Lies: says yes to more than there can be.
    guest.gives("memory", &vals![100], &vals![-1]);
    guest.gives("memory", &vals![-1], &vals![-1]);
    guest.gives("table", &vals![-1], &vals![-1]);
    guest.gives("sizes", &[], &vals![1, 1]);
    assert_eq!(guest.store.memory_used(), used);
    guest.gives("memory", &vals![2], &vals![1]);
    guest.gives("table", &vals![2], &vals![1]);
    guest.gives("sizes", &[], &vals![3, 3]);
    guest.store.data_mut().answer = |current, desired| Ok(desired > current);
}
