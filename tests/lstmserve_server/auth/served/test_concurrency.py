"""A call counts as running until it ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.callers import Callers, Metadata
from support.calls import LONG, connect, find_detail
from support.refusals import find_refusal, reason_of, serve_callers, try_once
from support.served import Served

# enough for the whole reply, by the server's estimate; the stream ends late as nobody reads it
LATE_SECONDS = 2.0
MAX_TRIES = 20_000
BAD = pb.GenerateRequest(prompt=" ")
MOST = 2


@pytest.fixture
def served(tiny_store: Path, callers: Callers) -> Iterator[Served]:
    callers.add("two", "generate", max_concurrent=MOST)
    # every reply is made anew
    with serve_callers(tiny_store, callers, "--cache-bytes", "0") as running:
        yield running


@pytest.fixture
def stub(served: Served) -> Iterator[GenerationServiceStub]:
    with connect(served.process.target, narrow=True) as channel:
        yield GenerationServiceStub(channel)


def begin(stub: GenerationServiceStub, metadata: Metadata, **options: float) -> Any:  # noqa: ANN401
    """A stream that runs, and that nobody reads on."""
    stream = stub.Generate(LONG, metadata=metadata, **options)
    next(stream)
    return stream


def until_there_is_room(served: Served, metadata: Metadata) -> None:
    """A client may know of a call's end a moment before the server does."""
    ends = (try_once(served, metadata) for _ in range(MAX_TRIES))
    assert "OK" in iter(ends), "there is never room again"


def test_no_more_run_than_may_and_others_are_unharmed(
    served: Served, stub: GenerationServiceStub, callers: Callers
) -> None:
    streams = [begin(stub, callers.of("two", f"user-{n}")) for n in range(MOST)]
    refused = find_refusal(served, callers.of("two", "another-user"))
    assert reason_of(refused) == "CONCURRENCY_LIMIT"
    assert refused is not None
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert find_detail(refused, RetryInfo).retry_delay.ToMilliseconds() == 1000
    assert try_once(served, callers.of("shop")) == "OK"
    assert len(streams) == MOST


def test_every_end_makes_room(
    served: Served, stub: GenerationServiceStub, callers: Callers
) -> None:
    mine = callers.of("two")
    kept = begin(stub, mine)
    canceled = begin(stub, mine)
    canceled.cancel()
    until_there_is_room(served, mine)
    late = begin(stub, mine, timeout=LATE_SECONDS)
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # which it waits for
    until_there_is_room(served, mine)
    list(begin(stub, mine))
    until_there_is_room(served, mine)
    with pytest.raises(grpc.RpcError, match="must not be empty"):
        served.ask(BAD, metadata=mine)
    until_there_is_room(served, mine)
    with connect(served.process.target, narrow=True) as gone:
        begin(GenerationServiceStub(gone), mine)
    until_there_is_room(served, mine)
    assert kept.is_active()
