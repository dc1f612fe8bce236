# Sourced by the other scripts; everything they make lies under K8S_HOME.
K8S_HOME=${K8S_HOME:-/tmp/k8s}
BIN=$K8S_HOME/bin
ST=$K8S_HOME/state
PY=$K8S_HOME/venv/bin/python
KUBE=1.35.0 # of the schemas
PORT=${K8S_PORT:-16443}
ETCD_PORT=${K8S_ETCD_PORT:-12379}
TOKEN=local-admin-token
export PATH=$BIN:$PATH
