"""The form that a request wants its reply to keep: found or built, and whether it fits."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from typing import Protocol

from lstmserve_bundle import Bundle
from lstmserve_server.engine.constraints.builder import FormBuilder
from lstmserve_server.engine.constraints.form import Form, RegularForm
from lstmserve_server.engine.constraints.kept_forms import KeptForms, Key
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.request import Claim
from lstmserve_server.errors import DeadlineError, FieldViolation, InvalidRequestError
from lstmserve_server.rpc.constraints import MAX_NAME, text_before, to_spec
from lstmserve_server.rpc.one_by_one import OneByOne
from lstmserve_server.rpc.validation import Request

MAX_WAITING = 64
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
        before = text_before(request, bundle)
        spec = to_spec(request.constraint, bundle, before)
        found = self._kept.find(bundle.manifest.digest, spec.digest)
        is_kept = found is not None
        if found is None:
            found = await self._wait_for(spec, bundle, claim)
        seconds = 0.0 if is_kept else time.perf_counter() - began_at
        if isinstance(found, str):
            self._observer.on_form("refused", seconds)
            raise _refused(f"constraint.{request.constraint.WhichOneof('kind')}", found)
        self._observer.on_form("kept" if is_kept else "built", seconds)
        if before and isinstance(found, RegularForm):
            found = _after(found, before)
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


def _after(form: RegularForm, before: str) -> RegularForm:
    """Return the form of what goes on with a text; raises InvalidRequestError."""
    found, fits = form.after(before)
    if fits < len(before):
        raise _refused(
            "prompt",
            "begins no text of the constraint, which holds for its end and the reply together: "
            f"after {before[:fits][-MAX_NAME:]!r} it allows no {before[fits]!r}",
        )
    return found


def _check_room(form: Form, max_tokens: int) -> None:
    shortest = form.shortest
    if shortest > max_tokens:
        is_sure = isinstance(form, RegularForm)  # of a grammar some short reply is known
        reason = "keeps the constraint" if is_sure else "that keeps the constraint was found"
        raise _refused(
            "stopping.max_tokens",
            f"must be at least {shortest}, not {max_tokens}: no shorter reply {reason}",
        )


def _refused(field: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError([FieldViolation(field, reason)])
