"""Add the authorizing proxy to what `isthmus ic-db run` starts.

Called by the command line. Pure. The proxy is a process of its own: it shares no interpreter with
its supervisor, and its faults stop neither the servers nor the supervisor.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

from isthmus.authz.status import SOCKET
from isthmus.icdb.local.database_server import Program
from isthmus.icdb.server.plan import Plan
from isthmus.model.problems import Problem, Subject

NAME = "isthmus ic-db authz"


def with_authorization(plan: Plan, policy: Sequence[str]) -> Plan | Problem:
    """The same plan, but clients connect to an authorizing proxy and not to the servers.

    Members of a cluster connect to each other's servers directly. The servers accept only the
    members' CA there; `pki.files.check_member_files` verifies that this CA signs no zones.

    Args:
        plan: how the databases are served without the proxy.
        policy: flags of `isthmus ic-db authz` that say what zones may advertise.
    """
    if plan.nb.tls is None:
        return Subject("IC databases", "--authorize").problem(
            "needs TLS, since zones are identified by their certificates",
            "add --tls-dir, and issue a certificate to each zone (`isthmus pki issue zone`)",
        )
    members_ca = None if plan.membership is None else plan.nb.tls.members_ca
    nb, sb = (replace(server, behind_proxy=True, members_ca=members_ca) for server in plan.servers)
    command = (
        # Not the script's path: Isthmus may have been started through another script.
        *(sys.executable, "-P", "-m", "isthmus", "ic-db", "authz"),
        f"--listen={plan.nb.listen}",
        f"--nb-port={plan.nb.port}",
        f"--sb-port={plan.sb.port}",
        f"--tls-dir={plan.nb.tls.certificate.parent}",
        f"--run-dir={plan.files.run_dir}",
        *policy,
    )
    logs = plan.files.log_dir or plan.files.run_dir
    log, control = logs / "isthmus-ic-db-guard.log", plan.files.run_dir / SOCKET
    return replace(plan, nb=nb, sb=sb, proxy=Program(NAME, command, log, control))
