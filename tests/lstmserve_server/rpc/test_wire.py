"""Whatever bytes arrive, the reader gives a message or says what is wrong, and never raises."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.open_inference import inference_service_pb2
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2
from lstmserve_server.rpc.wire import MAX_SEARCHED, Malformed, make_reader

KINDS: list[type[Message]] = [
    pb.GenerateRequest,
    pb.GenerateReplyRequest,
    model_service_pb2.ListModelsRequest,
    model_service_pb2.GetModelRequest,
    model_service_pb2.LoadModelRequest,
    model_service_pb2.UnloadModelRequest,
    model_service_pb2.SetDefaultModelRequest,
    inference_service_pb2.ModelInferRequest,
]
FULL = pb.GenerateRequest(
    model="tiny",
    model_version="1",
    conversation=pb.Conversation(turns=[pb.Turn(role=pb.ROLE_USER, text="你好")]),
    sampling=pb.SamplingParams(temperature=1, seed=2, logit_bias={7: 1.5}),
    stopping=pb.StoppingCriteria(max_tokens=3, stop_sequences=["x", "yy"]),
    resume_tokens=[1, 2, 3],
)


def read(kind: type[Message], data: bytes) -> None:
    found = make_reader(kind)(data)
    if isinstance(found, Malformed):
        assert found.violation.field
        assert found.violation.description
    else:
        assert isinstance(found, kind)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(kind: type[Message], data: bytes) -> None:
    read(kind, data)


@given(data=st.data())
def test_a_message_damaged_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    whole = FULL.SerializeToString()
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    damage = data.draw(st.binary(max_size=8))
    read(pb.GenerateRequest, whole[:begin] + damage + whole[end:])


@given(st.binary(min_size=1, max_size=40))
def test_text_is_refused_exactly_when_it_is_no_utf8(text: bytes) -> None:
    found = make_reader(pb.GenerateRequest)(b"\x1a" + bytes([len(text)]) + text)
    try:
        expected = text.decode()
    except UnicodeDecodeError:
        assert isinstance(found, Malformed)
        assert found.violation.field == "prompt"
    else:
        assert isinstance(found, pb.GenerateRequest)
        assert found.prompt == expected


def test_a_good_message_is_read_as_it_was_written() -> None:
    assert make_reader(pb.GenerateRequest)(FULL.SerializeToString()) == FULL


def test_a_message_nested_without_end_is_refused() -> None:
    data = b""
    for _ in range(200):  # a group that holds itself
        data = b"\xfb\x01" + data + b"\xfc\x01"
    assert isinstance(make_reader(pb.GenerateRequest)(data), Malformed)


@pytest.mark.parametrize(
    ("number", "field"),
    [(10, "conversation.turns[10].text"), (MAX_SEARCHED, "request")],
)
def test_text_that_is_no_utf8_is_named_unless_it_stands_too_far_behind(
    number: int, field: str
) -> None:
    good, bad = pb.Turn(text="a").SerializeToString(), b"\x12\x01\xff"
    turns = b"".join(bytes([0x0A, len(turn)]) + turn for turn in [*[good] * number, bad])
    head = pb.GenerateRequest(conversation=pb.Conversation()).SerializeToString()[:1]
    length = [len(turns) & 0x7F | 0x80, len(turns) >> 7]
    found = make_reader(pb.GenerateRequest)(head + bytes(length) + turns)
    assert isinstance(found, Malformed)
    assert found.violation.field == field


def test_text_that_is_no_utf8_is_named_within_a_map() -> None:
    request = inference_service_pb2.ModelInferRequest()
    request.parameters["stop"].string_param = "ab"
    found = make_reader(type(request))(request.SerializeToString().replace(b"ab", b"\xff\xff"))
    assert isinstance(found, Malformed)
    assert found.violation.field == "parameters[stop].string_param"


@pytest.mark.parametrize("text", [b"name", b"value"])
def test_a_map_of_texts_is_called_by_its_key(text: bytes) -> None:
    request = pb.GenerateRequest(prompt="hi", variables={"other": "fine", "name": "value"})
    broken = request.SerializeToString().replace(text, b"\xff" * len(text))
    found = make_reader(pb.GenerateRequest)(broken)
    assert isinstance(found, Malformed)
    key = "name" if text == b"value" else "\ufffd" * 4
    assert found.violation.field == f"variables[{key}]"
    assert found.violation.description == "must be valid UTF-8 text"


def test_bytes_that_are_no_text_are_not_blamed_for_text_that_is_no_utf8() -> None:
    request = inference_service_pb2.ModelInferRequest(inputs=[{"name": "a"}, {"name": "bc"}])
    request.inputs[0].contents.bytes_contents.append(b"\xff")
    found = make_reader(type(request))(request.SerializeToString().replace(b"bc", b"\xff\xff"))
    assert isinstance(found, Malformed)
    assert found.violation.field == "inputs[1].name"
