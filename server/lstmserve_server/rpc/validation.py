"""What each field of a request may hold; everything wrong with a request is told at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Manifest
from lstmserve_server.engine.request import MAX_LOGPROBS, Priority
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.replies.request import CacheMode
from lstmserve_server.store.served_model import ServedModel

Request = pb.GenerateRequest | pb.GenerateReplyRequest
Input = Request | pb.ClassifyInput

# more help nobody, and cost time that other callers wait for
MAX_VIOLATIONS = 50
MAX_BIASED_TOKENS = 1024
MAX_STOP_SEQUENCES = 8
MAX_STOP_CHARACTERS = 64
# text this much longer than the longest prompt is refused before it is tokenized
MAX_BYTES_PER_TOKEN = 32

MAX_TAGS = 8
MAX_TAG_CHARACTERS = 64
MAX_VARIABLES = 32
MAX_VARIABLE_CHARACTERS = 256
MAX_VARIABLE_NAME = 64  # characters that an error tells
VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
ROLES = {pb.ROLE_USER: "user", pb.ROLE_AGENT: "agent"}
PRIORITIES = {
    pb.PRIORITY_UNSPECIFIED: Priority.NORMAL,
    pb.PRIORITY_LOW: Priority.LOW,
    pb.PRIORITY_NORMAL: Priority.NORMAL,
    pb.PRIORITY_HIGH: Priority.HIGH,
}
CACHE_MODES = {
    pb.CACHE_MODE_UNSPECIFIED: CacheMode.DEFAULT,
    pb.CACHE_MODE_BYPASS: CacheMode.BYPASS,
    pb.CACHE_MODE_REFRESH: CacheMode.REFRESH,
    pb.CACHE_MODE_ONLY_IF_CACHED: CacheMode.ONLY_IF_CACHED,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The values that a number may have."""

    low: float
    high: float
    is_above_low: bool = False  # the lowest itself is not allowed
    is_below_high: bool = False  # nor is the highest

    def allow(self, value: float) -> bool:
        """Return whether a value is within these; NaN is within none."""
        is_high_enough = self.low < value if self.is_above_low else self.low <= value
        is_low_enough = value < self.high if self.is_below_high else value <= self.high
        return is_high_enough and is_low_enough

    def __str__(self) -> str:
        if self.is_above_low:
            return f"above {self.low:g} and at most {self.high:g}"
        if self.is_below_high:
            return f"at least {self.low:g} and below {self.high:g}"
        return f"from {self.low:g} to {self.high:g}"


BIAS = Bounds(-100, 100)
CONFIDENCE = Bounds(0, 1)


@cache
def list_sampling_bounds(vocabulary: int) -> Mapping[str, Bounds]:
    """Return the bounds of every number in ``SamplingParams`` that has any."""
    return {
        "temperature": Bounds(0, 2),
        "top_k": Bounds(0, vocabulary),
        "top_p": Bounds(0, 1, is_above_low=True),
        "min_p": Bounds(0, 1, is_below_high=True),
        "logprobs": Bounds(0, MAX_LOGPROBS),
        "repetition_penalty": Bounds(0.1, 10),
        "frequency_penalty": Bounds(-2, 2),
        "presence_penalty": Bounds(-2, 2),
    }


class FieldChecks:
    """Collects violations, the first fifty of them; ``finish`` raises them together."""

    def __init__(self) -> None:
        self._violations: list[FieldViolation] = []

    @property
    def is_full(self) -> bool:
        """Return whether nothing further would be told."""
        return len(self._violations) >= MAX_VIOLATIONS

    def refuse(self, field: str, description: str) -> None:
        if not self.is_full:
            self._violations.append(FieldViolation(field, description))

    def within(self, field: str, value: float, bounds: Bounds) -> None:
        if not bounds.allow(value):
            self.refuse(field, f"must be {bounds}, not {_show(value)}")

    def finish(self) -> None:
        """Raise InvalidRequestError if anything was refused."""
        if self._violations:
            raise InvalidRequestError(self._violations)


