"""Where the metrics are, and that there is nothing else unless somebody else serves it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPConnection
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from prometheus_client import CollectorRegistry, Counter

from lstmserve_server.config import Address
from lstmserve_server.telemetry.exporter import MetricsExporter
from support.http_calls import ask

ANYWHERE = Address("127.0.0.1", 0)


def make_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("seen", "A counter.", registry=registry).inc(3)
    return registry


def test_alone_it_serves_metrics_and_nothing_else() -> None:
    with closing(MetricsExporter(ANYWHERE, make_registry())) as exporter:
        url = f"http://{exporter.address}"
        assert b"seen_total 3.0" in ask(f"{url}/metrics").body
        assert ask(f"{url}/").status == ask(f"{url}/metrics/").status == 404


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "http://a.example/metrics", 200),
        ("GET", "/%6detrics?name[]=seen_total", 200),
        ("HEAD", "/metrics", 200),
        ("OPTIONS", "*", 200),
        ("OPTIONS", "/metrics", 200),
        ("POST", "/metrics", 405),
    ],
)
def test_requests_of_every_form_find_them(method: str, target: str, status: int) -> None:
    with (
        closing(MetricsExporter(ANYWHERE, make_registry())) as exporter,
        closing(HTTPConnection(str(exporter.address))) as connection,
    ):
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == status
    assert (b"seen" in body) is (method == "GET")


def test_metrics_are_there_whatever_becomes_of_the_rest() -> None:
    def broken(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError

    with closing(MetricsExporter(ANYWHERE, make_registry(), broken)) as exporter:
        url = f"http://{exporter.address}"
        assert ask(f"{url}/").status == 500
        assert ask(f"{url}/metrics").status == 200
