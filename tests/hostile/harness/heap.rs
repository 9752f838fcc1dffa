//! The heap that a row uses: an allocator that counts, an account for each row, and failures to order.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ACCOUNTS: usize = 64;
static LIVE: [AtomicI64; ACCOUNTS] = [const { AtomicI64::new(0) }; ACCOUNTS];
static PEAK: [AtomicI64; ACCOUNTS] = [const { AtomicI64::new(0) }; ACCOUNTS];
static OPEN: [AtomicBool; ACCOUNTS] = [const { AtomicBool::new(false) }; ACCOUNTS];

thread_local! {
    /// Whose account this thread's allocations go to; 0 is nobody's.
    pub(super) static MINE: Cell<usize> = const { Cell::new(0) };
    /// Allocations of this thread that are at least so large fail, after some that do not.
    static FAIL: Cell<(usize, u64)> = const { Cell::new((usize::MAX, 0)) };
}

/// A row's share of the heap, across its threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(pub(super) usize);

impl Account {
    pub(super) fn open() -> Self {
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

    pub(super) fn close(self) {
        OPEN[self.0].store(false, Relaxed);
    }

    pub(super) fn live(self) -> i64 {
        LIVE[self.0].load(Relaxed)
    }

    /// The most since the last time it was asked for.
    pub(super) fn take_peak(self) -> i64 {
        PEAK[self.0].swap(self.live(), Relaxed)
    }
}

pub(super) fn count(delta: i64) {
    // At the end of a thread there is no account any more.
    let mine = MINE.try_with(Cell::get).unwrap_or(0);
    let live = LIVE[mine].fetch_add(delta, Relaxed) + delta;
    if delta > 0 {
        PEAK[mine].fetch_max(live, Relaxed);
    }
}

pub(super) fn refuses(size: usize) -> bool {
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
