"""Every worker has cores of its own, and every core has work."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.supervision.supervisor import share_cores

core_sets = st.sets(st.integers(0, 255), min_size=1)


@given(core_sets, st.data())
def test_shares_are_disjoint_equal_to_one_core_and_leave_none_out(
    cores: set[int], data: st.DataObject
) -> None:
    workers = data.draw(st.integers(1, len(cores)))
    shares = share_cores(cores, workers)
    assert [*chain(*shares)] == sorted(cores)
    sizes = {len(share) for share in shares}
    assert len(shares) == workers
    assert max(sizes) - min(sizes) <= 1


@given(core_sets, st.integers(1, 9))
def test_with_more_workers_than_cores_nobody_is_pinned(cores: set[int], more: int) -> None:
    workers = len(cores) + more
    assert share_cores(cores, workers) == [()] * workers
