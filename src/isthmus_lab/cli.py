"""The commands `isthmus lab …`, which `isthmus_lab.verb` registers."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, print_json
from isthmus_lab.build import removal
from isthmus_lab.build.requirements import require_root
from isthmus_lab.console import SafeConsole
from isthmus_lab.demo import DEFAULT, LIMIT_S, Demo
from isthmus_lab.errors import lab_error
from isthmus_lab.kube import assets
from isthmus_lab.lab import Lab
from isthmus_lab.status import LabStatus, status_of
from isthmus_lab.system import netns, processes
from isthmus_lab.text import columns, command
from isthmus_lab.topology.layout import STATE_VARIABLE, Layout, state_base
from isthmus_lab.topology.loader import find, load
from isthmus_lab.topology.schema import Topology

app = group("Run test clusters with real daemons on this machine.")

NameOption = Annotated[
    str, typer.Option("--name", "-n", envvar="ISTHMUS_LAB_NAME", help="Name of the lab.")
]
RenameOption = Annotated[
    str, typer.Option("--name", "-n", help="Name of the lab, instead of the one in the file.")
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar=STATE_VARIABLE, help="Directory of all labs."),
]
KubeOption = Annotated[
    bool, typer.Option("--kube", help="Run a Kubernetes API server per cluster.")
]
NoJoinOption = Annotated[
    bool,
    typer.Option("--no-join", help="Do not write ovn-ic-config, so the clusters stay separate."),
]


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show progress on standard error: a spinner, and a line with the time after each step.

    Yields:
        A function to call with a line of text after each step.
    """
    out, start = SafeConsole(stderr=True), time.monotonic()
    with out.status(what):
        yield lambda line: out.print(f"{time.monotonic() - start:5.1f} s  {line}")


@app.command()
def up(
    file: Annotated[
        str, typer.Argument(metavar="[TOPOLOGY]", help="Topology file or built-in name.")
    ] = DEFAULT,
    name: RenameOption = "",
    no_join: NoJoinOption = False,
    kube: KubeOption = False,
    state: StateOption = None,
) -> None:
    """Build a lab; a lab with the same name is removed first."""
    wanted = _load(file, name, kube=kube)
    with progress(f"building lab {wanted.name}") as report:
        lab = Lab.up(wanted, join=not no_join, report=report, base=state)
        report(f"lab {wanted.name} is running")
    _print_next_steps(lab)


@app.command()
def add(
    file: Annotated[
        str, typer.Argument(metavar="TOPOLOGY", help="File with `clusters`, or built-in name.")
    ],
    name: NameOption = DEFAULT,
    no_join: NoJoinOption = False,
    state: StateOption = None,
) -> None:
    """Add clusters to a running lab without affecting the others."""
    require_root()
    with progress(f"adding clusters to lab {name}") as report:
        Lab.attach(name, state, report).add(find(file), join=not no_join)
        report(f"{file} added to lab {name}")


@app.command()
def down(
    name: NameOption = DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="Remove all labs on this machine.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report what would be removed.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Remove a lab, even a partly built one."""
    base = state or state_base()
    names = removal.known(base) if every else [name]
    if not names:
        SafeConsole(stderr=True).print("no labs exist")
    for lab in names:
        found = removal.find(Layout(lab, base)) if dry_run else Lab.down(lab, base)
        removed = f"{len(found.processes)} processes, {len(found.namespaces)} namespaces"
        SafeConsole(stderr=True).print(
            f"{'would remove' if dry_run else 'removed'} the lab {lab}: {removed}"
            if found
            else f"lab {lab} does not exist: nothing to do"
        )


@app.command()
def status(
    name: NameOption = DEFAULT, output: OutputOption = Output.TEXT, state: StateOption = None
) -> None:
    """Show the state of a lab; exit 1 if anything is down."""
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
    host: Annotated[str, typer.Argument(metavar="NODE|POD", help='Node, pod, "ic" or "ic-1".')],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND…]", help="Command to run; a shell by default."),
    ] = None,
    name: NameOption = DEFAULT,
    state: StateOption = None,
) -> None:
    """Run a command on a node or in a pod.

    OVN's tools use the databases of its cluster.
    """
    require_root()
    shell = os.environ.get("SHELL") or "sh"
    _become(Lab.attach(name, state), host, _without_separator(words) or [shell])


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def kubectl(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="Cluster, e.g. az1.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT…]", help="Arguments of kubectl.")
    ] = None,
    name: NameOption = DEFAULT,
    state: StateOption = None,
) -> None:
    """Run kubectl as administrator of a cluster built with --kube."""
    require_root()
    lab = Lab.attach(name, state)
    host = lab.kube_cluster(cluster).plan.central.name
    _become(lab, host, [assets.required(assets.KUBECTL), *_without_separator(arguments)])


