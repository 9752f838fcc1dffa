//! Linking and embedding: imports that do not fit, starts that fail, hosts that panic, drop in any order or re-enter.
//!
//! Invariant: a failure says what and where, leaves what was written, and takes nothing with it.

mod calls;
mod handles;
mod hosts;
mod imports;
mod starts;

use self::calls::*;
use self::handles::*;
use self::hosts::*;
use self::imports::*;
use self::starts::*;
use crate::harness::rows;

rows! {
    l1_imports_that_do_not_fit l2_imports_of_what_has_grown l3_starts_that_fail
    l4_a_function_that_escapes_a_failed_start l5_a_hundred_huge_memories l6_failure_at_each_step
    l7_a_host_that_loads_another_module l8_a_host_that_re_enters l9_things_of_another_engine l10_drops_in_any_order
    l11_an_error_of_the_host_from_deep_down l12_a_host_that_panics l13_calls_with_wrong_arguments
    l14_globals_set_by_the_host l15_a_million_imports l16_errors_with_hostile_names l17_export_names l18_eight_threads
    l19_stop_handles l20_limiters_of_all_sorts l21_resumable_calls l22_bytes_changed_after_loading
    l23_debug_of_everything
}

#[derive(Debug, PartialEq)]
struct MyError {
    code: i32,
}

impl std::fmt::Display for MyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "my error {}", self.code)
    }
}

impl std::error::Error for MyError {}
