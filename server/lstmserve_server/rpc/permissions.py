"""What a caller must have for each method of this server: one table, and nothing beside it.

A method that is not in it is denied, so that one that is added cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.errors import PermissionDeniedError


class Need(Enum):
    """What is needed, beside scopes."""

    NOTHING = "nothing"  # open to everybody
    NAME = "name"  # any principal


GENERATE, ADMIN, NAME, NOTHING = Scope.GENERATE, Scope.ADMIN, Need.NAME, Need.NOTHING

NEEDS: Mapping[str, Scope | Need] = {
    "lstmserve.v1.GenerationService/Generate": GENERATE,
    "lstmserve.v1.GenerationService/GenerateReply": GENERATE,
    "lstmserve.v1.GenerationService/Classify": GENERATE,
    "lstmserve.v1.ModelService/ListModels": NAME,
    "lstmserve.v1.ModelService/GetModel": NAME,
    "lstmserve.v1.ModelService/LoadModel": ADMIN,
    "lstmserve.v1.ModelService/UnloadModel": ADMIN,
    "lstmserve.v1.ModelService/SetDefaultModel": ADMIN,
    "lstmserve.v1.ModelService/SetTrafficSplit": ADMIN,
    "lstmserve.v1.ModelService/VerifyModel": ADMIN,
    "lstmserve.v1.CacheService/GetCacheStats": ADMIN,
    "lstmserve.v1.CacheService/PurgeCache": ADMIN,
    "lstmserve.v1.CacheService/WarmCache": ADMIN,
    "lstmserve.v1.OperationsService/GetLogLevel": ADMIN,
    "lstmserve.v1.OperationsService/SetLogLevel": ADMIN,
    "inference.GRPCInferenceService/ModelInfer": GENERATE,
    "inference.GRPCInferenceService/ModelStreamInfer": GENERATE,
    "inference.GRPCInferenceService/ServerMetadata": NAME,
    "inference.GRPCInferenceService/ModelMetadata": NAME,
    "inference.GRPCInferenceService/ServerLive": NOTHING,
    "inference.GRPCInferenceService/ServerReady": NOTHING,
    "inference.GRPCInferenceService/ModelReady": NOTHING,
    # balancers ask without a token, and are told SERVING or NOT_SERVING
    "grpc.health.v1.Health/Check": NOTHING,
    "grpc.health.v1.Health/List": NOTHING,
    "grpc.health.v1.Health/Watch": NOTHING,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": NAME,
}


def is_open(method: str) -> bool:
    """Return whether anybody may call ``/service/method``."""
    return NEEDS.get(method.removeprefix("/")) is Need.NOTHING


def is_permitted(principal: Principal, method: str) -> bool:
    """Return whether the principal may call ``service/method``."""
    need = NEEDS.get(method)
    return isinstance(need, Need) or need in principal.scopes


def check_permission(principal: Principal, method: str) -> None:
    """Raise PermissionDeniedError unless the principal may call ``service/method``."""
    if is_permitted(principal, method):
        return
    need = NEEDS.get(method)
    if not isinstance(need, Scope):
        raise PermissionDeniedError(f"{method} is denied: no scope includes it")
    if principal.is_anonymous:
        raise PermissionDeniedError(
            f"{method} needs the scope {need.value!r}: send a token that has it"
        )
    raise PermissionDeniedError(
        f"{method} needs the scope {need.value!r}, which {principal.name!r} does not have"
    )
