#!/usr/bin/env bash
# Pins the versions of everything that the virtual environment holds, transitive packages included:
# requirements/build.txt, what builds packages, and requirements/dev.txt, what pyproject.toml's
# dependencies and its group "dev" come to. Called by `make lock`, after those were edited.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(find_python) || die "$PYTHON_NEEDED"

# Prints the arguments for pip from the given place in pyproject.toml.
requirements() {
    "$python" - "$@" <<'PY'
import functools, sys, tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
for path in sys.argv[1:]:
    print(*functools.reduce(dict.__getitem__, path.split("."), project), sep="\n")
PY
}

# Installs what is given on standard input and prints what that comes to.
resolve() {
    "$python" -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install --quiet --upgrade --requirement /dev/stdin >&2
    "$work/$1/bin/python" -m pip freeze --quiet --all --exclude pip ${2:+"$2" "$3"}
}

header="# Made by scripts/lock.sh from pyproject.toml; do not edit."
# ovs comes as a source package that setuptools builds; editables is for hatchling's editable mode.
build=$( (requirements build-system.requires; printf '%s\n' editables setuptools) | resolve build)
dev=$(requirements project.dependencies dependency-groups.dev | resolve dev --exclude setuptools)
printf '%s\n' "$header" "$build" > requirements/build.txt
printf '%s\n' "$header" "$dev" > requirements/dev.txt
