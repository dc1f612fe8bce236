#!/bin/bash
# build.sh tools|box...: what must be compiled (Go 1.26), into $K8S_HOME/bin; what is there already is kept.
#   tools  kubeconform and helm-docs, 50 to 60 s of processor time
#   box    etcd, control plane and kubelet in one binary of 130 MB: 18 minutes of processor time, 2.2 GB of memory, 3 GB of cache
set -euo pipefail
cd "$(dirname "$0")"; . ./env.sh; mkdir -p "$BIN"
export GOBIN=$BIN GOFLAGS="-buildvcs=false -modcacherw"
install() { [ -x "$BIN/$1" ] || (cd / && nice -n 5 go install -ldflags "-s -w" "$2"); }
for what in "${@:-tools}"; do
  case $what in
    tools)
      install kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
      install helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2 ;;
    box) [ -x "$BIN/kubebox" ] || kubebox/build.sh kubebox "$BIN" ;;
    *) echo "unknown: $what"; exit 2 ;;
  esac
done
