"""Whether a key can stand for a certificate."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from lstmserve_server.errors import StartupError

# with any other curve, Ed25519 too, no client of gRPC gets through a handshake
CURVES = frozenset({"secp256r1", "secp384r1"})
MIN_RSA_BITS = 2048


def check_key(place: str, pem: bytes, certificate: x509.Certificate) -> None:
    """Raises StartupError, whose text begins with ``place``."""
    key = _load(place, pem)
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


def _load(place: str, pem: bytes) -> PrivateKeyTypes:
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
