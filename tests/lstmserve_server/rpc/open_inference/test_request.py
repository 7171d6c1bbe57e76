"""What a request of the protocol becomes, and what is refused, by which name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.errors import InvalidRequestError
from lstmserve_server.rpc.open_inference.parameters import PARAMETERS
from lstmserve_server.rpc.open_inference.request import read_request
from lstmserve_server.rpc.validation import Request
from lstmserve_server.rpc.wire import Malformed, make_reader

FIELDS = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}


def make(parameters: dict[str, Any] | None = None, **inputs: Any) -> wire.ModelInferRequest:  # noqa: ANN401
    """A request for one text with these parameters and inputs."""
    request = wire.ModelInferRequest(id="7")
    for name, value in {"text_input": "hi", **inputs}.items():
        add_input(request, name, value)
    for name, value in (parameters or {}).items():
        set_parameter(request, name, value)
    return request


def add_input(request: wire.ModelInferRequest, name: str, value: object) -> None:
    tensor = request.inputs.add(name=name, shape=[1])
    if isinstance(value, bool):
        tensor.datatype, tensor.contents.bool_contents[:] = "BOOL", [value]
    elif isinstance(value, float):
        tensor.datatype, tensor.contents.fp32_contents[:] = "FP32", [value]
    elif isinstance(value, int):
        tensor.datatype, tensor.contents.int_contents[:] = "INT32", [value]
    else:
        data = value if isinstance(value, bytes) else str(value).encode()
        tensor.datatype, tensor.contents.bytes_contents[:] = "BYTES", [data]


def set_parameter(request: wire.ModelInferRequest, name: str, value: object) -> None:
    setattr(request.parameters[name], FIELDS[type(value)], value)


def nested(depth: int) -> str:
    """An object in which one parameter is a list that deep."""
    return f'{{"stop": {"[" * (depth - 1)}{"]" * (depth - 1)}}}'


def convert(request: wire.ModelInferRequest, *, is_stream: bool = True) -> Request:
    return read_request(request, is_stream=is_stream).request


def refusals(request: Any, *, is_stream: bool = True) -> dict[str, str]:  # noqa: ANN401
    with pytest.raises(InvalidRequestError) as refused:
        read_request(request, is_stream=is_stream)
    return {item.field: item.description for item in refused.value.violations}


def test_a_reply_may_keep_a_form() -> None:
    assert convert(make({"regex": "[0-9]+"})).constraint == pb.Constraint(regex="[0-9]+")
    assert convert(make({"form": "date"})).constraint == pb.Constraint(form="date")
    for choices in (["yes", "no"], []):
        given = make(sampling_parameters=json.dumps({"choices": choices}))
        expected = pb.Constraint(choices=pb.Choices(choices=choices))
        assert convert(given).constraint == expected


def test_two_forms_are_refused_by_name() -> None:
    found = refusals(make({"regex": "a", "form": "b"}))
    assert found == {"parameters[form]": "cannot go with regex: a reply keeps one form"}
    wrong = refusals(make(sampling_parameters='{"choices": "yes"}'))
    assert wrong == {"sampling_parameters.choices": "must be a list of at most 1024 texts"}


def test_a_text_alone_follows_the_defaults() -> None:
    assert convert(make()) == pb.GenerateReplyRequest(prompt="hi")


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("temperature", 0.5, "sampling.temperature", 0.5),
        ("temperature", "0.5", "sampling.temperature", 0.5),
        ("temperature", 1, "sampling.temperature", 1.0),
        ("top_k", "40", "sampling.top_k", 40),
        ("seed", "18446744073709551615", "sampling.seed", 2**64 - 1),
        ("max_tokens", 9, "stopping.max_tokens", 9),
        ("min_tokens", 0, "stopping.min_tokens", 0),
        ("stop", "!", "stopping.stop_sequences", ["!"]),
        ("cache_mode", "only_if_cached", "cache_mode", pb.CACHE_MODE_ONLY_IF_CACHED),
        ("cache_tags", "spring", "cache_tags", ["spring"]),
        ("priority", "low", "priority", pb.PRIORITY_LOW),
        ("priority", 1, "priority", pb.PRIORITY_HIGH),
        ("priority", 3, "priority", pb.PRIORITY_LOW),
    ],
)
def test_a_parameter_is_the_same_wherever_it_stands(
    name: str, value: object, field: str, expected: object
) -> None:
    in_json = {"sampling_parameters": json.dumps({name: value})}
    for request in (make({name: value}), make(None, **{name: value}), make(None, **in_json)):
        found: Any = convert(request)
        for part in field.split("."):
            found = getattr(found, part)
        assert found == expected


def test_the_object_holds_what_a_parameter_cannot() -> None:
    values = {"stop": ["a", "b"], "logit_bias": {"5": 1.5, "6": -2}}
    found = convert(make(None, sampling_parameters=json.dumps(values)))
    assert list(found.stopping.stop_sequences) == ["a", "b"]
    assert dict(found.sampling.logit_bias) == {5: 1.5, 6: -2.0}


def test_a_parameter_may_come_twice_and_must_be_the_same() -> None:
    values = {"temperature": "0.1", "max_tokens": "100"}
    found = convert(make(values, sampling_parameters=json.dumps(values)))
    assert found.stopping.max_tokens == 100
    other = make(values, sampling_parameters=json.dumps({**values, "temperature": 0.2}))
    assert refusals(other) == {
        "sampling_parameters.temperature": "must be the same as parameters[temperature]"
    }


@pytest.mark.parametrize(
    ("request_", "field", "allowed"),
    [
        (
            make({"temprature": 1.0}),
            "parameters[temprature]",
            "is not served; served are: cache_m",
        ),
        (make({"top_k": -1}), "parameters[top_k]", "from 0 to 4294967295, not -1"),
        (make({"top_k": 2**32}), "parameters[top_k]", "from 0 to 4294967295, not 4294967296"),
        (make({"top_k": 1.5}), "parameters[top_k]", "whole number"),
        (make({"top_k": True}), "parameters[top_k]", "whole number"),
        (make({"top_k": " 1"}), "parameters[top_k]", "whole number"),
        (make({"top_k": "\u0663"}), "parameters[top_k]", "whole number"),
        (make({"temperature": "\u0663"}), "parameters[temperature]", "must be a number"),
        (make({"regex": 1}), "parameters[regex]", "must be a text, not 1"),
        (make({"seed": -1}), "parameters[seed]", "from 0 to 18446744073709551615, not -1"),
        (make({"temperature": True}), "parameters[temperature]", "must be a number, not true"),
        (make({"temperature": "nan"}), "parameters[temperature]", "must be a number"),
        (make({"temperature": "1_0"}), "parameters[temperature]", "must be a number"),
        (make({"stop": 1}), "parameters[stop]", "a text or a list of texts, not 1"),
        (make({"priority": 4}), "parameters[priority]", "must be one of low, normal, high, 0, 1"),
        (make({"priority": True}), "parameters[priority]", "must be one of"),
        (make({"cache_mode": "no"}), "parameters[cache_mode]", "default, bypass, refresh, only"),
        (make({"timeout": -5}), "parameters[timeout]", "whole number from 0"),
        (make({"sequence_id": 5}), "parameters[sequence_id]", "is not served"),
        (make({"logit_bias": "x"}), "parameters[logit_bias]", "an object of at most 1024"),
        (make(None, top_k=-2), "inputs[top_k]", "from 0 to"),
        (make(None, text_input=b"\xff"), "inputs[text_input]", "valid UTF-8"),
        (make(None, text_input=1.0), "inputs[text_input]", "datatype must be BYTES, not 'FP32'"),
        (make(None, image="x"), "inputs[image]", "is not an input; inputs are: cache_mode, "),
        (make(None, exclude_input_in_output=False), "inputs[exclude_input_in_output]", "true"),
        (make(None, return_logprobs=True), "inputs[return_logprobs]", "needs the parameter"),
        (make(None, sampling_parameters="[1]"), "inputs[sampling_parameters]", "a JSON object"),
        (make(None, sampling_parameters="{"), "inputs[sampling_parameters]", "JSON object: "),
        (make(None, sampling_parameters="[" * 9**5), "inputs[sampling_parameters]", "8 deep"),
        (
            make(None, sampling_parameters='{"top_k": 1, "top_k": 2}'),
            "inputs[sampling_parameters]",
            "each parameter once",
        ),
        (
            make(None, sampling_parameters='{"top_k": 1' + "0" * 9999 + "}"),
            "sampling_parameters.top_k",
            "from 0 to 4294967295, not Infinity",
        ),
        (
            make(None, sampling_parameters='{"stop": "\\ud800"}'),
            "sampling_parameters.stop",
            "valid Unicode",
        ),
        (make(None, sampling_parameters=nested(9)), "inputs[sampling_parameters]", "8 deep"),
        (make(None, sampling_parameters=nested(970)), "inputs[sampling_parameters]", "8 deep"),
        (
            make(None, sampling_parameters=" " * 9**6),
            "inputs[sampling_parameters]",
            "at most 65536 characters, not 531441",
        ),
        (
            make(None, sampling_parameters=json.dumps({f"p{n}": 1 for n in range(65)})),
            "inputs[sampling_parameters]",
            "at most 64 entries, not 65",
        ),
        *(
            (
                make(None, sampling_parameters=f'{{"temperature": {number}}}'),
                "sampling_parameters.temperature",
                f"must be a finite number, not {shown}",
            )
            for number, shown in (
                ("NaN", "NaN"),
                ("-Infinity", "-Infinity"),
                ("1e999", "Infinity"),
                ("9" * 5000, "Infinity"),
            )
        ),
        (
            make(None, sampling_parameters='{"logit_bias": {"5": NaN}}'),
            "sampling_parameters.logit_bias",
            "must be a finite number, not NaN",
        ),
        (make(None, temperature=float("nan")), "inputs[temperature]", "a finite number, not NaN"),
        (
            make(None, sampling_parameters=json.dumps({"stop": ["a"] * 9})),
            "sampling_parameters.stop",
            "at most 8 are allowed, not 9",
        ),
        (wire.ModelInferRequest(inputs=[{}] * 65), "inputs", "at most 64 entries, not 65"),
        (
            wire.ModelInferRequest(outputs=[{"name": f"{n}"} for n in range(65)]),
            "outputs",
            "at most 64 entries, not 65",
        ),
        (
            wire.ModelInferRequest(parameters={f"p{n}": {} for n in range(65)}),
            "parameters",
            "at most 64 entries, not 65",
        ),
        (
            wire.ModelInferRequest(
                inputs=[{"name": "top_k", "datatype": "INT8", "shape": [1] * 9}]
            ),
            "inputs[top_k]",
            "at most 8 sizes, not 9",
        ),
        (make(None, sampling_parameters='{"n": 2}'), "sampling_parameters.n", "is not served"),
        (
            make(None, sampling_parameters='{"logit_bias": {"5": 1, "05": 2}}'),
            "sampling_parameters.logit_bias",
            "each token id once",
        ),
        (
            wire.ModelInferRequest(raw_input_contents=[b"x"]),
            "raw_input_contents",
            "each of the 0 inputs, not 1",
        ),
        (wire.ModelInferRequest(), "inputs[text_input]", "is missing"),
        (
            wire.ModelInferRequest(
                inputs=[
                    {
                        "name": "text_input",
                        "datatype": "BYTES",
                        "shape": [2],
                        "contents": {"bytes_contents": [b"a", b"b"]},
                    }
                ]
            ),
            "inputs[text_input]",
            "must have one element, not 2; send every text in a request of its own",
        ),
        (
            wire.ModelInferRequest(outputs=[{"name": "text"}]),
            "outputs[text]",
            "is not an output; outputs are: classification, confidence, finish_reason",
        ),
        (
            wire.ModelInferRequest(outputs=[{"name": "text_output"}] * 2),
            "outputs[text_output]",
            "named once",
        ),
        (
            wire.ModelInferRequest(
                outputs=[{"name": "text_output", "parameters": {"classification": {}}}]
            ),
            "outputs[text_output].parameters[classification]",
            "is not served",
        ),
    ],
)
def test_what_is_wrong_is_named_as_the_caller_wrote_it(
    request_: wire.ModelInferRequest, field: str, allowed: str
) -> None:
    assert allowed in refusals(request_)[field]


def test_only_a_stream_gives_pieces() -> None:
    asked = make({"triton_enable_empty_final_response": True}, stream=True)
    assert isinstance(convert(asked), pb.GenerateRequest)
    assert isinstance(convert(make(None, stream=False)), pb.GenerateReplyRequest)
    assert refusals(asked, is_stream=False).keys() == {
        "inputs[stream]",
        "parameters[triton_enable_empty_final_response]",
    }


def test_a_timeout_is_in_microseconds_and_0_is_none() -> None:
    assert read_request(make({"timeout": 1500}), is_stream=False).timeout_seconds == 0.0015
    assert read_request(make({"timeout": 0}), is_stream=False).timeout_seconds == math.inf


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text("0123456789-", max_size=3), st.integers() | st.floats(), max_size=3),
)


@given(st.dictionaries(st.sampled_from([*PARAMETERS, "foo"]), VALUES))
def test_arbitrary_objects_are_served_whole_or_refused_by_name(values: dict[str, Any]) -> None:
    request = make(None, sampling_parameters=json.dumps(values))
    try:
        found = convert(request)
    except InvalidRequestError as error:
        named = {item.field for item in error.violations}
        assert named <= {f"sampling_parameters.{name}" for name in values}
    else:
        assert "foo" not in values
        assert found.sampling.HasField("temperature") == ("temperature" in values)


@given(st.binary(max_size=20))
def test_arbitrary_messages_are_read_or_refused(data: bytes) -> None:
    request = make_reader(wire.ModelInferRequest)(data)
    if not isinstance(request, Malformed):
        # none of so few bytes holds a tensor with a text in it
        assert refusals(request)
