"""What northd does with NAT and load balancers of a router that gets a gateway port.

The table in docs/reference/gateway-ports.md says where each is served before and after; these
tests compare it with the logical flows of the northd under test (also `make test-ovn-matrix`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.ovn.daemon import cluster_in
from support.ovn.servers import INSTALLATION, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

PAGE = Path(__file__).parents[3] / "docs/reference/gateway-ports.md"
HEADER = "| case | before | connected, OVN 23.03 | connected, OVN 25.03 and later | conflict |"
VIP = "10.96.0.10"
INSIDE, OUTSIDE = "172.16.0", "198.51.100"
MAC = "0a:00:00:00:00:01"


def table() -> dict[str, list[str]]:
    """The cells of the page's table by their case."""
    rows = PAGE.read_text().partition(HEADER)[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {case: rest for case, *rest in cells}


@dataclass
class Router:
    """A router of its own for one case, with a switch; the names of all rows begin with `name`."""

    zone: RealZone
    name: str

    def build(self) -> None:
        """Create the router and a switch with a localnet port behind it."""
        self.zone.nbctl("lr-add", self.name)
        self._connect("s", MAC, "10.16.0.1/16")
        port = f"{self.name}-localnet"
        self.zone.nbctl(
            "lsp-add", f"{self.name}-s-ls", port, "--", "lsp-set-type", port, "localnet",
            "--", "lsp-set-addresses", port, "unknown",
        )  # fmt: skip

    def _connect(self, port: str, mac: str, network: str) -> str:
        lrp = f"{self.name}-{port}"
        switch, lsp = f"{lrp}-ls", f"{lrp}-lsp"
        self.zone.nbctl(
            "lrp-add", self.name, lrp, mac, network, "--", "ls-add", switch,
            "--", "lsp-add", switch, lsp, "--", "lsp-set-type", lsp, "router",
            "--", "lsp-set-addresses", lsp, "router",
            "--", "lsp-set-options", lsp, f"router-port={lrp}",
        )  # fmt: skip
        return lrp

    def add_gateway_port(self, port: str, number: int, network: str) -> None:
        """Connect the router to another network, with a gateway chassis."""
        lrp = self._connect(port, f"0a:00:00:00:02:0{number}", network)
        self.zone.nbctl("lrp-set-gateway-chassis", lrp, f"chassis-{port}")

    def external(self) -> None:
        """Connect the router to an external network, as Kube-OVN does."""
        self.add_gateway_port("external", 1, f"{INSIDE}.1/24")

    def join(self, ts: str = "ts") -> None:
        """Connect the router to a transit switch, as the controller does."""
        number = 2 if ts == "ts" else 3
        self.add_gateway_port(ts, number, f"169.254.10{number}.1/24")

    def add_nat(self, block: str, *columns: str) -> None:
        """Add an EIP and an SNAT rule with addresses of a block."""
        for kind, external, logical in (
            ("dnat_and_snat", f"{block}.20", "10.16.0.2"),
            ("snat", f"{block}.30", "10.16.0.0/16"),
        ):
            self.zone.nbctl(
                "--id=@nat", "create", "NAT", f"type={kind}", f'external_ip="{external}"',
                f'logical_ip="{logical}"', *columns,
                "--", "add", "Logical_Router", self.name, "nat", "@nat",
            )  # fmt: skip

    def uuid(self, port: str) -> str:
        """The UUID of a port."""
        return self.zone.nbctl("get", "Logical_Router_Port", f"{self.name}-{port}", "_uuid").strip()

    def add_load_balancer(self, verb: str, owner: str) -> None:
        """Attach a load balancer."""
        balancer = f"{self.name}-lb"
        self.zone.nbctl("lb-add", balancer, f"{VIP}:80", "10.16.0.2:8080", "--", verb, owner,
                        balancer)  # fmt: skip

    def centralize(self) -> None:
        """Have the port of the switch served by the gateway chassis."""
        options = "options:reside-on-redirect-chassis=true"
        self.zone.nbctl("set", "Logical_Router_Port", f"{self.name}-s", options)

    def served(self) -> set[str]:
        """Where what the case is about is served."""
        self.zone.nbctl("--wait=sb", "sync")
        nat = rf"ct_[ds]nat.*\(({INSIDE}|{OUTSIDE})\.30\)|ip4\.dst == ({INSIDE}|{OUTSIDE})\.20 "
        balancer = re.escape(VIP)
        flows = [
            *self._flows(self.name, rf"lr_in_dnat .*({nat}|{balancer})|lr_out_snat .*({nat})"),
            *self._flows(f"{self.name}-s-ls", rf"ls_in_lb .*ct\.new.*{balancer}"),
        ]
        option = ("get", "Logical_Router_Port", f"{self.name}-s", "options")
        if "reside-on-redirect-chassis" in self.zone.nbctl(*option):
            flows = self._flows(f"{self.name}-s-ls", rf"ls_in_l2_lkup .*\(eth\.dst == {MAC}")
        return {self._place(flow) for flow in flows} or {"nowhere"}

    def _flows(self, datapath: str, pattern: str) -> list[str]:
        lines = self.zone.sbctl("lflow-list", datapath).splitlines()
        return [line for line in lines if re.search(pattern, line)]

    def _place(self, flow: str) -> str:
        match = flow.partition("action=")[0]
        for pattern in (r'(?:in|out)port == "([^"]*)"', r'is_chassis_resident\("cr-([^"]*)"'):
            if found := re.search(pattern, match):
                return found[1].removeprefix(f"{self.name}-")
        return "every node"


def distributed(router: Router) -> None:
    """Add an EIP that the pod's own node serves."""
    port = f"{router.name}-pod"
    router.zone.nbctl("lsp-add", f"{router.name}-s-ls", port, "--", "lsp-set-addresses", port,
                      "0a:00:00:00:03:01 10.16.0.2")  # fmt: skip
    router.zone.nbctl("lr-nat-add", router.name, "dnat_and_snat", f"{INSIDE}.20", "10.16.0.2", port,
                      "0a:00:00:00:03:02")  # fmt: skip


def switch_balancer(router: Router) -> None:
    """Attach a load balancer to the switch."""
    router.add_load_balancer("ls-lb-add", f"{router.name}-s-ls")


def router_balancer(router: Router) -> None:
    """Attach a load balancer to the router."""
    router.add_load_balancer("lr-lb-add", router.name)


def inside(router: Router) -> None:
    """Add NAT rules with addresses of the external network."""
    router.add_nat(INSIDE)


def outside(router: Router) -> None:
    """Add NAT rules with other addresses."""
    router.add_nat(OUTSIDE)


def assigned(router: Router) -> None:
    """Add NAT rules with other addresses, for the external gateway port."""
    router.add_nat(OUTSIDE, f"gateway_port={router.uuid('external')}")


def second(router: Router) -> None:
    """Add a second external gateway port."""
    router.add_gateway_port("second", 4, "172.17.0.1/24")


CASES: dict[str, tuple[Callable[[Router], None], ...]] = {
    "load balancer of a logical switch": (switch_balancer,),
    "load balancer of the router, no other gateway port": (router_balancer,),
    "load balancer of the router, external gateway port": (Router.external, router_balancer),
    "NAT with an address in the external network": (Router.external, inside),
    "distributed NAT with an address in the external network": (Router.external, distributed),
    "NAT with another address": (Router.external, outside),
    "NAT with another address and `gateway_port`": (Router.external, assigned),
    "NAT with another address, two external gateway ports": (Router.external, second, outside),
    "NAT, no other gateway port": (inside,),
    "NAT, no other gateway port, two transit switches": (inside,),
    "centralized router port, no other gateway port": (Router.centralize,),
    "centralized router port, external gateway port": (Router.external, Router.centralize),
}


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealZone]:
    """Databases and northd for all cases."""
    with fleet_in(tmp_path_factory.mktemp("gateway-ports")) as fleet:
        yield fleet.add_zone("az1")


