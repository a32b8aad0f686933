"""The members of the cluster of IC databases, as given by flags or the environment. Pure.

Called by the command line; `bootstrap`, `cluster_files` and `member_loop` use the result. A member
is named by one host: an IPv4 or IPv6 address, or a host name; all members use the same ports.
Invariant: the local member and the bootstrap member of a `Membership` are in its list.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isthmus.icdb.local.hosts import normal_host
from isthmus.model.problems import Problem, Subject


@dataclass(frozen=True, slots=True)
class Membership:
    """The members, as one of them knows them.

    Args:
        own: the local member.
        members: all, `own` too, in the order given.
        bootstrap_member: the one that creates the cluster, if there is none.
        bootstrap_without: members that an operator declares to be gone and to hold no data; the
            bootstrap member does not wait for their answer.
    """

    own: str
    members: tuple[str, ...]
    bootstrap_member: str
    bootstrap_without: frozenset[str] = frozenset()

    @property
    def others(self) -> tuple[str, ...]:
        """All but the local member."""
        return tuple(member for member in self.members if member != self.own)

    @property
    def is_bootstrap_member(self) -> bool:
        """Whether the local member creates the cluster, if there is none."""
        return self.own == self.bootstrap_member


def parse_membership(
    given: Sequence[str] = (),
    address: str = "",
    founder: str = "",
    found_without: Sequence[str] = (),
) -> tuple[Membership | None, list[Problem]]:
    """Check the members as an operator gave them; empty where nothing was given.

    Args:
        given: hosts; each text may hold several, separated by commas or spaces.
        address: the local member's host.
        founder: the host of the bootstrap member.
        found_without: hosts, as in `given`.

    Returns:
        the membership (None without a list of members: the databases stand alone), and everything
        that is wrong with it; it must not be used if there are problems.
    """
    members, problems = _hosts("--members", given)
    if not members:
        text = "" if problems else ",".join(given)
        return None, [*problems, *_without_members(text, address, founder)]
    own, own_problems = _hosts("--address", [address])
    bootstrap, bootstrap_problems = _hosts("--founder", [founder])
    without, without_problems = _hosts("--found-without", found_without)
    problems += [*own_problems, *bootstrap_problems, *without_problems]
    problems += [
        _problem(flag, ",".join(hosts), "names more than one host", "name one host of the list")
        for flag, hosts in (("--address", own), ("--founder", bootstrap))
        if len(hosts) > 1
    ]
    problems += [
        _problem("--members", member, "is given twice", "name each member once")
        for member in sorted(set(members))
        if members.count(member) > 1
    ]
    listed = ", ".join(members)
    if not own and not own_problems:
        message = f"is missing, so it is unknown which of the members {listed} this one is"
        remedy = "give this machine's own address as it is in the list (--address or LOCAL_IP)"
        problems.append(_problem("--address", "", message, remedy))
    named = {"--address": own, "--founder": bootstrap, "--found-without": without}
    message = f"is not in the list of members: {listed}"
    remedy = "give every member the same list, and its own address as it is in that list"
    problems += [
        _problem(flag, host, message, remedy)
        for flag, hosts in named.items()
        for host in hosts
        if host not in members
    ]
    local, first = (*own, "")[0], (*bootstrap, members[0])[0]
    return Membership(local, members, first, frozenset(without)), problems


def _hosts(flag: str, texts: Iterable[str]) -> tuple[tuple[str, ...], list[Problem]]:
    """The hosts in an option's values, and the problems with the others."""
    words = [word for text in texts for word in text.replace(",", " ").split()]
    message = "is neither an IP address nor a host name"
    remedy = "write e.g. 192.0.2.1, fd00::1 or ic-1.example.org, without a port"
    problems = [_problem(flag, word, message, remedy) for word in words if not normal_host(word)]
    return tuple(host for host in map(normal_host, words) if host), problems


def _without_members(text: str, address: str, founder: str) -> list[Problem]:
    """What is wrong with the options if the list of members, `text`, has no host."""
    found = _hosts("--address", [address])[1]
    if founder:
        message = "is given without a list of members"
        remedy = "give --members (or NODE_IPS) too"
        found.append(_problem("--founder", founder, message, remedy))
    if text.strip() and not found:
        remedy = "name all members, e.g. 192.0.2.1,192.0.2.2,192.0.2.3, or omit the option"
        found.append(_problem("--members", text, "contains no host", remedy))
    return found


def _problem(key: str, value: str, message: str, remedy: str) -> Problem:
    return Subject("IC databases", key, value).problem(message, remedy)
