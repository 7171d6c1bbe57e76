"""A running server with all that a test asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import WAIT_SECONDS
from lstmserve.v1 import cache_service_pb2_grpc, generation_service_pb2_grpc
from lstmserve.v1 import generation_service_pb2 as pb
from support.calls import connect
from support.metrics_page import MetricsPage, scrape_until
from support.whole_reply import WholeReply, to_unary, whole_of, whole_of_unary

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Served:
    """A server process and stubs on one connection to it."""

    process: ServerProcess
    generation: generation_service_pb2_grpc.GenerationServiceStub
    cache: cache_service_pb2_grpc.CacheServiceStub

    def ask(
        self, request: pb.GenerateRequest, *, unary: bool = False, metadata: Metadata = ()
    ) -> WholeReply:
        """The whole reply, by either method."""
        if unary:
            reply = self.generation.GenerateReply(to_unary(request), metadata=metadata)
            return whole_of_unary(reply)
        return whole_of(self.generation.Generate(request, metadata=metadata))

    def page(self) -> MetricsPage:
        return MetricsPage(self.process.metrics_url)

    def page_once_idle(self) -> MetricsPage:
        """The page when nothing runs or waits any more."""
        return scrape_until(self.process.metrics_url, _is_idle)


@contextmanager
def serve(store: Path, *arguments: str, is_forked: bool = True) -> Iterator[Served]:
    """A server with these options, for as long as the block takes."""
    with (
        ServerProcess(store, *arguments, is_forked=is_forked) as process,
        connect(process.target) as channel,
    ):
        yield Served(
            process,
            generation_service_pb2_grpc.GenerationServiceStub(channel),
            cache_service_pb2_grpc.CacheServiceStub(channel),
        )


def ask_at_once(served: Served, requests: Iterable[pb.GenerateRequest]) -> list[WholeReply]:
    """The whole replies, generated beside each other."""
    stub = served.generation
    calls = [stub.GenerateReply.future(to_unary(request)) for request in requests]
    return [whole_of_unary(call.result(WAIT_SECONDS)) for call in calls]


def _is_idle(page: MetricsPage) -> bool:
    names = ("running_sequences", "waiting_sequences", "parked_sequences")
    return not any(page.total(name) for name in names)
