//! Registers, context and dispatch: how one handler reaches the next.
//!
//! The signature of a handler is written here and nowhere else. Two layouts of the code stream share one set of handlers:
//! *direct* (`[handler][operands]`) where calls in tail position are jumps, *bounced* (`[bounce][handler][operands]`)
//! where they are not: there each tile returns to [`drive`], which calls the next. [`sibling_calls`] finds out which it is.
//!
//! Invariant: no handler keeps anything in the native stack across its last call.
use core::hint::black_box;

/// Position in a code stream, in words of 32 bits.
pub type Ip = *const u32;

/// Words that the address of a handler takes.
pub const HANDLER_WORDS: usize = 2;

/// The `frame` word of a call site or function that has not been translated yet: no stack has room for it, so the one
/// stack check finds it.
pub const COLD: u32 = u32::MAX;

/// `frame` of a site that a thread is about to patch; as cold as [`COLD`] for everybody else.
pub const PATCHING: u32 = u32::MAX - 1;

/// What a call needs to know of a function: one for each function of a store, found by the function's handle.
///
/// Handle 0 is null; its record has a key that nothing asks for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Rec {
    /// Instance in the high half, canonical type in the low half.
    pub key: u64,
    /// First tile.
    pub code: Ip,
    /// Bytes from `fp` on that a frame takes, or [`COLD`].
    pub frame: u32,
    /// Index of the function in its module.
    pub index: u32,
}

/// A growable object as handlers see it: a memory (bytes) or a table (elements of 64 bits).
#[repr(C)]
#[derive(Debug)]
pub struct View {
    /// First byte.
    pub base: *mut u8,
    /// Bytes of a memory, elements of a table.
    pub len: u64,
}

/// Everything that handlers need beyond their registers. One for each running store.
#[repr(C)]
#[derive(Debug)]
pub struct Ctx {
    /// Fuel left of the present slice; negative when it is spent.
    pub fuel: i64,
    /// End of the value stack.
    pub limit: usize,
    /// The current instance's key: its number in the high half.
    pub key: u64,
    /// The store's function records.
    pub recs: *const Rec,
    /// Global cells of the current instance.
    pub globals: *mut u8,
    /// Cells of mutable globals that the current instance imports, by global index.
    pub far_globals: *const *mut u8,
    /// Tables of the current instance.
    pub tables: *const *const View,
    /// Memories of the current instance.
    pub memories: *const *const View,
    /// Function index of the current instance to handle.
    pub funcs: *const u32,

    /// Saved at every exit: where to go on.
    pub ip: Ip,
    /// Saved at every exit but a trap: the frame.
    pub fp: *mut u8,
    /// Saved at every exit but a trap: the integer accumulator.
    pub ai: u64,
    /// Saved at every exit but a trap: the f64 accumulator.
    pub af: f64,
    /// Saved at every exit but a trap: the f32 accumulator.
    pub as_: f32,
    /// Saved by bounces only: memory 0.
    pub mem: *mut u8,
    /// Saved by bounces only: bytes of memory 0.
    pub len: u64,

    /// The exit taken.
    pub exit: Exit,
    /// [`Exit::Trap`]: the trap's code.
    pub trap: u32,
    /// The operand that the exit is about: end of an access, index into a table, handle of a function.
    pub value: u64,
    /// [`Exit::CallIndirect`], [`Exit::TailCallIndirect`]: words of the site, which end at `ip`.
    pub words: u32,
}

impl Ctx {
    /// A context that points nowhere.
    pub const fn new() -> Ctx {
        use core::ptr::{null, null_mut};
        Ctx {
            fuel: 0,
            limit: 0,
            key: 0,
            recs: null(),
            globals: null_mut(),
            far_globals: null(),
            tables: null(),
            memories: null(),
            funcs: null(),
            ip: null(),
            fp: null_mut(),
            ai: 0,
            af: 0.0,
            as_: 0.0,
            mem: null_mut(),
            len: 0,
            exit: Exit::Halt,
            trap: 0,
            value: 0,
            words: 0,
        }
    }
}

impl Default for Ctx {
    fn default() -> Self {
        Self::new()
    }
}

