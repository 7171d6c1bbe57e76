"""Calls on a running server, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from lstmserve.v1 import generation_service_pb2 as pb

Event = TypeVar("Event")
Detail = TypeVar("Detail", bound=Message)

# whoever waits for a server that starts looks every second, not ever more rarely
ALONE = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000))
# read ahead so little that a stream which nobody reads stays open for as long as one likes
NARROW = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0))
# as bulky as it gets
LONG = pb.GenerateRequest(
    prompt="hello",
    sampling=pb.SamplingParams(seed=7, logprobs=20),
    stopping=pb.StoppingCriteria(min_tokens=512, max_tokens=512),
)


@contextmanager
def connect(target: str, *, narrow: bool = False) -> Iterator[grpc.Channel]:
    """A connection shared with nobody."""
    options = [*ALONE, *(NARROW if narrow else ())]
    with grpc.insecure_channel(target, options=options) as channel:
        yield channel


def read_all(stream: Iterable[Event]) -> tuple[list[Event], grpc.RpcError | None]:
    """Everything a stream gives, and the error that ends it if one does."""
    events = []
    try:
        for event in stream:
            events.append(event)  # noqa: PERF402 - what came before the error counts
    except grpc.RpcError as error:
        return events, error
    return events, None


def text_of(events: Iterable[pb.GenerateResponse]) -> str:
    return "".join(event.chunk.text for event in events)


def find_detail(error: grpc.RpcError, kind: type[Detail]) -> Detail:
    """The one detail of this type in an error's status."""
    status = rpc_status.from_call(error)
    (found,) = [detail for detail in status.details if detail.Is(kind.DESCRIPTOR)]
    detail = kind()
    found.Unpack(detail)
    return detail
