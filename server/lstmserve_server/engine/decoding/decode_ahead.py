"""Decodes one row several tokens at a time, for models that can read ahead. TorchScript."""

from __future__ import annotations

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.decode_loop import DecodeLoop
from lstmserve_server.engine.decoding.drafts import guess
from lstmserve_server.engine.decoding.row_params import RowParams
from lstmserve_server.engine.decoding.sampler import Scores, choose, forbid_end, score


class DecodeAheadLoop(DecodeLoop):
    """Guesses what follows, and reads the guesses together with the token before them.

    That costs less than a step for each: the products of what does not recur, the output layer
    above all, read their weights once for all of them.
    """

    @torch.jit.export
    def decode_alone(
        self,
        pool: Tensor,
        place: int,
        recent: list[int],
        position: int,
        params: RowParams,
        steps: int,
        least_steps: int,
        arrivals: Tensor,
        num_known: int,
        drafts: Tensor,
        max_drafts: int,
    ) -> tuple[list[list[int]], list[Scores], tuple[int, int]]:
        """Do what ``forward`` does, for one row without penalties, bias or form.

        ``recent`` are its last tokens, of which the last one is to be read; what may follow them
        stands in ``drafts``. -> the tokens and scores of ``forward``, how many tokens were guessed,
        and how many of them were right.
        """
        own = pool[place : place + 1]
        state = own
        random = self._draw_numbers(torch.tensor([position]), params, steps)
        is_too_early = torch.arange(position, position + steps) < params.min_tokens
        made: list[int] = []
        scores: list[Scores] = []
        num_guessed, num_kept = 0, 0
        while len(made) < steps:
            begin = len(made)
            most = min(max_drafts, steps - begin - 1)
            read = recent[-1:] + guess(drafts, recent, most, self.end_id)
            end = begin + len(read)
            logits, states = self._read(state, torch.tensor(read))
            early, u = is_too_early[begin:end], random[:, begin:end].flatten(0, 1)
            chosen, some = self._choose_steps(logits, early, u, params)
            kept = num_confirmed(read, chosen)
            made += chosen[:kept]
            recent = recent + chosen[:kept]
            scores.extend(some[:kept])
            num_guessed += len(read) - 1
            num_kept += kept - 1
            state = states[kept - 1 : kept]
            if made[-1] == self.end_id:
                break
            if len(made) >= least_steps and int(arrivals) != num_known:
                break
        if not state.is_set_to(own):
            own.copy_(state)
        return [[token] for token in made], scores, (num_guessed, num_kept)

    def _read(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens of one row, int64 [T] -> logits [T, tokens], states [T, S]."""
        if tokens.shape[0] > 1:
            ahead: tuple[Tensor, Tensor] = self.model.read_ahead(state, tokens)
            return ahead
        step: tuple[Tensor, Tensor] = self.model.step(state, tokens)  # which copies no state
        return step

    def _choose_steps(
        self, logits: Tensor, early: Tensor, u: Tensor, params: RowParams
    ) -> tuple[list[int], list[Scores]]:
        """Choose the token of each step of a row, from logits [steps, tokens], and score it."""
        is_scored = params.scored.shape[0] > 0
        raw = logits.clone() if is_scored else logits  # before anything is done to them
        if params.any_min_tokens:
            forbid_end(logits, early, self.end_id)
        tokens = choose(logits, u, _repeated(params, logits.shape[0]))
        scores: list[Scores] = []
        if is_scored:
            for step in range(tokens.shape[0]):
                own, token = raw[step : step + 1], tokens[step : step + 1]
                scores.append(score(own, token, self.num_top))
        chosen: list[int] = tokens.tolist()
        return chosen, scores


def num_confirmed(read: list[int], chosen: list[int]) -> int:
    """Return how many of the chosen tokens count: each followed what was indeed chosen before it.

    ``chosen`` follows ``read``, whose first token is no guess; TorchScript.
    """
    number = 1
    while number < len(read) and read[number] == chosen[number - 1]:
        number += 1
    return number


def _repeated(params: RowParams, count: int) -> RowParams:
    """Return the parameters of one row, without adjustments or a form, for so many steps.

    What broadcasts stays as it is. TorchScript.
    """
    steps = torch.arange(count)
    is_filtered = params.filtered.shape[0] > 0
    return RowParams(
        sampled=steps if params.sampled.shape[0] > 0 else params.sampled,
        stream=params.stream,
        sharpness=params.sharpness,
        filtered=steps if is_filtered else params.filtered,
        top_k=params.top_k.expand(count, 1) if is_filtered else params.top_k,
        top_p=params.top_p.expand(count, 1) if is_filtered else params.top_p,
        min_p=params.min_p.expand(count, 1) if is_filtered else params.min_p,
        any_ranked=params.any_ranked,
        adjusted=params.adjusted,
        bias=params.bias,
        any_repetition=params.any_repetition,
        repetition_of_seen=params.repetition_of_seen,
        repetition=params.repetition,
        any_counted=params.any_counted,
        frequency=params.frequency,
        counts=params.counts,
        presence_of_seen=params.presence_of_seen,
        presence=params.presence,
        min_tokens=params.min_tokens,
        any_min_tokens=params.any_min_tokens,
        scored=params.scored,
        forms=params.forms,
        grammars=params.grammars,
    )
