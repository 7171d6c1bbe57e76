"""From an automaton over bytes to one over the tokens of a vocabulary."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lstmserve_server.engine.constraints.automaton import NEVER, Automaton
from lstmserve_server.engine.constraints.byte_automaton import NOWHERE, ByteAutomaton
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.token_trie import Integers, Level, make_levels

MAX_STEPS = 12_000_000  # a token from a state each
MAX_BYTES = 16 << 20  # of an automaton
MAX_CLASS = np.iinfo(np.uint16).max
STATES_AT_ONCE = 2048
HASH_BITS = 31  # sums of two million of them are whole numbers as floats
NUM_HASHES = 3
MASKS_AT_ONCE = 1024

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Steps:
    """What tokens do: each leads from a state to a state."""

    source: Integers
    label: Integers  # a token, or a class of tokens
    target: Integers

    def __len__(self) -> int:
        return len(self.source)

    def take(self, which: npt.NDArray[np.bool_] | Integers) -> Steps:
        return Steps(self.source[which], self.label[which], self.target[which])


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that forms may allow, and the one that ends a reply."""

    tokens: tuple[bytes, ...]  # by number; empty for those that are never allowed
    end_id: int


def of_tokens(form: ByteAutomaton, vocabulary: Vocabulary) -> Automaton:
    """Return the automaton over tokens; raises RefusedFormError."""
    texts, text_of_token = _join_tokens(form, vocabulary.tokens)
    found = _concatenate(list(_walk(form, make_levels(texts))))
    class_of_text, steps = _classify(found, len(texts) + 1)
    distances = _distances(form.accepts, steps)
    if distances[form.start] == NEVER:
        raise RefusedFormError("is satisfied by no text that tokens of this model make up")
    steps = steps.take(distances[steps.target] < NEVER)
    steps, classes = _with_end(steps, class_of_text[text_of_token], form, vocabulary.end_id)
    return _to_automaton(form, steps, classes, distances)


def _join_tokens(form: ByteAutomaton, tokens: Sequence[bytes]) -> tuple[list[bytes], Integers]:
    """Return the tokens as bytes' classes, ascending, each once, and which of them each token is.

    One that no text of the form holds is the text behind the last.
    """
    dead = bytes(np.nonzero((form.nexts == NOWHERE).all(axis=0))[0].tolist())
    is_dead = re.compile(b"[%s]" % re.escape(dead)) if dead else re.compile(rb"(?!)")
    joined = [token.translate(form.byte_classes) for token in tokens]
    texts = sorted({text for text in joined if text and not is_dead.search(text)})
    number_of = {text: number for number, text in enumerate(texts)}
    return texts, np.array([number_of.get(text, len(texts)) for text in joined])


def _to_automaton(
    form: ByteAutomaton, steps: Steps, classes: Integers, distances: Integers
) -> Automaton:
    num_states = len(form.accepts)
    first = np.searchsorted(steps.source, np.arange(num_states + 1))
    worst = np.zeros(num_states, np.int64)
    has_steps = first[:-1] < first[1:]
    worst[has_steps] = np.maximum.reduceat(distances[steps.target], first[:-1][has_steps])
    mask_ids, masks = _masks(steps, classes, num_states)
    automaton = Automaton(
        form.start,
        _bytes(first, np.int32),
        _bytes(steps.label, np.uint16),
        _bytes(steps.target, np.int32),
        _bytes(mask_ids, np.int32),
        _bytes(distances, np.int32),
        _bytes(worst, np.int32),
        masks.tobytes(),
        _bytes(classes, np.uint16),
    )
    if automaton.num_bytes > MAX_BYTES:
        raise RefusedFormError(
            f"needs tables of {automaton.num_bytes} bytes for this model's tokens, and at most "
            f"{MAX_BYTES} are kept; make it simpler"
        )
    return automaton


def _bytes(values: Integers, kind: type[np.integer]) -> bytes:
    return values.astype(kind).tobytes()


# --- what tokens do --------------------------------------------------------------------------


def _walk(form: ByteAutomaton, levels: Sequence[Level]) -> Iterator[Steps]:
    """Yield all steps: states go down the trie side by side, as long as their bytes fit."""
    num_steps = 0
    for begin in range(0, len(form.accepts), STATES_AT_ONCE):
        source = np.arange(begin, min(begin + STATES_AT_ONCE, len(form.accepts)))
        state, node = source, np.zeros(len(source), np.int64)
        for level, below in pairwise(levels):
            owner, node = _spread(node, level.first_child)
            following = form.nexts[state[owner], below.byte[node]]
            fits = following != NOWHERE
            source, node = source[owner[fits]], node[fits]
            state = following[fits].astype(np.int64)
            steps = _ended(source, state, node, below)
            num_steps += len(steps)
            if num_steps > MAX_STEPS:
                raise RefusedFormError(
                    f"allows more than {MAX_STEPS} steps of this model's tokens between its "
                    "states; shorten its repeats"
                )
            yield steps


def _ended(source: Integers, state: Integers, node: Integers, level: Level) -> Steps:
    """Return the steps of the tokens that end at these nodes."""
    owner, place = _spread(node, level.first_text)
    return Steps(source[owner], level.texts[place], state[owner])


