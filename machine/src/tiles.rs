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

include!(concat!(env!("OUT_DIR"), "/tiles.rs"));