def _without_separator(words: list[str] | None) -> list[str]:
    # click keeps the separator if it follows the first argument.
    return words[1:] if words and words[0] == "--" else words or []


def _become(lab: Lab, host: str, words: list[str]) -> NoReturn:
    """Replace this process by a program on a node or in a pod. Raises: LabError."""
    namespace, env = lab.host(host)
    netns.enter(namespace)
    try:
        os.execvpe(words[0], words, processes.environment(env))  # noqa: S606 - no shell wanted
    except OSError as error:
        raise lab_error(
            f"command {words[0]}",
            f"cannot be run: {error.strerror}",
            "check the name of the command",
        ) from error


@app.command()
def logs(  # noqa: PLR0913, PLR0917 - the options of a verb
    host: Annotated[str, typer.Argument(metavar="[NODE]", help='Node, "ic" or "ic-1".')] = "",
    daemon: Annotated[str, typer.Argument(metavar="[DAEMON]", help="Daemon, e.g. isthmus.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", min=0, help="Number of lines per log.")] = 20,
    name: NameOption = DEFAULT,
    state: StateOption = None,
) -> None:
    """Print the last lines of the logs of a node, or of all nodes."""
    layout = Lab.attach(name, state).layout
    files = sorted(layout.root.glob(f"nodes/{host or '*'}/log/{daemon or '*'}.log"))
    if not files:
        known = sorted(path.relative_to(layout.root) for path in layout.root.glob("nodes/*/log/*"))
        raise lab_error(
            f"lab {name}",
            "has no such log",
            f"use one of {', '.join(f'{path.parts[1]} {path.stem}' for path in known)}",
            key="log",
            value=f"{host} {daemon}".strip(),
        )
    options = ["-n", str(lines), *(["-F"] if follow else [])]
    os.execvp("tail", ["tail", *options, *map(str, files)])  # noqa: S606 - no shell wanted


@app.command()
def demo(
    file: Annotated[
        str, typer.Argument(metavar="[TOPOLOGY]", help="Topology file or built-in name.")
    ] = DEFAULT,
    name: RenameOption = "",
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Time limit for each change.")
    ] = LIMIT_S,
    kube: KubeOption = False,
) -> None:
    """Build a lab, join its clusters and check traffic between pods.

    The lab keeps running. The exit status is 1 if a check fails.
    """
    shown = Demo(SafeConsole(), limit)
    lab = shown.run(_load(file, name, kube=kube))
    result = "All checks passed." if shown.passed else "Some checks FAILED."
    shown.out.print("\nSummary", style="bold")
    shown.out.print(f"{shown.summary()}\n\n{result} The lab is running.")
    _print_next_steps(lab)
    if not shown.passed:
        raise typer.Exit(1)


def _load(file: str, name: str, *, kube: bool) -> Topology:
    wanted = load(find(file), name=name)
    return wanted.model_copy(update={"kubernetes": True}) if kube else wanted


def _print_next_steps(lab: Lab) -> None:
    name, cluster = lab.layout.lab, lab.plan.clusters[0]
    option = "" if name == DEFAULT else f" -n {name}"
    execute = f"exec{option} {cluster.nodes[0].name} --"
    hints = [
        ("daemons and pods", f"status{option}"),
        ("zones and ports", f"{execute} isthmus show"),
        ("routes", f"{execute} isthmus routes"),
        ("OVN's databases", f"{execute} ovn-nbctl show"),
    ]
    hints += [("a shell in a pod", f"exec{option} {pod.name}") for pod in cluster.pods[:1]]
    if cluster.kubernetes:
        hints.append(("Kubernetes", f"kubectl{option} {cluster.name} get subnets"))
    if name == DEFAULT:
        hints.append(("a third cluster", "add third-cluster"))
    hints.append(("remove the lab", f"down{option}"))
    rows = [(step, command("lab", words)) for step, words in hints]
    SafeConsole(stderr=True).print("\n" + columns(("NEXT STEP", "COMMAND"), rows))


def _print_status(found: LabStatus) -> None:
    out = SafeConsole()
    out.print(f"lab {found.name}; IC databases:")
    members = [(one.name, one.address, _summary(one.daemons)) for one in found.ic]
    out.print(columns(("MEMBER", "ADDRESS", "DAEMONS"), members))
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
            (pod.name, pod.node, pod.subnet, " ".join(pod.addresses), "up" if pod.up else "DOWN")
            for pod in cluster.pods
        ]
        out.print(columns(("POD", "NODE", "SUBNET", "ADDRESS", "PORT"), pods))


def _summary(daemons: dict[str, int | None]) -> str:
    missing = [name for name, pid in daemons.items() if pid is None]
    running = f"{len(daemons)} running" if daemons else "not run by the lab"
    return f"NOT RUNNING: {' '.join(missing)}" if missing else running
