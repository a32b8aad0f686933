"""How addresses of databases may be written."""

import pytest

from isthmus.ovsdb.streams.addresses import host_and_port, is_valid, split


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("tcp:a:1,tcp:b:1", ["tcp:a:1", "tcp:b:1"]),
        ("tcp:a:1,tcp:b:1,", ["tcp:a:1", "tcp:b:1"]),
        (",tcp:a:1,,tcp:b:1", ["tcp:a:1", "tcp:b:1"]),
        (" tcp:a:1 ,\n  tcp:b:1\n", ["tcp:a:1", "tcp:b:1"]),
        ("unix:/run/nb,1.sock,tcp:a:1", ["unix:/run/nb,1.sock", "tcp:a:1"]),
        (" , ", []),
    ],
)
def test_superfluous_commas_and_white_space_change_nothing(
    remote: str, expected: list[str]
) -> None:
    """A comma in a path belongs to the path."""
    assert split(remote) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("ic-db:6645", ("ic-db", 6645)),
        ("IC-DB.Example.:6645", ("IC-DB.Example.", 6645)),
        ("[fd00::1]:6645", ("fd00::1", 6645)),
        ("fd00::1:6645", ("fd00::1", 6645)),
    ],
)
def test_hosts_with_and_without_brackets(target: str, expected: tuple[str, int]) -> None:
    """What follows the last colon is the port."""
    assert host_and_port(target) == expected


@pytest.mark.parametrize(
    "remote",
    ["", "tcp:", "tcp:host", "tcp::6641", "tcp:[]:6641", "tcp:host:", "tcp:host:0",
     "tcp:host:65536", "tcp:host:x", "tcp:host:-1", "unix:", "ptcp:6641", "ssl:host:6641"],
)  # fmt: skip
def test_addresses_without_host_or_port_are_not_valid(remote: str) -> None:
    """They could never be reached; `ssl:` needs a certificate."""
    assert not is_valid(remote, tls=False)
    assert is_valid("ssl:host:6641", tls=True)
