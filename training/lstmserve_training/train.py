"""The verb ``train``: teacher forcing with truncated back-propagation through time.

State is carried from segment to segment of a document and starts from zero with each
document. A run that is stopped goes on, when started again, from its last checkpoint: on
a CPU, with the same number of threads, to exactly the same weights.
"""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lstmserve_training.checkpoint import Progress, load_best, read_checkpoint, save_checkpoint
from lstmserve_training.documents import Corpus, Document, collate, make_batches, segments
from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.model import ModelConfig, StackedLstm, State
from lstmserve_training.perplexity import perplexity
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import FloatLstm
from lstmserve_training.work import BEST_NAME, LAST_NAME, LOG_NAME

if TYPE_CHECKING:
    from lstmserve_training.reporting import Reporter


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights, beside the corpus."""

    epochs: int = 10
    rows: int = 64
    segment: int = 64
    peak_learning_rate: float = 2e-3
    warm_up_steps: int = 300
    weight_decay: float = 0.01
    clip_norm: float = 0.5
    patience: int = 3
    seed: int = 1
    chat_share: float = 1.0  # of the chats, drawn anew for each epoch
    init: str = ""  # the folder of the run whose best weights this one starts from


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Linear warm-up, then a half cosine down to a hundredth of the peak."""
    if step < config.warm_up_steps:
        return config.peak_learning_rate * (step + 1) / config.warm_up_steps
    done = (step - config.warm_up_steps) / max(1, total - config.warm_up_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.peak_learning_rate * (0.01 + 0.99 * cosine)


def weighted_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean negative log-likelihood in nats; logits [rows, steps, tokens]."""
    losses = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none"
    )
    return (losses * weights.flatten()).sum() / weights.sum().clamp(min=1.0)


def pick_device(name: str | None) -> torch.device:
    """The named device, or a GPU where there is one."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@cache
def has_bfloat16(device_type: str) -> bool:
    """Return whether an LSTM can be trained in bfloat16: oneDNN refuses where AVX2 is the best."""
    try:
        with torch.autocast(device_type, torch.bfloat16):
            nn.LSTM(8, 8, device=device_type)(torch.zeros(1, 1, 8, device=device_type))
    except RuntimeError:
        return False
    return True


class Trainer:
    """One training run in one folder."""

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig,
        corpus: Corpus,
        out: Path,
        device: str | None = None,
    ) -> None:
        self._device = pick_device(device)
        self._is_halved = has_bfloat16(self._device.type)
        torch.manual_seed(config.seed)
        self._config = config
        self._corpus = corpus
        self._out = out
        self._model = StackedLstm(model).to(self._device)
        if config.init:
            self._model.load_state_dict(load_best(Path(config.init)).model.state_dict())
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), weight_decay=config.weight_decay
        )
        self._progress = Progress()
        self._total_steps = self._count_steps()

    def run(self, reporter: Reporter) -> None:
        """Train to the end, or until held-out perplexity has stopped falling."""
        self._resume()
        while not self.is_done:
            self._run_epoch(reporter)
            self._finish_epoch(reporter)

    @property
    def is_done(self) -> bool:
        progress = self._progress
        return progress.epoch >= self._config.epochs or progress.bad_epochs >= self._config.patience

    def _run_epoch(self, reporter: Reporter) -> None:
        self._model.train()
        progress = self._progress
        for documents in self._batches(progress.epoch):
            loss = self._run_batch(documents)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} at step {progress.step}: lower --peak-learning-rate"
                )
            reporter.step(progress.step, self._total_steps, progress.epoch + 1, loss)

    def _run_batch(self, documents: list[Document]) -> float:
        batch = collate(documents)
        state = self._model.zero_state(len(documents))
        losses = []
        for inputs, targets, weights in segments(batch, self._config.segment):
            if not weights.any():
                continue
            loss, state = self._run_segment(inputs, targets, weights, state)
            losses.append(loss)
            self._progress.tokens += int((weights > 0).sum())
        return float(torch.stack(losses).mean())

    def _run_segment(
        self, inputs: Tensor, targets: Tensor, weights: Tensor, state: State
    ) -> tuple[Tensor, State]:
        rate = learning_rate(self._progress.step, self._total_steps, self._config)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._is_halved):
            logits, state = self._model(inputs.to(self._device), state)
        loss = weighted_loss(logits, targets.to(self._device), weights.to(self._device))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        self._optimizer.step()
        self._progress.step += 1
        return loss.detach(), (state[0].float().detach(), state[1].float().detach())

    def _finish_epoch(self, reporter: Reporter) -> None:
        found = self._measure()
        progress = self._progress
        progress.epoch += 1
        score = math.sqrt(found["chats"] * found["answers"])
        progress.bad_epochs = 0 if score < progress.best else progress.bad_epochs + 1
        if score < progress.best:
            progress.best = score
            self._save(BEST_NAME)
        self._save(LAST_NAME)
        reporter.epoch(progress.epoch, found)
        self._log({"epoch": progress.epoch, "step": progress.step, "at": time.time(), **found})

    def _measure(self) -> dict[str, float]:
        stepper = FloatLstm(self._model).eval()
        self._model.eval()
        with one_thread():
            return {
                "chats": perplexity(stepper, self._corpus.held_out_chats),
                "answers": perplexity(stepper, self._corpus.held_out_answers),
            }

    def _batches(self, epoch: int) -> list[list[Document]]:
        rng = random.Random(f"{self._config.seed}:{epoch}")
        documents = self._corpus.epoch(epoch, self._config.chat_share, rng)
        return make_batches(documents, self._config.rows, rng)

    def _count_steps(self) -> int:
        longest = (
            max(len(document.token_ids) for document in batch) - 1
            for epoch in range(self._config.epochs)
            for batch in self._batches(epoch)
        )
        return sum(math.ceil(length / self._config.segment) for length in longest)

    def _save(self, name: str) -> None:
        settings = asdict(self._config)
        save_checkpoint(self._out / name, self._model, self._optimizer, settings, self._progress)

    def _resume(self) -> None:
        path = self._out / LAST_NAME
        if not path.exists():
            return
        saved = read_checkpoint(path)
        if saved["train"] != asdict(self._config) or saved["config"] != asdict(self._model.config):
            raise DataError(f"{path} was made with other settings: use another folder")
        self._model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        self._progress = Progress(**saved["progress"])

    def _log(self, facts: dict[str, float]) -> None:
        with (self._out / LOG_NAME).open("a") as log:
            log.write(json.dumps(facts) + "\n")
