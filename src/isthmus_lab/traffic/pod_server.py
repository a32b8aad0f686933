"""The web server in every pod: returns the source address of each request.

Run as `python -m isthmus_lab.traffic.pod_server NETNS…`. One process has a listening socket in each
namespace: a process per pod would double the start-up time of the lab.
"""

import socket
import sys
from select import poll

from isthmus_lab.system.netns import inside

PORT = 80


def main(namespaces: list[str]) -> None:
    """Serve on port 80 of every namespace until killed."""
    poller, listeners = poll(), {}
    for name in namespaces:
        with inside(name):
            listener = socket.create_server(
                ("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
            )
        poller.register(listener)
        listeners[listener.fileno()] = listener, name.rpartition(".")[2]
    while True:
        for descriptor, _ in poller.poll():
            listener, pod = listeners[descriptor]
            connection, peer = listener.accept()
            with connection:
                _answer(connection, pod, peer[0].removeprefix("::ffff:"))


def _answer(connection: socket.socket, pod: str, peer: str) -> None:
    connection.settimeout(1.0)
    try:
        connection.recv(4096)
        body = f"{pod} sees {peer}\n"
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}"
        connection.sendall(f"{head}\r\n\r\n{body}".encode())
    except OSError:
        # The client closed the connection.
        return


if __name__ == "__main__":
    main(sys.argv[1:])
