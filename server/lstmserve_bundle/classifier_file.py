"""``classifier.bin``: what a version's classifier has learned, as whole numbers.

magic, length of the header (4 bytes), header (JSON), then little-endian arrays without gaps:
hashes uint32[ngrams], rows uint8[ngrams, width] (an element plus 128),
hidden int16[3 * width, hidden], hidden bias int32[hidden],
output int16[hidden + 3 * width, outputs], output bias int32[outputs]
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from lstmserve_bundle.errors import ClassifierError
from lstmserve_bundle.files import size_of
from lstmserve_bundle.manifest import StrictModel
from lstmserve_bundle.ngram_table import MAX_ROWS

if TYPE_CHECKING:
    from pathlib import Path

CLASSIFIER_NAME = "classifier.bin"
MAX_BYTES = 16_000_000  # five times what any should have; it is read as a whole
MAX_LABELS = 1024
NUM_BLOCKS = 3  # the question, what the customer said before, and what the agent said last
_MAGIC = b"lstmserve-classifier\n"
_LENGTH_BYTES = 4

Count = Annotated[int, Field(gt=0, le=MAX_LABELS)]
Number = Annotated[float, Field(ge=-1e6, le=1e6)]


class ScopeHeader(StrictModel):
    """A logistic regression that tells what is in scope, over what the network says."""

    bias: Number
    output: Number  # of the network's own output for it, in nats
    margin: Number  # of the best label in scope over the best one out of it, in nats
    probability: Number  # of the best label in scope
    known: Number  # share of the question's words that training has seen


class ClassifierHeader(StrictModel):
    """Sizes, labels and calibration. ``scope`` is there where some labels are out of scope."""

    schema_version: Literal[1]
    labels: Annotated[list[str], Field(min_length=2, max_length=MAX_LABELS)]
    out_of_scope: list[str]
    ngrams: Annotated[int, Field(gt=0, le=MAX_ROWS)]
    width: Annotated[int, Field(gt=0, le=MAX_LABELS, multiple_of=4)]
    hidden: Annotated[int, Field(ge=0, le=MAX_LABELS)]
    evidence: Annotated[int, Field(ge=1, lt=1 << 31)]
    temperature: Annotated[float, Field(gt=0, le=1000)]
    scope: ScopeHeader | None

    @model_validator(mode="after")
    def _labels_are_told_apart(self) -> ClassifierHeader:
        if len(set(self.labels)) < len(self.labels) or "" in self.labels:
            raise ValueError("labels must be different, and not empty")
        if not set(self.out_of_scope) < set(self.labels):
            raise ValueError("out_of_scope must be some of the labels")
        if (self.scope is not None) != bool(self.out_of_scope):
            raise ValueError("scope must be given where labels are out of scope, and only there")
        return self

    @property
    def num_outputs(self) -> int:
        """A score for each label, and one for being in scope."""
        return len(self.labels) + (self.scope is not None)


@dataclass(frozen=True)
class ClassifierFile:
    """The whole file; ``hashes`` ascend."""

    header: ClassifierHeader
    hashes: array[int]  # uint32 [ngrams]
    rows: bytes  # [ngrams, width]
    hidden: array[int]  # int16 [3 * width, hidden]
    hidden_bias: array[int]  # int32 [hidden]
    output: array[int]  # int16 [hidden + 3 * width, outputs]
    output_bias: array[int]  # int32 [outputs]

    def to_bytes(self) -> bytes:
        header = self.header.model_dump_json().encode()
        parts = (self.hashes, self.rows, self.hidden, self.hidden_bias, self.output)
        data = [little_endian(part) for part in (*parts, self.output_bias)]
        return b"".join([_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, *data])


def read_classifier_file(path: Path) -> ClassifierFile:
    """Raises ClassifierError for what is none, naming the file and what is wrong."""
    try:
        if size_of(path) > MAX_BYTES:
            raise ClassifierError(f"{path}: a classifier has at most {MAX_BYTES:,} bytes")
        return parse_classifier(path.read_bytes())
    except OSError as error:
        raise ClassifierError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "header"
        raise ClassifierError(f"{path}: {where}: {problem['msg']}") from None
    except ValueError as error:
        raise ClassifierError(f"{path}: {error}") from None


def parse_classifier(data: bytes) -> ClassifierFile:
    """Raises ValueError (pydantic's among them) for what is none."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a classifier: it does not begin as one")
    start = len(_MAGIC) + _LENGTH_BYTES
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = ClassifierHeader.model_validate_json(data[start:end])
    inputs = NUM_BLOCKS * header.width
    sizes = [4 * header.ngrams, header.ngrams * header.width, 2 * inputs * header.hidden]
    sizes += [4 * header.hidden, 2 * (header.hidden + inputs) * header.num_outputs]
    sizes += [4 * header.num_outputs]
    if len(data) != end + sum(sizes):
        raise ValueError(f"{len(data)} bytes instead of {end + sum(sizes)}: cut or damaged")
    parts = []
    for size in sizes:
        parts.append(data[end : end + size])
        end += size
    hashes, rows, hidden, hidden_bias, output, output_bias = parts
    found = ClassifierFile(
        header,
        native_array("I", hashes),
        rows,
        native_array("h", hidden),
        native_array("i", hidden_bias),
        native_array("h", output),
        native_array("i", output_bias),
    )
    if any(low >= high for low, high in zip(found.hashes, found.hashes[1:], strict=False)):
        raise ValueError("the hashes do not ascend")
    return found


def native_array(code: str, data: bytes) -> array[int]:
    """Little-endian numbers as this machine has them."""
    found = array(code, data)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def little_endian(part: array[int] | bytes) -> bytes:
    """The inverse of ``native_array``; bytes stay as they are."""
    if isinstance(part, bytes) or sys.byteorder == "little":
        return bytes(part)
    swapped = array(part.typecode, part)
    swapped.byteswap()
    return swapped.tobytes()
