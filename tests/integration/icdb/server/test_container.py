"""deploy/container/start-ic-db.sh with Kube-OVN's environment, without a container engine.

Each member has its own three mounted directories; all share a network namespace with the documented
ports.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.icdb.run import ISTHMUS
from support.ovn.servers import wait_until

pytestmark = [pytest.mark.ovn, pytest.mark.lab]

SCRIPT = Path(__file__).parents[4] / "deploy" / "container" / "start-ic-db.sh"
MOUNTED = ("/etc/ovn", "/var/run/ovn", "/var/log/ovn")
LIMIT = 60.0
TIE = ("setpriv", "--pdeathsig", "TERM")


class Host:
    """A network namespace in which the containers' commands run."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack, self._directory = stack, directory
        hold = "ip link set lo up && echo up && exec sleep infinity"
        self._holder = subprocess.Popen(
            [*TIE, "unshare", "--net", "sh", "-c", hold], stdout=subprocess.PIPE
        )
        stack.callback(end, self._holder)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"

    @property
    def _enter(self) -> tuple[str, ...]:
        return (*TIE, "nsenter", f"--net=/proc/{self._holder.pid}/ns/net")

    def run(self, name: str, **environment: str) -> Path:
        """Run what `docker run IMAGE bash start-ic-db.sh` runs; the file of its output."""
        directory = self._directory / name
        # Debian's packages bring the other two.
        mounts = ["mount -t tmpfs run /run", "mkdir /run/ovn"]
        for place in MOUNTED:
            own = directory / place[1:].replace("/", "-")
            own.mkdir(parents=True)
            mounts.append(f"mount --bind {own} {place}")
        # --cap-drop=ALL and --security-opt=no-new-privileges
        drop = "exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs"
        script = " && ".join([*mounts, f'{drop} bash "{SCRIPT}"'])
        path = f"{ISTHMUS.parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        out = directory / "out"
        with out.open("wb") as said:
            process = subprocess.Popen(
                [*self._enter, "unshare", "--mount", "sh", "-ec", script],
                env={"PATH": path, **environment},
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        self._stack.callback(end, process)
        return out

    def ctl(self, database: str, *arguments: str) -> str:
        """Run ovn-ic-nbctl or ovn-ic-sbctl, over TCP."""
        command = [*self._enter, *arguments[:1], f"--db={database}", "--timeout=10", *arguments[1:]]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process, and wait for it."""
    process.terminate()
    process.wait(LIMIT)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A new host."""
    with ExitStack() as stack:
        yield Host(stack, tmp_path)


def subnets(host: Host, database: str) -> dict[str, str]:
    """Transit switches and their subnets."""
    listed = host.ctl(
        database, "ovn-ic-nbctl", "--format=json", "--columns=name,external_ids",
        "list", "Transit_Switch",
    )  # fmt: skip
    return {name: dict(ids[1])["subnet"] for name, ids in json.loads(listed)["data"]}


def test_a_single_one(host: Host) -> None:
    """Without addresses: every address, clear text, and the transit switch ts."""
    out = host.run("one", ENABLE_SSL="false")
    wait_until(lambda: "ready: " in out.read_text(), "the databases answer", LIMIT)
    for address in ("127.0.0.1", "127.0.0.9", "[::1]"):
        assert subnets(host, f"tcp:{address}:6645") == {"ts": "169.254.100.0/24"}
    assert host.ctl("tcp:127.0.0.1:6646", "ovn-ic-sbctl", "show") == ""
    assert (out.parent / "etc-ovn" / "ovn_ic_nb_db.db").exists()
    assert (out.parent / "var-run-ovn" / "ovn_ic_nb_db.sock").exists()
    assert (out.parent / "var-log-ovn" / "ovsdb-server-ic-nb.log").exists()


def test_three(host: Host) -> None:
    """The leader and two followers, with the documented variables and ports; all answer."""
    nodes = {"NODE_IPS": "127.0.0.3,127.0.0.2,127.0.0.1", "TS_NUM": "2", "PROTOCOL": "dual"}
    nodes["ENABLE_SSL"] = "false"
    outs = [
        host.run("two", LOCAL_IP="127.0.0.2", LEADER_IP="127.0.0.3", **nodes),
        host.run("three", LOCAL_IP="127.0.0.3", **nodes),
        host.run("one", LOCAL_IP="127.0.0.1", LEADER_IP="127.0.0.3", **nodes),
    ]
    wait_until(lambda: all("ready: " in out.read_text() for out in outs), "all are ready", LIMIT)
    everyone = ",".join(f"tcp:127.0.0.{number}:6645" for number in (1, 2, 3))
    assert subnets(host, everyone) == {
        "ts": "169.254.100.0/24,fe80:a9fe:64::/112",
        "ts1": "169.254.101.0/24,fe80:a9fe:65::/112",
    }


def test_clear_text_is_not_a_default(host: Host) -> None:
    """Without a choice between TLS and clear text, nothing is served, and the choice is named."""
    out = host.run("one")
    wait_until(lambda: "remedy: " in out.read_text(), "it refuses", LIMIT)
    assert "any of them can read and write the databases" in out.read_text()
    assert "ENABLE_SSL=false" in out.read_text()
    assert not (out.parent / "etc-ovn" / "ovn_ic_nb_db.db").exists()
