"""``python -m benchmarks.dashboards``: what the dashboards show of a server under load."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cache.redis_server import start_redis
from benchmarks.dashboards.configuration import address_of, write_configuration
from benchmarks.dashboards.data import Span
from benchmarks.dashboards.panels import read_dashboards
from benchmarks.dashboards.picture import draw_dashboard
from benchmarks.dashboards.prometheus import Prometheus, find_port, start_prometheus
from benchmarks.dashboards.scenario import GENERATOR, SERVER, play
from benchmarks.load.measure import start_generators
from benchmarks.load.server_process import RunningServer, ServerError, start_server

PICTURES = Path("docs/dashboards")
SCRAPE_SECONDS = 1.0
# Prometheus takes five seconds to look at its targets for the first time
WAIT_SECONDS, PAUSE_SECONDS = 30.0, 0.1


def run(
    output: Annotated[Path, typer.Option(help="Folder for the pictures.")] = PICTURES,
    seconds: Annotated[float, typer.Option(min=5, help="How long the load lasts.")] = 75.0,
    store: Annotated[Path, typer.Option(help="Model store.")] = Path("model_store"),
) -> None:
    """Load a server, watch it with Prometheus, and draw every dashboard."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prometheus-")))
        redis = stack.enter_context(start_redis())
        arguments = ("--model-store", str(store), "--redis-url", redis.tcp_url, *SERVER)
        server = stack.enter_context(start_server(arguments))
        prometheus = stack.enter_context(start_prometheus(folder, _configure(folder, server)))
        pool = stack.enter_context(start_generators(GENERATOR))
        start = _wait_for_scrape(prometheus)
        play(server, redis, pool, seconds, lambda text: typer.echo(text, err=True))
        span = Span(start, time.time())
        for dashboard in read_dashboards():
            path = output / f"{dashboard.name}.png"
            draw_dashboard(path, dashboard, prometheus, span)
            typer.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _configure(folder: Path, server: RunningServer) -> int:
    """Have Prometheus watch the server and itself; the port for it."""
    port = find_port()
    own = f"127.0.0.1:{port}"
    targets = {"lstmserve": [address_of(server.metrics_url or "")], "prometheus": [own]}
    write_configuration(folder, targets, SCRAPE_SECONDS)
    return port


def _wait_for_scrape(prometheus: Prometheus) -> float:
    """The time at which the server was seen first."""
    ends_at = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends_at:
        if any(series.last for series in prometheus.query('up{job="lstmserve"}')):
            return time.time()
        time.sleep(PAUSE_SECONDS)
    raise ServerError("Prometheus could not scrape the server")


def main() -> None:
    typer.run(run)