def _show(value: float) -> str:
    number = float(value)
    if number.is_integer():
        return f"{number:.0f}"
    # single precision off the wire: six digits read well, unless they hide that it is no bound
    short = f"{number:.6g}"
    return f"{number:.9g}" if float(short).is_integer() else short


def check_cache_mode(checks: FieldChecks, request: Request) -> None:
    if request.cache_mode not in CACHE_MODES:
        names = ", ".join(map(pb.CacheMode.Name, CACHE_MODES))
        checks.refuse("cache_mode", f"must be one of {names}")


def check_cache_tags(checks: FieldChecks, request: Request) -> None:
    tags = request.cache_tags
    if len(tags) > MAX_TAGS:
        checks.refuse("cache_tags", f"must be at most {MAX_TAGS}, not {len(tags)}")
    elif len(set(tags)) < len(tags):
        checks.refuse("cache_tags", "must be different from each other")
    for number, tag in enumerate(tags[:MAX_TAGS]):
        if not 1 <= len(tag) <= MAX_TAG_CHARACTERS:
            checks.refuse(
                f"cache_tags[{number}]",
                f"must have from 1 to {MAX_TAG_CHARACTERS} characters, not {len(tag)}",
            )


def check_priority(checks: FieldChecks, request: Request) -> None:
    if request.priority not in PRIORITIES:
        checks.refuse("priority", f"must be one of {', '.join(map(pb.Priority.Name, PRIORITIES))}")


def check_sampling(checks: FieldChecks, sampling: pb.SamplingParams, manifest: Manifest) -> None:
    vocabulary = manifest.sizes.vocabulary
    for name, bounds in list_sampling_bounds(vocabulary).items():
        if sampling.HasField(name):  # type: ignore[arg-type]  # the table has its fields
            checks.within(f"sampling.{name}", getattr(sampling, name), bounds)
    _check_biases(checks, sampling, vocabulary)


def _check_biases(checks: FieldChecks, sampling: pb.SamplingParams, vocabulary: int) -> None:
    if len(sampling.logit_bias) > MAX_BIASED_TOKENS:
        checks.refuse(
            "sampling.logit_bias",
            f"at most {MAX_BIASED_TOKENS} tokens may be biased, not {len(sampling.logit_bias)}",
        )
        return
    for token_id, bias in sorted(sampling.logit_bias.items()):
        if token_id >= vocabulary:
            checks.refuse(
                f"sampling.logit_bias[{token_id}]",
                f"token ids of this model are from 0 to {vocabulary - 1}",
            )
        checks.within(f"sampling.logit_bias[{token_id}]", bias, BIAS)


def check_stopping(
    checks: FieldChecks, stopping: pb.StoppingCriteria, manifest: Manifest, max_tokens: int
) -> None:
    """Check when to stop; ``max_tokens`` is the request's own, or the model's default."""
    checks.within("stopping.max_tokens", max_tokens, Bounds(1, manifest.limits.max_tokens))
    if stopping.HasField("min_tokens"):
        checks.within("stopping.min_tokens", stopping.min_tokens, Bounds(0, max_tokens))
    if len(stopping.stop_sequences) > MAX_STOP_SEQUENCES:
        checks.refuse(
            "stopping.stop_sequences",
            f"at most {MAX_STOP_SEQUENCES} are allowed, not {len(stopping.stop_sequences)}",
        )
    for number, stop in enumerate(stopping.stop_sequences[:MAX_STOP_SEQUENCES]):
        if not 1 <= len(stop) <= MAX_STOP_CHARACTERS:
            checks.refuse(
                f"stopping.stop_sequences[{number}]",
                f"must have from 1 to {MAX_STOP_CHARACTERS} characters, not {len(stop)}",
            )


