"""A version on the wire: as its card, and as requests name it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from lstmserve.v1 import generation_service_pb2
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_bundle import Manifest
from lstmserve_bundle.manifest import MAX_VERSION
from lstmserve_bundle.store import is_version
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.shares import check_weights
from lstmserve_server.store.version_record import VersionRecord, VersionState

STATES = {
    VersionState.LOADING: pb.MODEL_STATE_LOADING,
    VersionState.READY: pb.MODEL_STATE_READY,
    VersionState.UNLOADING: pb.MODEL_STATE_UNLOADING,
    VersionState.UNLOADED: pb.MODEL_STATE_UNLOADED,
    VersionState.FAILED: pb.MODEL_STATE_FAILED,
}


def to_card(record: VersionRecord, catalog: ModelCatalog) -> pb.Model:
    """Return what is known of a version: everything if it is loaded, else where it stands."""
    name, number = record.id
    served = record.served
    card = pb.Model() if served is None else _describe(served.manifest)
    if served is not None:
        card.forms.extend(sorted(served.bundle.forms))
    card.name, card.version = name, str(number)
    card.state, card.state_reason = STATES[record.state], record.reason
    if served is not None:
        card.is_default = catalog.is_default(served)
        card.traffic_share = catalog.share(served)
        card.is_inexact = not served.is_exact
    return card


def _describe(manifest: Manifest) -> pb.Model:
    sizes = manifest.sizes
    return pb.Model(
        create_time=_to_time(manifest.created.at),
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
            **manifest.sampling.model_dump(exclude={"max_tokens"})
        ),
        default_max_tokens=manifest.sampling.max_tokens,
        labels=manifest.template.labels.values(),
        example_prompts=manifest.example_prompts,
        evaluation={name: str(value) for name, value in manifest.evaluation.items()},
    )


def _to_time(text: str) -> Timestamp | None:
    """Return a moment of ISO 8601; None for other texts, which manifests may have there."""
    found = Timestamp()
    try:
        found.FromDatetime(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
    return found


class NamesVersion(Protocol):
    """A request that names one version."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


def to_version_id(request: NamesVersion) -> VersionId:
    """Return the version that is named. Raises InvalidRequestError naming what is wrong."""
    return to_model_name(request.name), to_version("version", request.version)


def to_model_name(name: str) -> str:
    if not name:
        raise _refused("name", "must be the name of a model; ListModels tells them")
    return name


def to_version(field: str, text: str) -> int:
    if not is_version(text):
        raise _refused(
            field, f"must be the number of a version, from 1 to {MAX_VERSION}, such as 2"
        )
    return int(text)


def to_weights(weights: Iterable[pb.VersionWeight]) -> dict[int, int]:
    """Return the weights by version; empty when there are none."""
    found: dict[int, int] = {}
    for number, each in enumerate(weights):
        version = to_version(f"weights[{number}].version", each.version)
        if version in found:
            raise _refused(f"weights[{number}].version", f"{version} is named twice")
        found[version] = each.weight
    try:
        check_weights(found or {1: 1})
    except ValueError as error:
        raise _refused("weights", str(error)) from None
    return found


def _refused(field: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError([FieldViolation(field, reason)])
