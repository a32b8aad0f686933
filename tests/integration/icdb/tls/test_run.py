"""`isthmus ic-db run --tls-dir`: no clear text, a cluster over TLS, invalid files."""

import datetime
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from isthmus.pki.certificate_info import parse_pem
from isthmus.pki.certificates import IssueSpec, KeyPair, Kind, issue, new_ca
from isthmus.pki.files import TlsFiles, write_file, write_pair
from support.ovn.servers import INSTALLATION, LIMIT, die_with_parent, run_program, wait_until

pytestmark = pytest.mark.ovn

ISTHMUS = Path(sys.executable).with_name("isthmus")
NOW = datetime.datetime.now(datetime.UTC)
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
PORTS = {"nb": 28645, "sb": 28646, "nb-raft": 28647, "sb-raft": 28648}


def member(directory: Path, host: str, *more: str) -> list[str]:
    """The command line of a member."""
    dirs = [f"--data-dir={directory}/{host}/data", f"--run-dir={directory}/{host}/run"]
    ports = [f"--{name}-port={port}" for name, port in PORTS.items()]
    return [str(ISTHMUS), "ic-db", "run", *dirs, *ports, *more]


@contextmanager
def running(command: list[str], log: Path) -> Iterator["subprocess.Popen[str]"]:
    """A member that is stopped with the context, or with the test."""
    with log.open("a") as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the test has one thread here
        )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=LIMIT)


def certificates(directory: Path, days: int = 365, at: datetime.datetime = NOW) -> KeyPair:
    """A CA, and a certificate for each member and a zone, in directories of their names."""
    authority = new_ca("test", at)
    wishes = [IssueSpec(Kind.MEMBER, host, (host,)) for host in HOSTS]
    for spec in (*wishes, IssueSpec(Kind.ZONE, "az1")):
        issue_to(directory, authority, spec, days, at)
    return authority


def issue_to(
    directory: Path,
    authority: KeyPair,
    spec: IssueSpec,
    days: int = 365,
    at: datetime.datetime = NOW,
) -> None:
    """Write a certificate into the directory of its name, or replace it."""
    files = TlsFiles.in_directory(directory / spec.name)
    write_pair(files, issue(authority, spec, at, days))
    write_file(files.ca_cert, authority.certificate)


def insert(files: TlsFiles, name: str) -> bool:
    """Whether the second member accepts a new transit switch, or has it."""
    operation = {"op": "insert", "table": "Transit_Switch", "row": {"name": name}}
    text = json.dumps(["OVN_IC_Northbound", operation])
    remote = f"ssl:{HOSTS[1]}:{PORTS['nb']}"
    # A server that has just started follows no leader yet, and refuses.
    command = ["ovsdb-client", "--timeout=10", *files.options, "transact", remote, text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # The name is unique: an attempt before may have been committed without its answer arriving.
    return done.returncode == 0 and ("error" not in done.stdout or "constraint" in done.stdout)


def is_another(file: Path, before: str) -> bool:
    """Whether a pid file names another process; a starting server removes it for a moment."""
    with suppress(FileNotFoundError):
        return file.read_text() != before
    return False


def has_switch(files: TlsFiles, host: str, name: str = "ts") -> bool:
    """Whether a member, asked over TLS, has a transit switch in IC-NB."""
    select = {"op": "select", "table": "Transit_Switch", "where": [], "columns": ["name"]}
    text = json.dumps(["OVN_IC_Northbound", select])
    remote = f"ssl:{host}:{PORTS['nb']}"
    command = ["ovsdb-client", "--timeout=10", *files.options, "query", remote, text]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f'"{name}"' in said


def test_a_cluster_by_tls(tmp_path: Path) -> None:
    """Three members that start at once create one cluster; all their addresses are `ssl:`.

    With all certificates renewed while they run, a server that is killed comes back, and by then
    shows and trusts the new files.
    """
    pki = tmp_path / "pki"
    authority = certificates(pki)
    (tmp_path / "log").mkdir()
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                running(
                    member(
                        tmp_path,
                        host,
                        f"--members={','.join(HOSTS)}",
                        f"--address={host}",
                        f"--tls-dir={pki / host}",
                    ),
                    tmp_path / "log" / host,
                )
            )
            for host in HOSTS
        ]
        for process in started:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready: "), "\n".join(
                path.read_text() for path in (tmp_path / "log").iterdir()
            )
            assert "tcp:" not in line
        zone = TlsFiles.in_directory(pki / "az1")
        for host in HOSTS:
            wait_until(partial(has_switch, zone, host), "it has the switch")
            control = f"{tmp_path}/{host}/run/ovn_ic_nb_db.ctl"
            said = run_program(
                INSTALLATION, "ovs-appctl", "-t", control, "cluster/status", "OVN_IC_Northbound"
            )
            assert all(f"ssl:{other}:{PORTS['nb-raft']}" in said for other in HOSTS)
            assert "tcp:" not in said
        for host in HOSTS:
            issue_to(pki, authority, IssueSpec(Kind.MEMBER, host, (host,)))
        killed = tmp_path / HOSTS[1] / "run/ovn_ic_nb_db.pid"
        before = killed.read_text()
        os.kill(int(before), signal.SIGKILL)
        wait_until(partial(is_another, killed, before), "it is started again")
        wait_until(partial(insert, zone, "late"), "a write goes through the restarted member")
        wait_until(partial(has_switch, zone, HOSTS[2], "late"), "the others have it")


