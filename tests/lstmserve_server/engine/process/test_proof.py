"""What makes a model inexact is found before it serves, and told; a good one is let in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lstmserve_bundle.fingerprint import (
    FINGERPRINT_NAME,
    SCHEMA_VERSION,
    Fingerprint,
    write_fingerprint,
)
from lstmserve_bundle.manifest import read_manifest
from lstmserve_server.errors import ModelLoadError
from support.engines import load
from support.inexact import DEEDS, publish_claim, publish_mutant, publish_stock
from support.stores import accept_files, copy_version, drop_file

MAX_ROWS = 2
OTHER = Fingerprint(schema_version=SCHEMA_VERSION, sha256="0" * 64)


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """The folder of a good version, to be spoiled."""
    return copy_version(tiny_store / "tiny" / "1", tmp_path)


def difference(folder: Path, max_rows: int = MAX_ROWS) -> str:
    return load(folder, max_rows).difference


@pytest.mark.parametrize("max_rows", [1, 200])
def test_a_good_model_is_exact_however_many_rows_run(version: Path, max_rows: int) -> None:
    assert difference(version, max_rows) == ""
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("deed", "said"), DEEDS.items())
def test_each_way_to_be_inexact_is_found(version: Path, deed: str, said: str) -> None:
    publish_mutant(version, deed)
    assert said in difference(version)
    assert torch.get_num_threads() == 1


def test_a_state_is_kept_as_its_model_says_where_that_is_true(version: Path) -> None:
    sizes = read_manifest(version).sizes
    num_whole = sizes.layers * sizes.hidden
    publish_claim(version, [(0, num_whole)])
    true = load(version, MAX_ROWS)
    assert true.difference == ""
    assert true.runner.row_bytes == 4 * sizes.state - 3 * num_whole
    publish_claim(version, [(0, num_whole + 1)])
    false = load(version, MAX_ROWS)
    assert "a reply that goes on from a state that was kept has other state" in false.difference
    assert false.runner.row_bytes == 4 * sizes.state


def test_a_stock_module_differs_beside_others(version: Path) -> None:
    publish_stock(version)
    assert "a reply beside 63 others, and not alone, has other scores" in difference(version)


def test_what_depends_on_rows_that_only_this_server_runs_is_found_as_well(version: Path) -> None:
    publish_mutant(version, "looks at the 100th place")
    assert "beside 127 others" in difference(version, max_rows=128)


def test_numbers_that_are_not_those_of_the_publication_are_found(version: Path) -> None:
    write_fingerprint(version / FINGERPRINT_NAME, OTHER)
    accept_files(version)
    assert "when it was published" in difference(version)


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 1, "sha256": "x"}', " " * 5000])
def test_a_published_file_that_is_no_fingerprint_is_refused(version: Path, text: str) -> None:
    (version / FINGERPRINT_NAME).write_text(text or "[")
    accept_files(version)
    with pytest.raises(ModelLoadError, match=r"fingerprint\.json: "):
        difference(version)


def test_a_version_without_a_fingerprint_or_with_a_newer_one_is_as_good(version: Path) -> None:
    newer = Fingerprint(schema_version=SCHEMA_VERSION + 1, sha256="0" * 64)
    write_fingerprint(version / FINGERPRINT_NAME, newer)
    accept_files(version)
    assert difference(version) == ""
    drop_file(version, FINGERPRINT_NAME)
    assert difference(version) == ""
