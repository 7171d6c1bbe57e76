"""A client of the protocol that is not ours gets the replies that everybody gets."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.testbed.server import ServerProcess
from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.open_inference.inference_service_pb2_grpc import GRPCInferenceServiceStub
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support import triton
from support.fuzzing import bounded
from support.metrics_page import MetricsPage, scrape_until
from support.served import serve
from support.triton import Answer, question, to_question
from support.understanding import make_understanding_store
from support.whole_reply import WholeReply, whole_of
from support.wire_requests import random_requests, with_mode

NUM_REQUESTS = 24
TOP_P = "must be above 0 and at most 1, not 7"
LONG = {"min_tokens": 512, "max_tokens": 512, "logprobs": 20, "seed": 7}
FINISH_REASONS = {
    pb.FINISH_REASON_END_OF_TEXT: "stop",
    pb.FINISH_REASON_MAX_TOKENS: "length",
    pb.FINISH_REASON_STOP_SEQUENCE: "stop",
}


@pytest.fixture(scope="module")
def requests() -> list[pb.GenerateRequest]:
    """Requests of every kind for one text, none of which the cache may answer."""
    found = random_requests(random.Random(4), 3 * NUM_REQUESTS)
    alone = [request for request in found if request.HasField("prompt")][:NUM_REQUESTS]
    assert len(alone) == NUM_REQUESTS
    return [with_mode(request, pb.CACHE_MODE_BYPASS) for request in alone]


@pytest.fixture(scope="module")
def replies(server: ServerProcess, requests: list[pb.GenerateRequest]) -> list[WholeReply]:
    with grpc.insecure_channel(server.target) as channel:
        stub = GenerationServiceStub(channel)
        return [whole_of(stub.Generate(request)) for request in requests]


def check_same(answers: Iterable[Answer], reply: WholeReply) -> None:
    """The answers to one request, put together, against what Generate gave."""
    answers = list(answers)
    outputs = [answer["outputs"] for answer in answers if answer["outputs"]]
    first, last = answers[0]["parameters"], answers[-1]["parameters"]
    assert "".join(output["text_output"][0] for output in outputs) == reply.text
    token_ids = [token_id for output in outputs for token_id in output["token_ids"]]
    assert token_ids == list(reply.token_ids)
    assert first["seed"] == reply.seed
    assert first["model_digest"] == reply.model[2]
    assert first["prompt_tokens"] == reply.prompt_tokens
    assert last["finish_reason"] == FINISH_REASONS[reply.finish_reason]
    assert last.get("stop_sequence", "") == reply.stop_sequence
    assert last["generated_tokens"] == reply.generated_tokens
    assert json.loads(last.get("labels", "[]")) == list(reply.labels)
    found = [entry for output in outputs for entry in json.loads(output.get("logprobs", ["[]"])[0])]
    assert found == [describe(pb.TokenLogprobs.FromString(entry)) for entry in reply.logprobs]


def describe(entry: pb.TokenLogprobs) -> dict[str, object]:
    top = [{"token_id": t.token_id, "logprob": t.logprob, "text": t.text} for t in entry.top]
    return {"logprob": entry.logprob, "top": top}


@pytest.mark.parametrize("verb", ["infer", "infer_aio"])
def test_a_whole_reply_is_the_one_that_generate_streams(
    server: ServerProcess,
    requests: list[pb.GenerateRequest],
    replies: list[WholeReply],
    verb: str,
) -> None:
    questions = [to_question(request, stream=False) for request in requests]
    for answer, reply in zip(triton.call(server.target, verb, questions), replies, strict=True):
        check_same([answer], reply)


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("verb", ["stream", "streams_aio"])
def test_streams_at_once_give_the_replies_that_generate_streams(
    server: ServerProcess,
    requests: list[pb.GenerateRequest],
    replies: list[WholeReply],
    verb: str,
    is_streamed: bool,
) -> None:
    questions = [
        to_question(request, stream=is_streamed, request_id=str(number))
        for number, request in enumerate(requests)
    ]
    by_id: dict[str, list[Answer]] = defaultdict(list)
    for answer in triton.call(server.target, verb, questions):
        by_id[answer["id"]].append(answer)
    for number, reply in enumerate(replies):
        answers = by_id[str(number)]
        check_same(answers, reply)
        finals = [answer["parameters"]["triton_final_response"] for answer in answers]
        assert finals == [*[False] * (len(answers) - 1), True]
        assert (len(answers) == 1) or is_streamed


def test_streams_of_a_version_that_fills_gaps_are_those_of_generate(
    tiny_store: Path, tmp_path: Path, requests: list[pb.GenerateRequest]
) -> None:
    """Its text comes by the sentence, and tokens without text wait for some."""
    questions = [
        to_question(request, stream=True, request_id=str(number))
        for number, request in enumerate(requests)
    ]
    with serve(make_understanding_store(tiny_store / "tiny" / "1", tmp_path)) as served:
        replies = [whole_of(served.generation.Generate(request)) for request in requests]
        answers = triton.call(served.process.target, "stream", questions)
    for number, reply in enumerate(replies):
        check_same([answer for answer in answers if answer["id"] == str(number)], reply)


def test_the_end_comes_in_a_response_of_its_own_to_those_who_ask(server: ServerProcess) -> None:
    asked = question("hello", stream=True, parameters={"seed": 3, "max_tokens": 20})
    with_text = triton.call(server.target, "stream", [asked])
    alone = triton.call(server.target, "stream", [{**asked, "enable_empty_final_response": True}])
    assert with_text[-1]["outputs"]
    assert with_text[-1]["parameters"]["triton_final_response"]
    assert alone[-1]["outputs"] == {}
    assert alone[-1]["parameters"]["triton_final_response"]
    assert alone[-1]["parameters"]["finish_reason"] == with_text[-1]["parameters"]["finish_reason"]
    texts = [
        "".join(answer["outputs"].get("text_output", [""])[0] for answer in answers)
        for answers in (with_text, alone)
    ]
    assert texts[0] == texts[1] != ""


def test_what_is_asked_for_by_tensors_is_given(server: ServerProcess) -> None:
    flags = ("finish_reason", "num_input_tokens", "num_output_tokens", "token_ids")
    asked = question(
        inputs={
            **{f"return_{name}": ("BOOL", [True]) for name in flags},
            "exclude_input_in_output": ("BOOL", [True]),
            "temperature": ("FP32", [[0.0]]),
            "max_tokens": ("INT32", [[5]]),
        }
    )
    (answer,) = triton.call(server.target, "infer", [asked])
    outputs = answer["outputs"]
    assert outputs.keys() == {"text_output", *flags}
    assert outputs["finish_reason"] == ["length"]
    assert outputs["num_output_tokens"] == [5] == [len(outputs["token_ids"])]
    assert outputs["num_input_tokens"] == [answer["parameters"]["prompt_tokens"]]


@pytest.mark.parametrize("verb", ["infer", "infer_aio"])
def test_errors_have_their_status_and_name_what_the_caller_wrote(
    server: ServerProcess, verb: str
) -> None:
    answers = triton.call(
        server.target,
        verb,
        [
            question(parameters={"temperature": -1.0}),
            question(model="nope"),
            question(model="tiny", version="9"),
            question("no " * 2000),
            question(parameters={"cache_mode": "only_if_cached", "seed": 987654321}),
            question(parameters=LONG | {"cache_mode": "bypass"}, timeout=1),
        ],
    )
    assert [answer["status"].removeprefix("StatusCode.") for answer in answers] == [
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "NOT_FOUND",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "DEADLINE_EXCEEDED",
    ]
    assert answers[0]["error"] == "parameters[temperature]: must be from 0 to 2, not -1"
    assert answers[3]["error"].startswith("inputs[text_input]: must have at most 256 tokens")


def test_a_request_of_a_stream_fails_alone(server: ServerProcess) -> None:
    good = {"seed": 1, "max_tokens": 5}
    questions = [
        question(stream=True, request_id="a", parameters=good),
        question(stream=True, request_id="b", parameters={"top_p": 7.0}),
        question(stream=True, request_id="c", model="nope"),
        question(stream=True, request_id="d", parameters=good),
    ]
    before = MetricsPage(server.metrics_url)
    for verb in ("stream", "streams_aio"):
        answers = triton.call(server.target, verb, questions)
        errors = {answer["error"] for answer in answers if "error" in answer}
        assert errors == {
            f"[request id: b] INVALID_ARGUMENT: parameters[top_p]: {TOP_P}",
            "[request id: c] NOT_FOUND: model 'nope' is not served; served are: tiny",
        }
        assert {answer["id"] for answer in answers if "id" in answer} == {"a", "d"}
    wanted = Counter(OK=4, INVALID_ARGUMENT=2, NOT_FOUND=2)
    scrape_until(
        server.metrics_url,
        lambda page: codes_of(page) - codes_of(before) == wanted,
    )


def codes_of(page: MetricsPage) -> Counter[str]:
    """Requests of streams by the code they ended with."""
    found = page.counted("requests_total", "rpc", "code")
    return Counter({code: int(n) for (rpc, code), n in found.items() if rpc == "ModelStreamInfer"})


def test_a_stream_ends_with_the_status_of_an_error_if_the_caller_wants_that(
    server: ServerProcess,
) -> None:
    answers = triton.call(
        server.target,
        "stream",
        [question(parameters={"top_p": 7.0})],
        headers={"triton_grpc_error": "true"},
    )
    (error,) = answers
    assert error["status"] == "StatusCode.INVALID_ARGUMENT"
    assert error["error"].startswith("parameters[top_p]")


def test_cancelling_a_stream_ends_all_that_runs_on_it(tiny_store: Path) -> None:
    with ServerProcess(tiny_store, "--quantum-steps", "1") as server:
        questions = [question(stream=True, parameters=LONG | {"seed": n}) for n in range(8)]
        answers = triton.call(server.target, "cancel", questions)
        assert answers[-1]["status"] == "StatusCode.CANCELLED"

        def is_idle(page: MetricsPage) -> bool:
            is_counted = codes_of(page)["CANCELLED"] > 0
            return is_counted and not page.total("running_sequences")

        page = scrape_until(server.metrics_url, is_idle)
        assert codes_of(page).keys() == {"CANCELLED"}


def test_a_deadline_of_the_stream_is_that_of_its_requests(server: ServerProcess) -> None:
    endless = question(stream=True, parameters=LONG | {"cache_mode": "bypass"})
    last = triton.call(server.target, "stream", [endless] * 64, stream_timeout=0.05)[-1]
    # by the client's clock or, in the last response, by the server's
    assert "DEADLINE_EXCEEDED" in f"{last['status']} {last['error']}"


def test_health_and_metadata(server: ServerProcess) -> None:
    models = [
        {"model_name": "tiny"},
        {"model_name": "tiny", "model_version": "1"},
        {"model_name": "tiny", "model_version": "2"},
        {"model_name": "nope"},
    ]
    (found,) = triton.call(server.target, "health", models)
    assert found["live"]
    assert found["ready"]
    assert found["models"] == [True, True, False, False]
    assert found["server"]["name"] == "lstmserve"
    model = found["model"]
    assert (model["name"], model["versions"]) == ("tiny", ["1"])
    assert {"name": "text_input", "datatype": "BYTES", "shape": ["1"]} in model["inputs"]
    assert {"name": "token_ids", "datatype": "UINT32", "shape": ["-1"]} in model["outputs"]


@pytest.fixture(scope="module")
def inference(server: ServerProcess) -> Iterator[GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.target) as channel:
        yield GRPCInferenceServiceStub(channel)


def with_object(text: str, name: str = "sampling_parameters") -> wire.ModelInferRequest:
    """A request whose parameters are this JSON object, or whatever it is."""
    request = wire.ModelInferRequest(model_name="tiny", id="hostile")
    for tensor, value in (("text_input", "hi"), (name, text)):
        added = request.inputs.add(name=tensor, datatype="BYTES", shape=[1])
        added.contents.bytes_contents.append(value.encode())
    return request


GOOD = with_object('{"seed": 1, "max_tokens": 2}')
GOOD.id = "good"
names = st.sampled_from(["temperature", "stop", "logit_bias", "seed"]) | st.text(st.characters())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
)
objects = st.dictionaries(names, values, max_size=4).map(json.dumps)
HOSTILE = (
    '{"\\ud800": 1}',
    '{"stop": "\\udfff"}',
    '{"logit_bias": {"\\ud800": 1}}',
    '{"temperature": "\\ud800"}',
    '{"temperature": NaN}',
    '{"temperature": -Infinity, "top_p": NaN, "seed": 1e999}',
    '{"stop": ' + "[" * 970 + "]" * 970 + "}",
    "[" * 60_000,
    '{"a":' * 10_000,
    "9" * 60_000,
)


def check_fails_alone(stub: GRPCInferenceServiceStub, hostile: wire.ModelInferRequest) -> str:
    """Ask between others, on one stream; the name of the code that it was refused with."""
    responses = list(stub.ModelStreamInfer(iter([GOOD, hostile, GOOD])))
    found = {response.infer_response.id: response for response in responses}
    assert [response.infer_response.id for response in responses].count("good") == 2
    assert not found["good"].error_message
    parameters = found["hostile"].infer_response.parameters
    return parameters["code"].string_param if found["hostile"].error_message else "OK"


def test_a_hostile_object_fails_alone_and_is_counted_as_it_is_told(
    server: ServerProcess, inference: GRPCInferenceServiceStub
) -> None:
    before = count_rpcs(MetricsPage(server.metrics_url))
    told = Counter(check_fails_alone(inference, with_object(text)) for text in HOSTILE)
    for text in HOSTILE:
        with pytest.raises(grpc.RpcError) as failed:
            inference.ModelInfer(with_object(text))
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "sampling_parameters" in failed.value.details()
    assert told == {"INVALID_ARGUMENT": len(HOSTILE)}
    wanted = {"OK": 2 * len(HOSTILE), "INVALID_ARGUMENT": 2 * len(HOSTILE)}
    scrape_until(server.metrics_url, lambda page: count_rpcs(page) - before == Counter(wanted))


@bounded(40)
@given(objects | st.text(), st.sampled_from(["sampling_parameters", "stop", "seed"]))
def test_any_object_is_answered_or_refused_by_name(
    inference: GRPCInferenceServiceStub, text: str, name: str
) -> None:
    assert check_fails_alone(inference, with_object(text, name)) in {"OK", "INVALID_ARGUMENT"}


def count_rpcs(page: MetricsPage) -> Counter[str]:
    counted = page.counted("requests_total", "rpc", "code")
    rpcs = ("ModelInfer", "ModelStreamInfer")
    found: Counter[str] = Counter()
    for (rpc, code), count in counted.items():
        found[code] += int(count) if rpc in rpcs else 0
    return found
