"""The page of a running server: the same replies, metrics and refusals as everybody gets."""

from __future__ import annotations

import gzip
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.config import Address
from lstmserve_server.http_server import HttpServer
from lstmserve_server.page.application import Page
from support.http_calls import ask, post_and_leave, stream
from support.metrics_page import MetricsPage, scrape_until
from support.served import Served, serve
from support.wire_requests import make_request

QUESTION = {
    "prompt": "where is my parcel",
    "sampling": {"seed": "7", "temperature": 0.7},
    # so long that it is not all there before its reader looks
    "stopping": {"min_tokens": 128, "max_tokens": 128},
}
SAME_QUESTION = make_request(seed=7, temperature=0.7, min_tokens=128, max_tokens=128)
LONG = {
    **QUESTION,
    "sampling": {"logprobs": 20},
    "stopping": {"min_tokens": 512, "max_tokens": 512},
}


@pytest.fixture(scope="module", params=["1", "2"])
def served(tiny_store: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    """One worker, then two."""
    with serve(tiny_store, "--workers", request.param) as running:
        yield running


def url_of(server: ServerProcess, path: str) -> str:
    return server.metrics_url.removesuffix("/metrics") + path


def generate(server: ServerProcess, message: dict[str, Any]) -> list[dict[str, Any]]:
    return [*stream(url_of(server, "/api/generate"), message)]


def test_a_reply_is_that_of_the_api_and_comes_in_its_events(served: Served) -> None:
    started, *chunks, completion = generate(served.process, QUESTION)
    expected = served.ask(SAME_QUESTION)
    assert "".join(event["chunk"]["text"] for event in chunks) == expected.text
    assert len(chunks) > 1
    assert started["started"]["seed"] == "7"
    assert started["started"]["model"] == "tiny"
    done = completion["completion"]
    assert done["finish_reason"] == pb.FinishReason.Name(expected.finish_reason)
    assert done["usage"]["generated_tokens"] == expected.generated_tokens
    assert done["cache"].startswith("CACHE_OUTCOME_")
    assert done["timings"]["time_to_first_token_seconds"] > 0


def test_the_cards_are_those_of_the_api(served: Served) -> None:
    answered = ask(url_of(served.process, "/api/models"))
    assert answered.headers["Content-Type"] == "application/json"
    (card,) = answered.json()["models"]
    assert (card["name"], card["version"], card["is_default"]) == ("tiny", "1", True)
    assert card["state"] == "MODEL_STATE_READY"
    assert card["state_reason"] == ""
    assert card["limits"] == {"max_prompt_tokens": 256, "max_tokens": 512}


def test_what_the_server_refuses_is_the_last_event_with_its_fields(served: Served) -> None:
    (event,) = generate(served.process, {"prompt": " ", "sampling": {"temperature": 3}})
    error = event["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    (violations,) = [
        detail["field_violations"] for detail in error["details"] if "field_violations" in detail
    ]
    assert {item["field"] for item in violations} == {"prompt", "sampling.temperature"}


def test_a_try_is_counted_and_logged_as_a_call_of_the_page(served: Served) -> None:
    before = served.page().total("generated_tokens_total")
    *_, completion = generate(served.process, QUESTION)
    tokens = completion["completion"]["usage"]["generated_tokens"]
    scrape_until(
        served.process.metrics_url,
        lambda page: page.total("generated_tokens_total") == before + tokens,
    )
    while not (callers := find_callers(served.process)):
        pass  # lines are written a moment later
    assert callers == {"page"}


def find_callers(server: ServerProcess) -> set[str]:
    """Who called, other than the tests themselves."""
    entries = server.read_entries()
    return {entry["caller"] for entry in entries if entry["event"] == "rpc"} - {""}


def test_a_browser_that_leaves_ends_its_reply(served: Served) -> None:
    """Or a reply after it: on a busy machine one may be whole before its browser has left."""

    def leave() -> bool:
        post_and_leave(url_of(served.process, "/api/generate"), LONG)
        return was_canceled(served.page())

    until(leave, "a reply that ended when its browser left")


def was_canceled(page: MetricsPage) -> bool:
    return ("Generate", "CANCELLED") in page.values("requests_total", "rpc", "code")


def test_metrics_are_served_as_ever(served: Served) -> None:
    url = served.process.metrics_url
    plain = ask(url)
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"lstmserve_requests_total" in plain.body
    open_metrics = ask(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.body.endswith(b"# EOF\n")
    packed = ask(url, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.body).startswith(b"# HELP")
    chosen = ask(f"{url}?name[]=lstmserve_resident_memory_bytes")
    assert chosen.body.count(b"# HELP") == 1
    assert ask(url, "POST", b"").status == 405
    # whoever scrapes by another name; what is refused is the page
    foreign = {"Host": "lstm.example"}
    assert ask(url, headers=foreign).status == 200
    assert ask(url_of(served.process, "/"), headers=foreign).status == 403
    assert ask(url_of(served.process, "/nowhere")).status == 404


def test_the_ready_lines_end_with_what_to_type_and_where_the_page_is(served: Served) -> None:
    label, client, *_ = shlex.split(served.process.read_line())
    assert label == "try:"
    assert shutil.which(client)
    line = served.process.read_line()
    assert line == f"page: {url_of(served.process, '/')}\n"


def test_there_is_one_page_however_many_workers(served: Served) -> None:
    own_ports = [
        connection.laddr.port
        for worker in psutil.Process(served.process.process.pid).children()
        for connection in worker.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and str(connection.laddr.port) != served.process.target.partition(":")[2]
    ]
    assert len(own_ports) == served.page().total("workers")  # of which one process says nothing
    assert all(ask(f"http://127.0.0.1:{port}/").status == 404 for port in own_ports)


def test_a_page_that_is_off_leaves_the_metrics(tiny_store: Path) -> None:
    with ServerProcess(tiny_store, "--page", "off") as server:
        for path in ("/", "/api/models", "/api/generate"):
            assert ask(url_of(server, path)).status == 404
        assert b"lstmserve_" in ask(server.metrics_url).body
        server.stop()
        assert "page: " not in server.read_output()


def test_a_server_that_does_not_answer_is_told_of(connected: Page) -> None:
    """As while all workers are being started again."""
    server = HttpServer(Address("127.0.0.1", 0), connected)
    server.start()
    url = f"http://{server.address}"
    answered = ask(f"{url}/api/models")
    (event,) = stream(f"{url}/api/generate", QUESTION)
    server.stop()
    assert answered.status == 503
    assert answered.json()["error"]["status"] == event["error"]["status"] == "UNAVAILABLE"
