"""`isthmus ic-db run --authorize`: zones cannot harm each other, and legitimate writes pass."""

import json
import os
import signal
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from select import select
from typing import Any

import pytest

from isthmus.authz.audit_log import FILE_NAME, ZoneRefusals, read
from isthmus.authz.status import SOCKET
from isthmus.model.bounds import ZONE_CONNECTIONS
from isthmus.pki.certificate_info import parse_pem
from support.icdb.authz import AuthorizedMembers, RawClient, authorized_members, isthmus
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
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AuthorizedMembers, RealZone]]:
    """The databases behind a proxy, with a zone az1."""
    with authorized_members(tmp_path_factory.mktemp("site")) as found:
        az1 = found.zone("az1", 1)
        found.until(lambda: routes(found, "az1"), "az1 has advertised its prefix")
        yield found, az1


def contents(found: AuthorizedMembers) -> dict[str, list[Row]]:
    """All rows of zones, without heartbeats."""
    tables = {table: found.rows(short, table) for short, names in TABLES.items() for table in names}
    for row in tables["IC_SB_Global"]:
        row["external_ids"][1] = [pair for pair in row["external_ids"][1] if "alive" not in pair[0]]
        del row["_version"]
    return tables


def on(table: str, target: Row, op: str, **more: object) -> Row:
    """An operation on one row."""
    return {"op": op, "table": table, "where": [["_uuid", "==", target["_uuid"]]], **more}


def new(table: str, **row: object) -> Row:
    """The insert of a row."""
    return {"op": "insert", "table": table, "row": row}


def attacks(now: dict[str, list[Row]]) -> Iterator[tuple[str, str, list[Row]]]:
    """Attacks on another zone: a name, the database, and the operations."""
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


def test_a_compromised_zone_changes_nothing_of_others(
    site: tuple[AuthorizedMembers, RealZone],
) -> None:
    """Names, keys, ports, gateways, routes, claims and switches stay; each attempt is counted."""
    found, _ = site
    before = contents(found)
    tried = list(attacks(before))
    for name, short, operations in tried:
        results = found.ask("zone", "az3", short, *operations)
        assert results[-1]["error"] == "permission error", (name, results)
        assert "zone az3 may not " in results[-1]["details"]
    assert contents(found) == before

    record = found.first.run_dir / FILE_NAME
    found.until(
        lambda: read(record).get("az3", ZoneRefusals()).count == len(tried), "all are counted"
    )
    [refused] = (one for one in found.status()["guard"]["refused"] if one["zone"] == "az3")
    assert refused["count"] == len(tried)
    assert (refused["operation"], refused["table"]) == ("insert", "IC_NB_Global")
    assert refused["tables"] == Counter(operations[-1]["table"] for _, _, operations in tried)
    text = found.run("status")
    assert text.returncode == 0
    assert f"refused: zone az3, {len(tried)} times" in text.stdout
    assert "refused: zone az3 may not update Availability_Zone: " in found.proxy_log()


def test_a_second_datapath_of_a_switch_is_refused(site: tuple[AuthorizedMembers, RealZone]) -> None:
    """The wait fails, and the zone reads again, as after any lost race."""
    found, _ = site
    before = contents(found)["Datapath_Binding"]
    second = new("Datapath_Binding", transit_switch="ts", tunnel_key=16711800)
    assert found.ask("zone", "az3", "sb", second)[-1]["error"] == "timed out"
    assert contents(found)["Datapath_Binding"] == before


def test_only_an_operator_prunes_another_zone(site: tuple[AuthorizedMembers, RealZone]) -> None:
    """`isthmus zone prune` needs an operator's certificate."""
    found, _ = site
    [added] = found.ask("operator", "boss", "sb", new("Availability_Zone", name="dead"))
    assert "uuid" in added
    remotes = (f"--ic-nb-db={found.remote('nb')}", f"--ic-sb-db={found.remote('sb')}")

    def prune(kind: str, name: str) -> "subprocess.CompletedProcess[str]":
        who = found.flags(kind, name)
        return isthmus(*who, "zone", "prune", "dead", "--yes", "--timeout=20", *remotes)

    refused = prune("zone", "az3")
    assert refused.returncode == 1
    assert "the authorizing proxy refused the change" in refused.stderr
    assert "dead" in {row["name"] for row in found.rows("sb", "Availability_Zone")}
    done = prune("operator", "boss")
    assert done.returncode == 0, done.stderr
    assert "dead" not in {row["name"] for row in found.rows("sb", "Availability_Zone")}


