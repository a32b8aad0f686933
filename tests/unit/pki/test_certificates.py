"""The certificates of `isthmus pki`, and the problems of unsuitable ones."""

import datetime
import ssl
from dataclasses import replace

import pytest

from isthmus.pki.certificate_info import (
    TlsMaterial,
    expiry_warnings,
    material_problems,
    parse_pem,
)
from isthmus.pki.certificates import (
    IssueSpec,
    KeyPair,
    Kind,
    UnusableError,
    bundle,
    issue,
    new_ca,
    renew,
)

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
MEMBER = IssueSpec(Kind.MEMBER, "one", ("192.0.2.1", "[2001:db8::1]", "ic.example"))


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    """A CA."""
    return new_ca("first", NOW)


@pytest.fixture(scope="module")
def other() -> KeyPair:
    """An unrelated CA."""
    return new_ca("second", NOW)


def material(pair: KeyPair, authority: KeyPair) -> TlsMaterial:
    """The three files of a side that has this pair and trusts this CA."""
    pems = (pair.certificate, pair.key, authority.certificate)
    return TlsMaterial("TLS", "tls.crt", "tls.key", "ca.crt", *pems)


def test_a_member_serves_and_connects(authority: KeyPair) -> None:
    """A member's certificate has its addresses, both uses and a year."""
    [seen] = parse_pem(issue(authority, MEMBER, NOW).certificate)
    assert seen.kind is Kind.MEMBER
    assert seen.common_name == "one"
    assert seen.names == ("192.0.2.1", "2001:db8::1", "ic.example")
    assert seen.purposes == ("server", "client")
    assert seen.days_left(NOW) == 365
    assert not seen.authority


def test_a_zone_only_connects(authority: KeyPair) -> None:
    """A zone's certificate has its name and cannot serve."""
    pair = issue(authority, IssueSpec(Kind.ZONE, "az1"), NOW)
    [seen] = parse_pem(pair.certificate)
    assert (seen.kind, seen.common_name, seen.purposes) == (Kind.ZONE, "az1", ("client",))
    assert not material_problems(material(pair, authority), NOW)
    [fault] = material_problems(material(pair, authority), NOW, serves=True)
    assert "is not valid for a server" in fault.message


def test_serials_and_keys_are_new_each_time(authority: KeyPair) -> None:
    """Two certificates, or a certificate and its renewal, share neither serial nor key."""
    first = issue(authority, MEMBER, NOW)
    second = issue(authority, MEMBER, NOW)
    third = renew(authority, first.certificate, NOW + 300 * DAY)
    seen = [parse_pem(pair.certificate)[0] for pair in (first, second, third)]
    assert len({look.serial for look in seen}) == 3
    assert len({pair.key for pair in (first, second, third)}) == 3
    assert seen[2].subject == seen[0].subject
    assert (seen[2].names, seen[2].purposes) == (seen[0].names, seen[0].purposes)
    assert seen[2].not_after == NOW + 665 * DAY


def test_no_certificate_outlives_its_ca() -> None:
    """A certificate expires with the CA that signed it at the latest."""
    short = new_ca("short", NOW, days=10)
    assert parse_pem(issue(short, MEMBER, NOW).certificate)[0].not_after == NOW + 10 * DAY
    with pytest.raises(UnusableError, match="expired on 2026-12-03"):
        issue(short, MEMBER, NOW + 11 * DAY)


def test_only_a_ca_signs(authority: KeyPair, other: KeyPair) -> None:
    """Neither a member's pair nor a mismatched one can issue, and a CA is not renewed."""
    member = issue(authority, MEMBER, NOW)
    with pytest.raises(UnusableError, match="not a CA certificate"):
        issue(member, MEMBER, NOW)
    with pytest.raises(UnusableError, match="does not match the certificate"):
        issue(KeyPair(other.key, authority.certificate), MEMBER, NOW)
    with pytest.raises(UnusableError, match="new CA"):
        renew(authority, authority.certificate, NOW)


