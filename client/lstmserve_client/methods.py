"""The RPCs that a client calls, as values: what a transport needs to know of each."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1 import operations_service_pb2 as operations_pb

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, R]):
    """One RPC: where it is, what it takes and what it gives."""

    path: str
    request_type: type[Q]
    response_type: type[R]


def _own(service: str, name: str, request_type: type[Q], response_type: type[R]) -> Method[Q, R]:
    return Method(f"/lstmserve.v1.{service}/{name}", request_type, response_type)


GENERATE = _own("GenerationService", "Generate", pb.GenerateRequest, pb.GenerateResponse)
GENERATE_REPLY = _own(
    "GenerationService", "GenerateReply", pb.GenerateReplyRequest, pb.GenerateReplyResponse
)
CLASSIFY = _own("GenerationService", "Classify", pb.ClassifyRequest, pb.ClassifyResponse)
LIST_MODELS = _own(
    "ModelService", "ListModels", model_pb.ListModelsRequest, model_pb.ListModelsResponse
)
GET_MODEL = _own("ModelService", "GetModel", model_pb.GetModelRequest, model_pb.GetModelResponse)
LOAD_MODEL = _own(
    "ModelService", "LoadModel", model_pb.LoadModelRequest, model_pb.LoadModelResponse
)
UNLOAD_MODEL = _own(
    "ModelService", "UnloadModel", model_pb.UnloadModelRequest, model_pb.UnloadModelResponse
)
VERIFY_MODEL = _own(
    "ModelService", "VerifyModel", model_pb.VerifyModelRequest, model_pb.VerifyModelResponse
)
SET_DEFAULT_MODEL = _own(
    "ModelService",
    "SetDefaultModel",
    model_pb.SetDefaultModelRequest,
    model_pb.SetDefaultModelResponse,
)
SET_TRAFFIC_SPLIT = _own(
    "ModelService",
    "SetTrafficSplit",
    model_pb.SetTrafficSplitRequest,
    model_pb.SetTrafficSplitResponse,
)
GET_CACHE_STATS = _own(
    "CacheService", "GetCacheStats", cache_pb.GetCacheStatsRequest, cache_pb.GetCacheStatsResponse
)
PURGE_CACHE = _own(
    "CacheService", "PurgeCache", cache_pb.PurgeCacheRequest, cache_pb.PurgeCacheResponse
)
WARM_CACHE = _own(
    "CacheService", "WarmCache", cache_pb.WarmCacheRequest, cache_pb.WarmCacheResponse
)
GET_LOG_LEVEL = _own(
    "OperationsService",
    "GetLogLevel",
    operations_pb.GetLogLevelRequest,
    operations_pb.GetLogLevelResponse,
)
SET_LOG_LEVEL = _own(
    "OperationsService",
    "SetLogLevel",
    operations_pb.SetLogLevelRequest,
    operations_pb.SetLogLevelResponse,
)
CHECK_HEALTH = Method(
    "/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
)
