//! Statements: what ends an expression, moves control, or calls.
//!
//! Frames lie on the value stack: `[arguments or results | caller's frame | return address] fp-> [locals | homes]`.
//! The link lies at a fixed place below `fp`, so that a return is two independent loads: call-heavy code waits for the
//! chains through `ip` and `fp`, not for instructions.
//!
//! Fuel is charged on edges. Invariant: a tile is never run again after an exit. What leaves half-way leaves a state
//! that says what is still to be done.
use crate::dispatch::{Exit, HANDLER_WORDS, Ip, Rec, Regs, word64};
use crate::form::{Expr, Fault, Value, word};
use crate::symbol::Form;
use crate::trap::Trap;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

/// How a statement ends.
pub enum Flow {
    /// Go on behind it.
    Next,
    /// Go on elsewhere.
    Jump(Ip),
    /// Go on at the first; the address of the handler there stands at the second too.
    JumpTo(Ip, Ip),
    /// Leave for the run loop, which goes on at the given place.
    Leave(Exit, Ip),
    /// Trap.
    Trap(Fault),
}

/// A statement.
pub trait Statement {
    /// Words it takes, operands included.
    const WORDS: usize;
    /// Runs it; its words begin at `p`.
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow;
}

/// The value of an expression, or the flow of its fault.
macro_rules! get {
    ($e:expr) => {
        match $e {
            Ok(v) => v,
            Err(fault) => return Flow::Trap(fault),
        }
    };
}
pub(crate) use get;

/// Keeps the compiler from turning what surrounds it into something else: a conditional move, a call of `memcpy`.
#[inline(always)]
fn keep() {
    // SAFETY: the assembly is empty.
    unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) }
}

/// Keeps the compiler from carrying what it knows of memory from before to after.
#[inline(always)]
fn keep_memory() {
    // SAFETY: the assembly is empty.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) }
}

/// `slot = e`, and the accumulator with it: that costs nothing, as the value is in a register. Word: slot.
pub struct Set<X>(PhantomData<X>);
impl<X: Expr> Statement for Set<X> {
    const WORDS: usize = 1 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let v = get!(X::eval(p.add(1), r));
        X::T::write(r.fp, word(p, 0), v);
        X::T::set_accumulator(r, v);
        Flow::Next
    }
}

/// `accumulator = e`.
pub struct Acc<X>(PhantomData<X>);
impl<X: Expr> Statement for Acc<X> {
    const WORDS: usize = X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let v = get!(X::eval(p, r));
        X::T::set_accumulator(r, v);
        Flow::Next
    }
}

/// `global.set` of a cell of this instance. Word: its byte offset.
pub struct GlobalSet<X>(PhantomData<X>);
impl<X: Expr> Statement for GlobalSet<X> {
    const WORDS: usize = 1 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let v = get!(X::eval(p.add(1), r));
        X::T::write((*r.ctx).globals, word(p, 0), v);
        Flow::Next
    }
}

/// `global.set` of an imported global. Word: its index.
pub struct GlobalSetFar<X>(PhantomData<X>);
impl<X: Expr> Statement for GlobalSetFar<X> {
    const WORDS: usize = 1 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let v = get!(X::eval(p.add(1), r));
        X::T::write(*(*r.ctx).far_globals.add(word(p, 0) as usize), 0, v);
        Flow::Next
    }
}

/// Takes the edge to `to` at the price in the word `price`; when the slice is spent, leaves with the edge taken.
#[inline(always)]
unsafe fn edge(price: Ip, to: Ip, r: &mut Regs) -> Flow {
    let fuel = (*r.ctx).fuel.wrapping_sub(word(price, 0) as i32 as i64);
    (*r.ctx).fuel = fuel;
    if fuel < 0 { Flow::Leave(Exit::Fuel, to) } else { Flow::Jump(to) }
}

/// Pay for straight code. Word: price.
pub struct Fuel;
impl Statement for Fuel {
    const WORDS: usize = 1;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        match edge(p, p.add(1), r) {
            Flow::Jump(_) => Flow::Next,
            spent => spent,
        }
    }
}

/// Branch if not zero. Words: target (2), price, condition.
pub struct BrIf<X>(PhantomData<X>);
impl<X: Expr<T = u32>> Statement for BrIf<X> {
    const WORDS: usize = 3 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        if get!(X::eval(p.add(3), r)) == 0 {
            return Flow::Next;
        }
        // As a conditional move the next handler would wait for the condition.
        keep();
        edge(p.add(2), word64(p) as Ip, r)
    }
}

