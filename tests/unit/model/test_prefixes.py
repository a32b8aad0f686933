"""Prefixes and addresses as databases hold them."""

from isthmus.model.prefixes import parse_port_address


def test_port_addresses() -> None:
    """Addresses after the MAC are found with or without a length; invalid words are skipped."""
    found = parse_port_address("02:00:00:00:00:01 169.254.100.5/24 fe80::5 x")
    assert [str(interface.ip) for interface in found] == ["169.254.100.5", "fe80::5"]
    assert parse_port_address("") == parse_port_address("unknown") == ()
