"""Certificates, and the names that are read from them.

An input is DER; each element of it becomes a certificate of one PEM file, which is used as a
member's certificate, as its CA, and as what a client of the authorizing proxy shows. Promises: a
certificate that is not suitable raises `UnusableError` or is a problem; what is printed of it is
printable; the proxy and `isthmus pki` read the same name, or the proxy reads none.
"""

import base64
import datetime
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from fuzz.der import Element, mutate_der
from fuzz.promises import require, require_line, require_named
from isthmus.authz.listener import is_operator, peer_of
from isthmus.authz.request import RefusedError
from isthmus.model.text import printable
from isthmus.pki.certificate_info import (
    CertificateInfo,
    TlsMaterial,
    expiry_warnings,
    material_problems,
    parse_pem,
)
from isthmus.pki.certificates import KeyPair, Kind, UnusableError, bundle, new_ca, renew
from isthmus.pki.raft_ca import members_ca_problems

WORDS = (
    "isthmus",
    *Kind,
    "authority",
    "authority of members",
    "az1",
    "-----BEGIN CERTIFICATE-----",
)
"""Words that the fuzzer inserts."""

_NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another input, for the fuzzer."""
    try:
        return mutate_der(data, longest, seed)
    except (ValueError, RecursionError):
        return data[: seed % (len(data) + 1)]


def run(data: bytes) -> None:
    """Use an input in all ways."""
    try:
        certificates = [_pem(element.encoded()) for element in Element.read_all(data)[:4]]
    except (ValueError, RecursionError):
        certificates = [_pem(data)]
    pem = b"".join(certificates)
    infos = _described(pem)
    for info in infos:
        _check_text(info)
    _check_files(pem, certificates[-1] if certificates else b"")
    for certificate in certificates:
        _check_client(certificate)
    with suppress(UnusableError):
        _described(bundle([pem, pem]))
    with suppress(UnusableError):
        [again] = parse_pem(renew(_ca(), pem, _NOW).certificate)
        first = infos[0]
        same = (again.subject, again.names, again.purposes)
        require(same == (first.subject, first.names, first.purposes), f"{again} renews {first}")


def _pem(der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"


@cache
def _ca() -> KeyPair:
    return new_ca("ca", _NOW)


def _described(pem: bytes) -> tuple[CertificateInfo, ...]:
    with suppress(UnusableError):
        return parse_pem(pem)
    return ()


def _check_text(info: CertificateInfo) -> None:
    for text in (info.subject, info.issuer, info.common_name, *info.names, *info.purposes):
        require_line(printable(text))
        printable(text).encode()
    require(isinstance(info.days_left(_NOW), int), "no days")


def _check_files(pem: bytes, ca: bytes) -> None:
    material = TlsMaterial("TLS files", "tls.crt", "tls.key", "ca.crt", pem, _ca().key, ca)
    for serves in (False, True):
        found = material_problems(material, _NOW, serves=serves)
        require_named(found)
    if not any("PEM certificate" in problem.message for problem in found):
        require_named(expiry_warnings(material, _NOW))
        require_named(members_ca_problems(material, "members-ca.crt", ca, _NOW))


def _check_client(pem: bytes) -> None:
    shown = _shown(pem)
    if shown is None:
        return
    peer = peer_of(shown)
    require_line(str(RefusedError(peer.name, "connect", "", "no")))
    units = [value for part in shown["subject"] for name, value in part if "Unit" in name]
    require(not is_operator(peer) or len(units) == 1, f"an operator with the units {units}")
    with suppress(UnusableError):
        [info] = parse_pem(pem)
        same = not peer.name or info.common_name == peer.name
        require(same, f"{info.common_name!r} is not {peer.name!r}")
        require(not peer.unit or info.unit == peer.unit, f"{info.unit!r} is not {peer.unit!r}")


def _shown(pem: bytes) -> Mapping[str, Any] | None:
    """The certificate as `SSLSocket.getpeercert` returns it; None if OpenSSL cannot parse it."""
    memory = os.memfd_create("certificate")
    try:
        os.write(memory, pem)
        shown: Mapping[str, Any] = ssl._ssl._test_decode_cert(f"/proc/self/fd/{memory}")  # type: ignore[attr-defined]
    except (ValueError, OSError):
        return None
    finally:
        os.close(memory)
    return shown
