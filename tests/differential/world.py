"""Fleets of zones on real servers, on which histories run.

A `Fleet` is one side of the comparison: zones with NB, SB and northd each, one pair of IC
databases, and one interconnection daemon per zone. A `World` has both sides and repeats every write
on both. Servers and northd live as long as the world; the daemons are restarted for each history,
on emptied databases.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from differential.contents import TABLES, Contents, Dump, difference, dump, selects
from differential.daemons import TIMEOUT, Daemon, Isthmus, OvnIc
from differential.operations import Json, delete, insert, mapping, mutate, named, update
from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from support.ovn.servers import (
    FILES,
    INSTALLATION,
    LIMIT,
    SCHEMAS,
    Processes,
    run_program,
    wait_until,
)

VERSION = tuple(int(part) for part in INSTALLATION.version().split(".")[:2])
"""Of OVN, e.g. (23, 3)."""
PAUSE = 0.002
"""Seconds between two checks of an expected state."""
PATIENCE = 1.0
"""Seconds for which a difference must last before it counts, as barriers do not cover everything.
"""


class Server(Processes):
    """An ovsdb-server with two databases, which are emptied instead of restarted."""

    def __init__(self, directory: Path, *databases: Database) -> None:
        super().__init__(directory)
        self.databases = databases
        self.path = directory / "db.sock"
        files = [self._create(database) for database in databases]
        control = f"--unixctl={directory}/db.ctl"
        remote = f"--remote=punix:{self.path}"
        self.start("ovsdb-server", "ovsdb-server", *files, remote, control, "-vconsole:warn")
        wait_until(self.path.exists, "ovsdb-server listens")
        self.connection = JsonRpcClient.over_unix(self.path, TIMEOUT)

    def _create(self, database: Database) -> str:
        file = self.directory / f"{FILES[database]}.db"
        schema = SCHEMAS / f"{FILES[database]}.ovsschema"
        run_program(INSTALLATION, "ovsdb-tool", "create", str(file), str(schema))
        return str(file)

    @property
    def remote(self) -> str:
        """The remote of the server."""
        return f"unix:{self.path}"

    def transact(self, database: Database, *operations: Json) -> list[Json]:
        """Run one transaction."""
        return self.connection.transact(database, *operations)

    def dump(self, database: Database) -> Dump:
        """The part of a database that is compared."""
        return dump(database, self.transact(database, *selects(database)))

    def empty(self) -> None:
        """Delete all rows except NB_Global's, which northd needs."""
        for database in self.databases:
            roots = [table for table in TABLES[database] if table not in _NO_ROOTS[database]]
            self.transact(database, *(delete(table, []) for table in roots))


_NO_ROOTS: Mapping[Database, frozenset[str]] = {
    Database.NB: frozenset(
        {"NB_Global", "Logical_Switch_Port", "Logical_Router_Port", "Logical_Router_Static_Route"}
    ),
    Database.SB: frozenset({"Encap", "Port_Binding"}),
    Database.IC_NB: frozenset(),
    Database.IC_SB: frozenset({"Encap"}),
}


class Site(Server):
    """One zone: NB, SB, northd and an interconnection daemon."""

    def __init__(self, directory: Path, kind: str, ic: Server) -> None:
        super().__init__(directory, Database.NB, Database.SB)
        self.transact(Database.NB, insert("NB_Global", "global"))
        self.keep_northd()
        remotes = {
            **dict.fromkeys((Database.NB, Database.SB), self.remote),
            **dict.fromkeys((Database.IC_NB, Database.IC_SB), ic.remote),
        }
        self.daemon: Daemon = OvnIc(self, remotes) if kind == "ovn-ic" else Isthmus(remotes)
        self.active = False
        self.bound: dict[str, str] = {}
        self._number = 0

    def reset(self) -> None:
        """Stop the daemon and empty the databases."""
        self.daemon.stop()
        self.active = False
        self.bound.clear()
        self.empty()
        options = self.dump(Database.NB)["NB_Global"].popitem()[1]["options"]
        kept = {key: value for key, value in options.items() if not key.startswith("ic-")}
        clean = {"name": "", "options": mapping(kept), "external_ids": mapping({})}
        self.transact(Database.NB, update("NB_Global", [], **clean))

    def keep_northd(self) -> None:
        """Start northd if it does not run: some versions exit with assertions in rare cases, which
        is not under test here."""
        if not self.alive("northd"):
            flags = (f"--ovnnb-db={self.remote}", f"--ovnsb-db={self.remote}")
            control = f"--unixctl={self.directory}/northd.ctl"
            self.start("northd", "ovn-northd", *flags, control, "-vconsole:warn")

    def ask_northd(self) -> None:
        """Ask northd to report when it has processed all earlier writes (ovn-nb(5), nb_cfg)."""
        self._number += 1
        self.transact(Database.NB, update("NB_Global", [], nb_cfg=self._number))

    def northd_answered(self) -> bool:
        """Whether northd has processed them."""
        self.keep_northd()
        columns = {"op": "select", "table": "NB_Global", "where": [], "columns": ["sb_cfg"]}
        rows = self.transact(Database.NB, columns)[0]["rows"]
        return bool(rows[0]["sb_cfg"] == self._number)

    def bind(self) -> bool:
        """Emulate ovn-controller: claim the ports that the history has bound to a chassis.

        Returns:
            Whether anything changed.
        """
        changed = False
        sb = self.dump(Database.SB)
        chassis = {row["name"]: row["_uuid"] for row in sb["Chassis"].values()}
        for row in sb["Port_Binding"].values():
            wanted = chassis.get(self.bound.get(row["logical_port"], ""))
            if row["type"] == "chassisredirect" and row["chassis"] != (wanted or frozenset()):
                value = ["uuid", wanted] if wanted else ["set", []]
                where = named(row["logical_port"], "logical_port")
                self.transact(Database.SB, update("Port_Binding", where, chassis=value))
                changed = True
        return changed


