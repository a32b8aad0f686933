"""Attacks on one zone's daemon by its own operator: the ConfigMap, manifests and other files.

All of them are wrong, so the configuration that was in force stays in force, and even this zone
loses no packet.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from isthmus_lab.kube.manifests import Manifests
from support.hostile.configuration import HOSTILE_YAML, LONG_VALUES
from support.lab.wrong_values import WRONG_VALUES

CONFIG = ("ConfigMap", "ovn-ic-config", "data")
_INVALID = [wrong for wrong in WRONG_VALUES if wrong.group in {"invalid", "invalid Subnet"}]

_WRITABLE = [text for text in HOSTILE_YAML.values() if text.isprintable() or "\n" in text]

ConfigurationAttack = Callable[[Random, Manifests, threading.Event], None]


def wrong_values(choices: Random, manifests: Manifests, stop: threading.Event) -> None:
    """Values that the reference names as wrong."""
    for wrong in choices.sample(_INVALID, choices.randrange(1, 5)):
        where = ("Subnet", "apps", "spec") if wrong.subnet else CONFIG
        manifests.merge(*where, {wrong.key: wrong.value})
        stop.wait(choices.uniform(0.0, 0.5))


def hostile_yaml(choices: Random, manifests: Manifests, stop: threading.Event) -> None:
    """YAML that a parser cannot bear, as a value of a key."""
    key = choices.choice(["accept", "advertise", "routes"])
    manifests.merge(*CONFIG, {key: choices.choice(_WRITABLE)})
    stop.wait(choices.uniform(0.2, 2.0))


def long_values(choices: Random, manifests: Manifests, stop: threading.Event) -> None:
    """Values beyond their bound."""
    changes = LONG_VALUES[choices.choice(sorted(LONG_VALUES))]
    manifests.merge(*CONFIG, {key.replace("_", "-"): value for key, value in changes.items()})
    stop.wait(choices.uniform(0.5, 3.0))


def hostile_files(choices: Random, manifests: Manifests, stop: threading.Event) -> None:
    """More files: of any content and kind, with any name."""
    directory = manifests.directory
    name = choices.choice(["a", "zz", "\x1b[2J", "ä", "x" * 200, "-rf", "a b\nc"])
    path = directory / f"hostile-{name}.yaml"
    _remove(path)
    choices.choice(_FILES)(choices, path)
    stop.wait(choices.uniform(0.2, 2.0))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _text(choices: Random, path: Path) -> None:
    text = choices.choice([*HOSTILE_YAML.values()])
    around = choices.choice(["{}", "kind: {}\napiVersion: v1\n", ("apiVersion: v1\nkind: Node\n"
                             "metadata: {{name: {}}}\n")])  # fmt: skip
    path.write_bytes(around.format(text).encode("utf-8", "surrogatepass"))


def _object(choices: Random, path: Path) -> None:
    value = choices.choice(["5", "[]", "{}", "~", "x", '"\\e[2J"', "[[[]]]", "-.inf", "2001-01-01"])
    path.write_text(choices.choice([
        "apiVersion: v1\nkind: Node\nmetadata: {{name: evil}}\nstatus: {v}\n",
        "apiVersion: v1\nkind: Node\nmetadata: {{name: evil}}\nstatus: {{addresses: {v}}}\n",
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {v}, labels: {v}, annotations: {v}}}\n",
        "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {{name: evil}}\nspec: {v}\n",
        "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {v}\nspec: {{cidrBlock: {v}}}\n",
        "apiVersion: kubeovn.io/v1\nkind: Vpc\nmetadata: {{name: evil}}\nspec: {v}\nstatus: {v}\n",
        "apiVersion: v1\nkind: List\nitems: {v}\n",
        "apiVersion: {v}\nkind: {v}\n",
    ]).format(v=value))  # fmt: skip


def _bytes(choices: Random, path: Path) -> None:
    path.write_bytes(choices.choice([
        b"", b"\0" * 100_000, b"\xff\xfe\x00", b"\xef\xbb\xbf", choices.randbytes(10_000),
        b"a: b\n" * 1_000_000, b"- " * 100_000, b"---\n" * 100_000, b" " * (17 << 20),
    ]))  # fmt: skip


def _no_file(choices: Random, path: Path) -> None:
    target = choices.choice(["", ".", "/dev/zero", "nowhere", path.name, "/", "/proc/self/mem"])
    if not target:
        os.mkfifo(path)
    elif target == ".":
        path.mkdir()
    else:
        path.symlink_to(target)


def _many(choices: Random, path: Path) -> None:
    for number in range(choices.choice([10, 500])):
        _object(choices, path.with_name(f"hostile-{number}.yaml"))


_FILES = (_text, _text, _object, _object, _bytes, _no_file, _many)

CONFIGURATION: Mapping[str, ConfigurationAttack] = {
    attack.__name__: attack for attack in (wrong_values, hostile_yaml, long_values, hostile_files)
}


@contextmanager
def good_again(manifests: Manifests) -> Iterator[None]:
    """Restore all files at the end, whatever happened."""
    good = {path.name: path.read_text() for path in manifests.directory.glob("*.yaml")}
    try:
        yield
    finally:
        for path in manifests.directory.glob("hostile-*"):
            _remove(path)
        for name, text in good.items():
            if manifests.directory.joinpath(name).read_text() != text:
                manifests.write(name, text)
