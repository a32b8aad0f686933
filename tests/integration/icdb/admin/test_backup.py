"""`isthmus ic-db backup|restore|upgrade|check` on real servers."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.local.ovsdb_tools import ToolError
from isthmus.model.rows import Database
from support.icdb.cluster import DATABASES, ISTHMUS, ClusterMember, cluster_in
from support.ovn.servers import SCHEMAS, RealZone, Servers, wait_until

pytestmark = pytest.mark.ovn


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[ClusterMember]]:
    """Three members of both clusters, with a transit switch and a zone with a gateway."""
    with cluster_in(tmp_path) as members:
        fill(members[0])
        yield members


def fill(member: ClusterMember) -> None:
    """Write rows that refer to each other."""
    member.ctl("nb", "ts-add", "ts")
    member.ctl(
        "sb", "--id=@z", "create", "Availability_Zone", "name=az1",
        "--", "--id=@e", "create", "Encap", "type=geneve", "ip=192.0.2.1", "gateway_name=gw",
        "--", "create", "Gateway", "name=gw", "availability_zone=@z", "encaps=@e",
    )  # fmt: skip


def rows(member: ClusterMember) -> list[str]:
    """What zones read, without UUIDs."""
    return [member.ctl("nb", "show"), member.ctl("sb", "show")]


def has(member: ClusterMember, expected: list[str]) -> bool:
    """Whether a member has these rows."""
    return rows(member) == expected


def has_column(member: ClusterMember) -> bool:
    """Whether a member has the column that the older schema lacks."""
    return "other_config" in member.dump("nb")


def made(member: ClusterMember, file: Path) -> Path:
    """Make a backup."""
    done = member.isthmus("backup", str(file))
    assert done.returncode == 0, done.stderr
    return file


def test_a_backup_is_restored_into_an_empty_cluster(
    members: list[ClusterMember], tmp_path: Path
) -> None:
    """Taken from a running follower; restored from any member; visible on all."""
    file = made(members[1], tmp_path / "backup.tar.gz")
    assert file.stat().st_mode & 0o077 == 0
    before = rows(members[0])
    for member in members:
        member.stop()
    with cluster_in(tmp_path / "new") as fresh:
        done = fresh[1].isthmus("restore", str(file))
        assert done.returncode == 0, done.stderr
        for member in fresh:
            wait_until(partial(has, member, before), "the rows are there")


def test_a_backup_of_a_cluster_is_restored_into_a_single_server(
    members: list[ClusterMember], tmp_path: Path
) -> None:
    """From a cluster to one server, or to another machine."""
    file = made(members[0], tmp_path / "backup.tar.gz")
    before = rows(members[0])
    for member in members:
        member.stop()
    with cluster_in(tmp_path / "new", 1) as [alone]:
        assert alone.isthmus("restore", str(file)).returncode == 0
        assert rows(alone) == before


def test_the_data_survive_a_lost_majority(members: list[ClusterMember], tmp_path: Path) -> None:
    """The last member, which accepts no writes, still provides a complete backup."""
    last, *lost = members
    before = rows(last)
    for member in lost:
        member.stop()

    def names_the_remedy() -> bool:
        """Also once the server has noticed that it is alone."""
        found = json.loads(last.isthmus("status", "-o", "json").stdout)
        said = found["databases"][0]["problems"][0]
        assert "not part of the cluster" not in said
        noticed = "disconnected" in last.appctl("nb", "cluster/status", DATABASES["nb"])
        return noticed and "make a backup here and restore it into a new cluster" in said

    wait_until(names_the_remedy, "it is alone, and the remedy is shown")
    file = made(last, tmp_path / "backup.tar.gz")
    last.stop()
    with cluster_in(tmp_path / "new") as fresh:
        assert fresh[2].isthmus("restore", str(file)).returncode == 0
        for member in fresh:
            wait_until(partial(has, member, before), "the rows are there")


def test_nothing_is_overwritten_without_confirmation(
    members: list[ClusterMember], tmp_path: Path
) -> None:
    """Existing zones require --yes, and are backed up first; that backup restores them."""
    first = members[0]
    file = made(first, tmp_path / "backup.tar.gz")
    first.ctl("sb", "create", "Availability_Zone", "name=later")
    before = rows(first)
    for options in ((), ("--dry-run",)):
        done = first.isthmus("restore", str(file), *options)
        assert done.returncode == (0 if options else 1)
        assert "Availability_Zone az1, later" in done.stdout
        assert rows(first) == before
    done = first.isthmus("restore", str(file), "--yes")
    assert done.returncode == 0, done.stderr
    assert "later" not in "".join(rows(first))
    [kept] = first.data.glob("before-restore-*.tar.gz")
    assert first.isthmus("restore", str(kept), "--yes").returncode == 0
    assert rows(first) == before


def test_a_backup_is_not_replaced_without_confirmation(tmp_path: Path) -> None:
    """The existing file does not change, and no temporary file stays behind."""
    with cluster_in(tmp_path, 1) as [alone]:
        file = made(alone, tmp_path / "backup.tar.gz")
        content = file.read_bytes()
        done = alone.isthmus("backup", str(file))
        assert "exists; give another name" in done.stderr.replace("\n  remedy: ", "; ")
        assert file.read_bytes() == content
        assert alone.isthmus("backup", str(file), "--yes").returncode == 0
        gone = alone.isthmus("backup", str(tmp_path / "none" / "b"))
        assert "cannot be written: No such file or directory" in gone.stderr
        alone.stop("sb")
        assert alone.isthmus("backup", str(tmp_path / "half")).returncode == 1
        assert not list(tmp_path.glob("*half*"))


def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    """A changed byte, a cut file and other files are reported; the rows stay."""
    with cluster_in(tmp_path, 1) as [alone]:
        fill(alone)
        file = made(alone, tmp_path / "backup.tar.gz")
        before = rows(alone)
        with tarfile.open(file) as archive:
            archive.extractall(tmp_path / "parts", filter="data")
        database = tmp_path / "parts" / "OVN_IC_Southbound.db"
        database.write_bytes(database.read_bytes().replace(b"az1", b"az2"))
        with tarfile.open(tmp_path / "changed", "w:gz") as archive:
            for part in database.parent.iterdir():
                archive.add(part, part.name)
        (tmp_path / "cut").write_bytes(file.read_bytes()[:-200])
        for name, said in (
            ("changed", "the checksum of OVN_IC_Southbound is wrong"),
            ("cut", "is not a readable backup"),
            ("m1/data/ovn_ic_nb_db.db", "is not a readable backup"),
        ):
            done = alone.isthmus("restore", str(tmp_path / name), "--yes")
            assert done.returncode == 1
            assert said in done.stderr
        assert rows(alone) == before


def contents(file: Path) -> dict[str, bytes]:
    """The parts of an archive."""
    with tarfile.open(file) as archive:
        return {info.name: _content(archive, info) for info in archive}


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    part = archive.extractfile(info)
    assert part is not None
    return part.read()


def manifest(file: Path) -> Any:
    """The manifest of an archive."""
    return json.loads(contents(file)["manifest.json"])


def forged(file: Path, parts: dict[str, bytes], *databases: str) -> Path:
    """An archive of any parts with right checksums, and a manifest of `databases`."""
    listed = json.loads(parts["manifest.json"])
    kept = [entry for entry in listed["databases"] if entry["database"] in databases]
    for entry in kept:
        entry["sha256"] = hashlib.sha256(parts[entry["file"]]).hexdigest()
    text = json.dumps(listed | {"databases": kept}).encode()
    with tarfile.open(file, "w:gz") as archive:
        for name, content in (parts | {"manifest.json": text}).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def test_contents_that_are_not_the_database_are_not_restored(tmp_path: Path) -> None:
    """Garbage, exchanged or cut contents are reported before anything is changed."""
    nb, sb = DATABASES.values()
    with cluster_in(tmp_path, 1) as [alone]:
        fill(alone)
        parts = contents(made(alone, tmp_path / "backup.tar.gz"))
        before = rows(alone)
        ours, theirs = parts[f"{nb}.db"], parts[f"{sb}.db"]
        for odd, said in (
            (
                b"garbage",
                f"its part {nb} is not a valid database: ovsdb error: {nb}.db: unexpected file",
            ),
            (theirs, f"its part {nb} is the database {sb}"),
            (
                ours[:-30],
                f"its part {nb} is not a valid database: I/O error: {nb}.db: error reading",
            ),
        ):
            file = forged(tmp_path / "odd", parts | {f"{nb}.db": odd}, nb, sb)
            for option in ("--yes", "--dry-run"):
                done = alone.isthmus("restore", str(file), option)
                assert done.returncode == 1
                assert said in done.stderr
                assert "give another backup file; nothing was changed" in done.stderr
        assert rows(alone) == before
        assert not list(alone.data.glob("before-restore-*"))


def test_a_backup_of_one_database_restores_that_one(tmp_path: Path) -> None:
    """The other database does not change, and is listed as such."""
    nb, sb = DATABASES.values()
    with cluster_in(tmp_path, 1) as [alone]:
        parts = contents(made(alone, tmp_path / "backup.tar.gz"))
        fill(alone)
        file = forged(tmp_path / "one", parts, nb)
        stays = f"{sb}: is not in this backup, and stays as it is"
        dry = alone.isthmus("restore", str(file), "--dry-run")
        assert stays in dry.stdout
        assert "would be overwritten: OVN_IC_Northbound has Transit_Switch ts" in dry.stdout
        assert "Availability_Zone" not in dry.stdout
        done = alone.isthmus("restore", str(file), "--yes")
        assert done.returncode == 0, done.stderr
        assert stays in done.stdout
        assert f"{sb}: restored" not in done.stdout
        assert "az1" in alone.ctl("sb", "show")
        assert "ts" not in alone.ctl("nb", "show")


def test_a_servers_error_is_shortened(tmp_path: Path) -> None:
    """The server quotes the whole request that it refuses."""
    with cluster_in(tmp_path, 1) as [alone]:
        snapshot = OvsdbClient().backup(alone.remote("sb"), Database.IC_SB)
        with pytest.raises(ToolError, match="unknown database OVN_IC_Southbound") as raised:
            OvsdbClient().restore(alone.remote("nb"), Database.IC_NB, snapshot)
    assert len(str(raised.value)) < 400


def _older(tmp_path: Path) -> dict[str, Path]:
    """Schemas of an older version, without a column."""
    schema = json.loads((SCHEMAS / "ovn-ic-nb.ovsschema").read_text())
    del schema["tables"]["Transit_Switch"]["columns"]["other_config"], schema["cksum"]
    old = tmp_path / "old.ovsschema"
    old.write_text(json.dumps(schema | {"version": "0.9.0"}))
    return {"nb": old}


def _newer(tmp_path: Path) -> dict[str, Path]:
    """Schemas of a version that is not installed."""
    schema = json.loads((SCHEMAS / "ovn-ic-nb.ovsschema").read_text())
    del schema["cksum"]
    new = tmp_path / "new.ovsschema"
    new.write_text(json.dumps(schema | {"version": "99.0.0"}))
    return {"nb": new}


def test_a_running_cluster_is_upgraded(tmp_path: Path) -> None:
    """After a dry run, one command; the rows stay, there is a backup; repeated, no change."""
    with cluster_in(tmp_path, schemas=_older(tmp_path)) as members:
        fill(members[0])
        before = rows(members[0])
        dry = members[1].isthmus("upgrade", "--dry-run")
        assert "schema 0.9.0, to become 1." in dry.stdout
        assert "nothing was changed" in dry.stdout
        done = members[1].isthmus("upgrade")
        assert done.returncode == 0, done.stderr
        assert list(members[1].data.glob("before-upgrade-*.tar.gz"))
        for member in members:
            wait_until(partial(has_column, member), "the new column is there")
            assert rows(member) == before
        again = members[0].isthmus("upgrade")
        assert "converted" not in again.stdout
        assert not list(members[0].data.glob("before-upgrade-*"))


def test_a_backup_after_an_upgrade_has_the_new_schema(tmp_path: Path) -> None:
    """Also while `_Server` has the old one until the restart; it can be restored before that."""
    with cluster_in(tmp_path, 1, schemas=_older(tmp_path)) as [alone]:
        before = made(alone, tmp_path / "before.tar.gz")
        assert "converted" in alone.isthmus("upgrade").stdout
        file = made(alone, tmp_path / "after.tar.gz")
        old, new = (manifest(each)["databases"][0]["schema"] for each in (before, file))
        assert old == "0.9.0"
        assert new != old
        assert (
            "differs from the backup's schema version, 0.9.0"
            in alone.isthmus("restore", str(before)).stderr
        )
        # A manifest as an earlier version wrote it.
        text = contents(file)["manifest.json"].replace(new.encode(), old.encode(), 1)
        stale = contents(file) | {"manifest.json": text}
        files = (file, forged(tmp_path / "stale", stale, *DATABASES.values()))
        for name in files:
            assert alone.isthmus("restore", str(name), "--dry-run").returncode == 0
        alone.stop()
        alone.start()
        for name in files:
            done = alone.isthmus("restore", str(name), "--dry-run")
            assert done.returncode == 0, done.stderr


def test_a_backup_of_a_schema_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """An upgrade would not help: the installed schema is not newer than the one in use."""
    with cluster_in(tmp_path, 1, schemas=_newer(tmp_path)) as [alone]:
        file = made(alone, tmp_path / "backup.tar.gz")
    with cluster_in(tmp_path / "now", 1) as [alone]:
        done = alone.isthmus("restore", str(file))
        assert done.returncode == 1
        assert "differs from the backup's schema version, 99.0.0" in done.stderr
        assert "install the OVN that has schema 99.0.0, then run" in done.stderr
        # The remedy: the newer OVN's schemas, here in a directory.
        schemas = tmp_path / "schemas"
        schemas.mkdir()
        (schemas / "ovn-ic-nb.ovsschema").write_text((tmp_path / "new.ovsschema").read_text())
        (schemas / "ovn-ic-sb.ovsschema").symlink_to(SCHEMAS / "ovn-ic-sb.ovsschema")
        installed = f"--schema-dir={schemas}"
        again = alone.isthmus("restore", str(file), installed)
        assert "run `isthmus ic-db upgrade` first" in again.stderr
        assert alone.isthmus("upgrade", installed).returncode == 0
        assert alone.isthmus("restore", str(file), installed).returncode == 0


def test_a_backup_of_another_schema_is_named(tmp_path: Path) -> None:
    """The remedy for an older schema in use is an upgrade."""
    with cluster_in(tmp_path, 1) as [alone]:
        file = made(alone, tmp_path / "backup.tar.gz")
    with cluster_in(tmp_path / "old", 1, schemas=_older(tmp_path)) as [alone]:
        done = alone.isthmus("restore", str(file))
        assert done.returncode == 1
        assert "schema = '0.9.0'" in done.stderr
        assert "run `isthmus ic-db upgrade` first" in done.stderr


def check(data: Path, *others: Path) -> "subprocess.CompletedProcess[str]":
    """Check a member's files."""
    command = [str(ISTHMUS), "ic-db", "check", f"--data-dir={data}", *map(str, others)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_files_of_a_running_cluster_are_valid(members: list[ClusterMember]) -> None:
    """This member's alone, and together with the other members'."""
    first, second, third = members
    done = check(first.data, second.data, third.data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": valid, clustered, cluster ") == len(DATABASES)


def test_invalid_files_are_named(members: list[ClusterMember]) -> None:
    """Damage, another database, no file at all."""
    first = members[0]
    for member in members:
        member.stop()
    nb, sb = first.file("nb"), first.file("sb")
    nb.write_bytes(nb.read_bytes().replace(b'"OVN_IC_Northbound"', b'"OVN_IC_Northbouns"'))
    sb.unlink()
    done = check(first.data)
    assert done.returncode == 1
    assert f"'{nb}': is damaged: no valid record at byte 0" in done.stderr
    assert f"'{sb}': does not exist, or is empty" in done.stderr
    assert done.stdout.count(": INVALID, ") == len(DATABASES)
    nb.write_bytes(members[1].file("sb").read_bytes())
    assert "holds the database OVN_IC_Southbound" in check(first.data).stderr


def test_files_that_run_accepts_are_valid(members: list[ClusterMember], tmp_path: Path) -> None:
    """A torn last record, also in a copy; a file that has only its header."""
    first, second, third = members
    for member in members:
        member.stop()
    # Within the record's contents, and within the line that precedes them.
    for file, missing in ((first.file("nb"), 10), (second.file("sb"), 30)):
        file.write_bytes(file.read_bytes()[:-missing])
    done = check(first.data, second.data, third.data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": valid, clustered, cluster ") == len(DATABASES)
    assert done.stderr.count("the last transaction is incomplete") == 2
    fresh = ClusterMember(tmp_path / "fresh", "127.0.0.4")
    for short in DATABASES:
        fresh.create(short, fresh)
    assert check(fresh.data).returncode == 0
    for short in DATABASES:
        fresh.file(short).unlink()
        fresh.create(short, first)
    assert check(fresh.data, second.data, third.data).returncode == 0


def test_a_member_that_was_never_admitted_is_not_called_damaged(
    members: list[ClusterMember],
) -> None:
    """It has the data, and no record that it is a member: `run` lets it join again."""
    first, second, _ = members
    for member in members:
        member.stop()
    file = second.file("nb")
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    for arguments in ((second.data,), (first.data, second.data)):
        done = check(*arguments)
        assert done.returncode == 1
        assert f"'{file}': was interrupted while being admitted" in done.stderr
        assert "start `isthmus ic-db run`, which lets it join again" in done.stderr
        assert "damaged" not in done.stderr


def test_copies_that_do_not_match_are_named(members: list[ClusterMember], tmp_path: Path) -> None:
    """Copies of another cluster, and of members with another history; this file stays valid."""
    first, second, third = members
    wait_until(lambda: "ts" in second.ctl("nb", "show"), "the other has it")
    for member in members:
        member.stop()
    with cluster_in(tmp_path / "new", 2) as others:
        pass
    done = check(first.data, others[0].data)
    assert done.returncode == 1
    assert done.stdout.count(": valid, but NOT with the copies, clustered, cluster ") == 2
    for short in DATABASES:
        named = f"'{first.file(short)}': does not match {others[0].file(short)}: "
        assert named in done.stderr
    file = second.file("nb")
    file.write_bytes(_rewritten(file.read_bytes(), b'"name":"ts"', b'"name":"st"'))
    done = check(first.data, second.data, third.data)
    assert done.returncode == 1
    assert f"does not match {file}, {third.file('nb')}: log entries with index" in done.stderr
    assert "remedy: copy the files again" in done.stderr
    assert done.stderr.count("remedy: ") == 1


def _rewritten(content: bytes, old: bytes, new: bytes) -> bytes:
    """A file with changed records and right checksums."""
    made = b""
    lines = content.splitlines(keepends=True)
    for head, record in zip(lines[::2], lines[1::2], strict=True):
        other = record.replace(old, new)
        begin = b" ".join(head.split()[:2])
        digest = hashlib.sha1(other, usedforsecurity=False).hexdigest().encode()  # ovsdb(5) has it
        made += b"%b %d %b\n" % (begin, len(other), digest)
        made += other
    return made


def test_running_zones_outlive_a_restore(tmp_path: Path) -> None:
    """They replace restored rows with their present state."""
    with cluster_in(tmp_path, 1) as [alone], zones_on(tmp_path, alone) as (one, two):
        wait_until(lambda: set(one.learned()) == {"10.2.0.0/16"}, "they exchange")
        file = made(alone, tmp_path / "backup.tar.gz")
        two.add_subnet("later", "10.3.0.1/16")
        both = {"10.2.0.0/16", "10.3.0.0/16"}
        wait_until(lambda: set(one.learned()) == both, "the later subnet, too")
        done = alone.isthmus("restore", str(file), "--yes")
        assert done.returncode == 0, done.stderr
        wait_until(
            lambda: alone.ctl("sb", "show").count("availability-zone") == 2, "both are there"
        )
        wait_until(lambda: "10.3.0.1/16" in alone.dump("sb"), "advertised again")
        wait_until(lambda: set(one.learned()) == both, "all is as before")


@contextmanager
def zones_on(directory: Path, member: ClusterMember) -> Iterator[list[RealZone]]:
    """Two zones of our engine on a member's databases."""
    ic = OnMember(directory / "ic", member)
    member.ctl("nb", "ts-add", "ts")
    zones = [RealZone(directory, f"az{number}", ic) for number in (1, 2)]
    try:
        for number, zone in enumerate(zones, start=1):
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            zone.add_subnet("net", f"10.{number}.0.1/16")
            zone.start_engine()
            zone.join("ts", f"169.254.100.{number}/24")
        yield zones
    finally:
        for zone in zones:
            zone.servers.stop_all()


class OnMember(Servers):
    """The IC databases of a member, as servers that zones connect to."""

    def __init__(self, directory: Path, member: ClusterMember) -> None:
        super().__init__(directory)
        self._remotes = {database: member.remote(short) for short, database in DATABASES.items()}

    def socket(self, database: Database) -> str:
        """The remote of a database."""
        return self._remotes[database]
