//! What a row is given: the only way it loads and runs anything, and where its bounds and notes are kept.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug, Write};
use std::hash::Hasher;
use std::time::Duration;

use jitless::{Engine, Error, ErrorKind, Instance, Linker, Module, Result, Store, StoreLimitsBuilder};

use super::*;

pub(crate) struct Cx {
    pub(crate) engine: Engine,
    pub(crate) mode: Mode,
    pub(super) ok: Module,
    pub(super) account: Account,
    pub(super) notes: RefCell<Vec<Note>>,
    pub(super) start: i64,
    pub(super) peak: Cell<i64>,
    pub(super) spare: Cell<i64>,
    pub(super) largest: Cell<usize>,
    pub(super) since: Cell<Duration>,
    pub(super) spent: Cell<Duration>,
    pub(super) time_bound: Cell<Duration>,
    pub(super) oracle: Cell<bool>,
    pub(super) timed: Cell<bool>,
}

pub(super) struct Measured {
    pub(super) notes: Vec<Note>,
    pub(super) time: Duration,
    pub(super) time_bound: Duration,
    pub(super) peak: i64,
    pub(super) peak_bound: i64,
}

impl Cx {
    pub(super) fn new(mode: Mode, account: Account, notes: Vec<Note>) -> Self {
        let start = account.live();
        let engine = Engine::new(&mode.config()).unwrap();
        let ok = Module::new(&engine, wat(OK)).unwrap();
        account.take_peak();
        Self {
            engine,
            mode,
            ok,
            account,
            notes: RefCell::new(notes),
            start,
            peak: Cell::new(account.live()),
            spare: Cell::new(0),
            largest: Cell::new(0),
            since: Cell::new(now()),
            spent: Cell::new(Duration::ZERO),
            time_bound: Cell::new(ms(1000) * SLOWER),
            oracle: Cell::new(true),
            timed: Cell::new(false),
        }
    }

    /// The row has returned: the engine still works, and what it cost is known.
    pub(super) fn finish(self) -> Measured {
        self.pause();
        let mut store = Store::new(&self.engine, ());
        self.ok_in(&mut store);
        Measured {
            notes: self.notes.take(),
            time: self.spent.get(),
            time_bound: self.time_bound.get(),
            peak: self.peak.get().max(self.account.take_peak()) - self.start,
            peak_bound: 64 * MIB + 40 * self.largest.get() as i64 + self.spare.get(),
        }
    }

    pub(super) fn pause(&self) {
        self.spent.set(self.spent.get() + now().saturating_sub(self.since.get()));
        self.peak.set(self.peak.get().max(self.account.take_peak()));
    }

    pub(super) fn go_on(&self) {
        self.account.take_peak();
        self.since.set(now());
    }

    /// What is not the engine's work: making inputs, asking others. It is not measured.
    pub(crate) fn aside<R>(&self, work: impl FnOnce() -> R) -> R {
        self.pause();
        let result = work();
        self.go_on();
        result
    }

    /// The row states another bound on its time. In a debug build it is so much longer as everything is.
    pub(crate) fn may_take(&self, bound: Duration) {
        self.time_bound.set(bound * SLOWER);
    }

    /// The row holds so much heap itself.
    pub(crate) fn holds(&self, bytes: usize) {
        self.spare.set(self.spare.get() + bytes as i64);
    }

    /// The clock decides how far guests of this row come: their fuel is not the same again.
    pub(crate) fn timed(&self) {
        self.timed.set(true);
    }

    /// Verdicts of this row are not compared with the reference's: it has other limits, or takes too long.
    pub(crate) fn no_oracle(&self) {
        self.oracle.set(false);
    }

    /// `work` takes at most so long; the best of three, since a machine may be busy.
    #[track_caller]
    pub(crate) fn within<R>(&self, bound: Duration, mut work: impl FnMut() -> R) -> R {
        let noted = self.notes.borrow().len();
        let mut best = Duration::MAX;
        for _ in 0..3 {
            self.unaccounted(|| self.notes.borrow_mut().truncate(noted));
            let mut result = None;
            best = best.min(self.time_of(|| result = Some(work())));
            if let Some(result) = result.filter(|_| best <= bound) {
                return result;
            }
        }
        panic!("took {best:?} at best, at most {bound:?}");
    }

