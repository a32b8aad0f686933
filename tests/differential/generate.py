"""Random histories: zones that exchange routes, then anything that can happen to them.

Names and addresses come from small pools, so that prefixes are advertised twice, learned where they
are local, deleted and recreated. The possible steps depend on the version of OVN: features that its
`ovn-ic` lacks cannot be compared.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeAlias

from differential.steps import Step

SWITCHES = ("ts0", "ts1", "ts2")
ROUTERS = ("r0", "r1")
SUBNETS = (
    "10.{z}.0.1/16",
    "10.1.5.1/24",
    "10.1.5.129/25",
    "192.168.7.9/24",
    "fd00:{z}::1/64",
    "fd00:7::1/64",
    "169.254.7.1/24",
)
PREFIXES = (
    "172.16.{z}.0/24",
    "172.16.0.0/12",
    "172.16.9.7/24",
    "10.1.5.0/24",
    "10.9.9.9",
    "0.0.0.0/0",
    "::/0",
    "fd00:9::/48",
    "fd00:7::/64",
    "169.254.9.0/24",
    "no-prefix",
)
NEXTHOPS = ("10.{z}.0.9", "10.1.5.9", "192.168.7.1", "fd00:{z}::9", "fe80::9", "no-address")
OPTIONS = (
    "ic-route-adv",
    "ic-route-learn",
    "ic-route-adv-default",
    "ic-route-learn-default",
)
LB_OPTIONS = ("ic-route-adv-lb", "ic-route-learn-lb")
VIPS = ("10.50.0.{z}:80", "10.1.5.7:80", "172.16.9.9", "[fd00:50::{z}]:80", "10.50.0.1:443")
DENYLISTS = ("", "10.1.0.0/16", "172.16.0.0/12,fd00:7::/64", "nonsense,10.1.5.0/24", "0.0.0.0/0")
V4_DENYLISTS = tuple(denylist for denylist in DENYLISTS if ":" not in denylist)
FILTERS = ("", "10.0.0.0/8", "172.16.0.0/12,fd00::/16", "nonsense", "10.1.5.0/24")

DENYLIST = (25, 3)
"""The first version of `ovn-ic` that supports `ic-route-denylist`, and in which an IPv6 entry does
not match all IPv6 prefixes."""
SIBLINGS = (25, 3)
"""The first version of `ovn-ic` in which two routers of a zone may share a transit switch; before,
it endlessly deletes for one what it has written for the other."""

LINK_LOCAL = (25, 3)
"""The first version of `ovn-ic` whose link-local next hops can be compared. It publishes them for
IPv6 prefixes if the port has no IPv6 address, treats its own routes of this kind as malformed, and
replaces them endlessly; earlier versions do so in two transactions, so that the routes flap."""

Maker: TypeAlias = "Callable[[Maze], Step]"


class Maze:
    """The source of choices.

    Args:
        random: the source of randomness.
        zones: number of zones.
        version: of OVN, e.g. (23, 3).
        mixed: whether our engine shares IC databases with `ovn-ic`.
    """

    def __init__(
        self, random: Random, zones: int, version: tuple[int, ...], *, mixed: bool
    ) -> None:
        self.random, self.zones, self.version = random, zones, version
        # In a mixed fleet, our engine would never become idle next to them.
        self.link_local = version >= LINK_LOCAL and not mixed
        self.zone = 0

    def pick(self, values: tuple[Any, ...]) -> Any:
        """One of the options; "{z}" in texts becomes the number of the zone."""
        value = self.random.choice(values)
        return value.replace("{z}", str(self.zone + 1)) if isinstance(value, str) else value

    def chance(self, probability: float) -> bool:
        """Whether something happens."""
        return self.random.random() < probability

    @property
    def place(self) -> tuple[str, str]:
        """A router and a transit switch to which it may be attached."""
        router, ts = self.router, self.ts
        if self.version < SIBLINGS:
            ts = "ts2" if router == "r1" else "ts1" if ts == "ts2" else ts
        return router, ts

    @property
    def router(self) -> str:
        """A router, usually the first."""
        return "r0" if self.chance(0.75) else "r1"

    @property
    def ts(self) -> str:
        """A transit switch, usually the first."""
        return "ts0" if self.chance(0.5) else self.pick(SWITCHES)

    def lrp(self, router: str, ts: str) -> str:
        """The name of a router's port on a transit switch."""
        return f"lrp-{self.zone}-{router}-{ts}"

    def lsp(self, router: str, ts: str) -> str:
        """The name of the peer switch port."""
        return f"lsp-{self.zone}-{router}-{ts}"

    def address(self, router: str, ts: str) -> tuple[str, ...]:
        """Addresses on a transit switch: one family or both, sometimes new ones."""
        number = int(ts[-1])
        host = 1 + 2 * self.zone + ROUTERS.index(router) + (10 if self.chance(0.15) else 0)
        v4 = f"169.254.{100 + number}.{host}/24"
        v6 = f"fe80:a9fe:{64 + number}::{host}/112" if number < 2 else f"fd00:ffff::{host}/64"
        weights = [4, 1, 3] if self.link_local else [0, 1, 3]
        return self.random.choices([(v4,), (v6,), (v4, v6)], weights)[0]

    def mac(self, *parts: object) -> str:
        """A MAC address that only this port has."""
        number = sum(ord(c) * 31**i for i, c in enumerate(str((self.zone, *parts)))) % (1 << 32)
        return "0a:00:" + ":".join(f"{number >> shift & 255:02x}" for shift in (24, 16, 8, 0))

    def chassis(self) -> str:
        """A chassis of the zone."""
        return f"ch-{self.zone}-{self.random.randrange(2)}"

    def encaps(self, chassis: str) -> tuple[tuple[str, str, str], ...]:
        """Its tunnel endpoints, with addresses that no other chassis has."""
        number = int(chassis[-1])
        ip = f"192.0.2.{1 + 20 * self.zone + 5 * number + self.random.randrange(3)}"
        second = "stt" if self.version < (25, 3) else "vxlan"
        kinds = self.random.choice([("geneve",), ("geneve",), ("geneve", second), ("vxlan",)])
        csum = self.random.choice(("true", "true", "false"))
        return tuple((kind, ip, csum) for kind in kinds)

    def step(self, kind: str, *arguments: Any) -> Step:
        """A step in the current zone."""
        return Step(kind, self.zone, arguments)


