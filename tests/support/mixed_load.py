"""Callers who do all that dashboards show: ask again, at once, wrongly, and leave."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from benchmarks.testbed.waiting import WAIT_SECONDS
from lstmserve.open_inference import inference_service_pb2 as open_pb
from lstmserve.open_inference.inference_service_pb2_grpc import GRPCInferenceServiceStub
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, read_all
from support.whole_reply import to_unary
from support.wire_requests import conversation, make_request

NUM_AT_ONCE = 4
NUM_DIFFERENT = 12


class MixedLoad:
    """Over one connection, so that all of it reaches one worker."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = GenerationServiceStub(channel)
        self._other = GRPCInferenceServiceStub(channel)
        self._seeds: Iterator[int] = iter(range(1 << 30))

    def make_calls(self) -> None:
        """Some of everything, nothing that an earlier round has asked."""
        self._ask_again()
        self._ask_at_once()
        self._ask_in_other_words()
        self._ask_for_much()
        self._ask_for_forms()
        self._talk()
        self._ask_wrongly()
        self._leave()

    def _ask_again(self) -> None:
        request = make_request(seed=next(self._seeds), min_tokens=8)
        for _ in range(3):
            read_all(self._stub.Generate(request))
        self._stub.GenerateReply(to_unary(request))

    def _ask_at_once(self) -> None:
        request = make_request(seed=next(self._seeds), min_tokens=512, max_tokens=512)
        calls = [self._stub.GenerateReply.future(to_unary(request)) for _ in range(NUM_AT_ONCE)]
        for call in calls:
            call.result(WAIT_SECONDS)

    def _ask_in_other_words(self) -> None:
        contents = open_pb.InferTensorContents(bytes_contents=[b"hello"])
        text = open_pb.ModelInferRequest.InferInputTensor(
            name="text_input", datatype="BYTES", shape=[1], contents=contents
        )
        for seed in (next(self._seeds) for _ in range(2)):
            request = open_pb.ModelInferRequest(inputs=[text])
            request.parameters["seed"].int64_param = seed
            self._other.ModelInfer(request)
            read_all(self._other.ModelStreamInfer(iter([request])))

    def _ask_for_much(self) -> None:
        for seed in (next(self._seeds) for _ in range(NUM_DIFFERENT)):
            read_all(self._stub.Generate(make_request("hello", seed=seed, max_tokens=64)))

    def _ask_for_forms(self) -> None:
        seed = next(self._seeds)
        request = make_request(seed=seed)
        request.constraint.regex = f"[a-z]{{1,{seed + 2}}}"
        for _ in range(2):
            read_all(self._stub.Generate(request))

    def _talk(self) -> None:
        said = ["hello, my lamp is broken and I want to return it"]
        for _ in range(2):
            request = pb.GenerateRequest(conversation=conversation(*said))
            request.sampling.seed = next(self._seeds)
            events, _ = read_all(self._stub.Generate(request))
            said += ["".join(event.chunk.text for event in events) or "Oh!", "so where is it?"]

    def _ask_wrongly(self) -> None:
        for request in (pb.GenerateReplyRequest(), pb.GenerateReplyRequest(prompt="?", model="?")):
            with pytest.raises(grpc.RpcError):
                self._stub.GenerateReply(request)

    def _leave(self) -> None:
        stream = self._stub.Generate(LONG, timeout=60)
        next(stream), next(stream)
        stream.cancel()
