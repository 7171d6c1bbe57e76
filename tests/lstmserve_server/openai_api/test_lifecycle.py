"""The API begins with the server, is there with several workers, and ends with its replies."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.testbed.process import ProgramError, run_program
from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from support.http_calls import JSON_TYPE, ask
from support.openai_api import Api, serve_api
from support.wire_requests import make_request

# far more than buffers hold between here and there, so that it runs for as long as nobody reads
LONG = {"prompt": "hello", "seed": 7, "min_tokens": 512, "max_tokens": 512, "stream": True}
BULKY = {**LONG, "logprobs": 20}
WAIT_SECONDS = 60


def begin(api: Api, message: dict[str, Any]) -> HTTPConnection:
    connection = HTTPConnection(api.root.removeprefix("http://"), timeout=WAIT_SECONDS)
    connection.request("POST", "/v1/completions", json.dumps(message), JSON_TYPE)
    return connection


def read_lines(response: HTTPResponse) -> Iterator[bytes]:
    yield from (line for line in iter(response.readline, b"") if line.strip())


def test_a_stream_that_runs_is_finished_and_what_is_new_is_refused(tiny_store: Path) -> None:
    with serve_api(tiny_store, "--quantum-steps", "1") as api:
        expected = api.served.ask(make_request("hello", seed=7, min_tokens=512, max_tokens=512))
        message = {**BULKY, "cache_mode": "bypass"}
        with closing(begin(api, message)) as connection:
            lines = read_lines(connection.getresponse())
            first = next(lines)
            api.served.process.send_signal(signal.SIGTERM)
            health = f"{api.root}/health"
            until(lambda: ask(health).status == 503, "health that tells of the drain")
            refused = api.post("/completions", {"prompt": "hi"})
            events = [first, *lines]
        assert refused.status == 503
        assert refused.json()["error"]["code"] == "draining"
        assert refused.headers["retry-after"] == "1"
        assert events[-1] == b"data: [DONE]\n"
        pieces = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
        assert "".join(piece["choices"][0]["text"] for piece in pieces) == expected.text
        assert api.served.process.wait() == 0


def test_streams_that_take_too_long_are_cut_off_with_an_error(tiny_store: Path) -> None:
    options = ("--drain-seconds", "0", "--quantum-steps", "1")
    with serve_api(tiny_store, *options) as api, ExitStack() as stack:
        messages = [{**LONG, "seed": seed} for seed in range(16)]
        begun = [stack.enter_context(closing(begin(api, message))) for message in messages]
        streams = [read_lines(connection.getresponse()) for connection in begun]
        for lines in streams:
            next(lines)
        api.served.process.send_signal(signal.SIGTERM)
        last = [[*lines][-1].removeprefix(b"data: ") for lines in streams]
        assert api.served.process.wait() == 0
    cut = [json.loads(event)["error"]["code"] for event in last if event != b"[DONE]\n"]
    assert set(cut) == {"unavailable"}


def test_two_workers_are_one_api(tiny_store: Path) -> None:
    with serve_api(tiny_store, "--workers", "2") as api:
        request = make_request("hello", seed=3, temperature=1, max_tokens=9)
        expected = api.served.ask(request).text
        message = {"prompt": "hello", "seed": 3, "temperature": 1, "max_tokens": 9}
        for _ in range(20):  # over a new connection each, so that every worker has some
            answered = api.post("/completions", message)
            assert answered.json()["choices"][0]["text"] == expected
        page = api.served.page()
        assert page.total("requests_total") >= 20
        assert api.served.process.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_told_at_the_start(tiny_store: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ("--http-listen", address, "--workers", workers)
        with pytest.raises(ProgramError, match=f"--http-listen: cannot listen on {address}"):
            ServerProcess(tiny_store, *options).__enter__()


def test_without_the_option_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, lstmserve_server.app; print({'starlette', 'uvicorn'} & sys.modules.keys())"
    )
    done = run_program([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"set()\n"


def test_without_the_option_there_is_no_further_port(server: ServerProcess) -> None:
    connections = psutil.Process(server.pid).net_connections("all")
    listening = [each for each in connections if each.status == psutil.CONN_LISTEN]
    assert len(listening) == 2
    assert not any(each.family == socket.AF_UNIX and each.laddr for each in connections)
