"""The image, built from its Containerfile and run as in its Deployment, without a container engine.

Takes minutes and packages from the network, so it runs only with `ISTHMUS_CONTAINER=1`, as root.
"""

import os
from pathlib import Path

import pytest

from support.containerfile import Build, in_root

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("ISTHMUS_CONTAINER") != "1",
        reason="builds the image for minutes; ISTHMUS_CONTAINER=1 has it run",
    ),
]


def run(image: tuple[Path, Build], *command: str) -> tuple[int, str]:
    """Run a program as in the Deployment: as an unprivileged user with a read-only root."""
    root, build = image
    ended = in_root(root, command, build.environment, build.user, read_only=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_its_programs_run(image: tuple[Path, Build]) -> None:
    """The entry point starts, and the libraries for the Kubernetes API are installed."""
    entrypoint = image[1].entrypoint
    assert run(image, *entrypoint, "--version") == (0, "isthmus 0.1.0\n")
    status, said = run(image, *entrypoint, "run", "--kubernetes")
    assert status == 1
    assert "error: kubeconfig" in said


def test_its_probe_runs(image: tuple[Path, Build]) -> None:
    """Without a daemon, a probe fails; without a control socket, the usage is wrong."""
    status, said = run(image, "env", "ISTHMUS_UNIXCTL=/run/none", "isthmus-health", "ready")
    assert (status, "no reply from the daemon" in said) == (1, True)
    assert run(image, "isthmus-health", "live")[0] == 2


def test_nothing_can_be_written(image: tuple[Path, Build]) -> None:
    """Files can be written only in the mounted directories."""
    for place in ("/opt/isthmus/bin", "/tmp", "/etc"):
        assert run(image, "touch", f"{place}/file")[0] == 1
