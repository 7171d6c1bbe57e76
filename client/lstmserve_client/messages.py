"""What callers say of a prompt or a conversation, read as turns. Pure functions."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from lstmserve_client.errors import FieldViolation, InvalidRequestError
from lstmserve_client.types import Message, Prompt, Role, Turn

ROLES: Mapping[str, Role] = {"user": "user", "agent": "agent", "assistant": "agent"}
NOT_UNICODE = (
    "must be Unicode text, without half a surrogate pair; drop those by "
    'text.encode("utf-8", "replace").decode()'
)
_INSTRUCTIONS = ("system", "developer")
_PART = '{"type": "text", "text": "hi"}'
_WRITE = (
    'must be text, such as "Where is my order?", or a list of turns, such as [Turn("user", "hi")] '
    'or [{"role": "user", "content": "hi"}]'
)


def read_prompt(prompt: Prompt) -> str | list[Turn]:
    """A question, or the turns of a conversation; raises TypeError for what is neither."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, bytes | bytearray):
        raise TypeError("prompt: must be text, not bytes; decode them: prompt.decode()")
    if isinstance(prompt, Mapping | Turn) or not isinstance(prompt, Iterable):
        raise TypeError(f"prompt: {_WRITE}, not {type(prompt).__name__}")
    return read_turns(prompt)


def read_turns(turns: Iterable[Turn | Message]) -> list[Turn]:
    """Turns, also of messages as other services take them; raises TypeError for others, and
    InvalidRequestError for a role that is none.
    """
    if isinstance(turns, str | bytes | Mapping) or not isinstance(turns, Iterable):
        kind = type(turns).__name__
        raise TypeError(f'turns: must be a list, such as [Turn("user", "hi")], not {kind}')
    return [_turn(f"conversation.turns[{number}]", turn) for number, turn in enumerate(turns)]


def refusal(field: str, why: str) -> InvalidRequestError:
    """The error for one field."""
    return InvalidRequestError(f"{field}: {why}", violations=[FieldViolation(field, why)])


def _turn(field: str, turn: Turn | Message) -> Turn:
    if isinstance(turn, Mapping):
        turn = _read_message(field, turn)
    if not isinstance(turn, Turn):
        raise TypeError(
            f'{field}: must be a Turn, such as Turn("user", "hi"), or a message, such as '
            f'{{"role": "user", "content": "hi"}}, not {type(turn).__name__}'
        )
    if not isinstance(turn.text, str):
        raise TypeError(f"{field}.text: must be text, not {type(turn.text).__name__}")
    return Turn(_read_role(f"{field}.role", turn.role), turn.text)


def _read_role(field: str, role: object) -> Role:
    # by likeness: an enumeration's member may be the same text, and a list cannot be looked up
    if (own := next((own for name, own in ROLES.items() if name == role), None)) is not None:
        return own
    if role in _INSTRUCTIONS:
        raise refusal(
            field,
            f"{role!r} is not served: models here were trained without instructions and follow "
            "none; put what the reply depends on into the user's message, or leave it out",
        )
    why = f'must be "user" or "agent", which may be called "assistant", not {role!r}'
    raise refusal(field, why)


def _read_message(field: str, message: Message) -> Turn:
    """A turn as its text; what is wrong is told by the names that the caller wrote."""
    if not {"role", "content"} <= message.keys():
        raise TypeError(f'{field}: must have the keys "role" and "content"')
    _check_keys(field, message, {"role", "content"})
    role = _read_role(f"{field}.role", message["role"])
    text = _read_content(f"{field}.content", message["content"])
    if not text.strip():
        raise refusal(f"{field}.content", "must not be empty or white space alone")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise refusal(f"{field}.content", NOT_UNICODE) from None
    return Turn(role, text)


def _check_keys(field: str, message: Message, known: AbstractSet[str]) -> None:
    """Refuse what would be ignored; a reply of another service has empty keys."""
    for name, value in message.items():
        if name not in known and value not in (None, [], ()):
            raise TypeError(f"{field}: {name!r} is not served; leave it out")


def _read_content(field: str, content: object) -> str:
    """A text, or the texts of several parts, one after the other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        kind = type(content).__name__
        raise TypeError(f"{field}: must be text, or a list of parts such as {_PART}, not {kind}")
    return "".join(_read_part(f"{field}[{number}]", part) for number, part in enumerate(content))


def _read_part(field: str, part: object) -> str:
    if not isinstance(part, Mapping):
        raise TypeError(f"{field}: must be a part such as {_PART}, not {type(part).__name__}")
    if (kind := part.get("type")) != "text":
        why = f'must be "text", not {kind!r}: models here read text alone; leave the part out'
        raise refusal(f"{field}.type", why)
    _check_keys(field, part, {"type", "text"})
    text = part.get("text")
    if not isinstance(text, str):
        raise TypeError(f"{field}.text: must be text, not {type(text).__name__}")
    return text
