"""The step ``import``: weights that exist, instead of training."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lstmserve_training.checkpoint import Progress, save_model
from lstmserve_training.documents import Documents, load_corpus
from lstmserve_training.errors import DataError
from lstmserve_training.importing.network import Network, Original, find_network, to_model
from lstmserve_training.importing.parity import measure_parity
from lstmserve_training.importing.vocabulary import read_vocabulary
from lstmserve_training.importing.weights import read_weights
from lstmserve_training.quantize import quantize
from lstmserve_training.work import (
    BEST_NAME,
    CORPUS_NAME,
    IMPORT_NAME,
    read_tokenizer,
    require,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import WeightsSection

Parity = dict[str, float | int | str]


def read_network(section: WeightsSection, folder: Path) -> Network:
    """The network in the recipe's file of weights."""
    return find_network(read_weights(folder / section.file), section)


def import_weights(
    recipe: Recipe, section: WeightsSection, folder: Path, work: Path
) -> tuple[Network, Parity]:
    """Write ``best.pt`` and the parity with the original; raises DataError."""
    network = read_network(section, folder)
    vocabulary = read_vocabulary(folder / section.vocabulary, section, recipe.tokenizer)
    if network.num_tokens != vocabulary.num_own:
        raise DataError(
            f"{section.file}: {network.names['embedding']} has {network.num_tokens} rows, but "
            f"{section.vocabulary} {vocabulary.num_own} tokens: it is not this model's vocabulary"
        )
    if network.output.shape[0] != network.num_tokens:
        raise DataError(
            f"{section.file}: {network.names['output']} has {network.output.shape[0]} rows, but "
            f"{network.names['embedding']} {network.num_tokens}: name the right ones"
        )
    tokenizer = read_tokenizer(work)
    model = to_model(network, tokenizer.num_tokens, vocabulary.borrowed)
    corpus = load_corpus(require(work, CORPUS_NAME))
    documents = Documents.pack(d for found in corpus.held_out.values() for d in found)
    parity = measure_parity(
        Original(network).eval(), model, quantize(model, ()), documents, vocabulary.borrowed
    )
    save_model(work / BEST_NAME, model, {"imported": 1}, Progress())
    report = {"parts": network.names, "sizes": asdict(model.config), "parity": parity}
    (work / IMPORT_NAME).write_text(json.dumps(report, indent=1), encoding="utf-8")
    return network, parity
