"""What is run with a guard before the IC databases' servers."""

from ipaddress import ip_address
from pathlib import Path, PurePath

from isthmus.icdb.guard_plan import with_guard
from isthmus.icdb.plan import Files, Plan, Ports, make_plan
from isthmus.model.problems import Problem
from isthmus.pki.files import TlsFiles

FILES = Files(PurePath("/data"), PurePath("/run/ic"), PurePath("/schemas"), PurePath("/log"))
TLS = TlsFiles(Path("/tls/tls.key"), Path("/tls/tls.crt"), Path("/tls/ca.crt"))


def test_servers_listen_on_their_sockets_only() -> None:
    """The guard has the ports, and servers nothing but Unix sockets."""
    plan = make_plan(FILES, ip_address("fd00::1"), Ports(7001, 7002), None, tls=TLS)
    guarded = with_guard(plan, ("--shared=10.0.0.0/8",))
    assert isinstance(guarded, Plan)
    for server in guarded.servers:
        remotes = [word for word in server.command() if word.startswith("--remote=")]
        assert remotes == [f"--remote=punix:{server.socket}"]
        assert "--private-key=/tls/tls.key" in server.command()
    assert guarded.guard is not None
    assert guarded.guard.command[-6:] == (
        "--listen=fd00::1",
        "--nb-port=7001",
        "--sb-port=7002",
        "--tls-dir=/tls",
        "--run-dir=/run/ic",
        "--shared=10.0.0.0/8",
    )
    assert guarded.guard.log_file == PurePath("/log/isthmus-ic-db-guard.log")


def test_a_guard_without_certificates_is_a_problem() -> None:
    """Zones are known by their certificates; what to give is said."""
    plan = make_plan(FILES, ip_address("127.0.0.1"), Ports(), None)
    problem = with_guard(plan, ())
    assert isinstance(problem, Problem)
    assert problem.key == "--guard"
    assert "--tls-dir" in problem.remedy
