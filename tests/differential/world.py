"""Fleets of zones on real servers, on which histories are played.

A `Fleet` is one side of the comparison: zones with their own NB, SB and northd, one pair of IC
databases, and one interconnection daemon per zone. A `World` holds both sides and gives every
write to both. Servers and northd live as long as the world; the daemons are started anew, on
emptied databases, for each history.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from differential.contents import TABLES, Contents, Dump, difference, dump, selects
from differential.daemons import Daemon, Isthmus, OvnIc
from differential.rpc import Connection, Json, delete, insert, mapping, mutate, named, update
from isthmus.model.rows import Database
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
"""Seconds between two looks at a state that is waited for."""
PATIENCE = 1.0
"""Seconds for which a difference must last before it counts: barriers cannot see all of it."""


class Server(Processes):
    """One ovsdb-server with two databases, emptied instead of restarted."""

    def __init__(self, directory: Path, *databases: Database) -> None:
        super().__init__(directory)
        self.databases = databases
        self.path = directory / "db.sock"
        files = [self._create(database) for database in databases]
        control = f"--unixctl={directory}/db.ctl"
        remote = f"--remote=punix:{self.path}"
        self.start("ovsdb-server", "ovsdb-server", *files, remote, control, "-vconsole:warn")
        wait_until(self.path.exists, "ovsdb-server listens")
        self.connection = Connection(self.path)

    def _create(self, database: Database) -> str:
        file = self.directory / f"{FILES[database]}.db"
        schema = SCHEMAS / f"{FILES[database]}.ovsschema"
        run_program(INSTALLATION, "ovsdb-tool", "create", str(file), str(schema))
        return str(file)

    @property
    def remote(self) -> str:
        """Where it is."""
        return f"unix:{self.path}"

    def transact(self, database: Database, *operations: Json) -> list[Json]:
        """Run one transaction."""
        return self.connection.transact(database, *operations)

    def dump(self, database: Database) -> Dump:
        """What the comparison needs of a database."""
        return dump(database, self.transact(database, *selects(database)))

    def empty(self) -> None:
        """Delete all rows but NB_Global's, which northd holds on to."""
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
        """Start northd if it does not run: some versions end by assertions in rare cases, and are
        not what is tested here."""
        if not self.alive("northd"):
            flags = (f"--ovnnb-db={self.remote}", f"--ovnsb-db={self.remote}")
            control = f"--unixctl={self.directory}/northd.ctl"
            self.start("northd", "ovn-northd", *flags, control, "-vconsole:warn")

    def ask_northd(self) -> None:
        """Have northd say when it has handled all that was written before (ovn-nb(5), nb_cfg)."""
        self._number += 1
        self.transact(Database.NB, update("NB_Global", [], nb_cfg=self._number))

    def northd_answered(self) -> bool:
        """Whether it has."""
        self.keep_northd()
        columns = {"op": "select", "table": "NB_Global", "where": [], "columns": ["sb_cfg"]}
        rows = self.transact(Database.NB, columns)[0]["rows"]
        return bool(rows[0]["sb_cfg"] == self._number)

    def bind(self) -> bool:
        """Do ovn-controller's part: claim the ports that the history has bound to a chassis.

        Returns:
            Whether something had to be changed.
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
        directory: for everything.
        kinds: each zone's daemon, "ovn-ic" or "isthmus".
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
        """Give the daemons some time."""
        for site in self.sites:
            site.daemon.turn()

    def quiet(self) -> bool:
        """Whether no daemon has anything left to do."""
        return all(site.daemon.quiet() for site in self.sites if site.active)

    def contents(self) -> Contents:
        """All that is compared."""
        zones = [(site.dump(Database.NB), site.dump(Database.SB)) for site in self.sites]
        ic = (self.ic.dump(Database.IC_NB), self.ic.dump(Database.IC_SB))
        return Contents(zones, *ic, VERSION)

    def stop(self) -> None:
        """End all processes."""
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
    """Have everybody handle everything that has been written so far."""
    sites = [site for fleet in fleets for site in fleet.sites]
    for site in sites:
        site.ask_northd()
    _wait(fleets, lambda: all(site.northd_answered() for site in sites), "northd")
    for site in sites:
        site.bind()
    _wait(fleets, lambda: all(fleet.quiet() for fleet in fleets), "quiet daemons")


def settle(*fleets: Fleet) -> list[Contents]:
    """Wait until nothing changes any more; what the fleets then hold.

    Raises:
        AssertionError: the databases go on changing.
    """
    deadline = time.monotonic() + LIMIT
    before: list[Contents] = []
    while True:
        _round(*fleets)
        after = [fleet.contents() for fleet in fleets]
        if [contents.facts for contents in before] == [contents.facts for contents in after]:
            return after
        assert time.monotonic() < deadline, "the databases go on changing"
        before = after


class World:
    """Both sides: every write goes to both."""

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
        """A zone's two incarnations."""
        return self.oracle.sites[zone], self.subject.sites[zone]

    def write(self, zone: int, database: Database, *operations: Json) -> None:
        """Run a transaction on a zone's NB or SB."""
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
        """Wait until both sides are settled; how they differ then, empty if they do not."""
        deadline = time.monotonic() + PATIENCE
        while True:
            oracle, subject = settle(*self.fleets)
            found = difference(oracle, subject, ("oracle", "subject"))
            if not found or time.monotonic() > deadline:
                return found
            _wait(self.fleets, lambda: True, "")

    def wait(self) -> None:
        """Wait until both sides are settled."""
        settle(*self.fleets)

    def wait_for_copy(self, zone: int, ts: str) -> None:
        """Wait until NB has the logical switch of a transit switch, on both sides."""
        select = {"op": "select", "table": "Logical_Switch", "where": named(ts), "columns": []}

        def there() -> bool:
            return all(s.transact(Database.NB, select)[0]["rows"] for s in self.sites(zone))

        _wait(self.fleets, there, f"the copy of {ts} in zone {zone}")

    def stop(self) -> None:
        """End all processes."""
        for fleet in self.fleets:
            fleet.stop()


@contextmanager
def world_in(directory: Path, kinds: Sequence[str]) -> Iterator[World]:
    """A world that is stopped in any case."""
    world = World(directory, kinds)
    try:
        yield world
    finally:
        world.stop()
