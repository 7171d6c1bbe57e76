from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lstmserve_training import train
from lstmserve_training.checkpoint import load_best, read_checkpoint
from lstmserve_training.devices import pick_device, pick_precision
from lstmserve_training.documents import Corpus, Document, Documents, Part
from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.model import ModelConfig
from lstmserve_training.recipe.sections import TrainingSection
from lstmserve_training.reporting import LogReporter, Reporters, StepFacts
from lstmserve_training.train import Trainer, add_noise, learning_rate, weighted_loss
from support.families import SIZES

MODEL = ModelConfig(64, 64, layers=2, dropout=0.1, locked_dropout=True, weight_drop=0.05)
SEED = 1
CONFIG = TrainingSection(epochs=4, rows=2, segment=5, warm_up_steps=2, learning_rate=1e-2)


class PowerCutError(Exception):
    """The run ends here, in the middle of an epoch."""


class Reports:
    """Records what the trainer tells; cuts the run off at a step."""

    def __init__(self, cut_at_step: int | None = None) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.epochs: list[int] = []
        self._cut_at_step = cut_at_step

    def step(self, facts: StepFacts) -> None:
        assert facts.step <= facts.total
        assert facts.gradient_norm >= 0
        assert facts.tokens > 0
        self.steps.append(facts.step)
        self.losses.append(facts.loss)
        if self._cut_at_step is not None and facts.step >= self._cut_at_step:
            raise PowerCutError

    def epoch(
        self,
        epoch: int,
        step: int,
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None:
        assert set(measures) == {"replies", "conversations"}
        assert step == self.steps[-1]
        assert list(samples) == [("hello", f"step {step}")]
        self.epochs.append(epoch)


def make_corpus() -> Corpus:
    """Counting upwards, from different places."""
    documents = [
        Document([(start + n) % 40 for n in range(8 + start)], [0.0] + [1.0] * (7 + start))
        for start in range(12)
    ]

    def part(start: int, end: int) -> Part:
        return Part(Documents.pack(documents[start:end]))

    held_out = {"conversations": documents[10:11], "replies": documents[11:]}
    return Corpus(
        [part(0, 6)],
        [[part(6, 8)], [part(8, 10)]],
        {kind: Documents.pack(found) for kind, found in held_out.items()},
    )


def run(
    folder: Path,
    config: TrainingSection = CONFIG,
    cut_at_step: int | None = None,
    clock: Callable[[], float] = lambda: 0.0,
    model: ModelConfig = MODEL,
) -> Reports:
    reports = Reports(cut_at_step)

    def sample(_model: object) -> list[tuple[str, str]]:
        return [("hello", f"step {reports.steps[-1]}")]

    trainer = Trainer(
        model, config, SEED, make_corpus(), folder, "cpu", sampler=sample, clock=clock
    )
    trainer.run(Reporters([reports, LogReporter(folder / "training.jsonl", clock=clock)]))
    return reports


def ticking() -> Callable[[], float]:
    """A clock by which hours pass between any two looks at it."""
    ticks = itertools.count()
    return lambda: 3600.0 * next(ticks)


def assert_same(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            if key != "seconds":  # clocks go differently
                assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert isinstance(other, list)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert one == other


def test_the_seconds_of_all_parts_of_a_run_are_counted(tmp_path: Path) -> None:
    def seconds(config: TrainingSection, cut: int | None = None) -> float:
        with suppress(PowerCutError):
            run(tmp_path, config, cut, clock=ticking())
        return float(read_checkpoint(tmp_path / "last.pt")["progress"]["seconds"])

    first = seconds(CONFIG, cut=12)
    assert first > 0
    assert seconds(CONFIG) > first
    assert seconds(CONFIG) == seconds(CONFIG)  # nothing is left to do


def test_the_learning_rate_rises_then_falls_to_a_hundredth() -> None:
    config = TrainingSection(learning_rate=1.0, warm_up_steps=10)
    rates = [learning_rate(step, 110, config) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.505)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(110, 110, config) == pytest.approx(0.01)
    assert learning_rate(500, 110, config) == pytest.approx(0.01)


def test_a_constant_learning_rate_stays_after_its_warm_up() -> None:
    config = TrainingSection(learning_rate=1.0, warm_up_steps=10, schedule="constant")
    assert learning_rate(4, 110, config) == pytest.approx(0.5)
    assert {learning_rate(step, 110, config) for step in range(10, 200)} == {1.0}


def test_a_short_run_warms_up_for_a_tenth_of_its_steps() -> None:
    config = TrainingSection(learning_rate=1.0, warm_up_steps=300)
    assert learning_rate(9, 100, config) == pytest.approx(1.0)
    assert learning_rate(4, 100, config) == pytest.approx(0.5)
    assert learning_rate(0, 5, config) == pytest.approx(1.0)


def test_the_loss_counts_targets_by_weight() -> None:
    logits = torch.zeros(1, 3, 8)
    logits[0, 2, 5] = math.log(7)  # probability 1/2; the others 1/8
    loss = weighted_loss(logits, torch.tensor([[1, 1, 5]]), torch.tensor([[0.0, 3.0, 1.0]]))
    assert float(loss) == pytest.approx((3 * math.log(8) + math.log(2)) / 4)


def test_training_learns_and_keeps_the_best(tmp_path: Path) -> None:
    reports = run(tmp_path)
    assert reports.epochs == [1, 2, 3, 4]
    assert sum(reports.losses[-4:]) / 4 < reports.losses[0] / 1.25  # of the last epoch
    lines = [json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert lines[0].keys() >= {"step", "loss", "learning_rate", "gradient_norm", "tokens"}
    log = [line for line in lines if "epoch" in line]
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4]
    scores = [math.sqrt(math.prod(entry["perplexity"].values())) for entry in log]
    best = load_best(tmp_path)
    assert best.progress.best == pytest.approx(min(scores))
    assert best.progress.epoch == scores.index(min(scores)) + 1
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("clock", [lambda: 0.0, ticking()], ids=["by epoch", "by batch"])
@pytest.mark.parametrize("cuts", [(3,), (9,), (17,), (3, 6, 9, 13, 18)])
def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    tmp_path: Path, cuts: tuple[int, ...], clock: Callable[[], float]
) -> None:
    config = CONFIG.model_copy(update={"token_noise": 0.2, "label_smoothing": 0.1})
    (whole := tmp_path / "whole").mkdir()
    (cut := tmp_path / "cut").mkdir()
    total = run(whole, config).steps[-1]
    assert max(cuts) < total
    for cut_at_step in cuts:
        with pytest.raises(PowerCutError):
            run(cut, config, cut_at_step, clock)
        torch.rand(5)  # whatever else drew random numbers since
    run(cut, config, clock=clock)
    for name in ("last.pt", "best.pt"):
        assert_same(read_checkpoint(whole / name), read_checkpoint(cut / name))


@pytest.mark.parametrize("family", sorted(SIZES.keys() - {"stacked"}))
def test_a_run_of_any_family_that_was_cut_off_ends_with_the_same_weights(
    tmp_path: Path, family: str
) -> None:
    model = replace(SIZES[family], num_tokens=64, family=family)
    for folder, cuts in (("whole", ()), ("cut", (3, 9))):
        (tmp_path / folder).mkdir()
        for cut_at_step in cuts:
            with pytest.raises(PowerCutError):
                run(tmp_path / folder, CONFIG, cut_at_step, ticking(), model)
        run(tmp_path / folder, CONFIG, clock=ticking(), model=model)
    for name in ("last.pt", "best.pt"):
        whole, cut = (read_checkpoint(tmp_path / folder / name) for folder in ("whole", "cut"))
        assert_same(whole, cut)


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "last.pt").read_bytes()
    assert run(tmp_path).steps == []
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_checkpoint_is_written_within_an_epoch_when_it_is_time(tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        run(tmp_path, cut_at_step=3)
    assert not (tmp_path / "last.pt").exists()
    with pytest.raises(PowerCutError):
        run(tmp_path, cut_at_step=6, clock=ticking())
    progress = read_checkpoint(tmp_path / "last.pt")["progress"]
    assert progress["epoch"] == 0
    assert progress["batch"] > 0
    assert 0 < progress["step"] < 6


def test_a_run_may_start_from_the_best_weights_of_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    run(first)
    still = {"start_from": str(first), "epochs": 1, "learning_rate": 1e-30, "weight_decay": 0.0}
    run(second, CONFIG.model_copy(update=still))
    before, after = (load_best(folder).model.state_dict() for folder in (first, second))
    for name in before:
        torch.testing.assert_close(before[name], after[name])


def test_weights_of_other_sizes_are_no_start(tmp_path: Path) -> None:
    (first := tmp_path / "first").mkdir()
    run(first)
    section = CONFIG.model_copy(update={"start_from": str(first)})
    with pytest.raises(DataError, match=r"has a model of layers 2 and not 1: take"):
        Trainer(ModelConfig(64, 64, layers=1), section, SEED, make_corpus(), tmp_path, "cpu")


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(DataError, match=r"last\.pt was made with other settings"):
        run(tmp_path, TrainingSection(epochs=5))


def test_noise_spares_special_tokens_and_hits_its_share_of_the_rest() -> None:
    torch.manual_seed(1)
    inputs = torch.randint(64, (50, 40))
    spared = torch.tensor([0, 1, 2])
    noisy = add_noise(inputs, 0.25, spared, 64)
    is_special = torch.isin(inputs, spared)
    assert torch.equal(noisy[is_special], inputs[is_special])
    assert not torch.isin(noisy[~is_special], spared).any()
    share = (noisy != inputs)[~is_special].double().mean()
    assert 0.18 < float(share) < 0.28
    assert add_noise(inputs, 0.0, spared, 64) is inputs


def test_gradients_are_clipped_to_their_norm(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"clip_norm": 1e-3, "epochs": 1})
    trainer = Trainer(MODEL, config, SEED, make_corpus(), tmp_path, "cpu")
    norms: list[float] = []

    class Norms(Reports):
        def step(self, facts: StepFacts) -> None:
            norms.append(facts.gradient_norm)

        def epoch(self, *_: object) -> None: ...

    trainer.run(Norms())
    assert min(norms) > 1e-3  # they were longer
    left = [weight.grad for weight in trainer._model.parameters() if weight.grad is not None]
    assert float(torch.stack([grad.norm() for grad in left]).norm()) == pytest.approx(
        1e-3, rel=0.01
    )


