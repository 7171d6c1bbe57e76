"""What a model writes by itself: how varied it is, and how much of it is copied."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from lstmserve_bundle.template import PromptTemplate
from lstmserve_training.documents import load_corpus
from lstmserve_training.replies import at_temperature, distinct, sample_replies
from lstmserve_training.work import CORPUS_NAME, read_template, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lstmserve_bundle.tokenizer import Tokenizer
    from lstmserve_training.documents import Corpus
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.stepper import Stepper


def originality(
    recipe: Recipe, work: Path, tokenizer: Tokenizer, stepper: Stepper
) -> dict[str, float]:
    """Return Distinct-2 of texts begun from nothing, and the percentage that training has read.

    Case and white space make no difference. Empty for a model that replies to questions, and for
    one that was trained on no whole text, such as a book's pages.
    """
    template = PromptTemplate(read_template(work), tokenizer)
    trained_on = _whole_texts(load_corpus(require(work, CORPUS_NAME)), tokenizer, template.end_id)
    if template.has_roles or (first := next(trained_on, None)) is None:
        return {}
    written = {
        temperature: _write(stepper, template, tokenizer, recipe, temperature)
        for temperature in recipe.evaluation.temperatures
    }
    wanted = set(itertools.chain.from_iterable(written.values()))
    copies = wanted.intersection(itertools.chain([first], trained_on))
    measures: dict[str, float] = {"written_texts": recipe.evaluation.texts}
    for temperature, texts in written.items():
        copied = sum(text in copies for text in texts)
        measures[f"written_distinct_2_at_{temperature:g}"] = distinct(texts, 2)
        measures[f"written_copied_percent_at_{temperature:g}"] = 100 * copied / len(texts)
    return measures


def _write(
    stepper: Stepper,
    template: PromptTemplate,
    tokenizer: Tokenizer,
    recipe: Recipe,
    temperature: float,
) -> list[str]:
    """Texts that begin from an empty prompt."""
    sampling = recipe.sampling.model_copy(update={"temperature": temperature})
    token_ids = sample_replies(
        stepper,
        [template.render_prompt("")] * recipe.evaluation.texts,
        template.end_id,
        sampling.max_tokens,
        recipe.seed,
        adjust=lambda logits: at_temperature(logits, sampling),
    )
    return [_plain(tokenizer.decode(ids)) for ids in token_ids]


def _whole_texts(corpus: Corpus, tokenizer: Tokenizer, end_id: int) -> Iterator[str]:
    """What was trained on, as far as it is texts with an end."""
    parts = itertools.chain(corpus.common, *corpus.variants)
    for document in itertools.chain.from_iterable(part.documents for part in parts):
        if document.token_ids[-1] == end_id:
            yield _plain(tokenizer.decode(document.token_ids[1:-1]))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
