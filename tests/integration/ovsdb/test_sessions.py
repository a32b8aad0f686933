"""Sessions with real ovsdb-servers: changes, transactions, locks, outages."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.engine.transactions import Committed, Failed, Result, TryAgain
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.indexes import ROUTER_ROUTES
from isthmus.model.operations import Insert, NewRef, Operation, Ref, set_keys
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    GatewayChassis,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    NbGlobal,
    RowId,
)
from isthmus.ovsdb.oneshot import OneShotError, read
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.replica import Replica
from isthmus.ovsdb.session import Session
from support.ovn.servers import FILES, SCHEMAS, Servers, wait_until

pytestmark = pytest.mark.ovn

NB = Database.NB


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers, all stopped at the end."""
    servers = Servers(tmp_path / "db")
    try:
        yield servers
    finally:
        servers.stop_all()


class Client:
    """A session that runs while a test waits, and a view of its rows."""

    def __init__(self, remote: str, database: Database = NB, lock: str = "") -> None:
        self.session = Session(database, remote, lock=lock)
        self.view = View()
        self.changes: list[Change] = []

    def run(self) -> None:
        """Process what has arrived."""
        for change in self.session.run():
            self.changes.append(change)
            self.view.apply(change)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Run the session until a state is reached."""

        def met() -> object:
            self.run()
            return condition()

        wait_until(met, what)

    def sync(self) -> "Client":
        """Wait for the contents to be complete."""
        self.until(lambda: self.session.synced, "synchronised")
        return self

    def transact(self, *operations: Operation) -> Result:
        """Run a transaction and return its result."""
        self.until(lambda: self.session.writable, "writable")
        self.session.transact(operations, "test")
        return self.end()

    def end(self) -> Result:
        """Wait for the result of the transaction in flight."""
        replies: list[Result] = []

        def ended() -> bool:
            reply = self.session.reply()
            if reply is not None:
                replies.append(reply)
            return bool(replies)

        self.until(ended, "the transaction ends")
        return replies[0]

    def names(self) -> set[str]:
        """The routers' names."""
        return {row.name for row in self.view.table(LogicalRouter)}

    def forget(self) -> None:
        """Discard the changes so far."""
        self.changes.clear()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Makes clients whose sessions are closed at the end."""
    clients: list[Client] = []

    def make(*arguments: Any, **named: Any) -> Client:
        clients.append(Client(*arguments, **named))
        return clients[-1]

    yield make
    for client in clients:
        client.session.close()


Connect = Callable[..., Client]


def nbctl(servers: Servers, *arguments: str) -> None:
    """Run ovn-nbctl as another client."""
    servers.ctl("ovn-nbctl", NB, *arguments)


def changed_while_down(servers: Servers, *operations: dict[str, Any]) -> None:
    """Change the file of a database while no server has it open."""
    text = json.dumps([str(NB), *operations])
    file = servers.directory / f"{FILES[NB]}.db"
    subprocess.run(["ovsdb-tool", "transact", file, text], check=True, stdout=subprocess.DEVNULL)


def test_first_synchronisation_and_what_follows(servers: Servers, connect: Connect) -> None:
    """All rows arrive with their children, then each change of another client."""
    servers.serve(NB)
    nbctl(servers, "lr-add", "r", "--", "lr-route-add", "r", "10.0.0.0/8", "192.0.2.1")
    client = connect(servers.socket(NB)).sync()
    (router,) = client.view.table(LogicalRouter)
    (route,) = client.view.table(LogicalRouterStaticRoute)
    assert (router.name, route.ip_prefix, route.nexthop) == ("r", "10.0.0.0/8", "192.0.2.1")
    assert client.view.relation(ROUTER_ROUTES).parent(route.uuid) == router.uuid
    client.forget()
    nbctl(servers, "set", "logical_router", "r", "options:a=1")
    client.until(lambda: client.changes, "the change")
    (change,) = client.changes
    assert isinstance(change.new, LogicalRouter)
    assert (change.old, change.new.options) == (router, {"a": "1"})
    nbctl(servers, "lr-del", "r")
    client.until(lambda: not client.names(), "the removal")
    assert len(client.view.table(LogicalRouterStaticRoute)) == 0


def test_a_restarted_server_gives_exactly_the_difference(
    servers: Servers, connect: Connect
) -> None:
    """After a crash, only the changes made meanwhile arrive; no table ever looks empty."""
    servers.serve(NB)
    nbctl(servers, "lr-add", "kept", "--", "lr-add", "gone", "--", "lr-add", "changed")
    client = connect(servers.socket(NB)).sync()
    client.forget()
    servers.stop(FILES[NB], signal.SIGKILL)
    client.until(lambda: not client.session.connected, "disconnected")
    assert not client.session.synced
    assert client.names() == {"kept", "gone", "changed"}
    changed_while_down(
        servers,
        {"op": "delete", "table": "Logical_Router", "where": [["name", "==", "gone"]]},
        {"op": "insert", "table": "Logical_Router", "row": {"name": "new"}},
        {
            "op": "update",
            "table": "Logical_Router",
            "where": [["name", "==", "changed"]],
            "row": {"enabled": False},
        },
    )
    assert client.changes == []
    servers.serve(NB)
    client.sync()
    described = {
        (row.name, change.old is None, change.new is None)
        for change in client.changes
        if isinstance(row := change.row, LogicalRouter)
    }
    assert described == {("gone", False, True), ("new", True, False), ("changed", False, False)}
    assert len(client.changes) == 3
    assert client.names() == {"kept", "new", "changed"}


def create_cluster(servers: Servers) -> None:
    """Make the database a Raft cluster of one server, which keeps its last transactions."""
    file = servers.directory / f"{FILES[NB]}.db"
    schema = SCHEMAS / f"{FILES[NB]}.ovsschema"
    raft = f"unix:{servers.directory}/raft.sock"
    subprocess.run(["ovsdb-tool", "create-cluster", file, schema, raft], check=True)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_new_connection_gives_exactly_the_difference(
    servers: Servers, connect: Connect, monkeypatch: pytest.MonkeyPatch, *, clustered: bool
) -> None:
    """Only the difference arrives, whether the server sends that or all rows."""
    if clustered:
        create_cluster(servers)
    servers.serve(NB)
    # A server remembers no more changes than it holds data: here, the last two transactions.
    kept = {f"kept{number}" for number in range(30)}
    commands = [word for name in sorted(kept) for word in ("--", "lr-add", name)]
    nbctl(servers, *commands[1:])
    nbctl(servers, "lr-add", "gone")
    client = connect(servers.socket(NB)).sync()
    replica = client.session._replica
    assert isinstance(replica, Replica)
    dumps: list[bool] = []
    clear = replica._Idl__clear

    def count() -> None:
        dumps.append(True)
        clear()

    monkeypatch.setattr(replica, "_Idl__clear", count)
    client.forget()
    nbctl(servers, "lr-add", "new", "--", "lr-del", "gone")
    replica.force_reconnect()
    client.until(lambda: "new" in client.names(), "the difference")
    assert client.names() == {*kept, "new"}
    assert len(client.changes) == 2
    assert dumps == ([] if clustered else [True])


def test_a_server_with_an_older_schema(servers: Servers, connect: Connect) -> None:
    """Tables that a server lacks stay empty, columns have their defaults, and the rest works."""
    schema = json.loads((SCHEMAS / "ovn-nb.ovsschema").read_text())
    del schema["tables"]["Gateway_Chassis"], schema["cksum"]
    del schema["tables"]["Logical_Router_Port"]["columns"]["gateway_chassis"]
    del schema["tables"]["Logical_Router_Static_Route"]["columns"]["route_table"]
    reduced = servers.directory / "reduced.ovsschema"
    reduced.write_text(json.dumps(schema))
    file = servers.directory / f"{FILES[NB]}.db"
    subprocess.run(["ovsdb-tool", "create", file, reduced], check=True)
    servers.serve(NB)
    client = connect(servers.socket(NB)).sync()
    route, port = NewRef(), NewRef()
    port_row: Any = {"name": "p", "mac": "0a:00:00:00:00:01", "networks": frozenset({"10.0.0.1/8"})}
    reply = client.transact(
        Insert(LogicalRouterStaticRoute, {"ip_prefix": "10.0.0.0/8", "nexthop": "h"}, route),
        Insert(LogicalRouterPort, port_row, port),
        Insert(LogicalRouter, {"name": "r", "static_routes": (route,), "ports": (port,)}),
    )
    assert reply == Committed()
    (row,) = client.view.table(LogicalRouterStaticRoute)
    assert (row.ip_prefix, row.route_table) == ("10.0.0.0/8", "")
    assert len(client.view.table(LogicalRouterPort)) == 1
    assert len(client.view.table(GatewayChassis)) == 0


def test_a_wrong_database_is_named(servers: Servers, connect: Connect) -> None:
    """A server with another database is reported, and asked again later."""
    servers.serve(Database.SB)
    client = connect(servers.socket(Database.SB))
    client.until(lambda: client.session.last_error, "an error")
    assert "does not serve database OVN_Northbound" in client.session.last_error
    assert not client.session.synced


def test_a_server_that_comes_later(servers: Servers, connect: Connect) -> None:
    """A session waits for an unreachable database without changes or exceptions."""
    client = connect(servers.socket(NB))
    client.run()
    assert (client.session.connected, client.session.synced, client.changes) == (False, False, [])
    servers.serve(NB)
    client.sync()
    assert client.session.writable


@pytest.mark.parametrize(
    "remote", ["nonsense", "ssl:127.0.0.1:6641", "ptcp:6641", "tcp:127.0.0.1:1,pssl:6641", ""]
)
def test_invalid_addresses(remote: str, connect: Connect) -> None:
    """An invalid address is reported at once and raises no exception."""
    client = connect(remote)
    client.run()
    client.session.wait(Poller())
    assert re.search("is not a valid address|requires a private key", client.session.last_error)
    assert not client.session.connected
    with pytest.raises(OneShotError) as caught:
        read({NB: remote}, 60.0)
    assert client.session.last_error in str(caught.value)


def test_a_lock_has_one_owner_at_a_time(servers: Servers, connect: Connect) -> None:
    """The second session waits, cannot write, and gets the lock when the first is closed."""
    servers.serve(NB)
    first = connect(servers.socket(NB), lock="the_lock").sync()
    first.until(lambda: first.session.has_lock, "the first has the lock")
    second = connect(servers.socket(NB), lock="the_lock").sync()
    assert not second.session.has_lock
    assert not second.session.writable
    first.session.close()
    second.until(lambda: second.session.writable, "the second has the lock")
    assert second.transact(Insert(LogicalRouter, {"name": "r"})) == Committed()


def test_transactions_end_in_the_order_in_which_they_were_sent(
    servers: Servers, connect: Connect
) -> None:
    """A second transaction may be sent before the first has ended; each has its own result."""
    servers.serve(NB)
    client = connect(servers.socket(NB)).sync()
    client.session.transact([Insert(LogicalRouter, {"colour": "red"})], "bad")
    client.session.transact([Insert(LogicalRouter, {"name": "r"})], "good")
    assert client.end() != Committed()
    assert client.end() == Committed()


def test_without_a_connection_there_is_no_lock(servers: Servers, connect: Connect) -> None:
    """The lock counts as lost with the connection, since the server passes it on."""
    servers.serve(NB)
    client = connect(servers.socket(NB), lock="the_lock").sync()
    client.until(lambda: client.session.has_lock, "has the lock")
    servers.stop(FILES[NB], signal.SIGKILL)
    client.until(lambda: not client.session.connected, "disconnected")
    assert not client.session.has_lock
    servers.serve(NB)
    client.until(lambda: client.session.has_lock, "has the lock again")


def test_transactions_on_a_connection_that_breaks(servers: Servers, connect: Connect) -> None:
    """Each transaction ends with "retry" when the server is back, and can be sent again."""
    servers.serve(NB)
    client = connect(servers.socket(NB)).sync()
    servers.signal(FILES[NB], signal.SIGSTOP)
    client.session.transact([Insert(LogicalRouter, {"name": "r"})], "test")
    client.session.transact([Insert(LogicalRouter, {"name": "s"})], "test")
    assert client.session.reply() is None
    servers.stop(FILES[NB], signal.SIGKILL)
    servers.serve(NB)
    assert client.end() == TryAgain()
    assert client.end() == TryAgain()
    client.sync()
    assert client.names() == set()
    assert client.transact(Insert(LogicalRouter, {"name": "r"})) == Committed()
    assert client.names() == {"r"}


def test_a_transaction_without_a_connection(servers: Servers, connect: Connect) -> None:
    """A transaction that cannot be sent ends with "retry"."""
    servers.serve(NB)
    client = connect(servers.socket(NB)).sync()
    servers.stop(FILES[NB], signal.SIGKILL)
    client.until(lambda: not client.session.connected, "disconnected")
    client.session.transact([Insert(LogicalRouter, {"name": "r"})], "test")
    assert client.session.reply() == TryAgain()
    assert client.session.reply() is None


def test_a_lost_lock_prevents_writing(servers: Servers, connect: Connect) -> None:
    """A transaction has no effect if its lock was stolen meanwhile."""
    servers.serve(NB)
    client = connect(servers.socket(NB), lock="the_lock").sync()
    client.until(lambda: client.session.writable, "has the lock")
    watcher = connect(servers.socket(NB)).sync()
    servers.start("thief", "ovsdb-client", "steal", servers.socket(NB), "the_lock")
    wait_until(lambda: "locked" in servers.log("thief"), "the lock is stolen")
    client.session.transact([Insert(LogicalRouter, {"name": "r"})], "test")
    assert client.end() == TryAgain()
    client.until(lambda: not client.session.has_lock, "the loss is noticed")
    nbctl(servers, "lr-add", "other")
    watcher.until(watcher.names, "a later change")
    assert watcher.names() == {"other"}


def test_refusals_are_explained(servers: Servers, connect: Connect) -> None:
    """An error of RFC 7047 arrives with the server's details and is not retried."""
    servers.serve(NB)
    client = connect(servers.socket(NB)).sync()
    assert client.transact(Insert(NbGlobal, {})) == Committed()
    reply = client.transact(Insert(NbGlobal, {}))
    assert isinstance(reply, Failed)
    assert reply.error == "constraint violation"
    assert "NB_Global" in reply.details
    (row,) = client.view.table(NbGlobal)
    assert client.transact(set_keys(NbGlobal, row.uuid, "options", {"a": "1"})) == Committed()


