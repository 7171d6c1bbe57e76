"""Whom a call asks, how long it waits, and when it gives up; by a scripted clock."""

from __future__ import annotations

import logging
import math

import pytest

from lstmserve_client import (
    BrokenReplyError,
    DeadlineExceededError,
    InvalidRequestError,
    LstmserveError,
    OverloadedError,
    PoisonedRequestError,
    RetryPolicy,
    ServerError,
    UnavailableError,
    VersionGoneError,
)
from lstmserve_client.attempts import Attempts, Patience
from lstmserve_client.call import make_call
from lstmserve_client.config import make_config
from lstmserve_client.retries import RetryBudget
from lstmserve_client.targets import Targets
from lstmserve_client.testing import FakeClock

LOST = UnavailableError("lost")


class Scene:
    """One client's patience by a clock that the test moves; every draw is the highest."""

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        num_targets: int = 1,
        *,
        were_reached: bool = True,
    ) -> None:
        self.clock = FakeClock(now=100.0)
        policy = policy or RetryPolicy()
        budget = RetryBudget(policy, self.clock.now())
        targets = Targets(num_targets)
        targets.were_reached = were_reached
        self.addresses = [f"127.0.0.1:{number}" for number in range(1, num_targets + 1)]
        self.patience = Patience(policy, targets, budget, self.clock.now, draw=lambda: 1.0)

    def call(self, timeout_seconds: float = 60.0, *, is_retried: bool = True) -> Attempts:
        options = {"timeout_seconds": timeout_seconds, "request_id": "mine"}
        call = make_call(make_config(self.addresses), options, is_retried=is_retried)  # type: ignore[arg-type]
        return Attempts(self.patience, call)

    def waits_of(self, attempts: Attempts, error: LstmserveError) -> list[float]:
        """Every pause of a call that always fails, until it gives up."""
        waits: list[float] = []
        while True:
            attempts.next()
            try:
                waits.append(attempts.after(error))
            except type(error):
                return waits
            self.clock.advance(waits[-1])


