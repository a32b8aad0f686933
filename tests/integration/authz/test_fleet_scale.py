"""Honest zones in numbers meet no bound of the proxy; `bench.scale` has the large version."""

import os
import signal
from pathlib import Path

import pytest

from support.icdb.authz import authorized_members
from support.icdb.fleet import Fleet, refusals

pytestmark = pytest.mark.ovn

ZONES, ROUTES = 32, 50


def test_honest_zones_meet_no_bound(tmp_path: Path) -> None:
    """All register, a daemon learns their routes, and all reconnect when the proxy is killed."""
    with authorized_members(tmp_path) as found:

        def kill_proxy() -> None:
            pid = found.proxy_pid()
            os.kill(pid, signal.SIGKILL)
            found.until(lambda: found.proxy_pid() not in {0, pid}, "there is another proxy")

        fleet = Fleet(found, ZONES)
        fleet.register(ROUTES)
        learner = found.zone("learner", 250)
        wanted = {zone.prefix(number) for zone in fleet.zones for number in range(ROUTES)}
        found.until(lambda: learner.learned().keys() >= wanted, "it learns all routes")
        fleet.reconnect(ZONES, kill_proxy)
        assert refusals(found) == []
