"""Replies in OpenAI's words: what is the same for whole ones and for streams."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.logprobs import (
    to_chat_logprobs,
    to_completion_logprobs,
)
from lstmserve_server.openai_api.models import join_id
from lstmserve_server.rpc.open_inference.signature import to_word

FINISH_REASONS = {
    pb.FINISH_REASON_END_OF_TEXT: "stop",
    pb.FINISH_REASON_STOP_SEQUENCE: "stop",
    pb.FINISH_REASON_MAX_TOKENS: "length",
}
Entries = Iterable[pb.TokenLogprobs]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """What a response is called, and how its choices look."""

    is_chat: bool
    request_id: str
    is_constrained: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    def begin(self, started: pb.Started, *, is_streamed: bool) -> Json:
        """Return what stands at the head of a response, or of each piece of one."""
        if self.is_chat:
            kind, prefix = "chat.completion.chunk" if is_streamed else "chat.completion", "chatcmpl"
        else:
            kind, prefix = "text_completion", "cmpl"
        return {
            "id": f"{prefix}-{self.request_id}",
            "object": kind,
            "created": self.created,
            "model": join_id(started.model, started.model_version),
            "system_fingerprint": started.model_digest,
        }

    def to_logprobs(self, entries: Entries) -> Json | None:
        """Return the log-probabilities of some tokens; None where nobody asked for them."""
        found = [*entries]
        if not found:
            return None
        return to_chat_logprobs(found) if self.is_chat else to_completion_logprobs(found)

    def tell_reason(self, completion: pb.Completion) -> str:
        """Return why a reply ended. One that keeps a form is complete wherever that was, and
        clients take no value out of a reply of whatever length that says "length".
        """
        return "stop" if self.is_constrained else FINISH_REASONS[completion.finish_reason]

    def write_whole(self, replies: list[pb.GenerateReplyResponse]) -> Json:
        """Return one response to all prompts of a request."""
        choices = [choice for reply in replies for choice in (reply, *reply.alternatives)]
        return {
            **self.begin(replies[0].started, is_streamed=False),
            "choices": [self._write_choice(*each) for each in enumerate(choices)],
            "usage": sum_usage(replies, choices),
        }

    def _write_choice(self, index: int, reply: pb.GenerateReplyResponse) -> Json:
        text: Json = {"text": reply.text}
        if self.is_chat:
            text = {"message": {"role": "assistant", "content": reply.text, "refusal": None}}
        return {
            "index": index,
            **text,
            "logprobs": self.to_logprobs(reply.logprobs),
            "finish_reason": self.tell_reason(reply.completion),
            "lstmserve": describe(reply.started, reply.completion),
        }


def sum_usage(
    replies: Iterable[pb.GenerateReplyResponse], choices: Iterable[pb.GenerateReplyResponse]
) -> Json:
    """Return the tokens of each prompt, once, and of all choices."""
    prompts = [reply.completion.usage for reply in replies]
    return _write_usage(
        sum(usage.prompt_tokens for usage in prompts),
        sum(usage.cached_prompt_tokens for usage in prompts),
        sum(choice.completion.usage.generated_tokens for choice in choices),
    )


def to_usage(usage: pb.Usage) -> Json:
    """Return the tokens of one reply."""
    return _write_usage(usage.prompt_tokens, usage.cached_prompt_tokens, usage.generated_tokens)


def _write_usage(prompt: int, cached: int, generated: int) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def describe(started: pb.Started, completion: pb.Completion) -> Json:
    """Return what OpenAI's API has no words for."""
    return {
        "seed": str(started.seed),  # as text: JavaScript's numbers have 53 bits
        "outcome": to_word(pb.ReplyOutcome.Name(completion.outcome), "REPLY_OUTCOME_"),
        "source": to_word(pb.ReplySource.Name(started.source), "REPLY_SOURCE_"),
        "cache": to_word(pb.CacheOutcome.Name(completion.cache), "CACHE_OUTCOME_"),
        "labels": [*completion.labels],
        "stop_sequence": completion.stop_sequence,
        "is_inexact": started.is_inexact,
    }
