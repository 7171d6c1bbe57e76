"""Tensors on the wire: elements from raw bytes or from typed contents, and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lstmserve.open_inference import inference_service_pb2 as pb

Element = bool | int | float | bytes

MAX_SIZES = 8  # of a shape
MAX_ELEMENTS = 1024  # of a tensor, before anybody has looked at them

LENGTH = struct.Struct("<I")  # before each text of a raw BYTES tensor


@dataclass(frozen=True, slots=True)
class Datatype:
    """How elements of one datatype travel."""

    contents: str  # the field of InferTensorContents
    code: str = ""  # of struct, little-endian; none for texts


DATATYPES = {
    "BOOL": Datatype("bool_contents", "?"),
    "INT8": Datatype("int_contents", "b"),
    "INT16": Datatype("int_contents", "h"),
    "INT32": Datatype("int_contents", "i"),
    "INT64": Datatype("int64_contents", "q"),
    "UINT8": Datatype("uint_contents", "B"),
    "UINT16": Datatype("uint_contents", "H"),
    "UINT32": Datatype("uint_contents", "I"),
    "UINT64": Datatype("uint64_contents", "Q"),
    "FP32": Datatype("fp32_contents", "f"),
    "FP64": Datatype("fp64_contents", "d"),
    "BYTES": Datatype("bytes_contents"),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One row of elements."""

    name: str
    datatype: str
    elements: Sequence[Element]


def read_tensor(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> list[Element]:
    """Return its elements, of ``raw`` unless that is None. Raises ValueError with the reason."""
    datatype = DATATYPES.get(tensor.datatype)
    if datatype is None:
        raise ValueError(f"its datatype must be one of {', '.join(DATATYPES)}")
    if len(tensor.shape) > MAX_SIZES:
        raise ValueError(f"its shape must have at most {MAX_SIZES} sizes, not {len(tensor.shape)}")
    if any(size < 0 for size in tensor.shape):
        raise ValueError(f"its shape must have no negative sizes, not {list(tensor.shape)}")
    read = _read_contents if raw is None else partial(_read_raw, raw=raw)
    elements = read(tensor, datatype)
    wanted = math.prod(tensor.shape)
    if len(elements) != wanted:
        raise ValueError(f"its shape says {wanted} elements, but it has {len(elements)}")
    return elements


def write_tensors(tensors: Sequence[Tensor], answer: pb.ModelInferResponse, *, raw: bool) -> None:
    """Put them into a response, raw or typed."""
    for tensor in tensors:
        output = answer.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=[len(tensor.elements)]
        )
        datatype = DATATYPES[tensor.datatype]
        if raw:
            answer.raw_output_contents.append(_write_raw(tensor, datatype))
        else:
            getattr(output.contents, datatype.contents).extend(tensor.elements)


def _read_contents(
    tensor: pb.ModelInferRequest.InferInputTensor, datatype: Datatype
) -> list[Element]:
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if any(name != datatype.contents for name in filled):
        raise ValueError(
            f"its elements must be in {datatype.contents}, where those of {tensor.datatype} "
            f"are, not in {' and '.join(filled)}"
        )
    elements = getattr(tensor.contents, datatype.contents)
    _check_count(len(elements))
    return list(elements)


def _check_count(count: int) -> None:
    if count > MAX_ELEMENTS:
        raise ValueError(f"must have at most {MAX_ELEMENTS} elements")


def _read_raw(
    tensor: pb.ModelInferRequest.InferInputTensor, datatype: Datatype, raw: bytes
) -> list[Element]:
    if tensor.contents.ListFields():
        raise ValueError("its elements must be in raw_input_contents or in contents, not in both")
    if not datatype.code:
        return list(_split_texts(raw))
    size = struct.calcsize(f"<{datatype.code}")
    if len(raw) % size:
        raise ValueError(f"its raw contents must have {size} bytes an element, not {len(raw)}")
    _check_count(len(raw) // size)
    return list(struct.unpack(f"<{len(raw) // size}{datatype.code}", raw))


def _split_texts(raw: bytes) -> list[bytes]:
    texts, position = [], 0
    while position < len(raw):
        begin = position + LENGTH.size
        if begin > len(raw):
            raise ValueError(f"its raw contents end within a length, after {len(raw)} bytes")
        (length,) = LENGTH.unpack_from(raw, position)
        position = begin + length
        if position > len(raw):
            raise ValueError(
                f"its raw contents announce a text of {length} bytes, but {len(raw) - begin} follow"
            )
        texts.append(raw[begin:position])
        _check_count(len(texts))
    return texts


def _write_raw(tensor: Tensor, datatype: Datatype) -> bytes:
    if datatype.code:
        return struct.pack(f"<{len(tensor.elements)}{datatype.code}", *tensor.elements)
    texts = [element for element in tensor.elements if isinstance(element, bytes)]
    return b"".join(LENGTH.pack(len(text)) + text for text in texts)
