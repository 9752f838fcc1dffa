//! What holds for every row: no panic, little native stack, little time, little heap, nothing left behind, an engine
//! and a store that go on working, and the same outcome again.
//!
//! Idea: a row is a function of a [`Cx`], which is the only way it loads and runs anything. It runs twice, each time in
//! a thread of its own with a small stack: as configured by default, and bounced and translated eagerly. What it notes
//! (outcomes, fuel, bytes of memories) has to be the same both times.
//!
//! Invariant: a row that returns has been measured; no bound depends on the row to ask for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug, Write};
use std::hash::Hasher;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jitless::{
    Compilation, Config, Dispatch, Engine, Error, ErrorKind, Extern, Instance, Linker, Module, Result, Store,
    StoreLimitsBuilder, Trap, Val,
};

// ---- rows

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

// ---- heap

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ACCOUNTS: usize = 64;
static LIVE: [AtomicI64; ACCOUNTS] = [const { AtomicI64::new(0) }; ACCOUNTS];
static PEAK: [AtomicI64; ACCOUNTS] = [const { AtomicI64::new(0) }; ACCOUNTS];
static OPEN: [AtomicBool; ACCOUNTS] = [const { AtomicBool::new(false) }; ACCOUNTS];

thread_local! {
    /// Whose account this thread's allocations go to; 0 is nobody's.
    static MINE: Cell<usize> = const { Cell::new(0) };
    /// Allocations of this thread that are at least so large fail, after some that do not.
    static FAIL: Cell<(usize, u64)> = const { Cell::new((usize::MAX, 0)) };
}

/// A row's share of the heap, across its threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(usize);

impl Account {
    fn open() -> Self {
        loop {
            for number in 1..ACCOUNTS {
                if OPEN[number].compare_exchange(false, true, Relaxed, Relaxed).is_ok() {
                    LIVE[number].store(0, Relaxed);
                    PEAK[number].store(0, Relaxed);
                    return Self(number);
                }
            }
            std::thread::yield_now();
        }
    }

    fn close(self) {
        OPEN[self.0].store(false, Relaxed);
    }

    fn live(self) -> i64 {
        LIVE[self.0].load(Relaxed)
    }

    /// The most since the last time it was asked for.
    fn take_peak(self) -> i64 {
        PEAK[self.0].swap(self.live(), Relaxed)
    }
}

fn count(delta: i64) {
    // At the end of a thread there is no account any more.
    let mine = MINE.try_with(Cell::get).unwrap_or(0);
    let live = LIVE[mine].fetch_add(delta, Relaxed) + delta;
    if delta > 0 {
        PEAK[mine].fetch_max(live, Relaxed);
    }
}

fn refuses(size: usize) -> bool {
    FAIL.try_with(|fail| match fail.get() {
        (least, _) if size < least => false,
        (_, 0) => true,
        (least, more) => {
            fail.set((least, more - 1));
            false
        }
    })
    .unwrap_or(false)
}

/// Runs `work` while allocations of at least `size` bytes fail, but for the first `after` of them.
pub(crate) fn failing<R>(size: usize, after: u64, work: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            FAIL.set((usize::MAX, 0));
        }
    }
    let _restore = Restore;
    FAIL.set((size, after));
    work()
}

// SAFETY: everything is handed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are the system's.
        let made = unsafe { System.alloc(layout) };
        if !made.is_null() {
            count(layout.size() as i64);
        }
        made
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        let made = unsafe { System.alloc_zeroed(layout) };
        if !made.is_null() {
            count(layout.size() as i64);
        }
        made
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        let made = unsafe { System.realloc(old, layout, size) };
        if !made.is_null() {
            count(size as i64 - layout.size() as i64);
        }
        made
    }
}

// ---- time

