"""Which connections are reported as weaknesses."""

import pytest

from isthmus.inspect.clear_text import weakness_lines, weaknesses


@pytest.mark.parametrize(
    ("remote", "clear"),
    [
        ("tcp:192.0.2.1:6645", "tcp:192.0.2.1:6645"),
        ("ssl:192.0.2.1:6645,tcp:[2001:db8::1]:6645", "tcp:[2001:db8::1]:6645"),
        ("tcp:ic.example:6645", "tcp:ic.example:6645"),
        ("tcp:127.0.0.1:6645,tcp:[::1]:6645,tcp:localhost:6645", ""),
        ("tcp:LOCALHOST.:6645,", ""),
        ("ssl:192.0.2.1:6645, tcp:ic.example:6645,", "tcp:ic.example:6645"),
        ("ssl:192.0.2.1:6645", ""),
        ("unix:/var/run/ovn/ovnnb_db.sock", ""),
    ],
)
def test_plain_tcp_beyond_this_machine_is_a_weakness(remote: str, clear: str) -> None:
    """Plain TCP to other machines is a weakness; TLS, sockets and loopback are not."""
    found = weaknesses({"OVN_IC_Northbound": remote})
    assert [problem.value for problem in found] == ([clear] if clear else [])


def test_a_weakness_has_two_lines() -> None:
    """A weakness prints as the connection and the remedy."""
    first, second = weakness_lines(weaknesses({"OVN_IC_Northbound": "tcp:192.0.2.1:6645"}))
    assert first.startswith("weakness: database OVN_IC_Northbound at tcp:192.0.2.1:6645")
    assert "--ic-tls-dir" in second
