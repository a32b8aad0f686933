"""Control commands for readiness, and for the addresses of the databases.

Registered by the composition root; used by `isthmus-health`, and by verbs on the same host.
"""

import json
from collections.abc import Collection, Sequence

from isthmus.controller.inputs.inputs import Inputs
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl import Command
from isthmus.ovsdb.unixctl_client import CommandFailedError


def remotes_command(sessions: DatabaseSessions) -> Command:
    """`remotes`: the addresses of the databases in use, as JSON by the names of their schemas."""
    return Command("remotes", lambda _: json.dumps(sessions.remotes))


def ready_command(
    sessions: DatabaseSessions, inputs: Inputs, needed: Collection[Database]
) -> Command:
    """`ready`: fails with a list of what is missing.

    A standby daemon is ready when it could take over at once. The IC databases are not needed:
    without them routes stay in place, and a restart of the daemon would not bring them back.

    Args:
        sessions, inputs: of the loop.
        needed: the databases that must have been read in full and answer.
    """

    def ready(_arguments: Sequence[str]) -> str:
        missing = [
            f"{database} has not been read or does not answer"
            for database in needed
            if not (database in sessions.synced and sessions.connected(database))
        ]
        if not inputs.complete:
            missing.append("not all manifests could be read")
        if missing:
            raise CommandFailedError("not ready: " + "; ".join(missing))
        return "ready"

    return Command("ready", ready)
