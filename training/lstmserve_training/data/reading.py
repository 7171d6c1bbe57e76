"""All text of a recipe, cleaned, checked and split into what is trained on and what is held out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lstmserve_bundle.bundle import describe_file
from lstmserve_training.data.cleaning import Changes, Cleaner, check_labels
from lstmserve_training.data.examples import Example, RowCounts, drop_hollow, read_examples
from lstmserve_training.data.files import find_files
from lstmserve_training.data.labeling import label_examples
from lstmserve_training.data.pools import ReplyPools
from lstmserve_training.data.room import check_room
from lstmserve_training.data.slots import fill_slots, read_slots
from lstmserve_training.data.splitting import (
    choose_held_out,
    count_duplicates,
    digest,
    find_copies,
    split_text,
)
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import Source, Split

MIN_EXAMPLES = 10
MIN_CHARACTERS = 500  # of a running text


@dataclass
class SourceText:
    """One source's examples, and what became of its rows."""

    source: Source
    kind: str
    examples: list[Example]
    counts: RowCounts
    changes: Changes
    files: dict[str, str]  # SHA-256 by name

    @property
    def is_running(self) -> bool:
        """Whether it is one long text per file, which is cut into windows."""
        return self.kind == "text" and self.source.separator == "file" and not self.is_table

    @property
    def is_table(self) -> bool:
        return bool(self.source.columns.text)


@dataclass
class Texts:
    """The text of a recipe, sorted by what it is for."""

    sources: list[SourceText]
    pools: ReplyPools
    training: list[tuple[SourceText, list[Example]]] = field(default_factory=list)
    held_out: dict[str, list[tuple[SourceText, list[Example]]]] = field(default_factory=dict)
    questions: list[Example] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    leaks: list[Example] = field(default_factory=list)
    duplicates: int = 0


def read_texts(recipe: Recipe, folder: Path) -> Texts:
    """Read, clean, check and split; raises DataError naming file and line of what is wrong."""
    check_room(recipe, folder)
    sources = [_read_source(recipe, source, folder) for source in recipe.sources]
    texts = Texts(sources, ReplyPools())
    for text in sources:
        if text.source.use == "reply-pool":
            texts.pools.add(text.source, text.examples)
    _split(recipe, texts)
    texts.questions = [
        example for text in sources if text.source.use == "questions" for example in text.examples
    ]
    _check_labels(texts)
    if recipe.weights is None:
        _check_amount(texts)
    return texts


def _read_source(recipe: Recipe, source: Source, folder: Path) -> SourceText:
    counts = RowCounts()
    cleaner = Cleaner(source.cleaning, recipe.cleaning)
    found = label_examples(read_examples(recipe, source, folder, counts), source, counts)
    if source.slots:
        found = fill_slots(found, read_slots(folder / source.slots), source.fillings, recipe.seed)
    examples = cleaner.clean(found, counts)
    kind = recipe.kind_of(source)
    if kind == "conversations":
        examples = drop_hollow(examples, counts)
    files: dict[str, str] = {}
    for path in find_files(source, folder):
        name = path.name if path.name not in files else f"{path.parent.name}/{path.name}"
        files[name] = describe_file(path).sha256
    return SourceText(source, kind, examples, counts, cleaner.changes, files)


def _split(recipe: Recipe, texts: Texts) -> None:
    """Hold out a share of each kind, or what the recipe says is for validation."""
    given = [text for text in texts.sources if text.source.use == "validation"]
    for text in given:
        texts.held_out.setdefault(text.kind, []).append((text, text.examples))
    training = [text for text in texts.sources if text.source.use == "training"]
    chosen: set[bytes] = set()
    kinds = {text.kind for text in training}
    for kind in kinds:
        same = [text for text in training if text.kind == kind]
        if kind in texts.held_out:
            texts.training += [(text, text.examples) for text in same]
        else:
            chosen |= _hold_out(recipe.split, texts, same)
    if len(kinds) > 1:
        _drop_held_out(texts, chosen, recipe.split.by)
    everything = [example for _, examples in texts.training for example in examples]
    texts.duplicates = count_duplicates(everything)
    for text in given:
        texts.leaks += find_copies(everything, text.examples)


