"""A model of text goes on with what it is given, or begins by itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from rich.console import Console

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.run import Run
from support.made_once import make_once

RECIPE = """\
name = "names"
kind = "lines"
license = "proprietary"

[[sources]]
name = "names"
files = ["names.txt"]

[tokenizer]
vocabulary = 320

[model]
hidden = 64
layers = 1

[training]
epochs = 3
rows = 4
learning_rate = 0.01

[evaluation]
replies = 2
texts = 10
speed_seconds = 0.005
"""


def make_model(folder: Path) -> None:
    (folder / "names.txt").write_text("".join(f"lady number {n} of may\n" for n in range(60)))
    (folder / "names.toml").write_text(RECIPE)
    recipe = read_recipe(folder / "names.toml")
    Run(recipe, folder, folder / "run", Console(file=io.StringIO()), device="cpu").run_all()


@pytest.fixture(scope="module")
def stub() -> Iterator[generation_service_pb2_grpc.GenerationServiceStub]:
    store = make_once("names", make_model) / "model_store"
    with ServerProcess(store) as server, grpc.insecure_channel(server.target) as channel:
        yield generation_service_pb2_grpc.GenerationServiceStub(channel)


def reply(
    stub: generation_service_pb2_grpc.GenerationServiceStub, **request: object
) -> pb.GenerateReplyResponse:
    sampling = pb.SamplingParams(seed=1)
    stopping = pb.StoppingCriteria(max_tokens=20)
    made = pb.GenerateReplyRequest(sampling=sampling, stopping=stopping, **request)  # type: ignore[arg-type]
    return stub.GenerateReply(made)


def test_it_begins_by_itself_when_it_is_given_nothing(
    stub: generation_service_pb2_grpc.GenerationServiceStub,
) -> None:
    found = reply(stub, prompt="")
    assert found.completion.usage.prompt_tokens == 1
    assert found.token_ids
    assert list(reply(stub, prompt="").token_ids) == list(found.token_ids)
    assert list(reply(stub, prompt="lady").token_ids) != list(found.token_ids)


def test_the_last_turn_of_a_conversation_is_gone_on_with(
    stub: generation_service_pb2_grpc.GenerationServiceStub,
) -> None:
    turns = [pb.Turn(role=pb.ROLE_USER, text="lady")]
    said = reply(stub, conversation=pb.Conversation(turns=turns))
    assert list(said.token_ids) == list(reply(stub, prompt="lady").token_ids)


def test_a_model_that_answers_is_to_be_asked_something(
    generation: generation_service_pb2_grpc.GenerationServiceStub,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        reply(generation, prompt="")
    assert "must not be empty" in caught.value.details()
