"""The step ``train``: teacher forcing with truncated back-propagation through time.

State is carried from segment to segment of a document and starts from zero with each
document. A run that is stopped goes on, when started again, from its last checkpoint: on
a CPU, with the same number of threads, to exactly the same weights.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lstmserve_training.checkpoint import (
    Progress,
    read_checkpoint,
    save_checkpoint,
    set_random_state,
)
from lstmserve_training.devices import pick_device, pick_precision
from lstmserve_training.documents import Corpus, Places, collate, make_batches, segments
from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.families import make_model
from lstmserve_training.importing.published import read_model
from lstmserve_training.model import OF_SHAPE, LanguageModel, ModelConfig, State
from lstmserve_training.perplexity import perplexity
from lstmserve_training.recipe.toml import flatten
from lstmserve_training.reporting import StepFacts
from lstmserve_training.scheduled_sampling import put_own_words
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import make_stepper
from lstmserve_training.work import BEST_NAME, LAST_NAME

if TYPE_CHECKING:
    from lstmserve_training.continuation.consolidation import Consolidation
    from lstmserve_training.distillation import Teacher
    from lstmserve_training.recipe.sections import TrainingSection
    from lstmserve_training.reporting import Reporter

Samples = list[tuple[str, str]]
Sampler = Callable[[LanguageModel], Samples]


def learning_rate(step: int, total: int, section: TrainingSection) -> float:
    """Linear warm-up, then a half cosine down to a hundredth of the peak, or the peak."""
    warm_up = min(section.warm_up_steps, total // 10)
    if step < warm_up:
        return section.learning_rate * (step + 1) / warm_up
    if section.schedule == "constant":
        return section.learning_rate
    done = (step - warm_up) / max(1, total - warm_up)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return section.learning_rate * (0.01 + 0.99 * cosine)


def weighted_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Mean negative log-likelihood in nats; logits [rows, steps, tokens]."""
    losses = nn.functional.cross_entropy(
        logits.float().flatten(0, 1),
        targets.flatten(),
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return (losses * weights.flatten()).sum() / weights.sum().clamp(min=1.0)


def add_noise(inputs: Tensor, share: float, spared: Tensor, num_tokens: int) -> Tensor:
    """Token ids [rows, steps], of which a share are random ones; never those in ``spared``."""
    if not share:
        return inputs
    is_hit = (torch.rand(inputs.shape) < share) & ~torch.isin(inputs, spared)
    drawn = torch.randint(num_tokens, inputs.shape)
    is_hit &= ~torch.isin(drawn, spared)
    return torch.where(is_hit, drawn, inputs)


class Trainer:
    """One training run in one folder."""

    def __init__(
        self,
        model: ModelConfig,
        section: TrainingSection,
        seed: int,
        corpus: Corpus,
        out: Path,
        device: str | None = None,
        *,
        special_ids: Sequence[int] = (),
        first: LanguageModel | None = None,
        consolidation: Consolidation | None = None,
        teacher: Teacher | None = None,
        sampler: Sampler = lambda _model: [],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``special_ids`` are tokens that stand for no text; ``sampler`` shows what is learned.

        Training starts from the weights of ``first``, where they are given.
        """
        torch.manual_seed(seed)
        self._section, self._seed = section, seed
        self._corpus, self._out = corpus, out
        self._sampler, self._clock = sampler, clock
        self._spared = torch.tensor(list(special_ids), dtype=torch.int64)
        self._device = pick_device(device)
        self._precision = pick_precision(self._device)
        self._model = make_model(model).to(self._device)
        if section.start_from:
            self._start_from(Path(section.start_from))
        if first is not None:
            self._model.load_state_dict(first.state_dict())
        self._teacher = teacher
        self._consolidation = consolidation.to(self._device) if consolidation else None
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), weight_decay=section.weight_decay
        )
        self._progress = Progress()
        self._total_steps = self._count_steps()
        self._saved_at = clock()
        self._noted_at = self._saved_at

    def run(self, reporter: Reporter) -> None:
        """Train to the end, or until held-out perplexity has stopped falling."""
        self._resume()
        self._saved_at = self._noted_at = self._clock()
        while not self.is_done:
            self._run_epoch(reporter)
            self._finish_epoch(reporter)

    @property
    def is_done(self) -> bool:
        progress, section = self._progress, self._section
        return progress.epoch >= section.epochs or progress.bad_epochs >= section.patience

    @property
    def seconds(self) -> float:
        """That training has taken, up to the last checkpoint."""
        return self._progress.seconds

    def _run_epoch(self, reporter: Reporter) -> None:
        self._model.train()
        progress = self._progress
        for places in self._batches(progress.epoch)[progress.batch :]:
            loss, norm, rate = self._run_batch(places)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} at step {progress.step}: lower training.learning_rate"
                )
            progress.batch += 1
            epoch, total = progress.epoch + 1, self._total_steps
            reporter.step(StepFacts(progress.step, total, epoch, loss, rate, norm, progress.tokens))
            self._save_now_and_then()

    def _run_batch(self, places: Places) -> tuple[float, float, float]:
        """Return the mean loss, the largest norm of the gradient, and the learning rate."""
        batch = collate(documents[at] for documents, at in places)
        state = self._model.zero_state(len(places))
        if self._teacher is not None:
            self._teacher.begin(len(places))
        losses, norms, rate = [], [], 0.0
        for inputs, targets, weights in segments(batch, self._section.segment):
            if not weights.any():
                continue
            rate = self._set_learning_rate()
            loss, norm, state = self._run_segment(inputs, targets, weights, state)
            losses.append(loss)
            norms.append(norm)
            self._progress.tokens += int((weights > 0).sum())
        if not losses:
            return 0.0, 0.0, rate
        return float(torch.stack(losses).mean()), float(torch.stack(norms).max()), rate

    def _run_segment(
        self, inputs: Tensor, targets: Tensor, weights: Tensor, state: State
    ) -> tuple[Tensor, Tensor, State]:
        section = self._section
        noisy = add_noise(inputs, section.token_noise, self._spared, self._model.config.num_tokens)
        noisy, targets, weights = (x.to(self._device) for x in (noisy, targets, weights))
        with torch.autocast(
            self._device.type, torch.bfloat16, enabled=self._precision is torch.bfloat16
        ):
            read = self._put_own_words(noisy, weights, state)
            logits, state = self._model(read, state)
        loss = weighted_loss(logits, targets, weights, section.label_smoothing)
        self._optimizer.zero_grad()
        cost = self._add_costs(loss, inputs.to(self._device), logits, weights)
        cost.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), section.clip_norm)
        self._optimizer.step()
        self._progress.step += 1
        return loss.detach(), norm.detach(), tuple(part.float().detach() for part in state)

    def _put_own_words(self, inputs: Tensor, weights: Tensor, state: State) -> Tensor:
        """More of them from step to step: at first the model has no words of its own."""
        done = min(1.0, self._progress.step / self._total_steps)
        share = self._section.scheduled_sampling * done
        spared = self._spared.to(self._device)
        return put_own_words(self._model, inputs, weights, state, share, spared)

    def _add_costs(self, loss: Tensor, inputs: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
        """Return what is made small: the loss, a teacher's part, and what keeps earlier weights."""
        if self._teacher is not None:
            share = self._teacher.section.share
            taught = self._teacher.cost(inputs, logits, weights)
            loss = (1 - share) * loss + share * taught
        if self._consolidation is not None:
            loss = loss + self._consolidation.penalty(self._model)
        return loss

    def _set_learning_rate(self) -> float:
        rate = learning_rate(self._progress.step, self._total_steps, self._section)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _finish_epoch(self, reporter: Reporter) -> None:
        found, samples = self._measure()
        progress = self._progress
        progress.epoch, progress.batch = progress.epoch + 1, 0
        score = math.exp(sum(map(math.log, found.values())) / len(found))
        progress.bad_epochs = 0 if score < progress.best else progress.bad_epochs + 1
        if score < progress.best:
            progress.best = score
            self._save(BEST_NAME)
        self._save(LAST_NAME)
        reporter.epoch(progress.epoch, progress.step, found, samples)

    def _measure(self) -> tuple[dict[str, float], Samples]:
        """Perplexity of each kind of held-out text, and what the model says."""
        self._model.eval()
        stepper = make_stepper(self._model)
        held_out = self._corpus.held_out.items()
        with one_thread():
            found = {kind: perplexity(stepper, documents) for kind, documents in held_out}
            return found, self._sampler(self._model)

    def _batches(self, epoch: int) -> list[Places]:
        rng = random.Random(f"{self._seed}:{epoch}")
        return make_batches(self._corpus.epoch(epoch, rng), self._section.rows, rng)

    def _count_steps(self) -> int:
        longest = (
            max(documents.length(at) for documents, at in batch) - 1
            for epoch in range(self._section.epochs)
            for batch in self._batches(epoch)
        )
        return sum(math.ceil(length / self._section.segment) for length in longest)

    @property
    def _settings(self) -> dict[str, Any]:
        """What decides the weights, beside the corpus, the sizes and the first weights."""
        found = {"seed": self._seed, **self._section.own_keys()}
        if self._consolidation is not None:
            found["consolidation"] = self._consolidation.strength
        if self._teacher is not None:
            found |= flatten(self._teacher.section.model_dump(), "distillation")
        return found

    # --- checkpoints ----------------------------------------------------------------------

    def _save_now_and_then(self) -> None:
        """So that a kill costs minutes."""
        if self._clock() - self._saved_at >= 60 * self._section.checkpoint_minutes:
            self._save(LAST_NAME)

    def _save(self, name: str) -> None:
        path, settings, now = self._out / name, self._settings, self._clock()
        self._progress.seconds += now - self._noted_at
        self._noted_at = now
        save_checkpoint(path, self._model, self._optimizer, settings, self._progress)
        self._saved_at = self._clock()

    def _resume(self) -> None:
        path = self._out / LAST_NAME
        if not path.exists():
            return
        saved = read_checkpoint(path)
        if saved["train"] != self._settings or ModelConfig(**saved["config"]) != self._model.config:
            raise DataError(f"{path} was made with other settings: use another folder")
        self._model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        set_random_state(saved["random"])
        self._progress = Progress(**saved["progress"])

    def _start_from(self, folder: Path) -> None:
        first = read_model(folder)
        sizes, other = self._model.config, first.config
        others = [
            f"{name} {getattr(other, name)} and not {getattr(sizes, name)}"
            for name in OF_SHAPE
            if getattr(other, name) != getattr(sizes, name)
        ]
        if other.num_tokens > sizes.num_tokens:
            others.append(f"{other.num_tokens} tokens and not {sizes.num_tokens}")
        if others:
            raise DataError(
                f"training.start_from: {folder} has a model of {', '.join(others)}: take its "
                'sizes, and its tokenizer (tokenizer.kind = "file")'
            )
        self._model.load_state_dict(_with_new_tokens(self._model, first))


def _with_new_tokens(model: LanguageModel, first: LanguageModel) -> dict[str, Tensor]:
    """The weights of ``first``; tokens that it has not keep what ``model`` begins with."""
    found = first.state_dict()
    for name, fresh in model.state_dict().items():
        if fresh.shape != found[name].shape:
            found[name] = torch.cat([found[name], fresh[len(found[name]) :]])
    return found
