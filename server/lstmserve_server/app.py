"""The composition root: builds the parts, and owns the order of starting and stopping."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, disable_created_metrics

from lstmserve_bundle import Bundle
from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.cache.stores import CacheStores
from lstmserve_server.config import Address, ServerConfig
from lstmserve_server.engine.client import EngineClient, Vocabulary
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.kept_forms import KeptForms
from lstmserve_server.engine.messages import Loaded
from lstmserve_server.following import read_on_thread, unless_stopped
from lstmserve_server.page.application import Page
from lstmserve_server.process_messages import OperatorChange, OperatorState, Ready
from lstmserve_server.replies.service import ReplyService
from lstmserve_server.rpc.channel_options import make_credentials, make_options
from lstmserve_server.rpc.constraining import Constraining
from lstmserve_server.rpc.door import Door, GuardedDoor
from lstmserve_server.rpc.server import RpcServer
from lstmserve_server.rpc.service import Service
from lstmserve_server.startup import list_ending_signals
from lstmserve_server.store.administration import Administration
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.directives import Directives
from lstmserve_server.store.live_store import LiveStore
from lstmserve_server.store.version_loader import VersionLoader
from lstmserve_server.telemetry.auth import AuthMetrics, CertificateMetrics
from lstmserve_server.telemetry.caches import CacheMetrics
from lstmserve_server.telemetry.call_log import CallLog
from lstmserve_server.telemetry.calls import CallMetrics
from lstmserve_server.telemetry.constraints import FormMetrics
from lstmserve_server.telemetry.engine import EngineMetrics, watch_engine
from lstmserve_server.telemetry.exporter import MetricsExporter
from lstmserve_server.telemetry.logging import ProcessLog, relay_warnings
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.models import ModelMetrics, describe_version
from lstmserve_server.telemetry.process import describe_process
from lstmserve_server.telemetry.tracing import make_tracer
from lstmserve_server.tls.certificates import Certificates

if TYPE_CHECKING:
    from lstmserve_server.openai_api.server import OpenAiServer

log = structlog.get_logger()


def _keep(_: OperatorChange) -> None:
    """There is no other process."""


class App:
    """One server process."""

    def __init__(
        self,
        config: ServerConfig,
        log: ProcessLog,
        on_change: Callable[[OperatorChange], None] = _keep,
        directives: Directives | None = None,
    ) -> None:
        """``on_change`` is told what operators say to this process, for others to apply, and
        ``directives`` are what they said to others before it was started.
        """
        self._config = config
        self._log = log
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        log.on_drop(self._metrics.process.log_lines_dropped.inc)
        self._cache_metrics = CacheMetrics(self._metrics)
        self._auth_metrics = AuthMetrics(self._metrics)
        self._builder = ProcessBuilder(config.constraints.build_seconds)
        self._kept_forms = KeptForms(config.constraints.kept_bytes)
        self._stop = asyncio.Event()
        self._death: BaseException | None = None
        self._on_change = on_change
        self._num_changes = 0
        self._directives = directives
        self._administration: Administration | None = None  # once it is ready

    async def run(self, on_ready: Callable[[Ready], None]) -> int:
        """Serve until told to end by a signal, or until an engine dies; returns the exit code.

        Raises StartupError when the server cannot start.
        """
        self._prepare_process()
        # before anything that takes long
        files = await unless_stopped(self._stop, read_on_thread(self._read_files))
        if files is None:
            return 0
        models = self._make_live_store()
        if not await unless_stopped(self._stop, self._load(models)):
            await models.close()
            return 0
        with ExitStack() as parts:
            parts.callback(self._builder.close)
            await self._serve(models, *files, parts, on_ready)
        return 1 if self._death else 0

    def _prepare_process(self) -> None:
        self._handle_signals()
        # one text at a time needs no pool of threads, nor a warning from it in every child
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp per series
        describe_process(self._metrics.process, has_engines=True)

    async def _serve(
        self,
        models: LiveStore,
        certificates: Certificates | None,
        register: LiveRegister | None,
        parts: ExitStack,
        on_ready: Callable[[Ready], None],
    ) -> None:
        """Until told to stop, and then until all is over; ``parts`` closes what it opens."""
        tracer = make_tracer(self._config.telemetry.tracing)
        if tracer is not None:
            parts.callback(tracer.close)
        if certificates is not None:
            certificates.start()
            parts.callback(certificates.close)
        page = Page(self._config.page_config, certificates)
        parts.callback(page.close)
        http = self._make_http_server(parts)
        exporter = MetricsExporter(self._config.metrics_listen, self._registry, page)
        parts.callback(exporter.close)
        stores = self._make_stores()
        stores.start()
        server = RpcServer(
            self._make_service(models, stores),
            CallMetrics(self._metrics),
            end_observers=(*([tracer] if tracer else []), CallLog(self._log)),
            door=self._make_door(register),
            options=make_options(self._config),
            credentials=make_credentials(certificates) if certificates else None,
        )
        gc.collect()
        gc.freeze()  # what was imported and built stays: no collection looks at it again
        listen = await server.start(self._config.listen, http.target if http else None)
        if http is not None:
            await http.start(certificates)
        if register is not None:
            parts.callback(asyncio.create_task(register.follow()).cancel)
        self._administration = models.administration
        page.connect(listen)
        http_listen = http.address if http else None
        on_ready(_make_ready(models.catalog, listen, exporter.address, http_listen))
        await self._stop.wait()
        await self._shut_down(server, models, stores, http)

    def apply(self, state: OperatorState) -> None:
        """Do what operators told any process of this server; call on the event loop."""
        if self._administration is None or state.num_changes != self._num_changes:
            return  # what was said here since is not in it
        self._administration.apply(state.directives)
        if state.log_level:
            self._log.set_level(state.log_level)

    def _publish(self, change: OperatorChange) -> None:
        self._num_changes += 1
        self._on_change(change)

    def _publish_level(self, administration: Administration, level: str) -> None:
        known = administration.inventory.directives
        self._publish(OperatorChange(known, known, level))

    async def _load(self, models: LiveStore) -> bool:
        await models.start()
        return True

    async def _shut_down(
        self,
        server: RpcServer,
        models: LiveStore,
        stores: CacheStores,
        http: OpenAiServer | None,
    ) -> None:
        await models.stop()
        if self._death is None:
            log.info("draining", grace_seconds=self._config.drain.grace_seconds)
            await server.drain(self._config.drain)
        else:
            await server.fail()
        if http is not None:  # a client of the server: what was cut off there it has been told
            await http.stop()
        await models.close()
        await stores.close()
        log.info("stopped")

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in list_ending_signals():
            loop.add_signal_handler(number, self._stop.set)

    def _on_engine_death(self, error: BaseException) -> None:
        log.error("the engine has failed; the server ends", exc_info=error)
        self._death = error
        self._stop.set()

    def _read_files(self) -> tuple[Certificates | None, LiveRegister | None]:
        return self._read_certificates(), self._read_callers()

    def _read_callers(self) -> LiveRegister | None:
        auth = self._config.auth
        return None if auth is None else LiveRegister(auth.callers, self._auth_metrics)

    def _make_door(self, register: LiveRegister | None) -> Door | None:
        if register is None:
            return None
        return GuardedDoor(register, Limits(time.monotonic), self._auth_metrics)

    def _make_http_server(self, parts: ExitStack) -> OpenAiServer | None:
        if self._config.http_listen is None:
            return None
        # what it is made of takes memory, and a moment, of those alone who want it
        from lstmserve_server.openai_api.server import OpenAiServer  # noqa: PLC0415

        relay_warnings("uvicorn")
        http = OpenAiServer(self._config.http_listen, self._config)
        parts.callback(http.close)
        return http

    def _make_service(self, models: LiveStore, stores: CacheStores) -> Service:
        message_tokens = self._config.engine.quantum_steps
        replies = ReplyService(self._config.cache, stores, message_tokens, self._cache_metrics)
        form_metrics = FormMetrics(self._metrics, self._kept_forms)
        return Service(
            models.catalog,
            models.administration,
            replies,
            stores,
            self._config.cache,
            self._cache_metrics,
            self._config.engine.max_running,
            self._log,
            constraining=Constraining(self._builder, self._kept_forms, form_metrics),
            is_text_logged=self._config.telemetry.is_text_logged,
            on_log_level=lambda level: self._publish_level(models.administration, level),
        )

    def _read_certificates(self) -> Certificates | None:
        if self._config.tls is None:
            return None
        return Certificates(self._config.tls, CertificateMetrics(self._metrics.tls))

    def _make_stores(self) -> CacheStores:
        stores = CacheStores(self._config.cache, self._cache_metrics)
        for kind, store in stores.memory.items():
            self._cache_metrics.watch(kind, store)
        for kind, name in stores.names:
            self._cache_metrics.begin(kind, name)
        return stores

    # --- models ----------------------------------------------------------------------

    def _make_live_store(self) -> LiveStore:
        config = self._config
        loader = VersionLoader(
            config.engine,
            config.store.torch_threads,
            self._make_engine,
            self._builder,
            self._kept_forms,
            allow_inexact=config.store.allow_inexact,
        )
        return LiveStore(
            self._config.store,
            loader,
            ModelMetrics(self._metrics),
            lambda before, after: self._publish(OperatorChange(before, after)),
            self._directives,
        )

    def _make_engine(self, bundle: Bundle, loaded: Loaded) -> EngineClient:
        name, version = bundle.manifest.name, str(bundle.manifest.version)
        config = self._config.engine
        if loaded.difference:  # as its process runs it
            config = replace(config, max_running=1)
        engine = EngineClient(
            f"{name}-{version}",
            Vocabulary(bundle.tokenizer, bundle.template.end_id),
            config,
            EngineMetrics(self._metrics, name, version),
            time.monotonic,
            self._on_engine_death,
        )
        describe_version(
            self._metrics,
            bundle.manifest,
            loaded.state_bytes,
            is_inexact=bool(loaded.difference),
        )
        watch_engine(self._metrics, name, version, engine, config)
        return engine


def _make_ready(
    catalog: ModelCatalog, listen: Address, metrics_listen: Address, http_listen: Address | None
) -> Ready:
    by_default = sorted(catalog, key=catalog.is_default, reverse=True)
    versions = tuple((model.name, model.manifest.version) for model in by_default)
    has_default = catalog.is_default(by_default[0])
    return Ready(versions, listen, metrics_listen, has_default, http_listen)