@pytest.mark.parametrize("order", ["key first", "certificate first"])
def test_renewed_files_may_come_in_any_order(order: str, tmp_path: Path) -> None:
    """In any order of copying the files, new connections get the new certificate."""
    pki, host = tmp_path / "pki", HOSTS[0]
    authority = certificates(pki)
    files = TlsFiles.in_directory(pki / host)
    with running(member(tmp_path, host, f"--tls-dir={pki / host}"), tmp_path / "log") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready: "), (tmp_path / "log").read_text()
        before = shown()
        pair = issue(authority, IssueSpec(Kind.MEMBER, host, (host,)), NOW)
        halves = [(files.private_key, pair.key), (files.certificate, pair.certificate)]
        if order == "certificate first":
            halves.reverse()
        for path, half in halves:
            write_file(path, half, secret=True)
            # The server, which a connection wakes, parse_pem at one half without the other.
            assert shown() in {before, serial_of(pair.certificate)}
        wait_until(lambda: shown() == serial_of(pair.certificate), "the new one is shown")
        assert has_switch(TlsFiles.in_directory(pki / "az1"), host)


def shown() -> str:
    """The serial number of the certificate that the first member presents."""
    pem = ssl.get_server_certificate((HOSTS[0], PORTS["nb"]))
    return serial_of(pem.encode())


def serial_of(pem: bytes) -> str:
    """A certificate's serial number."""
    return parse_pem(pem)[0].serial


@pytest.mark.parametrize("fault", ["expired", "key", "zone's", "missing"])
def test_files_that_cannot_serve_are_refused(fault: str, tmp_path: Path) -> None:
    """An expired certificate, another's key, a zone's certificate, or none is reported."""
    pki = tmp_path / "pki"
    then = NOW - datetime.timedelta(days=50)
    certificates(pki, *((1, then) if fault == "expired" else ()))
    directory = pki / HOSTS[0]
    said = {
        "expired": "expired on",
        "key": "does not match the certificate",
        "zone's": "is not valid for a server",
        "missing": "cannot be read: No such file",
    }[fault]
    if fault == "key":
        write_file(directory / "tls.key", (pki / HOSTS[1] / "tls.key").read_bytes(), secret=True)
    if fault == "zone's":
        directory = pki / "az1"
    if fault == "missing":
        directory = pki / "none"
    command = member(tmp_path, HOSTS[0], f"--tls-dir={directory}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_clear_text_must_be_asked_for(tmp_path: Path) -> None:
    """Listening on all addresses requires --insecure or certificates, as ENABLE_SSL=true does."""
    command = member(tmp_path, "any", "--listen=0.0.0.0")
    refused = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert refused.returncode == 1
    assert "--insecure" in refused.stderr
    wanted = subprocess.run(
        command,
        env={**os.environ, "ENABLE_SSL": "true"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert wanted.returncode == 1
    assert "/var/run/tls/tls.crt" in wanted.stderr
