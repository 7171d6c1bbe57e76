"""What a fake service does with a call: records it, lets it fail, or answers it. No I/O."""

import math
from collections.abc import Callable, Iterable, Iterator

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve_client.convert import SERVING_STATUSES
from lstmserve_client.errors import (
    DeadlineExceededError,
    ModelNotFoundError,
    ServerError,
    UnavailableError,
)
from lstmserve_client.testing import models as fake_models
from lstmserve_client.testing.clock import FakeClock
from lstmserve_client.testing.faults import Fault, Faults
from lstmserve_client.testing.replies import FakeReply, events, to_wire, whole
from lstmserve_client.testing.requests import FakeRequest, recorded
from lstmserve_client.transport import Attempt
from lstmserve_client.types import Model, ServingStatus

Answer = Callable[[FakeRequest], FakeReply]
_STATUSES = {status: number for number, status in SERVING_STATUSES.items()}


class FakeServer:
    """Everything behind the transports of one service. Safe to share between threads."""

    def __init__(self, models: Iterable[Model], answer: Answer, clock: FakeClock) -> None:
        self.models = list(models)
        self.status = ServingStatus.SERVING
        self.faults = Faults()
        self.requests: list[FakeRequest] = []
        self.cancelled: list[FakeRequest] = []
        self._answer = answer
        self._clock = clock

    def unary(self, path: str, request: Message, attempt: Attempt) -> Message:
        """The response; raises a LstmserveError."""
        if isinstance(request, pb.GenerateReplyRequest):
            return self._reply(request, attempt)
        if isinstance(request, health_pb2.HealthCheckRequest):
            self._fault(attempt).raise_error(attempt)
            return health_pb2.HealthCheckResponse(status=_STATUSES[self.status])
        self._suffer(attempt).raise_error(attempt)
        match request:
            case pb.ClassifyRequest():
                return self._classify(request, attempt)
            case model_pb.ListModelsRequest():
                return model_pb.ListModelsResponse(models=map(fake_models.to_wire, self.models))
            case model_pb.GetModelRequest():
                model = self._find(request.name, request.version)
                return model_pb.GetModelResponse(model=fake_models.to_wire(model))
        raise ServerError(f"a fake service has no {path}", reason="UNIMPLEMENTED")

    def stream(
        self, request: pb.GenerateRequest, attempt: Attempt
    ) -> tuple[FakeRequest, Iterator[pb.GenerateResponse]]:
        """What was asked, and its events as they are wanted, which raise a LstmserveError."""
        asked = recorded(request, attempt)
        self.requests.append(asked)
        return asked, self._events(asked, attempt)

    def _reply(
        self, request: pb.GenerateReplyRequest, attempt: Attempt
    ) -> pb.GenerateReplyResponse:
        asked = recorded(request, attempt)
        self.requests.append(asked)
        self._suffer(attempt).raise_error(attempt)
        return whole(self._answer(asked), asked, self._find(asked.model, asked.model_version))

    def _classify(self, request: pb.ClassifyRequest, attempt: Attempt) -> pb.ClassifyResponse:
        """What each input is about, as the reply to it says."""
        model = self._find(request.model, request.model_version)
        response = pb.ClassifyResponse(
            model=model.name,
            model_version=model.version,
            model_digest=model.digest,
            request_id=attempt.request_id,
        )
        for item in request.inputs:
            asked = pb.GenerateReplyRequest(priority=pb.PRIORITY_NORMAL)
            if item.HasField("conversation"):
                asked.conversation.CopyFrom(item.conversation)
            else:
                asked.prompt = item.prompt
            found = self._answer(recorded(asked, attempt)).classification
            if found is None:
                raise ServerError(f"{model.name} has no classifier", reason="NOT_SERVED")
            response.results.add(classification=to_wire(found))
        return response

    def _events(self, asked: FakeRequest, attempt: Attempt) -> Iterator[pb.GenerateResponse]:
        fault = self._suffer(attempt)
        if fault.after_tokens == 0:
            fault.raise_error(attempt)
        model = self._find(asked.model, asked.model_version)
        num_tokens = 0
        for event in events(self._answer(asked), asked, model):
            yield event
            num_tokens += len(event.chunk.token_ids)
            if num_tokens >= fault.after_tokens > 0:
                fault.raise_error(attempt)

    def _suffer(self, attempt: Attempt) -> Fault:
        """As ``_fault``, of a service that has to serve for this."""
        if self.status is not ServingStatus.SERVING:
            raise UnavailableError("the service does not serve", request_id=attempt.request_id)
        return self._fault(attempt)

    def _fault(self, attempt: Attempt) -> Fault:
        """What befalls this attempt, its delay over already."""
        fault = self.faults.take()
        patience = math.inf if attempt.timeout_seconds is None else attempt.timeout_seconds
        self._clock.advance(min(fault.delay_seconds, patience))
        if fault.delay_seconds > patience:
            late = DeadlineExceededError("Deadline Exceeded", request_id=attempt.request_id)
            late.was_accepted = True
            raise late
        return fault

    def _find(self, name: str, version: str) -> Model:
        """The model of that name, or the default one; the version, or the default one."""
        for model in self.models:
            is_named = model.name == name if name else model.is_default
            if is_named and (model.version == version if version else model.traffic_share > 0):
                return model
        wanted = f"{name or 'the default model'} version {version or 'by default'}"
        raise ModelNotFoundError(
            f"no such model: {wanted}", resource=wanted, reason="MODEL_NOT_FOUND"
        )
