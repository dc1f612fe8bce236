#!/usr/bin/env bash
# What an unsettled change costs in memory: a worker whose limits are raised, and an OMS that refuses every signature, so
# that nothing is settled. Beside the records' own bytes, and beside what the worker takes with an empty topic.
#
#   benches/memory.sh [RECORDS [PARTITIONS]]      1000000 records of one change each, 12 partitions
#
# Needs what benches/throughput.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
RECORDS=${1:-1000000} PARTITIONS=${2:-12} BUCKETS=8
PORT=${ADMIN_PORT:-19466}
. benches/stand.sh
simulator --latency 0ms
worker worker "$PORT" HUAWEICLOUD_SDK_SK=wrong OMS_SYNC__LIMITS__MAX_UNSETTLED_CHANGES=$((2 * RECORDS)) \
  OMS_SYNC__LIMITS__MAX_UNSETTLED_BYTES=64GiB OMS_SYNC__LIMITS__MAX_PENDING_KEYS_PER_TASK=$((2 * RECORDS)) \
  OMS_SYNC__LIMITS__MAX_UNCOMMITTED_RECORDS=$((2 * RECORDS))
WORKER=$!
resident() { awk '/VmRSS/ { print $2 }' "/proc/$WORKER/status"; }
wait_for "$PORT" oms_sync_assigned_partitions "$PARTITIONS"
empty=$(resident)
generate "$RECORDS"
wait_for "$PORT" oms_sync_unsettled_changes "$RECORDS"
sleep 3 # what was fetched and copied is given back
bytes=$(grep -o '"bytes":[0-9]*' "$WORK/generated" | grep -o '[0-9]*$')
awk -v n="$RECORDS" -v empty="$empty" -v full="$(resident)" -v bytes="$bytes" -v peak="$(awk '/VmHWM/ { print $2 }' "/proc/$WORKER/status")" 'BEGIN {
  print "| unsettled changes | resident MiB | peak MiB | with an empty topic | bytes of a record | bytes a change beside them |"
  print "|---|---|---|---|---|---|"
  printf "| %d | %.0f | %.0f | %.0f | %.0f | %.0f |\n", n, full / 1024, peak / 1024, empty / 1024, bytes / n,
    ((full - empty) * 1024 - bytes) / n }'
