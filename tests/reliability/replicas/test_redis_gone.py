"""The Redis that two replicas share is killed, and comes back empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.endurance.replies import Question
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import replicas, targets_of
from lstmserve_client import CacheMode
from support.replica_callers import ThreadedCallers


def test_replies_do_not_notice_that_redis_was_killed(
    tiny_store: Path, questions: Sequence[Question]
) -> None:
    """Replies that Redis alone keeps, and fresh ones, while it is killed and started again."""
    kept = [
        replace(each, options={**each.options, "cache_mode": CacheMode.DEFAULT})
        for each in questions[::2]
    ]
    with (
        RedisProcess() as redis,
        replicas([tiny_store] * 2, "--redis-url", redis.url) as pair,
    ):
        callers = ThreadedCallers(targets_of(pair), [*kept, *questions[1::2]])
        with callers.asking():
            assert redis.client.dbsize() > 0
            redis.kill()
            callers.wait_for_everyone()
            redis.start()
            callers.wait_for_everyone()
        assert callers.watch.failures.total() == 0