@pytest.mark.parametrize("error", [LOST, OverloadedError("later")], ids=["lost", "busy"])
def test_a_call_is_tried_as_often_as_the_policy_says(error: LstmserveError) -> None:
    scene = Scene(RetryPolicy(max_attempts=5))
    assert scene.waits_of(scene.call(), error) == [0.05, 0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("no"),
        ServerError("no"),
        PoisonedRequestError("no"),
        BrokenReplyError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_fail_again_is_not_tried_again(error: LstmserveError) -> None:
    scene = Scene(num_targets=2)
    assert scene.waits_of(scene.call(), error) == []


def test_a_call_that_is_not_to_be_tried_again_is_not() -> None:
    scene = Scene()
    assert scene.waits_of(scene.call(is_retried=False), LOST) == []


def test_where_no_server_ever_answered_a_call_gives_up_within_a_second() -> None:
    scene = Scene(were_reached=False)
    waits = scene.waits_of(scene.call(), LOST)
    assert waits == [0.05, 0.1, 0.2, 0.4]
    patient = Scene(RetryPolicy(connect_seconds=math.inf), were_reached=False)
    assert len(patient.waits_of(patient.call(), LOST)) == RetryPolicy().max_attempts - 1


@pytest.mark.parametrize("num_targets", [1, 2])
def test_every_server_is_asked_before_a_call_gives_up(num_targets: int) -> None:
    scene = Scene(RetryPolicy(connect_seconds=0), num_targets, were_reached=False)
    waits = scene.waits_of(scene.call(), UnavailableError("lost"))
    assert waits == [0.0] * (num_targets - 1)


@pytest.mark.parametrize(
    "answer",
    [
        OverloadedError("later"),
        UnavailableError("loading", reason="MODEL_LOADING"),
        VersionGoneError(""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_said_anything_is_waited_for(answer: LstmserveError) -> None:
    scene = Scene(num_targets=2, were_reached=False)
    attempts = scene.call()
    attempts.next()
    attempts.after(answer)
    attempts.next()
    attempts.after(UnavailableError("lost"))
    assert sum(scene.waits_of(scene.call(), LOST)) > 3


def test_a_call_that_gives_up_says_where_and_what_to_do() -> None:
    scene = Scene(num_targets=2, were_reached=False)
    attempts = scene.call(is_retried=False)
    attempts.next()
    with pytest.raises(UnavailableError) as raised:
        attempts.after(UnavailableError("refused"))
    assert str(raised.value).startswith("no server answers at 127.0.0.1:1, 127.0.0.1:2 (refused);")
    attempts.next()
    with pytest.raises(UnavailableError, match=r"^draining$"):
        attempts.after(UnavailableError("draining", reason="DRAINING"))


def test_a_call_that_nobody_ever_answered_says_where_and_what_to_do_at_its_deadline() -> None:
    scene = Scene(num_targets=2, were_reached=False)
    told = (
        r"^no server has answered within 2 s \(timeout\) at 127.0.0.1:1, 127.0.0.1:2; "
        "start one with `make serve` or lstmserve-server, or check target and tls$"
    )
    attempts = scene.call(timeout_seconds=2.0)
    attempts.next()
    with pytest.raises(DeadlineExceededError, match=told):
        attempts.after(DeadlineExceededError("Deadline Exceeded"))
    scene.clock.advance(2.0)
    with pytest.raises(DeadlineExceededError, match=told):
        attempts.next()
    slow = DeadlineExceededError("Deadline Exceeded")
    slow.was_accepted = True
    with pytest.raises(DeadlineExceededError, match=r"^no reply within 2 s \(timeout\)$"):
        attempts.after(slow)


def test_every_further_attempt_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(num_targets=2)
    attempts = scene.call()
    attempts.next()
    with caplog.at_level(logging.DEBUG, "lstmserve_client"):
        attempts.after(UnavailableError("refused"))
        attempts.next()
        attempts.beside()
        attempts.after(VersionGoneError("version 1 is gone"))
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        (
            "INFO",
            "request mine: failure 1 at 127.0.0.1:1, after 0 tokens: refused; again in 0.00 s",
        ),
        ("DEBUG", "request mine: is slow; a second server is asked"),
        ("INFO", "request mine: version 1 is gone; another server may have it"),
    ]


def test_a_server_is_not_asked_before_it_said() -> None:
    scene = Scene(RetryPolicy(max_attempts=3))
    busy = OverloadedError("later", retry_delay_seconds=1.5)
    assert scene.waits_of(scene.call(), busy) == [1.5, 1.5]


def test_another_server_is_asked_at_once_and_the_first_ones_again_after_a_pause() -> None:
    scene = Scene(RetryPolicy(max_attempts=4), num_targets=3)
    attempts = scene.call()
    asked, waits = [], []
    for _ in range(3):
        asked.append(attempts.next().target)
        waits.append(attempts.after(LOST))
    assert asked == [0, 1, 2]
    assert waits == [0, 0, 0.2]


def test_a_refusal_counts_only_if_all_refuse() -> None:
    scene = Scene(num_targets=2)
    busy = OverloadedError("later", retry_delay_seconds=30.0)
    attempts = scene.call()
    attempts.next()
    assert attempts.after(busy) == 0
    attempts.next()
    assert attempts.after(LOST) == 0.1
    scene.clock.advance(0.3)
    assert attempts.next().target == 1


def test_an_attempt_has_the_time_that_is_left() -> None:
    scene = Scene()
    attempts = scene.call(timeout_seconds=2.0)
    assert attempts.next().timeout_seconds == 2.0
    scene.clock.advance(1.5)
    assert attempts.next().timeout_seconds == 0.5
    scene.clock.advance(0.5)
    with pytest.raises(DeadlineExceededError, match="no reply within 2 s") as raised:
        attempts.next()
    assert raised.value.request_id == "mine"


def test_a_deadline_that_passes_is_told_in_seconds_and_a_refusal_by_its_reason() -> None:
    attempts = Scene().call(timeout_seconds=2.0)
    attempts.next()
    with pytest.raises(DeadlineExceededError, match=r"^no reply within 2 s"):
        attempts.after(DeadlineExceededError("Deadline Exceeded"))
    with pytest.raises(DeadlineExceededError, match=r"^too long a queue$"):
        attempts.after(DeadlineExceededError("too long a queue", reason="DEADLINE_INFEASIBLE"))


def test_a_call_may_wait_for_ever() -> None:
    scene = Scene()
    attempts = scene.call(timeout_seconds=math.inf)
    scene.clock.advance(1e9)
    assert attempts.next().timeout_seconds is None


def test_no_pause_overruns_the_deadline() -> None:
    scene = Scene(RetryPolicy(max_attempts=1000))
    waits = scene.waits_of(scene.call(timeout_seconds=5.0), LOST)
    assert sum(waits) < 5.0
    assert scene.clock.now() < 105.0
    busy = OverloadedError("later", retry_delay_seconds=10.0)
    assert scene.waits_of(scene.call(timeout_seconds=5.0), busy) == []


def test_without_a_budget_no_call_is_tried_again() -> None:
    policy = RetryPolicy(budget_retries=3, budget_ratio=0.0, budget_per_second=0.0)
    scene = Scene(policy)
    assert len(scene.waits_of(scene.call(), LOST)) == 3
    assert scene.waits_of(scene.call(), LOST) == []


def test_what_brings_something_is_tried_on_without_end_or_budget() -> None:
    scene = Scene(RetryPolicy(max_attempts=2, budget_retries=0))
    attempts = scene.call()
    for _ in range(100):
        attempts.next()
        scene.clock.advance(attempts.after(LOST, has_progressed=True))
    attempts.next()
    with pytest.raises(UnavailableError):
        attempts.after(LOST)


def test_progress_begins_the_count_anew() -> None:
    scene = Scene(RetryPolicy(max_attempts=3))
    attempts = scene.call()
    waits = []
    for has_progressed in (False, True, False):
        attempts.next()
        waits.append(attempts.after(LOST, has_progressed=has_progressed))
    assert waits == [0.05, 0.05, 0.1]
    with pytest.raises(UnavailableError):
        attempts.after(LOST)


def test_a_version_that_is_gone_is_looked_for_at_every_server_once() -> None:
    scene = Scene(RetryPolicy(max_attempts=1, budget_retries=0), num_targets=3)
    attempts = scene.call()
    gone = VersionGoneError("gone")
    asked = []
    for _ in range(2):
        asked.append(attempts.next().target)
        assert attempts.after(gone) == 0
    asked.append(attempts.next().target)
    with pytest.raises(VersionGoneError):
        attempts.after(gone)
    assert sorted(asked) == [0, 1, 2]


def test_a_server_without_the_version_is_not_waited_for() -> None:
    scene = Scene(num_targets=2)
    attempts = scene.call()
    gone_from = attempts.next().target
    attempts.after(VersionGoneError("gone"))
    for _ in range(3):
        assert attempts.next().target != gone_from
        assert attempts.after(LOST) > 0


def test_a_second_server_beside_costs_budget_and_is_another() -> None:
    scene = Scene(RetryPolicy(budget_retries=1, budget_ratio=0, budget_per_second=0), 2)
    attempts = scene.call()
    first, beside = attempts.next(), attempts.beside()
    assert beside is not None
    assert first.target != beside.target
    assert attempts.beside() is None


def test_nobody_is_asked_beside_once_the_time_is_over() -> None:
    scene = Scene(num_targets=2)
    attempts = scene.call(timeout_seconds=1.0)
    attempts.next()
    scene.clock.advance(1.0)
    assert attempts.beside() is None


def test_an_error_names_its_call() -> None:
    attempts = Scene().call()
    attempts.next()
    nameless = ServerError("no")
    with pytest.raises(ServerError):
        attempts.after(nameless)
    assert nameless.request_id == "mine"
