#!/usr/bin/env bash
# Builds the binaries of a real control plane from their Go modules into OUTDIR:
# etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, kwok
# and kwok's stage files (OUTDIR/kwok-stages). Versions are those of go.mod; a
# binary that is there in that version is kept. Cold: about 5 minutes on 2 cores.
#
#   tests/controlplane/build.sh OUTDIR
#   KUBEBUILDER_ASSETS=OUTDIR cargo test
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 OUTDIR" >&2
  exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v go >/dev/null; then
  echo "$0: no go command; install the Go named in $PWD/go.mod (https://go.dev/dl)" >&2
  exit 1
fi
export CGO_ENABLED=0 GOFLAGS=-mod=readonly

# The version of a module as go.mod (of the current folder) has it.
version_of() { go list -m -f '{{.Version}}' "$1"; }

# True where OUTDIR/$1 was built from module $2 in version $3: Go binaries carry both.
is_built() {
  [ -x "$out/$1" ] && go version -m "$out/$1" 2>/dev/null |
    awk -v module="$2" -v version="$3" \
      '$1 == "mod" && $2 == module && $3 == version { found = 1 } END { exit !found }'
}

# build NAME MODULE PACKAGE LDFLAGS, through a temporary name: never half a binary.
build() {
  local version
  version=$(version_of "$2")
  if is_built "$1" "$2" "$version"; then
    echo "$1 $version: there"
    return
  fi
  local start=$SECONDS
  go build -ldflags "-s -w $4" -o "$out/.$1.new" "$3"
  mv -f "$out/.$1.new" "$out/$1"
  echo "$1 $version: built in $((SECONDS - start)) s"
}

kubernetes=$(version_of k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${kubernetes#v}"
# Without these the server reports v0.0.0 and kubectl complains of the skew.
stamp="-X k8s.io/component-base/version.gitVersion=$kubernetes"
stamp+=" -X k8s.io/component-base/version.gitMajor=$major"
stamp+=" -X k8s.io/component-base/version.gitMinor=$minor"
for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
  build "$name" k8s.io/kubernetes "k8s.io/kubernetes/cmd/$name" "$stamp"
done
build etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 ""

# kwok uses other Kubernetes libraries, so it is a module of its own.
cd kwok
build kwok sigs.k8s.io/kwok sigs.k8s.io/kwok/cmd/kwok ""
go mod download sigs.k8s.io/kwok
stages=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
mkdir -p "$out/kwok-stages"
for stage in pod/fast node/fast node/heartbeat-with-lease; do
  for file in "$stages/$stage"/*.yaml; do
    [ "$(basename "$file")" = kustomization.yaml ] ||
      install -m 644 "$file" "$out/kwok-stages/"
  done
done
