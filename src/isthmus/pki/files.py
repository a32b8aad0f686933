"""The files with keys and certificates, and their replacement while servers use them.

Called by `isthmus pki` and by everything with `--tls-dir`. Invariants: a private key is never
readable by other users, not even while it is written; and the certificate is replaced before the
key. ovsdb-server reloads the pair once both files have changed. If only the key had changed, it
would not notice the certificate later and would keep the old pair.
"""

import contextlib
import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from isthmus.files import read_file
from isthmus.model.bounds import CREDENTIALS_FILE
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text
from isthmus.pki.certificate_info import TlsMaterial, expiry_warnings, material_problems
from isthmus.pki.certificates import KeyPair
from isthmus.pki.raft_ca import KEY, REMEDY, members_ca_problems


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The three files that one side of a connection needs.

    Args:
        private_key, certificate: its own.
        ca_cert: the CA that signed the other side's certificate, or a bundle of CAs.
    """

    private_key: Path
    certificate: Path
    ca_cert: Path

    @classmethod
    def in_directory(cls, directory: Path) -> "TlsFiles":
        """The files in a directory with the layout of cert-manager's Secrets, or of Kube-OVN's.

        An empty directory has the former.
        """
        for key, certificate, ca_cert in LAYOUTS:
            if (directory / certificate).exists():
                return cls(directory / key, directory / certificate, directory / ca_cert)
        return cls(*(directory / name for name in LAYOUTS[0]))

    @property
    def members_ca(self) -> Path:
        """The CA that signs only the members of a cluster; the file may be missing."""
        return self.ca_cert.with_name("members-ca.crt")

    @property
    def object(self) -> str:
        """Their description in messages."""
        return f"TLS files in {self.certificate.parent}"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of OVS's programs for these files (ovs-vswitchd(8))."""
        return (
            f"--private-key={self.private_key}",
            f"--certificate={self.certificate}",
            f"--ca-cert={self.ca_cert}",
        )


LAYOUTS = (("tls.key", "tls.crt", "ca.crt"), ("key", "cert", "cacert"))
"""Key, certificate and CA certificate in cert-manager's Secrets (and those of `isthmus pki`), and
in Kube-OVN's `kube-ovn-tls`."""


def read_files(files: TlsFiles) -> TlsMaterial | Problem:
    """Read the files; a problem if one cannot be read."""
    read: list[bytes] = []
    named = (
        ("certificate", files.certificate),
        ("private key", files.private_key),
        ("CA certificate", files.ca_cert),
    )
    for key, path in named:
        try:
            read.append(read_file(path, CREDENTIALS_FILE))
        except OSError as error:
            message = f"cannot be read: {failure_text(error)}"
            remedy = "make it readable for this user, or use another directory"
            return Subject(files.object, key, str(path)).problem(message, remedy)
    names = (str(files.certificate), str(files.private_key), str(files.ca_cert))
    return TlsMaterial(files.object, *names, *read)


def check_files(
    files: TlsFiles, now: datetime.datetime, *, serves: bool = False
) -> tuple[Problem, ...]:
    """Why connections with these files would fail; see `material_problems`."""
    material = read_files(files)
    if isinstance(material, Problem):
        return (material,)
    return material_problems(material, now, serves=serves)


def check_member_files(files: TlsFiles, now: datetime.datetime) -> tuple[Problem, ...]:
    """Why a member of a cluster with authorizing proxies cannot use these files."""
    material = read_files(files)
    if isinstance(material, Problem):
        return (material,)
    found = material_problems(material, now, serves=True)
    if found:
        return found
    path = files.members_ca
    try:
        pem = read_file(path, CREDENTIALS_FILE)
    except OSError as error:
        message = (
            f"cannot be read: {failure_text(error)}; without it a zone could join the Raft cluster"
            " and write any row"
        )
        return (Subject(files.object, KEY, str(path)).problem(message, REMEDY),)
    return members_ca_problems(material, str(path), pem, now)


def expiring(files: TlsFiles, now: datetime.datetime) -> tuple[Problem, ...]:
    """What will expire within 30 days; see `certificate_info.expiry_warnings`."""
    material = read_files(files)
    return () if isinstance(material, Problem) else expiry_warnings(material, now)


def write_pair(files: TlsFiles, pair: KeyPair) -> None:
    """Replace a pair so that running programs reload it."""
    files.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(files.certificate, pair.certificate)
    write_file(files.private_key, pair.key, secret=True)


def write_file(path: Path, contents: bytes, *, secret: bool = False) -> None:
    """Replace a file in an existing directory atomically, keeping its owner.

    If it is secret, only its owner may read it; otherwise an existing file keeps its mode.
    """
    before = path.stat() if path.exists() else None
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            mode = 0o644 if before is None else before.st_mode & 0o777
            os.fchmod(file.fileno(), 0o600 if secret else mode)
            if before is not None and os.geteuid() == 0:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
