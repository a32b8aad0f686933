#!/usr/bin/env bash
# Installs the programs of a Kubernetes API server: etcd, kube-apiserver and kubectl. Searches
# KUBEBUILDER_ASSETS, PATH and the cache, then installs etcd from Debian if it may install packages,
# and builds the rest from the Go modules pinned in scripts/kube-assets/go.mod. Called by
# `make kube-assets`; fast if nothing is missing. A build needs Go, a few minutes on two cores and
# 3 GB for Go's caches.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

MODULES=scripts/kube-assets
version=$(sed -nE 's/^\s*k8s\.io\/kubernetes (v[0-9.]+)( .*)?$/\1/p' "$MODULES/go.mod")
[[ $version ]] || die "$MODULES/go.mod does not require k8s.io/kubernetes"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/isthmus/kube/$version
PROGRAMS=(etcd kube-apiserver kubectl)
declare -A PACKAGES=(
    [etcd]=go.etcd.io/etcd/server/v3
    [kube-apiserver]=k8s.io/kubernetes/cmd/kube-apiserver
    [kubectl]=k8s.io/kubernetes/cmd/kubectl
)

# Prints those of the given programs that are not installed.
missing() {
    local program
    for program in "$@"; do
        PATH=${KUBEBUILDER_ASSETS:+$KUBEBUILDER_ASSETS:}$PATH:/usr/sbin:/sbin:$cache \
            command -v "$program" >/dev/null || echo "$program"
    done
}

# Ignores a failure: etcd can also be built.
etcd_from_debian() {
    local sudo
    command -v apt-get >/dev/null && sudo=$(as_root) || return 0
    echo "installing the Debian package etcd-server (its service is not started)"
    ${sudo:+"$sudo"} bash scripts/packages.sh etcd-server || true
}

# Builds a program under a temporary name and renames it, so that a killed build leaves no program.
build() {
    local major minor stamp=k8s.io/component-base/version
    command -v go >/dev/null || die "$1 is missing, and building it needs Go" \
        "($(sed -n 's/^go //p' "$MODULES/go.mod") or newer); install Go, or set KUBEBUILDER_ASSETS to" \
        "a directory that contains etcd, kube-apiserver and kubectl"
    echo "building $1 from ${PACKAGES[$1]} (the first build takes minutes)"
    IFS=. read -r major minor _ <<<"${version#v}"
    mkdir -p "$cache"
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice go -C "$MODULES" build -trimpath \
        -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor" \
        -o "$cache/.$1.$$" "${PACKAGES[$1]}"
    mv "$cache/.$1.$$" "$cache/$1"
}

[[ -z $(missing etcd) ]] || etcd_from_debian
for program in $(missing "${PROGRAMS[@]}"); do
    trap 'rm -f "$cache/.$program.$$"' EXIT
    start=$SECONDS
    build "$program"
    echo "built $cache/$program ($(du -h "$cache/$program" | cut -f1)) in $((SECONDS - start)) s"
done
