//! The public interface: what embedders rely on, and what hostile guests and careless embedders must not be able to do.
//!
//! Tests named after rows (`l3_…`, `t17_…`) are those rows of the list of hostile inputs.

mod calls;
mod hosts;
mod linking;
mod modules;
mod resume;
mod stops;
mod things;

use std::error::Error as StdError;
use std::fmt;

use jitless::*;

type Check = std::result::Result<(), Box<dyn StdError>>;

fn module(engine: &Engine, wat: &str) -> Module {
    match Module::new(engine, wat::parse_str(wat).unwrap()) {
        Ok(module) => module,
        Err(error) => panic!("{error}: {wat}"),
    }
}

/// An instance without imports, in a store of its own.
fn alone(wat: &str) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module(&engine, wat), &[]).unwrap();
    (store, instance)
}

/// Calls an export without parameters that returns an i32.
fn run<T>(store: &mut Store<T>, instance: Instance, name: &str) -> Result<i32> {
    instance.get_typed_func::<(), i32>(&*store, name)?.call(store, ())
}

/// The store still runs what it ran before.
#[track_caller]
fn usable<T>(store: &mut Store<T>) {
    let ok = module(store.engine(), r#"(module (func (export "ok") (result i32) (i32.const 42)))"#);
    let instance = Instance::new(&mut *store, &ok, &[]).unwrap();
    assert_eq!(run(store, instance, "ok").unwrap(), 42);
}

/// An error of this kind whose text has this in it.
#[track_caller]
fn refused<R: fmt::Debug>(result: Result<R>, kind: ErrorKind, text: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(format!("{error}\n{error:#}").contains(text), "{error:#}\nhas no: {text}");
}

#[derive(Debug, PartialEq)]
struct MyError(u32);

impl fmt::Display for MyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "my error {}", self.0)
    }
}

impl StdError for MyError {}

const ADD: &str = r#"(module (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))"#;

const SPIN: &str = r#"(module
    (func (export "spin") (loop $l (br $l)))
    (func (export "count") (param i32) (result i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 7)))"#;

#[test]
fn what_threads_may_share() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Engine>();
    shared::<Module>();
    shared::<Config>();
    // Whatever the data is: a linker and an instance to be hold none.
    shared::<Linker<std::rc::Rc<()>>>();
    shared::<InstancePre<std::rc::Rc<()>>>();
    shared::<StopHandle>();
    shared::<Func>();
    shared::<TypedFunc<i32, i32>>();
    shared::<Memory>();
    shared::<ExternRef>();
    shared::<Val>();
    shared::<Error>();
    sent::<Store<std::cell::Cell<i32>>>();
    sent::<ResumableCall>();
    sent::<TypedResumableCall<i32>>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

/// A store's data may borrow.
#[test]
fn data_need_not_be_static() -> Check {
    let mut log = vec![String::from("first")];
    let engine = Engine::default();
    {
        let mut linker = Linker::<&mut Vec<String>>::new(&engine);
        linker.func_wrap("env", "log", |mut caller: Caller<'_, &mut Vec<String>>, n: i32| {
            caller.data_mut().push(n.to_string());
        })?;
        let module = module(&engine, r#"(module (import "env" "log" (func (param i32))) (export "log" (func 0)))"#);
        let mut store = Store::new(&engine, &mut log);
        let instance = linker.instantiate(&mut store, &module)?;
        instance.get_typed_func::<i32, ()>(&store, "log")?.call(&mut store, 5)?;
        store.into_data().push("last".into());
    }
    assert_eq!(log, ["first", "5", "last"]);
    Ok(())
}

/// Whatever leads to a store does.
#[test]
fn contexts() -> Check {
    let (mut store, instance) = alone(ADD);
    let add = instance.get_typed_func::<(i32, i32), i32>(&store, "add")?;
    assert_eq!(add.call(&mut store, (1, 2))?, 3);
    let borrowed = &mut store;
    assert_eq!(add.call(&mut *borrowed, (1, 2))?, 3);
    assert_eq!(add.call(borrowed.as_context_mut(), (1, 2))?, 3);
    let mut context = store.as_context_mut();
    assert_eq!(add.call(&mut context, (1, 2))?, 3);
    assert!(instance.get_func(&mut context, "add").is_some());
    assert!(instance.get_func(context.as_context(), "add").is_some());
    assert_eq!(instance.exports(&store).map(|export| export.name()).collect::<Vec<_>>(), ["add"]);
    Ok(())
}
