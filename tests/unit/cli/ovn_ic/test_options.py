"""The command line of `isthmus ovn-ic`, and the name under which it is found."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from isthmus.cli import main as frame
from isthmus.cli.common.errors import CommandError
from isthmus.cli.ovn_ic.options import parse
from isthmus.model.route_rules import RouteLimits
from isthmus.model.rows import Database


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OVN_NB_DB", "OVN_SB_DB", "OVN_IC_NB_DB", "OVN_IC_SB_DB", "OVS_SYSLOG_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OVN_RUNDIR", "/run/here")
    monkeypatch.setenv("OVN_LOGDIR", "/log/here")


def test_defaults() -> None:
    """Without options, the daemon runs in the foreground with the sockets in OVN_RUNDIR."""
    options = parse([])
    assert options.remotes == {
        Database.NB: "unix:/run/here/ovnnb_db.sock",
        Database.SB: "unix:/run/here/ovnsb_db.sock",
        Database.IC_NB: "unix:/run/here/ovn_ic_nb_db.sock",
        Database.IC_SB: "unix:/run/here/ovn_ic_sb_db.sock",
    }
    assert options.daemon.pidfile is None
    assert not options.daemon.detach
    assert options.unixctl is None
    assert options.log_file == ""
    assert options.tls is None


def test_databases_from_flags_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag takes precedence over its variable; short flags are those of ovn-ic."""
    monkeypatch.setenv("OVN_NB_DB", "tcp:1.1.1.1:1")
    monkeypatch.setenv("OVN_SB_DB", "tcp:1.1.1.1:2")
    options = parse(["--ovnsb-db=tcp:2.2.2.2:2", "-I", "tcp:2.2.2.2:3", "-i", "tcp:2.2.2.2:4"])
    assert list(options.remotes.values()) == [
        "tcp:1.1.1.1:1", "tcp:2.2.2.2:2", "tcp:2.2.2.2:3", "tcp:2.2.2.2:4",
    ]  # fmt: skip


def test_optional_values() -> None:
    """An option with an optional value does not consume the next option."""
    options = parse(["--pidfile", "--detach", "--log-file", "-v", "-vconsole:off", "--verbose=dbg"])
    assert options.daemon.pidfile == ""
    assert options.daemon.detach
    assert options.log_file == "/log/here/ovn-ic.log"
    assert options.log_specs == ("any:any:dbg", "console:off", "dbg")


def test_what_ovn_ctl_gives() -> None:
    """The command line of OVN's start script is accepted."""
    options = parse(
        [
            "-vconsole:emer", "-vsyslog:err", "-vfile:info", "--ovnnb-db=unix:/a",
            "--ovnsb-db=unix:/b",
            "--ic-nb-db=unix:/c", "--ic-sb-db=unix:/d", "--no-chdir", "--log-file=/log/x.log",
            "--pidfile=/run/x.pid", "--detach", "--monitor", "--user", "ovn:ovn",
        ]
    )  # fmt: skip
    assert options.daemon.monitor
    assert not options.daemon.chdir
    assert options.daemon.user == "ovn:ovn"
    assert (options.daemon.pidfile, options.log_file) == ("/run/x.pid", "/log/x.log")


@pytest.mark.parametrize(
    ("given", "expected"), [("none", ""), ("x.ctl", "/run/here/x.ctl"), ("/a/x.ctl", "/a/x.ctl")]
)
def test_control_sockets(given: str, expected: str) -> None:
    """A relative control socket is in OVN_RUNDIR; "none" means no socket."""
    assert parse([f"--unixctl={given}"]).unixctl == expected


def test_tls() -> None:
    """The three files configure TLS; newer options are accepted."""
    tls = parse(
        ["-p", "k", "-c", "c", "-C", "a", "--ssl-protocols=TLSv1.3", "--ssl-ciphersuites=x"]
    ).tls
    assert tls is not None
    assert (tls.private_key, tls.certificate, tls.ca_cert) == ("k", "c", "a")
    assert tls.protocols == "TLSv1.3"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["-p", "k"], "--certificate"),
        (["-p", "k", "-c", "c"], "--ca-cert"),
        (["-p", "k", "-c", "c", "--bootstrap-ca-cert=/none"], "--bootstrap-ca-cert"),
        (["-p", "k", "-c", "c", "-C", "a", "--ssl-protocols=SSLv9"], "--ssl-protocols"),
    ],
)
def test_bad_tls_options(arguments: list[str], key: str) -> None:
    """Incomplete or invalid TLS options are refused, and the error names the option."""
    with pytest.raises(CommandError) as caught:
        parse(arguments)
    assert caught.value.problems[0].key == key


def test_limits() -> None:
    """Both limits on routes can be changed."""
    assert parse([]).limits == RouteLimits()
    assert parse(["--max-routes-per-zone=10", "--max-routes=20"]).limits == RouteLimits(10, 20)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["extra"],
        ["--ovnnb-db"],
        ["--max-routes=0"],
        ["--max-routes=-1"],
        ["--max-routes-per-zone=many"],
        ["--max-routes-per-zone=" + "9" * 5000],
    ],
)
def test_wrong_usage_ends_with_1(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage exits with status 1 and one line, as OVN's daemons do."""
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("ovn-ic: ")


def test_options_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--options` lists all options with their values."""
    with pytest.raises(SystemExit):
        parse(["--options"])
    listed = capsys.readouterr().out.splitlines()
    assert {"--ovnnb-db=ARG", "--pidfile=[ARG]", "--detach", "-V"} <= set(listed)


@pytest.mark.parametrize("argv", [["/some/dir/ovn-ic", "-V"], ["isthmus", "ovn-ic", "-V"]])
def test_the_name_is_the_verb(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Started as ovn-ic, or with that verb, `--version` is that of ovn-ic and names Isthmus."""
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as ended:
        frame.main()
    assert not ended.value.code
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "ovn-ic"
    assert second.startswith(f"Isthmus {version('isthmus')}")


def test_help_of_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`isthmus ovn-ic --help` is the help of ovn-ic's options."""
    monkeypatch.setattr(sys, "argv", ["isthmus", "ovn-ic", "--help"])
    with pytest.raises(SystemExit) as ended:
        frame.main()
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "--ovnnb-db DATABASE" in out
    assert str(Path("/run/here/ovn-ic.pid")) in out
