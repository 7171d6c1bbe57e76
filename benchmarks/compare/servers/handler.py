"""The one method of the wire that is compared."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from lstmserve.v1 import generation_service_pb2 as pb


def make_handler(generate: Callable[..., object]) -> grpc.GenericRpcHandler:
    """Serves ``generate`` as ``lstmserve.v1.GenerationService/Generate``."""
    method = grpc.unary_stream_rpc_method_handler(
        generate,
        request_deserializer=pb.GenerateRequest.FromString,
        response_serializer=pb.GenerateResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(
        "lstmserve.v1.GenerationService", {"Generate": method}
    )
