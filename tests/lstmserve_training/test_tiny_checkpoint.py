"""The model that other tests serve is a real one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from lstmserve_bundle import Bundle, open_bundle
from lstmserve_training.export import load_module
from lstmserve_training.replies import sample_replies
from support.tiny_checkpoint import make_tiny_checkpoint

PROMPTS = ("where is my parcel", "你好", "my lamp is late", "hello", "thanks a lot ❤️") * 16


@pytest.fixture(scope="module")
def bundle(tiny_store: Path) -> Bundle:
    return open_bundle(tiny_store / "tiny" / "1")


def test_it_answers_in_two_languages_and_knows_when_to_stop(bundle: Bundle) -> None:
    prompts = [bundle.template.render_prompt(prompt) for prompt in PROMPTS]
    module = load_module(bundle.model_path)
    replies = sample_replies(module, prompts, bundle.template.end_id, 48, seed=1)
    texts = [bundle.tokenizer.decode(reply) for reply in replies]
    assert len(set(texts)) > 20
    assert any(len(reply) < 48 for reply in replies)
    assert any("\u4e00" <= letter <= "\u9fff" for text in texts for letter in text)
    assert any(letter >= "\U0001f300" for text in texts for letter in text)
    labels = [bundle.template.label_of_id.get(reply[0]) for reply in replies if reply]
    assert "intent:track_order" in labels


def read_weights(model: Path) -> list[bytes]:
    """Return the numbers of a model; what TorchScript calls its classes differs by process."""
    with zipfile.ZipFile(model) as archive:
        return [archive.read(name) for name in archive.namelist() if "/data/" in name]


def test_the_same_seed_makes_the_same_weights(bundle: Bundle, tmp_path: Path) -> None:
    again = open_bundle(make_tiny_checkpoint(tmp_path, name="again"))
    assert read_weights(again.model_path) == read_weights(bundle.model_path)
    other = open_bundle(make_tiny_checkpoint(tmp_path, version=2, seed=2, epochs=1))
    assert read_weights(other.model_path) != read_weights(bundle.model_path)


def test_a_version_tells_nothing_of_where_it_was_made(bundle: Bundle) -> None:
    with zipfile.ZipFile(bundle.model_path) as archive:
        records = [archive.read(name) for name in archive.namelist()]
    here = str(Path(__file__).parents[2]).encode()
    assert not any(here in record for record in records)
