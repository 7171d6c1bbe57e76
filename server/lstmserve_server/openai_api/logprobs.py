"""Log-probabilities as completions and as chats tell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lstmserve.v1 import generation_service_pb2 as pb

BROKEN = "\ufffd"  # stands for bytes that are no whole character


def to_completion_logprobs(entries: Sequence[pb.TokenLogprobs]) -> dict[str, Any]:
    """Return lists of one value a token. Where tokens begin in the text is not told: a token may
    be a part of a character, and text may be held back.
    """
    return {
        "tokens": [entry.text for entry in entries],
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": [{each.text: each.logprob for each in entry.top} for entry in entries],
        "text_offset": None,
    }


def to_chat_logprobs(entries: Sequence[pb.TokenLogprobs]) -> dict[str, Any]:
    """Return a list with an object for each token."""
    return {
        "content": [
            {
                **_describe(entry.text, entry.logprob),
                "top_logprobs": [_describe(each.text, each.logprob) for each in entry.top],
            }
            for entry in entries
        ],
        "refusal": None,
    }


def _describe(text: str, logprob: float) -> dict[str, Any]:
    known = None if BROKEN in text else [*text.encode()]
    return {"token": text, "logprob": logprob, "bytes": known}
