#!/usr/bin/env bash
# One worker with its defaults against a backlog: CPU a key, keys a second, keys an event, peak memory.
#
#   benches/throughput.sh [RECORDS [LATENCY]]      1000000 records, 0ms of simulated OMS latency
#
# Needs `cargo build --release` and Docker with the image apache/kafka:4.3.1, or BROKERS=host:port of a Kafka whose
# topic $TOPIC (12 partitions, empty) is there already. Environment of the worker may be added: OMS_SYNC__...
set -euo pipefail
cd "$(dirname "$0")/.."
RECORDS=${1:-1000000} LATENCY=${2:-0ms}
BIN=${CARGO_TARGET_DIR:-target}/release/oms-sync-worker
TOPIC=${TOPIC:-throughput-$$}
WORK=$(mktemp -d)
finish() {
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null || true
  if [ -n "${CONTAINER:-}" ]; then docker rm -f "$CONTAINER" >/dev/null; fi
  rm -rf "$WORK"
}
trap finish EXIT

if [ -z "${BROKERS:-}" ]; then
  CONTAINER=$(docker run -d --rm --pull never -p 127.0.0.1:9092:9092 apache/kafka:4.3.1) BROKERS=localhost:9092
  kafka() { docker exec "$CONTAINER" /opt/kafka/bin/kafka-topics.sh --bootstrap-server localhost:9092 "$@"; }
  until kafka --list >/dev/null 2>&1; do sleep 1; done
  kafka --create --topic "$TOPIC" --partitions 12 >/dev/null
  kafka --create --topic "$TOPIC.dlq" --partitions 1 >/dev/null
fi

TASKS=() ROUTES=()
for n in 0 1 2 3 4 5 6 7; do
  TASKS+=(--task "task-$n:bucket-$n")
  ROUTES+=("{\"task\":\"task-$n\",\"bucket\":\"bucket-$n\"}")
done
"$BIN" simulate --listen 127.0.0.1:0 --project p --access-key AK --secret-key SK --latency "$LATENCY" "${TASKS[@]}" \
  > "$WORK/simulator" &
"$BIN" generate --brokers "$BROKERS" --topic "$TOPIC" --format aws-s3 --records "$RECORDS" --buckets 8 --seed 1 > "$WORK/generated"
OMS=$(grep -o '127\.0\.0\.1:[0-9]*' "$WORK/simulator" | head -1)

routes=$(IFS=,; echo "[${ROUTES[*]}]")
env OMS_SYNC__KAFKA__BROKERS="$BROKERS" OMS_SYNC__KAFKA__TOPICS="$TOPIC" OMS_SYNC__KAFKA__GROUP_ID="$TOPIC" \
  OMS_SYNC__OMS__ENDPOINT="http://$OMS" OMS_SYNC__OMS__PROJECT_ID=p OMS_SYNC__ROUTES="$routes" \
  OMS_SYNC__ADMIN__LISTEN=127.0.0.1:19465 HUAWEICLOUD_SDK_AK=AK HUAWEICLOUD_SDK_SK=SK "$BIN" run > "$WORK/worker" &
WORKER=$!
metric() { curl -sf http://127.0.0.1:19465/metrics | awk -v name="$1" 'index($0, name) == 1 { sum += $NF } END { print sum + 0 }'; }
ticks() { awk '{ print $14 + $15 }' "/proc/$WORKER/stat"; }

began=0
while :; do
  accepted=$(metric oms_sync_keys_accepted_total || true) # not listening yet
  now=$(date +%s.%N)
  if [ "$accepted" -gt 0 ] && [ "$began" = 0 ]; then began=$now first=$accepted; fi
  if [ "$accepted" -ge "$RECORDS" ]; then break; fi
  kill -0 $WORKER || { cat "$WORK/worker"; exit 1; }
  sleep 0.2
done
used=$(ticks) peak=$(awk '/VmHWM/ { print $2 }' "/proc/$WORKER/status")
events=$(metric oms_sync_event_keys_count)
awk -v n="$RECORDS" -v first="$first" -v began="$began" -v ended="$now" -v used="$used" -v hz="$(getconf CLK_TCK)" \
  -v peak="$peak" -v events="$events" 'BEGIN {
  print "| records | CPU us/key | keys/s | keys/event | peak RSS MiB |"
  print "|---|---|---|---|---|"
  printf "| %d | %.1f | %d | %.2f | %.0f |\n", n, used / hz * 1e6 / n, (n - first) / (ended - began), n / events, peak / 1024 }'
