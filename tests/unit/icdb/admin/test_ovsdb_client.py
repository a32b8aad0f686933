"""How `ovsdb-client` is given the address of a member."""

import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from isthmus.icdb.admin import ovsdb_client
from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.admin.schema_upgrade import row_at
from isthmus.icdb.local.database_server import DatabaseServer, Directories
from isthmus.icdb.local.ovsdb_tools import ToolError
from isthmus.icdb.raft.local_status import version_of
from support.fakes.resolver import FakeResolver

NAME = "ic1.example"


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeResolver]:
    """A resolver, and no limit that a test would have to wait for."""
    found = FakeResolver(monkeypatch)
    yield found
    found.stop()


def asked(monkeypatch: pytest.MonkeyPatch, remote: str) -> str:
    """The server that the program queries."""
    commands: list[tuple[str, ...]] = []

    def run(*command: str, stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
        assert stdin == b""
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, b"[]", b"")

    monkeypatch.setattr(ovsdb_client, "run_program", run)
    assert OvsdbClient().query(remote, "_Server") == []
    return commands[0][-2]


@pytest.mark.parametrize(
    "output",
    [b"", b"x", b"5", b"{}", b"\xff", b"[" * 100_000, b'[{"error":["\x1b"],"details":{}}]'],
)
def test_an_answer_of_the_wrong_structure_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, output: bytes
) -> None:
    """The program prints what the server has sent."""
    done = subprocess.CompletedProcess((), 0, output, b"")
    monkeypatch.setattr(ovsdb_client, "run_program", lambda *_, **__: done)
    with pytest.raises(ToolError) as caught:
        OvsdbClient().query("unix:/x", "_Server")
    assert 0 < len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "output", [b"[]", b"[5]", b'[{"rows":5}]', b'[{"rows":[{"name":"OVN_IC_Northbound"}]}]']
)
def test_a_row_of_the_wrong_structure_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, output: bytes
) -> None:
    """The row of a database in `_Server`, of another member's server."""
    done = subprocess.CompletedProcess((), 0, output, b"")
    monkeypatch.setattr(ovsdb_client, "run_program", lambda *_, **__: done)
    files, listen = Directories(*[Path("/x")] * 3), ip_address("127.0.0.1")
    server = DatabaseServer("nb", 6645, files, listen=listen, raft_port=1)
    with pytest.raises(ToolError, match="does not have the right structure"):
        row_at(server, OvsdbClient(), "unix:/x")


@pytest.mark.parametrize("schema", ["", "x", "[]", "5", "[" * 100_000, '{"version":"1.2.0"}'])
def test_a_schema_that_is_not_one_has_no_version(schema: str) -> None:
    """Other members' servers send it as text."""
    assert version_of(schema) == ("1.2.0" if "version" in schema else "")


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        (f"ssl:{NAME}:6645", "ssl:[fd00::1]:6645,ssl:192.0.2.1:6645"),
        ("tcp:[fd00::9]:6645", "tcp:[fd00::9]:6645"),
        ("tcp:192.0.2.9:6645", "tcp:192.0.2.9:6645"),
        ("unix:/run/ovn/ic.sock", "unix:/run/ovn/ic.sock"),
    ],
)
def test_all_addresses_of_a_name_are_tried(
    remote: str, expected: str, resolver: FakeResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program, also one without libunbound, never sees the name."""
    resolver.answers[NAME] = ["fd00::1", "192.0.2.1"]
    assert asked(monkeypatch, remote) == expected


def test_a_name_that_does_not_exist_is_named(resolver: FakeResolver) -> None:
    """The program would say that an address family is not supported."""
    resolver.answers[NAME] = socket.EAI_NONAME
    with pytest.raises(ToolError, match=rf"^the name {NAME} does not exist$"):
        OvsdbClient().query(f"tcp:{NAME}:6645", "_Server")


def test_a_name_server_that_does_not_answer_is_not_waited_for(resolver: FakeResolver) -> None:
    """Longer than for any other answer."""
    resolver.answering.clear()
    with pytest.raises(ToolError, match="cannot be resolved: no name server gives an answer"):
        OvsdbClient(timeout=0).query(f"tcp:{NAME}:6645", "_Server")
