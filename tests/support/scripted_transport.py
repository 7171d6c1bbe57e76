"""Transports in memory that cut the streams of one known reply where a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, NoReturn

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client.errors import LstmserveError, UnavailableError
from lstmserve_client.transport import Attempt


@dataclass(frozen=True)
class Script:
    """A reply: the text that each token makes safe to send, and what the end sets free."""

    texts: Sequence[str]
    tail: str = ""
    digest: str = "ab" * 32
    is_inexact: bool = False

    @property
    def token_ids(self) -> list[int]:
        return [100 + position for position in range(len(self.texts))]

    def messages(self, resumed: int, sizes: Sequence[int]) -> Iterator[pb.GenerateResponse]:
        """The stream from a token on, in chunks of these sizes; 0 sends the tail by itself."""
        started = pb.Started(
            model="m",
            model_version="1",
            model_digest=self.digest,
            seed=7,
            is_inexact=self.is_inexact,
        )
        yield pb.GenerateResponse(started=started)
        position, tail = resumed, self.tail
        for size in chain(filter(None, sizes), repeat(1)):
            if position >= len(self.texts):
                break
            chunk = self._chunk(position, position + size)
            position += size
            if position >= len(self.texts) and 0 not in sizes:
                chunk.text += tail
                tail = ""
            yield pb.GenerateResponse(chunk=chunk)
        if tail:
            yield pb.GenerateResponse(chunk=pb.Chunk(text=tail))
        usage = pb.Usage(prompt_tokens=3, generated_tokens=len(self.texts))
        yield pb.GenerateResponse(
            completion=pb.Completion(finish_reason=pb.FINISH_REASON_END_OF_TEXT, usage=usage)
        )

    def _chunk(self, first: int, end: int) -> pb.Chunk:
        return pb.Chunk(
            text="".join(self.texts[first:end]),
            token_ids=self.token_ids[first:end],
            logprobs=[
                pb.TokenLogprobs(logprob=-position)
                for position in range(first, min(end, len(self.texts)))
            ],
        )


@dataclass
class Connection:
    """What one attempt meets: a stream in such chunks, and its end after so many messages."""

    sizes: Sequence[int] = ()
    num_messages: int | None = None  # None: it is not cut
    error: LstmserveError = field(default_factory=lambda: UnavailableError("lost"))
    script: Script | None = None  # of a server that says something else


class ScriptedTransport:
    """Every attempt has the next connection; those after the last are not cut."""

    def __init__(self, script: Script, connections: Sequence[Connection] = ()) -> None:
        self.requests: list[pb.GenerateRequest] = []
        self.targets: list[int] = []
        self._script = script
        self._connections = iter(connections)

    def stream(self, method: object, request: Any, attempt: Attempt) -> _Stream:  # noqa: ANN401 - of the one streaming method
        self.requests.append(request)
        self.targets.append(attempt.target)
        return _Stream(self._messages(request, next(self._connections, Connection())))

    def unary(self, method: object, request: object, attempt: Attempt) -> NoReturn:
        raise NotImplementedError

    def begin(self, method: object, request: object, attempt: Attempt) -> NoReturn:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def _messages(
        self, request: pb.GenerateRequest, connection: Connection
    ) -> Iterator[pb.GenerateResponse]:
        script = connection.script or self._script
        resumed = len(request.resume_tokens)
        messages = script.messages(resumed, connection.sizes)
        if connection.num_messages is None:
            yield from messages
            return
        for _ in range(connection.num_messages):
            message = next(messages, None)
            if message is not None:
                yield message
        raise connection.error


class ScriptedAsyncTransport(ScriptedTransport):
    """The same for an event loop."""

    async def unary(self, method: object, request: object, attempt: Attempt) -> NoReturn:  # type: ignore[override]
        raise NotImplementedError

    async def close(self) -> None:  # type: ignore[override]
        pass


class _Stream:
    def __init__(self, messages: Iterator[pb.GenerateResponse]) -> None:
        self._messages = messages

    def __iter__(self) -> Iterator[pb.GenerateResponse]:
        return self._messages

    async def __aiter__(self) -> AsyncIterator[pb.GenerateResponse]:
        for message in self._messages:
            yield message

    def cancel(self) -> None:
        pass
