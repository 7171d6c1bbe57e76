"""What bad input gets: a code, the field's name, what is allowed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, ResourceInfo
from grpc_status import rpc_status

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc, model_service_pb2, model_service_pb2_grpc

GenerationStub = generation_service_pb2_grpc.GenerationServiceStub
ModelStub = model_service_pb2_grpc.ModelServiceStub

USER = {"role": "ROLE_USER", "text": "hi"}
AGENT = {"role": "ROLE_AGENT", "text": "hello"}


def violations(error: grpc.RpcError) -> dict[str, str]:
    """Field and description of everything the server refused."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
    for detail in rpc_status.from_call(error).details:
        found = BadRequest()
        if detail.Unpack(found):
            return {item.field: item.description for item in found.field_violations}
    pytest.fail("no BadRequest among the details")


def refuse(generation: GenerationStub, fields: dict[str, Any]) -> dict[str, str]:
    """Both methods must refuse these fields alike."""
    request = {"prompt": "hi", **fields}
    if "conversation" in fields:
        del request["prompt"]
    with pytest.raises(grpc.RpcError) as streamed:
        list(generation.Generate(ParseDict(request, pb.GenerateRequest())))
    if "resumeTokens" not in fields:
        with pytest.raises(grpc.RpcError) as unary:
            generation.GenerateReply(ParseDict(request, pb.GenerateReplyRequest()))
        assert violations(unary.value) == violations(streamed.value)
    return violations(streamed.value)


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ({"prompt": ""}, "prompt", "must not be empty"),
        ({"prompt": " \n\t"}, "prompt", "must not be empty"),
        ({"prompt": "no " * 2000}, "prompt", "tokens"),
        ({"prompt": "x" * 500_000}, "prompt", "bytes"),
        ({"sampling": {"temperature": -0.1}}, "sampling.temperature", "from 0 to 2, not -0.1"),
        ({"sampling": {"temperature": 2.5}}, "sampling.temperature", "from 0 to 2"),
        ({"sampling": {"temperature": "NaN"}}, "sampling.temperature", "not nan"),
        ({"sampling": {"temperature": "Infinity"}}, "sampling.temperature", "not inf"),
        ({"sampling": {"topP": 0}}, "sampling.top_p", "above 0 and at most 1"),
        ({"sampling": {"topP": 1.1}}, "sampling.top_p", "at most 1, not 1.1"),
        ({"sampling": {"topP": "NaN"}}, "sampling.top_p", "not nan"),
        ({"sampling": {"minP": 1}}, "sampling.min_p", "at least 0 and below 1"),
        ({"sampling": {"topK": 100_000}}, "sampling.top_k", "from 0 to"),
        ({"sampling": {"logprobs": 21}}, "sampling.logprobs", "from 0 to 20, not 21"),
        ({"stopping": {"maxTokens": 0}}, "stopping.max_tokens", "from 1 to"),
        ({"stopping": {"maxTokens": 1_000_000}}, "stopping.max_tokens", "not 1000000"),
        ({"stopping": {"minTokens": 9, "maxTokens": 8}}, "stopping.min_tokens", "from 0 to 8"),
        ({"stopping": {"stopSequences": ["x"] * 9}}, "stopping.stop_sequences", "at most 8"),
        ({"stopping": {"stopSequences": ["a", ""]}}, "stopping.stop_sequences[1]", "from 1 to 64"),
        ({"stopping": {"stopSequences": ["x" * 65]}}, "stopping.stop_sequences[0]", "not 65"),
        ({"conversation": {}}, "conversation.turns", "must not be empty"),
        ({"conversation": {"turns": [{}] * 100_000}}, "conversation.turns", "at most 128"),
        ({"prompt": "x" * 1_100_000}, "request", "at most 1048576 bytes, not 1100"),
        ({"sampling": {"temperature": 2.0000002}}, "sampling.temperature", "not 2.00000024"),
        ({"conversation": {"turns": [USER, AGENT]}}, "conversation.turns[1].role", "last turn"),
        ({"conversation": {"turns": [{"text": "a"}]}}, "conversation.turns[0].role", "ROLE_USER"),
        (
            {"conversation": {"turns": [{"role": "ROLE_USER"}]}},
            "conversation.turns[0].text",
            "must not be empty",
        ),
        ({"sampling": {"repetitionPenalty": 0}}, "sampling.repetition_penalty", "from 0.1 to 10"),
        ({"sampling": {"repetitionPenalty": "NaN"}}, "sampling.repetition_penalty", "from 0.1"),
        ({"sampling": {"frequencyPenalty": -2.1}}, "sampling.frequency_penalty", "from -2 to 2"),
        ({"sampling": {"presencePenalty": "Infinity"}}, "sampling.presence_penalty", "to 2"),
        ({"sampling": {"logitBias": {"7": 101}}}, "sampling.logit_bias[7]", "from -100 to 100"),
        ({"sampling": {"logitBias": {"448": 1}}}, "sampling.logit_bias[448]", "from 0 to 447"),
        (
            {"sampling": {"logitBias": {str(n): 1 for n in range(1025)}}},
            "sampling.logit_bias",
            "at most 1024",
        ),
        ({"priority": 4}, "priority", "PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH"),
        ({"cacheMode": 77}, "cache_mode", "CACHE_MODE_BYPASS"),
        (
            {"resumeTokens": [7], "sampling": {"seed": 1}},
            "model_version",
            "is needed",
        ),
        ({"resumeTokens": [7], "modelVersion": "1"}, "sampling.seed", "is needed"),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(
    generation: GenerationStub, fields: dict[str, Any], field: str, allowed: str
) -> None:
    found = refuse(generation, fields)
    assert list(found) == [field]
    assert allowed in found[field]


