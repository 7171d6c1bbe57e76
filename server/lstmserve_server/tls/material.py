"""A certificate, its key and the authority of clients, out of PEM files. Knows no gRPC."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from lstmserve_server.config import TlsConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.text_files import without_mark

CERTIFICATE = "--tls-certificate"
KEY = "--tls-key"
AUTHORITY = "--tls-client-authority"
# with any other curve, Ed25519 too, no client of gRPC gets through a handshake
CURVES = frozenset({"secp256r1", "secp384r1"})
MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Files:
    """What the files hold."""

    chain: bytes
    key: bytes = field(repr=False)
    authority: bytes | None  # None: clients need no certificate


@dataclass(frozen=True, slots=True)
class Material:
    """Files that fit together, and what they say."""

    files: Files
    names: tuple[str, ...]  # of the server: DNS names and IP addresses, at least one
    expires_at: float  # seconds since 1970: when the first of the chain's certificates ends


def read_files(config: TlsConfig) -> Files:
    """Raises StartupError naming the option and the file that cannot be read."""
    authority = config.client_authority
    return Files(
        _read(CERTIFICATE, config.certificate),
        _read(KEY, config.key),
        None if authority is None else _read(AUTHORITY, authority),
    )


def examine(config: TlsConfig, files: Files) -> Material:
    """Check that they fit together, now; raises StartupError naming the option and the file."""
    place = f"{CERTIFICATE}: {config.certificate}"
    chain = _parse_certificates(place, files.chain)
    _check_key(f"{KEY}: {config.key}", files.key, chain[0])
    for certificate in chain:
        _check_dates(place, certificate)
    _check_order(place, chain)
    if files.authority is not None:
        _check_authority(f"{AUTHORITY}: {config.client_authority}", files.authority)
    return Material(files, _find_names(place, chain[0]), min(map(_end_of, chain)))


def _read(option: str, path: Path) -> bytes:
    try:
        return without_mark(path.read_bytes())  # OpenSSL would not see what follows it
    except OSError as error:
        raise StartupError(f"{option}: {path}: {error.strerror}") from None
    except ValueError as error:
        raise StartupError(f"{option}: {path}: {error}") from None


def _parse_certificates(place: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise StartupError(
            f"{place}: holds no certificate in PEM (-----BEGIN CERTIFICATE-----), or a broken one"
        ) from None


def _check_key(place: str, pem: bytes, certificate: x509.Certificate) -> None:
    """Raise StartupError unless the key is the certificate's, and of a kind that gRPC serves."""
    key = _load_key(place, pem)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise StartupError(
            f"{place}: the key does not fit the first certificate of --tls-certificate "
            f"({certificate.subject.rfc4514_string()})"
        )
    if not _is_usable(key):
        raise StartupError(
            f"{place}: must be a key of the curve P-256 or P-384, or of RSA with {MIN_RSA_BITS} "
            "bits or more; gRPC serves no other"
        )


def _load_key(place: str, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError:
        raise StartupError(f"{place}: the key is encrypted; give one without password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise StartupError(
            f"{place}: holds no private key in PEM (-----BEGIN PRIVATE KEY-----), or a broken one"
        ) from None


def _is_usable(key: PrivateKeyTypes) -> bool:
    if isinstance(key, EllipticCurvePrivateKey):
        return key.curve.name in CURVES
    return isinstance(key, RSAPrivateKey) and key.key_size >= MIN_RSA_BITS


def _check_dates(place: str, certificate: x509.Certificate) -> None:
    subject, now = certificate.subject.rfc4514_string(), datetime.fromtimestamp(time.time(), UTC)
    if certificate.not_valid_after_utc <= now:
        raise StartupError(f"{place}: {subject} expired at {certificate.not_valid_after_utc}")
    if certificate.not_valid_before_utc > now:
        raise StartupError(f"{place}: {subject} is valid from {certificate.not_valid_before_utc}")


def _check_order(place: str, chain: list[x509.Certificate]) -> None:
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise StartupError(
                f"{place}: {certificate.subject.rfc4514_string()} was not issued by what follows "
                "it; the server's own certificate comes first, then each one's issuer"
            ) from None


def _check_authority(place: str, pem: bytes) -> None:
    """An old authority beside its successor may have ended; one must be good."""
    now = time.time()
    if all(_end_of(certificate) <= now for certificate in _parse_certificates(place, pem)):
        raise StartupError(f"{place}: all of its certificates have expired")


def _find_names(place: str, certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found = []
    else:
        addresses = names.get_values_for_type(x509.IPAddress)
        found = [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]
    if not found:
        raise StartupError(
            f"{place}: has no subject alternative name that is a DNS name or an IP address, "
            "by which clients would know the server"
        )
    return tuple(found)


def _end_of(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()
