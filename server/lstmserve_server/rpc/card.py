"""A version as its card on the wire."""

from __future__ import annotations

from lstmserve.v1 import generation_service_pb2
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_bundle import Manifest
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.version_record import VersionRecord, VersionState

STATES = {
    VersionState.LOADING: pb.MODEL_STATE_LOADING,
    VersionState.READY: pb.MODEL_STATE_READY,
    VersionState.UNLOADING: pb.MODEL_STATE_UNLOADING,
    VersionState.UNLOADED: pb.MODEL_STATE_UNLOADED,
    VersionState.FAILED: pb.MODEL_STATE_FAILED,
}


def to_card(record: VersionRecord, catalog: ModelCatalog) -> pb.Model:
    """What is known of a version: all of one that is loaded, of others where they stand."""
    name, number = record.id
    served = record.served
    card = pb.Model() if served is None else _describe(served.manifest)
    card.name, card.version = name, str(number)
    card.state, card.state_reason = STATES[record.state], record.reason
    if served is not None:
        card.is_default = catalog.is_default(served)
        card.traffic_share = catalog.share(served)
        card.is_inexact = not served.is_exact
    return card


def _describe(manifest: Manifest) -> pb.Model:
    sizes, sampling = manifest.sizes, manifest.sampling
    return pb.Model(
        digest=manifest.digest,
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
