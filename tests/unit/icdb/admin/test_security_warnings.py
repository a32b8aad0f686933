"""What `status` lists as a weakness."""

from datetime import UTC, datetime

from isthmus.icdb.admin.security_warnings import clear_text, expiring_soon

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_clear_text_beyond_this_machine() -> None:
    """Of clients and members, for both families and for names; not on loopback."""
    weak = [
        "ptcp:6645:0.0.0.0",
        "ptcp:6645",
        "ptcp:6645:[fd00::1]",
        "tcp:[fd00::1]:6647",
        "tcp:ic1:1",
    ]
    safe = ["ptcp:6645:127.0.0.2", "ptcp:6645:[::1]", "tcp:[::1]:6647", "pssl:6645:0.0.0.0"]
    found = clear_text([*weak, *safe, "punix:/x", "ssl:[fd00::1]:6647", "tcp:localhost:6647"])
    assert [sentence.rpartition(" ")[2] for sentence in found] == weak
    assert found[0].startswith("clients connect in clear text")
    assert found[-1].startswith("members connect in clear text")


def test_a_certificate_that_expires_soon() -> None:
    """Within 30 days; an expired certificate is a fault, which is reported elsewhere."""
    [soon] = expiring_soon("ic1", "Dec 20 10:00:00 2026 GMT", NOW)
    assert soon.startswith("the certificate of member ic1 expires on Dec 20 10:00:00 2026 GMT")
    assert expiring_soon("ic1", "Dec 30 10:00:00 2026 GMT", NOW) == ()
    assert expiring_soon("ic1", "Nov 20 10:00:00 2026 GMT", NOW) == ()
    assert expiring_soon("ic1", "", NOW) == ()
