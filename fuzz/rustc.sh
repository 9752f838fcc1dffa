#!/bin/sh
# RUSTC_WRAPPER that makes the engine ready for libFuzzer on a stable compiler; see README.md. Other crates stay as they
# are: what they do is not searched. The machine gets counters and no traced comparisons, which would be calls in tiles.
rustc=$1
shift
counters='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table'
case " $* " in
*" --crate-name jitless_machine "*) flags="$counters -Cllvm-args=-sanitizer-coverage-level=1" ;;
*" --crate-name jitless "* | *" --crate-name wasmparser "*)
  flags="$counters -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-trace-compares" ;;
*) flags= ;;
esac
# shellcheck disable=SC2086
exec "$rustc" "$@" $flags
