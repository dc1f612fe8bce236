#!/usr/bin/env bash
# Instructions that the worker's pure parts take, counted by valgrind, beside those on record. Fails when one has risen
# by more than 5 %.
#
#   benches/instructions/run.sh             counts and compares; needs valgrind
#   benches/instructions/run.sh --record    writes them to recorded.csv: say in the commit why they changed
#
# The same sources, toolchain and libc give the same counts on another machine; recorded.csv names those it was made with.
# Each figure is a difference between two runs, so what is done once does not count.
set -euo pipefail
cd "$(dirname "$0")"
FEW=2000 MANY=12000 LIMIT=5
target=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")/instructions
cargo build --quiet --locked --release --target-dir "$target"
program=$target/release/instructions
libc=$(ldd --version | sed -n '1s/.* //p')
made_with="$(rustc --version | cut -d' ' -f1-2), $(rustc -vV | sed -n 's/^host: //p'), libc $libc, valgrind $(valgrind --version | sed 's/.*-//')"

# Of one run. What libc and memchr would choose by the processor is the same everywhere: nothing newer than SSE 4.2.
count() {
  GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-ERMS,-AVX512F \
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 | sed -n 's/.*Collected : //p'
}
counted=$(mktemp)
trap 'rm "$counted"' EXIT
"$program" | while read -r name; do
  few=$(count "$name" "$FEW") many=$(count "$name" "$MANY")
  echo "$name;$(((many - few) / (MANY - FEW)))" >> "$counted"
done

if [ "${1:-}" = --record ]; then
  { echo "# $made_with"; cat "$counted"; } > recorded.csv
  cat recorded.csv
  exit
fi
recorded_with=$(sed -n '1s/^# //p' recorded.csv)
if [ "$recorded_with" != "$made_with" ]; then
  echo "the record was made with $recorded_with, this is $made_with: counts may differ for that alone"
fi
awk -F';' -v limit="$LIMIT" '
  NR == FNR { if ($0 !~ /^#/) recorded[$1] = $2; next }
  {
    change = $1 in recorded ? 100 * ($2 / recorded[$1] - 1) : 0
    note = !($1 in recorded) ? "not on record" : change > limit ? "TOO MANY" : change < -limit ? "fewer: record it" : ""
    printf "%-52s %9d %+7.1f %% %s\n", $1, $2, change, note
    bad += change > limit || !($1 in recorded)
  }
  END {
    if (bad) print "make it cheaper, or benches/instructions/run.sh --record and say in the commit why it costs more"
    exit bad > 0
  }' recorded.csv "$counted"
