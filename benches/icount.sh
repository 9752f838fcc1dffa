#!/usr/bin/env bash
# icount.sh [COMMAND]: counts ten guests' short runs with tools/icount.sh and compares with icount.tsv (UPDATE=1 stores).
# Skipped, with a line, without valgrind and for another compiler than the one that the counts were stored for.
set -euo pipefail
jitless=$(realpath "${1:-target/release/jitless}")
cd "$(dirname "$0")"
command -v valgrind >/dev/null || { echo "skipped: no valgrind"; exit 0; }
compiler="# $(rustc --version), $(uname -m)"
if [ -n "${UPDATE:-}" ]; then rm -f icount.tsv; fi
if [ -f icount.tsv ] && [ "$(grep '^#' icount.tsv)" != "$compiler" ]; then
  echo "skipped: stored for$(grep '^#' icount.tsv | tr -d '#'), this is${compiler#\#}"; exit 0
fi
[ -f icount.tsv ] || echo "$compiler" > icount.tsv
failed=0
for guest in fib sha256 nbody wordcount vm quicksort hashmap lz oo matmul; do
  scale=$(awk -F'\t' -v n="$guest" '$1==n && $2!="-"{print $2}' guests/expected.tsv)
  ../tools/icount.sh icount.tsv "$guest" -- "$jitless" "guests/$guest.wasm" ${scale:+"$scale"} || failed=1
done
exit $failed
