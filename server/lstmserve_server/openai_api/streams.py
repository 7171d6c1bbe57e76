"""Streams of server-sent events, in OpenAI's words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import grpc
import msgspec
import structlog

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.errors import ApiError
from lstmserve_server.openai_api.replies import Form, describe, to_usage

DONE = b"data: [DONE]\n\n"
log = structlog.get_logger()


class StreamWriter:
    """Turns the events of one reply into pieces of a response."""

    def __init__(self, form: Form, *, tells_usage: bool) -> None:
        """With ``tells_usage`` a last piece, without a choice, has the counts of tokens."""
        self._form = form
        self._tells_usage = tells_usage
        self._started = pb.Started()

    def write(self, event: pb.GenerateResponse) -> Iterator[dict[str, Any]]:
        """Yield the pieces that an event becomes, mostly one."""
        kind = event.WhichOneof("event")
        if kind == "started":
            self._started = event.started
            if self._form.is_chat:
                yield self._piece({"role": "assistant", "content": "", "refusal": None})
        elif kind == "chunk" and (event.chunk.text or event.chunk.logprobs):
            text = event.chunk.text
            content = {"content": text} if self._form.is_chat else text
            yield self._piece(content, self._form.to_logprobs(event.chunk.logprobs))
        elif kind == "completion":
            yield self._end(event.completion)
            if self._tells_usage:
                yield {**self._begin(), "choices": [], "usage": to_usage(event.completion.usage)}

    def _end(self, completion: pb.Completion) -> dict[str, Any]:
        piece = self._piece({} if self._form.is_chat else "")
        piece["choices"][0] |= {
            "finish_reason": self._form.tell_reason(completion),
            "lstmserve": describe(self._started, completion),
        }
        return piece

    def _piece(
        self, content: dict[str, Any] | str, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta" if self._form.is_chat else "text": content,
            "logprobs": logprobs,
            "finish_reason": None,
        }
        usage = {"usage": None} if self._tells_usage else {}
        return {**self._begin(), "choices": [choice], **usage}

    def _begin(self) -> dict[str, Any]:
        return self._form.begin(self._started, is_streamed=True)


async def write_events(
    events: AsyncIterator[pb.GenerateResponse],
    first: pb.GenerateResponse,
    writer: StreamWriter,
    explain: Callable[[grpc.RpcError], ApiError],
) -> AsyncGenerator[bytes]:
    """Yield the lines of a stream; what it fails with is its last event, without a DONE."""
    try:
        for piece in writer.write(first):
            yield to_event(piece)
        async for event in events:
            for piece in writer.write(event):
                yield to_event(piece)
        yield DONE
    except grpc.RpcError as error:
        yield to_event(explain(error).body)
    except Exception:
        log.exception("a bug", api="openai")
        yield to_event(ApiError(500, "internal error", code="internal").body)


def to_event(value: Mapping[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