/// The time that this thread has had: what a row is charged, however busy the machine is. Elsewhere than on Linux, the
/// time that has passed.
fn now() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    match spent.as_deref().and_then(|text| text.split(' ').next()?.parse().ok()) {
        Some(nanos) => Duration::from_nanos(nanos),
        None => {
            static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
            START.get_or_init(Instant::now).elapsed()
        }
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Fewer turns of a loop where code is not optimised.
pub(crate) const fn turns(release: u32, debug: u32) -> u32 {
    if DEBUG { debug } else { release }
}

/// A tenth of the size where code is not optimised.
pub(crate) const fn size(release: usize) -> usize {
    if DEBUG { release / 10 } else { release }
}

// ---- context

pub(crate) struct Cx {
    pub(crate) engine: Engine,
    pub(crate) mode: Mode,
    ok: Module,
    account: Account,
    notes: RefCell<Vec<Note>>,
    start: i64,
    peak: Cell<i64>,
    spare: Cell<i64>,
    largest: Cell<usize>,
    since: Cell<Duration>,
    spent: Cell<Duration>,
    time_bound: Cell<Duration>,
    oracle: Cell<bool>,
    timed: Cell<bool>,
}

struct Measured {
    notes: Vec<Note>,
    time: Duration,
    time_bound: Duration,
    peak: i64,
    peak_bound: i64,
}

impl Cx {
    fn new(mode: Mode, account: Account, notes: Vec<Note>) -> Self {
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
    fn finish(self) -> Measured {
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

    fn pause(&self) {
        self.spent.set(self.spent.get() + now().saturating_sub(self.since.get()));
        self.peak.set(self.peak.get().max(self.account.take_peak()));
    }

    fn go_on(&self) {
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

    fn unaccounted(&self, work: impl FnOnce()) {
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

const OK: &str = r#"(module (func (export "ok") (result i32) (i32.const 42)))"#;

/// A store with an instance in it, which calls go to. When it goes, the store is tried once more.
pub(crate) struct Guest<'c, T> {
    pub(crate) cx: &'c Cx,
    pub(crate) store: Store<T>,
    pub(crate) linker: Linker<T>,
    pub(crate) instance: Instance,
}

impl<'c, T> Guest<'c, T> {
    #[track_caller]
    pub(crate) fn new(cx: &'c Cx, mut store: Store<T>, linker: Linker<T>, module: &Module) -> Self {
        let instance = linker.instantiate(&mut store, module).expect("instantiates");
        Self { cx, store, linker, instance }
    }

    /// Another instance in the same store; its exports can be imported from `name` from now on.
    #[track_caller]
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Instance {
        let instance = self.try_add(text).expect("instantiates");
        self.linker.instance(&self.store, name, instance).expect("new names");
        instance
    }

    /// The same for what may fail.
    #[track_caller]
    pub(crate) fn try_add(&mut self, text: &str) -> Result<Instance> {
        let module = self.cx.accepts_wat(text);
        let result = self.linker.instantiate(&mut self.store, &module);
        if let Err(error) = &result {
            self.cx.seen(error);
        }
        result
    }

    /// Calls go to this instance from now on.
    pub(crate) fn at(&mut self, instance: Instance) -> &mut Self {
        self.instance = instance;
        self
    }

    /// Calls an export and gives back its results.
    #[track_caller]
    pub(crate) fn call(&mut self, name: &str, args: &[Val]) -> Result<Vec<Val>> {
        let func = self.instance.get_func(&self.store, name).unwrap_or_else(|| panic!("no export {name}"));
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        let result = func.call(&mut self.store, args, &mut results);
        match result {
            Ok(()) => {
                self.cx.note(&Plain(&results));
                Ok(results)
            }
            Err(error) => {
                self.cx.seen(&error);
                Err(error)
            }
        }
    }

    /// Calls an export that returns these values.
    #[track_caller]
    pub(crate) fn gives(&mut self, name: &str, args: &[Val], want: &[Val]) {
        match self.call(name, args) {
            Ok(results) => assert_eq!(results, want, "{name}{args:?}"),
            Err(error) => panic!("{name}{args:?} should give {want:?}: {error:#}"),
        }
    }

    /// Calls an export that fails.
    #[track_caller]
    pub(crate) fn fails(&mut self, name: &str, args: &[Val]) -> Error {
        match self.call(name, args) {
            Ok(results) => panic!("{name}{args:?} should fail, gives {results:?}"),
            Err(error) => error,
        }
    }

    #[track_caller]
    pub(crate) fn traps(&mut self, name: &str, args: &[Val], want: Trap) -> Error {
        let error = self.fails(name, args);
        assert_eq!(error.trap(), Some(want), "{name}{args:?}: {error}");
        error
    }

    #[track_caller]
    pub(crate) fn ends(&mut self, name: &str, args: &[Val], want: ErrorKind) -> Error {
        let error = self.fails(name, args);
        assert_eq!(error.kind(), want, "{name}{args:?}: {error}");
        error
    }

    /// The fuel that a call takes, whatever comes of it.
    #[track_caller]
    pub(crate) fn fuel_of(&mut self, name: &str, args: &[Val]) -> u64 {
        let before = self.store.fuel_used();
        let _ = self.call(name, args);
        self.store.fuel_used() - before
    }

    pub(crate) fn export(&self, name: &str) -> Extern {
        self.instance.get_export(&self.store, name).unwrap_or_else(|| panic!("no export {name}"))
    }
}

/// References are the same again though their handles may differ.
struct Plain<'a>(&'a [Val]);

impl Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|val| format!("{} {val}", val.ty()))).finish()
    }
}

