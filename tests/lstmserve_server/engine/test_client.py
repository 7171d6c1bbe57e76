"""An engine as the event loop sees it: readers who come, lag and leave, and engines that die."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from lstmserve_bundle import Tokenizer
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine import keeper
from lstmserve_server.engine.client import EngineClient, Vocabulary
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Decoded
from lstmserve_server.engine.keeper import Keeper
from lstmserve_server.engine.launcher import EngineProcess, Launcher
from lstmserve_server.engine.messages import Cancel, Load, Row, Turn
from lstmserve_server.engine.prefix import KnownState, PromptStates
from lstmserve_server.engine.reply_stream import ReplyStream
from lstmserve_server.engine.request import Claim, GenerationRequest, Priority
from lstmserve_server.engine.scheduling.scheduler import ALONE_QUANTA
from lstmserve_server.errors import (
    DeadlineError,
    DeadlineInfeasibleError,
    EngineDeadError,
    PoisonedRequestError,
    QueueFullError,
)
from support.engines import Recorder
from support.fake_engine import FakeLauncher, FakeProcess
from support.fake_runner import END_ID, FakeRunner, FakeTokenizer, make_request

LONG = make_request(1, max_tokens=10**9, min_tokens=10**9)
CONFIG = EngineConfig(max_running=1, max_waiting=4, max_waiting_tokens=10**12, park_after_tokens=50)
PATIENT = replace(CONFIG, park_after_tokens=10**9)


class FailingRunner(FakeRunner):
    """Fails as often as it is told, or whenever it decodes a poisoned row."""

    num_failures = 0
    poison = -1  # a seed

    def decode(
        self,
        rows: Sequence[DecodeRow],
        steps: int,
        *,
        same_rows: bool,
        least_steps: int | None = None,
    ) -> list[Decoded]:
        if self.num_failures or self.poison in {row.sampling.seed for row in rows}:
            self.num_failures -= self.num_failures > 0
            raise RuntimeError("out of order")
        return super().decode(rows, steps, same_rows=same_rows, least_steps=least_steps)


class Running:
    """A client of engines that may die, and what it says of itself."""

    def __init__(self, config: EngineConfig) -> None:
        self.runner = FailingRunner()
        self.recorder = Recorder()
        self.deaths: list[BaseException] = []
        self.launcher = FakeLauncher(self.runner, config)
        vocabulary = Vocabulary(cast("Tokenizer", FakeTokenizer()), END_ID)
        self.engine = EngineClient(
            "test", vocabulary, config, self.recorder, time.monotonic, self.deaths.append
        )

    async def start(self) -> None:
        process, loaded = await self.launcher.launch()
        self.engine.start(cast("Launcher", self.launcher), cast("EngineProcess", process), loaded)

    @property
    def process(self) -> FakeProcess:
        """The one that runs now."""
        return self.launcher.launched[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0)

    async def until_idle(self) -> None:
        await self.until(lambda: sum(self.counts) == 0 and not self.engine._leaving)

    @property
    def counts(self) -> tuple[int, int, int]:
        load = self.engine.load
        return load.running, load.waiting, load.parked


@asynccontextmanager
async def running(config: EngineConfig = CONFIG) -> AsyncIterator[Running]:
    found = Running(config)
    await found.start()
    try:
        yield found
    finally:
        await found.engine.close()
    assert found.launcher.is_closed


def make_turn(*rows: Row) -> Turn:
    return Turn(2.0, [*rows], [], [], [], (len(rows), 1, 0.1), 0, Load(), (0, 0))


async def read_all(outputs: ReplyStream) -> list[int]:
    async with aclosing(outputs):
        return [token_id async for output in outputs for token_id in output.token_ids]


async def begin(run: Running, request: GenerationRequest = LONG) -> ReplyStream:
    """A reply of which the first output was read."""
    outputs = run.engine.generate(request)
    assert (await anext(outputs)).token_ids
    return outputs


async def test_first_tokens_go_out_before_the_rest_of_a_turn() -> None:
    engine = Running(PATIENT).engine
    engine._keeper = cast("Keeper", SimpleNamespace(is_up=True, count_progress=lambda: None))
    engine._commands.append(Cancel(-1))  # what is to be sent waits for more
    old, new = engine.generate(LONG), engine.generate(LONG)
    told: list[str] = []

    async def read(name: str, outputs: ReplyStream) -> None:
        await anext(outputs)
        told.append(name)

    engine.on_turn(make_turn(Row(0, [1], [], (1.0, 1.0))))
    await read("begun", old)
    async with asyncio.TaskGroup() as readers:
        readers.create_task(read("old", old))
        readers.create_task(read("new", new))
        await asyncio.sleep(0)
        engine.on_turn(
            make_turn(Row(0, [2] * PATIENT.quantum_steps, [], None), Row(1, [1], [], (1.0, 1.0)))
        )
    assert told == ["begun", "new", "old"]


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
            assert len(piece) <= CONFIG.park_after_tokens + ALONE_QUANTA * CONFIG.quantum_steps
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
            kept = [reply.outbox.num_tokens for reply in run.engine._replies.values()]
            assert sum(kept) <= CONFIG.park_after_tokens + ALONE_QUANTA * CONFIG.quantum_steps


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
        assert not run.engine._replies


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
        assert not run.engine._replies


async def test_a_reader_that_leaves_before_it_took_anything_is_forgotten() -> None:
    async with running(PATIENT) as run:
        stream = run.engine.generate(LONG)
        await run.until(lambda: run.counts == (1, 0, 0))
        await stream.aclose()
        await stream.aclose()
        await run.until_idle()
        assert not run.engine._replies
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
        assert not run.engine._replies


async def test_a_message_has_one_state_whoever_submits_how_many() -> None:
    async with running() as run:
        known = PromptStates(KnownState(2, bytes(FakeRunner.row_bytes)))
        streams = [run.engine.generate(make_request(n), states=known) for n in range(4)]
        run.process.die()
        replies = [await read_all(stream) for stream in streams]
        assert all(replies)
        messages = [message for process in run.launcher.launched for message in process.messages]
        with_state = [[bool(getattr(each, "known", None)) for each in one] for one in messages]
        assert sum(map(sum, with_state)) > len(streams)
        assert max(map(sum, with_state)) == 1


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


# --- engines that die --------------------------------------------------------------------


async def test_a_reply_goes_on_at_its_next_token_however_often_its_engine_dies() -> None:
    request = make_request(3, max_tokens=500, min_tokens=500)
    async with running(PATIENT) as run:
        expected = await read_all(run.engine.generate(request))
        stream, got = run.engine.generate(request), list[int]()
        async with aclosing(stream):
            async for output in stream:
                got += output.token_ids
                if len(run.launcher.launched) < 20:
                    run.process.die(in_hand=[run.process.received[0].reply_id])
        assert got == expected
        assert len(run.launcher.launched) == 20
        assert run.recorder.restarts == ["killed"] * 19


async def test_whoever_runs_waits_or_is_parked_goes_on() -> None:
    config = EngineConfig(max_running=2, park_after_tokens=20)
    requests = [make_request(seed, max_tokens=90, min_tokens=90) for seed in range(6)]
    async with running(config) as run:
        expected = [await read_all(run.engine.generate(request)) for request in requests]
        slow = run.engine.generate(requests[0])
        begun = (await anext(slow)).token_ids
        await run.until(lambda: run.counts == (0, 0, 1))
        readers = [asyncio.create_task(read_all(run.engine.generate(r))) for r in requests[1:]]
        await run.until(lambda: run.counts[1] > 0)
        run.process.die()
        assert [await reader for reader in readers] == expected[1:]
        assert begun + await read_all(slow) == expected[0]
        await run.until_idle()


async def test_who_comes_while_there_is_no_engine_waits_within_bounds() -> None:
    async with running(replace(PATIENT, max_waiting=2)) as run:
        expected = await read_all(run.engine.generate(make_request(2)))
        run.launcher.may_launch.clear()
        run.process.die()
        await asyncio.sleep(0)
        readers = [
            asyncio.create_task(read_all(run.engine.generate(make_request(2), Claim(caller))))
            for caller in "abc"
        ]
        await asyncio.sleep(0)
        left = readers.pop()
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        stream = run.engine.generate(make_request(2), Claim("d"))
        with pytest.raises(QueueFullError, match="wait for the engine to start again"):
            run.engine.generate(make_request(2))
        run.launcher.may_launch.set()
        assert [await reader for reader in readers] == [expected] * 2
        assert await read_all(stream) == expected
        await run.until_idle()


async def test_states_are_given_out_once() -> None:
    request = make_request(5, prompt=9, max_tokens=40, min_tokens=40)
    config = replace(PATIENT, prefill_piece_tokens=2)
    states: list[int] = []
    async with running(config) as run:
        expected = await read_all(run.engine.generate(request))
        wanted = PromptStates(wanted=(2, 4, 8))
        stream = run.engine.generate(request, states=wanted, on_state=lambda n, _: states.append(n))
        await run.until(lambda: states == [2, 4])
        run.process.die()
        assert await read_all(stream) == expected
    assert states == [2, 4, 8]


async def test_an_error_in_one_turn_costs_nobody_a_token() -> None:
    requests = [make_request(seed, max_tokens=60, min_tokens=60) for seed in range(4)]
    async with running(EngineConfig(max_running=4)) as run:
        expected = [await read_all(run.engine.generate(request)) for request in requests]
        run.runner.num_failures = 1
        found = await asyncio.gather(*(read_all(run.engine.generate(r)) for r in requests))
        assert [*found] == expected
        assert run.recorder.restarts == ["crash"]


async def test_a_request_that_ends_engines_is_refused_and_all_others_go_on() -> None:
    requests = [make_request(seed, max_tokens=60, min_tokens=60) for seed in range(8)]
    async with running(EngineConfig(max_running=8)) as run:
        expected = [await read_all(run.engine.generate(request)) for request in requests]
        run.runner.poison = 5
        found = await asyncio.gather(
            *(read_all(run.engine.generate(request)) for request in requests),
            return_exceptions=True,
        )
        assert isinstance(found[5], PoisonedRequestError)
        assert found[:5] + found[6:] == expected[:5] + expected[6:]
        assert run.recorder.restarts == ["crash"] * 2
        assert await read_all(run.engine.generate(requests[0])) == expected[0]
        assert not run.deaths


async def test_a_poisoned_request_does_not_wear_the_server_out() -> None:
    """Nobody is served in between, and the server goes on all the same."""
    async with running(EngineConfig(max_running=8)) as run:
        run.runner.poison = 5
        for _ in range(4):
            with pytest.raises(PoisonedRequestError, match="do not repeat it"):
                await read_all(run.engine.generate(make_request(5)))
        assert await read_all(run.engine.generate(make_request(1)))
        assert not run.deaths


async def test_an_engine_that_has_ended_before_it_is_used_is_replaced() -> None:
    run = Running(CONFIG)
    process, loaded = await run.launcher.launch()
    process.die()
    await asyncio.sleep(0)  # nobody listens yet
    run.engine.start(cast("Launcher", run.launcher), cast("EngineProcess", process), loaded)
    async with asyncio.timeout(5):
        assert await read_all(run.engine.generate(make_request(1)))
    assert run.recorder.restarts == ["killed"]
    await run.engine.close()


async def test_an_engine_that_says_nothing_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "HANG_SECONDS", 0.2)
    request = make_request(3, max_tokens=200, min_tokens=200)
    async with running(PATIENT) as run:
        expected = await read_all(run.engine.generate(request))
        stream = run.engine.generate(request)
        got = (await anext(stream)).token_ids
        stopped = run.process
        stopped.is_stopped = True
        assert got + await read_all(stream) == expected
        assert stopped.is_hanging
        assert len(run.launcher.launched) == 2


async def test_an_engine_that_was_frozen_with_its_server_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "HANG_SECONDS", 0.5)
    request = make_request(3, max_tokens=200, min_tokens=200)
    async with running(PATIENT) as run:
        stream = run.engine.generate(request)
        await anext(stream)
        run.process.is_stopped = True
        loop = asyncio.get_running_loop()
        for seconds in (100.0, 200.0, 300.0):  # pass while nothing runs, and bring one look each
            monkeypatch.setattr(loop, "time", lambda passed=seconds: time.monotonic() + passed)
            await asyncio.sleep(0.01)
        run.process.is_stopped = False
        run.process.send([])
        await read_all(stream)
        assert len(run.launcher.launched) == 1


async def test_an_engine_that_has_nothing_to_do_may_be_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "HANG_SECONDS", 0.01)
    async with running(CONFIG) as run:
        slow = await begin(run)
        await run.until(lambda: run.counts == (0, 0, 1))
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert len(run.launcher.launched) == 1
        await slow.aclose()


async def test_an_engine_that_cannot_be_kept_alive_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE_SECONDS", 0.0)
    async with running(CONFIG) as run:
        slow = await begin(run)
        run.launcher.num_failures = 1000
        others = [asyncio.create_task(read_all(run.engine.generate(LONG))) for _ in range(2)]
        await run.until(lambda: run.counts[1] > 0)
        run.process.die()
        for other in others:
            with pytest.raises(EngineDeadError):
                await other
        with pytest.raises(EngineDeadError):
            await read_all(slow)
        assert [str(death) for death in run.deaths] == [
            "its process has ended 6 times: cannot be loaded"
        ]
        with pytest.raises(EngineDeadError):
            await read_all(run.engine.generate(LONG))


async def test_an_engine_that_fails_to_start_and_then_does_is_used() -> None:
    async with running(CONFIG) as run:
        run.launcher.num_failures = 2
        expected = await read_all(run.engine.generate(make_request(2)))
        run.process.die()
        await asyncio.sleep(0)
        assert await read_all(run.engine.generate(make_request(2))) == expected
        assert not run.deaths


async def test_a_system_without_processes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE_SECONDS", 0.0)
    async with running(CONFIG) as run:
        run.launcher.num_refusals = 100
        expected = await read_all(run.engine.generate(make_request(2)))
        run.process.die()
        await asyncio.sleep(0)
        assert await read_all(run.engine.generate(make_request(2))) == expected
        assert not run.deaths


async def test_a_deadline_that_passes_while_there_is_no_engine_ends_a_reply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "HANG_SECONDS", 0.1)
    async with running(PATIENT) as run:
        run.launcher.may_launch.clear()
        run.process.die()
        await asyncio.sleep(0)
        with pytest.raises(DeadlineError):
            await read_all(run.engine.generate(LONG, Claim(deadline=time.monotonic() + 0.05)))
        run.launcher.may_launch.set()
        assert await read_all(run.engine.generate(make_request(2)))
