"""Elastic weight consolidation (Kirkpatrick et al., 2017): what was learned stays where it counts.

The Fisher information of a weight says how much the earlier text's likelihood depends on it.
Training on other text pays for moving it. It is kept in the run, so a run that is continued
several times adds up what each text depends on (Schwarz et al., 2018).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lstmserve_bundle.bundle import describe_file
from lstmserve_training.checkpoint import load_best
from lstmserve_training.documents import Corpus, load_corpus
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.work import BEST_NAME, CORPUS_NAME, FISHER_NAME, require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lstmserve_training.documents import Document
    from lstmserve_training.recipe.sections import Continuation

Weights = dict[str, Tensor]


@dataclass
class Consolidation:
    """The weights to stay near to, and how much each of them counts."""

    strength: float
    weights: Weights
    fisher: Weights

    def penalty(self, model: LanguageModel) -> Tensor:
        """What the distance from the earlier weights costs, in nats per token."""
        costs = [
            (self.fisher[name] * (weight - self.weights[name]).square()).sum()
            for name, weight in model.named_parameters()
        ]
        return self.strength / 2 * torch.stack(costs).sum()

    def to(self, device: torch.device) -> Consolidation:
        """The same where the model is."""
        moved = [
            {name: value.to(device) for name, value in values.items()}
            for values in (self.weights, self.fisher)
        ]
        return Consolidation(self.strength, *moved)


def widen(model: LanguageModel, config: ModelConfig) -> LanguageModel:
    """The model with more tokens, each as unlikely at first as the least likely there was."""
    wider = StackedLstm(config)
    known = model.config.num_tokens
    with torch.no_grad():
        for name, weight in wider.named_parameters():
            given = model.get_parameter(name)
            if weight.shape == given.shape:
                weight.copy_(given)
            else:  # a row per token
                weight[:known] = given
        wider.output_bias[known:] = model.output_bias.min()
    return wider


def consolidate(
    section: Continuation, earlier: Path, first: LanguageModel, work: Path, seed: int
) -> Consolidation | None:
    """Of the weights that training starts from; None where it is switched off.

    The Fisher information is kept in ``work``, and taken from there the next time.
    """
    if not section.consolidation:
        return None
    inputs = {
        name: describe_file(require(earlier, name)).sha256 for name in (BEST_NAME, CORPUS_NAME)
    }
    settings = {**inputs, "documents": section.fisher_documents, "seed": seed}
    fisher = _read_fisher(work / FISHER_NAME, settings)
    if fisher is None:
        model, corpus = load_best(earlier).model, load_corpus(require(earlier, CORPUS_NAME))
        fisher = fisher_information(model, _draw(corpus, section.fisher_documents, seed), seed)
        _add_those_before(fisher, earlier)
        _write_fisher(work / FISHER_NAME, settings, fisher)
    weights = {name: weight.detach().clone() for name, weight in first.named_parameters()}
    return Consolidation(section.consolidation, weights, _pad(fisher, weights))


def fisher_information(model: LanguageModel, documents: list[Document], seed: int) -> Weights:
    """The mean, per token, of the squared derivative of its log-likelihood by each weight.

    The tokens are the model's own choices after the text as it stands: what it would say is what
    is to stay. A document's derivatives are squared together, and it is read by itself.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    num_tokens = 0
    for document in documents:
        token_ids = torch.tensor([document.token_ids])
        counted = torch.tensor(document.weights[1:]) > 0
        model.zero_grad()
        logits, _ = model(token_ids[:, :-1], None)
        log_likelihoods = logits[0].log_softmax(1)[counted]
        chosen = torch.multinomial(log_likelihoods.detach().exp(), 1, generator=generator)
        log_likelihoods.gather(1, chosen).sum().backward()
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                found[name] += weight.grad.square()
        num_tokens += int(counted.sum())
    model.zero_grad()
    return {name: value / max(1, num_tokens) for name, value in found.items()}


def _draw(corpus: Corpus, count: int, seed: int) -> list[Document]:
    """Documents of one epoch, as often as it reads them."""
    rng = random.Random(seed)
    places = corpus.epoch(0, rng)
    return [documents[at] for documents, at in rng.sample(places, min(count, len(places)))]


def _pad(fisher: Weights, weights: Weights) -> Weights:
    """Nothing depends on tokens that are new."""
    padded = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for name, value in fisher.items():
        padded[name][: len(value)] = value
    return padded


def _add_those_before(fisher: Weights, earlier: Path) -> None:
    """What the text before the earlier run's own depends on, if that was continued itself."""
    path = earlier / FISHER_NAME
    if path.is_file():
        for name, value in torch.load(path, weights_only=True)["fisher"].items():
            fisher[name][: len(value)] += value


def _read_fisher(path: Path, settings: Mapping[str, Any]) -> Weights | None:
    if not path.is_file():
        return None
    saved = torch.load(path, weights_only=True)
    weights: Weights = saved["fisher"]
    return weights if saved["settings"] == settings else None


def _write_fisher(path: Path, settings: Mapping[str, Any], fisher: Weights) -> None:
    partial = path.with_suffix(".partial")
    torch.save({"settings": dict(settings), "fisher": fisher}, partial)
    partial.replace(path)
