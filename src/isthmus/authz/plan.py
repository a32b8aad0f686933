"""What `isthmus ic-db run --guard` runs before its servers.

Called by the command line. Pure. The guard is a process of its own: it shares no interpreter with
what watches over it, and a fault of it ends neither the servers nor their supervision.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from isthmus.authz.status import SOCKET
from isthmus.icdb.server.plan import Plan, Program
from isthmus.model.problems import Problem, Subject

NAME = "isthmus ic-db guard"


def with_guard(plan: Plan, policy: Sequence[str]) -> Plan | Problem:
    """The same plan, but clients come to a guard, and the servers listen for none.

    Members of a cluster connect to each other's servers past the guard, and nobody else may: the
    servers believe the CA of members alone, if `check_member_files` finds nothing wrong with it.

    Args:
        plan: how they are served without.
        policy: flags of `isthmus ic-db guard` that say what zones may do.
    """
    if plan.nb.tls is None:
        return Subject("IC databases", "--guard").problem(
            "knows zones by their certificates, and clients come in clear text",
            (
                "give --tls-dir too, and each zone a certificate of its own (`isthmus pki issue"
                " zone`)"
            ),
        )
    members_ca = None if plan.membership is None else plan.nb.tls.members_ca
    nb, sb = (replace(server, guarded=True, members_ca=members_ca) for server in plan.servers)
    return replace(plan, nb=nb, sb=sb, guard=_program(plan, plan.nb.tls.certificate.parent, policy))


def _program(plan: Plan, tls_dir: PurePath, policy: Sequence[str]) -> Program:
    command = (
        # Not the script's name: it may have been started by another one.
        *(sys.executable, "-P", "-m", "isthmus", "ic-db", "guard"),
        f"--listen={plan.nb.listen}",
        f"--nb-port={plan.nb.port}",
        f"--sb-port={plan.sb.port}",
        f"--tls-dir={tls_dir}",
        f"--run-dir={plan.files.run_dir}",
        *policy,
    )
    logs = plan.files.log_dir or plan.files.run_dir
    return Program(NAME, command, logs / "isthmus-ic-db-guard.log", plan.files.run_dir / SOCKET)
