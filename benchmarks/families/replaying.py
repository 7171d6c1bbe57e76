"""Replies of every family at once, under load, beside the same requests asked alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.families.versions import SIZES, make_family_version
from benchmarks.load.measure import Generator
from benchmarks.replay.replay import Outcome, replay
from benchmarks.replay.requests import make_requests
from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.server import RunningServer, start_server
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.store.repository import ModelRepository


@dataclass(frozen=True)
class Work:
    """What the engines of the families had to do."""

    generated_tokens: dict[str, float]
    states_used: float  # of prompts whose beginning was known

    @classmethod
    def of(cls, server: RunningServer) -> Work:
        """Since the server has started."""
        page = MetricsPage(server.metrics_url or "")
        tokens = {name: n for (name,), n in page.values("generated_tokens_total", "model").items()}
        return cls(tokens, page.total("state_cache_lookups_total", outcome="hit"))

    def describe(self) -> str:
        """Say it in a line."""
        tokens = ", ".join(f"{name} {count:,.0f}" for name, count in self.generated_tokens.items())
        return f"tokens: {tokens}; {self.states_used:,.0f} prompts began from a kept state"


@contextmanager
def serve_families(tokenizer_store: Path) -> Iterator[RunningServer]:
    """A server of a version of each family, with the tokenizer of a store's first model."""
    source = next(iter(ModelRepository(tokenizer_store).scan().values()))[0].folder
    with tempfile.TemporaryDirectory() as folder:
        for family in SIZES:
            make_family_version(source, Path(folder), family)
        arguments = ("--model-store", folder, "--default-model", next(iter(SIZES)))
        with start_server(arguments) as server:
            yield server


def make_family_requests(count: int, seed: int) -> Sequence[pb.GenerateRequest]:
    """So many different requests, to every family in turn.

    All are generated, whatever was kept of replies; each other one of a family uses kept states.
    """
    requests = make_requests(count, seed, with_penalties=True, with_forms=True)
    families = list(SIZES)
    for number, request in enumerate(requests):
        request.model = families[number % len(families)]
        if number // len(families) % 2:
            request.cache_mode = pb.CACHE_MODE_REFRESH
    return requests


async def replay_families(
    target: str, requests: Sequence[pb.GenerateRequest], count: int, streams: int, seed: int
) -> Outcome:
    """Ask each alone, then so many together."""
    return await replay(Generator().connect(target), requests, count, streams, seed)
