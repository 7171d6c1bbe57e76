"""A served model as its card on the wire."""

from __future__ import annotations

from lstmserve.v1 import generation_service_pb2
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_server.store.served_model import ServedModel


def to_card(model: ServedModel, *, is_default: bool) -> pb.Model:
    manifest = model.manifest
    sizes, sampling = manifest.sizes, manifest.sampling
    return pb.Model(
        name=model.name,
        version=model.version,
        digest=manifest.digest,
        state=pb.MODEL_STATE_READY,
        is_default=is_default,
        family=manifest.family,
        description=manifest.description,
        license=manifest.license,
        sizes=pb.ModelSizes(
            vocabulary=sizes.vocabulary,
            hidden=sizes.hidden,
            layers=sizes.layers,
            parameters=sizes.parameters,
            size_bytes=manifest.size_bytes,
        ),
        limits=pb.ModelLimits(
            max_prompt_tokens=manifest.limits.max_prompt_tokens,
            max_tokens=manifest.limits.max_tokens,
        ),
        default_sampling=generation_service_pb2.SamplingParams(
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
        ),
        default_max_tokens=sampling.max_tokens,
        labels=manifest.template.labels.values(),
        evaluation={name: str(value) for name, value in manifest.evaluation.items()},
    )
