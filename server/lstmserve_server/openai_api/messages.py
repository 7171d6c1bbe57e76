"""From chat messages to a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.fields import MAX_NAME
from lstmserve_server.rpc.validation import FieldChecks

ROLES: dict[str, pb.Role.ValueType] = {"user": pb.ROLE_USER, "assistant": pb.ROLE_AGENT}
INSTRUCTING = ("system", "developer")
# who may say nothing: such a message is as good as none
MAY_BE_SILENT = (*INSTRUCTING, "assistant")
# of a reply that a client sends back as it came; anything in them would be ignored
EMPTY_KEYS = frozenset(
    {"annotations", "audio", "function_call", "name", "refusal", "tool_call_id", "tool_calls"}
)


def read_messages(
    checks: FieldChecks,
    value: Any,  # noqa: ANN401 - any JSON
    places: dict[str, str],
) -> pb.Conversation:
    """Return the turns; what is wrong with them is refused by name. ``places`` is told which
    message each turn is: those that say nothing are left out.
    """
    conversation = pb.Conversation()
    if not isinstance(value, list) or not value:
        checks.refuse("messages", "must be a list of at least one message")
        return conversation
    for number, message in enumerate(value):
        if checks.is_full:  # a body may have a hundred thousand that are wrong
            break
        place = f"messages[{number}]"
        turn = _read_message(checks, place, message)
        if turn is not None:
            places[f"conversation.turns[{len(conversation.turns)}]"] = place
            conversation.turns.append(turn)
    _check_end(checks, conversation.turns, places)
    return conversation


def _read_message(checks: FieldChecks, place: str, message: object) -> pb.Turn | None:
    if not isinstance(message, dict):
        checks.refuse(place, "must be an object with role and content")
        return None
    _check_keys(checks, place, message)
    role = message.get("role")
    may_be_silent = isinstance(role, str) and role in MAY_BE_SILENT
    content = message.get("content", "" if may_be_silent else None)
    text = _read_content(checks, f"{place}.content", content)
    if may_be_silent and not text.strip():
        return None
    return pb.Turn(role=_read_role(checks, place, role), text=text)


def _check_end(checks: FieldChecks, turns: Sequence[pb.Turn], places: Mapping[str, str]) -> None:
    if not turns:
        checks.refuse("messages", "must have a message of the user, which the reply answers")
    elif turns[-1].role != pb.ROLE_USER:
        place = places[f"conversation.turns[{len(turns) - 1}]"]
        checks.refuse(f"{place}.role", "must be user: the reply answers the last message")


def _check_keys(checks: FieldChecks, place: str, message: dict[str, Any]) -> None:
    for name, value in message.items():
        is_empty = name in EMPTY_KEYS and value in ([], "")
        if name not in {"role", "content"} and not is_empty:
            checks.refuse(f"{place}.{name[:MAX_NAME]}", "is not served; leave it out")


def _read_role(checks: FieldChecks, place: str, role: object) -> pb.Role.ValueType:
    if isinstance(role, str) and role in ROLES:
        return ROLES[role]
    reason = "must be user or assistant"
    if role in INSTRUCTING:
        reason += (
            ": these models were trained without instructions and follow none; write what the "
            "reply needs into the user's message, or leave this one out"
        )
    checks.refuse(f"{place}.role", reason)
    return pb.ROLE_USER


def _read_content(checks: FieldChecks, place: str, content: object) -> str:
    """Return a text, or the texts of several parts, one after the other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        checks.refuse(place, "must be a text, or a list of parts of the type text")
        return ""
    return "".join(
        _read_part(checks, f"{place}[{number}]", part) for number, part in enumerate(content)
    )


def _read_part(checks: FieldChecks, place: str, part: object) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        checks.refuse(f"{place}.type", "must be text: no other parts are served")
    elif part.keys() != {"type", "text"} or not isinstance(part["text"], str):
        checks.refuse(place, "must have type and text, and nothing else")
    else:
        return str(part["text"])
    return ""
