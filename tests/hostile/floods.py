"""Attacks on the memory, the time and the disks of the IC databases: messages and connections."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from random import Random

from hostile.door import NB, SB, Door, insert, message, transact
from support.hostile.answers import AFTERWARDS

Attack = Callable[[Random, Door], None]

_TABLES = ("Availability_Zone", "IC_SB_Global", "Route", "Port_Binding", "Gateway")


def long_comment(choices: Random, door: Door) -> None:
    """A comment, which the log keeps."""
    door.send(transact({"op": "comment", "comment": "x" * _size(choices, door)}))


def long_prefix(choices: Random, door: Door) -> None:
    """A value that is parsed and cached."""
    digits = choices.choice("1:.[") * _size(choices, door)
    door.send(transact(insert("Route", ip_prefix=digits, transit_switch="ts")))


def long_map(choices: Random, door: Door) -> None:
    """`external_ids` with many keys, in a table that zones may not write."""
    pairs = [[f"key-{n}", "x" * 100] for n in range(_size(choices, door) // 120)]
    row = {"external_ids": ["map", pairs]}
    door.send(transact({"op": "update", "table": "IC_SB_Global", "where": [], "row": row}))


def deep(choices: Random, door: Door) -> None:
    """Nested lists or objects."""
    depth = choices.choice([17, 900, 1001, 30_000, 200_000])
    begin, end = choices.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inner = begin * depth + b"1" + (end * depth if choices.random() < 0.5 else b"")
    door.send(b'{"method":"echo","id":1,"params":[' + inner + b"]}")


def many_values(choices: Random, door: Door) -> None:
    """Values that take much more memory than text."""
    value = choices.choice([b"[],", b"{},", b"0,", b'"",', b"null,"])
    number = _size(choices, door) // len(value)
    door.send(b'{"method":"echo","id":1,"params":[' + value * number + b"1]}")


def many_selects(choices: Random, door: Door) -> None:
    """A short message with a long answer."""
    number = choices.choice([17, 100, 1000])
    door.send(transact(*(_select(choices) for _ in range(number))))


def many_operations(choices: Random, door: Door) -> None:
    """A transaction of many operations, which nothing limits but their number."""
    number = min(choices.choice([1000, 50_000]), door.most // 60)
    operation = choices.choice([
        {"op": "comment", "comment": ""}, {"op": "abort"},
        {"op": "wait", "table": "Route", "where": [], "columns": [], "until": "==", "rows": []},
    ])  # fmt: skip
    door.send(transact(*[operation] * number))


def waits(choices: Random, door: Door) -> None:
    """Transactions that wait for what never happens."""
    wait = {
        "op": "wait", "table": "Availability_Zone", "where": [], "columns": ["name"],
        "until": "==", "rows": [{"name": "never"}],
    }  # fmt: skip
    timeout = choices.choice([{}, {"timeout": 3_600_000}, {"timeout": -1}])
    door.send(b"".join(transact({**wait, **timeout}) for _ in range(choices.randrange(1, 50))))


def many_monitors(choices: Random, door: Door) -> None:
    """Each monitor costs the server time at every change."""
    table = choices.choice(_TABLES)
    method = choices.choice(["monitor", "monitor_cond"])
    number = choices.choice([9, 100, 500])
    door.send(b"".join(message(method, SB, n, {table: {}}) for n in range(number)))


def many_connections(choices: Random, door: Door) -> None:
    """Connections that say nothing."""
    with ExitStack() as stack, suppress(OSError):
        for _ in range(choices.choice([20, 70, 150])):
            stack.enter_context(door.connect(choices.choice([NB, SB])))
        _linger(choices)


def strangers(choices: Random, door: Door) -> None:
    """Connections that never authenticate, or send half a handshake."""
    with ExitStack() as stack, suppress(OSError):
        for _ in range(choices.choice([50, 200, 400])):
            connection = stack.enter_context(door.knock(choices.choice([NB, SB])))
            if choices.random() < 0.3:
                connection.sendall(b"\x16\x03\x01\x02\x00\x01" + choices.randbytes(20))
        _linger(choices)


def many_transactions(choices: Random, door: Door) -> None:
    """A pipeline of short transactions."""
    one = transact({"op": "comment", "comment": "x" * choices.randrange(1000)})
    door.send(one * choices.choice([100, 1000, 5000]))


def never_reads(choices: Random, door: Door) -> None:
    """Asks for much and reads nothing."""
    with suppress(OSError), door.connect() as connection:
        connection.settimeout(2.0)
        ask = transact(*(_select(choices) for _ in range(10)))
        for _ in range(choices.choice([10, 200])):
            connection.sendall(ask)
        _linger(choices)


def half_a_message(choices: Random, door: Door) -> None:
    """Begins a message, and waits or hangs up."""
    whole = transact({"op": "comment", "comment": "x" * choices.randrange(1, 100_000)})
    with suppress(OSError), door.connect() as connection:
        connection.sendall(whole[: choices.randrange(1, len(whole))])
        if choices.random() < 0.5:
            _linger(choices)


def garbage(choices: Random, door: Door) -> None:
    """Bytes that are no JSON-RPC, with or without a handshake."""
    data = choices.choice([
        choices.randbytes(choices.randrange(1, 5000)), b"\0" * 1000, b"GET / HTTP/1.1\r\n\r\n",
        b'{"method":"transact","params":null,"id":1}', b'{"id":' + b"9" * 100_000 + b"}",
        b'{"method":"transact","params":["OVN_IC_Southbound",[[]],null,5],"id":{}}',
        b'{"method":"\\ud800","params":[],"id":"\\ud800"}', b'{"method":"echo","id":1}', b"[1]",
        *AFTERWARDS.values(),
    ])  # fmt: skip
    if choices.random() < 0.2:
        with suppress(OSError), door.knock() as connection:
            connection.sendall(data)
            connection.recv(1)
    else:
        door.send(data * choices.choice([1, 1, 20]), choices.choice([NB, SB]))


def other_methods(choices: Random, door: Door) -> None:
    """Methods that zones do not need."""
    methods = (
        *("steal", "lock", "unlock", "cancel", "monitor_cancel", "monitor_cond_change"),
        *("set_db_change_aware", "get_server_id", "list_dbs", "get_schema", "x" * 10_000),
    )
    wrong: list[list[object]] = [
        [],
        ["x"],
        [SB],
        [None],
        [SB, {}, []],
        [{"a": [1]}],
        ["_Server", 5],
    ]
    params = choices.choice(wrong)
    door.send(b"".join(message(choices.choice(methods), *params) for _ in range(50)))


MODEST: Mapping[str, Attack] = {
    attack.__name__: attack
    for attack in (
        long_comment, long_prefix, long_map, deep, waits, many_connections, strangers,
        half_a_message, garbage, other_methods,
    )
}  # fmt: skip
"""Those that a server bears without the proxy; the others can take all memory of its machine."""
FLOODS: Mapping[str, Attack] = {
    **MODEST,
    **{attack.__name__: attack for attack in (
        many_values, many_selects, many_operations, many_monitors, many_transactions, never_reads,
    )},
}  # fmt: skip


def _size(choices: Random, door: Door) -> int:
    """How many characters: orders of magnitude are equally likely."""
    return min(int(10 ** choices.uniform(3, 7.5)), door.most)


def _select(choices: Random) -> dict[str, object]:
    return {"op": "select", "table": choices.choice(_TABLES), "where": []}


def _linger(choices: Random) -> None:
    """Keep what is open for a while: part of the attack, not a wait for a state."""
    time.sleep(choices.uniform(0.1, 3.0))
