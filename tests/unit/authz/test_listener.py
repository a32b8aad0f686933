"""The identity in a client's certificate."""

import pytest

from isthmus.authz.listener import ClosedLog, PeerIdentity, is_operator, peer_of


@pytest.mark.parametrize(
    ("subject", "peer", "operator"),
    [
        ({"organizationName": "isthmus", "organizationalUnitName": "member", "commonName": "m1"},
         PeerIdentity("m1", "member"), True),
        ({"organizationName": "isthmus", "organizationalUnitName": "operator", "commonName": "x"},
         PeerIdentity("x", "operator"), True),
        ({"organizationName": "isthmus", "organizationalUnitName": "zone", "commonName": "az1"},
         PeerIdentity("az1", "zone"), False),
        ({"organizationName": "ACME", "organizationalUnitName": "member", "commonName": "az1"},
         PeerIdentity("az1", ""), False),
        ({"commonName": "az1"}, PeerIdentity("az1", ""), False),
        ({}, PeerIdentity("", ""), False),
    ],
)  # fmt: skip
def test_identities(subject: dict[str, str], peer: PeerIdentity, operator: bool) -> None:
    """The name is the zone; only members and operators of isthmus pki may write everything."""
    found = peer_of({"subject": tuple(((key, value),) for key, value in subject.items())})
    assert found == peer
    assert is_operator(found) is operator


def test_ambiguous_names_are_rejected() -> None:
    """A certificate with two common names has no name; with two units it has no unit."""
    two = ((("commonName", "az1"),), (("commonName", "az2"),))
    assert peer_of({"subject": two}).name == ""
    units = tuple((("organizationalUnitName", unit),) for unit in ("zone", "member"))
    ours = (("organizationName", "isthmus"),)
    assert not is_operator(peer_of({"subject": (ours, *units, (("commonName", "az1"),))}))


def test_a_reason_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Strangers cannot fill the log."""
    log = ClosedLog()
    for now in (100.0, 130.0):
        log.report("192.0.2.1", "TLS failed", now)
    assert [record.getMessage() for record in caplog.records] == [
        "connection of '192.0.2.1' closed: TLS failed"
    ]
    log.report("192.0.2.1", "TLS failed", 161.0)
    assert len(caplog.records) == 2
    for number in range(100):
        log.report(f"198.51.100.{number}", "TLS failed", 162.0)
    assert len(caplog.records) == 21
