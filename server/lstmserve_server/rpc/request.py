"""From a request on the wire to what is asked of the replies, every field checked."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Answers, Bundle, Classification, Manifest, Turn
from lstmserve_server.engine.request import Claim, GenerationRequest, Priority, SamplingParams
from lstmserve_server.errors import ResumeMismatchError
from lstmserve_server.replies.answering import NOT_UNDERSTOOD, Understood, understand
from lstmserve_server.replies.fill_in import Values
from lstmserve_server.replies.request import ReplyRequest
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.constraining import Constraining
from lstmserve_server.rpc.constraints import check_constraint
from lstmserve_server.rpc.samples import check_best_of
from lstmserve_server.rpc.tokenizing import MAX_AT_ONCE_BYTES, Tokenizing
from lstmserve_server.rpc.validation import (
    CACHE_MODES,
    PRIORITIES,
    ROLES,
    FieldChecks,
    Request,
    check_cache_mode,
    check_cache_tags,
    check_input,
    check_min_confidence,
    check_priority,
    check_prompt_length,
    check_sampling,
    check_stopping,
    check_variables,
    count_bytes,
)
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]
USER = "user"
MAX_OWN_TOKENS = 1 << 14  # more than any answer of a version's own has


async def to_reply_request(
    request: Request,
    call: Call,
    context: Context,
    model: ServedModel,
    tokenizing: Tokenizing,
    constraining: Constraining,
    *,
    is_per_caller: bool,
    timeout_seconds: float = math.inf,
) -> ReplyRequest:
    """Check and convert a request. Raises InvalidRequestError naming every wrong field.

    With ``is_per_caller`` no caller gets what was kept for another. ``timeout_seconds`` is that
    of this request alone, where its protocol has one beside the call's deadline.
    """
    check_request(request, model)
    claim = to_claim(call, context, PRIORITIES[request.priority], timeout_seconds)
    encoded = await tokenizing.run(
        lambda: encode(request, model), count_work(request, model), claim
    )
    max_tokens = _max_tokens(request.stopping, model.manifest)
    constrained = await constraining.find(request, model.bundle, max_tokens, claim)
    understood = _understand(request, encoded, model.answers)
    generation = to_generation_request(request, model, encoded.prompt_ids, understood)
    form = constrained.form
    return ReplyRequest(
        generation
        if form is None
        else replace(generation, form_digest=form.digest, form_start=form.start),
        claim,
        scope=call.identity.cache_scope(is_per_caller=is_per_caller),
        tags=tuple(sorted(request.cache_tags)),
        mode=CACHE_MODES[request.cache_mode],
        is_seeded=request.sampling.HasField("seed"),
        is_streamed=isinstance(request, pb.GenerateRequest),
        understood=understood,
        form=form,
        form_seconds=constrained.seconds,
    )


def check_request(request: Request, model: ServedModel) -> None:
    """Raise InvalidRequestError naming every wrong field, before any text is tokenized."""
    checks, manifest = FieldChecks(), model.manifest
    check_cache_mode(checks, request)
    check_cache_tags(checks, request)
    check_priority(checks, request)
    check_sampling(checks, request.sampling, manifest)
    check_stopping(checks, request.stopping, manifest, _max_tokens(request.stopping, manifest))
    has_roles = bool(manifest.template.role_tokens)
    longest = manifest.limits.max_prompt_tokens
    check_input(checks, request, longest, may_be_empty=not has_roles)
    if request.HasField("min_confidence"):
        check_min_confidence(checks, request.min_confidence, model)
    if request.variables:
        check_variables(checks, request.variables, model)
    if request.HasField("constraint"):
        check_constraint(checks, request, model.bundle)
    if isinstance(request, pb.GenerateReplyRequest):
        check_best_of(checks, request, _temperature(request.sampling, manifest))
    checks.finish()


def to_generation_request(
    request: Request,
    model: ServedModel,
    prompt_ids: Sequence[int],
    understood: Understood = NOT_UNDERSTOOD,
) -> GenerationRequest:
    """Convert a request that is checked, with its prompt rendered.

    What the model writes stands after the token of its label, if that has one.

    Raises InvalidRequestError when that is too long, or ResumeMismatchError.
    """
    checks = FieldChecks()
    manifest = model.manifest
    max_tokens = _max_tokens(request.stopping, manifest)
    check_prompt_length(checks, request, len(prompt_ids), manifest.limits.max_prompt_tokens)
    checks.finish()
    sampling = _sampling(request.sampling, manifest)
    is_sampled = sampling.temperature > 0
    if understood.texts and not understood.has_max_tokens:
        most_resumed = MAX_OWN_TOKENS
    else:
        most_resumed = max_tokens
    return GenerationRequest(
        prompt_ids=(*prompt_ids, *_label_ids(understood, model.bundle)),
        sampling=sampling,
        max_tokens=max_tokens,
        min_tokens=request.stopping.min_tokens,
        stop_sequences=tuple(request.stopping.stop_sequences),
        resume_ids=_resume_ids(request, model, most_resumed, is_sampled=is_sampled),
    )


def last_turn(request: Request) -> str:
    """Return what the caller says now."""
    turns = request.conversation.turns
    return turns[-1].text if turns else request.prompt


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request as the model reads it, and what it is about, as far as that can be told."""

    prompt_ids: list[int]
    classification: Classification | None = None
    found: int | None = None  # its place in the version's list of questions
    values: Values | None = None  # of the reply's gaps; None: the version has no answers


