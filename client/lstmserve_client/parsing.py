"""Reads the values of replies that keep a JSON schema. Pure functions, no I/O."""

from dataclasses import replace

from lstmserve_client.constraints import Constraint, JsonSchema
from lstmserve_client.errors import UnreadableReplyError
from lstmserve_client.types import Prompt, Reply


def parsed(found: Reply, prompt: Prompt, constraint: Constraint | None) -> Reply:
    """A whole reply with its value and its alternatives', where a JSON schema was asked for.

    Raises UnreadableReplyError where the schema's class does not take one of them: that has the
    reply, with the values that could be read.
    """
    if not isinstance(constraint, JsonSchema):
        return found
    before = _text_before(prompt, constraint.prompt_characters)
    failures: dict[str, Exception] = {}

    def read(reply: Reply, name: str) -> Reply:
        try:
            return replace(reply, parsed=constraint.parse(before + reply.text))
        except Exception as error:  # noqa: BLE001 - a class of the caller's may raise anything
            failures[name] = error
            return reply

    others = [read(each, f"alternatives[{n}]") for n, each in enumerate(found.alternatives)]
    whole = replace(read(found, "reply"), alternatives=tuple(others))
    if failures:
        name, cause = next(reversed(failures.items()))  # the reply itself goes first
        request_id = whole.started.request_id or None
        raise UnreadableReplyError(f"{name}: {_explain(cause)}", whole, request_id) from cause
    return whole


def _text_before(prompt: Prompt, prompt_characters: int) -> str:
    """The end of a prompt that belongs to the value; of conversations servers take none."""
    return prompt[-prompt_characters:] if prompt_characters and isinstance(prompt, str) else ""


def _explain(cause: Exception) -> str:
    """What could not be read and why, in one line; pydantic tells which fields."""
    try:
        fields = [(".".join(map(str, each["loc"])), each["msg"]) for each in cause.errors()]  # type: ignore[attr-defined]
    except (AttributeError, KeyError, TypeError):
        return " ".join(f"{type(cause).__name__}: {cause}".split())
    return "; ".join(f"{name}: {why}" if name else str(why) for name, why in fields)