def _spread(node: Integers, first: Integers) -> tuple[Integers, Integers]:
    """Return all that belongs to some nodes, with the place of the node that it belongs to."""
    begin = first[node]
    counts = first[node + 1] - begin
    owner = np.repeat(np.arange(len(node)), counts)
    ends = np.cumsum(counts)
    within = np.arange(len(owner)) - np.repeat(ends - counts, counts)
    return owner, begin[owner] + within


def _concatenate(parts: list[Steps]) -> Steps:
    none = np.zeros(0, np.int64)
    return Steps(
        np.concatenate([none, *(part.source for part in parts)]),
        np.concatenate([none, *(part.label for part in parts)]),
        np.concatenate([none, *(part.target for part in parts)]),
    )


# --- which tokens do the same -----------------------------------------------------------------


def _classify(steps: Steps, num_tokens: int) -> tuple[Integers, Steps]:
    """Return the class of each token, and the steps of classes, by state and class.

    Tokens are told apart by sums of random numbers of their steps, 93 bits of them.
    """
    sums = _hash_sums(steps, steps.label, num_tokens)
    _, examples, classes = np.unique(sums, axis=0, return_index=True, return_inverse=True)
    classes = classes.reshape(-1)
    is_example = np.zeros(num_tokens, np.bool_)
    is_example[examples] = True
    kept = steps.take(is_example[steps.label])
    kept = Steps(kept.source, classes[kept.label], kept.target)
    return classes, kept.take(np.lexsort((kept.label, kept.source)))


def _hash_sums(steps: Steps, owner: Integers, count: int) -> Floats:
    """Return sums of random numbers of what each owner has: its steps but for itself."""
    other = steps.source if owner is steps.label else steps.label
    pair = (other << 32) ^ steps.target
    sums = np.empty((count, NUM_HASHES))
    for number in range(NUM_HASHES):
        sums[:, number] = np.bincount(owner, _hash(pair, _KEYS[number]), count)
    return sums


_KEYS = [secrets.randbits(64) for _ in range(NUM_HASHES)]


def _hash(values: Integers, key: int) -> Floats:
    """Mix whole numbers, as SplitMix64 does; -> numbers of ``HASH_BITS``."""
    x = values.astype(np.uint64) + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(64 - HASH_BITS)).astype(np.float64)


# --- how far it is to completion --------------------------------------------------------------


def _distances(accepts: npt.NDArray[np.bool_], steps: Steps) -> Integers:
    """Return the fewest tokens from each state to a complete one; NEVER where there is none."""
    backwards = np.argsort(steps.target, kind="stable")
    sources = steps.source[backwards]
    first = np.searchsorted(steps.target[backwards], np.arange(len(accepts) + 1))
    distances = np.where(accepts, 0, NEVER).astype(np.int64)
    reached = np.nonzero(accepts)[0]
    distance = 0
    while len(reached):
        distance += 1
        _, places = _spread(reached, first)
        before = sources[places]
        before = before[distances[before] == NEVER]
        distances[before] = distance
        reached = np.unique(before)
    return distances


# --- tables -----------------------------------------------------------------------------------


def _with_end(
    steps: Steps, classes: Integers, form: ByteAutomaton, end_id: int
) -> tuple[Steps, Integers]:
    """Allow the end token, which is a class of its own, where the form is complete."""
    end_class = int(classes.max()) + 1
    if end_class > MAX_CLASS:
        raise RefusedFormError(f"tells more than {MAX_CLASS} tokens of this model apart")
    classes = classes.copy()
    classes[end_id] = end_class
    complete = np.nonzero(form.accepts)[0]
    joined = _concatenate([steps, Steps(complete, np.full(len(complete), end_class), complete)])
    return joined.take(np.argsort(joined.source, kind="stable")), classes


def _masks(steps: Steps, classes: Integers, num_states: int) -> tuple[Integers, Bits]:
    """Return which set of tokens each state allows, and the sets as bits."""
    same = Steps(steps.source, steps.label, np.zeros(len(steps), np.int64))
    sums = _hash_sums(same, same.source, num_states)
    _, examples, mask_ids = np.unique(sums, axis=0, return_index=True, return_inverse=True)
    row_of = np.full(num_states, -1)
    row_of[examples] = np.arange(len(examples))
    if len(examples) * len(classes) // 8 > MAX_BYTES:
        raise RefusedFormError(
            f"has {len(examples)} states that allow different tokens, and their sets must not "
            f"take more than {MAX_BYTES} bytes; make it simpler"
        )
    kept = steps.take(row_of[steps.source] >= 0)
    is_allowed = np.zeros((len(examples), int(classes.max()) + 1), np.bool_)
    is_allowed[row_of[kept.source], kept.label] = True
    parts = [
        np.packbits(is_allowed[row : row + MASKS_AT_ONCE][:, classes], axis=1, bitorder="little")
        for row in range(0, len(examples), MASKS_AT_ONCE)
    ]
    return mask_ids.reshape(-1), np.concatenate(parts)
