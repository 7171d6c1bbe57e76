"""Swap after swap, and what callers and the server's memory notice of it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import monotonic

from benchmarks.endurance.callers import Callers, Heard
from benchmarks.endurance.growth import Sample
from benchmarks.endurance.replies import Question, bits_of, learn
from benchmarks.endurance.watched import Watch, watched_async_client
from benchmarks.load.report import show_progress
from benchmarks.load.usage import MeasureError, read_resident
from benchmarks.load.workload import Lengths, Workload
from benchmarks.testbed.server import RunningServer
from lstmserve_client import (
    AsyncClient,
    CacheMode,
    GenerateOptions,
    ModelState,
    Reply,
    SamplingParams,
    StoppingCriteria,
)

MANIFEST = "manifest.json"
NUM_QUESTIONS = 256
POLL_SECONDS = 0.1
MAX_SWAP_SECONDS = 300.0


class GrowingStore:
    """Versions 1, 2, 3 and on, all with the weights of one: their replies must be the same."""

    def __init__(self, source: Path, folder: Path) -> None:
        """``source`` is the folder of a version, ``folder`` that of the new store."""
        self._source = source
        self._number = 0
        self.folder = folder
        self.model: str = json.loads((source / MANIFEST).read_text("utf-8"))["name"]
        self.publish()

    def publish(self) -> int:
        """Add a version as docs/operations.md says: copied under another name, then renamed."""
        self._number += 1
        place = self.folder / self.model / str(self._number)
        part = shutil.copytree(self._source, place.with_suffix(".part"))
        manifest = json.loads((part / MANIFEST).read_text("utf-8"))
        manifest["version"] = self._number
        (part / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        part.rename(place)
        return self._number

    def delete(self, number: int) -> None:
        """Remove a version that is served no longer."""
        shutil.rmtree(self.folder / self.model / str(number))


@dataclass
class Swapped:
    """Of many swaps; tokens/s in each swap and in the quiet time after it."""

    swap_seconds: list[float] = field(default_factory=list)
    busy_rates: list[float] = field(default_factory=list)
    quiet_rates: list[float] = field(default_factory=list)
    memory: list[Sample] = field(default_factory=list)


def learn_first(server: RunningServer, max_tokens: int) -> Sequence[Question]:
    """Ask the first version what every reply must be."""
    return learn(server.target, islice(_asks(max_tokens), NUM_QUESTIONS))


def _asks(max_tokens: int) -> Iterator[tuple[str, GenerateOptions]]:
    """Mixed lengths, each reply from the model."""
    for ask in Workload(lengths=Lengths.MIXED, max_tokens=max_tokens).asks(0):
        yield (
            ask.prompt,
            {
                "sampling": SamplingParams(seed=ask.seed, temperature=ask.sampling.temperature),
                "stopping": StoppingCriteria(min_tokens=ask.min_tokens, max_tokens=ask.max_tokens),
                "cache_mode": CacheMode.BYPASS,
            },
        )


async def run_swaps(
    server: RunningServer,
    store: GrowingStore,
    questions: Sequence[Question],
    *,
    streams: int,
    count: int,
    quiet_seconds: float,
) -> tuple[Heard, Swapped, Counter[str]]:
    """Swap so often while callers ask; raises MeasureError.

    Return also how many attempts failed, by error class: the client would mend them.
    """
    watch = Watch()
    async with watched_async_client([server.target], watch) as client:
        callers = Callers(client, questions, streams, bits=_without_version)
        swaps = _Swaps(client, server, store, callers.heard, quiet_seconds)
        with show_progress("swaps", count) as on_progress:
            async with callers.asking():
                await swaps.run(count, on_progress)
    return callers.heard, swaps.swapped, watch.failures | callers.heard.lost


def _without_version(reply: Reply) -> Reply:
    """All but the version that made it: each has the same weights."""
    bits = bits_of(reply)
    return replace(bits, started=replace(bits.started, model_version="", model_digest=""))


class _Swaps:
    """Publishes versions while callers ask."""

    def __init__(
        self,
        client: AsyncClient,
        server: RunningServer,
        store: GrowingStore,
        heard: Heard,
        quiet_seconds: float,
    ) -> None:
        self._client = client
        self._server = server
        self._store = store
        self._heard = heard
        self._quiet_seconds = quiet_seconds
        self.swapped = Swapped()

    async def run(self, count: int, on_progress: Callable[[int], object]) -> None:
        await self._be_quiet(0)
        for number in range(1, count + 1):
            await self._swap()
            await self._be_quiet(number)
            on_progress(number)

    async def _swap(self) -> None:
        """One version replaces another, which is gone from memory and from the store after it."""
        tokens, began_at = self._heard.tokens, monotonic()
        version = self._store.publish()
        await self._wait_for(version)
        self.swapped.swap_seconds.append(monotonic() - began_at)
        self.swapped.busy_rates.append(self._heard.rate_since(tokens, began_at))
        self._store.delete(version - 1)

    async def _wait_for(self, version: int) -> None:
        """Until this version alone is loaded."""
        for _ in range(int(MAX_SWAP_SECONDS / POLL_SECONDS)):
            states = {model.version: model.state for model in await self._client.models()}
            ready = [each for each, state in states.items() if state is ModelState.READY]
            if ready == [str(version)] and ModelState.UNLOADING not in states.values():
                return
            await asyncio.sleep(POLL_SECONDS)
        raise MeasureError(f"version {version} does not replace the one before: {states}")

    async def _be_quiet(self, number: int) -> None:
        """Let callers ask while nothing is swapped; longer, where a busy machine answers none."""
        tokens, began_at = self._heard.tokens, monotonic()
        await asyncio.sleep(self._quiet_seconds)
        for _ in range(int(MAX_SWAP_SECONDS / POLL_SECONDS)):
            if self._heard.tokens > tokens:
                break
            await asyncio.sleep(POLL_SECONDS)
        self.swapped.quiet_rates.append(self._heard.rate_since(tokens, began_at))
        resident = await asyncio.to_thread(read_resident, self._server)
        self.swapped.memory.append(Sample(number, resident))
