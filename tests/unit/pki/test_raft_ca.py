"""By which CAs zones could speak Raft, as far as can be seen."""

import datetime
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.pki.ca_pair import new_authorities
from isthmus.pki.certificate_info import Material
from isthmus.pki.certificates import KeyPair, Kind, Wish, issue, new_authority
from isthmus.pki.raft_ca import members_faults

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
OURS = new_authorities("ours", NOW, 30)
MEMBER = Wish(Kind.MEMBER, "ic1", ("192.0.2.1",))


def foreign(name: str, by: KeyPair | None = None, key: bytes = b"") -> KeyPair:
    """A CA from elsewhere.

    Args:
        name: its own.
        by: whose intermediate it is; self-signed without.
        key: of one that is renewed.
    """
    own = private(key) if key else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.load_pem_x509_certificate(by.certificate).subject if by else subject
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private(by.key) if by else own, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    pem = own.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    return KeyPair(pem, certificate.public_bytes(encoding))


def private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A key on an elliptic curve."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def said(own: KeyPair, everyone: list[KeyPair], members: list[KeyPair], days: int = 0) -> str:
    """What is wrong for a member with this certificate, ca.crt and members-ca.crt."""
    together, apart = (b"".join(p.certificate for p in pairs) for pairs in (everyone, members))
    files = Material("TLS", "tls.crt", "tls.key", "ca.crt", own.certificate, own.key, together)
    now = NOW + datetime.timedelta(days=days)
    found = members_faults(files, "members-ca.crt", apart, now)
    assert all((one.key, one.value) == ("CA of members", "members-ca.crt") for one in found)
    return " ".join(one.message for one in found)


def test_an_authority_of_members_keeps_zones_away() -> None:
    """That of `isthmus pki`, two at once while they are changed, and one from elsewhere."""
    own, both = issue(OURS.members, MEMBER, NOW), [OURS.others, OURS.members]
    assert said(own, both, [OURS.members]) == ""
    new = new_authorities("new", NOW, 30)
    apart = [OURS.members, new.members]
    assert said(own, [*both, new.others, new.members], apart) == ""
    members, zones = foreign("members"), foreign("zones")
    assert said(issue(members, MEMBER, NOW), [members, zones], [members]) == ""


def bad() -> Iterator[tuple[str, KeyPair, list[KeyPair], list[KeyPair]]]:
    """What is said, the signer of the member's certificate, ca.crt and members-ca.crt."""
    both = [OURS.others, OURS.members]
    yield "signs zones too", OURS.members, both, both
    yield "signs zones too", OURS.others, both, [OURS.others]
    one, root = foreign("one"), foreign("root")
    yield "holds every CA of ca.crt", one, [one], [one]
    yield "holds every CA of ca.crt", one, [one], [root, one]
    zones, members = foreign("zones", root), foreign("members", root)
    yield "signed CN=zones of ca.crt", root, [root, zones], [root]
    yield "no self-signed CA", members, [root, zones, members], [members]
    leaf = issue(OURS.members, MEMBER, NOW)
    yield "no self-signed CA", OURS.members, both, [leaf]
    yield "did not sign", OURS.members, both, [new_authorities("x", NOW, 9).members]
    yield "no certificate in PEM", OURS.members, both, []


@pytest.mark.parametrize(("what", "signer", "everyone", "members"), list(bad()))
def test_what_lets_zones_in_or_members_out_is_named(
    what: str, signer: KeyPair, everyone: list[KeyPair], members: list[KeyPair]
) -> None:
    """One CA for all, the same under two names, no anchor for OpenSSL, and another cluster's."""
    assert what in said(issue(signer, MEMBER, NOW), everyone, members)


def test_a_renewed_authority_is_the_same_one() -> None:
    """Another certificate for the same key signs the same: it is no other CA."""
    one = foreign("one")
    renewed = foreign("one", key=one.key)
    assert renewed.certificate != one.certificate
    assert "holds every CA" in said(issue(one, MEMBER, NOW), [renewed], [one])


def test_an_expired_authority_is_named() -> None:
    """With the day: other members' servers would refuse us."""
    own, both = issue(OURS.members, MEMBER, NOW), [OURS.others, OURS.members]
    assert "expired on 2026-12-27" in said(own, both, [OURS.members], days=31)


def test_a_single_authority_may_not_be_the_members() -> None:
    """One that `isthmus pki init` made before it made two signs zones, whatever else is there."""
    single = new_authority("single", NOW)
    both = [single, OURS.others]
    assert "signs zones too" in said(issue(single, MEMBER, NOW), both, [single])
