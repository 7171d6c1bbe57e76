"""The form that a request wants its reply to keep: checked, found or built, and whether it fits."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import dataclass, replace
from typing import Protocol

from lstmserve_bundle import Bundle
from lstmserve_bundle.forms import (
    MAX_CHOICE_CHARACTERS,
    MAX_CHOICES,
    MAX_GRAMMAR_BYTES,
    MAX_REGEX_BYTES,
    NamedForm,
)
from lstmserve_server.engine.constraints.builder import FormBuilder
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.constraints.kept_forms import KeptForms, Key
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.request import Claim
from lstmserve_server.errors import DeadlineError, FieldViolation, InvalidRequestError
from lstmserve_server.rpc.one_by_one import OneByOne
from lstmserve_server.rpc.validation import FieldChecks, Request

MAX_WAITING = 64
MAX_PROMPT_CHARACTERS = 8192
MAX_NAME = 64  # characters that an error tells
AS_IT_IS = "the model writes such a reply as it is, without fallback and placeholders"
COST = 1  # of a form: callers take turns, whatever theirs cost


class FormObserver(Protocol):
    """Told of the forms that requests want."""

    def on_form(self, outcome: str, seconds: float) -> None:
        """Tell that one was kept, built or refused, and how long building it took."""


@dataclass(frozen=True, slots=True)
class Constrained:
    """The form of one request; none: the reply may say anything."""

    form: Form | None = None
    seconds: float = 0.0  # that it waited for it


UNCONSTRAINED = Constrained()


class Constraining:
    """Finds the forms of requests; used on one event loop."""

    def __init__(self, builder: FormBuilder, kept: KeptForms, observer: FormObserver) -> None:
        self._builder = builder
        self._kept = kept
        self._observer = observer
        self._queue = OneByOne(MAX_WAITING, "constraints", "built", "build")
        self._building: dict[Key, asyncio.Task[Form | str]] = {}

    async def find(
        self, request: Request, bundle: Bundle, max_tokens: int, claim: Claim
    ) -> Constrained:
        """Return the form of a request that is checked.

        Raises InvalidRequestError when it cannot be built, or when no reply of so many tokens
        keeps it; and what a queue raises.
        """
        if not request.HasField("constraint"):
            return UNCONSTRAINED
        began_at = time.perf_counter()
        spec = to_spec(request, bundle)
        found = self._kept.find(bundle.manifest.digest, spec.digest)
        is_kept = found is not None
        if found is None:
            found = await self._wait_for(spec, bundle, claim)
        seconds = 0.0 if is_kept else time.perf_counter() - began_at
        if isinstance(found, str):
            self._observer.on_form("refused", seconds)
            raise _refused(f"constraint.{request.constraint.WhichOneof('kind')}", found)
        self._observer.on_form("kept" if is_kept else "built", seconds)
        _check_room(found, max_tokens)
        return Constrained(found, seconds)

    async def _wait_for(self, spec: FormSpec, bundle: Bundle, claim: Claim) -> Form | str:
        """Wait for a form that is being built, perhaps for others, too."""
        key = (bundle.manifest.digest, spec.digest)
        task = self._building.get(key)
        if task is None:
            task = self._building[key] = asyncio.create_task(self._build(spec, bundle, claim))
            task.add_done_callback(lambda _: self._building.pop(key))
        try:
            async with asyncio.timeout_at(None if math.isinf(claim.deadline) else claim.deadline):
                return await asyncio.shield(task)
        except TimeoutError:
            raise DeadlineError("the deadline passed before the constraint was built") from None

    async def _build(self, spec: FormSpec, bundle: Bundle, claim: Claim) -> Form | str:
        # whoever asked first may leave before those who joined
        patient = replace(claim, deadline=math.inf)
        try:
            built: Form | str = await self._queue.run(
                lambda: self._builder.build(spec, bundle), COST, patient
            )
        except RefusedFormError as error:
            built = str(error)
        self._kept.keep(bundle.manifest.digest, spec.digest, built)
        return built


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
    if constraint.prompt_characters:
        _check_prompt_characters(checks, request)
    if request.HasField("min_confidence"):
        checks.refuse("min_confidence", f"is not served with a constraint: {AS_IT_IS}")
    if request.variables:
        checks.refuse("variables", f"are not served with a constraint: {AS_IT_IS}")


def _check_size(checks: FieldChecks, kind: str, text: str, most: int) -> None:
    num_bytes = len(text.encode())
    if not 1 <= num_bytes <= most:
        checks.refuse(f"constraint.{kind}", f"must have from 1 to {most} bytes, not {num_bytes}")


def _check_prompt_characters(checks: FieldChecks, request: Request) -> None:
    field, count = "constraint.prompt_characters", request.constraint.prompt_characters
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


def to_spec(request: Request, bundle: Bundle) -> FormSpec:
    """Return what is asked for, of a constraint that is checked."""
    constraint = request.constraint
    count = constraint.prompt_characters
    prefix = request.prompt[-count:] if count else ""
    match constraint.WhichOneof("kind"):
        case "choices":
            return FormSpec(choices=tuple(constraint.choices.choices), prefix=prefix)
        case "json_schema":
            return FormSpec(json_schema=constraint.json_schema, prefix=prefix)
        case "grammar":
            return FormSpec(grammar=constraint.grammar, prefix=prefix)
        case "form":
            return _named_spec(bundle.forms[constraint.form], prefix)
    return FormSpec(constraint.regex, prefix=prefix)


def _named_spec(named: NamedForm, prefix: str) -> FormSpec:
    schema = None if named.json_schema is None else json.dumps(named.json_schema)
    return FormSpec(named.regex, tuple(named.choices or ()), schema, named.grammar, prefix)


def _check_room(form: Form, max_tokens: int) -> None:
    shortest = form.taught.shortest
    if shortest > max_tokens:
        raise _refused(
            "stopping.max_tokens",
            f"must be at least {shortest}, not {max_tokens}: no shorter reply keeps the constraint",
        )


def _refused(field: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError([FieldViolation(field, reason)])
