"""A version is tried by the server's own program before it appears in a store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lstmserve_bundle.fingerprint import (
    FINGERPRINT_NAME,
    SCHEMA_VERSION,
    Fingerprint,
    write_fingerprint,
)
from lstmserve_training import proving
from lstmserve_training.errors import PublishError
from support.stores import accept_files


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """A version in a folder that is none of a store, as one that is about to appear."""
    folder = tmp_path / ".1-partial"
    shutil.copytree(tiny_store / "tiny" / "1", folder)
    return folder


def test_a_good_version_passes_the_server_s_own_trial(version: Path) -> None:
    assert (
        proving.prove(version) == "proved exact, by the trial that a server makes before it serves"
    )


def test_what_a_server_would_refuse_is_not_published(version: Path) -> None:
    """Numbers that this machine makes otherwise: comparing rows with rows does not find it."""
    other = Fingerprint(schema_version=SCHEMA_VERSION, sha256="0" * 64)
    write_fingerprint(version / FINGERPRINT_NAME, other)
    accept_files(version)
    assert proving.check_bits(version)
    with pytest.raises(PublishError, match="a server would refuse the version: "):
        proving.prove(version)


def test_where_no_server_is_installed_it_says_so(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "PROGRAM", ("-P", "-m", "no_such_server", "verify"))
    said = proving.prove(version)
    assert said.startswith("proved exact by training alone")
    assert "No module named no_such_server" in said
