"""A client that opens many streams, says so, and reads no further: for tests that kill it."""

from __future__ import annotations

import sys

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect

READY = "streaming\n"


def main(target: str, num_streams: int) -> None:
    with connect(target, narrow=True) as channel:
        stub = GenerationServiceStub(channel)
        streams = [stub.Generate(_request(seed)) for seed in range(num_streams)]
        for stream in streams:
            next(stream)
        sys.stdout.write(READY)
        sys.stdout.flush()
        sys.stdin.read()  # until it is killed


def _request(seed: int) -> pb.GenerateRequest:
    request = pb.GenerateRequest()
    request.CopyFrom(LONG)
    request.sampling.seed = seed
    return request


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
