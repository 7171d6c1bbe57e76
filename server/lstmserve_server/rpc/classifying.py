"""Tells what texts are about, without a reply."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Classifier
from lstmserve_server.errors import InvalidRequestError, NotServedError
from lstmserve_server.rpc.call import CallObserver, Served, current_call
from lstmserve_server.rpc.events import to_classification
from lstmserve_server.rpc.identity import sticky_key
from lstmserve_server.rpc.request import to_claim, to_turns
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.validation import FieldChecks, check_input, count_bytes
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]
MAX_INPUTS = 256
# short texts that are classified before others have a turn: some milliseconds
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
            results = []
            for number, item in enumerate(request.inputs):
                if number and not number % INPUTS_AT_ONCE:
                    await asyncio.sleep(0)
                results.append(await self._result(item, number, model, model.classifier, context))
        return pb.ClassifyResponse(
            model=model.name,
            model_version=model.version,
            model_digest=model.manifest.digest,
            results=results,
            request_id=call.request_id,
        )

    async def _result(
        self,
        item: pb.ClassifyInput,
        number: int,
        model: ServedModel,
        classifier: Classifier,
        context: Context,
    ) -> pb.ClassifyResult:
        try:
            _check(item, model)
        except InvalidRequestError as error:
            first = error.violations[0]
            where = f"inputs[{number}]" + ("" if first.field == "input" else f".{first.field}")
            return pb.ClassifyResult(
                error=pb.InputError(field=where, description=first.description)
            )
        claim = to_claim(current_call.get().call, context)
        found = await self._tokenizing.run(
            lambda: classifier.classify(to_turns(item)), count_bytes(item), claim
        )
        self._observer.on_classified(model.name, model.version, found.label, found.probability)
        return pb.ClassifyResult(classification=to_classification(found))


def _check_count(request: pb.ClassifyRequest) -> None:
    checks = FieldChecks()
    if not 1 <= len(request.inputs) <= MAX_INPUTS:
        checks.refuse("inputs", f"must be from 1 to {MAX_INPUTS}, not {len(request.inputs)}")
    checks.finish()


def _check(item: pb.ClassifyInput, model: ServedModel) -> None:
    checks = FieldChecks()
    check_input(checks, item, model.manifest.limits.max_prompt_tokens)
    checks.finish()