def test_clients_reach_only_the_proxy_and_it_is_restarted(
    site: tuple[AuthorizedMembers, RealZone],
) -> None:
    """Servers listen on their sockets only; zones recover after the proxy is killed."""
    found, az1 = site
    status = found.status()
    assert status["healthy"]
    for database in status["databases"]:
        assert all(remote.startswith("punix:") for remote in database["remotes"])
    found.until(lambda: found.status()["guard"]["clients"].get("az1") == 2, "az1 is connected")
    before = found.proxy_pid()
    os.kill(before, signal.SIGKILL)
    found.until(lambda: found.proxy_pid() not in {0, before}, "there is another proxy")
    az1.add_subnet("after", "10.11.0.1/16")
    found.until(lambda: "10.11.0.1/16" in routes(found, "az1"), "az1 advertises a later subnet")
    found.first.says("isthmus ic-db authz ended with signal SIGKILL")
    found.until(lambda: found.status()["guard"]["clients"].get("az1") == 2, "az1 is back")


def test_renewed_certificates_break_no_connection(site: tuple[AuthorizedMembers, RealZone]) -> None:
    """New clients see the new certificate; a connection in use stays up."""
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


def serial(found: AuthorizedMembers) -> str:
    """The serial number of the certificate that clients see."""
    pem = ssl.get_server_certificate((found.first.address, found.ports["sb"]))
    return parse_pem(pem.encode())[0].serial


def test_many_slow_clients_do_not_delay_others_or_fill_the_memory(
    site: tuple[AuthorizedMembers, RealZone],
) -> None:
    """A client that does not read a large answer costs the proxy a bounded buffer."""
    found, _ = site
    # Larger than what the kernel keeps for a connection.
    number, size = 16, 12 << 20
    large = new("Transit_Switch", name="large", other_config=["map", [["x", "x" * size]]])
    [made] = found.ask("operator", "boss", "nb", large)
    before = resident(found.proxy_pid())
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
        # While these read all of it, the proxy had time to receive the answers for the others.
        for _ in range(3):
            with found.connected("operator", "boss", "nb") as quick:
                quick.send("monitor", *everything)
                take(quick, size)
        assert resident(found.proxy_pid()) - before < number * size / 4
        take(slow, size)
    row = {"_uuid": made["uuid"]}
    found.ask("operator", "boss", "nb", on("Transit_Switch", row, "delete"))


def take(client: RawClient, size: int) -> None:
    """Read so many bytes of an answer."""
    while size > 0:
        some = client.socket.recv(1 << 20)
        assert some, "the connection was closed"
        size -= len(some)


def test_connections_per_zone_are_limited(site: tuple[AuthorizedMembers, RealZone]) -> None:
    """One more is refused and counted; other zones are served, and the zone again later."""
    found, _ = site
    with ExitStack() as stack:
        for _ in range(ZONE_CONNECTIONS.most):
            client = stack.enter_context(found.connected("zone", "az7", "sb"))
            assert client.transact() == []
        with found.connected("zone", "az7", "sb") as more, suppress(ConnectionResetError):
            received = b"".join(iter(partial(more.socket.recv, 4096), b""))
            assert b"connections" in received
        assert found.ask("zone", "az8", "sb") == []
    found.until(lambda: "az7" not in found.status()["guard"]["clients"], "they are closed")
    assert found.ask("zone", "az7", "sb") == []
    [refused] = (one for one in found.status()["guard"]["refused"] if one["zone"] == "az7")
    assert (refused["operation"], refused["count"]) == ("connect", 1)


