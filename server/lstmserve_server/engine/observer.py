"""What the engine tells to whoever counts, and which replies it measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from lstmserve_server.engine.output import FinishReason, Output, TokenLogprobs
from lstmserve_server.engine.reply import Reply
from lstmserve_server.engine.request import GenerationRequest


class EngineObserver(Protocol):
    """Told what the engine does; must be quick and must not raise."""

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        """Tell that a decode call over this many rows and steps took so long."""

    def on_drafted(self, guessed: int, right: int) -> None:
        """Tell that the call guessed tokens ahead, and how many of them were right."""

    def on_wasted(self, tokens: int, reason: str) -> None:
        """Tell that tokens were decoded for nobody."""

    def on_scored(self, nats: Sequence[float]) -> None:
        """Tell further tokens of a measured reply, by their negative log-probabilities."""

    def on_measured(self, text: str, reason: FinishReason) -> None:
        """Tell that a measured reply is complete."""

    def on_restart(self, reason: str) -> None:
        """Tell that the engine's process has ended, and why (``launcher.REASONS``)."""

    def on_cancelled(self, seconds: float) -> None:
        """Tell how long after its caller left, or its deadline passed, a reply was gone."""


class Measuring:
    """Chooses replies whose tokens' log-probabilities are looked at for quality.

    Scoring a token takes about as long as choosing it, so only so many a second are scored.
    They are chosen by the time that passes, whatever they are. A measured reply is the same reply,
    and its reader does not get what it has not asked for.
    """

    def __init__(self, tokens_per_second: float, observer: EngineObserver) -> None:
        """Score about so many tokens a second; 0 for none."""
        self._tokens_per_second = tokens_per_second
        self._observer = observer
        self._free_at = -math.inf  # when the tokens of those chosen so far have been allowed for

    def chooses(self, request: GenerationRequest, now: float) -> bool:
        """Return whether to measure the reply to a request that comes now.

        Not one that is resumed, nor one that keeps a form: it says what the caller wants.
        """
        is_own = not request.resume_ids and not request.form_digest
        if not self._tokens_per_second or not is_own or now < self._free_at:
            return False
        # for the most that it may have: no more than that is known of one that never ends well
        self._free_at = now + request.max_tokens / self._tokens_per_second
        return True

    def tell(self, reply: Reply, output: Output, logprobs: Sequence[TokenLogprobs]) -> None:
        """Tell that a measured reply has gone on by an output with these log-probabilities."""
        self._observer.on_scored([-entry.logprob for entry in logprobs[: len(output.token_ids)]])
        reply.measured_text += output.text
        if output.finish is not None:
            num_spared = reply.request.max_tokens - output.finish.num_tokens
            self._free_at -= num_spared / self._tokens_per_second
            self._observer.on_measured(reply.measured_text, output.finish.reason)
