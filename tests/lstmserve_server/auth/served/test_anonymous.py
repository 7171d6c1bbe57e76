"""A server that answers everybody and lets itself be administered by whoever has a token for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from lstmserve.v1 import cache_service_pb2
from lstmserve_client import Client
from lstmserve_server.auth.tokens import make_token
from support.callers import Callers, bearer
from support.metrics_page import scrape_until
from support.refusals import reason_of, serve_callers, try_once
from support.served import Served

NOBODY = (("x-caller-id", "ops"),)  # whose name helps nobody


@pytest.fixture
def served(tiny_store: Path, callers: Callers) -> Iterator[Served]:
    callers.anonymous = ["generate"]
    callers.write()
    with serve_callers(tiny_store, callers) as running:
        yield running


def purge(served: Served, metadata: Any) -> str:  # noqa: ANN401 - of whatever kind
    try:
        served.cache.PurgeCache(cache_service_pb2.PurgeCacheRequest(), metadata=metadata)
    except grpc.RpcError as error:
        return f"{reason_of(error)}: {error}"
    return "OK"


def test_who_proves_nothing_may_ask_and_not_administer(served: Served, callers: Callers) -> None:
    with Client(served.process.target) as client:
        assert client.models()
    for metadata in ((), NOBODY):
        assert try_once(served, metadata) == "OK"
        said = purge(served, metadata)
        assert said.startswith("PERMISSION_DENIED: ")
        assert "'admin': send a token that has it" in said
    assert purge(served, callers.of("ops")) == "OK"
    # a token is never taken for none
    assert try_once(served, callers.of("ops")) == "PERMISSION_DENIED"
    assert try_once(served, bearer(make_token())) == "UNAUTHENTICATED"


def test_nobody_unknown_is_let_in_once_the_file_says_so(served: Served, callers: Callers) -> None:
    callers.anonymous = ()
    callers.write()
    scrape_until(
        served.process.metrics_url,
        lambda page: page.values("auth_file_reads_total", "outcome")[("ok",)] >= 1,
    )
    assert try_once(served, ()) == "UNAUTHENTICATED"
    assert try_once(served, callers.of("shop")) == "OK"
