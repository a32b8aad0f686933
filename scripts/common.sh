# Functions shared by the scripts; to be sourced by bash.

PYTHON_NEEDED="Python 3.11 or newer with its venv module (on Debian: python3 and python3-venv)"

# Prints an error message and exits.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the path of a Python that is new enough and can create virtual environments. Prefers the
# version for which the pinned packages were resolved.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.11 python3 python3.12 python3.13 python3.14; do
        if "$candidate" -c '
import sys, venv, ensurepip
sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Prints the prefix for running a command as root without a prompt: nothing when already root,
# "sudo" if it works without a password. Fails otherwise.
as_root() {
    [[ $EUID -eq 0 ]] && return
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && echo sudo
}
