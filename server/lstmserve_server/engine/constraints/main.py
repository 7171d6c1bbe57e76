"""The program of the process that builds automata; ``builder`` starts it with a descriptor.

Patterns are hostile input: memory and time have bounds that the kernel holds, whatever a library
does, and what exceeds them ends this process and no other.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from lstmserve_server.engine.constraints.alphabet import read_token, to_symbols
from lstmserve_server.engine.constraints.byte_automaton import of_choices, of_regex
from lstmserve_server.engine.constraints.completion import SCHEMA_EFFORT
from lstmserve_server.engine.constraints.grammar_builder import GrammarBuilder
from lstmserve_server.engine.constraints.grammar_texts import of_json_schema, of_lark
from lstmserve_server.engine.constraints.messages import (
    COMMANDS,
    MAX_LEARNED,
    Answer,
    Build,
    Built,
    BuiltGrammar,
    Learn,
    NotBuilt,
    RefusedFormError,
)
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.constraints.token_automaton import Vocabulary, of_tokens
from lstmserve_server.engine.messages import Unframer, frame

MAX_MEMORY_BYTES = 1 << 30  # of addresses; some 300 MB are libraries' own
NICENESS = 5  # replies that run go first
OOM_SCORE_FILE = Path("/proc/self/oom_score_adj")
MAX_OOM_SCORE = 1000  # where memory ends, this process goes before those that have replies
RECEIVED_BYTES = 1 << 18


def main(arguments: list[str]) -> None:
    """Build what is asked for until the server closes the socket, or has ended."""
    connection = socket.socket(fileno=int(arguments[0]))
    _bound_memory()
    _step_back()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    versions: dict[str, _Known] = {}
    unframer = Unframer()
    with suppress(ConnectionError):
        while data := connection.recv(RECEIVED_BYTES):
            for message in unframer.add(data):
                match COMMANDS.decode(message):
                    case Learn() as learned:
                        if len(versions) >= MAX_LEARNED:
                            versions.clear()
                        versions[learned.version] = _Known(learned)
                    case Build() as asked:
                        connection.sendall(frame(_build(asked, versions[asked.version])))


def _bound_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = MAX_MEMORY_BYTES if most == resource.RLIM_INFINITY else min(most, MAX_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _step_back() -> None:
    """Let replies that run go first; what a system does not allow, engines have told of."""
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):  # a read-only /proc, or none
        OOM_SCORE_FILE.write_text(str(MAX_OOM_SCORE))


def _build(asked: Build, known: _Known) -> Answer:
    """Build one form; the time that this process works on it has a bound."""
    signal.setitimer(signal.ITIMER_PROF, asked.max_seconds)
    try:
        return _built(asked.asked, known)
    except RefusedFormError as error:
        return NotBuilt(str(error))
    except RecursionError:
        return NotBuilt("nests too many classes of characters; nest fewer of them")
    except MemoryError:
        return NotBuilt("needs too much memory; shorten its repeats, or nest fewer of them")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _built(asked: FormSpec, known: _Known) -> Built | BuiltGrammar:
    if asked.json_schema is not None:
        schema = of_json_schema(asked.json_schema)
        return BuiltGrammar(known.grammars.build(schema, asked.prefix, SCHEMA_EFFORT))
    if asked.grammar is not None:
        return BuiltGrammar(known.grammars.build(of_lark(asked.grammar), asked.prefix))
    if asked.regex is not None and asked.classes:
        return _build_of_classes(asked.regex, dict(asked.classes), known.vocabulary)
    form = of_choices(asked.choices) if asked.regex is None else of_regex(asked.regex)
    return Built(of_tokens(form, known.vocabulary), form.to_text_table())


def _build_of_classes(regex: str, classes: Mapping[str, str], vocabulary: Vocabulary) -> Built:
    """Build a form of classes of characters, over tokens of whole characters."""
    pattern, symbols = to_symbols(regex, classes)
    form = of_regex(pattern)
    tokens = tuple(read_token(token, symbols) for token in vocabulary.tokens)
    automaton = of_tokens(form, Vocabulary(tokens, vocabulary.end_id))
    return Built(automaton, form.to_text_table(symbols))


class _Known:
    """The tokens of a version, for either kind of form."""

    def __init__(self, learned: Learn) -> None:
        self.vocabulary = Vocabulary(learned.tokens, learned.end_id)

    @cached_property
    def grammars(self) -> GrammarBuilder:
        """What builds grammars."""
        return GrammarBuilder(self.vocabulary.tokens, self.vocabulary.end_id)


if __name__ == "__main__":
    main(sys.argv[1:])
