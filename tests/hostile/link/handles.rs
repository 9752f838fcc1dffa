//! What an embedder has in its hands: dropped in any order, shared by threads, changed after loading, printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use jitless::{Caller, Compilation, Engine, Error, ErrorKind, Extern, Instance, Linker, Module, Store, Val};

use crate::harness::*;

pub(super) fn l10_drops_in_any_order(cx: &Cx) {
    // All orders of four things; handles are plain numbers and outlive everything.
    for order in 0..24 {
        let mut rest = vec![0, 1, 2, 3];
        let order: Vec<usize> = [4, 3, 2, 1]
            .into_iter()
            .scan(order, |code, n| {
                let at = *code % n;
                *code /= n;
                Some(rest.remove(at))
            })
            .collect();
        let alive = Arc::new(AtomicI64::new(0));
        struct Data(Arc<AtomicI64>);
        impl Drop for Data {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        alive.fetch_add(1, Relaxed);
        let mut engine = Some(Engine::new(&cx.mode.config()).unwrap());
        let mut module = Some(
            Module::new(
                engine.as_ref().unwrap(),
                wat(r#"(module (import "h" "f" (func $h (param i32) (result i32))) (memory (export "m") 1)
                    (func (export "f") (param i32) (result i32) (i32.add (call $h (local.get 0)) (i32.load
                    (i32.const 0)))))"#),
            )
            .unwrap(),
        );
        let mut linker = Some(Linker::<Data>::new(engine.as_ref().unwrap()));
        linker.as_mut().unwrap().func_wrap("h", "f", |n: i32| n + 1).unwrap();
        let copy = linker.clone();
        let mut store = Some(Store::new(engine.as_ref().unwrap(), Data(alive.clone())));
        let instance = linker.as_ref().unwrap().instantiate(store.as_mut().unwrap(), module.as_ref().unwrap()).unwrap();
        let f = instance.get_typed_func::<i32, i32>(store.as_ref().unwrap(), "f").unwrap();
        let func = *f.func();
        let memory = instance.get_memory(store.as_ref().unwrap(), "m").unwrap();
        let handle = store.as_ref().unwrap().stop_handle();
        for (turn, what) in order.into_iter().enumerate() {
            match what {
                0 => drop(engine.take()),
                1 => drop(module.take()),
                2 => drop(linker.take()),
                _ => drop(store.take()),
            }
            match &mut store {
                Some(store) => {
                    memory.write(&mut *store, 0, &[turn as u8]).unwrap();
                    assert_eq!(f.call(&mut *store, 5).unwrap(), 6 + turn as i32);
                    let mut results = [Val::I32(0)];
                    func.call(&mut *store, &vals![5], &mut results).unwrap();
                    if let Some(module) = &module {
                        copy.as_ref().unwrap().instantiate(&mut *store, module).unwrap();
                    }
                }
                None => {
                    handle.stop();
                    assert_eq!(alive.load(Relaxed), 0);
                }
            }
        }
        assert_eq!(alive.load(Relaxed), 0);
    }
}

pub(super) fn l18_eight_threads(cx: &Cx) {
    let mut config = cx.mode.config();
    if cx.mode == Mode::Default {
        config.compilation(Compilation::Lazy);
    }
    let mut functions = String::new();
    for n in 0..50 {
        functions += &format!(
            "(func $f{n} (export \"f{n}\") (param i32) (result i32)
                (i32.add (i32.mul (local.get 0) (i32.const {n})) (call $f{} (i32.const 1))))",
            n + 1
        );
    }
    let bytes = cx.wat(&format!(
        "(module (memory (export \"m\") 1) {functions} (func $f50 (param i32) (result i32) (i32.store (i32.const 0)
            (local.get 0))
            (i32.load (i32.const 0))))"
    ));
    cx.may_take(ms(5000));
    for _ in 0..turns(20, 5) {
        // A fresh module each time, so that its functions are translated in a race.
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, &bytes).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let (engine, module, bytes) = (&engine, &module, &bytes);
                    cx.spawn(scope, move || {
                        for turn in 0..turns(50, 10) {
                            let own = Module::new(engine, bytes).unwrap();
                            for module in [module, &own] {
                                let mut store = Store::new(engine, ());
                                let instance = Instance::new(&mut store, module, &[]).unwrap();
                                let name = format!("f{}", (thread * 7 + turn as usize) % 50);
                                let f = instance.get_typed_func::<i32, i32>(&store, &name).unwrap();
                                let n = (thread * 7 + turn as usize) % 50;
                                let sum: i32 = (n as i32 + 1..50).sum();
                                assert_eq!(f.call(&mut store, 3).unwrap(), 3 * n as i32 + sum + 1);
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| cx.join(thread));
        });
    }
}

