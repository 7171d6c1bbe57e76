"""``python -m benchmarks.dashboards``: what the dashboards show of a server under load."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.dashboards.configuration import address_of, write_configuration
from benchmarks.dashboards.data import Span
from benchmarks.dashboards.panels import read_dashboards
from benchmarks.dashboards.picture import draw_dashboard
from benchmarks.dashboards.scenario import GENERATOR, SERVER, play
from benchmarks.load.measure import start_generators
from benchmarks.load.options import errors_told
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.prometheus import Prometheus, start_prometheus
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import RunningServer, start_server
from benchmarks.testbed.waiting import until

PICTURES = Path("docs/dashboards")
SCRAPE_SECONDS = 1.0
# Prometheus takes five seconds to look at its targets for the first time
WAIT_SECONDS = 30.0


def run(
    output: Annotated[Path, typer.Option(help="Folder for the pictures.")] = PICTURES,
    seconds: Annotated[float, typer.Option(min=5, help="How long the load lasts.")] = 75.0,
    store: Annotated[Path, typer.Option(help="Model store.")] = Path("model_store"),
) -> None:
    """Load a server, watch it with Prometheus, and draw every dashboard."""
    with errors_told(), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prometheus-")))
        redis = stack.enter_context(RedisProcess())
        arguments = ("--model-store", str(store), "--redis-url", redis.url, *SERVER)
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
    port = find_free_port()
    own = f"127.0.0.1:{port}"
    targets = {"lstmserve": [address_of(server.metrics_url or "")], "prometheus": [own]}
    write_configuration(folder, targets, SCRAPE_SECONDS)
    return port


def _wait_for_scrape(prometheus: Prometheus) -> float:
    """The time at which the server was seen first."""
    until(
        lambda: any(series.last for series in prometheus.query('up{job="lstmserve"}')),
        "Prometheus scrapes the server",
        WAIT_SECONDS,
    )
    return time.time()


def main() -> None:
    typer.run(run)