def _hold_out(split: Split, texts: Texts, sources: list[SourceText]) -> set[bytes]:
    """Split sources of one kind; return the digests of what is held out."""
    share, by = split.held_out, split.by
    chosen: set[bytes] = set()
    for text in sources:
        if not text.is_running and text.examples:
            chosen |= choose_held_out(text.examples, share, by)
    chosen -= _rare(sources, chosen, by, texts.warnings)
    for text in sources:
        if text.is_running:
            halves = [split_text(example, share) for example in text.examples]
            kept, held = [half[0] for half in halves], [half[1] for half in halves]
        else:
            kept, held = [], []
            for example in text.examples:
                (held if digest(example, by) in chosen else kept).append(example)
        texts.training.append((text, kept))
        texts.held_out.setdefault(text.kind, []).append((text, held))
    return chosen


def _drop_held_out(texts: Texts, chosen: set[bytes], by: str) -> None:
    """A text that is held out of one source is in no other that is trained on."""
    texts.training = [
        (text, [example for example in examples if digest(example, by) not in chosen])
        for text, examples in texts.training
    ]


def _rare(
    sources: list[SourceText], chosen: set[bytes], by: str, warnings: list[str]
) -> set[bytes]:
    """Of what is chosen, that whose label would be trained on by nothing."""
    examples = [example for text in sources for example in text.examples if example.label]
    kept = {example.label for example in examples if digest(example, by) not in chosen}
    rare = [example for example in examples if example.label not in kept]
    labels = sorted({example.label for example in rare})
    if labels:
        warnings.append(f"too few rows to hold one out of: {', '.join(labels[:10])}")
    if labels and len(rare) == sum(digest(example, by) in chosen for example in examples):
        raise DataError(
            f"{rare[0].place}: {len({e.label for e in examples})} labels in {len(examples)} rows, "
            f"such as {rare[0].label!r}: each needs several rows, or is the column of labels "
            "(columns.label) another one?"
        )
    return {digest(example, by) for example in rare}


def _check_labels(texts: Texts) -> None:
    everything = [example for text in texts.sources for example in text.examples]
    check_labels((example.label, example.place) for example in everything)
    trained = [example for _, examples in texts.training for example in examples]
    texts.labels = sorted({example.label for example in trained if example.label})
    texts.pools.check([*trained, *_held(texts)])
    known = set(texts.labels)
    for example in [*texts.questions, *_held(texts)]:
        if example.label and example.label not in known:
            raise DataError(
                f"{example.place}: the label {example.label!r} is in no row that is trained on; "
                f"there are: {', '.join(texts.labels[:20]) or 'none'}"
            )
    if len(texts.labels) == 1:
        texts.warnings.append(
            f"all rows have the label {texts.labels[0]!r}: it says nothing; leave columns.label out"
        )


def _check_amount(texts: Texts) -> None:
    trained = [example for _, examples in texts.training for example in examples]
    if any(text.is_running for text, _ in texts.training):
        found = sum(len(example.turns[0].text) for example in trained)
        if found < MIN_CHARACTERS:
            raise DataError(
                f"{_places(texts)}: {found} characters to train on: at least {MIN_CHARACTERS} are "
                "needed"
            )
        return
    usable = _count_distinct([*trained, *_held(texts)], MIN_EXAMPLES)
    if usable < MIN_EXAMPLES or not trained:
        raise DataError(
            f"{_places(texts)}: {usable} different rows to learn from; at least {MIN_EXAMPLES} are "
            f"needed, of which some are held out ({_dropped(texts)})"
        )


def _places(texts: Texts) -> str:
    return ", ".join(name for text in texts.sources for name in text.files)


def _count_distinct(examples: Iterable[Example], limit: int) -> int:
    """How many of them ask different things; there may be more than ``limit``."""
    found: set[bytes] = set()
    for example in examples:
        found.add(digest(example))
        if len(found) >= limit:
            break
    return len(found)


def _dropped(texts: Texts) -> str:
    found = [
        f"{len(places)} dropped: {reason}, such as {places[0]}"
        for text in texts.sources
        for reason, places in text.counts.dropped.items()
    ]
    return "; ".join(found) or "none was dropped"


def _held(texts: Texts) -> list[Example]:
    return [e for parts in texts.held_out.values() for _, examples in parts for e in examples]
