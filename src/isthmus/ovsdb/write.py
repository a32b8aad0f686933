"""One transaction to one database, for the verbs that change something once."""

import time
from collections.abc import Iterable

from isthmus.model.operations import Operation
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database, Row
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Reply, Session


class NotWrittenError(Exception):
    """The transaction did not take effect.

    Args:
        problem: why, and what to do.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def write(  # noqa: PLR0913 - where, what, and how long
    database: Database,
    remote: str,
    kinds: Iterable[type[Row]],
    operations: Iterable[Operation],
    timeout: float,
    *,
    leader_only: bool = True,
) -> None:
    """Send a transaction and wait for its end.

    Args:
        database, remote: which, and where it is.
        kinds: the tables that the operations are about.
        operations: what to do, all or nothing.
        timeout: seconds.
        leader_only: see `isthmus.ovsdb.replica.Replica`.

    Raises:
        NotWrittenError: it was refused, or there was no answer in time.
    """
    session = Session(database, remote, tuple(kinds), leader_only=leader_only)
    deadline = time.monotonic() + timeout
    try:
        reply = _reply(session, tuple(operations), deadline)
    finally:
        session.close()
    if reply is None:
        message = session.last_error or f"did not answer within {timeout:g} s"
        remedy = "check the address, and that its server runs; look whether it was written"
    elif not reply.committed:
        message = f"did not take the change: {reply.error or 'it has changed meanwhile'}"
        message += f" ({reply.details})" if reply.details else ""
        remedy = "look at it again, and repeat the command"
    else:
        return
    raise NotWrittenError(
        Subject(f"database {database}", "remote", remote).problem(message, remedy)
    )


def _reply(session: Session, operations: tuple[Operation, ...], deadline: float) -> Reply | None:
    sent = False
    while time.monotonic() < deadline and not session.hopeless:
        session.run()
        if not sent and session.writable:
            session.transact(operations, "isthmus: by an operator")
            sent = True
        if sent and (reply := session.reply()) is not None:
            return reply
        poller = Poller()
        session.wait(poller)
        poller.wake_in(deadline - time.monotonic())
        poller.block()
    return None
