//! The target `exec_diff`; without libFuzzer it runs the files that it is given.
#![cfg_attr(fuzzing, no_main)]
jitless_fuzz::target!(jitless_fuzz::exec_diff);