def check_input(
    checks: FieldChecks, request: Input, max_prompt_tokens: int, *, may_be_empty: bool = False
) -> None:
    """A model without roles just writes: ``may_be_empty`` says that a prompt may be empty."""
    kind = request.WhichOneof("input")
    if kind is None:
        checks.refuse("input", "is missing; set prompt or conversation")
        return
    # each turn is two tokens at least; so many are refused before they are looked at one by one
    if len(request.conversation.turns) > max_prompt_tokens // 2:
        checks.refuse(
            "conversation.turns",
            f"must be at most {max_prompt_tokens // 2}, not {len(request.conversation.turns)}; "
            "send the last ones",
        )
        return
    num_bytes = count_bytes(request)
    if kind == "prompt":
        if not may_be_empty:
            _check_text(checks, "prompt", request.prompt)
    else:
        _check_turns(checks, request.conversation.turns)
    if num_bytes > max_prompt_tokens * MAX_BYTES_PER_TOKEN:
        checks.refuse(
            kind,
            f"must have at most {max_prompt_tokens * MAX_BYTES_PER_TOKEN} bytes of text and "
            f"{max_prompt_tokens} tokens, not {num_bytes} bytes; send less of it",
        )


def count_bytes(request: Input) -> int:
    """Count the bytes of all text that is to be tokenized."""
    texts = [request.prompt, *(turn.text for turn in request.conversation.turns)]
    return sum(len(text.encode()) for text in texts)


def _check_turns(checks: FieldChecks, turns: Sequence[pb.Turn]) -> None:
    if not turns:
        checks.refuse("conversation.turns", "must not be empty")
    elif turns[-1].role != pb.ROLE_USER:
        checks.refuse(
            f"conversation.turns[{len(turns) - 1}].role",
            "the last turn must be the user's (ROLE_USER): it is what the reply answers",
        )
    for number, turn in enumerate(turns):
        if turn.role not in ROLES:
            checks.refuse(f"conversation.turns[{number}].role", "must be ROLE_USER or ROLE_AGENT")
        _check_text(checks, f"conversation.turns[{number}].text", turn.text)


def _check_text(checks: FieldChecks, field: str, text: str) -> None:
    if not text.strip():
        checks.refuse(field, "must not be empty or white space alone")


def check_prompt_length(
    checks: FieldChecks, request: Request, num_tokens: int, max_prompt_tokens: int
) -> None:
    if num_tokens > max_prompt_tokens:
        checks.refuse(
            str(request.WhichOneof("input")),
            f"must have at most {max_prompt_tokens} tokens, not {num_tokens}; send less of it",
        )


def check_min_confidence(checks: FieldChecks, value: float, model: ServedModel) -> None:
    """Check the least confidence of a request that sets it."""
    checks.within("min_confidence", value, CONFIDENCE)
    if model.classifier is None:
        checks.refuse("min_confidence", f"is not served for {_name(model)}: it has no classifier")
    elif model.answers is None or model.answers.fallback is None:
        checks.refuse(
            "min_confidence",
            f"is not served for {_name(model)}: it has no fallback answer; Classify and the "
            "event Classification tell how probable the label is",
        )


def check_variables(checks: FieldChecks, variables: Mapping[str, str], model: ServedModel) -> None:
    """Check the values for placeholders of a request that sends some."""
    if model.answers is None:
        checks.refuse(
            "variables",
            f"are not served for {_name(model)}: it has no answers.json, so nothing is filled in",
        )
    if len(variables) > MAX_VARIABLES:
        checks.refuse("variables", f"must be at most {MAX_VARIABLES}, not {len(variables)}")
        return
    for name, value in sorted(variables.items()):
        field = f"variables[{name[:MAX_VARIABLE_NAME]}]"
        if VARIABLE.fullmatch(name) is None:
            checks.refuse(
                field,
                "must be named by 1 to 64 lower-case letters, digits and underscores, a letter "
                "first",
            )
        if not 1 <= len(value) <= MAX_VARIABLE_CHARACTERS or not value.isprintable():
            checks.refuse(
                field,
                f"must be one line of 1 to {MAX_VARIABLE_CHARACTERS} printable characters",
            )


def _name(model: ServedModel) -> str:
    return f"{model.name} version {model.version}"
