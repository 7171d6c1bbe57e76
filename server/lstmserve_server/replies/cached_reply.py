"""A whole reply as it is kept, and the outputs that it once was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec

from lstmserve_server.cache.entry_key import CorruptEntryError
from lstmserve_server.engine.output import Finish, FinishReason, Output, Timings, TokenLogprobs
from lstmserve_server.engine.reply_text import ReplyText
from lstmserve_server.engine.request import Claim

# what a message may hold
TokenId = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
TextEnd = Annotated[int, msgspec.Meta(ge=0)]
NO_TIME = Timings(0.0, 0.0, 0.0, 0.0, 0.0)  # nothing was generated
Scores = tuple[float, tuple[tuple[TokenId, float], ...]]


class CachedReply(msgspec.Struct, frozen=True, array_like=True):
    """One reply. Its text is cut by tokens, so that a replay may begin and pause at any token."""

    text: str
    token_ids: tuple[TokenId, ...]
    text_ends: tuple[TextEnd, ...]  # characters of the text that are out after each token
    logprobs: tuple[Scores, ...]  # one per token, or none
    reason: FinishReason
    stop_sequence: str
    seconds: float  # that the model was at work on it

    @property
    def is_consistent(self) -> bool:
        """Whether its parts fit each other."""
        return (
            0 < len(self.token_ids) == len(self.text_ends)
            and len(self.logprobs) in {0, len(self.token_ids)}
            and list(self.text_ends) == sorted(self.text_ends)
            and self.text_ends[-1] == len(self.text)
        )

    def cut(self, start: int, end: int) -> Output:
        """Return the part of the tokens from start to end, and what comes last with the last."""
        text_start = self.text_ends[start - 1] if start else 0
        return Output(
            self.text[text_start : self.text_ends[end - 1]],
            list(self.token_ids[start:end]),
            [TokenLogprobs(*scores) for scores in self.logprobs[start:end]],
            self._finish if end == len(self.token_ids) else None,
        )

    @property
    def _finish(self) -> Finish:
        return Finish(self.reason, self.stop_sequence, len(self.token_ids), NO_TIME)


def gather(outputs: Sequence[Output], text: ReplyText) -> CachedReply | None:
    """Return a finished reply, made of its outputs. Its text is cut anew.

    None when that gives another text: then something is wrong, and nothing must be kept.
    """
    finish = outputs[-1].finish
    token_ids = tuple(token_id for output in outputs for token_id in output.token_ids)
    parts = [text.push(token_id) for token_id in token_ids]
    whole = "".join(parts)
    if finish is None or whole != "".join(output.text for output in outputs):
        return None
    return CachedReply(
        whole,
        token_ids,
        tuple(_ends(parts)),
        tuple((entry.logprob, entry.top) for output in outputs for entry in output.logprobs),
        finish.reason,
        finish.stop_sequence,
        finish.timings.work_seconds,
    )


def encode_reply(reply: CachedReply) -> bytes:
    return msgspec.msgpack.encode(reply)


def decode_reply(data: bytes) -> CachedReply:
    """Return the reply that these bytes are; raise CorruptEntryError when they are none."""
    try:
        reply = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptEntryError(str(error)) from None
    if not reply.is_consistent:
        raise CorruptEntryError("its parts do not fit each other")
    return reply


_DECODER = msgspec.msgpack.Decoder(CachedReply)


def _ends(parts: Iterable[str]) -> Iterator[int]:
    end = 0
    for part in parts:
        end += len(part)
        yield end


class Replay:
    """Iterates over a reply from a token on: the first alone, then as many as a busy engine
    puts into a message, or all at once.
    """

    def __init__(self, reply: CachedReply, start: int, message_tokens: int | None) -> None:
        """``start`` is below the number of tokens; without ``message_tokens`` all come at once."""
        self._outputs = _cut(reply, start, message_tokens)

    def __aiter__(self) -> Replay:
        return self

    async def __anext__(self) -> Output:
        output = next(self._outputs, None)
        if output is None:
            raise StopAsyncIteration
        return output

    async def aclose(self, num_untold: int = 0) -> None:
        """Do nothing: a replay holds nothing."""

    def amend(self, claim: Claim) -> None:
        """Do nothing: a replay waits for nobody."""


def _cut(reply: CachedReply, start: int, message_tokens: int | None) -> Iterator[Output]:
    num_tokens = len(reply.token_ids)
    end = start + 1 if message_tokens else num_tokens
    while end < num_tokens:
        yield reply.cut(start, end)
        start, end = end, end + (message_tokens or 0)
    yield reply.cut(start, num_tokens)
