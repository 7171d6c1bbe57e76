"""A server that is told to end, for callers of the protocol."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.testbed.server import ServerProcess
from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.open_inference.inference_service_pb2_grpc import GRPCInferenceServiceStub
from support.calls import connect, find_detail

SERVING = health_pb2.HealthCheckResponse.SERVING
LONG = {"min_tokens": 512, "max_tokens": 512, "logprobs": 20}


def ask(request_id: str, *, is_streamed: bool = True, **numbers: int) -> wire.ModelInferRequest:
    request = wire.ModelInferRequest(id=request_id)
    text = request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    text.contents.bytes_contents.append(b"hello")
    stream = request.inputs.add(name="stream", datatype="BOOL", shape=[1])
    stream.contents.bool_contents.append(is_streamed)
    for name, value in numbers.items():
        request.parameters[name].int64_param = value
    return request


class Asker:
    """The requests of one stream, sent one by one."""

    def __init__(self, stub: GRPCInferenceServiceStub) -> None:
        self._requests: SimpleQueue[wire.ModelInferRequest | None] = SimpleQueue()
        self.responses = stub.ModelStreamInfer(iter(self._requests.get, None))

    def send(self, request: wire.ModelInferRequest | None) -> None:
        self._requests.put(request)


def test_a_draining_server_says_so_finishes_what_runs_and_refuses_what_is_new(
    tiny_store: Path,
) -> None:
    with (
        ServerProcess(tiny_store) as server,
        connect(server.target, narrow=True) as narrow,
        connect(server.target) as other,
    ):
        asker = Asker(GRPCInferenceServiceStub(narrow))
        asker.send(ask("a", **LONG))
        assert next(asker.responses).infer_response.id == "a"
        # there is a call that is running, so the drain goes on until it is read
        stub = GRPCInferenceServiceStub(other)
        assert stub.ServerReady(wire.ServerReadyRequest()).ready
        changes = health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest())
        assert next(changes).status == SERVING

        server.send_signal(signal.SIGTERM)

        assert next(changes).status != SERVING
        assert stub.ServerLive(wire.ServerLiveRequest()).live
        assert not stub.ServerReady(wire.ServerReadyRequest()).ready
        assert not stub.ModelReady(wire.ModelReadyRequest()).ready
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelInfer(ask("b", is_streamed=False))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert find_detail(refused.value, ErrorInfo).reason == "DRAINING"
        # on a stream that is open a new request fails, and the one that runs does not
        asker.send(ask("c"))
        last = dict(read_both(asker))
        assert last["c"].error_message.startswith("[request id: c] UNAVAILABLE: ")
        assert last["c"].infer_response.parameters["reason"].string_param == "DRAINING"
        assert not last["a"].error_message
        assert last["a"].infer_response.parameters["generated_tokens"].int64_param == 512
        asker.send(None)
        assert server.process.wait() == 0


def read_both(asker: Asker) -> Iterator[tuple[str, wire.ModelStreamInferResponse]]:
    """The final responses to two requests."""
    num_open = 2
    while num_open:
        response = next(asker.responses)
        if response.infer_response.parameters["triton_final_response"].bool_param:
            num_open -= 1
            yield response.infer_response.id, response


def test_details_and_ids_are_those_of_every_other_call(server: ServerProcess) -> None:
    with connect(server.target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelInfer(
                ask("a", is_streamed=False, top_k=-1), metadata=(("x-request-id", "mine"),)
            )
        (violation,) = find_detail(refused.value, BadRequest).field_violations
        assert violation.field == "parameters[top_k]"
        assert dict(refused.value.trailing_metadata())["x-request-id"] == "mine"

        asked = iter([ask("a", max_tokens=3), ask("b", top_k=-1)])
        call = stub.ModelStreamInfer(asked, metadata=(("x-request-id", "mine"),))
        assert dict(call.initial_metadata())["x-request-id"] == "mine"
        parameters = [response.infer_response.parameters for response in call]
        ids = {each["request_id"].string_param for each in parameters if "request_id" in each}
        assert ids == {"mine-1", "mine-2"}


def test_what_is_not_served_is_unimplemented(server: ServerProcess) -> None:
    with connect(server.target) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"")
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_request_fail_alone(server: ServerProcess) -> None:
    with connect(server.target) as channel:
        call = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            response_deserializer=wire.ModelStreamInferResponse.FromString,
        )
        good = ask("a", max_tokens=3).SerializeToString()
        responses = list(call(iter([b"\xff\xff", good])))
        errors = [response.error_message for response in responses if response.error_message]
        assert errors == [
            "INVALID_ARGUMENT: request: is not a valid inference.ModelInferRequest message"
        ]
        assert any(response.infer_response.id == "a" for response in responses)