def test_ten_thousand_rows(servers: Servers, connect: Connect) -> None:
    """A large database can be written in one transaction, and is read completely."""
    servers.serve(Database.IC_SB)
    writer = connect(servers.socket(Database.IC_SB), Database.IC_SB).sync()
    zone = NewRef()
    rows = [
        Insert(
            IcRoute,
            {
                "transit_switch": "ts",
                "availability_zone": zone,
                "ip_prefix": f"10.{number >> 8}.{number & 255}.0/24",
                "nexthop": "192.0.2.1",
                "origin": "static",
            },
        )
        for number in range(10_000)
    ]
    assert writer.transact(Insert(AvailabilityZone, {"name": "az"}, zone), *rows) == Committed()
    reader = connect(servers.socket(Database.IC_SB), Database.IC_SB).sync()
    assert len(reader.view.table(IcRoute)) == 10_000
    assert by_uuid(reader.view) == by_uuid(writer.view)
    reader.forget()
    (az,) = reader.view.table(AvailabilityZone)
    more = {**rows[0].row, "availability_zone": Ref(RowId(az.uuid)), "ip_prefix": "fd00::/8"}
    assert writer.transact(Insert(IcRoute, more)) == Committed()
    reader.until(lambda: reader.changes, "one more")
    assert len(reader.changes) == 1


