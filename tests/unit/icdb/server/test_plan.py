"""Command lines, addresses and limits of the IC databases' servers."""

from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from pathlib import Path, PurePath

import pytest

from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.server.plan import (
    RESTART_MOST,
    Files,
    Plan,
    Ports,
    default_dirs,
    go_over,
    listen_of_member,
    make_plan,
    parse_listen,
    plan_problems,
    restart_delay,
)
from isthmus.model.problems import Problem
from isthmus.pki.files import TlsFiles

FILES = Files(PurePath("/data"), PurePath("/run/ic"), PurePath("/schemas"))


def test_command_line() -> None:
    """A server listens on its Unix socket and on the one address asked for, nowhere else."""
    plan = make_plan(FILES, ip_address("127.0.0.1"), Ports(6645, 6646), None)
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
    """IPv6 addresses appear as OVSDB and people write them."""
    plan = make_plan(FILES, ip_address("fd00::1"), Ports(6645, 6646), None)
    assert "--remote=ptcp:6646:[fd00::1]" in plan.sb.command()
    assert plan.sb.address == "tcp:[fd00::1]:6646"


@pytest.mark.parametrize(
    ("listen", "connect_to"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.2", "127.0.0.2")],  # noqa: S104
)
def test_a_server_on_all_addresses_is_reached_by_loopback(listen: str, connect_to: str) -> None:
    """The wildcard is no address to connect to."""
    plan = make_plan(FILES, ip_address(listen), Ports(6645, 6646), None)
    assert plan.nb.connect_to == ip_address(connect_to)


@pytest.mark.parametrize("text", ["::1", "[::1]"])
def test_listen_takes_ipv6_with_and_without_brackets(text: str) -> None:
    """Both ways of writing an IPv6 address are understood."""
    assert parse_listen(text) == IPv6Address("::1")


@pytest.mark.parametrize("text", ["localhost", "", "[127.0.0.1", "127.0.0.1:6645"])
def test_listen_names_what_is_no_address(text: str) -> None:
    """Anything but an address is reported as typed."""
    problem = parse_listen(text)
    assert isinstance(problem, Problem)
    assert (problem.key, problem.value) == ("--listen", text)


def test_equal_ports_are_a_problem() -> None:
    """Two servers cannot share a port."""
    [problem] = plan_problems(make_plan(FILES, ip_address("::1"), Ports(7000, 7000), None))
    assert (problem.key, problem.value) == ("--sb-port", "7000")


def test_a_long_run_dir_is_a_problem() -> None:
    """A socket's path that Linux would refuse is named before anything starts."""
    files = Files(FILES.data_dir, PurePath("/" + "é" * 45), FILES.schema_dir)
    [problem] = plan_problems(make_plan(files, ip_address("::1"), Ports(6645, 6646), None))
    assert problem.key == "--run-dir"
    assert "109 bytes" in problem.message


def test_restarts_are_put_off_longer_and_longer() -> None:
    """The delay doubles up to a limit, however often a server dies."""
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
def test_a_member_listens_where_others_look_for_it(own: str, ipv6: bool, listen: str) -> None:
    """On its own address; on all if it is known by a name, whatever that stands for."""
    assert listen_of_member(own, ipv6) == ip_address(listen)


def plan_of_member(own: str, insecure: bool = False) -> Plan:
    """A plan of the only member of a cluster."""
    listen = listen_of_member(own, ipv6=True)
    membership = Membership(own, (own,), own)
    return make_plan(FILES, listen, Ports(), None, membership, insecure)


@pytest.mark.parametrize("own", ["192.0.2.1", "fd00::1", "ic-1.example.org"])
def test_clear_text_beyond_this_machine_must_be_asked_for(own: str) -> None:
    """The address is named, with both ways to go on."""
    [problem] = plan_problems(plan_of_member(own))
    assert problem.key == "--listen"
    assert "--tls-dir" in problem.remedy
    assert "--insecure" in problem.remedy
    assert plan_problems(plan_of_member(own, insecure=True)) == []


def test_going_over_to_tls_takes_certificates() -> None:
    """Without them it is named; with them, a member may be at its old address or its new one."""
    plan = go_over(plan_of_member("::1"))
    [problem] = plan_problems(plan)
    assert "give --tls-dir too" in problem.remedy
    files = TlsFiles.in_directory(Path("/tls"))
    nb = replace(plan.nb, tls=files)
    assert nb.raft_addresses("fd00::2") == ("ssl:[fd00::2]:6647", "tcp:[fd00::2]:6647")
    assert replace(nb, from_clear_text=False).raft_addresses("b") == ("ssl:b:6647",)


@pytest.mark.parametrize("own", ["127.0.0.1", "::1", "localhost"])
def test_clear_text_on_loopback_is_no_weakness(own: str) -> None:
    """Nobody else can hear it."""
    assert plan_problems(plan_of_member(own)) == []


def test_ports_of_members_must_differ() -> None:
    """The one that is taken and the one that takes it are both named."""
    membership = Membership("::1", ("::1",), "::1")
    plan = make_plan(FILES, ip_address("::1"), Ports(nb_raft=6646), None, membership)
    [problem] = plan_problems(plan)
    assert (problem.key, problem.message) == ("--nb-raft-port", "is the port of --sb-port too")


def test_addresses_for_raft() -> None:
    """As OVSDB writes them; logs may be in a directory of their own."""
    files = Files(PurePath("/d"), PurePath("/r"), PurePath("/s"), PurePath("/l"))
    plan = make_plan(files, ip_address("::1"), Ports(), None)
    assert plan.nb.raft_address("fd00::1") == "tcp:[fd00::1]:6647"
    assert plan.sb.raft_address("ic-1") == "tcp:ic-1:6648"
    assert plan.sb.log_file == PurePath("/l/ovsdb-server-ic-sb.log")
