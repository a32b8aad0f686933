"""Cost of one edit of the manifests, with many learned routes.

`python -m bench.edits` (with `PYTHONPATH=tests`) runs this alone. What the engine does is measured
in this process on fake databases, whose own time does not count: reading a snapshot of the
manifests, marking, reconciling, following its own writes. What a daemon on real servers needs in
all (reading the file, OVSDB's JSON, the status) is measured from outside.
"""

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.zone import Client, StaticRoute, cpu_seconds
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.engine.transactions import Result, Transaction
from isthmus.model.operations import Insert, NewRef, Ref, Value
from isthmus.model.rows import AvailabilityZone, Database, IcRoute, RowId
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, manifest, node, subnet
from support.ovn.daemon import Cluster, IcServers

ROUTES, SUBNETS, NODES, ZONES = 10_000, 200, 100, 50
"""What there is: learned routes, and of this cluster Subnets and Nodes; zones of the routes."""

REST = 0.5
"""Seconds until a daemon that uses no CPU counts as having done all."""

Objects = Mapping[ObjectKey, Manifest]


@dataclass(frozen=True, slots=True)
class Edit:
    """One kind of edit, made and taken back in turn.

    Args:
        edit: what is edited; "nothing" writes the same ConfigMap again.
        routes: how many are learned.
        keys: handled by all reconcilers, median.
        operations: sent to the databases, median.
        engine_ms: CPU of inputs and engine, median milliseconds.
        worst_ms: the same, maximum.
        daemon_ms: CPU of `isthmus run` on real servers, mean milliseconds.
    """

    edit: str
    routes: int
    keys: float
    operations: float
    engine_ms: float
    worst_ms: float
    daemon_ms: float


class MeasuredZone(ControlledZone):
    """A zone that knows how much of its time the fake servers have used."""

    server_seconds = 0.0

    def commit(self, transaction: Transaction) -> Result:
        """Send one transaction to its database, and count the database's time."""
        began = time.process_time()
        try:
            return super().commit(transaction)
        finally:
            self.server_seconds += time.process_time() - began


def measure(times: int, daemon_times: int) -> list[Edit]:
    """Measure all edits, each made and taken back so many times.

    Args:
        times: on fake databases.
        daemon_times: with a daemon on real servers.
    """
    zone = _zone()
    gc.collect()
    gc.freeze()  # a daemon, too, lets what has long been there alone
    gc.disable()
    try:
        found = {name: _edit(zone, edited, times) for name, edited in _edits("gw,gw2").items()}
    finally:
        gc.enable()
        gc.unfreeze()
    daemon = _daemon(daemon_times)
    return [
        Edit(
            edit=name,
            routes=ROUTES,
            keys=statistics.median(keys for keys, _, _ in runs),
            operations=statistics.median(operations for _, operations, _ in runs),
            engine_ms=_ms(statistics.median(seconds for _, _, seconds in runs)),
            worst_ms=_ms(max(seconds for _, _, seconds in runs)),
            daemon_ms=_ms(daemon[name]),
        )
        for name, runs in found.items()
    ]


def _config(**changes: str) -> Manifest:
    """The ConfigMap: routes of two large blocks are accepted."""
    return config_map(**{"az_name": "az1", "accept": '{"*": [20.0.0.0/8, 21.0.0.0/8]}', **changes})


def _edits(gateways: str) -> Mapping[str, Manifest]:
    """By name, the object that an edit adds or replaces."""
    accept = '{"*": [20.0.0.0/8, 21.0.0.0/8, 99.0.0.0/16]}'
    return {
        "nothing": _config(),
        "gw-nodes": _config(gw_nodes=gateways),
        "mtu": _config(mtu="1300"),
        "accept": _config(accept=accept),
        "private Subnet": subnet("private", "10.254.0.0/24", disableInterConnection=True),
        "Node": node("added", "192.168.250.1"),
    }


# -- in this process -----------------------------------------------------------------------------


def _zone() -> MeasuredZone:
    """One zone that has joined and learned all routes."""
    fleet = ControlledFleet()
    fleet.zones = [zone := MeasuredZone("az1", 1, fleet.ic_nb, fleet.ic_sb)]
    zone.add_chassis("gw2", "192.0.2.99", hostname="gw2")
    for n in range(SUBNETS):
        zone.add_router_port(f"subnet{n}", f"10.100.{n}.1/24")
    zone.apply(_config(), node("gw", "192.168.251.1"), node("gw2", "192.168.251.2"), *_objects())
    fleet.settle()
    fleet.ic_sb.transact([Insert(AvailabilityZone, {"name": f"r{n}"}) for n in range(ZONES)])
    known = [row["_uuid"] for row in zone.all(AvailabilityZone) if row["name"] != "az1"]
    fleet.ic_sb.transact([Insert(IcRoute, _route(known[n % ZONES], n)) for n in range(ROUTES)])
    zone.settle()
    assert sum(map(len, zone.learned().values())) == ROUTES
    return zone


def _objects() -> list[Manifest]:
    subnets = [subnet(f"subnet{n}", f"10.100.{n}.0/24") for n in range(SUBNETS)]
    return [*subnets, *(node(f"worker{n}", f"192.168.{n}.1") for n in range(NODES))]


def _route(zone: RowId, n: int) -> dict[str, Value]:
    """The n-th remote route; its next hop is in the transit switch's subnet."""
    return {
        "transit_switch": "ts",
        "availability_zone": Ref(zone),
        "ip_prefix": f"20.{n // 256}.{n % 256}.0/24",
        "nexthop": f"169.254.100.{200 + n % ZONES}",
        "origin": "connected",
        "external_ids": {"lr-id": "00000000-0000-0000-0000-00000000beef"},
    }


