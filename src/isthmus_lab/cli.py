"""The verbs `isthmus lab …`; found by way of `isthmus_lab.verb`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, console, error_console, print_json
from isthmus_lab.build import removal
from isthmus_lab.build.requirements import require_root
from isthmus_lab.demo import DEFAULT, LIMIT_S, Demo
from isthmus_lab.errors import lab_error
from isthmus_lab.kube import assets
from isthmus_lab.lab import Lab
from isthmus_lab.status import LabStatus, status_of
from isthmus_lab.system import netns, processes
from isthmus_lab.text import columns, command
from isthmus_lab.topology import schema as topology
from isthmus_lab.topology.layout import STATE_VARIABLE, Layout, state_base

app = group("Run real clusters on this machine, to try Isthmus on.")

NameOption = Annotated[
    str, typer.Option("--name", "-n", envvar="ISTHMUS_LAB_NAME", help="The lab.")
]
RenameOption = Annotated[
    str, typer.Option("--name", "-n", help="Call the lab this instead of the file's name.")
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar=STATE_VARIABLE, help="The directory of all labs."),
]
KubeOption = Annotated[
    bool, typer.Option("--kube", help="Give every cluster a Kubernetes API server.")
]
NoJoinOption = Annotated[
    bool, typer.Option("--no-join", help="Do not write ovn-ic-config: the clusters stay apart.")
]


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error that something is going on, and each thing reached with its time.

    Yields:
        What to call with a line for each thing reached.
    """
    out, start = error_console(), time.monotonic()
    with out.status(what):
        yield lambda line: out.print(f"{time.monotonic() - start:5.1f} s  {line}")


@app.command()
def up(
    file: Annotated[
        str, typer.Argument(metavar="[TOPOLOGY]", help="A topology file, or a built-in name.")
    ] = DEFAULT,
    name: RenameOption = "",
    no_join: NoJoinOption = False,
    kube: KubeOption = False,
    state: StateOption = None,
) -> None:
    """Build a lab; one of the same name is removed first."""
    wanted = _load(file, name, kube=kube)
    with progress(f"building the lab {wanted.name}") as report:
        lab = Lab.up(wanted, join=not no_join, report=report, base=state)
        report(f"the lab {wanted.name} is up")
    _say_next(lab)


@app.command()
def add(
    file: Annotated[
        str, typer.Argument(metavar="TOPOLOGY", help="A file with `clusters`, or a built-in name.")
    ],
    name: NameOption = DEFAULT,
    no_join: NoJoinOption = False,
    state: StateOption = None,
) -> None:
    """Add clusters to a lab that is up; the others go on undisturbed."""
    require_root()
    with progress(f"adding to the lab {name}") as report:
        Lab.attach(name, state, report).add(topology.find(file), join=not no_join)
        report(f"{file} added to the lab {name}")


@app.command()
def down(
    name: NameOption = DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="Every lab on this machine.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Remove a lab: its processes, namespaces, links and files, however it was left."""
    base = state or state_base()
    names = removal.known(base) if every else [name]
    if not names:
        error_console().print("there is no lab")
    for lab in names:
        found = removal.find(Layout(lab, base)) if dry_run else Lab.down(lab, base)
        if not found:
            error_console().print(f"there is no lab {lab}: nothing to do")
            continue
        error_console().print(
            f"{'would remove' if dry_run else 'removed'} the lab {lab}:"
            f" {len(found.processes)} processes, {len(found.namespaces)} namespaces"
            + (f", {found.directory}" if found.directory else "")
        )
        if dry_run:
            for process in found.processes:
                console().print(f"process {process.pid} {process.daemon}".rstrip())
            for namespace in found.namespaces:
                console().print(f"namespace {namespace}")


@app.command()
def status(
    name: NameOption = DEFAULT, output: OutputOption = Output.TEXT, state: StateOption = None
) -> None:
    """Show clusters, nodes, daemons, tunnels and pods; exit 1 if something does not run."""
    require_root()
    found = status_of(Lab.attach(name, state))
    if output is Output.JSON:
        print_json({**asdict(found), "whole": found.whole})
    else:
        _print_status(found)
    if not found.whole:
        raise typer.Exit(1)


@app.command(
    name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
def execute(
    host: Annotated[str, typer.Argument(metavar="NODE|POD", help='A node, a pod, "ic" or "ic-1".')],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND…]", help="What to run; a shell.")
    ] = None,
    name: NameOption = DEFAULT,
    state: StateOption = None,
) -> None:
    """Run a command on a node or in a pod, with OVN's tools set to its databases."""
    require_root()
    # click leaves the separator in when it comes after the first argument.
    words = command[1:] if command and command[0] == "--" else command or []
    _become(Lab.attach(name, state), host, words or [os.environ.get("SHELL") or "sh"])


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def kubectl(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster, e.g. az1.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT…]", help="What kubectl is to do.")
    ] = None,
    name: NameOption = DEFAULT,
    state: StateOption = None,
) -> None:
    """Run kubectl as the administrator of a cluster of a lab that was made with --kube."""
    require_root()
    lab = Lab.attach(name, state)
    words = arguments[1:] if arguments and arguments[0] == "--" else arguments or []
    host = lab.kube_cluster(cluster).plan.central.name
    _become(lab, host, [assets.required(assets.KUBECTL), *words])


