"""Who answers requests that name no version is what operators say, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from lstmserve.v1 import generation_service_pb2 as generation_pb
from lstmserve.v1 import model_service_pb2 as pb
from support.live_server import LiveServer
from support.wire_requests import conversation

OLD, NEW = 1, 2
CALLERS = [(("x-caller-id", f"caller-{number}"),) for number in range(300)]
PROMPTS = [f"hello {number}" for number in range(40)]


def split(*weights: tuple[int, int]) -> pb.SetTrafficSplitRequest:
    parts = [pb.VersionWeight(version=str(version), weight=weight) for version, weight in weights]
    return pb.SetTrafficSplitRequest(name="tiny", weights=parts)


@pytest.fixture
def live(both: LiveServer) -> Iterator[LiveServer]:
    """A server of both versions, the new one by default; and so it is left."""
    yield both
    both.models.SetDefaultModel(pb.SetDefaultModelRequest(name="tiny"))
    assert both.answering() == NEW


def test_a_version_is_rolled_back_by_another_default(live: LiveServer) -> None:
    card = live.models.SetDefaultModel(
        pb.SetDefaultModelRequest(name="tiny", version=str(OLD))
    ).model
    assert (card.version, card.is_default, card.traffic_share) == (str(OLD), True, 1.0)
    assert (live.answering(), live.answering(model="tiny")) == (OLD, OLD)
    assert live.answering(model_version=str(NEW)) == NEW
    assert live.cards()[NEW].state == pb.MODEL_STATE_READY
    got = live.models.GetModel(pb.GetModelRequest()).model
    assert got == card


def test_traffic_is_split_by_weight_and_every_caller_keeps_its_version(live: LiveServer) -> None:
    cards = live.models.SetTrafficSplit(split((NEW, 80), (OLD, 20))).models
    assert [(card.version, card.traffic_share) for card in cards] == [("2", 0.8), ("1", 0.2)]
    first = [live.answering(metadata=caller) for caller in CALLERS]
    assert 0.7 < Counter(first)[NEW] / len(CALLERS) < 0.9
    assert [live.answering(metadata=caller, prompt="bye") for caller in CALLERS] == first
    page = live.served.page()
    assert page.values("model_traffic_share", "version") == {("2",): 0.8, ("1",): 0.2}
    live.models.SetTrafficSplit(split((NEW, 90), (OLD, 10)))
    moved = [live.answering(metadata=caller) for caller in CALLERS]
    assert {(before, after) for before, after in zip(first, moved, strict=True)} == {
        (NEW, NEW),
        (OLD, OLD),
        (OLD, NEW),
    }


def test_a_nameless_conversation_keeps_its_version_whatever_is_said_later(live: LiveServer) -> None:
    live.models.SetTrafficSplit(split((NEW, 1), (OLD, 1)))
    first = [live.answering(prompt=prompt) for prompt in PROMPTS]
    assert set(first) == {OLD, NEW}
    for prompt, version in zip(PROMPTS, first, strict=True):
        later = generation_pb.GenerateReplyRequest(
            conversation=conversation(prompt, "hi", f"and then, after {prompt}?")
        )
        reply = live.served.generation.GenerateReply(later)
        assert int(reply.started.model_version) == version
