"""Read deploy/container/Containerfile, and build it without a container engine.

Supports the instructions that this file uses, with one base image, Debian 12. debootstrap creates
the base once, into the cache, and every stage starts with a copy. RUN uses a chroot in namespaces
of its own, so that no process outlives it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"
BASE_IMAGE, SUITE = "debian:12-slim", "bookworm"


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction, e.g. "RUN" and its command, as one line."""

    word: str
    text: str


@dataclass(slots=True)
class Stage:
    """A FROM and the instructions that follow; `name` is empty for the last stage."""

    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """The stages of a Containerfile."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Stage] = []
    defaults: dict[str, str] = {}
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found.append(Stage(defaults.get(image, image), name))
        elif not found:
            name, _, default = rest.partition("=")
            defaults[f"${{{name}}}"] = default
        else:
            found[-1].instructions.append(Instruction(word, rest.strip()))
    return found


class Build:
    """Builds the stages of a Containerfile.

    Args:
        directory: empty; each stage gets a root directory in it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.environment: dict[str, str] = {}
        """The root directory of the image."""
        self.entrypoint: list[str] = []
        self.user = ""

    def run(self) -> Path:
        """Build all stages; return the root directory of the image."""
        for number, stage in enumerate(stages(CONTAINERFILE.read_text(encoding="utf-8"))):
            assert stage.image == BASE_IMAGE
            root = self._directory / (stage.name or f"stage-{number}")
            subprocess.run(["cp", "--archive", str(base()), str(root)], check=True)
            self.environment, self._work = {}, "/"
            for instruction in stage.instructions:
                self._carry_out(root, instruction)
        return root

    def _carry_out(self, root: Path, instruction: Instruction) -> None:
        text = instruction.text
        match instruction.word:
            case "RUN":
                script = f"cd {self._work} && {text}"
                in_root(root, ["/bin/sh", "-c", script], {**index(root), **self.environment})
            case "COPY":
                self._copy(root, text.split())
            case "ENV":
                self.environment |= dict(pair.split("=", 1) for pair in text.split())
            case "WORKDIR":
                self._work = text
                (root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = text
            case "ENTRYPOINT":
                self.entrypoint = re.findall(r'"([^"]*)"', text)
            case "ARG" | "CMD":
                pass
            case unknown:
                raise AssertionError(f"{unknown} is not known here")

    def _copy(self, root: Path, words: list[str]) -> None:
        source = ROOT
        if words[0].startswith("--from="):
            source = self._directory / words.pop(0).removeprefix("--from=")
        *names, target = words
        into = root / self._work.lstrip("/") / target if target[0] != "/" else root / target[1:]
        for name in names:
            origin = source / name.lstrip("/")
            if origin.is_dir():
                ignored = shutil.ignore_patterns("__pycache__") if source == ROOT else None
                shutil.copytree(origin, into, symlinks=True, ignore=ignored)
            else:
                shutil.copy(origin, into)


def in_root(
    root: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    user: str = "0:0",
    *,
    read_only: bool = False,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a root directory, and wait for it and all its children.

    Args:
        root: becomes /.
        command: to run there.
        environment: all variables, except PATH, which has a default.
        user: numeric user and group.
        read_only: whether / is read-only and /run an empty tmpfs.
    """
    uid, gid = user.split(":")
    script = ['mount --bind "$0" "$0"', 'mount --rbind /dev "$0/dev"', 'mount -t proc p "$0/proc"']
    if read_only:
        script += ['mount -t tmpfs -o mode=1777 t "$0/run"', 'mount -o remount,bind,ro "$0"']
    script.append(f'exec chroot --userspec={uid}:{gid} --groups= "$0" "$@"')
    variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child",
         "/bin/sh", "-ec", "\n".join(script), str(root), "env", "-i",
         *(f"{name}={value}" for name, value in variables.items()), *command],
        check=check, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def index(root: Path) -> dict[str, str]:
    """pip's settings on this machine; copies the certificate to trust into the root."""
    found = {name: value for name, value in os.environ.items() if name == "PIP_INDEX_URL"}
    if certificate := os.environ.get("PIP_CERT"):
        shutil.copy(certificate, root / "tmp" / "index.crt")
        found["PIP_CERT"] = "/tmp/index.crt"
    return found


def base() -> Path:
    """The root directory of Debian 12, created once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus" / "debian"
    root = cache / SUITE
    if not root.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = cache / f".{SUITE}.{os.getpid()}"
        if shutil.which("debootstrap") is None:
            script = str(ROOT / "scripts" / "packages.sh")
            subprocess.run(["bash", script, "debootstrap"], check=True)
        try:
            make = ["debootstrap", "--variant=minbase", SUITE, str(draft), next(mirrors())]
            subprocess.run(make, check=True, capture_output=True, text=True)
            draft.rename(root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    # As in container engines: use the name resolution and trusted certificates of this machine.
    for file in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy(file, root / file[1:])
    return root


def mirrors() -> Iterator[str]:
    """The package mirror of this system."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(COMPONENT)",
         "Created-By: Packages"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for line in listing.splitlines():
        uri, component = line.split()
        if component == "main" and "security" not in uri:
            yield uri
