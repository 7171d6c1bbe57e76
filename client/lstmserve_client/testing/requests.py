"""What was asked, as plain values to assert on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import convert
from lstmserve_client.constraints import (
    Choices,
    Constraint,
    Form,
    Grammar,
    JsonSchema,
    Regex,
)
from lstmserve_client.request import CACHE_MODES, PRIORITIES
from lstmserve_client.transport import Attempt
from lstmserve_client.types import (
    CacheMode,
    Priority,
    SamplingParams,
    StoppingCriteria,
    Turn,
)

_MODES = {number: mode for mode, number in CACHE_MODES.items()}
_PRIORITIES = {number: priority for priority, number in PRIORITIES.items()}

AnyRequest: TypeAlias = pb.GenerateRequest | pb.GenerateReplyRequest


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """One attempt of ``generate`` or ``reply``: every try of a call is one."""

    prompt: str | tuple[Turn, ...]
    model: str
    model_version: str
    sampling: SamplingParams
    stopping: StoppingCriteria
    cache_mode: CacheMode
    priority: Priority
    resume_tokens: tuple[int, ...]  # that the caller has already
    is_streamed: bool
    target: int  # the number of the server that was asked
    timeout_seconds: float | None  # what was left of the call's
    request_id: str
    metadata: Mapping[str, str] = field(hash=False)
    min_confidence: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    best_of: int | None = None
    num_replies: int | None = None
    constraint: Constraint | None = None
    cache_tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The question: the prompt, or what the user said last."""
        if isinstance(self.prompt, str):
            return self.prompt
        return self.prompt[-1].text if self.prompt else ""


def recorded(message: AnyRequest, attempt: Attempt) -> FakeRequest:
    """A request of the wire as a plain value."""
    return FakeRequest(
        prompt=_prompt(message),
        model=message.model,
        model_version=message.model_version,
        sampling=convert.sampling(message.sampling),
        stopping=_stopping(message.stopping),
        cache_mode=_MODES[message.cache_mode],
        cache_tags=tuple(message.cache_tags),
        priority=_PRIORITIES[message.priority],
        min_confidence=message.min_confidence if message.HasField("min_confidence") else None,
        variables=dict(message.variables),
        constraint=_constraint(message.constraint),
        best_of=_count(message, "best_of"),
        num_replies=_count(message, "num_replies"),
        resume_tokens=tuple(getattr(message, "resume_tokens", ())),  # of streams only
        is_streamed=isinstance(message, pb.GenerateRequest),
        target=attempt.target,
        timeout_seconds=attempt.timeout_seconds,
        request_id=attempt.request_id,
        metadata=dict(attempt.metadata),
    )


def _count(message: AnyRequest, name: Literal["best_of", "num_replies"]) -> int | None:
    """Of replies, which streams have one of."""
    if isinstance(message, pb.GenerateRequest) or not message.HasField(name):
        return None
    return int(getattr(message, name))


def _constraint(message: pb.Constraint) -> Constraint | None:
    count = message.prompt_characters
    match message.WhichOneof("kind"):
        case "regex":
            return Regex(message.regex, prompt_characters=count)
        case "choices":
            return Choices(tuple(message.choices.choices), prompt_characters=count)
        case "json_schema":
            return JsonSchema(message.json_schema, prompt_characters=count)
        case "grammar":
            return Grammar(message.grammar, prompt_characters=count)
        case "form":
            return Form(message.form, prompt_characters=count)
    return None


def _prompt(message: AnyRequest) -> str | tuple[Turn, ...]:
    if not message.HasField("conversation"):
        return message.prompt
    return tuple(
        Turn("agent" if turn.role == pb.ROLE_AGENT else "user", turn.text)
        for turn in message.conversation.turns
    )


def _stopping(message: pb.StoppingCriteria) -> StoppingCriteria:
    present = {each.name: value for each, value in message.ListFields()}
    return StoppingCriteria(
        max_tokens=present.get("max_tokens"),
        min_tokens=present.get("min_tokens"),
        stop_sequences=tuple(message.stop_sequences),
    )
