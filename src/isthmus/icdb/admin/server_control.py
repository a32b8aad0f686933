"""Where the local servers are, for the verbs that look after them.

Called by `cluster_status`, `maintenance`, `backup`, `checks` and the command line.
"""

from dataclasses import dataclass
from pathlib import Path

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.raft.status_parser import RaftStatus, parse_raft_status
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl_client import CommandFailedError, ask

_NAMES = {"nb": Database.IC_NB, "sb": Database.IC_SB}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the local server of one database is; names as in `isthmus.icdb.server.plan`.

    Args:
        short: "nb" or "sb".
        port: for clients; that of the other members too.
        data_dir, run_dir, schema_dir: directories.
    """

    short: str
    port: int
    data_dir: Path
    run_dir: Path
    schema_dir: Path

    @property
    def database(self) -> Database:
        """The database."""
        return _NAMES[self.short]

    @property
    def file(self) -> Path:
        """The database's file."""
        return self.data_dir / f"ovn_ic_{self.short}_db.db"

    @property
    def remote(self) -> str:
        """The local server, for clients."""
        return f"unix:{self.run_dir}/ovn_ic_{self.short}_db.sock"

    @property
    def control_socket(self) -> str:
        """The local server's control socket."""
        return f"{self.run_dir}/ovn_ic_{self.short}_db.ctl"

    @property
    def schema(self) -> Path:
        """The installed schema."""
        return self.schema_dir / f"ovn-ic-{self.short}.ovsschema"

    def command(self, name: str, *arguments: str) -> str:
        """Have the local server carry out a control command.

        Raises:
            IcDbError: it does not run.
            CommandFailedError: it refuses.
        """
        try:
            return ask(self.control_socket, name, *arguments)
        except OSError as error:
            raise IcDbError(not_running(self, error)) from error

    def raft(self) -> RaftStatus:
        """What the local server says of its cluster.

        Raises:
            IcDbError: it does not run.
            CommandFailedError: it has no clustered database.
        """
        return parse_raft_status(self.command("cluster/status", self.database))


def not_running(place: Place, error: Exception) -> Problem:
    """What to say if the local server does not answer."""
    return Subject(f"database {place.database}", "--run-dir", str(place.run_dir)).problem(
        f"its server on this machine does not answer: {error}",
        "start `isthmus ic-db run`, or give the --run-dir that it was started with",
    )


def refused(place: Place, error: CommandFailedError) -> Problem:
    """What to say if the local server refuses a control command."""
    return Subject(f"database {place.database}").problem(
        f"its server refuses: {error}", "look at `isthmus ic-db status`"
    )
