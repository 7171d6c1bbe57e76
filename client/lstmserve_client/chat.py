"""A conversation on a terminal, or with a script that writes one line per turn."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from lstmserve_client.errors import LstmserveError
from lstmserve_client.types import Reply, Turn

HELP = "/reset starts a new conversation, /quit leaves"

Ask = Callable[[Sequence[Turn]], Reply]


def is_interactive() -> bool:
    """Whether a person sits there; a script's output holds the replies and nothing else."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def typed_lines() -> Iterator[str]:
    """What a person types at a prompt, until the end of input."""
    with suppress(ImportError):  # some Pythons are built without it
        import readline  # noqa: F401, PLC0415 - gives input() its editing and history
    try:
        while True:
            yield input("you> ")
    except EOFError:
        sys.stdout.write("\n")  # the shell's prompt gets a line of its own
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        raise


def piped_lines() -> Iterator[str]:
    """What a script writes."""
    yield from sys.stdin


def converse(lines: Iterator[str], ask: Ask, on_error: Callable[[LstmserveError], None]) -> None:
    """Answer each line as the next turn of one conversation."""
    turns: list[Turn] = []
    for line in lines:
        text = line.strip()
        if text == "/quit":
            return
        if text == "/reset":
            turns.clear()
        elif text:
            turns.extend(_exchange(turns, text, ask, on_error))


def _exchange(
    turns: Sequence[Turn], text: str, ask: Ask, on_error: Callable[[LstmserveError], None]
) -> list[Turn]:
    """The two turns to remember; none if the question got no answer, as the wire refuses
    empty turns.
    """
    question = Turn("user", text)
    try:
        reply = ask([*turns, question])
    except LstmserveError as error:
        on_error(error)
        return []
    return [question, Turn("agent", reply.text)] if reply.text else []
