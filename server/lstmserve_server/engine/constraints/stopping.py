"""Where replies under grammars may end before stop sequences.

A stop sequence ends a reply only where what stands before it keeps the form. The server's process
finds stop sequences, and cannot parse; the engine can, and does not know where texts are cut. So
the engine tells the places where the form is kept and a stop sequence may begin.
"""

from __future__ import annotations

from collections.abc import Sequence

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, mask_of


class StopPlaces:
    """The places in one reply, in bytes from its beginning; none without stop sequences."""

    def __init__(self, stop_sequences: Sequence[str], vocabulary: GrammarVocabulary) -> None:
        self._stops = [stop.encode() for stop in stop_sequences]
        self._vocabulary = vocabulary
        self._text = b""
        self._places: list[int] = []
        self._num_taken = 0
        self._before: LLMatcher | None = None

    def hold(self, matcher: LLMatcher) -> None:
        """Remember where the reply is before its next token."""
        self._before = matcher.deep_copy() if self._stops else None

    def add(self, token_id: int) -> None:
        """Go on by a token, from where the reply was held; raises GrammarError."""
        if self._before is not None:
            token = self._vocabulary.tokens[token_id]
            self._places += self._find(self._before, token)
            self._text += token

    def take(self) -> list[int]:
        """Return the places that were not taken before."""
        taken, self._num_taken = self._places[self._num_taken :], len(self._places)
        return taken

    @property
    def is_stopped(self) -> bool:
        """Whether a stop sequence stands at one of the places: the reply ended there."""
        stops = tuple(self._stops)
        return any(self._text.startswith(stops, place) for place in self._places)

    def _find(self, before: LLMatcher, token: bytes) -> list[int]:
        """Return the places that a token adds."""
        return [
            len(self._text) + start
            for start in range(len(token))
            if self._may_stop(token[start:]) and self._may_end(before, token[:start])
        ]

    def _may_stop(self, text: bytes) -> bool:
        """Return whether a stop sequence, or its beginning, is the beginning of a text."""
        return any(stop.startswith(text) or text.startswith(stop) for stop in self._stops)

    def _may_end(self, before: LLMatcher, text: bytes) -> bool:
        mask = mask_of(self._vocabulary.go_on(before, text))
        end_id = self._vocabulary.end_id
        return bool(mask[end_id // 8] >> end_id % 8 & 1)
