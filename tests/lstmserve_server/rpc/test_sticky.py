"""What keeps a caller, or a conversation, on one version."""

from __future__ import annotations

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.engine.request import ANONYMOUS
from lstmserve_server.rpc.identity import sticky_key
from support.wire_requests import conversation, make_request

REQUESTS = (
    make_request("hello"),
    make_request("hello", seed=7),
    pb.GenerateReplyRequest(prompt="hello"),
    pb.GenerateRequest(conversation=conversation("hello")),
    pb.GenerateRequest(conversation=conversation("hello", "hi", "and now?")),
)


def test_all_turns_of_a_nameless_conversation_have_one_key() -> None:
    assert len({sticky_key(request, ANONYMOUS) for request in REQUESTS}) == 1
    other = pb.GenerateRequest(conversation=conversation("hello!", "hi", "and now?"))
    assert sticky_key(other, ANONYMOUS) != sticky_key(REQUESTS[-1], ANONYMOUS)


def test_a_caller_has_one_key_whatever_it_asks() -> None:
    assert len({sticky_key(request, "bot") for request in (*REQUESTS, make_request("bye"))}) == 1
    assert sticky_key(REQUESTS[0], "bot") != sticky_key(REQUESTS[0], "another")


@pytest.mark.parametrize("request_", [pb.GenerateRequest(), pb.GenerateReplyRequest()])
def test_a_request_without_anything_has_a_key(request_: pb.GenerateRequest) -> None:
    assert sticky_key(request_, ANONYMOUS)


def test_no_caller_is_taken_for_a_prompt() -> None:
    assert sticky_key(make_request("bot"), ANONYMOUS) != sticky_key(make_request("x"), "bot")
