"""The daemon's own certificates: reported before they expire, until they are renewed."""

import datetime
from pathlib import Path
from typing import cast

import pytest

from isthmus.daemon.certificates import AGAIN, INTERVAL, CertificateSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.streams.tls import Tls, _TlsStream, fault
from isthmus.pki.certificates import IssueSpec, Kind, new_ca
from isthmus.pki.files import TlsFiles
from support.fakes.session import FakePoller
from support.icdb.certificates import install

SPEC = IssueSpec(Kind.ZONE, "az1")
NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = new_ca("ca", NOW)


class Sessions:
    """Sessions with addresses."""

    def __init__(self, remote: str) -> None:
        self.remotes = {Database.NB: "unix:/nb.sock", Database.IC_NB: remote}


def source_of(remote: str) -> CertificateSource:
    return CertificateSource(cast("DatabaseSessions", Sessions(remote)))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TlsFiles:
    """The files of the IC databases, used for nothing else."""
    monkeypatch.setattr("isthmus.ovsdb.streams.tls._TlsStream.own", {})
    found = TlsFiles.in_directory(tmp_path)
    tls = Tls(str(found.private_key), str(found.certificate), str(found.ca_cert))
    monkeypatch.setattr("isthmus.ovsdb.streams.tls._TlsStream.tls", tls)
    return found


def sleep(source: CertificateSource, now: float) -> list[float]:
    """How long the loop may sleep."""
    poller = FakePoller()
    source.wait(cast("Poller", poller), now)
    return poller.wakes


def test_a_certificate_is_reported_30_days_before_it_expires(files: TlsFiles) -> None:
    """With the days left and how to renew it; the renewed one ends the problem."""
    directory = files.certificate.parent
    install(directory, AUTHORITY, SPEC, days=31)
    source = source_of("ssl:192.0.2.1:6645,ssl:192.0.2.2:6645")
    source.run(0.0)
    assert not source.problems()
    assert sleep(source, 0.0) == [INTERVAL]
    install(directory, AUTHORITY, SPEC, days=29)
    source.run(1.0)
    assert not source.problems()  # not read before it is due
    source.run(INTERVAL)
    (problem,) = source.problems()
    assert problem.reason is Reason.CERTIFICATE_EXPIRES
    assert problem.message.startswith("of az1 expires on ")
    assert problem.message.endswith(", in 28 days")
    assert "isthmus pki renew" in problem.remedy
    assert sleep(source, INTERVAL) == [AGAIN]
    install(directory, AUTHORITY, SPEC, days=365)
    source.run(INTERVAL + AGAIN)
    assert not source.problems()


def test_databases_without_tls_need_no_certificate(files: TlsFiles) -> None:
    """Files that no address uses are not read, until one does."""
    source = source_of("tcp:192.0.2.1:6645")
    source.run(0.0)
    assert not source.problems()
    assert sleep(source, 0.0) == []
    install(files.certificate.parent, AUTHORITY, SPEC, days=5)
    cast("Sessions", source._sessions).remotes = {Database.IC_NB: "ssl:192.0.2.1:6645"}
    source.run(1.0)
    assert source.problems()


def test_an_expired_certificate_keeps_its_problem(files: TlsFiles) -> None:
    """With the days since; a failing connection has the same problem, and no other."""
    remote = "ssl:192.0.2.1:6645"
    install(files.certificate.parent, AUTHORITY, SPEC, NOW - datetime.timedelta(days=9), days=6)
    source = source_of(remote)
    source.run(0.0)
    (problem,) = source.problems()
    assert problem.reason is Reason.CERTIFICATE_EXPIRES
    assert ("of az1 expired on " in problem.message, problem.message[-10:]) == (True, "3 days ago")
    assert "isthmus pki renew" in problem.remedy
    assert fault([remote]) is None  # while no connection fails
    _TlsStream.failures["192.0.2.1:6645"] = "TLS handshake failed: certificate expired"
    assert fault([remote]) == problem
    del _TlsStream.failures["192.0.2.1:6645"]


@pytest.mark.parametrize(("start", "message"), [(-99, " expired on "), (3, " is valid only from ")])
def test_a_ca_that_is_not_valid_is_the_problem(files: TlsFiles, start: int, message: str) -> None:
    """Before a connection fails, and in place of the problem of one that does."""
    remote = "ssl:192.0.2.1:6645"
    ca = new_ca("zones-ca", NOW + datetime.timedelta(days=start), days=60)
    install(files.certificate.parent, AUTHORITY, SPEC, trusted=ca)
    source = source_of(remote)
    source.run(0.0)
    (problem,) = source.problems()
    assert problem.reason is Reason.CERTIFICATE_EXPIRES
    assert problem.key == "CA certificate"
    assert f"of zones-ca{message}" in problem.message
    _TlsStream.failures["192.0.2.1:6645"] = "TLS handshake failed: certificate verify failed"
    assert fault([remote]) == problem
    del _TlsStream.failures["192.0.2.1:6645"]
