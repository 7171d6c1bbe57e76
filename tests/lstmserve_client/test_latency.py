"""How long calls take of late, and when that is too long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lstmserve_client import HedgePolicy, Reply
from lstmserve_client.keywords import (
    GenerateOptions,
)
from lstmserve_client.latency import Exactness, Latencies
from lstmserve_client.testing import FakeService

ASKED = GenerateOptions(model="m")


@pytest.fixture
def reply() -> Reply:
    return FakeService().client().reply("hi")


def test_too_few_calls_tell_nothing() -> None:
    latencies = Latencies(HedgePolicy(min_calls=3))
    for _ in range(2):
        latencies.add(1.0)
    assert latencies.hedge_seconds is None
    latencies.add(1.0)
    assert latencies.hedge_seconds == 1.0


def test_the_quantile_is_the_nearest_rank() -> None:
    latencies = Latencies(HedgePolicy(quantile=0.95, min_calls=1))
    for seconds in range(100, 0, -1):
        latencies.add(float(seconds))
    assert latencies.hedge_seconds == 95.0


def test_only_the_latest_calls_count() -> None:
    latencies = Latencies(HedgePolicy(window=5, min_calls=1))
    for seconds in (100.0, *[1.0] * 5):
        latencies.add(seconds)
    assert latencies.hedge_seconds == 1.0


def test_it_is_never_too_soon() -> None:
    latencies = Latencies(HedgePolicy(min_calls=1, min_seconds=0.5))
    latencies.add(0.001)
    assert latencies.hedge_seconds == 0.5


def test_a_second_copy_is_sent_again_once_a_model_is_exact(reply: Reply) -> None:
    exactness, latencies = Exactness(), Latencies(HedgePolicy())
    for is_inexact in (True, False):
        exactness.note(replace(reply, started=replace(reply.started, is_inexact=is_inexact)), ASKED)
        assert exactness.allow(latencies, ASKED) is (None if is_inexact else latencies)
        assert exactness.allow(latencies, {}) is latencies
