#!/usr/bin/env bash
# retile.sh FOLDER [TIMEOUT]   mine machine/tiles/seq.txt from the programs of a folder
#
# Each FOLDER/NAME.wasm runs as a WASI program, with the words of NAME.args as arguments and NAME.stdin as input where they
# are, for TIMEOUT (default 60s) at most. What ran is counted, whether it came to its end or not.
set -euo pipefail
folder=$(realpath "${1:?usage: retile.sh FOLDER [TIMEOUT]}")
limit=${2:-60s}
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/profile}
# Without fused sequences every statement is a tile of its own, which is what the miner fuses.
JITLESS_TILE_SET=families cargo build --release -p jitless-cli --features profile
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
for wasm in "$folder"/*.wasm; do
  name=$(basename "$wasm" .wasm)
  args=() input=/dev/null
  [ -e "$folder/$name.args" ] && args=($(<"$folder/$name.args"))
  [ -e "$folder/$name.stdin" ] && input=$folder/$name.stdin
  echo "$name" >&2
  JITLESS_PROFILE=$lists/$name.lst "$CARGO_TARGET_DIR/release/jitless" --timeout "$limit" "$wasm" "${args[@]}" \
    <"$input" >/dev/null || echo "  ended with status $?" >&2
  [ -s "$lists/$name.lst" ] || rm -f "$lists/$name.lst"
done
python3 tools/mine.py machine/tiles/seq.txt 3000 3500 "$lists"/*.lst
