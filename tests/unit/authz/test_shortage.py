"""What the authorizing proxy logs when it has no file descriptors left."""

import asyncio
import logging
import resource
import socket

import pytest

from isthmus.authz.listener import handle_shortage


def test_a_shortage_of_descriptors_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio would log each of its attempts, one for each place in the backlog, as a traceback."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(handle_shortage(logging.getLogger("test")))
        listening = socket.create_server(("127.0.0.1", 0))
        server = await loop.create_server(asyncio.Protocol, sock=listening, backlog=512)
        client = socket.create_connection(listening.getsockname())
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            async with asyncio.timeout(10):
                while not caplog.records:
                    await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        client.close()
        server.close()

    asyncio.run(run())
    assert caplog.messages == ["connections have to wait: Too many open files"]
