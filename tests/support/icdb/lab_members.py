"""The members of a lab's IC databases, and the faults that tests inject.

The lab's own functions start and stop them.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from signal import SIGKILL
from typing import TypeVar

from isthmus.icdb.raft.status_parser import parse_raft_status
from isthmus.model.rows import Database
from isthmus_lab.build import daemons, ic_certificates, network
from isthmus_lab.errors import LabError
from isthmus_lab.lab import Lab
from isthmus_lab.system import processes
from isthmus_lab.system.netns import listens
from isthmus_lab.topology.plan import IC_DAEMON, IC_NB_PORT, IC_SB_PORT
from isthmus_lab.waiting import wait_until

LIMIT_S = 120.0
"""Seconds to wait for a state: a hundred times what an idle machine needs."""

T = TypeVar("T")

_DATABASES = {"nb": Database.IC_NB, "sb": Database.IC_SB}


class LabMembers:
    """The members of a lab's IC databases.

    Args:
        lab: a lab with TLS and several members.

    Attributes:
        hosts: their addresses by name, in the order of the list.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.hosts = {member.name: str(member.address) for member in self._lab.plan.ic_members}

    @property
    def names(self) -> list[str]:
        """The names of all members."""
        return list(self.hosts)

    def others(self, name: str) -> list[str]:
        """The names of all members but one."""
        return [other for other in self.hosts if other != name]

    def leader(self, short: str = "sb") -> str:
        """The member that leads a database, once there is one."""
        return _wait(lambda: self._leads(short), f"a leader of {short}")

    def _leads(self, short: str) -> str:
        leaders = [name for name in self.hosts if self._role(name, short) == "leader"]
        return leaders[0] if len(leaders) == 1 else ""

    def _role(self, name: str, short: str) -> str:
        control = self._lab.layout.run(name) / f"ovn_ic_{short}_db.ctl"
        ask = ["ovs-appctl", "--timeout=5", "-t", str(control), "cluster/status"]
        with suppress(LabError):
            text = self._lab.run(name, [*ask, _DATABASES[short]])
            return parse_raft_status(text).role
        return ""

    def kill_server(self, name: str, short: str = "sb") -> None:
        """Kill one server of a member, as a crash does; its supervisor continues."""
        file = self._lab.layout.run(name) / f"ovn_ic_{short}_db.pid"
        text = _wait(lambda: file.exists() and file.read_text().strip(), f"{file}")
        processes.stop([int(text)], SIGKILL)

    def kill(self, *names: str) -> None:
        """Kill members, with their supervisors."""
        for name in names:
            self._lab.kill(name, IC_DAEMON)
        tags = {f"{name}/{IC_DAEMON}" for name in names}
        # The kernel ends the servers a moment after their supervisor.
        _wait(
            lambda: not any(p.daemon in tags for p in processes.of_lab(self._lab.layout.lab)),
            "the servers to be gone",
        )

    def start(self, *names: str) -> None:
        """Start members, with all present hosts as their list."""
        for name in names:
            self._lab.start(name, IC_DAEMON, self._command(name))

    def _command(self, name: str) -> list[str]:
        member = next(one for one in self._lab.plan.ic_members if one.name == name)
        words = daemons.ic_databases(self._lab.layout, self._lab.plan, member)
        hosts = {"--members": ",".join(self.hosts.values()), "--address": self.hosts[name]}
        for flag, value in hosts.items():
            words[words.index(flag) + 1] = value
        return words

    def wipe(self, name: str) -> None:
        """Lose the disk of a member that is down."""
        for file in self._lab.layout.db(name).iterdir():
            file.unlink()

    def readdress(self, name: str, address: str) -> None:
        """Replace a stopped member by another machine: address, certificate, empty disk."""
        self.wipe(name)
        change = ["ip", "address", "replace", f"{address}/24", "dev", network.UNDERLAY_LINK]
        drop = ["ip", "address", "del", f"{self.hosts[name]}/24", "dev", network.UNDERLAY_LINK]
        self._lab.run(name, drop)
        self._lab.run(name, change)
        ic_certificates.issue_member(self._lab.layout, name, [address])
        self.hosts[name] = address

    def wait_until_serving(self, *names: str) -> None:
        """Wait until the servers of members accept connections, with or without a leader."""
        netns = self._lab.layout.netns
        ports = [(name, port) for name in names for port in (IC_NB_PORT, IC_SB_PORT)]
        _wait(
            lambda: all(listens(netns(name), self.hosts[name], port) for name, port in ports),
            f"{', '.join(names)} to listen",
        )

    def wait_until_whole(self) -> None:
        """Wait until all members have one leader and the same rows."""
        for short in _DATABASES:
            self.leader(short)
            _wait(partial(self._same, short), f"all members to have the same rows: {short}")

    def _same(self, short: str) -> bool:
        found = [self.contents(name, short) for name in self.hosts]
        return all(one and one == found[0] for one in found)

    def contents(self, name: str, short: str) -> set[tuple[str, str]]:
        """Table and UUID of every row that a member has; nothing if it does not answer."""
        socket = self._lab.layout.run(name) / f"ovn_ic_{short}_db.sock"
        dump = ["ovsdb-client", "--no-leader-only", "--timeout=5", "-f", "json", "dump"]
        try:
            text = self._lab.run(name, [*dump, f"unix:{socket}", _DATABASES[short]])
        except LabError:
            return set()
        tables = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return {
            (table["caption"], row[table["headings"].index("_uuid")][1])
            for table in tables
            for row in table["data"]
        }


def _wait(look: Callable[[], T], what: str) -> T:
    return wait_until(look, LIMIT_S, what, interval_s=0.05)
