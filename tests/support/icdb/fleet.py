"""Many zones behind an authorizing proxy: each sends what the engine of a zone writes and reads.

One process serves all of them with asyncio. Answers that no one needs are not parsed, so that most
of the CPU time is left to the proxy and the servers.
"""

import asyncio
import datetime
import itertools
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from isthmus.model.external_ids import alive_key, zone_claim
from isthmus.model.operations import Insert, NewRef, Operation, Ref, Value, set_keys
from isthmus.model.rows import (
    ROW_TYPES,
    AvailabilityZone,
    Database,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    RowId,
)
from isthmus.ovsdb.codec import encode
from isthmus.ovsdb.json_stream import MessageDecoder
from isthmus.ovsdb.json_stream import encode as encode_message
from isthmus.ovsdb.jsonrpc import request
from isthmus.ovsdb.session import DEFAULT_PROBE
from isthmus.pki import ca_pair
from isthmus.pki.certificates import IssueSpec, Kind, issue
from isthmus.pki.files import TlsFiles, write_pair
from support.icdb.authz import AuthorizedMembers

SILENCE = 2 * DEFAULT_PROBE / 1000
"""Seconds after which a daemon leaves a proxy that sends nothing."""

_BATCH = 1000
"""Rows in a transaction, as the engine writes them."""

_AT_ONCE = 8
"""Zones that register at the same time."""

_READ_SIZE = 1 << 18

_SHORT = 100
"""Bytes of the longest answer to an `echo`."""


