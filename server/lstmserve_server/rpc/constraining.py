"""The form that a request wants its reply to keep: checked, found or built, and whether it fits."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from typing import Protocol

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Bundle
from lstmserve_bundle.forms import MAX_CHOICE_CHARACTERS, MAX_CHOICES, MAX_REGEX_BYTES
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
        self, request: Request, bundle: Bundle, max_tokens: int, claim: Claim, text: str = ""
    ) -> Constrained:
        """Return the form of a request that is checked, and whose reply goes on with a text.

        Raises InvalidRequestError when it cannot be built, or when no reply of so many tokens
        keeps it; and what a queue raises.
        """
        if not request.HasField("constraint"):
            return UNCONSTRAINED
        began_at = time.perf_counter()
        spec = to_spec(request.constraint, bundle)
        found = self._kept.find(bundle.manifest.digest, spec.digest)
        is_kept = found is not None
        if found is None:
            found = await self._wait_for(spec, bundle, claim)
        seconds = 0.0 if is_kept else time.perf_counter() - began_at
        if isinstance(found, str):
            self._observer.on_form("refused", seconds)
            raise _refused(f"constraint.{request.constraint.WhichOneof('kind')}", found)
        self._observer.on_form("kept" if is_kept else "built", seconds)
        if spec.is_with_prompt:
            found = _after(found, text, request)
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
            _check_regex(checks, constraint.regex)
        case "choices":
            _check_choices(checks, list(constraint.choices.choices))
        case "form" if constraint.form not in bundle.forms:
            names = ", ".join(sorted(bundle.forms)) or "none"
            checks.refuse(
                "constraint.form",
                f"{constraint.form[:MAX_NAME]!r} is no form of this version; it has {names}",
            )
        case None:
            checks.refuse("constraint", "is empty; set regex, choices or form")
    if request.HasField("min_confidence"):
        checks.refuse("min_confidence", f"is not served with a constraint: {AS_IT_IS}")
    if request.variables:
        checks.refuse("variables", f"are not served with a constraint: {AS_IT_IS}")


def _check_regex(checks: FieldChecks, pattern: str) -> None:
    num_bytes = len(pattern.encode())
    if not 1 <= num_bytes <= MAX_REGEX_BYTES:
        checks.refuse(
            "constraint.regex", f"must have from 1 to {MAX_REGEX_BYTES} bytes, not {num_bytes}"
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


def to_spec(constraint: pb.Constraint, bundle: Bundle) -> FormSpec:
    """Return what is asked for, of a constraint that is checked."""
    if constraint.WhichOneof("kind") == "form":
        return FormSpec.of(bundle.forms[constraint.form])
    if constraint.WhichOneof("kind") == "choices":
        return FormSpec(choices=tuple(constraint.choices.choices))
    return FormSpec(constraint.regex)


def _after(form: Form, text: str, request: Request) -> Form:
    """Return the form of what goes on with a text; raises InvalidRequestError."""
    found = form.after(text)
    if found is not None:
        return found
    fits = next(n for n in range(len(text), -1, -1) if form.after(text[:n]) is not None)
    raise _refused(
        request.WhichOneof("input") or "prompt",
        f"begins no text of the form {request.constraint.form!r}, which holds for prompt and "
        f"reply together: after {text[:fits][-MAX_NAME:]!r} it allows no {text[fits]!r}",
    )


def _check_room(form: Form, max_tokens: int) -> None:
    shortest = form.shortest
    if shortest > max_tokens:
        raise _refused(
            "stopping.max_tokens",
            f"must be at least {shortest}, not {max_tokens}: no shorter reply keeps the constraint",
        )


def _refused(field: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError([FieldViolation(field, reason)])
