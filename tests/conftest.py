"""Shared by all tests: skips those that cannot run on this machine, and disables deadlines.

Tests marked `ovn`, `kube` or `lab` are skipped with a reason if programs or rights are missing.
With ISTHMUS_REQUIRE_ALL=1 (continuous integration) they fail instead.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

from isthmus_lab.kube import assets
from support.kube.server import TestServer, running_server

# On a busy machine any example can be slow, which is not a fault.
settings.register_profile("isthmus", deadline=None, print_blob=True)
settings.load_profile("isthmus")

OVN_PROGRAMS = (
    "ovsdb-server",
    "ovsdb-tool",
    "ovsdb-client",
    "ovn-northd",
    "ovn-controller",
    "ovn-nbctl",
    "ovs-vswitchd",
)
LAB_PROGRAMS = ("ip", "ethtool", "ping")


def _missing(programs: tuple[str, ...]) -> str:
    found = [name for name in programs if shutil.which(name) is None]
    return f"not installed: {', '.join(found)}; `make setup` installs them" if found else ""


def _missing_kube() -> str:
    found = assets.missing()
    return f"not there: {', '.join(found)}; `make kube-assets` builds them" if found else ""


def _obstacle(item: pytest.Item) -> str:
    """Why a test cannot run here; empty if it can."""
    if item.get_closest_marker("kube") and (missing := _missing_kube()):
        return missing
    if item.get_closest_marker("lab"):
        if os.geteuid() != 0:
            return "building network namespaces needs root"
        return _missing(OVN_PROGRAMS + LAB_PROGRAMS)
    if item.get_closest_marker("ovn"):
        return _missing(OVN_PROGRAMS)
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that cannot run here, or fail if all tests are required to run."""
    obstacle = _obstacle(item)
    if obstacle and os.environ.get("ISTHMUS_REQUIRE_ALL") == "1":
        pytest.fail(obstacle, pytrace=False)
    if obstacle:
        pytest.skip(obstacle)


@pytest.fixture(scope="session")
def _kube_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with running_server(tmp_path_factory.mktemp("kube")) as server:
        yield server


@pytest.fixture
def kube(_kube_server: TestServer) -> TestServer:
    """A real API server with Kube-OVN's kinds, shared by all tests and emptied before each."""
    _kube_server.clear()
    return _kube_server
