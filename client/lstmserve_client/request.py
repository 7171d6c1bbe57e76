"""From what a caller asks to the wire's request messages. Pure functions, no I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from types import MappingProxyType
from typing import TypeVar

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve_client import constraints, types
from lstmserve_client.checks import check_type
from lstmserve_client.errors import FieldViolation, InvalidRequestError

Request = TypeVar("Request", pb.GenerateRequest, pb.GenerateReplyRequest)

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
ROLES = {"user": pb.ROLE_USER, "agent": pb.ROLE_AGENT}
CACHE_MODES = {
    types.CacheMode.DEFAULT: pb.CACHE_MODE_UNSPECIFIED,
    types.CacheMode.BYPASS: pb.CACHE_MODE_BYPASS,
    types.CacheMode.REFRESH: pb.CACHE_MODE_REFRESH,
    types.CacheMode.ONLY_IF_CACHED: pb.CACHE_MODE_ONLY_IF_CACHED,
}
PRIORITIES = {
    types.Priority.LOW: pb.PRIORITY_LOW,
    types.Priority.NORMAL: pb.PRIORITY_NORMAL,
    types.Priority.HIGH: pb.PRIORITY_HIGH,
}


def fill_request(
    request: Request,
    prompt: types.Prompt,
    *,
    model: str = "",
    model_version: str = "",
    sampling: types.SamplingParams | None = None,
    stopping: types.StoppingCriteria | None = None,
    cache_mode: types.CacheMode = types.CacheMode.DEFAULT,
    priority: types.Priority = types.Priority.NORMAL,
    min_confidence: float | None = None,
    variables: Mapping[str, str] = NO_VARIABLES,
    constraint: constraints.Constraint | None = None,
) -> Request:
    """Fill an empty request and return it.

    Raises InvalidRequestError for what the wire has no room for, such as a negative seed, and
    TypeError for values of another type; all else is the server's to judge.
    """
    with _refusing("model"):
        request.model = model
    with _refusing("model_version"):
        request.model_version = model_version
    _set_prompt(request, prompt)
    if sampling is not None:
        _set_sampling(request.sampling, sampling)
    if stopping is not None:
        _set_stopping(request.stopping, stopping)
    request.cache_mode = CACHE_MODES[types.CacheMode(cache_mode)]
    request.priority = PRIORITIES[types.Priority(priority)]
    if min_confidence is not None:
        with _refusing("min_confidence"):
            request.min_confidence = min_confidence
    if variables:
        with _refusing("variables"):
            request.variables.update(variables)
    if constraint is not None:
        _set_constraint(request.constraint, constraint)
    return request


def fill_reply_request(
    prompt: types.Prompt,
    options: types.RequestOptions,
    best_of: int | None = None,
    num_replies: int | None = None,
) -> pb.GenerateReplyRequest:
    """Fill a request for a whole reply, and return it; raises what ``fill_request`` raises."""
    request = fill_request(pb.GenerateReplyRequest(), prompt, **options)
    with _refusing("best_of"):
        if best_of is not None:
            request.best_of = best_of
    with _refusing("num_replies"):
        if num_replies is not None:
            request.num_replies = num_replies
    return request


def classify_request(
    prompts: Iterable[types.Prompt], *, model: str = "", model_version: str = ""
) -> pb.ClassifyRequest:
    """What to classify; raises InvalidRequestError and TypeError as ``fill_request`` does."""
    request = pb.ClassifyRequest()
    with _refusing("model"):
        request.model = model
    with _refusing("model_version"):
        request.model_version = model_version
    for prompt in prompts:
        _set_prompt(request.inputs.add(), prompt)
    return request


def traffic_request(name: str, weights: Mapping[str, int]) -> model_pb.SetTrafficSplitRequest:
    """How to deal requests out; raises InvalidRequestError for weights the wire cannot carry."""
    request = model_pb.SetTrafficSplitRequest(name=name)
    for version, weight in weights.items():
        with _refusing("weights"):
            request.weights.add(version=version, weight=weight)
    return request


def purge_request(
    model: str | None, model_version: str | None, caller: str | None
) -> cache_pb.PurgeCacheRequest:
    """What to drop; raises InvalidRequestError for a name that is not Unicode text."""
    request = cache_pb.PurgeCacheRequest()
    selection = {"model": model, "model_version": model_version, "caller": caller}
    for name, value in selection.items():
        if value is not None:  # an empty name is a name
            with _refusing(name):
                setattr(request, name, value)
    return request


def _set_prompt(
    request: pb.GenerateRequest | pb.GenerateReplyRequest | pb.ClassifyInput, prompt: types.Prompt
) -> None:
    if isinstance(prompt, str):
        with _refusing("prompt"):
            request.prompt = prompt
    else:
        request.conversation.SetInParent()  # a conversation of no turns is one, too
        request.conversation.turns.extend(_turns(prompt))


def _turns(turns: Sequence[types.Turn]) -> Iterator[pb.Turn]:
    if not isinstance(turns, Iterable):
        raise TypeError(f"prompt: must be text or a list of Turn, not {type(turns).__name__}")
    for position, turn in enumerate(turns):
        check_type(f"conversation.turns[{position}]", turn, types.Turn)
        role = ROLES.get(turn.role, pb.ROLE_UNSPECIFIED)  # which the server refuses
        with _refusing(f"conversation.turns[{position}].text"):
            yield pb.Turn(role=role, text=turn.text)


def _set_sampling(message: pb.SamplingParams, sampling: types.SamplingParams) -> None:
    check_type("sampling", sampling, types.SamplingParams)
    message.SetInParent()
    for each in fields(sampling):
        value = getattr(sampling, each.name)
        with _refusing(f"sampling.{each.name}"):
            if each.name == "logit_bias":
                message.logit_bias.update(value)
            elif value is not None:
                setattr(message, each.name, value)


def _set_stopping(message: pb.StoppingCriteria, stopping: types.StoppingCriteria) -> None:
    check_type("stopping", stopping, types.StoppingCriteria)
    message.SetInParent()
    for each in fields(stopping):
        value = getattr(stopping, each.name)
        with _refusing(f"stopping.{each.name}"):
            if each.name == "stop_sequences":
                message.stop_sequences.extend(value)
            elif value is not None:
                setattr(message, each.name, value)


def _set_constraint(message: pb.Constraint, constraint: constraints.Constraint) -> None:
    _set_kind(message, constraint)
    if constraint.prompt_characters:
        with _refusing("constraint.prompt_characters"):
            message.prompt_characters = constraint.prompt_characters


def _set_kind(message: pb.Constraint, constraint: constraints.Constraint) -> None:
    match constraint:
        case constraints.Regex(pattern):
            with _refusing("constraint.regex"):
                message.regex = pattern
        case constraints.Choices(texts):
            message.choices.SetInParent()  # none are a choice that the server refuses
            with _refusing("constraint.choices.choices"):
                message.choices.choices.extend(texts)
        case constraints.JsonSchema():
            with _refusing("constraint.json_schema"):
                message.json_schema = constraint.text
        case constraints.Grammar(text):
            with _refusing("constraint.grammar"):
                message.grammar = text
        case constraints.Form(name):
            with _refusing("constraint.form"):
                message.form = name
        case _:
            raise TypeError(
                "constraint: must be Regex, Choices, JsonSchema, Grammar or Form, not "
                f"{type(constraint).__name__}"
            )


def _wire_range(field: str, error: ValueError) -> str:
    """What fits on the wire; the server's own ranges are narrower, and told by the server."""
    bits = 64 if field == "sampling.seed" else 32
    return f"{error}: must be a number from 0 to 2^{bits} - 1"


@contextmanager
def _refusing(field: str) -> Iterator[None]:
    """Name the field that protobuf has no room for: a number out of range, text not Unicode, or
    a value of another type, which remains a TypeError.
    """
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{field}: {error}") from error
    except ValueError as error:
        why = "not Unicode text" if isinstance(error, UnicodeError) else _wire_range(field, error)
        raise InvalidRequestError(
            "the request cannot be sent", violations=[FieldViolation(field, why)]
        ) from error
