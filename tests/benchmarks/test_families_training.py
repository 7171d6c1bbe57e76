"""Families are compared by networks that the product trains, quantizes and serves."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.families.debian import Pair
from benchmarks.families.plots import draw_quality
from benchmarks.families.quality import CORPORA, compare_families
from benchmarks.families.scores import score
from benchmarks.families.splitting import write_pairs
from benchmarks.families.tasks import REPLIES_NAME, choose_likeliest, compare_on_task

TINY = (
    "model.hidden=64",
    "model.layers=1",
    "tokenizer.vocabulary=320",
    "training.epochs=2",
    "training.rows=4",
    "sources.0.share=1.0",
)


def test_the_likeliest_token_is_left_alone() -> None:
    chosen = choose_likeliest(torch.tensor([[0.1, 0.3, 0.2], [5.0, -1.0, 4.9]]))
    assert chosen.exp().nonzero().tolist() == [[0, 1], [1, 0]]


def test_replies_as_wanted_have_all_points_whatever_their_case() -> None:
    wanted = [f"The clock number {n} shows the time of day" for n in range(20)]
    assert {name: found[0] for name, found in score(wanted, wanted).items()} == pytest.approx(
        {"BLEU": 100, "chrF": 100, "ROUGE-L": 100, "same": 100}
    )
    assert score([text.lower() for text in wanted], wanted) == score(wanted, wanted)


def test_what_was_measured_lies_in_its_interval() -> None:
    wanted = [f"the clock number {n} shows the time of day" for n in range(40)]
    replies = [text if n % 4 else "a clock that is of no use" for n, text in enumerate(wanted)]
    for measured, low, high in score(replies, wanted).values():
        assert 0 < low < measured < high < 100
    assert score(replies, wanted)["same"][0] == 75


def test_scores_can_be_kept_as_json() -> None:
    wanted = ["the clock shows the time", "the bell rings at noon"]
    found = score(wanted[::-1], wanted)
    assert json.loads(json.dumps(found)) == {name: [*each] for name, each in found.items()}


@pytest.mark.benchmark
def test_perplexities_are_those_of_networks_that_are_trained_once(tmp_path: Path) -> None:
    folder = tmp_path / "chats"
    folder.mkdir()
    _write_conversations(folder / "conversations.jsonl.gz")
    found = compare_families("chats", folder, ["stacked", "attentive"], TINY)
    assert found.keys() == {"stacked", "attentive"}
    for figures in found.values():
        assert 1 < figures["perplexity_int8"] < 320
        loss = figures["perplexity_int8"] / figures["perplexity_fp32"] - 1
        assert figures["int8_loss_percent"] == pytest.approx(100 * loss)
    assert found["stacked"]["tokens_seen"] == found["attentive"]["tokens_seen"]
    before = (folder / "stacked" / "best.pt").stat().st_mtime_ns
    assert compare_families("chats", folder, ["stacked"], TINY) == {"stacked": found["stacked"]}
    assert (folder / "stacked" / "best.pt").stat().st_mtime_ns == before


def test_a_family_that_is_no_network_of_a_corpus_is_left_out(tmp_path: Path) -> None:
    assert compare_families("code", tmp_path, ["attentive"]) == {}
    assert not [*tmp_path.iterdir()]


@pytest.mark.benchmark
def test_a_task_is_scored_by_what_the_served_module_replies(tmp_path: Path) -> None:
    folder = tmp_path / "translation"
    folder.mkdir()
    pairs = [Pair(f"montre {n}", f"clock {n}", (str(n),)) for n in range(40)]
    write_pairs(folder / "training.csv", pairs[5:], "translation")
    write_pairs(folder / "held-out.csv", pairs[:5], "translation")
    [outcome] = compare_on_task("translation", folder, ["attentive"], TINY).values()
    rows = json.loads((folder / "attentive" / REPLIES_NAME).read_text(encoding="utf-8"))
    assert [row["wanted"] for row in rows] == [f"clock {n}" for n in range(5)]
    assert not any("<|" in row["reply"] for row in rows)
    assert outcome.parameters > 0
    assert math.isfinite(outcome.scores["BLEU"][0])


@pytest.mark.parametrize("corpora", [["code"], list(CORPORA)])
def test_perplexities_are_drawn(corpora: list[str], tmp_path: Path) -> None:
    figures = {"stacked": {"perplexity_int8": 3.5}, "hybrid": {"perplexity_int8": 3.25}}
    draw_quality(tmp_path / "new" / "quality.png", dict.fromkeys(corpora, figures))
    assert (tmp_path / "new" / "quality.png").read_bytes().startswith(b"\x89PNG")


def _write_conversations(path: Path) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for number in range(40):
            turns = [
                {"role": "user", "content": f"where is order {number}?"},
                {"role": "agent", "content": f"order {number} is on its way"},
            ]
            file.write(json.dumps({"turns": turns}) + "\n")
