"""Both clients against a real server: the same messages, statuses and cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.grpc_transport import GrpcTransport
from benchmarks.load.grpc_wire import MessageReader, frame_message
from benchmarks.load.http2_transport import Http2Transport
from benchmarks.load.reply import assemble
from benchmarks.load.transport import Transport
from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from support.metrics_page import scrape_until

PATH = "/lstmserve.v1.GenerationService/Generate"
KINDS = (Http2Transport, GrpcTransport)


def make_request(prompt: str = "hello", tokens: int = 40) -> bytes:
    stopping = pb.StoppingCriteria(min_tokens=tokens, max_tokens=tokens)
    sampling = pb.SamplingParams(temperature=1, seed=3)
    request = pb.GenerateRequest(prompt=prompt, stopping=stopping, sampling=sampling)
    return request.SerializeToString()


@pytest.fixture(params=KINDS)
async def transport(
    request: pytest.FixtureRequest, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Transport]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # which is to be of no concern
    opened: Transport = request.param(server.target, 2, 30.0)
    yield opened
    await opened.close()


async def test_both_clients_receive_the_same_reply(server: ServerProcess) -> None:
    replies = []
    for kind in KINDS:
        messages: list[bytes] = []
        transport = kind(server.target, 1, 30.0)
        status = await transport.stream(PATH, make_request(), messages.append)
        await transport.close()
        assert status.code == "OK"
        replies.append(assemble(messages))
    assert replies[0] == replies[1]
    assert len(replies[0].token_ids) == 40


async def test_many_streams_share_the_connections(transport: Transport) -> None:
    received: list[list[bytes]] = [[] for _ in range(100)]
    statuses = await asyncio.gather(
        *(transport.stream(PATH, make_request(), messages.append) for messages in received)
    )
    assert {status.code for status in statuses} == {"OK"}
    replies = [assemble(messages) for messages in received]
    assert all(reply.token_ids == replies[0].token_ids for reply in replies)


async def test_a_refusal_carries_its_code_and_words(transport: Transport) -> None:
    status = await transport.stream(PATH, make_request(prompt=""), lambda _: None)
    assert status.code == "INVALID_ARGUMENT"
    assert "prompt" in status.details


async def test_a_request_of_several_frames_arrives(transport: Transport) -> None:
    status = await transport.stream(PATH, make_request(prompt="where " * 8000), lambda _: None)
    assert status.code == "INVALID_ARGUMENT"  # read, and found too long


async def test_an_unknown_method_is_unimplemented(transport: Transport) -> None:
    status = await transport.stream("/no.Service/Method", b"", lambda _: None)
    assert status.code == "UNIMPLEMENTED"


async def test_a_cancelled_stream_frees_the_server(
    transport: Transport, server: ServerProcess
) -> None:
    begun = asyncio.Event()
    request = make_request(tokens=512)
    call = asyncio.create_task(transport.stream(PATH, request, lambda _: begun.set()))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    page = await asyncio.to_thread(
        scrape_until, server.metrics_url, lambda page: not page.total("running_sequences")
    )
    assert page.total("waiting_sequences") == 0
    # and the connection still serves
    assert (await transport.stream(PATH, make_request(), lambda _: None)).code == "OK"


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there_is_unavailable(kind: type[Transport]) -> None:
    transport = kind("127.0.0.1:1", 1, 5.0)  # type: ignore[call-arg]
    assert (await transport.stream(PATH, b"", lambda _: None)).code == "UNAVAILABLE"
    await transport.close()


@given(st.lists(st.binary(max_size=20), max_size=8), st.data())
def test_messages_are_whole_however_the_bytes_are_cut(
    messages: list[bytes], data: st.DataObject
) -> None:
    wire = b"".join(map(frame_message, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader, found = MessageReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += reader.read(wire[start:end])
    assert found == messages
