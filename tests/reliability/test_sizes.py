"""Requests that are larger than any may be."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.channel_options import MAX_MESSAGE_BYTES
from lstmserve_server.rpc.wire import MAX_REQUEST_BYTES
from support.bystanders import Expected, bystanders
from support.calls import connect, find_detail
from support.footprint import Footprint, settled
from support.served import Served

CODES = grpc.StatusCode
METADATA_BYTES = 8_192  # of which grpc lets everything pass
MOST_METADATA_BYTES = 16_384  # of which it refuses everything
ENTRY_BYTES = 40  # of such a key, its value, and what HTTP/2 adds to each in counting
NUM_AT_ONCE = 16
# what is read of all at once, by grpc and by us, and what an allocator makes of that
MOST_GROWTH_BYTES = 3 * NUM_AT_ONCE * MAX_MESSAGE_BYTES


def request_of(num_bytes: int) -> pb.GenerateReplyRequest:
    """A request of exactly so many bytes on the wire."""
    request = pb.GenerateReplyRequest(prompt="x" * (num_bytes - 1))
    while request.ByteSize() > num_bytes:
        request.prompt = request.prompt[: num_bytes - request.ByteSize()]
    assert request.ByteSize() == num_bytes
    return request


@pytest.mark.parametrize(
    ("num_bytes", "code", "field"),
    [
        (MAX_REQUEST_BYTES - 1, CODES.INVALID_ARGUMENT, "prompt"),
        (MAX_REQUEST_BYTES, CODES.INVALID_ARGUMENT, "prompt"),
        (MAX_REQUEST_BYTES + 1, CODES.INVALID_ARGUMENT, "request"),
        (MAX_MESSAGE_BYTES, CODES.INVALID_ARGUMENT, "request"),
        (MAX_MESSAGE_BYTES + 1, CODES.RESOURCE_EXHAUSTED, ""),
        (16 * MAX_MESSAGE_BYTES, CODES.RESOURCE_EXHAUSTED, ""),
    ],
)
def test_a_request_that_is_too_large_is_refused_clearly_and_kept_nowhere(
    served: Served, expected: Expected, num_bytes: int, code: grpc.StatusCode, field: str
) -> None:
    """Just below, at and above every limit, and far above it, many at once: the status says
    what is allowed, others are served as ever, and memory does not grow with what was sent.
    """
    before = settled(served)
    with (
        bystanders(served.process.target, expected) as others,
        connect(served.process.target) as channel,
    ):
        call = channel.unary_unary("/lstmserve.v1.GenerationService/GenerateReply")
        data = request_of(num_bytes).SerializeToString()
        errors = [one.exception() for one in [call.future(data) for _ in range(NUM_AT_ONCE)]]
        others.replies()
    for error in errors:
        assert isinstance(error, grpc.RpcError)
        assert error.code() is code
        assert str(num_bytes if field != "prompt" else 8192) in error.details()
        if field:
            (violation,) = find_detail(error, BadRequest).field_violations
            assert violation.field == field
    assert Footprint.of(served.process).resident_bytes - before.resident_bytes < MOST_GROWTH_BYTES


@pytest.mark.parametrize(
    ("num_bytes", "code"),
    [
        (METADATA_BYTES // 2, CODES.OK),
        (MOST_METADATA_BYTES, CODES.RESOURCE_EXHAUSTED),
        (64 * MOST_METADATA_BYTES, CODES.RESOURCE_EXHAUSTED),
    ],
)
def test_metadata_that_is_too_large_is_refused_clearly(
    served: Served, expected: Expected, num_bytes: int, code: grpc.StatusCode
) -> None:
    """Metadata that fits is let in, metadata that does not is refused with RESOURCE_EXHAUSTED,
    in one value or in thousands; the connection and other calls go on.
    """
    many = tuple((f"x-{n:05}", "y") for n in range(num_bytes // ENTRY_BYTES + 1))
    with bystanders(served.process.target, expected):
        for metadata in ((("x-large", "y" * num_bytes),), many):
            call = served.generation.GenerateReply.future(
                pb.GenerateReplyRequest(prompt="hello"), metadata=metadata
            )
            assert call.code() is code
            assert served.ask(pb.GenerateRequest(prompt="hello")).token_ids
