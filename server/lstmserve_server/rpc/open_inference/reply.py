"""From events, or a whole reply, to the protocol's responses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.open_inference.request import Asked
from lstmserve_server.rpc.open_inference.signature import (
    FINISH_REASONS,
    OUTPUTS,
    Piece,
    to_word,
)
from lstmserve_server.rpc.open_inference.tensors import Tensor, write_tensors
from lstmserve_server.rpc.request_stream import Failure
from lstmserve_server.rpc.status import reason_of

FINAL = "triton_final_response"
# callers who want an error as the status that ends the stream send this, "true", as metadata
AS_STATUS_KEY = "triton_grpc_error"


class ReplyWriter:
    """Writes the responses to one request."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._started = pb.Started()
        self._classification = pb.Classification()

    def write_whole(self, reply: pb.GenerateReplyResponse) -> wire.ModelInferResponse:
        """Return all of it in one response."""
        self._started, self._classification = reply.started, reply.classification
        response = self._write(Piece(reply, reply.started, reply.completion, reply.classification))
        _tell_started(response, reply.started)
        _tell_completion(response, reply.completion)
        return response

    def write_events(
        self, events: Iterable[pb.GenerateResponse]
    ) -> Iterator[wire.ModelStreamInferResponse]:
        """Yield the responses to the events of one output: chunk, Started, Completion; or none."""
        found = {str(event.WhichOneof("event")): event for event in events}
        if not found:
            return
        completion = found["completion"].completion if "completion" in found else None
        if "started" in found:
            self._started = found["started"].started
        if "classification" in found:
            self._classification = found["classification"].classification
        response = self._write(
            Piece(found["chunk"].chunk, self._started, completion, self._classification)
        )
        if "started" in found:
            _tell_started(response, self._started)
        if completion is None:
            yield _in_stream(response, is_final=False)
        else:
            yield from self._end(response, completion)

    def write_only(
        self, reply: pb.GenerateReplyResponse
    ) -> Iterator[wire.ModelStreamInferResponse]:
        """Return all of it as the only response of a stream."""
        self._started, self._classification = reply.started, reply.classification
        response = self._write(Piece(reply, reply.started, reply.completion, reply.classification))
        _tell_started(response, reply.started)
        yield from self._end(response, reply.completion)

    def _end(
        self, last: wire.ModelInferResponse, completion: pb.Completion
    ) -> Iterator[wire.ModelStreamInferResponse]:
        if self._asked.has_empty_final:
            yield _in_stream(last, is_final=False)
            last = self._begin()
        _tell_completion(last, completion)
        yield _in_stream(last, is_final=True)

    def _write(self, piece: Piece) -> wire.ModelInferResponse:
        response = self._begin()
        tensors = [
            Tensor(name, OUTPUTS[name].datatype, OUTPUTS[name].read(piece))
            for name in self._asked.outputs
        ]
        write_tensors(tensors, response, raw=self._asked.is_raw)
        return response

    def _begin(self) -> wire.ModelInferResponse:
        return wire.ModelInferResponse(
            model_name=self._started.model,
            model_version=self._started.model_version,
            id=self._asked.id,
        )


def _in_stream(
    response: wire.ModelInferResponse, *, is_final: bool
) -> wire.ModelStreamInferResponse:
    response.parameters[FINAL].bool_param = is_final
    return wire.ModelStreamInferResponse(infer_response=response)


def _tell_started(response: wire.ModelInferResponse, started: pb.Started) -> None:
    parameters = response.parameters
    parameters["seed"].uint64_param = started.seed
    parameters["model_digest"].string_param = started.model_digest
    parameters["prompt_tokens"].int64_param = started.prompt_tokens
    parameters["request_id"].string_param = started.request_id
    source = to_word(pb.ReplySource.Name(started.source), "REPLY_SOURCE_")
    parameters["source"].string_param = source
    if started.is_inexact:
        parameters["is_inexact"].bool_param = True


def _tell_completion(response: wire.ModelInferResponse, completion: pb.Completion) -> None:
    parameters, usage = response.parameters, completion.usage
    parameters["finish_reason"].string_param = FINISH_REASONS[completion.finish_reason]
    if completion.stop_sequence:
        parameters["stop_sequence"].string_param = completion.stop_sequence
    parameters["generated_tokens"].int64_param = usage.generated_tokens
    parameters["cached_prompt_tokens"].int64_param = usage.cached_prompt_tokens
    cache = to_word(pb.CacheOutcome.Name(completion.cache), "CACHE_OUTCOME_")
    parameters["cache"].string_param = cache
    outcome = to_word(pb.ReplyOutcome.Name(completion.outcome), "REPLY_OUTCOME_")
    parameters["outcome"].string_param = outcome
    if completion.labels:
        labels = json.dumps([*completion.labels], ensure_ascii=False)
        parameters["labels"].string_param = labels


def to_failure(failure: Failure) -> wire.ModelStreamInferResponse:
    """Return what the status says, with the id: clients of Triton show only the text."""
    request = failure.request
    identifier = request.id if isinstance(request, wire.ModelInferRequest) else ""
    prefix = f"[request id: {identifier}] " if identifier else ""
    response = wire.ModelInferResponse(id=identifier)
    parameters = response.parameters
    parameters["code"].string_param = failure.code.name
    parameters["reason"].string_param = reason_of(failure.status)
    parameters["request_id"].string_param = failure.call.request_id
    parameters[FINAL].bool_param = True
    return wire.ModelStreamInferResponse(
        error_message=f"{prefix}{failure.code.name}: {failure.status.message}",
        infer_response=response,
    )
