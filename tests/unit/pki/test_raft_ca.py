"""The CAs by which zones could join the Raft cluster."""

import datetime
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.pki.ca_pair import new_ca_pair
from isthmus.pki.certificate_info import TlsMaterial
from isthmus.pki.certificates import IssueSpec, KeyPair, Kind, issue, new_ca
from isthmus.pki.raft_ca import members_ca_problems

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
OURS = new_ca_pair("ours", NOW, 30)
MEMBER = IssueSpec(Kind.MEMBER, "ic1", ("192.0.2.1",))


def foreign(name: str, by: KeyPair | None = None, key: bytes = b"") -> KeyPair:
    """A CA of another issuer.

    Args:
        name: its common name.
        by: the CA that signs it; None for self-signed.
        key: the key of a renewed CA.
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


def problem(own: KeyPair, everyone: list[KeyPair], members: list[KeyPair], days: int = 0) -> str:
    """The problem of a member with this certificate, ca.crt and members-ca.crt."""
    together, apart = (b"".join(p.certificate for p in pairs) for pairs in (everyone, members))
    files = TlsMaterial("TLS", "tls.crt", "tls.key", "ca.crt", own.certificate, own.key, together)
    now = NOW + datetime.timedelta(days=days)
    found = members_ca_problems(files, "members-ca.crt", apart, now)
    assert all((one.key, one.value) == ("CA of members", "members-ca.crt") for one in found)
    return " ".join(one.message for one in found)


def test_suitable_members_cas() -> None:
    """The CA of `isthmus pki`, two CAs during a change, and the CA of another issuer."""
    own, both = issue(OURS.members, MEMBER, NOW), [OURS.others, OURS.members]
    assert problem(own, both, [OURS.members]) == ""
    new = new_ca_pair("new", NOW, 30)
    apart = [OURS.members, new.members]
    assert problem(own, [*both, new.others, new.members], apart) == ""
    members, zones = foreign("members"), foreign("zones")
    assert problem(issue(members, MEMBER, NOW), [members, zones], [members]) == ""


def bad() -> Iterator[tuple[str, KeyPair, list[KeyPair], list[KeyPair]]]:
    """The message, the signer of the member's certificate, ca.crt and members-ca.crt."""
    both = [OURS.others, OURS.members]
    yield "also signs zones", OURS.members, both, both
    yield "also signs zones", OURS.others, both, [OURS.others]
    one, root = foreign("one"), foreign("root")
    yield "contains every CA of ca.crt", one, [one], [one]
    yield "contains every CA of ca.crt", one, [one], [root, one]
    zones, members = foreign("zones", root), foreign("members", root)
    yield "signed CN=zones of ca.crt", root, [root, zones], [root]
    yield "not a self-signed CA", members, [root, zones, members], [members]
    leaf = issue(OURS.members, MEMBER, NOW)
    yield "not a self-signed CA", OURS.members, both, [leaf]
    yield "did not sign", OURS.members, both, [new_ca_pair("x", NOW, 9).members]
    yield "not contain a valid PEM certificate", OURS.members, both, []


@pytest.mark.parametrize(("what", "signer", "everyone", "members"), list(bad()))
def test_unsuitable_members_cas(
    what: str, signer: KeyPair, everyone: list[KeyPair], members: list[KeyPair]
) -> None:
    """One CA for all, also under two names, no trust anchor, and another cluster's CA."""
    assert what in problem(issue(signer, MEMBER, NOW), everyone, members)


def test_a_renewed_ca_is_the_same_ca() -> None:
    """Another certificate for the same key is not another CA."""
    one = foreign("one")
    renewed = foreign("one", key=one.key)
    assert renewed.certificate != one.certificate
    assert "contains every CA" in problem(issue(one, MEMBER, NOW), [renewed], [one])


def test_an_expired_ca_is_reported() -> None:
    """The message has the day; other members' servers would refuse the certificate."""
    own, both = issue(OURS.members, MEMBER, NOW), [OURS.others, OURS.members]
    assert "expired on 2026-12-27" in problem(own, both, [OURS.members], days=31)


def test_a_single_ca_is_unsuitable() -> None:
    """The single CA of earlier versions of `isthmus pki init` signs zones."""
    single = new_ca("single", NOW)
    both = [single, OURS.others]
    assert "also signs zones" in problem(issue(single, MEMBER, NOW), both, [single])
