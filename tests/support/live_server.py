"""A server whose store changes while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as generation_pb
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.calls import connect
from support.served import Metadata, Served, serve
from support.stores import copy_version

POLL = ("--poll-seconds", "0.05")

Cards = Mapping[int, pb.Model]
"""The versions of ``tiny``."""


@dataclass
class LiveServer:
    """Calls on a server of ``tiny``, and changes of its store."""

    served: Served
    models: ModelServiceStub
    store: Path
    sources: Mapping[str, Path]  # good versions, by what tests call their weights
    weights: dict[int, str] = field(default_factory=dict)  # of every version put there

    def put(self, weights: str) -> int:
        """Publish the next version, as one should: copied aside, then renamed."""
        version = self.next_version(weights)
        aside = copy_version(self.sources[weights], self.store.with_name("aside"), "tiny", version)
        aside.replace(self.folder(version))
        return version

    def prepare(self, weights: str) -> tuple[int, Path]:
        """The number of the next version, and its files, where the server does not look."""
        version = self.next_version(weights)
        return version, copy_version(
            self.sources[weights], self.store.with_name("aside"), "tiny", version
        )

    def next_version(self, weights: str) -> int:
        version = max(self.weights, default=0) + 1
        self.weights[version] = weights
        return version

    def folder(self, version: int) -> Path:
        return self.store / "tiny" / str(version)

    def cards(self) -> dict[int, pb.Model]:
        listed = self.models.ListModels(pb.ListModelsRequest()).models
        return {int(card.version): card for card in listed if card.name == "tiny"}

    def until(self, condition: Callable[[Cards], object]) -> Cards:
        """The versions once something is so."""
        seen: list[Cards] = []

        def look() -> object:
            seen[:] = [self.cards()]
            return condition(seen[0])

        until(look, lambda: f"versions, which are {seen[0]}")
        return seen[0]

    def until_state(self, version: int, state: pb.ModelState, reason: str = "") -> pb.Model:
        """A version's card once it is in this state for this reason."""
        return self.until(
            lambda cards: (
                version in cards
                and cards[version].state == state
                and reason in cards[version].state_reason
            )
        )[version]

    def answering(self, metadata: Metadata = (), **request: str) -> int:
        """The version that answers such a request."""
        asked = generation_pb.GenerateReplyRequest(
            prompt=request.pop("prompt", "hello"),
            stopping=generation_pb.StoppingCriteria(max_tokens=1),
            **request,
        )
        reply = self.served.generation.GenerateReply(asked, metadata=metadata)
        return int(reply.started.model_version)


@contextmanager
def serve_live(
    parent: Path, sources: Mapping[str, Path], weights: list[str], *arguments: str
) -> Iterator[LiveServer]:
    """A server that follows a store of its own, which begins with these versions, from 1 on."""
    store = parent / "store"
    for number, name in enumerate(weights, start=1):
        copy_version(sources[name], store, "tiny", number)
    with (
        serve(store, *POLL, *arguments) as served,
        connect(served.process.target) as channel,
    ):
        known = dict(enumerate(weights, start=1))
        yield LiveServer(served, ModelServiceStub(channel), store, sources, known)
    shutil.rmtree(parent, ignore_errors=True)
