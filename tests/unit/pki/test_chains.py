"""Certificates above our own: a chain with a link that is not valid is refused."""

import datetime
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.model.reasons import Reason
from isthmus.pki.certificate_info import TlsMaterial, expiry_warnings, material_problems

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
GOOD, EXPIRED, EARLY, SOON = (-9, 900), (-9, -3), (3, 900), (-9, 12)
"""Days from which and to which a certificate is valid, from now."""

KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "middle", "az1", "new")}


def signed(name: str, by: str, validity: tuple[int, int]) -> bytes:
    """A certificate in PEM; `name` and `by` are names of `KEYS`."""
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, by)
    )
    ca = x509.BasicConstraints(ca=name != "az1", path_length=None)
    return (
        x509.CertificateBuilder(issuer, subject, KEYS[name].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + validity[0] * DAY)
        .not_valid_after(NOW + validity[1] * DAY)
        .add_extension(ca, critical=True)
        .sign(KEYS[by], hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def material(own: Mapping[str, tuple[int, int]], cas: Mapping[str, tuple[int, int]]) -> TlsMaterial:
    """A zone's files: `middle` is signed by `root`, and signs `az1`."""
    issuers = {"az1": "middle", "middle": "root"}
    key = KEYS["az1"].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files = (
        b"".join(signed(name, issuers.get(name, name), one[name]) for name in one)
        for one in (own, cas)
    )
    certificate, ca = files
    return TlsMaterial("TLS files", "tls.crt", "tls.key", "ca.crt", certificate, key, ca)


ZONE, MEMBER = False, True


@pytest.mark.parametrize("serves", [ZONE, MEMBER])
@pytest.mark.parametrize(
    ("own", "cas", "message"),
    [
        ({"az1": GOOD, "middle": GOOD}, {"root": EXPIRED}, "of root expired on 2026-06-28"),
        ({"az1": GOOD, "middle": GOOD}, {"root": EARLY}, "of root is valid only from 2026-07-04"),
        ({"az1": GOOD, "middle": EXPIRED}, {"root": GOOD}, "of middle expired on 2026-06-28"),
        ({"az1": GOOD, "middle": EARLY}, {"root": GOOD}, "of middle is valid only from"),
        ({"az1": GOOD}, {"middle": EXPIRED, "root": GOOD}, "of middle expired on 2026-06-28"),
        ({"az1": GOOD}, {"middle": GOOD, "root": EXPIRED}, "of root expired on 2026-06-28"),
    ],
)
def test_a_chain_with_a_certificate_that_is_not_valid(
    own: dict[str, tuple[int, int]], cas: dict[str, tuple[int, int]], message: str, *, serves: bool
) -> None:
    """Is named, whether it is in the file of the certificate or of the CAs."""
    (problem,) = material_problems(material(own, cas), NOW, serves=serves)
    assert problem.message.startswith(message)
    assert problem.key == (
        "certificate" if "middle" in own and "middle" in message else "CA certificate"
    )
    assert problem.reason is Reason.CERTIFICATE_EXPIRES


@pytest.mark.parametrize(
    ("own", "cas"),
    [
        ({"az1": GOOD, "middle": GOOD}, {"root": GOOD, "new": EXPIRED}),
        ({"az1": GOOD, "middle": GOOD, "root": EXPIRED}, {"root": GOOD}),
        ({"az1": GOOD, "middle": GOOD, "new": EXPIRED}, {"root": GOOD}),
    ],
)
def test_a_certificate_that_no_chain_needs_may_expire(
    own: dict[str, tuple[int, int]], cas: dict[str, tuple[int, int]]
) -> None:
    """An old CA of a bundle, a root that was sent along, a leftover in the file."""
    assert not material_problems(material(own, cas), NOW)


def test_a_ca_with_two_certificates_needs_one_that_is_valid() -> None:
    """As while a CA's own certificate is renewed with its old key."""
    files = material({"az1": GOOD, "middle": GOOD}, {"root": EXPIRED})
    both = files.ca_pem + signed("root", "root", GOOD)
    renewed = TlsMaterial("", "", "", "", files.certificate_pem, files.key_pem, both)
    for serves in (ZONE, MEMBER):
        assert not material_problems(renewed, NOW, serves=serves)


def test_every_certificate_of_the_files_is_reported_before_it_expires() -> None:
    """With its name: own, intermediate, CA."""
    found = expiry_warnings(material({"az1": SOON, "middle": SOON}, {"root": SOON}), NOW)
    assert [(p.key, p.message.split()[1]) for p in found] == [
        ("certificate", "az1"),
        ("certificate", "middle"),
        ("CA certificate", "root"),
    ]
