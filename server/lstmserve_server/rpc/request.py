"""From a request on the wire to a request for the engine, every field checked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Manifest, Turn
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.errors import ResumeMismatchError
from lstmserve_server.rpc.fields import FieldChecks
from lstmserve_server.store.catalog import ServedModel

Request = pb.GenerateRequest | pb.GenerateReplyRequest

MAX_TEMPERATURE = 2.0
MAX_LOGPROBS = 20
MAX_STOP_SEQUENCES = 8
MAX_STOP_CHARACTERS = 64
# text this much longer than the longest prompt is refused before it is tokenized
MAX_BYTES_PER_TOKEN = 32

ROLES = {pb.ROLE_USER: "user", pb.ROLE_AGENT: "agent"}


def to_generation_request(request: Request, model: ServedModel) -> GenerationRequest:
    """Check and convert; raises InvalidRequestError naming every wrong field."""
    checks = FieldChecks()
    manifest = model.manifest
    _check_not_served(checks, request)
    _check_sampling(checks, request.sampling, manifest)
    max_tokens = _check_stopping(checks, request.stopping, manifest)
    turns = _check_input(checks, request, manifest.limits.max_prompt_tokens)
    checks.finish()  # before text is tokenized that is refused anyway
    prompt_ids = model.bundle.template.render_conversation(turns)
    _check_prompt_length(checks, request, len(prompt_ids), manifest.limits.max_prompt_tokens)
    checks.finish()
    sampling = _sampling(request.sampling, manifest)
    is_sampled = sampling.temperature > 0
    return GenerationRequest(
        prompt_ids=tuple(prompt_ids),
        sampling=sampling,
        max_tokens=max_tokens,
        min_tokens=request.stopping.min_tokens,
        stop_sequences=tuple(request.stopping.stop_sequences),
        resume_ids=_resume_ids(request, model, max_tokens, is_sampled=is_sampled),
    )


def _check_not_served(checks: FieldChecks, request: Request) -> None:
    sampling = request.sampling
    checks.not_served(
        (
            ("sampling.repetition_penalty", sampling.HasField("repetition_penalty")),
            ("sampling.frequency_penalty", sampling.HasField("frequency_penalty")),
            ("sampling.presence_penalty", sampling.HasField("presence_penalty")),
            ("sampling.logit_bias", bool(sampling.logit_bias)),
            # the server keeps no cache yet: every reply bypasses it, as by default
            (
                "cache_mode",
                request.cache_mode not in {pb.CACHE_MODE_UNSPECIFIED, pb.CACHE_MODE_BYPASS},
            ),
            (
                "priority",
                request.priority not in {pb.PRIORITY_UNSPECIFIED, pb.PRIORITY_NORMAL},
            ),
        )
    )


def _check_sampling(checks: FieldChecks, sampling: pb.SamplingParams, manifest: Manifest) -> None:
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


def _check_stopping(checks: FieldChecks, stopping: pb.StoppingCriteria, manifest: Manifest) -> int:
    max_tokens = manifest.sampling.max_tokens
    if stopping.HasField("max_tokens"):
        max_tokens = stopping.max_tokens
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
    return max_tokens


def _check_input(checks: FieldChecks, request: Request, max_prompt_tokens: int) -> list[Turn]:
    kind = request.WhichOneof("input")
    if kind is None:
        checks.refuse("input", "is missing; set prompt or conversation")
        return []
    if kind == "prompt":
        _check_text(checks, "prompt", request.prompt)
        turns = [Turn("user", request.prompt)]
    else:
        turns = _check_turns(checks, request.conversation.turns)
    num_bytes = sum(len(turn.text.encode()) for turn in turns)
    if num_bytes > max_prompt_tokens * MAX_BYTES_PER_TOKEN:
        checks.refuse(
            kind,
            f"must have at most {max_prompt_tokens * MAX_BYTES_PER_TOKEN} bytes of text and "
            f"{max_prompt_tokens} tokens, not {num_bytes} bytes; send less of it",
        )
    return turns


def _check_turns(checks: FieldChecks, turns: Sequence[pb.Turn]) -> list[Turn]:
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
    return [Turn(ROLES.get(turn.role, "user"), turn.text) for turn in turns]


def _check_text(checks: FieldChecks, field: str, text: str) -> None:
    if not text.strip():
        checks.refuse(field, "must not be empty")


def _check_prompt_length(
    checks: FieldChecks, request: Request, num_tokens: int, max_prompt_tokens: int
) -> None:
    if num_tokens > max_prompt_tokens:
        checks.refuse(
            str(request.WhichOneof("input")),
            f"must have at most {max_prompt_tokens} tokens, not {num_tokens}; send less of it",
        )


def _sampling(sampling: pb.SamplingParams, manifest: Manifest) -> SamplingParams:
    defaults = manifest.sampling

    def value(field: str) -> float:
        found = getattr(sampling if sampling.HasField(field) else defaults, field)  # type: ignore[arg-type]
        return float(found)

    temperature = value("temperature")
    return SamplingParams(
        temperature=temperature,
        top_k=int(value("top_k")),
        top_p=value("top_p"),
        min_p=value("min_p"),
        seed=_seed(sampling, temperature),
        num_logprobs=sampling.logprobs if sampling.HasField("logprobs") else None,
    )


def _seed(sampling: pb.SamplingParams, temperature: float) -> int:
    if sampling.HasField("seed"):
        return sampling.seed
    return secrets.randbits(64) if temperature > 0 else 0  # a greedy reply needs none


def _resume_ids(
    request: Request, model: ServedModel, max_tokens: int, *, is_sampled: bool
) -> tuple[int, ...]:
    """The tokens to go on after; raises when they cannot be this reply's."""
    if isinstance(request, pb.GenerateReplyRequest) or not request.resume_tokens:
        return ()
    checks = FieldChecks()
    if not request.model_version:
        checks.refuse("model_version", "is needed with resume_tokens; it was told in Started")
    if is_sampled and not request.sampling.HasField("seed"):
        checks.refuse("sampling.seed", "is needed with resume_tokens; it was told in Started")
    checks.finish()
    _check_resumable(request.resume_tokens, model, max_tokens)
    return tuple(request.resume_tokens)


def _check_resumable(tokens: Sequence[int], model: ServedModel, max_tokens: int) -> None:
    if max(tokens) >= model.manifest.sizes.vocabulary:
        raise ResumeMismatchError(
            f"resume_tokens: {max(tokens)} is no token of {model.name} version {model.version}"
        )
    if len(tokens) >= max_tokens or model.bundle.template.end_id in tokens:
        raise ResumeMismatchError("resume_tokens: this reply is complete; nothing follows")
