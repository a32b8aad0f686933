"""Who is a member of the cluster of IC databases, as given by flags, environment or a file.

Pure. Called by the command line, and by `plan`, `founding` and `supervisor` with what it makes.
A member is named by one host: an IPv4 or IPv6 address, or a host name; its ports are those of
all. Invariant: of a `Membership`, the local member and the founder are in the list.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from isthmus.model.problems import Problem, Subject

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_NUMBERS = re.compile(r"[0-9.]+")
_KEYS = ("members", "address", "founder")


@dataclass(frozen=True, slots=True)
class Membership:
    """The members, as one of them knows them.

    Args:
        own: the local member.
        members: all, `own` too, in the order given.
        founder: the one that makes the cluster, if there is none.
        found_without: members that are declared to be gone and to hold nothing; the founder does
            not wait for their answer.
    """

    own: str
    members: tuple[str, ...]
    founder: str
    found_without: frozenset[str] = frozenset()

    @property
    def others(self) -> tuple[str, ...]:
        """All but the local member."""
        return tuple(member for member in self.members if member != self.own)

    @property
    def is_founder(self) -> bool:
        """Whether the local member makes the cluster, if there is none."""
        return self.own == self.founder


@dataclass(frozen=True, slots=True)
class MemberInput:
    """What people gave, unchecked; empty for what they did not.

    Args:
        members: hosts; each text may hold several with commas or spaces between.
        address: the local member's host.
        founder: the founding member's host.
        found_without: hosts, as in `members`.
    """

    members: tuple[str, ...] = ()
    address: str = ""
    founder: str = ""
    found_without: tuple[str, ...] = ()


def parse_membership(given: MemberInput) -> tuple[Membership | None, list[Problem]]:
    """Check what people gave.

    Returns:
        the membership (None without a list of members: the databases stand alone), and all that is
        wrong with it; if anything is, it is not to be used.
    """
    problems: list[Problem] = []
    members = _hosts("--members", given.members, problems)
    if not members:
        # Alone it has no use for an address, but one that is none was meant for something.
        if given.address:
            _host("--address", given.address, problems)
        if given.founder:
            problems.append(_without_list("--founder", given.founder))
        if "".join(given.members).strip() and not problems:
            problems.append(_no_hosts("--members", ",".join(given.members)))
        return None, problems
    own = _host("--address", given.address, problems) if given.address else ""
    founder = _host("--founder", given.founder, problems) if given.founder else members[0]
    without = _hosts("--found-without", given.found_without, problems)
    listed = ", ".join(members)
    problems += _duplicates(members)
    if not given.address:
        problems.append(
            _problem(
                "--address",
                "",
                f"is missing: which of the members {listed} is this one?",
                "give this machine's own address, as it is in the list (--address or LOCAL_IP)",
            )
        )
    problems += [
        _problem(
            flag,
            host,
            f"is not in the list of members: {listed}",
            "give every member the same list, and its own address as it is in there",
        )
        for flag, host in [
            ("--address", own),
            ("--founder", founder),
            *(("--found-without", host) for host in without),
        ]
        if host and host not in members
    ]
    return Membership(own, members, founder, frozenset(without)), problems


def read_member_file(name: str, contents: Any) -> tuple[MemberInput, list[Problem]]:
    """The contents of `--member-file`: keys `members` (a list), `address` and `founder`.

    Args:
        name: the file's, for messages.
        contents: the document as YAML has it.
    """
    if not isinstance(contents, Mapping):
        message = "is not a YAML mapping"
        return MemberInput(), [_problem("--member-file", name, message, _example())]
    problems = [
        _problem("--member-file", name, f"has an unknown key {key!r}", _example())
        for key in contents
        if key not in _KEYS
    ]
    members = contents.get("members", [])
    if isinstance(members, str):
        members = [members]
    if not isinstance(members, Sequence) or not all(isinstance(host, str) for host in members):
        message = "has `members` that are not a list of hosts"
        problems.append(_problem("--member-file", name, message, _example()))
        members = []
    texts = {key: contents.get(key) or "" for key in ("address", "founder")}
    for key, text in texts.items():
        if not isinstance(text, str):
            message = f"has an `{key}` that is not a host"
            problems.append(_problem("--member-file", name, message, _example()))
    return MemberInput(tuple(members), str(texts["address"]), str(texts["founder"])), problems


def bracketed(host: str) -> str:
    """A host as it is written before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def host_of(address: str) -> str:
    """The host of an OVSDB address such as "tcp:[fd00::1]:6647", as `Membership` writes it."""
    inner = address.partition(":")[2].rpartition(":")[0]
    return normal_host(inner) or inner


def normal_host(text: str) -> str:
    """A host in its one form: no brackets, addresses as short as can be; empty if it is none."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(inner))
    except ValueError:
        is_name = _HOST_NAME.fullmatch(inner) and not _NUMBERS.fullmatch(inner)
        return inner.lower().removesuffix(".") if is_name and len(inner) <= 253 else ""


def _hosts(flag: str, texts: Sequence[str], problems: list[Problem]) -> tuple[str, ...]:
    words = [word for text in texts for word in text.replace(",", " ").split()]
    hosts = [_host(flag, word, problems) for word in words]
    return tuple(host for host in hosts if host)


def _host(flag: str, text: str, problems: list[Problem]) -> str:
    host = normal_host(text.strip())
    if not host:
        message = "is neither an IP address nor a host name"
        remedy = "write e.g. 192.0.2.1, fd00::1 or ic-1.example.org, without a port"
        problems.append(_problem(flag, text, message, remedy))
    return host


def _duplicates(members: Sequence[str]) -> list[Problem]:
    twice = sorted({member for member in members if members.count(member) > 1})
    return [
        _problem("--members", member, "is given twice", "name each member once") for member in twice
    ]


def _without_list(flag: str, value: str) -> Problem:
    message = "is given without a list of members"
    return _problem(flag, value, message, "give --members (or NODE_IPS) too")


def _no_hosts(flag: str, value: str) -> Problem:
    remedy = "name all members, e.g. 192.0.2.1,192.0.2.2,192.0.2.3; or leave it out to stand alone"
    return _problem(flag, value, "has no host in it", remedy)


def _example() -> str:
    return "write `members: [192.0.2.1, 192.0.2.2, 192.0.2.3]`, `address: 192.0.2.1`, `founder: …`"


def _problem(key: str, value: str, message: str, remedy: str) -> Problem:
    return Subject("IC databases", key, value).problem(message, remedy)
