"""Streams one reply with plain grpcio: ``python stream.py TARGET PROMPT``.

The stubs are generated from the server's .proto files: ``pip install .`` in a checkout brings them,
and ../README.md tells how to generate them elsewhere.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import grpc
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_status import rpc_status

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub

DEADLINE_SECONDS = 10.0


def open_channel(target: str) -> grpc.Channel:
    file = os.environ.get("LSTMSERVE_CA_FILE")
    if not file:
        return grpc.insecure_channel(target)
    roots = Path(file).read_bytes()
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(roots))


def make_metadata(request_id: str) -> list[tuple[str, str]]:
    token = os.environ.get("LSTMSERVE_TOKEN")
    given = [("authorization", f"Bearer {token}")] if token else []
    return [("x-request-id", request_id), *given]


def show(event: pb.GenerateResponse) -> None:
    if event.HasField("started"):
        started = event.started
        print(f"{started.model} {started.model_version}, seed {started.seed}", file=sys.stderr)
    elif event.HasField("chunk"):
        print(event.chunk.text, end="", flush=True)
    else:
        reason = pb.FinishReason.Name(event.completion.finish_reason)
        tokens = event.completion.usage.generated_tokens
        print(f"\n{reason}, {tokens} tokens", file=sys.stderr)


def explain(error: grpc.RpcError, request_id: str) -> None:
    """The status, every wrong field, and when to come back."""
    print(f"{error.code().name}: {error.details()}", file=sys.stderr)
    status = rpc_status.from_call(error)  # none when the network failed, and not the server
    for detail in status.details if status else ():
        bad, retry = BadRequest(), RetryInfo()
        if detail.Unpack(bad):
            for item in bad.field_violations:
                print(f"  {item.field} {item.description}", file=sys.stderr)
        elif detail.Unpack(retry):
            print(f"  again in {retry.retry_delay.ToJsonString()}", file=sys.stderr)
    print(f"request id {request_id}", file=sys.stderr)


def main(target: str, prompt: str) -> int:
    request = pb.GenerateRequest(
        prompt=prompt,
        sampling=pb.SamplingParams(temperature=0.8, seed=7),
        stopping=pb.StoppingCriteria(max_tokens=64),
    )
    request_id = str(uuid.uuid4())
    is_complete = False
    try:
        with open_channel(target) as channel:
            events = GenerationServiceStub(channel).Generate(
                request, timeout=DEADLINE_SECONDS, metadata=make_metadata(request_id)
            )
            for event in events:
                show(event)
                is_complete = event.HasField("completion")
    except grpc.RpcError as error:
        explain(error, request_id)
    # a stream that ends well without a completion is broken, too
    return 0 if is_complete else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:  # noqa: PLR2004
        sys.exit("usage: stream.py TARGET PROMPT")
    sys.exit(main(*sys.argv[1:]))
