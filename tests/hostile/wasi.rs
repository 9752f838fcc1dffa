//! WASI: paths that lead out, rights that grow, pointers that point nowhere, counts that wrap.
//!
//! Where a row leaves a choice: what a guest may not do, or would leave its directories by, is NOTCAPABLE throughout. A
//! pointer out of memory is FAULT, and a value that means nothing INVAL; neither ends the guest, and neither has done
//! anything.
//!
//! Invariant: no row reaches what the host has; the files are all in memory.

mod calls;
pub(super) mod costs;
mod descriptors;
mod paths;
mod process;
mod reading;
mod world;

use self::descriptors::*;
use self::paths::*;
use self::process::*;
use self::reading::*;
use crate::harness::rows;

rows! {
    w1_ways_out w2_ways_round w3_absolute_paths w4_links_to_roots w5_links_that_lead_out w6_links_gain_no_depth
    w7_parents_are_physical w8_links_upon_links w9_dangling_links w10_no_creation_outside w11_slashes_at_the_end
    w12_slashes_do_not_follow w13_empty_paths w14_zero_bytes w15_what_is_not_utf8 w16_lengths_of_paths
    w17_pointers_to_paths w18_names_of_other_systems w19_renaming w20_rights_of_both_ends w21_read_only
    w22_hard_links w23_files_without_names w24_directories_without_names w25_removing w26_trees_without_end
    w27_flags_of_opening w28_rights w29_what_is_no_directory w30_renumbering w31_a_million_renumberings w32_closing
    w33_too_many_open w34_results_out_of_memory w35_counts_of_buffers w36_ends_of_memory w37_sums_beyond_32_bits
    w38_a_first_buffer_that_is_empty w39_buffers_over_their_own_array w40_counts_out_of_memory w41_far_offsets
    w42_seeking w43_holes w44_sizes w45_appending w46_buffers_of_listings w47_listing_while_it_changes
    w48_arrays_of_subscriptions w49_clock_subscriptions w50_events w51_random_bytes w52_clocks
    w53_arguments_at_their_limits w54_times w55_names_of_mounts w56_exits w57_reading_links w58_making_links
    w59_whose_memory_it_is w60_a_memory_of_four_gibibytes w61_commands_and_reactors w62_sockets_signals_unknown_names
    w63_quotas_to_the_last_unit w64_numbers_of_nodes w65_advice_and_the_disk
}
