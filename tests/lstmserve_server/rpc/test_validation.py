"""Which numbers a request may hold, and in what words others are refused."""

from __future__ import annotations

import math

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.validation import Bounds, list_sampling_bounds

CLOSED = Bounds(0, 1)
ABOVE = Bounds(0, 1, is_above_low=True)
BELOW = Bounds(0, 1, is_below_high=True)


def test_every_number_but_the_seed_has_bounds() -> None:
    numbers = {field.name for field in pb.SamplingParams.DESCRIPTOR.fields if not field.is_repeated}
    assert list_sampling_bounds(100).keys() == numbers - {"seed"}


@pytest.mark.parametrize(
    ("bounds", "allowed", "words"),
    [
        (CLOSED, [0, 0.5, 1], "from 0 to 1"),
        (ABOVE, [0.5, 1], "above 0 and at most 1"),
        (BELOW, [0, 0.5], "at least 0 and below 1"),
    ],
)
def test_an_end_is_allowed_as_the_words_say(
    bounds: Bounds, allowed: list[float], words: str
) -> None:
    asked = [-0.1, 0, 0.5, 1, 1.1, math.nan, math.inf]
    assert [value for value in asked if bounds.allow(value)] == allowed
    assert str(bounds) == words
