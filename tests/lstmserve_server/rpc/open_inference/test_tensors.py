"""What bytes arrive, elements come of them or a reason why not."""

from __future__ import annotations

import math
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve_server.rpc.open_inference.tensors import (
    DATATYPES,
    Tensor,
    read_tensor,
    write_tensors,
)

InputTensor = wire.ModelInferRequest.InferInputTensor

ELEMENTS = {
    "BOOL": st.booleans(),
    "BYTES": st.binary(max_size=20),
    "FP32": st.floats(width=32, allow_nan=False),
    "FP64": st.floats(allow_nan=False),
    **{f"INT{n}": st.integers(-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)},
    **{f"UINT{n}": st.integers(0, 2**n - 1) for n in (8, 16, 32, 64)},
}


def test_every_datatype_is_tried() -> None:
    assert ELEMENTS.keys() == DATATYPES.keys()


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("datatype", DATATYPES)
@given(data=st.data())
def test_what_is_written_is_read_again(datatype: str, raw: bool, data: st.DataObject) -> None:
    elements = data.draw(st.lists(ELEMENTS[datatype], max_size=5))
    response = wire.ModelInferResponse()
    write_tensors([Tensor("a", datatype, elements)], response, raw=raw)
    (output,) = response.outputs
    again = InputTensor.FromString(output.SerializeToString())
    assert output.name == "a"
    found = read_tensor(again, response.raw_output_contents[0] if raw else None)
    assert found == elements


@given(st.sampled_from(["", "BOGUS", *DATATYPES]), st.lists(st.integers(-3, 5)), st.binary())
def test_arbitrary_raw_contents_are_read_or_refused(
    datatype: str, shape: list[int], raw: bytes
) -> None:
    tensor = InputTensor(name="a", datatype=datatype, shape=shape)
    with suppress(ValueError):
        assert len(read_tensor(tensor, raw)) == math.prod(shape)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x01\x00", "end within a length"),
        (struct.pack("<I", 3) + b"ab", "announce a text of 3 bytes, but 2 follow"),
        (struct.pack("<I", 2**32 - 1), "announce a text of 4294967295 bytes, but 0 follow"),
        (struct.pack("<I", 1) + b"ab", "end within a length"),
        (b"", "says 1 elements, but it has 0"),
    ],
)
def test_wrong_length_prefixes_are_told(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_tensor(InputTensor(datatype="BYTES", shape=[1]), raw)


def test_contents_must_be_in_the_field_of_their_datatype() -> None:
    tensor = InputTensor(datatype="FP32", shape=[1], contents={"fp64_contents": [1.0]})
    with pytest.raises(ValueError, match=r"must be in fp32_contents, .* not in fp64_contents"):
        read_tensor(tensor, None)


def test_contents_come_one_way() -> None:
    tensor = InputTensor(datatype="BYTES", shape=[1], contents={"bytes_contents": [b"a"]})
    with pytest.raises(ValueError, match="not in both"):
        read_tensor(tensor, struct.pack("<I", 1) + b"a")