def encode(request: Request, model: ServedModel) -> EncodedRequest:
    """Encode a checked request for the model, and tell what it is about."""
    classifier, faq, template = model.classifier, model.faq, model.bundle.template
    classification = None if classifier is None else classifier.classify(to_turns(request))
    found = None if faq is None else faq.find(last_turn(request))
    if request.WhichOneof("input") == "prompt":
        prompt_ids = template.render_prompt(request.prompt)
    else:
        prompt_ids = template.render_conversation(to_turns(request))
    values = None if model.answers is None else _values(request, model.answers)
    return EncodedRequest(prompt_ids, classification, None if found is None else found[0], values)


def count_work(request: Request, model: ServedModel) -> int:
    """Return how many bytes of text take as long to tokenize as it takes to read a request."""
    num_bytes = count_bytes(request)
    return num_bytes if model.faq is None else num_bytes * (1 + model.faq.work)


def _values(request: Request, answers: Answers) -> Values:
    values = Values(answers, dict(request.variables), to_turns(request))
    # few replies have gaps: what they need is looked for then, unless that would take long
    return values if count_bytes(request) <= MAX_AT_ONCE_BYTES else values.read()


def to_turns(request: Request | pb.ClassifyInput) -> list[Turn]:
    """Return what was said, oldest turn first; a prompt is one turn of the user's."""
    if request.WhichOneof("input") == "prompt":
        return [Turn(USER, request.prompt)]
    return [Turn(ROLES[turn.role], turn.text) for turn in request.conversation.turns]


def _understand(request: Request, encoded: EncodedRequest, answers: Answers | None) -> Understood:
    classification = encoded.classification
    # nothing to choose, and nothing to fill in; or a form, which the model's own words keep
    if answers is None or request.HasField("constraint"):
        return NOT_UNDERSTOOD if classification is None else Understood(classification)
    return understand(
        classification,
        answers,
        encoded.values,
        request.min_confidence if request.HasField("min_confidence") else None,
        encoded.found,
        has_max_tokens=request.stopping.HasField("max_tokens"),
    )


def _label_ids(understood: Understood, bundle: Bundle) -> tuple[int, ...]:
    """Return the token that tells the model which label it replies to."""
    if understood.classification is None or understood.texts:
        return ()
    token_id = bundle.template.id_of_label.get(understood.classification.label)
    return () if token_id is None else (token_id,)


def to_claim(
    call: Call,
    context: Context,
    priority: Priority = Priority.NORMAL,
    timeout_seconds: float = math.inf,
) -> Claim:
    """Return who asks, how urgently, and until when on the engines' clock."""
    remaining: float | None = context.time_remaining()  # None without a deadline
    seconds = min(math.inf if remaining is None else remaining, timeout_seconds)
    return Claim(call.caller, priority, time.monotonic() + seconds)


def _max_tokens(stopping: pb.StoppingCriteria, manifest: Manifest) -> int:
    asked = stopping.HasField("max_tokens")
    return stopping.max_tokens if asked else manifest.sampling.max_tokens


def _temperature(sampling: pb.SamplingParams, manifest: Manifest) -> float:
    asked = sampling.HasField("temperature")
    return sampling.temperature if asked else manifest.sampling.temperature


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
