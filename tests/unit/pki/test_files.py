"""Where `isthmus pki` puts things, and what it does not touch."""

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
from isthmus.pki.certificate_info import looks
from isthmus.pki.certificates import Kind, Wish, issue, new_authority
from isthmus.pki.files import TlsFiles, read_material, write_file, write_pair

ISTHMUS = Path(sys.executable).with_name("isthmus")


def pki(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(ISTHMUS), "pki", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_from_nothing_to_a_member(tmp_path: Path) -> None:
    """Three commands make what a member needs; keys are their owner's alone; show agrees."""
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
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a command says, run in this process; it is known whether it did what it was told."""
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
def test_a_life_beyond_all_calendars_is_refused(told: Callable[..., str], command: str) -> None:
    """A number of days with which no date can be computed is refused as an option's value."""
    assert "--days" in told(*command.split(), "--days=99999999", status=2)


@pytest.mark.parametrize("address", ["foo bar", "10.0.0.300", "1.2.3.4:6645", "a..b", "*.b"])
def test_addresses_of_members_are_hosts(told: Callable[..., str], address: str) -> None:
    """What nobody can be reached under gets into no certificate."""
    said = told("issue", "member", "one", "--address", f"192.0.2.1,{address}", status=1)
    assert f"--address = '{address}': is neither an IP address nor a host name" in said
    assert not Path("one").exists()


def test_addresses_of_members_are_written_in_one_form(told: Callable[..., str]) -> None:
    """Brackets, spaces and final dots are left out."""
    told("issue", "member", "one", "--address", "[2001:db8::01], IC.example.", status=0)
    assert looks(Path("one/tls.crt").read_bytes())[0].names == ("2001:db8::1", "ic.example")


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/"])
def test_a_name_that_is_no_directory_name_needs_a_place(
    told: Callable[..., str], tmp_path: Path, name: str
) -> None:
    """A key is written into ./NAME, not beside it; where the place is given, any name goes."""
    assert "give --out" in told("issue", "zone", name, status=1)
    assert list(tmp_path.rglob("tls.*")) == []
    if name:
        told("issue", "zone", name, "--out=out", status=0)


def test_nothing_is_replaced_without_yes(tmp_path: Path) -> None:
    """All that would overwrite a file is refused, naming it, and leaves everything as it was."""
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
    """Whom a file has one believe."""
    return [seen.common_name for seen in looks(file.read_bytes())]


def issuer(directory: Path) -> str:
    """Who signed somebody's certificate."""
    return looks((directory / "tls.crt").read_bytes())[0].issuer.partition(",")[0]


def test_members_have_an_authority_of_their_own(tmp_path: Path) -> None:
    """It signs nobody else, zones believe it alone, and so do members between each other."""
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
    assert "ca: authority x members" in shown.stdout


@pytest.mark.parametrize("before", ["two", "one"])
def test_changing_the_authorities_needs_the_bundle_first(tmp_path: Path, before: str) -> None:
    """A renewal that peers would refuse is refused; with the bundle in place, it is made: from
    two authorities to two others, and from one for all, as `init` made it once."""
    assert pki(tmp_path, "init", "--name=old").returncode == 0
    if before == "one":
        for file in ("members.crt", "members.key"):
            (tmp_path / "ca" / file).unlink()
    member = ["issue", "member", "one", "--address=192.0.2.1"]
    for command in (member, ["issue", "zone", "az1"], ["init", "new", "--name=new"]):
        assert pki(tmp_path, *command).returncode == 0
    assert (tmp_path / "one/members-ca.crt").exists() == (before == "two")
    for name in ("one", "az1"):
        assert pki(tmp_path, "renew", name, "--yes").returncode == 0, "the old ones go on"
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


def test_a_renewal_looks_at_what_members_believe(tmp_path: Path) -> None:
    """With the new authorities in ca.crt alone, other members would refuse the certificate."""
    member = ["issue", "member", "one", "--address=192.0.2.1"]
    for command in (["init"], member, ["init", "new", "--name=new"]):
        assert pki(tmp_path, *command).returncode == 0
    sources = ["one/ca.crt", "new/ca.crt", "new/members.crt"]
    assert pki(tmp_path, "bundle", *sources, "--out=one/ca.crt", "--yes").returncode == 0
    refused = pki(tmp_path, "renew", "one", "--ca=new", "--yes")
    assert refused.returncode == 1
    assert "one/members-ca.crt" in refused.stderr


def test_a_bundle_for_somebody_takes_whole_directories(tmp_path: Path) -> None:
    """A single certificate does not tell whom it signs; what is no directory of `pki` is named."""
    (tmp_path / "empty").mkdir()
    for command in (["init"], ["issue", "zone", "az1"]):
        assert pki(tmp_path, *command).returncode == 0
    for source, out in (("ca/ca.crt", "az1"), ("ca", "empty"), ("empty", "az1")):
        refused = pki(tmp_path, "bundle", source, f"--out={out}", "--yes")
        assert refused.returncode == 1
        assert "cannot be read" in refused.stderr


def test_show_judges(tmp_path: Path) -> None:
    """A pair that does not fit together is named, and the exit status says so."""
    for command in (["init"], ["issue", "zone", "az1"], ["issue", "zone", "az2"]):
        pki(tmp_path, *command)
    write_file(tmp_path / "az1/tls.key", (tmp_path / "az2/tls.key").read_bytes(), secret=True)
    shown = pki(tmp_path, "show", "az1", "az2")
    assert shown.returncode == 1
    assert "is not that of the certificate" in shown.stderr


@pytest.mark.parametrize("names", [("tls.key", "tls.crt", "ca.crt"), ("key", "cert", "cacert")])
def test_both_layouts_of_secrets_are_read(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """Directories of cert-manager's Secrets and of Kube-OVN's serve alike."""
    now = datetime.datetime.now(datetime.UTC)
    authority = new_authority("any", now)
    files = TlsFiles(*(tmp_path / name for name in names))
    write_pair(files, issue(authority, Wish(Kind.ZONE, "az1"), now))
    write_file(files.ca_cert, authority.certificate)
    assert TlsFiles.in_directory(tmp_path) == files
    assert not isinstance(read_material(files), Problem)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """What is missing is said by name, with a remedy."""
    found = read_material(TlsFiles.in_directory(tmp_path))
    assert isinstance(found, Problem)
    assert found.value == str(tmp_path / "tls.crt")
