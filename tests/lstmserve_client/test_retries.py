"""What both clients do about failures, as a caller sees it; no test waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lstmserve_client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    OverloadedError,
    RequestCancelledError,
    RetryPolicy,
    ServingStatus,
    UnavailableError,
)
from lstmserve_client.testing import FakeClock, FakeService

LOST = UnavailableError("lost")
LOADING = UnavailableError("loading", reason="MODEL_LOADING")
TARGETS = ["127.0.0.1:1", "127.0.0.1:2"]


def _sync(service: FakeService, method: str, *args: object, **options: Any) -> Any:  # noqa: ANN401 - whatever the method gives
    client = service.client(**options)
    result = getattr(client, method)(*args)
    return result.reply() if method == "generate" else result


def _async(service: FakeService, method: str, *args: object, **options: Any) -> Any:  # noqa: ANN401 - as above
    async def run() -> Any:  # noqa: ANN401 - as above
        result = getattr(service.async_client(**options), method)(*args)
        return await (result.reply() if method == "generate" else result)

    return asyncio.run(run())


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a method of a new client of a service."""
    ask: Callable[..., Any] = request.param
    return ask


@pytest.mark.parametrize("method", ["reply", "generate"])
def test_a_call_outlives_many_failures_in_a_row(ask: Callable[..., Any], method: str) -> None:
    service = FakeService({"hi": "Hello."})
    service.fail_next(LOADING, times=RetryPolicy().max_attempts - 1)
    assert ask(service, method, "hi").text == "Hello."
    assert len(service.requests) == RetryPolicy().max_attempts
    assert 3 < sum(service.clock.waits) < 15  # while a server is started again, say


@pytest.mark.parametrize("method", ["reply", "generate"])
def test_a_call_does_not_outlive_too_many(ask: Callable[..., Any], method: str) -> None:
    service = FakeService()
    service.fail_next(LOADING, times=RetryPolicy().max_attempts)
    with pytest.raises(UnavailableError, match="loading") as raised:
        ask(service, method, "hi")
    assert raised.value.request_id == service.requests[0].request_id
    # all tries of a call have one name
    assert len({request.request_id for request in service.requests}) == 1


def test_a_server_that_was_there_is_waited_for_and_a_wrong_address_is_not() -> None:
    service = FakeService()
    client = service.client()
    client.health()
    service.fail_next(LOST, times=RetryPolicy().max_attempts - 1)
    client.reply("hi")
    assert 3 < sum(service.clock.waits) < 15
    service.clock.waits.clear()
    service.fail_next(LOST, times=RetryPolicy().max_attempts)
    with pytest.raises(UnavailableError, match=r"^no server answers at 127.0.0.1:50051 \(lost\)"):
        service.client().reply("hi")
    assert 0.3 < sum(service.clock.waits) <= 1


async def test_nobody_who_listens_is_told_soon_on_a_real_port(dead_target: str) -> None:
    clock = FakeClock()
    with Client(dead_target, clock=clock) as client:
        with pytest.raises(UnavailableError, match=f"^no server answers at {dead_target} "):
            client.reply("hi")
        with pytest.raises(UnavailableError, match="; start one with `make serve` or"):
            client.health()
    async with AsyncClient(dead_target, clock=clock) as client_on_a_loop:
        with pytest.raises(UnavailableError, match=r"check target and tls$"):
            await client_on_a_loop.generate("hi").reply()
    assert 0 < sum(clock.waits) <= 2


@pytest.mark.parametrize("method", ["models", "model"])
def test_models_are_asked_for_again_too(ask: Callable[..., Any], method: str) -> None:
    service = FakeService()
    service.fail_next(LOST)
    assert ask(service, method)
    assert len(service.clock.waits) == 1


@pytest.mark.parametrize(
    ("method", "args"), [("health", ()), ("load_model", ("fake", "1")), ("cache_stats", ())]
)
def test_health_and_administration_are_asked_once(
    ask: Callable[..., Any], method: str, args: tuple[str, ...]
) -> None:
    service = FakeService()
    service.fail_next(LOST)
    with pytest.raises(UnavailableError):
        ask(service, method, *args)
    assert service.clock.waits == []


def test_a_busy_service_is_asked_when_it_said(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.overload(retry_delay_seconds=3.0, times=2)
    ask(service, "reply", "hi")
    assert service.clock.waits == [3.0, 3.0]


def test_nobody_waits_longer_than_the_call_may_take(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.overload(retry_delay_seconds=3.0)
    with pytest.raises(OverloadedError) as raised:
        ask(service, "reply", "hi", timeout_seconds=2.0)
    assert raised.value.retry_delay_seconds == 3.0
    assert service.clock.waits == []


def test_every_try_has_the_time_that_is_left(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.delay_next(4.0)
    service.overload(retry_delay_seconds=3.0)
    service.delay_next(5.0)
    with pytest.raises(DeadlineExceededError):
        ask(service, "reply", "hi", timeout_seconds=3.5)
    assert service.clock.now() == 3.5


def test_another_target_is_asked_at_once(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.fail_next(LOST)
    ask(service, "reply", "hi", target=TARGETS)
    assert [request.target for request in service.requests] == [0, 1]
    assert service.clock.waits == []


def test_a_wrong_request_is_not_sent_again(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.fail_next(InvalidRequestError("no"))
    with pytest.raises(InvalidRequestError):
        ask(service, "reply", "hi")
    assert len(service.requests) == 1


def test_the_budget_bounds_what_a_client_asks_again(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.fail_next(LOST, times=100)
    policy = RetryPolicy(budget_retries=2, budget_per_second=0)
    with pytest.raises(UnavailableError):
        ask(service, "reply", "hi", retry=policy)
    assert len(service.requests) == 3


def test_a_service_that_does_not_serve_is_not_found_but_tells_so(ask: Callable[..., Any]) -> None:
    service = FakeService()
    service.status = ServingStatus.NOT_SERVING
    assert ask(service, "health") is ServingStatus.NOT_SERVING
    with pytest.raises(UnavailableError):
        ask(service, "reply", "hi")


def test_a_closed_client_waits_no_longer() -> None:
    service = FakeService()
    client = service.client()
    service.answer_with(lambda _: client.close() or "never seen")  # type: ignore[func-returns-value]
    service.break_next(after_tokens=1)
    with pytest.raises(RequestCancelledError, match="closed"):
        client.generate("hi").reply()
    with pytest.raises(RequestCancelledError, match="closed"):
        client.reply("hi")
