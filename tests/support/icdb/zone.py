"""A zone under `isthmus run` on a Raft cluster of IC databases."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.model.rows import Database
from support.icdb.run import Members
from support.ovn.daemon import PEER, Cluster, IcServers


class IcMembers(IcServers):
    """The IC databases of running members, as servers that zones connect to.

    Args:
        directory: for files of `IcServers`.
        members: the first answers, over its sockets.
    """

    def __init__(self, directory: Path, members: Members) -> None:
        super().__init__(directory)
        self._members = members
        first = members.all[0]
        self.ports = {Database.IC_NB: first.ports["nb"], Database.IC_SB: first.ports["sb"]}

    def add_peer(self) -> None:
        """Register a zone az2 with a port on the existing transit switch."""
        self.ctl("ovn-ic-sbctl", Database.IC_SB, *shlex.split(PEER))

    @property
    def hosts(self) -> str:
        """The value of `ic-db-host`."""
        return ",".join(member.address for member in self._members.all)

    def socket(self, database: Database) -> str:
        """The remote of a database."""
        short = "nb" if database is Database.IC_NB else "sb"
        return f"unix:{self._members.all[0].run_dir}/ovn_ic_{short}_db.sock"


@contextmanager
def zone_on(directory: Path, members: Members) -> Iterator[tuple[Cluster, IcMembers]]:
    """A cluster, its daemon not started, and a peer in the databases that advertises a prefix.

    Args:
        directory: for their files.
        members: of which the first serves.
    """
    ic = IcMembers(directory / "ic", members)
    ic.add_peer()
    ic.advertise("10.2.0.0/16")
    cluster = Cluster(directory, ic)
    try:
        cluster.use(ic, **{"ic-db-host": ic.hosts})
        yield cluster, ic
    finally:
        cluster.servers.stop_all()
