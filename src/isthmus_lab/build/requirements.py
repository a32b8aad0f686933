"""What the lab needs of the machine: checked before anything is changed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from isthmus.model.problems import Problem, Subject
from isthmus_lab.build.daemons import isthmus
from isthmus_lab.errors import LabError, lab_error
from isthmus_lab.kube import assets, roles

_PACKAGES = {
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-common",
    "ovs-vsctl": "openvswitch-switch",
    "ovn-northd": "ovn-central",
    "ovn-nbctl": "ovn-common",
    "ovn-sbctl": "ovn-common",
    "ovn-controller": "ovn-host",
    "ip": "iproute2",
    "ethtool": "ethtool",
}
"""Programs, and the Debian packages that have them."""

SCHEMAS = {
    "conf": Path("/usr/share/openvswitch/vswitch.ovsschema"),
    "ovnnb_db": Path("/usr/share/ovn/ovn-nb.ovsschema"),
    "ovnsb_db": Path("/usr/share/ovn/ovn-sb.ovsschema"),
}
"""Database files by name, and their schemas."""


def check(*, isthmus_needed: bool, kubernetes: bool = False) -> None:
    """Make sure that a lab can be built.

    Args:
        isthmus_needed: whether it runs Isthmus.
        kubernetes: whether it runs API servers.

    Raises:
        LabError: we are not root, or programs are missing.
    """
    require_root()
    missing = {
        program: package for program, package in _PACKAGES.items() if not shutil.which(program)
    }
    problems = []
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        problems.append(
            Subject("the lab", "programs", ", ".join(sorted(missing))).problem(
                "not installed", f"run `make setup`, or `apt-get install {packages}`"
            )
        )
    if isthmus_needed and not Path(isthmus()).is_file():
        problems.append(
            Subject("the lab", "programs", isthmus()).problem(
                "the command isthmus is not installed beside this Python", "run `make setup`"
            )
        )
    if kubernetes:
        problems += _kubernetes()
    if problems:
        raise LabError(*problems)


def _kubernetes() -> Iterator[Problem]:
    """What API servers lack."""
    if absent := assets.missing():
        yield from assets.missing_error(absent).problems
    if not roles.DIRECTORY.is_dir():
        yield Subject("the lab", "roles", str(roles.DIRECTORY)).problem(
            "not there; Isthmus gets its rights in API servers from there",
            "run the lab from a checkout of the source",
        )


def require_root() -> None:
    """Make sure that we may make namespaces. Raises: LabError."""
    if os.geteuid() != 0:
        raise lab_error(
            "the lab",
            "network namespaces can only be made by root; nothing was changed",
            "run the command with sudo",
            key="user id",
            value=str(os.geteuid()),
        )
