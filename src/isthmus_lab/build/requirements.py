"""Check that the machine meets the requirements of the lab, before anything is changed."""

import os
import shutil
from pathlib import Path

from isthmus.model.problems import Problem, Subject
from isthmus_lab.build.daemons import isthmus
from isthmus_lab.errors import LabError, lab_error
from isthmus_lab.kube import assets, roles

_PROGRAMS = (
    *("ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl", "ip", "ethtool"),
    *("ovn-northd", "ovn-nbctl", "ovn-sbctl", "ovn-controller"),
)

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
    programs = [*_PROGRAMS, *([isthmus()] if isthmus_needed else [])]
    problems: list[Problem] = []
    if missing := [name for name in programs if not shutil.which(name)]:
        subject = Subject("the lab", "programs", ", ".join(missing))
        problems.append(subject.problem("are not installed", "run `make setup`"))
    if kubernetes and (absent := assets.missing()):
        problems += assets.missing_error(absent).problems
    if kubernetes and not roles.DIRECTORY.is_dir():
        problems.append(
            Subject("the lab", "roles", str(roles.DIRECTORY)).problem(
                "does not exist, so Isthmus would have no rights in API servers",
                "run the lab from a checkout of the source code",
            )
        )
    if problems:
        raise LabError(*problems)


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
