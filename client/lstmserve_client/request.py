"""From what a caller asks to the wire's request messages. Pure functions, no I/O."""

from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve_client import constraints, types
from lstmserve_client.checks import check_type
from lstmserve_client.keywords import CacheModeName, PriorityName
from lstmserve_client.merging import FoldedOptions
from lstmserve_client.messages import NOT_UNICODE, read_prompt, refusal
from lstmserve_client.transport import MAX_MESSAGE_BYTES

Request = TypeVar("Request", pb.GenerateRequest, pb.GenerateReplyRequest)
Key = TypeVar("Key")
Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=StrEnum)

_KINDS = {
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number",
}
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
    model_version: str | int = "",
    sampling: types.SamplingParams | None = None,
    stopping: types.StoppingCriteria | None = None,
    cache_mode: types.CacheMode | CacheModeName = types.CacheMode.DEFAULT,
    cache_tags: str | Sequence[str] = (),
    priority: types.Priority | PriorityName = types.Priority.NORMAL,
    min_confidence: float | None = None,
    variables: Mapping[str, str] = NO_VARIABLES,
    constraint: constraints.Constraint | None = None,
) -> Request:
    """Fill an empty request and return it.

    Raises InvalidRequestError for what the wire has no room for, such as a negative seed, and
    TypeError for values of another type; all else is the server's to judge.
    """
    _set_model(request, model, model_version)
    _set_prompt(request, prompt)
    if sampling is not None:
        _set_sampling(request.sampling, sampling)
    if stopping is not None:
        _set_stopping(request.stopping, stopping)
    request.cache_mode = CACHE_MODES[_chosen("cache_mode", types.CacheMode, cache_mode)]
    _add_texts(request.cache_tags, "cache_tags", cache_tags)
    request.priority = PRIORITIES[_chosen("priority", types.Priority, priority)]
    if min_confidence is not None:
        _put(request, "min_confidence", min_confidence)
    for name, value in _mapping("variables", variables).items():
        check_type("variables: each name", name, str)
        check_type(f"variables[{name!r}]", value, str)
        with _refusing("variables"):
            request.variables[name] = value
    if constraint is not None:
        _set_constraint(request.constraint, constraint)
    _check_size(request.ByteSize())
    return request


def fill_reply_request(
    prompt: types.Prompt,
    options: FoldedOptions,
    best_of: int | None = None,
    num_replies: int | None = None,
) -> pb.GenerateReplyRequest:
    """Fill a request for a whole reply, and return it; raises what ``fill_request`` raises."""
    request = fill_request(pb.GenerateReplyRequest(), prompt, **options)
    if best_of is not None:
        _put(request, "best_of", best_of)
    if num_replies is not None:
        _put(request, "num_replies", num_replies)
    return request


def classify_request(
    prompts: Iterable[types.Prompt], *, model: str = "", model_version: str | int = ""
) -> pb.ClassifyRequest:
    """What to classify; raises InvalidRequestError and TypeError as ``fill_request`` does."""
    request = pb.ClassifyRequest()
    _set_model(request, model, model_version)
    for prompt in prompts:
        _set_prompt(request.inputs.add(), prompt)
    _check_size(request.ByteSize())
    return request


def traffic_request(name: str, weights: Mapping[str, int]) -> model_pb.SetTrafficSplitRequest:
    """How to deal requests out; raises InvalidRequestError for weights the wire cannot carry."""
    request = model_pb.SetTrafficSplitRequest(name=name)
    for version, weight in weights.items():
        with _refusing("weights"):
            request.weights.add(version=version, weight=weight)
    return request


def purge_request(
    model: str | None,
    model_version: str | int | None,
    caller: str | None,
    tag: str | None,
) -> cache_pb.PurgeCacheRequest:
    """What to drop; raises InvalidRequestError for a name that is not Unicode text."""
    request = cache_pb.PurgeCacheRequest()
    selection = {"model": model, "model_version": model_version, "caller": caller, "tag": tag}
    for name, value in selection.items():
        if value is not None:  # an empty name is a name
            _put(request, name, version_text(value) if name == "model_version" else value)
    return request


def _set_prompt(
    request: pb.GenerateRequest | pb.GenerateReplyRequest | pb.ClassifyInput, prompt: types.Prompt
) -> None:
    asked = read_prompt(prompt)
    if isinstance(asked, str):
        with _refusing("prompt"):
            request.prompt = asked
    else:
        request.conversation.SetInParent()  # a conversation of no turns is one, too
        request.conversation.turns.extend(_turns(asked))


def _turns(turns: Sequence[types.Turn]) -> Iterator[pb.Turn]:
    for position, turn in enumerate(turns):
        with _refusing(f"conversation.turns[{position}].text"):
            yield pb.Turn(role=ROLES[turn.role], text=turn.text)


def _set_model(
    request: pb.GenerateRequest | pb.GenerateReplyRequest | pb.ClassifyRequest,
    model: str,
    model_version: str | int,
) -> None:
    _put(request, "model", model)
    _put(request, "model_version", version_text(model_version))


