"""Reads and writes databases once, for verbs; errors become those of the command line.

Imports the `ovs` package only when a function is called, so that `--help` of the verbs is quick.
"""

from collections.abc import Mapping, Sequence

from isthmus.cli.common.errors import CommandError
from isthmus.engine.view import View
from isthmus.model.operations import Operation
from isthmus.model.rows import Database


def read_databases(remotes: Mapping[Database, str], timeout: float) -> View:
    """Read databases into a view.

    Args:
        remotes: the addresses of the databases.
        timeout: seconds to wait for all of them together.

    Raises:
        CommandError: at least one database does not answer.
    """
    from isthmus.ovsdb.oneshot import OneShotError, read  # noqa: PLC0415 - see above

    try:
        return read(remotes, timeout)
    except OneShotError as error:
        raise CommandError(*error.problems) from error


def write_database(
    database: Database, remote: str, operations: Sequence[Operation], timeout: float
) -> None:
    """Apply operations in one transaction; without operations, do nothing.

    Args:
        database, remote: the database and its address.
        operations: all or none take effect.
        timeout: seconds to wait for the reply.

    Raises:
        CommandError: the transaction did not take effect.
    """
    from isthmus.ovsdb.oneshot import OneShotError, write  # noqa: PLC0415 - see above

    if not operations:
        return
    try:
        write(database, remote, {each.table for each in operations}, operations, timeout)
    except OneShotError as error:
        raise CommandError(*error.problems) from error
