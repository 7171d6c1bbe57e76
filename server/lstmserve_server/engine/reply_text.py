"""Decides where a reply ends, and which text is safe to send before that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lstmserve_bundle import IncrementalDetokenizer, Tokenizer
from lstmserve_bundle.detokenizer import TokenBytes
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.errors import ResumeMismatchError


def begin_text(
    tokenizer: Tokenizer, end_id: int, request: GenerationRequest, form: Form | None = None
) -> ReplyText:
    """Return the text up to where the reply is to go on.

    Raises ResumeMismatchError when nothing can follow the request's resume_ids.
    """
    resumed, most = request.resume_ids, request.max_tokens
    if form is not None and not form.allows_within(resumed, most):
        raise ResumeMismatchError("resume_tokens: no reply that keeps the form begins with these")
    text = ReplyText(tokenizer, end_id, most, request.stop_sequences, form)
    for token_id in request.resume_ids:
        if text.finish_reason is not None:
            raise ResumeMismatchError("resume_tokens: the reply ends before the last of them")
        text.push(token_id)
    if text.finish_reason is not None:
        raise ResumeMismatchError("resume_tokens: this reply is complete; nothing follows")
    return text


class ReplyText:
    """The text of one reply, token by token.

    What could be the beginning of a stop sequence is held back until it is not. The text released
    after n tokens depends on those n tokens alone, not on how they came. A stop sequence ends a
    reply that keeps a form only where what stands before satisfies it.
    """

    def __init__(
        self,
        tokenizer: TokenBytes,
        end_id: int,
        max_tokens: int,
        stop_sequences: Sequence[str],
        form: Form | None = None,
    ) -> None:
        self._detokenizer = IncrementalDetokenizer(tokenizer)
        self._end_id = end_id
        self._max_tokens = max_tokens
        self._stops = tuple(stop_sequences)
        self._form = form.begin_text() if form is not None and stop_sequences else None
        self._held = ""
        self.num_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.stop_sequence = ""

    def extend(
        self, token_ids: Sequence[int], may_end_at: Sequence[int] = ()
    ) -> tuple[list[int], str]:
        """Add tokens; return those up to where the reply ends, and the text they make safe.

        ``may_end_at`` are the places that only the engine knows (``FormText.learn``).
        """
        if self._form is not None:
            self._form.learn(may_end_at)
        if not self._stops and not self._may_end_within(token_ids):  # then all at once
            self.num_tokens += len(token_ids)
            return list(token_ids), self._detokenizer.push(token_ids)
        taken, text = [], ""
        for token_id in token_ids:
            text += self.push(token_id)
            taken.append(token_id)
            if self.finish_reason is not None:
                break
        return taken, text

    def _may_end_within(self, token_ids: Sequence[int]) -> bool:
        return self.num_tokens + len(token_ids) >= self._max_tokens or self._end_id in token_ids

    def push(self, token_id: int) -> str:
        """Add one token; return the text that it makes safe to send."""
        self._held += self._detokenizer.push([token_id])  # raises for no token of the vocabulary
        self.num_tokens += 1
        if self._stops and self._cut_at_stop():
            return self._release(len(self._held))
        if token_id == self._end_id:
            return self._end(FinishReason.END_OF_TEXT)
        if self.num_tokens >= self._max_tokens:
            return self._end(FinishReason.MAX_TOKENS)
        return self._release(len(self._held) - self._num_held_back())

    def _end(self, reason: FinishReason) -> str:
        self._held += self._detokenizer.finish()
        if not (self._stops and self._cut_at_stop()):
            self.finish_reason = reason
        return self._release(len(self._held))

    def _cut_at_stop(self) -> bool:
        """Return whether the held text contains a stop sequence; cut it before the first."""
        found = min(self._find_stops(), default=None)
        if found is None:
            return False
        position, self.stop_sequence = found
        self._held = self._held[:position]
        self.finish_reason = FinishReason.STOP_SEQUENCE
        return True

    def _find_stops(self) -> Iterator[tuple[int, str]]:
        """Yield where each stop sequence first stands where the reply may end."""
        for stop in self._stops:
            position = self._held.find(stop)
            while position >= 0 and not self._may_end_at(position):
                position = self._held.find(stop, position + 1)
            if position >= 0:
                yield position, stop

    def _may_end_at(self, position: int) -> bool:
        return self._form is None or self._form.is_complete_with(self._held[:position])

    def _num_held_back(self) -> int:
        """Return the length of the longest end of the held text that begins a stop sequence."""
        if not self._stops:
            return 0
        longest = max(map(len, self._stops)) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0

    def _release(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        if self._form is not None:
            self._form.push(text)
        return text