def test_weight_decay_makes_weights_smaller(tmp_path: Path) -> None:
    def size(decay: float) -> float:
        folder = tmp_path / str(decay)
        folder.mkdir()
        run(folder, CONFIG.model_copy(update={"weight_decay": decay}))
        weights = read_checkpoint(folder / "last.pt")["model"]
        return float(weights["lstm.weight_hh_l0"].norm())

    assert size(1.0) < 0.9 * size(0.0)


def test_smoothing_takes_from_the_right_token_and_gives_to_all() -> None:
    logits, target, weight = torch.zeros(1, 1, 4), torch.tensor([[2]]), torch.ones(1, 1)
    logits[0, 0, 2] = 20.0
    sure = weighted_loss(logits, target, weight)
    smooth = weighted_loss(logits, target, weight, 0.1)
    assert float(sure) == pytest.approx(0.0, abs=1e-6)
    assert float(smooth) == pytest.approx(0.1 * 0.75 * 20, rel=1e-3)


def test_training_stops_when_held_out_text_no_longer_gains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([9.0, 9.0, 5.0, 5.0, 6.0, 6.0, 5.0, 5.0, 4.0, 4.0])
    monkeypatch.setattr(train, "perplexity", lambda _stepper, _documents: next(found))
    reports = run(tmp_path, TrainingSection(epochs=9, rows=4, patience=2))
    assert reports.epochs == [1, 2, 3, 4]
    assert load_best(tmp_path).progress.epoch == 2


