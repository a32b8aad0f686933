"""`isthmus pki`: the CAs and certificates of the IC databases' members, zones and operators."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, print_json, print_lines, print_problems
from isthmus.files import read_file
from isthmus.icdb.local.hosts import normal_host
from isthmus.model.bounds import CREDENTIALS_FILE
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text
from isthmus.pki import ca_pair
from isthmus.pki.certificate_info import RENEW, CertificateInfo, parse_pem
from isthmus.pki.certificates import (
    CA_DAYS,
    LEAF_DAYS,
    IssueSpec,
    KeyPair,
    Kind,
    UnusableError,
    bundle,
    issue,
    renew,
)
from isthmus.pki.files import (
    TlsFiles,
    check_files,
    check_member_files,
    expiring,
    write_file,
    write_pair,
)

app = group("Create the certificates of the IC databases' members, zones and operators.")

CaOption = Annotated[
    Path, typer.Option("--ca", metavar="DIR", help="Directory of the CAs (`pki init`).")
]
DaysOption = Annotated[
    int, typer.Option(min=1, max=36500, metavar="DAYS", help="Days of validity.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Replace existing files.")]

DEFAULT_CA = Path("ca")


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory to write to.")
    ] = DEFAULT_CA,
    name: Annotated[
        str, typer.Option(help="Name of the CA.", show_default="IC databases, and the date")
    ] = "",
    days: DaysOption = CA_DAYS,
    yes: YesOption = False,
) -> None:
    """Create two CAs: DIR/ca.crt signs zones and operators, DIR/members.crt only members.

    Keep their keys, DIR/ca.key and DIR/members.key, secret, and on a host that does not serve the
    databases.
    """
    _refuse_existing(tuple(directory / file for file in ca_pair.FILES), yes=yes)
    # The date distinguishes a CA from the one that it replaces.
    name = name or f"IC databases {_now():%Y-%m-%d}"
    with _problems_of(f"CA {name}", directory):
        made = ca_pair.new_ca_pair(name, _now(), days)
        ca_pair.write(directory, made)
    for pair in (made.others, made.members):
        [info] = parse_pem(pair.certificate)
        print_lines(f"created CA {info.common_name} in {directory}, valid until {_day(info)}")


@app.command("issue")
def issue_(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    kind: Annotated[Kind, typer.Argument(help="Kind of the owner.")],
    name: Annotated[str, typer.Argument(help="The member's name, or the zone's (az-name).")],
    address: Annotated[
        list[str] | None,
        typer.Option(help="IP address or host name of a member; repeatable, or comma-separated."),
    ] = None,
    ca: CaOption = DEFAULT_CA,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory to write to.", show_default="./NAME"),
    ] = None,
    days: DaysOption = LEAF_DAYS,
    yes: YesOption = False,
) -> None:
    """Issue a certificate: tls.crt, tls.key and ca.crt in a directory.

    A member also gets members-ca.crt, which contains only the members' CA.

    The file names are those of cert-manager: `kubectl create secret generic NAME --from-file=DIR`
    creates a Secret that is used like one of cert-manager.
    """
    words = [word.strip() for text in address or [] for word in text.split(",")]
    addresses = tuple(_host(word) for word in words if word)
    member = kind is Kind.MEMBER
    if member and not addresses:
        message = "is not given, so other members and zones could not reach the member"
        raise _refused("--address", "", message, "add it for each IP address and host name")
    directory = out or _default_directory(name)
    files = TlsFiles(*(directory / file for file in ("tls.key", "tls.crt", "ca.crt")))
    trusted_files = (files.ca_cert, files.members_ca)
    _refuse_existing((files.certificate, files.private_key, *trusted_files), yes=yes)
    signer, trusted = _signer_and_trusted(ca, member=member)
    with _problems_of(f"{kind} {name}", directory):
        pair = issue(signer, IssueSpec(kind, name, addresses), _now(), days)
        write_pair(files, pair)
        ca_pair.write_trusted_cas(files, trusted)
    [info] = parse_pem(pair.certificate)
    print_lines(f"issued {kind} {name} in {directory}, valid until {_day(info)}")


@app.command("renew")
def renew_(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory that `pki issue` created.")
    ],
    ca: CaOption = DEFAULT_CA,
    days: DaysOption = LEAF_DAYS,
    before: Annotated[
        int | None,
        typer.Option(min=0, metavar="DAYS", help="Only if it expires within so many days."),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Replace a certificate and its key; names and uses stay the same.

    Running programs use the new files for new connections; existing connections stay open.
    """
    files = TlsFiles.in_directory(directory)
    info = _own(files)
    left = info.days_left(_now())
    if before is not None and left >= before:
        print_lines(f"{files.certificate} is valid for {left} days; nothing was changed")
        return
    signer, trusted = _signer_and_trusted(ca, member=ca_pair.is_member(info))
    with _problems_of(str(files.certificate), directory):
        pair = renew(signer, read_file(files.certificate, CREDENTIALS_FILE), _now(), days)
    _check_trusted(files, ca, trusted)
    _refuse_existing((files.certificate, files.private_key), yes=yes)
    with _problems_of(str(files.certificate), directory):
        write_pair(files, pair)
    print_lines(f"renewed {files.certificate}, valid until {_day(parse_pem(pair.certificate)[0])}")


