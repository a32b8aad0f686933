"""`isthmus ic-db run --guard`: what zones may not do to each other, and that work goes on."""

import json
import os
import signal
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select
from typing import Any

import pytest

from isthmus.authz.audit_log import RECORD, Refusals, read
from isthmus.authz.proxy import CONNECTIONS
from isthmus.authz.status import SOCKET
from isthmus.pki.certificate_info import looks
from support.icdb.authz import Guarded, Wire, guarded, isthmus
from support.icdb.run import LIMIT
from support.ovn.servers import RealZone

pytestmark = pytest.mark.ovn

TABLES = {
    "nb": ("Transit_Switch", "IC_NB_Global"),
    "sb": ("IC_SB_Global", "Availability_Zone", "Gateway", "Encap", "Datapath_Binding",
           "Port_Binding", "Route"),
}  # fmt: skip

Row = dict[str, Any]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guarded, RealZone]]:
    """A pair of databases behind a guard, with a zone az1 that has joined."""
    with guarded(tmp_path_factory.mktemp("site")) as found:
        az1 = found.zone("az1", 1)
        found.until(lambda: routes(found, "az1"), "az1 has announced its prefix")
        yield found, az1


def contents(found: Guarded) -> dict[str, list[Row]]:
    """All that zones have, but for signs of life."""
    tables = {table: found.rows(short, table) for short, names in TABLES.items() for table in names}
    for row in tables["IC_SB_Global"]:
        row["external_ids"][1] = [pair for pair in row["external_ids"][1] if "alive" not in pair[0]]
        del row["_version"]
    return tables


def on(table: str, target: Row, op: str, **more: object) -> Row:
    """An operation on one row."""
    return {"op": op, "table": table, "where": [["_uuid", "==", target["_uuid"]]], **more}


def new(table: str, **row: object) -> Row:
    """The operation that makes a row."""
    return {"op": "insert", "table": table, "row": row}


def attacks(now: dict[str, list[Row]]) -> Iterator[tuple[str, str, list[Row]]]:
    """What a zone would do to another one: a name for it, the database, and the operations."""
    [zone] = (row for row in now["Availability_Zone"] if row["name"] == "az1")
    [gateway], [port], [route] = (
        [row for row in now[table] if row["availability_zone"] == zone["_uuid"]][:1]
        for table in ("Gateway", "Port_Binding", "Route")
    )
    [datapath], [switch] = now["Datapath_Binding"], now["Transit_Switch"]
    own = {**new("Availability_Zone", name="az3"), "uuid-name": "z"}
    mine = {"availability_zone": ["named-uuid", "z"]}
    claim = [["external_ids", "delete", ["set", ["isthmus-zone-az1"]]]]
    yield "rename", "sb", [on("Availability_Zone", zone, "update", row={"name": "az1x"})]
    yield "be az1", "sb", [new("Availability_Zone", name="az1")]
    yield "unregister", "sb", [on("Availability_Zone", zone, "delete")]
    yield (
        "a datapath's key",
        "sb",
        [on("Datapath_Binding", datapath, "update", row={"tunnel_key": 16711700})],
    )
    yield "a datapath", "sb", [on("Datapath_Binding", datapath, "delete")]
    yield "a port's key", "sb", [on("Port_Binding", port, "update", row={"tunnel_key": 77})]
    yield "a port", "sb", [own, on("Port_Binding", port, "update", row=mine)]
    yield "a port's address", "sb", [
        own,
        new("Port_Binding", **mine, transit_switch="ts", logical_port="p", tunnel_key=78,
            address=port["address"]),
    ]  # fmt: skip
    yield "a gateway", "sb", [own, on("Gateway", gateway, "update", row=mine)]
    yield (
        "a gateway's tunnel",
        "sb",
        [on("Gateway", gateway, "mutate", mutations=[["encaps", "delete", gateway["encaps"]]])],
    )
    yield "a route", "sb", [own, on("Route", route, "update", row=mine)]
    yield "the withdrawal of a route", "sb", [on("Route", route, "delete")]
    yield "a claim", "sb", [on("IC_SB_Global", now["IC_SB_Global"][0], "mutate", mutations=claim)]
    yield "a transit switch", "nb", [on("Transit_Switch", switch, "delete")]
    yield "short keys", "nb", [new("IC_NB_Global", options=["map", [["vxlan_mode", "true"]]])]


