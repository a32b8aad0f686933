"""Emulate the part of Kube-OVN's node daemon on which Isthmus relies; one process per cluster.

It copies the Node label `ovn.kubernetes.io/ic-gw` to `external_ids:ovn-is-interconn` of the node's
Open vSwitch, which makes the node a gateway for ovn-controller. Kube-OVN polls every 3 s; this
agent uses a watch, so that tests measure the time that Isthmus takes.

usage: python -m isthmus_lab.build.node_agent KUBECONFIG NODE=SOCKET…
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from isthmus_lab.kube.api import ApiRequestError, KubeApi

LABEL = "ovn.kubernetes.io/ic-gw"

_RETRY_S = 0.2
"""Delay between attempts to reach an API server that is down."""


def main(arguments: Sequence[str]) -> None:
    """Follow the labels of the nodes until killed.

    Args:
        arguments: the kubeconfig, then NODE=SOCKET for each node, with Open vSwitch's socket.
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
        except ApiRequestError as error:
            print(f"node {node}: {error}", file=sys.stderr, flush=True)
        # The API server is down, or has ended the watch, which is normal.
        time.sleep(_RETRY_S)


def _set(socket: str, value: str) -> bool:
    key = f"external_ids:ovn-is-interconn={value}"
    options = ["--no-wait", "--retry", "--timeout=30"]
    command = ["ovs-vsctl", f"--db=unix:{socket}", *options, "set", "Open_vSwitch", ".", key]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1:])
