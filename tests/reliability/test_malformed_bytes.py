"""Bytes that are no request: random ones, damaged messages, and damaged HTTP/2."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.bystanders import Expected, bystanders
from support.calls import connect
from support.footprint import files_until, settled
from support.fuzzing import METHODS, bounded, http2_request, mutated, seed_messages
from support.metrics_page import scrape_until
from support.raw_caller import open_socket
from support.served import Served

PROPER = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}
MAX_ANSWER_BYTES = 1 << 22
WAIT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def undisturbed(served: Served, expected: Expected) -> Iterator[None]:
    """Others' replies are right meanwhile; afterwards nothing is left, and no bug was logged."""
    before = settled(served)
    with bystanders(served.process.target, expected):
        yield
    served.page_once_idle()
    after = files_until(served, lambda count: count <= before.files)
    assert after.threads <= before.threads
    assert served.process.process.poll() is None
    log = served.process.read_log()
    assert "Traceback" not in log
    assert "a bug" not in log


@pytest.fixture
def channel(served: Served) -> Iterator[grpc.Channel]:
    with connect(served.process.target) as opened:
        yield opened


def answer_of(channel: grpc.Channel, method: str, data: bytes) -> tuple[grpc.StatusCode, str]:
    call = channel.stream_stream(method)(iter([data]), timeout=WAIT_SECONDS)
    try:
        for _ in call:
            if method.endswith("Watch"):  # whose stream ends with its caller alone
                return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    finally:
        call.cancel()
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
@bounded(60)
def test_every_method_answers_any_bytes_with_a_proper_status(
    channel: grpc.Channel, method: str, data: st.DataObject
) -> None:
    """Random bytes and damaged valid messages, to every method there is: each is a request
    that is served, or refused by the status that says what is wrong with it.
    """
    message = data.draw(st.one_of(st.binary(max_size=64), mutated(seed_messages(method))))
    code, details = answer_of(channel, method, message)
    assert code in PROPER, (method, message, details)
    assert "Exception" not in details


def test_the_bytes_are_a_call_until_they_are_damaged(served: Served) -> None:
    """What is damaged below reaches the engine when it is not."""
    before = served.page().total("requests_total")
    with open_socket(served.process.target) as connection:
        connection.sendall(*http2_request())
        scrape_until(served.process.metrics_url, lambda page: page.total("requests_total") > before)


@given(damaged=mutated(http2_request(), max_changes=6))
@bounded(60)
def test_damaged_http2_ends_its_own_connection_at_most(served: Served, damaged: bytes) -> None:
    """Valid HTTP/2 of a call with bytes changed, removed and put in: the server answers or
    closes that connection, and all else goes on.
    """
    with open_socket(served.process.target) as connection:
        connection.settimeout(WAIT_SECONDS)
        num_bytes = 0
        try:
            connection.sendall(damaged)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                num_bytes += len(data)
                assert num_bytes < MAX_ANSWER_BYTES
        except (ConnectionResetError, BrokenPipeError):
            pass  # closed, with what we had sent unread
