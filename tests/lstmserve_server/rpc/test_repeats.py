"""A request that comes again byte for byte is answered as if it were the first of its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import open_bundle
from lstmserve_server.cache.entry_key import Selection
from lstmserve_server.config import CacheConfig
from lstmserve_server.replies import request as replies_request
from lstmserve_server.replies import service as replies_service
from lstmserve_server.rpc import repeats
from lstmserve_server.store.served_model import ServedModel
from support.front import CountingSketch, Front, InventedEngine, make_model
from support.stores import copy_version
from support.understanding import make_understanding_store

PROMPTS = ("where is my parcel", "where is my parcel?", "refund please, my order is 48213")
HIT, MISS = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
GREEDY, SEEDED, UNSEEDED = {"temperature": 0.0}, {"seed": 7}, dict[str, float]()


@dataclass(frozen=True, repr=False)
class Versions:
    """Two versions of a model, and one that knows what is asked."""

    first: ServedModel
    second: ServedModel
    knowing: ServedModel


@pytest.fixture(scope="module")
def versions(
    tiny_store: Path, other_version: Path, tmp_path_factory: pytest.TempPathFactory
) -> Versions:
    store = tmp_path_factory.mktemp("repeats")
    folders = [
        copy_version(tiny_store / "tiny" / "1", store, version=1),
        copy_version(other_version, store, version=2),
        make_understanding_store(tiny_store / "tiny" / "1", store / "knowing") / "tiny" / "1",
    ]
    return Versions(*(make_model(open_bundle(folder)) for folder in folders))


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies_service, "Sketch", CountingSketch)
    # the seed of what is asked without one and with BYPASS
    monkeypatch.setattr(replies_request.secrets, "randbits", lambda _bits: 5)


def ask(prompt: str = PROMPTS[0], **sampling: float) -> pb.GenerateReplyRequest:
    return pb.GenerateReplyRequest(prompt=prompt, sampling=pb.SamplingParams(**sampling))


def again(model: ServedModel) -> ServedModel:
    """The same version, loaded once more."""
    return replace(model)


def without_times(
    reply: pb.GenerateReplyResponse | grpc.StatusCode,
) -> pb.GenerateReplyResponse | grpc.StatusCode:
    if isinstance(reply, pb.GenerateReplyResponse):
        assert reply.completion.timings.total_seconds > 0
        timings = reply.completion.timings
        timings.ClearField("total_seconds")
        timings.ClearField("time_to_first_token_seconds")
    return reply


# --- the same as all the way ----------------------------------------------------------

requests = st.builds(
    lambda prompt, sampling, mode, stop, model, variables: pb.GenerateReplyRequest(
        prompt=prompt,
        sampling=pb.SamplingParams(**sampling),
        cache_mode=mode,
        stopping=pb.StoppingCriteria(stop_sequences=stop),
        model_version=model,
        variables=variables,
    ),
    st.sampled_from(PROMPTS),
    st.sampled_from([GREEDY, SEEDED, UNSEEDED, {"temperature": 3.0}]),
    st.sampled_from([*pb.CacheMode.values()]) | st.just(pb.CACHE_MODE_UNSPECIFIED),
    st.sampled_from([(), ("e",)]),
    st.sampled_from(["", "", "1"]),
    st.sampled_from([{}, {"name": "Jo"}]),
)
callers = st.sampled_from(["", "jo", "ann", "not a name"])
Step = Callable[[Front, Versions], Awaitable[object]]


def asking(request: pb.GenerateReplyRequest, caller: str) -> Step:
    metadata = {"x-request-id": f"of-{caller[:3]}"} | ({"x-caller-id": caller} if caller else {})

    async def step(front: Front, _: Versions) -> object:
        return without_times(await front.ask(request, metadata))

    return step


def changing(change: Callable[[Front, Versions], None]) -> Step:
    async def step(front: Front, versions: Versions) -> None:
        change(front, versions)

    return step


def purging(selection: Selection) -> Step:
    return lambda front, _: front.purge(selection)


def share(front: Front, known: Versions) -> None:
    """Let two versions share what names none."""
    front.serve(known.first, known.second)
    front.share("tiny", {1: 1, 2: 1})


def closed(model: ServedModel) -> ServedModel:
    """Return a version that is being unloaded."""
    made = make_model(model.bundle)
    made.gate.close()
    return made


steps = st.one_of(
    st.builds(asking, requests, callers),
    st.builds(asking, st.just(ask(**GREEDY)), callers),
    st.builds(asking, st.just(ask(**SEEDED)), st.just("")),
    st.builds(asking, st.just(ask()), st.just("")),
    st.sampled_from(
        [
            purging(Selection()),
            purging(Selection(version="1")),
            purging(Selection(scope="caller:jo")),
            changing(lambda front, known: front.serve(known.first)),
            changing(lambda front, known: front.serve(again(known.first))),
            changing(lambda front, known: front.serve(known.first, known.second)),
            changing(lambda front, known: front.serve(known.knowing)),
            changing(share),
            changing(lambda front, known: front.serve(closed(known.first))),
        ]
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(steps, min_size=1, max_size=4), max_size=12),
    st.sampled_from(["shared", "caller"]),
)
def test_a_server_that_knows_requests_again_does_and_counts_the_same(
    versions: Versions, rounds: list[list[Step]], scope: str
) -> None:
    """Every group of steps comes three times: then the replies are kept, and known."""

    async def run() -> None:
        # one variant, as chance may choose differently for each
        config = CacheConfig(reply_bytes=1 << 20, variants=1, scope=scope)  # type: ignore[arg-type]
        quick, plain = Front(config), Front(config, has_repeats=False)
        for front in (quick, plain):
            front.serve(versions.first)
        for step in [one for each in rounds for one in each * 3]:
            assert await step(quick, versions) == await step(plain, versions)
        assert quick.read_counts() == plain.read_counts()
        assert quick.asked_for == plain.asked_for
        assert quick.num_kept == plain.num_kept
        told = [_without_seconds(front) for front in (quick, plain)]
        assert told[0] == told[1]

    asyncio.run(run())


def _without_seconds(front: Front) -> list[tuple[object, ...]]:
    return [
        (call, outcome.code, outcome.error, replace(outcome.served, timings=None, lookup_seconds=0))
        for call, outcome in front.ends
    ]


# --- that it is quick at all, and where it is not -------------------------------------


MAX_KNOWN = 30


@pytest.fixture
async def front(versions: Versions) -> Front:
    config = CacheConfig(reply_bytes=1 << 20, threshold=1, variants=3)
    made = Front(config, max_known=MAX_KNOWN)
    made.serve(versions.first)
    return made


async def ask_often(front: Front, request: pb.GenerateReplyRequest, times: int = 4) -> list[int]:
    """Return the outcomes of asking so often."""
    replies = [await front.ask(request) for _ in range(times)]
    return [reply.completion.cache for reply in replies if not isinstance(reply, grpc.StatusCode)]


async def test_the_third_asking_is_known(front: Front) -> None:
    assert await ask_often(front, ask(**SEEDED), 9) == [MISS] + [HIT] * 8
    assert front.num_whole_ways == 2


async def test_a_known_reply_tells_its_own_call_and_time(front: Front) -> None:
    await ask_often(front, ask(**SEEDED))
    replies = [await front.ask(ask(**SEEDED), {"x-request-id": name}) for name in "abcdefgh"]
    assert "".join(reply.started.request_id for reply in replies) == "abcdefgh"  # type: ignore[union-attr]
    totals = {reply.completion.timings.total_seconds for reply in replies}  # type: ignore[union-attr]
    assert len(totals) > 1  # two of them may be the same by chance


async def test_a_sampled_request_without_a_seed_keeps_getting_all_its_replies(
    front: Front,
) -> None:
    """That one of three does not come in 60 times has a probability of 1e-10."""
    await ask_often(front, ask(), 60)
    before = front.num_whole_ways
    replies = [await front.ask(ask()) for _ in range(60)]
    assert len({reply.started.seed for reply in replies}) == 3  # type: ignore[union-attr]
    assert front.num_whole_ways == before


async def test_nothing_is_known_of_a_reply_that_is_filled_in(
    versions: Versions, front: Front
) -> None:
    front.serve(versions.knowing)
    filled = plain = 0
    for number in range(40):  # chance decides which replies have a gap
        request = ask(f"cancel it, {number}", seed=number)
        request.variables["order_number"] = "48213"
        await ask_often(front, request)
        before = front.num_whole_ways
        reply = await front.ask(request)
        assert isinstance(reply, pb.GenerateReplyResponse)
        if reply.completion.cache != HIT:  # its own words
            continue
        is_known = front.num_whole_ways == before
        assert not (is_known and "48213" in reply.text)
        filled, plain = filled + (not is_known), plain + is_known
    assert filled


@pytest.mark.parametrize("bound", ["MAX_REQUEST_BYTES", "MAX_REPLY_BYTES"])
async def test_what_is_long_goes_all_the_way(
    front: Front, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(repeats, bound, 10)
    assert await ask_often(front, ask(**SEEDED)) == [MISS, HIT, HIT, HIT]
    assert front.num_whole_ways == 4


async def test_where_texts_are_logged_nothing_is_known(versions: Versions) -> None:
    front = Front(CacheConfig(reply_bytes=1 << 20, threshold=1), is_text_logged=True)
    front.serve(versions.first)
    assert await ask_often(front, ask(**SEEDED)) == [MISS, HIT, HIT, HIT]
    assert front.num_whole_ways == 4


async def test_no_more_replies_are_known_than_are_to_be(front: Front) -> None:
    for number in range(2 * MAX_KNOWN):
        await ask_often(front, ask(seed=number), 3)
    before = front.num_whole_ways
    for number in range(MAX_KNOWN, 2 * MAX_KNOWN):
        await ask_often(front, ask(seed=number), 1)
    assert front.num_whole_ways == before
    await ask_often(front, ask(seed=0), 1)
    assert front.num_whole_ways == before + 1


async def test_a_purged_reply_is_made_anew(versions: Versions, front: Front) -> None:
    engine = versions.first.engine
    assert isinstance(engine, InventedEngine)
    await ask_often(front, ask(**SEEDED))
    before = engine.num_asked
    await front.purge()
    assert await ask_often(front, ask(**SEEDED)) == [MISS, HIT, HIT, HIT]
    assert engine.num_asked == before + 1


async def test_callers_stay_on_their_versions_where_several_share(
    versions: Versions, front: Front
) -> None:
    share(front, versions)
    seen = set[str]()
    for name in ("jo", "ann", "bob", "eve", "kim", "lea", "max", "zoe"):
        replies = [await front.ask(ask(**SEEDED), {"x-caller-id": name}) for _ in range(4)]
        got = {reply.started.model_version for reply in replies}  # type: ignore[union-attr]
        assert got == {front.catalog.resolve("", "", f"caller:{name}").version}
        seen |= got
    assert seen == {"1", "2"}
