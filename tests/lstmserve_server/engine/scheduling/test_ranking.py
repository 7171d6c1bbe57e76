"""A heap from which any key may be taken out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.scheduling.ranking import SLACK, Ranking


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 5)), max_size=200))
def test_the_first_is_that_of_a_sorted_list(moves: list[tuple[bool, int, int]]) -> None:
    ranking: Ranking[int] = Ranking()
    expected: list[tuple[int, int]] = []  # (rank, key), stable
    for adds, key, rank in moves:
        if adds and key not in ranking:
            ranking.add(key, rank)
            expected.append((rank, key))
        elif not adds:
            ranking.discard(key)
            expected = [entry for entry in expected if entry[1] != key]
        expected.sort(key=lambda entry: entry[0])
        assert len(ranking) == len(expected)
        assert ranking.first() == (expected[0][1] if expected else None)


def test_keys_that_were_taken_out_are_not_kept() -> None:
    ranking: Ranking[int] = Ranking()
    ranking.add(-1, 0.0)
    for key in range(10_000):
        ranking.add(key, 1.0)
        ranking.discard(key)
    assert len(ranking._heap) <= 2 * len(ranking) + SLACK
