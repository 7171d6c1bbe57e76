"""What is wrong with a certificate's files is told with the option and the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from lstmserve_server.config import TlsConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.tls.material import Files, Material, examine, read_files
from support.certificates import LONG_AGO, NAME, Authority, config_of, sign_oneself

AUTHORITY = Authority()
GOOD = AUTHORITY.issue()


def read(config: TlsConfig) -> Material:
    return examine(config, read_files(config))


def encrypted(key: bytes) -> bytes:
    secret = BestAvailableEncryption(b"secret")
    found = load_pem_private_key(key, password=None)
    return found.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)


# what is done to the files of a good pair, and what must be said about it
SPOILED: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no certificate": (lambda f: (f / "tls.crt").unlink(), ("tls.crt", "No such file")),
    "no key": (lambda f: (f / "tls.key").unlink(), ("--tls-key: ", "tls.key", "No such file")),
    "a folder": (lambda f: ((f / "tls.key").unlink(), (f / "tls.key").mkdir()), ("directory",)),
    "empty": (lambda f: (f / "tls.crt").write_bytes(b""), ("tls.crt", "no certificate in PEM")),
    "DER": (lambda f: (f / "tls.crt").write_bytes(b"\x30\x82"), ("tls.crt", "in PEM")),
    "half of one": (
        lambda f: (f / "tls.crt").write_bytes(GOOD.chain[:300]),
        ("tls.crt", "no certificate in PEM", "broken"),
    ),
    "swapped": (lambda f: (f / "tls.crt").write_bytes(GOOD.key), ("tls.crt", "no certificate")),
    "no key in it": (
        lambda f: (f / "tls.key").write_bytes(GOOD.chain),
        ("tls.key", "no private key"),
    ),
    "half a key": (lambda f: (f / "tls.key").write_bytes(GOOD.key[:99]), ("tls.key", "broken")),
    "encrypted": (
        lambda f: (f / "tls.key").write_bytes(encrypted(GOOD.key)),
        ("tls.key", "encrypted"),
    ),
    "another's key": (
        lambda f: (f / "tls.key").write_bytes(AUTHORITY.issue().key),
        ("--tls-key: ", "tls.key", "does not fit", "--tls-certificate"),
    ),
    "expired": (
        lambda f: AUTHORITY.issue(not_after=LONG_AGO).write(f),
        ("--tls-certificate: ", "tls.crt", "expired at 2001-01-01"),
    ),
    "not its issuer": (
        lambda f: (f / "tls.crt").write_bytes(GOOD.chain + Authority().pem),
        ("tls.crt", "was not issued by what follows"),
    ),
    "no name": (
        lambda f: AUTHORITY.issue("somebody@lstmserve.example").write(f),
        ("tls.crt", "subject alternative name"),
    ),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_is_wrong_is_told(tmp_path: Path, kind: str) -> None:
    spoil, words = SPOILED[kind]
    spoil(GOOD.write(tmp_path))
    with pytest.raises(StartupError) as refused:
        read(config_of(tmp_path))
    text = str(refused.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    "pem",
    [b"", GOOD.key, Authority().issue(not_after=LONG_AGO).chain[:50]],
    ids=["empty", "a key", "the beginning of one"],
)
def test_a_broken_authority_of_clients_is_named(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "ca.crt").write_bytes(pem)
    with pytest.raises(StartupError, match=r"--tls-client-authority: .*ca.crt: holds no certif"):
        read(config_of(GOOD.write(tmp_path), tmp_path / "ca.crt"))


def test_a_whole_chain_is_read_with_its_names_and_its_first_end(tmp_path: Path) -> None:
    material = read(config_of(AUTHORITY.issue_through_another().write(tmp_path)))
    assert material.files.chain.count(b"BEGIN") == 2
    assert material.names == (NAME,)
    assert material.expires_at == read(config_of(GOOD.write(tmp_path))).expires_at


def test_addresses_are_names(tmp_path: Path) -> None:
    pair = AUTHORITY.issue("127.0.0.1", "*.lstmserve.example")
    names = read(config_of(pair.write(tmp_path))).names
    assert set(names) == {"127.0.0.1", "*.lstmserve.example"}


@pytest.mark.parametrize(
    "key",
    [
        Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 1024),
    ],
    ids=["Ed25519", "P-521", "RSA 1024"],
)
def test_a_key_that_no_handshake_would_take_is_refused(
    tmp_path: Path, key: PrivateKeyTypes
) -> None:
    sign_oneself(key).write(tmp_path)
    with pytest.raises(StartupError, match=r"--tls-key: .*P-256 or P-384, or of RSA"):
        read(config_of(tmp_path))


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA 2048"],
)
def test_the_usual_keys_are_taken(tmp_path: Path, key: PrivateKeyTypes) -> None:
    assert read(config_of(sign_oneself(key).write(tmp_path))).names == (NAME,)


def test_a_key_is_never_shown() -> None:
    assert "PRIVATE" not in repr(Files(GOOD.chain, GOOD.key, None))
