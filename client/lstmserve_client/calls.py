"""Unary calls as values: the request, and how its answer is read. Pure functions, no I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from grpc_health.v1 import health_pb2

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1 import operations_service_pb2 as operations_pb
from lstmserve_client import convert, convert_administration, methods, types
from lstmserve_client.affinity import check_affinity
from lstmserve_client.checks import check_type
from lstmserve_client.errors import FieldViolation, InvalidRequestError
from lstmserve_client.keywords import (
    CallOptions,
    ClassifyOptions,
    GenerateOptions,
    RequestOptions,
    WholeReplyOptions,
)
from lstmserve_client.merging import FoldedOptions, fold
from lstmserve_client.methods import Method
from lstmserve_client.parsing import parsed
from lstmserve_client.request import (
    classify_request,
    fill_reply_request,
    fill_request,
    purge_request,
    traffic_request,
    version_text,
)
from lstmserve_client.stream import whole_reply

Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class UnaryCall(Generic[Result_co]):
    """One request and what becomes of its response."""

    method: Method[Any, Any]
    request: Any  # of the method's type
    read: Callable[[Any], Result_co]  # of its response
    # of what was read, once: what it raises is the caller's own, and no server's
    finish: Callable[[Any], Any] = lambda result: result


def generate_request(prompt: types.Prompt, options: GenerateOptions) -> pb.GenerateRequest:
    """What ``generate`` asks for."""
    wanted = request_options(options)
    return fill_request(pb.GenerateRequest(), prompt, **wanted)


def request_options(options: RequestOptions) -> FoldedOptions:
    """Those that go on the wire with any request; raises TypeError for a value of another type."""
    asked = _of(RequestOptions, options)
    if (affinity := asked.pop("affinity", None)) is not None:  # of the call, not of its message
        check_affinity(affinity)
    return fold(asked)


def call_options(options: GenerateOptions | ClassifyOptions) -> CallOptions:
    """Those of the call itself."""
    return cast("CallOptions", _of(CallOptions, options))


def _of(kind: Any, options: Mapping[str, object]) -> dict[str, object]:  # noqa: ANN401 - a TypedDict
    return {name: each for name, each in options.items() if name in kind.__optional_keys__}


def reply(prompt: types.Prompt, options: WholeReplyOptions) -> UnaryCall[types.Reply]:
    shared = request_options(options)
    request = fill_reply_request(prompt, shared, options.get("best_of"), options.get("num_replies"))
    finish = partial(parsed, prompt=prompt, constraint=options.get("constraint"))
    return UnaryCall(methods.GENERATE_REPLY, request, whole_reply, finish)


def classify_many(
    prompts: Sequence[types.Prompt], options: ClassifyOptions
) -> UnaryCall[list[types.Classification | FieldViolation]]:
    check_several(prompts)
    request = classify_request(
        prompts, model=options.get("model") or "", model_version=options.get("model_version") or ""
    )
    return UnaryCall(methods.CLASSIFY, request, _results)


def check_several(prompts: object) -> None:
    """Raise TypeError for one prompt where several belong."""
    if isinstance(prompts, str | bytes) or not isinstance(prompts, Iterable):
        kind = type(prompts).__name__
        raise TypeError(f'prompts: must be several, such as ["hi", "bye"], not {kind}')


def only(found: Sequence[types.Classification | FieldViolation]) -> types.Classification:
    """The result of a single input; raises InvalidRequestError for one that is wrong."""
    [result] = found
    if isinstance(result, FieldViolation):
        field = result.field.removeprefix("inputs[0]").removeprefix(".") or "input"
        violation = FieldViolation(field, result.description)
        raise InvalidRequestError(
            f"{field}: {result.description}", reason="INVALID_REQUEST", violations=[violation]
        )
    return result


def models() -> UnaryCall[list[types.Model]]:
    return UnaryCall(methods.LIST_MODELS, model_pb.ListModelsRequest(), _models)


def model(name: str, version: str | int) -> UnaryCall[types.Model]:
    request = model_pb.GetModelRequest(**_version(name, version))
    return UnaryCall(methods.GET_MODEL, request, _model)


def load_model(name: str, version: str | int) -> UnaryCall[types.Model]:
    request = model_pb.LoadModelRequest(**_version(name, version))
    return UnaryCall(methods.LOAD_MODEL, request, _model)


def unload_model(name: str, version: str | int) -> UnaryCall[types.Model]:
    request = model_pb.UnloadModelRequest(**_version(name, version))
    return UnaryCall(methods.UNLOAD_MODEL, request, _model)


def verify_model(name: str, version: str | int) -> UnaryCall[types.Model]:
    request = model_pb.VerifyModelRequest(**_version(name, version))
    return UnaryCall(methods.VERIFY_MODEL, request, _model)


def set_default_model(name: str, version: str | int) -> UnaryCall[types.Model]:
    request = model_pb.SetDefaultModelRequest(**_version(name, version))
    return UnaryCall(methods.SET_DEFAULT_MODEL, request, _model)


def split_traffic(name: str, weights: Mapping[str, int]) -> UnaryCall[list[types.Model]]:
    return UnaryCall(methods.SET_TRAFFIC_SPLIT, traffic_request(name, weights), _models)


def _version(name: str, version: str | int) -> dict[str, str]:
    found = {"name": name, "version": version_text(version)}
    for field, value in found.items():
        check_type(field, value, str)
    return found


def cache_stats() -> UnaryCall[types.CacheStats]:
    request = cache_pb.GetCacheStatsRequest()
    return UnaryCall(methods.GET_CACHE_STATS, request, convert_administration.cache_stats)


def purge_cache(
    model: str | None, model_version: str | int | None, caller: str | None, tag: str | None
) -> UnaryCall[types.CachePurged]:
    request = purge_request(model, model_version, caller, tag)
    return UnaryCall(methods.PURGE_CACHE, request, convert_administration.cache_purged)


def warm_cache(prompt: types.Prompt, options: GenerateOptions) -> UnaryCall[types.CacheWarmed]:
    request = cache_pb.WarmCacheRequest()
    wanted = request_options(options)
    fill_request(request.request, prompt, **wanted)
    return UnaryCall(methods.WARM_CACHE, request, convert_administration.cache_warmed)


def log_level() -> UnaryCall[types.LogLevel]:
    request = operations_pb.GetLogLevelRequest()
    return UnaryCall(
        methods.GET_LOG_LEVEL, request, lambda found: convert_administration.log_level(found.level)
    )


def set_log_level(level: types.LogLevel) -> UnaryCall[types.LogLevel]:
    return UnaryCall(
        methods.SET_LOG_LEVEL,
        convert_administration.set_log_level_request(level),
        lambda answer: convert_administration.log_level(answer.previous_level),
    )


def health(service: str) -> UnaryCall[types.ServingStatus]:
    check_type("service", service, str)
    request = health_pb2.HealthCheckRequest(service=service)
    return UnaryCall(methods.CHECK_HEALTH, request, convert.serving_status)


def _model(response: Any) -> types.Model:  # noqa: ANN401 - one of several that hold a model
    return convert.model(response.model)


def _models(response: Any) -> list[types.Model]:  # noqa: ANN401 - as above
    return [convert.model(each) for each in response.models]


def _results(response: pb.ClassifyResponse) -> list[types.Classification | FieldViolation]:
    return [
        convert.classification(each.classification)
        if each.HasField("classification")
        else FieldViolation(each.error.field, each.error.description)
        for each in response.results
    ]
