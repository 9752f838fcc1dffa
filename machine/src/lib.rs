//! The machine of jitless: the table of instructions, their kernels, and the tiles that run them.
//!
//! This crate knows no module and no store. It is the part that takes minutes to compile and seldom changes, so it is
//! a crate of its own; it promises no stable interface.
//!
//! A *kernel* is a pure function that computes one plain instruction ([`num`]). A *form* ([`form`], [`access`],
//! [`control`]) is a generic type that says where operands come from and where a result goes. A *tile* is a form filled
//! with kernels, `Set<I32Add<L, C>>`: one handler, monomorphised by the build script from one line of text. Handlers hand
//! on to each other by a call in tail position ([`dispatch`]).
//!
//! # The contract
//! Every handler is `unsafe`; what runs them (`exec` in jitless) promises, for as long as they run:
//! 1. *Stream.* `ip` points at a tile that the translator laid out: its handler's address, then the words its pattern
//!    prescribes. Every branch target in it is the address of such a tile.
//! 2. *Frame.* `fp` points into the value stack, and every slot offset in the stream lies in the frame that the call's
//!    stack check granted: parameters and the link below `fp`, `frame` bytes from `fp` on. Slots are 8-byte aligned.
//! 3. *Memory.* `mem` and `len` are memory 0 of the current instance; nothing else touches it meanwhile.
//! 4. *Context.* `ctx` and every pointer in it are valid and belong to the current instance, and every index in the
//!    stream is in range of what they point at.
//! 5. *Types.* The function was validated, so a slot holds the type that its readers expect.
//!
//! A handler never calls anything that returns: what cannot be done in registers leaves by an exit code.
#![no_std]
#![allow(unsafe_op_in_unsafe_fn, clippy::missing_safety_doc)]

#[cfg(test)]
extern crate std;

pub mod access;
pub mod control;
pub mod dispatch;
pub mod form;
pub mod instr;
pub mod num;
pub mod symbol;
pub mod tiles;
pub mod trap;
pub mod types;
