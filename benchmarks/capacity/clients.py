"""Who asks: a balancer chooses a replica, and clients try again as the client library does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import ceil

import simpy

from benchmarks.capacity.cores import Steps, Thread
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import Balancer
from benchmarks.capacity.flight import Call, GoneError, Source
from benchmarks.capacity.redis_model import Process
from benchmarks.capacity.replica import Replica
from lstmserve_client.policies import RetryPolicy
from lstmserve_client.retries import RetryBudget, backoff_seconds, jitter
from lstmserve_server.config import EngineConfig
from lstmserve_server.errors import DeadlineError, LstmserveError, QueueFullError


class Clients:
    """All clients behind one balancer; they share one retry budget."""

    def __init__(
        self,
        environment: simpy.Environment,
        replicas: Sequence[Replica],
        balancer: Balancer,
        costs: Costs,
        source: random.Random,
        generator: Thread | None,
    ) -> None:
        """``generator`` sends and receives where that takes the replicas' cores."""
        self.in_service = list(replicas)
        self.ended: list[Call] = []
        self.policy = RetryPolicy()
        self._environment, self._balancer, self._costs = environment, balancer, costs
        self._source, self._generator = source, generator
        self._budget = RetryBudget(self.policy, 0.0)

    def ask(self, call: Call, when_ended: Callable[[], None]) -> Steps:
        """Ask until there is a reply, or the client gives up; each call ends once."""
        self._budget.earn()
        if self._generator is not None:
            yield from self._generator.run(self._costs.generator_request_seconds)
        yield self._environment.timeout(self._costs.wake_up(call.fortune))
        while not (yield from self._try(call)):
            pass
        if self._generator is not None:
            yield from self._receive(self._generator, call)
        call.end = self._environment.now
        self.ended.append(call)
        when_ended()

    def _receive(self, generator: Thread, call: Call) -> Steps:
        """Receive the last message; what the others took is spent as well, at another moment."""
        seconds, quantum = self._costs.generator_message_seconds, EngineConfig().quantum_steps
        yield from generator.run(seconds)
        others = ceil((call.question.tokens - 1) / quantum)
        self._environment.process(generator.run(others * seconds))

    def _try(self, call: Call) -> Process[bool]:
        """Make an attempt; return whether it was the last."""
        if not self.in_service:
            return (yield from self._pause(call, Source.REFUSED, self.policy.max_backoff_seconds))
        try:
            yield from self._choose(call).answer(call)
        except QueueFullError as error:
            call.refusals += 1
            return (yield from self._pause(call, Source.REFUSED, error.retry_seconds))
        except (DeadlineError, TimeoutError):
            call.source = Source.LATE
        except GoneError:
            call.losses += 1
            return (yield from self._pause(call, Source.REFUSED, 0.0))
        except LstmserveError:
            call.source = Source.REFUSED
        return True

    def _choose(self, call: Call) -> Replica:
        if self._balancer is Balancer.CALLER:
            return self.in_service[int(call.question.caller) % len(self.in_service)]
        if self._balancer is Balancer.RANDOM:
            return self._source.choice(self.in_service)
        fewest = min(replica.num_calls for replica in self.in_service)
        return self._source.choice([one for one in self.in_service if one.num_calls == fewest])

    def _pause(self, call: Call, source: Source, least_seconds: float) -> Process[bool]:
        """Wait before the next attempt; return whether there is none."""
        failures, policy, now = call.refusals + call.losses, self.policy, self._environment.now
        longest = backoff_seconds(
            failures, policy.initial_backoff_seconds, policy.max_backoff_seconds, policy.multiplier
        )
        wait = max(jitter(longest, self._source.random()), least_seconds)
        may_retry = failures < policy.max_attempts and self._budget.try_spend(now)
        if not may_retry or now + wait >= call.deadline:
            call.source = source
            return True
        yield self._environment.timeout(wait)
        call.source = Source.GENERATED
        return False
