"""What each field of a request may hold."""

from __future__ import annotations

from collections.abc import Sequence

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Manifest
from lstmserve_server.engine.request import MAX_LOGPROBS, Priority
from lstmserve_server.replies.request import CacheMode
from lstmserve_server.rpc.fields import FieldChecks

Request = pb.GenerateRequest | pb.GenerateReplyRequest

MAX_TEMPERATURE = 2.0
MIN_REPETITION_PENALTY = 0.1
MAX_REPETITION_PENALTY = 10.0
MAX_PENALTY = 2.0
MAX_BIAS = 100.0
MAX_BIASED_TOKENS = 1024
MAX_STOP_SEQUENCES = 8
MAX_STOP_CHARACTERS = 64
# text this much longer than the longest prompt is refused before it is tokenized
MAX_BYTES_PER_TOKEN = 32

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


def check_cache_mode(checks: FieldChecks, request: Request) -> None:
    if request.cache_mode not in CACHE_MODES:
        names = ", ".join(map(pb.CacheMode.Name, CACHE_MODES))
        checks.refuse("cache_mode", f"must be one of {names}")


def check_priority(checks: FieldChecks, request: Request) -> None:
    if request.priority not in PRIORITIES:
        checks.refuse("priority", f"must be one of {', '.join(map(pb.Priority.Name, PRIORITIES))}")


def check_sampling(checks: FieldChecks, sampling: pb.SamplingParams, manifest: Manifest) -> None:
    if sampling.HasField("temperature"):
        checks.within("sampling.temperature", sampling.temperature, 0, MAX_TEMPERATURE)
    if sampling.HasField("top_k"):
        checks.within("sampling.top_k", sampling.top_k, 0, manifest.sizes.vocabulary)
    if sampling.HasField("top_p"):
        checks.above("sampling.top_p", sampling.top_p, 0, 1)
    if sampling.HasField("min_p"):
        checks.below("sampling.min_p", sampling.min_p, 0, 1)
    if sampling.HasField("logprobs"):
        checks.within("sampling.logprobs", sampling.logprobs, 0, MAX_LOGPROBS)
    _check_adjustments(checks, sampling, manifest.sizes.vocabulary)


def _check_adjustments(checks: FieldChecks, sampling: pb.SamplingParams, vocabulary: int) -> None:
    """Check what changes logits before anything is chosen."""
    if sampling.HasField("repetition_penalty"):
        checks.within(
            "sampling.repetition_penalty",
            sampling.repetition_penalty,
            MIN_REPETITION_PENALTY,
            MAX_REPETITION_PENALTY,
        )
    if sampling.HasField("frequency_penalty"):
        checks.within(
            "sampling.frequency_penalty", sampling.frequency_penalty, -MAX_PENALTY, MAX_PENALTY
        )
    if sampling.HasField("presence_penalty"):
        checks.within(
            "sampling.presence_penalty", sampling.presence_penalty, -MAX_PENALTY, MAX_PENALTY
        )
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
        checks.within(f"sampling.logit_bias[{token_id}]", bias, -MAX_BIAS, MAX_BIAS)


def check_stopping(
    checks: FieldChecks, stopping: pb.StoppingCriteria, manifest: Manifest, max_tokens: int
) -> None:
    """Check when to stop; ``max_tokens`` is the request's own, or the model's default."""
    checks.within("stopping.max_tokens", max_tokens, 1, manifest.limits.max_tokens)
    if stopping.HasField("min_tokens"):
        checks.within("stopping.min_tokens", stopping.min_tokens, 0, max_tokens)
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
    checks: FieldChecks, request: Request, max_prompt_tokens: int, *, may_be_empty: bool = False
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


def count_bytes(request: Request) -> int:
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
