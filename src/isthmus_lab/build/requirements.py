"""Check that the machine meets the requirements of the lab, before anything is changed."""

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
"""Programs, and the Debian packages that contain them."""

SCHEMAS = {
    "conf": Path("/usr/share/openvswitch/vswitch.ovsschema"),
    "ovnnb_db": Path("/usr/share/ovn/ovn-nb.ovsschema"),
    "ovnsb_db": Path("/usr/share/ovn/ovn-sb.ovsschema"),
}
"""Schemas of the databases of a node, by file name."""


def check(*, isthmus_needed: bool, kubernetes: bool = False) -> None:
    """Check that a lab can be built.

    Args:
        isthmus_needed: whether the lab runs Isthmus.
        kubernetes: whether the lab runs API servers.

    Raises:
        LabError: the process is not root, or programs are missing.
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
                "are not installed", f"run `make setup`, or `apt-get install {packages}`"
            )
        )
    if isthmus_needed and not Path(isthmus()).is_file():
        problems.append(
            Subject("the lab", "programs", isthmus()).problem(
                "is not installed with this Python interpreter", "run `make setup`"
            )
        )
    if kubernetes:
        problems += _kubernetes()
    if problems:
        raise LabError(*problems)


def _kubernetes() -> Iterator[Problem]:
    """What is missing for API servers."""
    if absent := assets.missing():
        yield from assets.missing_error(absent).problems
    if not roles.DIRECTORY.is_dir():
        yield Subject("the lab", "roles", str(roles.DIRECTORY)).problem(
            "does not exist, so Isthmus would have no rights in API servers",
            "run the lab from a checkout of the source code",
        )


def require_root() -> None:
    """Check that the process may create namespaces. Raises: LabError."""
    if os.geteuid() != 0:
        raise lab_error(
            "the lab",
            "is not root, which network namespaces require; nothing was changed",
            "run the command with sudo",
            key="user id",
            value=str(os.geteuid()),
        )
