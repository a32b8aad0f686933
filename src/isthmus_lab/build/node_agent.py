"""What Kube-OVN's daemon does on every node, as far as Isthmus relies on it; a process per cluster.

It turns the Node label `ovn.kubernetes.io/ic-gw` into `external_ids:ovn-is-interconn` of that
node's Open vSwitch, which makes its ovn-controller take part in the interconnection. Kube-OVN looks
every 3 s; this one watches, so that tests measure Isthmus and not it.

usage: python -m isthmus_lab.build.node_agent KUBECONFIG NODE=SOCKET…
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from threading import Thread

from isthmus_lab.kube.api import ApiError, KubeApi

LABEL = "ovn.kubernetes.io/ic-gw"

_RETRY_S = 0.2
"""Between two tries to reach an API server that is down."""


def main(arguments: Sequence[str]) -> None:
    """Follow the nodes' labels until killed.

    Args:
        arguments: the kubeconfig, and for each node its name and the socket of its Open vSwitch.
    """
    api = KubeApi(Path(arguments[0]))
    nodes = dict(argument.split("=", 1) for argument in arguments[1:])
    threads = [Thread(target=_follow, args=(api, *node)) for node in nodes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _follow(api: KubeApi, node: str, socket: str) -> None:
    known = ""
    while True:
        try:
            for kind, found in api.watch("/api/v1/nodes", f"metadata.name={node}"):
                labels = found["metadata"].get("labels") or {}
                wanted = "true" if kind != "DELETED" and labels.get(LABEL) == "true" else "false"
                if wanted != known and _set(socket, wanted):
                    known = wanted
        except (ApiError, OSError, HTTPException) as error:
            print(f"node {node}: {error}", file=sys.stderr, flush=True)
        # The API server is down, or ends a watch as it does now and then.
        time.sleep(_RETRY_S)


def _set(socket: str, value: str) -> bool:
    key = f"external_ids:ovn-is-interconn={value}"
    options = ["--no-wait", "--retry", "--timeout=30"]
    command = ["ovs-vsctl", f"--db=unix:{socket}", *options, "set", "Open_vSwitch", ".", key]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1:])
