"""Swap after swap, and what callers and the server's memory notice of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import grpc

from benchmarks.load.usage import measure_usage
from benchmarks.soak.growth import Sample
from benchmarks.swaps.busy import BusyCallers
from benchmarks.swaps.store import GrowingStore
from benchmarks.testbed.server import RunningServer
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1 import model_service_pb2_grpc

POLL_SECONDS = 0.1
MAX_SWAP_SECONDS = 300.0


class SwapError(Exception):
    """A version that was published is not served."""


@dataclass
class Outcome:
    """Of many swaps; tokens/s in each swap and in the quiet time after it."""

    swap_seconds: list[float] = field(default_factory=list)
    busy_rates: list[float] = field(default_factory=list)
    quiet_rates: list[float] = field(default_factory=list)
    memory: list[Sample] = field(default_factory=list)


class Swaps:
    """Publishes versions while callers ask."""

    def __init__(
        self, server: RunningServer, store: GrowingStore, callers: BusyCallers, quiet_seconds: float
    ) -> None:
        self._server = server
        self._store = store
        self._callers = callers
        self._quiet_seconds = quiet_seconds
        self.outcome = Outcome()

    async def run(self, count: int, on_progress: Callable[[int], object]) -> None:
        """Swap so often; raises SwapError."""
        async with grpc.aio.insecure_channel(self._server.target) as channel:
            models = model_service_pb2_grpc.ModelServiceStub(channel)
            await self._be_quiet(0)
            for number in range(1, count + 1):
                await self._swap(models)
                await self._be_quiet(number)
                on_progress(number)

    async def _swap(self, models: model_service_pb2_grpc.ModelServiceAsyncStub) -> None:
        """One version replaces another, which is gone from memory and from the store after it."""
        heard, began_at = self._callers.heard, monotonic()
        tokens = heard.tokens
        version = self._store.publish()
        await self._wait_for(models, version)
        self.outcome.swap_seconds.append(monotonic() - began_at)
        self.outcome.busy_rates.append(heard.rate_since(tokens, began_at))
        self._store.delete(version - 1)

    async def _wait_for(
        self, models: model_service_pb2_grpc.ModelServiceAsyncStub, version: int
    ) -> None:
        """Until this version alone is loaded."""
        for _ in range(int(MAX_SWAP_SECONDS / POLL_SECONDS)):
            listed = (await models.ListModels(pb.ListModelsRequest())).models
            states = {model.version: model.state for model in listed}
            ready = [each for each, state in states.items() if state == pb.MODEL_STATE_READY]
            if ready == [str(version)] and pb.MODEL_STATE_UNLOADING not in states.values():
                return
            await asyncio.sleep(POLL_SECONDS)
        raise SwapError(f"version {version} does not replace the one before: {listed}")

    async def _be_quiet(self, number: int) -> None:
        """Let callers ask while nothing is swapped."""
        heard, began_at = self._callers.heard, monotonic()
        tokens = heard.tokens
        await asyncio.sleep(self._quiet_seconds)
        self.outcome.quiet_rates.append(heard.rate_since(tokens, began_at))
        resident = measure_usage(self._server).resident_bytes or 0
        self.outcome.memory.append(Sample(number, resident))