def _subnet(maze: Maze) -> Step:
    router, number = maze.router, maze.random.randrange(4)
    name = f"net-{maze.zone}-{router}-{number}"
    networks = {maze.pick(SUBNETS) for _ in range(maze.random.choice((1, 1, 2)))}
    mac = maze.mac(router, number)
    return maze.step("port_add", router, name, mac, tuple(sorted(networks)))


def _any_port(maze: Maze) -> str:
    return maze.lrp(*maze.place) if maze.chance(0.5) else _inner_port(maze)


def _inner_port(maze: Maze) -> str:
    return f"net-{maze.zone}-{maze.router}-{maze.random.randrange(4)}"


def _attach_port(maze: Maze) -> Step:
    router, ts = maze.place
    networks = maze.address(router, ts)
    mac = maze.mac(router, ts)
    return maze.step("port_add", router, maze.lrp(router, ts), mac, networks)


def _join(maze: Maze) -> Step:
    router, ts = maze.place
    return maze.step("join", ts, maze.lsp(router, ts), "router", maze.lrp(router, ts))


def _foreign(maze: Maze) -> Step:
    ts, kind = maze.ts, maze.pick(("", "localnet"))
    return maze.step("join", ts, f"foreign-{maze.zone}-{ts}", kind, "")


def _part(maze: Maze) -> Step:
    router, ts = maze.place
    name = maze.lsp(router, ts) if maze.chance(0.8) else f"foreign-{maze.zone}-{ts}"
    return maze.step("part", name)


def _networks(maze: Maze) -> Step:
    if maze.chance(0.5):
        router, ts = maze.place
        return maze.step("port_networks", maze.lrp(router, ts), maze.address(router, ts))
    networks = {maze.pick(SUBNETS) for _ in range(maze.random.choice((1, 1, 2)))}
    port = _any_port(maze) if maze.link_local else _inner_port(maze)
    return maze.step("port_networks", port, tuple(sorted(networks)))


