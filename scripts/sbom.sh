#!/usr/bin/env bash
# Writes the software bill of materials (CycloneDX, JSON) of Isthmus and the packages in its container to
# the file $1: names, versions, hashes. Debian's packages are listed by the image's own dpkg database.
# Called by `make sbom`.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(find_python) || die "$PYTHON_NEEDED"
"$python" -m venv "$work"
"$work/bin/python" -m pip install --quiet --no-deps --require-hashes --requirement requirements/release.txt
mkdir -p "$(dirname "$1")"
"$work/bin/cyclonedx-py" requirements --pyproject pyproject.toml --mc-type application \
    --output-reproducible --output-format JSON --output-file "$1" requirements/runtime.txt
echo "wrote $1"
