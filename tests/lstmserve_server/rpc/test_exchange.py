"""How the parts of a reply become messages, and what of them is counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import open_bundle
from lstmserve_server.engine.output import Finish, FinishReason, Output
from lstmserve_server.engine.request import Claim, GenerationRequest, SamplingParams
from lstmserve_server.replies.reply import BYPASSED, Part
from lstmserve_server.replies.request import ReplyRequest
from lstmserve_server.rpc.exchange import MAX_HELD_TOKENS, Exchange
from lstmserve_server.store.served_model import ServedModel
from support.front import TIMINGS, make_model

REQUEST = GenerationRequest((1, 2), SamplingParams(), max_tokens=64)


class Counts:
    """What an observer was told."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.num_finished = 0

    def on_tokens(self, count: int, _: str) -> None:
        self.tokens.append(count)

    def on_finished(self, *_: object) -> None:
        self.num_finished += 1


@pytest.fixture(scope="module")
def model(tiny_store: Path) -> ServedModel:
    return make_model(open_bundle(tiny_store / "tiny" / "1"))


def begin(model: ServedModel) -> tuple[Exchange, Counts]:
    asked, counts = ReplyRequest(REQUEST, Claim()), Counts()
    parts = cast("AsyncGenerator[Part]", None)  # they are given by hand
    observer = cast("Any", counts)
    return Exchange("id", asked, model, parts, observer, logged_prompt=None), counts


def to_part(text: str, token_ids: Sequence[int], *, is_last: bool = False) -> Part:
    reason = FinishReason.MAX_TOKENS
    finish = Finish(reason, "", len(token_ids), TIMINGS) if is_last else None
    return Part(Output(text, [*token_ids], [], finish), REQUEST, BYPASSED)


def chunks_of(events: Sequence[pb.GenerateResponse]) -> list[tuple[str, list[int]]]:
    found = [event.chunk for event in events if event.HasField("chunk")]
    return [(chunk.text, [*chunk.token_ids]) for chunk in found]


def test_tokens_without_text_wait_for_it_but_for_the_first(model: ServedModel) -> None:
    exchange, _ = begin(model)
    told = [
        chunks_of([*exchange.to_events(to_part(text, ids))])
        for text, ids in (("", [5]), ("", [6, 7]), ("", [8]), ("A sentence.", [9]), ("", [10]))
    ]
    assert told == [[("", [5])], [], [], [("A sentence.", [6, 7, 8, 9])], []]
    last = [*exchange.to_events(to_part("", [11], is_last=True))]
    assert chunks_of(last) == [("", [10, 11])]
    assert last[-1].HasField("completion")


def test_no_more_than_so_many_tokens_wait(model: ServedModel) -> None:
    exchange, _ = begin(model)
    list(exchange.to_events(to_part("", [5])))
    told = [chunks_of([*exchange.to_events(to_part("", [6]))]) for _ in range(2 * MAX_HELD_TOKENS)]
    waiting: list[list[object]] = [[]] * (MAX_HELD_TOKENS - 1)
    assert told == 2 * [*waiting, [("", [6] * MAX_HELD_TOKENS)]]


def test_tokens_are_counted_when_they_come(model: ServedModel) -> None:
    exchange, counts = begin(model)
    for text, ids in (("", [5]), ("", [6, 7]), ("", [8])):
        list(exchange.to_events(to_part(text, ids)))
    assert (counts.tokens, exchange.num_tokens, counts.num_finished) == ([1, 2, 1], 4, 0)
    list(exchange.to_events(to_part("", [9], is_last=True)))
    assert (counts.tokens, exchange.num_tokens, counts.num_finished) == ([1, 2, 1, 1], 5, 1)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b "]), st.integers(0, 40)), min_size=1))
def test_text_and_tokens_are_those_of_the_parts(
    model: ServedModel, parts: list[tuple[str, int]]
) -> None:
    """Text goes out with the part that it is of, and every token once and in order."""
    exchange, counts = begin(model)
    text, tokens, number = "", list[int](), 0
    for place, (piece, count) in enumerate(parts):
        ids, number = [*range(number, number + count)], number + count
        is_last = place == len(parts) - 1
        for said, told in chunks_of([*exchange.to_events(to_part(piece, ids, is_last=is_last))]):
            text, tokens = text + said, tokens + told
        assert text == "".join(piece for piece, _ in parts[: place + 1])
    assert tokens == [*range(number)]
    assert sum(counts.tokens) == number
