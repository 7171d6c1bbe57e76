"""The models that a fake service has."""

from dataclasses import fields
from hashlib import sha256
from typing import Any

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve_client.convert import MODEL_STATES
from lstmserve_client.types import Model, ModelLimits, ModelSizes, ModelState, SamplingParams

_NUMBERS = {state: number for number, state in MODEL_STATES.items()}


def make_model(name: str = "fake", version: str = "1", *, is_default: bool = True) -> Model:
    """A version that is ready; ``dataclasses.replace`` makes another one of it."""
    return Model(
        name=name,
        version=version,
        digest=sha256(f"{name}/{version}".encode()).hexdigest(),
        state=ModelState.READY,
        state_reason="",
        is_default=is_default,
        family="fake",
        description="Answers as a test wrote down.",
        license="Apache-2.0",
        sizes=ModelSizes(vocabulary=65_536, hidden=8, layers=1, parameters=1_000, size_bytes=1_000),
        limits=ModelLimits(max_prompt_tokens=512, max_tokens=256),
        default_sampling=SamplingParams(),
        default_max_tokens=256,
        labels=(),
        evaluation={},
        traffic_share=1.0 if is_default else 0.0,
    )


def to_wire(model: Model) -> model_pb.Model:
    """As a server sends it."""
    return model_pb.Model(
        name=model.name,
        version=model.version,
        digest=model.digest,
        state=_NUMBERS.get(model.state, model_pb.MODEL_STATE_UNSPECIFIED),
        state_reason=model.state_reason,
        is_default=model.is_default,
        family=model.family,
        description=model.description,
        license=model.license,
        sizes=model_pb.ModelSizes(**_present(model.sizes)),
        limits=model_pb.ModelLimits(**_present(model.limits)),
        default_sampling=pb.SamplingParams(**_present(model.default_sampling)),
        default_max_tokens=model.default_max_tokens,
        labels=model.labels,
        evaluation=model.evaluation,
        traffic_share=model.traffic_share,
        is_inexact=model.is_inexact,
        forms=model.forms,
        example_prompts=model.example_prompts,
    )


def _present(value: ModelSizes | ModelLimits | SamplingParams) -> dict[str, Any]:
    """Fields by name, as both sides have the same; without those that are ``None``."""
    named = {each.name: getattr(value, each.name) for each in fields(value)}
    return {name: number for name, number in named.items() if number is not None}
