//! Expressions: where operands come from, and plain instructions over them.
//!
//! An expression is evaluated without effects; what it reads of the stream are its own words, then those of its
//! operands. Invariant: [`Expr::eval`] is inlined into its handler entirely, so that [`Regs`] dissolves.
use crate::dispatch::{Ip, Regs};
use core::marker::PhantomData;

/// A trap met by an expression.
pub struct Fault {
    /// Code of the trap.
    pub trap: u32,
    /// Words of the node that met it.
    pub at: Ip,
    /// Its operand.
    pub value: u64,
}

/// Word `i` of a node.
#[inline(always)]
pub(crate) unsafe fn word(p: Ip, i: usize) -> u32 {
    p.add(i).read()
}

/// A machine type: how it lies in slots, in the stream and in its accumulator.
pub trait Value: Copy {
    /// Words of an immediate.
    const WORDS: usize;
    /// Reads the slot at a byte offset.
    unsafe fn read(fp: *mut u8, offset: u32) -> Self;
    /// Writes the slot at a byte offset.
    unsafe fn write(fp: *mut u8, offset: u32, v: Self);
    /// Reads an immediate.
    unsafe fn immediate(p: Ip) -> Self;
    /// Takes the accumulator.
    fn accumulator(r: &Regs) -> Self;
    /// Sets the accumulator.
    fn set_accumulator(r: &mut Regs, v: Self);
    /// The bits, zero-extended.
    fn raw(self) -> u64;
    /// The reverse of [`Value::raw`].
    fn of_raw(bits: u64) -> Self;
}

macro_rules! value {
    ($t:ty, $stored:ty, $words:expr, |$r:ident| $get:expr, |$s:ident, $v:ident| $set:expr, |$x:ident| $to:expr, |$y:ident| $of:expr) => {
        impl Value for $t {
            const WORDS: usize = $words;
            #[inline(always)]
            unsafe fn read(fp: *mut u8, offset: u32) -> Self {
                (fp.offset(offset as i32 as isize) as *const $t).read()
            }
            #[inline(always)]
            unsafe fn write(fp: *mut u8, offset: u32, v: Self) {
                (fp.offset(offset as i32 as isize) as *mut $stored).write(v as $stored)
            }
            #[inline(always)]
            unsafe fn immediate(p: Ip) -> Self {
                (p as *const $t).read_unaligned()
            }
            #[inline(always)]
            fn accumulator($r: &Regs) -> Self {
                $get
            }
            #[inline(always)]
            fn set_accumulator($s: &mut Regs, $v: Self) {
                $set
            }
            #[inline(always)]
            fn raw(self) -> u64 {
                let $x = self;
                $to
            }
            #[inline(always)]
            fn of_raw($y: u64) -> Self {
                $of
            }
        }
    };
}
// An i32 fills its slot: whoever reads the whole slot next (a copy, the run loop) finds it zero-extended.
value!(u32, u64, 1, |r| r.ai as u32, |r, v| r.ai = v as u64, |x| x as u64, |y| y as u32);
value!(u64, u64, 2, |r| r.ai, |r, v| r.ai = v, |x| x, |y| y);
value!(f32, f32, 1, |r| r.as_, |r, v| r.as_ = v, |x| x.to_bits() as u64, |y| f32::from_bits(y as u32));
value!(f64, f64, 2, |r| r.af, |r, v| r.af = v, |x| x.to_bits(), |y| f64::from_bits(y));

/// An expression.
pub trait Expr {
    /// Its type.
    type T: Value;
    /// Words it takes, operands included.
    const WORDS: usize;
    /// Evaluates it; its words begin at `p`.
    unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault>;
}

/// Leaf: a slot. One word: the byte offset from `fp`.
pub struct L<T>(PhantomData<T>);
/// Leaf: a constant. As many words as the type.
pub struct C<T>(PhantomData<T>);
/// Leaf: the accumulator of the type. No word.
pub struct A<T>(PhantomData<T>);

impl<V: Value> Expr for L<V> {
    type T = V;
    const WORDS: usize = 1;
    #[inline(always)]
    unsafe fn eval(p: Ip, r: &Regs) -> Result<V, Fault> {
        Ok(V::read(r.fp, word(p, 0)))
    }
}
impl<V: Value> Expr for C<V> {
    type T = V;
    const WORDS: usize = V::WORDS;
    #[inline(always)]
    unsafe fn eval(p: Ip, _: &Regs) -> Result<V, Fault> {
        Ok(V::immediate(p))
    }
}
impl<V: Value> Expr for A<V> {
    type T = V;
    const WORDS: usize = 0;
    #[inline(always)]
    unsafe fn eval(_: Ip, r: &Regs) -> Result<V, Fault> {
        Ok(V::accumulator(r))
    }
}

/// The Rust type behind a class of the table.
macro_rules! machine_type {
    (I32) => {
        u32
    };
    (I64) => {
        u64
    };
    (F32) => {
        f32
    };
    (F64) => {
        f64
    };
}
pub(crate) use machine_type;

