"""Whom a call asks next when every server has failed lately."""

from __future__ import annotations

from lstmserve_client import RetryPolicy, UnavailableError
from lstmserve_client.attempts import Attempts, Patience
from lstmserve_client.call import make_call
from lstmserve_client.config import make_config

LONG_DEAD, JUST_GONE = 0, 1


def test_who_has_just_failed_is_not_asked_again_before_who_failed_long_ago() -> None:
    """In a rolling restart the first server is back when the second goes. It rests the longer
    the longer it was away, and still it is the one to ask.
    """
    now = 0.0
    patience = Patience.begin(RetryPolicy(), 2, lambda: now)
    for _ in range(12):
        patience.targets.failed(LONG_DEAD, now)
        now += 10.0
    patience.targets.failed(LONG_DEAD, now)
    attempts = Attempts(patience, make_call(make_config(["a:1", "b:1"]), {}))
    assert attempts.next().target == JUST_GONE
    attempts.after(UnavailableError("draining"))
    assert attempts.next().target == LONG_DEAD