def test_every_case_of_the_page_is_tested() -> None:
    """The page's table has these cases and no others."""
    assert list(table()) == list(CASES)


@pytest.mark.parametrize("case", CASES)
def test_the_page_says_where_northd_serves_it(zone: RealZone, case: str) -> None:
    """The flows are where the page says, before and after the router is connected."""
    before, old, new, _ = table()[case]
    router = Router(zone, f"r{list(CASES).index(case)}")
    router.build()
    for step in CASES[case]:
        step(router)
    assert router.served() == set(before.split(", "))
    router.join()
    if "two transit switches" in case:
        router.join("ts1")
    version = tuple(map(int, INSTALLATION.version().split(".")[:2]))
    allowed = (new if version >= (25, 3) else old).split(" or ")
    assert router.served() in [set(each.split(", ")) for each in allowed]


def test_isthmus_connects_when_the_conflict_is_resolved(tmp_path: Path) -> None:
    """`isthmus run` names the rule, and connects the VPC when the rule has its port."""
    with cluster_in(tmp_path) as (cluster, _):
        zone = cluster.zone
        router = Router(zone, "r")
        router.external()
        zone.nbctl("lr-nat-add", "r", "dnat_and_snat", f"{OUTSIDE}.20", "10.1.0.5")
        cluster.start()
        report = f"Logical_Router r: nat = 'dnat_and_snat {OUTSIDE}.20 (10.1.0.5)'"
        wait_until(lambda: report in cluster.servers.log("run"), "the conflict is reported")
        assert "az1-ts" not in zone.nbctl("show", "r")
        rule = zone.nbctl("--bare", "--columns=_uuid", "list", "NAT").strip()
        zone.nbctl("set", "NAT", rule, f"gateway_port={router.uuid('external')}")
        wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the VPC is connected")
        resolved = f"resolved: {report}"
        wait_until(lambda: resolved in cluster.servers.log("run"), "the conflict is resolved")