class Connection:
    """A zone's connection to one database."""

    def __init__(
        self, database: Database, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._database, self._reader, self._writer = database, reader, writer
        self._decoder = MessageDecoder()
        self._messages: list[Any] = []
        self.received = 0

    async def transact(self, *operations: Operation) -> list[Any]:
        """The results of a transaction's operations.

        Raises:
            AssertionError: one of them was refused or failed.
        """
        results = await self._call("transact", self._database, *encode([*operations]))
        assert all("error" not in (one or {}) for one in results), results
        return list(results)

    async def replicate(self) -> None:
        """Request what a daemon replicates, and wait until the contents have arrived."""
        schema = (await self._call("get_schema", self._database))["tables"]
        kinds = [kind for kind in ROW_TYPES if kind.DATABASE is self._database]
        tables = {
            kind.TABLE: [{"columns": sorted(kind.__dataclass_fields__.keys() & columns.keys())}]
            for kind in kinds
            if (columns := schema.get(kind.TABLE, {}).get("columns"))
        }
        monitor = [self._database, "monitor", tables, "00000000-0000-0000-0000-000000000000"]
        self._send("monitor_cond_since", *monitor)
        self._send("echo")
        await self._skip(b'"echo"')

    async def _call(self, method: str, *params: object) -> Any:
        """The result of a request; what monitors show meanwhile is dropped."""
        self._send(method, *params)
        while True:
            while not self._messages:
                self._messages.extend(self._decoder.feed(await self._read()))
            message = self._messages.pop(0)
            if message.get("id") == method:
                assert message["error"] is None, message
                return message["result"]

    async def _skip(self, mark: bytes) -> None:
        """Drop everything up to the end of the short answer that contains `mark`."""
        text = b""
        while mark not in text or b"}" not in text.partition(mark)[2]:
            text = text[-_SHORT:] + await self._read()
        rest = text.partition(mark)[2].partition(b"}")[2]
        self._decoder = MessageDecoder()
        self._messages = list(self._decoder.feed(rest))

    async def _read(self) -> bytes:
        """What arrives next; an `echo` of the proxy is not answered."""
        text = await asyncio.wait_for(self._reader.read(_READ_SIZE), SILENCE)
        if not text:
            raise ConnectionResetError("the proxy closed the connection")
        self.received += len(text)
        return text

    def _send(self, method: str, *params: object) -> None:
        self._writer.write(encode_message(request(method, *params)))

    def close(self) -> None:
        """Close the connection without waiting for the other side."""
        self._writer.transport.abort()


@dataclass(slots=True)
class FleetZone:
    """One zone.

    Args:
        number: makes its name, addresses and prefixes unique; 0 to 511.
        context: with its certificate.
        members: the databases.
    """

    number: int
    context: ssl.SSLContext
    members: AuthorizedMembers
    open: dict[Database, Connection] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name."""
        return f"fleet{self.number}"

    @property
    def nexthop(self) -> str:
        """The address of its port on the transit switch."""
        return str(IPv4Address("169.254.100.1") + self.number)

    def prefix(self, number: int) -> str:
        """One of its up to 512 prefixes."""
        return f"{IPv4Address('10.0.0.0') + (self.number << 15) + (number << 6)}/26"

    async def connect(self, database: Database) -> Connection:
        """Connect through the proxy, in place of an earlier connection."""
        if (before := self.open.pop(database, None)) is not None:
            before.close()
        port = self.members.ports["nb" if database is Database.IC_NB else "sb"]
        reader, writer = await asyncio.open_connection(
            self.members.first.address, port, ssl=self.context
        )
        self.open[database] = Connection(database, reader, writer)
        return self.open[database]

    async def register(self, shared: RowId, routes: int) -> None:
        """Write everything that a zone with one gateway and so many routes has in IC-SB.

        Args:
            shared: the row of IC_SB_Global.
            routes: how many.
        """
        sb = await self.connect(Database.IC_SB)
        cluster = str(uuid5(NAMESPACE_OID, self.name))
        claim = set_keys(IcSbGlobal, shared, "external_ids", {zone_claim(self.name): cluster})
        made = await sb.transact(Insert(AvailabilityZone, {"name": self.name}), claim)
        zone = RowId(made[0]["uuid"][1])
        await sb.transact(*self._gateway(zone), self._port(zone), self._heartbeat(shared))
        rows = (Insert(IcRoute, self._route(zone, number)) for number in range(routes))
        while batch := list(itertools.islice(rows, _BATCH)):
            await sb.transact(*batch)

    async def reconnect(self, shared: RowId) -> int:
        """Connect to both databases as after an interruption, and write a heartbeat.

        Returns:
            How often the proxy broke the connection, or sent nothing for too long.
        """
        broken = 0
        while True:
            try:
                for database in (Database.IC_NB, Database.IC_SB):
                    await (await self._connect_again(database)).replicate()
                await self.beat(shared)
            except (ConnectionError, TimeoutError):
                broken += 1
                self.close()
            else:
                return broken

    async def _connect_again(self, database: Database) -> Connection:
        """Connect as soon as the proxy listens."""
        while True:
            try:
                return await self.connect(database)
            except ConnectionRefusedError:
                await asyncio.sleep(1)

    async def beat(self, shared: RowId) -> None:
        """Write a heartbeat."""
        await self.open[Database.IC_SB].transact(self._heartbeat(shared))

    def close(self) -> None:
        """Close all connections without waiting for the proxy."""
        for connection in self.open.values():
            connection.close()
        self.open.clear()

    def _heartbeat(self, shared: RowId) -> Operation:
        beat = {alive_key(self.name): str(int(time.time()))}
        return set_keys(IcSbGlobal, shared, "external_ids", beat)

    def _gateway(self, zone: RowId) -> tuple[Operation, Operation]:
        encap, gateway, node = NewRef(), f"{self.name}-gw", f"node.{self.name}"
        ip = str(IPv4Address("172.16.0.1") + self.number)
        tunnel: dict[str, Value] = {"type": "geneve", "ip": ip, "gateway_name": gateway}
        row: dict[str, Value] = {"name": gateway, "hostname": node, "encaps": (encap,)}
        row["availability_zone"] = Ref(zone)
        return Insert(IcEncap, tunnel, encap), Insert(Gateway, row)

    def _port(self, zone: RowId) -> Operation:
        mac = f"0a:00:00:01:{self.number >> 8:02x}:{self.number & 255:02x}"
        row: dict[str, Value] = {
            "logical_port": f"ts-{self.name}",
            "transit_switch": "ts",
            "availability_zone": Ref(zone),
            "tunnel_key": self.number + 100,
            "gateway": f"{self.name}-gw",
            "address": f"{mac} {self.nexthop}/16",
            "external_ids": {"router-id": str(uuid5(NAMESPACE_OID, f"router {self.name}"))},
        }
        return Insert(IcPortBinding, row)

    def _route(self, zone: RowId, number: int) -> dict[str, Value]:
        port, router = (uuid5(NAMESPACE_OID, f"{kind} {self.name}") for kind in ("port", "router"))
        return {
            "transit_switch": "ts",
            "availability_zone": Ref(zone),
            "route_table": "",
            "ip_prefix": self.prefix(number),
            "nexthop": self.nexthop,
            "origin": "connected",
            "external_ids": {"nb-id": str(port), "lr-id": str(router)},
        }


class Fleet:
    """Zones with certificates, none of them connected.

    Args:
        members: the databases.
        zones: how many, up to 512.
    """

    def __init__(self, members: AuthorizedMembers, zones: int) -> None:
        if not members.rows("sb", "IC_SB_Global"):
            members.ask(
                "operator", "boss", "sb", {"op": "insert", "table": "IC_SB_Global", "row": {}}
            )
        [row] = members.rows("sb", "IC_SB_Global")
        self._shared = RowId(row["_uuid"][1])
        contexts = _contexts(members, [f"fleet{number}" for number in range(zones)])
        self.zones = [FleetZone(number, one, members) for number, one in enumerate(contexts)]

    def register(self, routes: int) -> None:
        """Let all zones write their rows and disconnect; eight at a time."""

        async def one(zone: FleetZone) -> None:
            await zone.register(self._shared, routes)
            zone.close()

        asyncio.run(_all(self.zones, one, _AT_ONCE))

    def reconnect(self, zones: int, interrupt: Callable[[], object]) -> tuple[int, float]:
        """Connect zones, interrupt them, and let all of them connect again at once.

        Args:
            zones: how many.
            interrupt: breaks the connections.

        Returns:
            How often a connection broke before each zone had replicated both databases and written
            a heartbeat, and the seconds from the interruption until then.
        """
        return asyncio.run(self._reconnect(self.zones[:zones], interrupt))

    async def _reconnect(
        self, zones: Sequence[FleetZone], interrupt: Callable[[], object]
    ) -> tuple[int, float]:
        await asyncio.gather(*(zone.reconnect(self._shared) for zone in zones))
        began = time.monotonic()
        await asyncio.to_thread(interrupt)
        broken = await asyncio.gather(*(zone.reconnect(self._shared) for zone in zones))
        seconds = time.monotonic() - began
        for zone in zones:
            zone.close()
        return sum(broken), seconds


async def _all(
    zones: Iterable[FleetZone], action: Callable[[FleetZone], Awaitable[None]], at_once: int
) -> None:
    """Do the same with all zones, some at a time; the first failure ends it."""
    slots = asyncio.Semaphore(at_once)

    async def one(zone: FleetZone) -> None:
        async with slots:
            await action(zone)

    async with asyncio.TaskGroup() as tasks:
        for zone in zones:
            tasks.create_task(one(zone))


def _contexts(members: AuthorizedMembers, names: Iterable[str]) -> Iterable[ssl.SSLContext]:
    """For each zone, a TLS context with a certificate of its own, issued in this process."""
    now, ca = datetime.datetime.now(datetime.UTC), ca_pair.load_signer(members.ca, member=False)
    trusted, directory = ca_pair.trusted_cas(members.ca, member=False), members.directory / "fleet"
    directory.mkdir()
    for name in names:
        files = TlsFiles(*(directory / f"{name}.{part}" for part in ("key", "crt", "ca")))
        write_pair(files, issue(ca, IssueSpec(Kind.ZONE, name), now))
        ca_pair.write_trusted_cas(files, trusted)
        context = ssl.create_default_context(cafile=str(files.ca_cert))
        context.check_hostname = False
        context.load_cert_chain(files.certificate, files.private_key)
        yield context


def refusals(members: AuthorizedMembers) -> Any:
    """What the proxy has refused, with the bounds that were met; empty for honest zones."""
    return members.status()["guard"]["refused"]


def peak_mib(pid: int) -> int:
    """The peak resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10
