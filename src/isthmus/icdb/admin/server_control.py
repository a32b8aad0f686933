"""Control commands of this host's servers (ovs-appctl(8)). Called by the modules of `admin`."""

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.raft.status_parser import RaftStatus, parse_raft_status
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text
from isthmus.ovsdb.unixctl_client import CommandFailedError, ask


def run_command(server: LocalServer, name: str, *arguments: str) -> str:
    """The local server's reply to a control command; `IcDbError` if it is down, or refuses."""
    try:
        return ask(str(server.control_socket), name, *arguments)
    except OSError as error:
        raise IcDbError(not_running(server, error)) from error
    except CommandFailedError as error:
        message, remedy = f"its server refuses the command: {error}", "check `isthmus ic-db status`"
        raise IcDbError(server.subject.problem(message, remedy)) from error


def raft_status(server: LocalServer) -> RaftStatus:
    """The local server's status in its cluster; `IcDbError` if it is down, or has no cluster."""
    return parse_raft_status(run_command(server, "cluster/status", server.database))


def not_running(server: LocalServer, error: Exception) -> Problem:
    """The problem that the local server does not answer."""
    subject = Subject(server.subject.object, "--run-dir", str(server.files.run_dir))
    return subject.problem(
        f"its server on this host does not answer: {failure_text(error)}",
        "start `isthmus ic-db run`, or give the --run-dir that it was started with",
    )
