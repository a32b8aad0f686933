"""Prefixes and addresses as databases hold them."""

import sys
from collections.abc import Callable

import pytest

from isthmus.model.prefixes import (
    canonical,
    parse_address,
    parse_interface,
    parse_network,
    parse_port_address,
)


def test_port_addresses() -> None:
    """Addresses after the MAC are found with or without a length; invalid words are skipped."""
    found = parse_port_address("02:00:00:00:00:01 169.254.100.5/24 fe80::5 x")
    assert [str(interface.ip) for interface in found] == ["169.254.100.5", "fe80::5"]
    assert parse_port_address("") == parse_port_address("unknown") == ()


@pytest.mark.parametrize("parse", [parse_interface, parse_network, canonical, parse_address])
def test_long_texts_are_neither_parsed_nor_kept(parse: Callable[[str], object]) -> None:
    """A client that writes prefixes of many megabytes does not fill the caches."""
    text = "10.0.0.0/" + "9" * 1_000_000
    references = sys.getrefcount(text)
    assert parse(text) in (None, text)
    assert sys.getrefcount(text) == references
