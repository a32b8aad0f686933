"""deploy/systemd/isthmus-ic-db.service under a systemd of its own, with Debian's packages.

It needs the image as a source of /opt/isthmus, so it runs with `ISTHMUS_CONTAINER=1` only.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.booted import Booted, booted
from support.containerfile import ROOT, Build, in_root, index

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("ISTHMUS_CONTAINER") != "1",
        reason="builds the image for minutes; ISTHMUS_CONTAINER=1 runs it",
    ),
]

UNIT = "isthmus-ic-db"
PACKAGES = "systemd ovn-ic-db ovn-common openvswitch-common"


@pytest.fixture(scope="module")
def host(image: tuple[Path, Build]) -> Iterator[Booted]:
    """A booted host, on which the unit is installed as its first lines say."""
    root = image[0].with_name("host")
    subprocess.run(["cp", "--archive", str(image[0]), str(root)], check=True)
    install = f"apt-get update && apt-get install --yes --no-install-recommends {PACKAGES}"
    in_root(root, ["sh", "-ec", install], {**index(root), "DEBIAN_FRONTEND": "noninteractive"})
    shutil.copytree(ROOT / "deploy" / "systemd", root / "unit")
    with booted(root) as system:
        text = (ROOT / "deploy" / "systemd" / f"{UNIT}.service").read_text()
        install = "\n".join(re.findall(r"^#   (install .*)$", text, re.MULTILINE))
        system.run(f"cd /unit; {install}")
        yield system


def started(host: Booted, *variables: str) -> None:
    """Start the unit with an environment file; systemd waits until it is ready."""
    lines = "\n".join(variables)
    host.run(f"printf '%s\n' '{lines}' > /etc/isthmus/ic-db.env; systemctl restart {UNIT}")


def test_it_serves_with_what_the_unit_allows(host: Booted) -> None:
    """No process of it is root, has or can gain a capability, or is without the filter."""
    started(host)
    assert "healthy" in host.run("isthmus ic-db status")
    processes = host.run(f"cat /sys/fs/cgroup/system.slice/{UNIT}.service/cgroup.procs").split()
    assert len(processes) == 3
    for process in processes:
        status = dict(re.findall(r"(\w+):\t(\S+)", host.run(f"cat /proc/{process}/status")))
        assert status["Uid"] != "0"
        assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_it_keeps_its_data_when_it_is_killed(host: Booted) -> None:
    """systemd starts it again, and it serves what was written."""
    started(host)
    database = "--db=unix:/run/ovn/ovn_ic_nb_db.sock"
    host.run(f"ovn-ic-nbctl {database} ts-add kept")
    before = host.run(f"systemctl show --value --property=MainPID {UNIT}").strip()
    host.run(
        f"kill -9 {before}; until [ $(systemctl show --value --property=MainPID {UNIT}) -gt 0 ]"
        f" && [ $(systemctl is-active {UNIT}) = active ]; do sleep 0.2; done"
    )
    assert host.run(f"systemctl show --value --property=MainPID {UNIT}").strip() != before
    assert "kept" in host.run(f"ovn-ic-nbctl {database} ts-list")


def test_it_runs_the_authorizing_proxy(host: Booted) -> None:
    """With certificates whose keys only its user can read."""
    host.run(
        "cd /etc/isthmus; isthmus pki init ca;"
        " isthmus pki issue member m --ca=ca --out=tls --address=127.0.0.1;"
        f" chown -R {UNIT}: tls; chmod 700 tls"
    )
    started(host, "ISTHMUS_TLS_DIR=/etc/isthmus/tls", "ISTHMUS_AUTHORIZE=true")
    assert "authorizing proxy: ready" in host.run("isthmus ic-db status || true")


def test_it_stops(host: Booted) -> None:
    """systemd sees a success, and nothing of it is left."""
    started(host)
    host.run(f"systemctl stop {UNIT}")
    shown = host.run(f"systemctl show --property=Result,ActiveState {UNIT}").split()
    assert sorted(shown) == ["ActiveState=inactive", "Result=success"]
