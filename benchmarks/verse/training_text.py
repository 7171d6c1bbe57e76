"""The poems that a run was trained on, and those that it held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.verse.rules import lines_of
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.documents import Document, load_corpus
from lstmserve_training.work import CORPUS_NAME, read_tokenizer, require


@dataclass(frozen=True)
class TrainingText:
    """Poems as text; what is no poem of four lines is left out."""

    trained: list[str]
    held_out: list[str]

    @classmethod
    def read(cls, run: Path) -> TrainingText:
        """Read those of a run's folder; raises TrainingError."""
        corpus, tokenizer = load_corpus(require(run, CORPUS_NAME)), read_tokenizer(run)
        trained = (document for part in corpus.common for document in part.documents)
        held_out = (document for found in corpus.held_out.values() for document in found)
        return cls([*_poems(trained, tokenizer)], [*_poems(held_out, tokenizer)])

    def lines(self) -> set[str]:
        """All lines that were trained on."""
        return {line for poem in self.trained for line in lines_of(poem) or ()}


def _poems(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[str]:
    special = tokenizer.special_ids
    for document in documents:
        found = [token_id for token_id in document.token_ids if token_id not in special]
        poem = b"".join(map(tokenizer.token_bytes, found)).decode()
        if lines_of(poem) is not None:
            yield poem
