#!/usr/bin/env bash
# Runs the tests that need OVN's daemons (marker ovn) or network namespaces (marker lab). Called by
# `make test` after `make check`. Tests that cannot run here are skipped with a reason; with
# ISTHMUS_REQUIRE_ALL=1 they fail.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if ! sudo=$(as_root) && [[ ${ISTHMUS_REQUIRE_ALL:-} != 1 ]]; then
    printf '%s\n' "not root, and sudo needs a password: skipping tests that build networks, and tests" \
        "whose packages are missing (\`make setup\` installs them)"
    exec .venv/bin/pytest -q -m 'ovn or kube or lab'
fi
bash scripts/setup.sh
# Do not write caches as root, so that the user keeps ownership of all files.
${sudo:+"$sudo" --preserve-env=ISTHMUS_REQUIRE_ALL,ISTHMUS_FIRST_SEED,ISTHMUS_HISTORIES,CI} env PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" \
    KUBEBUILDER_ASSETS="${KUBEBUILDER_ASSETS:-}" \
    .venv/bin/pytest -q -p no:cacheprovider -m 'ovn or kube or lab'