def test_measuring_draws_no_random_numbers(tmp_path: Path) -> None:
    trainer = Trainer(MODEL, CONFIG, SEED, make_corpus(), tmp_path, "cpu")
    before = torch.get_rng_state()
    trainer._measure()
    assert torch.equal(before, torch.get_rng_state())


def test_a_run_that_explodes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_run_batch", lambda _self, _places: (math.nan, 0.0, 0.0))
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
    reports = run(tmp_path, CONFIG.model_copy(update={"epochs": 1}))

    assert all(math.isfinite(loss) for loss in reports.losses)
    if capability == "avx2":
        assert pick_precision(torch.device("cpu")) is torch.float32


@pytest.mark.parametrize(
    ("known", "precision"),
    [
        ((), torch.float32),
        (("_is_avx512_bf16_supported",), torch.bfloat16),
        (("_is_amx_tile_supported",), torch.bfloat16),
    ],
)
def test_a_cpu_that_would_imitate_bfloat16_trains_in_float32(
    known: tuple[str, ...], precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in known)

    assert pick_precision(torch.device("cpu")) is precision


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "--device gpu: not a device"),
        ("meta", "--device meta: models are trained on cpu or cuda"),
    ],
)
def test_a_device_that_there_is_not_is_told(device: str, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        pick_device(device)


def test_a_gpu_on_a_build_for_cpus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(TrainingError, match="is a build for CPUs; install one for GPUs"):
        pick_device("cuda")


def test_a_gpu_that_torch_does_not_see_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(TrainingError, match="torch sees 1 GPUs"):
        pick_device("cuda:3")
