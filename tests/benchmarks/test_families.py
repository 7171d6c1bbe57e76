"""The tasks by which families of networks are compared ask for what their texts say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.families.costs import NETWORKS, measure_costs
from benchmarks.families.recall import (
    ASK,
    FIRST_KEY,
    FIRST_NAME,
    FIRST_WORD,
    LONGEST_ASKED,
    MARK,
    TASKS,
    draw_distances,
    draw_facts,
    recall,
)
from benchmarks.testbed.process import run_program
from lstmserve_training.families import FAMILIES

ROOT = Path(__file__).parents[2]


def test_a_name_stands_so_many_words_before_the_question() -> None:
    between = [1, 5, 9]
    texts, names = draw_distances(between, torch.Generator().manual_seed(0))
    for text, name, distance in zip(texts.tolist(), names.tolist(), between, strict=True):
        assert text[-1] == ASK
        assert text[-distance - 3 : -distance - 1] == [MARK, name]
        assert all(token >= FIRST_WORD for token in text[-distance - 1 : -1])
        assert text.count(MARK) == 1


def test_the_name_of_the_key_that_is_asked_for_is_right() -> None:
    counts = [1, 3, 32]
    texts, names = draw_facts(counts, torch.Generator().manual_seed(0))
    for text, name, count in zip(texts.tolist(), names.tolist(), counts, strict=True):
        *pairs, ask, key = text
        facts = dict(zip(pairs[-2 * count :: 2], pairs[-2 * count + 1 :: 2], strict=True))
        assert ask == ASK
        assert facts[key] == name
        assert len(facts) == count
        assert all(FIRST_KEY <= key < FIRST_WORD for key in facts)
        assert all(FIRST_NAME <= name < FIRST_KEY for name in facts.values())
        assert all(token >= FIRST_WORD for token in pairs[: -2 * count])


@pytest.mark.benchmark
@pytest.mark.parametrize("task", TASKS)
def test_what_is_recalled_is_a_share_for_each_size(task: str) -> None:
    said: list[str] = []
    found = recall("hybrid", task, steps=4, rows=8, say=said.append)
    *sizes, longest = found
    assert sizes == [1 << power for power in range(len(sizes))]
    assert sizes[-1] < longest == LONGEST_ASKED[task]
    assert all(0 <= share <= 1 for share in found.values())
    assert len(said) == 4


@pytest.mark.benchmark
def test_replies_of_all_families_are_those_of_each_alone(tmp_path: Path) -> None:
    kept = tmp_path / "families.json"
    command = [sys.executable, "-m", "benchmarks.families", "replay", "--json", str(kept)]
    command += ["--replies", "100", "--distinct", "20", "--streams", "16"]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(kept.read_text("utf-8"))
    assert (found["compared"], found["different"], found["failed"]) == (100, 0, {})
    assert found["generated_tokens"].keys() == FAMILIES.keys()
    assert all(found["generated_tokens"].values())
    assert found["states_used"] > 0


@pytest.mark.benchmark
def test_costs_are_measured_of_every_family() -> None:
    found = measure_costs(seconds=0.02, rounds=1)
    assert found.keys() == NETWORKS.keys()
    assert all(value > 0 for costs in found.values() for value in costs.values())
    assert found["hybrid"]["state_bytes"] > 10 * found["stacked"]["state_bytes"]
    assert all(costs["kept_state_bytes"] < costs["state_bytes"] for costs in found.values())