/// Branch. Words: target (2), price.
pub struct Br;
impl Statement for Br {
    const WORDS: usize = 3;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        edge(p.add(2), word64(p) as Ip, r)
    }
}

/// Targets that a [`BrTable`] has at most; longer ones are [`BrTableLong`]s.
pub const SHORT_TABLE: u32 = 1 << 12;

/// Words of an entry of a short table: distance of the target from the statement's words in bytes, price, handler (2).
const SHORT_ENTRY: usize = 4;
/// Words of an entry of a long table: the same without the handler.
const LONG_ENTRY: usize = 2;

/// The table for so many targets, and the words of its entries.
pub const fn table_of(targets: u32) -> (Form, usize) {
    if targets <= SHORT_TABLE { (Form::BrTable, SHORT_ENTRY) } else { (Form::BrTableLong, LONG_ENTRY) }
}

/// The edge through the entry that an index, the words' second, chooses. The first is the number of targets.
#[inline(always)]
unsafe fn through_table<X: Expr<T = u32>, const ENTRY: usize>(p: Ip, r: &mut Regs) -> (Ip, Flow) {
    let (mut i, n) = match X::eval(p.add(1), r) {
        Ok(i) => (i as usize, word(p, 0) as usize),
        Err(fault) => return (p, Flow::Trap(fault)),
    };
    if i > n {
        i = n;
        // As a conditional move the target would wait for the comparison.
        keep();
    }
    let entry = p.add(1 + X::WORDS + ENTRY * i);
    (entry, edge(entry.add(1), p.byte_offset(word(entry, 0) as i32 as isize), r))
}

/// Branch by index. Words: number of targets, index; behind them an entry for each target and one for the default.
///
/// Here interpreters as guests spend their time, in jumps that no hardware foresees: an entry holds the target's handler
/// too, so that the jump waits for one load less.
pub struct BrTable<X>(PhantomData<X>);
impl<X: Expr<T = u32>> Statement for BrTable<X> {
    const WORDS: usize = 1 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        match through_table::<X, SHORT_ENTRY>(p, r) {
            (entry, Flow::Jump(to)) => Flow::JumpTo(to, entry.add(2)),
            (_, other) => other,
        }
    }
}

/// As [`BrTable`] with entries of half the size, for tables so long that memory is what counts.
pub struct BrTableLong<X>(PhantomData<X>);
impl<X: Expr<T = u32>> Statement for BrTableLong<X> {
    const WORDS: usize = 1 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        through_table::<X, LONG_ENTRY>(p, r).1
    }
}

/// Goes back along the link at `fp`.
#[inline(always)]
unsafe fn back(price: Ip, r: &mut Regs) -> Flow {
    let link = r.fp as *const u64;
    let ip = link.sub(1).read() as Ip;
    r.fp = link.sub(2).read() as *mut u8;
    edge(price, ip, r)
}

/// Return with the results in place. Word: price.
pub struct Ret;
impl Statement for Ret {
    const WORDS: usize = 1;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        back(p, r)
    }
}

/// Return one value, also in the accumulator. Words: slot of the result, price, value.
pub struct RetValue<X>(PhantomData<X>);
impl<X: Expr> Statement for RetValue<X> {
    const WORDS: usize = 2 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let v = get!(X::eval(p.add(2), r));
        X::T::write(r.fp, word(p, 0), v);
        X::T::set_accumulator(r, v);
        back(p.add(1), r)
    }
}

/// Enters a frame `delta` bytes up that returns to `to`.
#[inline(always)]
unsafe fn link(fp: *mut u8, to: Ip, caller: *mut u8) {
    let l = fp as *mut u64;
    l.sub(1).write(to as usize as u64);
    l.sub(2).write(caller as usize as u64);
}

/// Words of a direct call that the run loop finds by counting back from its end: code (2), delta, frame, price.
pub const SITE_WORDS: usize = 5;
/// Place of the frame word in a site.
pub const SITE_FRAME: usize = 3;

/// Pays for a direct call and jumps, or leaves with the call half done. The site's words begin at `s`, `r.fp` is the
/// callee's frame and the link is written.
#[inline(always)]
unsafe fn enter(s: Ip, r: &mut Regs) -> Flow {
    let fuel = (*r.ctx).fuel - word(s, 4) as i64;
    (*r.ctx).fuel = fuel;
    // Acquire: whoever sees the frame of a patched site sees its code too.
    let frame = AtomicU32::from_ptr(s.add(SITE_FRAME) as *mut u32).load(Ordering::Acquire);
    if r.fp as usize + frame as usize > (*r.ctx).limit || fuel < 0 {
        return Flow::Leave(Exit::Call, s.add(SITE_WORDS));
    }
    Flow::Jump(word64(s) as Ip)
}

