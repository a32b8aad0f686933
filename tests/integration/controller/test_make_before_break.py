"""Changes by other zones and by users replace rows without a gap, on real servers.

The logs of the databases show it: no row is deleted in one transaction and inserted again in a
later one. `support.ovn.undone_deletes` says which rows stand for the same object.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import FILES, Servers, wait_until
from support.ovn.undone_deletes import UndoneDeletes

pytestmark = pytest.mark.ovn

NEW_OWN = "169.254.100.77"
HOP, NEW_HOP = "169.254.100.222", "169.254.100.223"
PORT = "Port_Binding ts-az2 address='\"0a:00:00:00:02:02 {}/24\"'"


@dataclass(frozen=True, slots=True)
class Joined:
    """A cluster that has learned 10.2.0.0/16 from a zone of which the test writes the rows.

    Args:
        cluster, ic: the cluster under `isthmus run`, and the IC databases.
        logs: of all databases, from when all was in place.
    """

    cluster: Cluster
    ic: IcServers
    logs: tuple[UndoneDeletes, ...]

    def ic_sb(self, commands: str, **names: str) -> None:
        """Run commands of ovn-ic-sbctl, one per line, in one transaction."""
        lines = (line.strip() for line in commands.format(**names).splitlines())
        words = shlex.split(" -- ".join(filter(None, lines)))
        self.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *words)

    def find(self, table: str, column: str, *conditions: str) -> str:
        """A column of IC-SB rows."""
        flags = ("--bare", f"--columns={column}", "find", table, *conditions)
        return self.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *flags).strip()

    def zone(self) -> str:
        """The UUID of the other zone."""
        return self.find("Availability_Zone", "_uuid", "name=az2")

    def route(self) -> str:
        """The UUID of its route."""
        return self.find("Route", "_uuid", 'ip_prefix="10.2.0.0/16"')

    def nb(self, table: str, columns: str, *conditions: str) -> list[str]:
        """The words in columns of NB rows."""
        flags = ("--bare", f"--columns={columns}", "find", table, *conditions)
        return self.cluster.zone.nbctl(*flags).split()

    def learned(self) -> list[str]:
        """Next hop and options of the routes to 10.2.0.0/16."""
        condition = 'ip_prefix="10.2.0.0/16"'
        return self.nb("Logical_Router_Static_Route", "nexthop,options", condition)

    def has_policy(self) -> bool:
        """Whether the router has a policy for it."""
        return "10.2.0.0/16" in self.cluster.zone.nbctl("lr-policy-list", "r")

    def bound(self) -> str:
        """The name of the chassis of the other zone's port."""
        find = ("--bare", "--columns=chassis", "find", "Port_Binding", "logical_port=ts-az2")
        chassis = self.cluster.zone.sbctl(*find).strip()
        return self.cluster.zone.sbctl("get", "Chassis", chassis, "name").strip() if chassis else ""

    def tunnels(self) -> list[str]:
        """Type, address and options of the tunnels to remote chassis."""
        find = ("--bare", "--columns=type,ip,options", "list", "Encap")
        return self.cluster.zone.sbctl(*find).split()

    def check(self) -> None:
        """Check that nothing was missing in between."""
        assert [undone for log in self.logs for undone in log.found()] == []


def _log(servers: Servers, database: Database) -> UndoneDeletes:
    return UndoneDeletes(servers.directory / f"{FILES[database]}.db")


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    """The cluster, its own network advertised, and the other zone's learned with its policy."""
    with cluster_in(tmp_path) as (cluster, ic):
        cluster.start()
        before = Joined(cluster, ic, ())
        wait_until(lambda: before.learned() == [HOP, "origin=connected"], "the route is learned")
        wait_until(before.has_policy, "its policy is made")
        wait_until(lambda: before.bound() == "gw2", "the remote port is bound")
        wait_until(lambda: "10.1.0.0/16" in ic.advertised(), "ours is advertised")
        cluster.zone.sbctl("lsp-bind", "cr-az1-ts", "gw1")  # as ovn-controller does
        gateway = ("Port_Binding", "gateway", "logical_port=ts-az1")
        wait_until(lambda: before.find(*gateway) == "gw1", "our gateway is published")
        own = [_log(cluster.servers, database) for database in (Database.NB, Database.SB)]
        yield Joined(cluster, ic, (*own, _log(ic, Database.IC_NB), _log(ic, Database.IC_SB)))


