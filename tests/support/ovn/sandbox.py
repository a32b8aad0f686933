"""Run daemons that detach, in a process namespace that ends with the test.

A detached daemon is not a child of the test. The first process of the namespace ends with the test
in every case, and all others end with it.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.ovn.servers import die_with_parent, wait_until


class Sandbox:
    """A process namespace of the test.

    Args:
        environment: additional variables for all processes in it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        as_user = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
        # bash reaps orphans, as the first process must.
        self._outer = subprocess.Popen(
            ["unshare", *as_user, "--pid", "--fork", "--kill-child", "--mount-proc",
             "bash", "-c", "sleep infinity & wait"],
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the test has one thread here
        )  # fmt: skip
        wait_until(self._inner, "the namespace is there")

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._outer.kill()
        self._outer.wait()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it and wait for its end, even if it leaves daemons behind."""
        return subprocess.run(
            [*self._enter(), *command],
            env=self._environment,
            check=check,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in it, in the foreground."""
        return subprocess.Popen(
            [*self._enter(), *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self) -> list[str]:
        """The command lines of all processes in it, except those of the sandbox."""
        output = self.run("ps", "-e", "-o", "args=").stdout.splitlines()
        return [line for line in output if not line.startswith(("ps ", "sleep ", "bash -c "))]

    def _inner(self) -> str:
        pid = self._outer.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ready = children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "bash"
        return children[0] if ready else ""

    def _enter(self) -> Sequence[str]:
        as_user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self._inner()}", *as_user, "--pid", "--mount", "--"]
