"""`ovsdb-client` as functions. Called by the other modules of `admin`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from isthmus.icdb.local.hosts import bracketed
from isthmus.icdb.local.ovsdb_tools import ToolError, last_error, run_program
from isthmus.model.rows import Database
from isthmus.model.text import failure_text
from isthmus.ovsdb.streams.addresses import host_and_port
from isthmus.ovsdb.streams.name_resolution import UNANSWERED, resolution
from isthmus.pki.files import TlsFiles

_MAX_ERROR = 300
"""Characters of a server's error that are shown; after its reason, a server quotes the request."""


@dataclass(frozen=True, slots=True)
class OvsdbClient:
    """Requests with `ovsdb-client`, of `timeout` seconds; all raise `ToolError` if they fail."""

    timeout: int = 5
    tls: TlsFiles | None = None

    def query(self, remote: str, database: str, *operations: Mapping[str, Any]) -> list[Any]:
        """The results of a read-only transaction on one server, whether it leads or not."""
        reply = self._run(
            "query", self._with_ip_addresses(remote), json.dumps([database, *operations])
        )
        try:
            results = json.loads(reply)
        except (ValueError, RecursionError) as error:
            raise ToolError(f"the server's answer is not JSON: {failure_text(error)}") from error
        if not isinstance(results, list):
            raise ToolError("the server's answer is not a list of results")
        for result in results:
            if isinstance(result, dict) and "error" in result:
                raise ToolError(_shortened(f"{result['error']}: {result.get('details', '')}"))
        return results

    def backup(self, remote: str, database: Database) -> bytes:
        """A snapshot of a database, as a stand-alone database file."""
        return self._run("backup", remote, database)

    def restore(self, remote: str, database: Database, snapshot: bytes) -> None:
        """Replace all rows by those of a snapshot, in one transaction.

        A stand-alone database's schema has ephemeral columns and a cluster's has not, so schemas
        may differ where data do not. The caller compares versions.
        """
        self._run("--force", "restore", remote, database, stdin=snapshot)

    def convert(self, remote: str, schema: PurePath) -> None:
        """Make the server convert its database to a schema."""
        self._run("convert", remote, str(schema))

    def schema_version(self, remote: str, database: Database) -> str:
        """The version of the schema in use, such as "1.1.1"."""
        return self._run("get-schema-version", remote, database).decode().strip()

    def _with_ip_addresses(self, remote: str) -> str:
        """The address once for each IP address of its host.

        The program itself uses one address of a name, and does not say that it found none.
        """
        method, _, target = remote.partition(":")
        if method == "unix":
            return remote
        host, port = host_and_port(target)
        try:
            found = resolution(host).result(self.timeout)
        except OSError as error:
            why = UNANSWERED if isinstance(error, TimeoutError) else failure_text(error)
            raise ToolError(f"the name {host} {why}") from error
        return ",".join(f"{method}:{bracketed(address)}:{port}" for address in found)

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        tls = () if self.tls is None else self.tls.options
        flags = (f"--timeout={self.timeout}", "--no-leader-only", *tls)
        done = run_program("ovsdb-client", "-vconsole:warn", *flags, *arguments, stdin=stdin)
        if done.returncode < 0:
            raise ToolError(f"no answer within {self.timeout} s")
        if done.returncode:
            raise ToolError(_shortened(last_error(done)))
        return done.stdout


def _shortened(error: str) -> str:
    return error if len(error) <= _MAX_ERROR else f"{error[:_MAX_ERROR]} …"
