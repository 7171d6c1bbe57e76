"""Few prompts are tried at a time, and one that nobody watches ends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.http_server import CONNECTION_KEY
from lstmserve_server.page.api import MAX_TRIES, Tries
from lstmserve_server.page.caller import Caller, Reply


class TwoEvents:
    """A caller whose replies have two events, and tell when they are canceled."""

    def __init__(self) -> None:
        self.num_canceled = 0

    def generate(self, request: pb.GenerateRequest, authorization: str) -> Reply:
        return _Reply(self)


class _Reply:
    def __init__(self, caller: TwoEvents) -> None:
        self._caller = caller

    def __iter__(self) -> Iterator[pb.GenerateResponse]:
        yield pb.GenerateResponse(started=pb.Started(seed=(1 << 64) - 1))
        yield pb.GenerateResponse(completion=pb.Completion())

    def cancel(self) -> None:
        self._caller.num_canceled += 1


@pytest.fixture
def connections() -> Iterator[list[dict[str, object]]]:
    """What the HTTP server knows of more requests than may run."""
    pairs = [socket.socketpair() for _ in range(MAX_TRIES + 1)]
    yield [{CONNECTION_KEY: ours} for ours, _ in pairs]
    for pair in pairs:
        for end in pair:
            end.close()


def test_one_too_many_is_told_so_and_a_place_comes_free_again(
    connections: list[dict[str, object]],
) -> None:
    tries, caller = Tries(), TwoEvents()

    def begin(environ: dict[str, object]) -> Iterator[bytes]:
        return tries.stream(cast("Caller", caller), pb.GenerateRequest(), environ)

    *environs, last = connections
    running = [begin(environ) for environ in environs]
    assert all("started" in json.loads(next(events)) for events in running)
    (line,) = begin(last)
    assert json.loads(line)["error"]["status"] == "RESOURCE_EXHAUSTED"

    assert "completion" in json.loads(next(running[0]))
    assert next(running[0], None) is None
    assert len([*begin(last)]) == 2
    for events in running[1:]:
        events.close()  # type: ignore[attr-defined]  # as the HTTP server does
    assert caller.num_canceled == MAX_TRIES + 1  # those that were complete lose nothing by it


def test_a_seed_of_64_bits_is_a_text_that_scripts_read_exactly(
    connections: list[dict[str, object]],
) -> None:
    caller = cast("Caller", TwoEvents())
    first, _ = Tries().stream(caller, pb.GenerateRequest(), connections[0])
    assert json.loads(first)["started"]["seed"] == "18446744073709551615"
