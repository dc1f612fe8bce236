# Shared by the scripts here; not to be run: a Kafka with an empty topic, the tasks, the simulator and workers, all ended
# with the script. They set PARTITIONS and BUCKETS before.
# shellcheck shell=bash
BIN=${BIN:-${CARGO_TARGET_DIR:-target}/release/oms-sync-worker}
TOPIC=${TOPIC:-$(basename "$0" .sh)-$$}
WORK=$(mktemp -d)
finish() {
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null || true
  wait 2>/dev/null || true
  if [ -n "${CONTAINER:-}" ]; then docker rm -f "$CONTAINER" >/dev/null; fi
  rm -rf "$WORK"
}
trap finish EXIT

if [ -z "${BROKERS:-}" ]; then
  CONTAINER=$(docker run -d --rm --pull never -p 127.0.0.1:9092:9092 apache/kafka:4.3.1) BROKERS=localhost:9092
  kafka() { docker exec "$CONTAINER" /opt/kafka/bin/kafka-topics.sh --bootstrap-server localhost:9092 "$@"; }
  until kafka --list >/dev/null 2>&1; do sleep 1; done
  kafka --create --topic "$TOPIC" --partitions "$PARTITIONS" >/dev/null
  kafka --create --topic "$TOPIC.dlq" --partitions 1 >/dev/null
fi

TASKS=() ROUTES=()
for ((n = 0; n < BUCKETS; n++)); do
  TASKS+=(--task "task-$n:bucket-$n")
  ROUTES+=("{\"task\":\"task-$n\",\"bucket\":\"bucket-$n\"}")
done
routes=$(IFS=,; echo "[${ROUTES[*]}]")

# generate RECORDS [ARGUMENT]...: each its own key.
generate() {
  "$BIN" generate --brokers "$BROKERS" --topic "$TOPIC" --format aws-s3 --records "$1" --buckets "$BUCKETS" --seed 1 "${@:2}" > "$WORK/generated"
}

# simulator ARGUMENT...: sets OMS.
simulator() {
  "$BIN" simulate --listen 127.0.0.1:0 --project p --access-key AK --secret-key SK "$@" "${TASKS[@]}" > "$WORK/simulator" &
  until grep -q listening "$WORK/simulator"; do sleep 0.05; done
  OMS=$(grep -o '127\.0\.0\.1:[0-9]*' "$WORK/simulator" | head -1)
}

# totals: what the simulator has counted, for total NAME. Unlike a worker's metrics that costs the worker nothing.
totals() { curl -sf "http://$OMS/_simulator/totals" > "$WORK/totals"; }
total() { grep -o "\"$1\":[0-9]*" "$WORK/totals" | head -1 | grep -o '[0-9]*$' || echo 0; }

# worker NAME ADMIN_PORT [VARIABLE=VALUE]...: its process id is in $! afterwards, its log in $WORK/NAME.
worker() {
  local name=$1 port=$2
  env OMS_SYNC__KAFKA__BROKERS="$BROKERS" OMS_SYNC__KAFKA__TOPICS="$TOPIC" OMS_SYNC__KAFKA__GROUP_ID="$TOPIC" \
    OMS_SYNC__OMS__ENDPOINT="http://$OMS" OMS_SYNC__OMS__PROJECT_ID=p OMS_SYNC__ROUTES="$routes" \
    OMS_SYNC__ADMIN__LISTEN="127.0.0.1:$port" HUAWEICLOUD_SDK_AK=AK HUAWEICLOUD_SDK_SK=SK "${@:3}" "$BIN" run > "$WORK/$name" &
}

# wait_for PORT NAME N: until that metric of the worker there, whose process id is in $WORKER, is N at least.
wait_for() {
  until [ "$(metric "$1" "$2")" -ge "$3" ]; do
    kill -0 "$WORKER" || { cat "$WORK/worker"; exit 1; }
    sleep 0.2
  done
}

# metric PORT NAME: the sum of a metric of the worker there; 0 while it does not listen.
metric() {
  { curl -sf "http://127.0.0.1:$1/metrics" || true; } | awk -v name="$2" '$1 == name || index($0, name "{") == 1 { sum += $NF } END { printf "%.0f\n", sum }'
}
