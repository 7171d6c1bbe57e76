"""The step ``prepare``: from a recipe's text to a tokenizer, token documents and a report."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

from lstmserve_bundle.errors import TokenizerError
from lstmserve_bundle.manifest import ROW_STEP, TemplateManifest
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.continuation.earlier import find_earlier
from lstmserve_training.continuation.text import (
    add_earlier_text,
    earlier_prompts,
    earlier_sources,
    extend_tokenizer,
    join_templates,
)
from lstmserve_training.data.augmentation import Augmenter
from lstmserve_training.data.lengths import LengthLimit
from lstmserve_training.data.pools import give_reply
from lstmserve_training.data.reading import SourceText, Texts, read_texts
from lstmserve_training.data.report import make_report
from lstmserve_training.data.rewriting import rewrite
from lstmserve_training.data.synonyms import Synonyms
from lstmserve_training.documents import Corpus, Document, Documents, Part, save_corpus
from lstmserve_training.encoding import END_TOKEN, Encoder, make_template, special_tokens
from lstmserve_training.errors import DataError
from lstmserve_training.importing.published import is_published
from lstmserve_training.importing.vocabulary import Vocabulary, read_vocabulary
from lstmserve_training.tokenizer import add_labels, train_tokenizer
from lstmserve_training.work import (
    CORPUS_NAME,
    LABELED_NAME,
    PREPARATION_NAME,
    PROMPTS_NAME,
    REWRITES_NAME,
    TEMPLATE_NAME,
    TOKENIZER_NAME,
    read_tokenizer,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import tokenizers

    from lstmserve_training.data.examples import Example
    from lstmserve_training.recipe.schema import Recipe

Report = dict[str, object]
NUM_BYTES = 256
SHOWN_SYNONYMS = 10
TOKENIZER_EXAMPLES = 500_000  # spread over all; further ones would change few of its tokens


def prepare(
    recipe: Recipe, folder: Path, work: Path, say: Callable[[str], object] = lambda _text: None
) -> Report:
    """Write tokenizer, template, corpus, prompts and a report into ``work``; return the report.

    ``folder`` is that of the recipe, from which its paths start. ``say`` is told what takes long.
    Raises DataError.
    """
    texts = read_texts(recipe, folder)
    work.mkdir(parents=True, exist_ok=True)
    vocabulary = _read_vocabulary(recipe, folder)
    template = make_template(
        recipe.label_name,
        texts.labels,
        has_roles=recipe.has_roles,
        end_token=vocabulary.end_token if vocabulary else END_TOKEN,
    )
    earlier = find_earlier(recipe, folder) if recipe.continuation else None
    if earlier:
        template = join_templates(template, earlier)
    (work / TEMPLATE_NAME).write_text(template.model_dump_json(indent=2), encoding="utf-8")
    rng = random.Random(recipe.seed)
    augmenter, report_of_words = _make_augmenter(recipe, texts, folder, work, say)
    versions = _versions(recipe, texts, augmenter, rng)
    if vocabulary:
        tokenizer = _save(vocabulary.tokenizer, work)
    elif earlier:
        tokenizer = _save(extend_tokenizer(template, earlier), work)
    else:
        tokenizer = _tokenizer(recipe, folder, work, template, versions[0])
    encoder = Encoder(template, tokenizer, recipe.label_name, recipe.training.label_weight)
    limit = LengthLimit(recipe.split.max_tokens, recipe.split.too_long)
    corpus = _make_corpus(recipe, texts, versions, encoder, limit, rng)
    _write_labeled(texts, work)
    unknown = set()
    if vocabulary and vocabulary.unknown:
        unknown.add(tokenizer.special_id(vocabulary.unknown))
    padding = len(tokenizer.special_ids) - len(special_tokens(template)) - len(unknown)
    report = make_report(texts, corpus, tokenizer, unknown, padding, limit) | report_of_words
    prompts = _held_out_prompts(texts)
    if earlier and recipe.continuation:
        corpus = add_earlier_text(corpus, earlier, recipe.continuation.replay)
        prompts += earlier_prompts(earlier)
        report["earlier"] = earlier_sources(earlier)
        if not is_published(earlier):
            report["epoch"] = len(corpus.epoch(0, rng))
    elif not (vocabulary or recipe.tokenizer.file):
        report["vocabulary_wanted"] = recipe.tokenizer.vocabulary
    save_corpus(corpus, work / CORPUS_NAME)
    _write_json(work / PROMPTS_NAME, prompts)
    _write_json(work / PREPARATION_NAME, report)
    return report


Version = list[tuple[SourceText, list["Example"]]]


def _make_augmenter(
    recipe: Recipe, texts: Texts, folder: Path, work: Path, say: Callable[[str], object]
) -> tuple[Augmenter, Report]:
    """What makes versions of prompts, and what a report tells of it."""
    section = recipe.augmentation
    found = [e for text, examples in texts.training if text.kind == "replies" for e in examples]
    synonyms = Synonyms.learn(found, section.similarity) if section.synonyms else None
    rewrites = None
    if section.rewrite and section.rewritten:
        prompts = (example.turns[0].text for example in found)
        rewrites = rewrite(section.rewrite, prompts, folder, work / REWRITES_NAME, say)
    report: Report = {"synonyms": synonyms.most_frequent(SHOWN_SYNONYMS)} if synonyms else {}
    return Augmenter(section, texts.pools, synonyms, rewrites), report


def _versions(
    recipe: Recipe, texts: Texts, augmenter: Augmenter, rng: random.Random
) -> list[Version]:
    """Every training example in as many versions as are asked for, with a reply each."""

    def vary(text: SourceText, examples: list[Example]) -> list[Example]:
        return augmenter.vary(examples, rng) if text.kind == "replies" else examples

    return [
        [(text, vary(text, examples)) for text, examples in texts.training]
        for _ in range(recipe.augmentation.variants)
    ]


def _tokenizer(
    recipe: Recipe, folder: Path, work: Path, template: TemplateManifest, version: Version
) -> Tokenizer:
    if recipe.tokenizer.kind == "file":
        return _take_tokenizer(folder / recipe.tokenizer.file, work, template)
    _check_room(recipe, template)
    num_examples = sum(len(examples) * text.source.repeat for text, examples in version)
    step = -(-num_examples // TOKENIZER_EXAMPLES)
    all_texts = (
        turn.text
        for text, examples in version
        for example in (examples * text.source.repeat)[::step]
        for turn in example.turns
    )
    backend = train_tokenizer(all_texts, recipe.tokenizer, special_tokens(template))
    return _save(backend, work)


def _check_room(recipe: Recipe, template: TemplateManifest) -> None:
    """Every byte, mask and special token is to have a place."""
    needed = len(special_tokens(template)) + len(recipe.tokenizer.mask) + NUM_BYTES
    if needed > recipe.tokenizer.vocabulary:
        raise DataError(
            f"tokenizer.vocabulary = {recipe.tokenizer.vocabulary} has no room for "
            f"{len(template.labels)} labels: raise it, or is the column of labels another one?"
        )


def _read_vocabulary(recipe: Recipe, folder: Path) -> Vocabulary | None:
    """Of a model that exists."""
    weights = recipe.weights
    if weights is None:
        return None
    return read_vocabulary(folder / weights.vocabulary, weights, recipe.tokenizer)


def _save(backend: tokenizers.Tokenizer, work: Path) -> Tokenizer:
    backend.save(str(work / TOKENIZER_NAME))
    return read_tokenizer(work)


def _take_tokenizer(path: Path, work: Path, template: TemplateManifest) -> Tokenizer:
    """A tokenizer that exists, with the special tokens that this model needs."""
    found = require(path, TOKENIZER_NAME) if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(found)
        tokenizer = _save(add_labels(found, template.labels), work)
        for token in special_tokens(template):
            tokenizer.special_id(token)
    except OSError:
        raise DataError(f"tokenizer.file: {found} cannot be read") from None
    except TokenizerError as error:
        raise DataError(
            f"tokenizer.file: {error}: it needs {', '.join(special_tokens(template)[:5])} …; "
            "take one that a run with the same labels made"
        ) from None
    if tokenizer.num_tokens % ROW_STEP:
        raise DataError(
            f"tokenizer.file: {found} has {tokenizer.num_tokens} tokens, which is no multiple of "
            f"{ROW_STEP}"
        )
    return tokenizer


def _make_corpus(
    recipe: Recipe,
    texts: Texts,
    versions: Sequence[Version],
    encoder: Encoder,
    limit: LengthLimit,
    rng: random.Random,
) -> Corpus:
    def encode(text: SourceText, examples: Sequence[Example], opening: float) -> Iterator[Document]:
        for example in examples:
            prompt = text.source.prompt_weight
            if text.is_running:
                yield from encoder.encode_windows(example, recipe.split.window)
            elif (
                document := limit.apply(encoder.encode(example, opening, prompt), example)
            ) is not None:
                yield document

    def parts(version: Version, *, varied: bool) -> list[Part]:
        return [
            Part(
                Documents.pack(encode(text, examples, text.source.opening_weight)),
                text.source.share,
                text.source.repeat,
            )
            for text, examples in version
            if (len(versions) > 1 and text.kind == "replies") is varied
        ]

    variants = [parts(version, varied=True) for version in versions] if len(versions) > 1 else []
    held_out = {
        kind: Documents.pack(
            document
            for text, examples in found
            for document in encode(text, [give_reply(e, texts.pools, rng) for e in examples], 1.0)
        )
        for kind, found in texts.held_out.items()
    }
    corpus = Corpus(parts(versions[0], varied=False), variants, held_out)
    _check_corpus(corpus, is_trained=recipe.weights is None)
    return corpus


def _check_corpus(corpus: Corpus, *, is_trained: bool) -> None:
    parts = [*corpus.common, *(part for version in corpus.variants for part in version)]
    if is_trained and not any(len(part.documents) for part in parts):
        raise DataError(
            "nothing is left to train on: all documents are longer than split.max_tokens"
        )
    empty = [kind for kind, documents in corpus.held_out.items() if not len(documents)]
    if empty:
        raise DataError(f"nothing is held out of the {empty[0]}: raise split.held_out")


def _held_out_prompts(texts: Texts) -> list[dict[str, object]]:
    """What evaluation asks: held-out turns, and the label that is right, where there is one."""
    held_out: list[dict[str, object]] = [
        {
            "kind": kind,
            "turns": [[turn.role, turn.text] for turn in example.turns],
            "label": example.label,
        }
        for kind, parts in texts.held_out.items()
        for _, examples in parts
        for example in examples
    ]
    return held_out + [
        {"kind": "questions", "turns": [[e.turns[0].role, e.turns[0].text]], "label": e.label}
        for e in texts.questions
    ]


def _write_labeled(texts: Texts, work: Path) -> None:
    """All that is trained on and has a label, up to the question: a classifier's documents.

    Each is there as often as an epoch reads it.
    """
    with (work / LABELED_NAME).open("w", encoding="utf-8") as file:
        for text, examples in texts.training:
            for example in examples * text.source.repeat:
                if example.label:
                    asked = [{"role": t.role, "content": t.text} for t in example.turns[:-1]]
                    row = {"turns": asked, "label": example.label}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
