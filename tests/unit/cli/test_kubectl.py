"""`kubectl isthmus`: the `kubectl exec` that replaces it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(sys.executable).with_name("kubectl-isthmus")


def call(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the plugin with a `kubectl` that prints its arguments."""
    kubectl = directory / "kubectl"
    kubectl.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    return subprocess.run(
        [str(PLUGIN), *arguments],
        env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_verb_is_run_in_the_pod(tmp_path: Path) -> None:
    """Everything after the verb belongs to the verb, including flags that the plugin has too."""
    answer = call(tmp_path, "engine", "explain", "10.0.0.0/8", "-o", "json", "--help")
    assert answer.stdout.splitlines() == [
        "--namespace=kube-system", "exec", "deployment/isthmus", "--container=isthmus", "--",
        "isthmus", "engine", "explain", "10.0.0.0/8", "-o", "json", "--help",
    ]  # fmt: skip


def test_kubectls_flags_are_passed_on(tmp_path: Path) -> None:
    """The flags before the verb select cluster, namespace and pod."""
    flags = ("--context", "west", "--kubeconfig", "conf", "-n", "net", "--pod", "isthmus-1")
    answer = call(tmp_path, *flags, "show")
    assert answer.stdout.splitlines() == [
        "--context=west", "--kubeconfig=conf", "--namespace=net", "exec", "pod/isthmus-1",
        "--container=isthmus", "--", "isthmus", "show",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "said"),
    [("run", "cannot run in the daemon's pod"), ("shwo", "is not a verb of isthmus")],
)
def test_other_verbs_are_refused(tmp_path: Path, verb: str, said: str) -> None:
    """The error for a verb that cannot run in the pod lists those that can."""
    answer = call(tmp_path, verb)
    assert answer.returncode == 1
    assert said in answer.stderr
    assert "use one of status, show, routes" in answer.stderr


def test_kubectl_is_missing(tmp_path: Path) -> None:
    """Without kubectl on PATH, the remedy is to install it."""
    answer = subprocess.run(
        [str(PLUGIN), "show"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 1
    assert "install kubectl" in answer.stderr