/// Call of a function of the same module. Words: code (2, the function's index while cold), delta, frame, price.
///
/// The first call from a site leaves, and the run loop translates the callee if need be and patches the site.
pub struct Call;
impl Statement for Call {
    const WORDS: usize = SITE_WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let fp = r.fp.add(word(p, 2) as usize);
        link(fp, p.add(SITE_WORDS), r.fp);
        r.fp = fp;
        enter(p, r)
    }
}

/// Call of an imported function, which the run loop makes. Words: function index, delta, price.
pub struct CallImport;
impl Statement for CallImport {
    const WORDS: usize = 3;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let fp = r.fp.add(word(p, 1) as usize);
        link(fp, p.add(3), r.fp);
        r.fp = fp;
        (*r.ctx).fuel -= word(p, 2) as i64;
        (*r.ctx).value = *(*r.ctx).funcs.add(word(p, 0) as usize) as u64;
        Flow::Leave(Exit::CallImport, p.add(3))
    }
}

/// The record of the function that an indirect call means, if it can be called the fast way: its table entry is there, is
/// of this instance and has exactly the type asked for. Words: type, table, index.
///
/// The index is noted for the run loop, so that it takes no register from here on.
#[inline(always)]
unsafe fn callee<X: Expr<T = u32>>(p: Ip, r: &mut Regs) -> Result<Option<*const Rec>, Fault> {
    let i = X::eval(p.add(2), r)? as u64;
    (*r.ctx).value = i;
    let ctx = &*r.ctx;
    let table = &**ctx.tables.add(word(p, 1) as usize);
    if i < table.len {
        let rec = ctx.recs.add(*(table.base as *const u64).add(i as usize) as usize);
        if (*rec).key == ctx.key | word(p, 0) as u64 {
            return Ok(Some(rec));
        }
    }
    Ok(None)
}

/// Pays for an indirect call to a frame at `fp`, if there is room and fuel for it.
#[inline(always)]
unsafe fn afford(fp: *mut u8, rec: *const Rec, price: Ip, r: &mut Regs) -> bool {
    if fp as usize + (*rec).frame as usize > (*r.ctx).limit {
        return false;
    }
    (*r.ctx).fuel -= word(price, 0) as i64;
    if (*r.ctx).fuel < 0 {
        // Paid back from memory: else the sum would be kept in a register on the other way too.
        keep_memory();
        (*r.ctx).fuel += word(price, 0) as i64;
        return false;
    }
    true
}

/// Leaves with an indirect call that could not go the fast way. The site's words begin at `p`.
#[inline(always)]
unsafe fn leave_indirect(exit: Exit, words: usize, p: Ip, r: &mut Regs) -> Flow {
    (*r.ctx).words = words as u32;
    Flow::Leave(exit, p.add(words))
}

/// Indirect call. Words: type, table, index, delta, price.
pub struct CallIndirect<X>(PhantomData<X>);
impl<X: Expr<T = u32>> Statement for CallIndirect<X> {
    const WORDS: usize = 4 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let q = p.add(2 + X::WORDS);
        if let Some(rec) = get!(callee::<X>(p, r)) {
            let fp = r.fp.add(word(q, 0) as usize);
            if afford(fp, rec, q.add(1), r) {
                link(fp, p.add(Self::WORDS), r.fp);
                r.fp = fp;
                return Flow::Jump((*rec).code);
            }
        }
        leave_indirect(Exit::CallIndirect, Self::WORDS, p, r)
    }
}

/// Copies `n` slots downwards.
#[inline(always)]
unsafe fn copy_down(from: *const u64, to: *mut u64, n: usize) {
    let mut i = 0;
    while i < n {
        to.add(i).write(from.add(i).read());
        i += 1;
        keep();
    }
}

/// Gives up the frame for one that is `delta` bytes further up: the arguments go to where this frame's arguments began,
/// the link goes along. Words: bytes of this frame's area, offset of the arguments, number of slots.
///
/// The new link may lie above the old frame's end, by less than the red zone that the stack keeps behind its limit.
#[inline(always)]
unsafe fn replace(p: Ip, delta: u32, r: &mut Regs) {
    let l = r.fp as *const u64;
    let (to, caller) = (l.sub(1).read(), l.sub(2).read());
    let start = r.fp.sub(word(p, 0) as usize);
    copy_down(r.fp.add(word(p, 1) as usize) as *const u64, start as *mut u64, word(p, 2) as usize);
    r.fp = r.fp.offset(delta as i32 as isize);
    link(r.fp, to as usize as Ip, caller as usize as *mut u8);
}

