"""Files without end are refused wherever one is read."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.files import read_file
from isthmus.kube.credentials import CredentialsError, KubeCredentials
from isthmus.kube.kubeconfig import select
from isthmus.manifests.directory import DirectorySource
from isthmus.manifests.file_history import QUIET
from isthmus.model.bounds import CREDENTIALS_FILE
from isthmus.pki.files import TlsFiles, check_files


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A file that is larger than any bound, and takes no space on the disk."""
    file = tmp_path / "huge"
    with file.open("wb") as made:
        os.truncate(made.fileno(), 1 << 40)
    return file


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """A file of just the bound is read, one byte more is refused."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * CREDENTIALS_FILE.most)
    assert len(read_file(file, CREDENTIALS_FILE)) == CREDENTIALS_FILE.most
    with file.open("ab") as more:
        more.write(b"x")
    with pytest.raises(OSError, match="larger than 4194304 bytes"):
        read_file(file, CREDENTIALS_FILE)


def test_a_huge_kubeconfig(huge: Path) -> None:
    """It is a problem of the credentials."""
    with pytest.raises(CredentialsError, match="larger than 4194304 bytes"):
        KubeCredentials(huge).load()


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ("certificate-authority: huge", ""),
        ("", "client-certificate: huge, client-key: huge"),
        ("", "tokenFile: huge"),
    ],
)
def test_a_huge_file_that_a_kubeconfig_names(huge: Path, cluster: str, user: str) -> None:
    """Keys, certificates and tokens are bounded, too."""
    file = huge.with_name("config")
    file.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        f" clusters: [{{name: c, cluster: {{server: 'https://192.0.2.1', {cluster}}}}}],"
        f" users: [{{name: u, user: {{{user}}}}}]}}"
    )
    select([file], "")
    with pytest.raises(CredentialsError, match="huge: it is larger than 4194304 bytes"):
        KubeCredentials(file).load()


def test_huge_tls_files(huge: Path) -> None:
    """They are one problem that names the file."""
    (problem,) = check_files(TlsFiles(huge, huge, huge), datetime.now(UTC))
    assert "larger than 4194304 bytes" in str(problem)
    assert str(huge) in str(problem)


def test_a_huge_manifest(huge: Path) -> None:
    """It is a problem of that file."""
    huge.rename(huge.with_suffix(".yaml"))
    source = DirectorySource(huge.parent)
    snapshot = source.poll(0.0) or source.poll(QUIET)
    assert snapshot is not None
    assert "exceed the limit" in str(snapshot.problems[0])
