"""Read databases once, or write one transaction: for commands that do not keep a session.

Called by the verbs that inspect or change something once, and by `isthmus.icdb.server`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping

from isthmus.engine.refusals import cause
from isthmus.engine.transactions import Committed, Failed
from isthmus.engine.view import View
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database, Row
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session


class OneShotError(Exception):
    """Databases could not be read in time, or a transaction did not take effect.

    Args:
        problems: one per database.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read(remotes: Mapping[Database, str], timeout: float, *, leader_only: bool = True) -> View:
    """Read databases into a view.

    Args:
        remotes: their addresses.
        timeout: seconds to wait for all of them together.
        leader_only: see `isthmus.ovsdb.replica.Replica`.

    Raises:
        OneShotError: at least one did not answer in time, or has no valid address.
    """
    view = View()
    waiting = [
        Session(database, remote, leader_only=leader_only) for database, remote in remotes.items()
    ]
    try:
        if invalid := [session for session in waiting if session.has_invalid_address]:
            raise OneShotError(*(_unreachable(session, timeout) for session in invalid))
        for _ in _turns(waiting, timeout):
            for session in tuple(waiting):
                for change in session.run():
                    view.apply(change)
                if session.synced:
                    for kind, columns in session.columns.items():
                        view.schema.learn(kind, columns)
                    session.close()
                    waiting.remove(session)
            if not waiting:
                return view
        raise OneShotError(*(_unreachable(session, timeout) for session in waiting))
    finally:
        for session in waiting:
            session.close()


def write(  # noqa: PLR0913 - where, what, and how long
    database: Database,
    remote: str,
    kinds: Iterable[type[Row]],
    operations: Iterable[Operation],
    timeout: float,
    *,
    leader_only: bool = True,
) -> None:
    """Send a transaction and wait for its result.

    Args:
        database, remote: which, and its address.
        kinds: the tables that the operations concern.
        operations: the transaction.
        timeout: seconds.
        leader_only: see `isthmus.ovsdb.replica.Replica`.

    Raises:
        OneShotError: it was refused, or there was no answer in time.
    """
    session = Session(database, remote, tuple(kinds), leader_only=leader_only)
    reply, sent = None, False
    try:
        for _ in _turns([session], timeout):
            session.run()
            if not sent and session.writable:
                session.transact(operations, "isthmus: by an operator")
                sent = True
            reply = session.reply() if sent else None
            if reply is not None or session.has_invalid_address:
                break
    finally:
        session.close()
    if reply is None:
        message = session.last_error or f"did not answer within {timeout:g} s"
        remedy = "check the address and the server, and whether the change was written"
    elif isinstance(reply, Committed):
        return
    else:
        message = "refused the change: the rows have changed meanwhile"
        remedy = "check the current state, and repeat the command"
        if isinstance(reply, Failed):
            found, remedy, _ = cause(View(), database, reply)
            message = f"was not changed: {found}"
    subject = Subject(f"database {database}", "remote", remote)
    raise OneShotError(subject.problem(message, remedy))


def _turns(sessions: list[Session], timeout: float) -> Iterator[None]:
    """Yield whenever one of the sessions has something to do, until the timeout."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        yield
        poller = Poller()
        for session in sessions:
            session.wait(poller)
        poller.wake_in(deadline - time.monotonic())
        poller.block()


def _unreachable(session: Session, timeout: float) -> Problem:
    subject = Subject(f"database {session.database}", "remote", session.remote)
    if fault := session.fault:
        return fault if isinstance(fault, Problem) else subject.problem(*fault)
    return subject.problem(
        session.last_error or f"did not answer within {timeout:g} s{session.ip_addresses}",
        "check the address (flags, or the OVN_*_DB variables), and that its server is running"
        + session.clear_text_hint,
    )
