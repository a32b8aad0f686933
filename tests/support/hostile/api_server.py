"""An API server that answers with whatever bytes a test gives it."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

Answer = Callable[[str], Iterable[bytes]]
"""The bytes that follow a request, given its path; the connection is closed after them."""


class HostileApiServer(socketserver.ThreadingTCPServer):
    """Speaks HTTP without TLS on the loopback interface.

    Args:
        answer: can be replaced at any time.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer

    def kubeconfig(self, file: Path) -> Path:
        """Write a kubeconfig that leads here."""
        url = f"http://127.0.0.1:{self.server_address[1]}"
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
        }
        file.write_text(yaml.safe_dump(config))
        return file


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        assert isinstance(self.server, HostileApiServer)
        with contextlib.suppress(OSError):  # the client has closed the connection
            for piece in self.server.answer(path):
                self.wfile.write(piece)


@contextmanager
def hostile_api_server(answer: Answer) -> Iterator[HostileApiServer]:
    """A server for one test."""
    with HostileApiServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
