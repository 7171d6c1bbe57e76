"""The constraint of a request: what is wrong with it, and what it asks for."""

from __future__ import annotations

from dataclasses import replace

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Bundle
from lstmserve_bundle.forms import (
    MAX_CHOICE_CHARACTERS,
    MAX_CHOICES,
    MAX_GRAMMAR_BYTES,
    MAX_REGEX_BYTES,
)
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.rpc.validation import FieldChecks, Request

MAX_PROMPT_CHARACTERS = 8192
MAX_NAME = 64  # characters that an error tells
AS_IT_IS = "the model writes such a reply as it is, without fallback and placeholders"


def check_constraint(checks: FieldChecks, request: Request, bundle: Bundle) -> None:
    """Check the constraint of a request that has one, before anything is built."""
    constraint = request.constraint
    match constraint.WhichOneof("kind"):
        case "regex":
            _check_size(checks, "regex", constraint.regex, MAX_REGEX_BYTES)
        case "json_schema":
            _check_size(checks, "json_schema", constraint.json_schema, MAX_GRAMMAR_BYTES)
        case "grammar":
            _check_size(checks, "grammar", constraint.grammar, MAX_GRAMMAR_BYTES)
        case "choices":
            _check_choices(checks, list(constraint.choices.choices))
        case "form" if constraint.form not in bundle.forms:
            names = ", ".join(sorted(bundle.forms)) or "none"
            checks.refuse(
                "constraint.form",
                f"{constraint.form[:MAX_NAME]!r} is no form of this version; it has {names}",
            )
        case None:
            checks.refuse(
                "constraint", "is empty; set regex, choices, json_schema, grammar or form"
            )
    _check_prompt_characters(checks, request, bundle)
    if request.HasField("min_confidence"):
        checks.refuse("min_confidence", f"is not served with a constraint: {AS_IT_IS}")
    if request.variables:
        checks.refuse("variables", f"are not served with a constraint: {AS_IT_IS}")


def _check_size(checks: FieldChecks, kind: str, text: str, most: int) -> None:
    num_bytes = len(text.encode())
    if not 1 <= num_bytes <= most:
        checks.refuse(f"constraint.{kind}", f"must have from 1 to {most} bytes, not {num_bytes}")


def _check_prompt_characters(checks: FieldChecks, request: Request, bundle: Bundle) -> None:
    field, count = "constraint.prompt_characters", request.constraint.prompt_characters
    is_with_prompt = not count and _is_with_prompt(request.constraint, bundle)
    if is_with_prompt and len(request.prompt) > MAX_PROMPT_CHARACTERS:
        checks.refuse(
            "prompt",
            f"must have at most {MAX_PROMPT_CHARACTERS} characters with a form "
            f"that it is to keep, not {len(request.prompt)}",
        )
    if not count:
        return
    if request.WhichOneof("input") == "conversation":
        checks.refuse(field, "goes with a prompt, not with a conversation; leave it out")
        return
    most = min(len(request.prompt), MAX_PROMPT_CHARACTERS)
    if count > most:
        checks.refuse(
            field,
            f"must be at most {most}, not {count}: the prompt has no more, or the "
            "text that keeps the form would begin too early",
        )


def _check_choices(checks: FieldChecks, choices: list[str]) -> None:
    field = "constraint.choices.choices"
    if not 1 <= len(choices) <= MAX_CHOICES:
        checks.refuse(field, f"must be from 1 to {MAX_CHOICES}, not {len(choices)}")
        return
    for number, choice in enumerate(choices):
        if not 1 <= len(choice) <= MAX_CHOICE_CHARACTERS:
            checks.refuse(
                f"{field}[{number}]",
                f"must have from 1 to {MAX_CHOICE_CHARACTERS} characters, not {len(choice)}",
            )
    if len(set(choices)) < len(choices):
        checks.refuse(field, "must be different from each other")


def text_before(request: Request, bundle: Bundle) -> str:
    """Return the end of the prompt that belongs to the text that keeps the form."""
    constraint = request.constraint
    if constraint.prompt_characters:
        return request.prompt[-constraint.prompt_characters :]
    return request.prompt if _is_with_prompt(constraint, bundle) else ""


def _is_with_prompt(constraint: pb.Constraint, bundle: Bundle) -> bool:
    """Return whether the version says that its form holds for prompt and reply together."""
    named = bundle.forms.get(constraint.form) if constraint.WhichOneof("kind") == "form" else None
    return named is not None and named.with_prompt


def to_spec(constraint: pb.Constraint, bundle: Bundle, before: str = "") -> FormSpec:
    """Return what is asked for, of a constraint that is checked.

    An automaton is the same whatever stands before the reply; a grammar is not.
    """
    match constraint.WhichOneof("kind"):
        case "choices":
            return FormSpec(choices=tuple(constraint.choices.choices))
        case "json_schema":
            return FormSpec(json_schema=constraint.json_schema, prefix=before)
        case "grammar":
            return FormSpec(grammar=constraint.grammar, prefix=before)
        case "form":
            spec = FormSpec.of(bundle.forms[constraint.form])
            return spec if spec.is_regular else replace(spec, prefix=before)
    return FormSpec(constraint.regex)
