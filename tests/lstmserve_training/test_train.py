from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lstmserve_training import train
from lstmserve_training.checkpoint import load_best, read_checkpoint
from lstmserve_training.documents import Corpus, Document
from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.model import ModelConfig
from lstmserve_training.train import TrainConfig, Trainer, learning_rate, weighted_loss

MODEL = ModelConfig(64, 64, layers=2, dropout=0.2)
CONFIG = TrainConfig(epochs=4, rows=4, segment=5, warm_up_steps=4, peak_learning_rate=1e-2)


class PowerCutError(Exception):
    """The run ends here, in the middle of an epoch."""


class Reports:
    """Records what the trainer tells; cuts the run off at a step."""

    def __init__(self, cut_at_step: int | None = None) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.epochs: list[int] = []
        self._cut_at_step = cut_at_step

    def step(self, step: int, total: int, epoch: int, loss: float) -> None:
        assert step <= total
        assert epoch == len(self.epochs) + 1 or self._cut_at_step is None
        self.steps.append(step)
        self.losses.append(loss)
        if self._cut_at_step is not None and step >= self._cut_at_step:
            raise PowerCutError

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        assert set(measures) == {"chats", "answers"}
        self.epochs.append(epoch)


def make_corpus() -> Corpus:
    """Counting upwards, from different places."""
    documents = [
        Document([(start + n) % 40 for n in range(8 + start)], [0.0] + [1.0] * (7 + start))
        for start in range(12)
    ]
    parts = [documents[:6], documents[6:8], documents[8:10]]
    return Corpus(parts, held_out_chats=documents[10:11], held_out_answers=documents[11:])


def run(folder: Path, config: TrainConfig = CONFIG, cut_at_step: int | None = None) -> Reports:
    reports = Reports(cut_at_step)
    Trainer(MODEL, config, make_corpus(), folder, "cpu").run(reports)
    return reports


def assert_same(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other


def test_the_learning_rate_rises_then_falls_to_a_hundredth() -> None:
    config = TrainConfig(peak_learning_rate=1.0, warm_up_steps=10)
    rates = [learning_rate(step, 110, config) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.505)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(110, 110, config) == pytest.approx(0.01)
    assert learning_rate(500, 110, config) == pytest.approx(0.01)


def test_the_loss_counts_targets_by_weight() -> None:
    logits = torch.zeros(1, 3, 8)
    logits[0, 2, 5] = math.log(7)  # probability 1/2; the others 1/8
    loss = weighted_loss(logits, torch.tensor([[1, 1, 5]]), torch.tensor([[0.0, 3.0, 1.0]]))
    assert float(loss) == pytest.approx((3 * math.log(8) + math.log(2)) / 4)


def test_training_learns_and_keeps_the_best(tmp_path: Path) -> None:
    reports = run(tmp_path)
    assert reports.epochs == [1, 2, 3, 4]
    assert reports.losses[-1] < reports.losses[0] / 1.5
    log = [json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4]
    scores = [math.sqrt(entry["chats"] * entry["answers"]) for entry in log]
    best = load_best(tmp_path)
    assert best.progress.best == pytest.approx(min(scores))
    assert best.progress.epoch == scores.index(min(scores)) + 1
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("cut_at_step", [3, 9, 17])
def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    tmp_path: Path, cut_at_step: int
) -> None:
    (whole := tmp_path / "whole").mkdir()
    (cut := tmp_path / "cut").mkdir()
    total = run(whole).steps[-1]
    assert cut_at_step < total
    with pytest.raises(PowerCutError):
        run(cut, cut_at_step=cut_at_step)
    torch.rand(5)  # whatever else drew random numbers since
    run(cut)
    for name in ("last.pt", "best.pt"):
        assert_same(read_checkpoint(whole / name), read_checkpoint(cut / name))


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "last.pt").read_bytes()
    assert run(tmp_path).steps == []
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_run_may_start_from_the_best_weights_of_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    Trainer(MODEL, CONFIG, make_corpus(), first, "cpu").run(Reports())
    config = replace(CONFIG, init=str(first), epochs=1, peak_learning_rate=0.0)
    Trainer(MODEL, config, make_corpus(), second, "cpu").run(Reports())
    before, after = (load_best(folder).model.state_dict() for folder in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(DataError, match=r"last\.pt was made with other settings"):
        run(tmp_path, TrainConfig(epochs=5))


def test_training_stops_when_held_out_text_no_longer_gains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([9.0, 9.0, 5.0, 5.0, 6.0, 6.0, 5.0, 5.0, 4.0, 4.0])
    monkeypatch.setattr(train, "perplexity", lambda _stepper, _documents: next(found))
    reports = run(tmp_path, TrainConfig(epochs=9, rows=4, patience=2))
    assert reports.epochs == [1, 2, 3, 4]
    assert load_best(tmp_path).progress.epoch == 2


def test_measuring_draws_no_random_numbers(tmp_path: Path) -> None:
    trainer = Trainer(MODEL, CONFIG, make_corpus(), tmp_path, "cpu")
    before = torch.get_rng_state()
    trainer._measure()
    assert torch.equal(before, torch.get_rng_state())


def test_a_run_that_explodes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_run_batch", lambda _self, _documents: math.nan)
    with pytest.raises(TrainingError, match="the loss is nan at step 0"):
        run(tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"last\.pt cannot be read"):
        run(tmp_path)


@pytest.mark.parametrize("sizes", [(64, 96), (100, 64)])
def test_sizes_that_would_cost_exactness_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="must be a multiple of 64"):
        ModelConfig(*sizes)


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_a_cpu_trains_whatever_numbers_it_computes_in(
    capability: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if capability == "avx2":  # as such a CPU answers; one that has more computes float32 as well
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    reports = Reports()

    Trainer(MODEL, replace(CONFIG, epochs=1), make_corpus(), tmp_path, "cpu").run(reports)

    assert all(math.isfinite(loss) for loss in reports.losses)
    if capability == "avx2":
        assert train.pick_precision(torch.device("cpu")) is torch.float32