def _edit(zone: MeasuredZone, edited: Manifest, times: int) -> list[tuple[int, int, float]]:
    """Keys, operations and seconds of each edit; the first pair warms up."""
    before = dict(zone.manifests)
    after = {**before, edited.key: edited}
    return [_make(zone, objects) for _ in range(times + 1) for objects in (after, before)][2:]


def _make(zone: MeasuredZone, objects: Objects) -> tuple[int, int, float]:
    handled, operations, servers = _handled(zone), _operations(zone), zone.server_seconds
    zone.manifests = dict(objects)
    began = time.process_time()
    zone.apply()
    zone.settle()
    seconds = time.process_time() - began - (zone.server_seconds - servers)
    return _handled(zone) - handled, _operations(zone) - operations, seconds


def _handled(zone: MeasuredZone) -> int:
    return sum(reconciler.handled for reconciler in zone.engine.reconcilers)


def _operations(zone: MeasuredZone) -> int:
    return sum(reconciler.operations for reconciler in zone.engine.reconcilers)


# -- a daemon on real servers --------------------------------------------------------------------


def _daemon(times: int) -> dict[str, float]:
    """Seconds of CPU that an edit costs `isthmus run`, by name."""
    with tempfile.TemporaryDirectory() as directory:
        ic = IcServers(Path(directory) / "ic")
        cluster: Cluster | None = None
        try:
            ic.serve_pair()
            ic.add_ts()
            cluster = Cluster(Path(directory), ic)
            return _edit_files(cluster, ic, times)
        finally:
            if cluster is not None:
                cluster.servers.stop_all()
            ic.stop_all()


def _edit_files(cluster: Cluster, ic: IcServers, times: int) -> dict[str, float]:
    _add_chassis(cluster)
    ports = ((f"subnet{n}", "0a:00:00:00:00:01", f"10.100.{n}.1/24") for n in range(SUBNETS))
    cluster.zone.nbctl(*[word for port in ports for word in ("--", "lrp-add", "r", *port)][1:])
    data = cluster.configuration(ic)
    fixed = {"ic-db-host", "ic-nb-port", "ic-sb-port"}
    there = [node("node1", "192.168.251.1"), node("gw2", "192.168.251.2"), *_objects()]
    edits = _edits("node1,gw2")
    config = {**_config(gw_nodes="node1").body["data"], **{key: data[key] for key in fixed}}
    for one in there:
        _write(cluster, one)
    _write(cluster, manifest("ConfigMap", "ovn-ic-config", data=config))
    _advertise(ic)
    cluster.start()
    client = Client(Database.NB, cluster.zone.remotes[Database.NB], StaticRoute)
    client.until(lambda: client.count(StaticRoute) >= ROUTES)
    found = {}
    _rest(cluster)
    for name, edited in edits.items():
        before, after = None, edited
        if edited.key.kind == "ConfigMap":
            changed = {key: v for key, v in edited.body["data"].items() if key not in fixed}
            if name != "gw-nodes":
                changed["gw-nodes"] = "node1"
            before = manifest("ConfigMap", "ovn-ic-config", data=config)
            after = manifest("ConfigMap", "ovn-ic-config", data={**config, **changed})
        began = _rest(cluster)
        for _ in range(times):
            for object_ in (after, before):
                _write(cluster, object_, edited.key)
                ended = _rest(cluster)
        found[name] = (ended - began) / (2 * times)
    return found


def _add_chassis(cluster: Cluster) -> None:
    cluster.zone.sbctl("chassis-add", "gw2", "geneve", "192.0.2.99")
    cluster.zone.sbctl("set", "chassis", "gw2", "hostname=gw2", "other_config:is-interconn=true")


def _advertise(ic: IcServers) -> None:
    remote = ic.socket(Database.IC_SB)
    client = Client(Database.IC_SB, remote, AvailabilityZone, IcRoute)
    refs = [NewRef() for _ in range(ZONES)]
    client.write(Insert(AvailabilityZone, {"name": f"r{n}"}, ref) for n, ref in enumerate(refs))
    client.until(lambda: client.count(AvailabilityZone) >= ZONES)
    known = list(client.rows[AvailabilityZone])
    client.write(Insert(IcRoute, _route(known[n % ZONES], n)) for n in range(ROUTES))
    client.session.close()


def _write(cluster: Cluster, written: Manifest | None, key: ObjectKey | None = None) -> None:
    """Write an object into the directory of manifests, or remove it."""
    key = key or (written.key if written is not None else None)
    assert key is not None
    name = "config" if key.kind == "ConfigMap" else f"{key.kind}-{key.name}"
    file = cluster.manifests / f"{name}.yaml"
    if written is None:
        file.unlink()
        return
    metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    version = "kubeovn.io/v1" if key.kind == "Subnet" else "v1"
    whole = {"apiVersion": version, "kind": key.kind, "metadata": metadata, **written.body}
    draft = cluster.manifests.parent / "draft"
    draft.write_text(json.dumps(whole) + "\n")
    draft.rename(file)


def _rest(cluster: Cluster) -> float:
    """The CPU that the daemon has used when it uses no more."""
    pid, used = cluster.servers.pid("run"), -1.0
    while (now := cpu_seconds(pid)) > used:
        used = now
        time.sleep(REST)
    return used


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)


if __name__ == "__main__":
    for row in measure(10, 5):
        print(*(f"{name}={value}" for name, value in asdict(row).items()))
