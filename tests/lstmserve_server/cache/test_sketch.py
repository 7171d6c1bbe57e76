"""What is asked for within a window is never counted too low, and is forgotten in time."""

from __future__ import annotations

import math
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.cache.sketch import MOST, Sketch

WINDOW = 60.0


def digest_of(number: int) -> bytes:
    return blake2b(number.to_bytes(8, "little"), digest_size=32).digest()


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100)), max_size=60),
)
def test_counts_are_between_what_one_and_two_windows_hold(asked: list[tuple[int, float]]) -> None:
    clock = Hands()
    sketch = Sketch(WINDOW, clock)
    times: dict[int, list[float]] = {}
    for thing, pause in asked:
        clock.now += pause
        sketch.add(digest_of(thing))
        times.setdefault(thing, []).append(clock.now)
        within = [t for t in times[thing] if t > clock.now - WINDOW]
        oldest = (math.floor(clock.now / WINDOW) - 1) * WINDOW
        lately = [t for t in times[thing] if t >= oldest]
        assert len(within) <= sketch.count(digest_of(thing)) <= len(lately)


def test_what_is_never_asked_for_counts_nothing_beside_thousands() -> None:
    sketch = Sketch(WINDOW, Hands())
    for number in range(5000):
        sketch.add(digest_of(number))
    wrong = sum(sketch.count(digest_of(number)) > 0 for number in range(10_000, 20_000))
    # a false count needs four columns that are taken, of 65,536 of which 5,000 are:
    # (5000/65536)^4 = 3e-5 each, 0.3 of 10,000; ten or more once in 10^12 runs
    assert wrong < 10


def test_a_counter_that_is_full_stays() -> None:
    sketch = Sketch(WINDOW, Hands())
    for _ in range(MOST + 10):
        sketch.add(digest_of(1))
    assert sketch.count(digest_of(1)) == MOST
