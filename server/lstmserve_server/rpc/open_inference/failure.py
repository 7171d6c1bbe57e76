"""How one request of a stream fails: in a response, and the stream goes on."""

from __future__ import annotations

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve_server.rpc.open_inference.reply import FINAL
from lstmserve_server.rpc.request_stream import Failure

# callers who want an error as the status that ends the stream send this, "true", as metadata
AS_STATUS_KEY = "triton_grpc_error"


def to_failure(failure: Failure) -> wire.ModelStreamInferResponse:
    """What the status says; clients of Triton show the text alone, so it has the id, too."""
    request = failure.request
    identifier = request.id if isinstance(request, wire.ModelInferRequest) else ""
    prefix = f"[request id: {identifier}] " if identifier else ""
    response = wire.ModelInferResponse(id=identifier)
    parameters = response.parameters
    parameters["code"].string_param = failure.code.name
    parameters["reason"].string_param = failure.call.error
    parameters["request_id"].string_param = failure.call.request_id
    parameters[FINAL].bool_param = True
    return wire.ModelStreamInferResponse(
        error_message=f"{prefix}{failure.code.name}: {failure.status.message}",
        infer_response=response,
    )
