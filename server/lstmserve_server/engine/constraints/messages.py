"""What the server and the process that builds automata tell each other: MessagePack, framed."""

from __future__ import annotations

import msgspec

from lstmserve_server.engine.constraints.automaton import Automaton, TextTable
from lstmserve_server.engine.messages import Message


class RefusedFormError(Exception):
    """A form that is not built; the text says why, as what follows the name of a field."""


class Learn(Message, frozen=True, tag=1):
    """Know a vocabulary by this digest."""

    digest: str
    tokens: tuple[bytes, ...]  # empty for those that no form allows
    end_id: int


class BuildRegex(Message, frozen=True, tag=2):
    """Build the automaton of texts that match as a whole."""

    vocabulary: str
    pattern: str
    max_seconds: float  # of the process's own time


class BuildChoices(Message, frozen=True, tag=3):
    """Build the automaton of these texts."""

    vocabulary: str
    choices: tuple[str, ...]
    max_seconds: float


class Built(Message, frozen=True, tag=1):
    """What was asked for."""

    automaton: Automaton
    text: TextTable
    seconds: float


class NotBuilt(Message, frozen=True, tag=2):
    """Why it is not built."""

    reason: str


Build = BuildRegex | BuildChoices
COMMANDS = msgspec.msgpack.Decoder(Learn | BuildRegex | BuildChoices)
ANSWERS = msgspec.msgpack.Decoder(Built | NotBuilt)