def test_malformed_names_are_refused(authority: KeyPair) -> None:
    """Empty, overlong and impossible names are errors."""
    for name in ("", "x" * 65):
        with pytest.raises(UnusableError, match="characters long"):
            issue(authority, IssueSpec(Kind.ZONE, name), NOW)
    with pytest.raises(UnusableError, match="neither an IP address nor a host name"):
        issue(authority, IssueSpec(Kind.MEMBER, "one", ("größe.example",)), NOW)


def test_a_bundle_trusts_both(authority: KeyPair, other: KeyPair) -> None:
    """With both CAs in the bundle, certificates of either are valid."""
    both = bundle([authority.certificate, other.certificate, authority.certificate])
    assert [seen.common_name for seen in parse_pem(both)] == ["first", "second"]
    for signer in (authority, other):
        pair = issue(signer, MEMBER, NOW)
        assert not material_problems(material(pair, KeyPair(b"", both)), NOW, serves=True)
    with pytest.raises(UnusableError, match="not a CA"):
        bundle([issue(authority, MEMBER, NOW).certificate])


def test_problems_name_the_file(authority: KeyPair, other: KeyPair) -> None:
    """Expired, not yet valid, wrong CA, wrong key, garbage: each is reported with its file."""
    pair = issue(authority, MEMBER, NOW)
    good = material(pair, authority)
    assert not material_problems(good, NOW, serves=True)
    [early] = material_problems(good, NOW - DAY)[:1]
    assert "is valid only from 2026-11-23" in early.message
    [late] = material_problems(good, NOW + 366 * DAY)
    assert "expired on 2027-11-23" in late.message
    assert "renew" in late.remedy
    [stranger] = material_problems(material(pair, other), NOW, serves=True)
    assert "did not sign" in stranger.message
    assert stranger.value == "ca.crt"
    assert not material_problems(material(pair, other), NOW), "a client need not trust its own CA"
    [key] = material_problems(replace(good, key_pem=other.key), NOW)
    assert (key.key, key.value) == ("private key", "tls.key")
    for broken in (
        replace(good, certificate_pem=b"garbage"),
        replace(good, key_pem=b"garbage"),
        replace(good, ca_pem=b"garbage"),
    ):
        assert len(material_problems(broken, NOW)) == 1


@pytest.mark.parametrize(
    ("part", "damaged"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x34"),  # the version
        (b"\x82\x0aic.example", b"\x82\x0aic.ex\xffmple"),  # a name
        (b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x25"),  # key usage as extended key usage
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x63"),
    ],
    ids=["version", "name", "extension twice", "curve"],
)  # fmt: skip
def test_a_damaged_part_is_found_when_the_certificate_is_read(
    authority: KeyPair, part: bytes, damaged: bytes
) -> None:
    """The library parses extensions, names and keys late, in code that expects no errors."""
    der = ssl.PEM_cert_to_DER_cert(issue(authority, MEMBER, NOW).certificate.decode())
    assert part in der
    wrong = ssl.DER_cert_to_PEM_cert(der.replace(part, damaged)).encode()
    with pytest.raises(UnusableError, match="does not contain a valid PEM certificate"):
        parse_pem(wrong)
    bad = replace(material(authority, authority), certificate_pem=wrong)
    [problem] = material_problems(bad, NOW)
    assert problem.remedy == "put a PEM certificate there"


def test_certificates_that_expire_soon_are_reported(authority: KeyPair) -> None:
    """A certificate is reported within 30 days of its expiry, neither before nor after."""
    good = material(issue(authority, MEMBER, NOW), authority)
    assert not expiry_warnings(good, NOW + 334 * DAY)
    [soon] = expiry_warnings(good, NOW + 336 * DAY)
    assert "expires on 2027-11-23" in soon.message
    assert not expiry_warnings(good, NOW + 366 * DAY)
