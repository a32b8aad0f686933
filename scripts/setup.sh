#!/usr/bin/env bash
# Installs the Debian packages and the virtual environment (with pinned versions and hashes) for Isthmus.
# Called by `make setup` and, with --venv, by targets that do not need Debian packages.
# Fast and without effect if everything is up to date.
#
# usage: setup.sh [--venv]
#   --venv   only the virtual environment; does not need root
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

VENV=.venv
# The daemons under test, the oracle (ovn-ic), and the tools of the lab.
PACKAGES=(
    ethtool iproute2 iputils-ping
    openvswitch-switch ovn-central ovn-host ovn-ic ovn-ic-db
)
# The same as programs, for systems without dpkg.
PROGRAMS=(
    ethtool ip ping
    ovs-vswitchd ovsdb-server ovsdb-tool ovn-northd ovn-nbctl ovn-controller ovn-ic
)

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) \
            == installed ]] || echo "$package"
    done
}

missing_programs() {
    local program
    for program in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$program"
    done
}

install_packages() {
    local missing sudo
    mapfile -t missing < <(missing_packages "${PACKAGES[@]}"; find_python >/dev/null || \
        printf '%s\n' python3 python3-venv)
    ((${#missing[@]})) || return 0
    if ! sudo=$(as_root); then
        # On a terminal, sudo may ask for a password.
        [[ -t 0 ]] && command -v sudo >/dev/null || die "missing Debian packages: ${missing[*]};" \
            "installing them requires root, so run \`make setup\` as root or with sudo"
        sudo=sudo
    fi
    printf 'installing Debian packages: %s\n' "${missing[*]}"
    ${sudo:+"$sudo"} bash scripts/packages.sh "${missing[@]}"
}

system_packages() {
    local missing
    if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
        install_packages
        return
    fi
    mapfile -t missing < <(missing_programs "${PROGRAMS[@]}"; find_python >/dev/null || \
        echo "python3 (3.11 or newer, with venv)")
    ((${#missing[@]})) || return 0
    die "missing programs: $(printf '%s, ' "${missing[@]}" | sed 's/, $//'); this system does not" \
        "have apt-get, so install them with its package manager and run this again"
}

# Whether the stamp $1 was written for the input $2.
stamped() {
    [[ -f $VENV/.stamp-$1 && $(<"$VENV/.stamp-$1") == "$2" ]]
}

digest() {
    cat "$@" | sha256sum | cut -d' ' -f1
}

virtual_environment() {
    local python pip install pins project
    pins=$(digest requirements/build.txt requirements/dev.txt scripts/setup.sh)
    project=$(digest pyproject.toml)
    pip=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet)
    # Re-create a virtual environment that was moved or whose Python is gone.
    if ! stamped pins "$pins" || ! "$VENV/bin/python" -c '' 2>/dev/null; then
        python=$(find_python) || die "$PYTHON_NEEDED is missing; install it, or set PYTHON to its path"
        echo "installing Python packages into $VENV with $python"
        rm -f "$VENV"/.stamp-*
        "$VENV/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$VENV"
        install=(install --no-deps --no-build-isolation --require-hashes --requirement)
        "${pip[@]}" "${install[@]}" requirements/build.txt
        "${pip[@]}" "${install[@]}" requirements/dev.txt
        echo "$pins" > "$VENV/.stamp-pins"
    fi
    if ! stamped project "$project"; then
        "${pip[@]}" install --no-deps --no-build-isolation --editable .
        "${pip[@]}" check || die "pyproject.toml and requirements/ disagree; run \`make lock\`"
        echo "$project" > "$VENV/.stamp-project"
    fi
}

case ${1:-} in
    "") system_packages ;;
    --venv) ;;
    *) die "unknown argument $1; usage: setup.sh [--venv]" ;;
esac
virtual_environment
