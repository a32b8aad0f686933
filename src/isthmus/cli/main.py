"""The command `isthmus`: finds the verb, runs it, and prints errors.

A verb's module is imported only when that verb is called, so that `isthmus --help` and shell
scripts that call light verbs do not wait for the imports of heavy ones. A verb is a function with
typer's annotations, or a `typer.Typer` with verbs of its own. To add one, write
`isthmus/cli/NAME.py` and add a line to `VERBS`. Packages above isthmus (the lab) add theirs as
entry points of the group `isthmus.commands`.
"""

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import print_lines, print_problems
from isthmus.cli.options.environment import CA_CERT, CERTIFICATE, PRIVATE_KEY
from isthmus.model.problems import Subject
from isthmus.model.text import FULL_DISK, failure_text

EXTENSIONS = "isthmus.commands"
"""The group of entry points with which other packages add verbs."""

STAND_IN = "ovn-ic"
"""The verb that runs if the program is started by this name."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and where its code is.

    Args:
        name: as typed.
        target: "module:attribute" of a function, a `typer.Typer`, a class of commands that parse
            their own arguments, or (of an extension) a `Verb` with a summary.
        summary: one line for `isthmus --help`; if empty, help imports the target to get it.
        extra: the extra of the package isthmus with the libraries that only this verb imports.
    """

    name: str
    target: str
    summary: str = ""
    extra: str = ""


VERBS: tuple[Verb, ...] = (
    Verb("run", "isthmus.cli.run:run", "Interconnect this cluster with others."),
    Verb(
        "ovn-ic",
        "isthmus.cli.ovn_ic.command:verb",
        "Run only the interconnection engine, in place of OVN's ovn-ic.",
    ),
    Verb(
        "status",
        "isthmus.cli.status:status",
        "Show whether this cluster has joined and, if not, why.",
    ),
    Verb("show", "isthmus.cli.show:show", "Show zones, gateways, tunnels and ports."),
    Verb("routes", "isthmus.cli.routes:routes", "Show advertised and learned routes."),
    Verb(
        "engine",
        "isthmus.cli.engine:app",
        "Inspect the engine: counters, and why a route is or is not exchanged.",
    ),
    Verb("zone", "isthmus.cli.zone:app", "Manage availability zones."),
    Verb("ic-db", "isthmus.cli.ic_db.run:app", "Operate the interconnection databases."),
    Verb("pki", "isthmus.cli.pki:app", "Manage the certificates of the interconnection databases."),
)


def known_verbs() -> dict[str, Verb]:
    """All verbs by name, in the order of `--help`; isthmus's own take precedence."""
    verbs = {verb.name: verb for verb in VERBS}
    for extension in sorted(_extensions()):
        verbs.setdefault(extension.name, Verb(extension.name, extension.value))
    return verbs


def _extensions() -> Any:
    # Reading the metadata of all installed packages takes longer than a light verb.
    from importlib.metadata import entry_points  # noqa: PLC0415

    return entry_points(group=EXTENSIONS)


def _own(name: str) -> Verb | None:
    return next((verb for verb in VERBS if verb.name == name), None)


def load(verb: Verb) -> Any:
    """Import a verb, and make it the command that typer runs.

    Raises:
        CommandError: the verb's module cannot be imported.
    """
    found = _import(verb)
    if isinstance(found, Verb):
        return load(found)
    if isinstance(found, type) and issubclass(found, TyperCommand):
        return found(name=verb.name, help=verb.summary)
    parent = group()
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=verb.name)
    else:
        parent.command(verb.name)(found)
    return typer.main.get_group(parent).commands[verb.name]


def _import(verb: Verb) -> Any:
    module, _, attribute = verb.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        remedy = "reinstall the package that provides the command"
        if verb.extra:
            remedy = f"install the libraries of the command: pip install 'isthmus[{verb.extra}]'"
        subject = Subject(f"command {verb.name}", verb.target)
        raise CommandError(
            subject.problem(f"cannot be loaded: {failure_text(error)}", remedy)
        ) from error


class LazyVerb(TyperCommand):
    """A verb as `isthmus --help` lists it, imported when it is called."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(name=verb.name, short_help=_summary(verb))
        self.verb = verb

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Continue with the real command."""
        return load(self.verb).make_context(*args, **options)


class Verbs(TyperGroup):
    """The group of all verbs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: LazyVerb(verb) for name, verb in known_verbs().items()}


def _summary(verb: Verb) -> str:
    try:
        found = verb if verb.summary else _import(verb)
    except CommandError as error:
        # Help must not fail because of one broken extension; running it reports the rest.
        return f"({error.problems[0].message})"
    return found.summary if isinstance(found, Verb) else load(verb).get_short_help_str()


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version  # noqa: PLC0415 - slow, see _extensions

        print_lines(f"isthmus {version('isthmus')}")
        raise typer.Exit


def _file(flag: str, short: str, variable: str, description: str) -> Any:
    return typer.Option(flag, short, metavar="FILE", envvar=variable, help=description)


_SETTINGS = {"help_option_names": ["-h", "--help"]}

app = group(cls=Verbs, context_settings=_SETTINGS)


@app.callback()
def isthmus(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    private_key: Annotated[
        str, _file("--private-key", "-p", PRIVATE_KEY, "Private key for ssl: remotes.")
    ] = "",
    certificate: Annotated[
        str, _file("--certificate", "-c", CERTIFICATE, "Certificate of the private key.")
    ] = "",
    ca_cert: Annotated[
        str, _file("--ca-cert", "-C", CA_CERT, "Certificate of the CA that signs servers.")
    ] = "",
) -> None:
    """Connect the pod networks of several Kube-OVN clusters through OVN interconnection."""
    if private_key or certificate or ca_cert:
        # Imports the ovs package, which light verbs do not need.
        from isthmus.cli.options.tls import tls_of  # noqa: PLC0415

        if tls := tls_of("isthmus", private_key, certificate, ca_cert):
            tls.use()


def main() -> None:
    """Run the command line; the console script `isthmus`.

    Started through a link or script named `ovn-ic`, it runs the verb of that name, for scripts
    that were written for OVN's daemon.

    Exit status: 0, success; 1, an error that the operator must fix (printed with its remedy); 2,
    wrong usage; 130, interrupted. Any other exception, except for a full disk, is a bug and is not
    caught.
    """
    try:
        if Path(sys.argv[0]).name == STAND_IN and (stand_in := _own(STAND_IN)):
            load(stand_in).main(sys.argv[1:], prog_name=STAND_IN)
        verb = _own(sys.argv[1]) if len(sys.argv) > 1 else None
        if verb and not os.environ.keys() & {PRIVATE_KEY, CERTIFICATE, CA_CERT}:
            # Without options before the verb, skip the group: parsing even absent ones is slow.
            load(verb).main(sys.argv[2:], prog_name=f"isthmus {verb.name}", **_SETTINGS)
        typer.main.get_command(app).main(prog_name="isthmus")
    except CommandError as error:
        print_problems(error.problems)
        sys.exit(1)
    except OSError as error:
        if failure_text(error) != FULL_DISK:
            raise
        where = Subject(f"file {error.filename}" if error.filename else "temporary files or output")
        print_problems((where.problem(f"cannot be written: {FULL_DISK}", "free space"),))
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
