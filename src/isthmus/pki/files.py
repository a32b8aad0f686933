"""Where keys and certificates are kept, and how they are replaced under a running server.

Called by `isthmus pki` and by whatever is given `--tls-dir`. Invariant: a private key is never
readable to others, not even while it is written, and a pair is replaced certificate first, key
last. ovsdb-server reads a new pair when it sees that both files have changed, and forgets that
the key has if the certificate has not yet: the other way round, it would go on with the old pair.
"""

import contextlib
import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from isthmus.model.problems import Problem, Subject
from isthmus.pki.certificate_info import Material, faults, warnings
from isthmus.pki.certificates import KeyPair
from isthmus.pki.raft_ca import KEY, REMEDY, members_faults


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The three files that one side of a connection needs.

    Args:
        private_key, certificate: its own.
        ca_cert: the authority, or a bundle of them, that signed the others'.
    """

    private_key: Path
    certificate: Path
    ca_cert: Path

    @classmethod
    def in_directory(cls, directory: Path) -> "TlsFiles":
        """The files of a directory laid out as cert-manager's Secrets are, or Kube-OVN's.

        A directory with neither counts as the former.
        """
        for key, certificate, ca_cert in LAYOUTS:
            if (directory / certificate).exists():
                return cls(directory / key, directory / certificate, directory / ca_cert)
        return cls(*(directory / name for name in LAYOUTS[0]))

    @property
    def members_ca(self) -> Path:
        """The authority that signs members of a cluster and nobody else; it may be missing."""
        return self.ca_cert.with_name("members-ca.crt")

    @property
    def object(self) -> str:
        """What they are, for messages."""
        return f"TLS files in {self.certificate.parent}"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of OVS's programs for them (ovs-vswitchd(8))."""
        return (
            f"--private-key={self.private_key}",
            f"--certificate={self.certificate}",
            f"--ca-cert={self.ca_cert}",
        )


LAYOUTS = (
    ("tls.key", "tls.crt", "ca.crt"),
    ("key", "cert", "cacert"),
)
"""Key, certificate and CA certificate in cert-manager's Secrets (and those of `isthmus pki`), and
in Kube-OVN's `kube-ovn-tls`."""


def read_material(files: TlsFiles) -> Material | Problem:
    """The files' contents, or which one cannot be read."""
    read: list[bytes] = []
    named = (
        ("certificate", files.certificate),
        ("private key", files.private_key),
        ("CA certificate", files.ca_cert),
    )
    for key, path in named:
        try:
            read.append(path.read_bytes())
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            remedy = "make it readable to this user, or name another directory"
            return Subject(files.object, key, str(path)).problem(message, remedy)
    names = (str(files.certificate), str(files.private_key), str(files.ca_cert))
    return Material(files.object, *names, *read)


def check_files(
    files: TlsFiles, now: datetime.datetime, *, serves: bool = False
) -> tuple[Problem, ...]:
    """Why nobody could be talked to with these files; empty if all is well. See `faults`."""
    material = read_material(files)
    return (material,) if isinstance(material, Problem) else faults(material, now, serves=serves)


def check_member_files(files: TlsFiles, now: datetime.datetime) -> tuple[Problem, ...]:
    """Why these files do not serve a member of a guarded cluster; see `members_faults`."""
    material = read_material(files)
    if isinstance(material, Problem):
        return (material,)
    found = faults(material, now, serves=True)
    if found:
        return found
    path = files.members_ca
    try:
        pem = path.read_bytes()
    except OSError as error:
        message = (
            f"cannot be read: {error.strerror}; without, a zone could join the cluster past the"
            " guard, and write any row"
        )
        return (Subject(files.object, KEY, str(path)).problem(message, REMEDY),)
    return members_faults(material, str(path), pem, now)


def expiring(files: TlsFiles, now: datetime.datetime) -> tuple[Problem, ...]:
    """What will be wrong with good files within 30 days; see `looks.warnings`."""
    material = read_material(files)
    return () if isinstance(material, Problem) else warnings(material, now)


def write_pair(files: TlsFiles, pair: KeyPair) -> None:
    """Put a pair in place of another, such that running programs take it up."""
    files.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(files.certificate, pair.certificate)
    write_file(files.private_key, pair.key, secret=True)


def write_file(path: Path, contents: bytes, *, secret: bool = False) -> None:
    """Replace a file by another one of the same owner, at once or not at all.

    Args:
        path: in a directory that exists.
        contents: all of it.
        secret: whether only its owner may read it; others keep an existing file's mode.
    """
    before = path.stat() if path.exists() else None
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            os.fchmod(file.fileno(), 0o600 if secret else _mode(before))
            if before is not None and os.geteuid() == 0:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _mode(before: os.stat_result | None) -> int:
    return 0o644 if before is None else before.st_mode & 0o777
