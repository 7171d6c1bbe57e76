"""Tells what texts are about, without a reply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Classification, Classifier
from lstmserve_server.errors import FieldViolation, InvalidRequestError, NotServedError
from lstmserve_server.rpc.call import CallObserver, Served, current_call
from lstmserve_server.rpc.events import to_classification
from lstmserve_server.rpc.identity import sticky_key
from lstmserve_server.rpc.request import to_claim, to_turns
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.validation import FieldChecks, check_input
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]
Found = Classification | FieldViolation
MAX_INPUTS = 256
# inputs that are classified before other texts have a turn: of 1 KiB each, some 40 ms
INPUTS_AT_ONCE = 16


class Classifying:
    """Classifies one or many inputs by the classifier of one version."""

    def __init__(self, service: Service, observer: CallObserver) -> None:
        self._catalog = service.catalog
        self._tokenizing = service.tokenizing
        self._observer = observer

    async def classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Return a result for each input. Raises InvalidRequestError, NotServedError.

        What is wrong with one input is told in its place, and spoils no other one.
        """
        running = current_call.get()
        call = running.call
        _check_count(request)
        key = sticky_key(request.inputs[0], call.identity.sticky)
        model = self._catalog.resolve(request.model, request.model_version, key)
        if model.classifier is None:
            raise NotServedError(f"{model.name} version {model.version} has no classifier")
        with model.gate.enter():
            running.served = Served(model.name, model.version)
            results = [
                self._to_result(found, number, model)
                for number, found in enumerate(
                    await self._find(request, model, model.classifier, context)
                )
            ]
        return pb.ClassifyResponse(
            model=model.name,
            model_version=model.version,
            model_digest=model.manifest.digest,
            results=results,
            request_id=call.request_id,
        )

    async def _find(
        self,
        request: pb.ClassifyRequest,
        model: ServedModel,
        classifier: Classifier,
        context: Context,
    ) -> list[Found]:
        """Return what each input is about, or what is wrong with it.

        Whether they are read at once is decided by the size of all of them: many short ones keep
        others waiting as much as a long one.
        """
        claim = to_claim(current_call.get().call, context)
        longest, num_bytes = model.manifest.limits.max_prompt_tokens, request.ByteSize()
        found: list[Found] = []
        for inputs in _split(request.inputs):
            found += await self._tokenizing.run(
                partial(_look_at, inputs, classifier, longest),
                num_bytes,
                claim,
            )
        return found

    def _to_result(self, found: Found, number: int, model: ServedModel) -> pb.ClassifyResult:
        if isinstance(found, FieldViolation):
            where = f"inputs[{number}]" + ("" if found.field == "input" else f".{found.field}")
            return pb.ClassifyResult(
                error=pb.InputError(field=where, description=found.description)
            )
        self._observer.on_classified(model.name, model.version, found.label, found.probability)
        return pb.ClassifyResult(classification=to_classification(found))


def _split(inputs: Sequence[pb.ClassifyInput]) -> Iterator[list[pb.ClassifyInput]]:
    rest = iter(inputs)
    while piece := list(islice(rest, INPUTS_AT_ONCE)):
        yield piece


def _look_at(
    inputs: Sequence[pb.ClassifyInput], classifier: Classifier, longest: int
) -> list[Found]:
    return [_look_at_one(item, classifier, longest) for item in inputs]


def _look_at_one(item: pb.ClassifyInput, classifier: Classifier, longest: int) -> Found:
    try:
        _check(item, longest)
    except InvalidRequestError as error:
        return error.violations[0]
    return classifier.classify(to_turns(item))


def _check_count(request: pb.ClassifyRequest) -> None:
    checks = FieldChecks()
    if not 1 <= len(request.inputs) <= MAX_INPUTS:
        checks.refuse("inputs", f"must be from 1 to {MAX_INPUTS}, not {len(request.inputs)}")
    checks.finish()


def _check(item: pb.ClassifyInput, longest: int) -> None:
    checks = FieldChecks()
    check_input(checks, item, longest)
    checks.finish()
