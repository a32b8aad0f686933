"""What is run with a guard before the IC databases' servers."""

from ipaddress import ip_address
from pathlib import Path, PurePath

from isthmus.authz.plan import with_guard
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.server.plan import Files, Plan, Ports, make_plan
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
        assert set(TLS.options) < set(server.command())
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


def test_members_of_a_guarded_cluster_believe_each_other_alone() -> None:
    """The servers do; what else this member connects to and lets in is believed as before."""
    membership = Membership("fd00::1", ("fd00::1", "fd00::2"), "fd00::1")
    plan = make_plan(FILES, ip_address("fd00::1"), Ports(), None, membership, tls=TLS)
    guarded = with_guard(plan, ())
    assert isinstance(guarded, Plan)
    for before, server in zip(plan.servers, guarded.servers, strict=True):
        assert "--ca-cert=/tls/ca.crt" in before.command()
        trusted = [word for word in server.command() if word.startswith("--ca-cert=")]
        assert trusted == ["--ca-cert=/tls/members-ca.crt"]
        assert server.tls == TLS
    assert guarded.guard is not None
    assert "--tls-dir=/tls" in guarded.guard.command


def test_a_guard_without_certificates_is_a_problem() -> None:
    """Zones are known by their certificates; what to give is said."""
    plan = make_plan(FILES, ip_address("127.0.0.1"), Ports(), None)
    problem = with_guard(plan, ())
    assert isinstance(problem, Problem)
    assert problem.key == "--guard"
    assert "--tls-dir" in problem.remedy
