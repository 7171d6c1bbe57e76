"""The composition root: builds the parts, and owns the order of starting and stopping."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry, disable_created_metrics

from lstmserve_server.cache.caches import Caches
from lstmserve_server.config import ServerConfig
from lstmserve_server.engine.async_engine import AsyncEngine
from lstmserve_server.engine.engine import Engine
from lstmserve_server.errors import StartupError
from lstmserve_server.ready import Ready
from lstmserve_server.rpc.server import RpcServer
from lstmserve_server.rpc.service import Service
from lstmserve_server.store.catalog import ModelCatalog, ServedModel
from lstmserve_server.store.loader import LoadedModel, configure_torch, load_version
from lstmserve_server.store.repository import ModelRepository, StoredVersion
from lstmserve_server.telemetry.caches import CacheMetrics
from lstmserve_server.telemetry.calls import CallMetrics
from lstmserve_server.telemetry.engine import EngineMetrics
from lstmserve_server.telemetry.exporter import MetricsExporter
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.process import describe_process
from lstmserve_server.telemetry.versions import describe_version, watch_engine

# An engine thread that comes back from a decode call waits this long for the interpreter
# when the event loop is busy (docs/adr/0002-engine-thread.md).
SWITCH_INTERVAL_SECONDS = 0.0002

log = structlog.get_logger()


class App:
    """One server process."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        self._cache_metrics = CacheMetrics(self._metrics)
        self._stop = asyncio.Event()
        self._death: BaseException | None = None

    async def run(self, on_ready: Callable[[Ready], None]) -> int:
        """Serve until SIGTERM or SIGINT, or until an engine dies; returns the exit code.

        Raises StartupError when the server cannot start.
        """
        self._handle_signals()
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp per series
        configure_torch(self._config.store.torch_threads)
        describe_process(self._metrics.process)
        # in a thread: a signal that comes meanwhile is heard when it has loaded
        models, default_model = await asyncio.to_thread(self._load_models)
        if self._stop.is_set():
            return 0
        catalog = ModelCatalog(models, default_model)
        caches = self._make_caches()
        exporter = MetricsExporter(self._config.metrics_listen, self._registry)
        try:
            for model in models:
                model.engine.start()
            caches.start()
            server = RpcServer(
                Service(catalog, caches, self._config.cache, self._cache_metrics),
                CallMetrics(self._metrics),
                reuse_port=self._config.reuse_port,
            )
            listen = await server.start(self._config.listen)
            on_ready(Ready(_list_versions(catalog), listen, exporter.address))
            await self._stop.wait()
            await self._shut_down(server, models, caches)
        finally:
            exporter.close()
        return 1 if self._death else 0

    async def _shut_down(
        self, server: RpcServer, models: list[ServedModel], caches: Caches
    ) -> None:
        if self._death is None:
            log.info("draining", grace_seconds=self._config.drain.grace_seconds)
            await server.drain(self._config.drain)
        else:
            await server.fail()
        for model in models:
            model.engine.close()
        await caches.close()
        log.info("stopped")

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _on_engine_death(self, error: BaseException) -> None:
        log.error("the engine has failed; the server ends", exc_info=error)
        self._death = error
        self._stop.set()

    def _make_caches(self) -> Caches:
        config = self._config.cache
        caches = Caches(config, self._config.engine.quantum_steps, self._cache_metrics)
        for kind, store in caches.memory.items():
            self._cache_metrics.watch(kind, store)
        for kind, name in caches.stores:
            self._cache_metrics.begin(kind, name)
        return caches

    # --- models ----------------------------------------------------------------------

    def _load_models(self) -> tuple[list[ServedModel], str]:
        """The models to serve, and the default one's name."""
        store = self._config.store
        stored = ModelRepository(store.folder).choose(store.versions)
        default_model = store.default_model or next(iter(stored))
        if default_model not in stored:
            raise StartupError(
                f"--default-model: the store has no model {default_model!r}, only: "
                f"{', '.join(stored)}"
            )
        return [self._load(version) for version in stored.values()], default_model

    def _load(self, stored: StoredVersion) -> ServedModel:
        started_at = time.monotonic()
        loaded = load_version(stored, self._config.engine.max_running)
        model = ServedModel(loaded.bundle, self._make_engine(loaded))
        self._describe(model, loaded)
        seconds = round(time.monotonic() - started_at, 3)
        log.info("loaded", model=model.name, version=model.version, seconds=seconds)
        return model

    def _make_engine(self, loaded: LoadedModel) -> AsyncEngine:
        bundle = loaded.bundle
        name, version = bundle.manifest.name, str(bundle.manifest.version)
        engine = Engine(
            loaded.runner,
            bundle.tokenizer,
            bundle.template.end_id,
            self._config.engine,
            EngineMetrics(self._metrics, name, version),
            time.monotonic,
        )
        return AsyncEngine(
            engine,
            f"{name}-{version}",
            time.monotonic,
            self._on_engine_death,
            self._config.engine.park_after_tokens,
        )

    def _describe(self, model: ServedModel, loaded: LoadedModel) -> None:
        describe_version(self._metrics, model.manifest, loaded.runner.state_bytes)
        watch_engine(
            self._metrics,
            model.name,
            model.version,
            lambda: model.engine.load,
            self._config.engine,
        )


def _list_versions(catalog: ModelCatalog) -> tuple[tuple[str, int], ...]:
    by_default = sorted(catalog, key=catalog.is_default, reverse=True)
    return tuple((model.name, model.manifest.version) for model in by_default)
