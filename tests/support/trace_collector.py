"""An OpenTelemetry collector that keeps what it is sent, or does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2,
    trace_service_pb2_grpc,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from benchmarks.testbed.loop_thread import LoopThread


class TraceCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes batches of spans."""

    def __init__(self, *, answers: bool) -> None:
        self.endpoint = ""
        self.received: list[ResourceSpans] = []
        self.asked = threading.Event()  # a batch has come
        self._answers = answers

    async def Export(  # noqa: N802 - named by the wire
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.aio.ServicerContext,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self.asked.set()
        if not self._answers:
            await asyncio.Event().wait()  # until the end
        self.received.extend(request.resource_spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        return [
            span for each in self.received for scope in each.scope_spans for span in scope.spans
        ]

    def of_request(self, request_id: str) -> Span:
        """The span of the RPC with this id."""
        (found,) = (
            span for span in self.spans if read(span).get("lstmserve.request_id") == request_id
        )
        return found

    def children_of(self, parent: Span) -> list[Span]:
        """The spans within another one, in the order of their beginnings."""
        found = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@contextmanager
def collect_traces(*, answers: bool = True) -> Iterator[TraceCollector]:
    """A collector on a free port."""
    collector = TraceCollector(answers=answers)

    async def start() -> grpc.aio.Server:
        server = grpc.aio.server()
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
        collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        return server

    with LoopThread("the collector of traces") as loop:
        server = loop.run(start())
        try:
            yield collector
        finally:
            loop.run(server.stop(None))


def read(span: Span) -> dict[str, str | int]:
    """A span's attributes."""
    return {each.key: _value(each) for each in span.attributes}


def _value(attribute: KeyValue) -> str | int:
    value = attribute.value
    return value.string_value if value.HasField("string_value") else value.int_value
