#!/usr/bin/env bash
# Fuzzes the decoder, on the stable toolchain and without cargo-fuzz. The corpus is kept in the target directory and
# begins with the fixtures of the tests.
#
#   fuzz/run.sh decode|envelopes SECONDS      fuzzes for so long; fails on a finding and says where it is
#   fuzz/run.sh decode|envelopes FILE         runs a finding again
#
# MAX_LEN is the longest input, 4096 bytes; with another one, inputs may be as long from the beginning.
set -euo pipefail
if [ $# -ne 2 ]; then sed -n '5,6s/^# *//p' "$0" >&2; exit 2; fi
what=$1 how_long=$2
if [ -f "$how_long" ]; then how_long=$(realpath "$how_long"); fi
cd "$(dirname "$0")"

# What instruments the code; --target keeps it away from build scripts.
flags=(-Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing)
for flag in level=4 inline-8bit-counters pc-table trace-compares; do flags+=("-Cllvm-args=-sanitizer-coverage-$flag"); done
host=$(rustc -vV | sed -n 's/^host: //p')
target=$(realpath -m "${CARGO_TARGET_DIR:-../target}")/fuzzing
RUSTFLAGS="${flags[*]}" cargo build --quiet --locked --release --target "$host" --target-dir "$target" --bin "$what"

corpus=$target/corpus/$what
mkdir -p "$corpus"
limits=(-rss_limit_mb=512 -timeout=10 "-artifact_prefix=$target/finding-$what-")
if [ -f "$how_long" ]; then exec "$target/$host/release/$what" "${limits[@]}" "$how_long"; fi
exec "$target/$host/release/$what" "${limits[@]}" "-max_total_time=$how_long" "-max_len=${MAX_LEN:-4096}" \
  "-len_control=$([ -n "${MAX_LEN:-}" ] && echo 0 || echo 20)" -print_final_stats=1 "$corpus"
