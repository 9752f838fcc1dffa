//! What holds for every row: no panic, little native stack, little time, little heap, nothing left behind, an engine
//! and a store that go on working, and the same outcome again.
//!
//! Idea: a row is a function of a [`Cx`], which is the only way it loads and runs anything. It runs twice, each time in
//! a thread of its own with a small stack: as configured by default, and bounced and translated eagerly. What it notes
//! (outcomes, fuel, bytes of memories) has to be the same both times.
//!
//! Invariant: a row that returns has been measured; no bound depends on the row to ask for it.

mod context;
mod guest;
mod heap;
mod inputs;
mod time;

use std::sync::Once;
use std::time::Instant;

use jitless::{Compilation, Config, Dispatch, Engine, Instance, Module, Store};

pub(crate) use self::context::*;
pub(crate) use self::guest::*;
pub(crate) use self::heap::*;
pub(crate) use self::inputs::*;
pub(crate) use self::time::*;

/// Makes a test of each row, and the list of their names.
macro_rules! rows {
    ($($name:ident)*) => {
        pub(crate) const ROWS: &[&str] = &[$(stringify!($name)),*];
        mod row {
            $(
                #[test]
                fn $name() {
                    crate::harness::run(stringify!($name), super::$name);
                }
            )*
        }
    };
}
pub(crate) use rows;

const DEBUG: bool = cfg!(debug_assertions);
const MIB: i64 = 1 << 20;

/// The native stack that a row has.
pub(crate) const STACK: usize = if DEBUG { 1 << 20 } else { 256 << 10 };

/// So much longer may everything take in a debug build.
const SLOWER: u32 = if DEBUG { 20 } else { 1 };

pub(crate) fn run(name: &'static str, row: fn(&Cx)) {
    warm_up();
    let first = run_once(name, row, Mode::Default);
    let again = run_once(name, row, Mode::Other);
    for (number, (first, again)) in first.iter().zip(&again).enumerate() {
        assert!(first == again, "{name}: note {number} is not the same again:\n  {}\n  {}", first.1, again.1);
    }
    assert_eq!(first.len(), again.len(), "{name}: not the same number of notes");
}

/// How an engine runs code: the two settings in which a row has to come out the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Default,
    Other,
}

impl Mode {
    pub(crate) fn config(self) -> Config {
        let mut config = Config::new();
        if self == Self::Other {
            config.dispatch(Dispatch::Bounced).compilation(Compilation::Eager);
        } else {
            config.compilation(Compilation::LazyChecked);
        }
        config
    }
}

/// The hash of a note, and how it begins.
type Note = (u64, String);

fn run_once(name: &'static str, row: fn(&Cx), mode: Mode) -> Vec<Note> {
    let account = Account::open();
    let mut notes = Vec::with_capacity(256);
    let small = std::thread::Builder::new().name(format!("{name} ({mode:?})")).stack_size(STACK);
    let handle = small.spawn(move || {
        MINE.set(account.0);
        let before = account.live();
        let cx = Cx::new(mode, account, std::mem::take(&mut notes));
        row(&cx);
        let measured = cx.finish();
        let left = account.live() - before;
        MINE.set(0);
        (measured, left)
    });
    let joined = handle.expect("a thread").join();
    account.close();
    let (measured, left) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let Measured { notes, time, time_bound, peak, peak_bound } = measured;
    assert!(time <= time_bound, "{name} ({mode:?}): took {time:?}, at most {time_bound:?}");
    assert!(peak <= peak_bound, "{name} ({mode:?}): {peak} bytes of heap at once, at most {peak_bound}");
    assert!(left.abs() <= 4096, "{name} ({mode:?}): {left} bytes left behind");
    notes
}

/// What is made once per process is not of any row.
fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for mode in [Mode::Default, Mode::Other] {
            let engine = Engine::new(&mode.config()).unwrap();
            let module = Module::new(&engine, wat(OK)).unwrap();
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            instance.get_typed_func::<(), i32>(&store, "ok").unwrap().call(&mut store, ()).unwrap();
        }
        let _ = Instant::now();
        let _ = std::thread::spawn(|| std::thread::current().id()).join();
    });
}

const OK: &str = r#"(module (func (export "ok") (result i32) (i32.const 42)))"#;

/// Values of the types that these have.
macro_rules! vals {
    ($($value:expr),* $(,)?) => { [$(jitless::Val::from($value)),*] };
}
pub(crate) use vals;
