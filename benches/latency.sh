#!/usr/bin/env bash
# How long after Kafka's timestamp of its record a key is accepted, with a steady stream and nothing in the way.
#
#   benches/latency.sh [RATE [LATENCY [SECONDS]]]      1000 records a second, 5ms of simulated OMS latency, for 60 s
#
# Needs what benches/throughput.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
RATE=${1:-1000} LATENCY=${2:-5ms} SECONDS_=${3:-60} PARTITIONS=12 BUCKETS=8
PORT=${ADMIN_PORT:-19467}
. benches/stand.sh
simulator --latency "$LATENCY"
worker worker "$PORT"
WORKER=$!
wait_for "$PORT" oms_sync_assigned_partitions "$PARTITIONS"
generate $((RATE * SECONDS_)) --rate "$RATE"
wait_for "$PORT" oms_sync_keys_accepted_total $((RATE * SECONDS_))
echo "| records/s | OMS latency | keys | keys/event | within 0.1 s | within 0.25 s | within 0.5 s |"
echo "|---|---|---|---|---|---|---|"
curl -sf "http://127.0.0.1:$PORT/metrics" | awk -v rate="$RATE" -v latency="$LATENCY" -F'[" ]' '
  /^oms_sync_record_to_accepted_seconds_bucket/ { within[$2] = $NF }
  /^oms_sync_record_to_accepted_seconds_count/ { keys = $NF }
  /^oms_sync_event_keys_count/ { events = $NF }
  END {
    printf "| %d | %s | %d | %.1f | %.2f %% | %.2f %% | %.2f %% |\n", rate, latency, keys, keys / events,
      100 * within["0.1"] / keys, 100 * within["0.25"] / keys, 100 * within["0.5"] / keys
  }'
