#!/usr/bin/env bash
# From exec to the first line of the log, and to ready, with Kafka and OMS up and an empty topic: ten starts each, with
# the classic group protocol and with the newer one. A broker's group.initial.rebalance.delay.ms is in the classic one.
#
#   benches/startup.sh [STARTS]
#
# Needs what benches/throughput.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
STARTS=${1:-10} PARTITIONS=12 BUCKETS=8
PORT=${ADMIN_PORT:-19468}
. benches/stand.sh
simulator --latency 0ms
ms() { echo $(($(date +%s%N) / 1000000)); }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] " | " all[1] "-" all[NR] }'; }
echo "| protocol | first line of the log, ms | lowest-highest | ready, ms | lowest-highest |"
echo "|---|---|---|---|---|"
for protocol in classic consumer; do
  for ((n = 0; n < STARTS; n++)); do
    began=$(ms)
    worker "$protocol-$n" "$PORT" OMS_SYNC__KAFKA__GROUP_ID="$TOPIC-$protocol-$n" \
      OMS_SYNC__KAFKA__PROPERTIES="{\"group.protocol\":\"$protocol\"}" OMS_SYNC__LOG__FORMAT=json
    pid=$!
    until curl -sf "http://127.0.0.1:$PORT/readyz" > "$WORK/ready"; do
      kill -0 $pid || { cat "$WORK/$protocol-$n"; exit 1; }
      sleep 0.005
    done
    echo $(($(ms) - began)) >> "$WORK/$protocol.ready"
    line=$(head -1 "$WORK/$protocol-$n" | grep -o '"timestamp":"[^"]*"' | cut -d'"' -f4)
    echo $(($(date -d "$line" +%s%N) / 1000000 - began)) >> "$WORK/$protocol.line"
    kill $pid
    wait $pid || { cat "$WORK/$protocol-$n"; exit 1; }
  done
  echo "| $protocol | $(median < "$WORK/$protocol.line") | $(median < "$WORK/$protocol.ready") |"
done
