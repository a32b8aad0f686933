#!/usr/bin/env bash
# Sees to it that the programs of a Kubernetes API server are on this machine: etcd, kube-apiserver
# and kubectl. They are looked for in KUBEBUILDER_ASSETS, on PATH and in the cache; etcd is then
# taken from Debian if we may install packages, and what is still missing is built from its Go
# module, as pinned in scripts/kube-assets/go.mod. Called by `make kube-assets`; quick when done.
# Building takes Go, a few minutes of two cores, and 3 GB for Go's caches.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

MODULES=scripts/kube-assets
version=$(sed -nE 's/^\s*k8s\.io\/kubernetes (v[0-9.]+)( .*)?$/\1/p' "$MODULES/go.mod")
[[ $version ]] || die "$MODULES/go.mod names no version of k8s.io/kubernetes"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/isthmus/kube/$version
PROGRAMS=(etcd kube-apiserver kubectl)
declare -A PACKAGES=(
    [etcd]=go.etcd.io/etcd/server/v3
    [kube-apiserver]=k8s.io/kubernetes/cmd/kube-apiserver
    [kubectl]=k8s.io/kubernetes/cmd/kubectl
)

# Prints which of the named programs are nowhere to be found.
missing() {
    local program
    for program in "$@"; do
        PATH=${KUBEBUILDER_ASSETS:+$KUBEBUILDER_ASSETS:}$PATH:/usr/sbin:/sbin:$cache \
            command -v "$program" >/dev/null || echo "$program"
    done
}

# Without a word if it does not work: it can be built as well.
etcd_from_debian() {
    local sudo
    command -v apt-get >/dev/null && sudo=$(as_root) || return 0
    echo "installing the Debian package etcd-server (its service is not started)"
    ${sudo:+"$sudo"} bash scripts/packages.sh etcd-server || true
}

# Builds a program beside its place and moves it there, so that a killed build leaves none.
build() {
    local major minor stamp=k8s.io/component-base/version
    command -v go >/dev/null || die "$1 is missing, and building it needs Go" \
        "($(sed -n 's/^go //p' "$MODULES/go.mod") or newer); install Go, or name a directory that" \
        "holds etcd, kube-apiserver and kubectl in KUBEBUILDER_ASSETS"
    echo "building $1 from ${PACKAGES[$1]}; the first one takes minutes"
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