def resident(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_renamed_zone_needs_a_new_certificate(site: tuple[AuthorizedMembers, RealZone]) -> None:
    """A renamed zone is refused until it has a certificate for its new name."""
    found, _ = site
    zone = found.zone("az5", 5)
    found.until(lambda: routes(found, "az5"), "it has advertised its prefix")
    zone.nbctl("set", "NB_Global", ".", "name=az6")
    found.until(
        lambda: "the certificate does not allow the name az6" in found.proxy_log(), "it is refused"
    )
    assert routes(found, "az5")
    found.until(lambda: "may not " in zone.servers.log("engine"), "the engine logs the refusal")
    zone.servers.stop("engine")
    forgotten = isthmus(
        *found.flags("operator", "boss"), "zone", "prune", "az5", "--alive-too", "--yes",
        f"--ic-nb-db={found.remote('nb')}", f"--ic-sb-db={found.remote('sb')}", "--timeout=20",
    )  # fmt: skip
    assert forgotten.returncode == 0, forgotten.stderr
    zone.nbctl("set", "Logical_Switch_Port", "ts-az5", "name=ts-az6")
    found.start_engine(zone, "az6")
    found.until(lambda: routes(found, "az6"), "it advertises its prefix under its new name")
    assert not routes(found, "az5")


def routes(found: AuthorizedMembers, name: str) -> set[str]:
    """The prefixes that a zone advertises."""
    zones = [row["_uuid"] for row in found.rows("sb", "Availability_Zone") if row["name"] == name]
    rows = found.rows("sb", "Route")
    return {row["ip_prefix"] for row in rows if row["availability_zone"] in zones}


def test_a_clean_stop(tmp_path: Path) -> None:
    """With clients connected it stops at once, and leaves no process and no socket."""
    with authorized_members(tmp_path) as found, ExitStack() as stack:
        for number in range(5):
            client = stack.enter_context(found.connected("zone", f"az{number}", "sb"))
            client.send("monitor", "OVN_IC_Southbound", None, {"Route": {}})
            assert client.receive()["error"] is None
        proxy = found.proxy_pid()
        assert found.first.stop() == 0
        assert not Path(f"/proc/{proxy}").exists()
        assert "Traceback" not in found.proxy_log()
        assert "Traceback" not in found.first.log.read_text()
        assert not [*found.first.run_dir.glob("*.ctl"), *found.first.run_dir.glob("*.sock")]


def test_the_control_socket_is_that_of_an_ovn_daemon(
    site: tuple[AuthorizedMembers, RealZone],
) -> None:
    """`ovs-appctl` gets the status, and an error for unknown commands."""
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
        ((), "--authorize: needs TLS, since zones are identified by their certificates"),
        (("--prefixes=az1=10.0.0.0/99",), "contains '10.0.0.0/99', which is not a valid CIDR"),
    ],
)
def test_configuration_errors(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Missing certificates and malformed prefixes are errors; the old variable still works."""
    dirs = (f"--data-dir={tmp_path}/data", f"--run-dir={tmp_path}/run")
    done = isthmus("ic-db", "run", *dirs, *flags, ISTHMUS_GUARD="true")
    assert done.returncode == 1
    assert said in done.stderr
    assert "remedy: " in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_policy_without_a_proxy_is_an_error(tmp_path: Path) -> None:
    """It would have no effect."""
    dirs = (f"--data-dir={tmp_path}/data", f"--run-dir={tmp_path}/run")
    done = isthmus("ic-db", "run", *dirs, "--operator=boss")
    assert done.returncode == 1
    assert "has no effect without --authorize" in done.stderr


def test_zones_find_the_leader_through_the_proxies(tmp_path: Path) -> None:
    """A zone with three proxies writes to the one whose server leads."""
    with authorized_members(tmp_path, "127.0.0.1", "127.0.0.2", "127.0.0.3") as found:
        zone = found.zone("az1", 1)
        found.until(lambda: routes(found, "az1"), "it has advertised its prefix")
        leader = found.members.leader("sb")
        moved = isthmus("ic-db", "move-leader", f"--data-dir={leader.data}",
                        f"--run-dir={leader.run_dir}")  # fmt: skip
        assert moved.returncode == 0, moved.stderr
        zone.add_subnet("second", "10.11.0.1/16")
        found.until(lambda: "10.11.0.1/16" in routes(found, "az1"), "another leader serves")
        found.members.leader("sb").kill_server("sb")
        zone.add_subnet("third", "10.12.0.1/16")
        found.until(lambda: "10.12.0.1/16" in routes(found, "az1"), "az1 recovers after a crash")
        status = found.status("--timeout=10")
        assert [len(database["members"]) for database in status["databases"]] == [3, 3]
        assert not any(one["zone"] == "az1" for one in status["guard"]["refused"])
