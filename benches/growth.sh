#!/usr/bin/env bash
# CPU a key as the work grows: 1 to 1,000 tasks, 1 to 200 partitions, each in turn, five rounds; medians, and how far
# above the smallest.
#
#   benches/growth.sh [RECORDS [ROUNDS]]      1000000 records, so that the start counts little, 5 rounds
#
# Needs `cargo build --release` and Docker with the image apache/kafka:4.3.1: each run has a Kafka of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
unset BROKERS TOPIC
RECORDS=${1:-1000000} ROUNDS=${2:-5}
runs=$(mktemp)
trap 'rm "$runs"' EXIT
for ((round = 0; round < ROUNDS; round++)); do
  for shape in 8x1 8x12 8x200 1x12 100x12 1000x12; do
    cost=$(BUCKETS=${shape%x*} benches/throughput.sh "$RECORDS" 0ms "${shape#*x}" | awk -F'|' 'END { print $4 }')
    echo "$shape $cost" | tee -a "$runs" >&2
  done
done
LC_ALL=C sort "$runs" | awk '
  function end() { if (shape != "") { order[++shapes] = shape; m[shape] = all[int((n + 1) / 2)]; low[shape] = all[1]; high[shape] = all[n] } }
  $1 != shape { end(); shape = $1; n = 0 }
  { all[++n] = $2; for (i = n; i > 1 && all[i] < all[i - 1]; i--) { t = all[i]; all[i] = all[i - 1]; all[i - 1] = t } }
  END {
    end()
    for (s in m) if (!least || m[s] < least) least = m[s]
    print "| tasks | partitions | CPU us/key | lowest-highest | above the smallest |"
    print "|---|---|---|---|---|"
    for (i = 1; i <= shapes; i++) {
      split(order[i], part, "x")
      printf "| %d | %d | %.1f | %.1f-%.1f | %.0f %% |\n", part[1], part[2], m[order[i]], low[order[i]], high[order[i]], 100 * (m[order[i]] / least - 1)
    }
  }'
