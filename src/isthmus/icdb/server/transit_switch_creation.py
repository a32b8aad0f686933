"""Creates the transit switches that `isthmus ic-db run` was asked for and that do not exist.

Called by `supervisor` once both databases can be written. Every member does so on its own server;
the index on names decides races. Invariant: an existing transit switch is never changed.
"""

import logging

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.server.plan import Plan
from isthmus.icdb.transit_switches.changes import overlaps
from isthmus.icdb.transit_switches.spec import plan_creation
from isthmus.model.problems import Problem
from isthmus.model.rows import Database, TransitSwitch
from isthmus.ovsdb.oneshot import OneShotError, read, write

_ATTEMPTS = 5
"""How often to try a stand-alone database; a cluster is tried again in the supervisor's loop."""

_TIMEOUT = 2.0
"""Seconds for a request to a server on this host."""

_log = logging.getLogger(__name__)


class NotYetError(Exception):
    """A cluster cannot be written at the moment, for instance during an election."""


def create_transit_switches(plan: Plan) -> tuple[Problem, ...]:
    """Create the transit switches that do not exist.

    Returns:
        how existing transit switches differ from the plan (these are not changed), and which
        could not be created because zones use their addresses.

    Raises:
        IcDbError: another vendor's transit switch has one of the names, or the server fails.
        NotYetError: the cluster cannot be written at the moment.
    """
    attempts = 1 if plan.membership is not None else _ATTEMPTS
    while True:
        attempts -= 1
        try:
            return _create(plan)
        except OneShotError as error:
            # Another client may have created one of them since they were read.
            if not attempts:
                raise _failure(plan, error) from error


def _create(plan: Plan) -> tuple[Problem, ...]:
    remotes = {server.database: server.remote for server in plan.servers}
    nb = {Database.IC_NB: remotes[Database.IC_NB]}
    existing = read(nb, _TIMEOUT, leader_only=False).table(TransitSwitch)
    creation = plan_creation(plan.transit_switches, existing)
    if creation.clashes:
        raise IcDbError(*creation.clashes)
    if not creation.create:
        return creation.differences
    view = read(remotes, _TIMEOUT, leader_only=False)
    refused = {spec: overlaps(view, spec) for spec in creation.create}
    create = [spec for spec in creation.create if not refused[spec]]
    if create:
        inserts = [spec.insertion for spec in create]
        remote = remotes[Database.IC_NB]
        write(Database.IC_NB, remote, (TransitSwitch,), inserts, _TIMEOUT, leader_only=False)
        _log.info("created transit switches: %s", ", ".join(spec.name for spec in create))
    return (*creation.differences, *(problem for found in refused.values() for problem in found))


def _failure(plan: Plan, error: OneShotError) -> Exception:
    message = f"the transit switches cannot be created: {error}"
    if plan.membership is not None:
        return NotYetError(message)
    remedy = f"check {plan.nb.log_file}, and start `isthmus ic-db run` again"
    return IcDbError(plan.nb.subject.problem(message, remedy))
