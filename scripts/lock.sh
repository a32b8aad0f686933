#!/usr/bin/env bash
# Pins all packages, including transitive ones, with the hashes of their files: build tools in
# requirements/build.txt; the dependencies of Isthmus in runtime.txt, and with those of the lab and the
# group "dev" in dev.txt; the group "release", with the tools of this script and of `make sbom`, in
# release.txt; the group "fuzz", with the fuzzer of `make fuzz`, in fuzz.txt. Called by `make lock` after
# pyproject.toml was edited. Uses the index that pip uses.
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

# Resolves the requirements on standard input into requirements/NAME.txt, with the hashes of all files of
# each release, so that other platforms can install them. $2: a file of versions to keep to.
compile() {
    local made=requirements/$1.txt
    PIP_CONSTRAINT=${2:-} "$work/tools/bin/pip-compile" --quiet --upgrade --strip-extras --allow-unsafe \
        --generate-hashes --no-annotate --no-header --no-emit-options --output-file "$work/$1.txt" -
    printf '%s\n' "# Made by scripts/lock.sh from pyproject.toml; do not edit." > "$made"
    cat "$work/$1.txt" >> "$made"
}

"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet --no-deps --require-hashes \
    --requirement requirements/release.txt
requirements dependency-groups.release | compile release
requirements dependency-groups.fuzz | compile fuzz
# ovs is a source package built with setuptools; hatchling's editable mode needs editables.
(requirements build-system.requires; printf '%s\n' editables setuptools) | compile build
requirements project.dependencies project.optional-dependencies.lab dependency-groups.dev | compile dev
grep -oE '^[^ ;]+==[^ ;]+' requirements/dev.txt > "$work/versions"
requirements project.dependencies | compile runtime "$work/versions"
