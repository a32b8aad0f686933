"""One zone attached to a transit switch, and many remote zones that consist of rows only.

northd does not run: its rows are written once, so that only the daemon is measured.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from isthmus.engine.transactions import Committed
from isthmus.model.operations import Insert, NewRef, Operation, Ref, Update, Value
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from support.ovn.servers import RealZone, Servers

LIMIT = 300.0
"""Seconds within which any state must be reached."""

LOCAL_SUBNETS = 200
REMOTE_ZONES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRoute(Row):
    """A static route with one column, to keep counting cheap."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Router_Static_Route"
    route_table: str = ""


class Client:
    """A session driven by the benchmark."""

    def __init__(self, database: Database, remote: str, *kinds: type) -> None:
        self.session = Session(database, remote, kinds=kinds)
        self.rows: dict[type, dict[RowId, object]] = {}
        self.until(lambda: self.session.writable)

    def until(self, condition: Callable[[], bool], limit: float = LIMIT) -> None:
        """Process updates of the database until a condition holds, for at most `limit` seconds."""
        follow([self], condition, limit)

    def take_in(self) -> None:
        """Process received updates."""
        for change in self.session.run():
            table = self.rows.setdefault(type(change.row), {})
            if change.new is None:
                table.pop(change.row.uuid, None)
            else:
                table[change.row.uuid] = change.new

    def count(self, kind: type) -> int:
        """The rows of a table."""
        return len(self.rows.get(kind, {}))

    def write(self, operations: Iterable[Operation]) -> None:
        """Commit in batches."""
        pending = iter(operations)
        while portion := list(itertools.islice(pending, 2000)):
            self.until(lambda: self.session.writable)
            self.session.transact(portion, "bench")
            replies: list[object] = []

            def ended(replies: list[object] = replies) -> bool:
                reply = self.session.reply()
                if reply is not None:
                    assert reply == Committed(), reply
                    replies.append(reply)
                return bool(replies)

            self.until(ended)


def follow(clients: Sequence[Client], condition: Callable[[], bool], limit: float = LIMIT) -> None:
    """Process updates of several databases until a condition holds, for `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        for client in clients:
            client.take_in()
        if condition():
            return
        assert time.monotonic() < deadline, "waited in vain"
        poller = Poller()
        for client in clients:
            client.session.wait(poller)
        poller.wake_in(0.5)
        poller.block()


class BenchZone:
    """The zone under test, prepared for a daemon to attach it."""

    def __init__(self, directory: Path) -> None:
        self.ic = Servers(directory / "ic")
        self.ic.serve(Database.IC_NB, Database.IC_SB)
        self.zone = RealZone(directory, "az0", self.ic, northd=False)
        remotes = self.zone.remotes
        self.nb = Client(Database.NB, remotes[Database.NB], LogicalRouter, NbGlobal)
        self.ic_nb = Client(Database.IC_NB, remotes[Database.IC_NB], TransitSwitch)
        self.ic_sb = Client(Database.IC_SB, remotes[Database.IC_SB], AvailabilityZone, IcRoute)
        self._fill()
        self.nb.session.close()
        self.nb = Client(Database.NB, remotes[Database.NB], StaticRoute)

    def _fill(self) -> None:
        self.ic_nb.write([Insert(TransitSwitch, {"name": "ts"})])
        lsp, lrp = NewRef(), NewRef()
        lrps = [NewRef() for _ in range(LOCAL_SUBNETS)]
        router = next(iter(self.nb.rows[LogicalRouter]))
        nb_global = next(iter(self.nb.rows[NbGlobal]))
        options = {"ic-route-adv": "true", "ic-route-learn": "true"}
        subnets = [
            Insert(
                LogicalRouterPort,
                {
                    "name": f"lrp{n}",
                    "mac": "0a:00:00:00:00:01",
                    "networks": frozenset({f"10.0.{n}.1/24"}),
                },
                ref,
            )
            for n, ref in enumerate(lrps)
        ]
        port: dict[str, Value] = {
            "name": "lrp-ts",
            "mac": "0a:00:00:00:01:01",
            "networks": frozenset({"169.254.0.1/16"}),
        }
        self.nb.write(
            [
                Insert(
                    LogicalSwitchPort,
                    {
                        "name": "lsp-ts",
                        "type": "router",
                        "addresses": frozenset({"router"}),
                        "options": {"router-port": "lrp-ts"},
                    },
                    lsp,
                ),
                Insert(
                    LogicalSwitch,
                    {"name": "ts", "other_config": {"interconn-ts": "ts"}, "ports": (lsp,)},
                ),
                *subnets,
                Insert(LogicalRouterPort, port, lrp),
                Update(LogicalRouter, router, {"ports": (*lrps, lrp)}),
                Update(NbGlobal, nb_global, {"options": options}),
            ]
        )
        self._bind(router)

    def _bind(self, router: RowId) -> None:
        self.zone.sbctl("init")
        for command in (
            ("create", "Datapath_Binding", "tunnel_key=1", f"external_ids:logical-router={router}"),
            ("chassis-add", "gw0", "geneve", "192.0.2.1"),
            ("set", "Chassis", "gw0", "other_config:is-interconn=true"),
        ):
            self.zone.sbctl(*command)
        datapath = self.zone.sbctl("--bare", "--columns=_uuid", "list", "Datapath_Binding").strip()
        for key, (name, *extra) in enumerate(
            (
                ("lsp-ts", "type=patch", "options:peer=lrp-ts"),
                (
                    "lrp-ts",
                    "type=patch",
                    "options:peer=lsp-ts",
                    'mac="0a:00:00:00:01:01 169.254.0.1/16"',
                ),
                ("cr-lrp-ts", "type=chassisredirect", f"chassis={self._chassis()}"),
            ),
            start=1,
        ):
            columns = [f"logical_port={name}", f"datapath={datapath}", f"tunnel_key={key}", *extra]
            self.zone.sbctl("create", "Port_Binding", *columns)

    def _chassis(self) -> str:
        return self.zone.sbctl("--bare", "--columns=_uuid", "list", "Chassis").strip()

    def add_remote(self, routes: int) -> None:
        """Fill IC-SB with routes of other zones."""
        zones = [NewRef() for _ in range(REMOTE_ZONES)]
        self.ic_sb.write(
            [Insert(AvailabilityZone, {"name": f"r{n}"}, ref) for n, ref in enumerate(zones)]
        )
        known = {
            row.name: uuid  # type: ignore[attr-defined]
            for uuid, row in self.ic_sb.rows[AvailabilityZone].items()
        }
        self.ic_sb.write(
            Insert(IcRoute, self.route(known[f"r{n % REMOTE_ZONES}"], n)) for n in range(routes)
        )

    @staticmethod
    def route(zone: RowId, n: int) -> dict[str, Value]:
        """The n-th remote route."""
        return {
            "transit_switch": "ts",
            "availability_zone": Ref(zone),
            "ip_prefix": f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24",
            "nexthop": f"169.254.1.{1 + n % REMOTE_ZONES}",
            "origin": "connected",
            "external_ids": {"lr-id": "00000000-0000-0000-0000-00000000beef"},
        }

    def learned(self) -> int:
        """The number of static routes of the zone's router."""
        return self.nb.count(StaticRoute)

    def stop(self) -> None:
        """Stop everything."""
        self.zone.servers.stop_all()
        self.ic.stop_all()


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """Peak resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
