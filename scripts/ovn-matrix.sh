#!/usr/bin/env bash
# Tests the engine with other versions of OVN. Each comes from a Debian suite in its own root
# directory, which is built once and kept in the cache. Called by `make test-ovn-matrix`.
#
# usage: ovn-matrix.sh [--root] SUITE...
#   SUITE    e.g. trixie (OVN 25.03) or sid (26.03 and later)
#   --root   only build, and print the root directories (values for ISTHMUS_OVN_ROOT)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/isthmus/ovn
PACKAGES=ovn-central,ovn-ic,ovn-ic-db,openvswitch-switch

# Prints the package mirror of this system, which also has the other suites.
mirror() {
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(COMPONENT)' \
        'Created-By: Packages' | awk '$2 == "main" && !/security/ { print $1; exit }'
}

# Builds a suite's root directory unless it exists. A killed run never leaves an incomplete one.
build() {
    local suite=$1 root=$CACHE/$1 sudo work from
    [[ -e $root/usr/bin/ovn-ic ]] && return
    command -v apt-get >/dev/null || die "building a Debian suite needs Debian's apt-get"
    sudo=$(as_root) || die "building $root needs root: run this as root or with sudo"
    command -v debootstrap >/dev/null ||
        ${sudo:+"$sudo"} bash scripts/packages.sh debootstrap
    from=$(mirror)
    [[ -n $from ]] || die "no mirror with the component main in apt's sources"
    mkdir -p "$CACHE"
    work=$(mktemp -d "$CACHE/.$suite.XXXXXX")
    # shellcheck disable=SC2064 # expand now, on purpose
    trap "${sudo:+$sudo }rm -rf '$work'" EXIT
    echo "building $root: a minimal Debian $suite with OVN (about a minute, 400 MB)" >&2
    ${sudo:+"$sudo"} debootstrap --variant=minbase --include="$PACKAGES" "$suite" "$work" "$from" \
        > "$CACHE/$suite.log" 2>&1 || die "debootstrap failed; see $CACHE/$suite.log"
    ${sudo:+"$sudo"} rm -rf "$work"/var/cache/apt "$work"/var/lib/apt/lists
    ${sudo:+"$sudo"} chmod 755 "$work"
    mv "$work" "$root"
    trap - EXIT
}

only_build=
if [[ ${1:-} == --root ]]; then
    only_build=1
    shift
fi
(($#)) || die "give at least one Debian suite, e.g. sid"
for suite in "$@"; do
    build "$suite"
    if [[ $only_build ]]; then
        echo "$CACHE/$suite"
    else
        echo "testing with OVN from Debian $suite"
        ISTHMUS_OVN_ROOT=$CACHE/$suite PYTHONDONTWRITEBYTECODE=1 .venv/bin/pytest -q \
            -p no:cacheprovider tests/integration/exchange/test_engine.py tests/integration/exchange/test_newer_ovn.py \
            tests/integration/controller/test_gateway_ports.py \
            tests/differential
    fi
done
