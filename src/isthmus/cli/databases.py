"""Reading databases for the verbs that look, with errors as the command line shows them."""

from collections.abc import Mapping

from isthmus.cli.errors import CommandError
from isthmus.model.rows import Database
from isthmus.ovsdb.snapshot import UnreachableError, read
from isthmus.reconcile.view import View


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
