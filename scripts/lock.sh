#!/usr/bin/env bash
# Pins all packages of the virtual environment, including transitive ones: build tools in
# requirements/build.txt; the dependencies in pyproject.toml, of the lab and its group "dev" too, in
# requirements/dev.txt. Called by `make lock` after pyproject.toml was edited.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(find_python) || die "$PYTHON_NEEDED"

# Prints the requirements at the given keys of pyproject.toml, one per line.
requirements() {
    "$python" - "$@" <<'PY'
import functools, sys, tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
for path in sys.argv[1:]:
    print(*functools.reduce(dict.__getitem__, path.split("."), project), sep="\n")
PY
}

# Installs the requirements on standard input and prints the resolved versions.
resolve() {
    "$python" -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install --quiet --upgrade --requirement /dev/stdin >&2
    "$work/$1/bin/python" -m pip freeze --quiet --all --exclude pip ${2:+"$2" "$3"}
}

header="# Made by scripts/lock.sh from pyproject.toml; do not edit."
# ovs is a source package built with setuptools; hatchling's editable mode needs editables.
build=$( (requirements build-system.requires; printf '%s\n' editables setuptools) | resolve build)
dev=$(requirements project.dependencies project.optional-dependencies.lab dependency-groups.dev | resolve dev --exclude setuptools)
printf '%s\n' "$header" "$build" > requirements/build.txt
printf '%s\n' "$header" "$dev" > requirements/dev.txt