def by_uuid(view: View) -> dict[RowId, IcRoute]:
    """All routes of a view."""
    return {row.uuid: row for row in view.table(IcRoute)}


def test_reading_once(servers: Servers) -> None:
    """`read` returns all databases, or reports the ones that did not answer."""
    servers.serve(NB, Database.IC_SB)
    nbctl(servers, "lr-add", "r")
    remotes = {d: servers.socket(d) for d in (NB, Database.IC_SB, Database.SB)}
    view = read({NB: remotes[NB], Database.IC_SB: remotes[Database.IC_SB]}, 30.0)
    assert [row.name for row in view.table(LogicalRouter)] == ["r"]
    with pytest.raises(OneShotError) as caught:
        read(remotes, 0.2)
    (problem,) = caught.value.problems
    assert problem.object == "database OVN_Southbound"
    assert problem.value == remotes[Database.SB]
    assert problem.message == "did not answer within 0.2 s"
    with pytest.raises(OneShotError, match="does not serve database OVN_IC_Northbound"):
        read({Database.IC_NB: remotes[NB]}, 1.0)


MEMBERS = ("m1", "m2", "m3")


class Cluster:
    """A Raft cluster of three servers of NB."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.directory = servers.directory
        first, *others = (f"unix:{self.directory}/{name}.raft" for name in MEMBERS)
        schema = SCHEMAS / f"{FILES[NB]}.ovsschema"
        self._tool("create-cluster", self.file("m1"), schema, first)
        for name, address in zip(MEMBERS[1:], others, strict=True):
            self._tool("join-cluster", self.file(name), NB, address, first)
        for name in MEMBERS:
            self.start(name)

    def file(self, name: str) -> Path:
        """The database file of a member."""
        return self.directory / f"{name}.db"

    def start(self, name: str) -> None:
        """Start a member."""
        self.servers.start(
            name,
            "ovsdb-server",
            str(self.file(name)),
            f"--remote=punix:{self.directory}/{name}.sock",
            f"--unixctl={self.directory}/{name}.ctl",
            "-vconsole:warn",
        )

    @property
    def remote(self) -> str:
        """All members, comma-separated."""
        return ",".join(f"unix:{self.directory}/{name}.sock" for name in MEMBERS)

    def leader(self) -> str:
        """The leader; empty if there is none."""
        alive = (name for name in MEMBERS if self.servers.alive(name))
        return next((name for name in alive if "Role: leader" in self._status(name)), "")

    def whole(self) -> bool:
        """Whether all members have been admitted, so that any one may fail."""
        servers = (self._status(name).partition("\nServers:\n")[2] for name in MEMBERS)
        return all(text.count(" at unix:") == len(MEMBERS) for text in servers)

    def _status(self, name: str) -> str:
        command = ("ovs-appctl", "-t", self.directory / f"{name}.ctl", "cluster/status", NB)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    @staticmethod
    def _tool(*arguments: str | Path) -> None:
        subprocess.run(["ovsdb-tool", *arguments], check=True, stderr=subprocess.DEVNULL)


def test_a_cluster_that_loses_its_leader(servers: Servers, connect: Connect) -> None:
    """A session follows the leader and its successor, and loses or repeats no row."""
    cluster = Cluster(servers)
    wait_until(cluster.whole, "all have been admitted")
    client = connect(cluster.remote).sync()
    assert client.transact(Insert(LogicalRouter, {"name": "one"})) == Committed()
    client.forget()
    servers.stop(cluster.leader(), signal.SIGKILL)
    client.until(lambda: not client.session.synced, "the loss is noticed")
    assert client.names() == {"one"}
    client.sync()
    assert client.changes == []
    assert client.transact(Insert(LogicalRouter, {"name": "two"})) == Committed()
    assert client.names() == {"one", "two"}


def test_a_cluster_without_a_majority(servers: Servers, connect: Connect) -> None:
    """Without a majority nothing arrives, and no table looks empty."""
    cluster = Cluster(servers)
    wait_until(cluster.whole, "all have been admitted")
    client = connect(cluster.remote).sync()
    assert client.transact(Insert(LogicalRouter, {"name": "one"})) == Committed()
    client.forget()
    stopped = [cluster.leader(), next(name for name in MEMBERS if name != cluster.leader())]
    for name in stopped:
        servers.stop(name, signal.SIGKILL)
    client.until(lambda: not client.session.synced, "the loss is noticed")
    for name in stopped:
        cluster.start(name)
    client.sync()
    assert client.changes == []
    assert client.names() == {"one"}
