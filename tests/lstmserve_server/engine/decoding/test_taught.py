"""Automata lie side by side in the tensors of the decode loop, and keep apart."""

from __future__ import annotations

from itertools import pairwise

import torch

from lstmserve_server.engine.constraints.byte_automaton import of_choices
from lstmserve_server.engine.constraints.token_automaton import Vocabulary, of_tokens
from lstmserve_server.engine.decoding.constraining import Forms, constrain, follow
from lstmserve_server.engine.decoding.taught import Taught

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,"
END = len(LETTERS)
VOCABULARY = Vocabulary((*(letter.encode() for letter in LETTERS), b""), END)
# each letter leads somewhere else, so each is a class of its own, and the end is one more
PAIRS = [first + second for first, second in pairwise(LETTERS + LETTERS[0])]


def test_as_many_classes_as_tokens_keep_states_apart() -> None:
    automaton = of_tokens(of_choices(PAIRS), VOCABULARY)
    taught = Taught(len(VOCABULARY.tokens))
    for digest in (b"one", b"two"):
        taught.teach(digest, automaton)
    automata = taught.automata
    assert bool((automata.keys[1:] > automata.keys[:-1]).all())
    places = [taught.place_of(digest) for digest in (b"one", b"two")]
    for number, letter in enumerate(LETTERS):
        forms = Forms(
            torch.arange(2),
            torch.zeros(0, dtype=torch.int64),
            torch.tensor([place.number for place in places]),
            torch.tensor([place.first_state + automaton.start for place in places]),
            torch.full((2,), 9),
            automata,
        )
        after = LETTERS.index(PAIRS[number][1])
        assert letter == PAIRS[number][0]
        for token, expected in ((number, after), (after, END), (END, END)):
            follow(torch.tensor([token, token]), forms)
            for left in (9, 1):  # also where only the shortest way is left
                assert allowed(forms, left) == [[expected], [expected]]


def allowed(forms: Forms, left: int) -> list[list[int]]:
    """The tokens that rows may choose which have so many left."""
    # as if the way might be too long
    facts = forms.automata.facts.index_fill(1, torch.tensor([2]), left)
    near = forms._replace(automata=forms.automata._replace(facts=facts))
    logits = torch.zeros(2, len(VOCABULARY.tokens))
    constrain(logits, torch.tensor([left, left]), near)
    return [row.nonzero().flatten().tolist() for row in logits.isfinite()]