def test_a_compromised_zone_changes_nothing_of_others(site: tuple[Guarded, RealZone]) -> None:
    """Names, keys, ports, gateways, routes, claims and switches stay, and each attempt is seen."""
    found, _ = site
    before = contents(found)
    tried = list(attacks(before))
    for name, short, operations in tried:
        results = found.ask("zone", "az3", short, *operations)
        assert results[-1]["error"] == "permission error", (name, results)
        assert "zone az3 may not: " in results[-1]["details"]
    assert contents(found) == before

    record = found.first.run_dir / RECORD
    found.until(lambda: read(record).get("az3", Refusals()).count == len(tried), "all are counted")
    [refused] = (one for one in found.status()["guard"]["refused"] if one["zone"] == "az3")
    assert refused["count"] == len(tried)
    assert (refused["operation"], refused["table"]) == ("insert", "IC_NB_Global")
    assert refused["tables"] == Counter(operations[-1]["table"] for _, _, operations in tried)
    text = found.told("status")
    assert text.returncode == 0
    assert f"refused: zone az3, {len(tried)} times" in text.stdout
    assert "refused: zone az3 may not: update Availability_Zone" in found.guard_log()


def test_two_datapaths_of_one_switch_do_not_arise(site: tuple[Guarded, RealZone]) -> None:
    """Zones that make it at once are told to look again, as after any lost race."""
    found, _ = site
    before = contents(found)["Datapath_Binding"]
    second = new("Datapath_Binding", transit_switch="ts", tunnel_key=16711800)
    assert found.ask("zone", "az3", "sb", second)[-1]["error"] == "timed out"
    assert contents(found)["Datapath_Binding"] == before


def test_only_an_operator_forgets_another_zone(site: tuple[Guarded, RealZone]) -> None:
    """`isthmus zone forget` takes more than a zone's certificate."""
    found, _ = site
    [added] = found.ask("operator", "boss", "sb", new("Availability_Zone", name="dead"))
    assert "uuid" in added
    remotes = (f"--ic-nb-db={found.remote('nb')}", f"--ic-sb-db={found.remote('sb')}")

    def forget(kind: str, name: str) -> "subprocess.CompletedProcess[str]":
        who = found.flags(kind, name)
        return isthmus(*who, "zone", "forget", "dead", "--yes", "--timeout=20", *remotes)

    refused = forget("zone", "az3")
    assert refused.returncode == 1
    assert "permission error" in refused.stderr
    assert "dead" in {row["name"] for row in found.rows("sb", "Availability_Zone")}
    done = forget("operator", "boss")
    assert done.returncode == 0, done.stderr
    assert "dead" not in {row["name"] for row in found.rows("sb", "Availability_Zone")}


def test_clients_reach_the_guard_alone_and_it_is_started_again(
    site: tuple[Guarded, RealZone],
) -> None:
    """Servers listen on their sockets only; when the guard is killed, zones go on by themselves."""
    found, az1 = site
    status = found.status()
    assert status["healthy"]
    for database in status["databases"]:
        assert all(remote.startswith("punix:") for remote in database["remotes"])
    found.until(lambda: found.status()["guard"]["clients"].get("az1") == 2, "az1 is connected")
    before = found.guard_pid()
    os.kill(before, signal.SIGKILL)
    found.until(lambda: found.guard_pid() not in {0, before}, "there is another guard")
    az1.add_subnet("after", "10.11.0.1/16")
    found.until(lambda: "10.11.0.0/16" in routes(found, "az1"), "az1 announces what came later")
    found.first.says("isthmus ic-db guard ended with signal SIGKILL")
    found.until(lambda: found.status()["guard"]["clients"].get("az1") == 2, "az1 is back")


