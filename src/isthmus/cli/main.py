"""The command `isthmus`: finds the verb, runs it, and says what went wrong.

A verb's module is imported only when that verb is asked for, so that `isthmus --help` and shell
scripts that call light verbs do not pay for heavy ones. A verb is a function with typer's
annotations, or a `typer.Typer` with verbs of its own. To add one: write `isthmus/cli/NAME.py`
and add a line to `VERBS`. Packages above isthmus (the lab) add theirs as entry points of the
group `isthmus.commands`.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.output import error_console, print_problems
from isthmus.cli.options.environment import CA_CERT, CERTIFICATE, PRIVATE_KEY
from isthmus.model.problems import Subject

EXTENSIONS = "isthmus.commands"
"""The group of entry points with which other packages add verbs."""

STAND_IN = "ovn-ic"
"""The verb that the program is if it is started by that name."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and where it is.

    Args:
        name: as typed.
        target: "module:attribute" of a function, a `typer.Typer`, or a class of commands that
            parse their own arguments.
        summary: one line for `isthmus --help`; if empty, help imports the verb to ask it.
    """

    name: str
    target: str
    summary: str = ""


VERBS: tuple[Verb, ...] = (
    Verb("run", "isthmus.cli.run:run", "Interconnect this cluster."),
    Verb(
        "ovn-ic",
        "isthmus.cli.ovn_ic.command:verb",
        "Run the engine alone, in place of OVN's ovn-ic.",
    ),
    Verb("status", "isthmus.cli.status:status", "Say whether this cluster is joined, or why not."),
    Verb("show", "isthmus.cli.show:show", "Show zones, gateways, tunnels and ports."),
    Verb("routes", "isthmus.cli.routes:routes", "Show advertised and learned routes."),
    Verb("engine", "isthmus.cli.engine:app", "Look into the engine: counters, and why a route is."),
    Verb("zone", "isthmus.cli.zone:app", "Decide about availability zones."),
    Verb("ic-db", "isthmus.cli.ic_db.run:app", "Serve the interconnection databases."),
    Verb("pki", "isthmus.cli.pki:app", "Make the certificates of the interconnection databases."),
)


def known_verbs() -> dict[str, Verb]:
    """All verbs by name, in the order of `--help`; isthmus's own win over extensions."""
    verbs = {verb.name: verb for verb in VERBS}
    for extension in sorted(entry_points(group=EXTENSIONS)):
        verbs.setdefault(extension.name, Verb(extension.name, extension.value))
    return verbs


def load(verb: Verb) -> Any:
    """Import a verb and make it the command that typer runs.

    Raises:
        CommandError: its module cannot be imported.
    """
    module, _, attribute = verb.target.partition(":")
    try:
        found: typer.Typer | type[TyperCommand] | Callable[..., None] = getattr(
            importlib.import_module(module), attribute
        )
    except ImportError as error:
        raise CommandError(
            Subject(f"command {verb.name}", verb.target).problem(
                f"cannot be loaded: {error}", "install the package that provides it again"
            )
        ) from error
    if isinstance(found, type) and issubclass(found, TyperCommand):
        return found(name=verb.name, help=verb.summary)
    parent = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=verb.name)
    else:
        parent.command(verb.name)(found)
    return typer.main.get_group(parent).commands[verb.name]


class Verbs(TyperGroup):
    """The group of all verbs, each imported when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """The names of all verbs."""
        return list(known_verbs())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's signature
        """The command of that name, or None."""
        if cmd_name not in self.commands and cmd_name in known_verbs():
            self.commands[cmd_name] = load(known_verbs()[cmd_name])
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb that was typed; a misspelt one is answered with what may be meant."""
        if args and args[0] not in known_verbs():
            self._describe()
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print help from the verbs' summaries."""
        self._describe()
        super().format_help(ctx, formatter)

    def _describe(self) -> None:
        for verb in known_verbs().values():
            if verb.name not in self.commands:
                self.commands[verb.name] = _described(verb)


def _described(verb: Verb) -> Any:
    if verb.summary:
        return TyperCommand(name=verb.name, help=verb.summary)
    try:
        return load(verb)
    except CommandError as error:
        # Help must not fail because of one broken extension; running it says the rest.
        return TyperCommand(name=verb.name, help=f"({error.problems[0].message})")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {version('isthmus')}")
        raise typer.Exit


def _tls_option(flag: str, short: str, variable: str, what: str) -> Any:
    return typer.Option(flag, short, metavar="FILE", envvar=variable, help=what)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def isthmus(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    private_key: Annotated[
        str, _tls_option("--private-key", "-p", PRIVATE_KEY, "Our key, for ssl: remotes.")
    ] = "",
    certificate: Annotated[
        str, _tls_option("--certificate", "-c", CERTIFICATE, "Our certificate.")
    ] = "",
    ca_cert: Annotated[
        str, _tls_option("--ca-cert", "-C", CA_CERT, "Certificate of the servers' CA.")
    ] = "",
) -> None:
    """Join the pod networks of several clusters over OVN interconnection."""
    if private_key or certificate or ca_cert:
        # Imported when needed, as verbs are: it brings the ovs package.
        from isthmus.cli.options.tls import tls_of  # noqa: PLC0415

        tls = tls_of("isthmus", private_key, certificate, ca_cert)
        if tls is not None:
            tls.use()


def main() -> None:
    """Run the command line; the console script `isthmus`.

    Started through a link or script named `ovn-ic`, it is that verb, for scripts that know
    nothing of isthmus.

    Exit status: 0, done; 1, people must mend something (printed with its remedy); 2, wrong
    usage; 130, interrupted. Any other exception is a bug and is shown as it is.
    """
    try:
        if Path(sys.argv[0]).name == STAND_IN:
            load(known_verbs()[STAND_IN]).main(sys.argv[1:], prog_name=STAND_IN)
        typer.main.get_command(app).main(prog_name="isthmus")
    except CommandError as error:
        print_problems(error.problems)
        sys.exit(1)
    except KeyboardInterrupt:
        error_console().print("interrupted")
        sys.exit(130)
