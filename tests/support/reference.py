"""A decoder to compare the engine with: one request at a time, one token at a time.

It shares no code with the engine but the request it is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch

from lstmserve_server.engine.output import FinishReason, TokenLogprobs
from lstmserve_server.engine.request import GenerationRequest
from support.engines import LoadedModel
from support.reference_form import ReferenceForm, ReferenceGrammar
from support.reference_model import Floats, ReferenceLstm
from support.reference_sampler import choose, log_probabilities
from support.reference_transformer import ReferenceTransformer


@dataclass
class ReferenceReply:
    """What must come of a request; stop sequences are not looked at."""

    reason: FinishReason
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)


State = TypeVar("State")


class ReferenceModel(Protocol[State]):
    """Reads tokens and says what may follow; what it remembers is its own affair."""

    def initial_state(self) -> State:
        """Nothing read."""

    def read(self, state: State, token_id: int) -> State:
        """The state after one more token."""

    def logits(self, state: State) -> Floats:
        """Of the next token: [tokens]."""


def _read_model(model: LoadedModel) -> ReferenceModel[Any]:
    module = torch.jit.load(str(model.bundle.model_path), map_location="cpu")  # type: ignore[no-untyped-call]
    return ReferenceTransformer(module) if hasattr(module, "blocks") else ReferenceLstm(module)


class ReferenceDecoder:
    """Answers requests to one model."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = _read_model(model)
        self._end_id = model.bundle.template.end_id

    def reply(
        self, request: GenerationRequest, form: ReferenceForm | ReferenceGrammar | None = None
    ) -> ReferenceReply:
        """The tokens after ``resume_ids``, up to the end token or ``max_tokens``."""
        reply = ReferenceReply(FinishReason.MAX_TOKENS)
        tokens = list(request.resume_ids)
        state = self._model.initial_state()
        for token_id in (*request.prompt_ids, *tokens):
            state = self._model.read(state, token_id)
        while len(tokens) < request.max_tokens:
            raw = self._model.logits(state)
            token_id = choose(raw, request, tokens, self._end_id, form)
            if isinstance(form, ReferenceGrammar):
                token_id = form.instead(tokens, token_id, request.max_tokens)
            tokens.append(token_id)
            reply.token_ids.append(token_id)
            if request.sampling.num_logprobs is not None:
                reply.logprobs.append(_score(raw, token_id, request.sampling.num_logprobs))
            if token_id == self._end_id:
                reply.reason = FinishReason.END_OF_TEXT
                break
            state = self._model.read(state, token_id)
        return reply

    def logits_after(self, token_ids: tuple[int, ...]) -> Floats:
        """Of the token that follows these: [tokens]."""
        state = self._model.initial_state()
        for token_id in token_ids:
            state = self._model.read(state, token_id)
        return self._model.logits(state)


def _score(raw: Floats, token_id: int, num_top: int) -> TokenLogprobs:
    """Candidates as likely as the last one wanted are all there: equals have no order."""
    logprobs = log_probabilities(raw)
    lowest = sorted(logprobs, reverse=True)[num_top - 1] if num_top else math.inf
    likely = [(token_id, x) for token_id, x in enumerate(logprobs) if x >= lowest]
    likely.sort(key=lambda candidate: -candidate[1])
    return TokenLogprobs(logprobs[token_id], tuple(likely))