def test_renewed_certificates_break_no_connection(site: tuple[Guarded, RealZone]) -> None:
    """New clients see the new certificate; one that writes all the while is never cut off."""
    found, _ = site
    before = serial(found)
    with found.connected("zone", "az4", "sb") as client:
        [made] = client.transact(new("Availability_Zone", name="az4"))
        row, written = {"_uuid": made["uuid"]}, 0

        def writes() -> None:
            nonlocal written
            written += 1
            touch = on("Availability_Zone", row, "update", row={"name": "az4"})
            assert client.transact(touch) == [{"count": 1}]

        def renewed() -> bool:
            writes()
            return serial(found) != before

        found.renew(found.first.address)
        found.until(renewed, "new connections get the renewed certificate")
        writes()
        assert client.transact(on("Availability_Zone", row, "delete")) == [{"count": 1}]
    assert written > 1


def serial(found: Guarded) -> str:
    """The serial number of the certificate that clients see."""
    pem = ssl.get_server_certificate((found.first.address, found.ports["sb"]))
    return looks(pem.encode())[0].serial


def test_many_slow_clients_hold_up_nobody_and_fill_no_memory(
    site: tuple[Guarded, RealZone],
) -> None:
    """Clients that take nothing of a large answer cost the guard a bounded buffer each."""
    found, _ = site
    # Larger than what the kernel keeps for a connection.
    number, size = 16, 12 << 20
    large = new("Transit_Switch", name="large", other_config=["map", [["x", "x" * size]]])
    [made] = found.ask("operator", "boss", "nb", large)
    before = resident(found.guard_pid())
    everything: tuple[object, ...] = ("OVN_IC_Northbound", None, {"Transit_Switch": {}})
    with ExitStack() as stack:
        # Many names would take many certificates; operators may have any number.
        slow, *others = (
            stack.enter_context(found.connected("operator", "boss", "nb")) for _ in range(number)
        )
        for client in (slow, *others):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            client.send("monitor", *everything)
        for client in (slow, *others):
            assert select([client.socket], [], [], LIMIT)[0], "its answer has begun"
        # While these take all of it, what the guard has for the others had time to come, too.
        for _ in range(3):
            with found.connected("operator", "boss", "nb") as quick:
                quick.send("monitor", *everything)
                take(quick, size)
        assert resident(found.guard_pid()) - before < number * size / 4
        take(slow, size)
    row = {"_uuid": made["uuid"]}
    found.ask("operator", "boss", "nb", on("Transit_Switch", row, "delete"))


def take(client: Wire, size: int) -> None:
    """Read so many bytes of an answer."""
    while size > 0:
        some = client.socket.recv(1 << 20)
        assert some, "the connection was closed"
        size -= len(some)


def test_a_zone_has_so_many_connections(site: tuple[Guarded, RealZone]) -> None:
    """One more is closed, and seen; other zones are served, and so is this one when some end."""
    found, _ = site
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = stack.enter_context(found.connected("zone", "az7", "sb"))
            assert client.transact() == []
        with found.connected("zone", "az7", "sb") as more, suppress(ConnectionResetError):
            assert more.socket.recv(1) == b""
        assert found.ask("zone", "az8", "sb") == []
    found.until(lambda: "az7" not in found.status()["guard"]["clients"], "they have ended")
    assert found.ask("zone", "az7", "sb") == []
    [refused] = (one for one in found.status()["guard"]["refused"] if one["zone"] == "az7")
    assert (refused["operation"], refused["count"]) == ("connect", 1)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_new_name_takes_a_new_certificate(site: tuple[Guarded, RealZone]) -> None:
    """A zone that is renamed keeps its old name for others until an operator forgets that."""
    found, _ = site
    zone = found.zone("az5", 5)
    found.until(lambda: routes(found, "az5"), "it has announced its prefix")
    zone.nbctl("set", "NB_Global", ".", "name=az6")
    found.until(lambda: "would be zone az6" in found.guard_log(), "it is refused")
    assert routes(found, "az5")
    assert "may not: " in zone.servers.log("engine")
    zone.servers.stop("engine")
    forgotten = isthmus(
        *found.flags("operator", "boss"), "zone", "forget", "az5", "--alive-too", "--yes",
        f"--ic-nb-db={found.remote('nb')}", f"--ic-sb-db={found.remote('sb')}", "--timeout=20",
    )  # fmt: skip
    assert forgotten.returncode == 0, forgotten.stderr
    found.start_engine(zone, "az6")
    found.until(lambda: routes(found, "az6"), "it announces its prefix under its new name")
    assert not routes(found, "az5")


