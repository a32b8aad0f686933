"""Reading databases for the verbs that look, with errors as the command line shows them."""

from collections.abc import Mapping

from isthmus.cli.common.errors import CommandError
from isthmus.engine.view import View
from isthmus.model.rows import Database
from isthmus.ovsdb.snapshot import UnreachableError, read


def read_databases(remotes: Mapping[Database, str], timeout: float) -> View:
    """Read databases into a view.

    Args:
        remotes: where they are.
        timeout: seconds.

    Raises:
        CommandError: one does not answer.
    """
    try:
        return read(remotes, timeout)
    except UnreachableError as error:
        raise CommandError(*error.problems) from error
