"""The certificates that `isthmus pki` makes, and what is said of bad ones."""

import datetime
from dataclasses import replace

import pytest

from isthmus.pki.certificate_info import Material, faults, looks, warnings
from isthmus.pki.certificates import (
    KeyPair,
    Kind,
    UnusableError,
    Wish,
    bundle,
    issue,
    new_authority,
    renew,
)

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
MEMBER = Wish(Kind.MEMBER, "one", ("192.0.2.1", "[2001:db8::1]", "ic.example"))


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    """An authority."""
    return new_authority("first", NOW)


@pytest.fixture(scope="module")
def other() -> KeyPair:
    """An authority that knows nothing of the first."""
    return new_authority("second", NOW)


def material(pair: KeyPair, authority: KeyPair) -> Material:
    """The three files of a side that has this pair and believes this authority."""
    pems = (pair.certificate, pair.key, authority.certificate)
    return Material("TLS", "tls.crt", "tls.key", "ca.crt", *pems)


def test_a_member_serves_and_connects(authority: KeyPair) -> None:
    """A member's certificate has its addresses, both uses and a year."""
    [seen] = looks(issue(authority, MEMBER, NOW).certificate)
    assert seen.kind is Kind.MEMBER
    assert seen.common_name == "one"
    assert seen.names == ("192.0.2.1", "2001:db8::1", "ic.example")
    assert seen.purposes == ("server", "client")
    assert seen.days_left(NOW) == 365
    assert not seen.authority


def test_a_zone_only_connects(authority: KeyPair) -> None:
    """A zone's certificate has its name and cannot serve."""
    pair = issue(authority, Wish(Kind.ZONE, "az1"), NOW)
    [seen] = looks(pair.certificate)
    assert (seen.kind, seen.common_name, seen.purposes) == (Kind.ZONE, "az1", ("client",))
    assert not faults(material(pair, authority), NOW)
    [fault] = faults(material(pair, authority), NOW, serves=True)
    assert "is not for use as a server" in fault.message


def test_serials_and_keys_are_new_each_time(authority: KeyPair) -> None:
    """Nothing is shared by two certificates, or by a certificate and its renewal."""
    first = issue(authority, MEMBER, NOW)
    second = issue(authority, MEMBER, NOW)
    third = renew(authority, first.certificate, NOW + 300 * DAY)
    seen = [looks(pair.certificate)[0] for pair in (first, second, third)]
    assert len({look.serial for look in seen}) == 3
    assert len({pair.key for pair in (first, second, third)}) == 3
    assert seen[2].subject == seen[0].subject
    assert (seen[2].names, seen[2].purposes) == (seen[0].names, seen[0].purposes)
    assert seen[2].not_after == NOW + 665 * DAY


def test_nothing_outlives_its_authority() -> None:
    """A certificate ends with the authority that signed it at the latest."""
    short = new_authority("short", NOW, days=10)
    assert looks(issue(short, MEMBER, NOW).certificate)[0].not_after == NOW + 10 * DAY
    with pytest.raises(UnusableError, match="expired on 2026-12-03"):
        issue(short, MEMBER, NOW + 11 * DAY)


def test_only_an_authority_signs(authority: KeyPair, other: KeyPair) -> None:
    """Neither a member's pair nor a mixed one can issue, and an authority is not renewed."""
    member = issue(authority, MEMBER, NOW)
    with pytest.raises(UnusableError, match="no authority's"):
        issue(member, MEMBER, NOW)
    with pytest.raises(UnusableError, match="not the certificate's"):
        issue(KeyPair(other.key, authority.certificate), MEMBER, NOW)
    with pytest.raises(UnusableError, match="new authority"):
        renew(authority, authority.certificate, NOW)


def test_names_that_do_not_fit_are_refused(authority: KeyPair) -> None:
    """Empty, overlong and impossible names are named."""
    for name in ("", "x" * 65):
        with pytest.raises(UnusableError, match="characters long"):
            issue(authority, Wish(Kind.ZONE, name), NOW)
    with pytest.raises(UnusableError, match="neither an IP address nor a host name"):
        issue(authority, Wish(Kind.MEMBER, "one", ("größe.example",)), NOW)


def test_an_overlapping_bundle_serves_both(authority: KeyPair, other: KeyPair) -> None:
    """With both authorities in the bundle, certificates of either are good."""
    both = bundle([authority.certificate, other.certificate, authority.certificate])
    assert [seen.common_name for seen in looks(both)] == ["first", "second"]
    for signer in (authority, other):
        pair = issue(signer, MEMBER, NOW)
        assert not faults(material(pair, KeyPair(b"", both)), NOW, serves=True)
    with pytest.raises(UnusableError, match="no authority"):
        bundle([issue(authority, MEMBER, NOW).certificate])


def test_faults_are_named(authority: KeyPair, other: KeyPair) -> None:
    """Expired, not yet good, wrong CA, another's key, garbage: each is said with its file."""
    pair = issue(authority, MEMBER, NOW)
    good = material(pair, authority)
    assert not faults(good, NOW, serves=True)
    [early] = faults(good, NOW - DAY)[:1]
    assert "is good only from 2026-11-23" in early.message
    [late] = faults(good, NOW + 366 * DAY)
    assert "expired on 2027-11-23" in late.message
    assert "renew" in late.remedy
    [stranger] = faults(material(pair, other), NOW, serves=True)
    assert "did not sign" in stranger.message
    assert stranger.value == "ca.crt"
    assert not faults(material(pair, other), NOW), "a client need not believe its own CA"
    [key] = faults(replace(good, key_pem=other.key), NOW)
    assert (key.key, key.value) == ("private key", "tls.key")
    for broken in (
        replace(good, certificate_pem=b"garbage"),
        replace(good, key_pem=b"garbage"),
        replace(good, ca_pem=b"garbage"),
    ):
        assert len(faults(broken, NOW)) == 1


def test_what_ends_soon_is_warned_of(authority: KeyPair) -> None:
    """Within 30 days of its end, a certificate is reported; not before, nor after."""
    good = material(issue(authority, MEMBER, NOW), authority)
    assert not warnings(good, NOW + 334 * DAY)
    [soon] = warnings(good, NOW + 336 * DAY)
    assert "expires on 2027-11-23" in soon.message
    assert not warnings(good, NOW + 366 * DAY)
