"""Credential plugins that a kubeconfig names (`users[].user.exec`), such as those of clouds.

Used by `isthmus.kube.credentials`; the only module of the package that starts processes. Facts:
Kubernetes, "client-go credential plugins"; v1 and v1beta1 of `client.authentication.k8s.io` differ
in nothing that matters here.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from isthmus.kube.kubeconfig import Section

LIMIT = 30.0
"""Seconds that a plugin may take."""

_SHOWN = 200
"""Characters of a plugin's error output that are shown."""


@dataclass(frozen=True, slots=True)
class PluginCredential:
    """What a plugin returned.

    Args:
        token: a bearer token; empty if there is none.
        certificate: certificate and private key, PEM; empty if there is none.
        lifetime: seconds from now for which they are valid; inf if it was not stated.
    """

    token: str
    certificate: bytes
    lifetime: float


def run_plugin(user: Section, cluster: Section) -> PluginCredential:
    """Run the credential plugin of a user.

    Args:
        user: its `exec` says what to run.
        cluster: described to plugins that ask for it (`provideClusterInfo`).

    Raises:
        ValueError: the plugin failed, or its answer is not usable.
    """
    plugin = Section(user.values["exec"], user.folder)
    command = plugin.text("command")
    # As in kubectl, a name is searched for on PATH; a path is relative to the kubeconfig.
    program = str(plugin.path("command")) if os.sep in command else command
    arguments = [program, *map(str, plugin.values.get("args") or ())]
    try:
        done = subprocess.run(
            arguments,
            env=_environment(plugin, cluster),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
    except FileNotFoundError as error:
        hint = plugin.text("installHint")
        raise ValueError(
            f"credential plugin {command} is not installed. {hint}".rstrip()
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"credential plugin {command} cannot be run: {error}") from error
    if done.returncode:
        output = done.stderr.decode(errors="replace")[-_SHOWN:]
        raise ValueError(f"credential plugin {command} exited with {done.returncode}: {output}")
    return _credential(command, done.stdout)


def _environment(plugin: Section, cluster: Section) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.values.get("provideClusterInfo"):
        spec["cluster"] = dict(cluster.values)
    info = {"apiVersion": plugin.text("apiVersion"), "kind": "ExecCredential", "spec": spec}
    own = {str(one["name"]): str(one["value"]) for one in plugin.values.get("env") or ()}
    return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _credential(command: str, output: bytes) -> PluginCredential:
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise ValueError(f"credential plugin {command} returned invalid JSON") from error
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict):
        raise ValueError(f"credential plugin {command} returned no status")
    found = Section(status)
    pair = (found.text("clientCertificateData"), found.text("clientKeyData"))
    certificate = "\n".join(pair).encode() if all(pair) else b""
    if not (found.text("token") or certificate):
        raise ValueError(f"credential plugin {command} returned neither a token nor a certificate")
    return PluginCredential(found.text("token"), certificate, _lifetime(status))


def _lifetime(status: Mapping[str, Any]) -> float:
    expires = status.get("expirationTimestamp")
    if not isinstance(expires, str):
        return inf
    return (datetime.fromisoformat(expires) - datetime.now(UTC)).total_seconds()
