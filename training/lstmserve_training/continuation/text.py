"""What ``prepare`` takes over from a run that is continued: labels, tokens, text and its sources.

Ids of tokens stay what they are, so that documents and weights of the earlier run still fit. Of a
published version there are labels, tokens and the names of its sources, but no text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import AddedToken

from lstmserve_bundle.manifest import read_manifest
from lstmserve_training.describe import describe_sources
from lstmserve_training.documents import Corpus, Part, load_corpus
from lstmserve_training.encoding import special_tokens
from lstmserve_training.errors import DataError
from lstmserve_training.held_out import as_earlier, earlier_name
from lstmserve_training.importing.published import is_published
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.tokenizer import pad
from lstmserve_training.work import (
    CORPUS_NAME,
    PREPARATION_NAME,
    PROMPTS_NAME,
    RECIPE_NAME,
    TOKENIZER_NAME,
    read_template,
    require,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_bundle.manifest import TemplateManifest


def join_templates(template: TemplateManifest, earlier: Path) -> TemplateManifest:
    """A template with the labels of both; raises DataError where the rest differs."""
    before = read_manifest(earlier).template if is_published(earlier) else read_template(earlier)
    rest = {"labels"}
    if before.model_dump(exclude=rest) != template.model_dump(exclude=rest):
        raise DataError(
            f"continuation.model: {earlier} is of another kind: both are to be dialogues, or both "
            "text that is gone on with"
        )
    names = {
        what.partition(":")[0] for what in (*before.labels.values(), *template.labels.values())
    }
    if len(names) > 1:
        raise DataError(
            f"label_name: the labels of {earlier} and these are told by different names, "
            f"{' and '.join(sorted(names))}: take the same"
        )
    return template.model_copy(update={"labels": {**before.labels, **template.labels}})


def extend_tokenizer(template: TemplateManifest, earlier: Path) -> tokenizers.Tokenizer:
    """The earlier run's tokenizer, with a token behind the others for each label that is new."""
    tokenizer = tokenizers.Tokenizer.from_file(str(require(earlier, TOKENIZER_NAME)))
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token in special_tokens(template)]
    )
    pad(tokenizer)
    return tokenizer


def add_earlier_text(corpus: Corpus, earlier: Path, share: float) -> Corpus:
    """A corpus of which each epoch also reads a share of the earlier run's text.

    All that the earlier run held out is held out again, under a name of its own.
    """
    if is_published(earlier):
        return corpus
    before = load_corpus(require(earlier, CORPUS_NAME))
    held_out = {**corpus.held_out, **as_earlier(before.held_out)}
    return Corpus([*corpus.common, *_replayed(before, share)], corpus.variants, held_out)


def _replayed(before: Corpus, share: float) -> list[Part]:
    """Parts that draw a share anew in each epoch; of variants all together draw that much."""
    if not share:
        return []
    parts = [(part, part.share) for part in before.common]
    for version in before.variants:
        parts += [(part, part.share / len(before.variants)) for part in version]
    return [Part(part.documents, old * share, part.repeat) for part, old in parts]


def earlier_prompts(earlier: Path) -> list[dict[str, Any]]:
    """What the earlier run asked held-out text, to be asked again."""
    if is_published(earlier):
        return []
    entries = json.loads(require(earlier, PROMPTS_NAME).read_text(encoding="utf-8"))
    return [{**entry, "kind": earlier_name(entry["kind"])} for entry in entries]


def earlier_sources(earlier: Path) -> list[dict[str, Any]]:
    """The sources of the earlier run, for the manifest: the model is made of them as well."""
    if is_published(earlier):
        return [source.model_dump() for source in read_manifest(earlier).training.data]
    recipe = read_recipe(require(earlier, RECIPE_NAME))
    report = json.loads(require(earlier, PREPARATION_NAME).read_text(encoding="utf-8"))
    return [source.model_dump() for source in describe_sources(recipe, report)]