class Fleet:
    """One side: zones that share IC databases.

    Args:
        directory: for all files.
        kinds: the daemon of each zone, "ovn-ic" or "isthmus".
    """

    def __init__(self, directory: Path, kinds: Sequence[str]) -> None:
        self.ic = Server(directory / "ic", Database.IC_NB, Database.IC_SB)
        self.sites = [Site(directory / f"z{i}", kind, self.ic) for i, kind in enumerate(kinds)]

    def reset(self) -> None:
        """Prepare for the next history: no rows, all daemons started."""
        for site in self.sites:
            site.daemon.stop()
        self.ic.empty()
        self.ic.transact(Database.IC_NB, insert("IC_NB_Global", "global"))
        for site in self.sites:
            site.reset()
        settle(self)
        for site in self.sites:
            site.daemon.start()
            site.active = True

    def turn(self) -> None:
        """Let the daemons work."""
        for site in self.sites:
            site.daemon.turn()

    def quiet(self) -> bool:
        """Whether all daemons are idle."""
        return all(site.daemon.quiet() for site in self.sites if site.active)

    def contents(self) -> Contents:
        """The contents to compare."""
        zones = [(site.dump(Database.NB), site.dump(Database.SB)) for site in self.sites]
        ic = (self.ic.dump(Database.IC_NB), self.ic.dump(Database.IC_SB))
        return Contents(zones, *ic, VERSION)

    def stop(self) -> None:
        """Stop all processes."""
        for site in self.sites:
            site.daemon.stop()
            site.stop_all()
        self.ic.stop_all()


def _wait(fleets: Sequence[Fleet], condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited {LIMIT:g} s in vain: {what}"
        for fleet in fleets:
            fleet.turn()
        time.sleep(PAUSE)


def _round(*fleets: Fleet) -> None:
    """Let all daemons process everything written so far."""
    sites = [site for fleet in fleets for site in fleet.sites]
    for site in sites:
        site.ask_northd()
    _wait(fleets, lambda: all(site.northd_answered() for site in sites), "northd")
    for site in sites:
        site.bind()
    _wait(fleets, lambda: all(fleet.quiet() for fleet in fleets), "quiet daemons")


def settle(*fleets: Fleet) -> list[Contents]:
    """Wait until nothing changes any more; return the contents of the fleets.

    Raises:
        AssertionError: the databases keep changing.
    """
    deadline = time.monotonic() + LIMIT
    before: list[Contents] = []
    while True:
        _round(*fleets)
        after = [fleet.contents() for fleet in fleets]
        if [contents.facts for contents in before] == [contents.facts for contents in after]:
            return after
        assert time.monotonic() < deadline, "the databases keep changing"
        before = after


class World:
    """Both sides; every write goes to both."""

    def __init__(self, directory: Path, kinds: Sequence[str]) -> None:
        self.oracle = Fleet(directory / "oracle", ["ovn-ic"] * len(kinds))
        self.subject = Fleet(directory / "subject", kinds)
        self.fleets = (self.oracle, self.subject)
        self.size = len(kinds)

    def reset(self) -> None:
        """Prepare for the next history."""
        for fleet in self.fleets:
            fleet.reset()

    def sites(self, zone: int) -> tuple[Site, Site]:
        """The two copies of a zone."""
        return self.oracle.sites[zone], self.subject.sites[zone]

    def write(self, zone: int, database: Database, *operations: Json) -> None:
        """Run a transaction on the NB or SB of a zone."""
        for site in self.sites(zone):
            site.transact(database, *operations)

    def write_ic(self, database: Database, *operations: Json) -> None:
        """Run a transaction on IC-NB or IC-SB."""
        for fleet in self.fleets:
            fleet.ic.transact(database, *operations)

    def options(self, zone: int, values: Mapping[str, str]) -> None:
        """Set options of NB_Global; an empty value removes the option."""
        remove = ["options", "delete", ["set", list(values)]]
        present = {key: value for key, value in values.items() if value}
        add = ["options", "insert", mapping(present)]
        self.write(zone, Database.NB, mutate("NB_Global", [], remove, add))

    def settle(self) -> list[str]:
        """Wait until both sides are idle; return their differences."""
        deadline = time.monotonic() + PATIENCE
        while True:
            oracle, subject = settle(*self.fleets)
            found = difference(oracle, subject, ("oracle", "subject"))
            if not found or time.monotonic() > deadline:
                return found
            _wait(self.fleets, lambda: True, "")

    def wait(self) -> None:
        """Wait until both sides are idle."""
        settle(*self.fleets)

    def wait_for_copy(self, zone: int, ts: str) -> None:
        """Wait until NB has the logical switch of a transit switch, on both sides."""
        select = {"op": "select", "table": "Logical_Switch", "where": named(ts), "columns": []}

        def there() -> bool:
            return all(s.transact(Database.NB, select)[0]["rows"] for s in self.sites(zone))

        _wait(self.fleets, there, f"the copy of {ts} in zone {zone}")

    def stop(self) -> None:
        """Stop all processes."""
        for fleet in self.fleets:
            fleet.stop()


@contextmanager
def world_in(directory: Path, kinds: Sequence[str]) -> Iterator[World]:
    """A world that is always stopped at the end."""
    world = World(directory, kinds)
    try:
        yield world
    finally:
        world.stop()
