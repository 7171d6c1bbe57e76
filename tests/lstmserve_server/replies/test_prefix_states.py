"""A prompt is read from its longest known beginning on, here or on another server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lstmserve_bundle import Turn
from lstmserve_server.cache.entry_key import Kind, Owner
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import Lookup, StoreName
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.cache.stores import Tiers
from lstmserve_server.engine.prefix import PromptStates
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.replies.prefix_states import STATES, PrefixStates
from support.cache_events import CacheEvents
from support.engines import Bench, LoadedModel

OWNER = Owner("tiny", "1", "d" * 64)
STRIDE = 16
FIRST = [Turn("user", "my lamp is late")]
SECOND = [*FIRST, Turn("agent", "I am sorry to hear that."), Turn("user", "thank you")]
THIRD = [*SECOND, Turn("agent", "You are welcome!"), Turn("user", "great service")]
OTHER = [*FIRST, Turn("agent", "Let me check."), Turn("user", "ok, how long does it take?")]


class Reader:
    """Reads conversations with one model and one cache, and tells how much was known."""

    def __init__(self, tiny: LoadedModel, states: PrefixStates) -> None:
        self._tiny = tiny
        self._states = states
        self.lengths: list[int] = []  # of the prompts
        self.known: list[int] = []
        self.wanted: list[tuple[int, ...]] = []

    async def read(self, turns: list[Turn], owner: Owner = OWNER) -> object:
        """The greedy reply to a conversation, with log-probabilities."""
        template = self._tiny.bundle.template
        ids = tuple(template.render_conversation(turns))
        states, keep = await self._states.prepare(
            owner, ids, template.reply_starts(ids), self._tiny.runner.row_bytes
        )
        self.lengths.append(len(ids))
        self.known.append(states.num_known)
        self.wanted.append(states.wanted)
        return run(self._tiny, ids, states, keep)


def run(
    tiny: LoadedModel,
    ids: tuple[int, ...],
    states: PromptStates,
    keep: Callable[[int, bytes], None],
) -> object:
    bench = Bench(tiny)
    sampling = SamplingParams(temperature=0.0, num_logprobs=3)
    bench.submit(0, GenerationRequest(ids, sampling, 20), states=states)
    reply = bench.run()[0]
    for length, state in reply.states.items():
        keep(length, state)
    return reply.essence


def make_states(store: RedisStore | None = None, *, near: bool = True) -> PrefixStates:
    memory = MemoryStore(Kind.STATE, 1 << 20, 3600, CacheEvents()) if near else None
    return PrefixStates(Tiers(STATES, memory, store, CacheEvents()), STRIDE)


def alone(tiny: LoadedModel, turns: list[Turn]) -> object:
    ids = tuple(tiny.bundle.template.render_conversation(turns))
    return run(tiny, ids, PromptStates(), lambda _length, _state: None)


async def test_a_conversation_reads_its_new_tokens_only_and_gets_the_same_replies(
    tiny: LoadedModel,
) -> None:
    reader = Reader(tiny, make_states())
    for turns in (FIRST, SECOND, THIRD):
        assert await reader.read(turns) == alone(tiny, turns)
    first, second, _ = reader.lengths
    assert reader.known == [0, first - 1, second - 1]


async def test_whoever_has_the_same_beginning_goes_on_from_it(tiny: LoadedModel) -> None:
    reader = Reader(tiny, make_states())
    await reader.read(FIRST)
    await reader.read(SECOND)
    assert await reader.read(OTHER) == alone(tiny, OTHER)
    # from the last stride that both have, or from the first turn's end
    ids = [tiny.bundle.template.render_conversation(turns) for turns in (SECOND, OTHER)]
    shared = next(n for n, (a, b) in enumerate(zip(*ids, strict=False)) if a != b)
    assert reader.known[2] == max(reader.lengths[0] - 1, shared // STRIDE * STRIDE)


async def test_states_are_wanted_at_strides_and_where_the_reply_starts(
    tiny: LoadedModel,
) -> None:
    reader = Reader(tiny, make_states())
    await reader.read(THIRD)
    last = reader.lengths[0] - 1
    assert reader.wanted[0] == tuple(sorted({*range(STRIDE, last + 1, STRIDE), last}))
    await reader.read(THIRD)
    assert reader.known[1] == last
    assert reader.wanted[1] == ()


async def test_another_owner_knows_nothing_of_it(tiny: LoadedModel) -> None:
    reader = Reader(tiny, make_states())
    await reader.read(FIRST)
    for other in (Owner("tiny", "1", "e" * 64), Owner("tiny", "1", "d" * 64, "alice")):
        await reader.read(SECOND, other)
    assert reader.known == [0, 0, 0]


@pytest.mark.parametrize("near", [True, False])
async def test_another_server_goes_on_with_the_conversation(
    tiny: LoadedModel, store: RedisStore, events: CacheEvents, near: bool
) -> None:
    one, other = (Reader(tiny, make_states(store, near=near)) for _ in range(2))
    await one.read(FIRST)
    await events.wait_for(lambda: events.stored[Kind.STATE] >= len(one.wanted[0]))
    assert await other.read(SECOND) == alone(tiny, SECOND)
    assert other.known == [one.lengths[0] - 1]
    await events.wait_for(
        lambda: events.stored[Kind.STATE] >= len(one.wanted[0]) + len(other.wanted[0])
    )
    assert await one.read(THIRD) == alone(tiny, THIRD)
    assert one.known == [0, other.lengths[0] - 1]


async def test_a_first_turn_asks_redis_for_nothing(
    tiny: LoadedModel, store: RedisStore, events: CacheEvents
) -> None:
    reader = Reader(tiny, make_states(store))
    await reader.read([Turn("user", "hello")])
    assert not events.lookups[Kind.STATE, StoreName.REDIS, Lookup.MISS]
    await reader.read(SECOND)
    assert events.lookups[Kind.STATE, StoreName.REDIS, Lookup.MISS] == 1
    assert reader.known == [0, 0]


async def test_who_has_waited_for_redis_in_vain_does_not_ask_it_again(
    tiny: LoadedModel, store: RedisStore, events: CacheEvents
) -> None:
    template = tiny.bundle.template
    ids = tuple(template.render_conversation(THIRD))
    states = make_states(store)
    starts, size = template.reply_starts(ids), tiny.runner.row_bytes
    await states.prepare(OWNER, ids, starts, size, is_far_asked=False)
    assert not events.lookups
    await states.prepare(OWNER, ids, starts, size)
    assert events.lookups


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("more", [-1, 1, 1000])
async def test_a_state_of_another_size_is_a_miss_and_is_written_anew(
    tiny: LoadedModel, store: RedisStore, events: CacheEvents, near: bool, more: int
) -> None:
    template, size = tiny.bundle.template, tiny.runner.row_bytes
    ids = tuple(template.render_conversation(SECOND))
    starts = template.reply_starts(ids)
    states = make_states(None if near else store, near=near)
    wanted, keep = await states.prepare(OWNER, ids, starts, size)
    for length in wanted.wanted:
        keep(length, bytes(size + more))
    if not near:
        await events.wait_for(lambda: events.stored[Kind.STATE] >= len(wanted.wanted))
    assert (await states.prepare(OWNER, ids, starts, size + more))[0].num_known
    assert (await states.prepare(OWNER, ids, starts, size))[0] == wanted
    reader = Reader(tiny, states)
    assert await reader.read(SECOND) == alone(tiny, SECOND)
    assert reader.known == [0]
