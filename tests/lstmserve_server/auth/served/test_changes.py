"""The callers' file of a running server: who is removed is cut off, and a slip cuts off nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve_server.auth.tokens import hash_token, make_token, show_hash
from support.callers import Callers, bearer
from support.calls import LONG, connect, text_of
from support.metrics_page import scrape_until
from support.refusals import serve_callers, try_once
from support.served import Served


@pytest.fixture(params=["1", "2"])
def served(tiny_store: Path, callers: Callers, request: pytest.FixtureRequest) -> Iterator[Served]:
    """One worker, then two."""
    with serve_callers(tiny_store, callers, "--workers", request.param) as running:
        yield running


def wait_for_reads(served: Served, outcome: str, count: int) -> None:
    """Until all workers have looked at the file so often with this outcome."""
    scrape_until(
        served.process.metrics_url,
        lambda page: page.values("auth_file_reads_total", "outcome")[outcome,] >= count,
    )


def try_on_new_connections(served: Served, metadata: object) -> set[str]:
    """How calls end on whichever worker they come to."""
    ends = set()
    for _ in range(12):
        with connect(served.process.target) as channel:
            stub = GenerationServiceStub(channel)
            other = Served(served.process, stub, served.cache)
            ends.add(try_once(other, metadata))
    return ends


def count_workers(served: Served) -> int:
    return int(served.page().total("workers")) or 1


def test_who_is_removed_is_cut_off_and_what_it_reads_goes_on(
    served: Served, callers: Callers
) -> None:
    old = callers.of("shop")
    with connect(served.process.target, narrow=True) as channel:
        stream = GenerationServiceStub(channel).Generate(LONG, metadata=old)
        first = next(stream)
        callers.remove("shop")
        wait_for_reads(served, "ok", count_workers(served))
        assert try_on_new_connections(served, old) == {"UNAUTHENTICATED"}
        assert text_of([first, *stream])


def test_tokens_are_rotated_without_a_gap(served: Served, callers: Callers) -> None:
    old, new = callers.of("shop"), make_token()
    hashes = [show_hash(hash_token(token)) for token in (callers.tokens["shop"], new)]
    workers = count_workers(served)
    callers.entries["shop"]["tokens"] = hashes
    callers.write()
    wait_for_reads(served, "ok", workers)
    for metadata in (old, bearer(new)):
        assert try_on_new_connections(served, metadata) == {"OK"}
    callers.entries["shop"]["tokens"] = hashes[1:]
    callers.write()
    wait_for_reads(served, "ok", 2 * workers)
    assert try_on_new_connections(served, old) == {"UNAUTHENTICATED"}
    assert try_on_new_connections(served, bearer(new)) == {"OK"}


def test_a_slip_in_the_file_changes_nothing_and_is_told_of(
    served: Served, callers: Callers
) -> None:
    callers.entries["shop"]["tokens"] = [callers.tokens["shop"]]  # in place of its hash
    callers.write()
    workers = count_workers(served)
    wait_for_reads(served, "failed", 2 * workers)
    assert try_on_new_connections(served, callers.of("shop")) == {"OK"}
    log = served.process.read_log()
    errors = [line for line in map(json.loads, log.splitlines()) if line["level"] == "error"]
    assert len(errors) == workers
    assert all("principal 'shop': tokens: 0: must be sha256:" in one["reason"] for one in errors)
    assert callers.tokens["shop"] not in log
