#!/usr/bin/env bash
# Workers against one quota, without talking to each other: how much of it they use, how much is throttled, keys an
# event, and the smallest worker's part of an even share. All but the last are the simulator's own counters.
#
#   benches/quota.sh [WORKERS [REQUESTS_PER_SECOND [BURST]]]      3 workers, 200 requests a second, burst 20
#
# SETTLE=60 seconds to settle and MEASURE=60 to measure; LATENCY=20ms of every answer; RETRY_AFTER=1s if 429 is to ask
# for it. Needs `cargo build --release` and Docker with the image apache/kafka:4.3.1, or BROKERS=host:port of a Kafka
# whose topic $TOPIC (24 partitions, empty) is there already. Environment of the workers may be added: OMS_SYNC__...
set -euo pipefail
cd "$(dirname "$0")/.."
WORKERS=${1:-3} QUOTA=${2:-200} BURST=${3:-20}
SETTLE=${SETTLE:-60} MEASURE=${MEASURE:-60} LATENCY=${LATENCY:-20ms}
ADMIN_PORT=${ADMIN_PORT:-19470} # the first worker's, the next ones follow
PARTITIONS=24 BUCKETS=4
. benches/stand.sh
simulator --latency "$LATENCY" --requests-per-second "$QUOTA" --burst "$BURST" ${RETRY_AFTER:+--retry-after "$RETRY_AFTER"}
# A backlog for all of it and a half more, each key once.
generate $((QUOTA * 10 * (SETTLE + MEASURE + 20) * 3 / 2 + 30000))

PIDS=()
for ((n = 0; n < WORKERS; n++)); do
  worker "worker-$n" $((ADMIN_PORT + n))
  PIDS+=($!)
done
# accepted N: events of worker N that were accepted. sample: seconds, requests, 429s, events, keys, and each worker's events.
accepted() { metric $((ADMIN_PORT + $1)) oms_sync_event_keys_count; }
sample() {
  totals
  echo -n "$(date +%s.%N) $(total requests) $(total 429) $(total accepted_events) $(total accepted_keys)"
  for ((n = 0; n < WORKERS; n++)); do echo -n " $(accepted "$n")"; done
  echo
}

# The clock starts when every worker has had an event accepted, that is, once the group has settled.
for ((n = 0; n < WORKERS; n++)); do
  until [ "$(accepted "$n")" -gt 0 ]; do
    kill -0 "${PIDS[$n]}" || { cat "$WORK/worker-$n"; exit 1; }
    sleep 0.2
  done
done
sleep "$SETTLE"
sample > "$WORK/first"
sleep "$MEASURE"
sample > "$WORK/last"

cat "$WORK/first" "$WORK/last" | awk -v quota="$QUOTA" -v burst="$BURST" -v workers="$WORKERS" '
  NR == 1 { for (i = 1; i <= NF; i++) first[i] = $i }
  NR == 2 {
    for (i = 1; i <= NF; i++) d[i] = $i - first[i]
    smallest = -1
    for (i = 6; i <= NF; i++) { sum += d[i]; if (smallest < 0 || d[i] < smallest) smallest = d[i] }
    print "| workers | quota/s | burst | requests/s accepted | of the quota | throttled | keys/event | smallest share |"
    print "|---|---|---|---|---|---|---|---|"
    printf "| %d | %g | %g | %.1f | %.1f %% | %.2f %% | %.2f | %.0f %% of an even one |\n", workers, quota, burst,
      d[4] / d[1], 100 * d[4] / d[1] / quota, 100 * d[3] / d[2], d[5] / d[4], 100 * smallest * workers / sum
  }'
