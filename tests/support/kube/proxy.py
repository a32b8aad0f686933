"""A TCP proxy before a real API server that cuts, refuses, stalls and delays connections."""

import contextlib
import selectors
import socket
import threading
from pathlib import Path
from types import TracebackType

import yaml

_PIECE = 65536


class Proxy:
    """Forwards connections to a port of the loopback interface; use it as a context manager.

    Args:
        target: the port to forward to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._refusing = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self.delay = 0.0
        """Seconds that each piece takes on its way."""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def kubeconfig(self, original: Path) -> Path:
        """A copy of a kubeconfig that connects through the proxy."""
        config = yaml.safe_load(original.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.port}"
        file = original.with_name(f"{original.name}-{self.port}")
        file.write_text(yaml.safe_dump(config))
        return file

    def cut(self, *, refuse: bool = False) -> None:
        """Reset all connections; until `restore`, also refuse new ones if asked to."""
        with self._lock:
            self._refusing = refuse
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def stall(self) -> None:
        """Accept connections and forward nothing more, until `restore`."""
        self._flowing.clear()

    def restore(self) -> None:
        """Forward again, including what was held back."""
        self._refusing = False
        self._flowing.set()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        self._closed.set()
        self._flowing.set()
        # Closing alone does not wake who waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                _reset(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _reset(near)
                continue
            with self._lock:
                self._pairs.append((near, far))
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    if not self._pass_on(key):
                        return
        for end in (near, far):
            end.close()

    def _pass_on(self, key: selectors.SelectorKey) -> bool:
        """Forward a piece; whether there may be more."""
        assert isinstance(key.fileobj, socket.socket)
        piece = key.fileobj.recv(_PIECE)
        self._closed.wait(self.delay)
        self._flowing.wait()
        if piece:
            key.data.sendall(piece)
        else:
            for end in (key.fileobj, key.data):
                end.close()
        return bool(piece)


def _reset(end: socket.socket) -> None:
    """Close a connection as a crash does (RST), even while a thread reads from it."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        end.shutdown(socket.SHUT_RDWR)
    end.close()
