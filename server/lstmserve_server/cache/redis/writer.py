"""Writes to Redis that nobody waits for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from lstmserve_server.cache.entry_key import EntryKey, Selection
from lstmserve_server.cache.observer import CacheObserver, Problem, StoreName
from lstmserve_server.cache.redis.guard import Guard, NoAnswer
from lstmserve_server.cache.redis.keys import KeyNames
from lstmserve_server.cache.redis.link import Command, RedisLink
from lstmserve_server.cache.redis.problems import OUTAGES, Asked, classify

MAX_BATCH = 64  # writes in one go: half a megabyte of states, a few milliseconds
# of one go, unless one entry has more; and of all that wait: a long reply with log-probabilities
# has more than a megabyte
MAX_BATCH_BYTES = 1 << 20
MAX_QUEUED_BYTES = 16 << 20
CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Write:
    key: EntryKey
    data: bytes | None  # None: the entry is to go

    @property
    def num_bytes(self) -> int:
        return len(self.data or b"")


class RedisWriter:
    """A bounded queue of writes, and the task that makes them."""

    def __init__(
        self,
        link: RedisLink,
        guard: Guard,
        names: KeyNames,
        observer: CacheObserver,
        *,
        max_queued: int,
        ttl_seconds: float,
    ) -> None:
        self._link = link
        self._guard = guard
        self._names = names
        self._observer = observer
        self._max_queued = max_queued
        self._ttl_ms = max(1, round(ttl_seconds * 1000))
        self._queue: deque[_Write] = deque()
        self._queued_bytes = 0
        self._changed = asyncio.Event()
        self._is_closing = False

    def put(self, key: EntryKey, data: bytes) -> None:
        """Write an entry soon; dropped when too many writes wait."""
        self._add(_Write(key, data))

    def discard(self, key: EntryKey) -> None:
        """Delete an entry soon; dropped when too many writes wait."""
        self._add(_Write(key, None))

    def forget(self, selection: Selection) -> None:
        """Drop waiting writes of entries that are purged."""
        self._queue = deque(
            write for write in self._queue if not selection.includes(write.key.owner)
        )
        self._queued_bytes = sum(write.num_bytes for write in self._queue)

    async def run(self) -> None:
        """Write until told to close, and then what still waits."""
        while not (self._is_closing and not self._queue):
            await self._changed.wait()
            self._changed.clear()
            while self._queue:
                await self._write_all(self._take_batch())

    async def close(self, running: asyncio.Task[None]) -> None:
        """Let ``run`` end, which may take a second; what then still waits is dropped."""
        self._is_closing = True
        self._changed.set()
        await asyncio.wait((running,), timeout=CLOSE_SECONDS)
        running.cancel()
        self._drop(self._queue)
        self._queue.clear()

    def _add(self, write: _Write) -> None:
        queued_bytes = self._queued_bytes + write.num_bytes
        is_full = len(self._queue) >= self._max_queued or queued_bytes > MAX_QUEUED_BYTES
        if self._is_closing or is_full:
            self._drop([write])
            return
        self._queue.append(write)
        self._queued_bytes = queued_bytes
        self._changed.set()

    def _take_batch(self) -> list[_Write]:
        batch: list[_Write] = []
        num_bytes = 0
        while self._queue and len(batch) < MAX_BATCH:
            num_bytes += self._queue[0].num_bytes
            if batch and num_bytes > MAX_BATCH_BYTES:
                break
            batch.append(self._queue.popleft())
        self._queued_bytes -= sum(write.num_bytes for write in batch)
        return batch

    async def _write_all(self, batch: Sequence[_Write]) -> None:
        """Write to each server by itself: one that fails keeps nothing from the others."""
        places: dict[str, list[_Write]] = {}
        for write in batch:
            place = self._link.find_place(self._names.entry(write.key))
            places.setdefault(place, []).append(write)
        await asyncio.gather(*map(self._write, places.values()))

    async def _write(self, batch: Sequence[_Write]) -> None:
        commands = [self._command(write) for write in batch]
        releases = [
            ("UNLINK", self._names.lease(write.key)) for write in batch if write.data is not None
        ]
        answers = await self._guard.run(
            batch[0].key.kind,
            Asked.WRITE,
            self._names.entry(batch[0].key),
            lambda: self._send([*commands, *releases]),
        )
        if isinstance(answers, NoAnswer):
            self._drop(batch)
            return
        for write, answer in zip(batch, answers, strict=False):  # the releases' follow
            if write.data is not None and not isinstance(answer, Exception):
                self._observer.on_stored(write.key.kind, StoreName.REDIS)
        self._tell_of_refusals(batch, answers)

    async def _send(self, commands: Sequence[Command]) -> list[object]:
        answers = await self._link.ask_all(commands)
        first = answers[0]
        # a cluster's client hands over what it would have raised before a single server
        if all(isinstance(each, Exception) and classify(each) in OUTAGES for each in answers):
            raise first
        return answers

    def _command(self, write: _Write) -> Command:
        name = self._names.entry(write.key)
        if write.data is None:
            return ("UNLINK", name)
        return ("SET", name, write.data, "PX", self._ttl_ms)

    def _tell_of_refusals(self, batch: Sequence[_Write], answers: Sequence[object]) -> None:
        kinds = [write.key.kind for write in batch]
        kinds += [write.key.kind for write in batch if write.data is not None]  # the releases'
        errors = [
            (kind, answer)
            for kind, answer in zip(kinds, answers, strict=True)
            if isinstance(answer, Exception)
        ]
        for kind, error in errors:
            self._guard.refuse(kind, Asked.WRITE, error)
        if not errors:
            self._guard.grant(Asked.WRITE)

    def _drop(self, writes: Sequence[_Write] | deque[_Write]) -> None:
        for write in writes:
            self._observer.on_problem(write.key.kind, Problem.DROPPED)
