"""The directory of OVN's sockets and pidfiles. Light: verbs import it to print their help."""

import os
from pathlib import Path


def run_dir() -> Path:
    """`OVN_RUNDIR`, or OVN's default."""
    return Path(os.environ.get("OVN_RUNDIR", "/var/run/ovn"))