/// Why the machine handed control back.
#[repr(u64)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The frame that was entered from outside has returned.
    Halt = 0,
    /// A trap: `ctx.trap` says which, `ctx.ip` the words of the node that met it, `ctx.value` its operand.
    Trap,
    /// The slice is spent. An edge has been taken and paid for; go on at `ctx.ip`.
    Fuel,
    /// A call that could not go the fast way: the site is cold, the stack is full or the fuel is spent. The link is
    /// written and `ctx.fp` is the callee's; the words of the site end at `ctx.ip`.
    Call,
    /// A call of an imported function: as [`Exit::Call`], the function's handle in `ctx.value`.
    CallImport,
    /// An indirect call that could not go the fast way: nothing has been done, `ctx.value` holds the index into the
    /// table, the site's words end at `ctx.ip`.
    CallIndirect,
    /// As [`Exit::CallIndirect`], for a call in tail position.
    TailCallIndirect,
    /// As [`Exit::CallImport`] for a call in tail position: nothing has been done yet.
    TailCallImport,
    /// An operation for the run loop; its words begin at `ctx.ip`.
    Slow,
    /// A frame returned to a caller of another instance.
    Across,
    /// Bounced layout only: call the handler behind the bounce at `ctx.ip`.
    Step,
}

/// The registers of the machine, as one value that the optimiser takes apart.
///
/// On x86-64 they travel in rdi, rsi, rdx, rcx, r8, r9, xmm0 and xmm1: `ai` lies in rcx since a shift count must.
pub struct Regs {
    /// Frame: slots of 8 bytes, the link just below.
    pub fp: *mut u8,
    /// Memory 0.
    pub mem: *mut u8,
    /// Integer accumulator: i32 (zero-extended), i64, references.
    pub ai: u64,
    /// Bytes of memory 0.
    pub len: u64,
    /// Everything else.
    pub ctx: *mut Ctx,
    /// f64 accumulator.
    pub af: f64,
    /// f32 accumulator.
    pub as_: f32,
}

