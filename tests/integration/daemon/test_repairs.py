"""A row that is deleted by hand, with a real daemon and real databases."""

from pathlib import Path

import pytest

from support.ovn.daemon import cluster_in
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn


def test_a_route_deleted_by_hand_comes_back_and_is_named(tmp_path: Path) -> None:
    """Once, in the log; a prefix that another zone advertises is not named."""
    with cluster_in(tmp_path) as (cluster, ic):
        cluster.start()
        wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the prefix is learned")
        assert "made again" not in cluster.servers.log("run")
        nbctl = cluster.zone.nbctl
        (router,) = nbctl("--bare", "--columns=_uuid", "list", "Logical_Router").split()
        nbctl("lr-route-del", router, "10.2.0.0/16")
        line = "a row was missing, and made again: OVN_Northbound Logical_Router_Static_Route"
        wait_until(lambda: f"{line} 10.2.0.0/16" in cluster.servers.log("run"), "it is named")
        assert cluster.learned() == {"10.2.0.0/16"}
        ic.advertise("10.9.0.0/16")
        wait_until(lambda: "10.9.0.0/16" in cluster.learned(), "another prefix is learned")
        assert cluster.servers.log("run").count("made again") == 1
