"""The engine on its thread, as the event loop sees it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

import pytest

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.async_engine import AsyncEngine
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Decoded
from lstmserve_server.engine.prefix import KnownState, PromptStates
from lstmserve_server.engine.reply_stream import ReplyStream
from lstmserve_server.engine.request import Claim, GenerationRequest, Priority
from lstmserve_server.errors import (
    DeadlineError,
    DeadlineInfeasibleError,
    EngineDeadError,
    QueueFullError,
)
from support.engines import Recorder
from support.fake_runner import FakeRunner, make_engine, make_request

LONG = make_request(1, max_tokens=10**9, min_tokens=10**9)
CONFIG = EngineConfig(max_running=1, max_waiting=4, max_waiting_tokens=10**12, park_after_tokens=50)
PATIENT = replace(CONFIG, park_after_tokens=10**9)


class FailingRunner(FakeRunner):
    """Fails when told to."""

    is_broken = False

    def decode(self, rows: Sequence[DecodeRow], steps: int, *, same_rows: bool) -> list[Decoded]:
        if self.is_broken:
            raise RuntimeError("out of order")
        return super().decode(rows, steps, same_rows=same_rows)


class Running:
    """An engine on its thread, and what it says of itself."""

    def __init__(self, config: EngineConfig) -> None:
        self.runner = FailingRunner()
        self.recorder = Recorder()
        self.deaths: list[BaseException] = []
        engine = make_engine(self.runner, config, self.recorder, time.monotonic)
        self.engine = AsyncEngine(
            engine, "test", time.monotonic, self.deaths.append, config.park_after_tokens
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - the engine's thread tells nobody
            await asyncio.sleep(0)

    async def until_idle(self) -> None:
        await self.until(lambda: sum(self.counts) == 0)

    @property
    def counts(self) -> tuple[int, int, int]:
        load = self.engine.load
        return load.running, load.waiting, load.parked


@asynccontextmanager
async def running(config: EngineConfig = CONFIG) -> AsyncIterator[Running]:
    found = Running(config)
    found.engine.start()
    try:
        yield found
    finally:
        found.engine.close()


async def read_all(outputs: ReplyStream) -> list[int]:
    async with aclosing(outputs):
        return [token_id async for output in outputs for token_id in output.token_ids]


async def begin(run: Running, request: GenerationRequest = LONG) -> ReplyStream:
    """A reply of which the first output was read."""
    outputs = run.engine.generate(request)
    assert (await anext(outputs)).token_ids
    return outputs


async def test_a_slow_reader_gives_its_place_up_and_loses_nothing() -> None:
    request = replace(LONG, max_tokens=2000, min_tokens=2000)
    async with running(CONFIG) as run:
        undisturbed = await read_all(run.engine.generate(request))
        slow = run.engine.generate(request)
        got = (await anext(slow)).token_ids
        while len(got) < len(undisturbed):
            # nobody takes anything until the engine has given up on this reader, or is done
            await run.until(lambda: run.counts in {(0, 0, 1), (0, 0, 0)})
            others = [run.engine.generate(make_request(7, max_tokens=30)) for _ in range(2)]
            assert all([await read_all(other) for other in others])
            piece = (await anext(slow)).token_ids
            assert len(piece) <= CONFIG.park_after_tokens + CONFIG.quantum_steps
            got += piece
        assert got == undisturbed
        await run.until_idle()


async def test_what_is_kept_for_a_reader_who_always_lags_is_bounded() -> None:
    request = replace(LONG, max_tokens=2000, min_tokens=2000)
    async with running(CONFIG) as run:
        slow = run.engine.generate(request)
        num_taken = 0
        while num_taken < request.max_tokens:
            num_taken += len((await anext(slow)).token_ids)
            # until the engine has run ahead as far as it may
            await run.until(lambda: run.counts in {(0, 0, 1), (0, 0, 0)})
            kept = [outbox.num_tokens for outbox in run.engine._outboxes.values()]
            assert sum(kept) <= CONFIG.park_after_tokens + CONFIG.quantum_steps


async def test_a_cancelled_reply_frees_its_place_and_the_time_it_took_is_told() -> None:
    async with running(PATIENT) as run:
        stream = await begin(run)
        waiting = asyncio.create_task(begin(run))
        await run.until(lambda: run.counts == (1, 1, 0))
        await stream.aclose()
        await (await waiting).aclose()
        await run.until_idle()
        assert len(run.recorder.cancelled) == 2
        assert max(run.recorder.cancelled) < 1


@pytest.mark.parametrize(
    ("config", "counts"), [(PATIENT, (1, 0, 0)), (CONFIG, (0, 0, 1))], ids=["running", "parked"]
)
async def test_a_reader_that_leaves_is_forgotten(
    config: EngineConfig, counts: tuple[int, int, int]
) -> None:
    async with running(config) as run:
        stream = await begin(run)
        await run.until(lambda: run.counts == counts)
        await stream.aclose()
        await run.until_idle()
        assert not run.engine._outboxes


async def test_a_reader_that_leaves_while_it_waits_is_forgotten() -> None:
    async with running(PATIENT) as run:
        stream = await begin(run)
        reader = asyncio.create_task(read_all(run.engine.generate(LONG)))
        await run.until(lambda: run.counts == (1, 1, 0))
        reader.cancel()
        await run.until(lambda: run.counts == (1, 0, 0))
        await stream.aclose()


async def test_a_storm_of_cancellations_leaves_the_others_as_they_were() -> None:
    request = make_request(3, max_tokens=300, min_tokens=300)
    async with running(EngineConfig(max_running=4)) as run:
        expected = await read_all(run.engine.generate(request))
        readers = [asyncio.create_task(read_all(run.engine.generate(request))) for _ in range(60)]
        for turn in range(10):
            await asyncio.sleep(0)
            for reader in readers[turn::11]:
                reader.cancel()
        ended = await asyncio.gather(*readers, return_exceptions=True)
        assert {type(end) for end in ended} == {asyncio.CancelledError, list}
        assert all(end == expected for end in ended if isinstance(end, list))
        await run.until_idle()
        assert not run.engine._outboxes


async def test_a_reader_that_leaves_before_it_took_anything_is_forgotten() -> None:
    async with running(PATIENT) as run:
        stream = run.engine.generate(LONG)
        await run.until(lambda: run.counts == (1, 0, 0))
        await stream.aclose()
        await stream.aclose()
        await run.until_idle()
        assert not run.engine._outboxes
        assert await read_all(stream) == []


async def test_a_step_that_is_cancelled_loses_nothing() -> None:
    """Whenever it happens, and whoever goes on."""
    request = replace(LONG, max_tokens=600, min_tokens=600)
    async with running() as run:
        undisturbed = await read_all(run.engine.generate(request))
        stream = run.engine.generate(request)
        got: list[int] = []
        for turn in itertools.count():
            step = asyncio.ensure_future(anext(stream))
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            step.cancel()
            with suppress(asyncio.CancelledError):
                got += (await step).token_ids
            if len(got) == len(undisturbed):
                break
        assert got == undisturbed
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_several_tasks_may_take_turns() -> None:
    request = replace(LONG, max_tokens=600, min_tokens=600)
    async with running() as run:
        undisturbed = await read_all(run.engine.generate(request))
        stream, got = run.engine.generate(request), list[int]()

        async def read() -> None:
            async for output in stream:
                got.extend(output.token_ids)

        await asyncio.gather(*(read() for _ in range(3)))
        assert got == undisturbed


async def test_closing_ends_a_step_that_waits() -> None:
    async with running(PATIENT) as run:
        first = await begin(run)
        stream = run.engine.generate(LONG)
        step = asyncio.ensure_future(anext(stream))
        await run.until(lambda: run.counts == (1, 1, 0))
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await step
        await first.aclose()


async def test_an_amended_deadline_ends_a_reply_and_one_that_has_ended_stays_so() -> None:
    async with running() as run:
        begun, untouched = await begin(run), run.engine.generate(LONG)
        await run.until(lambda: run.counts == (0, 0, 2))
        for stream in (begun, untouched):
            stream.amend(Claim(priority=Priority.LOW, deadline=time.monotonic()))
        for stream in (begun, untouched):
            with pytest.raises(DeadlineError):
                await read_all(stream)
            stream.amend(Claim())
        short = run.engine.generate(make_request(2))
        expected = await read_all(run.engine.generate(make_request(2)))
        assert await read_all(short) == expected
        short.amend(Claim(deadline=time.monotonic()))
        assert await read_all(run.engine.generate(make_request(2))) == expected


async def test_states_come_in_order_and_before_any_token() -> None:
    config = replace(CONFIG, prefill_piece_tokens=2)
    request = make_request(5, prompt=9)
    async with running(config) as run:
        expected = await read_all(run.engine.generate(request))
        states: dict[int, bytes] = {}
        wanted = PromptStates(wanted=(2, 3, 8))
        stream = run.engine.generate(request, states=wanted, on_state=states.setdefault)
        first = (await anext(stream)).token_ids
        assert list(states) == [2, 3, 8]
        assert first + await read_all(stream) == expected
        for num_tokens, data in states.items():
            known = PromptStates(KnownState(num_tokens, data), wanted=(1, 8))
            later: dict[int, bytes] = {}
            again = run.engine.generate(request, states=known, on_state=later.setdefault)
            assert await read_all(again) == expected
            assert later == ({} if num_tokens == 8 else {8: states[8]})


async def test_a_state_of_another_model_is_refused_and_harms_nobody() -> None:
    async with running() as run:
        for known in (KnownState(2, b"short"), KnownState(3, bytes(8))):
            with pytest.raises(ValueError, match="known: "):
                run.engine.generate(make_request(2, prompt=3), states=PromptStates(known))
        assert await read_all(run.engine.generate(make_request(2, prompt=3)))
        assert not run.engine._outboxes


async def test_refusals_reach_the_caller() -> None:
    async with running(replace(PATIENT, max_waiting=0)) as run:
        stream = await begin(run)
        with pytest.raises(QueueFullError):
            await read_all(run.engine.generate(LONG))
        with pytest.raises(DeadlineInfeasibleError):
            await read_all(run.engine.generate(LONG, Claim(deadline=time.monotonic())))
        await stream.aclose()


async def test_a_deadline_that_passes_ends_a_reply() -> None:
    async with running() as run:
        # which may end its reply early, so that the deadline is not impossible from the start
        endless = replace(LONG, stop_sequences=("no such text",))
        with pytest.raises(DeadlineError):
            await read_all(run.engine.generate(endless, Claim(deadline=time.monotonic() + 0.05)))
        assert run.counts == (0, 0, 0)


async def test_a_dead_engine_fails_who_runs_who_waits_and_who_is_parked() -> None:
    async with running(CONFIG) as run:
        slow = await begin(run)
        await run.until(lambda: run.counts == (0, 0, 1))
        run.runner.is_broken = True
        others = [asyncio.create_task(read_all(run.engine.generate(LONG))) for _ in range(2)]
        for other in others:
            with pytest.raises(EngineDeadError):
                await other
        with pytest.raises(EngineDeadError):
            await read_all(slow)
        assert [str(death) for death in run.deaths] == ["out of order"]
        with pytest.raises(EngineDeadError):
            await read_all(run.engine.generate(LONG))
