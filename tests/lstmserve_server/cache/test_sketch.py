"""What is asked for lately is never counted too low, and little else is counted at all."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.cache.sketch import MOST, Sketch, find_capacity, find_places

WINDOW = 60.0
COLUMNS = 1024


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
    sketch = Sketch(WINDOW, clock, COLUMNS)
    times: dict[int, list[float]] = {}
    for thing, pause in asked:
        clock.now += pause
        sketch.add(digest_of(thing))
        times.setdefault(thing, []).append(clock.now)
        ages = [clock.now - time for time in times[thing]]
        within, lately = (sum(age < most for age in ages) for most in (WINDOW, 2 * WINDOW))
        assert within <= sketch.count(digest_of(thing)) <= lately


def test_what_was_never_asked_for_before_does_not_look_as_if_it_was() -> None:
    """However many things are asked for: here 30 times as many as there is room for."""
    sketch = Sketch(WINDOW, Hands(), COLUMNS)
    numbers = range(30 * find_capacity(COLUMNS))
    found = Counter(add_and_count(sketch, number) for number in numbers)
    assert found.total() - found[1] < 0.01 * found.total()  # 0.6 % in the long run


def test_as_many_things_as_there_is_room_for_are_remembered() -> None:
    sketch = Sketch(WINDOW, Hands(), COLUMNS)
    capacity = find_capacity(COLUMNS)
    for number in range(10 * capacity):
        sketch.add(digest_of(number))
        assert sketch.count(digest_of(max(0, number - capacity + 1))) >= 1


def test_popular_things_do_not_crowd_out_others() -> None:
    """It is different things that fill a sketch, and not requests."""
    sketch = Sketch(WINDOW, Hands(), COLUMNS)
    sketch.add(digest_of(0))
    for number in range(20 * find_capacity(COLUMNS)):
        sketch.add(digest_of(1 + number % 10))
    assert sketch.count(digest_of(0)) == 1
    assert sketch.count(digest_of(1)) == MOST


def test_the_sketches_of_shards_are_not_fuller_than_one_of_all() -> None:
    """The beginning of a digest, by which it was dealt out, is not what it is counted by."""
    places = [find_places(bytes(16) + digest_of(number)[16:], COLUMNS) for number in range(400)]
    for row in zip(*places, strict=True):
        # of 1,024 columns 331 are expected to be taken, with a standard deviation of 7
        assert 280 < len(set(row)) <= 400


def test_a_counter_that_is_full_stays() -> None:
    sketch = Sketch(WINDOW, Hands(), COLUMNS)
    for _ in range(MOST + 10):
        sketch.add(digest_of(1))
    assert sketch.count(digest_of(1)) == MOST


def add_and_count(sketch: Sketch, number: int) -> int:
    sketch.add(digest_of(number))
    return sketch.count(digest_of(number))
