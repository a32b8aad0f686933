"""The files that `isthmus pki` writes, and those that it leaves alone."""

import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.cli.common.errors import CommandError
from isthmus.cli.pki import app
from isthmus.model.problems import Problem
from isthmus.pki.certificate_info import parse_pem
from isthmus.pki.certificates import IssueSpec, Kind, issue, new_ca
from isthmus.pki.files import TlsFiles, read_files, write_file, write_pair

ISTHMUS = Path(sys.executable).with_name("isthmus")


def pki(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(ISTHMUS), "pki", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_from_nothing_to_a_member(tmp_path: Path) -> None:
    """`init` and `issue` create a member's files with private keys; `show` finds no problem."""
    assert pki(tmp_path, "init").returncode == 0
    assert pki(tmp_path, "issue", "member", "one", "--address=192.0.2.1,ic.example").returncode == 0
    keys = ("ca/ca.key", "ca/members.key", "one/tls.key")
    assert {mode(tmp_path / key) for key in keys} == {0o600}
    made = ["ca.crt", "members-ca.crt", "tls.crt", "tls.key"]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == made
    shown = pki(tmp_path, "show", "one", "-o", "json")
    assert shown.returncode == 0
    leaf, *authorities = json.loads(shown.stdout)["certificates"]
    assert (leaf["kind"], leaf["name"], leaf["days_left"]) == ("member", "one", 364)
    assert len(authorities) == 3
    assert all(ca["authority"] for ca in authorities)


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command in this process and returns its output; checks the exit status."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments: str, status: int) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == status, result.output
        assert isinstance(result.exception, CommandError | SystemExit | None)
        return f"{result.output}{result.exception}"

    run("init", status=0)
    return run


@pytest.mark.parametrize("command", ["init new", "issue zone az1", "renew az1"])
def test_too_many_days_are_refused(output: Callable[..., str], command: str) -> None:
    """A number of days beyond the calendar is an invalid option."""
    assert "--days" in output(*command.split(), "--days=99999999", status=2)


@pytest.mark.parametrize("address", ["foo bar", "10.0.0.300", "1.2.3.4:6645", "a..b", "*.b"])
def test_addresses_of_members_are_hosts(output: Callable[..., str], address: str) -> None:
    """Text that is not a host is refused."""
    message = output("issue", "member", "one", "--address", f"192.0.2.1,{address}", status=1)
    assert f"--address = '{address}': is neither an IP address nor a host name" in message
    assert not Path("one").exists()


def test_addresses_of_members_are_normalized(output: Callable[..., str]) -> None:
    """Brackets, spaces and final dots are removed."""
    output("issue", "member", "one", "--address", "[2001:db8::01], IC.example.", status=0)
    assert parse_pem(Path("one/tls.crt").read_bytes())[0].names == (
        "2001:db8::1",
        "ic.example",
    )


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/"])
def test_a_name_that_is_not_a_directory_name_needs_out(
    output: Callable[..., str], tmp_path: Path, name: str
) -> None:
    """The default is ./NAME and nothing else; with --out any name is valid."""
    assert "add --out" in output("issue", "zone", name, status=1)
    assert list(tmp_path.rglob("tls.*")) == []
    if name:
        output("issue", "zone", name, "--out=out", status=0)


def test_nothing_is_replaced_without_yes(tmp_path: Path) -> None:
    """Commands that would overwrite a file are refused and change nothing."""
    pki(tmp_path, "init")
    pki(tmp_path, "issue", "zone", "az1")
    names = ("ca/ca.key", "ca/members.key", "az1/tls.key", "az1/ca.crt")
    files = [tmp_path / name for name in names]
    before = [file.read_bytes() for file in files]
    commands = (
        ["init"],
        ["issue", "zone", "az1"],
        ["renew", "az1"],
        ["bundle", "ca/ca.crt", "--out=az1/ca.crt"],
        ["bundle", "ca", "--out=az1"],
    )
    for command in commands:
        done = pki(tmp_path, *command)
        assert done.returncode == 1
        assert "exists already" in done.stderr
    assert [file.read_bytes() for file in files] == before


def names_in(file: Path) -> list[str]:
    """The CAs in a file."""
    return [seen.common_name for seen in parse_pem(file.read_bytes())]


def issuer(directory: Path) -> str:
    """The issuer of a certificate."""
    return parse_pem((directory / "tls.crt").read_bytes())[0].issuer.partition(",")[0]


def test_members_have_a_separate_ca(tmp_path: Path) -> None:
    """It signs only members; zones trust only this CA, and so do members between each other."""
    assert pki(tmp_path, "init", "--name=x").returncode == 0
    assert pki(tmp_path, "issue", "member", "one", "--address=192.0.2.1").returncode == 0
    for kind, name in (("zone", "az1"), ("operator", "boss")):
        assert pki(tmp_path, "issue", kind, name).returncode == 0
        assert issuer(tmp_path / name) == "CN=x"
        assert names_in(tmp_path / name / "ca.crt") == ["x members"]
        assert not (tmp_path / name / "members-ca.crt").exists()
    assert issuer(tmp_path / "one") == "CN=x members"
    assert names_in(tmp_path / "one/ca.crt") == ["x members", "x"]
    assert names_in(tmp_path / "one/members-ca.crt") == ["x members"]
    for name in ("one", "az1"):
        assert pki(tmp_path, "renew", name, "--yes").returncode == 0
    assert (issuer(tmp_path / "one"), issuer(tmp_path / "az1")) == ("CN=x members", "CN=x")
    shown = pki(tmp_path, "show", "one", "az1", "boss", "ca")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "ca: CA x members" in shown.stdout


@pytest.mark.parametrize("before", ["two", "one"])
def test_changing_the_cas_needs_the_bundle_first(tmp_path: Path, before: str) -> None:
    """A renewal that peers would reject is refused until the bundle is in place, both with two CAs
    and with the single CA of earlier versions."""
    assert pki(tmp_path, "init", "--name=old").returncode == 0
    if before == "one":
        for file in ("members.crt", "members.key"):
            (tmp_path / "ca" / file).unlink()
    member = ["issue", "member", "one", "--address=192.0.2.1"]
    for command in (member, ["issue", "zone", "az1"], ["init", "new", "--name=new"]):
        assert pki(tmp_path, *command).returncode == 0
    assert (tmp_path / "one/members-ca.crt").exists() == (before == "two")
    for name in ("one", "az1"):
        assert pki(tmp_path, "renew", name, "--yes").returncode == 0, "the old CAs still work"
        renewal = ["renew", name, "--ca=new", "--yes"]
        assert f"pki bundle {name} new --out {name}" in pki(tmp_path, *renewal).stderr
        assert pki(tmp_path, "bundle", name, "new", f"--out={name}", "--yes").returncode == 0
        assert pki(tmp_path, "show", name).returncode == (before == "one" and name == "one")
        assert pki(tmp_path, *renewal).returncode == 0
        assert pki(tmp_path, "show", name).returncode == 0
        assert "nothing was changed" in pki(tmp_path, *renewal, "--before=300").stdout
    old = ["old members"] if before == "two" else []
    assert names_in(tmp_path / "one/members-ca.crt") == [*old, "new members"]
    assert names_in(tmp_path / "az1/ca.crt") == [*(old or ["old"]), "new members"]
    for name in ("one", "az1"):
        assert pki(tmp_path, "bundle", "new", f"--out={name}", "--yes").returncode == 0
    assert names_in(tmp_path / "one/ca.crt") == ["new members", "new"]
    assert names_in(tmp_path / "one/members-ca.crt") == names_in(tmp_path / "az1/ca.crt")
    assert names_in(tmp_path / "az1/ca.crt") == ["new members"]


def test_a_renewal_checks_members_ca(tmp_path: Path) -> None:
    """With the new CAs only in ca.crt, other members would refuse the certificate."""
    member = ["issue", "member", "one", "--address=192.0.2.1"]
    for command in (["init"], member, ["init", "new", "--name=new"]):
        assert pki(tmp_path, *command).returncode == 0
    sources = ["one/ca.crt", "new/ca.crt", "new/members.crt"]
    assert pki(tmp_path, "bundle", *sources, "--out=one/ca.crt", "--yes").returncode == 0
    refused = pki(tmp_path, "renew", "one", "--ca=new", "--yes")
    assert refused.returncode == 1
    assert "one/members-ca.crt" in refused.stderr


def test_a_bundle_for_a_directory_takes_directories(tmp_path: Path) -> None:
    """A single certificate does not say what it signs; other paths are errors."""
    (tmp_path / "empty").mkdir()
    for command in (["init"], ["issue", "zone", "az1"]):
        assert pki(tmp_path, *command).returncode == 0
    for source, out in (("ca/ca.crt", "az1"), ("ca", "empty"), ("empty", "az1")):
        refused = pki(tmp_path, "bundle", source, f"--out={out}", "--yes")
        assert refused.returncode == 1
        assert "cannot be read" in refused.stderr


def test_show_reports_problems(tmp_path: Path) -> None:
    """A mismatched pair is reported, with exit status 1."""
    for command in (["init"], ["issue", "zone", "az1"], ["issue", "zone", "az2"]):
        pki(tmp_path, *command)
    write_file(tmp_path / "az1/tls.key", (tmp_path / "az2/tls.key").read_bytes(), secret=True)
    shown = pki(tmp_path, "show", "az1", "az2")
    assert shown.returncode == 1
    assert "does not match the certificate" in shown.stderr


@pytest.mark.parametrize("names", [("tls.key", "tls.crt", "ca.crt"), ("key", "cert", "cacert")])
def test_both_layouts_of_secrets_are_read(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """Directories with cert-manager's and with Kube-OVN's file names are equivalent."""
    now = datetime.datetime.now(datetime.UTC)
    authority = new_ca("any", now)
    files = TlsFiles(*(tmp_path / name for name in names))
    write_pair(files, issue(authority, IssueSpec(Kind.ZONE, "az1"), now))
    write_file(files.ca_cert, authority.certificate)
    assert TlsFiles.in_directory(tmp_path) == files
    assert not isinstance(read_files(files), Problem)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A missing file is reported by name."""
    found = read_files(TlsFiles.in_directory(tmp_path))
    assert isinstance(found, Problem)
    assert found.value == str(tmp_path / "tls.crt")
