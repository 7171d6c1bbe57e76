"""Certificates as values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lstmserve_client import Tls

if TYPE_CHECKING:
    from pathlib import Path


AUTHORITY = b"-----BEGIN CERTIFICATE-----\nauthority"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\ncertificate"
KEY = b"-----BEGIN EC PRIVATE KEY-----\nsecret"


def test_files_are_read_when_told(tmp_path: Path) -> None:
    contents = {"authority": AUTHORITY, "certificate": CERTIFICATE, "key": KEY}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    tls = Tls.from_files(**{name: tmp_path / name for name in contents}, server_name="here")
    for name in contents:
        (tmp_path / name).unlink()
    assert tls == Tls(authority=AUTHORITY, certificate=CERTIFICATE, key=KEY, server_name="here")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tls.from_files(authority=tmp_path / "none")


@pytest.mark.parametrize("given", [{"certificate": CERTIFICATE}, {"key": KEY}], ids=str)
def test_a_certificate_and_its_key_come_together(given: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="certificate and key"):
        Tls(**given)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("authority", {"authority": KEY}),
        ("authority", {"authority": b"-----BEGIN CERTIFICATE REQUEST-----"}),
        ("certificate", {"certificate": KEY, "key": CERTIFICATE}),
        ("key", {"certificate": CERTIFICATE, "key": CERTIFICATE}),
        ("key", {"certificate": CERTIFICATE, "key": b""}),
    ],
)
def test_a_file_in_the_place_of_another_is_refused(name: str, files: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: has no line -----BEGIN ") as raised:
        Tls(**files)  # type: ignore[arg-type]  # by name
    assert "secret" not in str(raised.value)


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Tls(certificate=CERTIFICATE, key=KEY))


def test_a_key_beside_its_certificate_is_not_shown_either() -> None:
    both = CERTIFICATE + KEY
    assert "secret" not in repr(Tls(authority=both, certificate=both, key=both))
