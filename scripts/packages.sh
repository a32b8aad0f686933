#!/usr/bin/env bash
# Installs the given Debian packages without starting their services. Called as root by setup.sh.
set -euo pipefail
source "$(dirname "$0")/common.sh"

# Maintainer scripts run this policy before they start or restart a service; 101 means no. An
# existing policy of the administrator stays in place and applies.
POLICY=/usr/sbin/policy-rc.d
MARK="# from isthmus: scripts/packages.sh"

# Replace and finally remove our own file, also if a killed run left it behind.
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
    die "apt-get failed to install $*; see its messages above"
