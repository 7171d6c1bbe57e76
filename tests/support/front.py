"""The way of a unary request through a server, from its bytes to those of its response, without
sockets and engines: what is counted of it can be read.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import grpc
from prometheus_client import CollectorRegistry, disable_created_metrics

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Bundle
from lstmserve_server.cache.entry_key import Kind, Selection
from lstmserve_server.cache.stores import CacheStores
from lstmserve_server.config import CacheConfig
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.kept_forms import KeptForms
from lstmserve_server.engine.output import Finish, Output, Timings
from lstmserve_server.engine.reply_text import begin_text
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.errors import DrainingError
from lstmserve_server.gate import Gate
from lstmserve_server.replies import service as replies_service
from lstmserve_server.replies.service import ReplyService
from lstmserve_server.rpc.call import Call, CallOutcome
from lstmserve_server.rpc.classifying import Classifying
from lstmserve_server.rpc.constraining import Constraining
from lstmserve_server.rpc.door import OpenDoor
from lstmserve_server.rpc.generation import Exchanges, GenerationServicer
from lstmserve_server.rpc.interceptor import CallInterceptor
from lstmserve_server.rpc.repeats import METHOD, Repeats
from lstmserve_server.rpc.service import Service
from lstmserve_server.store.catalog import ModelCatalog, Roster
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.telemetry.caches import CacheMetrics
from lstmserve_server.telemetry.calls import CallMetrics
from lstmserve_server.telemetry.metrics import Metrics

TIMINGS = Timings(0.1, 0.2, 0.3, 0.4, 0.5)
EVERYTHING = Selection()
MOST = 12  # tokens of a reply


class InventedEngine:
    """Its replies are functions of version, prompt and seed, as an engine's are."""

    row_bytes = 64

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.num_asked = 0

    def generate(self, request: GenerationRequest, *_: object) -> InventedOutputs:
        self.num_asked += 1
        manifest, end_id = self._bundle.manifest, self._bundle.template.end_id
        seed = request.sampling.seed if request.sampling.temperature else 0
        chance = random.Random(repr((manifest.digest, request.prompt_ids, seed)))
        ordinary = [one for one in range(manifest.sizes.vocabulary) if one != end_id]
        text, tokens, parts = begin_text(self._bundle.tokenizer, end_id, request), [], []
        while text.finish_reason is None:
            tokens.append(end_id if len(tokens) == MOST else chance.choice(ordinary[32:]))
            parts.append(text.push(tokens[-1]))
        finish = Finish(text.finish_reason, text.stop_sequence, len(tokens), TIMINGS)
        return InventedOutputs([Output("".join(parts), tokens, [], finish)])


class InventedOutputs:
    """Those of one reply."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = iter(outputs)

    def __aiter__(self) -> InventedOutputs:
        return self

    async def __anext__(self) -> Output:
        output = next(self._outputs, None)
        if output is None:
            raise StopAsyncIteration
        return output

    async def aclose(self, num_untold: int = 0) -> None: ...

    def amend(self, claim: object) -> None: ...


def make_model(bundle: Bundle) -> ServedModel:
    """A version that answers, by an engine that knows no model."""
    engine = cast("Any", InventedEngine(bundle))
    return ServedModel(bundle, engine, classifier=bundle.read_classifier(), faq=bundle.read_faq())


class CountingSketch(replies_service.Sketch):
    """Remembers what it was told."""

    def __init__(self, window_seconds: float, clock: Callable[[], float]) -> None:
        super().__init__(window_seconds, clock, columns=1 << 10)
        self.told: Counter[bytes] = Counter()

    def add(self, digest: bytes) -> None:
        super().add(digest)
        self.told[digest] += 1


class _Context:
    """One call's, as far as a unary one needs it."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self._metadata = tuple(metadata.items())
        self.code: grpc.StatusCode | None = None
        self.told: list[object] = []

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def time_remaining(self) -> None: ...

    async def send_initial_metadata(self, metadata: object) -> None:
        self.told.append(metadata)

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        self.code = code
        raise grpc.aio.AbortError