def _port_option(maze: Maze) -> Step:
    choices: list[tuple[str, str]] = [("route_table", maze.pick(("", "t1", "t2")))]
    if maze.version >= (25, 3):
        choices += [
            ("ic-route-tag", maze.pick(("", "red", "blue"))),
            ("ic-route-filter-tag", maze.pick(("", "red", "blue"))),
        ]
    choices += _filters(maze)
    name = maze.lrp(*maze.place)
    return maze.step("port_option", name, *maze.random.choice(choices))


def _filters(maze: Maze) -> list[tuple[str, str]]:
    keys: tuple[str, ...] = ()
    if maze.version >= (25, 9):
        keys += ("ic-route-filter-adv", "ic-route-filter-learn")
    if maze.version >= (26, 3):
        keys += ("ic-route-deny-adv", "ic-route-deny-learn")
    return [(key, maze.pick(FILTERS)) for key in keys]


def _router_option(maze: Maze) -> Step:
    choices = _filters(maze) or [("mcast_relay", maze.pick(("", "true")))]
    return maze.step("router_option", maze.router, *maze.random.choice(choices))


def _route(maze: Maze) -> Step:
    table = maze.pick(("", "", "", "t1", "t2"))
    policy = maze.pick(("", "", "", "dst-ip", "src-ip"))
    prefix = maze.pick(PREFIXES)
    matching = tuple(n for n in NEXTHOPS if (":" in n) == (":" in prefix))
    nexthop = maze.pick(matching if maze.chance(0.9) else NEXTHOPS)
    if maze.version >= (25, 3) and maze.chance(0.1):
        nexthop = "discard"
    return maze.step("route_add", maze.router, prefix, nexthop, table, policy)


def _option(maze: Maze) -> Step:
    return maze.step("option", maze.pick(OPTIONS), maze.pick(("true", "true", "false", "")))


def _denylist(maze: Maze) -> Step:
    keys = ("ic-route-denylist", "ic-route-blacklist")
    key = maze.pick(keys if maze.version >= DENYLIST else keys[1:])
    denylists = DENYLISTS if maze.version >= DENYLIST else V4_DENYLISTS
    return maze.step("option", key, maze.pick(denylists))


def _chassis_add(maze: Maze) -> Step:
    name = maze.chassis()
    arguments = (name, f"host-{name}", maze.encaps(name), maze.chance(0.85))
    return maze.step("chassis_add", *arguments)


def _chassis_set(maze: Maze) -> Step:
    name = maze.chassis()
    hostname = maze.pick((f"host-{name}", f"other-{name}"))
    return maze.step("chassis_set", name, hostname, maze.chance(0.6))


def _chassis_encaps(maze: Maze) -> Step:
    name = maze.chassis()
    return maze.step("chassis_encaps", name, maze.encaps(name))


def _rename(maze: Maze) -> Step:
    return maze.step("rename", maze.pick((f"az{maze.zone}", f"zone-{maze.zone}", "")))


MAKERS: Mapping[Maker, int] = {
    _subnet: 10,
    lambda maze: maze.step("port_del", _any_port(maze)): 5,
    _attach_port: 6,
    _join: 8,
    _foreign: 2,
    _part: 4,
    _networks: 6,
    lambda maze: maze.step("port_mac", _any_port(maze), maze.mac(maze.random.random())): 2,
    _port_option: 5,
    _router_option: 2,
    lambda maze: maze.step("router_add", maze.router): 2,
    lambda maze: maze.step("router_del", maze.router): 1,
    lambda maze: maze.step("router_enabled", maze.router, maze.chance(0.5)): 2,
    _route: 12,
    lambda maze: maze.step("route_del", maze.pick(PREFIXES)): 5,
    _option: 5,
    _denylist: 3,
    _chassis_add: 4,
    _chassis_set: 4,
    _chassis_encaps: 3,
    lambda maze: maze.step("chassis_del", maze.chassis()): 2,
    lambda maze: maze.step("bind", maze.lrp(*maze.place), maze.chassis()): 6,
    lambda maze: maze.step("unbind", maze.lrp(*maze.place)): 2,
    lambda maze: Step("ts_add", 0, (maze.ts,)): 4,
    lambda maze: Step("ts_del", 0, (maze.ts,)): 2,
    _rename: 2,
    lambda maze: maze.step("stop"): 1,
    lambda maze: maze.step("start"): 2,
    lambda maze: maze.step("restart"): 1,
    lambda maze: maze.step("pause"): 1,
    lambda maze: maze.step("resume"): 2,
    lambda _maze: Step("settle", 0): 2,
}
"""The possible steps and their weights."""


