"""The intervals of keepalive probes and of reconnection attempts."""

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.session import Session

THREE = "tcp:192.0.2.1:6645,tcp:192.0.2.2:6645,tcp:192.0.2.3:6645"


def interval(session: Session) -> int:
    """Milliseconds between probes of the current connection."""
    assert session._schema is not None
    return int(session._schema._session.reconnect.get_probe_interval())


@pytest.mark.parametrize(
    ("database", "remote", "expected"),
    [
        (Database.IC_NB, THREE, 1000),
        (Database.IC_SB, THREE, 1000),
        (Database.IC_NB, "tcp:192.0.2.1:6645", 5000),
        (Database.SB, THREE, 5000),
        (Database.IC_NB, "unix:/nonexistent", 10000),
    ],
)
def test_the_default_depends_on_who_else_can_be_asked(
    database: Database, remote: str, expected: int
) -> None:
    """Only members of the IC databases have the short interval."""
    session = Session(database, remote)
    assert interval(session) == expected
    session.set_probe_interval(7000)
    assert interval(session) == 7000
    session.set_probe_interval(None)
    assert interval(session) == expected
    session.close()
    asked = Session(database, remote, probe_interval=3000)
    assert interval(asked) == 3000
    asked.close()


@pytest.mark.parametrize(("remote", "expected"), [(THREE, 333), ("tcp:192.0.2.1:6645", 1000)])
def test_all_members_are_tried_within_a_second(remote: str, expected: int) -> None:
    """All members are tried within one retry interval."""
    session = Session(Database.IC_SB, remote)
    assert session._schema is not None
    assert session._schema._session.reconnect.get_min_backoff() == expected
    assert session._schema._session.reconnect.get_max_backoff() == expected
    session.close()
