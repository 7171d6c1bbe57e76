"""Storms of arrivals, cancellations, slow readers and deadlines lose nothing and mix up nothing."""

from __future__ import annotations

from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.prefix import KnownState, PromptStates
from lstmserve_server.engine.request import Claim, GenerationRequest, Priority
from lstmserve_server.engine.scheduling.sequence import Sequence, Stage
from lstmserve_server.errors import DeadlineError, QueueFullError
from support.engines import Bench
from support.fake_runner import FakeRunner, make_model, make_request

places = st.integers(0, 10_000)


@cache
def alone(request: GenerationRequest) -> tuple[object, ...]:
    """The reply of an engine that has nothing else to do and reads token by token."""
    one_by_one = EngineConfig(max_running=1, quantum_steps=1, prefill_piece_tokens=1)
    bench = Bench(make_model(FakeRunner()), one_by_one, lambda: 0.0)
    bench.submit(0, request)
    return bench.run()[0].essence


@cache
def state_after(num_tokens: int) -> bytes:
    """The state that reading so many tokens of any prompt gives."""
    runner = FakeRunner()
    runner.clear([0])
    runner.prefill([0], [make_request(0, num_tokens).prompt_ids])
    return runner.take(0)


class Storm(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    @initialize(
        max_running=st.integers(1, 5),
        max_waiting=st.integers(0, 6),
        quantum=st.integers(1, 5),
        piece=st.integers(1, 4),
        budget=st.integers(2, 9),
    )
    def start(
        self, max_running: int, max_waiting: int, quantum: int, piece: int, budget: int
    ) -> None:
        self.config = EngineConfig(
            max_running=max_running,
            max_waiting=max_waiting,
            max_waiting_tokens=200,
            quantum_steps=quantum,
            prefill_piece_tokens=piece,
            prefill_budget_tokens=budget,
        )
        self.now = 1.0
        self.runner = FakeRunner()
        self.bench = Bench(make_model(self.runner), self.config, lambda: self.now)
        self.engine = self.bench.engine
        self.requests: dict[int, GenerationRequest] = {}
        self.replies = self.bench.replies  # of those nobody has cancelled
        self.deadlines: dict[int, float] = {}
        self.states: dict[int, PromptStates] = {}
        self.parked: set[int] = set()

    @rule(
        caller=st.sampled_from("abc"),
        priority=st.sampled_from(Priority),
        prompt=st.integers(1, 12),
        max_tokens=st.integers(1, 25),
        patience=st.one_of(st.just(1e9), st.integers(1, 6)),
        known=st.integers(0, 11),
        wanted=st.sets(st.integers(1, 11)),
        resumed=st.booleans(),
    )
    def submit(
        self,
        caller: str,
        priority: Priority,
        prompt: int,
        max_tokens: int,
        patience: float,
        known: int,
        wanted: set[int],
        *,
        resumed: bool,
    ) -> None:
        number = len(self.requests)
        request = make_request(number, prompt, max_tokens, min_tokens=2 * resumed % max_tokens)
        self.requests[number] = request
        claim = Claim(caller, priority, self.now + patience)
        wanted_states = PromptStates(
            KnownState(known, state_after(known)) if 0 < known < prompt else None,
            tuple(sorted(n for n in wanted if n < prompt)),
        )
        try:
            self.bench.submit(number, request, claim, wanted_states, self.now)
        except QueueFullError:
            return
        self.deadlines[number] = claim.deadline
        self.states[number] = wanted_states

    @rule()
    def step(self) -> None:
        # nothing comes of what was cancelled, or is parked
        assert {*self.bench.step()} <= self.replies.keys() - self.parked
        assert all(self.deadlines[number] > self.now for number in self.unfinished)

    @rule(
        place=places,
        priority=st.sampled_from(Priority),
        patience=st.one_of(st.just(1e9), st.integers(0, 6)),
    )
    def amend(self, place: int, priority: Priority, patience: float) -> None:
        if self.requests:
            number = place % len(self.requests)
            self.bench.amend(number, Claim("ignored", priority, self.now + patience))
            if number in self.unfinished:
                self.deadlines[number] = self.now + patience

    @rule(place=places)
    def cancel(self, place: int) -> None:
        if self.requests:
            number = place % len(self.requests)
            self.bench.cancel(number)
            if number in self.replies and not self.replies[number].has_ended:
                del self.replies[number]
                self.parked.discard(number)

    @rule(place=places)
    def park(self, place: int) -> None:
        begun = [n for n, reply in self.replies.items() if reply.token_ids and not reply.has_ended]
        if begun:
            number = begun[place % len(begun)]
            self.bench.park(number)
            self.parked.add(number)

    @rule(place=places)
    def unpark(self, place: int) -> None:
        if self.parked:
            number = sorted(self.parked)[place % len(self.parked)]
            self.bench.unpark(number)
            self.parked.remove(number)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(is_hurried=st.booleans())
    def hurry(self, *, is_hurried: bool) -> None:
        """Whether turns end early from now on."""
        self.runner.is_hurried = is_hurried

    @property
    def unfinished(self) -> list[int]:
        return [number for number, reply in self.replies.items() if not reply.has_ended]

    @invariant()
    def whoever_waits_stands_in_the_line_of_its_claim(self) -> None:
        if not hasattr(self, "engine"):
            return
        waiting = [r for r in self.engine._replies.values() if r.stage is Stage.WAITING]
        levels = self.engine._scheduler._queue._levels
        lines = {
            (caller, priority): (set(line.sequences), line.tokens)
            for priority, level in levels.items()
            for caller, line in level.lines.items()
        }
        for (caller, priority), (sequences, tokens) in lines.items():
            assert {(r.claim.caller, r.claim.priority) for r in sequences} == {(caller, priority)}
            assert tokens == sum(reply.cost for reply in sequences)
        assert set[Sequence]().union(*(found for found, _ in lines.values())) == set(waiting)
        assert self.engine.load.waiting_tokens == sum(reply.cost for reply in waiting)
        callers = {reply.claim.caller for reply in self.engine._replies.values()}
        assert set(self.engine._scheduler._ledger._callers) == callers <= set("abc")

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "engine"):
            return
        load, config = self.engine.load, self.config
        assert load.running <= config.max_running
        assert load.waiting == 0 or load.running == config.max_running
        assert load.waiting <= config.max_waiting
        assert max(self.runner.slots, default=-1) < config.max_running
        assert load.running + load.waiting + load.parked == len(self.unfinished)

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        for number in self.parked:
            self.bench.unpark(number)
        self.parked.clear()
        while self.bench.has_work:
            self.step()
        for number, reply in self.replies.items():
            if reply.error is not None:
                assert isinstance(reply.error, DeadlineError)
                assert self.deadlines[number] <= self.now
            else:
                assert reply.essence == alone(self.requests[number])
                wanted_states = self.states[number]
                new = [n for n in wanted_states.wanted if n > wanted_states.num_known]
                assert reply.states == {n: state_after(n) for n in new}
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        engine, scheduler = self.engine, self.engine._scheduler
        assert (engine._replies, engine._batch._aside) == ({}, {})
        assert len(engine._batch._slots) == 0
        assert (len(scheduler._ledger), len(scheduler._deadlines)) == (0, 0)
        assert engine.load.running == engine.load.waiting == engine.load.parked == 0
        assert engine.load.waiting_tokens == 0


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
