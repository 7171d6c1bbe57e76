"""From a regular expression, or from choices, to a deterministic automaton over bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from outlines_core import Index, Vocabulary

from lstmserve_server.engine.constraints.automaton import OUTSIDE, TextTable
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.pattern import SENTINEL, prepare

Transitions = Mapping[int, Mapping[int, int]]
Table = npt.NDArray[np.int32]
Marks = npt.NDArray[np.bool_]

NUM_BYTES = 256
MAX_STATES = 1 << 16  # a table of them over all bytes has 64 MiB
NOWHERE = OUTSIDE
_BYTES = Vocabulary(NUM_BYTES, {bytes([byte]): [byte] for byte in range(NUM_BYTES)})


@dataclass(frozen=True)
class ByteAutomaton:
    """A state for each beginning of a text, as far as beginnings differ."""

    start: int
    byte_classes: bytes  # [256]: bytes of one class lead to the same state from every state
    nexts: Table  # [states, classes]; NOWHERE for none
    accepts: Marks  # [states]

    def to_text_table(self, symbols: Mapping[str, str] | None = None) -> TextTable:
        """Return what reads texts without numpy; ``symbols`` are those that it is over."""
        accepts = self.accepts.astype(np.uint8).tobytes()
        pairs = sorted((symbols or {}).items())
        return TextTable(
            self.start,
            self.byte_classes,
            self.nexts.tobytes(),
            accepts,
            "".join(character for character, _ in pairs),
            "".join(symbol for _, symbol in pairs),
        )


def of_regex(pattern: str) -> ByteAutomaton:
    """Return the automaton of whole texts that match; raises RefusedFormError."""
    try:
        index = Index(prepare(pattern), _BYTES)
    except ValueError as error:
        raise RefusedFormError(_explain(str(error))) from None
    transitions = index.get_transitions()
    if len(transitions) > MAX_STATES:
        raise RefusedFormError(
            f"needs {len(transitions)} states, and at most {MAX_STATES} are built; shorten its "
            "repeats"
        )
    finals, initial = index.get_final_states(), index.get_initial_state()
    # in order: where a reply begins is part of its key, on every server the same
    found = sorted(transitions.keys() - finals - {initial})
    names = {name: number for number, name in enumerate(found)}
    accepts = np.array([transitions[name].get(SENTINEL) in finals for name in names])
    start = names[transitions[initial][SENTINEL]]
    return _join_bytes(start, _to_table(transitions, names), accepts)


def _to_table(transitions: Transitions, names: Mapping[int, int]) -> Table:
    """Return the state after each byte in each state, [states, 256]: none after the sentinel."""
    number_of = np.full(max(transitions) + 1, NOWHERE, np.int32)
    number_of[list(names)] = list(names.values())
    nexts = np.full((len(names), NUM_BYTES), NOWHERE, np.int32)
    for name, number in names.items():
        row = transitions[name]
        following = np.fromiter(row.values(), np.int64, len(row))
        nexts[number, np.fromiter(row.keys(), np.int64, len(row))] = number_of[following]
    nexts[:, SENTINEL] = NOWHERE  # also where the pattern itself names it
    return nexts


def _join_bytes(start: int, nexts: Table, accepts: Marks) -> ByteAutomaton:
    """Return the automaton whose table has a column for each byte, [states, 256]."""
    columns = np.ascontiguousarray(nexts.T)
    numbers: dict[bytes, int] = {}
    classes = [numbers.setdefault(column.tobytes(), len(numbers)) for column in columns]
    examples = [classes.index(number) for number in numbers.values()]
    return ByteAutomaton(start, bytes(classes), np.ascontiguousarray(nexts[:, examples]), accepts)


def of_choices(choices: Sequence[str]) -> ByteAutomaton:
    """Return the automaton of these texts and no others; raises RefusedFormError."""
    rows: list[dict[int, int]] = [{}]
    ends = set[int]()
    for choice in choices:
        state = 0
        for byte in choice.encode():
            following = rows[state].get(byte)
            if following is None:
                following = rows[state][byte] = len(rows)
                rows.append({})
            state = following
        ends.add(state)
    if len(rows) > MAX_STATES:
        raise RefusedFormError(
            f"have {len(rows)} different beginnings, and at most {MAX_STATES} are built; send "
            "fewer or shorter ones"
        )
    nexts = np.full((len(rows), NUM_BYTES), NOWHERE, np.int32)
    for number, row in enumerate(rows):
        nexts[number, list(row)] = list(row.values())
    accepts = np.zeros(len(rows), np.bool_)
    accepts[list(ends)] = True
    return _join_bytes(0, nexts, accepts)


def _explain(reason: str) -> str:
    """Return what is wrong with a pattern, in one line."""
    if "start state" in reason:
        return (
            "has a look at what stands before the reply; leave it out: the whole reply must match"
        )
    if "no transitions from state" in reason:
        return "is satisfied by no text"
    if "word boundaries" in reason:
        return "has a word boundary (\\b), which no automaton over bytes of UTF-8 knows"
    if "error building NFA" in reason or "parse" in reason:
        return (
            "cannot be read as a regular expression (https://docs.rs/regex/latest/regex/#syntax), "
            "or is too large; a repeat without what it repeats, an unknown escape or class, a name "
            "that comes twice and limits in the wrong order cannot be read"
        )
    return f"cannot be built: {' '.join(reason.split())[:200]}"