    /// The time that `work` takes; in a debug build, that it would take about if it were optimised.
    pub(crate) fn time_of(&self, work: impl FnOnce()) -> Duration {
        let start = now();
        work();
        now().saturating_sub(start) / SLOWER
    }

    /// `work` holds at most so many bytes of heap at once, beyond what was held before.
    #[track_caller]
    pub(crate) fn heap_within<R>(&self, bound: usize, work: impl FnOnce() -> R) -> R {
        self.peak.set(self.peak.get().max(self.account.take_peak()));
        let before = self.account.live();
        let result = work();
        let peak = self.account.take_peak();
        self.peak.set(self.peak.get().max(peak));
        assert!(peak - before <= bound as i64, "{} bytes of heap at once, at most {bound}", peak - before);
        result
    }

    /// The most bytes of heap that were held at once since the last time it was asked for.
    pub(crate) fn peak(&self) -> i64 {
        let peak = self.account.take_peak();
        self.peak.set(self.peak.get().max(peak));
        peak
    }

    /// The bytes of heap that are held now.
    pub(crate) fn live(&self) -> i64 {
        self.account.live()
    }

    /// What has to be the same again.
    pub(crate) fn note(&self, what: &impl Debug) {
        struct Into<'a>(&'a mut DefaultHasher, String);
        impl Write for Into<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write(text.as_bytes());
                if self.1.len() < 200 {
                    self.1.push_str(text);
                }
                Ok(())
            }
        }
        self.unaccounted(|| {
            let mut hasher = DefaultHasher::new();
            let mut into = Into(&mut hasher, String::new());
            write!(into, "{what:?}").unwrap();
            let text = std::mem::take(&mut into.1);
            self.notes.borrow_mut().push((hasher.finish(), text));
        });
    }

    pub(super) fn unaccounted(&self, work: impl FnOnce()) {
        let mine = MINE.replace(0);
        work();
        MINE.set(mine);
    }

    /// Runs `work` in another thread of the same account, with the same small stack.
    pub(crate) fn spawn<'s, R: Send + 's>(
        &self,
        scope: &'s std::thread::Scope<'s, '_>,
        work: impl FnOnce() -> R + Send + 's,
    ) -> std::thread::ScopedJoinHandle<'s, R> {
        let account = self.account;
        let mine = MINE.replace(0);
        let handle = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
            MINE.set(account.0);
            let result = work();
            MINE.set(0);
            result
        });
        MINE.set(mine);
        handle.expect("a thread")
    }

    /// The end of such a thread.
    pub(crate) fn join<R>(&self, thread: std::thread::ScopedJoinHandle<'_, R>) -> R {
        // What the library made for the thread goes where it came from.
        let mine = MINE.replace(0);
        let result = thread.join().expect("the thread comes to its end");
        MINE.set(mine);
        result
    }

    /// Every error that a row meets: short, one line, nothing in it that a terminal would obey.
    #[track_caller]
    pub(crate) fn seen(&self, error: &Error) {
        self.aside(|| {
            let line = error.to_string();
            assert!(line.len() <= 4096, "an error of {} bytes", line.len());
            assert!(!line.chars().any(|c| c.is_control()), "an error with control characters: {line:?}");
            let whole = format!("{error:#}");
            assert!(whole.len() <= 64 << 10, "an error of {} bytes in all", whole.len());
            assert!(!whole.chars().any(|c| c.is_control() && c != '\n'), "control characters: {whole:?}");
        });
        self.note(&(error.kind(), error.trap(), error.exit_code()));
    }

    // ---- loading

    /// So large is a module that the row loads: its bound on heap goes by the largest.
    pub(crate) fn loads(&self, bytes: &[u8]) {
        self.largest.set(self.largest.get().max(bytes.len()));
    }

    /// Loads a module with the row's engine.
    #[track_caller]
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<Module> {
        self.load_in(&self.engine, bytes)
    }

    #[track_caller]
    pub(crate) fn load_in(&self, engine: &Engine, bytes: &[u8]) -> Result<Module> {
        self.loads(bytes);
        let loaded = Module::new(engine, bytes);
        match &loaded {
            Ok(_) => self.note(&"loads"),
            Err(error) => {
                self.seen(error);
                self.note(&error.offset());
                let offset = error.offset().unwrap_or(0);
                assert!(offset <= bytes.len(), "offset {offset} of {} bytes", bytes.len());
            }
        }
        if self.oracle.get() {
            let refused = loaded.as_ref().is_err_and(|error| error.kind() != ErrorKind::Limit);
            let reference = self.aside(|| reference(bytes));
            match (&loaded, &reference) {
                (Ok(_), Err(reference)) => panic!("loads, but not for the reference: {reference}"),
                (Err(error), Ok(())) if refused => panic!("fine for the reference, but not for us: {error}"),
                _ => {}
            }
        }
        loaded
    }

    /// The module loads.
    #[track_caller]
    pub(crate) fn accepts(&self, bytes: &[u8]) -> Module {
        match self.load(bytes) {
            Ok(module) => module,
            Err(error) => panic!("should load: {error}"),
        }
    }

    /// The module does not load, for one of these reasons.
    #[track_caller]
    pub(crate) fn refuses(&self, bytes: &[u8], kinds: &[ErrorKind]) -> Error {
        match self.load(bytes) {
            Ok(_) => panic!("should not load, but be {kinds:?}: {:02x?}", &bytes[..bytes.len().min(100)]),
            Err(error) if kinds.contains(&error.kind()) => error,
            Err(error) => panic!("should be {kinds:?}, is {:?}: {error}", error.kind()),
        }
    }

    #[track_caller]
    pub(crate) fn malformed(&self, bytes: &[u8]) -> Error {
        self.refuses(bytes, &[ErrorKind::Malformed])
    }

    #[track_caller]
    pub(crate) fn invalid(&self, bytes: &[u8]) -> Error {
        self.refuses(bytes, &[ErrorKind::Invalid])
    }

    /// The same for a module in the text format.
    #[track_caller]
    pub(crate) fn invalid_wat(&self, text: &str) -> Error {
        let bytes = self.wat(text);
        self.invalid(&bytes)
    }

    #[track_caller]
    pub(crate) fn accepts_wat(&self, text: &str) -> Module {
        let bytes = self.wat(text);
        self.accepts(&bytes)
    }

    #[track_caller]
    pub(crate) fn wat(&self, text: &str) -> Vec<u8> {
        self.aside(|| wat(text))
    }

    // ---- running

    /// An instance of a module without imports, in a store of its own.
    #[track_caller]
    pub(crate) fn guest(&self, text: &str) -> Guest<'_, ()> {
        self.guest_with(text, |_, _| {})
    }

    /// A store without guests, around `data`.
    pub(crate) fn world<T>(&self, data: T) -> Guest<'_, T> {
        let empty = Module::new(&self.engine, H).unwrap();
        Guest::new(self, Store::new(&self.engine, data), Linker::new(&self.engine), &empty)
    }

    #[track_caller]
    pub(crate) fn guest_of(&self, module: &Module) -> Guest<'_, ()> {
        Guest::new(self, Store::new(&self.engine, ()), Linker::new(&self.engine), module)
    }

    #[track_caller]
    pub(crate) fn guest_with(&self, text: &str, define: impl FnOnce(&mut Store<()>, &mut Linker<()>)) -> Guest<'_, ()> {
        let module = self.accepts_wat(text);
        let mut store = Store::new(&self.engine, ());
        let mut linker = Linker::new(&self.engine);
        define(&mut store, &mut linker);
        Guest::new(self, store, linker, &module)
    }

    /// The store goes on working.
    #[track_caller]
    pub(crate) fn ok_in<T>(&self, store: &mut Store<T>) {
        assert!(Engine::same(store.engine(), &self.engine));
        let limits = *store.limits();
        let fuel = store.get_fuel().unwrap();
        store.set_limits(StoreLimitsBuilder::new().total_memory(u64::MAX).instances(usize::MAX).build());
        store.set_fuel(u64::MAX).unwrap();
        store.set_deadline(None);
        let instance = Instance::new(&mut *store, &self.ok, &[]).expect("the store still works");
        let ok = instance.get_typed_func::<(), i32>(&*store, "ok").expect("it has its exports");
        assert_eq!(ok.call(&mut *store, ()).expect("it runs"), 42);
        store.set_limits(limits);
        store.set_fuel(fuel).unwrap();
    }
}
