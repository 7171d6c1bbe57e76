"""Certificates as values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lstmserve_client import Tls

if TYPE_CHECKING:
    from pathlib import Path


def pem(name: str) -> bytes:
    return f"-----BEGIN {name}-----".encode()


def test_files_are_read_when_told(tmp_path: Path) -> None:
    names = ("authority", "certificate", "key")
    for name in names:
        (tmp_path / name).write_bytes(pem(name))
    tls = Tls.from_files(**{name: tmp_path / name for name in names}, server_name="here")
    for name in names:
        (tmp_path / name).unlink()
    assert tls == Tls(
        authority=pem("authority"),
        certificate=pem("certificate"),
        key=pem("key"),
        server_name="here",
    )


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tls.from_files(authority=tmp_path / "none")


@pytest.mark.parametrize("given", ["certificate", "key"])
def test_a_certificate_and_its_key_come_together(given: str) -> None:
    with pytest.raises(ValueError, match="certificate and key"):
        Tls(**{given: pem("x")})  # type: ignore[arg-type]  # by name


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Tls(certificate=pem("c"), key=pem("secret")))