def routes(found: Guarded, name: str) -> set[str]:
    """The prefixes that a zone announces."""
    zones = [row["_uuid"] for row in found.rows("sb", "Availability_Zone") if row["name"] == name]
    rows = found.rows("sb", "Route")
    return {row["ip_prefix"] for row in rows if row["availability_zone"] in zones}


def test_it_ends_in_good_order(tmp_path: Path) -> None:
    """With clients connected it ends at once, and leaves nothing running and no socket."""
    with guarded(tmp_path) as found, ExitStack() as stack:
        for number in range(5):
            client = stack.enter_context(found.connected("zone", f"az{number}", "sb"))
            client.send("monitor", "OVN_IC_Southbound", None, {"Route": {}})
            assert client.receive()["error"] is None
        guard = found.guard_pid()
        assert found.first.stop() == 0
        assert not Path(f"/proc/{guard}").exists()
        assert "Traceback" not in found.guard_log()
        assert "Traceback" not in found.first.log.read_text()
        assert not [*found.first.run_dir.glob("*.ctl"), *found.first.run_dir.glob("*.sock")]


def test_the_control_socket_is_that_of_an_ovn_daemon(site: tuple[Guarded, RealZone]) -> None:
    """`ovs-appctl` asks it, and is told what there is to ask."""
    found, _ = site
    control = ["ovs-appctl", "-t", f"{found.first.run_dir}/{SOCKET}"]
    said = subprocess.run([*control, "status"], capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["ready"]
    asked = subprocess.run([*control, "what"], capture_output=True, text=True, check=False)
    assert asked.returncode
    assert "'what' is not a valid command" in asked.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "--guard: knows zones by their certificates"),
        (("--prefixes=az1=10.0.0.0/99",), "'10.0.0.0/99' is not a CIDR"),
    ],
)
def test_what_cannot_be_guarded_is_named(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """The environment asks for it, and there are no certificates, or a prefix that is none."""
    dirs = (f"--data-dir={tmp_path}/data", f"--run-dir={tmp_path}/run")
    done = isthmus("ic-db", "run", *dirs, *flags, ISTHMUS_GUARD="true")
    assert done.returncode == 1
    assert said in done.stderr
    assert "remedy: " in done.stderr
    assert not (tmp_path / "data").exists()


def test_policy_without_a_guard_is_named(tmp_path: Path) -> None:
    """It would be heeded by nobody."""
    dirs = (f"--data-dir={tmp_path}/data", f"--run-dir={tmp_path}/run")
    done = isthmus("ic-db", "run", *dirs, "--operator=boss")
    assert done.returncode == 1
    assert "there is no guard to see to it" in done.stderr


def test_zones_find_the_leader_of_a_cluster_through_the_guards(tmp_path: Path) -> None:
    """A zone that lists three guards writes by the one whose server leads, whoever that is."""
    with guarded(tmp_path, "127.0.0.1", "127.0.0.2", "127.0.0.3") as found:
        zone = found.zone("az1", 1)
        found.until(lambda: routes(found, "az1"), "it has announced its prefix")
        leader = found.members.leader("sb")
        moved = isthmus("ic-db", "move-leader", f"--data-dir={leader.data}",
                        f"--run-dir={leader.run_dir}")  # fmt: skip
        assert moved.returncode == 0, moved.stderr
        zone.add_subnet("second", "10.11.0.1/16")
        found.until(lambda: "10.11.0.0/16" in routes(found, "az1"), "another leader serves")
        found.members.leader("sb").kill_server("sb")
        zone.add_subnet("third", "10.12.0.1/16")
        found.until(lambda: "10.12.0.0/16" in routes(found, "az1"), "it goes on after a crash")
        status = found.status("--timeout=10")
        assert [len(database["members"]) for database in status["databases"]] == [3, 3]
        assert not any(one["zone"] == "az1" for one in status["guard"]["refused"])
