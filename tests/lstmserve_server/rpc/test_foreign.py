"""Methods of other services pass the same door, of whatever kind they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.rpc import permissions
from lstmserve_server.rpc.door import GuardedDoor, OpenDoor
from lstmserve_server.rpc.foreign import ForeignInterceptor
from lstmserve_server.rpc.permissions import NEEDS, Need
from support.callers import Callers
from support.no_auth_counts import NoAuthCounts
from support.refusals import reason_of

OTHER = "other.Service"


async def answer(_: Any, __: Any) -> bytes:  # noqa: ANN401
    return b"done"


async def stream(_: Any, __: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
    yield b"done"


SECRET = "what only the log may hold"


async def fail(_: Any, __: Any) -> bytes:  # noqa: ANN401
    raise ZeroDivisionError(SECRET)


async def stream_and_fail(_: Any, __: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
    yield b"done"
    raise ZeroDivisionError(SECRET)


def _as_it_comes(data: bytes) -> Any:  # noqa: ANN401 - this service knows no messages
    return data


HANDLERS = {
    "UnaryUnary": grpc.unary_unary_rpc_method_handler(answer),
    "StreamUnary": grpc.stream_unary_rpc_method_handler(answer),
    "UnaryStream": grpc.unary_stream_rpc_method_handler(stream),
    "StreamStream": grpc.stream_stream_rpc_method_handler(stream),
}


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    made = Callers(tmp_path / "callers.toml")
    made.add("shop", "generate", max_concurrent=1)
    return made


@pytest.fixture
async def channel(callers: Callers) -> AsyncIterator[grpc.aio.Channel]:
    counts = NoAuthCounts()
    door = GuardedDoor(LiveRegister(callers.path, counts), Limits(lambda: 0.0), counts)
    foreign = ForeignInterceptor(door, lambda _: False, lambda _: _as_it_comes)
    server = grpc.aio.server(interceptors=[foreign])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(OTHER, HANDLERS)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


async def call(channel: grpc.aio.Channel, kind: str, metadata: tuple[tuple[str, str], ...]) -> str:
    path, request = f"/{OTHER}/{kind}", iter([b""]) if kind.startswith("Stream") else b""
    try:
        match kind:
            case "UnaryUnary":
                return str(await channel.unary_unary(path)(request, metadata=metadata), "ascii")
            case "StreamUnary":
                return str(await channel.stream_unary(path)(request, metadata=metadata), "ascii")
            case "UnaryStream":
                events = channel.unary_stream(path)(request, metadata=metadata)
            case _:
                events = channel.stream_stream(path)(request, metadata=metadata)
        return "".join([event.decode() async for event in events])
    except grpc.RpcError as error:
        return reason_of(error)


@pytest.mark.parametrize("kind", HANDLERS)
async def test_what_is_in_no_table_is_for_nobody(
    channel: grpc.aio.Channel, callers: Callers, kind: str
) -> None:
    assert await call(channel, kind, ()) == "UNAUTHENTICATED"
    assert await call(channel, kind, callers.of("shop")) == "PERMISSION_DENIED"


@pytest.mark.parametrize("kind", HANDLERS)
async def test_what_is_there_is_for_whom_it_says(
    channel: grpc.aio.Channel, callers: Callers, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = f"{OTHER}/{kind}"
    monkeypatch.setattr(permissions, "NEEDS", {**NEEDS, method: Need.NAME})
    assert await call(channel, kind, ()) == "UNAUTHENTICATED"
    for _ in range(3):  # each has ended before the next begins
        assert await call(channel, kind, callers.of("shop")) == "done"
    monkeypatch.setattr(permissions, "NEEDS", {**NEEDS, method: Need.NOTHING})
    assert await call(channel, kind, ()) == "done"


@pytest.mark.parametrize("kind", ["Unary", "Stream"])
async def test_a_bug_in_another_service_is_told_as_one_and_no_more(kind: str) -> None:
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(fail),
        "Stream": grpc.unary_stream_rpc_method_handler(stream_and_fail),
    }
    foreign = ForeignInterceptor(OpenDoor(), lambda _: False, lambda _: _as_it_comes)
    server = grpc.aio.server(interceptors=[foreign])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(OTHER, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        if kind == "Unary":
            call = channel.unary_unary(f"/{OTHER}/Unary")(b"")
        else:
            call = channel.unary_stream(f"/{OTHER}/Stream")(b"")
            assert await call.read() == b"done"
        with pytest.raises(grpc.RpcError) as failed:
            await (call if kind == "Unary" else call.read())
    await server.stop(None)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in failed.value.details()
    assert reason_of(failed.value) == "INTERNAL"
