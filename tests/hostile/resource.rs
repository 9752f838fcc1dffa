//! Resources: fuel to the unit, deadlines, bombs for the translator, growth without end, and what is left afterwards.
//!
//! Invariant: what a guest makes the host do or hold is bounded by its fuel, its deadline, its budget, or the size of
//! its module.

mod bombs;
mod ends;
mod fuel;
mod growth;
mod left;

use self::bombs::*;
use self::ends::*;
use self::fuel::*;
use self::growth::*;
use self::left::*;
use crate::harness::rows;

rows! {
    r1_fuel_to_the_unit r2_fuel_in_every_mode r3_every_operator_costs r4_loops_of_what_is_free
    r5_bulk_operations_pay_first r6_work_before_a_trap_is_paid r7_fuel_at_the_first_call r8_fuel_saturates r9_deadlines
    r10_a_deadline_ends_everything r11_bombs_for_the_translator r12_wide_calls r13_wide_branches r14_preserved_locals
    r15_growth_without_end r16_other_growth_without_end r17_a_million_new_objects r18_large_segments_are_shared
    r19_a_hundred_thousand_segments r20_a_million_globals r22_backtraces_with_long_names r23_allocations_that_fail
    r24_one_budget_for_many_stores r25_budgets_at_the_edges r26_calls_of_an_empty_host_function r28_many_modules_in_one_engine
    r29_many_refused_modules_in_one_engine
}
