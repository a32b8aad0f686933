"""Control commands by which others learn whether the daemon could do its work, and where.

Registered by the composition root; `isthmus-health`, and verbs that run beside the daemon, ask.
"""

import json
from collections.abc import Collection, Sequence

from isthmus.controller.inputs.inputs import Inputs
from isthmus.daemon.sessions import Databases
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl import Command
from isthmus.ovsdb.unixctl_client import CommandFailedError


def remotes_command(databases: Databases) -> Command:
    """`remotes`: where the databases in use are, as JSON by the names of their schemas."""
    return Command("remotes", lambda _: json.dumps(databases.remotes))


def ready_command(databases: Databases, inputs: Inputs, needed: Collection[Database]) -> Command:
    """`ready`: refused with what is missing, as long as something is.

    Whether the daemon is active or stands by makes no difference: one that stands by is ready when
    it could take over at once. The IC databases are not needed: without them, what was exchanged
    stays in force, and a restart would not bring them back.

    Args:
        databases, inputs: what the daemon works with.
        needed: the databases that must have been read and answer.
    """

    def ready(_arguments: Sequence[str]) -> str:
        missing = [
            f"{database} has not been read or does not answer"
            for database in needed
            if not (database in databases.synced and databases.connected(database))
        ]
        if not inputs.complete:
            missing.append("not all manifests could be read")
        if missing:
            raise CommandFailedError("not ready: " + "; ".join(missing))
        return "ready"

    return Command("ready", ready)
