#!/usr/bin/env bash
# Runs the tests that need OVN's daemons (marker ovn) or network namespaces (marker lab). Called by
# `make test`, after `make check`. What cannot run here is skipped and named, unless
# ISTHMUS_REQUIRE_ALL=1.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if ! sudo=$(as_root) && [[ ${ISTHMUS_REQUIRE_ALL:-} != 1 ]]; then
    printf '%s\n' "not root, and sudo does not work without a password: tests that build networks" \
        "are skipped, and so are those whose packages are missing (\`make setup\` installs them)"
    exec .venv/bin/pytest -q -m 'ovn or kube or lab'
fi
bash scripts/setup.sh
# As root no caches are written, so that a user's tree stays the user's.
${sudo:+"$sudo" --preserve-env=ISTHMUS_REQUIRE_ALL,ISTHMUS_FIRST_SEED,ISTHMUS_HISTORIES,CI} env PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" \
    KUBEBUILDER_ASSETS="${KUBEBUILDER_ASSETS:-}" \
    .venv/bin/pytest -q -p no:cacheprovider -m 'ovn or kube or lab'
