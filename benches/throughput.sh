#!/usr/bin/env bash
# One worker with its defaults against a backlog: CPU a key, keys a second, keys an event, peak memory.
#
#   benches/throughput.sh [RECORDS [LATENCY [PARTITIONS]]]      1000000 records, 0ms of simulated OMS latency, 12
#
# Needs `cargo build --release` and Docker with the image apache/kafka:4.3.1, or BROKERS=host:port of a Kafka whose
# topic $TOPIC (with the partitions, empty) is there already. Environment of the worker may be added: OMS_SYNC__...
set -euo pipefail
cd "$(dirname "$0")/.."
RECORDS=${1:-1000000} LATENCY=${2:-0ms} PARTITIONS=${3:-12} BUCKETS=${BUCKETS:-8}
PORT=${ADMIN_PORT:-19465}
. benches/stand.sh
simulator --latency "$LATENCY"
generate "$RECORDS"

worker worker "$PORT"
WORKER=$!
ticks() { awk '{ print $14 + $15 }' "/proc/$WORKER/stat"; }
began=0
while :; do
  totals
  accepted=$(total accepted_keys)
  now=$(date +%s.%N)
  if [ "$accepted" -gt 0 ] && [ "$began" = 0 ]; then began=$now first=$accepted; fi
  if [ "$accepted" -ge "$RECORDS" ]; then break; fi
  kill -0 $WORKER || { cat "$WORK/worker"; exit 1; }
  sleep 0.2
done
used=$(ticks) peak=$(awk '/VmHWM/ { print $2 }' "/proc/$WORKER/status")
events=$(metric "$PORT" oms_sync_event_keys_count)
awk -v n="$RECORDS" -v first="$first" -v began="$began" -v ended="$now" -v used="$used" -v hz="$(getconf CLK_TCK)" \
  -v peak="$peak" -v events="$events" -v partitions="$PARTITIONS" 'BEGIN {
  print "| records | partitions | CPU us/key | keys/s | keys/event | peak RSS MiB |"
  print "|---|---|---|---|---|---|"
  printf "| %d | %d | %.1f | %d | %.2f | %.0f |\n", n, partitions, used / hz * 1e6 / n, (n - first) / (ended - began),
    n / events, peak / 1024 }'
