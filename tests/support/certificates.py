"""Certificates as operators have them: files of an authority made for the test."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lstmserve_server.config import TlsConfig

NAME = "lstmserve.example"
LIFETIME = timedelta(days=30)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


class Pair:
    """A certificate and its key."""

    def __init__(self, chain: bytes, key: bytes) -> None:
        self.chain = chain
        self.key = key

    @property
    def first(self) -> str:
        """The certificate itself, without those of its issuers."""
        return self.chain.decode().partition("-----END CERTIFICATE-----\n")[0].strip()

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tls.crt").write_bytes(self.chain)
        (folder / "tls.key").write_bytes(self.key)
        return folder


def sign_oneself(key: PrivateKeyTypes) -> Pair:
    """A certificate of no authority, for a key of any kind."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), begin, begin + LIFETIME
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    algorithm = None if isinstance(key, Ed25519PrivateKey) else SHA256()
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(builder.sign(key, algorithm).public_bytes(Encoding.PEM), key.private_bytes(*form))


class Authority:
    """Whom one side trusts."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes()

    def issue(self, *names: str, not_after: datetime | None = None) -> Pair:
        return _pair(self._ca.issue_cert(*(names or (NAME,)), not_after=not_after))

    def issue_through_another(self) -> Pair:
        """By an authority of this authority."""
        return _pair(self._ca.create_child_ca().issue_cert(NAME))


def _pair(leaf: trustme.LeafCert) -> Pair:
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return Pair(chain, leaf.private_key_pem.bytes())


def config_of(folder: Path, authority: Path | None = None) -> TlsConfig:
    return TlsConfig(folder / "tls.crt", folder / "tls.key", authority)


def options_of(folder: Path) -> tuple[str, ...]:
    """The server's."""
    config = config_of(folder)
    return "--tls-certificate", str(config.certificate), "--tls-key", str(config.key)


@contextmanager
def connect_securely(
    target: str, authority: Authority, pair: Pair | None = None
) -> Iterator[grpc.Channel]:
    """A connection shared with nobody, to whom proves to be NAME."""
    shown = (None, None) if pair is None else (pair.key, pair.chain)
    credentials = grpc.ssl_channel_credentials(authority.pem, *shown)
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.ssl_target_name_override", NAME),
        # so little read ahead that a stream which nobody reads stays open
        ("grpc.http2.lookahead_bytes", 1024),
        ("grpc.http2.bdp_probe", 0),
    ]
    with grpc.secure_channel(target, credentials, options) as channel:
        yield channel


def shown_by(target: str) -> str:
    """The certificate that a server shows to a new connection."""
    host, port = target.rsplit(":", 1)
    return ssl.get_server_certificate((host, int(port))).partition("-----END")[0].strip()


class Mounted:
    """A secret as Kubernetes mounts it: files are links into ..data, a link that is replaced."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        self.folder = folder
        self._number = 0
        folder.mkdir()
        self.put(pair)
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(f"..data/{name}")

    def put(self, pair: Pair) -> None:
        """Replace both at once, and remove the old ones."""
        link, old = self.folder / "..data", self.folder / f"..{self._number}"
        self._number += 1
        pair.write(self.folder / f"..{self._number}")
        new_link = self.folder / "..data_tmp"
        new_link.symlink_to(f"..{self._number}")
        os.replace(new_link, link)  # noqa: PTH105 - of a link itself, as the kubelet does it
        shutil.rmtree(old, ignore_errors=True)
