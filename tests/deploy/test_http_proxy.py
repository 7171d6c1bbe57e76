"""OpenAI's HTTP API through HAProxy, with the file of docker/proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.testbed import proxies
from benchmarks.testbed.name_server import NameServer
from benchmarks.testbed.ports import find_free_address
from benchmarks.testbed.waiting import until
from support.http_calls import JSON_TYPE, ask
from support.metrics_page import MetricsPage
from support.openai_api import Api, read_events, serve_api

pytestmark = pytest.mark.system

QUESTION = {"prompt": "hello", "seed": 7, "max_tokens": 16}
BACKENDS = ("http_servers", "http_warm")


@pytest.fixture(scope="module")
def api(tiny_store: Path) -> Iterator[Api]:
    with serve_api(tiny_store) as running:
        yield running


@pytest.fixture(scope="module")
def metrics() -> str:
    return find_free_address()


@pytest.fixture(scope="module")
def url(api: Api, metrics: str) -> Iterator[str]:
    """Where callers of the API connect."""
    address = find_free_address()
    with NameServer(server=["127.0.0.1"]) as names:
        places = {
            "DNS_ADDRESS": names.address,
            "LSTMSERVE_HOST": "server",
            "LSTMSERVE_PORT": api.served.process.target.rsplit(":", 1)[1],
            "LSTMSERVE_HTTP_PORT": api.root.rsplit(":", 1)[1],
            "PROXY_HTTP_LISTEN": address,
            "PROXY_METRICS": metrics,
        }
        with proxies.haproxy(places):
            until(lambda: count_up(metrics) == [1, 1], "the proxy has found the server")
            yield f"http://{address}/v1"


def count_up(metrics: str) -> list[float]:
    up = MetricsPage(f"http://{metrics}/metrics").values("haproxy_server_status", "proxy", "state")
    return [up.get((backend, "UP"), 0) for backend in BACKENDS]


def count_requests(metrics: str) -> list[float]:
    page = MetricsPage(f"http://{metrics}/metrics")
    counted = page.values("haproxy_backend_http_requests_total", "proxy")
    return [counted[backend,] for backend in BACKENDS]


@pytest.mark.parametrize(("headers", "backend"), [({}, 0), ({"x-affinity": "one"}, 1)])
def test_replies_and_streams_are_the_servers(
    api: Api, url: str, metrics: str, headers: dict[str, str], backend: int
) -> None:
    expected = api.post("/completions", QUESTION).json()["choices"][0]["text"]
    before = count_requests(metrics)
    for is_stream in (False, True):
        body = json.dumps({**QUESTION, "stream": is_stream}).encode()
        answer = ask(f"{url}/completions", "POST", body, {**JSON_TYPE, **headers})
        assert answer.status == 200
        events = read_events(answer.body)[:-1] if is_stream else [answer.json()]
        assert "".join(each["choices"][0]["text"] for each in events) == expected
    before[backend] += 2
    assert count_requests(metrics) == before


def test_models_are_listed(api: Api, url: str) -> None:
    assert ask(f"{url}/models").json()["data"] == api.get("/models").json()["data"]
