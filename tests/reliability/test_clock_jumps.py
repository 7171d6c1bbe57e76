"""A wall clock that jumps, forwards and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import libfaketime
import pytest

from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as pb
from support.bystanders import Bystanders, Expected, bystanders
from support.calls import LONG
from support.metrics_page import MetricsPage
from support.served import Served, serve
from support.whole_reply import to_unary, whole_of_unary
from support.wire_requests import make_request

HOUR = 3_600
DAY = 24 * HOUR
JUMPS = (DAY, -DAY, 400 * DAY, 0)
DEADLINE_SECONDS = 60
MOST_SECONDS = 60.0  # the last bucket: what is off by a jump lies beyond it
HISTOGRAMS = (
    *("request_seconds", "queue_seconds", "prefill_seconds"),
    *("time_to_first_token_seconds", "inter_token_seconds", "step_seconds"),
)
KEPT = make_request("hello", seed=11, max_tokens=8)


LIBRARY = next(Path(libfaketime.__file__).parent.rglob("libfaketime.so.1"))


class JumpingClock:
    """Steers the wall clock of processes; their monotonic clocks go on as ever."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "offset"
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Let the wall clock be so many seconds off, a second from now at most."""
        aside = self._path.with_suffix(".new")  # it may be read at any moment
        aside.write_text(f"{seconds:+d}\n")
        aside.replace(self._path)

    @contextmanager
    def on_start(self) -> Iterator[None]:
        """Processes that are started within the block have this clock."""
        variables = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": "1",  # seconds: to read the file at every look would be slow
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with patch.dict(os.environ, variables):
            yield


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> JumpingClock:
    return JumpingClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def served(tiny_store: Path, clock: JumpingClock) -> Iterator[Served]:
    """A server of which only the wall clock jumps; it keeps replies."""
    with ExitStack() as stack:
        with clock.on_start():
            options = ("--cache-ttl-seconds", str(HOUR))
            running = stack.enter_context(serve(tiny_store, *options, is_forked=False))
        yield running


def longest(page: MetricsPage, name: str) -> float:
    """The upper end of the last bucket that holds anything beyond the ones before it."""
    counts = {float(le): count for (le,), count in page.values(f"{name}_bucket", "le").items()}
    most = max(counts.values())
    return min(bound for bound, count in counts.items() if count == most)


def log_times(served: Served) -> list[datetime]:
    return [datetime.fromisoformat(entry["timestamp"]) for entry in served.process.read_entries()]


def until_jumped(served: Served, others: Bystanders, seconds: int) -> None:
    """Until the server's log tells that its clock is so much off."""

    def off() -> timedelta:
        return log_times(served)[-1] - datetime.now(UTC)

    def has_jumped() -> bool:
        others.replies()
        return abs(off() - timedelta(seconds=seconds)) < timedelta(hours=1)

    until(has_jumped, lambda: f"the clock is {seconds} s off, not {off()}")


def test_a_wall_clock_that_jumps_changes_no_reply_no_deadline_and_no_duration(
    served: Served, expected: Expected, clock: JumpingClock
) -> None:
    """Days forwards and back, with replies under way: the replies are the same, deadlines are
    neither met nor missed by it, what is kept stays kept, and no duration is off or negative.
    """
    for _ in range(5):  # until it is kept
        kept = whole_of_unary(served.generation.GenerateReply(to_unary(KEPT)))
    assert kept.outcome == pb.CACHE_OUTCOME_HIT
    whole = served.ask(LONG)
    for jump in JUMPS:
        with bystanders(served.process.target, expected) as others:
            call = served.generation.GenerateReply.future(
                to_unary(uncached(LONG)), timeout=DEADLINE_SECONDS
            )
            clock.jump(jump)
            until_jumped(served, others, jump)
            reply = call.result()
        assert whole_of_unary(reply) == whole
        timings = reply.completion.timings
        for field in timings.DESCRIPTOR.fields:
            assert 0 <= getattr(timings, field.name) < MOST_SECONDS
        again = whole_of_unary(served.generation.GenerateReply(to_unary(KEPT)))
        assert (again, again.outcome) == (kept, pb.CACHE_OUTCOME_HIT)
    page = served.page_once_idle()
    assert all(longest(page, name) <= MOST_SECONDS for name in HISTOGRAMS)
    # it imports torch, which takes minutes beside others
    assert 0 <= page.total("model_load_seconds_sum") < HOUR


def uncached(request: pb.GenerateRequest) -> pb.GenerateRequest:
    fresh = pb.GenerateRequest()
    fresh.CopyFrom(request)
    fresh.cache_mode = pb.CACHE_MODE_BYPASS
    return fresh
