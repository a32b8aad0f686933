"""Reading databases once, for the tools that only look."""

import time
from collections.abc import Mapping

from isthmus.engine.view import View
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session


class UnreachableError(Exception):
    """Databases that could not be read in time.

    Args:
        problems: one per database.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read(remotes: Mapping[Database, str], timeout: float, *, leader_only: bool = True) -> View:
    """Read some databases into a view.

    Args:
        remotes: where they are, by database.
        timeout: seconds to wait for all of them together.
        leader_only: see `isthmus.ovsdb.replica.Replica`.

    Raises:
        UnreachableError: at least one did not answer in time, or has no proper address.
    """
    view = View()
    waiting = [
        Session(database, remote, leader_only=leader_only) for database, remote in remotes.items()
    ]
    deadline = time.monotonic() + timeout
    try:
        if hopeless := [session for session in waiting if session.hopeless]:
            raise UnreachableError(*(_unreachable(session, timeout) for session in hopeless))
        while waiting and time.monotonic() < deadline:
            poller = Poller()
            for session in tuple(waiting):
                for change in session.run():
                    view.apply(change)
                if session.synced:
                    for kind, columns in session.facts.items():
                        view.schema.learn(kind, columns)
                    session.close()
                    waiting.remove(session)
                else:
                    session.wait(poller)
            if waiting:
                poller.wake_in(deadline - time.monotonic())
                poller.block()
        if waiting:
            raise UnreachableError(*(_unreachable(session, timeout) for session in waiting))
    finally:
        for session in waiting:
            session.close()
    return view


def _unreachable(session: Session, timeout: float) -> Problem:
    subject = Subject(f"database {session.database}", "remote", session.remote)
    if fault := session.tls_fault:
        return subject.problem(*fault)
    return subject.problem(
        session.last_error or f"did not answer within {timeout:g} s",
        "check the address (flags, or the OVN_*_DB variables), and that its server runs"
        + session.clear_text_hint,
    )