def test_all_bad_fields_are_told_at_once(generation: GenerationStub) -> None:
    found = refuse(generation, {"prompt": "", "sampling": {"topP": 2, "temperature": 9}})
    assert set(found) == {"prompt", "sampling.top_p", "sampling.temperature"}


def test_a_request_without_input_is_refused(generation: GenerationStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(generation.Generate(pb.GenerateRequest()))
    assert "prompt or conversation" in violations(caught.value)["input"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"\x1a\x02\xff\xfe", "prompt"),
        (b"\x0a\x01\xff\x1a\x02hi", "model"),
        (b"\x22\x08\x0a\x06\x08\x01\x12\x02\xc3\x28", "conversation.turns[0].text"),
        (b"\x1a\x02hi\x32\x03\x1a\x01\xff", "stopping.stop_sequences"),
    ],
)
def test_text_that_is_no_utf8_is_refused_by_name(
    channel: grpc.Channel, data: bytes, field: str
) -> None:
    call = channel.unary_stream("/lstmserve.v1.GenerationService/Generate")
    with pytest.raises(grpc.RpcError) as caught:
        list(call(data))
    assert violations(caught.value) == {field: "must be valid UTF-8 text"}


def test_bytes_that_are_no_message_are_refused(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/lstmserve.v1.GenerationService/GenerateReply")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff")
    assert "lstmserve.v1.GenerateReplyRequest" in violations(caught.value)["request"]


@pytest.mark.parametrize(
    "method",
    [
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x01\xff"])
def test_health_and_reflection_refuse_what_is_no_message_too(
    channel: grpc.Channel, method: str, data: bytes
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.stream_stream(f"/{method}")(iter([data])))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Exception" not in caught.value.details()
    assert any(word in caught.value.details() for word in ("message", "UTF-8"))


@pytest.mark.parametrize(("model", "version"), [("nobody", ""), ("tiny", "99"), ("tiny", "one")])
def test_an_unknown_model_or_version_is_not_found_and_the_known_are_listed(
    generation: GenerationStub, models: ModelStub, model: str, version: str
) -> None:
    wanted = pb.GenerateRequest(model=model, model_version=version, prompt="hi")
    with pytest.raises(grpc.RpcError) as streamed:
        list(generation.Generate(wanted))
    with pytest.raises(grpc.RpcError) as described:
        models.GetModel(model_service_pb2.GetModelRequest(name=model, version=version))
    for error in (streamed.value, described.value):
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert ("tiny" in error.details()) or ("1" in error.details())
        resources = [
            d for d in rpc_status.from_call(error).details if d.Is(ResourceInfo.DESCRIPTOR)
        ]
        assert len(resources) == 1


@pytest.mark.parametrize("tokens", [[1_000_000], [5] * 600, "end"])
def test_resume_tokens_that_do_not_fit_the_version_are_a_failed_precondition(
    generation: GenerationStub, models: ModelStub, tokens: list[int] | str
) -> None:
    if tokens == "end":  # a greedy reply that ended by itself has nothing to follow
        greedy = pb.SamplingParams(temperature=0)
        reply = generation.GenerateReply(pb.GenerateReplyRequest(prompt="hello", sampling=greedy))
        assert reply.completion.finish_reason == pb.FINISH_REASON_END_OF_TEXT
        tokens = list(reply.token_ids)
    request = pb.GenerateRequest(
        model_version="1", prompt="hi", resume_tokens=tokens, sampling=pb.SamplingParams(seed=1)
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(generation.Generate(request))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "resume_tokens" in caught.value.details()


def test_an_error_tells_its_reason_and_the_callers_request_id(generation: GenerationStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        generation.GenerateReply(pb.GenerateReplyRequest(), metadata=(("x-request-id", "my-id.7"),))
    info, request = ErrorInfo(), RequestInfo()
    details = rpc_status.from_call(caught.value).details
    assert any(detail.Unpack(info) for detail in details)
    assert any(detail.Unpack(request) for detail in details)
    assert (info.domain, info.reason) == ("lstmserve", "INVALID_REQUEST")
    assert request.request_id == "my-id.7"
