"""Lets rows choose only what their forms allow, in TorchScript.

A form is an automaton over tokens (docs/adr/0013-constraints.md). All that are taught lie in the
same tensors, and a state is a number among the states of all of them. Rows without a form take no
part. TorchScript reads the annotations of a NamedTuple as types, so this module does not import
``annotations`` from ``__future__``.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Automata(NamedTuple):
    """All that were taught: s states, e transitions, n and m sets of allowed tokens, a automata."""

    keys: Tensor  # int64 [e], ascending: state * most_classes(tokens) + class
    nexts: Tensor  # int32 [e]: the states they lead to
    facts: Tensor  # int32 [s, 3]: the set that is allowed, the distance to completion, the worst
    biases: Tensor  # float32 [n, tokens]: what sets add to logits, 0 or minus infinity
    masks: Tensor  # uint8 [m, tokens / 8]: of automata with many sets, a bit for each token
    classes: Tensor  # int64 [a, tokens]: of each token in each automaton
    bits: Tensor  # float32 [256, 8]: what the bits of a byte add to logits, lowest first


class Forms(NamedTuple):
    """The rows that keep a form, c of them."""

    rows: Tensor  # int64 [c]
    packed: Tensor  # int64 [p]: places among them, of those whose automaton has many sets
    number: Tensor  # int64 [c]: of the automaton
    state: Tensor  # int64 [c]: kept up to date
    max_tokens: Tensor  # int64 [c]: of the whole reply
    automata: Automata


def most_classes(num_tokens: int) -> int:
    """Return how many classes of tokens there may be: the end and what no form allows are two."""
    return num_tokens + 2


def constrain(logits: Tensor, left: Tensor, forms: Forms) -> None:
    """Rule out what forms do not allow; logits [rows, tokens] are overwritten.

    ``left`` int64 [c] are the tokens that the reply may still have, with the one to choose.
    """
    facts = forms.automata.facts.index_select(0, forms.state)
    bias = bias_of(facts[:, 0], forms)
    # a row that has ended goes on until the call ends, and has nothing left
    is_near = (facts[:, 2] >= left) & (left > 0)
    near = torch.nonzero(is_near).squeeze(1)
    if near.shape[0] > 0:
        bias.index_copy_(0, near, bias_near_end(left[near], near, forms))
    if forms.rows.shape[0] == logits.shape[0]:
        logits.add_(bias)
    else:
        logits.index_add_(0, forms.rows, bias)


def bias_of(sets: Tensor, forms: Forms) -> Tensor:
    """Return what sets of allowed tokens add to logits, int32 [c] -> float32 [c, tokens]."""
    automata = forms.automata
    if forms.packed.shape[0] == 0:
        return automata.biases.index_select(0, sets)
    masks = automata.masks.index_select(0, sets[forms.packed])
    unpacked = torch.embedding(automata.bits, masks.view(-1).to(torch.int32))
    unpacked = unpacked.view(masks.shape[0], automata.biases.shape[1])
    if forms.packed.shape[0] == sets.shape[0]:
        return unpacked
    bias = automata.biases.index_select(0, sets.index_fill(0, forms.packed, 0))
    return bias.index_copy_(0, forms.packed, unpacked)


def bias_near_end(left: Tensor, near: Tensor, forms: Forms) -> Tensor:
    """Return what is added to logits where only some ways are short enough; [n, tokens].

    ``near`` int64 [n] are places among the forms, and ``left`` their tokens, one at least.
    """
    automata, state = forms.automata, forms.state[near]
    width = most_classes(automata.classes.shape[1])
    begin = torch.searchsorted(automata.keys, state * width)
    counts = torch.searchsorted(automata.keys, (state + 1) * width) - begin
    owner = torch.arange(near.shape[0]).repeat_interleave(counts)
    place = torch.arange(owner.shape[0]) + (begin - (counts.cumsum(0) - counts))[owner]
    following = automata.nexts.take(place).to(torch.int64)
    is_short = automata.facts[:, 1].take(following) < left[owner]
    allowed = owner * width + automata.keys.take(place) % width
    bias = torch.full((near.shape[0], width), -float("inf"))  # of classes
    bias.view(-1).index_fill_(0, allowed[is_short], 0.0)
    return bias.gather(1, automata.classes.index_select(0, forms.number[near]))


def follow(tokens: Tensor, forms: Forms) -> None:
    """Go to the states after what was chosen; tokens int64 [rows]."""
    automata = forms.automata
    num_tokens = automata.classes.shape[1]
    token_class = automata.classes.take(forms.number * num_tokens + tokens[forms.rows])
    keys = forms.state * most_classes(num_tokens) + token_class
    place = torch.searchsorted(automata.keys, keys)
    forms.state.copy_(automata.nexts.take(place))
