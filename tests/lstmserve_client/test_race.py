"""The first answer of two calls, for threads: no test waits for time to pass."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from lstmserve_client import OverloadedError, UnavailableError
from lstmserve_client.race import race

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 3600.0
FIRST_LOST, SECOND_LOST = UnavailableError("first"), OverloadedError("second")

Call = Future[str]


def answered(text: str) -> Call:
    call = Call()
    call.set_result(text)
    return call


def failed(error: Exception) -> Call:
    call = Call()
    call.set_exception(error)
    return call


def never() -> Call:
    pytest.fail("nobody was to ask a second server")


def test_a_first_that_answers_in_time_is_alone() -> None:
    assert race(lambda: answered("first"), never, LONG) == "first"


def test_a_first_that_fails_in_time_is_alone() -> None:
    with pytest.raises(UnavailableError, match="first"):
        race(lambda: failed(FIRST_LOST), never, LONG)


def test_the_second_answers_for_a_first_that_hangs_which_is_cancelled() -> None:
    first = Call()
    assert race(lambda: first, lambda: answered("second"), 0) == "second"
    assert first.cancelled()


def test_the_first_may_still_win_and_the_second_is_cancelled() -> None:
    first, second = Call(), Call()

    def begin_second() -> Call:
        first.set_result("first")
        return second

    assert race(lambda: first, begin_second, 0) == "first"
    assert second.cancelled()


def test_a_second_that_fails_loses_to_a_first_that_answers_later() -> None:
    first = Call()

    class FailsBeforeTheFirst(Call):
        def add_done_callback(self, callback: Callable[[Any], object]) -> None:
            super().add_done_callback(callback)
            first.set_result("first")

    second = FailsBeforeTheFirst()
    second.set_exception(SECOND_LOST)
    assert race(lambda: first, lambda: second, 0) == "first"


def test_if_both_fail_the_later_failure_is_told() -> None:
    first = Call()

    def begin_second() -> Call:
        first.set_exception(FIRST_LOST)
        return failed(SECOND_LOST)

    with pytest.raises(OverloadedError, match="second"):
        race(lambda: first, begin_second, 0)


def test_without_a_second_the_first_is_waited_for() -> None:
    first = Call()

    def begin_second() -> None:
        first.set_result("first")

    assert race(lambda: first, begin_second, 0) == "first"


def test_leaving_cancels_what_runs() -> None:
    first = Call()

    def begin_second() -> Call:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        race(lambda: first, begin_second, 0)
    assert first.cancelled()
