#!/usr/bin/env bash
# Installs the named Debian packages without starting their services. Called as root by setup.sh.
set -euo pipefail
source "$(dirname "$0")/common.sh"

# What maintainer scripts ask before they start or restart a service; 101 means no. Where the
# administrator has such a file, it is left alone and obeyed.
POLICY=/usr/sbin/policy-rc.d
MARK="# from isthmus: scripts/packages.sh"

# A file of ours that a killed run left is used, and removed, like a new one.
if [[ ! -e $POLICY ]] || grep --quiet --line-regexp --fixed-strings "$MARK" "$POLICY"; then
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" > "$POLICY"
    chmod 755 "$POLICY"
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get --quiet=2 --option DPkg::Lock::Timeout=120 --option Dpkg::Use-Pty=0)
"${apt[@]}" update || die "apt-get update failed; check the network and the package sources"
"${apt[@]}" install --yes --no-install-recommends "$@" >/dev/null ||
    die "apt-get could not install $*; its messages above say why"
