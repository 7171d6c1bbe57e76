"""What was said in a chat so far."""

from collections.abc import Sequence
from typing import TypeVar, cast

from lstmserve_client.checks import check_type
from lstmserve_client.errors import InvalidRequestError
from lstmserve_client.keywords import GenerateOptions, RequestOptions, WholeReplyOptions
from lstmserve_client.merging import overlay
from lstmserve_client.messages import read_turns
from lstmserve_client.types import Message, Turn

Options = TypeVar("Options", GenerateOptions, WholeReplyOptions)

# what servers name when all turns together are too long, and each of them may be right
_TOO_LONG = {"conversation", "conversation.turns"}


class Turns:
    """The turns so far, oldest first; servers keep the state after them, so that a further
    turn costs what is new in it.
    """

    def __init__(
        self,
        turns: Sequence[Turn | Message],
        options: RequestOptions,
        max_turns: int | None = None,
    ) -> None:
        _check_max_turns(max_turns)
        self._max_turns = max_turns
        self._turns = _latest(read_turns(turns), max_turns)
        self._options = options

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was said so far, to be kept or shown; a new conversation goes on from it."""
        return tuple(self._turns)

    def reset(self) -> None:
        """Forget all turns."""
        self._turns.clear()

    def _ask(self, text: str, options: Options) -> tuple[list[Turn], Options]:
        asked = [*self._turns, Turn("user", text)]
        return asked, cast("Options", overlay(self._options, options))

    def _shorten(self, asked: Sequence[Turn], error: InvalidRequestError) -> list[Turn]:
        """The question with fewer turns before it; raises ``error`` where that does not help."""
        fields = {each.field for each in error.violations}
        shorter = _latest(asked, len(asked) - 1)
        if self._max_turns is None or not fields or fields - _TOO_LONG or not shorter:
            raise error
        return shorter

    def _remember(self, asked: Sequence[Turn], text: str) -> None:
        """A question without an answer is forgotten: the wire has no empty turns."""
        if text:
            self._turns = _latest([*asked, Turn("agent", text)], self._max_turns)


def _check_max_turns(count: int | None) -> None:
    if count is None:
        return
    check_type("max_turns", count, int)
    if count <= 0 or count % 2:
        raise ValueError(
            "max_turns: must be an even number from 2 on, so that what is kept begins with a "
            f"user's turn, not {count}"
        )


def _latest(turns: Sequence[Turn], count: int | None) -> list[Turn]:
    """At most so many turns, without the rest of an exchange whose beginning is cut off."""
    if count is None or len(turns) <= count:
        return list(turns)
    first = len(turns) - count
    while first < len(turns) and turns[first].role != "user":
        first += 1
    return list(turns[first:])