def _put(message: Message, name: str, value: object, path: str = "") -> None:
    """Set one field, or say by its name what it takes."""
    kind = message.DESCRIPTOR.fields_by_name[name].cpp_type
    if isinstance(value, bool):
        raise TypeError(f"{path}{name}: must be {_KINDS[kind]}, not bool")
    with _refusing(path + name):
        try:
            setattr(message, name, value)
        except TypeError:  # protobuf's words tell of built-in operations
            raise TypeError(f"must be {_KINDS[kind]}, not {type(value).__name__}") from None


def _add_texts(field: MutableSequence[str], name: str, texts: str | Iterable[str]) -> None:
    """Set a field of several texts; one stands for itself alone."""
    if not isinstance(texts, Iterable):
        raise TypeError(f"{name}: must be text, or several, not {type(texts).__name__}")
    for text in [texts] if isinstance(texts, str) else texts:
        check_type(name, text, str)
        with _refusing(name):
            field.append(text)


def _mapping(name: str, value: Mapping[Key, Value]) -> Mapping[Key, Value]:
    check_type(name, value, Mapping)
    return value


def version_text(version: str | int) -> str:
    """A version as the wire has it: most are numbers, and callers give them as such."""
    is_number = isinstance(version, int) and not isinstance(version, bool)
    return str(version) if is_number else version  # type: ignore[return-value]  # refused later


def _chosen(name: str, kind: type[Choice], value: str) -> Choice:
    """One of an enumeration's values, by itself or by its text."""
    try:
        return kind(value)
    except ValueError:
        values = ", ".join(f'"{each}"' for each in kind)
        raise refusal(name, f"must be one of {values}, not {value!r}") from None


def _check_size(num_bytes: int) -> None:
    """Servers refuse what is larger; gRPC would not send it, and name no field."""
    if num_bytes > MAX_MESSAGE_BYTES:
        raise refusal(
            "prompt",
            f"the request has {num_bytes:,} bytes, of which {MAX_MESSAGE_BYTES:,} can be sent; "
            "a model reads far less: limits.max_prompt_tokens of client.model()",
        )


def _set_sampling(message: pb.SamplingParams, sampling: types.SamplingParams) -> None:
    check_type("sampling", sampling, types.SamplingParams)
    message.SetInParent()
    for each in fields(sampling):
        value = getattr(sampling, each.name)
        if each.name == "logit_bias":
            with _refusing("sampling.logit_bias"):
                _set_biases(message, _mapping("sampling.logit_bias", value))
        elif value is not None:
            _put(message, each.name, value, "sampling.")


def _set_biases(message: pb.SamplingParams, biases: Mapping[int, float]) -> None:
    try:
        message.logit_bias.update(biases)
    except TypeError:  # protobuf's words tell of integers alone
        raise TypeError("must be numbers by token ids, which are whole numbers") from None


def _set_stopping(message: pb.StoppingCriteria, stopping: types.StoppingCriteria) -> None:
    check_type("stopping", stopping, types.StoppingCriteria)
    message.SetInParent()
    for each in fields(stopping):
        value = getattr(stopping, each.name)
        if each.name == "stop_sequences":
            _add_texts(message.stop_sequences, "stopping.stop_sequences", value)
        elif value is not None:
            _put(message, each.name, value, "stopping.")


def _set_constraint(message: pb.Constraint, constraint: constraints.Constraint) -> None:
    _set_kind(message, constraint)
    if constraint.prompt_characters:
        _put(message, "prompt_characters", constraint.prompt_characters, "constraint.")


def _set_kind(message: pb.Constraint, constraint: constraints.Constraint) -> None:
    match constraint:
        case constraints.Regex(pattern):
            _put(message, "regex", pattern, "constraint.")
        case constraints.Choices(texts):
            message.choices.SetInParent()  # none are a choice that the server refuses
            _add_texts(message.choices.choices, "constraint.choices.choices", texts)
        case constraints.JsonSchema():
            with _refusing("constraint.json_schema"):
                message.json_schema = constraint.text
        case constraints.Grammar(text):
            _put(message, "grammar", text, "constraint.")
        case constraints.Form(name):
            _put(message, "form", name, "constraint.")
        case _:
            raise TypeError(
                "constraint: must be Regex, Choices, JsonSchema, Grammar or Form, not "
                f"{type(constraint).__name__}"
            )


def _wire_range(field: str, error: ValueError) -> str:
    """What fits on the wire; the server's own ranges are narrower, and told by the server."""
    bits = 64 if field == "sampling.seed" else 32
    value = str(error).rpartition(" ")[2]  # of "Value out of range: -1"
    return f"must be a whole number from 0 to 2^{bits} - 1, not {value}"


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
        why = NOT_UNICODE if isinstance(error, UnicodeError) else _wire_range(field, error)
        raise refusal(field, why) from error
