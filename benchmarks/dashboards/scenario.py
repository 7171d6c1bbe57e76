"""An hour of a service's life in a minute: calm, busy, too much, Redis gone, calm again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from benchmarks.load.dialect import LstmserveDialect, to_request
from benchmarks.load.driver import Closed
from benchmarks.load.measure import Generator, Plan, measure
from benchmarks.load.workload import Ask, CacheMode, Lengths, Sampling, Workload
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import RunningServer

# So that a minute shows requests that wait, and refusals: who calls alone may hold four fifths of
# the queue, which is one less than the most streams below need
SERVER = (
    *("--max-running", "32", "--max-waiting", "48", "--cache-threshold", "2"),
    *("--cache-bytes", "1000000", "--redis-budget-ms", "50"),
)
GENERATOR = Generator(connections=4)
ONE_LENGTH_IN = 5


class SomeKeepForms(LstmserveDialect):
    """Prompts of some lengths ask for a form, another one for each length."""

    def encode(self, ask: Ask) -> bytes:
        request = to_request(ask)
        length = len(ask.prompt)
        if length % ONE_LENGTH_IN == 0:
            request.constraint.regex = f"[A-Za-z ,.']{{{length},{2 * length}}}"
        return request.SerializeToString()


@dataclass(frozen=True)
class Act:
    """So many streams for a part of the time, whose callers leave when they have waited enough.

    ``is_alone`` while Redis answers nothing.
    """

    streams: int
    part: float
    cache_mode: CacheMode = CacheMode.DEFAULT
    patience_seconds: float = 60.0
    is_alone: bool = False


ACTS: Sequence[Act] = (
    Act(4, 0.2),
    Act(24, 0.2),
    Act(71, 0.2, CacheMode.BYPASS, patience_seconds=0.3),
    Act(16, 0.2, is_alone=True),
    Act(4, 0.2),
)


def play(
    server: RunningServer,
    redis: RedisProcess,
    pool: Executor,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Load the server act by act."""
    for number, act in enumerate(ACTS):
        say(f"{act.streams} streams{' without Redis' if act.is_alone else ''} ...")
        if act.is_alone:
            redis.freeze()
        measure(_plan(act, number, seconds), server, pool)
        redis.thaw()


def _plan(act: Act, number: int, seconds: float) -> Plan:
    workload = Workload(
        seed=number,
        popularity="zipf:1.1",
        sampling=Sampling.MIXED,
        lengths=Lengths.NATURAL,
        max_tokens=96,
        cache_mode=act.cache_mode,
        request_seeds=False,
    )
    load = Closed(act.streams)
    generator = replace(GENERATOR, timeout_seconds=act.patience_seconds)
    return Plan(SomeKeepForms(), generator, workload, load, 0.0, act.part * seconds)
