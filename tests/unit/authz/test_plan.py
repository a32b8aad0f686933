"""The processes that `isthmus ic-db run --authorize` starts."""

from ipaddress import ip_address
from pathlib import Path, PurePath

from isthmus.authz.plan import with_authorization
from isthmus.icdb.local.database_server import Directories
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.server.plan import Plan, Ports, database_servers
from isthmus.model.problems import Problem
from isthmus.pki.files import TlsFiles

FILES = Directories(PurePath("/data"), PurePath("/run/ic"), PurePath("/schemas"), PurePath("/log"))
TLS = TlsFiles(Path("/tls/tls.key"), Path("/tls/tls.crt"), Path("/tls/ca.crt"))


def test_servers_listen_on_their_sockets_only() -> None:
    """The proxy listens on the ports, the servers only on Unix sockets."""
    plan = Plan(*database_servers(FILES, ip_address("fd00::1"), Ports(7001, 7002), TLS))
    authorized = with_authorization(plan, ("--shared=10.0.0.0/8",))
    assert isinstance(authorized, Plan)
    for server in authorized.servers:
        remotes = [word for word in server.command() if word.startswith("--remote=")]
        assert remotes == [f"--remote=punix:{server.socket}"]
        assert set(TLS.options) < set(server.command())
    assert authorized.proxy is not None
    assert authorized.proxy.command[-6:] == (
        "--listen=fd00::1",
        "--nb-port=7001",
        "--sb-port=7002",
        "--tls-dir=/tls",
        "--run-dir=/run/ic",
        "--shared=10.0.0.0/8",
    )
    assert authorized.proxy.log_file == PurePath("/log/isthmus-ic-db-guard.log")


def test_servers_accept_only_the_members_ca_on_raft_ports() -> None:
    """The servers get members-ca.crt; everything else keeps ca.crt."""
    membership = Membership("fd00::1", ("fd00::1", "fd00::2"), "fd00::1")
    plan = Plan(
        *database_servers(FILES, ip_address("fd00::1"), Ports(), TLS), membership=membership
    )
    authorized = with_authorization(plan, ())
    assert isinstance(authorized, Plan)
    for before, server in zip(plan.servers, authorized.servers, strict=True):
        assert "--ca-cert=/tls/ca.crt" in before.command()
        trusted = [word for word in server.command() if word.startswith("--ca-cert=")]
        assert trusted == ["--ca-cert=/tls/members-ca.crt"]
        assert server.tls == TLS
    assert authorized.proxy is not None
    assert "--tls-dir=/tls" in authorized.proxy.command


def test_authorization_without_tls_is_a_problem() -> None:
    """Zones are identified by certificates, so --tls-dir is required."""
    plan = Plan(*database_servers(FILES, ip_address("127.0.0.1"), Ports()))
    problem = with_authorization(plan, ())
    assert isinstance(problem, Problem)
    assert problem.key == "--authorize"
    assert "--tls-dir" in problem.remedy