/// Passes the calling convention of handlers to a macro. It may unwind, so that no abort guard is laid around it.
#[cfg(not(all(windows, target_arch = "x86_64")))]
macro_rules! with_abi {
    ($m:ident, $($rest:tt)*) => { $m! { "C-unwind", $($rest)* } };
}
/// On Windows the C convention has too few registers.
#[cfg(all(windows, target_arch = "x86_64"))]
macro_rules! with_abi {
    ($m:ident, $($rest:tt)*) => { $m! { "sysv64-unwind", $($rest)* } };
}
macro_rules! signature {
    ($abi:literal, type $(#[$m:meta])* $name:ident) => {
        $(#[$m])*
        pub type $name = unsafe extern $abi fn(Ip, *mut u8, *mut u8, u64, u64, *mut Ctx, f64, f32) -> Exit;
    };
    ($abi:literal, fn $(#[$m:meta])* $name:ident($ip:ident, $r:ident) $body:block) => {
        $(#[$m])*
        #[allow(unreachable_pub, reason = "some stand in functions")]
        pub unsafe extern $abi fn $name(
            $ip: $crate::dispatch::Ip, fp: *mut u8, mem: *mut u8, ai: u64, len: u64,
            ctx: *mut $crate::dispatch::Ctx, af: f64, as_: f32,
        ) -> $crate::dispatch::Exit {
            let $r = $crate::dispatch::Regs { fp, mem, ai, len, ctx, af, as_ };
            $body
        }
    };
}
/// Defines a function with the signature of a handler: `handler!(name(ip, regs) { … })`.
macro_rules! handler {
    ($(#[$m:meta])* $name:ident($ip:ident, $r:ident) $body:block) => {
        with_abi! { signature, fn $(#[$m])* $name($ip, $r) $body }
    };
}
pub(crate) use {handler, signature, with_abi};

with_abi! { signature, type
    /// A handler: `ip` is the address of its own word, the operands follow.
    Handler
}

/// Reads an address of the stream.
#[inline(always)]
pub(crate) unsafe fn word64(p: Ip) -> u64 {
    (p as *const u64).read_unaligned()
}

/// The handler whose address stands at `p`.
#[inline(always)]
unsafe fn handler_at(p: Ip) -> Handler {
    core::mem::transmute::<usize, Handler>(word64(p) as usize)
}

impl Regs {
    /// Hand on to the tile at `p`. Must be the last thing a handler does.
    #[inline(always)]
    pub(crate) unsafe fn dispatch(self, p: Ip) -> Exit {
        self.dispatch_at(p, p)
    }

    /// Hand on to the tile at `p`, the address of whose handler stands at `h` too.
    #[inline(always)]
    pub(crate) unsafe fn dispatch_at(self, h: Ip, p: Ip) -> Exit {
        self.enter(handler_at(h), p)
    }

    #[inline(always)]
    unsafe fn enter(self, h: Handler, p: Ip) -> Exit {
        h(p, self.fp, self.mem, self.ai, self.len, self.ctx, self.af, self.as_)
    }

    #[inline(always)]
    pub(crate) unsafe fn save(self, p: Ip) {
        let c = &mut *self.ctx;
        c.ip = p;
        c.fp = self.fp;
        c.ai = self.ai;
        c.af = self.af;
        c.as_ = self.as_;
    }

    /// Leave for the run loop with `exit`; go on at `p`.
    #[inline(always)]
    pub(crate) unsafe fn leave(self, exit: Exit, p: Ip) -> Exit {
        (*self.ctx).exit = exit;
        leave(p, self.fp, self.mem, self.ai, self.len, self.ctx, self.af, self.as_)
    }

    /// Leave with a trap met at the words `at`.
    #[inline(always)]
    pub(crate) unsafe fn trap(self, trap: u32, at: Ip, value: u64) -> Exit {
        leave_trap(at, self.fp, self.mem, trap as u64, value, self.ctx, self.af, self.as_)
    }
}

handler! {
    /// Saves the registers for the run loop. Handlers call it in tail position, so that they need no frame themselves.
    #[cold]
    #[inline(never)]
    leave(ip, r) {
        let exit = (*r.ctx).exit;
        r.save(ip);
        exit
    }
}

handler! {
    /// Says which trap: its code comes in the integer accumulator, its operand in place of the memory's length.
    #[cold]
    #[inline(never)]
    leave_trap(ip, r) {
        let c = &mut *r.ctx;
        c.exit = Exit::Trap;
        c.trap = r.ai as u32;
        c.value = r.len;
        c.ip = ip;
        c.fp = r.fp;
        Exit::Trap
    }
}

handler! {
    /// First word of every tile in the bounced layout: returns to [`drive`], which calls the handler in the next word.
    #[inline(never)]
    bounce(ip, r) {
        (*r.ctx).mem = r.mem;
        (*r.ctx).len = r.len;
        r.save(ip);
        Exit::Step
    }
}

/// Runs from `ctx.ip` with memory 0 as given, until an exit other than a bounce.
///
/// # Safety
/// The contract of this crate.
#[inline(never)]
pub unsafe fn drive(ctx: *mut Ctx, mem: *mut u8, len: u64) -> Exit {
    let c = &mut *ctx;
    let mut exit = Regs { fp: c.fp, mem, ai: c.ai, len, ctx, af: c.af, as_: c.as_ }.enter(handler_at(c.ip), c.ip);
    while exit == Exit::Step {
        let c = &*ctx;
        let ip = c.ip.add(HANDLER_WORDS);
        exit = Regs { fp: c.fp, mem: c.mem, ai: c.ai, len: c.len, ctx, af: c.af, as_: c.as_ }.enter(handler_at(ip), ip);
    }
    exit
}

/// The two words that hold the address of `h`.
pub fn handler_words(h: Handler) -> [u32; HANDLER_WORDS] {
    let a = h as usize as u64;
    [a as u32, (a >> 32) as u32]
}

/// Are calls in tail position jumps in this build of this crate?
///
/// A chain of 64 handlers tells: the last one notes where its native stack is.
pub fn sibling_calls() -> bool {
    #[inline(never)]
    fn here() -> usize {
        let x = 0u8;
        black_box(&raw const x) as usize
    }
    handler! { #[inline(never)] probe(ip, r) {
        let p = ip.add(HANDLER_WORDS);
        let mut r = r;
        r.ai += 1;
        r.dispatch(p)
    } }
    handler! { #[inline(never)] last(_ip, r) {
        black_box(r.ai);
        (*r.ctx).value = here() as u64;
        Exit::Halt
    } }
    const CHAIN: usize = 64;
    let mut code = [0u32; HANDLER_WORDS * (CHAIN + 1)];
    for (i, words) in code.chunks_exact_mut(HANDLER_WORDS).enumerate() {
        words.copy_from_slice(&handler_words(if i < CHAIN { probe } else { last }));
    }
    let mut ctx = Ctx::new();
    ctx.ip = black_box(code.as_ptr());
    // SAFETY: the stream is a chain of handlers that read neither frame nor memory, and ends in one that returns.
    unsafe { drive(&mut ctx, core::ptr::null_mut(), 0) };
    here().abs_diff(ctx.value as usize) < 1024
}