def _become(lab: Lab, host: str, words: list[str]) -> NoReturn:
    """Go on as another program on a node or in a pod. Raises: LabError."""
    namespace, env = lab.host(host)
    netns.enter(namespace)
    try:
        os.execvpe(words[0], words, processes.environment(env))  # noqa: S606 - no shell wanted
    except OSError as error:
        raise lab_error(
            f"command {words[0]}", f"cannot be run: {error.strerror}", "check its name"
        ) from error


@app.command()
def logs(  # noqa: PLR0913, PLR0917 - the options of a verb
    host: Annotated[str, typer.Argument(metavar="[NODE]", help='A node, "ic" or "ic-1".')] = "",
    daemon: Annotated[str, typer.Argument(metavar="[DAEMON]", help="E.g. isthmus.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", min=0, help="Last lines of each.")] = 20,
    name: NameOption = DEFAULT,
    state: StateOption = None,
) -> None:
    """Print the ends of logs, of one node or of all."""
    layout = Lab.attach(name, state).layout
    files = sorted(layout.root.glob(f"nodes/{host or '*'}/log/{daemon or '*'}.log"))
    if not files:
        known = sorted(path.relative_to(layout.root) for path in layout.root.glob("nodes/*/log/*"))
        raise lab_error(
            f"lab {name}",
            "there is no such log",
            f"use one of {', '.join(f'{path.parts[1]} {path.stem}' for path in known)}",
            key="log",
            value=f"{host} {daemon}".strip(),
        )
    options = ["-F"] if follow else []
    command = ["tail", "-n", str(lines), *options, *map(str, files)]
    os.execvp(command[0], command)  # noqa: S606 - no shell wanted


@app.command()
def demo(
    file: Annotated[
        str, typer.Argument(metavar="[TOPOLOGY]", help="A topology file, or a built-in name.")
    ] = DEFAULT,
    name: RenameOption = "",
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long a change may take.")
    ] = LIMIT_S,
    kube: KubeOption = False,
) -> None:
    """Build a lab, join its clusters and show pods reaching each other; exit 0 if all held."""
    shown = Demo(console(), limit)
    lab = shown.run(_load(file, name, kube=kube))
    out = console()
    out.print("\nSummary", style="bold")
    out.print(shown.summary())
    out.print(f"\n{'Everything held.' if shown.passed else 'NOT everything held.'} The lab is up.")
    _say_next(lab)
    if not shown.passed:
        raise typer.Exit(1)


def _load(file: str, name: str, *, kube: bool) -> topology.Topology:
    wanted = topology.load(topology.find(file), name=name)
    return wanted.model_copy(update={"kubernetes": True}) if kube else wanted


def _say_next(lab: Lab) -> None:
    name, node, pod = lab.layout.lab, lab.plan.nodes[0].name, next(iter(lab.plan.pods), None)
    option = [] if name == DEFAULT else ["-n", name]
    hints = [
        ("what runs", command("lab", "status", *option)),
        ("zones and ports", command("lab", "exec", *option, node, "--", "isthmus", "show")),
        ("routes", command("lab", "exec", *option, node, "--", "isthmus", "routes")),
        ("OVN's own view", command("lab", "exec", *option, node, "--", "ovn-nbctl", "show")),
    ]
    if pod is not None:
        hints.append(("a shell in a pod", command("lab", "exec", *option, pod.name)))
    if lab.plan.topology.kubernetes:
        subnets = [lab.plan.clusters[0].name, "get", "subnets"]
        hints.append(("Kubernetes", command("lab", "kubectl", *option, *subnets)))
    if name == DEFAULT:
        hints.append(("a third cluster", command("lab", "add", "third-cluster")))
    remove = f"make down, or {command('lab', 'down')}" if name == DEFAULT else ""
    hints.append(("remove it all", remove or command("lab", "down", *option)))
    error_console().print("\n" + columns(("TO SEE OR DO", "TYPE"), hints))


def _print_status(found: LabStatus) -> None:
    out = console()
    ic = [
        (one.name, one.address, _summary(one.daemons) if one.daemons else "not run by the lab")
        for one in found.ic
    ]
    if len(ic) == 1:
        out.print(f"lab {found.name}; IC databases at {ic[0][1]}: {ic[0][2]}")
    else:
        out.print(f"lab {found.name}; IC databases:")
        out.print(columns(("MEMBER", "ADDRESS", "DAEMONS"), ic))
    for cluster in found.clusters:
        out.print(f"\ncluster {cluster.name}, {'joined' if cluster.joined else 'not joined'}")
        nodes = [
            (
                *(node.name, "+".join(node.roles), " ".join(node.addresses)),
                "registered" if node.registered else "MISSING",
                _summary(node.daemons),
                " ".join(node.tunnels) or "-",
            )
            for node in cluster.nodes
        ]
        out.print(columns(("NODE", "ROLES", "ADDRESS", "CHASSIS", "DAEMONS", "TUNNELS TO"), nodes))
        pods = [
            (
                *(pod.name, pod.node, pod.subnet, " ".join(pod.addresses)),
                "up" if pod.up else "DOWN",
            )
            for pod in cluster.pods
        ]
        out.print(columns(("POD", "NODE", "SUBNET", "ADDRESS", "PORT"), pods))


def _summary(daemons: dict[str, int | None]) -> str:
    missing = [name for name, pid in daemons.items() if pid is None]
    return f"NOT RUNNING: {' '.join(missing)}" if missing else f"{len(daemons)} running"
