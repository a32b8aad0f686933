"""Members of the IC databases' cluster, each in a network namespace of its own, on one bridge.

Built with the lab's functions under a lab's name, so that `Lab.down` removes everything, also after
a killed test. It may be part of a running lab, whose zones then reach the members. Links can be
taken down, and members split into groups that cannot reach each other.

    with ic_net(tmp_path, 3) as net:
        net.start()
        net.split([net.all[0]])
        ...
        net.heal()
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from isthmus.icdb.local.database_server import NB_PORT, NB_RAFT_PORT, SB_PORT, SB_RAFT_PORT
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from isthmus_lab.build import network
from isthmus_lab.build.network import ip_batch
from isthmus_lab.lab import Lab
from isthmus_lab.system import netns, processes
from isthmus_lab.topology.layout import FABRIC, NETNS_DIR, TAG, Layout, state_base
from support.icdb.run import DATABASES, Member, Members
from support.lab.names import new_lab_name, remove_labs_of_the_dead

PORTS = {"nb": NB_PORT, "sb": SB_PORT, "nb-raft": NB_RAFT_PORT, "sb-raft": SB_RAFT_PORT}
CLIENT = "ic-client"
"""The host of clients, on the fabric like the members."""

_NETWORK = "192.168.65"
"""The lab's underlay network; members' addresses are above those that the lab uses."""

_CLIENT_ADDRESS, _FIRST_MEMBER = 200, 201


class IcNet(Members):
    """All members of one cluster, in their own network; none of them started.

    Args:
        directory: for their files.
        layout: of the lab under whose name the network is built.
        size: the number of members; the first is the bootstrap member.
        flags: options of every start.
    """

    def __init__(self, directory: Path, layout: Layout, size: int, flags: Sequence[str]) -> None:
        addresses = tuple(f"{_NETWORK}.{_FIRST_MEMBER + number}" for number in range(size))
        super().__init__(directory, *addresses, ports=PORTS)
        self.layout = layout
        self._hosts = {member: f"ic-m{number}" for number, member in enumerate(self.all)}
        for member in self.all:
            # Found by its mark, as everything else in a lab.
            mark = f"{TAG}={layout.lab}"
            member.wrapper = ("env", mark, "nsenter", f"--net={NETNS_DIR / self.netns(member)}")
            member.flags = tuple(flags)

    def build(self) -> None:
        """Create the namespaces and links, and the fabric unless the lab has one."""
        fabric = [] if netns.of_lab(self.layout.lab) else [FABRIC]
        hosts = [*self._hosts.values(), CLIENT]
        ip_batch(
            [
                *network.netns_batch(self.layout, [*fabric, *hosts]),
                *(network.uplink(self.layout, host, host) for host in hosts),
            ]
        )
        bridge = network.fabric_batch() if fabric else []
        ip_batch([*bridge, *_plugged(hosts)], self._fabric)
        addresses = [member.address for member in self.all]
        for host, address in zip(hosts, [*addresses, f"{_NETWORK}.{_CLIENT_ADDRESS}"], strict=True):
            interface = ip_interface(f"{address}/24")
            batch = network.machine_batch(network.UNDERLAY_LINK, (interface,))
            ip_batch(batch, self.layout.netns(host))
            # The lab's nodes are switches in user space, which do not fill in checksums.
            off = ["ethtool", "-K", network.UNDERLAY_LINK, "tx", "off"]
            processes.run(off, netns=self.layout.netns(host))

    def start(self, members: Iterable[Member] = ()) -> None:
        """Start members (all by default) at the same time, and wait until they serve."""
        for member in tuple(members) or self.all:
            member.start()
        self.complete()

    def netns(self, member: Member | None) -> str:
        """The namespace of a member, or of the client for None."""
        return self.layout.netns(CLIENT if member is None else self._hosts[member])

    def inside(self, member: Member | None = None) -> AbstractContextManager[None]:
        """Run this thread in a namespace, the client's by default: sockets, processes."""
        return netns.inside(self.netns(member))

    def run(self, *command: str, at: Member | None = None, timeout_s: float = 30.0) -> str:
        """The output of a command in a namespace, the client's by default.

        Raises:
            LabError: it failed or took too long.
        """
        mark = {TAG: self.layout.lab}
        return processes.run(command, netns=self.netns(at), env=mark, timeout_s=timeout_s)

    def remotes(self, short: str, members: Iterable[Member] = ()) -> str:
        """The members' addresses for clients (all by default), as an option of OVN's tools."""
        port = PORTS[short]
        return ",".join(f"tcp:{member.address}:{port}" for member in tuple(members) or self.all)

    def transact(
        self, short: str, *operations: object, at: Iterable[Member] = ()
    ) -> list[dict[str, Any]]:
        """The results of a client's transaction over TCP, one for each operation.

        Args:
            short: "nb" or "sb"; its leader is found among all members.
            operations: as in RFC 7047, section 5.2.
            at: the members to try instead, whether they lead or not.

        Raises:
            LabError: no member answered in time.
        """
        members = tuple(at)
        anyone = ["--no-leader-only"] if members else []
        text = json.dumps([DATABASES[short], *operations])
        remotes = self.remotes(short, members)
        said = self.run("ovsdb-client", "--timeout=20", *anyone, "transact", remotes, text)
        results: list[dict[str, Any]] = json.loads(said)
        return results

    def served(self, short: str, member: Member) -> set[str]:
        """The databases of a member's server, as a client sees them; none without an answer."""
        try:
            with (
                self.inside(),
                JsonRpcClient.over_tcp(ip_address(member.address), PORTS[short]) as client,
            ):
                return {row["name"] for row in client.databases()}
        except OSError:
            return set()

    def unplug(self, *members: Member) -> None:
        """Take the links of members down."""
        ip_batch([f"link set {self._hosts[member]} down" for member in members], self._fabric)

    def plug(self, *members: Member) -> None:
        """Set the links of members up again."""
        ip_batch([f"link set {self._hosts[member]} up" for member in members], self._fabric)

    def split(self, *groups: Sequence[Member | None]) -> None:
        """Split groups of members from each other; the others stay with the clients' host.

        Packets between groups are dropped silently, as in a failing network. None in a group is
        the clients' host.
        """
        self.heal()
        for number, group in enumerate(groups):
            bridge = f"apart{number}"
            hosts = [CLIENT if member is None else self._hosts[member] for member in group]
            made = [
                f"link add {bridge} type bridge mcast_snooping 0",
                f"link set {bridge} addrgenmode none up",
            ]
            moved = [f"link set {host} master {bridge}" for host in hosts]
            ip_batch([*made, *moved], self._fabric)

    def heal(self) -> None:
        """Reconnect all hosts to one bridge, with links up."""
        apart = [name for name in self._bridges() if name.startswith("apart")]
        hosts = [*self._hosts.values(), CLIENT]
        ip_batch([*_plugged(hosts), *(f"link del {name}" for name in apart)], self._fabric)

    def terms_led(self, short: str) -> dict[int, list[Member]]:
        """The members elected for each term; Raft guarantees one each."""
        led: dict[int, list[Member]] = {}
        for member in self.all:
            for term in member.terms_led(short):
                led.setdefault(term, []).append(member)
        return led

    @property
    def _fabric(self) -> str:
        return self.layout.netns(FABRIC)

    def _bridges(self) -> list[str]:
        shown = processes.run(["ip", "-json", "link", "show", "type", "bridge"], netns=self._fabric)
        return [link["ifname"] for link in json.loads(shown or "[]")]


@contextmanager
def ic_net(
    directory: Path, size: int, lab: Lab | None = None, *, flags: Sequence[str] = ("--insecure",)
) -> Iterator[IcNet]:
    """Members in a network, which is removed with the context, or with its lab.

    Args:
        directory: for the members' files.
        size: the number of members.
        lab: a running lab; None for a separate network.
        flags: options of every start.
    """
    _remove_once()
    layout = Layout(new_lab_name(), state_base()) if lab is None else lab.layout
    net = IcNet(directory, layout, size, flags)
    try:
        net.build()
        yield net
    finally:
        for member in net.all:
            if member.running:
                member.kill()
        if lab is None:
            Lab.down(layout.lab)


_remove_once: Callable[[], None] = cache(remove_labs_of_the_dead)


def _plugged(hosts: Iterable[str]) -> list[str]:
    return [line for host in hosts for line in network.plug_batch(host)]
