"""One replica: its own process, which answers or asks the engine, as ``replies/service`` does."""

from __future__ import annotations

import simpy

from benchmarks.capacity.contents import Key
from benchmarks.capacity.cores import Cores, Steps, Thread
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.engine_model import EngineModel
from benchmarks.capacity.fleet_plan import FleetPlan, entry_bytes
from benchmarks.capacity.flight import Call, Flight, GoneError, Source
from benchmarks.capacity.lru import Frequency, Lru
from benchmarks.capacity.redis_model import Breaker, Process, RedisModel
from benchmarks.capacity.sender import Sender


class Replica:
    """Answers calls: near, in flight, far, by the engine."""

    def __init__(
        self,
        environment: simpy.Environment,
        plan: FleetPlan,
        costs: Costs,
        cores: Cores,
        redis: RedisModel | None,
        *,
        is_streamed: bool,
    ) -> None:
        self.kept = Lru(plan.cache_bytes)
        self.num_calls = 0  # that run
        self.is_gone = False
        self.front = Thread(environment, cores, costs.front_cold_seconds)
        self.worker = Thread(environment, cores, costs.engine_cold_seconds)
        self._environment, self._plan, self._costs, self._redis = environment, plan, costs, redis
        self._asked = Frequency(plan.window_seconds)
        self._breaker = Breaker()
        self._flights: dict[Key | None, Flight] = {}
        self._sender = Sender(environment, self.front, costs, plan, is_streamed=is_streamed)
        deliver = self._sender.deliver
        self.engine = EngineModel(environment, self.worker, costs, plan.engine, deliver)

    def stop(self) -> None:
        """End at once; what runs is lost."""
        self.is_gone = True
        self.engine.stop(GoneError())

    def answer(self, call: Call) -> Steps:
        """Answer a call; raises GoneError, or what the engine's scheduler refuses it with."""
        self.num_calls += 1
        try:
            yield from self._answer(call)
        finally:
            self.num_calls -= 1

    def _answer(self, call: Call) -> Steps:
        question = call.question
        if question.variant < 0:
            flight = self._begin(call, None)
            yield from self._generate(call, None, flight, is_frequent=False)
            return
        key = (question.number, question.variant)
        asked = self._asked.add(question.number, self._environment.now)
        is_frequent = asked >= self._plan.threshold
        if self.kept.find(key):
            yield from self._replay(call, Source.NEAR, self._costs.front_kept_seconds)
        elif key in self._flights:
            call.source, flight = Source.JOINED, self._flights[key]
            flight.followers += 1
            yield from self.front.run(self._costs.front_kept_seconds)
            yield from self._follow(call, flight)
        else:
            yield from self._look_far(call, key, is_frequent=is_frequent)

    def _look_far(self, call: Call, key: Key, *, is_frequent: bool) -> Steps:
        flight = self._begin(call, key)
        if self._redis is not None and self._breaker.allows(self._environment.now):
            is_kept, is_frequent_far = yield from self._ask_redis(self._redis, key)
            is_frequent |= is_frequent_far
            if is_kept:
                yield from self._replay_far(call, key, flight)
                return
        yield from self._generate(call, key, flight, is_frequent=is_frequent)

    def _replay_far(self, call: Call, key: Key, flight: Flight) -> Steps:
        self._flights.pop(key, None)
        self._keep(key, call)
        try:
            yield from self._replay(call, Source.FAR, self._costs.front_kept_seconds)
        except GoneError as error:
            flight.fail(error)
            raise
        flight.first.succeed()
        flight.done.succeed()

    def _ask_redis(self, redis: RedisModel, key: Key) -> Process[tuple[bool, bool]]:
        """Look for the reply, and if it is not there for the state of its prompt."""
        yield from self.front.run(self._costs.front_far_seconds)
        is_done = yield from redis.operate(key)
        self._breaker.note(self._environment.now, is_done=is_done)
        if not is_done:
            return False, False
        found = redis.contents.ask(key, self._environment.now)
        if not found[0]:
            yield from redis.operate(key)
        return found

    def _begin(self, call: Call, key: Key | None) -> Flight:
        flight = Flight(call.question, self._environment.event(), self._environment.event())
        if key is not None:
            self._flights[key] = flight
        return flight

    def _generate(self, call: Call, key: Key | None, flight: Flight, *, is_frequent: bool) -> Steps:
        yield from self.front.run(self._costs.front_generated_seconds)
        yield self._environment.timeout(self._costs.wake_up_engine(call.fortune))
        if self.is_gone:
            flight.fail(GoneError())
        else:
            self.engine.submit(flight, call.deadline)
        try:
            yield from self._follow(call, flight)
        finally:
            self._flights.pop(key, None)
        if key is not None and is_frequent:
            self._keep(key, call)
            self._write(key, call)

    def _follow(self, call: Call, flight: Flight) -> Steps:
        yield flight.first
        call.first = self._environment.now
        yield flight.done
        if flight.error is not None:
            raise flight.error

    def _replay(self, call: Call, source: Source, seconds: float) -> Steps:
        call.source = source
        yield from self._sender.replay(call, seconds)
        if self.is_gone:
            raise GoneError

    def _keep(self, key: Key, call: Call) -> None:
        self.kept.put(key, entry_bytes(call.question.tokens))

    def _write(self, key: Key, call: Call) -> None:
        """Write to Redis behind the caller's back."""
        if self._redis is not None and self._breaker.allows(self._environment.now):
            self._redis.contents.put(key, entry_bytes(call.question.tokens))
            self._environment.process(self._redis.operate(key))
