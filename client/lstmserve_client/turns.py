"""What was said in a chat so far."""

from collections.abc import Sequence
from typing import TypeVar, cast

from lstmserve_client.keywords import GenerateOptions, RequestOptions, WholeReplyOptions
from lstmserve_client.merging import overlay
from lstmserve_client.messages import read_turns
from lstmserve_client.types import Message, Turn

Options = TypeVar("Options", GenerateOptions, WholeReplyOptions)


class Turns:
    """The turns so far, oldest first; servers keep the state after them, so that a further
    turn costs what is new in it.
    """

    def __init__(self, turns: Sequence[Turn | Message], options: RequestOptions) -> None:
        self._turns = read_turns(turns)
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

    def _remember(self, asked: Sequence[Turn], text: str) -> None:
        """A question without an answer is forgotten: the wire has no empty turns."""
        if text:
            self._turns = [*asked, Turn("agent", text)]
