"""Command lines, addresses and limits of the IC databases' servers."""

from ipaddress import IPv6Address, ip_address
from pathlib import PurePath

import pytest

from isthmus.icdb.local.database_server import Directories, default_dirs
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.server.plan import (
    RESTART_MOST,
    Plan,
    Ports,
    database_servers,
    listen_of_member,
    parse_listen,
    plan_problems,
    restart_delay,
)
from isthmus.model.problems import Problem

FILES = Directories(PurePath("/data"), PurePath("/run/ic"), PurePath("/schemas"))


def test_command_line() -> None:
    """A server listens only on its Unix socket and on the given address."""
    plan = Plan(*database_servers(FILES, ip_address("127.0.0.1"), Ports(6645, 6646)))
    assert plan.nb.command(plan.nb.database_file) == (
        "ovsdb-server",
        "--remote=punix:/run/ic/ovn_ic_nb_db.sock",
        "--remote=ptcp:6645:127.0.0.1",
        "--unixctl=/run/ic/ovn_ic_nb_db.ctl",
        "--pidfile=/run/ic/ovn_ic_nb_db.pid",
        "--log-file=/run/ic/ovsdb-server-ic-nb.log",
        "-vconsole:off",
        "/data/ovn_ic_nb_db.db",
    )
    assert plan.sb.schema == PurePath("/schemas/ovn-ic-sb.ovsschema")


def test_ipv6_addresses_are_bracketed() -> None:
    """IPv6 addresses have brackets before a port."""
    plan = Plan(*database_servers(FILES, ip_address("fd00::1"), Ports(6645, 6646)))
    assert "--remote=ptcp:6646:[fd00::1]" in plan.sb.command()
    assert plan.sb.address == "tcp:[fd00::1]:6646"


@pytest.mark.parametrize(
    ("listen", "connect_to"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.2", "127.0.0.2")],  # noqa: S104
)
def test_a_server_on_all_addresses_is_reached_by_loopback(listen: str, connect_to: str) -> None:
    """The wildcard is not an address to connect to."""
    plan = Plan(*database_servers(FILES, ip_address(listen), Ports(6645, 6646)))
    assert plan.nb.connect_to == ip_address(connect_to)


@pytest.mark.parametrize("text", ["::1", "[::1]"])
def test_listen_takes_ipv6_with_and_without_brackets(text: str) -> None:
    """Both notations of an IPv6 address are accepted."""
    assert parse_listen(text) == IPv6Address("::1")


@pytest.mark.parametrize("text", ["localhost", "", "[127.0.0.1", "127.0.0.1:6645"])
def test_an_invalid_listen_address_is_named(text: str) -> None:
    """The problem has the value as typed."""
    problem = parse_listen(text)
    assert isinstance(problem, Problem)
    assert (problem.key, problem.value) == ("--listen", text)


def test_equal_ports_are_a_problem() -> None:
    """Two servers cannot share a port."""
    [problem] = plan_problems(Plan(*database_servers(FILES, ip_address("::1"), Ports(7000, 7000))))
    assert (problem.key, problem.value) == ("--sb-port", "7000")


def test_a_long_run_dir_is_a_problem() -> None:
    """A socket path that Linux would reject is reported before anything starts."""
    files = Directories(FILES.data_dir, PurePath("/" + "é" * 45), FILES.schema_dir)
    [problem] = plan_problems(Plan(*database_servers(files, ip_address("::1"), Ports(6645, 6646))))
    assert problem.key == "--run-dir"
    assert "109 bytes" in problem.message


def test_restarts_are_delayed_more_and_more() -> None:
    """The delay doubles up to a limit, however often a server ends."""
    assert [restart_delay(n) for n in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert restart_delay(10_000) == RESTART_MOST


def test_directories_follow_ovn() -> None:
    """Defaults are where OVN's own tools look."""
    assert default_dirs({}) == (PurePath("/var/lib/ovn"), PurePath("/var/run/ovn"))
    assert default_dirs({"OVN_DBDIR": "/d", "OVN_RUNDIR": "/r"}) == (PurePath("/d"), PurePath("/r"))


@pytest.mark.parametrize(
    ("own", "ipv6", "listen"),
    [
        ("192.0.2.1", True, "192.0.2.1"),
        ("fd00::1", True, "fd00::1"),
        ("localhost", True, "127.0.0.1"),
        ("ic-1.example.org", True, "::"),
        ("ic-1.example.org", False, "0.0.0.0"),  # noqa: S104
    ],
)
def test_a_member_listens_where_others_connect(own: str, ipv6: bool, listen: str) -> None:
    """On its own address; on all addresses if it is named by a host name."""
    assert listen_of_member(own, ipv6) == ip_address(listen)


def plan_of_member(own: str, insecure: bool = False) -> Plan:
    """A plan of the only member of a cluster."""
    listen = listen_of_member(own, ipv6=True)
    membership = Membership(own, (own,), own)
    servers = database_servers(FILES, listen, Ports())
    return Plan(*servers, membership=membership, insecure=insecure)


@pytest.mark.parametrize("own", ["192.0.2.1", "fd00::1", "ic-1.example.org"])
def test_clear_text_beyond_this_machine_must_be_asked_for(own: str) -> None:
    """The problem names the address and both remedies."""
    [problem] = plan_problems(plan_of_member(own))
    assert problem.key == "--listen"
    assert "--tls-dir" in problem.remedy
    assert "--insecure" in problem.remedy
    assert plan_problems(plan_of_member(own, insecure=True)) == []


@pytest.mark.parametrize("own", ["127.0.0.1", "::1", "localhost"])
def test_clear_text_on_loopback_is_not_a_problem(own: str) -> None:
    """Other machines cannot reach it."""
    assert plan_problems(plan_of_member(own)) == []


def test_ports_of_members_must_differ() -> None:
    """The problem names both flags."""
    membership = Membership("::1", ("::1",), "::1")
    servers = database_servers(FILES, ip_address("::1"), Ports(nb_raft=6646))
    plan = Plan(*servers, membership=membership)
    [problem] = plan_problems(plan)
    assert (problem.key, problem.message) == ("--nb-raft-port", "is also the port of --sb-port")


def test_addresses_for_raft() -> None:
    """In OVSDB's notation; logs may have a directory of their own."""
    files = Directories(PurePath("/d"), PurePath("/r"), PurePath("/s"), PurePath("/l"))
    plan = Plan(*database_servers(files, ip_address("::1"), Ports()))
    assert plan.nb.raft_address("fd00::1") == "tcp:[fd00::1]:6647"
    assert plan.sb.raft_address("ic-1") == "tcp:ic-1:6648"
    assert plan.sb.log_file == PurePath("/l/ovsdb-server-ic-sb.log")
