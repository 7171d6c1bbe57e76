"""Completes Python as it is typed: ``python complete.py FILE [HOST:PORT] [statement|block]``.

It goes on from the end of the file. What comes always parses. The empty line takes it over, and
another line is typed in its place; the end of the input ends the program, which writes the text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from facts import UnreadableError, read_place
from python_grammar import Form, grammar

from lstmserve_client import Client, Grammar, SamplingParams, StoppingCriteria

CONTEXT = 400  # characters before the cursor that the model reads, at least
STRIDE = 400  # characters typed until the context begins elsewhere
MAX_TOKENS = {"statement": 250, "block": 250}
SAMPLING = SamplingParams(temperature=0.0)


def complete(client: Client, text: str, form: Form) -> Iterator[str]:
    """Yield characters that go on behind a text; raises UnreadableError."""
    place = read_place(text)
    begun = len(place.tail)
    yield from client.generate(
        context(text, begun),
        model="code-py",
        constraint=Grammar(grammar(place, form), prompt_characters=begun),
        sampling=SAMPLING,
        stopping=StoppingCriteria(max_tokens=MAX_TOKENS[form]),
    ).text


def context(text: str, begun: int = 0) -> str:
    """The end of a text, with all that is begun.

    It begins at the same character while some hundred are typed: the server keeps the state behind
    what it has read, and reads what is new.
    """
    start = (len(text) - max(CONTEXT, begun)) // STRIDE * STRIDE
    return text[max(0, start) :]


def show(client: Client, text: str, form: Form) -> str:
    """Print a completion as it comes; return it."""
    start, first, found = time.perf_counter(), 0.0, ""
    for piece in complete(client, text, form):
        first = first or time.perf_counter() - start
        print(piece, end="", flush=True)
        found += piece
    print(f"[first characters after {1e3 * first:.1f} ms]", file=sys.stderr)
    return found


def main(path: Path, address: str = "127.0.0.1:50051", form: Form = "statement") -> None:
    """Complete a file until the input ends."""
    text = path.read_text("utf-8")
    with Client(address) as client:
        while True:
            try:
                found = show(client, text, form)
            except UnreadableError as error:
                print(f"no completion: {error}", file=sys.stderr)
                found = ""
            try:
                typed = input()
            except EOFError:
                break
            text += typed + "\n" if typed else found
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])  # type: ignore[arg-type]  # as typed
