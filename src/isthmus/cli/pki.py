"""`isthmus pki`: the authorities and the certificates of the IC databases' members and zones."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, console, print_json, print_problems
from isthmus.icdb.local.hosts import normal_host
from isthmus.model.problems import Problem, Subject
from isthmus.pki import ca_pair as authorities
from isthmus.pki.certificate_info import RENEW, Look, looks
from isthmus.pki.certificates import (
    AUTHORITY_DAYS,
    LEAF_DAYS,
    Kind,
    UnusableError,
    Wish,
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

_T = TypeVar("_T")

app = group()

CaOption = Annotated[
    Path, typer.Option("--ca", metavar="DIR", help="Directory of the authorities (`pki init`).")
]
DaysOption = Annotated[
    int, typer.Option(min=1, max=36500, metavar="DAYS", help="How long it is good.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Replace files that exist.")]

DEFAULT_CA = Path("ca")


@app.callback()
def pki() -> None:
    """Make the certificates of the IC databases' members and zones."""


@app.command("init")
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.")] = DEFAULT_CA,
    name: Annotated[
        str, typer.Option(help="The authority's name.", show_default="IC databases, and the date")
    ] = "",
    days: DaysOption = AUTHORITY_DAYS,
    yes: YesOption = False,
) -> None:
    """Make two authorities: DIR/ca.crt signs zones and operators, DIR/members.crt members alone.

    Their keys, DIR/ca.key and DIR/members.key, are for nobody else: keep the directory on a machine
    of yours, not on those that serve the databases.
    """
    _refuse_existing(tuple(directory / file for file in authorities.FILES), yes=yes)
    # One that replaces another is to be told from it.
    name = name or f"IC databases {_now():%Y-%m-%d}"
    made = _usable(f"authority {name}", lambda: authorities.new_authorities(name, _now(), days))
    _written(directory, lambda: authorities.write(directory, made))
    for pair in (made.others, made.members):
        [seen] = looks(pair.certificate)
        until = _day(seen)
        console().print(f"made the authority {seen.common_name} in {directory}, good until {until}")


@app.command("issue")
def issue_(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    kind: Annotated[Kind, typer.Argument(help="Whom it is for.")],
    name: Annotated[str, typer.Argument(help="The member's name, or the zone's (az-name).")],
    address: Annotated[
        list[str] | None,
        typer.Option(help="IP address or host name of a member; repeatable, or with commas."),
    ] = None,
    ca: CaOption = DEFAULT_CA,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to put it.", show_default="./NAME")
    ] = None,
    days: DaysOption = LEAF_DAYS,
    yes: YesOption = False,
) -> None:
    """Issue a certificate to a member or a zone: tls.crt, tls.key and ca.crt in a directory.

    A member gets members-ca.crt as well, which holds the members' authority alone.

    The names are cert-manager's: `kubectl create secret generic NAME --from-file=DIR` makes a
    Secret that deploys like one of its own.
    """
    words = [word.strip() for text in address or [] for word in text.split(",")]
    addresses = tuple(_host(word) for word in words if word)
    if kind is Kind.MEMBER and not addresses:
        raise CommandError(_no_address(name))
    directory = out or _directory(kind, name)
    files = TlsFiles(*(directory / file for file in ("tls.key", "tls.crt", "ca.crt")))
    trusted = (files.ca_cert, files.members_ca)
    _refuse_existing((files.certificate, files.private_key, *trusted), yes=yes)
    member = kind is Kind.MEMBER
    authority = _read(ca, lambda: authorities.signer_in(ca, member=member))
    trust = _trust(ca, member=member)
    wish = Wish(kind, name, addresses)
    pair = _usable(f"{kind} {name}", lambda: issue(authority, wish, _now(), days))
    _written(directory, lambda: write_pair(files, pair))
    _written(directory, lambda: authorities.write_trust(files, trust))
    [made] = looks(pair.certificate)
    console().print(f"issued the certificate of {kind} {name} in {directory}, until {_day(made)}")


