//! The tiles: handlers and matching tables that the build script made of `tiles/*.txt` and the table.
//!
//! All are constants: nothing is built at start-up.
#![allow(clippy::all, missing_docs, unreachable_pub, reason = "generated")]
use crate::access::*;
use crate::control::*;
use crate::dispatch::{Handler, handler, signature, with_abi};
use crate::form::*;

/// One handler for each line: `tile!(name, Type)`.
macro_rules! tile {
    ($name:ident, $t:ty) => {
        handler! { $name(ip, r) { body::<$t>(ip, r) } }
    };
}

/// Where handlers are: distances of 32 bits from a table of our own, which the linker knows. A table of addresses would be
/// twice the size, and be filled in anew whenever a process starts.
#[cfg(distances)]
macro_rules! handlers {
    ($n:literal: $($handler:path),*$(,)?) => {
        core::arch::global_asm!(
            ".pushsection .rodata.jitless_machine,\"a\",@progbits",
            ".p2align 2",
            concat!(".hidden ", table!()),
            concat!(".globl ", table!()),
            concat!(table!(), ":"),
            $(handlers!(@line $handler),)*
            ".popsection",
            $(sym $handler,)*
        );
        unsafe extern "C" {
            #[link_name = table!()]
            static DISTANCES: [i32; $n];
        }
    };
    (@line $handler:path) => { concat!(".long {} - ", table!()) };
}
/// The table's symbol, which is the linker's and so has the version in it.
#[cfg(distances)]
macro_rules! table {
    () => {
        concat!(
            "jitless_machine_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH"),
            "_handlers"
        )
    };
}
#[cfg(not(distances))]
macro_rules! handlers {
    ($n:literal: $($handler:path),*$(,)?) => {
        static HANDLERS: [Handler; $n] = [$($handler),*];
    };
}

include!(concat!(env!("OUT_DIR"), "/tiles.rs"));

/// The handler of a tile.
#[inline]
pub fn handler_of(tile: u16) -> Handler {
    #[cfg(not(distances))]
    return HANDLERS[tile as usize];
    // SAFETY: the table is that of the assembly above, as long as declared, and it is never written. Distance and table
    // together are the address of a handler.
    #[cfg(distances)]
    unsafe {
        let distance = DISTANCES[tile as usize] as isize;
        core::mem::transmute::<*const u8, Handler>((&raw const DISTANCES).cast::<u8>().offset(distance))
    }
}

/// The tile that is both of these, if there is one.
#[inline]
pub fn fused(before: u16, next: u16) -> Option<u16> {
    let row = *PAIR_ROWS.get(before as usize)? as usize;
    let (first, both) = *PAIRS.get(row + next as usize)?;
    (first == before).then_some(both)
}
