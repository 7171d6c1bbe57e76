"""The process that starts the workers, ends them, and speaks for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from itertools import pairwise

import structlog
from prometheus_client import disable_created_metrics

from lstmserve_server.config import Address, ServerConfig
from lstmserve_server.following import read_on_thread, unless_stopped
from lstmserve_server.page.application import Page
from lstmserve_server.process_messages import Order, Ready
from lstmserve_server.startup import list_ending_signals
from lstmserve_server.store.default_model import StoreDefault
from lstmserve_server.store.repository import read_store
from lstmserve_server.supervision.broadcast import Broadcast
from lstmserve_server.supervision.port import reserve_port
from lstmserve_server.supervision.slot import WorkerSlot
from lstmserve_server.telemetry.exporter import MetricsExporter
from lstmserve_server.telemetry.workers import WorkerPages
from lstmserve_server.tls.certificates import Certificates

# of a worker: the supervisor alone reads it
PRIVATE_METRICS = Address("127.0.0.1", 0)

log = structlog.get_logger()


class Supervisor:
    """Several workers that serve as one."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._stopping = asyncio.Event()
        self._num_ready = 0

    async def run(self, on_ready: Callable[[Ready], None]) -> int:
        """Serve until told to end by a signal; returns the exit code.

        Raises StartupError when an address is taken, or when a worker cannot start.
        """
        self._handle_signals()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as in the workers
        pages = WorkerPages()
        certificates = await unless_stopped(
            self._stopping, read_on_thread(self._follow_certificates)
        )
        with (
            reserve_port(self._config.listen) as listen,
            self._reserve_http_port() as http_listen,
            closing(certificates) if certificates is not None else nullcontext(),
            closing(Page(self._config.page_config, certificates)) as page,
            closing(MetricsExporter(self._config.metrics_listen, pages.registry, page)) as exporter,
        ):

            def on_worker_ready(ready: Ready) -> None:
                self._num_ready += 1
                if self._num_ready == self._config.workers.count and not self._stopping.is_set():
                    page.connect(listen)
                    on_ready(replace(ready, metrics_listen=exporter.address))

            broadcast = Broadcast()
            orders = await unless_stopped(
                self._stopping, read_on_thread(lambda: self._make_orders(listen, http_listen))
            )
            slots = [
                WorkerSlot(order, pages, self._stopping, on_worker_ready, broadcast)
                for order in orders or ()
            ]
            await _keep(slots)
        return int(any(slot.ended_badly for slot in slots))

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in list_ending_signals():
            loop.add_signal_handler(number, self._stopping.set)

    def _reserve_http_port(self) -> AbstractContextManager[Address | None]:
        if self._config.http_listen is None:
            return nullcontext()
        return reserve_port(self._config.http_listen, "--http-listen")

    def _follow_certificates(self) -> Certificates | None:
        """For the page; what becomes of new ones the workers tell."""
        if self._config.tls is None:
            return None
        certificates = Certificates(self._config.tls)
        certificates.start()
        return certificates

    def _make_orders(self, listen: Address, http_listen: Address | None = None) -> list[Order]:
        store = self._config.store
        # settled here: when a worker is started later the model may no longer be alone
        stored, _ = read_store(store.folder)
        default = StoreDefault(store.folder).find(stored)
        config = replace(
            self._config,
            listen=listen,
            http_listen=http_listen,
            metrics_listen=PRIVATE_METRICS,
            page="off",
            store=replace(store, stored_default=default.model),
            reuse_port=True,
        )
        return [
            Order(number, os.getpid(), cores, config)
            for number, cores in enumerate(self._share_cores())
        ]

    def _share_cores(self) -> list[tuple[int, ...]]:
        workers, cores = self._config.workers, os.sched_getaffinity(0)
        if workers.count > len(cores):
            log.warning("more workers than cores", workers=workers.count, cores=len(cores))
        return share_cores(cores if workers.is_pinned else (), workers.count)


async def _keep(slots: Sequence[WorkerSlot]) -> None:
    """Keep all slots until they are told to stop; raises what ends the first that fails."""
    try:
        async with asyncio.TaskGroup() as group:
            for slot in slots:
                group.create_task(slot.keep())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def share_cores(cores: Collection[int], workers: int) -> list[tuple[int, ...]]:
    """Disjoint shares of neighboring cores, as equal as can be; all empty where there are too few.

    An empty share means: run wherever the system likes.
    """
    if workers > len(cores):
        return [()] * workers
    ordered = sorted(cores)
    bounds = [len(ordered) * number // workers for number in range(workers + 1)]
    return [tuple(ordered[begin:end]) for begin, end in pairwise(bounds)]
