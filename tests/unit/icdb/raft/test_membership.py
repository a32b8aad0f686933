"""The list of members as operators give it."""

from typing import Any

import pytest

from isthmus.icdb.local.hosts import bracketed, host_of
from isthmus.icdb.raft.membership import Membership, parse_membership


def test_a_list_and_an_address() -> None:
    """The first of the list is the bootstrap member; a text may hold several hosts."""
    membership, problems = parse_membership(("192.0.2.1, 192.0.2.2", "[FD00::0:3]"), "fd00::3")
    assert problems == []
    assert membership == Membership("fd00::3", ("192.0.2.1", "192.0.2.2", "fd00::3"), "192.0.2.1")
    assert membership.others == ("192.0.2.1", "192.0.2.2")
    assert not membership.is_bootstrap_member


def test_host_names() -> None:
    """Names are brought into one form."""
    membership, problems = parse_membership(("IC-1.example.org.",), "ic-1.example.org")
    assert problems == []
    assert membership is not None
    assert membership.is_bootstrap_member


@pytest.mark.parametrize(
    "text", ["a,b,c,", ",a,,b,c", " a , b,\n c\n", "a b\tc", "a\r\nb\r\nc\r\n", "A,b.,c"]
)
def test_extra_commas_and_white_space_in_kube_ovns_lists(text: str) -> None:
    """Its start scripts split NODE_IPS as a shell does, and trim the other two."""
    membership, problems = parse_membership((text,), " a,", "\nb ")
    assert problems == []
    assert membership is not None
    assert membership.members == ("a", "b", "c")
    assert (membership.own, membership.bootstrap_member) == ("a", "b")


def test_without_a_list_the_databases_stand_alone() -> None:
    """An address alone is accepted, since Kube-OVN's command lines may have it."""
    assert parse_membership(address="192.0.2.1") == (None, [])


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        (
            (("a", "b"),),
            "--address",
            "is missing, so it is unknown which of the members a, b",
        ),
        ((("a", "b"), " ,"), "--address", "is missing"),
        ((("a", "b"), "a b"), "--address", "names more than one host"),
        ((("a", "b"), "a", "b,a"), "--founder", "names more than one host"),
        ((("a", "b"), "c"), "--address", "is not in the list of members: a, b"),
        ((("a", "b"), "a", "c"), "--founder", "is not in the list of members: a, b"),
        ((("a", "a"), "a"), "--members", "is given twice"),
        ((("a", "b:6647"), "a"), "--members", "is neither an IP address nor a host"),
        ((("a", "192.0.2.300"), "a"), "--members", "is neither an IP address"),
        ((("a", "b"), "a", "", ("c",)), "--found-without", "is not in the list"),
        (((), "a", "b"), "--founder", "is given without a list of members"),
        (((), "", "b"), "--founder", "is given without a list of members"),
        (((), "a@@"), "--address", "is neither an IP address nor a host"),
        (((",",), "a"), "--members", "contains no host"),
    ],
)
def test_bad_input_is_named(given: tuple[Any, ...], key: str, said: str) -> None:
    """The problem has the flag, the fault and a remedy."""
    _, [problem] = parse_membership(*given)
    assert problem.key == key
    assert said in problem.message
    assert problem.remedy


def test_hosts_in_addresses() -> None:
    """Hosts in Raft addresses are comparable with members, with and without brackets."""
    assert host_of("tcp:[fd00::1]:6647") == "fd00::1"
    assert host_of("tcp:[192.0.2.1]:6647") == "192.0.2.1"
    assert host_of("ssl:ic-1.example.org:6648") == "ic-1.example.org"
    assert bracketed("fd00::1") == "[fd00::1]"
    assert bracketed("ic-1") == "ic-1"