pub(super) fn l22_bytes_changed_after_loading(cx: &Cx) {
    let mut config = cx.mode.config();
    config.compilation(Compilation::Lazy);
    let engine = Engine::new(&config).unwrap();
    let mut bytes = wat(r#"(module (memory 1) (data (i32.const 0) "abc") (func (export "f") (result i32) (i32.load8_u
            (i32.const 1))))"#);
    let module = Module::new(&engine, &bytes).unwrap();
    bytes.fill(0xFF);
    drop(bytes);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    assert_eq!(instance.get_typed_func::<(), i32>(&store, "f").unwrap().call(&mut store, ()).unwrap(), b'b'.into());
}

pub(super) fn l23_debug_of_everything(cx: &Cx) {
    #[track_caller]
    fn short(what: &dyn std::fmt::Debug) {
        for text in [format!("{what:?}"), format!("{what:#?}")] {
            assert!(text.len() <= 64 << 10, "{} bytes", text.len());
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        }
    }
    let evil = "\x1B[2J\n".repeat(1000);
    let escaped: String = evil.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let module = cx.accepts_wat(&format!(
        r#"(module (import "{escaped}" "{escaped}" (func $h (param i32))) (memory (export "m") 1) (table
            (export "t") 1 funcref)
            (global (export "{escaped}") (mut i32) (i32.const 0))
            (func (export "f") (param i32) (call $h (local.get 0))))"#
    ));
    let mut store = Store::new(&cx.engine, ());
    let mut linker = Linker::new(&cx.engine);
    linker
        .func_wrap(&evil, &evil, |caller: Caller<'_, ()>, _: i32| {
            short(&caller);
            short(&caller.backtrace());
            short(&caller.engine());
            short(&caller.instance());
            Err::<(), _>(Error::msg("enough"))
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let func = instance.get_func(&store, "f").unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    let object = jitless::ExternRef::new(&mut store, evil.clone()).unwrap();
    let paused = func.call_resumable(&mut store, &vals![1], &mut []).unwrap();
    let (typed, stop) = (func.typed::<i32, ()>(&store).unwrap(), store.stop_handle());
    let items: Vec<Extern> = instance.exports(&store).map(|export| export.into_extern()).collect();
    let import = module.imports().next().unwrap();
    let error = func.call(&mut store, &vals![1], &mut []).unwrap_err();
    let link = Linker::new(&cx.engine).instantiate(&mut store, &module).unwrap_err();
    let everything: [&dyn std::fmt::Debug; 22] = [
        &cx.engine,
        &cx.engine.config(),
        &module,
        &linker,
        &pre,
        &store,
        &instance,
        &func,
        &typed,
        &object,
        &paused,
        &stop,
        &items,
        &import,
        &error,
        &link,
        &error.cause(),
        &link.cause(),
        &error.backtrace(),
        &func.ty(&store),
        &store.limits(),
        &ErrorKind::Malformed,
    ];
    everything.into_iter().for_each(short);
    short(&Val::from(object));
    short(&module.exports().collect::<Vec<_>>());
    cx.ok_in(&mut store);
}
