"""However much is to be classified, the event loop turns meanwhile."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Classification
from lstmserve_server.errors import DrainingError
from lstmserve_server.gate import Gate
from lstmserve_server.rpc.call import Call, CallObserver, RunningCall, current_call
from lstmserve_server.rpc.classifying import Classifying, Context
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.tokenizing import MAX_AT_ONCE_BYTES, Tokenizing

MANIFEST = SimpleNamespace(limits=SimpleNamespace(max_prompt_tokens=1024), digest="0")
OBSERVER = SimpleNamespace(on_classified=lambda *_: None)
TURN = pb.Turn(role=pb.ROLE_USER, text="a")


class Places:
    """A classifier that says where it was asked."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def classify(self, _: object) -> Classification:
        self.threads.append(threading.get_ident())
        return Classification("label", 1.0, (), 1.0)


async def classify(inputs: list[pb.ClassifyInput]) -> tuple[pb.ClassifyResponse, set[int]]:
    """Return the response, and the threads that classified."""
    places = Places()
    model = SimpleNamespace(
        name="m", version="1", classifier=places, gate=Gate(DrainingError), manifest=MANIFEST
    )
    catalog = SimpleNamespace(resolve=lambda *_: model)
    service = cast("Service", SimpleNamespace(catalog=catalog, tokenizing=Tokenizing()))
    context = cast("Context", SimpleNamespace(time_remaining=lambda: None))
    current_call.set(RunningCall(Call("Classify", "id")))
    classifying = Classifying(service, cast("CallObserver", OBSERVER))
    response = await classifying.classify(pb.ClassifyRequest(inputs=inputs), context)
    return response, set(places.threads)


async def test_a_short_question_is_classified_at_once() -> None:
    _, threads = await classify([pb.ClassifyInput(prompt="cancel")])
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize(
    "inputs",
    [
        [pb.ClassifyInput(prompt="a" * MAX_AT_ONCE_BYTES)],
        [pb.ClassifyInput(prompt="cancel my order")] * 256,
        [pb.ClassifyInput(conversation=pb.Conversation(turns=[TURN] * 500))],
    ],
    ids=["a long text", "many short texts", "many turns"],
)
async def test_what_takes_long_together_is_classified_by_the_thread(
    inputs: list[pb.ClassifyInput],
) -> None:
    response, threads = await classify(inputs)
    assert len(response.results) == len(inputs)
    assert threads
    assert threading.get_ident() not in threads
