"""Versions of the schemas in use and installed, and the conversion of a running database.

Called by `isthmus ic-db upgrade` and by `status` and `backup`.
"""

from typing import Any

from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.admin.server_control import not_running
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.ovsdb_tools import ToolError, ovsdb_tool
from isthmus.model.text import failure_text
from isthmus.ovsdb.jsonrpc import SERVER_DATABASES, InvalidAnswerError, database_rows


def server_row(server: LocalServer, client: OvsdbClient) -> dict[str, Any]:
    """The local server's row of `_Server` about the database (ovsdb-server(5)).

    Raises:
        IcDbError: the server does not run, or does not serve the database.
    """
    try:
        row = row_at(server, client, server.remote)
    except ToolError as error:
        raise IcDbError(not_running(server, error)) from error
    if row is None:
        message = "is not served: this member waits for the cluster, or has left it"
        raise IcDbError(server.subject.problem(message, "check the log of `isthmus ic-db run`"))
    return row


def row_at(server: LocalServer, client: OvsdbClient, remote: str) -> dict[str, Any] | None:
    """The row of `_Server` about the database that the server at `remote` has, if any.

    Raises:
        ToolError: it does not answer, or what it answers is not valid.
    """
    where = [["name", "==", server.database]]
    columns = [*SERVER_DATABASES["columns"], "index"]
    query = {**SERVER_DATABASES, "where": where, "columns": columns}
    try:
        rows = database_rows(client.query(remote, "_Server", query))
    except InvalidAnswerError as error:
        raise ToolError(failure_text(error)) from error
    return rows[0] if rows else None


def schema_in_use(server: LocalServer, client: OvsdbClient) -> str:
    """The version of the schema that the local server has the database by; see `server_row`."""
    server_row(server, client)
    try:
        # Not from that row: for a stand-alone database, ovsdb-server 3.1 keeps the schema there
        # that it started with.
        return client.schema_version(server.remote, server.database)
    except ToolError as error:
        raise IcDbError(not_running(server, error)) from error


def installed_schema(server: LocalServer) -> str:
    """The version of the installed schema; `IcDbError` if there is none."""
    try:
        return ovsdb_tool("schema-version", server.schema)
    except ToolError as error:
        remedy = "give the directory of OVN's schemas (--schema-dir)"
        raise IcDbError(
            server.subject.problem(f"has no installed schema: {error}", remedy)
        ) from error


def upgrade(server: LocalServer, client: OvsdbClient) -> None:
    """Convert the running database to the installed schema; `IcDbError` if that fails."""
    try:
        client.convert(server.remote, server.schema)
    except ToolError as error:
        message = f"was not converted, and is unchanged: {error}"
        remedy = "check that a majority of the members runs, and that all have the same OVN version"
        raise IcDbError(server.subject.problem(message, remedy)) from error