def test_a_route_changes_its_origin(joined: Joined) -> None:
    """The learned route is replaced in one transaction, and its policy stays."""
    joined.ic_sb("set Route {route} origin=static", route=joined.route())
    wait_until(lambda: joined.learned() == [HOP, "origin=static"], "the origin is learned")
    joined.check()


def test_a_route_changes_its_next_hop_before_the_port(joined: Joined) -> None:
    """The route keeps its old next hop, which still works, until the new one does."""
    joined.ic_sb(f"set Route {{route}} nexthop={NEW_HOP}", route=joined.route())
    joined.ic_sb("create Route transit_switch=ts availability_zone={zone} origin=connected"
                 f" ip_prefix=10.8.0.0/16 nexthop={HOP}", zone=joined.zone())  # fmt: skip
    wait_until(lambda: "10.8.0.0/16" in joined.cluster.learned(), "the change is noticed")
    assert joined.learned() == [HOP, "origin=connected"]
    joined.ic_sb(f"set {PORT.format(NEW_HOP)}")
    wait_until(lambda: joined.learned() == [NEW_HOP, "origin=connected"], "the route to move")
    joined.check()


def test_a_route_and_its_port_change_their_address(joined: Joined) -> None:
    """The other zone moves to another address, in one transaction."""
    move = f"set {PORT.format(NEW_HOP)}\nset Route {{route}} nexthop={NEW_HOP}"
    joined.ic_sb(move, route=joined.route())
    wait_until(lambda: joined.learned() == [NEW_HOP, "origin=connected"], "the route to move")
    joined.check()


def test_a_route_is_made_again(joined: Joined) -> None:
    """A zone replaces its row in one transaction, as `ovn-ic` does when a next hop changes."""
    row = "ip_prefix=10.2.0.0/16 nexthop={hop} origin=static"
    again = f"""
        destroy Route {{route}}
        create Route transit_switch=ts availability_zone={{zone}} {row}
        set {PORT.format(NEW_HOP)}
    """
    joined.ic_sb(again, route=joined.route(), zone=joined.zone(), hop=NEW_HOP)
    wait_until(lambda: joined.learned() == [NEW_HOP, "origin=static"], "the route to be replaced")
    joined.check()


def test_a_route_changes_its_tag(joined: Joined) -> None:
    """A tag that no port filters changes nothing."""
    joined.ic_sb("set Route {route} external_ids:ic-route-tag=blue", route=joined.route())
    joined.ic_sb("set Route {route} origin=static", route=joined.route())
    wait_until(lambda: joined.learned() == [HOP, "origin=static"], "the origin is learned")
    joined.check()


def test_a_zone_is_renamed(joined: Joined) -> None:
    """The rows of the other zone keep their row of `Availability_Zone`, which changes its name."""
    joined.ic_sb("set Availability_Zone az2 name=az9")
    joined.ic_sb("set Route {route} origin=static", route=joined.route())
    wait_until(lambda: joined.learned() == [HOP, "origin=static"], "what came later is noticed")
    joined.check()


def test_a_gateway_is_reinstalled(joined: Joined) -> None:
    """A node comes back with another chassis and tunnel IP, serves, and then the old one goes."""
    old = joined.find("Gateway", "_uuid", "name=gw2")
    new = """
        --id=@e create Encap type=geneve ip=192.0.2.22 gateway_name=gw2b
        --id=@g create Gateway name=gw2b hostname=gw2 availability_zone={zone} encaps=@e
    """
    joined.ic_sb(new, zone=joined.zone())
    joined.ic_sb("set Port_Binding ts-az2 gateway=gw2b")
    wait_until(lambda: joined.bound() == "gw2b", "the port to move")
    joined.ic_sb("destroy Gateway {old}", old=old)
    names = ("--bare", "--columns=name", "list", "Chassis")
    sbctl = joined.cluster.zone.sbctl
    wait_until(lambda: "gw2" not in sbctl(*names).split(), "the old chassis to go")
    assert joined.bound() == "gw2b"
    joined.check()