impl<T> Drop for Guest<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if !self.cx.timed.get() {
            self.cx.note(&("fuel", self.store.fuel_used()));
        }
        let memories: Vec<_> = self.instance.exports(&self.store).filter_map(|export| export.into_memory()).collect();
        for memory in memories {
            let mut hasher = DefaultHasher::new();
            let bytes = memory.data(&self.store);
            // Large memories are mostly untouched, and stay so.
            hasher.write(&bytes[..bytes.len().min(1 << 20)]);
            self.cx.note(&("memory", bytes.len(), hasher.finish()));
        }
        self.cx.ok_in(&mut self.store);
    }
}

/// Values of the types that these have.
macro_rules! vals {
    ($($value:expr),* $(,)?) => { [$(jitless::Val::from($value)),*] };
}
pub(crate) use vals;

// ---- inputs

pub(crate) const H: [u8; 8] = *b"\0asm\x01\0\0\0";

#[track_caller]
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{}", &text[..text.len().min(500)]))
}

/// Bytes from hexadecimal digits in pairs.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// The shortest unsigned LEB128.
pub(crate) fn leb(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// The shortest signed LEB128.
pub(crate) fn sleb(mut n: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = n as u8 & 0x7F;
        n >>= 7;
        if (n == 0 && byte & 0x40 == 0) || (n == -1 && byte & 0x40 != 0) {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

pub(crate) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `bytes` so many times.
pub(crate) fn times(bytes: &[u8], n: usize) -> Vec<u8> {
    bytes.repeat(n)
}

/// A section.
pub(crate) fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    cat(&[&[id], &leb(contents.len() as u64), contents])
}

/// A function's body, that begins with its locals.
pub(crate) fn func(body: &[u8]) -> Vec<u8> {
    cat(&[&leb(body.len() as u64), body])
}

/// One type without parameters and results.
pub(crate) fn t0() -> Vec<u8> {
    section(1, &[1, 0x60, 0, 0])
}

/// A type of so many `i64` to so many `i64`.
pub(crate) fn wide(params: usize, results: usize) -> Vec<u8> {
    let i64s = |n: usize| cat(&[&leb(n as u64), &times(&[0x7E], n)]);
    cat(&[&[0x60], &i64s(params), &i64s(results)])
}

/// One type of a thousand `i64` to a thousand `i64`.
pub(crate) fn t1000() -> Vec<u8> {
    section(1, &cat(&[&[1], &wide(1000, 1000)]))
}

/// A module of sections.
pub(crate) fn module(sections: &[&[u8]]) -> Vec<u8> {
    cat(&[&H, &cat(sections)])
}

/// A module of one function without parameters and results.
pub(crate) fn body(bytes: &[u8]) -> Vec<u8> {
    module(&[&t0(), &section(3, &[1, 0]), &section(10, &cat(&[&[1], &func(bytes)]))])
}

/// The same, exported as `f`.
pub(crate) fn exported_body(bytes: &[u8]) -> Vec<u8> {
    module(&[&t0(), &section(3, &[1, 0]), &export_f(), &section(10, &cat(&[&[1], &func(bytes)]))])
}

/// Exports function 0 as `f`.
pub(crate) fn export_f() -> Vec<u8> {
    section(7, b"\x01\x01f\0\0")
}

/// `local.get` of 0 to n - 1.
pub(crate) fn gets(n: u64) -> Vec<u8> {
    (0..n).flat_map(|local| cat(&[&[0x20], &leb(local)])).collect()
}

/// Small modules, each about something else, that mutations start from. None imports anything.
pub(crate) const SEEDS: &[(&str, &str)] = &[
    (
        "numbers",
        r#"(module (func (export "run") (param i32 i64 f32 f64) (result i64)
            (i64.add (i64.extend_i32_s (i32.mul (local.get 0) (i32.const 77777)))
                (i64.xor (local.get 1) (i64.trunc_sat_f64_s
                    (f64.add (f64.promote_f32 (f32.sqrt (local.get 2))) (f64.mul (local.get 3) (f64.const 0.5))))))))"#,
    ),
    (
        "control",
        r#"(module (func $f (export "run") (param i32) (result i32) (local i32)
            (block $out (loop $again
                (br_if $out (i32.gt_u (local.get 1) (i32.const 20)))
                (block $a (block $b (block $c
                    (br_table $a $b $c (i32.and (local.get 1) (i32.const 3))))
                    (local.set 0 (i32.add (local.get 0) (i32.const 1))))
                    (local.set 0 (i32.mul (local.get 0) (i32.const 3))))
                (local.set 1 (i32.add (local.get 1) (i32.const 1)))
                (br $again)))
            (if (result i32) (i32.and (local.get 0) (i32.const 1)) (then (local.get 0)) (else (i32.const -1)))))"#,
    ),
    (
        "memory",
        r#"(module (memory (export "m") 1 2) (data $d "abcdef") (data (i32.const 8) "active")
            (func (export "run") (param i32) (result i32)
                (memory.init $d (i32.const 100) (i32.const 1) (i32.const 4)) (data.drop $d)
                (memory.copy (i32.const 200) (i32.const 8) (i32.const 6))
                (memory.fill (i32.const 300) (i32.const 0xAA) (i32.const 50))
                (i32.store16 offset=2 (i32.const 100) (local.get 0))
                (drop (memory.grow (i32.const 1)))
                (i32.add (i32.load8_s (i32.const 300)) (i32.add (i32.load (i32.const 100)) (memory.size)))))"#,
    ),
    (
        "tables",
        r#"(module (type $t (func (param i32) (result i32))) (table $t 4 8 funcref) (table $x 2 externref)
            (elem (i32.const 1) $inc $dec) (elem $p funcref (ref.func $inc) (ref.null func))
            (func $inc (type $t) (i32.add (local.get 0) (i32.const 1)))
            (func $dec (type $t) (i32.sub (local.get 0) (i32.const 1)))
            (func (export "run") (param i32) (result i32)
                (table.init $t $p (i32.const 0) (i32.const 0) (i32.const 2)) (elem.drop $p)
                (drop (table.grow $x (ref.null extern) (i32.const 3)))
                (table.copy $t $t (i32.const 3) (i32.const 2) (i32.const 1))
                (call_indirect $t (type $t) (call_indirect $t (type $t) (local.get 0) (i32.const 0)) (i32.const 3))))"#,
    ),
    (
        "globals",
        r#"(module (global $a (mut i64) (i64.const 5)) (global $b (export "b") f64 (f64.const 1.5))
            (global $c i32 (i32.add (i32.const 3) (i32.mul (i32.const 4) (i32.const 5))))
            (func $start (global.set $a (i64.extend_i32_u (global.get $c)))) (start $start)
            (func (export "run") (result i64)
                (global.set $a (i64.mul (global.get $a) (i64.const 3)))
                (i64.add (global.get $a) (i64.reinterpret_f64 (global.get $b)))))"#,
    ),
    (
        "calls",
        r#"(module (func $fib (export "run") (param i32) (result i32)
                (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
                    (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
            (func (export "go") (result i32) (call $fib (i32.const 12))))"#,
    ),
    (
        "tail",
        r#"(module (func $even (export "run") (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
                (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
            (func $odd (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
                (return_call $even (i32.sub (local.get 0) (i32.const 1))))
            (func (export "go") (result i32) (call $even (i32.const 501))))"#,
    ),
    (
        "values",
        r#"(module (func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
            (func (export "run") (param i32) (result i64 i32)
                (local.get 0) (i64.const 9)
                (block (param i32 i64) (result i64 i32) (call $swap) (br_if 0 (local.get 0))
                    (drop) (drop) (i64.const 3) (i32.const 4))))"#,
    ),
    (
        "memories",
        r#"(module (memory $a 1) (memory $b (export "b") 1 3) (data (memory $b) (i32.const 4) "xyz")
            (func (export "run") (result i32)
                (memory.copy $b $a (i32.const 0) (i32.const 4) (i32.const 2))
                (memory.copy $a $b (i32.const 8) (i32.const 4) (i32.const 3))
                (i32.store8 $b (i32.const 9) (i32.load8_u $a (i32.const 9)))
                (drop (memory.grow $b (i32.const 1))) (memory.size $b)))"#,
    ),
    (
        "traps",
        r#"(module (memory 1) (table 1 funcref)
            (func (export "run") (param i32) (result i32)
                (block $d (block $c (block $b (block $a (br_table $a $b $c $d (local.get 0)))
                    (unreachable)) (return (i32.div_s (i32.const 1) (i32.const 0))))
                    (return (i32.load offset=65536 (i32.const 0))))
                (call_indirect (result i32) (i32.const 0))))"#,
    ),
];

/// What the reference says to a module: the decoder's own validator, with just what this version runs.
pub(crate) fn reference(bytes: &[u8]) -> std::result::Result<(), String> {
    use wasmparser::WasmFeatures as F;
    let features = F::MUTABLE_GLOBAL
        | F::SATURATING_FLOAT_TO_INT
        | F::SIGN_EXTENSION
        | F::REFERENCE_TYPES
        | F::GC_TYPES
        | F::MULTI_VALUE
        | F::BULK_MEMORY
        | F::FLOATS
        | F::EXTENDED_CONST
        | F::TAIL_CALL
        | F::MULTI_MEMORY;
    wasmparser::Validator::new_with_features(features).validate_all(bytes).map(drop).map_err(|error| error.to_string())
}
