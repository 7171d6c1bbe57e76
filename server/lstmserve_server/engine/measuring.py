"""Which replies are measured: those whose tokens' log-probabilities are looked at for quality.

Scoring a token takes about as long as choosing it, so only so many a second are scored. A
measured reply is the same reply, and its reader does not get what it has not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as List

from lstmserve_server.engine.observer import EngineObserver
from lstmserve_server.engine.output import Output, TokenLogprobs
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.engine.sequence import Sequence


class Measuring:
    """Chooses replies by the time that passes, whatever they are; tells what came of them."""

    def __init__(self, tokens_per_second: float, observer: EngineObserver) -> None:
        """``tokens_per_second``: 0 for none."""
        self._tokens_per_second = tokens_per_second
        self._observer = observer
        self._free_at = -math.inf  # when the tokens of those chosen so far have been allowed for

    def chooses(self, request: GenerationRequest, now: float) -> bool:
        """Whether to measure the reply to a request that comes now; the rest of one never is."""
        if not self._tokens_per_second or request.resume_ids or now < self._free_at:
            return False
        # by the most that it may have: nothing need be remembered of it
        self._free_at = now + request.max_tokens / self._tokens_per_second
        return True

    def tell(self, reply: Sequence, output: Output, logprobs: List[TokenLogprobs]) -> None:
        """A measured reply has gone on by an output, with these log-probabilities."""
        self._observer.on_scored([-entry.logprob for entry in logprobs[: len(output.token_ids)]])
        reply.measured_text += output.text
        if output.finish is not None:
            self._observer.on_measured(reply.measured_text, output.finish.reason)
