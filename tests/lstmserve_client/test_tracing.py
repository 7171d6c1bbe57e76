"""What OpenTelemetry and gRPC have of their own traces and measures both clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lstmserve_client import AsyncClient, Client, HedgePolicy, UnavailableError
from lstmserve_client.testing import FakeClock
from support.fake_server import FakeServer

WAIT_SECONDS = 30


class Traces:
    """Spans as they end, and how to begin one."""

    def __init__(self) -> None:
        self.ended = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.ended))
        trace.set_tracer_provider(provider)  # once in a process
        self.tracer = provider.get_tracer("a shop")

    @property
    def by_parent(self) -> dict[str | None, list[str]]:
        """The names of spans, by that of the span around them."""
        spans = self.ended.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans}
        found: dict[str | None, list[str]] = {}
        for span in spans:
            around = names.get(span.parent.span_id) if span.parent else None
            found.setdefault(around, []).append(span.name.rpartition("/")[2])
        return found


@pytest.fixture(scope="module")
def provided() -> Traces:
    return Traces()


@pytest.fixture
def traces(provided: Traces) -> Iterator[Traces]:
    instrumentors = (GrpcInstrumentorClient(), GrpcAioInstrumentorClient())
    for each in instrumentors:
        each.instrument()
    yield provided
    for each in instrumentors:
        each.uninstrument()
    provided.ended.clear()


def test_calls_are_spans_within_the_callers_and_servers_are_told(
    traces: Traces, fake: FakeServer
) -> None:
    with Client(fake.target) as client, traces.tracer.start_as_current_span("checkout") as span:
        text = client.reply("hi").text
        assert client.generate("hi").reply().text == text
    assert traces.by_parent["checkout"] == ["GenerateReply", "Generate"]
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert [each["traceparent"].split("-")[1] for each in fake.metadata] == [trace_id] * 2


async def test_calls_on_a_loop_are_spans_as_well(traces: Traces, fake: FakeServer) -> None:
    async with AsyncClient(fake.target) as client:
        with traces.tracer.start_as_current_span("checkout"):
            await client.reply("hi")
            await client.generate("hi").reply()
    assert traces.by_parent["checkout"] == ["GenerateReply", "Generate"]
    assert all("traceparent" in each for each in fake.metadata)


def test_every_attempt_is_a_span(traces: Traces, dead_target: str) -> None:
    with Client(dead_target, clock=FakeClock()) as client, pytest.raises(UnavailableError):
        client.reply("hi")
    names = traces.by_parent[None]
    assert len(names) > 1
    assert set(names) == {"GenerateReply"}


def test_hedged_calls_are_traced(traces: Traces, fake: FakeServer) -> None:
    policy = HedgePolicy(min_calls=1, window=1, min_seconds=WAIT_SECONDS)
    with Client(fake.target, hedge=policy) as client:
        client.reply("hi")
        client.reply("hi")  # by a future, because a second one may follow
    assert len(fake.metadata) == len(traces.by_parent[None]) == 2


async def test_leaving_a_traced_stream_cancels_it(traces: Traces, fake: FakeServer) -> None:
    fake.events.pop()  # no completion
    fake.hangs = True
    with Client(fake.target) as client, client.generate("hi") as stream:
        next(stream)
    assert await asyncio.to_thread(fake.cancelled.wait, WAIT_SECONDS)
    fake.cancelled.clear()
    async with AsyncClient(fake.target) as client_on_a_loop:
        async with client_on_a_loop.generate("hi") as events:
            await anext(events)
        assert await asyncio.to_thread(fake.cancelled.wait, WAIT_SECONDS)