class Front:
    """The parts of a server between its port and its engines, with everything that counts."""

    def __init__(
        self,
        config: CacheConfig,
        *,
        has_repeats: bool = True,
        max_known: int = 1024,
        is_text_logged: bool = False,
    ) -> None:
        """Without ``has_repeats`` every request goes all the way. Call it on an event loop."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        caches = CacheMetrics(metrics)
        self.stores = CacheStores(config, caches)
        self.catalog = ModelCatalog()
        replies = ReplyService(config, self.stores, 8, caches)
        forms = Constraining(ProcessBuilder(), KeptForms(0), cast("Any", None))  # none is asked for
        self.service = Service(
            self.catalog,
            *cast("Any", (None, replies, self.stores, config, caches, 64, None, None, forms)),
            is_text_logged=is_text_logged,
        )
        observer = CallMetrics(metrics)
        self.repeats = Repeats(self.service, observer, max_known)
        self.num_whole_ways = 0  # requests of which nothing was known
        self.ends: list[tuple[Call, CallOutcome]] = []
        self._servicer = GenerationServicer(
            Exchanges(self.service, observer), Classifying(self.service, observer), self.repeats
        )
        self._handler = grpc.unary_unary_rpc_method_handler(self._serve)
        shortcuts = {METHOD: self.repeats.answer} if has_repeats else {}
        gate = Gate(lambda: DrainingError("closed"))
        self._interceptor = CallInterceptor(gate, OpenDoor(), (self, observer), shortcuts)

    async def _serve(
        self, request: pb.GenerateReplyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GenerateReplyResponse:
        self.num_whole_ways += 1
        return await self._servicer.GenerateReply(request, context)

    def on_call_end(self, call: Call, outcome: CallOutcome) -> None:
        self.ends.append((call, outcome))

    def serve(self, *models: ServedModel, default: str = "") -> None:
        """Let these answer, the newest of each name by default, and no others any more."""
        served = {(model.name, model.manifest.version): model for model in models}
        newest = {name: {version: 1} for name, version in sorted(served)}
        self.catalog.switch(Roster(served, newest, default or models[0].name))

    def share(self, name: str, weights: Mapping[int, int]) -> None:
        """Let versions of a model share what names none."""
        roster = self.catalog._roster
        self.catalog.switch(Roster(roster.models, {name: weights}, name))

    async def purge(self, selection: Selection = EVERYTHING) -> None:
        await self.stores.purge(selection)

    async def ask(
        self,
        request: pb.GenerateReplyRequest,
        metadata: Mapping[str, str] = MappingProxyType({"x-request-id": "id"}),
    ) -> pb.GenerateReplyResponse | grpc.StatusCode:
        """Return the reply, or the status of a call that has none."""
        details = SimpleNamespace(method=METHOD, invocation_metadata=tuple(metadata.items()))

        async def find(_: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
            return self._handler

        async def come() -> AsyncIterator[bytes]:
            yield request.SerializeToString()

        handler = await self._interceptor.intercept_service(find, cast("Any", details))
        context = _Context(metadata)
        try:
            written = await cast("Any", handler).stream_unary(come(), context)
        except grpc.aio.AbortError:
            assert context.code is not None
            return context.code
        return pb.GenerateReplyResponse.FromString(written)

    def read_counts(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return every count on the page, and nothing that depends on time."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name.endswith(("_total", "_count"))
        }

    @property
    def asked_for(self) -> Counter[bytes]:
        """What was asked for how often, as admission to the cache knows it."""
        sketch = self.service.replies._kept._sketch
        assert isinstance(sketch, CountingSketch)
        return sketch.told

    @property
    def num_kept(self) -> int:
        return self.stores.memory[Kind.REPLY].num_entries
