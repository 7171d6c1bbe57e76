"""What callers say of a prompt or a conversation, read as turns. Pure functions."""

from collections.abc import Iterable, Mapping

from lstmserve_client.errors import FieldViolation, InvalidRequestError
from lstmserve_client.types import Message, Prompt, Role, Turn

ROLES: Mapping[str, Role] = {"user": "user", "agent": "agent", "assistant": "agent"}
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


def _check_keys(field: str, message: Mapping[str, object]) -> None:
    """Refuse what would be ignored; a reply of another service has empty keys."""
    for name, value in message.items():
        if name not in {"role", "content"} and value not in (None, [], ()):
            raise TypeError(f"{field}: {name!r} is not served; leave it out")


def _turn(field: str, turn: Turn | Message) -> Turn:
    if isinstance(turn, Mapping):
        if not {"role", "content"} <= turn.keys():
            raise TypeError(f'{field}: must have the keys "role" and "content"')
        _check_keys(field, turn)
        turn = Turn(turn["role"], turn["content"])  # type: ignore[arg-type]  # looked at below
    if not isinstance(turn, Turn):
        raise TypeError(
            f'{field}: must be a Turn, such as Turn("user", "hi"), or a message, such as '
            f'{{"role": "user", "content": "hi"}}, not {type(turn).__name__}'
        )
    if not isinstance(turn.text, str):
        raise TypeError(f"{field}.text: must be text, not {type(turn.text).__name__}")
    if turn.role not in [*ROLES]:  # a list: what cannot be hashed is no role, either
        why = f'must be "user" or "agent", which may be called "assistant", not {turn.role!r}'
        violation = FieldViolation(f"{field}.role", why)
        raise InvalidRequestError(f"{field}.role: {why}", violations=[violation])
    return Turn(ROLES[turn.role], turn.text)
