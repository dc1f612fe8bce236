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
LC_ALL=C sort -k1,1 -k2,2g "$runs" | awk '
  { if ($1 != shape) { order[++shapes] = shape = $1; n = 0 } cost[shape, ++n] = $2; runs[shape] = n }
  function median(shape) { return cost[shape, int((runs[shape] + 1) / 2)] }
  END {
    least = median(order[1])
    for (i = 2; i <= shapes; i++) if (median(order[i]) < least) least = median(order[i])
    print "| tasks | partitions | CPU us/key | lowest-highest | above the smallest |"
    print "|---|---|---|---|---|"
    for (i = 1; i <= shapes; i++) {
      shape = order[i]
      split(shape, part, "x")
      printf "| %d | %d | %.1f | %.1f-%.1f | %.0f %% |\n", part[1], part[2], median(shape), cost[shape, 1], cost[shape, runs[shape]], 100 * (median(shape) / least - 1)
    }
  }'
