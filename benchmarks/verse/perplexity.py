"""How probable a version finds poems, by itself and among what a form allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lstmserve_bundle import Bundle, open_bundle
from lstmserve_server.engine.constraints.automaton import Automaton
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_training.export import load_module
from lstmserve_training.stepper import Stepper

Poem = tuple[str, str]  # a form, and a text that keeps it


def perplexities(folder: Path, poems: Sequence[Poem]) -> tuple[int, float, float]:
    """Return how many poems could be read, and their perplexity without and with their forms.

    Poems with characters that are no tokens are left out: no reply of a form has those.
    """
    bundle = open_bundle(folder)
    with closing(ProcessBuilder()) as builder:
        built = {
            name: builder.build(FormSpec.of(form), bundle).taught
            for name, form in bundle.forms.items()
        }
    automata = {name: taught for name, taught in built.items() if isinstance(taught, Automaton)}
    model = load_module(bundle.model_path)
    found = [
        _nats(model, bundle, automata[form], token_ids)
        for form, text in poems
        if automata[form].walk(token_ids := bundle.tokenizer.encode(text)) is not None
    ]
    free, kept = (float(torch.cat(parts).double().mean()) for parts in zip(*found, strict=True))
    return len(found), math.exp(free), math.exp(kept)


@torch.no_grad()
def _nats(
    model: Stepper, bundle: Bundle, automaton: Automaton, token_ids: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the negative log-likelihood of each token and of the end, without and with a form."""
    allowed = _Allowed(automaton)
    end_id = bundle.template.end_id
    state, place = model.initial_state(1), automaton.start
    free, kept = [], []
    for read, target in zip([end_id, *token_ids], [*token_ids, end_id], strict=True):
        logits, state = model.step(state, torch.tensor([read]))
        free.append(-logits.log_softmax(1)[0, target])
        within = logits.masked_fill(~allowed.tokens(place), -math.inf)
        kept.append(-within.log_softmax(1)[0, target])
        following = automaton.walk([target], place)
        if following is None:
            raise ValueError("a poem that its form does not allow")
        place = following
    return torch.stack(free), torch.stack(kept)


class _Allowed:
    """The tokens that the states of an automaton allow."""

    def __init__(self, automaton: Automaton) -> None:
        self._sets = np.frombuffer(automaton.mask_ids, np.int32)
        width = len(automaton.token_classes) // 16
        self._masks = np.frombuffer(automaton.masks, np.uint8).reshape(-1, width)

    def tokens(self, state: int) -> Tensor:
        """Return bool [tokens]."""
        bits = np.unpackbits(self._masks[self._sets[state]], bitorder="little")
        return torch.from_numpy(bits.astype(np.bool_))
