//! jitless
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]
extern crate alloc;
pub(crate) mod budget;
pub(crate) mod code;
pub(crate) mod config;
pub(crate) mod cover;
pub(crate) mod error;
pub(crate) mod module;
pub(crate) mod translate;
pub(crate) mod types;
pub(crate) mod validate;
pub(crate) mod value;
