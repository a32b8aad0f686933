#!/usr/bin/env bash
# Plays many random histories through ovn-ic and through the engine, with the system's OVN and with
# that of Debian sid, and records the results. Called by `make test-differential`.
# FIRST is the first seed (default 0).
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1

newer=$(bash scripts/ovn-matrix.sh --root sid)
status=0
# Fleet, number of histories, and where OVN is (empty: the system's).
play() {
    ISTHMUS_OVN_ROOT=$3 .venv/bin/python -m differential.run --record --fleet "$1" --count "$2" \
        --first "${FIRST:-0}" --jobs "$(nproc)" || status=1
}
play plain 500 ""
play plain 200 "$newer"
play mixed 200 ""
play mixed 200 "$newer"
play three 100 ""
play mixed3 100 "$newer"
exit $status
