"""No reply ever reaches another caller than the one that asked for it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.tcp_proxy import TcpProxy
from lstmserve_server.cache.observer import Lookup
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.config import CacheConfig
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, PATIENT, make_key, open_store

NUM_KEYS = 20
NUM_CALLERS = 40
CALLS = 15
# some replies come in time and some do not; callers give up while some are on their way
BUDGET_SECONDS = 0.2
DELAYS = (*(0.0, 0.0, 0.002, 0.02) * 4, 0.3)
PATIENCE = (0.0, 0.001, 0.003, 0.02, 1.0)
KEYS = [make_key(str(number)) for number in range(NUM_KEYS)]


def data_of(number: int) -> bytes:
    return f"reply {number} ".encode() * (1 + 300 * number)  # the long ones come in pieces


async def ask(store: RedisStore, rng: random.Random) -> bool:
    """One impatient caller; whether it had an answer, which was its own."""
    number = rng.randrange(NUM_KEYS)
    try:
        async with asyncio.timeout(rng.choice(PATIENCE)):
            if rng.random() < 0.5:
                found = await store.look_up(KEYS[number], COUNTED)
                data = None if found is None else found.data
            else:
                first = await store.find_first([make_key("none"), KEYS[number]])
                data = None if first is None else first[1]
    except TimeoutError:
        return False
    assert data in {None, data_of(number)}
    return data is not None


async def call_often(store: RedisStore, rng: random.Random) -> int:
    return sum([await ask(store, rng) for _ in range(CALLS)])


@pytest.mark.parametrize("seed", range(3))
async def test_every_answer_is_the_callers_own(
    redis_server: RedisProcess, events: CacheEvents, seed: int
) -> None:
    rng = random.Random(seed)
    redis = replace(
        PATIENT, budget_ms=1000 * BUDGET_SECONDS, max_connections=16, breaker_failures=10**9
    )
    cache = CacheConfig(threshold=10**9)
    async with (
        open_store(redis_server.url, events) as writer,
        TcpProxy(redis_server.port) as proxy,
        open_store(f"redis://127.0.0.1:{proxy.port}", events, redis, cache=cache) as store,
    ):
        for number, key in enumerate(KEYS):
            writer.put(key, data_of(number))
        await events.wait_for(lambda: sum(events.stored.values()) == NUM_KEYS)
        proxy.reply_delay = lambda: rng.choice(DELAYS)
        callers = [random.Random(f"{seed} {caller}") for caller in range(NUM_CALLERS)]
        answered = await asyncio.gather(*(call_often(store, caller) for caller in callers))
        assert sum(answered) > 0
        assert events.count_lookups(Lookup.ERROR) > 0  # some did come too late
        assert sum(answered) < NUM_CALLERS * CALLS
