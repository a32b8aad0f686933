"""What the replica relies on in the `ovs` package: its private hooks and their callers."""

import inspect

import ovs.db.idl
import ovs.jsonrpc
import pytest

from isthmus.ovsdb.replica import Replica

IDL = ovs.db.idl.Idl

USED = (
    "IDL_S_MONITORING",
    "_parse_remotes",
    "cond_change",
    "force_reconnect",
    "run",
    "set_lock",
    "sync_conditions",
    "wait",
)
"""The attributes of the IDL that `isthmus.ovsdb` uses in addition to the two hooks."""


def overridden() -> list[str]:
    """The mangled names of the IDL that the replica overrides."""
    return [name for name in vars(Replica) if name.startswith("_Idl__")]


def test_the_replica_replaces_hooks_that_exist() -> None:
    """Every private method that the replica overrides exists in the IDL with the same arguments."""
    assert set(overridden()) == {
        "_Idl__clear",
        "_Idl__do_parse_update",
    }
    for name in overridden():
        theirs = inspect.signature(getattr(IDL, name)).parameters
        assert list(inspect.signature(getattr(Replica, name)).parameters) == list(theirs)


@pytest.mark.parametrize(
    ("hook", "caller"),
    [
        ("__clear()", IDL.run),
        ("__do_parse_update(update, version, self.tables)", IDL._Idl__parse_update),
        ("__do_parse_update(update, version, tables)", IDL._Idl__parse_update),
    ],
)
def test_the_hooks_are_called(hook: str, caller: object) -> None:
    """The IDL stores rows through the hooks only."""
    assert f"self.{hook}" in inspect.getsource(caller)  # type: ignore[arg-type]


def test_what_sessions_use_is_there() -> None:
    """The attributes of the IDL, its transactions and its connection that we use exist."""
    assert [name for name in USED if not hasattr(IDL, name)] == []
    source = inspect.getsource(IDL)
    for name in ("_session", "_outstanding_txns", "lock_name", "has_lock", "state"):
        assert f"self.{name} = " in source
    assert "txn._process_reply(msg)" in source
    assert "txn._status = Transaction.TRY_AGAIN" in source
    for name in ("send", "recv", "is_connected", "get_seqno", "force_reconnect"):
        assert hasattr(ovs.jsonrpc.Session, name)