@pytest.mark.parametrize("change", ["ip=192.0.2.99", "type=vxlan", "options:csum=false"])
def test_a_gateway_changes_its_tunnel(joined: Joined, change: str) -> None:
    """The type, address or options of a gateway's tunnel change; the chassis stays."""
    encap = joined.find("Encap", "_uuid", "gateway_name=gw2")
    joined.ic_sb("set Encap {encap} {change}", encap=encap, change=change)
    wait_until(lambda: change.split("=", 1)[1] in " ".join(joined.tunnels()), "the tunnel")
    joined.check()


def test_a_port_changes_its_tunnel_key(joined: Joined) -> None:
    """The remote port stays, with another key."""
    joined.ic_sb("set Port_Binding ts-az2 tunnel_key=88")
    ask = ("Logical_Switch_Port", "options", "name=ts-az2")
    wait_until(lambda: "requested-tnl-key=88" in joined.nb(*ask), "the key")
    joined.check()


def test_our_route_changes_its_origin(joined: Joined) -> None:
    """A static route to a connected network changes our row in IC-SB, and back."""
    origin = ("Route", "origin", 'ip_prefix="10.1.0.0/16"')
    joined.cluster.zone.nbctl("lr-route-add", "r", "10.1.0.0/16", "10.1.0.9")
    wait_until(lambda: joined.find(*origin) == "static", "the origin is advertised")
    joined.cluster.zone.nbctl("lr-route-del", "r", "10.1.0.0/16")
    wait_until(lambda: joined.find(*origin) == "connected", "the origin is advertised")
    joined.check()


@pytest.mark.parametrize("running", [True, False])
def test_our_address_changes(joined: Joined, *, running: bool) -> None:
    """Our routes get the new next hop in one transaction, also when the daemon has just started."""
    ic_nb = ("ovn-ic-nbctl", Database.IC_NB)
    claim = ("--bare", "--columns=external_ids", "list", "Transit_Switch", "ts")
    pairs = dict(pair.split("=", 1) for pair in joined.ic.ctl(*ic_nb, *claim).split())
    (old,) = (key for key in pairs if key.startswith("isthmus-address-"))
    if not running:
        joined.cluster.servers.stop("run", 9)
    joined.ic.ctl(
        *ic_nb, "remove", "Transit_Switch", "ts", "external_ids", f'"{old}"', "--",
        "set", "Transit_Switch", "ts", f'external_ids:"isthmus-address-{NEW_OWN}"={pairs[old]}',
    )  # fmt: skip
    if not running:
        joined.cluster.start()
    hop = ("Route", "nexthop", 'ip_prefix="10.1.0.0/16"')
    wait_until(lambda: joined.find(*hop) == NEW_OWN, "the next hop is advertised")
    joined.check()


def test_a_declared_route_replaces_a_learned_one_and_back(joined: Joined) -> None:
    """A prefix that is also learned is declared, and no longer: there is always a route."""
    joined.cluster.use(joined.ic, routes="[{prefix: 10.2.0.0/16, zone: az2}]")
    wait_until(lambda: joined.learned() == [HOP], "the declared route alone")
    joined.cluster.use(joined.ic)
    wait_until(lambda: joined.learned() == [HOP, "origin=connected"], "it is learned again")
    joined.check()


def test_a_declared_route_changes_its_options(joined: Joined) -> None:
    """A declared route gets a transit switch; its row stays."""
    routes = "[{{prefix: 10.9.0.0/16, zone: az2{}}}]"
    hop = ("Logical_Router_Static_Route", "_uuid", 'ip_prefix="10.9.0.0/16"')
    joined.cluster.use(joined.ic, routes=routes.format(""))
    wait_until(lambda: joined.nb(*hop), "the route")
    row = joined.nb(*hop)
    joined.cluster.use(joined.ic, routes=routes.format(", transit-switch: ts"), mtu="1300")
    mtu = ("Logical_Router_Port", "name", "options:gateway_mtu=1300")
    wait_until(lambda: joined.nb(*mtu), "the edit is in force")
    assert joined.nb(*hop) == row
    joined.check()
