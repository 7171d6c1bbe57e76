"""What ``prepare`` tells: rows read, changed, dropped and too long, copies, and rare characters."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from rich.console import Console

    from lstmserve_bundle.tokenizer import Tokenizer
    from lstmserve_training.data.examples import Example
    from lstmserve_training.data.lengths import LengthLimit
    from lstmserve_training.data.reading import SourceText, Texts
    from lstmserve_training.documents import Corpus

SHOWN_PLACES = 3
SHOWN_CHARACTERS = 70


def make_report(
    texts: Texts,
    corpus: Corpus,
    tokenizer: Tokenizer,
    unknown: Collection[int],
    padding: int,
    limit: LengthLimit,
) -> dict[str, Any]:
    """The account of a preparation, as JSON has it; ``padding`` tokens of the vocabulary are it.

    ``unknown`` are tokens that stand for what the vocabulary does not hold.
    """
    unknown_share = _share_of(unknown, corpus)
    parts = [*corpus.common, *(corpus.variants[0] if corpus.variants else [])]
    held_out = [e for found in texts.held_out.values() for _, examples in found for e in examples]
    trained = [e for _, examples in texts.training for e in examples]
    new, share = _new_characters(trained, held_out) if trained else ("", 0.0)
    return {
        "sources": [_describe_source(text) for text in texts.sources],
        "labels": Counter(e.label for e in trained if e.label),
        "vocabulary": tokenizer.num_tokens,
        "vocabulary_padding": padding,
        "documents": sum(len(part.documents) for part in parts),
        "tokens": sum(part.documents.num_tokens for part in parts),
        "held_out_documents": sum(map(len, corpus.held_out.values())),
        "too_long": {"limit": limit.max_tokens, "what": limit.too_long, "places": limit.places},
        "duplicates": texts.duplicates,
        "leaks": [example.place for example in texts.leaks],
        "new_characters": new,
        "new_character_share": share,
        "unknown_share": unknown_share,
        "warnings": texts.warnings,
    }


def show_report(report: dict[str, Any], folder: Path, console: Console) -> None:
    """For a person: a row per source, and below it whatever is worth a look.

    Files are named from ``folder``, where the recipe lies.
    """
    table = Table("source", "use", "rows", "texts changed", "rows dropped")
    for source in report["sources"]:
        dropped = sum(found["count"] for found in source["dropped"].values())
        numbers = (source["rows"], source["changed"], dropped)
        table.add_row(escape(source["name"]), source["use"], *(f"{n:,}" for n in numbers))
    console.print(table)
    for line in _lines(report):
        console.print(line.replace(f"{folder}/", ""), markup=False, highlight=False, soft_wrap=True)


def _describe_source(text: SourceText) -> dict[str, Any]:
    dropped = {
        reason: {"count": len(places), "such_as": places[:SHOWN_PLACES]}
        for reason, places in text.counts.dropped.items()
    }
    return {
        "name": text.source.name,
        "use": text.source.use,
        "files": text.files,
        "rows": text.counts.rows,
        "changed": text.changes.texts,
        "changed_by": dict(text.changes.steps),
        "changes": [
            {"place": place, "before": _cut(before), "after": _cut(after)}
            for place, before, after in text.changes.examples
        ],
        "dropped": dropped,
    }


def _lines(report: dict[str, Any]) -> Iterable[str]:
    for source in report["sources"]:
        for reason, found in source["dropped"].items():
            places = ", ".join(found["such_as"])
            yield f"dropped {found['count']:,}: {reason}, such as {places}"
        for change in source["changes"]:
            yield f"changed {change['place']}: {change['before']!r} -> {change['after']!r}"
    too_long = report["too_long"]
    if too_long["places"]:
        what = {"drop": "dropped", "cut": "cut"}[too_long["what"]]
        first = next(iter(too_long["places"].items()))
        yield (
            f"{what} {len(too_long['places']):,}: more than split.max_tokens = "
            f"{too_long['limit']}, such as {first[0]} ({first[1]:,} tokens)"
        )
    if report["duplicates"]:
        yield f"{report['duplicates']:,} rows say the same as one before them; they are kept"
    if report["leaks"]:
        yield (
            f"leak: {len(report['leaks']):,} validation rows ask what a training row does, such as "
            f"{report['leaks'][0]}: what is measured on them is too good"
        )
    if report["new_characters"]:
        yield (
            f"{report['new_character_share']:.2%} of the held-out characters are not in the "
            f"training text ({report['new_characters']}); they are read as bytes"
        )
    if report["unknown_share"]:
        yield f"{report['unknown_share']:.2%} of the held-out tokens are unknown to the vocabulary"
    yield from _lines_of_wording(report)
    yield from (f"warning: {warning}" for warning in report["warnings"])
    yield (
        f"{report['documents']:,} documents of {report['tokens']:,} tokens to train on, "
        f"{report['held_out_documents']:,} held out; vocabulary {report['vocabulary']:,}, "
        f"{report['vocabulary_padding']} of it padding{_describe_wish(report)}"
    )


def _lines_of_wording(report: dict[str, Any]) -> Iterable[str]:
    """What is trained on besides the text as it stands."""
    if "epoch" in report:
        yield f"with text of the model before it, an epoch has {report['epoch']:,} documents"
    for word, others in report.get("synonyms", {}).items():
        yield f"used alike: {word}: {', '.join(others)}"


def _describe_wish(report: dict[str, Any]) -> str:
    wanted = report.get("vocabulary_wanted", 0)
    if wanted <= report["vocabulary"]:
        return ""
    return f"; the text gives no more, though tokenizer.vocabulary is {wanted:,}"


def _new_characters(trained: list[Example], held_out: list[Example]) -> tuple[str, float]:
    """Characters of the held-out text that training has not, and their share of it."""
    known = {letter for e in trained for turn in e.turns for letter in set(turn.text)}
    found = Counter(letter for e in held_out for turn in e.turns for letter in turn.text)
    new = {letter: count for letter, count in found.items() if letter not in known}
    shown = "".join(sorted(new, key=lambda letter: (-new[letter], letter))[:SHOWN_CHARACTERS])
    return shown, sum(new.values()) / max(1, sum(found.values()))


def _share_of(unknown: Collection[int], corpus: Corpus) -> float:
    """Of the held-out tokens."""
    total = found = 0
    for documents in corpus.held_out.values():
        for document in documents if unknown else ():
            total += len(document.token_ids)
            found += sum(token_id in unknown for token_id in document.token_ids)
    return found / max(1, total)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"
