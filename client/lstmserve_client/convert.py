"""From the wire's messages to what a caller gets. Pure functions, no I/O.

Enum numbers that this client does not know become ``UNKNOWN``: a newer server may send them.
"""

from dataclasses import fields

from grpc_health.v1 import health_pb2

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve_client import types

_CACHE_OUTCOMES = {
    pb.CACHE_OUTCOME_BYPASS: types.CacheOutcome.BYPASS,
    pb.CACHE_OUTCOME_MISS: types.CacheOutcome.MISS,
    pb.CACHE_OUTCOME_HIT: types.CacheOutcome.HIT,
    pb.CACHE_OUTCOME_COALESCED: types.CacheOutcome.COALESCED,
}
_FINISH_REASONS = {
    pb.FINISH_REASON_END_OF_TEXT: types.FinishReason.END_OF_TEXT,
    pb.FINISH_REASON_MAX_TOKENS: types.FinishReason.MAX_TOKENS,
    pb.FINISH_REASON_STOP_SEQUENCE: types.FinishReason.STOP_SEQUENCE,
}
_REPLY_SOURCES = {
    pb.REPLY_SOURCE_MODEL: types.ReplySource.MODEL,
    pb.REPLY_SOURCE_ANSWERS: types.ReplySource.ANSWERS,
    pb.REPLY_SOURCE_FALLBACK: types.ReplySource.FALLBACK,
}
_REPLY_OUTCOMES = {
    pb.REPLY_OUTCOME_ANSWERED: types.ReplyOutcome.ANSWERED,
    pb.REPLY_OUTCOME_UNSURE: types.ReplyOutcome.UNSURE,
    pb.REPLY_OUTCOME_HANDOVER: types.ReplyOutcome.HANDOVER,
}
MODEL_STATES = {
    model_pb.MODEL_STATE_LOADING: types.ModelState.LOADING,
    model_pb.MODEL_STATE_READY: types.ModelState.READY,
    model_pb.MODEL_STATE_UNLOADING: types.ModelState.UNLOADING,
    model_pb.MODEL_STATE_UNLOADED: types.ModelState.UNLOADED,
    model_pb.MODEL_STATE_FAILED: types.ModelState.FAILED,
}
SERVING_STATUSES = {
    health_pb2.HealthCheckResponse.SERVING: types.ServingStatus.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING: types.ServingStatus.NOT_SERVING,
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN: types.ServingStatus.SERVICE_UNKNOWN,
}


def event(message: pb.GenerateResponse) -> types.Event | None:
    """One event of a stream; ``None`` for a kind that this client does not know."""
    match message.WhichOneof("event"):
        case "started":
            return started(message.started)
        case "classification":
            return classification(message.classification)
        case "chunk":
            return chunk(message.chunk)
        case "completion":
            return completion(message.completion)
    return None


def started(message: pb.Started) -> types.Started:
    return types.Started(
        model=message.model,
        model_version=message.model_version,
        model_digest=message.model_digest,
        seed=message.seed,
        prompt_tokens=message.prompt_tokens,
        cache=_cache_outcome(message.cache),
        request_id=message.request_id,
        is_inexact=message.is_inexact,
        source=_REPLY_SOURCES.get(message.source, types.ReplySource.UNKNOWN),
        question=message.question,
    )


def classification(message: pb.Classification) -> types.Classification:
    return types.Classification(
        label=_label(message.label),
        alternatives=tuple(map(_label, message.alternatives)),
        in_scope_probability=message.in_scope_probability,
    )


def _label(message: pb.Label) -> types.Label:
    return types.Label(message.name, message.probability)


def chunk(message: pb.Chunk) -> types.Chunk:
    return types.Chunk(
        text=message.text,
        token_ids=tuple(message.token_ids),
        logprobs=tuple(map(token_logprobs, message.logprobs)),
    )


def token_logprobs(message: pb.TokenLogprobs) -> types.TokenLogprobs:
    return types.TokenLogprobs(
        logprob=message.logprob,
        top=tuple(types.TokenLogprob(t.token_id, t.logprob, t.text) for t in message.top),
    )


def completion(message: pb.Completion) -> types.Completion:
    return types.Completion(
        finish_reason=_FINISH_REASONS.get(message.finish_reason, types.FinishReason.UNKNOWN),
        stop_sequence=message.stop_sequence,
        usage=_usage(message.usage),
        timings=_timings(message.timings),
        cache=_cache_outcome(message.cache),
        labels=tuple(message.labels),
        outcome=_REPLY_OUTCOMES.get(message.outcome, types.ReplyOutcome.UNKNOWN),
    )


def reply(message: pb.GenerateReplyResponse) -> types.Reply:
    return types.Reply(
        text=message.text,
        token_ids=tuple(message.token_ids),
        logprobs=tuple(map(token_logprobs, message.logprobs)),
        started=started(message.started),
        completion=completion(message.completion),
        classification=classification(message.classification)
        if message.HasField("classification")
        else None,
        mean_logprob=message.mean_logprob if message.HasField("mean_logprob") else None,
        alternatives=tuple(map(reply, message.alternatives)),
    )


def model(message: model_pb.Model) -> types.Model:
    return types.Model(
        name=message.name,
        version=message.version,
        digest=message.digest,
        state=MODEL_STATES.get(message.state, types.ModelState.UNKNOWN),
        state_reason=message.state_reason,
        is_default=message.is_default,
        family=message.family,
        description=message.description,
        license=message.license,
        sizes=_sizes(message.sizes),
        limits=types.ModelLimits(message.limits.max_prompt_tokens, message.limits.max_tokens),
        default_sampling=sampling(message.default_sampling),
        default_max_tokens=message.default_max_tokens,
        labels=tuple(message.labels),
        evaluation=dict(message.evaluation),
        traffic_share=message.traffic_share,
        is_inexact=message.is_inexact,
        forms=tuple(message.forms),
        example_prompts=tuple(message.example_prompts),
    )


def serving_status(message: health_pb2.HealthCheckResponse) -> types.ServingStatus:
    return SERVING_STATUSES.get(message.status, types.ServingStatus.UNKNOWN)


def _cache_outcome(number: pb.CacheOutcome.ValueType) -> types.CacheOutcome:
    return _CACHE_OUTCOMES.get(number, types.CacheOutcome.UNKNOWN)


def _usage(message: pb.Usage) -> types.Usage:
    return types.Usage(
        prompt_tokens=message.prompt_tokens,
        generated_tokens=message.generated_tokens,
        cached_prompt_tokens=message.cached_prompt_tokens,
    )


def _timings(message: pb.Timings) -> types.Timings:
    return types.Timings(
        queue_seconds=message.queue_seconds,
        prefill_seconds=message.prefill_seconds,
        decode_seconds=message.decode_seconds,
        time_to_first_token_seconds=message.time_to_first_token_seconds,
        total_seconds=message.total_seconds,
        saved_seconds=message.saved_seconds,
        constraint_seconds=message.constraint_seconds,
    )


def _sizes(message: model_pb.ModelSizes) -> types.ModelSizes:
    return types.ModelSizes(
        vocabulary=message.vocabulary,
        hidden=message.hidden,
        layers=message.layers,
        parameters=message.parameters,
        size_bytes=message.size_bytes,
    )


def sampling(message: pb.SamplingParams) -> types.SamplingParams:
    present = {field.name: value for field, value in message.ListFields()}
    present["logit_bias"] = dict(message.logit_bias)
    known = {field.name for field in fields(types.SamplingParams)}
    return types.SamplingParams(**{name: present[name] for name in known & present.keys()})
