"""Finds a short way to complete a text that a grammar lets begin.

A walk is fast, and finds most. Where closing is no way out, a search takes longer and looks
further. What is found is a function of the text and of the effort alone.
"""

from __future__ import annotations

from typing import NamedTuple

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.parsing import GrammarVocabulary
from lstmserve_server.engine.constraints.searching import Search
from lstmserve_server.engine.constraints.walking import Walker

LONG_WAY = 64  # tokens of a walk, for which there may be something better


class Effort(NamedTuple):
    """How much is done for one completion; counted in steps, so that it is the same everywhere."""

    num_asked: int  # states that a walk asks about
    num_read: int  # tokens that are read to shorten what it has found
    num_tried: int  # tokens that a search tries


ASIDE = Effort(8192, 1 << 17, 6000)  # no other reply waits
# of a schema whose walk is long a search hardly ever finds anything shorter
SCHEMA_EFFORT = Effort(8192, 1 << 15, 400)
IN_TURN = Effort(128, 2048, 400)  # other replies wait
IN_HASTE = Effort(16, 512, 32)  # there is hardly anything to be found


class Completer:
    """Completes texts over one vocabulary."""

    def __init__(self, vocabulary: GrammarVocabulary) -> None:
        self._walker = Walker(vocabulary)
        self._search = Search(vocabulary)

    def complete(
        self, matcher: LLMatcher, most: int, effort: Effort, *, is_searched: bool = False
    ) -> list[int] | None:
        """Return at most so many tokens that complete a text; None when none are found.

        Where it ``is_searched``, a walk is what comes second. Raises GrammarError when the library
        gives up.
        """
        ways = [self._walk, self._find]
        for way in reversed(ways) if is_searched else ways:
            found = way(matcher, most, effort)
            if found is not None:
                return found
        return None

    def complete_aside(
        self, matcher: LLMatcher, most: int, effort: Effort
    ) -> tuple[list[int] | None, bool]:
        """Return a completion, and whether such texts are better searched."""
        walked = self._walk(matcher, most, effort)
        if walked is not None and len(walked) <= LONG_WAY:
            return walked, False
        if walked is None:
            effort = ASIDE
        found = self._find(matcher, most if walked is None else len(walked) - 1, effort)
        return (walked, False) if found is None else (found, True)

    def _find(self, matcher: LLMatcher, most: int, effort: Effort) -> list[int] | None:
        return self._search.complete(matcher, most, effort.num_tried)

    def _walk(self, matcher: LLMatcher, most: int, effort: Effort) -> list[int] | None:
        return self._walker.complete(matcher, most, effort.num_asked, effort.num_read)
