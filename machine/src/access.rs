//! Loads and stores.
//!
//! *Near* accesses reach memory 0 with the bounds in registers: their word is `offset + size`, so that one addition and one
//! compare do the check, exactly and without guard pages; `- size` goes into the addressing mode. *Far* accesses reach
//! any other memory, and memory 0 with an offset whose end does not fit a word.
use crate::control::{Flow, Statement, get};
use crate::dispatch::{Ip, Regs, word64};
use crate::form::{Expr, Fault, machine_type, word};
use crate::trap::Trap;
use core::marker::PhantomData;

#[cold]
fn out_of_bounds(at: Ip, end: u64) -> Fault {
    Fault { trap: Trap::MemoryOutOfBounds as u32, at, value: end }
}

/// How an access finds its bytes.
pub trait Reach {
    /// Words of its own.
    const WORDS: usize;
    /// First byte of an access of `size` bytes at `address`; `p` is where the words begin.
    unsafe fn at(p: Ip, r: &Regs, address: u32, size: usize) -> Result<*mut u8, Fault>;
}

/// Memory 0. Word: offset + size.
pub struct Near;
impl Reach for Near {
    const WORDS: usize = 1;
    #[inline(always)]
    unsafe fn at(p: Ip, r: &Regs, address: u32, size: usize) -> Result<*mut u8, Fault> {
        let end = address as u64 + word(p, 0) as u64;
        if end > r.len {
            return Err(out_of_bounds(p, end));
        }
        Ok(r.mem.wrapping_add(end as usize).wrapping_sub(size))
    }
}

/// Any memory. Words: memory, offset (2).
pub struct Far;
impl Reach for Far {
    const WORDS: usize = 3;
    #[inline(always)]
    unsafe fn at(p: Ip, r: &Regs, address: u32, size: usize) -> Result<*mut u8, Fault> {
        let view = &**(*r.ctx).memories.add(word(p, 0) as usize);
        let start = address as u64 + word64(p.add(1));
        let end = start + size as u64;
        if end > view.len {
            return Err(out_of_bounds(p, end));
        }
        Ok(view.base.wrapping_add(start as usize))
    }
}

/// One type for each load (an expression) and each store (a statement), over its reach.
macro_rules! access_node {
    (load, $op:ident, $name:literal, $ty:ident, $mem:ident) => {
        #[doc = concat!("`", $name, "`")]
        pub struct $op<M, X>(PhantomData<(M, X)>);
        impl<M: Reach, X: Expr<T = u32>> Expr for $op<M, X> {
            type T = machine_type!($ty);
            const WORDS: usize = M::WORDS + X::WORDS;
            #[inline(always)]
            unsafe fn eval(p: Ip, r: &Regs) -> Result<Self::T, Fault> {
                let address = X::eval(p.add(M::WORDS), r)?;
                let at = M::at(p, r, address, size_of::<$mem>())?;
                let v = <$mem>::from_le_bytes((at as *const [u8; size_of::<$mem>()]).read());
                Ok(widen!($ty, $mem, v))
            }
        }
    };
    (store, $op:ident, $name:literal, $ty:ident, $mem:ident) => {
        #[doc = concat!("`", $name, "`: address, then value.")]
        pub struct $op<M, X, Y>(PhantomData<(M, X, Y)>);
        impl<M: Reach, X: Expr<T = u32>, Y: Expr<T = machine_type!($ty)>> Statement for $op<M, X, Y> {
            const WORDS: usize = M::WORDS + X::WORDS + Y::WORDS;
            #[inline(always)]
            unsafe fn run(p: Ip, r: &mut Regs) -> Flow {
                let address = get!(X::eval(p.add(M::WORDS), r));
                let v = get!(Y::eval(p.add(M::WORDS + X::WORDS), r));
                let at = get!(M::at(p, r, address, size_of::<$mem>()));
                (at as *mut [u8; size_of::<$mem>()]).write((v as $mem).to_le_bytes());
                Flow::Next
            }
        }
    };
}

/// What was read, as the instruction's type: signed ones are extended as signed.
macro_rules! widen {
    (I32, i8, $v:ident) => {
        $v as i32 as u32
    };
    (I32, i16, $v:ident) => {
        $v as i32 as u32
    };
    (I64, i8, $v:ident) => {
        $v as i64 as u64
    };
    (I64, i16, $v:ident) => {
        $v as i64 as u64
    };
    (I64, i32, $v:ident) => {
        $v as i64 as u64
    };
    ($ty:ident, $mem:ident, $v:ident) => {
        $v as machine_type!($ty)
    };
}

macro_rules! access_nodes {
    ($(@$proposal:ident $op:ident $visit:ident $name:literal $kind:ident $ty:ident as $mem:ident;)*) => {
        $( access_node! { $kind, $op, $name, $ty, $mem } )*
    };
}
crate::for_each_access!(access_nodes);
