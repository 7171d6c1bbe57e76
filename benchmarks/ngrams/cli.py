"""``python -m benchmarks.ngrams``: an n-gram model of a run's text, as a baseline."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.ngrams.counts import Ngrams
from lstmserve_training.documents import load_corpus
from lstmserve_training.evaluate import text_measures
from lstmserve_training.perplexity import target_scores
from lstmserve_training.work import CORPUS_NAME, read_tokenizer, require


def run(
    work: Annotated[Path, typer.Argument(help="Folder of a run of lstmserve-train.")],
    order: Annotated[int, typer.Option(min=1, help="Tokens of the longest n-gram.")] = 6,
    json: Annotated[Path | None, typer.Option(help="Keep the figures here.")] = None,
) -> None:
    """Count the n-grams of what a run trains on, and measure them on what it holds out.

    The measures are those that ``lstmserve-train evaluate`` takes of models of text.
    """
    corpus, tokenizer = load_corpus(require(work, CORPUS_NAME)), read_tokenizer(work)
    parts = itertools.chain(corpus.common, *corpus.variants[:1])
    documents = (document for part in parts for document in part.documents)
    model = Ngrams(documents, tokenizer.num_tokens, order)
    scores = {kind: target_scores(model, found) for kind, found in corpus.held_out.items()}
    found = text_measures(scores, corpus.held_out, tokenizer)
    for name, value in found.items():
        Console().print(f"{name}: {value:.4f}")
    write_json(json, describe_run(), {"order": order, **found})


def main() -> None:
    """Run the command line."""
    typer.run(run)