@app.command("renew")
def renew_(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What `pki issue` made.")],
    ca: CaOption = DEFAULT_CA,
    days: DaysOption = LEAF_DAYS,
    before: Annotated[
        int | None,
        typer.Option(min=0, metavar="DAYS", help="Only if it ends within so many days."),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Replace a certificate and its key by new ones for the same names and uses.

    Programs that use them take the new ones up by themselves, for new connections; existing
    connections go on.
    """
    files = TlsFiles.in_directory(directory)
    old = _read(files.certificate, files.certificate.read_bytes)
    seen = _looks_in(files.certificate, old)[0]
    left = seen.days_left(_now())
    if before is not None and left >= before:
        console().print(f"{files.certificate} is good for {left} days; nothing was changed")
        return
    member = authorities.is_member(seen)
    authority = _read(ca, lambda: authorities.signer_in(ca, member=member))
    pair = _usable(str(files.certificate), lambda: renew(authority, old, _now(), days))
    _check_trusted(files, ca, _trust(ca, member=member))
    _refuse_existing((files.certificate, files.private_key), yes=yes)
    _written(directory, lambda: write_pair(files, pair))
    console().print(f"renewed {files.certificate}, until {_day(looks(pair.certificate)[0])}")


@app.command("bundle")
def bundle_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Directories of authorities (`pki init`), or certificates."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PATH", help="What `pki issue` made, or a file."),
    ],
    yes: YesOption = False,
) -> None:
    """Have a member or a zone believe several authorities, to change from one to the next.

    With directories, ca.crt in --out, and a member's members-ca.crt, get what each is to hold;
    with certificates, all are put into one file.
    """
    if out.is_dir():
        _bundle_directory(sources, out, yes=yes)
        return
    read = [_read(path, path.read_bytes) for path in sources]
    together = _usable(", ".join(map(str, sources)), lambda: bundle(read))
    _refuse_existing((out,), yes=yes)
    _written(out, lambda: write_file(out, together))
    for seen in looks(together):
        console().print(f"{out}: {seen.common_name}, until {_day(seen)}")


@app.command("show")
def show(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Certificates, or directories as `issue` makes."),
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what certificates say, and what is or will soon be wrong with them.

    Exit status: 0 if all can be used, else 1. Ending within 30 days is a warning only.
    """
    now = _now()
    found = [(path, seen) for path in paths for seen in _looked_at(path)]
    problems = [problem for path in paths for problem in _problems(path, now)]
    notes = [note for path in paths for note in _notes(path, now)]
    problems += [_expired(path, s) for path, s in found if path.is_file() and s.not_after <= now]
    if output is Output.JSON:
        entries = [_json(path, seen, now) for path, seen in found]
        print_json({"certificates": entries, "problems": [str(p) for p in (*problems, *notes)]})
    else:
        for path, seen in found:
            _print(path, seen, now)
        print_problems((*problems, *notes))
    raise typer.Exit(1 if problems else 0)


def _bundle_directory(sources: list[Path], out: Path, *, yes: bool) -> None:
    files = TlsFiles.in_directory(out)
    member = authorities.is_member(_own(files))
    trusts = [_trust(source, member=member) for source in sources]
    together = _usable(", ".join(map(str, sources)), lambda: authorities.together(trusts))
    named = ((files.ca_cert, together.all), (files.members_ca, together.members))
    written = [(file, text) for file, text in named if text]
    _refuse_existing(tuple(file for file, _ in written), yes=yes)
    _written(out, lambda: authorities.write_trust(files, together))
    for file, text in written:
        for seen in looks(text):
            console().print(f"{file}: {seen.common_name}, until {_day(seen)}")


def _own(files: TlsFiles) -> Look:
    return _looks_in(files.certificate, _read(files.certificate, files.certificate.read_bytes))[0]


def _trust(directory: Path, *, member: bool) -> authorities.Trust:
    def read() -> authorities.Trust:
        return _read(directory, lambda: authorities.trust_in(directory, member=member))

    return _usable(str(directory), read)


def _looked_at(path: Path) -> tuple[Look, ...]:
    files = TlsFiles.in_directory(path) if path.is_dir() else None
    if files is None:
        wanted = [path]
    elif files.certificate.exists():
        wanted = [files.certificate, files.ca_cert, *_if_there(files.members_ca)]
    else:
        members = path / authorities.MEMBERS_CERTIFICATE
        wanted = [path / authorities.CERTIFICATE, *_if_there(members)]
    texts = [(file, _read(file, file.read_bytes)) for file in wanted]
    return tuple(seen for file, text in texts for seen in _looks_in(file, text))


def _if_there(path: Path) -> tuple[Path, ...]:
    return (path,) if path.exists() else ()


def _looks_in(file: Path, text: bytes) -> tuple[Look, ...]:
    return _usable(str(file), lambda: looks(text))


def _files_in(path: Path) -> TlsFiles | None:
    files = TlsFiles.in_directory(path)
    return files if path.is_dir() and files.certificate.exists() else None


def _problems(path: Path, now: datetime.datetime) -> tuple[Problem, ...]:
    files = _files_in(path)
    if files is None:
        return ()
    if files.members_ca.exists():
        return check_member_files(files, now)
    return check_files(files, now, serves=_own(files).kind is Kind.MEMBER)


def _notes(path: Path, now: datetime.datetime) -> tuple[Problem, ...]:
    files = _files_in(path)
    return () if files is None else expiring(files, now)


def _json(path: Path, seen: Look, now: datetime.datetime) -> dict[str, object]:
    return {
        "path": str(path),
        "name": seen.common_name,
        "kind": "authority" if seen.authority else seen.unit,
        "subject": seen.subject,
        "issuer": seen.issuer,
        "serial": seen.serial,
        "not_before": seen.not_before.isoformat(),
        "not_after": seen.not_after.isoformat(),
        "days_left": seen.days_left(now),
        "names": list(seen.names),
        "purposes": list(seen.purposes),
        "authority": seen.authority,
        "sha256": seen.sha256,
    }


def _print(path: Path, seen: Look, now: datetime.datetime) -> None:
    out = console()
    what = "authority" if seen.authority else seen.unit or "certificate"
    left = seen.days_left(now)
    age = f"{left} days left" if seen.not_after > now else "expired"
    out.print(f"{path}: {what} {seen.common_name or seen.subject}")
    out.print(f"  until {_day(seen)} ({age}), issued by {seen.issuer}")
    if seen.names:
        out.print(f"  for {', '.join(seen.names)}")
    if seen.purposes:
        out.print(f"  as {' and '.join(seen.purposes)}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _day(seen: Look) -> str:
    return f"{seen.not_after:%Y-%m-%d}"


def _refuse_existing(paths: tuple[Path, ...], *, yes: bool) -> None:
    remedy = "give --yes to replace it, or another place"
    if not yes:
        raise_if_any(
            Subject("command pki", "file", str(path)).problem("exists already", remedy)
            for path in paths
            if path.exists()
        )


def _check_trusted(files: TlsFiles, ca: Path, trust: authorities.Trust) -> None:
    """Peers are assumed to be as far as we are: our files must hold the authorities first."""
    directory = files.certificate.parent
    for file, wanted in ((files.ca_cert, trust.all), (files.members_ca, trust.members)):
        if not wanted or {seen.sha256 for seen in looks(wanted)} <= _held(file):
            continue
        message = f"does not hold the authorities in {ca}; peers would refuse the certificate"
        remedy = (
            f"first have it and all peers believe both: `isthmus pki bundle {directory} {ca}"
            f" --out {directory} --yes`"
        )
        raise CommandError(Subject("command pki", file.name, str(file)).problem(message, remedy))


def _held(file: Path) -> set[str]:
    if not file.exists():
        return set()
    return {seen.sha256 for seen in _looks_in(file, _read(file, file.read_bytes))}


def _read(path: Path, reading: Callable[[], _T]) -> _T:
    try:
        return reading()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        remedy = "name what exists and this user may read; `isthmus pki init` makes authorities"
        problem = Subject("command pki", "file", str(error.filename or path)).problem(
            message, remedy
        )
        raise CommandError(problem) from error


def _written(path: Path, writing: Callable[[], None]) -> None:
    try:
        writing()
    except OSError as error:
        message = f"cannot be written: {error.strerror}"
        remedy = "name a place that this user may write to"
        raise CommandError(
            Subject("command pki", "file", str(path)).problem(message, remedy)
        ) from error


def _usable(what: str, doing: Callable[[], _T]) -> _T:
    try:
        return doing()
    except UnusableError as error:
        remedy = "look at it with `isthmus pki show`, and give what fits"
        raise CommandError(Subject("command pki", what).problem(str(error), remedy)) from error


def _host(text: str) -> str:
    host = normal_host(text)
    if not host:
        message = "is neither an IP address nor a host name"
        remedy = "write e.g. 192.0.2.1, fd00::1 or ic-1.example.org, without a port"
        raise CommandError(Subject("command pki", "--address", text).problem(message, remedy))
    return host


def _directory(kind: Kind, name: str) -> Path:
    """Where to put what is issued if it is not said: in a directory here, and nowhere else."""
    if not name or "/" in name or name in {".", ".."}:
        message = "is no name of a directory, so that the key would be written elsewhere"
        raise CommandError(
            Subject(f"{kind} {name}", "NAME", name).problem(message, "give --out, or another name")
        )
    return Path(name)


def _no_address(name: str) -> Problem:
    message = "needs the addresses under which the other members and the zones reach it"
    remedy = "give --address once for each IP address and host name"
    return Subject(f"member {name}", "--address").problem(message, remedy)


def _expired(path: Path, seen: Look) -> Problem:
    message = f"of {seen.common_name} expired on {_day(seen)}"
    return Subject("command pki", "certificate", str(path)).problem(message, RENEW)
