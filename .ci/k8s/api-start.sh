#!/bin/bash
# etcd + kube-apiserver on loopback (envtest style). "api-start.sh ctl" adds controller-manager and scheduler (needs kubebox).
# Called by node-init.sh too, inside the node's namespaces.
set -euo pipefail
cd "$(dirname "$0")"; . ./env.sh
mode=${1:-api}; adv=${2:-127.0.0.1}
box=$BIN/kubebox
mkdir -p "$ST"/{etcd,certs,log,pid}
[ -s "$ST/sa.key" ] || openssl genrsa -out "$ST/sa.key" 2048 2>/dev/null
echo "$TOKEN,admin,admin,system:masters" > "$ST/tokens.csv"
cat > "$ST/kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "https://127.0.0.1:$PORT", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: $TOKEN}}]
contexts: [{name: local, context: {cluster: local, user: admin}}]
current-context: local
Y
bg() { name=$1; shift; setsid nohup "$@" >"$ST/log/$name.log" 2>&1 </dev/null & echo $! > "$ST/pid/$name"; }
t0=$(date +%s.%N)
bg etcd "$box" etcd --data-dir "$ST/etcd" --listen-client-urls http://127.0.0.1:$ETCD_PORT --advertise-client-urls http://127.0.0.1:$ETCD_PORT \
   --listen-peer-urls http://127.0.0.1:$((ETCD_PORT+1)) --initial-advertise-peer-urls http://127.0.0.1:$((ETCD_PORT+1)) \
   --initial-cluster default=http://127.0.0.1:$((ETCD_PORT+1)) --unsafe-no-fsync --log-level warn
bg kube-apiserver "$box" kube-apiserver --etcd-servers http://127.0.0.1:$ETCD_PORT --cert-dir "$ST/certs" \
   --bind-address 127.0.0.1 --secure-port $PORT --advertise-address "$adv" --endpoint-reconciler-type none --kubelet-preferred-address-types InternalIP \
   --service-cluster-ip-range 10.96.0.0/24 --allow-privileged=true --authorization-mode Node,RBAC --token-auth-file "$ST/tokens.csv" \
   --service-account-issuer https://kubernetes.default.svc --service-account-signing-key-file "$ST/sa.key" --service-account-key-file "$ST/sa.key" \
   $([ "$mode" = api ] && echo --disable-admission-plugins=ServiceAccount)
for i in $(seq 1 240); do curl -sk "https://127.0.0.1:$PORT/readyz" 2>/dev/null | grep -q '^ok' && break; sleep 0.25; done
curl -sk "https://127.0.0.1:$PORT/readyz" | grep -q '^ok' || { echo "apiserver not ready"; tail -20 "$ST/log/kube-apiserver.log"; exit 1; }
echo "apiserver ready after $(python3 -c "import time;print(round(time.time()-$t0,1))") s; KUBECONFIG=$ST/kubeconfig"
if [ "$mode" != api ]; then
  bg kube-controller-manager "$box" kube-controller-manager --kubeconfig "$ST/kubeconfig" --leader-elect=false --bind-address 127.0.0.1 \
    --service-account-private-key-file "$ST/sa.key" --cert-dir "$ST/certs-kcm" --root-ca-file "$ST/certs/apiserver.crt" --allocate-node-cidrs=false
  bg kube-scheduler "$box" kube-scheduler --kubeconfig "$ST/kubeconfig" --leader-elect=false --bind-address 127.0.0.1 --cert-dir "$ST/certs-sched"
fi
