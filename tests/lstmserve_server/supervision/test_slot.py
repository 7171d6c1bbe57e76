"""How patient a supervisor is with workers that end."""

from __future__ import annotations

from lstmserve_server.supervision.slot import STEADY_SECONDS, count_failures


def test_a_worker_that_served_for_long_begins_the_count_anew() -> None:
    assert count_failures(7, lived_seconds=STEADY_SECONDS / 2) == 8
    assert count_failures(7, lived_seconds=STEADY_SECONDS) == 1
