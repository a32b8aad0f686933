"""`ovsdb-client` and `ovsdb-tool`, as functions: what looking after members asks of servers.

Called by `cluster_status`, `maintenance`, `backup` and `checks`. OVS's own programs speak TLS,
follow the leader and know the file formats; nothing of that is made anew here.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from isthmus.icdb.errors import IcDbError
from isthmus.model.problems import Subject
from isthmus.model.rows import Database

_LONGEST = 300
"""Characters of a server's error that people are shown."""

_NAMES = ("ovsdb-client: ", "ovsdb-tool: ")


class ToolError(Exception):
    """A program failed; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files for ssl: remotes, in PEM; all empty without TLS.

    Args:
        private_key, certificate: ours.
        ca_cert: the authority that signed the servers' certificates.
    """

    private_key: str = ""
    certificate: str = ""
    ca_cert: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """The options of OVS's programs."""
        if not self.certificate:
            return ()
        return (
            f"--private-key={self.private_key}",
            f"--certificate={self.certificate}",
            f"--ca-cert={self.ca_cert}",
        )


@dataclass(frozen=True, slots=True)
class ClientTool:
    """Requests by `ovsdb-client`.

    Args:
        timeout: whole seconds for each request.
        credentials: for ssl: remotes.
    """

    timeout: int = 5
    credentials: Credentials = Credentials()

    def query(self, remote: str, database: str, *operations: Mapping[str, Any]) -> list[Any]:
        """Ask one server, leader or not, and have the transaction aborted: it only reads.

        Raises:
            ToolError: no answer, or a refusal.
        """
        return self._transaction("query", remote, database, operations)

    def transact(self, remote: str, database: str, *operations: Mapping[str, Any]) -> list[Any]:
        """Commit a transaction; a server that does not lead passes it on.

        Raises:
            ToolError: no answer, or a refusal.
        """
        return self._transaction("transact", remote, database, operations)

    def backup(self, remote: str, database: Database) -> bytes:
        """A snapshot as a stand-alone database file."""
        return self._run("backup", remote, database)

    def restore(self, remote: str, database: Database, snapshot: bytes) -> None:
        """Replace all rows in one transaction by those of a snapshot.

        A cluster's schema has no ephemeral columns, a stand-alone database's has; so schemas may
        differ where data do not, and the caller compares versions.
        """
        self._run("--force", "restore", remote, database, given=snapshot)

    def convert(self, remote: str, schema: PurePath) -> None:
        """Have the server convert the database to a schema."""
        self._run("convert", remote, str(schema))

    def schema_version(self, remote: str, database: Database) -> str:
        """The version of the schema in use, such as "1.1.1"."""
        return self._run("get-schema-version", remote, database).decode().strip()

    def _transaction(
        self, method: str, remote: str, database: str, operations: Sequence[Mapping[str, Any]]
    ) -> list[Any]:
        answer = self._run(method, remote, json.dumps([database, *operations]))
        results: list[Any] = json.loads(answer)
        for result in results:
            if result is not None and "error" in result:
                raise ToolError(f"{result['error']}: {result.get('details', '')}")
        return results

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        flags = (f"--timeout={self.timeout}", "--no-leader-only", *self.credentials.flags)
        done = run("ovsdb-client", "-vconsole:warn", *flags, *arguments, given=given)
        if done.returncode < 0:
            raise ToolError(f"no answer within {self.timeout} s")
        if done.returncode:
            raise ToolError(_brief(said(done)))
        return done.stdout


def tool(*arguments: str | PurePath) -> str:
    """Run `ovsdb-tool`.

    Returns:
        what it printed, without white space around it.

    Raises:
        ToolError: it failed.
    """
    done = run("ovsdb-tool", "-vconsole:warn", *map(str, arguments))
    if done.returncode:
        raise ToolError(said(done))
    return done.stdout.decode(errors="replace").strip()


def run(*command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one of OVS's programs to its end.

    Raises:
        IcDbError: it is not installed.
    """
    try:
        # A file, since programs may want to seek in what they are given.
        with tempfile.TemporaryFile() as given_file:
            given_file.write(given)
            given_file.seek(0)
            return subprocess.run(command, stdin=given_file, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise IcDbError(
            Subject(f"program {command[0]}").problem(
                "is not on PATH",
                "install Open vSwitch (on Debian: apt-get install openvswitch-common)",
            )
        ) from error


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a failed program said last, without its name, which begins its messages."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    by_itself = [line for line in lines if line.startswith(_NAMES)]
    [last] = (by_itself or lines)[-1:] or [f"exit status {done.returncode}"]
    # What follows a colon is what the message was about, line by line.
    return last.removeprefix(_NAMES[0]).removeprefix(_NAMES[1]).removesuffix(":")


def _brief(text: str) -> str:
    """The beginning, which says what is wrong; a server quotes all that it was sent after that."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
