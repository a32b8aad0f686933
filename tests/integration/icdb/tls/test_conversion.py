"""A clear-text cluster of IC databases is converted by the commands of docs/how-to/tls.md."""

import re
import subprocess
from pathlib import Path

import pytest

from isthmus.pki.certificates import IssueSpec, Kind, new_ca
from support.icdb.certificates import NOW, install
from support.icdb.run import DATABASES, LIMIT, Member, Members, members
from support.icdb.zone import zone_on
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

HOSTS = ("127.0.0.51", "127.0.0.52", "127.0.0.53")
PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "tls.md"
DATA_DIR = "/var/lib/ovn"


def documented_scripts() -> tuple[str, str]:
    """The commands for the bootstrap member, and for every other member."""
    section = PAGE.read_text().partition("## Convert a clear-text cluster\n")[2]
    blocks = re.findall(r"```\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    bootstrap, other = (block for block in blocks if f"cd {DATA_DIR}" in block)
    assert "ovsdb-tool cluster-to-standalone" in bootstrap
    return bootstrap, other


def convert(found: Members) -> None:
    """Stop all members, the bootstrap member last, and run the commands on their hosts."""
    bootstrap, *others = found.all
    for_bootstrap, for_other = documented_scripts()
    for member in others:
        member.stop()
    if bootstrap.running:
        bootstrap.stop()
    for member in found.all:
        script = for_bootstrap if member is bootstrap else for_other
        script = script.replace(f"cd {DATA_DIR}", f"cd '{member.data}'")
        subprocess.run(["bash", "-euc", script], check=True, capture_output=True)


def methods(member: Member, short: str) -> set[str]:
    """How members are reached, according to one of them."""
    return {server.address.partition(":")[0] for server in member.raft(short).servers}


def test_a_cluster_is_converted(tmp_path: Path) -> None:
    """Rows keep their ids, zones their routes; afterwards members and zones use only TLS."""
    authority = new_ca("test", NOW)
    install(tmp_path / "zone-tls", authority, IssueSpec(Kind.ZONE, "az1"))
    with members(tmp_path, *HOSTS) as three:
        for member in three.all:
            member.start()
            spec = IssueSpec(Kind.MEMBER, member.address, (member.address,))
            install(member.directory / "tls", authority, spec)
        three.complete()
        three.all[1].add_switch("kept")
        wait_until(lambda: "kept" in three.all[0].switches(), "no lag", LIMIT)
        before = three.all[0].switches()
        with zone_on(tmp_path / "zone", three) as (zone, ic):
            zone.start()
            wait_until(lambda: zone.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")
            routes = zone.routes()
            convert(three)
            for member in three.all:
                member.flags = (f"--tls-dir={member.directory / 'tls'}",)
                member.start()
            three.complete()
            for member in three.all:
                assert member.switches() == before
                for short in DATABASES:
                    assert methods(member, short) == {"ssl"}
            assert zone.routes() == routes
            zone.servers.stop("run")
            zone.start("run", f"--manifests={zone.manifests}", f"--ic-tls-dir={tmp_path}/zone-tls")
            ic.advertise("10.9.0.0/16")
            wait_until(lambda: "10.9.0.0/16" in zone.learned(), "a new prefix is learned")
            assert zone.deleted_routes() == 0


def test_a_member_with_a_clear_text_file_is_refused(tmp_path: Path) -> None:
    """Its file is kept, and the error names the page with the steps."""
    authority = new_ca("test", NOW)
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.start()
        one.complete()
        member.add_switch("kept")
        before = member.switches()
        member.stop()
        install(
            member.directory / "tls", authority, IssueSpec(Kind.MEMBER, "ic1", (member.address,))
        )
        member.flags = (f"--tls-dir={member.directory / 'tls'}",)
        assert "docs/how-to/tls.md, Convert a clear-text cluster" in member.refused()
        convert(one)
        member.start()
        one.complete()
        assert member.switches() == before
        assert methods(member, "nb") == {"ssl"}
