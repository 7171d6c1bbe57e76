"""What the server and the process that builds automata tell each other: MessagePack, framed."""

from __future__ import annotations

import msgspec

from lstmserve_server.engine.constraints.automaton import Automaton, TextTable
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.messages import Message

MAX_LEARNED = 16  # versions; with one more all others are forgotten


class RefusedFormError(Exception):
    """A form that is not built; the text says why, as what follows the name of a field."""


class Learn(Message, frozen=True, tag=1):
    """Know the tokens of a version by its digest."""

    version: str
    tokens: tuple[bytes, ...]  # empty for those that no form allows
    end_id: int


class Build(Message, frozen=True, tag=2):
    """Build what a reply must satisfy."""

    version: str
    asked: FormSpec
    max_seconds: float  # of the process's own time


class Built(Message, frozen=True, tag=1):
    """What was asked for, of a regular form."""

    automaton: Automaton
    text: TextTable


class BuiltGrammar(Message, frozen=True, tag=3):
    """What was asked for, of a context-free one."""

    grammar: Grammar


class NotBuilt(Message, frozen=True, tag=2):
    """Why it is not built."""

    reason: str


Answer = Built | BuiltGrammar | NotBuilt
COMMANDS = msgspec.msgpack.Decoder(Learn | Build)
ANSWERS = msgspec.msgpack.Decoder(Answer)