def _balance(maze: Maze) -> Step:
    vips = {maze.pick(VIPS): "10.99.0.1:80" for _ in range(maze.random.choice((1, 2)))}
    name = f"lb-{maze.zone}-{maze.random.randrange(2)}"
    return maze.step("balance", maze.router, name, tuple(sorted(vips.items())))


NEWER_MAKERS: Mapping[tuple[int, int], Mapping[Maker, int]] = {
    (25, 3): {
        lambda maze: maze.step("lose_learned", maze.router): 2,
        lambda maze: Step("lose_advertised", 0, (maze.ts,)): 2,
        lambda _: Step("ask", 0): 3,
        lambda maze: Step("ic_option", 0, ("vxlan_mode", maze.pick(("true", "false", "")))): 2,
    },
    (25, 9): {
        _balance: 6,
        lambda maze: maze.step("unbalance", f"lb-{maze.zone}-{maze.random.randrange(2)}"): 2,
        lambda maze: maze.step("option", maze.pick(LB_OPTIONS), maze.pick(("true", "true", ""))): 5,
    },
}
"""The steps that become possible with a version."""


def _makers(version: tuple[int, ...]) -> dict[Maker, int]:
    makers = dict(MAKERS)
    for first, newer in NEWER_MAKERS.items():
        if version >= first:
            makers.update(newer)
    return makers


def _beginning(maze: Maze) -> list[Step]:
    """Steps that build zones which exchange routes, so that there is something to change."""
    steps = [Step("ts_add", 0, ("ts0",)), Step("ts_add", 0, ("ts2",))]
    if maze.chance(0.5):
        steps.append(Step("ts_add", 0, ("ts1",)))
    for zone in range(maze.zones):
        maze.zone = zone
        steps.append(maze.step("rename", f"az{maze.zone}"))
        steps += [maze.step("option", key, "true") for key in OPTIONS[:2]]
        chassis = f"ch-{maze.zone}-0"
        arguments = (chassis, f"host-{chassis}", maze.encaps(chassis), True)
        steps.append(maze.step("chassis_add", *arguments))
        for router in ROUTERS[: 1 + maze.chance(0.4)]:
            steps += _connected_router(maze, router, chassis)
    return steps


def _connected_router(maze: Maze, router: str, chassis: str) -> list[Step]:
    ts = "ts2" if router == "r1" and maze.version < SIBLINGS else "ts0"
    lrp, networks, mac = maze.lrp(router, ts), maze.address(router, ts), maze.mac(router, ts)
    return [
        maze.step("router_add", router),
        maze.step("port_add", router, lrp, mac, networks),
        maze.step("bind", lrp, chassis),
        maze.step("join", ts, maze.lsp(router, ts), "router", lrp),
        _subnet(maze),
    ]


def history(
    seed: int, *, steps: int, zones: int, version: tuple[int, ...], mixed: bool
) -> list[Step]:
    """The history for a seed.

    Args:
        seed: the same seed gives the same history.
        steps: number of random steps, without those that first build the zones.
        zones: number of zones.
        version: of OVN.
        mixed: whether our engine shares IC databases with `ovn-ic`.
    """
    maze = Maze(Random(seed), zones, version, mixed=mixed)  # noqa: S311 - no secret
    made = _beginning(maze)
    weighted = _makers(version)
    makers, weights = list(weighted), list(weighted.values())
    for _ in range(steps):
        maze.zone = maze.random.randrange(zones)
        make = maze.random.choices(makers, weights)[0]
        made.append(make(maze))
    return made
