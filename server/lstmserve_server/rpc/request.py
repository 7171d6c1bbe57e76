"""From a request on the wire to what is asked of the replies, every field checked."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Manifest, PromptTemplate, Turn
from lstmserve_server.engine.request import Claim, GenerationRequest, SamplingParams
from lstmserve_server.errors import ResumeMismatchError
from lstmserve_server.replies.request import ReplyRequest
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.tokenizing import Tokenizing
from lstmserve_server.rpc.validation import (
    CACHE_MODES,
    PRIORITIES,
    ROLES,
    FieldChecks,
    Request,
    check_cache_mode,
    check_input,
    check_priority,
    check_prompt_length,
    check_sampling,
    check_stopping,
    count_bytes,
)
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]


async def to_reply_request(
    request: Request,
    call: Call,
    context: Context,
    model: ServedModel,
    tokenizing: Tokenizing,
    *,
    is_per_caller: bool,
    timeout_seconds: float = math.inf,
) -> ReplyRequest:
    """Check and convert a request. Raises InvalidRequestError naming every wrong field.

    With ``is_per_caller`` no caller gets what was kept for another. ``timeout_seconds`` is that
    of this request alone, where its protocol has one beside the call's deadline.
    """
    check_request(request, model.manifest)
    claim = _to_claim(request, call, context, timeout_seconds)
    prompt_ids = await tokenizing.run(
        lambda: render(request, model.bundle.template), count_bytes(request), claim
    )
    return ReplyRequest(
        to_generation_request(request, model, prompt_ids),
        claim,
        scope=call.identity.cache_scope(is_per_caller=is_per_caller),
        mode=CACHE_MODES[request.cache_mode],
        is_seeded=request.sampling.HasField("seed"),
        is_streamed=isinstance(request, pb.GenerateRequest),
    )


def check_request(request: Request, manifest: Manifest) -> None:
    """Raise InvalidRequestError naming every wrong field, before any text is tokenized."""
    checks = FieldChecks()
    check_cache_mode(checks, request)
    check_priority(checks, request)
    check_sampling(checks, request.sampling, manifest)
    check_stopping(checks, request.stopping, manifest, _max_tokens(request.stopping, manifest))
    has_roles = bool(manifest.template.role_tokens)
    longest = manifest.limits.max_prompt_tokens
    check_input(checks, request, longest, may_be_empty=not has_roles)
    checks.finish()


def to_generation_request(
    request: Request, model: ServedModel, prompt_ids: Sequence[int]
) -> GenerationRequest:
    """Convert a request that is checked, with its prompt rendered.

    Raises InvalidRequestError when that is too long, or ResumeMismatchError.
    """
    checks = FieldChecks()
    manifest = model.manifest
    max_tokens = _max_tokens(request.stopping, manifest)
    check_prompt_length(checks, request, len(prompt_ids), manifest.limits.max_prompt_tokens)
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


def last_turn(request: Request) -> str:
    """Return what the caller says now."""
    turns = request.conversation.turns
    return turns[-1].text if turns else request.prompt


def render(request: Request, template: PromptTemplate) -> list[int]:
    """Return the tokens of a request that is checked."""
    if request.WhichOneof("input") == "prompt":
        return template.render_prompt(request.prompt)
    turns = [Turn(ROLES[turn.role], turn.text) for turn in request.conversation.turns]
    return template.render_conversation(turns)


def _to_claim(request: Request, call: Call, context: Context, timeout_seconds: float) -> Claim:
    """Return who asks, how urgently, and until when on the engines' clock."""
    remaining: float | None = context.time_remaining()  # None without a deadline
    seconds = min(math.inf if remaining is None else remaining, timeout_seconds)
    return Claim(call.caller, PRIORITIES[request.priority], time.monotonic() + seconds)


def _max_tokens(stopping: pb.StoppingCriteria, manifest: Manifest) -> int:
    asked = stopping.HasField("max_tokens")
    return stopping.max_tokens if asked else manifest.sampling.max_tokens


def _sampling(sampling: pb.SamplingParams, manifest: Manifest) -> SamplingParams:
    """Return the fields that a request sets, and the model's defaults for the others."""
    given: dict[str, Any] = {field.name: value for field, value in sampling.ListFields()}
    defaults = {name: value for name, value in manifest.sampling if name != "max_tokens"}
    # the seed may be absent: another is chosen where one matters
    num_logprobs, biases = given.pop("logprobs", None), given.pop("logit_bias", {})
    return SamplingParams(
        **{**defaults, **given},
        num_logprobs=num_logprobs,
        logit_bias=tuple(sorted(biases.items())),
    )


def _resume_ids(
    request: Request, model: ServedModel, max_tokens: int, *, is_sampled: bool
) -> tuple[int, ...]:
    """Return the tokens to go on after; raise when they cannot be this reply's."""
    if isinstance(request, pb.GenerateReplyRequest) or not request.resume_tokens:
        return ()
    checks = FieldChecks()
    if not model.is_exact:
        checks.refuse(
            "resume_tokens",
            f"is not served for {model.name} version {model.version}: it is served inexact, so the "
            "rest would not be that of the same reply; ask for the whole reply again",
        )
    if not request.model_version:
        checks.refuse("model_version", "is needed with resume_tokens; it was told in Started")
    if is_sampled and not request.sampling.HasField("seed"):
        checks.refuse("sampling.seed", "is needed with resume_tokens; it was told in Started")
    checks.finish()
    if len(request.resume_tokens) > max_tokens:  # before each is looked at
        raise ResumeMismatchError("resume_tokens: the reply ends before the last of them")
    _check_vocabulary(request.resume_tokens, model)
    return tuple(request.resume_tokens)


def _check_vocabulary(tokens: Sequence[int], model: ServedModel) -> None:
    if max(tokens) >= model.manifest.sizes.vocabulary:
        raise ResumeMismatchError(
            f"resume_tokens: {max(tokens)} is not a token of {model.name} version {model.version}"
        )
