//! Hostile inputs: how engines have been crashed, hung, blown up in memory or escaped from, each a row, each row a test.
//!
//! A row's id is the beginning of its test's name: `d13_…` is row 13 of decoding. The areas: decoding (D), validation (V),
//! numbers (N), memories (M), tables (T), calls and the stack (C), linking and embedding (L), resources (R). The rows of
//! exceptions, collected objects, threads and vectors (X) and of WASI (W) come with what they are about.
//!
//! Invariant: every row of these areas is a test, or stands in [`LATER`] with what it waits for.

mod call;
mod decode;
mod harness;
mod link;
mod memory;
mod numeric;
mod resource;
mod table;
mod validate;
