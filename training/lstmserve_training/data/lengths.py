"""How long a document may be, and which ones were longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstmserve_training.documents import Document
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from lstmserve_training.data.examples import Example


class LengthLimit:
    """Leaves out, cuts or refuses documents of more than ``max_tokens``; keeps their places."""

    def __init__(self, max_tokens: int, too_long: str) -> None:
        self.max_tokens = max_tokens
        self.too_long = too_long
        self.places: dict[str, int] = {}  # to their numbers of tokens

    def apply(self, document: Document, example: Example) -> Document | None:
        """The document, cut or whole; None where it is left out. Raises DataError for ``stop``."""
        length = len(document.token_ids)
        if length <= self.max_tokens:
            return document
        self.places[example.place] = length
        if self.too_long == "stop":
            raise DataError(
                f"{example.place}: {length} tokens, more than split.max_tokens = "
                f"{self.max_tokens}; "
                'raise it, or set split.too_long to "cut" or "drop"'
            )
        if self.too_long == "drop":
            return None
        return Document(document.token_ids[: self.max_tokens], document.weights[: self.max_tokens])
