#!/usr/bin/env bash
# Runs many random histories through ovn-ic and through the engine, with the installed OVN and with
# Debian sid's, and records the results. Called by `make test-differential`.
# FIRST sets the first seed (default 0).
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1

newer=$(bash scripts/ovn-matrix.sh --root sid)
status=0
# Arguments: fleet, number of histories, root directory of OVN (empty: the installed one).
run_histories() {
    ISTHMUS_OVN_ROOT=$3 .venv/bin/python -m differential.run --record --fleet "$1" --count "$2" \
        --first "${FIRST:-0}" --jobs "$(nproc)" || status=1
}
run_histories plain 500 ""
run_histories plain 200 "$newer"
run_histories mixed 200 ""
run_histories mixed 200 "$newer"
run_histories three 100 ""
run_histories mixed3 100 "$newer"
exit $status