/// A kernel's result as a result: total kernels cannot fail.
macro_rules! outcome {
    (total, $p:ident, $e:expr) => {
        Ok($e)
    };
    (traps, $p:ident, $e:expr) => {
        $e.map_err(|t| Fault { trap: t as u32, at: $p, value: 0 })
    };
}

/// One type for each plain instruction, over its operands.
macro_rules! plain_node {
    ($op:ident, $name:literal, ($a:ident) -> $res:ident, $mode:ident, $kernel:ident) => {
        #[doc = concat!("`", $name, "`")]
        pub struct $op<X>(PhantomData<X>);
        impl<X: Expr<T = machine_type!($a)>> Expr for $op<X> {
            type T = machine_type!($res);
            const WORDS: usize = X::WORDS;
            #[inline(always)]
            unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault> {
                let x = X::eval(p, r)?;
                outcome!($mode, p, crate::num::$kernel(x))
            }
        }
    };
    ($op:ident, $name:literal, ($a:ident $b:ident) -> $res:ident, $mode:ident, $kernel:ident) => {
        #[doc = concat!("`", $name, "`")]
        pub struct $op<X, Y>(PhantomData<(X, Y)>);
        impl<X: Expr<T = machine_type!($a)>, Y: Expr<T = machine_type!($b)>> Expr for $op<X, Y> {
            type T = machine_type!($res);
            const WORDS: usize = X::WORDS + Y::WORDS;
            #[inline(always)]
            unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault> {
                let x = X::eval(p, r)?;
                let y = Y::eval(p.add(X::WORDS), r)?;
                outcome!($mode, p, crate::num::$kernel(x, y))
            }
        }
    };
}
macro_rules! plain_nodes {
    ($(@$proposal:ident $op:ident $visit:ident $name:literal ($($arg:ident)+) -> $res:ident
        = $mode:ident $kernel:ident fuel $fuel:literal $($flag:ident)*;)*) => {
        $( plain_node! { $op, $name, ($($arg)+) -> $res, $mode, $kernel } )*
    };
}
crate::for_each_plain!(plain_nodes);

/// A choice between two values that are both in registers: a conditional move.
///
/// Left alone, LLVM selects the *operand word* and loads through it, which puts two load latencies behind the condition.
#[inline(always)]
fn pick(z: bool, mut x: u64, mut y: u64) -> u64 {
    // SAFETY: the assembly is empty; it only hides where the values came from.
    unsafe {
        core::arch::asm!("/* {0} {1} */", inout(reg) x, inout(reg) y, options(pure, nomem, nostack, preserves_flags));
    }
    core::hint::select_unpredictable(z, x, y)
}

macro_rules! selects {
    ($($name:ident $ty:ident;)*) => { $(
        /// `select`: two values, then the condition.
        pub struct $name<X, Y, Z>(PhantomData<(X, Y, Z)>);
        impl<X: Expr<T = machine_type!($ty)>, Y: Expr<T = machine_type!($ty)>, Z: Expr<T = u32>> Expr for $name<X, Y, Z> {
            type T = machine_type!($ty);
            const WORDS: usize = X::WORDS + Y::WORDS + Z::WORDS;
            #[inline(always)]
            unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault> {
                let x = X::eval(p, r)?;
                let y = Y::eval(p.add(X::WORDS), r)?;
                let z = Z::eval(p.add(X::WORDS + Y::WORDS), r)?;
                Ok(Self::T::of_raw(pick(z != 0, x.raw(), y.raw())))
            }
        }
    )* };
}
selects! { I32Select I32; I64Select I64; F32Select F32; F64Select F64; }

macro_rules! globals {
    ($($near:ident $far:ident $ty:ident;)*) => { $(
        /// `global.get` of a cell of this instance. One word: its byte offset.
        pub struct $near;
        impl Expr for $near {
            type T = machine_type!($ty);
            const WORDS: usize = 1;
            #[inline(always)]
            unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault> {
                Ok(Self::T::read((*r.ctx).globals, word(p, 0)))
            }
        }
        /// `global.get` of a mutable global that is imported. One word: the global's index.
        pub struct $far;
        impl Expr for $far {
            type T = machine_type!($ty);
            const WORDS: usize = 1;
            #[inline(always)]
            unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault> {
                Ok(Self::T::read(*(*r.ctx).far_globals.add(word(p, 0) as usize), 0))
            }
        }
    )* };
}
globals! { I32Global I32GlobalFar I32; I64Global I64GlobalFar I64; F32Global F32GlobalFar F32; F64Global F64GlobalFar F64; }

/// `memory.size` of memory 0 with pages of 64 KiB.
pub struct MemorySize;
impl Expr for MemorySize {
    type T = u32;
    const WORDS: usize = 0;
    #[inline(always)]
    unsafe fn eval(_: Ip, r: &Regs) -> Result<u32, Fault> {
        Ok((r.len >> 16) as u32)
    }
}

/// `ref.func`. One word: the function's index.
pub struct RefFunc;
impl Expr for RefFunc {
    type T = u64;
    const WORDS: usize = 1;
    #[inline(always)]
    unsafe fn eval(p: Ip, r: &Regs) -> Result<u64, Fault> {
        Ok(*(*r.ctx).funcs.add(word(p, 0) as usize) as u64)
    }
}
