"""Hostile values of the configuration: one list, for unit tests and for a live daemon."""

from collections.abc import Mapping

from isthmus.model.bounds import CONFIG_VALUE

LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]" for n in range(1, 30)]
)
HUGE = "9" * 5000
HUGE_HEX = "0x" + "f" * 50_000

HOSTILE_YAML = {
    "30,000 lists in each other": "[" * 30_000,
    "30,000 mappings in each other": "{a: " * 30_000,
    "20,000 block lists in each other": "- " * 20_000,
    "20,000 block keys in each other": "? " * 20_000,
    "closed lists in each other": "[" * 30_000 + "]" * 30_000,
    "a billion laughs": LAUGHS,
    "merged laughs": LAUGHS + "\nz: {<<: *a29}",
    "a list that contains itself": "&a [*a]",
    "a huge number": HUGE,
    "a huge hexadecimal number": HUGE_HEX,
    "a huge sexagesimal number": "1" + ":1" * 20_000,
    "a huge binary number": "0b" + "1" * 50_000,
    "a long duplicate key": f"{{{'k' * 900}: 1, {'k' * 900}: 2}}",
    "a NUL": "a: \0",
    "a surrogate": "a: \ud800",
    "a tag for times on something else": "!!timestamp x",
    "a tag for flags on something else": "!!bool x",
    "a tag for numbers on nothing": "!!int ''",
    "a tag for fractions on nothing": "!!float ''",
}
"""Texts that a YAML parser or Python cannot bear."""

ENTRIES = range(80_000)
LONG_VALUES: Mapping[str, Mapping[str, str]] = {
    "routes": {
        "routes": "".join(
            f"- {{prefix: 10.{n >> 8}.{n & 255}.0/24, zone: z}}\n" for n in range(25_000)
        )
    },
    "bad routes": {"routes": "- 1\n" * 25_000},
    "routes of unknown VPCs": {
        "routes": "".join(
            f"- {{prefix: 10.{n >> 8}.{n & 255}.0/24, zone: z, vpc: v}}\n" for n in range(9_000)
        )
    },
    "vpcs": {"vpcs": ",".join(f"v{n}=n{n}" for n in ENTRIES)},
    "gw-nodes": {"gw_nodes": ",".join(f"n{n % 90}" for n in range(20_000))},
    "hosts": {"ic_db_host": ",".join(f"h{n}" for n in ENTRIES)},
    "prefixes": {"advertise": ",".join(f"10.{n >> 8 & 255}.{n & 255}.0/24" for n in ENTRIES)},
    "zones": {"accept": "".join(f"z{n}: []\n" for n in ENTRIES)},
    "unknown keys of a rule": {
        "accept": "z: {" + ",".join(f"p{n}: 1" for n in range(20_000)) + "}"
    },
    "a value above the bound": {"accept": "a" * (CONFIG_VALUE.most + 1)},
    "a long az-name": {"az_name": "a" * 1_000_000},
    "a long host": {"ic_db_host": "a" * 1_000_000},
    "a long node": {"gw_nodes": "a" * 1_000_000},
    "a long VPC": {"vpcs": "a" * 1_000_000},
    "a long port": {"ic_nb_port": "1" * 1_000_000},
    "a long MTU": {"mtu": "1" * 1_000_000},
    "a long zone": {"accept": f"{'z' * 100_000}: []"},
}
"""Values beyond a bound: keys with `_` in place of `-`."""
