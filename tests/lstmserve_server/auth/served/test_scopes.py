"""No principal gets what is kept for another, whatever it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import grpc
import pytest

from lstmserve.v1 import cache_service_pb2
from lstmserve.v1 import generation_service_pb2 as pb
from support.callers import Callers, Metadata
from support.refusals import reason_of, serve_callers
from support.served import Served
from support.wire_requests import make_request, with_mode

AT_ONCE = ("--cache-threshold", "1")
WHO = [*product(("ada", "bob"), ("", "ada", "bob", "ada.bob"))]


def add_callers(callers: Callers, **keys: object) -> None:
    for name in ("ada", "bob"):
        callers.add(name, "generate", **keys)


@pytest.fixture
def per_user(tiny_store: Path, callers: Callers) -> Iterator[Served]:
    add_callers(callers)
    with serve_callers(tiny_store, callers, *AT_ONCE, "--cache-scope", "caller") as served:
        yield served


@pytest.fixture
def own(tiny_store: Path, callers: Callers) -> Iterator[Served]:
    """Only ``ada`` keeps its replies to itself."""
    add_callers(callers)
    callers.add("ada", "generate", cache="own")
    with serve_callers(tiny_store, callers, *AT_ONCE) as served:
        yield served


def is_kept(served: Served, request: pb.GenerateRequest, metadata: Metadata) -> bool:
    try:
        served.ask(with_mode(request, pb.CACHE_MODE_ONLY_IF_CACHED), metadata=metadata)
    except grpc.RpcError as error:
        if reason_of(error) != "NOT_CACHED":
            raise
        return False
    return True


def purge(served: Served, callers: Callers, caller: str) -> int:
    request = cache_service_pb2.PurgeCacheRequest(caller=caller)
    return served.cache.PurgeCache(request, metadata=callers.of("ops")).memory_entries


def test_no_user_reaches_into_another_principals_scope(per_user: Served, callers: Callers) -> None:
    for owner in WHO:
        request = make_request(f"is it of {owner}?", seed=1)
        per_user.ask(request, metadata=callers.of(*owner))
        found = [who for who in WHO if is_kept(per_user, request, callers.of(*who))]
        assert found == [owner]


def test_a_purge_names_a_principal_and_its_user(per_user: Served, callers: Callers) -> None:
    request = make_request("is it purged?", seed=1)
    for who in WHO:
        per_user.ask(request, metadata=callers.of(*who))
    gone = []
    for name, user in (("ada", ""), ("bob", "ada")):
        assert purge(per_user, callers, f"{name}/{user}" if user else name) == 2
        gone.append((name, user))
        kept = [who for who in WHO if is_kept(per_user, request, callers.of(*who))]
        assert kept == [who for who in WHO if who not in gone]


def test_a_cache_of_ones_own_is_shared_with_nobody(own: Served, callers: Callers) -> None:
    hers, shared = make_request("hers", seed=1), make_request("shared", seed=1)
    own.ask(hers, metadata=callers.of("ada", "one-user"))
    own.ask(shared, metadata=callers.of("bob"))
    assert is_kept(own, hers, callers.of("ada", "another-user"))
    assert not is_kept(own, hers, callers.of("bob", "ada"))
    assert not is_kept(own, hers, callers.of("shop"))
    assert is_kept(own, shared, callers.of("shop"))
    assert not is_kept(own, shared, callers.of("ada", "bob"))
    assert purge(own, callers, "bob") == 0
    assert purge(own, callers, "ada") == 2
    assert not is_kept(own, hers, callers.of("ada"))
    assert is_kept(own, shared, callers.of("bob"))
