"""Clients of the IC databases that write continuously, over a new connection per write."""

import json
import subprocess
import threading
from itertools import count

from isthmus.model.rows import Database
from isthmus.pki.files import TlsFiles
from support.ovn.servers import wait_until

LIMIT = 60.0


def insertion(name: str) -> object:
    """A transit switch to insert."""
    return {"op": "insert", "table": "Transit_Switch", "row": {"name": name}}


def transact(remote: str, files: TlsFiles | None, *operations: object) -> bool:
    """Whether a transaction on IC-NB is committed.

    Args:
        remote: one, or several with commas: then on the one that leads.
        files: the certificate for servers with TLS.
        operations: as in RFC 7047, section 5.2.
    """
    text = json.dumps([Database.IC_NB, *operations])
    options = files.options if files is not None else ()
    command = ["ovsdb-client", "--timeout=10", *options, "transact", remote, text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "error" not in done.stdout


class Writers:
    """Clients that write while the context lasts.

    Args:
        remote, files: see `transact`.

    Attributes:
        committed: the names of transit switches whose insertion was acknowledged.
        refused: those whose insertion was not; they may exist.
    """

    def __init__(self, remote: str, files: TlsFiles | None) -> None:
        self.remote, self._files = remote, files
        self.committed: set[str] = set()
        self.refused: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(2)]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def more(self, number: int) -> None:
        """Wait until so many more have been committed."""
        wanted = len(self.committed) + number
        wait_until(lambda: len(self.committed) >= wanted, "writes continue", LIMIT)

    def _write(self, writer: int) -> None:
        for number in count():
            if self._over.is_set():
                return
            name = f"w{writer}-{number}"
            done = transact(self.remote, self._files, insertion(name))
            (self.committed.add if done else self.refused.append)(name)
