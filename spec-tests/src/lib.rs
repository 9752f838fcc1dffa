//! Runs WebAssembly test scripts (`.wast`) on jitless, over its public interface only.
//!
//! Idea: a script is a list of commands; each passes, fails, or is skipped since something that it needs is of a proposal
//! that this version does not run. [`run_script`] gives all three, [`table`] sums them up folder by folder, and
//! [`Expected`] compares them with a list that has to be exact.
//!
//! Invariant: every command of a script is counted once, whatever happens to those before it, panics included.
//!
//! ```
//! use jitless_spec_tests::{Options, run_script};
//!
//! let script = r#"(module (func (export "one") (result i32) (i32.const 1)))
//!                 (assert_return (invoke "one") (i32.const 2))"#;
//! let result = run_script("one.wast", script, &Options::default());
//! assert_eq!(result.passed, 1);
//! let failure = &result.failed[0];
//! assert_eq!((failure.line, failure.expected.as_str(), failure.got.as_str()), (2, "i32 2", "i32 1"));
//! ```
#![forbid(unsafe_code)]

mod command;
mod expected;
mod result;
mod script;
mod spectest;
mod table;
mod values;

pub use self::command::{main_wast, scripts_in};
pub use self::expected::{Expected, Ran};
pub use self::result::{Asserts, Failure, ScriptResult, Skip};
pub use self::script::{Options, run_script};
pub use self::table::{Row, table};