/// Call in tail position of a function of the same module. Words: area, arguments, count, then a site.
pub struct TailCall;
impl Statement for TailCall {
    const WORDS: usize = 3 + SITE_WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let site = p.add(3);
        replace(p, word(site, 2), r);
        enter(site, r)
    }
}

/// Call in tail position of an imported function. Words: function index, area, arguments, count, price.
pub struct TailCallImport;
impl Statement for TailCallImport {
    const WORDS: usize = 5;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        (*r.ctx).value = *(*r.ctx).funcs.add(word(p, 0) as usize) as u64;
        Flow::Leave(Exit::TailCallImport, p.add(5))
    }
}

/// Indirect call in tail position. Words: type, table, index, area, arguments, count, delta, price.
pub struct TailCallIndirect<X>(PhantomData<X>);
impl<X: Expr<T = u32>> Statement for TailCallIndirect<X> {
    const WORDS: usize = 7 + X::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let q = p.add(2 + X::WORDS);
        if let Some(rec) = get!(callee::<X>(p, r)) {
            let delta = word(q, 3);
            if afford(r.fp.offset(delta as i32 as isize), rec, q.add(4), r) {
                replace(q, delta, r);
                return Flow::Jump((*rec).code);
            }
        }
        leave_indirect(Exit::TailCallIndirect, Self::WORDS, p, r)
    }
}

/// Copies slots to lower ones: the values of a branch or a return. Words: from, to, number.
pub struct Copy;
impl Statement for Copy {
    const WORDS: usize = 3;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let from = r.fp.offset(word(p, 0) as i32 as isize) as *const u64;
        let to = r.fp.offset(word(p, 1) as i32 as isize) as *mut u64;
        copy_down(from, to, word(p, 2) as usize);
        Flow::Next
    }
}

/// Clears slots that may be read before they are set. Words: first, bytes.
pub struct Zero;
impl Statement for Zero {
    const WORDS: usize = 2;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        let (first, bytes) = (word(p, 0), word(p, 1));
        let mut i = 0;
        while i < bytes {
            u64::write(r.fp, first + i, 0);
            i += 8;
            keep();
        }
        Flow::Next
    }
}

macro_rules! leaving {
    ($($(#[$m:meta])* $name:ident $words:literal $exit:ident;)*) => { $(
        $(#[$m])*
        pub struct $name;
        impl Statement for $name {
            const WORDS: usize = $words;
            #[inline(always)]
            unsafe fn run(p: Ip, _: &mut Regs) -> Flow {
                Flow::Leave(Exit::$exit, p)
            }
        }
    )* };
}
leaving! {
    /// An operation of the run loop, which goes on behind it. Words: operation, two immediates, first operand's slot.
    Slow 4 Slow;
    /// What the outermost frame returns to.
    Halt 0 Halt;
    /// What a frame returns to whose caller belongs to another instance.
    Across 0 Across;
}

/// `unreachable`.
pub struct Unreachable;
impl Statement for Unreachable {
    const WORDS: usize = 0;
    #[inline(always)]
    unsafe fn run(p: Ip, _: &mut Regs) -> Flow {
        Flow::Trap(Fault { trap: Trap::Unreachable as u32, at: p, value: 0 })
    }
}

/// Profiling builds: counts an execution. Words: address of the counter (2).
pub struct Count;
impl Statement for Count {
    const WORDS: usize = 2;
    #[inline(always)]
    unsafe fn run(p: Ip, _: &mut Regs) -> Flow {
        *(word64(p) as *mut u64) += 1;
        Flow::Next
    }
}

/// Two statements in one handler; their words follow each other.
pub struct Seq<X, Y>(PhantomData<(X, Y)>);
impl<X: Statement, Y: Statement> Statement for Seq<X, Y> {
    const WORDS: usize = X::WORDS + Y::WORDS;
    #[inline(always)]
    unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
        match X::run(p, r) {
            Flow::Next => Y::run(p.add(X::WORDS), r),
            other => other,
        }
    }
}

/// The body of every handler.
#[inline(always)]
pub(crate) unsafe fn body<S: Statement>(ip: Ip, mut r: Regs) -> Exit {
    let p = ip.add(HANDLER_WORDS);
    match S::run(p, &mut r) {
        Flow::Next => r.dispatch(p.add(S::WORDS)),
        Flow::Jump(to) => r.dispatch(to),
        Flow::JumpTo(to, at) => r.dispatch_at(at, to),
        Flow::Leave(exit, to) => r.leave(exit, to),
        Flow::Trap(f) => r.trap(f.trap, f.at, f.value),
    }
}
