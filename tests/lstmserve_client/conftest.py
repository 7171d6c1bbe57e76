"""What the client's tests share: the fake server, and both clients and the command before it."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lstmserve_client import AsyncClient, Client, RetryPolicy, connected
from lstmserve_client.cli import app
from lstmserve_client.testing import FakeClock
from support.fake_server import FakeServer, serve_fake

Lstmserve = Callable[..., Result]

ONCE = RetryPolicy(max_attempts=1)  # what a single failure becomes


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with serve_fake() as server:
        yield server


@pytest.fixture
def dead_target() -> Iterator[str]:
    """A port that is taken and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def _call_sync(target: str, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - whatever the method gives
    with Client(target, retry=ONCE) as client:
        result = getattr(client, method)(*args, **options)
        return list(result) if method == "generate" else result


def _call_async(target: str, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - whatever the method gives
    async def call() -> Any:  # noqa: ANN401 - whatever the method gives
        async with AsyncClient(target, retry=ONCE) as client:
            result = getattr(client, method)(*args, **options)
            if method == "generate":
                return [event async for event in result]
            return await result

    return asyncio.run(call())


@pytest.fixture(params=[_call_sync, _call_async], ids=["sync", "async"])
def call(request: pytest.FixtureRequest, fake: FakeServer) -> Callable[..., Any]:
    """Call a method by name on either client; a stream comes back as a list."""

    def run(method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - as above
        return request.param(fake.target, method, *args, **options)

    return run


@pytest.fixture
def lstmserve(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Lstmserve:
    """Run the command against the fake server, with a pipe for each standard stream.

    Its pauses between attempts take no time.
    """
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # typer would color its errors there
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(connected, "Client", partial(Client, clock=FakeClock()))

    def run(*args: str, stdin: str | bytes = "") -> Result:
        env = {"LSTMSERVE_TARGET": fake.target}
        return CliRunner().invoke(app, args, input=stdin, env=env)

    return run
