"""Tokens to text as they arrive, never splitting a character."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class TokenBytes(Protocol):
    """Knows what tokens add to a text, as ``Tokenizer`` does."""

    def token_bytes(self, token_id: int) -> bytes: ...


class IncrementalDetokenizer:
    """Turns a growing token sequence into text.

    A character whose bytes span several tokens is held back until its last byte is
    there; bytes that can never become a character turn into U+FFFD. The pieces joined
    always equal ``Tokenizer.decode`` of the whole sequence.
    """

    def __init__(self, tokenizer: TokenBytes) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_ids: Iterable[int]) -> str:
        """The text that these further tokens complete."""
        return self._decoder.decode(b"".join(map(self._tokenizer.token_bytes, token_ids)))

    def finish(self) -> str:
        """What an unfinished character at the end becomes: U+FFFD, or nothing."""
        return self._decoder.decode(b"", final=True)
