"""Command lines, addresses and limits of the IC databases' servers."""

from ipaddress import IPv6Address, ip_address
from pathlib import PurePath

import pytest

from isthmus.icdb.plan import (
    RESTART_MOST,
    Files,
    default_dirs,
    make_plan,
    parse_listen,
    plan_problems,
    restart_delay,
)
from isthmus.model.problems import Problem

FILES = Files(PurePath("/data"), PurePath("/run/ic"), PurePath("/schemas"))


def test_command_line() -> None:
    """A server listens on its Unix socket and on the one address asked for, nowhere else."""
    plan = make_plan(FILES, ip_address("127.0.0.1"), 6645, 6646, None)
    assert plan.nb.command == (
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
    plan = make_plan(FILES, ip_address("fd00::1"), 6645, 6646, None)
    assert "--remote=ptcp:6646:[fd00::1]" in plan.sb.command
    assert plan.sb.address == "tcp:[fd00::1]:6646"


@pytest.mark.parametrize(
    ("listen", "connect_to"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.2", "127.0.0.2")],  # noqa: S104
)
def test_a_server_on_all_addresses_is_reached_by_loopback(listen: str, connect_to: str) -> None:
    """The wildcard is no address to connect to."""
    plan = make_plan(FILES, ip_address(listen), 6645, 6646, None)
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
    [problem] = plan_problems(make_plan(FILES, ip_address("::1"), 7000, 7000, None))
    assert (problem.key, problem.value) == ("--sb-port", "7000")


def test_a_long_run_dir_is_a_problem() -> None:
    """A socket's path that Linux would refuse is named before anything starts."""
    files = Files(FILES.data_dir, PurePath("/" + "é" * 45), FILES.schema_dir)
    [problem] = plan_problems(make_plan(files, ip_address("::1"), 6645, 6646, None))
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