@app.command("bundle")
def bundle_(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Directories of CAs (`pki init`), or certificates."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", help="Directory that `pki issue` created, or a file."
        ),
    ],
    yes: YesOption = False,
) -> None:
    """Make a member or a zone trust several CAs, to change from one to another.

    With directories, writes ca.crt in --out, and for a member members-ca.crt. With certificates,
    writes all of them to one file.
    """
    with _problems_of(", ".join(map(str, sources)), out):
        if out.is_dir():
            files = TlsFiles.in_directory(out)
            member = ca_pair.is_member(_own(files))
            all_trusted = [ca_pair.trusted_cas(source, member=member) for source in sources]
            trusted = ca_pair.combined(all_trusted)
            named = {files.ca_cert: trusted.all, files.members_ca: trusted.members}
        else:
            named = {out: bundle([read_file(path, CREDENTIALS_FILE) for path in sources])}
        written = {file: text for file, text in named.items() if text}
        _refuse_existing(tuple(written), yes=yes)
        for file, text in written.items():
            write_file(file, text)
    for file, text in written.items():
        for info in parse_pem(text):
            print_lines(f"{file}: {info.common_name}, valid until {_day(info)}")


@app.command()
def show(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Certificates, or directories of `issue`."),
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Show certificates, and their present and coming problems.

    Exit status: 0 if all are usable, else 1. Expiry within 30 days is only a warning.
    """
    now = _now()
    found = [(path, info) for path in paths for info in _certificates_in(path)]
    directories = [files for path in paths if (files := _files_in(path))]
    problems = [problem for files in directories for problem in _check(files, now)]
    problems += [
        Subject("command pki", "certificate", str(path)).problem(
            f"of {info.common_name} expired on {_day(info)}", RENEW
        )
        for path, info in found
        if path.is_file() and info.not_after <= now
    ]
    warnings = [problem for files in directories for problem in expiring(files, now)]
    if output is Output.JSON:
        entries = [_json(path, info, now) for path, info in found]
        texts = [str(problem) for problem in (*problems, *warnings)]
        print_json({"certificates": entries, "problems": texts})
    else:
        for path, info in found:
            print_lines(*_lines(path, info, now))
        print_problems((*problems, *warnings))
    raise typer.Exit(1 if problems else 0)


def _signer_and_trusted(ca: Path, *, member: bool) -> tuple[KeyPair, ca_pair.TrustedCas]:
    with _problems_of(str(ca), ca):
        return ca_pair.load_signer(ca, member=member), ca_pair.trusted_cas(ca, member=member)


def _own(files: TlsFiles) -> CertificateInfo:
    with _problems_of(str(files.certificate), files.certificate):
        return parse_pem(read_file(files.certificate, CREDENTIALS_FILE))[0]


def _files_in(path: Path) -> TlsFiles | None:
    """The files that `issue` wrote to a directory; None for anything else."""
    files = TlsFiles.in_directory(path)
    return files if path.is_dir() and files.certificate.exists() else None


def _certificates_in(path: Path) -> Iterator[CertificateInfo]:
    if files := _files_in(path):
        required, optional = [files.certificate, files.ca_cert], files.members_ca
    elif path.is_dir():
        required, optional = [path / ca_pair.CERTIFICATE], path / ca_pair.MEMBERS_CERTIFICATE
    else:
        required, optional = [path], path / "none"
    for file in (*required, *([optional] if optional.exists() else ())):
        with _problems_of(str(file), file):
            yield from parse_pem(read_file(file, CREDENTIALS_FILE))


def _check(files: TlsFiles, now: datetime.datetime) -> tuple[Problem, ...]:
    if files.members_ca.exists():
        return check_member_files(files, now)
    return check_files(files, now, serves=_own(files).kind is Kind.MEMBER)


def _json(path: Path, info: CertificateInfo, now: datetime.datetime) -> dict[str, object]:
    fields = asdict(info)
    name, unit = fields.pop("common_name"), fields.pop("unit")
    fields |= {key: fields[key].isoformat() for key in ("not_before", "not_after")}
    kind = "authority" if info.authority else unit
    return {
        "path": str(path),
        "name": name,
        "kind": kind,
        "days_left": info.days_left(now),
    } | fields


def _lines(path: Path, info: CertificateInfo, now: datetime.datetime) -> Iterator[str]:
    kind = "CA" if info.authority else info.unit or "certificate"
    left = f"{info.days_left(now)} days left" if info.not_after > now else "expired"
    yield f"{path}: {kind} {info.common_name or info.subject}"
    yield f"  valid until {_day(info)} ({left}), issued by {info.issuer}"
    if info.names:
        yield f"  names: {', '.join(info.names)}"
    if info.purposes:
        yield f"  usage: {' and '.join(info.purposes)}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _day(info: CertificateInfo) -> str:
    return f"{info.not_after:%Y-%m-%d}"


def _refuse_existing(paths: tuple[Path, ...], *, yes: bool) -> None:
    remedy = "add --yes to replace it, or use another path"
    if not yes:
        raise_if_any(
            Subject("command pki", "file", str(path)).problem("exists already", remedy)
            for path in paths
            if path.exists()
        )


def _check_trusted(files: TlsFiles, ca: Path, trusted: ca_pair.TrustedCas) -> None:
    """Refuse a renewal that peers would reject, assuming that they trust what our files contain."""
    directory = files.certificate.parent
    for file, wanted in ((files.ca_cert, trusted.all), (files.members_ca, trusted.members)):
        held = list(_certificates_in(file)) if file.exists() else []
        if not wanted or {i.sha256 for i in parse_pem(wanted)} <= {i.sha256 for i in held}:
            continue
        message = f"does not contain the CAs in {ca}, so peers would refuse the certificate"
        remedy = (
            f"first make it and all peers trust both: `isthmus pki bundle {directory} {ca}"
            f" --out {directory} --yes`"
        )
        raise _refused(file.name, str(file), message, remedy)


@contextmanager
def _problems_of(what: str, path: Path) -> Iterator[None]:
    """Report unsuitable certificates of `what`, and files at `path` that cannot be accessed."""
    try:
        yield
    except UnusableError as error:
        remedy = "inspect it with `isthmus pki show`, and use another one"
        raise _refused(what, "", str(error), remedy) from error
    except OSError as error:
        message = f"cannot be read or written: {failure_text(error)}"
        remedy = "use an accessible path; `isthmus pki init` creates CAs"
        raise _refused("file", str(error.filename or path), message, remedy) from error


def _host(text: str) -> str:
    host = normal_host(text)
    if not host:
        message = "is neither an IP address nor a host name"
        remedy = "write e.g. 192.0.2.1, fd00::1 or ic-1.example.org, without a port"
        raise _refused("--address", text, message, remedy)
    return host


def _default_directory(name: str) -> Path:
    if not name or "/" in name or name in {".", ".."}:
        message = "is not a valid directory name, so the key would be written elsewhere"
        raise _refused("NAME", name, message, "add --out, or use another name")
    return Path(name)


def _refused(key: str, value: str, message: str, remedy: str) -> CommandError:
    return CommandError(Subject("command pki", key, value).problem(message, remedy))
