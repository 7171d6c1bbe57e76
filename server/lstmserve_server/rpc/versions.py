"""Names of versions and weights, as administrators send them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_bundle.manifest import MAX_VERSION
from lstmserve_bundle.store import is_version
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.shares import check_weights


class Named(Protocol):
    """A request that names one version."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


def to_version_id(request: Named) -> VersionId:
    """Raises InvalidRequestError when either part is missing or wrong."""
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
    """By version; empty when there are none."""
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
